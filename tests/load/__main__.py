"""Benchmarks, run by hand: `python -m tests.load [--wallets 1000] [--rounds 5]`. Prints one table; asserts nothing about time.

Every figure is the median of the rounds, with the fastest and the slowest in brackets. Figures come from fresh interpreters where a
user would start one, and from one process where the work itself is measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from defi_risk.scanning import scan
from tests.chain.scanning import book_text
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.devnet import build
from tests.localchain.devnet_book import book_text as devnet_book
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person

COMMAND = [sys.executable, "-m", "defi_risk"]


def main() -> int:
    """Run all benchmarks."""
    given = _arguments()
    rows = [
        ("`--help`, fresh interpreter", _timed(lambda: _run("--help"), given.rounds)),
        ("`demo`, fresh interpreter", _timed(lambda: _run("demo"), given.rounds)),
        *_one_wallet(given.rounds),
        *_many(given.wallets, given.rounds),
    ]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {given.rounds} rounds\n")
    print("| what | median (fastest, slowest) |\n| --- | --- |")
    for name, figure in rows:
        print(f"| {name} | {figure} |")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _run(*arguments: str) -> None:
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True)  # noqa: S603  # our own command


def _timed(work: Callable[[], object], rounds: int) -> str:
    """Median, fastest and slowest of some rounds after one that is not counted."""
    work()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f}, {max(seconds):.3f})"


def _one_wallet(rounds: int) -> list[tuple[str, str]]:
    """The devnet's busiest wallet in all of its markets: time and round trips, cold and with a warm cache."""
    with Anvil() as anvil, tempfile.TemporaryDirectory() as folder:
        devnet = build(anvil)
        book = Path(folder) / "book.toml"
        book.write_text(devnet_book(anvil.url, devnet.wallets[2:3], devnet.markets, devnet.assets, devnet.venus.vai.address))
        source = next(one for one in scan(book=book).sources if one.kind == "chain")
        told = f"one wallet, {len(devnet.markets)} markets and its idle coins"
        return [
            (f"{told}: round trips", f"{source.round_trips} for {source.calls} reads"),
            (f"{told}: `scan`, fresh interpreter", _timed(lambda: _run("scan", "--book", str(book)), rounds)),
            (f"{told}: library call", _timed(lambda: scan(book=book), rounds)),
        ]


def _many(count: int, rounds: int) -> list[tuple[str, str]]:
    """Many wallets in one Aave market through Multicall3: wallets a second, our own CPU, round trips, memory."""
    with Anvil() as anvil, tempfile.TemporaryDirectory() as folder:
        put_multicall3(anvil)
        market = deploy_aave36(anvil)
        wallets = _crowd(market, count)
        book = Path(folder) / "book.toml"
        book.write_text(book_text(anvil.url, market))
        snapshot = scan(wallets, book=book, deadline=120)
        seconds, cpu = [], []
        for _ in range(rounds):
            began, used = time.perf_counter(), time.process_time()
            snapshot = scan(wallets, book=book, deadline=120)
            seconds.append(time.perf_counter() - began)
            cpu.append(time.process_time() - used)
        source = next(one for one in snapshot.sources if one.kind == "chain")
        checked = [account for account in snapshot.accounts if account.self_check is not None]
        wrong = sum(not account.self_check.match for account in checked if account.self_check)
    told = f"{count:,} wallets, Aave 3.6"
    rates = [count / one for one in seconds]
    return [
        (f"{told}: wallets a second", f"{statistics.median(rates):,.0f} ({max(rates):,.0f}, {min(rates):,.0f})"),
        (f"{told}: own CPU a wallet", f"{statistics.median(cpu) / count * 1e3:.2f} ms"),
        (f"{told}: round trips", f"{source.round_trips} for {source.calls:,} reads"),
        (f"{told}: self-checks that differ", f"{wrong} of {len(checked):,}"),
        ("peak memory of this process", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB"),
    ]


def _crowd(market: AaveMarket, count: int) -> list[str]:
    """Wallets with one or two collaterals and one debt each."""
    lender = person("load/lender")
    for symbol, amount in {"USDC": 100_000_000, "DAI": 100_000_000, "WETH": 50_000}.items():
        market.supply(lender, symbol, amount)
    crowd = [person(f"load/{number}") for number in range(count)]
    for number, who in enumerate(crowd):
        market.supply(who, "WETH", 1 + number % 7)
        if number % 2:
            market.supply(who, "WBTC", "0.05")
        market.borrow(who, "USDC" if number % 3 else "DAI", 900 + number % 500)
    return crowd


if __name__ == "__main__":
    sys.exit(main())
