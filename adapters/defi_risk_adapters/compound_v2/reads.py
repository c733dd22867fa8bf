"""What a Compound V2 market set is asked, in four rounds, and the answers in one shape for all forks.

1. the comptroller: its markets, those the owner entered, its rules and its own verdict;
2. the owner's balances in every market, and which markets hold the chain's own coin;
3. how markets count time, the tokens under those that the owner has something in, and the owner's weights there;
4. the books of those markets, prices and metadata.

A cETH (vBNB, qiAVAX) has a payable fallback that mints. A function that it does not have, such as `underlying()`, does not revert there:
it accrues the market, which within one batched `eth_call` changes what later reads of the batch see, or burns all gas where the batch
calls statically. So a market whose cash is its own balance of the chain's coin is taken for what it is and not probed; and should one
slip through because it has neither, nothing is asked in the round of the probes whose answer an accrual could change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from defi_risk.errors import CallReverted, MissingPrice, OutOfRange, Unsupported
from defi_risk.ids import ZERO_ADDRESS, Address, native_id
from defi_risk.model import Asset, Owner
from defi_risk.spi import Ask, Context, Failed, Interface, NativeBalance, Steps, together
from defi_risk.units import WAD
from defi_risk_adapters.compound_v2.accrual import Books
from defi_risk_adapters.tokens import metadata

COMPTROLLER: Final = Interface("defi_risk_abis", "compound_v2/comptroller")
CTOKEN: Final = Interface("defi_risk_abis", "compound_v2/ctoken")
ORACLE: Final = Interface("defi_risk_abis", "compound_v2/oracle")
VAI_CONTROLLER: Final = Interface("defi_risk_abis", "compound_v2/vai_controller")
# `markets(cToken)`: Moonwell; Compound, Benqi and Venus before 2025; Cream. The sizes differ, so one of them decodes.
MARKETS: Final = tuple(Interface("defi_risk_abis", f"compound_v2/markets_{fields}") for fields in (2, 3, 4))
COLLATERAL_FACTOR, LIQUIDATION_THRESHOLD = 0, 1  # Venus, `WeightFunction`
SEIZE, LIQUIDATE = 4, 5  # Venus, `Action`
NO_ERROR: Final = 0
L1_BLOCKS: Final = frozenset({42_161, 42_170, 421_614})  # Arbitrum: a contract sees the block number of Ethereum


@dataclass(frozen=True, slots=True)
class Rules:
    """What the comptroller says once. `view` is its own verdict on the owner; optional rules are None where a fork has none."""

    oracle: Address
    entered: frozenset[Address]
    markets: tuple[Address, ...]
    close_factor: int | None
    incentive: int | None
    view: Any
    paused: str
    vai_controller: Address | None
    pool: int


@dataclass(frozen=True, slots=True)
class Stake:
    """What the owner has in one market: cTokens and debt as last accrued, and the exchange rate that goes with them.

    `coin`: the market's cash is its balance of the chain's own coin. `empty`: both are 0, so that they do not tell.
    """

    token: Address
    tokens: int
    debt: int
    rate: int
    entered: bool
    coin: bool
    empty: bool


@dataclass(frozen=True, slots=True)
class Stakes:
    """What round 2 tells. `sample` is a market that may be asked for functions it does not have; `vai` the VAI token, `vai_debt` in it."""

    held: tuple[Stake, ...]
    sample: Address | None
    vai: Address
    vai_debt: int


@dataclass(frozen=True, slots=True)
class Kind:
    """What round 3 tells of a market: its underlying token (None: the chain's own coin) and the owner's terms."""

    underlying: Address | None
    weight: int
    initial_weight: int
    incentive: int | None
    forced: bool
    liquidate_paused: bool
    seize_paused: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Everything about one market that the owner has something in.

    `by_time`: it counts seconds, not blocks. `price` is None where it counts for nothing and has none.
    """

    stake: Stake
    kind: Kind
    by_time: bool
    books: Books
    supply_rate: int
    price: int | None
    asset: Asset


def rules(comptroller: Address, owner: Owner) -> Steps[Rules]:
    """Round 1."""
    who = owner.address
    everything, entered, oracle, close, incentive, view, seize_paused, all_paused, vai, pool = yield [
        COMPTROLLER(comptroller, "getAllMarkets"),
        COMPTROLLER(comptroller, "getAssetsIn", who),
        COMPTROLLER(comptroller, "oracle"),
        COMPTROLLER(comptroller, "closeFactorMantissa", optional=True),
        COMPTROLLER(comptroller, "liquidationIncentiveMantissa", optional=True),
        COMPTROLLER(comptroller, "getAccountLiquidity", who, optional=True),
        COMPTROLLER(comptroller, "seizeGuardianPaused", optional=True),
        COMPTROLLER(comptroller, "protocolPaused", optional=True),
        COMPTROLLER(comptroller, "vaiController", optional=True),
        COMPTROLLER(comptroller, "userPoolId", who, optional=True),
    ]
    if not isinstance(close, Failed) and close > WAD:
        raise OutOfRange(f"comptroller {comptroller} has a close factor above 1")
    return Rules(
        oracle=oracle,
        entered=frozenset(entered),
        markets=tuple(dict.fromkeys([*everything, *entered])),
        close_factor=None if isinstance(close, Failed) else close,
        incentive=None if isinstance(incentive, Failed) else incentive,
        view=view,
        paused="the protocol is paused" if _true(all_paused) else "seizing is paused" if _true(seize_paused) else "",
        vai_controller=None if isinstance(vai, Failed) or vai == ZERO_ADDRESS else vai,
        pool=0 if isinstance(pool, Failed) else pool,
    )


def stakes(owner: Owner, found: Rules) -> Steps[Stakes]:
    """Round 2. Raises `Unsupported` for a market that answers with an error code."""
    count = len(found.markets)
    asks: list[Ask] = [CTOKEN(token, "getAccountSnapshot", owner.address) for token in found.markets]
    asks += _cash_asks(found.markets)
    if found.vai_controller:
        asks.append(VAI_CONTROLLER(found.vai_controller, "getVAIRepayAmount", owner.address))
        asks.append(VAI_CONTROLLER(found.vai_controller, "getVAIAddress"))
    answers = yield asks
    held: list[Stake] = []
    tokens: list[Address] = []
    rows = zip(found.markets, answers[:count], answers[count : 2 * count], answers[2 * count : 3 * count], strict=True)
    for token, snapshot, cash, balance in rows:
        if snapshot.error != NO_ERROR:
            raise Unsupported(f"market {token} answers error {snapshot.error} when asked for the account's balances")
        entered, coin = token in found.entered, cash == balance > 0
        if not coin:
            tokens.append(token)
        if snapshot.borrowBalance and not entered:
            raise OutOfRange(f"the account owes in market {token} without having entered it")
        if snapshot.cTokenBalance or snapshot.borrowBalance:
            amounts = (snapshot.cTokenBalance, snapshot.borrowBalance, snapshot.exchangeRateMantissa)
            held.append(Stake(token, *amounts, entered, coin, cash == balance == 0))
    vai_debt, vai = answers[3 * count :] if found.vai_controller else (0, ZERO_ADDRESS)
    sample = tokens[0] if tokens else found.markets[0] if found.markets else None
    return Stakes(tuple(held), sample, vai, vai_debt)


@lru_cache(maxsize=64)
def _cash_asks(markets: tuple[Address, ...]) -> tuple[Ask, ...]:
    """The same asks for every owner, made once."""
    return (*(CTOKEN(token, "getCash") for token in markets), *(NativeBalance(token) for token in markets))


def checked_view(found: Rules) -> Any:
    """The comptroller's verdict, for an account that has something. Raises where the comptroller itself cannot judge."""
    if isinstance(found.view, Failed):
        raise CallReverted(f"getAccountLiquidity does not work for this account: {found.view.reason}")
    if found.view.error == 13:  # ComptrollerErrorReporter, PRICE_ERROR
        raise MissingPrice("the venue has no price for a market that the account has entered")
    if found.view.error != NO_ERROR:
        raise Unsupported(f"getAccountLiquidity answers error {found.view.error} for this account")
    return found.view


def kinds(comptroller: Address, owner: Owner, found: Stakes) -> Steps[tuple[bool, list[Kind]]]:
    """Round 3: whether the markets count seconds, and what each held one is. Raises `Unsupported` where that cannot be told."""
    parts: list[Steps[Any]] = [_by_time(found.sample), *(_kind(comptroller, owner.address, stake) for stake in found.held)]
    by_time, *each = yield from together(parts)
    return by_time, each


def _by_time(sample: Address | None) -> Steps[bool]:
    """Whether the markets of this comptroller count seconds: all do, or none. Only whether it answers matters, not what."""
    if sample is None:
        return False
    [stamp] = yield [CTOKEN(sample, "accrualBlockTimestamp", optional=True)]
    return not isinstance(stamp, Failed)


def _kind(comptroller: Address, who: Address, stake: Stake) -> Steps[Kind]:
    token = stake.token
    threshold, initial, incentive, forced, forced_user, deprecated, no_liquidation, no_seizing, *others = yield [
        COMPTROLLER(comptroller, "getEffectiveLtvFactor", who, token, LIQUIDATION_THRESHOLD, optional=True),
        COMPTROLLER(comptroller, "getEffectiveLtvFactor", who, token, COLLATERAL_FACTOR, optional=True),
        COMPTROLLER(comptroller, "getEffectiveLiquidationIncentive", who, token, optional=True),
        COMPTROLLER(comptroller, "isForcedLiquidationEnabled", token, optional=True),
        COMPTROLLER(comptroller, "isForcedLiquidationEnabledForUser", who, token, optional=True),
        COMPTROLLER(comptroller, "isDeprecated", token, optional=True),
        COMPTROLLER(comptroller, "actionPaused", token, LIQUIDATE, optional=True),
        COMPTROLLER(comptroller, "actionPaused", token, SEIZE, optional=True),
        *(kind(comptroller, "markets", token, optional=True) for kind in MARKETS),
        *([] if stake.coin else [CTOKEN(token, "underlying", optional=True, forever=True)]),
    ]
    weights = _weights(token, threshold, initial, others[: len(MARKETS)])
    underlying = None if stake.coin or isinstance(others[-1], Failed) else others[-1]
    if underlying is None and not (stake.coin or stake.empty):
        raise Unsupported(f"market {token} names no underlying token, and its cash is not the chain's own coin")
    return Kind(
        underlying=underlying,
        weight=weights[0],
        initial_weight=weights[1],
        incentive=None if isinstance(incentive, Failed) else incentive,
        forced=_true(forced) or _true(forced_user) or _true(deprecated),
        liquidate_paused=_true(no_liquidation),
        seize_paused=_true(no_seizing),
    )


def _weights(token: Address, threshold: Any, initial: Any, rows: Sequence[Any]) -> tuple[int, int]:
    """What counts for staying alive and what for borrowing: the account's own (Venus), else the market's one factor for both."""
    if isinstance(threshold, Failed) or isinstance(initial, Failed):
        listed = next((row for row in rows if not isinstance(row, Failed)), None)
        if listed is None:
            raise Unsupported(f"the comptroller does not tell the collateral factor of market {token} in a way that is known")
        threshold = initial = listed.collateralFactorMantissa
    if max(threshold, initial) > WAD:
        raise OutOfRange(f"market {token} has a collateral factor above 1")
    return threshold, initial


def books(
    at: Context, oracle: Address, found: Stakes, by_time: bool, kinds: Sequence[Kind]
) -> Steps[tuple[list[Held], dict[Address, Asset]]]:
    """Round 4: the held markets whole, and the metadata of the tokens under them and of VAI where it is owed."""
    tokens = [kind.underlying for kind in kinds if kind.underlying] + ([found.vai] if found.vai_debt else [])
    parts: list[Steps[Any]] = [metadata(at, tokens), *(_books(at, oracle, stake, by_time) for stake in found.held)]
    assets, *rows = yield from together(parts)
    coin = Asset(native_id(at.chain.id), at.chain.coin, 18)
    held = [
        Held(stake, kind, by_time, totals, supply_rate, price, assets[kind.underlying] if kind.underlying else coin)
        for stake, kind, (totals, supply_rate, price) in zip(found.held, kinds, rows, strict=True)
    ]
    return held, assets


def _books(at: Context, oracle: Address, stake: Stake, by_time: bool) -> Steps[tuple[Books, int, int | None]]:
    token, unit = stake.token, "Timestamp" if by_time else "Block"
    accrued_at, index, borrows, reserves, supply, cash, reserve_factor, borrow_rate, supply_rate, price = yield [
        CTOKEN(token, "accrualBlockTimestamp" if by_time else "accrualBlockNumber"),
        *(CTOKEN(token, name) for name in ("borrowIndex", "totalBorrows", "totalReserves", "totalSupply", "getCash")),
        CTOKEN(token, "reserveFactorMantissa"),
        CTOKEN(token, f"borrowRatePer{unit}"),
        CTOKEN(token, f"supplyRatePer{unit}"),
        ORACLE(oracle, "getUnderlyingPrice", token, optional=not stake.entered),
    ]
    now = at.timestamp if by_time else at.number
    if not by_time and at.chain.id in L1_BLOCKS:
        raise Unsupported(f"market {token} accrues by blocks of another chain than {at.chain.name}")
    if not (index > 0 and accrued_at <= now and reserve_factor <= WAD and stake.rate > 0):
        raise OutOfRange(f"the books of market {token} cannot be right")
    if isinstance(price, Failed):
        price = 0
    if stake.entered and price <= 0:
        raise MissingPrice(f"the venue prices market {token} at {price}")
    totals = Books(cash, borrows, reserves, supply, index, borrow_rate, reserve_factor, now - accrued_at)
    return totals, supply_rate, price or None


def _true(answer: Any) -> bool:
    """A flag that a fork may not have."""
    return not isinstance(answer, Failed) and bool(answer)
