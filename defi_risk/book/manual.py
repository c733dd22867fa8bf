"""The `[[manual]]` tables of a book: margin accounts that no adapter reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from defi_risk.book.model import ONE, ZERO, ManualDebt, ManualHolding, ManualPosition, ManualSettings
from defi_risk.book.table import Table
from defi_risk.ids import USD, Factor, Peg
from defi_risk.model import Basis, Contract, Side, Tier
from defi_risk.units import EXACT

ACCOUNT: Final = (
    "name", "side", "liquidation", "close_factor", "bonus", "remainder", "supply_apr", "collateral", "debt", "position",
)  # fmt: skip
HOLDING: Final = ("factor", "peg", "amount", "price", "weight", "initial_weight")
DEBT: Final = ("factor", "peg", "amount", "price", "apr")
POSITION: Final = (
    "factor", "quote", "contract", "size", "entry", "mark", "maintenance", "tiers", "maintenance_basis", "initial", "close_fee",
    "funding_8h", "unrealized_pnl",
)  # fmt: skip


def read_manual(table: Table) -> ManualSettings:
    """One account. Raises `BookError`."""
    table.need("side")
    side = Side(table.choice("side", tuple(Side)))
    if "position" in table and side is Side.LENDING:
        table.fail("position", "a lending account has no positions", 'set side = "derivatives"')
    return ManualSettings(
        name=table.text("name"),
        side=side,
        strict=table.choice("liquidation", ("<", "<="), "<") == "<",
        close_factor=_optional(table, "close_factor", 0, 1, above=0) or ONE,
        bonus=_optional(table, "bonus", 0, 1) or ZERO,
        remainder=table.choice("remainder", ("refunded", "lost"), "refunded"),
        supply_apr=_optional(table, "supply_apr", -1, 100),
        collateral=tuple(_holding(item, side) for item in table.tables("collateral", HOLDING)),
        debt=tuple(_debt(item) for item in table.tables("debt", DEBT)),
        position=tuple(_position(item) for item in table.tables("position", POSITION)),
    )


def _optional(table: Table, key: str, low: int | None = None, high: int | None = None, *, above: int | None = None) -> Decimal | None:
    return table.number(key, low, high, above=above) if key in table else None


def _peg(table: Table) -> Peg | None:
    return Peg(table.text("peg")) if "peg" in table else None


def _holding(table: Table, side: Side) -> ManualHolding:
    # margin can be negative (a loss that was settled against it); collateral cannot
    amount = table.number("amount", 0 if side is Side.LENDING else None)
    weight = _optional(table, "weight", 0, 1)
    initial = _optional(table, "initial_weight", 0, 1)
    if initial is not None and initial > (ONE if weight is None else weight):
        hint = "weight is the liquidation threshold, initial_weight the LTV"
        table.fail("initial_weight", f"{initial} lies above the weight {ONE if weight is None else weight}", hint)
    return ManualHolding(
        factor=Factor(table.text("factor")),
        peg=_peg(table),
        amount=amount,
        price=_optional(table, "price", above=0),
        weight=ONE if weight is None else weight,
        initial_weight=initial,
    )


def _debt(table: Table) -> ManualDebt:
    return ManualDebt(
        factor=Factor(table.text("factor")),
        peg=_peg(table),
        amount=table.number("amount", 0),
        price=_optional(table, "price", above=0),
        apr=_optional(table, "apr", -1, 100),
    )


def _position(table: Table) -> ManualPosition:
    contract = Contract(table.choice("contract", tuple(Contract), Contract.LINEAR))
    if contract is Contract.LINEAR:
        table.need("quote")
    return ManualPosition(
        factor=Factor(table.text("factor")),
        quote=Factor(table.text("quote", USD)),
        contract=contract,
        size=table.number("size"),
        entry=table.number("entry", above=0),
        mark=table.number("mark", above=0),
        tiers=_tiers(table),
        basis=Basis(table.choice("maintenance_basis", tuple(Basis), Basis.MARK)),
        initial=_optional(table, "initial", 0, 100),
        close_fee=_optional(table, "close_fee", 0, 1) or ZERO,
        funding_8h=_optional(table, "funding_8h", -10, 10),
        unrealized_pnl=_optional(table, "unrealized_pnl"),
    )


def _tiers(table: Table) -> tuple[Tier, ...]:
    if ("maintenance" in table) == ("tiers" in table):
        table.fail("", "needs either 'maintenance' (one rate) or 'tiers'")
    if "maintenance" in table:
        return (Tier(ZERO, table.number("maintenance", 0, 1), ZERO),)
    tiers: list[Tier] = []
    for row in table.rows("tiers"):
        floor, rate, deduction = row.numbers(0, 0, 0)
        if rate > 1:
            raise table.source.fault((*row.where, 1), f"rate {rate} is out of range", "0 ... 1")
        if floor != 0 if not tiers else floor <= tiers[-1].floor:
            raise table.source.fault((*row.where, 0), f"floor {floor} is out of order", "floors start at 0 and rise")
        if deduction > EXACT.multiply(floor, rate):
            hint = "a deduction is at most floor x rate, or nothing would be required at the floor"
            raise table.source.fault((*row.where, 2), f"deduction {deduction} is out of range", hint)
        tiers.append(Tier(floor, rate, deduction))
    if not tiers:
        table.fail("tiers", "is empty")
    return tuple(tiers)
