"""What stands between a reader of exchange accounts and the wire: named reads alone, the exchange's clock, waiting, keeping, giving up."""

from __future__ import annotations

import gzip
import inspect
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from defi_risk import registry
from defi_risk.book import ExchangeSettings
from defi_risk.errors import (
    BadAnswer,
    DefiRiskError,
    PluginError,
    RateLimited,
    Refused,
    SourceError,
    TimedOut,
    TooLarge,
    Undecodable,
    Unreachable,
    WrongClock,
)
from defi_risk.secrets import Secret
from defi_risk.sources import gate
from defi_risk.sources.cache import Cache
from defi_risk.sources.ccxt_line import CcxtLine, built, library, origins
from defi_risk.sources.clock import Deadline
from defi_risk.sources.exchange import Exchange
from defi_risk.spi import ExchangeCall, ExchangeRead, Failed
from tests.exchanges.double import Fault, Reply, serving
from tests.exchanges.plain import ACCOUNT, FEES, MARKETS, TIME, Plain, PlainExchange

IDS = (
    "aster", "binance", "binancecoinm", "binanceusdm", "bingx", "bitget", "bybit", "deribit", "dydx", "gate", "kucoinfutures", "lighter",
    "mexc", "okx", "weex",
)  # fmt: skip


def settings(url: str | None, **more: Any) -> ExchangeSettings:
    keys = {"apiKey": Secret("dummy-key-4711"), "secret": Secret("dummy-secret-4711")}
    return replace(ExchangeSettings(id="binanceus", name="plain-main", credentials=keys, url=url), **more)


@contextmanager
def asking(double: PlainExchange, cache: Cache | None = None, seconds: float = 20, reader: Any = None, **more: Any) -> Generator[Exchange]:
    """The exchange of a double, opened."""
    with serving(double) as url, Exchange(settings(url, **more), reader or Plain(), Deadline(seconds), cache) as source:
        source.open()
        yield source


@pytest.fixture
def cache(tmp_path: Path) -> Generator[Cache]:
    opened = Cache.open(tmp_path / "cache")
    yield opened
    opened.close()


def lines(double: PlainExchange) -> list[str]:
    return [request.path for request in double.log]


def installed(name: str) -> Any:
    try:
        return registry.exchange(name)
    except PluginError:
        pytest.skip(f"no reader of {name} yet")


# -- what may be asked --------------------------------------------------------------------------------------------------------------------


def test_answers_hold_numbers_as_they_are_written() -> None:
    with asking(PlainExchange(balances={"USDT": "1000.10"})) as source:
        [answer] = source.answer([ExchangeCall("account")])
    assert answer["balances"] == [{"asset": "USDT", "free": "1000.10", "locked": "0.00"}]
    change = Fault(where=ACCOUNT, change=lambda _: json.loads('{"a": 1.10, "b": 12345678901234567890, "c": 1e400, "d": NaN, "e": 1E-7}'))
    with asking(PlainExchange(faults=[change])) as source:
        [answer] = source.answer([ExchangeCall("account")])
    assert {name: type(value) for name, value in answer.items()} == dict.fromkeys("abcde", str)
    assert (answer["b"], answer["d"]) == ("12345678901234567890", "NaN")


def test_a_read_that_is_on_no_list_a_method_that_ccxt_has_not_and_a_parameter_that_is_missing() -> None:
    double = PlainExchange()
    with asking(double) as source:
        asked = len(double.log)
        [found] = source.answer([ExchangeCall("withdraw\x1b[2J")])
        assert isinstance(found, PluginError)
        assert "\x1b" not in str(found)
        for read in ("nothing", "page"):
            with pytest.raises(PluginError):
                source.answer([ExchangeCall(read)])
        assert len(double.log) == asked


@pytest.mark.parametrize("read", ["order", "wrong"])
def test_a_request_that_the_read_does_not_list_is_stopped(read: str) -> None:
    double = PlainExchange()
    with asking(double) as source:
        asked = len(double.log)
        [found] = source.answer([ExchangeCall(read)])
        assert isinstance(found, Refused)
        assert "not on the list of reads was stopped" in str(found)
        [found] = source.answer([ExchangeCall(read, optional=True)])
        assert isinstance(found, Failed)
        assert len(double.log) == asked


