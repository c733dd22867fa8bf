"""Simulated prices of the shock space: where every factor and peg stands at the end of each step, path by path (`unified-health` 8).

Log returns have mean zero (Student-t) or are a history's own days, drawn with replacement (bootstrap). Steps are at most an hour long up
to two days, six hours up to two weeks, a day beyond; the first one is halved again and again, because an account that stands close to its
line dies within it. Every path takes its own numbers out of the generators, one path after the other, so that neither the number of
threads nor the size of the pieces in which paths are drawn changes any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import UsageError
from defi_risk.health.arrays import Array

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory

HOURS_A_DAY: Final = 24
FINE_HOURS: Final = 48
MIDDLE_HOURS: Final = 336
HALVINGS: Final = 10
"""How often the first step is halved, down to 3.5 seconds of an hour."""
FEWEST_DAYS: Final = 30
"""Days of known returns below which there is nothing to draw from."""
PRODUCT: Final = 2**18
"""Multiplications up to which OpenBLAS keeps a matrix product on the calling thread."""
_HOUR: Final = 3_600
_DAY: Final = 86_400
_ON_TIME: Final = 1.01


class Walk(NamedTuple):
    """Log prices relative to today by path, step and axis; and by path and step the root of the time that passed in the step, in days,
    stretched by the volatility that it was drawn with.
    """

    logs: Array
    spread: Array


class Source(Protocol):
    """Where paths come from: `daily` is the covariance of a day's log returns, `moments` how many are drawn and kept for each path."""

    @property
    def daily(self) -> Array: ...

    @property
    def moments(self) -> int: ...

    def draw(self, count: int) -> Walk:
        """The next so many paths."""
        ...


def steps(horizons: Iterable[float]) -> Array:
    """Ends of the steps in hours, rising; the horizons (days) are among them. To a horizon below a day there are 24 steps all the same."""
    ends = sorted({horizon * HOURS_A_DAY for horizon in horizons})
    step = min(1.0, ends[0] / HOURS_A_DAY)
    first = [*(step / 2**halving for halving in range(1, HALVINGS + 1)), *(step * part for part in range(1, HOURS_A_DAY))]
    hours = [*range(1, FINE_HOURS), *range(FINE_HOURS, MIDDLE_HOURS, 6), *range(MIDDLE_HOURS, int(ends[-1]) + 1, HOURS_A_DAY)]
    later = (float(hour) for hour in hours if hour > first[-1])
    return np.array(sorted({*ends, *(end for end in (*first, *later) if end < ends[-1])}))


