"""Lines of gTrade trades against the venue's own library, which gets the same answers of the diamond's views and counts in floats."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from defi_risk.snapshot import Snapshot
from tests.chain.gains import DAY, STATES, GainsKit, asked, pair_of, scanned, trades
from tests.localchain.gains import judge
from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.parameters import BTC, CRV, ETH, EUR, LINK
from tests.localchain.people import person
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain


def width(trade: Any, case: dict[str, Any]) -> float:
    """By how much a line may differ from the library's, which counts in floats.

    The diamond counts in whole units of the collateral, each of which moves the line by entry / notional, and in whole units of the
    velocity (1e-10 % a second in a year), one of which grows to that much of the price by now; for the smaller side, times its multiplier.
    """
    entry, notional = trade.openPrice / 1e10, trade.collateralAmount * trade.leverage // 1_000
    sides = sorted((int(case["interest"]["oiLongToken"]), int(case["interest"]["oiShortToken"])))
    share = min(100.0, sides[1] / sides[0]) if case["fundingParams"]["aprMultiplierEnabled"] and sides[0] else 1.0
    seconds = int(case["time"]) - int(case["fundingData"]["lastFundingUpdateTs"])
    velocity = seconds**2 / (2 * 365 * DAY) * 1e-12 * share if case["fundingParams"]["fundingFeesEnabled"] else 0.0
    return float(entry * (1e-9 + 8 / notional) + int(case["price"]) / 1e10 * velocity)


def judged(market: GainsMarket, snapshot: Snapshot, folder: Path, *, without: frozenset[str] = frozenset()) -> int:
    """Compare all lines with those of the library; the number of those compared."""
    block = snapshot.sources[0].block
    assert block is not None
    ask, time = asked(market, block), market.anvil.block(block).timestamp
    cases, ours, widths = [], [], []
    accounts = trades(snapshot)
    for owner in dict.fromkeys(owner for owner, _ in accounts):
        held = (ask(name, owner) for name in ("getTrades", "getTradeInfos", "getTradesLiquidationParams"))
        for trade, info, terms in zip(*held, strict=True):
            native = accounts[owner, trade.index].native
            if not native or owner in without:
                continue
            decimals = list(market.coins.values())[trade.collateralIndex - 1].decimals
            cases.append(judge.case(ask, trade, info, terms, market.price(pair_of(market, trade)), time, decimals))
            ours.append(int(native["getTradeLiquidationPrice"]) / 1e10)
            widths.append(width(trade, cases[-1]))
    for our, their, most, case in zip(ours, judge.lines(cases, folder), widths, cases, strict=True):
        assert our == pytest.approx(their, rel=0, abs=most), case
    return len(cases)


@pytest.mark.parametrize("state", STATES)
def test_the_lines_are_those_of_the_venues_own_library(gains: GainsKit, state: str, tmp_path: Path) -> None:
    """Left out is what the library has otherwise: trades of older versions and fees of the older kind, for which it wants other data."""
    STATES[state](gains.market)
    without = frozenset(gains.who[label] for label in ("before-9.2", "version-9.2", "older-fee"))
    assert judged(gains.market, scanned(gains, tmp_path), tmp_path, without=without) >= 28


def test_so_are_those_of_many_trades_at_random(gains: GainsKit, tmp_path: Path) -> None:
    market, random = gains.market, Random(20_260_101)  # noqa: S311  # a repeatable walk, nothing secret
    people = [person(f"gains/random/{number}") for number in range(5)]
    for number in range(120):
        pair, coin = random.choice((BTC, ETH, LINK, EUR, CRV)), random.choice(("USDC", "DAI"))
        amount = Raw(random.randint(10**6, 10**10) * 10 ** (market.coins[coin].decimals - 6))
        leverage = Raw(random.randint(1_100, 200_000) * random.choice((-1, 1)))
        market.open(people[number % 5], pair, amount, leverage, coin=coin, counter=random.random() < 0.2)
        market.feeds[pair].set(Raw(market.feeds[pair].answer * random.randint(9_900, 10_100) // 10_000))
        if not number % 10:
            market.pass_time(random.randint(1, 3 * DAY))
    assert judged(market, scanned(gains, tmp_path, *people), tmp_path) == 120
