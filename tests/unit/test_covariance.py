"""Covariance of factors: what is given wins, then the history, then the default; and contradictions are told."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np
import pytest

from defi_risk.errors import UsageError
from defi_risk.health.covariance import cholesky_like, covariance, is_peg, student_t_scale
from defi_risk.history import DAY, HOUR, PriceHistory

STABLES = frozenset({"USDC", "USDT"})
MIDNIGHT = 1_704_067_200


def recorded(columns: Mapping[str, list[float]], step: int = DAY) -> PriceHistory:
    """A history with these log returns; NaN is a missing price after which the walk goes on."""
    prices = []
    for returns in columns.values():
        known = np.isnan(returns)
        walk = 100 * np.exp(np.concatenate(([0.0], np.cumsum(np.where(known, 0.0, returns)))))
        prices.append(np.where(np.concatenate(([False], known)), np.nan, walk))
    return PriceHistory(MIDNIGHT + step * np.arange(len(prices[0])), tuple(columns), np.column_stack(prices), "test")


@pytest.mark.parametrize(("rho", "distance"), [(0, 7.90), (0.5, 7.47), (0.8, 7.24), (0.95, 7.14), (1, 7.10)])
def test_case_c(rho: float, distance: float) -> None:
    """10,000 of BTC with a haircut of 5 % and 10,000 USDT behind a long of 60,000 of ETH with 1 % maintenance."""
    found = covariance(
        ("BTC", "ETH", "USDT"), volatility={"BTC": 0.03, "ETH": 0.04}, correlation={"BTC/ETH": rho}, stables=STABLES, history=None
    )
    gradient = np.array([9_500, 59_400, 10_000])
    assert 18_900 / sqrt(gradient @ found.matrix @ gradient) == pytest.approx(distance, abs=0.005)
    assert 18_900 / sqrt(gradient @ found.over(4).matrix @ gradient) == pytest.approx(distance / 2, abs=0.005)
    assert [found.volatility("ETH"), found.volatility("USDT")] == pytest.approx([0.04, 0])
    assert not found.missing


def test_the_default_is_one_between_volatile_factors_and_zero_otherwise() -> None:
    axes = ("BTC", "ETH", "stETH/ETH", "USDC", "USD", "eip155:1/erc20:0xAb", "DOGE")
    given = {"BTC": 0.03, "ETH": 0.04, "stETH/ETH": 0.005, "USDC": 0.001, "eip155:1/erc20:0xAb": 0.1, "SHIB": 3.0}
    found = covariance(axes, volatility=given, correlation={}, stables=STABLES, history=None)
    assert found.missing == {"DOGE"}
    assert found.volatility("DOGE") is None
    assert found.matrix[0, 1] == pytest.approx(0.03 * 0.04)
    assert found.matrix[1, 5] == pytest.approx(0.04 * 0.1)
    assert found.matrix[1, 2] == found.matrix[1, 3] == found.matrix[2, 3] == 0
    assert np.diag(found.matrix) == pytest.approx([0.03**2, 0.04**2, 0.005**2, 0.001**2, 0, 0.01, 0])
    assert not found.matrix[6].any()


def test_keys_with_slashes_find_their_axes() -> None:
    axes = ("BTC", "stETH/ETH", "ETH")
    sigma = {"BTC": 0.1, "stETH/ETH": 0.1}
    for key in ("stETH/ETH/BTC", "BTC/stETH/ETH"):
        found = covariance(axes, volatility=sigma, correlation={key: -0.5, "SOL/ETH": 0.1}, stables=(), history=None)
        assert found.matrix[0, 1] == pytest.approx(-0.005)
    assert [is_peg(axis) for axis in (*axes, "eip155:1/erc20:0xAb", "eip155:1/erc20:0xAb/ETH")] == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("axes", "volatility", "correlation", "told"),
    [
        (("BTC", "ETH"), {"BTC": -0.1}, {}, "volatility of BTC is -0.1"),
        (("BTC", "ETH"), {"BTC": float("nan")}, {}, "volatility of BTC is nan"),
        (("BTC", "ETH"), {"BTC": 101.0}, {}, "volatility of BTC is 101"),
        (("BTC", "ETH"), {}, {"ETH/BTC": 1.5}, "correlation ETH/BTC is 1.5"),
        (("BTC", "ETH"), {}, {"ETH/BTC": 0.5, "BTC/ETH": 0.6}, "correlation ETH/BTC is given twice"),
        (("A", "B/C", "A/B", "C"), {}, {"A/B/C": 0.5}, "correlation A/B/C may mean two pairs"),
    ],
)
def test_what_cannot_be_given(axes: tuple[str, ...], volatility: dict[str, float], correlation: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        covariance(axes, volatility=volatility, correlation=correlation, stables=(), history=None)


def test_one_pair_given_twice_alike_is_fine() -> None:
    sigma = {"BTC": 0.1, "ETH": 0.1}
    assert covariance(tuple(sigma), volatility=sigma, correlation={"ETH/BTC": 0.5, "BTC/ETH": 0.5}, stables=(), history=None).matrix[
        0, 1
    ] == pytest.approx(0.005)


def test_given_correlations_that_contradict_each_other() -> None:
    sigma = {"BTC": 0.03, "ETH": 0.04, "SOL": 0.06, "AAVE": 0.07}
    with pytest.raises(
        UsageError, match=r"correlations of BTC, ETH, SOL, AAVE contradict .*eigenvalue -0\.\d+; given: BTC/ETH.* - give those"
    ):
        covariance(tuple(sigma), volatility=sigma, correlation={"BTC/ETH": 0.5}, stables=(), history=None)
    given = {
        f"{a}/{b}": 0.5 for a, b in (("BTC", "ETH"), ("SOL", "BTC"), ("ETH", "SOL"), ("AAVE", "BTC"), ("AAVE", "ETH"), ("SOL", "AAVE"))
    }
    covariance(tuple(sigma), volatility=sigma, correlation=given, stables=(), history=None)
    covariance(("BTC", "ETH", "SOL"), volatility={"BTC": 0.03, "ETH": 0.04}, correlation={"BTC/ETH": 0.5}, stables=(), history=None)


def test_a_history_is_weighted_by_age() -> None:
    returns = np.random.default_rng(1).normal(0, 0.04, (60, 2))
    found = covariance(
        ("BTC", "ETH"),
        volatility={"BTC": 0.03},
        correlation={},
        stables=(),
        history=recorded({"ETH": returns[:, 0].tolist(), "BTC": returns[:, 1].tolist()}),
    )
    weights = 0.94 ** np.arange(59, -1, -1)
    cov = (returns * weights[:, None]).T @ returns / weights.sum()
    assert found.volatility("ETH") == pytest.approx(sqrt(cov[0, 0]))
    assert found.volatility("BTC") == pytest.approx(0.03), "what is given wins"
    assert found.matrix[0, 1] == pytest.approx(0.03 * cov[0, 1] / sqrt(cov[1, 1]))
    given = covariance(("BTC", "ETH"), volatility={"BTC": 0.03, "ETH": 0.04}, correlation={"ETH/BTC": -1}, stables=(), history=None)
    assert given.matrix[0, 1] == pytest.approx(-0.0012)


@pytest.mark.parametrize(("step", "size"), [(HOUR, 0.01), (DAY, 0.01 * sqrt(24)), (2 * DAY, 0.01 * sqrt(48))])
def test_volatility_is_per_day_whatever_the_interval(step: int, size: float) -> None:
    history = recorded({"ETH": [size, -size] * 200}, step)
    found = covariance(("ETH",), volatility={}, correlation={}, stables=(), history=history)
    assert found.volatility("ETH") == pytest.approx(0.01 * sqrt(24))


def test_decay_is_per_day_whatever_the_interval() -> None:
    """A single move 10 days ago weighs as much in hourly as in daily prices."""
    for step in (HOUR, DAY):
        count, age = 100 * DAY // step, 10 * DAY // step
        returns = [0.0] * count
        returns[count - 1 - age] = 0.1
        found = covariance(("ETH",), volatility={}, correlation={}, stables=(), history=recorded({"ETH": returns}, step)).matrix[0, 0]
        weight = 0.94**10 * (1 - 0.94 ** (step / DAY)) / (1 - 0.94**100)
        assert found == pytest.approx(0.01 * weight * DAY / step)


def test_twenty_returns_are_needed() -> None:
    short = recorded({"ETH": [0.01, -0.01] * 9 + [0.01], "USDC": [0.001] * 19})
    enough = recorded({"ETH": [0.01, -0.01] * 10, "USDC": [0.001] * 20})
    axes = ("ETH", "USDC")
    few, many = (covariance(axes, volatility={}, correlation={}, stables=STABLES, history=one) for one in (short, enough))
    assert few.missing == {"ETH"}
    assert few.volatility("USDC") == 0
    assert not many.missing
    assert [many.volatility("ETH"), many.volatility("USDC")] == pytest.approx([0.01, 0.001])


def test_a_stable_that_did_not_move_has_no_volatility() -> None:
    found = covariance(
        ("ETH", "USDC"), volatility={}, correlation={}, stables=STABLES, history=recorded({"ETH": [0.01] * 30, "USDC": [0.0] * 30})
    )
    assert found.volatility("USDC") == 0
    assert found.matrix[0, 1] == 0


def test_histories_over_different_times_are_smoothed() -> None:
    """A with B over one month, B with C over another, A with C over a third: three pairs that cannot hold at once."""
    month, move = 25, [0.02, -0.02, 0.01, -0.01, 0.03] * 5
    gap = [float("nan")] * month
    other = [-one for one in move]
    history = recorded({"A": move + gap + move, "B": move + move + gap, "C": gap + move + other})
    found = covariance(("A", "B", "C"), volatility={}, correlation={}, stables=(), history=history)
    sigma = np.sqrt(np.diag(found.matrix))
    rho = found.matrix / np.outer(sigma, sigma)
    assert np.linalg.eigvalsh(rho)[0] > -1e-12
    assert np.diag(rho) == pytest.approx([1, 1, 1])
    assert rho[0, 1] > 0.3
    assert rho[0, 2] < -0.3
    with pytest.raises(UsageError, match="contradict"):
        covariance(("A", "B", "C"), volatility={}, correlation={"A/B": 1.0}, stables=(), history=history)


def test_the_scale_of_student_tails() -> None:
    assert student_t_scale(5) == pytest.approx(sqrt(0.6))
    for bad in (2, 1, float("nan")):
        with pytest.raises(UsageError, match="degrees of freedom"):
            student_t_scale(bad)


def test_a_root_where_cholesky_has_none() -> None:
    singular = np.array([[9e-4, 1.2e-3], [1.2e-3, 1.6e-3]])
    root = cholesky_like(singular)
    assert root @ root.T == pytest.approx(singular)


def test_no_axes_and_bad_decay() -> None:
    assert covariance((), volatility={}, correlation={}, stables=(), history=None).matrix.shape == (0, 0)
    with pytest.raises(UsageError, match="decay"):
        covariance((), volatility={}, correlation={}, stables=(), history=None, decay=0)