@pytest.mark.parametrize("request_", ["POST /api/v3/order", "DELETE /api/v3/order", "GET", "get /api", "PUT /x"])
def test_a_reader_that_lists_anything_but_gets_is_refused(request_: str) -> None:
    class Greedy(Plain):
        reads: ClassVar[Mapping[str, ExchangeRead]] = {"order": ExchangeRead("privatePostOrder", (request_,))}

    with pytest.raises(PluginError, match="lists a request that is no GET"):
        Exchange(settings("http://127.0.0.1:9"), Greedy(), Deadline(1))


OPTIONS = {
    "maxRetriesOnFailure": 50,
    "adjustForTimeDifference": True,
    "timeDifference": 3_600_000,
    "sandboxMode": True,
    "portfolioMargin": True,
    "hostname": "attacker.example",
    "urls": {"api": {"private": "https://attacker.example"}},
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    "fetchBalance": {"type": "papi"},
}


def test_options_of_a_book_neither_widen_nor_repeat_what_is_asked() -> None:
    double = PlainExchange(faults=[Fault("500", where=ACCOUNT)])
    with asking(double, options=OPTIONS) as source:
        answers = source.answer([ExchangeCall("account"), ExchangeCall("balance"), ExchangeCall("order")])
        assert all(isinstance(answer, SourceError) for answer in answers)
    assert set(lines(double)) <= {TIME, MARKETS, ACCOUNT}
    assert lines(double).count(ACCOUNT) <= 4  # each read once more
    double = PlainExchange()
    with asking(double, options=OPTIONS) as source:
        [answer] = source.answer([ExchangeCall("account")])
    assert answer["accountType"] == "SPOT"  # signed by the exchange's clock, whatever the options say


# -- no way to trade ----------------------------------------------------------------------------------------------------------------------

ARGUMENTS: dict[str, Any] = {
    "symbol": "BTC/USDT:USDT", "symbols": ["BTC/USDT:USDT"], "type": "limit", "side": "buy", "amount": 1, "price": 60_000, "code": "USDT",
    "address": "0x" + "1" * 40, "tag": None, "fromAccount": "spot", "toAccount": "swap", "leverage": 5, "marginMode": "cross",
    "hedged": True, "id": "1", "ids": ["1"], "orders": [], "cost": 10, "timeout": 10_000, "params": {}, "fromCode": "BTC", "toCode": "USDT",
    "triggerPrice": 1, "trailingAmount": 1, "trailingPercent": 1, "takeProfit": 1, "stopLoss": 1, "clientOrderId": "1",
}  # fmt: skip
VERBS = ("create_", "cancel_", "edit_", "set_", "add_margin", "reduce_margin", "borrow_", "repay_", "close_", "withdraw", "transfer")
SIGNED_OTHERWISE = ("lighter", "dydx")  # ccxt refuses some by itself, for want of a library or an account
OWN = ("set_markets", "set_sandbox_mode", "set_property", "set_headers", "set_last", "set_market", "create_safe", "set_proxy")


def trades(exchange: Any) -> dict[str, Callable[[], Any]]:
    """Every unified method of ccxt that trades, moves funds or changes settings, with arguments."""
    found: dict[str, Callable[[], Any]] = {}
    for name in dir(type(exchange)):
        method = getattr(exchange, name, None)
        if name.startswith(VERBS) and not name.startswith(OWN) and not name.endswith(("_ws", "_request")) and callable(method):
            needed = [part for part in inspect.signature(method).parameters.values() if part.default is part.empty]
            if all(part.name in ARGUMENTS for part in needed):
                found[name] = partial(method, *(ARGUMENTS[part.name] for part in needed))
    return found


def implicit(exchange: Any) -> list[str]:
    """ccxt's methods of one request each, one name for each: GETs too, for there are exchanges that trade by them."""
    found: dict[tuple[str, ...], str] = {}
    for name in dir(type(exchange)):
        entry = inspect.getattr_static(type(exchange), name)
        if hasattr(entry, "api") and hasattr(entry, "unbound_method"):
            found[str(entry.path), str(entry.api), str(entry.method)] = name
    return list(found.values())


