"""Flags from a price history: fast moves, correlation and volatility that change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Final

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import posted, traded
from defi_risk.flags.rule import DAY, Rule, Scene
from defi_risk.ids import AccountId, Factor
from defi_risk.model import Side
from defi_risk.text import shown
from defi_risk.words import dollars, percent, share

HOUR: Final = 3_600
CUT: Final = (0.10, 0.20)
"""The counter-cyclical rule: by what shares leverage is to be cut when volatility is low."""


def _price_move(scene: Scene) -> Iterator[Flag]:
    history = scene.recent()
    if history is None:
        return
    from defi_risk.history import largest_move

    holders: dict[Factor, list[AccountId]] = {}
    for known in scene.known():
        for factor in posted(known):
            holders.setdefault(factor, []).append(known.account.id)
    for factor, accounts in sorted(holders.items()):
        found = largest_move(history.last(DAY), factor, HOUR)
        if found is not None and abs(found.move) > scene.limits.price_move:
            yield Flag(
                code="PRICE_MOVE",
                severity=Severity.WARNING,
                accounts=tuple(accounts),
                message=f"{shown(factor)}, which is collateral, moved {percent(found.move)} within 60 minutes, from {_time(found.start)}",
                evidence={"factor": factor, "move": found.move, "start": _time(found.start), "end": _time(found.end)},
                threshold=scene.limits.price_move,
            )


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _correlation_shift(scene: Scene) -> Iterator[Flag]:
    history, limits = scene.recent(), scene.limits
    if history is None:
        return
    from defi_risk.history import correlation_shift

    held = _by_factor(scene, Side.LENDING)
    for (collateral, loans), (other, sides) in product(sorted(held.items()), sorted(_by_factor(scene, Side.DERIVATIVES).items())):
        shift = None if collateral == other else correlation_shift(history, collateral, other)
        if shift is not None and shift.now > limits.correlation and shift.now - shift.mean >= limits.correlation_rise:
            yield Flag(
                code="CORRELATION_SHIFT",
                severity=Severity.WARNING,
                accounts=tuple(sorted({*loans, *sides})),
                message=(
                    f"{shown(collateral)}, which is collateral, moves with {shown(other)}, which is traded: their 7-day correlation is "
                    f"{shift.now:.2f}, its 30-day mean {shift.mean:.2f}; stable collateral would not follow"
                ),
                evidence={"collateral": collateral, "traded": other, "correlation": shift.now, "mean": shift.mean},
                threshold=limits.correlation,
            )


def _by_factor(scene: Scene, side: Side) -> dict[Factor, list[AccountId]]:
    """Volatile collateral of loans, or what derivatives follow, with the accounts that hold it."""
    found: dict[Factor, list[AccountId]] = {}
    for known in scene.known(side):
        for factor in posted(known) if side is Side.LENDING else traded(known):
            if known.figures.requirement_usd > 0 and not scene.settings.stable(factor):
                found.setdefault(factor, []).append(known.account.id)
    return found


def _volatility_shift(scene: Scene) -> Iterator[Flag]:
    history = scene.recent()
    if history is None:
        return
    from defi_risk.history import volatility_shift

    users: dict[Factor, set[AccountId]] = {}
    for side in Side:
        for factor, accounts in _by_factor(scene, side).items():
            users.setdefault(factor, set()).update(accounts)
    gross = {one.factor: one.long_usd + one.short_usd for one in scene.figures.exposures}
    for factor, found in sorted(users.items()):
        shift = volatility_shift(history, factor)
        if shift is not None and shift.percentile < scene.limits.percentile:
            least, most = (part * gross.get(factor, 0.0) for part in CUT)
            yield Flag(
                code="VOLATILITY_SHIFT",
                severity=Severity.INFO,
                accounts=tuple(sorted(found)),
                message=(
                    f"{shown(factor)} is calm: {share(shift.now)} a day over 7 days, less than in {share(1.0 - shift.percentile)} of "
                    f"the year; the counter-cyclical rule asks to cut leverage in it by 10 to 20 %, {dollars(least)} to {dollars(most)}"
                ),
                evidence={
                    "factor": factor,
                    "daily_volatility": shift.now,
                    "percentile": shift.percentile,
                    "cut_least_usd": least,
                    "cut_most_usd": most,
                },
                threshold=scene.limits.percentile,
            )


RULES = (
    Rule(
        "CORRELATION_SHIFT",
        Severity.WARNING,
        "Volatile collateral of a loan has come to move with what the book trades: 7-day correlation of hourly returns.",
        _correlation_shift,
        "above {correlation:.2g} and up by {correlation_rise:.2g} on its 30-day mean",
        spans=True,
    ),
    Rule(
        "PRICE_MOVE",
        Severity.WARNING,
        "What the book has as collateral moved fast in the last day of its price history.",
        _price_move,
        "more than {price_move:.0%} within any 60 minutes",
    ),
    Rule(
        "VOLATILITY_SHIFT",
        Severity.INFO,
        "Volatility is low for the year: advice, not alarm, to cut leverage by 10 to 20 % before it returns.",
        _volatility_shift,
        "7-day volatility below the {percentile:.0%} percentile of the year",
    ),
)
