"""Which unit a Comet's prices are in.

Comet only needs its feeds to agree with each other, and they are not always in USD: a WETH market prices in ETH, a wstETH market in
wstETH (its base feed is a constant 1), a WBTC market in BTC (its base feed says `WBTC / BTC` and is not a constant). Nothing on the
contract names the unit. What does, in this order:

1. the market's setting `unit`: `USD` or a factor;
2. the quote in the base feed's description (`USDC / USD`), if it is USD or the base token's own factor;
3. a base token that is a dollar coin, where the feed names no quote: USD.

Where none of them tells, prices are taken in base tokens: in any unit u, price[u] / base[u] is right. A base token without a peg is worth
its factor, so that is the unit. A pegged one is turned into USD by another Comet of this chain that lists it as collateral and is itself
in USD; where there is none, the account is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import MissingPrice
from defi_risk.ids import USD, Address, Factor
from defi_risk.model import FactorRef, Price, Quote
from defi_risk.spi import Call, Context, Failed, Interface, Market, Steps
from defi_risk.units import Quantity

COMET: Final = Interface("defi_risk_abis", "compound_v3/comet")
FEED: Final = Interface("defi_risk_abis", "compound_v3/feed")
PRICE_DECIMALS: Final = 8
ONE: Final = 10**PRICE_DECIMALS
DOLLARS: Final = frozenset(map(Factor, ("USD", "USDC", "USDT", "DAI", "USDS")))
CONSTANT: Final = "Constant price feed"  # ConstantPriceFeed.sol, `description`
_QUOTE: Final = re.compile(r"/\s*([A-Za-z0-9.]+)")
_FINER: Final = 20  # digits kept when a price is divided by the base price


@dataclass(frozen=True, slots=True)
class Base:
    """The base token of a Comet: its feed's description (None where it has none) and answer, and its factor."""

    token: Address
    feed: Address
    description: str | None
    price: int
    ref: FactorRef

    @property
    def constant(self) -> bool:
        """Whether the feed is the constant 1, which can never answer anything else."""
        return self.description == CONSTANT and self.price == ONE


@dataclass(frozen=True, slots=True)
class Unit:
    """How answers of `getPrice` become prices in `factor`: as they are, or in base tokens, of which one is worth `base_worth` (1e8)."""

    factor: Factor
    base_price: int = ONE
    base_worth: int = ONE

    def value(self, answer: int) -> Quantity:
        """What an answer means, in `factor`."""
        if self.base_price == self.base_worth:
            return Quantity(answer, PRICE_DECIMALS)
        return Quantity(answer * self.base_worth * 10**_FINER // self.base_price, PRICE_DECIMALS + _FINER)


def decided(market: Market, base: Base) -> Factor | None:
    """The unit by rules 1 to 3 above, None where they do not tell."""
    setting = market.get("unit")
    if setting:
        return Factor(setting)
    found = _QUOTE.findall(base.description or "")
    if found:
        quote = Factor(found[-1])
        return quote if quote in (USD, base.ref.factor) else None
    return USD if base.ref.factor in DOLLARS else None


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another Comet of this chain that takes the base token as collateral, with what it takes to know that it prices in USD."""

    comet: Address
    feed: Address
    base_token: Address
    base_feed: Address


def siblings(market: Market, at: Context, base: Address) -> Steps[list[Sibling]]:
    """Other Comets among the markets read on this chain that list `base`; one round."""
    others = [other["comet"] for other in at.markets if other.adapter == market.adapter and other.root != market.root]
    asks = [
        call
        for comet in dict.fromkeys(others)
        for call in (
            COMET(comet, "getAssetInfoByAddress", base, optional=True),
            COMET(comet, "baseToken", optional=True),
            COMET(comet, "baseTokenPriceFeed", optional=True),
        )
    ]
    answers = (yield asks) if asks else []
    found: list[Sibling] = []
    for comet, info, token, feed in zip(dict.fromkeys(others), answers[0::3], answers[1::3], answers[2::3], strict=True):
        if not any(isinstance(answer, Failed) for answer in (info, token, feed)):
            found.append(Sibling(comet, info.priceFeed, token, feed))
    return found


def base_in_usd(market: Market, at: Context, base: Base, others: Sequence[Sibling]) -> Steps[int | None]:
    """USD price of the base token (1e8) as the first Comet that prices in USD says it, or None; one round."""
    asks: list[Call] = []
    for other in others:
        asks += [COMET(other.comet, "getPrice", other.feed, optional=True), FEED(other.base_feed, "description", optional=True)]
        asks += [COMET(other.comet, "getPrice", other.base_feed, optional=True)]
    answers: Sequence[Any] = (yield asks) if asks else []
    for other, answer, text, base_answer in zip(others, answers[0::3], answers[1::3], answers[2::3], strict=True):
        if isinstance(answer, Failed) or isinstance(base_answer, Failed) or answer <= 0:
            continue
        ref = at.factor_of(at.token_id(other.base_token))
        its_base = Base(other.base_token, other.base_feed, None if isinstance(text, Failed) else text, base_answer, ref)
        its_market = next(known for known in at.markets if known.adapter == market.adapter and known.root == other.comet)
        if decided(its_market, its_base) == USD:
            return int(answer)
    return None


def unit_of(base: Base, factor: Factor | None, base_usd: int | None) -> Unit:
    """The unit, by rule or in base tokens. Raises `MissingPrice` where nothing tells what a pegged base token is worth."""
    if factor is not None:
        return Unit(factor)
    if base.ref.peg is None:
        return Unit(base.ref.factor, base.price)
    if base_usd is None:
        raise MissingPrice(
            f"no USD price for {base.token}, in which this Comet counts",
            hint='name the unit of its price feeds in the market\'s settings, such as unit = "USD"',
        )
    return Unit(USD, base.price, base_usd)


def quotes(base: Base, unit: Unit, base_usd: int | None) -> list[Quote]:
    """What one unit is worth in USD, for a market that counts in a factor: it prices the factor where no venue of the book does."""
    if unit.factor == USD or base_usd is None:
        return []
    return [Quote(unit.factor, Price(Unit(USD, base.price, base_usd).value(unit.base_price), USD, base.feed))]
