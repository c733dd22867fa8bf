"""What several rules work out of a scene: exposures, positions of another size, volatility, correlation. USD, floats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from defi_risk.flags.rule import Known, Scene
from defi_risk.health.distance import Surplus, alone, crossings
from defi_risk.health.normal import Holding, Normal, closing_cost, in_floats, profit
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import Factor
from defi_risk.model import Position, Role
from defi_risk.text import shown

MAJORS: Final = frozenset({Factor("BTC"), Factor("ETH")})
MATERIAL: Final = 0.05
"""Legs below this share of what they would offset, or of the largest of their kind, are dust and no hedge."""
_HALVINGS: Final = 50


def positions(known: Known) -> Iterator[tuple[Holding[float], Position]]:
    """The derivatives of an account that have a size, as they stand in it."""
    for holding in known.normal.holdings:
        if holding.leg.position is not None and holding.value:
            yield holding, holding.leg.position


def traded(known: Known) -> dict[Factor, float]:
    """Net notional of an account's derivatives by factor: positive long, negative short."""
    return _summed((holding.key.factor, holding.value) for holding, _ in positions(known))


def posted(known: Known) -> dict[Factor, float]:
    """What counts as collateral or margin, by factor, at its full value."""
    return _summed(
        (holding.key.factor, holding.value)
        for holding in known.normal.holdings
        if holding.leg.role in (Role.COLLATERAL, Role.MARGIN) and holding.value > 0 and holding.weight > 0
    )


def owed(known: Known) -> dict[Factor, float]:
    """Debts by factor, negative balances among them."""
    return _summed(
        (holding.key.factor, abs(holding.value))
        for holding in known.normal.holdings
        if holding.leg.role is Role.DEBT or (holding.leg.role is not Role.POSITION and holding.value < 0)
    )


def deltas(known: Known, settings: HealthSettings) -> dict[Factor, float]:
    """What an account gains in equity, in USD, when a volatile factor doubles."""
    found = _summed((key.factor, amount) for key, amount in known.normal.worth().items())
    return {factor: amount for factor, amount in found.items() if not settings.stable(factor)}


def _summed(parts: Iterator[tuple[Factor, float]]) -> dict[Factor, float]:
    found: dict[Factor, float] = {}
    for factor, amount in parts:
        found[factor] = found.get(factor, 0.0) + amount
    return found


def leverage(position: Position) -> float:
    """The highest leverage that the position's initial margin stands for; infinite where it needs none."""
    return 1.0 / float(position.initial_rate) if position.initial_rate > 0 else float("inf")


def price_usd(known: Known, holding: Holding[float]) -> float:
    """USD of one unit of a holding's token, or of what a derivative follows."""
    position = holding.leg.position
    if position is None:
        return holding.price
    return holding.price * next(usd for key, usd in known.normal.quotes.items() if key == (position.quote, position.quote_peg))


def resized(known: Known, holding: Holding[float], share: float) -> Normal[float]:
    """The account with one position at so many times its size, traded at the mark: profit made so far stays (fees are not taken off)."""
    leg, position = holding.leg, holding.leg.position
    if position is None:
        raise ValueError(f"{leg.asset.id} in {known.account.id} is not a position")
    cost = position.exit_cost * Decimal(abs(share))
    other = replace(position, size=position.size * Decimal(share), unrealized_pnl=Decimal(profit(position, float)), exit_cost=cost)
    legs = tuple(replace(leg, position=other) if one is leg else one for one in known.account.legs)
    return in_floats(replace(known.account, legs=legs), {key.factor: usd for key, usd in known.normal.quotes.items()})


def share_to_cut(known: Known, holding: Holding[float], health: float) -> float | None:
    """The share of a position to close, its fee included, so that C / R of the account is `health`; None where all of it is not enough."""
    position = holding.leg.position
    if position is None:
        raise ValueError(f"{holding.leg.asset.id} in {known.account.id} is not a position")
    fee = closing_cost(holding, position)

    def lacking(share: float) -> bool:
        after = resized(known, holding, 1.0 - share)
        return after.weighted() - fee * share < health * after.requirement()

    if lacking(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if lacking(middle) else (low, middle)
    return high


def moves_alone(normal: Normal[float], factor: Factor, *, strict: bool, more_debt: float = 0.0) -> tuple[float | None, float | None]:
    """The moves of one factor alone that liquidate, down and up, with so much more owed in USD."""
    surplus = Surplus.of(normal, strict=strict, credit=-more_debt)
    return crossings(surplus, alone(surplus.coordinates(), factor, peg=False)).moves()


def volatility(scene: Scene, factor: Factor) -> float | None:
    """Standard deviation of a day: the one given, else that of the history; None where there is neither."""
    given = scene.settings.volatility.get(factor)
    history = scene.recent()
    if given is not None or history is None:
        return given
    from defi_risk.health.covariance import covariance

    return covariance((factor,), volatility={}, correlation={}, stables=(), history=history).volatility(factor)


def correlation(scene: Scene, a: Factor, b: Factor) -> float | None:
    """The correlation given, else that of the history; None where there is neither: what the model would assume is no finding."""
    if a == b:
        return 1.0
    for key in (f"{a}/{b}", f"{b}/{a}"):
        if key in scene.settings.correlation:
            return scene.settings.correlation[key]
    history = scene.recent()
    if history is None or not {a, b} <= set(history.names):
        return None
    from defi_risk.health.covariance import covariance

    # with unit volatilities and both taken for stables, what the history does not tell is 0
    daily = covariance((a, b), volatility={a: 1.0, b: 1.0}, correlation={}, stables=(a, b), history=history)
    return float(daily.matrix[0, 1])


def named(holding: Holding[float]) -> str:
    """A position for eyes: `ETH long`."""
    return f"{shown(holding.key.factor)} {'long' if holding.value > 0 else 'short'}"
