"""Deploy Synthetix PerpsV2: registry, manager, settings, and every market with the parts behind its proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import double, synthetix
from tests.localchain.assets import Assets
from tests.localchain.contract import DEPLOYER, Contract, deploy
from tests.localchain.synthetix.market import PerpMarket, SynthetixMarket
from tests.localchain.synthetix.parameters import LISTINGS, Fees, Listing, word
from tests.localchain.tokens import Token

NOBODY: Final = "0x" + "00" * 20
COIN: Final = "sUSD"
ENV: Final = ("ExchangeRates", "Exchanger", "SystemStatus", "FeePool", "PerpsV2ExchangeRate")
"""What the double stands for in the registry."""
VIEWS: Final = {
    **dict.fromkeys(("marketKey", "baseAsset", "assetPrice", "marketSize", "marketSkew", "marketDebt", "currentFundingRate"), 0),
    **dict.fromkeys(("currentFundingVelocity", "unrecordedFunding", "fundingSequenceLength", "fundingLastRecomputed"), 0),
    **dict.fromkeys(("fundingRateLastRecomputed", "marketSizes"), 0),
    **dict.fromkeys(("fundingSequence", "positions", "delayedOrders", "isFlagged", "notionalValue", "profitLoss", "accruedFunding"), 1),
    **dict.fromkeys(("remainingMargin", "accessibleMargin", "liquidationPrice", "liquidationFee", "canLiquidate"), 1),
}
TRADING: Final = {"transferMargin": 1, "withdrawAllMargin": 0, "modifyPosition": 2, "closePosition": 1, "recomputeFunding": 0}
LIQUIDATION: Final = {"flagPosition": 1, "liquidatePosition": 1, "forceLiquidatePosition": 1}
ORDERS: Final = {"submitDelayedOrder": 3}
"""What each part answers for the proxy: functions and how many arguments they take."""


def deploy_coin(anvil: Anvil, assets: Assets) -> Token:
    """sUSD, among the tokens of the chain: the one that stands already, or a new one."""
    if COIN not in assets.tokens:
        assets.tokens[COIN] = Token(COIN, 18, deploy(anvil, double("synth"), f"Local {COIN}", COIN))
    return assets.tokens[COIN]


def deploy_synthetix(
    anvil: Anvil, assets: Assets | None = None, listings: Sequence[Listing] = LISTINGS, fees: Fees | None = None
) -> SynthetixMarket:
    """Deploy everything; rates come from a double that everybody may set."""
    coin = deploy_coin(anvil, assets or Assets(anvil))
    env = deploy(anvil, double("synthetix_env"))
    resolver = deploy(anvil, synthetix("AddressResolver"), DEPLOYER)
    manager = deploy(anvil, synthetix("FuturesMarketManager"), DEPLOYER, resolver.address)
    settings = deploy(anvil, synthetix("PerpsV2MarketSettings"), DEPLOYER, resolver.address)
    storage = deploy(anvil, synthetix("FlexibleStorage"), resolver.address)
    known = dict.fromkeys(ENV, env.address) | {
        "FlexibleStorage": storage.address,
        "FuturesMarketManager": manager.address,
        "PerpsV2MarketSettings": settings.address,
        "SynthsUSD": coin.address,
    }
    resolver.send("importAddresses", [word(name) for name in known], list(known.values()))
    for contract in (manager, settings):
        contract.send("rebuildCache")
    for function, value in (fees or Fees()).settings.items():
        settings.send(function, value)
    markets = {listing.key: _deploy_market(anvil, listing, resolver, manager) for listing in listings}
    market = SynthetixMarket(anvil, manager, settings, env, coin, markets)
    for listing in listings:
        market.set_rate(listing.asset, listing.rate)
        market.set_parameters(listing)
    return market


def _deploy_market(anvil: Anvil, listing: Listing, resolver: Contract, manager: Contract) -> PerpMarket:
    """Parts that share a state, behind one proxy that knows which part answers what."""
    proxy = deploy(anvil, synthetix("ProxyPerpsV2"), DEPLOYER)
    state = deploy(anvil, synthetix("PerpsV2MarketState"), DEPLOYER, [DEPLOYER], word(listing.asset), word(listing.key), NOBODY)
    common = (state.address, DEPLOYER, resolver.address)
    views = deploy(anvil, synthetix("PerpsV2MarketViews"), *common)
    trading, liquidation, orders = (
        deploy(anvil, synthetix(name), proxy.address, *common)
        for name in ("PerpsV2Market", "PerpsV2MarketLiquidate", "PerpsV2MarketDelayedIntent")
    )
    state.send("addAssociatedContracts", [trading.address, liquidation.address, orders.address])
    state.send("linkOrInitializeState")
    for part, functions in ((views, VIEWS), (trading, TRADING), (liquidation, LIQUIDATION), (orders, ORDERS)):
        part.send("rebuildCache")
        for name, arguments in functions.items():
            proxy.send("addRoute", part.abi.function(name, arguments).selector, part.address, part is views)
    manager.send("addProxiedMarkets", [proxy.address])
    return PerpMarket(listing, *(part.sees(proxy.address) for part in (views, trading, liquidation, orders)))