@dataclass(frozen=True, slots=True)
class StudentT:
    """Multivariate Student-t returns with `daily` as their covariance.

    The scale that makes the tails is drawn once a day and path: the hours of a day share it, as volatility comes in clusters. Drawn
    afresh each hour, the tails would be gone after a day.
    """

    daily: Array
    hours: Array
    degrees: float
    normal: np.random.Generator
    scale: np.random.Generator

    @classmethod
    def of(cls, daily: Array, hours: Array, degrees: float, seed: int) -> StudentT:
        """Raises `UsageError` for tails without variance."""
        if not degrees > 2:
            raise UsageError(f"Student-t tails with {degrees:g} degrees of freedom have no variance", hint="give more than 2")
        normal, scale = (np.random.Generator(np.random.PCG64(each)) for each in np.random.SeedSequence(seed).spawn(2))
        return cls(daily, hours, degrees, normal, scale)

    @property
    def moments(self) -> int:
        return 2 * len(self.hours)

    def draw(self, count: int) -> Walk:
        starts = np.concatenate([[0.0], self.hours[:-1]])
        lengths = (self.hours - starts) / HOURS_A_DAY
        day = (starts / HOURS_A_DAY).astype(np.int64)
        spread = self._stretch(count, int(day[-1]) + 1)[:, day] * np.sqrt(lengths)
        moving = np.flatnonzero(np.diag(self.daily) > 0)
        returns = np.zeros((count, len(self.hours), len(self.daily)))
        drawn = self.normal.standard_normal((count * len(self.hours), len(moving)))
        turned = multiplied(drawn, root(self.daily[np.ix_(moving, moving)]).T)
        returns[:, :, moving] = turned.reshape(count, len(self.hours), -1) * spread[:, :, None] if len(moving) else 0.0
        return Walk(np.cumsum(returns, axis=1, out=returns), spread)

    def _stretch(self, count: int, days: int) -> Array:
        if isinf(self.degrees):
            return np.ones((count, days))
        return np.sqrt((self.degrees - 2) / self.scale.chisquare(self.degrees, (count, days)))


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Whole days of a history, drawn with replacement; a day may start at any hour of it.

    A history with daily prices says nothing about the hours: between its days the path is a Brownian bridge of the history's own
    covariance, so that the days' returns stay those of the history.
    """

    daily: Array
    hours: Array
    returns: Array
    starts: NDArray[np.int64]
    size: int
    choice: np.random.Generator
    normal: np.random.Generator

    @classmethod
    def of(cls, history: PriceHistory, axes: Sequence[str], columns: Sequence[int], hours: Array, seed: int) -> Bootstrap:
        """Returns of the axes at `columns`; the others stand still. Raises `UsageError` for a history with too few days."""
        names = [axes[column] for column in columns]
        hourly = all((history.interval(name) or _DAY) <= _HOUR * _ON_TIME for name in names)
        size = HOURS_A_DAY if hourly else 1
        found = history.select(names).log_returns(_HOUR if hourly else _DAY).values
        known = np.asarray(~np.isnan(found).any(axis=1))
        run = np.convolve(known.astype(np.int64), np.ones(size, dtype=np.int64), mode="valid") if len(known) >= size else np.zeros(0)
        starts = np.flatnonzero(run == size)
        if np.count_nonzero(known) < FEWEST_DAYS * size or not len(starts):
            days = np.count_nonzero(known) / size
            raise UsageError(
                f"price history of {history.source}: {days:.0f} days with a return of every one of {', '.join(names)}",
                hint=f"a bootstrap needs {FEWEST_DAYS}",
            )
        returns = np.zeros((len(found), len(axes)))
        returns[:, list(columns)] = np.where(known[:, None], found, 0.0)
        daily = np.atleast_2d(np.cov(returns[known], rowvar=False, bias=True)) * size
        choice, normal = (np.random.Generator(np.random.PCG64(each)) for each in np.random.SeedSequence(seed).spawn(2))
        return cls(_tidy(daily), hours, returns, starts, size, choice, normal)

    @property
    def moments(self) -> int:
        return 3 * self._days() * HOURS_A_DAY

    def _days(self) -> int:
        return int(np.ceil(self.hours[-1] / HOURS_A_DAY))

    def draw(self, count: int) -> Walk:
        whole = self._days()
        first = self.starts[self.choice.integers(0, len(self.starts), (count, whole))]
        drawn = self.returns[first[:, :, None] + np.arange(self.size)]
        if self.size == 1:
            drawn = self._bridged(drawn)
        walked = np.zeros((count, whole * HOURS_A_DAY + 1, drawn.shape[3]))
        np.cumsum(drawn.reshape(count, -1, drawn.shape[3]), axis=1, out=walked[:, 1:])
        before = np.minimum(self.hours.astype(np.int64), whole * HOURS_A_DAY - 1)
        part = (self.hours - before)[None, :, None]
        logs = walked[:, before] * (1.0 - part) + walked[:, before + 1] * part
        lengths = np.diff(self.hours, prepend=0.0) / HOURS_A_DAY
        return Walk(logs, np.tile(np.sqrt(lengths), (count, 1)))

    def _bridged(self, days: Array) -> Array:
        """Hours of days (paths x days x 1 x axes) that end where the day ends."""
        shape = (*days.shape[:2], HOURS_A_DAY, days.shape[3])
        drawn = self.normal.standard_normal(shape)
        noise = multiplied(drawn.reshape(-1, shape[-1]), root(self.daily).T / HOURS_A_DAY**0.5).reshape(shape)
        return np.asarray(noise - noise.mean(axis=2, keepdims=True) + days / HOURS_A_DAY, dtype=np.float64)


def multiplied(left: Array, right: Array) -> Array:
    """left @ right in pieces that stay on one thread: OpenBLAS's own threads wait for each other where another process wants a core, and
    cut a sum differently with their number.
    """
    found = np.empty((len(left), right.shape[1]))
    for rows in pieces(len(left), right.size):
        np.matmul(left[rows], right, out=found[rows])
    return found


def pieces(length: int, size: int) -> Iterator[slice]:
    """So many rows at a time that one by one they are multiplied with a matrix of `size` numbers on one thread."""
    height = max(1, PRODUCT // max(1, size))
    return (slice(first, first + height) for first in range(0, length, height))


def root(covariance: Array) -> Array:
    """A matrix A with A A' = `covariance`: the volatilities times the symmetric root of the correlations.

    It changes smoothly with the volatilities, so that the same random numbers give the same paths, only wider.
    """
    sigmas = np.sqrt(np.diag(covariance))
    divisor = np.where(sigmas > 0, sigmas, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(divisor, divisor))
    return np.asarray(sigmas[:, None] * (vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T), dtype=np.float64)


def _tidy(covariance: Array) -> Array:
    """Without the variances that rounding makes of returns that are all the same."""
    still = np.diag(covariance) < 1e-20
    covariance[still, :] = 0.0
    covariance[:, still] = 0.0
    return covariance