def market(exchange: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", exchange.safe_market_structure({
        "id": "BTCUSDT", "symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT", "settle": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "settleId": "USDT", "type": "swap", "swap": True, "spot": False, "contract": True, "linear": True, "inverse": False, "active": True,
        "contractSize": "1", "precision": {"amount": "0.001", "price": "0.1"}, "info": {},
    }))  # fmt: skip


@pytest.mark.parametrize("name", [name if name == "okx" else pytest.param(name, marks=pytest.mark.slow) for name in IDS])
def test_nothing_that_trades_or_moves_funds_leaves(name: str) -> None:
    """Every method of ccxt that could do harm, called on the very object that reads: the server hears of none, and the error is ours."""
    double = PlainExchange()
    keys = {"apiKey": "k" * 32, "secret": "s" * 32, "password": "p", "uid": "1", "walletAddress": "0x" + "1" * 40, "privateKey": "1" * 64}
    reads = [request for read in installed(name).reads.values() for request in read.requests]
    stopped = 0
    with serving(double) as url:
        line = CcxtLine(name, Deadline(300), url, keys, exact=True, reads=reads)
        with_markets = [market(line.exchange)]
        line.exchange.set_markets(with_markets)
        calls = trades(line.exchange)
        assert {"create_order", "withdraw", "transfer", "set_leverage"} <= set(calls)
        others = {one: getattr(line.exchange, one) for one in implicit(line.exchange)}
        for method, call in {**calls, **others}.items():
            try:
                line.call(call, reads)
            except SourceError as error:
                stopped += method in others and "not on the list of reads was stopped" in str(error)
            else:
                assert method not in ("create_order", "withdraw", "transfer", "set_leverage"), method
        line.close()
    heard = {request.line for request in double.log}  # ccxt looks at the account before it trades, which is what we read, too
    assert not [one for one in heard if not any(gate.pattern(read).fullmatch(one) for read in reads)]
    assert stopped > len(others) * (0.4 if name in SIGNED_OTHERWISE else 0.75)


def test_one_part_of_a_path_is_one_plain_name() -> None:
    one = gate.pattern("GET /api/v4/futures/{}/accounts")
    assert one.fullmatch("GET /api/v4/futures/usdt/accounts")
    assert one.fullmatch("GET /api/v4/futures/BTC_USDT-1/accounts")
    for part in ("", "a/b", "..", ".", "a%2fb", "%2e%2e", "a b", "a?b", "ü"):
        assert not one.fullmatch(f"GET /api/v4/futures/{part}/accounts"), part
    for line in ("POST /api/v4/futures/usdt/accounts", "GET /api/v4/futures/usdt/accounts/", "GET /api/v4/futures/usdt/accounts/x"):
        assert not one.fullmatch(line)


# -- hosts --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_every_read_goes_to_a_host_that_doctor_names(name: str) -> None:
    """The address that ccxt would sign each implicit read for is among the origins that the gate lets through."""
    reader = installed(name)
    keys = {"apiKey": "k" * 32, "secret": "s" * 32, "password": "p", "walletAddress": "0x" + "1" * 40, "privateKey": "1" * 64}
    exchange = built(name, keys, None, exact=True)
    listed = [request for read in reader.reads.values() for request in read.requests]
    known = origins(exchange, listed)
    assert known
    assert all(origin.startswith("https://") for origin in known)
    for read in reader.reads.values():
        entry = inspect.getattr_static(type(exchange), read.method, None)
        if not hasattr(entry, "api"):
            continue
        parts = dict.fromkeys(("symbol", "settle", "id", "currency", "uid", "accountId", "contract", "address"), "BTCUSDT")
        signed = exchange.sign(entry.path, entry.api, entry.method, {**parts, **dict.fromkeys(read.takes, "BTC")})
        origin = signed["url"].partition("//")[0] + "//" + signed["url"].partition("//")[2].partition("/")[0]
        assert origin in known, read.method
        path = signed["url"].removeprefix(origin).partition("?")[0]
        assert any(gate.pattern(one).fullmatch(f"{entry.method} {path}") for one in read.requests), (read.method, path)


