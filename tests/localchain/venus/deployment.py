"""Deploy Venus: the comptroller behind its proxy, markets, and VAI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import double, venus
from tests.localchain.assets import USD_PRICES, Assets
from tests.localchain.contract import DEPLOYER, Contract, at, deploy
from tests.localchain.people import person
from tests.localchain.tokens import MAX, units
from tests.localchain.venus.market import ACCRUAL_SLOT, VAI_ACCRUAL_SLOT, VenusMarket, VenusReserve

WAD: Final = 10**18
MARKET_DECIMALS: Final = 8
VAI: Final = "0x4BD17003473389A42DAF6a0a729f6Fdb328BbBd7"
"""The one address at which the VAI controller looks for its token."""
VAI_MINT_RATE: Final = 8_000  # of the borrowing power, in basis points


@dataclass(frozen=True, slots=True)
class Listing:
    """A market as governance lists it: collateral factor and reserve factor in per cent, borrow cap in whole tokens (0: none)."""

    symbol: str
    factor: int
    reserve_factor: int = 10
    borrow_cap: int = 0


COIN: Final = "COIN"
"""The chain's own coin: a market without an underlying token."""
COIN_DECIMALS: Final = 18
COIN_PRICE: Final = "2511.98765432"
LISTINGS: Final = (
    Listing("WETH", 80),
    Listing("wstETH", 75),
    Listing("WBTC", 75, 20),
    Listing("USDC", 82),
    Listing("DAI", 80, 15, borrow_cap=5_000_000),
    Listing("LINK", 55, 25, borrow_cap=20_000),
    Listing("CRV", 0, 35),
    Listing(COIN, 80),
)


def deploy_venus(anvil: Anvil, assets: Assets | None = None) -> VenusMarket:
    """Deploy everything (on tokens that stand already, where given); prices come from an oracle that everybody may set."""
    assets = assets or Assets(anvil)
    comptroller, oracle = _deploy_comptroller(anvil)
    rates = deploy(anvil, venus("JumpRateModel"), WAD * 2 // 100, WAD * 10 // 100, WAD * 109 // 100, WAD * 8 // 10)
    reserves = {listing.symbol: _deploy_market(assets, comptroller, rates, listing.symbol) for listing in LISTINGS}
    vai, controller = _deploy_vai(anvil, comptroller)
    market = VenusMarket(anvil, comptroller, oracle, reserves, vai, controller)
    for listing in LISTINGS:
        _list(market, listing)
    _check_slots(market)
    return market


def _deploy_comptroller(anvil: Anvil) -> tuple[Contract, Contract]:
    proxy = deploy(anvil, venus("Unitroller"))
    implementation = deploy(anvil, venus("Comptroller"))
    proxy.send("_setPendingImplementation", implementation.address)
    implementation.send("_become", proxy.address)
    comptroller = implementation.sees(proxy.address)
    oracle = deploy(anvil, double("price_oracle"))
    comptroller.send("_setPriceOracle", oracle.address)
    comptroller.send("_setComptrollerLens", deploy(anvil, venus("ComptrollerLens")).address)
    comptroller.send("_setAccessControl", deploy(anvil, double("allow_all")).address)
    comptroller.send("_setCloseFactor", WAD // 2)
    comptroller.send("_setLiquidationIncentive", WAD * 110 // 100)
    return comptroller, oracle


def _deploy_market(assets: Assets, comptroller: Contract, rates: Contract, symbol: str) -> VenusReserve:
    """A market token has 8 decimals and starts at 0.02 of the underlying."""
    token = None if symbol == COIN else assets.token(symbol)
    decimals = token.decimals if token else COIN_DECIMALS
    exchange_rate = 2 * 10 ** (16 + decimals - MARKET_DECIMALS)
    names = (f"Venus {symbol}", f"v{symbol}", MARKET_DECIMALS, DEPLOYER)
    common = (comptroller.address, rates.address, exchange_rate, *names)
    if token is None:
        market = deploy(assets.anvil, venus("MockVBNB"), *common)
    else:
        market = deploy(assets.anvil, venus("VBep20Immutable"), token.address, *common)
    return VenusReserve(symbol, decimals, market, token)


def _list(market: VenusMarket, listing: Listing) -> None:
    """A market needs a price before it can have a collateral factor. Supply cap 0 means closed, borrow cap 0 means none."""
    reserve = market.reserves[listing.symbol]
    address = reserve.market.address
    market.set_price(listing.symbol, COIN_PRICE if listing.symbol == COIN else USD_PRICES[listing.symbol])
    market.comptroller.send("_supportMarket", address)
    if listing.factor:
        market.set_collateral_factor(listing.symbol, WAD * listing.factor // 100)
    reserve.market.send("_setReserveFactor", WAD * listing.reserve_factor // 100)
    market.comptroller.send("_setMarketSupplyCaps", [address], [MAX.units])
    market.comptroller.send("_setMarketBorrowCaps", [address], [units(listing.borrow_cap, reserve.decimals)])


def _deploy_vai(anvil: Anvil, comptroller: Contract) -> tuple[Contract, Contract]:
    """The controller behind its proxy. Its token must stand at a fixed address: code is put there, and the right to mint."""
    vai = _put_vai(anvil)
    proxy = deploy(anvil, venus("VAIUnitroller"))
    implementation = deploy(anvil, venus("VAIController"))
    proxy.send("_setPendingImplementation", implementation.address)
    implementation.send("_become", proxy.address)
    controller = implementation.sees(proxy.address)
    controller.send("initialize")
    controller.send("_setComptroller", comptroller.address)
    controller.send("setAccessControl", deploy(anvil, double("allow_all")).address)
    controller.send("setReceiver", person("treasury"))
    controller.send("setBaseRate", WAD * 3 // 100)
    vai.send("rely", controller.address)
    comptroller.send("_setVAIController", controller.address)
    comptroller.send("_setVAIMintRate", VAI_MINT_RATE)
    return vai, controller


def _put_vai(anvil: Anvil) -> Contract:
    chain = int(anvil.rpc("eth_chainId"), 16)
    elsewhere = deploy(anvil, venus("VAI"), chain)
    anvil.set_code(VAI, anvil.rpc("eth_getCode", elsewhere.address, "latest"))
    ward = keccak(encode(["address", "uint256"], [DEPLOYER, 0]))  # slot of wards[DEPLOYER]
    anvil.set_storage(VAI, int.from_bytes(ward), 1)
    return at(anvil, venus("VAI"), VAI)


def _check_slots(market: VenusMarket) -> None:
    """Passing time writes these slots: better no market than a wrong one."""
    for reserve in market.reserves.values():
        if market.anvil.storage(reserve.market.address, ACCRUAL_SLOT) != reserve.market.call("accrualBlockNumber"):
            raise AssertionError(f"slot {ACCRUAL_SLOT} of v{reserve.symbol} is not the accrual block")
    controller = market.vai_controller
    controller.send("accrueVAIInterest")
    if market.anvil.storage(controller.address, VAI_ACCRUAL_SLOT) != market.anvil.block().number:
        raise AssertionError(f"slot {VAI_ACCRUAL_SLOT} of the VAI controller is not the accrual block")
