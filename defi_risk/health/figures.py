"""The figures of the unified health model, as values: per account, per book, per factor. USD, ratios and moves are floats.

A move is the relative change of a price: -0.25 is a fall by a quarter. None means that there is no such number (no crossing, no
requirement, an infinite ratio); what is unknown has no figures at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

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
    C <= 0 < R); `hf` is HF(a), None for infinite; `down` and `up` are the market moves to the boundary; `sigma` is D(a) over the model's
    horizon, None where no move kills or where `sigma_missing` names what has no volatility; `time_to_liquidation_days` at unchanged
    prices, None for never.
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
    sigma: float | None = None
    sigma_missing: tuple[str, ...] = ()
    time_to_liquidation_days: float | None = None


@dataclass(frozen=True, slots=True)
class NearestFactor:
    """The smallest single-factor or peg move, as a log ratio, that liquidates any account of the book."""

    factor: str
    direction: str
    move: float
    account: AccountId


@dataclass(frozen=True, slots=True)
class Sigma:
    """The book's smallest distance in standard deviations over the horizon: the account it belongs to and the shock that kills it, as
    relative moves by factor or peg. Where factors or pegs are `missing` a volatility, the accounts that hang on them are left out: the
    distance is then an upper bound.
    """

    horizon_days: float
    distance: float | None
    account: AccountId | None
    shock: Mapping[str, float]
    missing: tuple[str, ...] = ()


NO_SIGMA: Final = Sigma(1.0, None, None, MappingProxyType({}))


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
    sigma: Sigma = NO_SIGMA
    time_to_liquidation_days: float | None = None


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
class Event:
    """One liquidation on a path, in USD at the prices there (`unified-health` section 6).

    `move` is the market's relative move at that point, in a stress that of what has moved furthest; `prices` the USD price of every
    factor that moves. The owner loses `penalty_usd` = seized - repaid (closed derivatives: fee, and what the venue keeps);
    `bad_debt_usd` is what the venue bears: book equity before = after + penalty - bad debt. `exposure_after` is the book's net exposure
    by factor. `hedge_break`: net exposure to a factor grew by more than half of what was taken away. `spiral`: the liquidation lowered
    the account's own health.
    `next_account`, `next_move`: who would be first from here, by the market's move from these prices, and that move.
    """

    move: float
    prices: Mapping[str, float]
    account: AccountId
    seized_usd: float
    repaid_usd: float
    penalty_usd: float
    bad_debt_usd: float
    equity_before_usd: float
    equity_after_usd: float
    exposure_after: Mapping[str, float]
    hedge_break: bool
    spiral: bool
    next_account: AccountId | None
    next_move: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """A book after one scenario (`unified-health` sections 5 and 9). `shocks` are relative moves by name, `account_health` the H of every
    account at its worst step end before any liquidation (None: no requirement), `account_surplus_usd` its B there; `liquidations` and
    `penalty_usd` those of the way there; `passed`: no account below its line anywhere on the way and no derivatives account below 1.05.
    """

    scenario: str
    title: str
    shocks: Mapping[str, float]
    equity_usd: float
    min_health: float | None
    worst_account: AccountId | None
    account_health: Mapping[AccountId, float | None]
    account_surplus_usd: Mapping[AccountId, float]
    liquidations: tuple[Event, ...]
    penalty_usd: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Boundary:
    """The joint boundary in two factors: the polygon in multipliers of today's prices, counter-clockwise, and for the side that starts at
    each vertex the account that it belongs to (None: the edge of the box). Empty where something is liquidatable now.
    """

    factors: tuple[str, str]
    polygon: tuple[tuple[float, float], ...]
    edges: tuple[AccountId | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Chances within one horizon: of a first passage of any account, and of several; losses of equity in USD at `level`, penalties
    included; standard errors by the name of the figure.
    """

    horizon_days: float
    probability: float
    probability_several: float
    value_at_risk_usd: float
    expected_shortfall_usd: float
    standard_errors: Mapping[str, float]
    accounts: Mapping[AccountId, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A simulation of first passages (`unified-health` section 8). `outlooks`: the model's horizon first, then the others."""

    method: str
    paths: int
    seed: int
    level: float
    step_hours: float
    outlooks: tuple[Outlook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of a book: known accounts by id, the book's own, its exposures by factor, and what was asked for beyond that.

    `notes` say what was left out, and why.
    """

    accounts: dict[AccountId, AccountFigures]
    book: BookFigures
    exposures: tuple[Exposure, ...]
    stress: tuple[Stress, ...] = ()
    cascade: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
    boundary: Boundary | None = None
    chance: Chance | None = None
    notes: tuple[str, ...] = ()
