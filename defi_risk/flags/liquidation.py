"""Flags about how close an account is to its liquidation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Final

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Known, Rule, Scene
from defi_risk.health.figures import Move
from defi_risk.ids import Factor
from defi_risk.text import clean, shown
from defi_risk.words import at_least, dollars, percent, price


def _liquidatable(scene: Scene) -> Iterator[Flag]:
    for account, figures, _, name in scene.known():
        if figures.liquidatable:
            blocked = clean(account.blocked) if account.blocked else ""
            lacks = f"it lacks {at_least(-figures.surplus_usd)}, for " if figures.surplus_usd < 0 else ""
            refused = f"; a liquidation is refused at present: {blocked}" if blocked else ""
            yield Flag(
                code="LIQUIDATABLE",
                severity=Severity.CRITICAL,
                accounts=(account.id,),
                message=(
                    f"{name} can be liquidated now: {lacks}collateral counts for {dollars(figures.weighted_collateral_usd)} against a "
                    f"requirement of {dollars(figures.requirement_usd)}{refused}"
                ),
                evidence={
                    "weighted_collateral_usd": figures.weighted_collateral_usd,
                    "requirement_usd": figures.requirement_usd,
                    "surplus_usd": figures.surplus_usd,
                    "health": figures.health,
                    "blocked": blocked or None,
                },
                threshold=0.0,
            )


ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class _Distance:
    """How far an account is from its line: as a price ratio, with the single move that is nearest, and in sigmas of a day."""

    ratio: float | None
    nearest: Move | None
    sigmas: float | None

    def below(self, ratio: float, sigmas: float) -> tuple[bool, bool]:
        """Whether it lies below a price ratio, and below so many sigmas; what stands on a line but for rounding is not below it."""
        near = self.ratio is not None and self.ratio < ratio * (1.0 - ROUNDING)
        return near, self.sigmas is not None and self.sigmas < sigmas * (1.0 - ROUNDING)


def _near(scene: Scene) -> Iterator[Flag]:
    limits = scene.limits
    for known in scene.known():
        if known.figures.liquidatable:
            continue
        distance = _distance(known, scene.settings.horizon_days)
        critical = distance.below(limits.near_critical, limits.sigma_critical)
        warning = distance.below(limits.near_warning, limits.sigma_warning)
        if any(critical):
            yield _near_flag(known, distance, critical, Severity.CRITICAL, limits.near_critical, limits.sigma_critical)
        elif any(warning):
            yield _near_flag(known, distance, warning, Severity.WARNING, limits.near_warning, limits.sigma_warning)


def _distance(known: Known, horizon_days: float) -> _Distance:
    figures = known.figures
    nearest = min(figures.moves, key=_price_ratio, default=None)
    ratios = [figures.hf] if figures.hf is not None else []
    ratios += [_price_ratio(nearest)] if nearest is not None else []
    # D is over the model's horizon, and volatility grows with the root of time
    sigmas = None if figures.sigma is None else figures.sigma * sqrt(horizon_days)
    return _Distance(min(ratios, default=None), nearest, sigmas)


def _near_flag(known: Known, distance: _Distance, below: tuple[bool, bool], severity: Severity, ratio: float, sigmas: float) -> Flag:
    figures, nearest = known.figures, distance.nearest
    found: list[str] = []
    if below[0] and distance.ratio is not None:
        found.append(f"{_way(known, distance)} liquidates it, a price ratio of {distance.ratio:.4f} (below {ratio:g})")
    if below[1] and distance.sigmas is not None:
        found.append(f"{distance.sigmas:.2f} standard deviations of a day to liquidation (below {sigmas:g})")
    return Flag(
        code="NEAR_LIQUIDATION",
        severity=severity,
        accounts=(known.account.id,),
        message=f"{known.name}: {'; '.join(found)}",
        evidence={
            "ratio": distance.ratio,
            "hf": figures.hf,
            "market_down": figures.down,
            "market_up": figures.up,
            "nearest": None if nearest is None else str(nearest.peg or nearest.factor),
            "nearest_move": None if nearest is None else nearest.move,
            "nearest_price": None if nearest is None else nearest.price,
            "sigmas_of_a_day": distance.sigmas,
        },
        threshold=ratio if below[0] else sigmas,
    )


def _way(known: Known, distance: _Distance) -> str:
    """The move that brings the account to its line at that price ratio."""
    figures, nearest, ratio = known.figures, distance.nearest, distance.ratio or 1.0
    if nearest is not None and _price_ratio(nearest) <= ratio:
        at = "" if nearest.peg else f", {_priced(known, nearest.factor)}to {price(nearest.price)},"
        return f"a move of {shown(nearest.peg or nearest.factor)} alone by {percent(nearest.move)}{at}"
    move = figures.down if figures.up is None or (figures.down is not None and 1 / (1 + figures.down) <= ratio) else figures.up
    return f"a market move of {percent(move or 0.0)}"


def _priced(known: Known, factor: Factor) -> str:
    """What that price is the price of, where it is not the factor itself: the largest leg is a pegged token."""
    legs = [holding for holding in known.normal.holdings if holding.key.factor == factor]
    largest = max(legs, key=lambda holding: (abs(holding.value), holding.leg.asset.id), default=None)
    return "" if largest is None or largest.key.peg is None else f"{shown(largest.leg.asset.symbol, 12)} "


def _price_ratio(move: Move) -> float:
    return max(1.0 + move.move, 1.0 / (1.0 + move.move))


def _volatility_missing(scene: Scene) -> Iterator[Flag]:
    # a book that gives no volatility at all has not asked for sigmas
    if not scene.settings.volatility and scene.history is None:
        return
    lacking = {account.id: figures.sigma_missing for account, figures, _, _ in scene.known() if figures.sigma_missing}
    if lacking:
        names = sorted({name for missing in lacking.values() for name in missing})
        yield Flag(
            code="VOLATILITY_MISSING",
            severity=Severity.INFO,
            accounts=tuple(lacking),
            message=(
                f"no volatility is given or found in the price history for {', '.join(map(shown, names))}: "
                f"{len(lacking)} {'account has' if len(lacking) == 1 else 'accounts have'} no distance in standard deviations"
            ),
            evidence={"missing": ", ".join(names)},
        )


RULES = (
    Rule(
        "LIQUIDATABLE",
        Severity.CRITICAL,
        "The account's surplus is below its line: its venue would liquidate it now.",
        _liquidatable,
        "surplus below 0 (at 0, where the venue's rule says so)",
    ),
    Rule(
        "NEAR_LIQUIDATION",
        Severity.CRITICAL,
        "A small move of the market, or of one factor or peg alone, liquidates the account; or few standard deviations of a day do.",
        _near,
        "price ratio below {near_warning:g}, critical {near_critical:g}; or below {sigma_warning:g} sigma of a day, critical "
        "{sigma_critical:g}",
    ),
    Rule(
        "VOLATILITY_MISSING",
        Severity.INFO,
        "A factor has neither a given volatility nor a price history, so distances in standard deviations are not known.",
        _volatility_missing,
        "only where the book gives a volatility or a history at all",
    ),
)
