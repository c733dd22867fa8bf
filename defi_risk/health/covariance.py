"""Covariance of daily relative returns of factors and pegs: given, estimated from prices, or unknown (`unified-health` sections 4, 8).

An axis is a factor (`ETH`) or a peg (`stETH/ETH`). Volatilities and correlations of a history are exponentially weighted: a return that
is d days older weighs decay ^ d as much, and returns are taken as they are, without their mean.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import UsageError
from defi_risk.ids import USD

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory, Returns

Axis = str
"""Name of a factor or of a peg."""
Matrix = NDArray[np.float64]
DECAY: Final = 0.94
FEWEST: Final = 20
"""Returns below which a history says nothing."""
LARGEST_VOLATILITY: Final = 100.0
_HOUR: Final = 3_600
_DAY: Final = 86_400
_NEGATIVE: Final = -1e-9
_PART: Final = 0.05
"""An axis with a larger component in the eigenvector of a negative eigenvalue has a part in the contradiction."""
_ASSET: Final = re.compile(r"eip155:\d+/(?:erc20|slip44):[^/]+")


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """`matrix[i, j]` is the covariance of the daily relative returns of `axes[i]` and `axes[j]`; it is positive semi-definite.

    `missing` are the axes of which nothing is known: their rows and columns are 0, and no figure that depends on them may be shown.
    """

    axes: tuple[Axis, ...]
    matrix: Matrix
    missing: frozenset[Axis]

    def over(self, days: float) -> Covariance:
        """The same over so many days, returns of different days being independent."""
        return Covariance(self.axes, self.matrix * days, self.missing)

    def volatility(self, axis: Axis) -> float | None:
        """Standard deviation of one axis; None where it is missing."""
        index = self.axes.index(axis)
        return None if axis in self.missing else sqrt(float(self.matrix[index, index]))


def covariance(
    axes: Sequence[Axis],
    *,
    volatility: Mapping[str, float],
    correlation: Mapping[str, float],
    stables: Container[str],
    history: PriceHistory | None,
    decay: float = DECAY,
) -> Covariance:
    """The covariance of the axes, which must differ from each other.

    Volatility (per day): the one given, else that of the history where it holds at least 20 returns, else 0 for stables and USD, else
    missing. Correlation, keyed `BTC/ETH` or `stETH/ETH/BTC` in either order: the one given, else that of the history where it holds at
    least 20 returns of both, else 1 between two factors that are not stable, 0 for stables and pegs. Names and pairs that are not among the
    axes are passed over. Raises `UsageError` for a number out of range, a pair given twice with different numbers, and correlations
    that contradict each other; contradictions within a history alone (pairs known over different times) are smoothed.
    """
    names = tuple(axes)
    pairs = _given(names, correlation)
    measured = _Measured.of(names, history, decay)
    sigmas, missing = np.zeros(len(names)), set[Axis]()
    for index, axis in enumerate(names):
        if axis in volatility:
            sigmas[index] = _in_range(volatility[axis], f"volatility of {axis}", 0.0, LARGEST_VOLATILITY)
        elif axis in measured.variances:
            sigmas[index] = sqrt(measured.variances[axis])
        elif axis not in stables and axis != USD:
            missing.add(axis)
    moving = [index for index in range(len(names)) if sigmas[index] > 0]
    rho = np.eye(len(names))
    for i, j in combinations(moving, 2):
        value = pairs.get((i, j))
        if value is None:
            value = measured.correlations.get((names[i], names[j]))
        if value is None:
            value = float(all(names[one] not in stables and not is_peg(names[one]) for one in (i, j)))
        rho[i, j] = rho[j, i] = value
    inner = np.ix_(moving, moving)
    rho[inner] = _consistent(rho[inner], [names[index] for index in moving], {(names[i], names[j]) for i, j in pairs})
    return Covariance(names, rho * np.outer(sigmas, sigmas), frozenset(missing))


def is_peg(axis: Axis) -> bool:
    """Whether an axis is the ratio of a token to its factor. The id of a token in no table holds a slash too, and is a factor."""
    return "/" in axis and _ASSET.fullmatch(axis) is None


def student_t_scale(degrees: float) -> float:
    """What a Student-t variable of so many degrees of freedom (above 2) is multiplied with to have variance 1."""
    if not degrees > 2:
        raise UsageError(f"Student-t tails with {degrees:g} degrees of freedom have no variance", hint="give more than 2")
    return sqrt((degrees - 2) / degrees)


def cholesky_like(matrix: Matrix) -> Matrix:
    """A matrix A with A A' = `matrix`, for any that is positive semi-definite (Cholesky's own needs it definite)."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)


