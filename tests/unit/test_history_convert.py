"""Candles and oracle rounds as price histories, and several as one."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from defi_risk.errors import BadAnswer, OutOfRange, Undecodable, UsageError
from defi_risk.history import DAY, HOUR, PriceHistory, Round, day, from_candles, from_rounds, merge, with_pegs

MIDNIGHT = 1_704_067_200  # 2024-01-01


def candle(hour: int, close: object) -> list[object]:
    return [(MIDNIGHT + HOUR * hour) * 1000, 1.0, 2.0, 0.5, close, 10.0]


def test_a_close_is_observed_when_its_bar_ends() -> None:
    found = from_candles("ETH", [candle(1, 3001), candle(0, 3000.5), candle(2, None)], seconds=HOUR)
    assert (found.times - MIDNIGHT).tolist() == [HOUR - 1, 2 * HOUR - 1]
    assert found.prices[:, 0].tolist() == [3000.5, 3001]


def test_the_bar_that_is_not_over_is_left_out_and_the_later_row_counts() -> None:
    rows = [candle(0, 1), candle(1, 2), candle(1, 3), candle(2, 4)]
    assert from_candles("ETH", rows, seconds=HOUR, until=MIDNIGHT + 3 * HOUR - 1).prices[:, 0].tolist() == [1, 3]


def test_a_daily_candle_is_its_own_days() -> None:
    rows = [candle(0, 100), candle(24, 80)]
    assert day(from_candles("ETH", rows, seconds=DAY), date(2024, 1, 2)).multipliers[:, 0].tolist() == [1, 0.8]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([MIDNIGHT * 1000, 1], Undecodable),
        (candle(0, "3000"), Undecodable),
        (candle(0, True), Undecodable),
        ([None, 1, 1, 1, 1, 1], Undecodable),
        (candle(0, 0), OutOfRange),
        (candle(0, float("nan")), OutOfRange),
        (candle(0, 10**400), OutOfRange),
        ([MIDNIGHT, 1, 1, 1, 1, 1], OutOfRange),
        ([float("inf"), 1, 1, 1, 1, 1], OutOfRange),
        (candle(0, None), BadAnswer),
    ],
)
def test_bad_candles(row: list[object], error: type[BadAnswer]) -> None:
    with pytest.raises(error, match="ETH") as caught:
        from_candles("ETH", [row], seconds=HOUR, source="binance")
    assert caught.value.source == "binance"


def test_rounds_are_exact_integers() -> None:
    rounds = [Round(MIDNIGHT, 300012345678, 8), Round(0, 0, 8), Round(MIDNIGHT + 60, 3001 * 10**18, 18), (MIDNIGHT + 60, 3002, 0)]
    found = from_rounds("ETH", rounds)
    assert found.times.tolist() == [MIDNIGHT, MIDNIGHT + 60]
    assert found.prices[:, 0].tolist() == [3000.12345678, 3002]


@pytest.mark.parametrize("bad", [(MIDNIGHT, 0, 8), (MIDNIGHT, -5, 8), (MIDNIGHT, 1 << 255, 8), (MIDNIGHT, 5, -1), (MIDNIGHT * 1000, 5, 8)])
def test_bad_rounds(bad: tuple[int, int, int]) -> None:
    with pytest.raises(OutOfRange, match="ETH"):
        from_rounds("ETH", [bad])


def test_no_rounds() -> None:
    with pytest.raises(BadAnswer, match="no prices of ETH"):
        from_rounds("ETH", [])


def test_histories_as_one() -> None:
    hourly = from_candles("ETH", [candle(0, 1), candle(1, 2)], seconds=HOUR, source="binance")
    rounds = from_rounds("BTC", [(MIDNIGHT + HOUR - 1, 5, 0), (MIDNIGHT + 5000, 6, 0)])
    found = merge([hourly, rounds])
    assert (found.names, found.source) == (("ETH", "BTC"), "binance, oracle rounds")
    assert (found.times - MIDNIGHT).tolist() == [HOUR - 1, 5000, 2 * HOUR - 1]
    assert np.array_equal(found.prices, np.array([[1, 5], [np.nan, 6], [2, np.nan]]), equal_nan=True)
    with pytest.raises(UsageError, match="two price histories hold ETH"):
        merge([hourly, hourly])
    with pytest.raises(UsageError, match="no price history"):
        merge([])


def test_pegs_are_ratios_of_what_is_there() -> None:
    prices = np.array([[3000, 2970, 0.99, 1.01], [2000, np.nan, 0.98, 1]])
    one = PriceHistory(np.array([MIDNIGHT, MIDNIGHT + HOUR]), ("ETH", "stETH", "USDe", "GHO/USD"), prices, "test")
    found = with_pegs(one, ["stETH/ETH", "USDe/USD", "GHO/USD", "WBTC/BTC", "stETH/BTC"])
    assert found.names == (*one.names, "stETH/ETH", "USDe/USD")
    assert found.prices[0].tolist() == [3000, 2970, 0.99, 1.01, 0.99, 0.99]
    assert np.isnan(found.prices[1, 4])
