"""Positions closed at the prices of an event: profit and fees settle into the account's coins, and what is owed is paid.

A coin that goes below zero is paid out of the other margin, the one with the smallest haircut first, as an exchange converts it; debts
are paid the same way once no position is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from defi_risk.health.cascade.holdings import Multipliers, assembled, at, revalued, tokens, worth
from defi_risk.health.distance import CASH
from defi_risk.health.normal import Holding, Key, Normal, coin_usd, in_floats, quoted
from defi_risk.health.settled import scaled
from defi_risk.model import ONE, Account, Basis, Contract, Position, Role
from defi_risk.units import EXACT, Quantity

Keep = Callable[[Holding[float]], Decimal]
"""The share of a position that stays open."""


class Balance(NamedTuple):
    """Margin or a debt, and what it adds to the equity at the event in USD."""

    holding: Holding[float]
    usd: float


def positions(normal: Normal[float]) -> list[tuple[Holding[float], Position]]:
    """The derivatives of an account."""
    return [(holding, holding.leg.position) for holding in normal.holdings if holding.leg.position is not None]


def balances(normal: Normal[float], seen: Multipliers) -> list[Balance]:
    """Margin that the venue counts, and debts."""
    return [Balance(one, worth(one, seen)) for one in normal.holdings if one.leg.role is Role.DEBT or (_owned(one) and one.leg.enabled)]


def idle(normal: Normal[float]) -> list[Holding[float]]:
    """What the venue does not take as margin."""
    return [one for one in normal.holdings if _owned(one) and not one.leg.enabled]


def _owned(holding: Holding[float]) -> bool:
    return holding.leg.role not in (Role.DEBT, Role.POSITION)


def fee(holding: Holding[float], position: Position, normal: Normal[float], seen: Multipliers) -> float:
    """What closing a whole position in a liquidation costs, in USD at the event: the venue's fees on the notional that its rates apply
    to, and what its rule takes off for the way out.
    """
    rate = float(position.close_fee) + float(position.liquidation_fee)
    if not rate and not position.exit_cost:
        return 0.0
    quote = Key(position.quote, position.quote_peg)
    linear = position.contract is Contract.LINEAR
    cost = 0.0
    if position.exit_cost:
        cost = float(position.exit_cost) * coin_usd(holding) * seen(quote if linear else holding.key)
    if not rate:
        return cost
    if position.basis is Basis.MARK:
        notional = abs(holding.value) * seen(holding.key if linear else quote)
    else:
        size, entry, usd = abs(float(position.size)), float(position.entry), coin_usd(holding)
        notional = size * entry * usd * seen(quote) if linear else size / entry * usd * seen(holding.key)
    return cost + rate * notional


def shut(account: Account, normal: Normal[float], seen: Multipliers, keep: Keep, charged: float) -> Normal[float]:
    """The account after each position was closed but for the share `keep`. `charged`: the share of the fees that is paid."""
    owned = balances(normal, seen)
    left: list[Holding[float]] = []
    initial = 0.0
    for holding, position in positions(normal):
        kept = keep(holding)
        if kept < ONE:
            gone = 1.0 - float(kept)
            paid = fee(holding, position, normal, seen) * charged if charged else 0.0
            _settle(owned, (at(holding.worth, seen) - paid) * gone, holding, position, normal, seen)
        if kept:
            rest = _rest(account, holding, position, kept)
            left += rest.holdings
            initial += rest.initial
    payers = owned if not left else [one for one in owned if one.holding.leg.role is not Role.DEBT]
    aside = [] if not left else [one.holding for one in owned if one.holding.leg.role is Role.DEBT]
    return assembled(account, normal, [*_netted(payers), *aside, *idle(normal), *left], initial)


def _settle(
    owned: list[Balance], usd: float, holding: Holding[float], position: Position, normal: Normal[float], seen: Multipliers
) -> None:
    """Book a profit or a loss, in USD at the event, to the coin that the contract settles in; in dollars where that is worth nothing."""
    key, price = holding.coin or CASH, coin_usd(holding)
    if seen(key) <= 0:
        key, price = CASH, 1.0
    for index, (held, before) in enumerate(owned):
        if held.key == key and held.leg.role is not Role.DEBT:
            owned[index] = Balance(revalued(held, (before + usd) / seen(key)), before + usd)
            return
    owned.append(Balance(tokens(Role.MARGIN, key, usd / seen(key), price, enabled=True), usd))


def _rest(account: Account, holding: Holding[float], position: Position, kept: Decimal) -> Normal[float]:
    """The normal form of what stays open of a position: its brackets follow the smaller notional."""
    leg = holding.leg
    rest = replace(leg, amount=Quantity.of(EXACT.multiply(leg.amount.decimal(), kept)), position=scaled(position, kept))
    return in_floats(replace(account, legs=(rest,)), {position.quote: quoted(holding, position)})


def _netted(owned: Sequence[Balance]) -> Iterable[Holding[float]]:
    """What is owed paid out of what is held, as far as that goes."""
    held = sum(one.usd for one in owned if one.usd > 0)
    owed = -sum(one.usd for one in owned if one.usd < 0)
    if not owed:
        return [one.holding for one in owned if one.holding.value]
    paying = sorted((one for one in owned if one.usd > 0), key=lambda one: (-one.holding.weight, -one.usd, one.holding.leg.asset.id))
    still = [one for one in owned if one.usd == 0 and one.holding.value]
    paid = [*_reduced(paying, min(held, owed)), *_reduced([one for one in owned if one.usd < 0], min(held, owed))]
    return [*(one.holding for one in still), *paid]


def _reduced(owned: Sequence[Balance], usd: float) -> Iterable[Holding[float]]:
    """The holdings, in order, with `usd` of their absolute value at the event taken away; those that are gone left out."""
    for holding, worth_usd in owned:
        size = abs(worth_usd)
        taken = min(usd, size)
        usd -= taken
        if taken < size:
            yield revalued(holding, holding.value * (1.0 - taken / size)) if taken else holding
