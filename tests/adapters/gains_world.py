"""gTrade as a script for tests: what its diamond, its price service and its feeds answer about one owner. The figures of views are given,
not computed: what the double says of them is compared in tests/chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from defi_risk_adapters.gains import Gains
from defi_risk_adapters.tokens import ERC20

from defi_risk.ids import Address, AssetId, ChainId, Factor, address_of
from defi_risk.model import Account, Chain, FactorRef, Owner
from defi_risk.spi import Ask, Call, Context, InfoCall, Market
from tests.adapters.scripted import NOTHING_THERE, Drive, drive

P10: Final = 10**10
NOW: Final = 1_767_225_600
DAY: Final = 86_400
OWNER: Final = Owner(address_of(bytes.fromhex("aa" * 20)))
CHAIN: Final = Chain(ChainId(42161), "arbitrum")


def address(number: int) -> Address:
    """A made-up address."""
    return address_of(number.to_bytes(20, "big"))


DIAMOND, USDC, WETH, FEED = (address(0x100 + place) for place in range(4))
TERMS: Final = (5 * 10**8, 90 * P10, 80 * P10, 25_000, 150_000)
NO_TERMS: Final = (0, 0, 0, 0, 0)
LINE: Final = 18_216 * 10**9
"""The line of the trade below: 2,000 less 200 * (90 % - 0.6 % fee) less 0.02 % spread."""


@dataclass
class Trade:
    """A trade in ETH/USD: 1,000 USDC ten times long from 2,000, or what the fields say."""

    index: int = 0
    pair: int = 1
    collateral: int = 1
    amount: int = 1_000 * 10**6
    leverage: int = 10_000
    long: bool = True
    entry: int = 2_000 * P10
    kind: int = 0
    counter: bool = False
    version: int = 2
    terms: tuple[int, ...] = TERMS
    user: str = OWNER.address

    @property
    def listed(self) -> tuple[Any, ...]:
        """The struct `Trade`."""
        start = (self.user, self.index, self.pair, self.leverage, self.long, True, self.collateral, self.kind)
        return (*start, self.amount, self.entry, 0, 0, self.counter, 0, 0)


@dataclass
class GainsWorld:
    """The diamond with the owner's trades. `charts` is what the price service says, `said` overrides the answer of a function by its
    name; a callable gets the call. `NOTHING_THERE` in their place makes it fail.
    """

    trades: list[Trade] = field(default_factory=lambda: [Trade()])
    charts: Any = field(default_factory=lambda: {"time": NOW * 1_000, "closes": [1, 1], "indexPrices": [65_000, 2_000]})
    said: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    asked: list[Ask] = field(default_factory=list)

    def market(self) -> Market:
        return Market("gains", CHAIN, "perps", (("diamond", DIAMOND), *self.settings.items()))

    def context(self) -> Context:
        tokens = {AssetId(f"eip155:42161/erc20:{USDC}"): "USDC", AssetId(f"eip155:42161/erc20:{WETH}"): "ETH"}
        listed = {AssetId("eip155:42161/gains:ETH/USD"): "ETH"}
        return Context(CHAIN, 1, NOW, {asset: FactorRef(Factor(name)) for asset, name in (tokens | listed).items()}, {FEED: 3_600})

    def answer(self, ask: Ask) -> Any:
        self.asked.append(ask)
        if isinstance(ask, InfoCall):
            return self.charts
        assert isinstance(ask, Call)
        if ask.function in self.said:
            said = self.said[ask.function]
            return said(ask) if callable(said) else said
        answers: Mapping[str, Callable[[], Any]] = {
            "getTrades": lambda: [trade.listed for trade in self.trades],
            "getTradeInfos": lambda: [(0, 0, 0, 0, 0, 0, trade.version, 0, 0) for trade in self.trades],
            "getTradesLiquidationParams": lambda: [trade.terms for trade in self.trades],
            "getCollaterals": lambda: [(USDC, True, 0, 10**6, 10**12), (WETH, True, 0, 10**18, 1)],
            "getCurrentContractsVersion": lambda: 2,
            "getTradingActivated": lambda: 0,
            "symbol": lambda: {USDC: "USDC", WETH: "WETH"}.get(ask.to, "?") if ask.interface == ERC20 else NOTHING_THERE,
            "getCollateralPriceUsd": lambda: 2_000 * 10**8 if ask.args[0] == 2 else 10**8,
            "getTradeFeesData": lambda: (0,) * 8,
            "pairs": lambda: (["BTC", "ETH", "DOGE"][ask.args[0]], "USD", (FEED, FEED, 0, 0), 0, 0, 0),
            "pairSpreadP": lambda: 4 * 10**8,
            "pairTotalPositionSizeFeeP": lambda: 6 * 10**8,
            "pairMinPositionSizeUsd": lambda: 1_500 * 10**18,
            "pairMaxLeverage": lambda: 150_000,
            "getPairCounterTradeFeeRateMultiplier": lambda: 500,
            "getPairFundingFeeParams": lambda: [(0, 0, 0, 0, False, False, 0)],
            "getPairFundingFeeData": lambda: [(0, 0, 0, NOW, 0)],
            "getPairBorrowingFeeParams": lambda: [(0, 0)],
            "getPairBorrowingFeeData": lambda: [(0, NOW, 0)],
            "getPairOiAfterV10Token": lambda: (0, 0),
            "getTradePendingHoldingFeesCollateral": lambda: (0, 0, 0, 0),
            "getTradeLiquidationPrice": lambda: LINE,
            "validateTriggerCloseOrderCallback": lambda: checked(11),
            "decimals": lambda: 8,
            "latestRoundData": lambda: (1, 2_000 * 10**8, NOW, NOW - 60, 1),
        }
        return answers[ask.function]() if ask.function in answers else NOTHING_THERE


def checked(reason: int) -> tuple[Any, ...]:
    """What `validateTriggerCloseOrderCallback` answers; 0 is no reason not to liquidate."""
    return Trade().listed, (0, 0, 0, 0, 0, 0, False, 0, (0,) * 6, reason, 0, 0, 0, 0, 0)


def read(world: GainsWorld) -> Drive:
    """The reading of the owner's trades."""
    return drive(Gains().read(OWNER, world.market(), world.context()), world.answer)


def only(world: GainsWorld) -> Account:
    """The one account that comes of it."""
    return read(world).account
