"""Accounts of one settling coin: isolated positions in any mode, and the cross accounts of futures mode, one a coin.

mgnRatio = (margin, or cash balance of the coin, + unrealised profit) / (maintenance margin + liquidation fees); the end is at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from defi_risk.errors import Unsupported
from defi_risk.model import ONE, Account, Leg, LiquidationRule, SelfCheck, Side
from defi_risk.spi import Desk
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges import common
from defi_risk_adapters.exchanges.okx.contracts import (
    Open,
    Tables,
    digits,
    fitted,
    liquidation_price,
    needs,
    opened,
    priced,
    required_of,
    stated_price,
    total,
    would_borrow,
)
from defi_risk_adapters.exchanges.okx.records import ROUND, Balance, Coin, Held

VENUE: Final = "OKX"
TOLERANCE: Final = Decimal("0.001")
"""All figures compared stand in one answer; a recorded liquidation price is 7e-6 off the rule that its ratio follows to the last digit."""
SCALE: Final = Decimal("1e-8")


def blank(at: Desk, parts: Sequence[str], mode: str) -> Account:
    """An account without anything in it yet. `parts` say where it is."""
    return Account(
        id=at.account_id(*parts),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=VENUE,
        market="/".join(parts),
        mode=mode,
        strict=False,
        rule=LiquidationRule(kind="close", remainder="lost" if mode == "isolated" else "refunded"),
    )


def unknown(account: Account, error: Unsupported) -> Account:
    """The account when something in it is not modelled."""
    return replace(account, status="unknown", reason=shown(str(error), 200))


def isolated(at: Desk, level: str, balance: Balance, held: Held, tables: Tables) -> Account:
    """The account of one isolated position."""
    side = () if held.side == "net" else (held.side,)
    account = blank(at, (level, held.symbol, "isolated", *side), "isolated")
    try:
        each = opened(at, tables, held)
    except Unsupported as error:
        return unknown(account, error)
    margin = held.margin or Decimal(0)
    equity = EXACT.add(margin, held.profit)
    [each] = fitted(at, [each], required_of(equity, held.ratio), {})
    leg, assumed = _margin(at, each.coin, margin, balance.coins.get(each.coin), [each])
    ours, theirs = {"margin": format(margin, "f")}, {"margin": format(margin, "f")}
    _stated([each], equity, ours, theirs)
    stated_price(each, liquidation_price([each], margin), ours, theirs)
    return replace(
        account,
        legs=(leg, each.as_leg(at)),
        stated=ours,
        self_check=SelfCheck.within(TOLERANCE, ours, theirs, SCALE),
        assumptions=(*each.assumptions, *assumed),
    )


def cross(at: Desk, code: str, coin: Coin | None, held: Sequence[Held], tables: Tables) -> Account:
    """The cross account of one coin in futures mode."""
    account = blank(at, ("futures", code), "cross")
    try:
        positions = [opened(at, tables, each) for each in held]
    except Unsupported as error:
        return unknown(account, error)
    cash = coin.cash if coin else Decimal(0)
    equity = EXACT.add(cash, total(each.held.profit for each in positions))
    required = required_of(equity, next((each.held.ratio for each in positions if each.held.ratio), ""))
    positions, assumed = _ordering(coin, fitted(at, positions, required, {}), required)
    leg, par = _margin(at, code, cash, coin, positions)
    ours = {"cashBal": format(cash, "f")}
    theirs = dict(ours) if coin else {}
    if positions:
        _stated(positions, equity, ours, theirs)
    for each in positions:
        sides = [other for other in positions if other.held.symbol == each.held.symbol]
        rest = [other for other in positions if other.held.symbol != each.held.symbol]
        cushion = EXACT.add(cash, EXACT.subtract(total(other.held.profit for other in rest), needs(rest, {})))
        alone = all(other is each or other.instrument.base != each.instrument.base for other in positions)
        stated_price(each, liquidation_price(sides, cushion), ours, theirs, compared=alone)
    legs: list[Leg] = [leg, *(each.as_leg(at) for each in positions)]
    if coin and coin.maintenance and not positions:
        orders = f"open orders require {code} {coin.maintenance:f} of maintenance margin"
        assumed = (*assumed, f"{orders}: shown as a debt of that size, and what it bought")
        legs += would_borrow(at, code, price_of(coin, ()), coin.maintenance, ONE)
    return replace(
        account,
        legs=tuple(legs),
        stated=ours,
        self_check=SelfCheck.within(TOLERANCE, ours, theirs, SCALE) if positions else None,
        assumptions=(*(text for each in positions for text in each.assumptions), *assumed, *par),
    )


def _margin(at: Desk, code: str, amount: Decimal, coin: Coin | None, positions: Sequence[Open]) -> tuple[Leg, tuple[str, ...]]:
    """The margin leg, and what is said of its price where the balance does not tell it."""
    leg, par = priced(at, common.margin(at, code, amount, price_of(coin, positions)))
    if coin is not None and coin.equity and coin.usd is None and not par:
        return leg, (f"{code} is priced by its positions: the balance tells no worth of it in USD",)
    return leg, par


def price_of(coin: Coin | None, positions: Sequence[Open]) -> Decimal | None:
    """USD for one unit of a settling coin: from its equity, from a position, or from the index that an inverse contract follows."""
    if coin is not None and coin.price is not None:
        return coin.price
    told = (each.held.usd_price or (each.held.index if each.inverse else None) for each in positions)
    return next((price for price in told if price is not None), None)


def _ordering(coin: Coin | None, positions: list[Open], required: Decimal | None) -> tuple[list[Open], tuple[str, ...]]:
    """What open orders require, laid on the positions beside them."""
    if required is None or coin is None or not coin.ordered:
        return positions, ()
    more, gross = EXACT.subtract(required, needs(positions, {})), total(each.gross for each in positions)
    if more <= EXACT.multiply(TOLERANCE, required) or not gross:
        return positions, ()
    rate = ROUND.divide(more, gross)
    return [each.loaded(rate) for each in positions], (
        f"open orders require {coin.code} {more:.2f} of maintenance margin and fees: it is laid on the positions",
    )


def _stated(positions: Sequence[Open], equity: Decimal, ours: dict[str, str], theirs: dict[str, str]) -> None:
    """The ratio of the account and the maintenance margin of each position, beside the exchange's."""
    ratio = next((each.held.ratio for each in positions if each.held.ratio), "")
    if need := needs(positions, {}):
        ours["mgnRatio"] = digits(EXACT.divide(equity, need), ratio)
    if ratio:
        theirs["mgnRatio"] = ratio
    for each in positions:
        if each.held.need:
            name = f"mmr:{each.held.key}"
            ours[name], theirs[name] = digits(each.bare, each.held.need), each.held.need
