"""Price histories: returns, moves, correlation and volatility against values worked out by hand or by the plain definition."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.errors import UnknownName, UsageError
from defi_risk.history import (
    DAY,
    HOUR,
    PriceHistory,
    correlation_shift,
    day,
    largest_move,
    percentile,
    realised_volatility,
    rolling_correlation,
    volatility_shift,
)
from tests.strategies import examples

MIDNIGHT = 1_704_067_200  # 2024-01-01
WEEK = 7 * DAY
nan = float("nan")


def history(times: list[int], **columns: list[float]) -> PriceHistory:
    """Columns by name, at these seconds after midnight."""
    return PriceHistory(np.array(times) + MIDNIGHT, tuple(columns), np.column_stack(list(columns.values())), "test")


def walk(returns: list[float], step: int, name: str = "ETH") -> PriceHistory:
    """Prices from 3,000 on with these log returns."""
    prices = 3_000 * np.exp(np.concatenate(([0.0], np.cumsum(returns))))
    return PriceHistory(MIDNIGHT + step * np.arange(len(prices)), (name,), prices[:, None], "test")


def two(a: list[float], b: list[float], step: int = HOUR) -> PriceHistory:
    """Two walks side by side."""
    first, second = walk(a, step), walk(b, step)
    return PriceHistory(first.times, ("ETH", "BTC"), np.hstack([first.prices, second.prices]), "test")


@pytest.mark.parametrize(
    ("times", "prices", "fault"),
    [
        ([1, 1], [[1.0], [2.0]], "times do not rise"),
        ([2, 1], [[1.0], [2.0]], "times do not rise"),
        ([1, 2], [[1.0], [0.0]], "not above zero"),
        ([1, 2], [[1.0], [float("inf")]], "not above zero"),
        ([1], [[1.0], [2.0]], "prices for"),
        ([], np.empty((0, 1)), "an empty history"),
    ],
)
def test_what_is_no_history(times: list[int], prices: list[list[float]], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        PriceHistory(np.array(times, dtype=np.int64), ("ETH",), np.array(prices), "test")


def test_a_history_cannot_be_changed() -> None:
    prices = np.array([[1.0], [2.0]])
    one = PriceHistory(np.array([1, 2]), ("ETH",), prices, "test")
    prices[0, 0] = 9
    assert one.prices[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        one.prices[0, 0] = 3


def test_intervals_are_medians_of_what_was_observed() -> None:
    one = history([0, 60, 120, 500, 560], ETH=[1, 1, 1, 1, 1], BTC=[1, nan, 1, nan, 1], SOL=[1, nan, nan, nan, nan])
    assert (one.interval("ETH"), one.interval("BTC"), one.interval("SOL"), one.interval()) == (60, 280, None, 280)
    assert one.interval("DOGE") is None
    assert one.select(["BTC"]).names == ("BTC",)
    with pytest.raises(UnknownName, match="ETHH"):
        one.select(["ETHH"])


def test_returns_are_between_grid_points_by_the_last_observation() -> None:
    one = history([0, 100, 190, 300, 400], ETH=[1, 2, 4, 8, 16], BTC=[1, nan, 3, nan, 9])
    found = one.log_returns(100)
    assert (found.times - MIDNIGHT).tolist() == [100, 200, 300, 400]
    assert found.of("ETH") == pytest.approx([log(2), log(2), log(2), log(2)])
    assert np.isnan(found.of("BTC")).all(), "observed every 200 s: says nothing about 100 s"
    assert one.log_returns(200).of("BTC") == pytest.approx([log(3), log(3)])


def test_a_stale_price_is_no_return_of_zero() -> None:
    times = [0, 60, 120, 180, 600, 660]
    found = history(times, ETH=[1, 2, 2, 2, 4, 8]).log_returns(60)
    by_time = dict(zip((found.times - MIDNIGHT).tolist(), found.of("ETH").tolist(), strict=True))
    assert by_time[360] == 0, "3 intervals old"
    assert [time for time, value in by_time.items() if np.isnan(value)] == [420, 480, 540, 600]
    assert by_time[660] == pytest.approx(log(2))


def test_a_grid_without_end_is_refused() -> None:
    one = PriceHistory(np.array([0, 1, 2, 9_000_000_000]), ("ETH",), np.ones((4, 1)), "test")
    with pytest.raises(UsageError, match="use longer ones"):
        one.log_returns(1)


def test_the_largest_move_is_between_any_two_observations() -> None:
    one = history([0, 900, 1800, 2700, 3600, 8000], ETH=[100, 104, 97, 103, 100, 50])
    found = largest_move(one, "ETH", 3_600)
    assert found is not None
    assert found.move == pytest.approx(97 / 104 - 1), "hour to hour nothing moved at all"
    assert (found.start - MIDNIGHT, found.end - MIDNIGHT) == (900, 1800)
    assert largest_move(one, "ETH", 800) is None
    assert largest_move(one, "BTC", 3_600) is None


@examples(200)
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0.1, 10)), min_size=1, max_size=40), st.integers(1, 200))
def test_the_largest_move_by_its_definition(steps: list[tuple[int, float]], window: int) -> None:
    times = np.cumsum([step for step, _ in steps]).tolist()
    prices = [price for _, price in steps]
    moves = [abs(prices[j] / prices[i] - 1) for j in range(len(steps)) for i in range(j) if times[j] - times[i] <= window]
    found = largest_move(history(times, ETH=prices), "ETH", window)
    assert (None if found is None else abs(found.move)) == (max(moves) if moves else None)
    if found is not None:
        assert 0 < found.end - found.start <= window


def test_rolling_correlation_against_numpy() -> None:
    draws = np.random.default_rng(1).normal(0, 0.01, (2, 400))
    a, b = draws[0], 0.6 * draws[0] + 0.8 * draws[1]
    found = rolling_correlation(two(a.tolist(), b.tolist()), "ETH", "BTC", WEEK)
    assert found is not None
    assert len(found.values) == 400 - 168 + 1
    assert found.values[-1] == pytest.approx(np.corrcoef(a[-168:], b[-168:])[0, 1], abs=1e-12)
    assert found.values[0] == pytest.approx(np.corrcoef(a[:168], b[:168])[0, 1], abs=1e-12)
    assert found.times[-1] == MIDNIGHT + 400 * HOUR


def test_correlation_with_what_does_not_move_is_unknown() -> None:
    draws = np.random.default_rng(2).normal(0, 0.01, 400).tolist()
    assert rolling_correlation(two(draws, [0.3] + [0.0] * 399), "ETH", "BTC", WEEK) is not None, "the first windows hold the move"
    assert rolling_correlation(two(draws, [0.0] * 400), "ETH", "BTC", WEEK) is None
    assert rolling_correlation(two(draws[:100], draws[:100]), "ETH", "BTC", WEEK) is None
    assert rolling_correlation(two(draws, draws, DAY), "ETH", "BTC", WEEK) is None, "daily prices hold no hourly returns"


def test_the_correlation_shift() -> None:
    """30 days nearly uncorrelated, then a week of moving as one."""
    draws = np.random.default_rng(3).normal(0, 0.01, (2, 37 * 24))
    b = np.concatenate((draws[1][:-168], draws[0][-168:]))
    found = correlation_shift(two(draws[0].tolist(), b.tolist()), "ETH", "BTC")
    assert found is not None
    assert found.now == pytest.approx(1)
    assert 0 < found.mean < 0.3
    assert correlation_shift(two(draws[0][:700].tolist(), b[:700].tolist()), "ETH", "BTC") is None


@pytest.mark.parametrize(("step", "count"), [(HOUR, 24 * 10), (DAY, 10)])
def test_realised_volatility_is_per_day(step: int, count: int) -> None:
    size = 0.04 * sqrt(step / DAY)
    found = realised_volatility(walk([size, -size] * (count // 2), step), "ETH")
    assert found is not None
    assert found.values == pytest.approx([0.04] * 4)
    assert ((found.times - MIDNIGHT) / DAY).tolist() == [7, 8, 9, 10]


def test_weekly_prices_have_no_weekly_volatility() -> None:
    assert realised_volatility(walk([0.1] * 60, WEEK), "ETH") is None
    assert realised_volatility(walk([0.1] * 5, DAY), "ETH") is None


def test_the_volatility_shift() -> None:
    calm = walk([0.03, -0.03] * 179 + [0.005, -0.005] * 4, DAY)
    found = volatility_shift(calm, "ETH")
    assert found is not None
    assert found.now == pytest.approx(0.005)
    assert found.percentile < 0.02
    rough = volatility_shift(walk([0.03, -0.03] * 179 + [0.05, -0.05] * 4, DAY), "ETH")
    assert rough is not None
    assert rough.percentile > 0.98
    assert volatility_shift(walk([0.03, -0.03] * 130, DAY), "ETH") is None, "260 days are no year"


def test_percentiles() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert [percentile(values, value) for value in (0, 1, 2.5, 4, 5)] == [0, 0.125, 0.5, 0.875, 1]
    assert percentile(np.empty(0), 1) is None


def test_a_recorded_day_of_hours() -> None:
    prices = [100.0] * 24 + [90.0] * 10 + [60.0] + [80.0] * 13
    one = history([HOUR * hour for hour in range(48)], ETH=prices, BTC=[nan] * 24 + [5.0] * 24)
    found = day(one, date(2024, 1, 2))
    assert (found.names, found.missing) == (("ETH",), ("BTC",)), "BTC has no price before the day"
    assert found.times[0] == MIDNIGHT + 23 * HOUR
    assert found.multipliers[:, 0] == pytest.approx([1.0] + [0.9] * 10 + [0.6] + [0.8] * 13)


def test_a_recorded_day_of_daily_closes_and_of_gaps() -> None:
    one = history([0, DAY, 2 * DAY, 9 * DAY], ETH=[100, 50, 70, 7], USDT=[1, 0.9, nan, nan])
    assert day(one, date(2024, 1, 2)).multipliers.tolist() == [[1, 1], [0.5, 0.9]]
    third = day(one, date(2024, 1, 3))
    assert (third.names, third.multipliers.tolist(), third.missing) == (("ETH",), [[1], [1.4]], ("USDT",))
    for missing in (date(2024, 1, 1), date(2024, 1, 4), date(2024, 1, 10), date(2023, 1, 1), date(1, 1, 1), date(9999, 12, 31)):
        with pytest.raises(UsageError, match=rf"does not cover {missing.isoformat()} - it holds 2024-01-01 to 2024-01-10"):
            day(one, missing)


def test_between_its_observations_a_name_stands_still() -> None:
    times = [HOUR * hour for hour in range(48)]
    one = history(times, ETH=[10.0] * 48, BTC=[4.0 if hour % 3 == 2 else nan for hour in range(24)] + [nan, nan, 2.0] * 8)
    assert day(one, date(2024, 1, 2)).multipliers[:, 1].tolist() == [1, 1, 1] + [0.5] * 22


@examples(50)
@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=60), st.integers(1, 4))
def test_returns_of_a_coarser_grid_are_sums(returns: list[float], times: int) -> None:
    fine = walk(returns, HOUR).log_returns(HOUR).of("ETH")
    coarse = walk(returns, HOUR).log_returns(times * HOUR).of("ETH")
    cut = fine[len(fine) - len(coarse) * times :]
    assert coarse == pytest.approx(cut.reshape(len(coarse), times).sum(axis=1), abs=1e-9)
    assert exp(float(fine.sum())) == pytest.approx(exp(sum(returns)))


def test_the_package_costs_little_to_import() -> None:
    code = "import sys, defi_risk.history as h; sys.exit(any(name in sys.modules for name in ('pandas', 'pyarrow', 'diskcache', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  # our own command
