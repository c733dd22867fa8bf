"""Synthetix PerpsV2 as a script for tests: what its contracts answer about one owner. The figures are given, not computed: what the
real contracts say of them is compared in tests/chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from defi_risk.ids import ZERO_ADDRESS, Address, AssetId, ChainId, Factor, address_of
from defi_risk.model import Chain, FactorRef, Owner
from defi_risk.spi import Ask, Call, Context, Market
from tests.adapters.scripted import NOTHING_THERE

E18: Final = 10**18
NOW: Final = 1_767_225_600
DAY: Final = 86_400
OWNER: Final = Owner(address_of(bytes.fromhex("aa" * 20)))
CHAIN: Final = Chain(ChainId(10), "optimism")


def address(number: int) -> Address:
    """A made-up address."""
    return address_of(number.to_bytes(20, "big"))


MANAGER, REGISTRY, SETTINGS, STATUS, RATES, SYNTH, COIN = (address(0x100 + place) for place in range(7))
REGISTERED: Final = {"PerpsV2MarketSettings": SETTINGS, "SystemStatus": STATUS, "ExchangeRates": RATES, "SynthsUSD": SYNTH}


def word(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


@dataclass
class PerpWorld:
    """One market and the owner's position in it: 10 ETH long from 2,000 with 2,500 sUSD, at 2,000, without funding.

    `said` overrides an answer by the function's name; `NOTHING_THERE` makes it revert.
    """

    key: bytes = word("sETHPERP")
    asset: bytes = word("sETH")
    margin: int = 2_500 * E18
    size: int = 10 * E18
    last_price: int = 2_000 * E18
    price: int = 2_000 * E18
    said: dict[str, Any] = field(default_factory=dict)
    number: int = 0xE0

    @property
    def proxy(self) -> Address:
        return address(self.number)

    def answer(self, call: Call) -> Any:
        if call.function in self.said:
            return self.said[call.function]
        answers: Mapping[str, Callable[[], Any]] = {
            "marketKey": lambda: self.key,
            "baseAsset": lambda: self.asset,
            "assetPrice": lambda: (self.price, False),
            "marketSkew": lambda: 100 * E18,
            "fundingLastRecomputed": lambda: NOW - DAY,
            "fundingRateLastRecomputed": lambda: 0,
            "fundingSequenceLength": lambda: 5,
            "fundingSequence": lambda: 0,
            "currentFundingRate": lambda: 0,
            "delayedOrders": lambda: (False, 0, 0, 0, 0, 0, 0, 0, bytes(32)),
            "isFlagged": lambda: False,
            "positions": lambda: (7, 3, self.margin, self.last_price, self.size),
            "skewScale": lambda: 1_000_000 * E18,
            "liquidationPremiumMultiplier": lambda: E18,
            "liquidationBufferRatio": lambda: E18 // 100,
            "maxLeverage": lambda: 25 * E18,
            "maxFundingVelocity": lambda: 0,
            "futuresMarketSuspension": lambda: (False, 0),
            "rateAndUpdatedTime": lambda: (self.price, NOW - 60),
        }
        return answers[call.function]() if call.function in answers else NOTHING_THERE


@dataclass
class VenueWorld:
    """The venue around some markets. `said` as in `PerpWorld`, for what concerns all of them."""

    markets: list[PerpWorld] = field(default_factory=lambda: [PerpWorld()])
    said: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, Address] = field(default_factory=lambda: dict(REGISTERED))

    def market(self) -> Market:
        return Market("synthetix_perps_v2", CHAIN, "perps", (("market_manager", MANAGER),))

    def context(self) -> Context:
        factors = {AssetId(f"eip155:10/erc20:{COIN}"): FactorRef(Factor("sUSD"))}
        return Context(CHAIN, 1, NOW, {**factors, AssetId("eip155:10/synthetix_perps_v2:sETH"): FactorRef(Factor("ETH"))})

    def answer(self, ask: Ask) -> Any:
        assert isinstance(ask, Call)
        if ask.function in self.said:
            return self.said[ask.function]
        for one in self.markets:
            if ask.to == one.proxy or (ask.args and ask.args[0] in (one.key, one.asset)):
                return one.answer(ask)
        answers: Mapping[str, Callable[[], Any]] = {
            "allMarkets": lambda: [one.proxy for one in self.markets],
            "resolver": lambda: REGISTRY,
            "getAddress": lambda: self.registered.get(ask.args[0].rstrip(b"\0").decode(), ZERO_ADDRESS),
            "proxy": lambda: COIN,
            "decimals": lambda: 18,
            "exchangeSuspension": lambda: (False, 0),
            "futuresSuspension": lambda: (False, 0),
            "liquidationFeeRatio": lambda: 35 * E18 // 10_000,
            "minKeeperFee": lambda: 2 * E18,
            "maxKeeperFee": lambda: 1_000 * E18,
            "keeperLiquidationFee": lambda: 2 * E18,
            "minInitialMargin": lambda: 40 * E18,
        }
        return answers[ask.function]() if ask.function in answers else NOTHING_THERE
