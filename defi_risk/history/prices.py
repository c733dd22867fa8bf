"""Observed prices by time and name, and log returns of them on a regular grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import UnknownName, UsageError

HOUR: Final = 3_600
DAY: Final = 86_400
SMALLEST: Final = 1e-30
LARGEST: Final = 1e30
"""USD per unit: no price lies beyond these, and ratios of those within stay finite."""
MOST_POINTS: Final = 10_000_000
_STALE: Final = 3
"""An observation older than so many of its own intervals says nothing about now."""
_JITTER: Final = 1.01


@dataclass(frozen=True, slots=True, eq=False)
class Returns:
    """Log returns on a regular grid: `values[k]` (one column a name) is over the `seconds` that end at `times[k]`; NaN is unknown."""

    times: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    seconds: int

    def of(self, name: str) -> NDArray[np.float64]:
        """One column."""
        return self.values[:, self.names.index(name)]


@dataclass(frozen=True, slots=True, eq=False)
class PriceHistory:
    """Observations of factors (USD per unit) and pegs (the ratio, named `stETH/ETH`).

    `times` are unix seconds UTC, strictly rising; `prices[k]` are what was observed then, one column a name, NaN where nothing was;
    both are read-only. `source` says where they come from. Raises `UsageError` where these do not hold.
    """

    times: NDArray[np.int64]
    names: tuple[str, ...]
    prices: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        times, prices = np.array(self.times, dtype=np.int64), np.array(self.prices, dtype=np.float64)
        if times.ndim != 1 or prices.shape != (len(times), len(self.names)):
            raise UsageError(f"price history of {self.source}: {prices.shape} prices for {len(times)} times and {len(self.names)} names")
        if not len(times):
            raise UsageError(f"price history of {self.source}: an empty history", hint="give at least two observations")
        if len(set(self.names)) < len(self.names):
            raise UsageError(f"price history of {self.source}: one name twice", hint="give one column a name")
        if not bool(np.all(np.diff(times) > 0)):
            raise UsageError(f"price history of {self.source}: times do not rise", hint="sort the observations, one row a time")
        if not bool(np.all(np.isnan(prices) | ((prices >= SMALLEST) & (prices <= LARGEST)))):
            raise UsageError(f"price history of {self.source}: a price that is not above zero and finite")
        times.setflags(write=False)
        prices.setflags(write=False)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "prices", prices)

    @property
    def start(self) -> int:
        """Unix seconds of the first observation."""
        return int(self.times[0])

    @property
    def end(self) -> int:
        """Unix seconds of the last observation: what is "now" in every figure taken from the history."""
        return int(self.times[-1])

    def observations(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and prices of one name, without the missing ones; both empty for a name that is not there."""
        if name not in self.names:
            return np.empty(0, np.int64), np.empty(0)
        column = self.prices[:, self.names.index(name)]
        known = ~np.isnan(column)
        return self.times[known], column[known]

    def interval(self, name: str | None = None) -> int | None:
        """Median spacing in seconds of a name's observations; without name the largest of all names'. None below two observations."""
        if name is None:
            return max((found for each in self.names if (found := self.interval(each)) is not None), default=None)
        times, _ = self.observations(name)
        return max(1, int(np.median(np.diff(times)))) if len(times) > 1 else None

    def select(self, names: Iterable[str]) -> PriceHistory:
        """The same history with these names alone, in their order. Raises `UnknownName`."""
        chosen = tuple(names)
        for name in chosen:
            if name not in self.names:
                raise UnknownName("factor or peg in the price history", name, self.names)
        return PriceHistory(self.times, chosen, self.prices[:, [self.names.index(name) for name in chosen]], self.source)

    def last(self, seconds: float) -> PriceHistory:
        """The observations of the last so many seconds before `end`, both ends included."""
        first = int(np.searchsorted(self.times, self.end - seconds))
        return PriceHistory(self.times[first:], self.names, self.prices[first:], self.source)

    def log_returns(self, seconds: int) -> Returns:
        """Log returns on a grid of so many seconds that ends at `end`, by the last observation at or before each point.

        Unknown is a return one of whose ends has no observation of the last 3 intervals of that name, and every return of a name that
        is observed less often than the grid. Raises `UsageError` for a grid of more than 10,000,000 points.
        """
        if seconds < 1 or (self.end - self.start) // seconds >= MOST_POINTS:
            raise UsageError(f"returns over {seconds} s in a history of {(self.end - self.start) // DAY} days", hint="use longer ones")
        import pandas

        count = (self.end - self.start) // seconds + 1
        grid = self.end - seconds * np.arange(count - 1, -1, -1, dtype=np.int64)
        logs = np.full((count, len(self.names)), np.nan)
        for index, name in enumerate(self.names):
            interval = self.interval(name)
            if interval is None or interval > seconds * _JITTER:
                continue
            times, prices = self.observations(name)
            latest = pandas.Series(np.log(prices), times).reindex(grid, method="ffill", tolerance=_STALE * interval)
            logs[:, index] = latest.to_numpy()
        return Returns(grid[1:], self.names, np.diff(logs, axis=0), seconds)
