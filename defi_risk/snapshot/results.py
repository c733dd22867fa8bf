"""What a snapshot says beyond the present figures: distances in sigmas, stresses, cascades, the joint boundary, chances."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Usd = Annotated[float, Meta(description="US dollars")]
Ratio = Annotated[float, Meta(description="a ratio, 1 is 100 %")]
Move = Annotated[float, Meta(description="relative change of a price: -0.25 is a fall by a quarter")]


class Sigma(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The smallest distance of any account in standard deviations over the horizon, and the shock that kills it, by factor or peg.

    It is an upper bound where factors or pegs are `missing` a volatility: accounts that hang on them have no distance.
    """

    horizon_days: float
    distance: float | None
    account: str | None
    shock: dict[str, float]
    missing: tuple[str, ...]


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One liquidation on a path, at the prices there: book equity before = after + penalty - bad debt.

    `move` is the market's, in a stress that of what has moved furthest; `prices` are USD by factor; `bad_debt_usd` is what the venue
    bears; `exposure_after` is the book's net exposure in USD by factor; `hedge_break`: net exposure to a factor grew by more than half
    of what was taken away; `spiral`: the account's own health fell;
    `first_since_liquidation` is the account that would go first from here, `next_move` the market's move from these prices to there.
    """

    move: Move
    prices: dict[str, float]
    account: str
    seized_usd: Usd
    repaid_usd: Usd
    penalty_usd: Usd
    bad_debt_usd: Usd
    equity_before_usd: Usd
    equity_after_usd: Usd
    exposure_after: dict[str, float]
    hedge_break: bool
    spiral: bool
    first_since_liquidation: str | None
    next_move: Move | None


class Stress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The book after one scenario. `shocks` are moves by factor, peg or `venue:FACTOR`; `min_health` is the worst account's H before any
    liquidation; `equity_usd` and `penalty_usd` are those after the liquidations on the way. `pass`: nothing is liquidated and no
    derivatives account ends below a health of 1.05.
    """

    scenario: str
    title: str
    shocks: dict[str, float]
    equity_usd: Usd
    min_health: Ratio | None
    account: str | None
    liquidations: tuple[Event, ...]
    penalty_usd: Usd
    passed: bool = field(name="pass")


class Boundary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where nothing is liquidated, over two factors in multipliers of today's prices; `edges[i]` is the account whose line the side from
    vertex i to the next is, null for an edge of the box.
    """

    factors: tuple[str, str]
    polygon: tuple[tuple[float, float], ...]
    edges: tuple[str | None, ...]


class Outlook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chances within one horizon."""

    horizon_days: float
    probability: Ratio
    probability_several: Ratio
    value_at_risk_usd: Usd
    expected_shortfall_usd: Usd
    standard_errors: dict[str, float]
    accounts: dict[str, float]


class Chance(Outlook, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulation of first passages: the model's horizon, and the others below it. Losses are at `level`, penalties included."""

    method: Literal["ewma", "bootstrap"]
    paths: int
    seed: int
    level: Ratio
    step_hours: float
    horizons: tuple[Outlook, ...]
