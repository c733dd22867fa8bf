"""Aave 3.2: eMode by lists, no stable-rate debt, one interest rate strategy for all reserves."""

from __future__ import annotations

from typing import Final

from eth_abi.abi import encode

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
from tests.localchain.aave.parameters import ETH_CORRELATED, LISTINGS, STABLECOINS, STAKED, Curve, Listing
from tests.localchain.aave.v30 import LIBRARIES
from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import aave32
from tests.localchain.assets import Assets
from tests.localchain.contract import deploy
from tests.localchain.tokens import Token

TOKENS: Final = ("ATokenInstance", "VariableDebtTokenInstance")
CATEGORIES: Final = (ETH_CORRELATED, STABLECOINS, STAKED)


def deploy_aave32(anvil: Anvil, assets: Assets | None = None) -> AaveMarket:
    """Deploy the market, on tokens that stand already where given."""
    provider = deploy_provider(anvil, aave32, "Local Aave 3.2")
    libraries = deploy_libraries(anvil, aave32, LIBRARIES)
    pool = deploy(anvil, aave32("PoolInstance"), provider.address, libraries=libraries)
    configurator = deploy(anvil, aave32("PoolConfiguratorInstance"), libraries=libraries)
    market = found(provider, pool, configurator, aave32, LISTINGS, assets or Assets(anvil))
    strategy = market.deploy("DefaultReserveInterestRateStrategyV2", provider.address)
    supply = market.deploy(TOKENS[0], market.pool.address)
    debt = market.deploy(TOKENS[1], market.pool.address)

    def describe(listing: Listing, token: Token) -> tuple[object, ...]:
        addresses = (strategy.address, token.address, TREASURY, NOBODY)
        return (supply.address, debt.address, True, *addresses, *token_names(token), b"", rate_data(listing.curve))

    list_reserves(market, describe)
    set_categories(market, CATEGORIES)
    return finish(market, "3.2", TOKENS)


def token_names(token: Token) -> tuple[str, str, str, str]:
    """Names and symbols of a reserve's supply and debt tokens."""
    return (f"Aave {token.symbol}", f"a{token.symbol}", f"Aave Debt {token.symbol}", f"variableDebt{token.symbol}")


def rate_data(curve: Curve) -> bytes:
    """A curve as the second strategy reads it."""
    return encode(["(uint16,uint32,uint32,uint32)"], [(curve.optimal, curve.base, curve.slope_low, curve.slope_high)])
