"""Benchmark of the matrix kernels, run by hand: `python -m tests.load.kernels [--rounds 9] [--scale 1.0]`. Asserts nothing about time.

Each kernel is measured against the work that no kernel can avoid (its floor) in one process and in the same round; the order inside a
round rotates. The figure is the median of the rounds' ratios of CPU time, with the smallest and the largest. A round whose calibration
(a matrix product of 256^3 and a copy of 64 MB) is more than 15 % off the median, or in which other work wants the cores, is left out;
with fewer than five left the row says so. Results are compared with the plain formulas before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from defi_risk.health import bulk
from defi_risk.health.bulk import Floats

ONE_THREAD: Final = "OPENBLAS_NUM_THREADS"
"""Read by OpenBLAS when numpy is imported. Our kernels do without; calibration would wake its threads, which then spin in our time."""
OFF: Final = 0.15
KEPT: Final = 5
Work: TypeAlias = Callable[[], object]


class Case(NamedTuple):
    """A kernel and its floors by name."""

    name: str
    ours: Work
    floors: dict[str, Work]


class Round(NamedTuple):
    """CPU and wall seconds by name, and the calibration's CPU seconds."""

    cpu: dict[str, float]
    wall: dict[str, float]
    calibration: tuple[float, float]
    load: float


def main() -> int:
    """Run all benchmarks, with OpenBLAS on one thread."""
    if os.environ.get(ONE_THREAD) != "1":
        command = [sys.executable, "-m", "tests.load.kernels", *sys.argv[1:]]
        return subprocess.run(command, check=False, env={**os.environ, ONE_THREAD: "1"}).returncode  # noqa: S603  # our own command
    parser = argparse.ArgumentParser(prog="python -m tests.load.kernels", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of accounts")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    cases = [_count(random, int(10_000 * given.scale)), *_large(random, int(1_000_000 * given.scale))]
    print(f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, {given.rounds} rounds, float64, one thread\n")
    print("| kernel | ours, CPU ms (wall) | floor | floor, CPU ms | ratio, median (min-max) | rounds kept |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in cases:
        for row in _rows(case, given.rounds):
            print(row, flush=True)
    return 0


def _count(random: np.random.Generator, accounts: int) -> Case:
    net, scenarios = _book(random, accounts)[2], random.lognormal(0.0, 0.2, (10_000, 8))
    expected = np.concatenate([(scenarios @ part.T < 0).sum(axis=0) for part in np.array_split(net, max(1, accounts // 1_000))])
    tracemalloc.start()
    counts = bulk.count_below(net, scenarios)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    _same(counts, expected)
    tile = np.empty(bulk.CELLS)

    def product() -> None:
        for first in range(0, len(net), bulk.COLUMNS):
            right = net[first : first + bulk.COLUMNS].T
            for top in range(0, len(scenarios), bulk.COUNTED):
                left = scenarios[top : top + bulk.COUNTED]
                np.matmul(left, right, out=tile[: len(left) * right.shape[1]].reshape(len(left), -1))

    name = f"count_below, {accounts:,} x 8 x 10,000; {peak:.1f} MB beside the input"
    return Case(name, lambda: bulk.count_below(net, scenarios), {"tiled product alone": product})


def _large(random: np.random.Generator, accounts: int) -> list[Case]:
    weighted, requirement, net = _book(random, accounts)
    scenarios = random.lognormal(0.0, 0.2, (20, 8))
    few = slice(0, 10_000)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (weighted[few] @ scenarios.T) / (requirement[few] @ scenarios.T)
        roots = 1.0 - net[few].sum(axis=1, keepdims=True) / net[few]
    _same(bulk.health(weighted[few], requirement[few], scenarios), np.where(np.isnan(ratio), np.inf, ratio))
    dead = net[few].sum(axis=1, keepdims=True) < 0
    low, high = bulk.liquidation_prices(net[few])
    _same(low, np.where(dead, 1.0, np.where(net[few] > 0, np.maximum(roots, 0.0), 0.0)))
    _same(high, np.where(dead, 1.0, np.where(net[few] < 0, roots, np.inf)))
    tile = np.empty((2, bulk.ROWS, 20))

    def products() -> None:
        for first in range(0, accounts, bulk.ROWS):
            for amounts, room in zip((weighted, requirement), tile, strict=True):
                left = amounts[first : first + bulk.ROWS]
                np.matmul(left, scenarios.T, out=room[: len(left)])

    return [
        Case(
            f"surplus, {accounts:,} x 8 x 20",
            lambda: bulk.surplus(net, scenarios),
            {"memory traffic: read the book, write B": lambda: _traffic([net], [20])},
        ),
        Case(
            f"health, {accounts:,} x 8 x 20",
            lambda: bulk.health(weighted, requirement, scenarios),
            {
                "memory traffic: read both books, write H": lambda: _traffic([weighted, requirement], [20]),
                "two tiled products alone": products,
            },
        ),
        Case(
            f"liquidation_prices, {accounts:,} x 8",
            lambda: bulk.liquidation_prices(net),
            {"memory traffic: read the book, write both": lambda: _traffic([net], [8, 8])},
        ),
    ]


def _book(random: np.random.Generator, accounts: int) -> tuple[Floats, Floats, Floats]:
    """C, R and their difference: of each coordinate an account holds two in five, some hold or owe nothing."""
    weighted = random.random((accounts, 8)) * 10_000 * (random.random((accounts, 8)) < 0.4)
    requirement = random.random((accounts, 8)) * 5_000 * (random.random((accounts, 8)) < 0.4)
    return weighted, requirement, weighted - requirement


def _traffic(read: list[Floats], widths: list[int]) -> None:
    """Read arrays and write new ones of so many columns, tile by tile."""
    written = [np.empty((len(read[0]), width)) for width in widths]
    for first in range(0, len(read[0]), bulk.ROWS):
        tile = slice(first, first + bulk.ROWS)
        for amounts in read:
            flat = amounts[tile].ravel()
            np.dot(flat, flat)
        for result in written:
            result[tile] = 1.0


def _same(ours: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(ours, np.float64), np.asarray(expected, np.float64), rtol=1e-9, atol=1e-9)


def _rows(case: Case, rounds: int) -> list[str]:
    works = {"ours": case.ours, **case.floors}
    square, source, target = np.ones((256, 256)), np.ones(8_000_000), np.empty(8_000_000)
    measured = [_round(works, number, square, source, target) for number in range(rounds + 1)][1:]
    usual = [statistics.median(one.calibration[part] for one in measured) for part in (0, 1)]
    cores = os.cpu_count() or 1
    kept = [
        one
        for one in measured
        if one.load <= cores and all(abs(time / middle - 1.0) <= OFF for time, middle in zip(one.calibration, usual, strict=True))
    ]
    if len(kept) < KEPT:
        return [f"| {case.name} | too noisy | | | | {len(kept)} of {rounds} |"]
    ours = f"{_middle(kept, 'ours'):.0f} ({statistics.median(one.wall['ours'] for one in kept) * 1e3:.0f})"
    rows: list[str] = []
    for name in case.floors:
        ratios = [one.cpu["ours"] / one.cpu[name] for one in kept]
        figure = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        rows.append(f"| {case.name} | {ours} | {name} | {_middle(kept, name):.0f} | {figure} | {len(kept)} of {rounds} |")
    return rows


def _middle(kept: list[Round], name: str) -> float:
    return statistics.median(one.cpu[name] for one in kept) * 1e3


def _round(works: dict[str, Work], number: int, square: Floats, source: Floats, target: Floats) -> Round:
    """One measurement of each, starting with another one every round."""
    calibration = _timed(lambda: [square @ square for _ in range(20)])[0], _timed(lambda: np.copyto(target, source))[0]
    names = list(works)
    turn = number % len(names)
    times = {name: _timed(works[name]) for name in names[turn:] + names[:turn]}
    cpu, wall = ({name: times[name][part] for name in names} for part in (0, 1))
    return Round(cpu, wall, calibration, os.getloadavg()[0])


def _timed(work: Work) -> tuple[float, float]:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    sys.exit(main())
