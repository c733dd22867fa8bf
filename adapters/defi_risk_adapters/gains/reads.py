"""What is asked of the diamond, round by round: the trades, then what each depends on, then what its views say at the present price.

Only the first round must work. Everything after it is asked for one trade or one pair, and a failure costs no other trade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import CallReverted, OutOfRange, Unsupported
from defi_risk.ids import Address
from defi_risk.model import Owner
from defi_risk.spi import Call, Failed, Interface, Market, Steps, together
from defi_risk_adapters.gains.prices import Board
from defi_risk_adapters.tokens import symbols

DIAMOND: Final = Interface("defi_risk_abis", "gains/diamond")
NEWEST: Final = 2  # ITradingStorage.sol, ContractsVersion: before 9.2, 9.2, 10
PAUSED: Final = 2  # TradingActivated: activated, close only, paused
TRADE: Final = 0  # TradeType: trade, limit order, stop order
ORDERS: Final = (1, 2)
LIQ_CLOSE: Final = 6  # PendingOrderType
WHOLE: Final = 10**18  # partialCloseMultiplier
MOST_TRADES: Final = 256
MOST_COLLATERALS: Final = 255


@dataclass(frozen=True, slots=True)
class Told:
    """Answers of views by their names. One that failed is raised where it is needed."""

    answers: Mapping[str, Any]

    def __getitem__(self, view: str) -> Any:
        """The answer. Raises `CallReverted`."""
        answer = self.answers[view]
        if isinstance(answer, Failed):
            raise CallReverted(f"{view}: {answer.reason}")
        return answer

    def get(self, view: str) -> Any:
        """The answer, None where the view failed."""
        answer = self.answers[view]
        return None if isinstance(answer, Failed) else answer


@dataclass(frozen=True, slots=True)
class Collateral:
    """A coin that trades are opened in, by its number. `decimals` None: its precision is no power of ten."""

    token: Address
    decimals: int | None
    scale: int


@dataclass(frozen=True, slots=True)
class Held:
    """One trade, or one order for a trade, as the diamond lists it; `terms` are those of its liquidation."""

    trade: Any
    version: int
    terms: Any

    @property
    def is_order(self) -> bool:
        """Whether it is no position yet."""
        return bool(self.trade.tradeType != TRADE)

    @property
    def pair(self) -> tuple[int, int]:
        """Its collateral and its pair, by number."""
        return self.trade.collateralIndex, self.trade.pairIndex


@dataclass(frozen=True, slots=True)
class Listing:
    """The first round. `collaterals` by number, which starts at 1."""

    diamond: Address
    collaterals: Mapping[int, Collateral]
    paused: bool
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """The second round. `pairs` by collateral and pair, `coins` by collateral, `fees` by trade, `symbols` by token."""

    pairs: Mapping[tuple[int, int], Told]
    coins: Mapping[int, Told]
    fees: Mapping[int, Told]
    symbols: Mapping[Address, str]
    board: Board


def listing(market: Market, owner: Owner) -> Steps[Listing]:
    """Round 1. Raises `Unsupported` for contracts of an unknown version, `OutOfRange` for a list that cannot be."""
    diamond, who = market["diamond"], owner.address
    trades, infos, terms, collaterals, version, activated = yield [
        DIAMOND(diamond, "getTrades", who),
        DIAMOND(diamond, "getTradeInfos", who),
        DIAMOND(diamond, "getTradesLiquidationParams", who),
        DIAMOND(diamond, "getCollaterals"),
        DIAMOND(diamond, "getCurrentContractsVersion"),
        DIAMOND(diamond, "getTradingActivated"),
    ]
    if version > NEWEST:
        raise Unsupported(f"gTrade contracts of version {version} are not modelled", hint=f"up to {NEWEST} are")
    if not len(trades) == len(infos) == len(terms) <= MOST_TRADES:
        raise OutOfRange(f"{diamond} lists {len(trades)} trades with {len(infos)} infos and {len(terms)} liquidation terms")
    if len({trade.index for trade in trades}) < len(trades) or any(trade.user != who for trade in trades):
        raise OutOfRange(f"{diamond} lists a trade twice, or one of somebody else")
    if len(collaterals) > MOST_COLLATERALS:
        raise OutOfRange(f"{diamond} lists {len(collaterals)} collaterals")
    return Listing(
        diamond,
        {number: _collateral(each) for number, each in enumerate(collaterals, 1)},
        activated == PAUSED,
        tuple(Held(trade, info.contractsVersion, each) for trade, info, each in zip(trades, infos, terms, strict=True)),
    )


def facts(listed: Listing, owner: Owner, board: Steps[Board]) -> Steps[Facts]:
    """Round 2, with the prices."""
    diamond, who = listed.diamond, owner.address
    positions = [held for held in listed.held if not held.is_order]
    pairs = list(dict.fromkeys(held.pair for held in positions))
    coins = list(dict.fromkeys(held.trade.collateralIndex for held in listed.held))
    tokens = [listed.collaterals[number].token for number in coins if number in listed.collaterals]
    trades = [held.trade.index for held in positions]
    parts: list[Steps[Any]] = [
        board,
        symbols(tokens),
        *(_told(_pair_calls(diamond, who, *pair)) for pair in pairs),
        *(_told([DIAMOND(diamond, "getCollateralPriceUsd", number, optional=True)]) for number in coins),
        *(_told([DIAMOND(diamond, "getTradeFeesData", who, index, optional=True)]) for index in trades),
    ]
    prices, names, *told = yield from together(parts)
    of_pairs, of_coins, of_trades = told[: len(pairs)], told[len(pairs) : len(pairs) + len(coins)], told[len(pairs) + len(coins) :]
    return Facts(
        dict(zip(pairs, of_pairs, strict=True)),
        dict(zip(coins, of_coins, strict=True)),
        dict(zip(trades, of_trades, strict=True)),
        names,
        prices,
    )


def views(listed: Listing, asked: Sequence[tuple[Held, int]]) -> Steps[list[Told]]:
    """Round 3: what the diamond says of each trade at a price of its pair (1e10)."""
    return (yield from together([_told(_view_calls(listed.diamond, held, price)) for held, price in asked]))


def _told(calls: Sequence[Call]) -> Steps[Told]:
    answers = yield calls
    return Told({call.function: answer for call, answer in zip(calls, answers, strict=True)})


def _pair_calls(diamond: Address, who: Address, collateral: int, pair: int) -> list[Call]:
    both = ((collateral,), (pair,))
    arguments: dict[str, tuple[Any, ...]] = {
        "pairs": (pair,),
        "pairSpreadP": (who, pair),
        "pairTotalPositionSizeFeeP": (pair,),
        "pairMinPositionSizeUsd": (pair,),
        "pairMaxLeverage": (pair,),
        "getPairCounterTradeFeeRateMultiplier": (pair,),
        "getPairFundingFeeParams": both,
        "getPairFundingFeeData": both,
        "getPairBorrowingFeeParams": both,
        "getPairBorrowingFeeData": both,
        "getPairOiAfterV10Token": (collateral, pair),
    }
    return [DIAMOND(diamond, name, *given, optional=True) for name, given in arguments.items()]


def _view_calls(diamond: Address, held: Held, price: int) -> list[Call]:
    trade = held.trade
    details = (
        trade.collateralIndex,
        trade.user,
        trade.pairIndex,
        trade.index,
        trade.openPrice,
        trade.long,
        trade.collateralAmount,
        trade.leverage,
        0,
        tuple(held.terms),
        price,
        trade.isCounterTrade,
        WHOLE,
        False,
    )
    return [
        DIAMOND(diamond, "getTradePendingHoldingFeesCollateral", trade.user, trade.index, price, optional=True),
        DIAMOND(diamond, "getTradeLiquidationPrice", details, optional=True),
        DIAMOND(
            diamond, "validateTriggerCloseOrderCallback", (trade.user, trade.index), LIQ_CLOSE, price, price, price, price, optional=True
        ),
    ]


def _collateral(listed: Any) -> Collateral:
    digits = str(listed.precision)
    decimals = len(digits) - 1 if digits.strip("0") == "1" and digits[0] == "1" else None
    right = decimals is not None and decimals <= 18 and listed.precisionDelta == 10 ** (18 - decimals)
    return Collateral(listed.collateral, decimals if right else None, listed.precisionDelta)
