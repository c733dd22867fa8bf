"""What one derivative settles, in exact decimals of the coin that its contract settles in; `normal` has it in floats and fractions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from defi_risk.model import Contract, Position
from defi_risk.units import EXACT


def earned(position: Position) -> Decimal:
    """What closing at the mark would settle before it costs anything, as `normal.gain` has it."""
    profit, size, entry, mark = position.unrealized_pnl, position.size, position.entry, position.mark
    if profit is None and position.contract is Contract.LINEAR:
        profit = EXACT.multiply(size, EXACT.subtract(mark, entry))
    elif profit is None:
        profit = EXACT.subtract(EXACT.divide(size, entry), EXACT.divide(size, mark))
    return EXACT.subtract(EXACT.add(profit, position.accrued_funding), position.accrued_fees)


def scaled(position: Position, share: Decimal) -> Position:
    """A share of a position: its size, what has run up in it and what closing it costs. Entry, mark, brackets and rates stay."""
    pnl = position.unrealized_pnl
    return replace(
        position,
        size=EXACT.multiply(position.size, share),
        unrealized_pnl=None if pnl is None else EXACT.multiply(pnl, share),
        accrued_funding=EXACT.multiply(position.accrued_funding, share),
        accrued_fees=EXACT.multiply(position.accrued_fees, share),
        exit_cost=EXACT.multiply(position.exit_cost, share),
    )
