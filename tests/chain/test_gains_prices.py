"""gTrade priced by a service on the loopback, end to end: the same accounts as from feeds, and what a service that fails costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chain.gains import DAY, GainsKit, scanned, trades
from tests.localchain.gains.parameters import ETH, LINK
from tests.localchain.gains.service import charts, served

pytestmark = pytest.mark.chain


def test_a_service_prices_the_same_accounts(gains: GainsKit, tmp_path: Path) -> None:
    gains.market.pass_time(5 * DAY)
    fed = trades(scanned(gains, tmp_path))
    with served(gains.market) as (market, _):
        snapshot = scanned(gains, tmp_path, market=market)
    [source] = [one for one in snapshot.sources if one.id == "gains"]
    assert (source.kind, source.status, source.as_of) == ("exchange", "ok", snapshot.sources[0].block_time)
    found = trades(snapshot)
    assert found.keys() == fed.keys()
    for place, account in found.items():
        other = fed[place]
        assert (account.status, account.native, account.health) == (other.status, other.native, other.health)
        assert (account.liquidatable, [tick.answer for tick in account.ticks]) == (
            other.liquidatable,
            [tick.answer for tick in other.ticks],
        )
        assert all(leg.oracle.source.startswith("gains index ") for leg in account.legs if leg.role == "position")


def test_a_service_that_is_down_costs_the_trades_and_nothing_else(gains: GainsKit, tmp_path: Path) -> None:
    who = [gains.who[label] for label in ("long", "two-trades-and-an-order")]
    with served(gains.market) as (market, prices):
        prices.down = True
        snapshot = scanned(gains, tmp_path, *who, market=market)
    accounts = trades(snapshot)
    assert sorted(one.status for one in accounts.values()) == ["ok", "unknown", "unknown", "unknown"]
    assert {one.mode for one in accounts.values() if one.status == "ok"} == {"order"}
    assert all("it is liquidated at" in one.reason for one in accounts.values() if one.status == "unknown")
    assert snapshot.partial
    assert [one.status for one in snapshot.sources if one.id == "gains"] == ["failed"]
    assert [one.status for one in snapshot.sources if one.kind == "chain"] == ["ok"]


def test_what_the_service_leaves_out_costs_its_pair(gains: GainsKit, tmp_path: Path) -> None:
    who = gains.who["three-trades"]
    with served(gains.market) as (market, prices):
        told = charts(market)
        told["indexPrices"][market.number(ETH)] = None
        told["indexPrices"][market.number(LINK)] = "NaN"
        prices.say = lambda: told
        accounts = trades(scanned(gains, tmp_path, who, market=market))
    assert [(one.status, one.reason and one.reason.split(";")[0]) for one in accounts.values()] == [
        ("ok", None),
        ("unknown", "the price service has no index price of ETH/USD"),
        ("unknown", "charts.indexPrices[2] is the text 'NaN', not a number"),
    ]


def test_prices_of_another_time_than_the_block_are_not_used(gains: GainsKit, tmp_path: Path) -> None:
    past = gains.anvil.block().number
    gains.market.pass_time(DAY)
    with served(gains.market) as (market, _):
        [account] = trades(scanned(gains, tmp_path, gains.who["long"], block=past, market=market)).values()
    assert account.status == "unknown"
    assert "at the block's time" in account.reason
