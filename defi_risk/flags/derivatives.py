"""Flags about positions: leverage, share of the risk, funding, and whose margin they can lose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import leverage, named, positions, price_usd, volatility
from defi_risk.flags.rule import Known, Rule, Scene
from defi_risk.health.normal import Holding
from defi_risk.ids import Factor
from defi_risk.model import Position, Side
from defi_risk.text import shown
from defi_risk.words import at_least, at_most, dollars, line
from defi_risk.words import share as percentage

FUNDINGS_A_DAY: Final = 3.0


def _leverage_zone(scene: Scene) -> Iterator[Flag]:
    limits = scene.limits
    for known in scene.known(Side.DERIVATIVES):
        notional, equity, health = _notional(known), known.figures.equity_usd, known.figures.health
        if health is not None and health < limits.health_low:
            allowed, zone = limits.leverage_low, f"where the health is below {limits.health_low:g}"
        elif health is not None and health < limits.health_medium:
            allowed, zone = limits.leverage_medium, f"where the health is below {limits.health_medium:g}"
        else:
            allowed, zone = limits.leverage_high, "at any health"
        if equity > 0 and notional > allowed * equity:
            cut = notional - allowed * equity
            yield Flag(
                code="LEVERAGE_ZONE",
                severity=Severity.WARNING,
                accounts=(known.account.id,),
                message=(
                    f"{known.name} carries {notional / equity:.2f} times its equity, above the {allowed:g} allowed {zone}: "
                    f"cut {at_least(cut)} of notional"
                ),
                evidence={
                    "leverage": notional / equity,
                    "notional_usd": notional,
                    "equity_usd": equity,
                    "health": health,
                    "cut_usd": cut,
                },
                threshold=allowed,
            )


def _notional(known: Known) -> float:
    return sum(abs(holding.value) for holding, _ in positions(known))


def _risk_contribution(scene: Scene) -> Iterator[Flag]:
    sides = [known for known in scene.known(Side.DERIVATIVES) if known.figures.collateral_usd > 0]
    factors = sorted({holding.key.factor for known in sides for holding, _ in positions(known)})
    sigmas: dict[Factor, float | None] = {factor: volatility(scene, factor) for factor in factors}
    for known in sides:
        collateral = known.figures.collateral_usd
        for holding, _ in positions(known):
            sigma, size = sigmas[holding.key.factor], abs(holding.value)
            if sigma is None or size * sigma <= scene.limits.risk_share * collateral:
                continue
            share, allowed = size * sigma / collateral, scene.limits.risk_share * collateral / sigma
            yield Flag(
                code="RISK_CONTRIBUTION",
                severity=Severity.WARNING,
                accounts=(known.account.id,),
                message=(
                    f"{known.name}: a usual day of the {named(holding)} ({percentage(sigma)} of {dollars(size)}) is {percentage(share)} of "
                    f"the collateral; {at_most(allowed)} keep it at {line(scene.limits.risk_share)}"
                ),
                evidence={
                    "factor": holding.key.factor,
                    "notional_usd": size,
                    "daily_volatility": sigma,
                    "collateral_usd": collateral,
                    "share": share,
                    "allowed_usd": allowed,
                },
                threshold=scene.limits.risk_share,
            )


def _funding_spike(scene: Scene) -> Iterator[Flag]:
    for known in scene.known(Side.DERIVATIVES):
        for holding, position in positions(known):
            rate = 0.0 if position.funding_8h is None else float(position.funding_8h)
            if abs(rate) <= scene.limits.funding:
                continue
            payer = "longs" if rate > 0 else "shorts"
            received = -holding.value * rate * FUNDINGS_A_DAY
            yield Flag(
                code="FUNDING_SPIKE",
                severity=Severity.WARNING,
                accounts=(known.account.id,),
                message=(
                    f"{known.name}: {payer} pay {percentage(abs(rate))} per 8 h on {shown(holding.key.factor)}; this "
                    f"{named(holding)} {'receives' if received > 0 else 'pays'} {dollars(abs(received))} a day"
                ),
                evidence={
                    "factor": holding.key.factor,
                    "funding_8h": rate,
                    "payer": payer,
                    "notional_usd": holding.value,
                    "received_usd_per_day": received,
                    "price_usd": price_usd(known, holding),
                },
                threshold=scene.limits.funding,
            )


def _shared(mode: str) -> bool:
    """Whether positions share their margin: one pool whatever the venue calls it (cross, multi-asset), unless its rule is a portfolio's,
    in which nothing can be isolated.
    """
    return not mode.startswith(("isolated", "portfolio", "order"))


def _prefer_isolated(scene: Scene) -> Iterator[Flag]:
    for known in scene.known(Side.DERIVATIVES):
        if not _shared(known.account.mode):
            continue
        for holding, position in positions(known):
            times = _leverage_of(known, holding, position)
            if times <= scene.limits.isolated:
                continue
            yield Flag(
                code="PREFER_ISOLATED",
                severity=Severity.INFO,
                accounts=(known.account.id,),
                message=(
                    f"{known.name} holds the {named(holding)} at a leverage of {times:.0f} in cross margin, where its loss can "
                    f"take all {dollars(max(0.0, known.figures.equity_usd))} of the account's equity"
                ),
                evidence={
                    "factor": holding.key.factor,
                    "leverage": times,
                    "notional_usd": abs(holding.value),
                    "equity_usd": known.figures.equity_usd,
                },
                threshold=scene.limits.isolated,
            )


def _leverage_of(known: Known, holding: Holding[float], position: Position) -> float:
    """The position's own leverage, or what it is of the whole account's equity where that is more.

    An initial rate no higher than the maintenance rate says only that nobody told the leverage.
    """
    told = position.initial_rate > min((tier.rate for tier in position.tiers), default=position.initial_rate)
    own = leverage(position) if told else 0.0
    equity = known.figures.equity_usd
    return max(own, abs(holding.value) / equity if equity > 0 else 0.0)


RULES = (
    Rule(
        "FUNDING_SPIKE",
        Severity.WARNING,
        "Funding on a position is extreme. Longs pay shorts where the rate is positive, shorts pay longs where it is negative.",
        _funding_spike,
        "more than {funding:.1%} per 8 h either way",
    ),
    Rule(
        "LEVERAGE_ZONE",
        Severity.WARNING,
        "A derivatives account carries more notional for its equity than its health allows.",
        _leverage_zone,
        "above {leverage_low:g}x where H < {health_low:g}, {leverage_medium:g}x where H < {health_medium:g}, {leverage_high:g}x otherwise",
    ),
    Rule(
        "PREFER_ISOLATED",
        Severity.INFO,
        "A position of very high leverage shares its margin with others: isolated, only its own could be lost.",
        _prefer_isolated,
        "leverage above {isolated:g}x in a cross account",
    ),
    Rule(
        "RISK_CONTRIBUTION",
        Severity.WARNING,
        "A usual day of one position (notional times daily volatility) is too large a share of the account's collateral.",
        _risk_contribution,
        "above {risk_share:.0%}",
    ),
)
