"""Figures of one margin account at today's prices (`unified-health` sections 3 to 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from defi_risk.health.distance import Ratios, Surplus, alone, crossings, market, move_of
from defi_risk.health.figures import AccountFigures, Move, Tick
from defi_risk.health.normal import Holding, Normal, in_floats, in_fractions
from defi_risk.health.settings import HealthSettings
from defi_risk.health.tick import ticks
from defi_risk.ids import USD, Factor, Peg
from defi_risk.model import Account, Feed, Role, Side

DOUBT: Final = 1e-9
"""Half the width, relative to C and R, of the band around the line in which float64 is not trusted with the verdict."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """An account with its figures and what the book's figures need: its normal form, its surplus, its market ratios.

    `credit` is what the venue's integers, or exact fractions, say that the float surplus is short of (USD; 0 but on the line itself).
    """

    account: Account
    normal: Normal[float]
    surplus: Surplus
    ratios: Ratios
    figures: AccountFigures
    credit: float = 0.0


def assess(account: Account, settings: HealthSettings, quotes: Mapping[Factor, float]) -> Assessed:
    """All figures of a known account. Raises `MissingPrice` where a leg has no USD price."""
    normal = in_floats(account, quotes)
    weighted, requirement = normal.weighted(), normal.requirement()
    health = None if requirement == 0 else weighted / requirement if weighted > 0 else 0.0
    free = weighted - normal.initial
    dead = _liquidatable(account, normal, quotes)
    # the venue's integers, or exact fractions, may say alive where the float sum is a hair below the line: they rule
    credit = 0.0 if dead else max(0.0, requirement - weighted)
    surplus = Surplus.of(normal, strict=account.strict, credit=credit)
    ratios = Ratios(1.0, 1.0) if dead else crossings(surplus, market(surplus.coordinates(), settings))
    down, up = ratios.moves()
    figures = AccountFigures(
        equity_usd=normal.equity,
        collateral_usd=normal.collateral,
        debt_usd=normal.debt,
        weighted_collateral_usd=weighted,
        requirement_usd=requirement,
        initial_requirement_usd=normal.initial,
        surplus_usd=weighted - requirement,
        health=health,
        mur=_usage(account, normal, weighted),
        free_margin_usd=free,
        withdrawable_usd=_withdrawable(account, normal, requirement, free),
        liquidatable=dead,
        hf=min(health or 0.0, 1.0) if dead else ratios.hf(),
        down=down,
        up=up,
        moves=() if dead else tuple(_moves(normal, surplus)),
        ticks=() if dead else _ticks(account, normal, weighted - requirement),
    )
    return Assessed(account, normal, surplus, ratios, figures, credit)


def _liquidatable(account: Account, normal: Normal[float], quotes: Mapping[Factor, float]) -> bool:
    """The venue's verdict; where there is none the model's, in exact arithmetic when the account stands close to its line."""
    if account.liquidatable is not None:
        return account.liquidatable
    if account.exact is not None:
        return account.exact.liquidatable()
    weighted, requirement = normal.weighted(), normal.requirement()
    gross = sum(map(abs, normal.c.values())) + requirement
    if abs(weighted - requirement) > DOUBT * gross:
        return weighted < requirement
    sure = in_fractions(account, quotes)
    surplus, needed = sure.weighted() - sure.requirement(), sure.requirement()
    return surplus < 0 or (not account.strict and surplus == 0 and needed > 0)


def _usage(account: Account, normal: Normal[float], weighted: float) -> float | None:
    """Loans: debt / borrow limit; derivatives: initial requirement / C. None where there is nothing to divide by."""
    if account.side is Side.LENDING:
        part, whole = normal.debt, weighted - (normal.initial - normal.debt)
    else:
        part, whole = normal.initial, weighted
    return part / whole if whole > 0 else None


def _withdrawable(account: Account, normal: Normal[float], requirement: float, free: float) -> float:
    """The most USD that can leave now under the initial limits: first what counts for nothing, then from the lowest weight up."""
    owned = [holding for holding in normal.holdings if holding.leg.role in (Role.COLLATERAL, Role.MARGIN) and holding.value > 0]
    if not requirement and not normal.debt and all(holding.value >= 0 for holding in normal.holdings):
        return sum(map(_payable, owned))
    total = sum(_payable(holding) for holding in owned if not holding.weight)
    counted = [holding for holding in owned if holding.weight]
    if free <= 0:
        return total
    # unrealised profit is not money yet: no more than what is held can leave
    for holding in sorted(counted, key=lambda holding: holding.initial_weight):
        # taking a token of weight w uses up w of the limit; the line at liquidation weights lies beyond it
        taken = min(_payable(holding), free / holding.initial_weight) if holding.initial_weight else _payable(holding)
        total += taken
        free = max(0.0, free - taken * holding.initial_weight)
    return total


def _payable(holding: Holding[float]) -> float:
    return holding.value if holding.available is None else min(holding.value, holding.available)


def _moves(normal: Normal[float], surplus: Surplus) -> Iterator[Move]:
    """Every factor, then every peg, moved alone to the boundary. USD is what prices are counted in: it does not move."""
    keys = surplus.coordinates()
    for factor in sorted({key.factor for key in keys} - {USD}):
        yield from _both_sides(normal, surplus, factor, None)
    for peg, factor in sorted({(key.peg, key.factor) for key in keys if key.peg is not None}):
        yield from _both_sides(normal, surplus, factor, peg)


def _both_sides(normal: Normal[float], surplus: Surplus, factor: Factor, peg: Peg | None) -> Iterator[Move]:
    ratios = crossings(surplus, alone(surplus.coordinates(), factor if peg is None else peg, peg=peg is not None))
    for direction, ratio in (("down", ratios.down), ("up", ratios.up)):
        if ratio is not None:
            yield Move(factor, peg, direction, move_of(ratio), _price(normal, factor, peg) * ratio)


def _price(normal: Normal[float], factor: Factor, peg: Peg | None) -> float:
    """Today's price of the largest leg that moves with a factor (a peg); of the quote coin where no leg does."""
    legs = [holding for holding in normal.holdings if (holding.key.factor == factor if peg is None else holding.key.peg == peg)]
    if legs:
        return max(legs, key=lambda holding: (abs(holding.value), holding.leg.asset.id)).price
    return next(price for key, price in normal.quotes.items() if (key.factor == factor if peg is None else key.peg == peg))


def slope(holding: Holding[float]) -> float:
    """What a holding adds to C - R in USD when its price doubles, brackets and maintenance margin left aside."""
    if holding.leg.role is Role.POSITION:
        return holding.value
    return -holding.value if holding.leg.role is Role.DEBT else holding.value * holding.weight


def _ticks(account: Account, normal: Normal[float], surplus: float) -> tuple[Tick, ...]:
    if account.exact is None or not (normal.debt or any(holding.leg.position for holding in normal.holdings)):
        return ()

    def weigh(feed: Feed) -> float:
        return sum(
            slope(holding)
            for holding in normal.holdings
            if holding.leg.asset.id == feed.asset.id or (holding.leg.price is not None and holding.leg.price.source == feed.key)
        )

    return ticks(account.exact, weigh, surplus)
