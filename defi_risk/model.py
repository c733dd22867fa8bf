"""What was read, before any risk figure: anchors, assets, prices, legs and margin accounts. Frozen values, no arithmetic.

A margin account is the smallest set of collateral and obligations that one liquidation engine judges together. Amounts and prices
are exact (`Quantity`, `Decimal`); they become float64 in `defi_risk.health.normal` and nowhere else. What could not be read is an
account with status "unknown" and a reason, never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, Protocol

from defi_risk.ids import USD, AccountId, Address, AssetId, ChainId, Factor, Peg
from defi_risk.text import clean
from defi_risk.units import Quantity

ONE: Final = Decimal(1)
PRICES: Final = "prices:"
"""What the ids of sources start with that give past prices and no accounts."""
PAR: Final = "par"
"""The source of a price that nobody told: a dollar coin at a dollar, until another source of the book prices it."""
ETHER: Final = Factor("ETH")
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
TRANSFER: Final = "Transfer(address,address,uint256)"


class Side(StrEnum):
    """Which kind of liquidation engine judges an account."""

    LENDING = "lending"
    DERIVATIVES = "derivatives"


class Role(StrEnum):
    """What a leg is inside its account."""

    COLLATERAL = "collateral"
    DEBT = "debt"
    MARGIN = "margin"
    POSITION = "position"


class Contract(StrEnum):
    """How a derivative settles: in its quote coin (linear) or in the coin of its factor (inverse)."""

    LINEAR = "linear"
    INVERSE = "inverse"


class Basis(StrEnum):
    """Which notional the maintenance rate applies to: the one at the mark, or the one at entry (GMX)."""

    MARK = "mark"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: EIP-155 id, the name used in books, and the symbol and factor of its own coin."""

    id: ChainId
    name: str
    coin: str = "ETH"
    coin_factor: Factor = ETHER


@dataclass(frozen=True, slots=True)
class Anchor:
    """The block that every read of a scan is pinned to. `timestamp` in unix seconds UTC; `hash` as 0x and 64 hex digits."""

    chain: Chain
    number: int
    hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Asset:
    """A token or coin by its id. `symbol` is what the token calls itself, cleaned: for eyes only, never identity."""

    id: AssetId
    symbol: str
    decimals: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbol", clean(self.symbol, 64))


@dataclass(frozen=True, slots=True)
class FactorRef:
    """What an asset is worth in factors: one factor, and the peg that can break where it is pegged to it."""

    factor: Factor
    peg: Peg | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """A price as the venue reads it: units of `unit` (USD, or a factor such as ETH) for one whole token.

    `source` names the oracle (an address, or "book"). `updated_at` is the unix time of the oracle's answer and `heartbeat` the
    seconds after which it counts as stale; None where the oracle does not tell. `capped` tells whether a cap of the oracle's own
    holds the price below its market; None where it has none.
    """

    value: Quantity
    unit: Factor = USD
    source: str = ""
    updated_at: int | None = None
    heartbeat: int | None = None
    capped: bool | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a venue's oracle says one whole unit of an unpegged factor is worth in USD: it prices what no venue of the book does."""

    factor: Factor
    price: Price


