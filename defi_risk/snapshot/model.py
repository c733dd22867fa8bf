"""A snapshot: one frozen reading of a book with all its figures, as written to JSON.

The field names are the keys of the file. Amounts in token units and exact integers are strings; USD figures, ratios, rates and moves are
numbers; absent is null, never NaN or infinity; times are RFC 3339 UTC. Fields that are `UNSET` belong to parts that were not asked for,
and are left out of the file.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from defi_risk.snapshot.canonical import Said
from defi_risk.snapshot.linked import Link
from defi_risk.snapshot.results import Boundary, Chance, Event, Move, Ratio, Sigma, Stress, Usd

if TYPE_CHECKING:
    import pandas

SCHEMA: Final = "defi-risk/snapshot/1"

Exact = Annotated[str, Meta(pattern=r"^-?[0-9]+$", description="an exact integer")]
Amount = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="an exact amount in token units")]
Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", description="RFC 3339, UTC")]
Direction = Literal["down", "up"]
Kind = Literal["chain", "exchange", "manual"]
SourceStatus = Literal["ok", "stale", "failed"]
Side = Literal["lending", "derivatives"]
Role = Literal["collateral", "debt", "margin", "position"]
Severity = Literal["info", "warning", "critical"]
Bound = Literal["exact", "at_most", "unknown"]
Evidence = float | int | str | bool | None


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the exchange says that the key may do beside reading, and whether it is bound to addresses; null: it does not say."""

    trade: bool | None
    withdraw: bool | None
    bound: bool | None


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How reading one source went; the block fields are those of a chain's anchor, null where there is none, `key` is of an exchange's."""

    id: str
    kind: Kind
    status: SourceStatus
    error: str | None
    chain_id: int | None
    block: int | None
    block_hash: str | None
    block_time: Time | None
    as_of: Time | None
    calls: int
    round_trips: int
    seconds: float
    notes: tuple[str, ...]
    key: Key | None = None


class Oracle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a price comes from: an oracle's address or `book`. The age is that at the block; `capped` where an adapter limits the price."""

    source: str
    updated_at: Time | None
    age_seconds: int | None
    heartbeat_seconds: int | None
    capped: bool | None


class LiquidationRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the venue's liquidation does: `repay` a share of one debt, `absorb` the account, or `close` positions.

    With `of_whole` one debt may be repaid up to `close_factor` of all debts together. All of it may be repaid at or below
    `full_below_health`, or where collateral or debt is worth less than `full_under_usd`; what is left of both must be worth `dust_usd`
    each. A `close` shuts the share `close_factor` of every position in one step.
    """

    kind: Literal["repay", "absorb", "close"]
    close_factor: Ratio
    of_whole: bool
    full_below_health: Ratio | None
    full_under_usd: Usd | None
    dust_usd: Usd | None
    remainder: Literal["refunded", "lost"]


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a derivative's contract says, so that a snapshot is enough to compute its account anew.

    `mark` and `unrealized_pnl` are in the quote coin (an inverse contract's profit: in the coin of its factor), `quote_usd` is USD for
    one quote coin; `tiers` are maintenance brackets of floor, rate and deduction; `maintenance_basis` tells which notional they apply to.
    In the coin that it settles in: `accrued_funding` received and `accrued_fees` owed since the last settlement, and the `exit_cost` that
    the venue's rule takes off. `liquidation_fee` is charged by a liquidation alone, `borrow_apr` paid a year by either side;
    `funding_apart`: funding received is claimed and never margin. `pnl_weight` is the share of the profit that counts as collateral. A
    dated future has a time at which it `expires`; `index` is the venue's spot price of what it follows, in the quote coin.
    """

    contract: Literal["linear", "inverse"]
    quote: str
    quote_peg: str | None
    quote_usd: Usd
    mark: float
    unrealized_pnl: float
    tiers: tuple[tuple[float, float, float], ...]
    maintenance_basis: Literal["mark", "entry"]
    initial_rate: Ratio
    close_fee: Ratio
    accrued_funding: float = 0.0
    accrued_fees: float = 0.0
    exit_cost: float = 0.0
    liquidation_fee: Ratio = 0.0
    funding_apart: bool = False
    borrow_apr: Ratio | None = None
    pnl_weight: Ratio = 1.0
    expires: Time | None = None
    index: float | None = None


