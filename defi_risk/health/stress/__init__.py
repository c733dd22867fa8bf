"""The book under stress scenarios (`unified-health` sections 2, 5 and 9): what each account shows untouched, what is liquidated on the way.

Accounts are never added up before they are tested. Every scenario is first laid over the whole book in arrays, at the end of each of its
steps. Between two step ends every multiplier is affine, so that B is affine too, or concave where brackets meet and their rates rise: it
cannot be negative inside if it is not at an end. So only these accounts are followed along the way, in closed form: those whose B is
negative or within rounding of zero at some step end, and those whose brackets jump. The cascade is walked only where one of them dies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.account import DOUBT, Assessed, assess
from defi_risk.health.arrays import Array, Arrays
from defi_risk.health.cascade import walk
from defi_risk.health.cascade.deleveraging import changed
from defi_risk.health.distance import Surplus, crossing
from defi_risk.health.figures import Event, Stress
from defi_risk.health.normal import in_floats
from defi_risk.health.route import Route, shock_route
from defi_risk.health.settings import HealthSettings
from defi_risk.health.shock import Shock
from defi_risk.health.stress.altered import altered, hedges
from defi_risk.health.stress.scenarios import Scenario, Steps, space_of
from defi_risk.ids import Factor
from defi_risk.model import Account, Role, Side, Tier

PASSING_HEALTH: Final = 1.05
"""A derivatives account below this health at the end of a step has not passed."""
CELLS: Final = 2_000_000
"""Points times accounts that are evaluated at once."""
STILL: Final[Steps] = (Shock(),)
_ROUNDING: Final = 1e-12
Rows: TypeAlias = NDArray[np.intp]
Flags: TypeAlias = NDArray[np.bool_]


def run(
    assessed: Sequence[Assessed], arrays: Arrays, scenarios: Sequence[Scenario], settings: HealthSettings, *, known: Iterable[str] = ()
) -> tuple[Stress, ...]:
    """One result a scenario, in their order. `arrays` are those of `assessed`; `known` are factors and pegs that a scenario of the user's
    own may move though the book holds none. Raises `UsageError` (for a scenario from a file `BookError`) for any other name.
    """
    space = space_of(assessed, known)
    asked = [(number, steps or STILL) for number, scenario in enumerate(scenarios) for steps in scenario.paths(space)]
    views = _seen(arrays, [STILL, *(steps for _, steps in asked)])
    book = _Book(assessed, arrays, settings, next(views))
    lost = hedges(assessed, settings) if any(one.hedge_lost for one in scenarios) else {}
    others = {number: book.altered(scenario, lost) for number, scenario in enumerate(scenarios) if scenario.alters}
    worst: dict[int, _Outcome] = {}
    for (number, steps), seen in zip(asked, views, strict=True):
        outcome = book.outcome(steps, seen, others.get(number, {}))
        if number not in worst or outcome.rank < worst[number].rank:
            worst[number] = outcome
    return tuple(book.stress(scenario, worst[number]) for number, scenario in enumerate(scenarios))


@dataclass(frozen=True, slots=True)
class _Seen:
    """The accounts untouched at the end of every step (steps x accounts), in USD; `gross` is what C and R add up without signs."""

    weighted: Array
    requirement: Array
    surplus: Array
    equity: Array
    gross: Array

    def put(self, rows: list[int], other: _Seen) -> None:
        """Take these accounts from another evaluation."""
        for own, new in (
            (self.weighted, other.weighted),
            (self.requirement, other.requirement),
            (self.surplus, other.surplus),
            (self.equity, other.equity),
            (self.gross, other.gross),
        ):
            own[:, rows] = new


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One variant judged: the accounts that die on the way and those that end too thin; `rank` orders variants, the worst first."""

    steps: Steps
    seen: _Seen
    changed: dict[int, Assessed]
    dies: frozenset[int]
    thin: frozenset[int]
    rank: tuple[int, float, float]


