"""Aave 3.0.2: stable-rate debt, and eMode with one category an asset and a price source of its own."""

from __future__ import annotations

from typing import Final

from tests.localchain.aave.foundation import NOBODY, TREASURY, Foundation, deploy_libraries, deploy_provider, finish, found, list_reserves
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.parameters import ETH_CORRELATED, LISTINGS_30, STABLECOINS, Category, Listing
from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import aave30
from tests.localchain.assets import Assets
from tests.localchain.contract import Contract, deploy
from tests.localchain.people import person
from tests.localchain.tokens import Feed, Token, deploy_feed

LIBRARIES: Final = (
    "BridgeLogic",
    "ConfiguratorLogic",
    "PoolLogic",
    "EModeLogic",
    "SupplyLogic",
    "BorrowLogic",
    "LiquidationLogic",
    "FlashLoanLogic",
)
RAY: Final = 10**27
EMODE_PRICE_SOURCE: Final = person("the price of ETH in eMode")
"""The oracle is asked for the price of this address where an account is in the category; it is no token."""
EMODE_PRICE: Final = "2498.7654321"


def deploy_aave30(anvil: Anvil, assets: Assets | None = None) -> AaveMarket:
    """Deploy the market, on tokens that stand already where given."""
    provider = deploy_provider(anvil, aave30, "Local Aave 3.0")
    libraries = deploy_libraries(anvil, aave30, LIBRARIES)
    pool = deploy(anvil, aave30("Pool"), provider.address, libraries=libraries)
    pool.send("initialize", provider.address)
    configurator = deploy(anvil, aave30("PoolConfigurator"), libraries=libraries)
    market = found(provider, pool, configurator, aave30, LISTINGS_30, assets or Assets(anvil))
    _list(market)
    return finish(market, "3.0", ("AToken", "VariableDebtToken"), category_feed=_set_categories(market))


def _list(market: Foundation) -> None:
    supply, stable, variable = _implementations(market)

    def describe(listing: Listing, token: Token) -> tuple[object, ...]:
        names = tuple(
            name for prefix in ("a", "variableDebt", "stableDebt") for name in (f"{prefix} {token.symbol}", prefix + token.symbol)
        )
        addresses = (_strategy(market, listing).address, token.address, TREASURY, NOBODY)
        return (supply.address, stable.address, variable.address, token.decimals, *addresses, *names, b"")

    list_reserves(market, describe)
    for listing in market.listings:
        if listing.stable_rate:
            market.configurator.send("setReserveStableRateBorrowing", market.address(listing.symbol), True)


def _implementations(market: Foundation) -> tuple[Contract, Contract, Contract]:
    """The tokens behind every reserve's proxies, initialised as in the official deployment so that nobody else can."""
    supply, stable, variable = (market.deploy(name, market.pool.address) for name in ("AToken", "StableDebtToken", "VariableDebtToken"))
    supply.send("initialize", market.pool.address, NOBODY, NOBODY, NOBODY, 0, "implementation", "implementation", b"")
    for debt in (stable, variable):
        debt.send("initialize", market.pool.address, NOBODY, NOBODY, 0, "implementation", "implementation", b"")
    return supply, stable, variable


def _strategy(market: Foundation, listing: Listing) -> Contract:
    """The interest rate strategy of one reserve; rates in ray."""
    optimal, base, low, high = (
        part * RAY // 10_000 for part in (listing.curve.optimal, listing.curve.base, listing.curve.slope_low, listing.curve.slope_high)
    )
    stable = (RAY // 200, high, RAY // 100, RAY * 8 // 100, RAY // 5)
    return market.deploy("DefaultReserveInterestRateStrategy", market.provider.address, optimal, base, low, high, *stable)


def _set_categories(market: Foundation) -> Feed:
    feed = deploy_feed(market.anvil, "ETH correlated / USD", EMODE_PRICE)
    market.oracle.send("setAssetSources", [EMODE_PRICE_SOURCE], [feed.address])
    _set_category(market, ETH_CORRELATED, EMODE_PRICE_SOURCE)
    _set_category(market, STABLECOINS, NOBODY)
    return feed


def _set_category(market: Foundation, category: Category, price_source: str) -> None:
    limits = (category.ltv, category.threshold, category.bonus)
    market.configurator.send("setEModeCategory", category.id, *limits, price_source, category.label)
    for symbol in category.collateral:
        market.configurator.send("setAssetEModeCategory", market.address(symbol), category.id)
