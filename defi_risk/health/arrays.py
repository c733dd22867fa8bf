"""A whole book as arrays: every account's C, R and equity at many points of the shock space at once.

Rows are accounts, columns are keys; a point is one multiplier per key (1 is today). What the closed forms of `distance` say along a
line, these say at any point: they serve grids, stresses and simulated paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from defi_risk.health import bulk
from defi_risk.health.account import Assessed
from defi_risk.health.distance import CASH
from defi_risk.health.normal import Form, Key, Ladder
from defi_risk.health.shock import Shock
from defi_risk.ids import USD, AccountId

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rungs:
    """The ladder of one position: its account's row, and its forms and gates over the keys."""

    row: int
    forms: Array
    gates: Array

    def at(self, points: Array) -> Array:
        """The requirement at points (n x K) -> (n)."""
        rung = (points @ self.gates.T >= 0).sum(axis=1)
        return np.take_along_axis(points @ self.forms.T, rung[:, None], axis=1)[:, 0]


@dataclass(frozen=True, slots=True)
class Arrays:
    """`weights` (C), `needs` (R without ladders), `worths` (equity) and `credits`: accounts x keys, USD at today's prices.

    `credits` is what an account's exact verdict says that the float surplus is short of, so that an account that its venue calls alive
    has B >= 0 today here too. `axes` are the names that can move: factors and pegs; `pulls` (axes x keys) is 1 where an axis moves a key.
    """

    ids: tuple[AccountId, ...]
    venues: tuple[str, ...]
    strict: NDArray[np.bool_]
    keys: tuple[Key, ...]
    axes: tuple[str, ...]
    pulls: NDArray[np.bool_]
    weights: Array
    needs: Array
    worths: Array
    credits: Array
    ladders: tuple[Rungs, ...]

    @classmethod
    def of(cls, assessed: Sequence[Assessed]) -> Arrays:
        """The arrays of assessed accounts, in their order."""
        keys = tuple(sorted({CASH, *(key for one in assessed for key in one.surplus.coordinates())}, key=_rank))
        column = {key: index for index, key in enumerate(keys)}
        axes = tuple(dict.fromkeys([*(str(key.factor) for key in keys if key.factor != USD), *(str(key.peg) for key in keys if key.peg)]))

        def table(forms: Sequence[Form[float]]) -> Array:
            found = np.zeros((len(forms), len(keys)))
            for row, form in enumerate(forms):
                for key, amount in form.items():
                    found[row, column[key]] += amount
            return found

        def rungs(row: int, ladder: Ladder[float]) -> Rungs:
            return Rungs(row, table(ladder.forms), table(ladder.gates))

        return cls(
            ids=tuple(one.account.id for one in assessed),
            venues=tuple(one.account.venue for one in assessed),
            strict=np.array([one.account.strict for one in assessed], dtype=np.bool_),
            keys=keys,
            axes=axes,
            pulls=np.array([[axis in (key.factor, key.peg) for key in keys] for axis in axes], dtype=np.bool_).reshape(
                len(axes), len(keys)
            ),
            weights=table([one.normal.c for one in assessed]),
            needs=table([one.normal.r for one in assessed]),
            worths=table([one.normal.worth() for one in assessed]),
            credits=np.array([one.credit for one in assessed], dtype=np.float64),
            ladders=tuple(rungs(row, ladder) for row, one in enumerate(assessed) for ladder in one.normal.ladders),
        )

    def points(self, multipliers: Array) -> Array:
        """Points over the keys (n x K) of multipliers of the axes (n x axes): a pegged key moves with its factor and its peg."""
        found = np.ones((len(multipliers), len(self.keys)))
        for index, pulled in enumerate(self.pulls):
            found[:, pulled] *= multipliers[:, [index]]
        return found

    def weighted(self, points: Array) -> Array:
        """C at points (n x K) -> (n x accounts)."""
        return points @ self.weights.T

    def requirement(self, points: Array) -> Array:
        """R at points (n x K) -> (n x accounts)."""
        found = points @ self.needs.T
        for ladder in self.ladders:
            found[:, ladder.row] += ladder.at(points)
        return found

    def surplus(self, points: Array) -> Array:
        """B at points (n x K) -> (n x accounts)."""
        found = points @ (self.weights - self.needs).T + self.credits
        for ladder in self.ladders:
            found[:, ladder.row] -= ladder.at(points)
        return found

    def deaths(self, points: Array) -> NDArray[np.int64]:
        """At how many of the points (n x K) each account is below its line: many accounts times many scenarios, in little memory."""
        found = np.zeros(len(self.ids), dtype=np.int64)
        stepped = {ladder.row for ladder in self.ladders}
        net = self.weights - self.needs
        net[:, self.keys.index(CASH)] += self.credits
        for strict in (True, False):
            rows = [row for row in range(len(self.ids)) if self.strict[row] == strict and row not in stepped]
            if rows:
                found[rows] = bulk.count_below(net[rows], points, strict=strict)
        for row in stepped:
            surplus = points @ net[row] - sum(ladder.at(points) for ladder in self.ladders if ladder.row == row)
            found[row] = np.count_nonzero(surplus < 0 if self.strict[row] else surplus <= 0)
        return found

    def equity(self, points: Array) -> Array:
        """Equity without haircuts at points (n x K) -> (n x accounts)."""
        return points @ self.worths.T

    def multipliers(self, shock: Shock) -> Array:
        """What each account's venue sees of a shock: accounts x keys."""
        everywhere = Shock(shock.factors, shock.pegs)
        found = np.tile([everywhere.multiplier(key, "") for key in self.keys], (len(self.ids), 1))
        for venue in {venue for venue, _ in shock.venues}:
            rows = [row for row, own in enumerate(self.venues) if own == venue]
            found[rows] = [shock.multiplier(key, venue) for key in self.keys]
        return found

    def under(self, seen: Array) -> Under:
        """Every account at its own point: accounts x keys, as `multipliers` gives it."""
        weighted = np.einsum("ak,ak->a", seen, self.weights)
        requirement = np.einsum("ak,ak->a", seen, self.needs)
        for ladder in self.ladders:
            requirement[ladder.row] += ladder.at(seen[[ladder.row]])[0]
        return Under(weighted, requirement, weighted - requirement + self.credits, np.einsum("ak,ak->a", seen, self.worths))


@dataclass(frozen=True, slots=True)
class Under:
    """The accounts under one shock, each in USD: C, R, B and equity."""

    weighted: Array
    requirement: Array
    surplus: Array
    equity: Array


def _rank(key: Key) -> tuple[str, str]:
    return key.factor, key.peg or ""


def dead(surplus: Array, requirement: Array, strict: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which accounts are below their line (on it, where the venue's rule says so and something is required)."""
    return np.where(strict, surplus < 0, (surplus < 0) | ((surplus == 0) & (requirement > 0)))
