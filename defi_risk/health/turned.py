"""What a future's account would be if the same dollars of margin were of the other kind: coins of what the future follows instead of
stable ones, or the reverse, with a contract that settles in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from defi_risk.health.normal import Key, Normal, coin_usd, pricing
from defi_risk.health.settings import HealthSettings
from defi_risk.health.settled import earned
from defi_risk.health.whatif import edited
from defi_risk.ids import USD, AssetId, Factor
from defi_risk.model import Account, Asset, Basis, Contract, Leg, Position, Price, Role, Tier
from defi_risk.units import EXACT, Quantity

Margin = Literal["coin", "stable"]
OTHER: Final[Mapping[Margin, Margin]] = {"coin": "stable", "stable": "coin"}
_NONE: Final = Decimal(0)


def margin_of(normal: Normal[float], factor: Factor, settings: HealthSettings) -> Margin | None:
    """What most of an account's margin is, seen from a future on `factor`; None where most of it is neither."""
    held = [one for one in normal.holdings if one.leg.role is Role.MARGIN and one.leg.enabled and one.value > 0]
    half = sum(one.value for one in held) / 2
    coin = sum(one.value for one in held if one.key.factor == factor)
    stable = sum(one.value for one in held if settings.stable(one.key.factor))
    return "coin" if coin > half else "stable" if stable > half else None


def turned(account: Account, normal: Normal[float], index: int, spot: Decimal, to: Margin) -> Account:
    """The account with its margin and the future at place `index` turned to the other kind.

    `spot` is USD for one coin. What is owed, and what is held but does not count, stays; a new coin counts as one of its kind that the
    account already holds, else in full. The future stays on as many coins, with its profit and its brackets.
    """
    leg = account.legs[index]
    if leg.position is None:
        raise ValueError(f"leg {index} of {account.id} is no future")
    usd = Decimal(repr(normal.quotes[Key(leg.position.quote, leg.position.quote_peg)]))
    by = pricing(account.legs, Key(leg.factor, leg.peg))
    coin = spot if by is None or by.price is None else by.price.value.decimal()
    legs: list[Leg] = []
    moved = _NONE
    for place, one in enumerate(account.legs):
        holding = normal.holdings[place]
        counts = one.role is Role.MARGIN and one.enabled and holding.value > 0
        if place == index:
            position = _inverse(leg.position, usd, coin) if to == "coin" else _linear(leg.position, usd, Decimal(repr(coin_usd(holding))))
            legs.append(replace(leg, amount=Quantity.of(abs(position.size)), position=position))
        elif counts and (one.factor == leg.factor) == (to == "stable"):
            moved = EXACT.add(moved, Decimal(repr(holding.value)))
        else:
            legs.append(one)
    factor, price = (leg.factor, spot) if to == "coin" else (USD, Decimal(1))
    weight = next((one.weight for one in account.legs if one.role is Role.MARGIN and (one.factor, one.peg) == (factor, None)), Decimal(1))
    legs.append(
        Leg(
            role=Role.MARGIN,
            asset=Asset(AssetId(f"factor:{factor}"), str(factor), 18),
            factor=factor,
            amount=Quantity.of(EXACT.divide(moved, price)),
            price=Price(Quantity.of(price)),
            weight=min(weight, Decimal(1)),
        )
    )
    return edited(account, legs)


def _inverse(position: Position, usd: Decimal, coin: Decimal) -> Position:
    """The same notional in a contract that settles in its coin; `usd` is what one quote coin is worth, `coin` what one coin is."""
    if position.contract is Contract.INVERSE:
        return position
    size = EXACT.multiply(EXACT.multiply(position.size, position.mark), usd)
    rates = EXACT.divide(Decimal(1), position.mark), EXACT.divide(usd, coin)
    return _settling(position, Contract.INVERSE, size, usd, *rates)


def _linear(position: Position, usd: Decimal, coin: Decimal) -> Position:
    """The same notional in a contract that settles in dollars; `coin` is USD for what it settles in now."""
    if position.contract is Contract.LINEAR:
        return position
    return _settling(position, Contract.LINEAR, EXACT.divide(position.size, position.mark), usd, EXACT.multiply(position.mark, usd), coin)


def _settling(position: Position, contract: Contract, size: Decimal, usd: Decimal, at_mark: Decimal, paid: Decimal) -> Position:
    """The position in another contract. One of the coin it settled in is `at_mark` of the new one's by its own mark, by which brackets
    count, and `paid` by what both coins are worth.
    """
    return replace(
        position,
        size=size,
        entry=EXACT.multiply(position.entry, usd),
        mark=EXACT.multiply(position.mark, usd),
        index=None if position.index is None else EXACT.multiply(position.index, usd),
        quote=USD,
        quote_peg=None,
        contract=contract,
        basis=Basis.MARK,
        tiers=tuple(Tier(EXACT.multiply(one.floor, at_mark), one.rate, EXACT.multiply(one.deduction, at_mark)) for one in position.tiers),
        unrealized_pnl=EXACT.multiply(earned(position), paid),
        accrued_funding=_NONE,
        accrued_fees=_NONE,
        exit_cost=EXACT.multiply(position.exit_cost, paid),
        pnl_weight=Decimal(1),
    )