class _Book:
    """The accounts of a book, and what all scenarios have in common."""

    def __init__(self, assessed: Sequence[Assessed], arrays: Arrays, settings: HealthSettings, today: _Seen) -> None:
        self.assessed = assessed
        self.arrays = arrays
        self.settings = settings
        self.today = today
        self.dead = np.array([one.figures.liquidatable for one in assessed], dtype=np.bool_)
        self.derivative = np.array([one.account.side is Side.DERIVATIVES for one in assessed], dtype=np.bool_)
        meets: dict[tuple[Tier, ...], bool] = {}
        self.jumping = np.array([_jumps(one, meets) for one in assessed], dtype=np.bool_)

    def altered(self, scenario: Scenario, lost: dict[int, frozenset[int]]) -> dict[int, Assessed]:
        """The accounts that the scenario changes before prices move. Those that are dead today are dead before that."""
        found: dict[int, Assessed] = {}
        for row, one in enumerate(self.assessed):
            if one.figures.liquidatable:
                continue
            closed = lost.get(row, frozenset()) if scenario.hedge_lost else frozenset()
            account = altered(one, closed, scenario.margin_rates, scenario.funding_8h)
            if account is not one.account:
                found[row] = _reassess(one, account, self.settings)
        return found

    def outcome(self, steps: Steps, seen: _Seen, changed: dict[int, Assessed]) -> _Outcome:
        rows = sorted(changed)
        if changed:
            seen.put(rows, next(_seen(Arrays.of([changed[row] for row in rows]), [steps])))
        moved = (seen.surplus != self.today.surplus).any(axis=0)
        doubtful = ((seen.surplus <= DOUBT * seen.gross) & (seen.gross > 0)).any(axis=0) | (self.jumping & moved)
        route = shock_route(*steps)
        suspects = np.flatnonzero(doubtful | self.dead).tolist()
        dies = frozenset(row for row in suspects if self._dies(changed.get(row, self.assessed[row]), route))
        line = PASSING_HEALTH * (1.0 - _ROUNDING) * seen.requirement
        below = self.derivative & (seen.requirement > 0) & (seen.weighted < line)
        thin = frozenset(np.flatnonzero(below.any(axis=0)).tolist())
        smallest = float(seen.surplus[:, moved].min(initial=inf))
        return _Outcome(steps, seen, changed, dies, thin, (-len(dies | thin), smallest, float(seen.equity[-1].sum())))

    def _dies(self, one: Assessed, route: Route) -> bool:
        if one.figures.liquidatable:
            return True
        keys, venue = one.surplus.coordinates(), one.account.venue
        return any(crossing(one.surplus, stage.ramps(keys, venue), stage.near, stage.far) is not None for stage in route)

    def stress(self, scenario: Scenario, outcome: _Outcome) -> Stress:
        ids = self.arrays.ids
        seen = outcome.seen
        health = _health(seen)
        at = _worst_steps(health, seen.surplus)
        columns = np.arange(len(ids))
        ratios = [value if isfinite(value) else None for value in health[at, columns].tolist()]
        surplus: list[float] = seen.surplus[at, columns].tolist()
        worst = min(range(len(ids)), key=lambda row: (_ratio(ratios[row]), surplus[row], ids[row]), default=None)
        if worst is not None and ratios[worst] is None and surplus[worst] >= 0:
            worst = None
        equity, events = self._walked(outcome) if outcome.dies else (float(seen.equity[-1].sum()), ())
        return Stress(
            scenario=scenario.id,
            title=scenario.title,
            shocks=outcome.steps[-1].named(),
            equity_usd=equity,
            min_health=None if worst is None else ratios[worst],
            worst_account=None if worst is None else ids[worst],
            account_health=dict(zip(ids, ratios, strict=True)),
            account_surplus_usd=dict(zip(ids, surplus, strict=True)),
            liquidations=events,
            penalty_usd=sum(event.penalty_usd for event in events),
            passed=not outcome.dies and not outcome.thin and not events,
        )

    def _walked(self, outcome: _Outcome) -> tuple[float, tuple[Event, ...]]:
        """Equity at the end and the liquidations on the way, in their order."""
        book = list(self.assessed)
        for row, one in outcome.changed.items():
            book[row] = one if one.figures.liquidatable else changed(one, one.normal, self.settings)
        only = frozenset(self.arrays.ids[row] for row in outcome.dies)
        found = walk(book, shock_route(*outcome.steps), self.settings, only=only)
        return found.equity_usd, tuple(replace(event, move=_moved(outcome.steps, event.move)) for event in found.events)


def _moved(steps: Steps, way: float) -> float:
    """The move of what has moved furthest at a place of the way, which counts steps: 0.5 is half-way to the first one."""
    number = min(int(way), len(steps) - 1)
    before, after = (steps[number - 1].named() if number else {}), steps[number].named()
    moves = [before.get(name, 0.0) + (after.get(name, 0.0) - before.get(name, 0.0)) * (way - number) for name in {**before, **after}]
    return max(moves, key=abs, default=0.0)


