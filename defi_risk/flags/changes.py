"""A flag about what a venue changed since the last snapshot: its terms, not its prices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Rule, Scene
from defi_risk.model import Account, Leg, Role, Tier
from defi_risk.text import clean, shown
from defi_risk.units import plain

MOST_DECIMALS: Final = 4


def _parameter_change(scene: Scene) -> Iterator[Flag]:
    before = {account.id: account for account in scene.previous or () if account.known}
    for account in scene.accounts:
        if account.known and account.id in before:
            changes = _numbered(_changes(before[account.id], account))
            if changes:
                yield Flag(
                    code="PARAMETER_CHANGE",
                    severity=Severity.INFO,
                    accounts=(account.id,),
                    message=f"{scene.names.of(account)}: {'; '.join(f'{name} {change}' for name, change in changes.items())}",
                    evidence=dict(changes),
                )


def _numbered(changes: Iterator[tuple[str, str]]) -> dict[str, str]:
    """All of them by name: two tokens may have one symbol, and one a position and a collateral."""
    found: dict[str, str] = {}
    for name, change in changes:
        same = sum(1 for other in found if other == name or other.startswith(f"{name} #"))
        found[f"{name} #{same + 1}" if same else name] = change
    return found


def _changes(before: Account, after: Account) -> Iterator[tuple[str, str]]:
    """Names of what changed, with both values. What either snapshot does not tell is not compared."""
    if before.mode != after.mode:
        yield "mode", f"{shown(before.mode)} -> {shown(after.mode)}"
    if before.blocked != after.blocked:
        yield "liquidation", f"{_blocked(before)} -> {_blocked(after)}"
    if (before.rule.kind, before.rule.close_factor) != (after.rule.kind, after.rule.close_factor):
        yield "close factor", f"{before.rule.kind} {before.rule.close_factor:f} -> {after.rule.kind} {after.rule.close_factor:f}"
    if before.line != after.line:
        yield "liquidation line", f"{plain(before.line)} -> {plain(after.line)}"
    old = {_identity(leg): leg for leg in before.legs}
    for leg in after.legs:
        known = old.get(_identity(leg))
        if known is not None:
            yield from _terms(known, leg, same_mode=before.mode == after.mode)


def _blocked(account: Account) -> str:
    return clean(account.blocked) if account.blocked else "open"


def _identity(leg: Leg) -> tuple[Role, str, str]:
    return leg.role, leg.asset.id, "" if leg.position is None else f"{leg.position.quote} {leg.position.contract}"


def _terms(before: Leg, after: Leg, *, same_mode: bool) -> Iterator[tuple[str, str]]:
    name = shown(after.asset.symbol)
    # another mode, or a holding switched on or off, is its owner's doing: its weights follow from that
    if same_mode and before.enabled == after.enabled:
        for what in ("weight", "initial_weight", "bonus"):
            old, new = getattr(before, what), getattr(after, what)
            if old is not None and new is not None and old != new and _written(after, old, new):
                yield f"{name} {what.replace('_', ' ')}", f"{old:f} -> {new:f}"
        if before.maintenance_rate != after.maintenance_rate and _written(after, before.maintenance_rate, after.maintenance_rate):
            yield f"{name} debt maintenance", f"{before.maintenance_rate:f} -> {after.maintenance_rate:f}"
    if before.position is None or after.position is None:
        return
    if before.position.pnl_weight != after.position.pnl_weight and _written(after, before.position.pnl_weight, after.position.pnl_weight):
        yield f"{name} weight of profit", f"{before.position.pnl_weight:f} -> {after.position.pnl_weight:f}"
    if before.position.tiers and after.position.tiers and before.position.tiers != after.position.tiers:
        yield f"{name} maintenance tiers", f"{_tiers(before.position.tiers)} -> {_tiers(after.position.tiers)}"
    for what, old, new in (
        ("closing fee", before.position.close_fee, after.position.close_fee),
        ("liquidation fee", before.position.liquidation_fee, after.position.liquidation_fee),
    ):
        if old != new:
            yield f"{name} {what}", f"{old:f} -> {new:f}"


def _written(leg: Leg, *rates: Decimal) -> bool:
    """Whether rates are terms as a venue writes them. What exchanges count of margin, of profit and for a debt can be an average over
    tiers of their amounts, which moves with these: it has more digits than any term.
    """
    return leg.role is Role.COLLATERAL or all(rate == round(rate, MOST_DECIMALS) for rate in rates)


def _tiers(tiers: tuple[Tier, ...]) -> str:
    return ", ".join(f"{tier.rate:f} from {tier.floor:f}" for tier in tiers[:3]) + (" ..." if len(tiers) > 3 else "")


RULES = (
    Rule(
        "PARAMETER_CHANGE",
        Severity.INFO,
        "A venue changed its terms since the last snapshot: thresholds, haircuts, bonuses, tiers, fees, pauses, its line; or the account's "
        "mode changed.",
        _parameter_change,
        "any change",
    ),
)
