"""The rescue as a linear programme: the cheapest movements after which no surplus is negative on the way (`unified-health` section 7).

All amounts are divided by a unit, so that the solver's absolute tolerances mean the same for every book.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from defi_risk.errors import DefiRiskError
from defi_risk.health.normal import Key
from defi_risk.health.plan.moves import SINKS, SOURCES, Movement, Problem, Stand
from defi_risk.health.plan.order import effects, margins
from defi_risk.health.plan.way import Array, Climb, Followed, Multipliers, Way, follow
from defi_risk.model import Side

SPAN: Final = 1e6
"""What the gross of a book is scaled to: a tolerance of 1e-7 is then a share of 1e-13."""
FLOORED: Final = 3e-4
"""How far a venue that rounds its average weight down to a basis point can stand below the model, as a share of what is required."""
SECONDS: Final = 20.0
INFEASIBLE: Final = 2
GAPS: Final = (1e-9, 1e-7, 1e-5)
"""How much more outside capital, as a share, the second goal may use so that the solver's tolerances do not rule out the first's answer."""
FAINT: Final = 1e-6
"""What is left of less than this share of its value helps nobody: such coefficients only cost the solver its digits."""


@dataclass(slots=True)
class _Rows:
    """Rows of a sparse matrix with their right-hand sides."""

    data: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)

    def add(self, terms: Iterable[tuple[int, float]], side: float) -> None:
        for column, amount in terms:
            if amount:
                self.data.append(amount)
                self.rows.append(len(self.sides))
                self.columns.append(column)
        self.sides.append(side)

    def matrix(self, width: int) -> Any:
        return csr_array((self.data, (self.rows, self.columns)), shape=(len(self.sides), width))


@dataclass(slots=True)
class Programme:
    """The programme of one problem, for as many ways as are asked for.

    `hair` is how much of an account's gross every surplus is kept above zero. `lenient`: an account that its venue calls alive a hair
    below the line keeps that credit; without, it has to be lifted. `at_once`: what leaves an account must be free before anything arrives.
    """

    problem: Problem
    hair: float
    lenient: bool = True
    at_once: bool = False
    unit: float = field(init=False)
    keys: frozenset[Key] = field(init=False)
    by_stand: dict[int, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        gross = sum(stand.gross for stand in self.problem.stands)
        self.unit = gross / SPAN if gross > 0 else 1.0
        keys = {key for stand in self.problem.stands for key in stand.one.surplus.coordinates()}
        self.keys = frozenset(keys | {key for move in self.problem.movements for key in move.net})
        self.by_stand = {}
        for index, move in enumerate(self.problem.movements):
            if move.stand is not None:
                self.by_stand.setdefault(move.stand, []).append(index)

    def feasible(self, way: Way, budget: float) -> bool:
        """Whether some movements survive the way with at most so much outside capital (USD)."""
        built = self._build(way, budget)
        return built is not None and self._solve(built, np.zeros(built.width)) is not None

    def cheapest(self, way: Way, budget: float) -> Array | None:
        """USD of every movement: least outside capital, then least value moved. None where nothing survives the way."""
        built = self._build(way, budget)
        if built is None:
            return None
        moves = self.problem.movements
        outside, moved = np.zeros(built.width), np.zeros(built.width)
        for index, move in enumerate(moves):
            outside[index] = 1.0 if move.kind == "add" else 0.0
            # equal costs are told apart by place, so that there is one answer
            moved[index] = (move.cost + 1e-5 * index / len(moves)) if move.kind not in SINKS else 0.0
        if not outside.any() or budget == 0:
            found = self._solve(built, moved)
        else:
            first = self._solve(built, outside)
            found = None if first is None else self._least_moved(built, moved, outside, first)
        return None if found is None else found[: len(moves)] * self.unit

    def _least_moved(self, built: _Built, moved: Array, outside: Array, first: Array) -> Array:
        """The cheapest movement with as little outside capital as `first`; `first` itself where the solver cannot tell them apart."""
        total = float(outside @ first)
        for gap in GAPS:
            row = _Rows()
            row.add(((int(column), 1.0) for column in np.flatnonzero(outside)), total + gap * max(1.0, total))
            try:
                found = self._solve(built, moved, row)
            except DefiRiskError:
                continue
            if found is not None:
                return found
        return first

    def _solve(self, built: _Built, costs: Array, more: _Rows | None = None) -> Array | None:
        """The cheapest x that keeps all rows, and those of `more`; None where there is none. Raises `DefiRiskError` where none is found."""
        rows, sides = built.upper, built.sides
        if more is not None:
            rows, sides = vstack([rows, more.matrix(built.width)], format="csr"), [*sides, *more.sides]
        if not built.width:
            return np.zeros(0) if all(side >= 0 for side in sides) else None
        # the other ways are for programmes of extreme coefficients, which the first one may give up on
        for method, presolve in (("highs", True), ("highs-ipm", True), ("highs-ds", False), ("highs-ipm", False)):
            result: Any = linprog(
                costs,
                A_ub=rows if sides else None,
                b_ub=np.array(sides) if sides else None,
                A_eq=built.equal if built.equal.shape[0] else None,
                b_eq=np.zeros(built.equal.shape[0]) if built.equal.shape[0] else None,
                bounds=built.bounds,
                method=method,
                options={"time_limit": SECONDS, "presolve": presolve},
            )
            if result.status == 0:
                return np.asarray(result.x, dtype=np.float64)
            if result.status == INFEASIBLE:
                return None
        raise DefiRiskError(f"the rescue programme was not solved (status {int(result.status)})", hint="plan for fewer accounts at a time")

    def _build(self, way: Way, budget: float) -> _Built | None:
        """All rows; None where an account is short of something that no movement can change."""
        moves, upper = self.problem.movements, _Rows()
        limits: list[tuple[float, float]] = [(0.0, self._limit(move, budget)) for move in moves]
        at = way.multipliers(self.keys)
        for index, stand in enumerate(self.problem.stands):
            if not stand.idle and not self._keep_alive(index, stand, at, upper, limits):
                return None
            if stand.open and not stand.idle:
                self._keep_limits(index, stand, upper)
        self._keep_cash(upper)
        added = [(index, 1.0) for index, move in enumerate(moves) if move.kind == "add"]
        if added and budget < inf:
            upper.add(added, budget / self.unit)
        equal = _Rows()
        for token in range(len(self.problem.tokens)):
            sources = [(index, 1.0) for index in self.problem.of_token(token, SOURCES)]
            equal.add([*sources, *((index, -1.0) for index in self.problem.of_token(token, SINKS))], 0.0)
        width = len(limits)
        return _Built(upper.matrix(width), upper.sides, equal.matrix(width), np.array(limits).reshape(width, 2), width)

    def _limit(self, move: Movement, budget: float) -> float:
        return min(move.most, budget if move.kind == "add" else inf) / self.unit

    def _keep_alive(self, index: int, stand: Stand, at: Multipliers, upper: _Rows, limits: list[tuple[float, float]]) -> bool:
        """B >= 0 at every point. False where it is not and nothing that the account can do or get would change it."""
        own = {which: self.problem.movements[which] for which in self.by_stand.get(index, [])}
        lines = {which: at.along(move.net) for which, move in own.items()}
        closing = {move.leg: which for which, move in own.items() if move.leg is not None and move.rungs is not None}
        followed = follow(stand, closing, at, lenient=self.lenient)
        wanted = self._wanted(index, stand, followed)
        safe = bool((followed.before >= wanted).all())
        if safe and all((line >= 0).all() for line in lines.values()):
            return True
        if not safe and not own:
            return False
        surplus = followed.surplus - wanted
        owed = stand.one.normal.debt
        if owed and not safe and float(followed.held.min()) <= 2 * float(wanted.max()):
            # with nothing to speak of as collateral only paying back all of it helps, and then not even a hair is needed
            surplus -= np.maximum(0.0, followed.held)
            lines = {which: line + wanted * max(0.0, -own[which].required) / owed for which, line in lines.items()}
        for point in range(at.count):
            tops = [(self._climb(climb, point, upper, limits), 1.0) for climb in followed.climbs]
            gained = [(which, -float(line[point])) for which, line in lines.items() if not 0 < line[point] < FAINT]
            upper.add([*gained, *tops], float(surplus[point]) / self.unit)
        return True

    def _climb(self, climb: Climb, point: int, upper: _Rows, limits: list[tuple[float, float]]) -> int:
        """A new variable that is not below any rung of what is left of a position: shrinking * (1 - x) + fixed <= it."""
        top = len(limits)
        limits.append((-inf, inf))
        for shrinking, fixed in zip(climb.shrinking[:, point], climb.fixed[:, point], strict=True):
            share = float(shrinking) / self.problem.movements[climb.which].most
            upper.add([(climb.which, -share), (top, -1.0)], -float(shrinking + fixed) / self.unit)
        return top

    def _wanted(self, index: int, stand: Stand, followed: Followed) -> Array:
        """How far above zero B is kept: a hair against rounding; no more than there is today where the account lives."""
        one, before = stand.one, followed.before
        wanted = np.full(len(before), self.hair * stand.gross + 1e-12 * self.unit * SPAN + self._steps(index))
        weights = {holding.weight for holding in one.normal.holdings if holding.weight and holding.value > 0}
        if one.account.exact is not None and (len(weights) > 1 or one.figures.liquidatable):
            wanted += FLOORED * np.maximum(0.0, followed.required)
        if one.figures.liquidatable:  # where the model sees it above the line, it must be lifted all the same
            return wanted + np.maximum(0.0, before) if (before >= wanted).all() else wanted
        kept: Array = np.where(before >= 0, np.minimum(wanted, before), wanted)
        return kept

    def _steps(self, index: int) -> float:
        """What rounding a few amounts to whole steps may cost the account, in USD."""
        used = {self.problem.movements[which].token for which in self.by_stand.get(index, [])}
        tokens = [self.problem.tokens[token] for token in used if token is not None]
        return sum(8.0 * float(token.step) * token.price for token in tokens)

    def _keep_limits(self, index: int, stand: Stand, upper: _Rows) -> None:
        """Free margin stays, and so does the buffer above the line: both at today's prices."""
        own, figures = self.by_stand.get(index, []), stand.one.figures
        moves = [(which, self.problem.movements[which]) for which in own]
        hair = self._steps(index) + 1e-10 * self.problem.stands[index].gross + stand.unsure
        upper.add(((which, -move.free) for which, move in moves), max(0.0, figures.free_margin_usd - hair) / self.unit)
        buffer = self.problem.settings.buffer
        if self.at_once:
            leaving = [(which, effects(move, buffer)) for which, move in moves if move.kind not in SINKS]
            for place, spare in enumerate(margins(stand, buffer)):
                upper.add(((which, -gains[place]) for which, gains in leaving), max(0.0, spare - self._steps(index)) / self.unit)
        if buffer > 0:
            spare = figures.surplus_usd - buffer * figures.requirement_usd
            terms = [(which, buffer * move.required - sum(move.net.values())) for which, move in moves]
            upper.add(terms, max(0.0, spare) / self.unit)

    def _keep_cash(self, upper: _Rows) -> None:
        """No more leaves a balance than is there once positions are settled, nor a lending market than its pool can pay. What may leave a
        margin account is that account's own figure.
        """
        moves = self.problem.movements
        paying: dict[tuple[str | None, str, str, str], list[int]] = {}
        for index, move in enumerate(moves):
            if move.stand is None or move.leg is None or move.kind not in SOURCES:
                continue
            one = self.problem.stands[move.stand].one
            leg, account = one.normal.holdings[move.leg].leg, one.account
            if leg.available is not None and account.side is Side.LENDING:
                paying.setdefault((account.chain, account.venue, account.market, leg.asset.id), []).append(index)
            settled = [(other, -moves[other].cash) for other in self.by_stand[move.stand] if moves[other].into == move.leg]
            if settled and move.kind == "withdraw" and move.token is not None:
                ratio = one.normal.holdings[move.leg].price / self.problem.tokens[move.token].price
                upper.add([(index, ratio), *settled], one.normal.holdings[move.leg].value / self.unit)
        for sources in paying.values():
            if len(sources) > 1:
                upper.add(((index, 1.0) for index in sources), max(map(self._payable, sources)) / self.unit)

    def _payable(self, index: int) -> float:
        move = self.problem.movements[index]
        if move.stand is None or move.leg is None or move.token is None:
            return inf
        leg = self.problem.stands[move.stand].one.normal.holdings[move.leg].leg
        return inf if leg.available is None else float(leg.available) * self.problem.tokens[move.token].price


@dataclass(frozen=True, slots=True)
class _Built:
    """The rows of one way: `upper` @ x <= `sides`, `equal` @ x = 0, `bounds` of x."""

    upper: Any
    sides: list[float]
    equal: Any
    bounds: Array
    width: int