def _seen(arrays: Arrays, paths: Sequence[Steps]) -> Iterator[_Seen]:
    """Every account at the end of every step of every path, in batches of bounded size. A price vector is evaluated once."""
    batch: list[Steps] = []
    points = _Points(arrays)
    for steps in paths:
        points.add(steps)
        batch.append(steps)
        if len(points) * len(arrays.ids) > CELLS:
            yield from points.evaluated()
            batch, points = [], _Points(arrays)
    yield from points.evaluated()


class _Points:
    """Distinct price vectors, and which of them each account sees at each step of each path."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._index: dict[tuple[float, ...], int] = {}
        self._sights: list[Rows] = []
        self._rows: dict[str, list[int]] = {}
        for row, venue in enumerate(arrays.venues):
            self._rows.setdefault(venue, []).append(row)

    def __len__(self) -> int:
        return len(self._index) + sum(map(len, self._sights))

    def add(self, steps: Steps) -> None:
        sights = np.empty((len(steps), len(self._arrays.ids)), dtype=np.intp)
        for sight, shock in zip(sights, steps, strict=True):
            sight[:] = self._at(shock, "")
            for venue in {venue for venue, _ in shock.venues}:
                sight[self._rows.get(venue, [])] = self._at(shock, venue)
        self._sights.append(sights)

    def _at(self, shock: Shock, venue: str) -> int:
        vector = tuple(shock.multiplier(key, venue) for key in self._arrays.keys)
        return self._index.setdefault(vector, len(self._index))

    def evaluated(self) -> Iterator[_Seen]:
        arrays = self._arrays
        points = np.array(list(self._index), dtype=np.float64).reshape(len(self._index), len(arrays.keys))
        weighted, requirement = arrays.weighted(points), arrays.requirement(points)
        surplus, equity = weighted - requirement + arrays.credits, arrays.equity(points)
        gross = points @ (np.abs(arrays.weights) + np.abs(arrays.needs)).T + np.abs(requirement)
        columns = np.arange(len(arrays.ids))
        for sights in self._sights:
            yield _Seen(*(values[sights, columns] for values in (weighted, requirement, surplus, equity, gross)))


def _jumps(one: Assessed, meets: dict[tuple[Tier, ...], bool]) -> bool:
    """Whether some requirement of the account is not the largest of its brackets: then B is not concave on a straight way."""
    for holding in one.normal.holdings:
        if holding.ladder is not None and holding.leg.position is not None:
            tiers = holding.leg.position.tiers
            if tiers not in meets:
                meets[tiers] = _meet(tiers)
            if not meets[tiers]:
                return True
    return False


def _meet(tiers: tuple[Tier, ...]) -> bool:
    """Whether brackets meet at their floors and rates rise."""
    ordered = sorted(tiers, key=lambda tier: tier.floor)
    for lower, upper in pairwise(ordered):
        step, gap = float(upper.rate - lower.rate), float(upper.deduction - lower.deduction)
        due = step * float(upper.floor)
        if step < 0 or abs(gap - due) > DOUBT * float(upper.rate * upper.floor):
            return False
    return True


def _reassess(one: Assessed, account: Account, settings: HealthSettings) -> Assessed:
    """The changed account. Where it is clearly alive only its normal form is new, its figures are still today's: only the cascade asks
    for them, and they take ten times as long.
    """
    margins = {(leg.factor, leg.peg) for leg in one.account.legs if leg.role is Role.MARGIN}
    quotes: dict[Factor, float] = {key.factor: usd for key, usd in one.normal.quotes.items() if key not in margins}
    normal = in_floats(account, quotes)
    weighted, requirement = normal.weighted(), normal.requirement()
    if weighted - requirement <= DOUBT * (sum(map(abs, normal.c.values())) + requirement):
        return assess(account, settings, quotes)
    figures = replace(one.figures, liquidatable=False)
    return Assessed(account, normal, Surplus.of(normal, strict=account.strict), one.ratios, figures)


def _health(seen: _Seen) -> Array:
    """H, infinite where nothing is required, 0 where C <= 0 < R."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.maximum(seen.weighted, 0.0) / seen.requirement
    return np.where(seen.requirement > 0, ratio, inf)


def _worst_steps(health: Array, surplus: Array) -> Rows:
    """The step at which each account has the smallest H; of equal ones, and where nothing is required, the smallest B."""
    lowest = health.min(axis=0)
    steps: Rows = np.where(health == lowest, surplus, inf).argmin(axis=0)
    return steps


def _ratio(health: float | None) -> float:
    return inf if health is None else health