def test_a_request_to_another_host_is_stopped() -> None:
    source = Exchange(settings(None), Plain(), Deadline(5))
    line = vars(source)["_line"]
    for host in (
        "https://attacker.example/api/v3",
        "https://api.binance.com/api/v3",
        "http://api.binance.us/api/v3",
        "https://user@evil/api/v3",
    ):
        line.exchange.urls["api"]["private"] = host
        [found] = source.answer([ExchangeCall("account")])
        assert isinstance(found, SourceError), host
        assert "its own was stopped" in str(found) or "http://" in host, (host, str(found))
    assert source.calls == 0
    source.close()


# -- clock --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-90, -30, -6, 0, 6, 30, 90])
def test_signed_reads_succeed_by_the_exchanges_clock(skew: int, cache: Cache) -> None:
    double = PlainExchange(skew=skew)
    with asking(double, cache) as source:
        [answer] = source.answer([ExchangeCall("account")])
        assert answer["accountType"] == "SPOT"
        assert abs(source.offset - skew * 1_000) < 500
        assert abs(source.milliseconds() - double.now()) < 500
    assert lines(double) == [TIME, ACCOUNT]


def test_the_clock_is_measured_once_an_hour_and_anew_where_it_is_refused(cache: Cache) -> None:
    double = PlainExchange(skew=0)
    with serving(double) as url:
        for skew, asked in ((0, [TIME, ACCOUNT]), (0, [ACCOUNT]), (60, [ACCOUNT, TIME, ACCOUNT]), (60, [ACCOUNT])):
            double.skew, double.log = skew, []
            with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
                source.open()
                [answer] = source.answer([ExchangeCall("account")])
            assert answer["accountType"] == "SPOT"
            assert lines(double) == asked


def test_a_time_that_is_refused_again_is_an_error_with_a_remedy() -> None:
    double = PlainExchange(faults=[Fault("time", where=ACCOUNT)])
    with asking(double) as source:
        [found] = source.answer([ExchangeCall("account")])
    assert isinstance(found, WrongClock)
    assert "set this machine's clock" in str(found)
    assert lines(double) == [TIME, ACCOUNT, TIME, ACCOUNT]


@pytest.mark.parametrize("told", [None, "soon", "-5", 10**30, True, "1e12", 0, "9" * 5_000, [], "١٢٣"])
def test_a_time_that_is_none(told: Any) -> None:
    """This machine's clock has to do, and the source says so; the exchange may still refuse the time of a request."""
    with asking(PlainExchange(faults=[Fault(where=TIME, change=lambda _: {"serverTime": told})])) as source:
        assert source.offset == 0
        [note] = source.notes
        assert "the exchange's clock could not be read" in note
        assert source.answer([ExchangeCall("account")])[0]["accountType"] == "SPOT"
    skewed = PlainExchange(skew=90, faults=[Fault(where=TIME, change=lambda _: {"serverTime": told})])
    with asking(skewed) as source:
        assert isinstance(source.answer([ExchangeCall("account")])[0], BadAnswer)


def test_every_way_by_which_ccxt_reads_the_clock_is_the_exchanges() -> None:
    with asking(PlainExchange(skew=-80)) as source:
        exchange = vars(source)["_line"].exchange
        for value, unit in (
            (exchange.milliseconds(), 1_000),
            (exchange.seconds(), 1),
            (exchange.microseconds(), 10**6),
            (exchange.nonce(), 1_000),
        ):
            assert abs(value / unit - (time.time() - 80)) < 2