def _in_range(value: float, what: str, low: float, high: float) -> float:
    if not (isfinite(value) and low <= value <= high):
        raise UsageError(f"{what} is {value:g}", hint=f"it must be between {low:g} and {high:g}")
    return float(value)


def _given(names: Sequence[Axis], correlation: Mapping[str, float]) -> dict[tuple[int, int], float]:
    """The given correlations by the places of their axes, the smaller first. Names hold slashes, so keys are built, not split."""
    found: dict[tuple[int, int], float] = {}
    seen: dict[str, tuple[int, int]] = {}
    for i, j in combinations(range(len(names)), 2):
        for key in (f"{names[i]}/{names[j]}", f"{names[j]}/{names[i]}"):
            if key not in correlation:
                continue
            value = _in_range(correlation[key], f"correlation {key}", -1.0, 1.0)
            if key in seen or found.get((i, j), value) != value:
                twice = "may mean two pairs" if key in seen else "is given twice, with different numbers"
                raise UsageError(f"correlation {key} {twice}", hint="give each pair once")
            seen[key] = (i, j)
            found[i, j] = value
    return found


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a history says: variances per day by axis, correlations by pair in the order of the axes."""

    variances: Mapping[Axis, float]
    correlations: Mapping[tuple[Axis, Axis], float]

    @classmethod
    def of(cls, names: Sequence[Axis], history: PriceHistory | None, decay: float) -> _Measured:
        if not 0 < decay <= 1:
            raise UsageError(f"decay is {decay:g} a day", hint="it must be above 0, and 1 at most")
        if history is None:
            return cls({}, {})
        # no finer than hours: in shorter returns the bounce between bid and ask counts as volatility
        steps = {name: max(interval, _HOUR) for name in names if (interval := history.interval(name)) is not None}
        known = history.select(steps)
        grids = {step: known.log_returns(step) for step in sorted(set(steps.values()))}
        variances: dict[Axis, float] = {}
        for name, step in steps.items():
            moments = _moments(grids[step], name, name, decay)
            if moments is not None:
                variances[name] = moments[2] * _DAY / step
        correlations: dict[tuple[Axis, Axis], float] = {}
        for a, b in combinations(variances, 2):
            moments = _moments(grids[max(steps[a], steps[b])], a, b, decay)
            if moments is not None:
                spread = sqrt(moments[0]) * sqrt(moments[1])
                correlations[a, b] = max(-1.0, min(1.0, moments[2] / spread)) if spread > 0 else 0.0
        return cls(variances, correlations)


def _moments(returns: Returns, a: Axis, b: Axis, decay: float) -> tuple[float, float, float] | None:
    """Weighted means of x x, y y and x y over the returns known of both; None below 20."""
    x, y = returns.of(a), returns.of(b)
    known = ~(np.isnan(x) | np.isnan(y))
    if np.count_nonzero(known) < FEWEST:
        return None
    x, y, times = x[known], y[known], returns.times[known]
    weights = decay ** ((times[-1] - times) / _DAY)
    weights /= weights.sum()
    return float(weights @ (x * x)), float(weights @ (y * y)), float(weights @ (x * y))


def _consistent(rho: Matrix, names: Sequence[Axis], given: Container[tuple[Axis, Axis]]) -> Matrix:
    """The correlation matrix itself where it can be one, else the one with its negative eigenvalues at 0.

    Raises `UsageError` where a given correlation has a part in the contradiction.
    """
    if not len(rho):
        return rho
    values, vectors = np.linalg.eigh(rho)
    if values[0] >= _NEGATIVE:
        return rho
    for value, vector in zip(values, vectors.T, strict=True):
        group = [name for name, part in zip(names, vector, strict=True) if abs(part) > _PART]
        told = ["/".join(pair) for pair in combinations(group, 2) if pair in given]
        if value < _NEGATIVE and told:
            raise UsageError(
                f"the correlations of {', '.join(group)} contradict each other (eigenvalue {value:.3g}; given: {', '.join(told)})",
                hint="give those of the other pairs too: without any it is 1 between volatile factors, 0 with stables and pegs",
            )
    clipped = vectors * np.maximum(values, 0.0) @ vectors.T
    scale = 1.0 / np.sqrt(np.diag(clipped))
    smoothed = clipped * np.outer(scale, scale)
    np.fill_diagonal(smoothed, 1.0)
    return np.asarray((smoothed + smoothed.T) / 2, dtype=np.float64)
