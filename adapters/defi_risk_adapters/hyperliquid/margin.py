"""Maintenance margin of a perpetual, in exact fractions.

Source: Hyperliquid's documentation, "Margin tiers". The rate of a tier is half of the initial rate at its greatest leverage, 1 / (2 *
leverage), and the margin is notional * rate - deduction, where the deductions make the tiers meet: each adds its floor times the step
of the rates. A table below 50 is one tier whose leverage is the table's number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from defi_risk.errors import OutOfRange
from defi_risk.model import Tier
from defi_risk.units import exact_ratio

FIRST_TABLE: Final = 50
MOST_LEVERAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """One tier. `floor` and `deduction` in 1e-6 of the coin that the dex settles in."""

    floor: int
    rate: Fraction
    deduction: Fraction

    def margin(self, notional: int) -> Fraction:
        """Maintenance margin of a notional in this tier."""
        return notional * self.rate - self.deduction if self.deduction else notional * self.rate


Steps = tuple[Step, ...]


def plain(table: int) -> Steps:
    """The one tier of a table below 50. Raises `OutOfRange` for a table of 0."""
    return steps([(0, table)])


def steps(tiers: Iterable[tuple[int, int]]) -> Steps:
    """Tiers from pairs of floor (1e-6 of the coin) and greatest leverage. Raises `OutOfRange` for tiers that do not rise from 0."""
    found: list[Step] = []
    for floor, leverage in tiers:
        if not 0 < leverage <= MOST_LEVERAGE:
            raise OutOfRange(f"a margin tier has the greatest leverage {leverage}")
        rate = Fraction(1, 2 * leverage)
        last = found[-1] if found else None
        if (last is None and floor != 0) or (last is not None and (floor <= last.floor or rate <= last.rate)):
            raise OutOfRange("the margin tiers do not rise from 0")
        deduction = Fraction(0) if last is None else last.deduction + floor * (rate - last.rate)
        found.append(Step(floor, rate, deduction))
    if not found:
        raise OutOfRange("a margin table without tiers")
    return tuple(found)


def maintenance(tiers: Steps, notional: int) -> Fraction:
    """Maintenance margin of a notional, both in 1e-6 of the coin. On the floor of a tier both tiers give the same."""
    return next(step for step in reversed(tiers) if notional >= step.floor).margin(notional)


def brackets(tiers: Steps, line: Fraction, places: int) -> tuple[Tier, ...]:
    """The tiers as a position's, in whole coins of `places`, rates and deductions times `line`: how far above the requirement death is."""
    scale = 10**places
    return tuple(Tier(exact_ratio(step.floor, scale), decimal(step.rate * line), decimal(step.deduction * line / scale)) for step in tiers)


def decimal(number: Fraction) -> Decimal:
    """A fraction to 160 digits."""
    return exact_ratio(number.numerator, number.denominator)