# -- waiting ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Reply(429, {"code": -1003}, {"Retry-After": "120"}), 120),
        (Reply(418, {"code": -1003}, {"Retry-After": "3600"}), 3_600),
        (Reply(418, {"code": -1003, "msg": "Way too many requests; IP banned until %d."}), 600),
        (Reply(418, {"code": -1003}), 120),
        (Reply(429, b"<html>slow down</html>", {"Retry-After": "60"}), 60),
        (Reply(429, {"code": -1003}, {"X-Bapi-Limit-Reset-Timestamp": "%d"}), 600),
        (Reply(429, {"code": -1003}, {"gw-ratelimit-reset": "30000"}), 30),
    ],
)
def test_an_exchange_that_asks_to_wait_is_left_alone_by_the_next_scans(cache: Cache, reply: Reply, seconds: float) -> None:
    until = str(int((time.time() + 600) * 1_000))
    content = reply.content if isinstance(reply.content, bytes) else json.loads(json.dumps(reply.content).replace("%d", until))
    told = Reply(reply.status, content, {name: value.replace("%d", until) for name, value in reply.headers.items()})
    double = PlainExchange()
    double.answers = {ACCOUNT: told}
    with serving(double) as url:
        with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
            source.open()
            [found] = source.answer([ExchangeCall("account", optional=True)])
        assert isinstance(found, RateLimited)  # optional or not: asking on would make it worse
        assert found.retry_after == pytest.approx(seconds, abs=5)
        assert lines(double) == [TIME, ACCOUNT]
        double.answers = {}
        other = {"apiKey": Secret("another-key-12"), "secret": Secret("another-secret")}
        for more in ({}, {"credentials": other}):
            with Exchange(settings(url, **more), Plain(), Deadline(20), cache) as source:
                [found] = source.answer([ExchangeCall("account")])
            assert isinstance(found, RateLimited)
            assert "asked to be left alone for another" in str(found)
        assert lines(double) == [TIME, ACCOUNT]


def test_a_short_wait_is_waited_for_within_the_scan_once() -> None:
    double = PlainExchange()
    double.answers = {ACCOUNT: Reply(429, {"code": -1003}, {"Retry-After": "0.2"})}
    with asking(double) as source:
        began = time.monotonic()
        [found] = source.answer([ExchangeCall("account")])
        assert isinstance(found, RateLimited)
        assert 0.2 <= time.monotonic() - began < 5
    assert lines(double) == [TIME, ACCOUNT, ACCOUNT]


@pytest.mark.parametrize("kind", ["500", "gateway", "cut"])
def test_what_is_out_of_order_is_asked_once_more(kind: str) -> None:
    double = PlainExchange(faults=[Fault(kind, where=ACCOUNT, times=1)])
    with asking(double) as source:
        [answer] = source.answer([ExchangeCall("account")])
    assert answer["accountType"] == "SPOT"
    assert lines(double) == [TIME, ACCOUNT, ACCOUNT]
    double = PlainExchange(faults=[Fault(kind, where=ACCOUNT)])
    with asking(double) as source:
        [found] = source.answer([ExchangeCall("account")])
    assert isinstance(found, Unreachable)
    assert lines(double) == [TIME, ACCOUNT, ACCOUNT]


BODIES = {"broken": b'{"balances": [}]', "no comma": b'{"balances" 12}'}


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("bad key", Refused, "does not accept the key (HTTP 401, code -2014) - check key, secret"),
        (
            "permission",
            Refused,
            "does not accept the key, its rights or this address, and does not say which (HTTP 401, code -2015) - check key",
        ),
        ("html", Undecodable, "no JSON"),
        ("nothing", Undecodable, "no JSON"),
        ("deep", Undecodable, "broken or nested too deep"),
        ("redirect", Refused, "a redirect, which is never followed"),
        ("broken", Undecodable, "broken or nested too deep"),
        ("no comma", Undecodable, "no JSON"),
    ],
)
def test_what_will_not_pass_is_not_asked_again(kind: str, error: type[Exception], says: str) -> None:
    double = PlainExchange(faults=[Fault(kind, where=ACCOUNT)] if kind not in BODIES else [])
    if kind in BODIES:
        double.answers = {ACCOUNT: Reply(200, BODIES[kind])}
    with asking(double) as source:
        [found] = source.answer([ExchangeCall("account")])
    assert isinstance(found, error)
    assert says in str(found)
    assert lines(double) == [TIME, ACCOUNT]


# -- keeping ------------------------------------------------------------------------------------------------------------------------------


