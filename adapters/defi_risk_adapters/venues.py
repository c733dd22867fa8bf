"""The assets that the lending markets of a chain list, and how each venue prices them: what a wallet may hold idle.

Steps of at most three rounds, with the very reads that the venues' own adapters make in the same rounds, so that they are asked once:

1. Aave V3: pool and oracle; Comet: base token, its feed, number of assets; Compound V2: its markets and oracle;
2. Aave V3: reserves and base currency; Comet: every asset, the base feed's description and answer;
3. Compound V2: underlying tokens. These stand here alone for the reason told in `compound_v2.reads`: on a cETH the probe accrues.

A price is an offer: one optional read, its scale and its unit. A Comet whose unit nothing tells offers none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import OutOfRange
from defi_risk.ids import USD, ZERO_ADDRESS, Address, Factor
from defi_risk.model import Price
from defi_risk.spi import Ask, Call, Context, Failed, Market, Steps, together
from defi_risk.units import Quantity
from defi_risk_adapters.aave_v3.reading import PROVIDER
from defi_risk_adapters.aave_v3.reserves import MOST_RESERVES, ORACLE, POOL
from defi_risk_adapters.compound_v2.reads import COMPTROLLER, CTOKEN
from defi_risk_adapters.compound_v2.reads import ORACLE as V2_ORACLE
from defi_risk_adapters.compound_v3.adapter import MOST_ASSETS
from defi_risk_adapters.compound_v3.unit import COMET, FEED, PRICE_DECIMALS, Base, decided

V2_DECIMALS: Final = 36  # of `getUnderlyingPrice`, less those of the token
MOST_MARKETS: Final = 512


@dataclass(frozen=True, slots=True)
class Offer:
    """One venue's price of one token: the read that gives it, its decimals (None: 36 less those of the token), and its unit."""

    token: Address
    ask: Call
    decimals: int | None
    unit: Factor = USD

    def price(self, answer: int | Failed, token_decimals: int) -> Price | None:
        """The price in the offer's unit, or None where the venue has none at present."""
        if isinstance(answer, Failed) or answer <= 0:
            return None
        decimals = V2_DECIMALS - token_decimals if self.decimals is None else self.decimals
        return Price(Quantity(answer, decimals), self.unit, self.ask.to)


@dataclass(frozen=True, slots=True)
class Listed:
    """What one market lists: its tokens, and prices of those that it prices in a known unit."""

    tokens: tuple[Address, ...] = ()
    offers: tuple[Offer, ...] = ()


def early(at: Context) -> Steps[list[Listed]]:
    """Aave V3 and Comet markets, in two rounds, Aave's first."""
    aave = [_aave(market) for market in at.markets if market.adapter in ("aave_v3", "spark")]
    comets = [_comet(market, at) for market in at.markets if market.adapter == "compound_v3"]
    return (yield from together([*aave, *comets]))


def late(at: Context) -> Steps[list[Listed]]:
    """Compound V2 markets, in three rounds."""
    return (yield from together([_compound_v2(market) for market in at.markets if market.adapter == "compound_v2"]))


def _aave(market: Market) -> Steps[Listed]:
    provider = market["pool_addresses_provider"]
    pool, oracle = yield [PROVIDER(provider, "getPool"), PROVIDER(provider, "getPriceOracle")]
    if ZERO_ADDRESS in (pool, oracle):
        raise OutOfRange(f"{provider} names no pool or no price oracle")
    tokens, base, unit = yield [POOL(pool, "getReservesList"), ORACLE(oracle, "BASE_CURRENCY"), ORACLE(oracle, "BASE_CURRENCY_UNIT")]
    if len(tokens) > MOST_RESERVES:
        raise OutOfRange(f"pool {pool} lists {len(tokens)} reserves", hint=f"at most {MOST_RESERVES} are possible")
    decimals = len(str(unit)) - 1
    if base != ZERO_ADDRESS or unit != 10**decimals:
        return Listed(tuple(tokens))
    return Listed(tuple(tokens), tuple(Offer(token, ORACLE(oracle, "getAssetPrice", token, optional=True), decimals) for token in tokens))


def _comet(market: Market, at: Context) -> Steps[Listed]:
    comet = market["comet"]
    token, feed, count = yield [COMET(comet, "baseToken"), COMET(comet, "baseTokenPriceFeed"), COMET(comet, "numAssets")]
    if count > MOST_ASSETS:
        raise OutOfRange(f"Comet {comet} lists {count} assets", hint=f"at most {MOST_ASSETS} are possible")
    asks: list[Ask] = [COMET(comet, "getAssetInfo", index) for index in range(count)]
    text, answer, *infos = yield [FEED(feed, "description", optional=True), COMET(comet, "getPrice", feed, optional=True), *asks]
    feeds: dict[Address, Address] = {token: feed, **{info.asset: info.priceFeed for info in infos}}
    if isinstance(answer, Failed):
        return Listed(tuple(feeds))
    description = None if isinstance(text, Failed) else text
    base = Base(token, feed, description, answer, at.factor_of(at.token_id(token)))
    unit = decided(market, base)
    if unit is None and base.ref.peg is None and base.constant:
        unit = base.ref.factor  # prices are in base tokens, of which one is worth its factor
    if unit is None:
        return Listed(tuple(feeds))
    offers = (Offer(asset, COMET(comet, "getPrice", source, optional=True), PRICE_DECIMALS, unit) for asset, source in feeds.items())
    return Listed(tuple(feeds), tuple(offers))


def _compound_v2(market: Market) -> Steps[Listed]:
    comptroller = market["comptroller"]
    tokens, oracle = yield [COMPTROLLER(comptroller, "getAllMarkets"), COMPTROLLER(comptroller, "oracle")]
    if len(tokens) > MOST_MARKETS:
        raise OutOfRange(f"comptroller {comptroller} lists {len(tokens)} markets", hint=f"at most {MOST_MARKETS} are possible")
    yield []
    answers: Sequence[Any] = yield [CTOKEN(token, "underlying", optional=True, forever=True) for token in tokens]
    pairs = [
        (token, found) for token, found in zip(tokens, answers, strict=True) if not isinstance(found, Failed) and found != ZERO_ADDRESS
    ]
    if market.get("unit", USD) != USD:
        return Listed(tuple(found for _, found in pairs))
    offers = (Offer(found, V2_ORACLE(oracle, "getUnderlyingPrice", token, optional=True), None) for token, found in pairs)
    return Listed(tuple(found for _, found in pairs), tuple(offers))
