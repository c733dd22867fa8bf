"""What the deployments of all versions share, in the order of the official deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.localchain.aave.market import AaveMarket, Reserve
from tests.localchain.aave.parameters import LIQUIDATION_PROTOCOL_FEE, Category, Listing
from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import Code
from tests.localchain.assets import Assets
from tests.localchain.contract import DEPLOYER, Contract, at, deploy
from tests.localchain.people import person
from tests.localchain.tokens import Feed, Token

NOBODY: Final = "0x" + "00" * 20
TREASURY: Final = person("treasury")
USD_UNIT: Final = 10**8


@dataclass(frozen=True, slots=True)
class Foundation:
    """A market without reserves, and the tokens that are going to be listed."""

    anvil: Anvil
    code: Code
    provider: Contract
    pool: Contract
    configurator: Contract
    oracle: Contract
    data_provider: Contract
    listings: tuple[Listing, ...]
    tokens: Mapping[str, Token]
    feeds: Mapping[str, Feed]

    def deploy(self, name: str, *arguments: object) -> Contract:
        """Deploy another contract of this version."""
        return deploy(self.anvil, self.code(name), *arguments)

    def address(self, symbol: str) -> str:
        """The token's address."""
        return self.tokens[symbol].address


def deploy_provider(anvil: Anvil, code: Code, market: str) -> Contract:
    """The root of a market: the registry of its addresses."""
    return deploy(anvil, code("PoolAddressesProvider"), market, DEPLOYER)


def deploy_libraries(anvil: Anvil, code: Code, names: Sequence[str]) -> dict[str, str]:
    """Addresses of the logic libraries; one may use those named before it."""
    libraries: dict[str, str] = {}
    for name in names:
        libraries[name] = deploy(anvil, code(name), libraries=libraries).address
    return libraries


def found(
    provider: Contract, pool: Contract, configurator: Contract, code: Code, listings: tuple[Listing, ...], assets: Assets
) -> Foundation:
    """Put the implementations behind the provider's proxies and add access control, oracle and data provider."""
    anvil = provider.anvil
    provider.send("setPoolImpl", pool.address)
    provider.send("setPoolConfiguratorImpl", configurator.address)
    provider.send("setACLAdmin", DEPLOYER)  # before the access control, whose constructor reads it
    access = deploy(anvil, code("ACLManager"), provider.address)
    provider.send("setACLManager", access.address)
    access.send("addPoolAdmin", DEPLOYER)
    access.send("addAssetListingAdmin", DEPLOYER)
    tokens = {listing.symbol: assets.token(listing.symbol, listing.decimals) for listing in listings}
    feeds = {listing.symbol: assets.feed(listing.symbol) for listing in listings}
    sources = ([token.address for token in tokens.values()], [feed.address for feed in feeds.values()])
    oracle = deploy(anvil, code("AaveOracle"), provider.address, *sources, NOBODY, NOBODY, USD_UNIT)
    provider.send("setPriceOracle", oracle.address)
    data_provider = deploy(anvil, code("AaveProtocolDataProvider"), provider.address)
    provider.send("setPoolDataProvider", data_provider.address)
    return Foundation(
        anvil=anvil,
        code=code,
        provider=provider,
        pool=pool.sees(provider.call("getPool")),
        configurator=configurator.sees(provider.call("getPoolConfigurator")),
        oracle=oracle,
        data_provider=data_provider,
        listings=listings,
        tokens=tokens,
        feeds=feeds,
    )


def list_reserves(market: Foundation, describe: Callable[[Listing, Token], tuple[object, ...]]) -> None:
    """List every token with what `describe` gives as the version's listing input, then set its risk parameters."""
    market.configurator.send("initReserves", [describe(listing, market.tokens[listing.symbol]) for listing in market.listings])
    for listing in market.listings:
        _configure(market.configurator, market.address(listing.symbol), listing)


def _configure(configurator: Contract, token: str, listing: Listing) -> None:
    if listing.threshold:
        configurator.send("configureReserveAsCollateral", token, listing.ltv, listing.threshold, listing.bonus)
    configurator.send("setReserveBorrowing", token, True)
    configurator.send("setReserveFactor", token, listing.reserve_factor)
    configurator.send("setLiquidationProtocolFee", token, LIQUIDATION_PROTOCOL_FEE)
    if listing.debt_ceiling:
        configurator.send("setDebtCeiling", token, listing.debt_ceiling * 100)  # the ceiling has 2 decimals
    if listing.borrowable_in_isolation:
        configurator.send("setBorrowableInIsolation", token, True)
    if listing.siloed:
        configurator.send("setSiloedBorrowing", token, True)


def set_categories(market: Foundation, categories: Sequence[Category]) -> None:
    """eMode as versions from 3.2 on know it: two lists of members a category, and an asset in any number of them."""
    for category in categories:
        limits = (category.ltv, category.threshold, category.bonus)
        market.configurator.send("setEModeCategory", category.id, *limits, category.label)
        for symbol in category.collateral:
            market.configurator.send("setAssetCollateralInEMode", market.address(symbol), category.id, True)
        for symbol in category.borrowable:
            market.configurator.send("setAssetBorrowableInEMode", market.address(symbol), category.id, True)


def finish(market: Foundation, version: str, interfaces: tuple[str, str], *, category_feed: Feed | None = None) -> AaveMarket:
    """The market as its users see it; `interfaces` names the contracts behind its supply and debt tokens."""
    return AaveMarket(
        version=version,
        anvil=market.anvil,
        provider=market.provider,
        pool=market.pool,
        configurator=market.configurator,
        oracle=market.oracle,
        data_provider=market.data_provider,
        reserves={symbol: _reserve(market, symbol, interfaces) for symbol in market.tokens},
        category_feed=category_feed,
    )


def _reserve(market: Foundation, symbol: str, interfaces: tuple[str, str]) -> Reserve:
    token = market.tokens[symbol]
    supply, stable, variable = market.data_provider.call("getReserveTokensAddresses", token.address)
    supply_code, debt_code = (market.code(name) for name in interfaces)
    return Reserve(
        token=token,
        feed=market.feeds[symbol],
        a_token=at(market.anvil, supply_code, supply),
        variable_debt=at(market.anvil, debt_code, variable),
        stable_debt=at(market.anvil, market.code("StableDebtToken"), stable) if stable != NOBODY else None,
    )