def test_kept_reads_are_shared_by_accounts_only_where_they_are_public(cache: Cache) -> None:
    double, fees = PlainExchange(), ExchangeCall("fees", (("symbol", "BTCUSDT"),))
    asks = [ExchangeCall("balance"), fees]
    with serving(double) as url:
        for _ in range(2):
            with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
                source.open()
                balance, told = source.answer(asks)
                source.keep()
            assert balance["info"]["accountType"] == "SPOT"
            assert told["standardCommission"]["maker"] == "0.001"
        assert lines(double) == [TIME, MARKETS, ACCOUNT, FEES, ACCOUNT]
        other = Exchange(
            settings(url, credentials={"apiKey": Secret("other-key"), "secret": Secret("other-secret")}), Plain(), Deadline(9), cache
        )
        with other:
            other.open()
            assert isinstance(other.answer([fees])[0], Refused)  # asked anew, for another key
        with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
            source.answer([ExchangeCall("fees", (("symbol", "ETHUSDT"),))])
        assert lines(double)[5:] == [FEES, FEES]


def test_what_was_not_found_sound_is_asked_for_again(cache: Cache) -> None:
    double, fees = PlainExchange(), ExchangeCall("fees", (("symbol", "BTCUSDT"),))
    with serving(double) as url:
        for _ in range(2):
            with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
                source.answer([fees])
                source.answer([fees])  # within one reading it is asked once
        assert lines(double) == [FEES, FEES]


def test_a_refusal_of_an_optional_read_is_kept(cache: Cache) -> None:
    double = PlainExchange(faults=[Fault("permission", where=FEES)])
    fees = ExchangeCall("fees", (("symbol", "BTCUSDT"),), optional=True)
    with serving(double) as url:
        for _ in range(3):
            with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
                [found] = source.answer([fees])
                assert isinstance(found, Failed)
                source.keep()
        assert lines(double) == [FEES]
        with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
            assert isinstance(source.answer([ExchangeCall("fees", fees.params)])[0], Refused)  # a required one is asked
        assert lines(double) == [FEES, FEES]


def test_a_refused_time_is_no_refusal_to_keep(cache: Cache) -> None:
    double = PlainExchange(faults=[Fault("time", where=FEES)])
    fees = ExchangeCall("fees", (("symbol", "BTCUSDT"),), optional=True)
    with serving(double) as url:
        for _ in range(2):
            with Exchange(settings(url), Plain(), Deadline(20), cache) as source:
                assert isinstance(source.answer([fees])[0], Failed)
                source.keep()
    assert lines(double) == [FEES, TIME, FEES] * 2


def test_tables_of_an_exchange_on_this_machine_are_kept_for_a_minute(cache: Cache) -> None:
    kept: list[float | None] = []

    class Noting(Cache):
        def put(self, items: Mapping[str, bytes], seconds: float | None = None) -> None:
            kept.append(seconds)

    with serving(PlainExchange()) as url, Exchange(settings(url), Plain(), Deadline(20), Noting(vars(cache)["_store"])) as source:
        source.answer([ExchangeCall("fees", (("symbol", "BTCUSDT"),))])
        source.keep()
    assert kept == [60]


def test_a_cache_that_was_tampered_with_harms_nothing(cache: Cache) -> None:
    double = PlainExchange()
    with serving(double) as url:
        source = Exchange(settings(url), Plain(), Deadline(20), cache)
        keys = [f"{vars(source)['_place']}/all/time", vars(source)["_wait"]]
        for junk in (b"{", b"[" * 50_000, b'"soon"', b"true", b"1e400", b"9" * 5_000, b"null", b'{"a": 1}', str(10**15).encode()):
            cache.put(dict.fromkeys(keys, junk))
            source.open()
            [answer] = source.answer([ExchangeCall("account")])
            assert answer["accountType"] == "SPOT", junk
        source.close()


# -- bounds -------------------------------------------------------------------------------------------------------------------------------


def working() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.endswith("(_labour)")]


@pytest.mark.parametrize("kind", ["silence", "drip"])
def test_a_call_ends_at_the_deadline_and_what_was_given_up_sends_no_more(kind: str) -> None:
    """The second request of a unified read hangs: its thread is cut off, and nothing of it leaves later."""
    library()  # what it takes to load ccxt must not be taken off the time
    double = PlainExchange(faults=[Fault(kind, where=MARKETS, times=1)])
    with asking(double, seconds=1.2) as source:
        before, began = len(working()), time.monotonic()
        [found] = source.answer([ExchangeCall("balance")])
        assert time.monotonic() - began < 2.4
        assert isinstance(found, TimedOut)
        asked = len(double.log)
        [again] = source.answer([ExchangeCall("account")])
        assert isinstance(again, TimedOut)
        deadline = time.monotonic() + 2
        while len(working()) > before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(working()) <= before
    assert len(double.log) == asked


