"""Deploy Perpetual Protocol V2: the venue, its pools on Uniswap V3, oracles, and those without whom nobody could trade."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import curie, perp_oracle, uniswap
from tests.localchain.assets import Assets
from tests.localchain.contract import Contract, at, deploy
from tests.localchain.curie.market import (
    ARBITRAGEUR,
    CONFIG_SLOT,
    DECIMALS,
    INITIAL_BIT,
    MAINTENANCE_BIT,
    MARK_SECONDS,
    Collateral,
    CurieMarket,
    Listing,
)
from tests.localchain.people import person
from tests.localchain.tokens import MAX, Amount, Raw

POOL_FEE: Final = 3_000
EXCHANGE_FEE: Final = 1_000
INSURANCE_SHARE: Final = 100_000
MOST_TICKS: Final = 1_000
OBSERVATIONS: Final = 1_000
INDEX_TIMEOUT: Final = 40 * 60
TWAP_SECONDS: Final = 900
HISTORY_SECONDS: Final = 93_600
"""The oracles are older than a day: the venue can tell what its index was."""
MAKER: Final = person("perp-v2/market-maker")
LOWEST_QUOTE: Final = 0xC0
"""The first byte that the quote token's address must have at least, so that base tokens sort below it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A market as governance lists it: the token it follows, and liquidity in whole base tokens."""

    symbol: str
    follows: str
    liquidity: int


@dataclass(frozen=True, slots=True)
class Margin:
    """A collateral token: what of it counts and the discount to who buys it from an account, in millionths, and how much may be posted."""

    symbol: str
    ratio: int
    discount: int
    cap: int


TERMS: Final = (
    Terms("vETH", "WETH", 200_000),
    Terms("vBTC", "WBTC", 10_000),
    Terms("vLINK", "LINK", 20_000_000),
    Terms("vCRV", "CRV", 10_000_000),
    Terms("vEURS", "EURS", 5_000_000),
)
MARGINS: Final = (Margin("WETH", 700_000, 100_000, 10_000), Margin("WBTC", 650_000, 120_000, 500))


@dataclass(frozen=True, slots=True)
class _Core:
    """The contracts that are there once."""

    quote: Contract
    factory: Contract
    config: Contract
    registry: Contract
    order_book: Contract
    exchange: Contract
    account_balance: Contract
    insurance_fund: Contract
    vault: Contract
    manager: Contract
    clearing_house: Contract


def deploy_curie(anvil: Anvil, assets: Assets | None = None) -> CurieMarket:
    """Deploy everything (on tokens and feeds that stand already, where given)."""
    assets = assets or Assets(anvil)
    core = _deploy_core(assets)
    collateral = {margin.symbol: _list_collateral(assets, core, margin) for margin in MARGINS}
    listings = {terms.symbol: _deploy_market(assets, core, terms) for terms in TERMS}
    market = CurieMarket(
        anvil=anvil,
        clearing_house=core.clearing_house,
        vault=core.vault,
        account_balance=core.account_balance,
        exchange=core.exchange,
        order_book=core.order_book,
        config=core.config,
        collateral_manager=core.manager,
        settlement=assets.token("USDC"),
        collateral=collateral,
        listings=listings,
    )
    _check_slot(market)
    market.pass_time(HISTORY_SECONDS)
    _start(market, core)
    return market


def _deploy_core(assets: Assets) -> _Core:
    anvil = assets.anvil
    quote = _deploy_token(anvil, "QuoteToken", lambda token: int(token.address[2:4], 16) >= LOWEST_QUOTE)
    quote.send("initialize", "vUSD", "vUSD")
    core = _Core(
        quote=quote,
        factory=deploy(anvil, uniswap("UniswapV3Factory")),
        config=deploy(anvil, curie("ClearingHouseConfig")),
        registry=deploy(anvil, curie("MarketRegistry")),
        order_book=deploy(anvil, curie("OrderBook")),
        exchange=deploy(anvil, curie("Exchange")),
        account_balance=deploy(anvil, curie("AccountBalance")),
        insurance_fund=deploy(anvil, curie("InsuranceFund")),
        vault=deploy(anvil, curie("Vault")),
        manager=deploy(anvil, curie("CollateralManager")),
        clearing_house=deploy(anvil, curie("ClearingHouse")),
    )
    _connect(core, assets.token("USDC").address)
    return core


