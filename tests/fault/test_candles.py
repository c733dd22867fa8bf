"""Price histories from exchanges: ccxt's own code over loopback, against exchanges that answer well and badly."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from defi_risk import desks
from defi_risk.book import Book, parse
from defi_risk.errors import UnknownName, UsageError
from defi_risk.gathering import Gathered, gather
from defi_risk.history import DAY, HOUR, correlation_shift, volatility_shift
from defi_risk.sources import candles
from defi_risk.sources.cache import Cache
from defi_risk.sources.candles import Candles
from defi_risk.sources.clock import Deadline
from tests.fault.exchange import BODIES, Exchange, price, running

BOOK = """
[model]
prices = "exchange:{name}"
[[exchanges]]
id = "{name}"
name = "desk"
url = "{url}"
[[manual]]
name = "loan"
side = "lending"
[[manual.collateral]]
factor = "ETH"
amount = "10"
price = "3000"
[[manual.collateral]]
factor = "BTC"
amount = "0.1"
price = "60000"
[[manual.collateral]]
factor = "XYZ"
amount = "1"
price = "1"
[[manual.debt]]
factor = "USDC"
amount = "12000"
price = "1"
"""
pytestmark = pytest.mark.slow
HANGS = ("hang", "dribble", "cut")


class NoAccounts(desks.Reading):
    """The entry of the exchange is there for its address: its account is not what these tests are about."""

    def __init__(self, book: Book, *_: object) -> None:
        super().__init__(replace(book, exchanges=()), Deadline(1), None)


@pytest.fixture(autouse=True)
def _no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]  # pytest runs it
    def nothing(_: Book) -> None:
        """Nobody needs the keys."""

    monkeypatch.setattr(desks, "check", nothing)
    monkeypatch.setattr(desks, "Reading", NoAccounts)


@pytest.fixture
def cache(tmp_path: Path) -> Generator[Cache]:
    opened = Cache.open(tmp_path / "cache")
    yield opened
    opened.close()


@pytest.fixture
def until() -> int:
    return int(time.time())


def read(exchange: Exchange, *coins: str, until: int, name: str = "binance", seconds: float = 30, cache: Cache | None = None) -> Candles:
    return candles.read(name, coins, until=until, deadline=Deadline(seconds), cache=cache, url=exchange.url)


def gathered(exchange: Exchange, name: str = "binance", seconds: float = 30) -> Gathered:
    return gather(book=parse(BOOK.format(name=name, url=exchange.url), "desk.toml"), deadline=seconds)


def assert_true(found: candles.Closes, until: int, step: int = HOUR) -> None:
    """The closes are those of the formula, without a gap, up to the last candle that is closed."""
    times = [at for at, _ in found.rows]
    assert found.seconds == step
    assert times == list(range(times[0], until // step * step, step))
    assert all(close == price(found.coin, at) for at, close in found.rows)


def test_a_year_of_hourly_closes(until: int) -> None:
    with running(Exchange()) as exchange:
        result = read(exchange, "ETH", "NOPE", until=until)
    [found] = result.found
    assert_true(found, until)
    assert (found.symbol, result.missing, result.errors, result.notes) == ("ETH/USDT", ["NOPE"], [], [])
    assert until - found.rows[0][0] >= candles.REACH
    assert result.calls == len(exchange.asked) <= 11


def test_an_exchange_that_gives_few_candles_at_once_is_read_over_several_scans(until: int, cache: Cache) -> None:
    with running(Exchange()) as exchange:
        results = [read(exchange, "ETH", until=until, name="okx", cache=cache) for _ in range(3)]
    spans = []
    for result in results:
        [found] = result.found
        assert_true(found, until)
        assert result.calls <= 18
        spans.append(until - found.rows[0][0])
    assert candles.RECENT < spans[0] < spans[1] < candles.REACH <= spans[2]
    assert [len(result.notes) for result in results] == [1, 1, 0]


def test_nothing_but_markets_and_candles_is_asked_and_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(Exchange(fault="429", where="klines", after=2)) as exchange:
        found = gathered(exchange)
    assert {urlsplit(path).path for path in exchange.asked} == {"/api/v3/exchangeInfo", "/api/v3/klines"}
    assert all(not {"authorization", "cookie", "x-mbx-apikey"} & set(head) for head in exchange.heads)
    assert found.reports[-1].status == "failed"
    assert "k3y" not in repr(found.reports) + caplog.text


def test_a_book_gets_its_history(until: int) -> None:
    with running(Exchange()) as exchange:
        found = gathered(exchange)
    history, report = found.history, found.reports[-1]
    assert history is not None
    assert (history.names, history.source) == (("ETH", "BTC"), "binance")
    assert (report.id, report.kind, report.status, report.error) == ("prices:binance", "exchange", "ok", "")
    assert report.notes == ("binance has no market of XYZ",)
    times, prices = history.observations("BTC")
    assert [price("BTC", int(at) + 1 - HOUR) for at in times[-48:]] == list(prices[-48:])
    assert until - DAY < history.end <= time.time()
    assert volatility_shift(history, "ETH") is not None
    assert correlation_shift(history, "ETH", "BTC") is not None
    assert not np.isnan(history.prices).any()


def test_what_is_cached_is_not_asked_again(until: int, cache: Cache) -> None:
    with running(Exchange()) as exchange:
        first = read(exchange, "ETH", "NOPE", until=until, cache=cache)
        again = read(exchange, "ETH", "NOPE", until=until, cache=cache)
        assert (again.calls, again.found, again.missing) == (0, first.found, first.missing)
        asked = len(exchange.asked)
        an_hour_ago = read(exchange, "ETH", until=until - HOUR, cache=cache)
    # the list of markets, and the page that is not over; one of the past that holds every candle is kept
    assert an_hour_ago.calls == len(exchange.asked) - asked <= 3
    assert_true(an_hour_ago.found[0], until - HOUR)


def test_a_page_is_kept_only_once_it_is_over(until: int, cache: Cache) -> None:
    page = 1_000 * HOUR
    over = (until - 40 * DAY) // page * page
    with running(Exchange()) as exchange:
        for end in (over - 2 * HOUR, over - HOUR, over, over + HOUR):
            assert_true(read(exchange, "ETH", until=end, cache=cache).found[0], end)


def test_an_exchange_that_gives_what_it_likes(until: int, cache: Cache) -> None:
    with running(Exchange(keeps=2_500, deaf=True)) as exchange:
        first = read(exchange, "ETH", until=until, cache=cache)
        again = read(exchange, "ETH", until=until, cache=cache)
    assert_true(first.found[0], until)
    assert len(first.found[0].rows) >= 2_499
    assert (again.calls, again.found) == (0, first.found)


def test_a_forged_or_damaged_entry_is_a_miss(until: int, cache: Cache, tmp_path: Path) -> None:
    with running(Exchange()) as exchange:
        honest = read(exchange, "ETH", until=until, cache=cache)
        keys = [str(key) for key in cache._store.iterkeys()]  # pyright: ignore[reportPrivateUsage]  # to forge its entries
        for key in keys:
            if "/symbol/" not in key:
                cache.put({key: b"\0" * 16})
            else:
                cache.put({key: b"SCAM/USDT"})
        assert read(exchange, "ETH", until=until, cache=cache).found == honest.found
    assert keys


def test_daily_closes_where_the_exchange_keeps_few_hourly_ones(until: int) -> None:
    with running(Exchange(keeps=720)) as exchange:
        result = read(exchange, "ETH", until=until)
    [found] = result.found
    assert_true(found, until, DAY)
    assert len(found.rows) >= 400
    assert "hourly candles of ETH/USDT go back to " in result.notes[0]


def test_a_coin_listed_lately_keeps_its_hourly_closes(until: int) -> None:
    with running(Exchange({"ETH/USDT": 20 * DAY, "BTC/USDT": 300 * DAY})) as exchange:
        result = read(exchange, "ETH", "BTC", until=until)
    for found, days in zip(result.found, (20, 300), strict=True):
        assert_true(found, until)
        assert 0 <= days * DAY - (until - found.rows[0][0]) < DAY
    assert (result.errors, result.notes) == ([], [])


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        *((fault, "klines") for fault in (*BODIES, *HANGS)),
        *((fault, "exchangeInfo") for fault in ("500", "html", "empty", "object", "hang")),
    ],
)
def test_a_fault_loses_the_prices_and_nothing_else(fault: str, where: str) -> None:
    with running(Exchange(fault=fault, where=where)) as exchange:
        began = time.monotonic()
        found = gathered(exchange, seconds=0.6 if fault in HANGS else 30)
        assert time.monotonic() - began < 5
    report = found.reports[-1]
    assert (found.history, report.id, report.status) == (None, "prices:binance", "failed")
    assert report.error.startswith("binance ")
    assert ("redirect" in report.error) is (fault == "redirect")
    assert "k3y" not in repr(found.reports)
    assert [account.status for account in found.accounts] == ["ok"]
    assert "/elsewhere" not in exchange.asked


def test_what_was_read_before_a_fault_stays() -> None:
    with running(Exchange(fault="negative", where="klines", after=2)) as exchange:
        found = gathered(exchange)
    assert found.history is not None
    assert found.history.names == ("ETH",)
    assert found.reports[-1].status == "failed"
    assert "BTC/USDT" in found.reports[-1].error


def test_a_fault_further_back_shortens_the_history_and_is_said(until: int) -> None:
    with running(Exchange(fault="500", where="klines", after=4)) as exchange:
        result = read(exchange, "ETH", until=until)
    assert_true(result.found[0], until)
    assert result.errors == []
    assert "candles of ETH/USDT were read back to " in result.notes[0]
    assert "HTTP 500" in result.notes[0]


def test_an_exchange_that_fails_once_is_asked_again(until: int) -> None:
    with running(Exchange(fault="500", where="klines", times=1)) as exchange:
        result = read(exchange, "ETH", until=until)
    assert_true(result.found[0], until)
    assert (result.errors, result.notes) == ([], [])


def test_another_coin_of_the_same_name_is_left_out() -> None:
    with running(Exchange({"ETH/USDT": 900 * DAY, "XYZ/USDT": 900 * DAY})) as exchange:
        found = gathered(exchange)
    assert found.history is not None
    assert found.history.names == ("ETH",)
    assert any("XYZ/USDT of binance is at " in note and "left out" in note for note in found.reports[-1].notes)


def test_a_scan_of_the_past_sees_no_later_price(until: int) -> None:
    past = until - 100 * DAY
    with running(Exchange()) as exchange:
        [found] = read(exchange, "ETH", until=past).found
    assert_true(found, past)


def test_an_exchange_nobody_knows() -> None:
    with pytest.raises(UnknownName, match="did you mean 'binance'"):
        gather(book=parse(BOOK.format(name="binanse", url="http://127.0.0.1:9"), "desk.toml"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/k3y", "http://me:k3y@127.0.0.1:9", "http://127.0.0.1:9?k=k3y", "http://"])
def test_an_address_that_could_hold_a_key(url: str) -> None:
    with pytest.raises(UsageError, match="scheme, host and port alone") as caught:
        gather(book=parse(BOOK.format(name="binance", url=url), "desk.toml"))
    assert "k3y" not in str(caught.value)


def test_without_ccxt_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(UsageError, match=r"pip install 'defi-risk\[exchanges\]'"):
        gather(book=parse(BOOK.format(name="binance", url="http://127.0.0.1:9"), "desk.toml"))
