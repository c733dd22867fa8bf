"""What a price history says about now: the largest move, correlation and volatility, and how they compare with the past.

"Now" is the history's last observation: whoever shows a figure as today's checks `PriceHistory.end` first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from defi_risk.history.prices import DAY, HOUR, PriceHistory

WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY
YEAR: Final = 365 * DAY
FULL: Final = 0.8
"""Share of a window's returns, or of a period's windows, that must be known."""
ENOUGH_DAYS: Final = 270
"""Daily volatilities that stand for a year."""
_NOISE: Final = 1e-12


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
    known = ~(np.isnan(returns.of(a)) | np.isnan(returns.of(b)))
    x, y = np.where(known, returns.of(a), 0.0), np.where(known, returns.of(b), 0.0)
    count = np.maximum(_sums(known.astype(np.float64), width), 1.0)
    sx, sy = _sums(x, width), _sums(y, width)
    squares_x, squares_y = _sums(x * x, width), _sums(y * y, width)
    vx, vy = squares_x - sx * sx / count, squares_y - sy * sy / count
    cov = _sums(x * y, width) - sx * sy / count
    good = (count >= FULL * width) & (vx > _NOISE * squares_x) & (vy > _NOISE * squares_y)
    values = np.clip(cov[good] / np.sqrt(vx[good] * vy[good]), -1.0, 1.0)
    return Series(returns.times[width - 1 :][good], values) if len(values) else None


def realised_volatility(history: PriceHistory, name: str, window_seconds: float = WEEK) -> Series | None:
    """Volatility per day in the windows that end now, a day ago, two days ago...: the root of the mean squared log return.

    Returns are hourly where observations are, else daily. Left out are windows with less than 80 % of their returns known; None where
    none is left or the name is observed less than daily.
    """
    interval = history.interval(name)
    if interval is None or interval > DAY:
        return None
    step = HOUR if interval <= HOUR else DAY
    width = int(window_seconds // step)
    returns = history.select((name,)).log_returns(step)
    if width < 2 or len(returns.times) < width:
        return None
    values = returns.of(name)
    known = ~np.isnan(values)
    daily = slice(None, None, -DAY // step)
    count = sliding_window_view(known, width)[daily].sum(axis=1)[::-1]
    squares = sliding_window_view(np.where(known, values * values, 0.0), width)[daily].sum(axis=1)[::-1]
    ends = returns.times[width - 1 :][daily][::-1]
    good = count >= FULL * width
    return Series(ends[good], np.sqrt(squares[good] / count[good] * (DAY / step))) if bool(good.any()) else None


def percentile(values: NDArray[np.float64], value: float) -> float | None:
    """Share (0 to 1) of the values below one, ties counted half. None of no values."""
    if not len(values):
        return None
    return float((np.count_nonzero(values < value) + 0.5 * np.count_nonzero(values == value)) / len(values))


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


def _sums(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Sums over every window, each added up afresh: running sums would leave rounding where a price stands still."""
    sums: NDArray[np.float64] = sliding_window_view(values, width).sum(axis=1)
    return sums