def _connect(core: _Core, settlement: str) -> None:
    """Introduce the contracts to one another. Ratios of the collateral manager are those of its own tests."""
    config, exchange, balance, vault = (each.address for each in (core.config, core.exchange, core.account_balance, core.vault))
    fund, house = core.insurance_fund.address, core.clearing_house.address
    core.config.send("initialize")
    core.registry.send("initialize", core.factory.address, core.quote.address)
    core.order_book.send("initialize", core.registry.address)
    core.insurance_fund.send("initialize", settlement)
    core.exchange.send("initialize", core.registry.address, core.order_book.address, config)
    core.exchange.send("setAccountBalance", balance)
    core.order_book.send("setExchange", exchange)
    core.account_balance.send("initialize", config, core.order_book.address)
    core.vault.send("initialize", fund, config, balance, exchange)
    core.manager.send("initialize", config, vault, 5, 750_000, 500_000, 5_000, 30_000, 10_000 * 10**6, 500 * 10**6)
    core.vault.send("setCollateralManager", core.manager.address)
    core.insurance_fund.send("setVault", vault)
    core.account_balance.send("setVault", vault)
    core.clearing_house.send("initialize", config, vault, core.quote.address, core.factory.address, exchange, balance, fund)
    core.config.send("setSettlementTokenBalanceCap", MAX.units)
    core.quote.send("mintMaximumTo", house)
    core.quote.send("addWhitelist", house)
    for contract in (core.registry, core.order_book, core.exchange, core.account_balance, core.vault):
        contract.send("setClearingHouse", house)


def _list_collateral(assets: Assets, core: _Core, margin: Margin) -> Collateral:
    token, feed = assets.token(margin.symbol), assets.feed(margin.symbol)
    oracle = deploy(assets.anvil, perp_oracle("ChainlinkPriceFeedV2"), feed.address, TWAP_SECONDS)
    terms = (oracle.address, margin.ratio, margin.discount, token.units(margin.cap))
    core.manager.send("addCollateral", token.address, terms)
    return Collateral(token, feed, oracle)


def _deploy_market(assets: Assets, core: _Core, terms: Terms) -> Listing:
    anvil, feed, house = assets.anvil, assets.feed(terms.follows), core.clearing_house.address
    oracle = deploy(anvil, perp_oracle("ChainlinkPriceFeedV3"), feed.address, INDEX_TIMEOUT, TWAP_SECONDS)
    oracle.send("update")
    dispatcher = deploy(anvil, perp_oracle("PriceFeedDispatcher"), oracle.address)
    base = _deploy_token(anvil, "BaseToken", lambda token: int(token.address, 16) < int(core.quote.address, 16))
    base.send("initialize", terms.symbol, terms.symbol, dispatcher.address)
    core.factory.send("createPool", base.address, core.quote.address, POOL_FEE)
    pool = at(anvil, uniswap("UniswapV3Pool"), core.factory.call("getPool", base.address, core.quote.address, POOL_FEE))
    pool.send("initialize", math.isqrt((feed.answer << 192) // 10**8))
    pool.send("increaseObservationCardinalityNext", OBSERVATIONS)
    for token in (base, core.quote):
        token.send("addWhitelist", pool.address)
    base.send("mintMaximumTo", house)
    base.send("addWhitelist", house)
    core.registry.send("addPool", base.address, POOL_FEE)
    core.registry.send("setFeeManager", person("perp-v2/fees"), True)
    core.registry.send("setFeeRatio", base.address, EXCHANGE_FEE)
    core.registry.send("setInsuranceFundFeeRatio", base.address, INSURANCE_SHARE)
    core.exchange.send("setMaxTickCrossedWithinBlock", base.address, MOST_TICKS)
    return Listing(terms.symbol, terms.follows, base, pool, feed, oracle, dispatcher)


def _deploy_token(anvil: Anvil, name: str, fits: Callable[[Contract], bool]) -> Contract:
    """Deploy a virtual token until its address sorts as it must."""
    while True:
        token = deploy(anvil, curie(name))
        if fits(token):
            return token


def _check_slot(market: CurieMarket) -> None:
    """Governance writes this slot: better no market than a wrong one."""
    word = market.anvil.storage(market.config.address, CONFIG_SLOT)
    for bit, name in ((INITIAL_BIT, "getImRatio"), (MAINTENANCE_BIT, "getMmRatio")):
        if word >> bit & 0xFFFFFF != market.config.call(name):
            raise AssertionError(f"slot {CONFIG_SLOT} does not hold what {name} says")


def _start(market: CurieMarket, core: _Core) -> None:
    """Liquidity, a first trade in every market, reserves of the insurance fund, and half an hour for the mark."""
    market.settlement.mint(core.insurance_fund.address, 10_000_000)
    rich: Amount = 2_000_000_000
    for who in (MAKER, ARBITRAGEUR):
        market.deposit(who, "USDC", rich)
    for terms in TERMS:
        price = market.listings[terms.symbol].feed.answer
        market.add_liquidity(MAKER, terms.symbol, terms.liquidity, Raw(terms.liquidity * price * 10 ** (DECIMALS - 8)))
        market.open(ARBITRAGEUR, terms.symbol, "0.01")
    market.anvil.pass_time(MARK_SECONDS)
