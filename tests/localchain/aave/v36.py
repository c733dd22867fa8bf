"""Aave 3.6: eMode by lists with a third one that takes an asset's LTV away, treasury and strategy fixed in the implementations."""

from __future__ import annotations

from typing import Final

from tests.localchain.aave.foundation import (
    NOBODY,
    TREASURY,
    deploy_libraries,
    deploy_provider,
    finish,
    found,
    list_reserves,
    set_categories,
)
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.parameters import LISTINGS, Listing
from tests.localchain.aave.v32 import CATEGORIES, TOKENS, rate_data, token_names
from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import aave36
from tests.localchain.assets import Assets
from tests.localchain.contract import deploy
from tests.localchain.tokens import Token

LIBRARIES: Final = ("BorrowLogic", "SupplyLogic", "LiquidationLogic", "PoolLogic", "FlashLoanLogic", "ConfiguratorLogic")


def deploy_aave36(anvil: Anvil, assets: Assets | None = None, listings: tuple[Listing, ...] = LISTINGS) -> AaveMarket:
    """Deploy the market, on tokens that stand already where given."""
    provider = deploy_provider(anvil, aave36, "Local Aave 3.6")
    strategy = deploy(anvil, aave36("DefaultReserveInterestRateStrategyV2"), provider.address)
    libraries = deploy_libraries(anvil, aave36, LIBRARIES)
    pool = deploy(anvil, aave36("PoolInstance"), provider.address, strategy.address, libraries=libraries)
    configurator = deploy(anvil, aave36("PoolConfiguratorInstance"), libraries=libraries)
    market = found(provider, pool, configurator, aave36, listings, assets or Assets(anvil))
    supply = market.deploy(TOKENS[0], market.pool.address, NOBODY, TREASURY)
    debt = market.deploy(TOKENS[1], market.pool.address, NOBODY)

    def describe(listing: Listing, token: Token) -> tuple[object, ...]:
        return (supply.address, debt.address, token.address, *token_names(token), b"", rate_data(listing.curve))

    list_reserves(market, describe)
    set_categories(market, CATEGORIES)
    return finish(market, "3.6", TOKENS)
