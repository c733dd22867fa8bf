"""How far a surplus B is from its line: the first crossing on each side of today, in closed form (`unified-health` section 4).

A path moves every key's multiplier as max(0, a + b * m), with a + b = 1, where m is the price ratio on the path: 1 is today, m in
(0, 1) is down, m > 1 is up. B is then affine in m between stations: where a multiplier reaches zero, and where a position changes
its maintenance bracket. Crossings are solved for m itself, not for the move m - 1, so that the ratio of a loan with dust for debt
keeps all its digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isclose, isfinite, nextafter
from typing import Final, NamedTuple, TypeAlias

from defi_risk.health.normal import Form, Key, Ladder, Normal
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import USD, Factor, Peg

Ramps = Mapping[Key, tuple[float, float]]
"""A path: (a, b) per key."""
CASH: Final = Key(USD)
ROUNDING: Final = 2e-15
"""A sum smaller than this share of its absolute terms is taken for zero."""
END: Final = 1e-14
"""Crossings this close to a station are at it."""
SMALLEST_MOVE: Final = nextafter(-1.0, 0.0)
_STILL: Final = (1.0, 0.0)
_MOVING: Final = (0.0, 1.0)
_GONE: Final = (0.0, 0.0)


class Ratios(NamedTuple):
    """Price ratios of the first crossing below and above today; None: no crossing on that side."""

    down: float | None
    up: float | None

    def hf(self) -> float | None:
        """The log-symmetric price ratio to liquidation, HF(a); None for infinite."""
        falls = None if self.down is None else 1.0 / self.down
        return falls if self.up is None else self.up if falls is None else min(falls, self.up)

    def moves(self) -> tuple[float | None, float | None]:
        """The same as moves: (r_down, r_up)."""
        return None if self.down is None else move_of(self.down), None if self.up is None else move_of(self.up)


def move_of(ratio: float) -> float:
    """The relative change that a price ratio above zero means: more than -1, also where float64 would round to it."""
    return max(ratio - 1.0, SMALLEST_MOVE)


@dataclass(frozen=True, slots=True)
class Surplus:
    """B of an account, or of several together: `net` - the ladders. `strict`: dead only where B < 0; otherwise also where B = 0."""

    net: Form[float]
    ladders: tuple[Ladder[float], ...]
    strict: bool = True

    @classmethod
    def of(cls, normal: Normal[float], *, strict: bool, credit: float = 0.0) -> Surplus:
        """B of one account, plus `credit` in USD (what its venue's exact verdict says the float sum is short of)."""
        net = dict(normal.c)
        for key, amount in normal.r.items():
            net[key] = net.get(key, 0.0) - amount
        if credit:
            net[CASH] = net.get(CASH, 0.0) + credit
        return cls(net, normal.ladders, strict)

    @classmethod
    def total(cls, parts: Iterable[Surplus]) -> Surplus:
        """The summed surplus of several accounts."""
        net: Form[float] = {}
        ladders: list[Ladder[float]] = []
        for part in parts:
            for key, amount in part.net.items():
                net[key] = net.get(key, 0.0) + amount
            ladders += part.ladders
        return cls(net, tuple(ladders))

    def coordinates(self) -> set[Key]:
        """All keys that B may depend on, and cash."""
        return {CASH, *self.net, *(key for ladder in self.ladders for form in ladder.forms for key in form)}

    def at(self, ramps: Ramps, ratio: float) -> float:
        """B at a point of a path."""

        def value(form: Form[float]) -> float:
            return sum(amount * max(0.0, ramps[key][0] + ramps[key][1] * ratio) for key, amount in form.items())

        steps = (value(ladder.forms[sum(value(gate) >= 0 for gate in ladder.gates)]) for ladder in self.ladders)
        return value(self.net) - sum(steps)


def market(keys: Iterable[Key], settings: HealthSettings) -> dict[Key, tuple[float, float]]:
    """The path on which every factor moves by its beta; pegs hold."""
    betas = {key: settings.beta(key.factor) for key in keys}
    return {key: (1.0 - beta, beta) for key, beta in betas.items()}


def alone(keys: Iterable[Key], moving: Factor | Peg, *, peg: bool) -> dict[Key, tuple[float, float]]:
    """The path on which one factor, or one peg, moves and everything else stands still."""
    return {key: _MOVING if (key.peg if peg else key.factor) == moving else _STILL for key in keys}


def crossings(surplus: Surplus, ramps: Ramps) -> Ratios:
    """The first point on each side of today where a living account dies. A crossing only at m = 0 is none."""
    surplus = _moving(surplus, ramps)
    if not surplus.ladders and min(surplus.net.values(), default=0.0) >= 0:
        return Ratios(None, None)  # nothing is owed that something of the same kind does not cover
    stations = _stations(ramps)
    if not stations and not surplus.ladders:
        line = _line(surplus.net, ramps)
        return Ratios(_root(line, 1.0, 0.0, surplus.strict, alive=True), _root(line, 1.0, inf, surplus.strict, alive=True))
    known: Known = {}
    down = _crossing(surplus, ramps, _between_all(stations, 1.0, 0.0), known)
    return Ratios(down, _crossing(surplus, ramps, _between_all(stations, 1.0, inf), known))


def crossing(surplus: Surplus, ramps: Ramps, near: float, far: float) -> float | None:
    """The first ratio on the way from `near` to `far` at which an account that lives at `near` dies; None where it arrives alive."""
    surplus = _moving(surplus, ramps)
    found = _crossing(surplus, ramps, _between_all(_stations(ramps), near, far), {})
    return None if found is None or abs(found - near) > abs(far - near) else found


def _stations(ramps: Ramps) -> list[float]:
    """Where a multiplier reaches zero."""
    return sorted({-a / b for a, b in ramps.values() if a * b < 0})


def _between_all(stations: Sequence[float], near: float, far: float) -> list[float]:
    """The way from `near` to `far` with the stations on it."""
    inside = [at for at in stations if min(near, far) < at < max(near, far)]
    return [near, *(inside if far > near else reversed(inside)), far]


def _moving(surplus: Surplus, ramps: Ramps) -> Surplus:
    """The same surplus on this path with the ladders that stand still on it added up."""
    moving: list[Ladder[float]] = []
    still = 0.0
    for ladder in surplus.ladders:
        if any(ramps[key][1] for key in ladder.forms[0]):
            moving.append(ladder)
        else:
            still += _standing(ladder, ramps)
    if len(moving) == len(surplus.ladders):
        return surplus
    return Surplus({**surplus.net, CASH: surplus.net.get(CASH, 0.0) - still}, tuple(moving), surplus.strict)


def _standing(ladder: Ladder[float], ramps: Ramps) -> float:
    """The requirement of a position whose prices stand still on this path, though not always where they are today."""

    def value(form: Form[float]) -> float:
        return sum(amount * max(0.0, ramps[key][0]) for key, amount in form.items())

    return value(ladder.forms[sum(value(gate) >= 0 for gate in ladder.gates)])


class _Lines:
    """A surplus on a part of a path where every multiplier is affine: lines of its forms, its ladders' rungs and their gates."""

    __slots__ = ("forms", "gates", "net")

    def __init__(self, surplus: Surplus, ramps: Ramps) -> None:
        self.net = _line(surplus.net, ramps)
        self.forms = [[_line(form, ramps) for form in ladder.forms] for ladder in surplus.ladders]
        self.gates = [[_line(gate, ramps) for gate in ladder.gates] for ladder in surplus.ladders]


Known: TypeAlias = dict[frozenset[Key], _Lines]
"""Lines by what is worth nothing on that part of the path."""


def _crossing(surplus: Surplus, ramps: Ramps, stations: list[float], known: Known) -> float | None:
    alive = True
    for near, far in pairwise(stations):
        inside = _between(near, far)
        gone = frozenset(key for key, (a, b) in ramps.items() if a + b * inside <= 0)
        lines = known.get(gone)
        if lines is None:
            lines = known[gone] = _Lines(surplus, {**ramps, **dict.fromkeys(gone, _GONE)} if gone else ramps)
        found = _in_segment(lines, near, far, surplus.strict, alive=alive)
        if found is not None and (surplus.strict or not isclose(found, far, rel_tol=END) or _counts(surplus, ramps, far)):
            return found
        alive = False
    return None


def _counts(surplus: Surplus, ramps: Ramps, point: float) -> bool:
    """Whether anything is worth something at a point: where nothing is, nothing is required, and B = 0 is no death."""
    forms = (surplus.net, *(ladder.forms[-1] for ladder in surplus.ladders))
    return any(amount and ramps[key][0] + ramps[key][1] * point > END for form in forms for key, amount in form.items())


def _in_segment(lines: _Lines, near: float, far: float, strict: bool, *, alive: bool) -> float | None:
    """The first crossing between two stations, where every multiplier is affine."""
    net, forms = lines.net, lines.forms
    if not forms:
        return _root(net, near, far, strict, alive=alive)
    held: list[int] = []
    cuts: list[tuple[float, int, int]] = []
    for which, gates in enumerate(lines.gates):
        rung, passed = _rungs(gates, near, far)
        held.append(rung)
        cuts += [(at, which, step) for at, step in passed]
    cuts.sort(reverse=far < near)
    total = _less(net, (rungs[rung] for rungs, rung in zip(forms, held, strict=True)))
    for (start, which, step), (stop, _, _) in pairwise([(near, 0, 0), *cuts, (far, 0, 0)]):
        if step:
            left = forms[which][held[which]]
            held[which] += step
            total = _swap(total, left, forms[which][held[which]])
        if _root(total, start, stop, strict, alive=alive) is not None:
            # what swapping lost to rounding is made good before the answer is given
            total = _less(net, (rungs[rung] for rungs, rung in zip(forms, held, strict=True)))
            found = _root(total, start, stop, strict, alive=alive)
            if found is not None:
                return found
        alive = False
    return None


class _Line(NamedTuple):
    """The value a + b * m, with the sums of the absolute terms of a and b: what is lost to rounding is judged by them."""

    a: float
    b: float
    gross_a: float
    gross_b: float


def _line(form: Form[float], ramps: Ramps) -> _Line:
    a = b = gross_a = gross_b = 0.0
    for key, amount in form.items():
        ramp = ramps[key]
        here, slope = amount * ramp[0], amount * ramp[1]
        a += here
        b += slope
        gross_a += abs(here)
        gross_b += abs(slope)
    return _Line(a, b, gross_a, gross_b)


def _less(line: _Line, others: Iterable[_Line]) -> _Line:
    a, b, gross_a, gross_b = line
    for other in others:
        a -= other.a
        b -= other.b
        gross_a += other.gross_a
        gross_b += other.gross_b
    return _Line(a, b, gross_a, gross_b)


def _swap(line: _Line, left: _Line, entered: _Line) -> _Line:
    return _Line(
        line.a + left.a - entered.a,
        line.b + left.b - entered.b,
        line.gross_a - left.gross_a + entered.gross_a,
        line.gross_b - left.gross_b + entered.gross_b,
    )


def _rungs(gates: Iterable[_Line], near: float, far: float) -> tuple[int, list[tuple[float, int]]]:
    """The rung that a ladder stands on right behind `near`, and where on the way to `far` it climbs (+1) or descends (-1)."""
    rung = 0
    steps: list[tuple[float, int]] = []
    for gate in gates:
        zero = -gate.a / gate.b if gate.b else inf
        if min(near, far) < zero < max(near, far):
            climbs = (gate.b > 0) == (far > near)
            steps.append((zero, 1 if climbs else -1))
            rung += not climbs
        else:
            rung += gate.a + gate.b * _between(near, far) >= 0
    return rung, steps


def _between(near: float, far: float) -> float:
    return 2.0 * near if far == inf else (near + far) / 2.0


def _root(line: _Line, near: float, far: float, strict: bool, *, alive: bool) -> float | None:
    """Where a + b * m, followed from `near` to `far`, first goes below zero (not strict: first reaches it)."""
    # a sum of parts that cancel down to their rounding is zero: its root would be noise
    a = line.a if abs(line.a) > ROUNDING * line.gross_a else 0.0
    b = line.b if abs(line.b) > ROUNDING * line.gross_b else 0.0
    start = a + b * near
    falling = b < 0 if far > near else b > 0
    if alive:
        start = max(start, 0.0)  # the account lives at the start: less than nothing is rounding
    elif start < 0 or (start == 0 and not strict and falling):
        return near
    if not falling:
        return None
    root = near if start == 0 else -a / b
    root = max(root, near) if far > near else min(root, near)
    # a root at the end is left to what comes behind: the line may be touched there, or everything may be worth nothing
    inside = root < far * (1.0 - END) if far > near else root > far * (1.0 + END)
    if not inside and (strict or not isclose(root, far, rel_tol=END)):
        return None
    return root if root > 0 and isfinite(root) and isfinite(1.0 / root) else None
