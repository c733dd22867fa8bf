"""The stretch of the market that a plan must survive, and one account's surplus along it (`unified-health` sections 4 and 7).

Between the points where some factor's price reaches zero every surplus is concave, once each ladder is taken at the largest of its
forms: where brackets meet and rates rise that is the ladder itself, elsewhere it asks for too much, never too little. So it is enough
to look at these points, today and the ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.normal import Form, Key, Ladder
from defi_risk.health.plan.moves import Stand
from defi_risk.health.settings import HealthSettings

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Way:
    """From one market move to another, through today: `low` <= 0 <= `high`."""

    low: float
    high: float
    settings: HealthSettings

    def multipliers(self, keys: Iterable[Key]) -> Multipliers:
        """What the price of each key is multiplied by where B has to be looked at."""
        betas = {key: self.settings.beta(key.factor) for key in keys}
        zeros = {-1.0 / beta for beta in betas.values() if beta}
        points = np.array(sorted({self.low, 0.0, self.high, *(zero for zero in zeros if self.low < zero < self.high)}))
        return Multipliers({key: np.maximum(0.0, 1.0 + beta * points) for key, beta in betas.items()}, len(points))


@dataclass(frozen=True, slots=True)
class Multipliers:
    """The multipliers of every key at `count` points."""

    by_key: Mapping[Key, Array]
    count: int

    def along(self, form: Form[float]) -> Array:
        """The value of a form at every point."""
        total = np.zeros(self.count)
        for key, amount in form.items():
            total += amount * self.by_key[key]
        return total


@dataclass(frozen=True, slots=True)
class Climb:
    """A ladder whose position may be closed by movement `which`: at every point and for every rung what shrinks with the position and
    what does not (rungs x points).
    """

    which: int
    shrinking: Array
    fixed: Array


@dataclass(frozen=True, slots=True)
class Followed:
    """One account along a way. `before` is its surplus as it stands; `surplus` the same without the ladders that stand in `climbs`."""

    surplus: Array
    before: Array
    held: Array
    required: Array
    climbs: tuple[Climb, ...]


def follow(stand: Stand, closing: Mapping[int, int], at: Multipliers, *, lenient: bool) -> Followed:
    """The account along a way. `closing`: which movement closes the position of a leg. Not `lenient`: without the credit that its
    venue's verdict gives it on the line.
    """
    normal = stand.one.normal
    surplus = at.along(stand.one.surplus.net) - (0.0 if lenient else stand.one.credit)
    before = surplus.copy()
    climbs: list[Climb] = []
    for leg, holding in enumerate(normal.holdings):
        if holding.ladder is None:
            continue
        rungs = _reachable(holding.ladder, at)
        most = np.max([at.along(form) for form in rungs], axis=0)
        before -= most
        if leg in closing:
            shrinking = np.array([at.along({holding.key: form.get(holding.key, 0.0)}) for form in rungs])
            fixed = np.array([at.along({key: usd for key, usd in form.items() if key != holding.key}) for form in rungs])
            climbs.append(Climb(closing[leg], shrinking, fixed))
        else:
            surplus -= most
    return Followed(surplus, before, at.along(normal.c), at.along(normal.r), tuple(climbs))


def _reachable(ladder: Ladder[float], at: Multipliers) -> list[Form[float]]:
    """The forms whose bracket the position can be in at some point, or below it once some of it is closed."""
    passed = [bool((at.along(gate) >= 0).any()) for gate in ladder.gates]
    return [form for form, reached in zip(ladder.forms, [True, *passed], strict=True) if reached]
