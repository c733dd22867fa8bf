"""The matrix kernels on books small enough to work out by hand, and what they promise about memory and threads."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from defi_risk.health.bulk import Floats, any_below, count_below, health, liquidation_prices, surplus

INF = float("inf")


def floats(*rows: list[float]) -> Floats:
    return np.array(rows, np.float64)


# ETH and a stable: a loan of 1,200 against 2,000 that counts, its short hedge with 500 of margin, one on its line, one without debt
NET = floats([2000.0, -1200.0], [-1000.0, 1500.0], [800.0, -800.0], [100.0, 0.0])
SHOCKS = floats([1.0, 1.0], [0.5, 1.0], [2.0, 1.0], [1.0, 0.5], [0.0, 1.0])


def test_surplus_of_each_account_in_each_scenario() -> None:
    assert surplus(NET, SHOCKS).tolist() == [
        [800.0, -200.0, 2800.0, 1400.0, -1200.0],
        [500.0, 1000.0, -500.0, -250.0, 1500.0],
        [0.0, -400.0, 800.0, 400.0, -800.0],
        [100.0, 50.0, 200.0, 100.0, 0.0],
    ]


def test_counts_and_first_accounts_below_the_line() -> None:
    assert count_below(NET, SHOCKS).tolist() == [2, 2, 2, 0]
    assert count_below(NET, SHOCKS, strict=False).tolist() == [2, 2, 3, 1]
    below, first = any_below(NET, SHOCKS)
    assert (below.tolist(), first.tolist()) == ([False, True, True, True, True], [-1, 0, 1, 1, 0])
    assert any_below(NET, SHOCKS, strict=False)[1].tolist() == [2, 0, 1, 1, 0]


def test_the_first_account_below_may_stand_in_a_later_tile() -> None:
    net = np.ones((1000, 2))
    net[[300, 700]] = -1.0
    net[999] = [-1.0, 1.0]
    assert any_below(net, floats([1.0, 1.0], [0.0, 1.0], [0.0, 0.0]))[1].tolist() == [300, 300, -1]
    net[[300, 700]] = 1.0
    assert any_below(net, floats([1.0, 1.0], [2.0, 1.0]))[1].tolist() == [-1, 999]


def test_counts_above_what_a_byte_holds() -> None:
    assert count_below(floats([-1.0], [1.0]), np.ones((1021, 1))).tolist() == [1021, 0]


def test_health_is_collateral_over_requirement() -> None:
    weighted, requirement = floats([2000.0, 0.0], [-100.0, 600.0]), floats([0.0, 1200.0], [50.0, 0.0])
    assert health(weighted, requirement, SHOCKS).tolist() == [
        [2000 / 1200, 1000 / 1200, 4000 / 1200, 2000 / 600, 0.0],
        [10.0, 22.0, 4.0, 4.0, INF],
    ]


def test_health_without_requirement_is_infinite_and_without_collateral_zero() -> None:
    weighted = floats([5.0], [0.0], [-0.0], [-5.0], [-5.0], [5.0], [0.0])
    requirement = floats([0.0], [0.0], [-0.0], [0.0], [2.0], [-0.0], [2.0])
    assert health(weighted, requirement, floats([1.0], [0.0])).tolist() == [
        [INF, INF],
        [INF, INF],
        [INF, INF],
        [0.0, INF],
        [0.0, INF],
        [INF, INF],
        [0.0, INF],
    ]


def test_a_requirement_below_zero_is_none() -> None:
    assert health(floats([5.0], [-5.0]), floats([-2.0], [-2.0]), floats([1.0])).tolist() == [[INF], [0.0]]


def test_liquidation_prices_of_a_loan_and_of_its_hedge() -> None:
    low, high = liquidation_prices(NET)
    assert low.tolist() == [[0.6, 0.0], [0.0, 2 / 3], [1.0, 0.0], [0.0, 0.0]]
    assert high.tolist() == [[INF, 2000 / 1200], [1.5, INF], [INF, 1.0], [INF, INF]]


def test_liquidation_prices_of_the_reference_hedge() -> None:
    """10 ETH at 3,000 against 12,000 (threshold 0.83); 12,000 of margin for a short of 10 ETH (2 %)."""
    low, high = liquidation_prices(floats([24_900.0, -12_000.0], [-30_600.0, 42_000.0]))
    assert 3000 * low[0, 0] == pytest.approx(1445.783132530)
    assert 3000 * high[1, 0] == pytest.approx(4117.647058824)


def test_accounts_below_the_line_die_at_todays_prices() -> None:
    low, high = liquidation_prices(floats([1.0, -2.0, 0.0], [-1.0, 0.0, 0.0]))
    assert low.tolist() == high.tolist() == [[1.0] * 3] * 2


def test_empty_accounts_have_no_liquidation_price() -> None:
    low, high = liquidation_prices(floats([0.0, -0.0], [-0.0, -0.0], [5.0, -0.0], [-0.0, 5.0]))
    assert not low.any()
    assert not np.signbit(low).any()
    assert (high == INF).all()


def test_the_root_of_a_loan_with_dust_for_debt_keeps_its_digits() -> None:
    low, _ = liquidation_prices(floats([1e9, -1e-9]))
    assert low[0, 0] == pytest.approx(1e-18, rel=1e-12)


def test_a_coordinate_that_is_not_held_never_kills_by_rounding() -> None:
    """Accounts whose parts cancel: one order of adding them ends above zero, another below."""
    random = np.random.default_rng(0)
    net = random.normal(size=(20_000, 8))
    net[:, 3] = 0.0
    net[:, 6] -= net.sum(axis=1)
    low, high = liquidation_prices(net)
    dead = (low == 1.0).all(axis=1) & (high == 1.0).all(axis=1)
    assert 0 < dead.sum() < len(net)
    assert not low[~dead, 3].any()
    assert (high[~dead, 3] == INF).all()
    assert ((low >= 0) & (low <= 1) & (high >= 1)).all()


def test_results_go_where_they_are_wanted() -> None:
    single: Any = np.float32
    room, low, high = np.empty((4, 5)), np.empty((4, 2)), np.empty((4, 2))
    assert surplus(NET, SHOCKS, room) is room
    assert health(np.abs(NET), np.abs(NET), SHOCKS, room) is room
    assert room[:3].tolist() == [[1.0] * 5] * 3
    assert all(given is taken for given, taken in zip((low, high), liquidation_prices(NET, out=(low, high)), strict=True))
    with pytest.raises(ValueError, match=r"out is float64 \(5, 4\) - it must be float64 \(4, 5\)"):
        surplus(NET, SHOCKS, np.empty((5, 4)))
    with pytest.raises(ValueError, match="out is float32"):
        surplus(NET, SHOCKS, np.empty((4, 5), single))


def test_nothing_in_nothing_out() -> None:
    assert count_below(np.empty((0, 2)), SHOCKS).tolist() == []
    assert count_below(NET, np.empty((0, 2))).tolist() == [0] * 4
    assert any_below(np.empty((0, 2)), SHOCKS)[1].tolist() == [-1] * 5
    assert health(NET, NET, np.empty((0, 2))).shape == (4, 0)
    assert liquidation_prices(np.empty((0, 2)))[0].shape == (0, 2)
    assert surplus(np.empty((3, 0)), np.empty((2, 0))).tolist() == [[0.0, 0.0]] * 3


KERNELS: list[Callable[[Floats], object]] = [
    lambda net: count_below(net, SHOCKS),
    lambda net: any_below(net, SHOCKS),
    lambda net: surplus(net, SHOCKS),
    lambda net: health(net, NET, SHOCKS),
    lambda net: health(NET, net, SHOCKS),
    lambda net: count_below(NET, np.abs(net)),
    liquidation_prices,
]


@pytest.mark.parametrize("wrong", [float("nan"), INF, -INF, 1e151])
@pytest.mark.parametrize("kernel", KERNELS)
def test_amounts_that_are_not_known_are_refused(kernel: Callable[[Floats], object], wrong: float) -> None:
    """A comparison with NaN is false: an unknown account would count as one that is never liquidated."""
    net = NET.copy()
    net[2, 1] = wrong
    with pytest.raises(ValueError, match=r"hold NaN, infinity or more than 1e\+150"):
        kernel(net)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="scenarios have 1 multipliers for 2 coordinates"):
        count_below(NET, np.ones((3, 1)))
    with pytest.raises(ValueError, match="net has 1 dimensions"):
        count_below(np.ones(3), SHOCKS)
    with pytest.raises(ValueError, match="one shape"):
        health(NET, NET[:2], SHOCKS)
    with pytest.raises(ValueError, match="multiplier below zero"):
        surplus(NET, -SHOCKS)


def test_memory_beside_the_result_is_a_few_tiles() -> None:
    random = np.random.default_rng(0)
    net, scenarios = random.normal(size=(2_000, 8)), random.random((5_000, 8))
    tracemalloc.start()
    try:
        count_below(net, scenarios)
        any_below(net, scenarios)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000  # the matrix of B would take 80 MB
    finally:
        tracemalloc.stop()


ALONE = """
import time
import numpy as np
from defi_risk.health.bulk import count_below, health, liquidation_prices
random = np.random.default_rng(0)
for width in (8, 60):
    net, scenarios = random.normal(size=(4_000, width)), random.random((4_000, width))
    time.sleep(0.3)  # the threads of OpenBLAS spin for a while after they were started
    all_threads, own = time.process_time(), time.thread_time()
    count_below(net, scenarios), health(net, net, scenarios[:300]), liquidation_prices(net)
    own, all_threads = time.thread_time() - own, time.process_time() - all_threads
    print(own, all_threads)
"""


def test_products_stay_on_the_calling_thread() -> None:
    command = [sys.executable, "-c", ALONE]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env={}).stdout  # noqa: S603  # our own command
    for line in told.splitlines():
        own, all_threads = map(float, line.split())
        assert all_threads < 1.1 * own + 0.01
