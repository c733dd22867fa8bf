"""What a price history says about now: the largest move, correlation and volatility, and how they compare with the past.

"Now" is the history's last observation: whoever shows a figure as today's checks `PriceHistory.end` first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.history.prices import DAY, HOUR, PriceHistory

if TYPE_CHECKING:
    import pandas

WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY
YEAR: Final = 365 * DAY
FULL: Final = 0.8
"""Share of a window's returns, or of a period's windows, that must be known."""
ENOUGH_DAYS: Final = 270
"""Daily volatilities that stand for a year."""
_NOISE: Final = 1e-12
"""Share of the largest squared return so far: pandas moves its sums from window to window, which leaves less than that of it behind."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Known values by unix seconds UTC, never empty."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LargestMove:
    """A relative price move (-0.06: down by 6 %) from one observation to a later one, at unix seconds UTC."""

    move: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class VolatilityShift:
    """7-day realised volatility per day now, and the share (0 to 1) of the trailing year's values below it."""

    now: float
    percentile: float


@dataclass(frozen=True, slots=True)
class CorrelationShift:
    """7-day correlation of hourly returns now, and its mean over the trailing 30 days."""

    now: float
    mean: float


def largest_move(history: PriceHistory, name: str, window_seconds: float) -> LargestMove | None:
    """The largest move, up or down, between any two observations at most so far apart. None where no two are."""
    times, prices = history.observations(name)
    best: LargestMove | None = None
    low: deque[int] = deque()  # within the window, candidates for the lowest price: rising from the left
    high: deque[int] = deque()
    moments: list[int] = times.tolist()
    values: list[float] = prices.tolist()
    for index, (time, price) in enumerate(zip(moments, values, strict=True)):
        for queue in (low, high):
            while queue and moments[queue[0]] < time - window_seconds:
                queue.popleft()
        for queue in (low, high):
            if queue and (best is None or abs(price / values[queue[0]] - 1) > abs(best.move)):
                best = LargestMove(price / values[queue[0]] - 1, moments[queue[0]], time)
        while low and values[low[-1]] >= price:
            low.pop()
        low.append(index)
        while high and values[high[-1]] <= price:
            high.pop()
        high.append(index)
    return best


def rolling_correlation(history: PriceHistory, a: str, b: str, window_seconds: float, step: int = HOUR) -> Series | None:
    """Correlation of two names' log returns over `step` in every window of so many seconds, stamped with the window's end.

    Left out are windows with less than 80 % of their returns known for both, or where one of the two never moved. None where none is left.
    """
    width = int(window_seconds // step)
    if a not in history.names or b not in history.names or a == b or width < 2:
        return None
    returns = history.select((a, b)).log_returns(step)
    if len(returns.times) < width:
        return None
    import pandas

    x, y = (pandas.Series(returns.of(name), returns.times) for name in (a, b))
    both = x.notna() & y.notna()
    x, y = x.where(both), y.where(both)
    windows = [one.rolling(width, min_periods=ceil(FULL * width)) for one in (x, y)]
    moved = [window.var() > _NOISE * (one * one).cummax().ffill() for window, one in zip(windows, (x, y), strict=True)]
    found = windows[0].corr(y).clip(-1.0, 1.0).where(moved[0] & moved[1])
    return _series(found.iloc[width - 1 :])


def realised_volatility(history: PriceHistory, name: str, window_seconds: float = WEEK) -> Series | None:
    """Volatility per day in the windows that end now, a day ago, two days ago...: the root of the mean squared log return.

    Returns are hourly where observations are, else daily. Left out are windows with less than 80 % of their returns known; None where
    none is left or the name is observed less than daily.
    """
    interval = history.interval(name)
    if interval is None or interval > DAY:
        return None
    import pandas

    step = HOUR if interval <= HOUR else DAY
    width = int(window_seconds // step)
    returns = history.select((name,)).log_returns(step)
    if width < 2 or len(returns.times) < width:
        return None
    values = returns.of(name)
    squares = pandas.Series(values * values, returns.times)
    means = squares.rolling(width, min_periods=ceil(FULL * width)).mean().iloc[width - 1 :]
    return _series((means.iloc[:: -DAY // step].iloc[::-1].clip(lower=0.0) * (DAY / step)) ** 0.5)


def percentile(values: NDArray[np.float64], value: float) -> float | None:
    """Share (0 to 1) of the values below one, ties counted half. None of no values."""
    if not len(values):
        return None
    import pandas

    return float((pandas.Series([value, *values]).rank().iloc[0] - 1) / len(values))


def volatility_shift(history: PriceHistory, name: str) -> VolatilityShift | None:
    """7-day realised volatility now against the trailing year. None below 270 days with a value, or without a value now."""
    series = realised_volatility(history.last(YEAR + WEEK), name)
    if series is None or series.times[-1] != history.end or len(series.values) < ENOUGH_DAYS:
        return None
    now = float(series.values[-1])
    rank = percentile(series.values[:-1], now)
    return None if rank is None else VolatilityShift(now, rank)


def correlation_shift(history: PriceHistory, a: str, b: str) -> CorrelationShift | None:
    """7-day hourly correlation now against its trailing 30 days.

    None without hourly observations of both, without a value now, or with less than 80 % of the 30 days' hourly values: 37 days of
    prices are always enough where nothing is missing.
    """
    series = rolling_correlation(history.last(MONTH + WEEK), a, b, WEEK)
    if series is None or series.times[-1] != history.end:
        return None
    past = series.values[series.times > history.end - MONTH]
    if len(past) < FULL * MONTH / HOUR:
        return None
    return CorrelationShift(float(series.values[-1]), float(np.mean(past)))


def _series(values: pandas.Series[float]) -> Series | None:
    """The values that are known, if any is."""
    known = values.dropna()
    return Series(known.index.to_numpy(np.int64), np.asarray(known, dtype=np.float64)) if len(known) else None
