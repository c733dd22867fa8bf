"""The figures of the unified health model, as values: per account, per book, per factor. USD, ratios and moves are floats.

A move is the relative change of a price: -0.25 is a fall by a quarter. None means that there is no such number (no crossing, no
requirement, an infinite ratio); what is unknown has no figures at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from defi_risk.ids import AccountId, Factor, Peg
from defi_risk.model import Asset


@dataclass(frozen=True, slots=True)
class Move:
    """One factor or peg moved alone to the account's boundary. `direction` "down" or "up"; `price` is the present price of the
    largest leg of that factor times 1 + `move`.
    """

    factor: Factor
    peg: Peg | None
    direction: str
    move: float
    price: float


@dataclass(frozen=True, slots=True)
class Tick:
    """The exact oracle tick: `answer` is the first integer that the venue's oracle could return for `asset`, going outward from
    `now`, at which the venue's own arithmetic says liquidatable.
    """

    asset: Asset
    direction: str
    now: int
    answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFigures:
    """Figures of one known account at today's prices (`unified-health` sections 3 and 4).

    `weighted_collateral_usd` is C and `requirement_usd` is R; `surplus_usd` = C - R; `health` = C / R (None where R = 0, 0 where
    C <= 0 < R); `hf` is HF(a), None for infinite; `down` and `up` are the market moves to the boundary.
    """

    equity_usd: float
    collateral_usd: float
    debt_usd: float
    weighted_collateral_usd: float
    requirement_usd: float
    initial_requirement_usd: float
    surplus_usd: float
    health: float | None
    mur: float | None
    free_margin_usd: float
    withdrawable_usd: float
    liquidatable: bool
    hf: float | None
    down: float | None
    up: float | None
    moves: tuple[Move, ...] = ()
    ticks: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True)
class NearestFactor:
    """The smallest single-factor or peg move, as a log ratio, that liquidates any account of the book."""

    factor: str
    direction: str
    move: float
    account: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFigures:
    """Figures of the book (`unified-health` section 5). `bound`: "exact", "at_most" (partial) or "unknown" (no account known)."""

    uhf: float | None
    first_account: AccountId | None
    first_side: str | None
    corridor: tuple[float | None, float | None]
    netted_uhf: float | None
    netted_health: float | None
    stranded_usd: float | None
    fragmentation: float | None
    mur: float | None
    net_equity_usd: float | None
    true_leverage: float | None
    nearest_factor: NearestFactor | None
    bound: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What the book holds of one factor, with look-through. USD; `corridor` the moves of that factor alone to the first boundary."""

    factor: Factor
    long_usd: float
    short_usd: float
    net_usd: float
    by_venue: dict[str, float] = field(default_factory=dict)
    corridor: tuple[float | None, float | None] = (None, None)
    hedge_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of a book: known accounts by id, the book's own, and its exposures by factor."""

    accounts: dict[AccountId, AccountFigures]
    book: BookFigures
    exposures: tuple[Exposure, ...]
