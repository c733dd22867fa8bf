"""Flags about loans and derivatives that make each other worse, though each looks sound at its own venue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TypeAlias

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import correlation, owed, posted, traded
from defi_risk.flags.rule import Known, Rule, Scene, listed
from defi_risk.health.carry import carry_usd_per_year
from defi_risk.ids import Factor
from defi_risk.model import Role, Side
from defi_risk.text import shown
from defi_risk.words import dollars


def _wrong_way(scene: Scene) -> Iterator[Flag]:
    """One flag for each collateral and each factor that moves with it."""
    loans = [(known, _carrying(scene, known)) for known in scene.known(Side.LENDING) if known.figures.requirement_usd > 0]
    sides = [(known, _volatile(scene, traded(known))) for known in scene.known(Side.DERIVATIVES)]
    carried, open_ = (sorted({factor for _, amounts in part for factor in amounts}) for part in (loans, sides))
    for held, other in product(carried, open_):
        tied = correlation(scene, held, other)
        losing = [(known, amounts.get(other, 0.0)) for known, amounts in sides]
        losing = [(known, usd) for known, usd in losing if _loses(tied, usd, scene.limits.wrong_way, same=held == other)]
        if tied is not None and losing:
            lent = [(known, amounts[held]) for known, amounts in loans if held in amounts]
            yield _wrong_way_flag(scene, (held, lent), (other, losing), tied)


def _volatile(scene: Scene, amounts: Mapping[Factor, float]) -> dict[Factor, float]:
    return {factor: usd for factor, usd in amounts.items() if usd and not scene.settings.stable(factor)}


def _carrying(scene: Scene, loan: Known) -> dict[Factor, float]:
    """Volatile collateral beyond the account's own debt in the same factor."""
    debts = owed(loan)
    net = {factor: usd - debts.get(factor, 0.0) for factor, usd in posted(loan).items()}
    return _volatile(scene, {factor: usd for factor, usd in net.items() if usd > 0})


def _loses(tied: float | None, notional: float, line: float, *, same: bool) -> bool:
    """Whether a position loses when the collateral falls."""
    if tied is None or not notional:
        return False
    toward = tied if notional > 0 else -tied
    return toward > 0 if same else toward > line


Part: TypeAlias = tuple[Factor, list[tuple[Known, float]]]
"""A factor, and what each account has of it in USD."""


def _wrong_way_flag(scene: Scene, collateral: Part, positions: Part, tied: float) -> Flag:
    (held, loans), (other, sides) = collateral, positions
    usd, notional = (sum(amount for _, amount in part) for part in (loans, sides))
    why = "the same factor" if held == other else f"whose correlation with it is {tied:.2f}"
    return Flag(
        code="WRONG_WAY_COLLATERAL",
        severity=Severity.WARNING,
        accounts=tuple(sorted(known.account.id for known, _ in (*loans, *sides))),
        message=(
            f"{dollars(usd)} of {shown(held)} carry the debt of {listed([known.name for known, _ in loans])} while "
            f"{listed([known.name for known, _ in sides])} {'is' if len(sides) == 1 else 'are'} {'long' if notional > 0 else 'short'} "
            f"{dollars(abs(notional))} of {shown(other)}, {why}: one move hurts both"
        ),
        evidence={
            "collateral": held,
            "collateral_usd": usd,
            "traded": other,
            "notional_usd": notional,
            "correlation": tied,
        },
        threshold=scene.limits.wrong_way,
    )


def _negative_carry(scene: Scene) -> Iterator[Flag]:
    """Of accounts that owe interest or hold derivatives: what idles elsewhere is not what the carry is made for."""
    earning = {known.account.id: known for known in scene.known() if known.figures.requirement_usd > 0}
    parts = {id: carry_usd_per_year(scene.assessed[id]) for id in earning}
    if not parts or {known.account.side for known in earning.values()} != set(Side):
        return
    supply, borrow, funding = (sum(getattr(part, name) for part in parts.values()) for name in ("supply", "borrow", "funding"))
    net = supply + funding - borrow
    if net >= -scene.limits.carry or net >= 0:
        return
    unrated = sum(_unrated(known) for known in earning.values())
    legs = "rate of 1 leg is not known and counts" if unrated == 1 else f"rates of {unrated} legs are not known and count"
    gap = f"; the {legs} as none" if unrated else ""
    paid = f"funding of {dollars(abs(funding))} {'received' if funding >= 0 else 'paid'}"
    yield Flag(
        code="NEGATIVE_CARRY",
        severity=Severity.WARNING,
        accounts=tuple(sorted(earning)),
        message=f"the book pays {dollars(-net)} a year: interest of {dollars(borrow)} paid, {dollars(supply)} earned, {paid}{gap}",
        evidence={
            "carry_usd_per_year": net,
            "borrow_usd_per_year": borrow,
            "supply_usd_per_year": supply,
            "funding_usd_per_year": funding,
            "legs_without_rate": unrated,
        },
        threshold=-scene.limits.carry,
    )


def _unrated(known: Known) -> int:
    """Debts and positions whose rate nobody told."""
    legs = [holding.leg for holding in known.normal.holdings if holding.value]
    debts = sum(1 for leg in legs if leg.role is Role.DEBT and leg.apr is None)
    # a dated future pays no funding
    return debts + sum(1 for leg in legs if leg.position and leg.position.funding_8h is None and leg.position.expires is None)


RULES = (
    Rule(
        "NEGATIVE_CARRY",
        Severity.WARNING,
        "Borrowing and funding cost more than supply and funding earn.",
        _negative_carry,
        "more than {carry:,.0f} USD a year",
        spans=True,
    ),
    Rule(
        "WRONG_WAY_COLLATERAL",
        Severity.WARNING,
        "One factor, or two that move together, is collateral of a loan and the losing side of a derivative.",
        _wrong_way,
        "the same factor, or a correlation above {wrong_way:.2g} that is given or measured",
        spans=True,
    ),
)
