"""What becomes of one account on a route: its liquidations, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from defi_risk.health.account import Assessed
from defi_risk.health.cascade.holdings import Multipliers, at, requirement
from defi_risk.health.cascade.liquidation import Taken, liquidate
from defi_risk.health.distance import Ramps, Ratios, Surplus, crossing, market
from defi_risk.health.normal import Key, Normal
from defi_risk.health.route import STILL, Route, Stage
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import AccountId

MOST: Final = 64
"""After so many liquidations of one account no close factor holds any more: every further one takes a whole debt or collateral."""
SAFE: Final = Ratios(None, None)
_NOISE: Final = 1e-12


class Lane(Enum):
    """How a venue's prices move on a stage: with the market, not at all, or in some other way."""

    MARKET = "market"
    STILL = "still"
    OTHER = "other"


@dataclass(slots=True)
class State:
    """An account on its way. `corridor` holds the price ratios of the market, from today, at which it is liquidated next (None: not known,
    its prices have left the market's path); `dead`: it is below its line where it stands. `taken` is the liquidation that led here,
    the `count`-th. `later` keeps what liquidations on the market's path lead to, by the market's ratio: paths have their starts in common.
    """

    normal: Normal[float]
    surplus: Surplus
    corridor: Ratios | None
    dead: bool
    count: int = 0
    taken: Taken | None = None
    later: dict[float, State] = field(default_factory=dict)

    @classmethod
    def of(cls, one: Assessed) -> State:
        """The account as it was read."""
        return cls(one.normal, one.surplus, one.ratios, one.figures.liquidatable)


class Step(NamedTuple):
    """One liquidation; steps sort by their place on the route, then by account. `point` is m on the stage."""

    stage: int
    way: float
    account: AccountId
    nth: int
    point: float
    taken: Taken
    corridor: Ratios | None


class Fate(NamedTuple):
    """The liquidations of an account. `stuck`: it stands below its line at the start and there is nothing to take."""

    steps: list[Step]
    stuck: bool


class Traveller(NamedTuple):
    """An account with what it depends on, and how that moves along the market."""

    one: Assessed
    keys: set[Key]
    along: Ramps
    start: State

    @classmethod
    def of(cls, one: Assessed, settings: HealthSettings) -> Traveller:
        """Get an account ready to be walked."""
        keys = one.surplus.coordinates()
        return cls(one, keys, market(keys, settings), State.of(one))


def lanes_of(stage: Stage, travellers: Iterable[Traveller]) -> dict[str, Lane]:
    """The lane of every venue."""
    along: dict[str, dict[Key, tuple[float, float]]] = {}
    for each in travellers:
        along.setdefault(each.one.account.venue, {}).update(each.along)
    return {venue: _lane(stage.ramps(own, venue), own) for venue, own in along.items()}


def _lane(ramps: Ramps, beside: Ramps) -> Lane:
    if all(ramp == STILL for ramp in ramps.values()):
        return Lane.STILL
    return Lane.MARKET if ramps == beside else Lane.OTHER


def fate(traveller: Traveller, route: Route, lanes: Sequence[Mapping[str, Lane]]) -> Fate:
    """Walk one account along a route."""
    account, state = traveller.one.account, traveller.start
    steps: list[Step] = []
    for number, stage in enumerate(route):
        lane = lanes[number][account.venue]
        if lane is Lane.OTHER:
            state = replace(state, corridor=None, later={})
        ramps = traveller.along if lane is Lane.MARKET else stage.ramps(traveller.keys, account.venue) if lane is Lane.OTHER else {}
        point = stage.near
        while True:
            found = point if state.dead else _next(state, ramps, lane, point, stage.far)
            if found is None:
                break
            point = found
            state = _after(traveller, state, ramps, point, lane)
            if state.taken is None:
                return Fate([*steps[:-1], *(step._replace(corridor=SAFE) for step in steps[-1:])], stuck=not steps)
            steps.append(Step(number, abs(point - stage.near), account.id, state.count, point, state.taken, state.corridor))
    return Fate(steps, stuck=False)


def _next(state: State, ramps: Ramps, lane: Lane, point: float, far: float) -> float | None:
    """The next crossing on a stage; along the market it is known already."""
    corridor = state.corridor
    if lane is Lane.STILL or corridor == SAFE:
        return None
    if corridor is None:
        return crossing(state.surplus, ramps, point, far)
    if far < point:
        return corridor.down if corridor.down is not None and corridor.down >= far else None
    return corridor.up if corridor.up is not None and corridor.up <= far else None


def _after(traveller: Traveller, state: State, ramps: Ramps, point: float, lane: Lane) -> State:
    """The account liquidated at a point of a stage; without `taken` where there was nothing to take."""
    if lane is Lane.OTHER:
        return _liquidated(traveller, state, ramps, point, None)
    level = point if lane is Lane.MARKET else 1.0
    if level not in state.later:
        state.later[level] = _liquidated(traveller, state, traveller.along, level, level)
    return state.later[level]


def _liquidated(traveller: Traveller, state: State, ramps: Ramps, point: float, level: float | None) -> State:
    account = traveller.one.account
    seen = {key: max(0.0, a + b * point) for key, (a, b) in ramps.items()}.__getitem__
    taken = liquidate(account, state.normal, seen, whole=state.count >= MOST)
    if taken.after is state.normal:
        return replace(state, taken=None)
    surplus = Surplus.of(taken.after, strict=account.strict)
    dead = _dead(surplus, taken.after, seen)
    corridor = None if level is None else _corridor(surplus, traveller.along, level, dead=dead)
    return State(taken.after, surplus, corridor, dead, state.count + 1, taken)


def _corridor(surplus: Surplus, along: Ramps, level: float, *, dead: bool) -> Ratios:
    """Where the market, which stands at `level`, would liquidate the account next."""
    if dead:
        return Ratios(level, level)
    if not surplus.ladders and min(surplus.net.values(), default=0.0) >= 0:
        return SAFE
    return Ratios(crossing(surplus, along, level, 0.0), crossing(surplus, along, level, inf))


def _dead(surplus: Surplus, normal: Normal[float], seen: Multipliers) -> bool:
    """Whether the account is still below its line."""
    needed = requirement(normal, seen)
    left = at(normal.c, seen) - needed
    slack = _NOISE * (needed + sum([abs(amount) * seen(key) for key, amount in normal.c.items()]))
    return left < -slack or (not surplus.strict and needed > 0 and left <= slack)
