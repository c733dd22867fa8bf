"""Distance to liquidation in standard deviations: D = B / sqrt(g' G g), and the most likely shock that kills (`unified-health` section 4).

g is dB/ds by axis (factors and pegs) at today's prices and G the covariance of their relative returns over the horizon. The shock that
kills, -B G g / (g' G g), is exact while B is linear. Where a position changes its bracket or a price would fall below zero on the way, the
account is followed along the same direction to where it dies, and D grows or shrinks with the way. A key that a factor and a peg move
together moves there by the sum of both: a first-order step, whose error is the product of the two moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.account import Assessed
from defi_risk.health.arrays import Array, Arrays, Rungs
from defi_risk.health.distance import crossing
from defi_risk.health.figures import Sigma

if TYPE_CHECKING:
    from defi_risk.health.covariance import Covariance

CANCELLED: Final = 1e-14
"""A sum smaller than this share of its absolute terms is what rounding left of nothing."""


@dataclass(frozen=True, slots=True)
class SigmaDistance:
    """D of one account over a horizon and the relative moves, by factor or peg, that kill it.

    `distance` is 0 for an account that is liquidatable, and None where no move in this direction kills (`missing` is empty) or where axes
    that the surplus depends on have no known volatility: `missing` names them.
    """

    distance: float | None
    shock: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


NEVER: Final = SigmaDistance(None)
NOW: Final = SigmaDistance(0.0)


def sigma(one: Assessed, daily: Covariance, horizon_days: float) -> SigmaDistance:
    """D of one account; `daily` is the covariance of a day."""
    return sigmas([one], Arrays.of([one]), daily, horizon_days)[0]


def sigmas(assessed: Sequence[Assessed], arrays: Arrays, daily: Covariance, horizon_days: float) -> list[SigmaDistance]:
    """D of every account, in their order; `arrays` is `Arrays.of(assessed)`, `daily` the covariance of a day."""
    known, matrix = aligned(arrays.axes, daily)
    matrix = matrix * horizon_days
    gradients = gradients_of(arrays)
    moved = gradients @ matrix
    variances = np.einsum("ai,ai->a", gradients, moved)
    most = (np.abs(gradients) @ np.sqrt(np.diag(matrix))) ** 2  # the variance if nothing cancelled
    variances[variances <= CANCELLED * most] = 0.0
    surpluses = np.array([max(0.0, one.figures.surplus_usd + one.credit) for one in assessed])
    shocks = -surpluses[:, None] * moved / np.where(variances > 0, variances, 1.0)[:, None]
    bends = _bends(arrays, shocks @ arrays.pulls)
    return [
        _distance(one, arrays, gradients[row], known, float(variances[row]), shocks[row], bent=bool(bends[row]))
        for row, one in enumerate(assessed)
    ]


def book_sigma(assessed: Sequence[Assessed], distances: Sequence[SigmaDistance], horizon_days: float) -> Sigma:
    """The smallest distance of any account, with the account and the shock that kills it.

    Accounts whose distance is not known are left out: where there are any, the figure is an upper bound.
    """
    found = [
        (each.distance, one.account.id, each.shock) for one, each in zip(assessed, distances, strict=True) if each.distance is not None
    ]
    if not found:
        return Sigma(horizon_days, None, None, {})
    distance, account, shock = min(found, key=lambda each: (each[0], each[1]))
    return Sigma(horizon_days, distance, account, shock)


def aligned(axes: Sequence[str], daily: Covariance) -> tuple[NDArray[np.bool_], Array]:
    """Which axes have a known volatility, and the covariance in their order; rows and columns of unknown ones are 0."""
    place = {axis: index for index, axis in enumerate(daily.axes)}
    known = np.array([axis in place and axis not in daily.missing for axis in axes], dtype=np.bool_)
    matrix = np.zeros((len(axes), len(axes)))
    rows = [place[axis] for axis, there in zip(axes, known, strict=True) if there]
    matrix[np.ix_(known, known)] = daily.matrix[np.ix_(rows, rows)]
    return known, matrix


def gradients_of(arrays: Arrays) -> Array:
    """dB/ds by axis (accounts x axes) at today's prices, in USD; what cancels down to rounding is 0."""
    pulls = arrays.pulls.T.astype(np.float64)
    gradients, gross = slopes(arrays) @ pulls, gross_of(arrays) @ pulls
    gradients[np.abs(gradients) <= CANCELLED * gross] = 0.0
    return gradients


def slopes(arrays: Arrays) -> Array:
    """dB/ds by key (accounts x keys) at today's prices, in USD, with the brackets that hold now."""
    found = arrays.weights - arrays.needs
    today = np.ones(len(arrays.keys))
    for ladder in arrays.ladders:
        found[ladder.row] -= ladder.forms[_rung(ladder, today)]
    return found


def _distance(
    one: Assessed, arrays: Arrays, gradient: Array, known: NDArray[np.bool_], variance: float, shock: Array, *, bent: bool
) -> SigmaDistance:
    surplus = one.figures.surplus_usd + one.credit
    if one.figures.liquidatable:
        return NOW
    missing = tuple(arrays.axes[index] for index in np.flatnonzero((gradient != 0) & ~known))
    if missing:
        return SigmaDistance(None, {}, missing)
    if variance == 0.0:
        return NEVER if surplus > 0 or one.figures.requirement_usd == 0 else NOW
    if surplus <= 0:
        return NOW
    scale = _scale(one, arrays, shock @ arrays.pulls) if bent else 1.0
    if scale is None:
        return NEVER
    moves = {axis: float(move) * scale for axis, move in zip(arrays.axes, shock, strict=True) if move}
    return SigmaDistance(surplus / variance**0.5 * scale, moves)


def _scale(one: Assessed, arrays: Arrays, moves: Array) -> float | None:
    """How many of the first-order shock it takes, by the account's own bends; None where no multiple of it kills."""
    column = dict(zip(arrays.keys, moves.tolist(), strict=True))
    ramps = {key: (1.0 - column[key], column[key]) for key in one.surplus.coordinates()}
    found = crossing(one.surplus, ramps, 1.0, inf)
    return None if found is None else found - 1.0


def gross_of(arrays: Arrays) -> Array:
    """The sums of the absolute terms of the same: what rounding is judged by."""
    gross = np.abs(arrays.weights) + np.abs(arrays.needs)
    for ladder in arrays.ladders:
        gross[ladder.row] += np.abs(ladder.forms).max(axis=0)
    return gross


def _bends(arrays: Arrays, moves: Array) -> NDArray[np.bool_]:
    """Which accounts are not linear up to their own shock (accounts x keys): a price is gone, or a bracket is another."""
    involved = gross_of(arrays) > 0
    bent = np.any(involved & (moves < -1.0), axis=1)
    today = np.ones(len(arrays.keys))
    for ladder in arrays.ladders:
        if not bent[ladder.row]:  # a gate is linear on the way: the same rung at both ends is the same all the way
            bent[ladder.row] = _rung(ladder, today + moves[ladder.row]) != _rung(ladder, today)
    found: NDArray[np.bool_] = bent
    return found


def _rung(ladder: Rungs, point: Array) -> int:
    return int((ladder.gates @ point >= 0).sum())