class Leg(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One holding or obligation. `price_usd` and `entry_price` are for one unit (a position's price is the mark, its entry is in the
    quote coin); `initial_usd` and `maintenance_usd` include the closing fee; `accrued_funding_usd` (received) and `accrued_fees_usd` (owed)
    are not settled yet and part of the account's equity; `apr` is simple and a year's and grows as `compounding` says,
    `funding_rate` that of 8 hours (positive: longs pay); `maintenance_rate` is what a debt beside derivatives needs; `bonus` is a
    liquidator's; `available` is what the venue could pay out now.
    """

    role: Role
    token: str
    symbol: str
    factor: str
    peg: str | None
    amount: Amount | None
    price_usd: Usd | None
    value_usd: Usd | None
    weight: Ratio | None
    initial_weight: Ratio | None
    bonus: Ratio | None
    available: Amount | None
    oracle: Oracle | None
    size: Amount | None
    entry_price: float | None
    notional_usd: Usd | None
    unrealized_pnl_usd: Usd | None
    initial_usd: Usd | None = None
    maintenance_usd: Usd | None
    accrued_funding_usd: Usd | None = None
    accrued_fees_usd: Usd | None = None
    apr: Ratio | None
    compounding: str | None
    funding_rate: Ratio | None
    maintenance_rate: Ratio = 0.0
    enabled: bool
    terms: Terms | None


class Liquidation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One factor (or peg) moved alone to the account's boundary; `price` is that of the largest leg there, in USD."""

    factor: str
    direction: Direction
    move: Move
    price: float


class Tick(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first answer of the venue's oracle for one token, going outward from `now`, at which the venue would liquidate."""

    token: str
    symbol: str
    direction: Direction
    now: Exact
    answer: Exact


class MarketMoves(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The market moves to the account's boundary; null where no move on that side liquidates."""

    down: Move | None
    up: Move | None


class SelfCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue's own numbers at the same block, and whether ours equal them: to the relative `tolerance`, where there
    is none digit for digit.
    """

    protocol: dict[str, str]
    match: bool
    tolerance: Ratio | UnsetType = UNSET


class Account(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One margin account. An unknown one has a `reason`, and null for every figure.

    `sigma` is the distance in standard deviations over the model's horizon: null where nothing moves the account to its line, or where
    `sigma_missing` names what has no volatility. `time_to_liquidation_days` is at unchanged prices, null for never.
    `owner_name` is the name that the owner was asked by; `strict` true: dead only below the line, false: on it; `blocked` says why the
    venue would refuse a liquidation at present. `line` is the ratio of collateral to maintenance margin at which the venue liquidates: the
    requirement is the maintenance margin times it. `assumptions` say where a figure rests on something else than what the venue told now.
    """

    id: str
    owner: str
    owner_name: str | None
    side: Side
    venue: str
    market: str
    chain: str | None
    mode: str
    status: Literal["ok", "unknown"]
    reason: str | None
    equity_usd: Usd | None
    collateral_usd: Usd | None
    debt_usd: Usd | None
    weighted_collateral_usd: Usd | None
    requirement_usd: Usd | None
    initial_requirement_usd: Usd | None
    surplus_usd: Usd | None
    mur: Ratio | None
    free_margin_usd: Usd | None
    withdrawable_usd: Usd | None
    health: Ratio | None
    hf: Ratio | None
    liquidatable: bool | None
    strict: bool
    blocked: str | None
    liquidation_rule: LiquidationRule
    native: dict[str, str]
    self_check: SelfCheck | None
    line: Ratio = 1.0
    assumptions: tuple[str, ...] = ()
    legs: tuple[Leg, ...]
    liquidation: tuple[Liquidation, ...]
    ticks: tuple[Tick, ...]
    market_moves: MarketMoves
    sigma: float | None
    sigma_missing: tuple[str, ...]
    time_to_liquidation_days: float | None


class NearestFactor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The smallest move of one factor or peg alone, as a log ratio, that liquidates any account."""

    factor: str
    direction: Direction
    move: Move
    account: str


class BookHealth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of the whole book. `uhf` null: no market move liquidates anything. `netted_*` are upper bounds, not safety numbers."""

    uhf: Ratio | None
    first_account: str | None
    first_side: Direction | None
    corridor: tuple[Move | None, Move | None]
    netted_uhf: Ratio | None
    netted_health: Ratio | None
    stranded_usd: Usd | None
    fragmentation: Ratio | None
    mur: Ratio | None
    net_equity_usd: Usd | None
    true_leverage: Ratio | None
    nearest_factor: NearestFactor | None
    bound: Bound
    time_to_liquidation_days: float | None
    sigma: Sigma


class Exposure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the book holds of one factor; `by_venue` is net."""

    factor: str
    long_usd: Usd
    short_usd: Usd
    net_usd: Usd
    by_venue: dict[str, float]
    corridor: tuple[Move | None, Move | None]
    hedge_ratio: Ratio | None


class Flag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One raised condition with the numbers behind it."""

    code: str
    severity: Severity
    accounts: tuple[str, ...]
    message: str
    evidence: dict[str, Evidence]
    threshold: float | str | None


class Snapshot(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One frozen reading of a book: sources, accounts, figures and flags.

    `boundary` is null where the book depends on fewer than two factors; `stress` and `cascade` are computed from the known accounts;
    `notes` say what was left out of the figures, and why; `links`, which loan funds which margin; `skew_seconds` how far the times of
    the sources (blocks and exchanges) lie apart, null where fewer than two have one.
    """

    schema: Literal["defi-risk/snapshot/1"]
    version: str
    book: str
    taken_at: Time
    partial: bool
    sources: tuple[Source, ...]
    accounts: tuple[Account, ...]
    book_health: BookHealth
    exposures: tuple[Exposure, ...]
    flags: tuple[Flag, ...]
    boundary: Boundary | None
    stress: tuple[Stress, ...]
    cascade: dict[str, tuple[Event, ...]]
    notes: tuple[str, ...]
    links: tuple[Link, ...] = ()
    skew_seconds: int | None = None
    chance: Chance | UnsetType = UNSET

    @property
    def digest(self) -> str:
        """SHA-256 of what was found: equal for two scans of one block, whenever, how fast and by which release they were taken, where
        venues' services gave the same answers.
        """
        steady = tuple(
            msgspec.structs.replace(source, calls=0, round_trips=0, seconds=0.0, notes=(), error=None, as_of=None)
            for source in self.sources
        )
        content = msgspec.structs.replace(self, version="", taken_at="", sources=steady, skew_seconds=None)
        return hashlib.sha256(content.to_json().encode()).hexdigest()

    @property
    def id(self) -> str:
        """A name for this snapshot that sorts by time and is safe in a file name."""
        return self.taken_at.translate(str.maketrans("", "", "-:")) + "-" + self.digest[:12]

    @staticmethod
    def from_json(text: str | bytes, file: str = "") -> Snapshot:
        """The snapshot in a JSON text. Raises `StoreError`, with `file` in its message."""
        from defi_risk.snapshot.read import from_json

        return from_json(text, file)

    def to_frame(self, name: str = "accounts") -> pandas.DataFrame:
        """A pandas frame of the "accounts", "legs", "flags" or "stress", with units in the column names; exact amounts stay text."""
        from defi_risk.snapshot.frames import frame

        return frame(self, name)

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer and the accounts, escaped."""
        from defi_risk.snapshot.html import notebook

        return notebook(self)