@dataclass(frozen=True, slots=True)
class Tier:
    """One maintenance bracket: from `floor` of notional on, `rate` of the notional less `deduction`.

    `floor` and `deduction` in the quote coin (inverse contracts: in the coin of the factor), `rate` a fraction.
    """

    floor: Decimal
    rate: Decimal
    deduction: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The derivative behind a leg of role POSITION; the leg's factor is what it follows.

    `size` is signed, in base units (inverse: in USD of notional); `entry` and `mark` in the quote coin for one base unit. Profit is
    `unrealized_pnl` in the quote coin (inverse: in the coin of the factor), or follows from entry and mark where that is None.
    Rates are fractions; `funding_8h` positive means that longs pay shorts, `borrow_apr` is what either side pays a year, and both are
    of the notional at the mark. `funding_apart`: what it receives is claimed, and never margin; what it pays is taken from the margin.

    In the coin that the contract settles in: `accrued_funding` is what has run up since the last settlement and is not in the margin
    yet, received (negative: to be paid), `accrued_fees` what is owed beside it (borrowing fees, interest). Both are part of equity and
    of C. `exit_cost` is what the venue's rule takes off for closing all of it now (closing fee, price impact, a cap on profit): part of
    C, of equity only once it is closed. `pnl_weight` is the share of profit or loss that counts in C where the venue values the settling
    coin with a haircut (a loss in a coin that is still held counts as less, too). `close_fee` and `liquidation_fee` are shares of the
    notional that the maintenance rate applies to: the first is part of the requirement and paid on every close, the second is charged by a
    liquidation alone. A dated future has the unix time at which it `expires`; `index` is the venue's spot price of the underlying in the
    quote coin, where it tells it.
    """

    size: Decimal
    entry: Decimal
    mark: Decimal
    quote: Factor
    quote_peg: Peg | None = None
    contract: Contract = Contract.LINEAR
    tiers: tuple[Tier, ...]
    basis: Basis = Basis.MARK
    initial_rate: Decimal
    close_fee: Decimal = Decimal(0)
    liquidation_fee: Decimal = Decimal(0)
    funding_8h: Decimal | None = None
    funding_apart: bool = False
    borrow_apr: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    accrued_funding: Decimal = Decimal(0)
    accrued_fees: Decimal = Decimal(0)
    exit_cost: Decimal = Decimal(0)
    pnl_weight: Decimal = ONE
    expires: int | None = None
    index: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One holding or obligation inside an account.

    `amount` is in token units and not negative (a debt is told by its role; margin may be negative). `weight` is the share that
    counts for staying alive (liquidation threshold, liquidate collateral factor, 1 - haircut), `initial_weight` for borrowing and
    withdrawing (LTV, borrow collateral factor); both fractions, 0 where the venue counts nothing. `enabled` is False for a holding
    that the venue does not take as collateral: it is owned, but no health rests on it. `bonus` is what a liquidator earns on this
    collateral (0.05 = 5 %). `apr` is the simple annual rate, earned by collateral and paid by debt; `compounding` says how it
    grows ("linear", "per second", "per block"). `available` is what the venue could pay out of this asset now. `movable` is False for
    margin that nobody can pay in or take out by itself (funding that the venue has yet to write down). A debt in a derivatives account is
    taken off C; `maintenance_rate` is the share of its value that the venue's rule asks for beside that. A `weight` above 1 counts for a
    negative amount alone, which is owed at that much more than its price.
    """

    role: Role
    asset: Asset
    factor: Factor
    peg: Peg | None = None
    amount: Quantity
    price: Price | None = None
    weight: Decimal = ONE
    initial_weight: Decimal | None = None
    enabled: bool = True
    bonus: Decimal | None = None
    apr: Decimal | None = None
    compounding: str = ""
    available: Quantity | None = None
    movable: bool = True
    maintenance_rate: Decimal = Decimal(0)
    position: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationRule:
    """What the venue's liquidation does to an account, for the cascade.

    `kind`: "repay" (a liquidator repays up to a share of one debt and takes collateral with a bonus), "absorb" (the venue takes
    the whole account), "close" (positions are closed). `close_factor` is the share of one debt repayable in one call (`of_whole`: of
    one debt up to this share of all debts together; "close": the share of every position that one step closes); all of it when the
    health is at or below `full_below`, or when the collateral or debt in question ("close": all positions together) is worth less than
    `full_under_usd`. What a call leaves of both must be worth `dust_usd` each, or nothing. `remainder`: "refunded" or "lost" after a
    close.
    """

    kind: Literal["repay", "absorb", "close"]
    close_factor: Decimal = ONE
    of_whole: bool = False
    full_below: Decimal | None = None
    full_under_usd: Decimal | None = None
    dust_usd: Decimal | None = None
    remainder: Literal["refunded", "lost"] = "refunded"


@dataclass(frozen=True, slots=True)
class Feed:
    """One oracle answer that an account depends on: `key` names it inside its Exact, `asset` is the token it prices, `now` its
    present answer in the oracle's own integer unit (Aave: `getAssetPrice`, Comet: `getPrice`, Compound V2: `getUnderlyingPrice`).
    """

    key: str
    asset: Asset
    now: int


class Exact(Protocol):
    """An account in the venue's own integers at the anchor's time. Pure; the same questions always give the same answers.

    `native` judges the state that the venue's *view* functions see; the other two judge what its *liquidation call* would see
    (accrued to the anchor). `answers` maps feed keys to oracle answers that replace the present ones.
    """

    def native(self) -> Mapping[str, int | bool]:
        """The venue's own numbers under the venue's own names."""
        ...

    def feeds(self) -> tuple[Feed, ...]:
        """The oracle answers that the verdict depends on."""
        ...

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the venue's liquidation call would find the account liquidatable at these answers."""
        ...

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only if the account is certainly not liquidatable at every answer of feed `key` in [low, high], the others
        unchanged. May be False where it is safe (a lower bound on health that is not tight), never True where it is not; exact
        when low = high.
        """
        ...


Native = int | bool | str
"""A venue's own number: an integer of a contract, or the decimal text of an exchange, digit for digit."""