def test_a_thread_that_was_given_up_while_it_slept_sends_nothing_when_it_wakes() -> None:
    library()
    double, woken = PlainExchange(), threading.Event()
    with serving(double) as url:
        line = CcxtLine("binanceus", Deadline(1.0), url, {"apiKey": "k", "secret": "s"}, exact=True, reads=[f"GET {ACCOUNT}"])

        def late() -> Any:
            time.sleep(1.2)
            try:
                return line.exchange.privateGetAccount()
            finally:
                woken.set()

        with pytest.raises(TimedOut):
            line.call(late, [f"GET {ACCOUNT}"])
        assert woken.wait(5)
        line.close()
    assert double.log == []


@contextmanager
def raw(headers: Mapping[str, str], body: bytes) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LARGEST_ANSWER", 1_000_000)
    bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]", 1)
    with raw({"Content-Encoding": "gzip"}, bomb) as url, Exchange(settings(url), Plain(), Deadline(20)) as source:
        [found] = source.answer([ExchangeCall("account")])
    assert isinstance(found, TooLarge)


def test_no_cookie_no_proxy_and_no_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login LEAK password LEAK\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    double = PlainExchange()
    double.answers = {FEES: Reply(200, {"a": "1"}, {"Set-Cookie": "tracked=1; Path=/"})}
    with asking(double) as source:
        source.answer([ExchangeCall("fees", (("symbol", "X"),)), ExchangeCall("account")])
    assert lines(double) == [TIME, FEES, ACCOUNT]
    assert not any("cookie" in request.headers or "authorization" in request.headers for request in double.log)


# -- secrets ------------------------------------------------------------------------------------------------------------------------------

KEY, SECRET = "canary-key-9c1f", "canary-secret-77aa"


@pytest.mark.parametrize("kind", ["", "bad key", "html", "500", "cut", "429", "redirect", "echo", "refused"])
def test_no_log_error_or_object_shows_a_key_or_a_signature(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    double = PlainExchange(faults=[Fault(kind, where=ACCOUNT)] if kind and kind not in ("echo", "refused") else [])
    double.credentials = {"api_key": KEY, "secret": SECRET}  # type: ignore[misc]
    if kind == "echo":
        double.answers = {ACCOUNT: lambda request: Reply(401, {"code": -2014, "msg": f"{request.headers} {request.raw_query}"})}
    seen: list[str] = []
    with serving(double) as url:
        keys = {"apiKey": Secret(KEY), "secret": Secret(SECRET)}
        given = settings("http://127.0.0.1:9" if kind == "refused" else url, credentials=keys)
        with Exchange(given, Plain(), Deadline(20)) as source:
            line = vars(source)["_line"]
            [found] = source.answer([ExchangeCall("account")])
            if isinstance(found, DefiRiskError):
                seen += ["".join(traceback.format_exception(found)), repr(found), repr(found.args), repr(vars(found))]
                assert found.__cause__ is None
            for thing in (source, line, vars(line)["_gate"], vars(line)["_session"], given):
                seen += [repr(thing), str(thing)]
            seen += [repr(vars(source)), repr(vars(line)), repr(source.notes)]
    signatures = [request.query["signature"] for request in double.log if "signature" in request.query]
    assert bool(signatures) == (kind != "refused")
    everything = "\n".join([*seen, caplog.text]).lower()
    assert "/api/v3/account http/1.1" in everything or kind in ("refused", "cut")
    for word in (KEY, SECRET, "signature", "timestamp=", "x-mbx-apikey", *signatures):
        assert word.lower() not in everything, word


def test_a_cache_holds_no_key(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "cache")
    double = PlainExchange()
    with asking(double, cache) as source:
        source.answer([ExchangeCall("account"), ExchangeCall("fees", (("symbol", "BTCUSDT"),))])
        source.keep()
        source.remember("rights", [True, None, False], 60)
        assert source.remembered("rights") == [True, None, False]
    cache.close()
    left = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert b"standardCommission" in left
    for word in (b"dummy-key-4711", b"dummy-secret-4711", b"signature"):
        assert word not in left
