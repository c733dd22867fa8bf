"""The health engine on a large book: `python -m tests.load.engine [--accounts 200] [--legs 10] [--rounds 7]`. Asserts nothing about time.

Half of the accounts are loans, half margin accounts with maintenance brackets, at 12 venues; one in four has a pegged token. All of it is
every figure, the joint boundary, the built-in stresses with as many of the user's own as make 20, and the cascade on six paths; the grid
is B and H of every account at 21 x 21 points.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from defi_risk import health
from defi_risk.book.scenario import BUILT_IN, ScenarioSettings
from defi_risk.health import Asked, HealthSettings
from defi_risk.health.account import assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.cascade import cascade
from defi_risk.health.stress import run as stresses
from defi_risk.health.stress.scenarios import Scenario, built_in
from defi_risk.ids import Factor, Peg
from defi_risk.model import Account, Leg
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, collateral, debt, loan, margin, perp, position

PRICES = {ETH: 3000, BTC: 60_000, SOL: 150, **{Factor(f"F{index}"): 10 * (index + 1) for index in range(12)}}
STRESSES = 20
VENUES = 12
POINTS = 21


def main() -> int:
    """Run it and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.engine", description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--legs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    random = np.random.default_rng(7)
    accounts = [_account(random, index, given.legs) for index in range(given.accounts)]
    settings = HealthSettings(stables=SETTINGS.stables, volatility={str(factor): 0.04 for factor in PRICES} | {"stETH/ETH": 0.002})
    own = tuple(_own(index) for index in range(STRESSES - len(BUILT_IN)))
    assessed = [assess(account, settings, {}) for account in accounts]
    arrays = Arrays.of(assessed)
    listed = (*built_in(assessed, settings), *own)
    dead = sum(one.figures.liquidatable for one in assessed)
    asked = Asked(scenarios=own)
    parts: dict[str, Callable[[], object]] = {
        "present figures": lambda: health.run(accounts, settings),
        f"{STRESSES} stresses": lambda: stresses(assessed, arrays, listed, settings),
        "cascade on 6 paths": lambda: cascade(assessed, settings),
        f"grid of {POINTS} x {POINTS}": lambda: _grid(arrays),
        "**all of it, with the boundary**": lambda: (health.draw(accounts, settings, asked=asked), _grid(arrays)),
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {given.rounds} rounds")
    print(f"{len(accounts)} accounts, {sum(len(one.legs) for one in accounts):,} legs, {dead} liquidatable now\n")
    print("| what | seconds, median (fastest, slowest) |\n| --- | --- |")
    for name, work in parts.items():
        print(f"| {name} | {_timed(work, given.rounds)} |", flush=True)
    return 0


def _account(random: np.random.Generator, index: int, legs: int) -> Account:
    return _loan(random, index, legs) if index % 2 else _margin(random, index, legs)


def _loan(random: np.random.Generator, index: int, legs: int) -> Account:
    held = [_held(random, peg=index % 4 == 1 and place == 0) for place in range(legs - 3)]
    room = sum(float(leg.amount.decimal()) * float(leg.price.value.decimal()) for leg in held if leg.price) * 0.8 / random.uniform(1.02, 3)
    owed = [debt(coin, round(room * share, 2)) for coin, share in ((USDC, 0.6), (USDT, 0.3))]
    return loan(*held, *owed, debt(ETH, round(room * 0.1 / 3000, 6), 3000), name=f"loan-{index}", venue=f"venue {index % VENUES}")


def _held(random: np.random.Generator, *, peg: bool) -> Leg:
    if peg:
        return collateral(ETH, round(random.uniform(1, 20), 6), 3100, "0.79", initial="0.75", peg=Peg("stETH/ETH"))
    factor = list(PRICES)[random.integers(len(PRICES))]
    return collateral(factor, round(random.uniform(1_000, 50_000) / PRICES[factor], 6), PRICES[factor], "0.8", initial="0.75")


def _margin(random: np.random.Generator, index: int, legs: int) -> Account:
    positions: list[Leg] = []
    for _ in range(legs - 2):
        factor = list(PRICES)[random.integers(len(PRICES))]
        size = round(random.normal(0, 20_000) / PRICES[factor], 6) or 1
        tiers = [(0, "0.004", 0), (10_000, "0.01", 60), (50_000, "0.025", 810)]
        positions.append(position(factor, size, PRICES[factor], maintenance=tiers, initial="0.05", fee="0.0005"))
    return perp(
        margin(USDC, round(random.uniform(20_000, 100_000), 2)),
        margin(ETH, 3, 3000, "0.95"),
        *positions,
        name=f"perp-{index}",
        venue=f"venue {index % VENUES}",
    )


def _own(index: int) -> Scenario:
    move = Decimal(-30 + 5 * index) / 100
    moves = {"ETH": move, "SOL": move * 2 if move > -1 else move, "F3": -move}
    return Scenario.of(
        ScenarioSettings(id=f"own-{index}", title=f"own {index}", steps=({name: max(Decimal(-1), by) for name, by in moves.items()},))
    )


def _grid(arrays: Arrays) -> tuple[float, float]:
    """B and H over the first two axes; the smallest of each, so that nothing is left uncomputed."""
    multipliers = np.ones((POINTS * POINTS, len(arrays.axes)))
    ends = np.linspace(0.0, 2.0, POINTS)
    multipliers[:, 0], multipliers[:, 1] = (side.ravel() for side in np.meshgrid(ends, ends))
    points = arrays.points(multipliers)
    weighted, requirement = arrays.weighted(points), arrays.requirement(points)
    return float((weighted - requirement).min()), float((weighted / np.maximum(requirement, 1e-9)).min())


def _timed(work: Callable[[], object], rounds: int) -> str:
    work()
    taken: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return f"{statistics.median(taken):.3f} ({min(taken):.3f}, {max(taken):.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
