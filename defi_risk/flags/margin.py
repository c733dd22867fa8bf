"""Flags about margin: what is left of it, what is in use, and what losses have taken."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import leverage, named, positions, share_to_cut
from defi_risk.flags.rule import Known, Rule, Scene
from defi_risk.health.normal import Holding, coin_usd
from defi_risk.model import Position, Side
from defi_risk.words import at_least, dollars, line
from defi_risk.words import share as percentage


def _margin_low(scene: Scene) -> Iterator[Flag]:
    for known in scene.known(Side.DERIVATIVES):
        health = known.figures.health
        if health is not None and health < scene.limits.margin_warning:
            yield _margin_flag(scene, known, health)


def _margin_flag(scene: Scene, known: Known, health: float) -> Flag:
    critical = health < scene.limits.margin_critical
    target = scene.limits.margin_warning
    missing = target * known.figures.requirement_usd - known.figures.weighted_collateral_usd
    remedy = f"add {at_least(missing)} of collateral"
    evidence: dict[str, float | int | str | bool | None] = {
        "health": health,
        "weighted_collateral_usd": known.figures.weighted_collateral_usd,
        "requirement_usd": known.figures.requirement_usd,
        "target_health": target,
        "add_usd": missing,
    }
    worst = max(positions(known), key=_by_leverage, default=None)
    if worst is not None:
        holding, position = worst
        share = share_to_cut(known, holding, target)
        size = abs(holding.value)
        evidence |= {
            "position": holding.key.factor,
            "position_leverage": leverage(position) if isfinite(leverage(position)) else None,
            "position_usd": size,
            "cut_share": share,
            "cut_usd": None if share is None else share * size,
        }
        if share is None:
            remedy = f"{remedy} to bring it back to {target:g}; closing all of its {named(holding)} would not be enough"
        else:
            cut = f"close {at_least(share * size)} ({percentage(share)}) of its {named(holding)}, the position of the highest leverage"
            remedy = f"{cut}, or {remedy}, to bring it back to {target:g}"
    # a health of what is below zero says nothing: the amounts do
    counts, needs = known.figures.weighted_collateral_usd, known.figures.requirement_usd
    has = f"{health:.4f} times" if counts >= 0 else f"{dollars(counts)} to meet the {dollars(needs)} of"
    return Flag(
        code="MARGIN_LOW",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        accounts=(known.account.id,),
        message=f"{known.name} has {has} its maintenance requirement: {remedy}",
        evidence=evidence,
        threshold=scene.limits.margin_critical if critical else target,
    )


def _by_leverage(item: tuple[Holding[float], Position]) -> tuple[float, float, str]:
    holding, position = item
    return leverage(position), abs(holding.value), holding.leg.asset.id


def _mur_high(scene: Scene) -> Iterator[Flag]:
    for known in scene.known():
        figures, lending = known.figures, known.account.side is Side.LENDING
        used = figures.debt_usd if lending else figures.initial_requirement_usd
        if used <= 0 or (figures.mur is not None and figures.mur <= scene.limits.mur):
            continue
        what = "of its borrow limit" if lending else "of its equity after haircuts as initial margin"
        says = f"uses {percentage(figures.mur, 2)} {what}" if figures.mur is not None else f"has nothing to meet {dollars(used)} with"
        yield Flag(
            code="MUR_HIGH",
            severity=Severity.WARNING,
            accounts=(known.account.id,),
            message=f"{known.name} {says}, above {line(scene.limits.mur)}",
            evidence={
                "mur": figures.mur,
                "used_usd": used,
                "weighted_collateral_usd": figures.weighted_collateral_usd,
                "free_margin_usd": figures.free_margin_usd,
            },
            threshold=scene.limits.mur,
        )


def _upnl_drain(scene: Scene) -> Iterator[Flag]:
    for known in scene.known(Side.DERIVATIVES):
        wallet = known.figures.collateral_usd
        profit = sum(sum(holding.worth.values()) for holding, _ in positions(known))
        if profit < 0 and -profit > scene.limits.drain * wallet:
            share = -profit / wallet if wallet > 0 else None
            unsettled = sum(_unsettled(position) * coin_usd(holding) for holding, position in positions(known))
            besides = ", with funding and fees that are not settled," if unsettled else ""
            of = f"{percentage(share)} of the wallet balance" if share is not None else "more than the wallet balance, which is gone"
            yield Flag(
                code="UPNL_DRAIN",
                severity=Severity.WARNING,
                accounts=(known.account.id,),
                message=f"{known.name}: unrealised losses{besides} of {dollars(-profit)} are {of}",
                evidence={
                    "unrealized_pnl_usd": profit - unsettled,
                    "unsettled_usd": unsettled,
                    "wallet_usd": wallet,
                    "share": share,
                },
                threshold=scene.limits.drain,
            )


def _unsettled(position: Position) -> float:
    """Funding received less what is owed since the last settlement, in the coin that the position settles in."""
    return float(position.accrued_funding - position.accrued_fees)


RULES = (
    Rule(
        "MARGIN_LOW",
        Severity.CRITICAL,
        "A derivatives account has little more than its maintenance requirement; what to close or to add is worked out.",
        _margin_low,
        "H below {margin_warning:g}; critical below {margin_critical:g}",
    ),
    Rule(
        "MUR_HIGH",
        Severity.WARNING,
        "Most of what an account may use is in use: initial margin of its equity, or debt of its borrow limit.",
        _mur_high,
        "above {mur:.0%}",
    ),
    Rule(
        "UPNL_DRAIN",
        Severity.WARNING,
        "Unrealised losses have eaten much of an account's wallet balance.",
        _upnl_drain,
        "above {drain:.0%} of the balance",
    ),
)