def as_text(value: Native) -> str:
    """A native number as snapshots write it: integers in decimal digits, booleans as `true` and `false`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The venue's own verdict, read at the same block: the numbers of `native` as the venue's views returned them.

    `tolerance` is the relative difference up to which numbers count as equal; None: they are equal digit for digit.
    """

    protocol: Mapping[str, Native]
    match: bool
    tolerance: Decimal | None = None

    @classmethod
    def compare(cls, ours: Mapping[str, int | bool], theirs: Mapping[str, int | bool]) -> SelfCheck:
        """Compare number by number; a name that we do not compute is a difference."""
        return cls(dict(theirs), all(name in ours and ours[name] == value for name, value in theirs.items()))

    @classmethod
    def within(cls, tolerance: Decimal, ours: Mapping[str, str], theirs: Mapping[str, str], scale: Decimal = ONE) -> SelfCheck:
        """Compare decimal texts: they may differ by `tolerance` of the greater, or of `scale` where both are smaller."""
        return cls(
            dict(theirs), all(name in ours and _close(ours[name], text, tolerance, scale) for name, text in theirs.items()), tolerance
        )


def _close(one: str, other: str, tolerance: Decimal, scale: Decimal) -> bool:
    if one == other:
        return True
    try:
        ours, theirs = Decimal(one), Decimal(other)
    except InvalidOperation:
        return False
    return abs(ours - theirs) <= tolerance * max(abs(ours), abs(theirs), scale)


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What an exchange says that a key may do beside reading; None: it does not say. `bound` tells whether it is tied to addresses."""

    trade: bool | None = None
    withdraw: bool | None = None
    bound: bool | None = None

    @property
    def strong(self) -> bool:
        """Whether the key is known to be able to do harm."""
        return bool(self.trade or self.withdraw)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds an account: a wallet address, with the name it was asked by (`vitalik.eth`) where there was one."""

    address: Address
    name: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A contract that logs `event`, whose first indexed address is an account's owner, in the transactions that are the account's own.

    For the event `TRANSFER` it is units minted to the owner: a debt token.
    """

    contract: Address
    event: str = TRANSFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Where an account's venue takes in and pays out one ERC-20 token, so that the token's transfers can be followed.

    `holder` is the address that they go to and come from; the zero address where the venue burns and mints. Where there are `proofs`, a
    transfer is the account's only if one of them stands in the same transaction. Where there is a `receipt`, the token that stands for
    what is supplied, a transfer in whose transaction some of it is given up is a withdrawal and not a loan. Accounts of one
    owner that share a purse at the venue have the same custody.
    """

    asset: AssetId
    holder: Address
    proofs: tuple[Proof, ...] = ()
    receipt: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One margin account as it was read.

    `liquidatable` is the venue's verdict at the anchor (None: unknown, or left to the model for accounts without `exact`).
    `strict` True: dead only below the line; False: dead on it. `blocked` says why a liquidation would be refused at present though
    the account is below its line (a pause, a grace period), empty where nothing stands in the way. `owner_name` is the name that the
    owner was asked by, where there was one; the engine fills it in. `line` is the ratio of C to the maintenance margin at which the venue
    liquidates (1.05 of a Binance portfolio margin account): R is the maintenance margin times it. `assumptions` say, a sentence each, where
    a figure of the account rests on something else than what the venue said about it now (a bundled table, a rule held constant). `custody`
    is of the tokens that a loan owes, or that margin may consist of. `stated` are an exchange's figures as we compute them, as decimal
    text.
    """

    id: AccountId
    owner: str
    owner_name: str = ""
    side: Side
    venue: str
    market: str
    chain: str | None = None
    mode: str = "cross"
    legs: tuple[Leg, ...] = ()
    exact: Exact | None = None
    native: Mapping[str, int | bool] = field(default_factory=dict)
    stated: Mapping[str, str] = field(default_factory=dict)
    self_check: SelfCheck | None = None
    liquidatable: bool | None = None
    strict: bool = True
    blocked: str = ""
    rule: LiquidationRule = LiquidationRule(kind="repay")
    source: str = ""
    status: str = "ok"
    reason: str = ""
    custody: tuple[Custody, ...] = ()
    line: Decimal = ONE
    assumptions: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the account was read whole."""
        return self.status == "ok"

    @property
    def numbers(self) -> dict[str, Native]:
        """The venue's own numbers as we compute them: a contract's integers, an exchange's decimals."""
        return {**self.native, **self.stated}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """How reading one source went. `kind` "chain", "exchange" (a venue's own service) or "manual"; `status` "ok", "stale" or "failed" with
    `error`. `as_of` is the unix time that a service gives its own answers.

    `calls` counts the questions asked after merging equal ones, `round_trips` the times the scan waited for the source, `seconds`
    the wall time of both. `notes` are harmless findings (clock skew, a fallback that was used). `sequencer` says what is wrong with a
    rollup's sequencer, empty where it is up or there is none. `key` is what the key of an exchange account may do; None where none is
    needed.
    """

    id: str
    kind: str = "chain"
    status: str = "ok"
    error: str = ""
    anchor: Anchor | None = None
    calls: int = 0
    round_trips: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    sequencer: str = ""
    as_of: int | None = None
    key: KeyRights | None = None
