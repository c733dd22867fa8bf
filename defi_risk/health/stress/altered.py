"""What a scenario does to accounts before any price moves: hedges closed by auto-deleveraging, margin rates raised, funding paid.

The legs change in exact arithmetic; the venue's own verdict is of today's account and does not hold for the changed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from defi_risk.health.account import Assessed
from defi_risk.health.normal import Key, coin_usd
from defi_risk.health.settings import HealthSettings
from defi_risk.health.settled import earned
from defi_risk.ids import AssetId, Factor
from defi_risk.model import Account, Asset, Contract, Leg, Position, Price, Role, Tier
from defi_risk.units import EXACT, Quantity

FUNDING_INTERVALS: Final = 3
"""Payments every 8 hours for one day."""
_EVEN: Final = 1e-9


def hedges(assessed: Sequence[Assessed], settings: HealthSettings) -> dict[int, frozenset[int]]:
    """The derivatives that hedge, as indices of legs by the account's index.

    They are the positions in a volatile factor against what the book holds and owes of it elsewhere. Where that is nothing, positions
    hedge each other, and the smaller side counts as the hedge (of equal sides the short one: those are in profit when venues deleverage).
    """
    others: dict[Factor, tuple[float, float]] = {}
    longs: dict[Factor, float] = {}
    shorts: dict[Factor, float] = {}
    for one in assessed:
        for holding in one.normal.holdings:
            factor = holding.key.factor
            if holding.leg.role is Role.POSITION:
                side = longs if holding.value > 0 else shorts
                side[factor] = side.get(factor, 0.0) + abs(holding.value)
            else:
                net, gross = others.get(factor, (0.0, 0.0))
                value = -holding.value if holding.leg.role is Role.DEBT else holding.value
                others[factor] = net + value, gross + abs(value)

    def short_hedges(factor: Factor) -> bool:
        net, gross = others.get(factor, (0.0, 0.0))
        if abs(net) > _EVEN * gross:
            return net > 0
        return shorts.get(factor, 0.0) <= longs.get(factor, 0.0)

    hedged = {factor: short_hedges(factor) for factor in {*longs, *shorts} if not settings.stable(factor)}
    found: dict[int, frozenset[int]] = {}
    for row, one in enumerate(assessed):
        legs = frozenset(
            index
            for index, holding in enumerate(one.normal.holdings)
            if holding.leg.role is Role.POSITION and holding.value and hedged.get(holding.key.factor) is (holding.value < 0)
        )
        if legs:
            found[row] = legs
    return found


def altered(one: Assessed, lost: frozenset[int], margin_rates: Decimal, funding_8h: Decimal) -> Account:
    """The account with its `lost` legs closed at today's mark, its margin rates multiplied (also those of debts beside positions), and a
    day of funding at that rate paid on every other position but dated futures, which pay none; the same object where nothing of that
    concerns it.
    """
    account = one.account
    backed = any(leg.maintenance_rate for leg in account.legs)
    if not backed and not any(leg.position is not None for leg in account.legs):
        return account
    cash: dict[Key, Decimal] = {}
    legs: list[Leg] = []
    for index, leg in enumerate(account.legs):
        position = leg.position
        if position is None:
            legs.append(replace(leg, maintenance_rate=EXACT.multiply(leg.maintenance_rate, margin_rates)) if leg.maintenance_rate else leg)
            continue
        coin = _coin(leg, position)
        if index in lost:
            cash[coin] = EXACT.add(cash.get(coin, Decimal(0)), earned(position))
            continue
        if funding_8h and position.expires is None:
            rate = EXACT.multiply(funding_8h, Decimal(FUNDING_INTERVALS))
            cash[coin] = EXACT.subtract(cash.get(coin, Decimal(0)), EXACT.multiply(_notional(position), rate))
        legs.append(leg if margin_rates == 1 else replace(leg, position=_dearer(position, margin_rates)))
    if len(legs) == len(account.legs) and not any(cash.values()) and margin_rates == 1:
        return account
    for coin, amount in cash.items():
        _settle(legs, coin, amount, one)
    return replace(account, legs=tuple(legs), exact=None, native={}, stated={}, self_check=None, liquidatable=None)


def _coin(leg: Leg, position: Position) -> Key:
    """What the position settles in."""
    return Key(position.quote, position.quote_peg) if position.contract is Contract.LINEAR else Key(leg.factor, leg.peg)


def _notional(position: Position) -> Decimal:
    """At today's mark, in the coin that the position settles in."""
    size = position.size.copy_abs()
    return (EXACT.multiply if position.contract is Contract.LINEAR else EXACT.divide)(size, position.mark)


def _dearer(position: Position, by: Decimal) -> Position:
    """Rates and deductions times the same: brackets that meet still meet."""
    tiers = tuple(Tier(tier.floor, EXACT.multiply(tier.rate, by), EXACT.multiply(tier.deduction, by)) for tier in position.tiers)
    return replace(position, tiers=tiers, initial_rate=EXACT.multiply(position.initial_rate, by))


def _settle(legs: list[Leg], coin: Key, amount: Decimal, one: Assessed) -> None:
    """Add an amount of a coin, or take it, in the largest margin of that coin; in a new one, owed where negative, if there is none."""
    if not amount:
        return
    purses = [
        (leg.amount.decimal(), -index)
        for index, leg in enumerate(legs)
        if leg.role in (Role.MARGIN, Role.COLLATERAL) and leg.enabled and (leg.factor, leg.peg) == coin
    ]
    if purses:
        held, index = max(purses)
        legs[-index] = replace(legs[-index], amount=Quantity.of(EXACT.add(held, amount)))
        return
    name = coin.peg.partition("/")[0] if coin.peg else str(coin.factor)
    asset = Asset(AssetId(f"peg:{coin.peg}" if coin.peg else f"factor:{coin.factor}"), name, 18)
    price = Price(Quantity.of(_price(coin, one)), source="settlement")
    legs.append(Leg(role=Role.MARGIN, asset=asset, factor=coin.factor, peg=coin.peg, amount=Quantity.of(amount), price=price))


def _price(coin: Key, one: Assessed) -> Decimal:
    """USD for one settling coin, as the account prices it."""
    for holding in one.normal.holdings:
        if holding.coin == coin:
            return Decimal(repr(coin_usd(holding)))
    raise ValueError(f"{coin} is settled by no position of {one.account.id}")
