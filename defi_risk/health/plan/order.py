"""The order of a plan's steps: each must be possible when its turn comes, under today's initial limits, with money that has arrived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.health.plan.moves import SINKS, SOURCES, Kind, Movement, Problem, Stand
from defi_risk.units import EXACT

ORDER: Final[Sequence[Kind]] = ("close", "withdraw", "add", "borrow", "repay", "deposit")
"""Where several steps are possible: closing and what leaves first, then what arrives."""
_ROUNDING: Final = 1e-10


@dataclass(frozen=True, slots=True)
class Trip:
    """Money of one token on its way between two movements: their places."""

    source: int
    sink: int


def trips(problem: Problem, amounts: Mapping[int, Decimal]) -> list[Trip]:
    """Which source feeds which sink: of every token the first of both, until all is used up."""
    found: list[Trip] = []
    for token in range(len(problem.tokens)):
        sources = [index for index in problem.of_token(token, SOURCES) if index in amounts]
        sinks = [index for index in problem.of_token(token, SINKS) if index in amounts]
        left = dict(amounts)
        while sources and sinks:
            source, sink = sources[0], sinks[0]
            found.append(Trip(source, sink))
            part = min(left[source], left[sink])
            left[source], left[sink] = EXACT.subtract(left[source], part), EXACT.subtract(left[sink], part)
            sources, sinks = sources[not left[source] :], sinks[not left[sink] :]
    return found


def ordered(problem: Problem, amounts: Mapping[int, Decimal], feeds: Iterable[Trip]) -> tuple[tuple[int, ...], ...] | None:
    """The movements in rounds: what an account gives in one may need what it got in those before. None where every order gets stuck."""
    awaited: dict[int, set[int]] = {}
    for trip in feeds:
        awaited.setdefault(trip.sink, set()).add(trip.source)
    left = sorted(amounts, key=lambda index: (ORDER.index(problem.movements[index].kind), index))
    closed = [index for index in left if problem.movements[index].kind == "close"]
    room = _Room(problem, amounts, closed)
    left = [index for index in left if index not in closed]
    rounds: list[tuple[int, ...]] = []
    gone: set[int] = set()
    while left:
        out = [index for index in left if problem.movements[index].kind in SOURCES and room.gives(index)]
        gone.update(out)
        come = [index for index in left if problem.movements[index].kind in SINKS and awaited.get(index, set()) <= gone]
        for index in come:
            room.book(index)
        made = {*out, *come}
        if not made:
            return None
        rounds.append((*closed, *out, *come))
        closed, left = [], [index for index in left if index not in made]
    return (*rounds, tuple(closed)) if closed else tuple(rounds)


class _Room:
    """What every account may still give: its free margin, its buffer and its surplus at today's prices, in USD."""

    def __init__(self, problem: Problem, amounts: Mapping[int, Decimal], closed: Sequence[int]) -> None:
        self.problem = problem
        self.amounts = amounts
        self.left: dict[int, tuple[float, ...]] = {
            place: margins(stand, problem.settings.buffer) for place, stand in enumerate(problem.stands)
        }
        for index in closed:
            self.book(index)

    def gives(self, index: int) -> bool:
        """Whether a source may give now; books it if so."""
        move = self.problem.movements[index]
        if move.stand is None or self.problem.stands[move.stand].idle or not (move.net or move.free):
            return True
        least = -_ROUNDING * self.problem.stands[move.stand].gross
        if any(value < least and value < before for before, value in zip(self.left[move.stand], self._after(index), strict=True)):
            return False
        self.book(index)
        return True

    def book(self, index: int) -> None:
        """A movement that is made."""
        stand = self.problem.movements[index].stand
        if stand is not None:
            self.left[stand] = self._after(index)

    def _after(self, index: int) -> tuple[float, ...]:
        move = self.problem.movements[index]
        if move.stand is None or move.leg is None:
            raise ValueError("money from outside has no account")
        if move.token is None:
            position = self.problem.stands[move.stand].one.normal.holdings[move.leg].leg.position
            usd = 0.0 if position is None else move.most * float(self.amounts[index] / abs(position.size))
        else:
            usd = float(self.amounts[index]) * self.problem.tokens[move.token].price
        gains = effects(move, self.problem.settings.buffer)
        return tuple(value + usd * gain for value, gain in zip(self.left[move.stand], gains, strict=True))


def margins(stand: Stand, buffer: float) -> tuple[float, float, float]:
    """What an account has to spare today, in USD: free margin, surplus above the buffer, surplus."""
    figures = stand.one.figures
    surplus = figures.surplus_usd + stand.one.credit
    return figures.free_margin_usd - stand.unsure, surplus - buffer * figures.requirement_usd, surplus


def effects(move: Movement, buffer: float) -> tuple[float, float, float]:
    """What one USD of a movement adds to each of these. A ladder that closing climbs down is left out: it only adds."""
    net = sum(move.net.values())
    return move.free, net - buffer * move.required, net
