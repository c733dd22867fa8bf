"""Exchanges on loopback that speak as Binance's and OKX's public interfaces do, from prices of a formula, and misbehave when told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import sin
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

HOUR: Final = 3_600
DAY: Final = 86_400
BASE: Final = {"ETH": 3_000.0, "BTC": 60_000.0, "XYZ": 400.0}
SECONDS: Final = {"1h": HOUR, "1H": HOUR, "1d": DAY, "1Dutc": DAY}


def price(coin: str, opened: int) -> float:
    """The close of the candle that opens then: up to 5 % about a level, in cents."""
    return round(BASE[coin] * (1 + 0.04 * sin(opened / 50_000) + 0.01 * sin(opened / 7_000 + len(coin))), 2)


@dataclass
class Exchange:
    """What the exchange is like. `listed` are ages of its markets in seconds, `keeps` how many candles it gives at most;
    where it is `deaf` it gives the newest of them whatever it is asked.

    `fault` says how requests whose path holds `where` fail, from the `after`-th of them on. `asked` are the paths and queries asked for.
    """

    listed: dict[str, int] = field(default_factory=lambda: {"ETH/USDT": 900 * DAY, "BTC/USDT": 900 * DAY})
    keeps: int = 10**9
    deaf: bool = False
    fault: str = ""
    where: str = "/"
    after: int = 0
    times: int = 10**9
    url: str = ""
    asked: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def fails(self, path: str) -> bool:
        """Whether this request is to fail."""
        if not self.fault or self.where not in path:
            return False
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return False
        self.times -= 1
        return True

    def answer(self, path: str, query: dict[str, str]) -> Any:
        """The right answer."""
        match path:
            case "/api/v3/exchangeInfo":
                return {"timezone": "UTC", "serverTime": 0, "rateLimits": [], "symbols": [_binance_market(pair) for pair in self.listed]}
            case "/api/v3/klines":
                pair = next(pair for pair in self.listed if pair.replace("/", "") == query["symbol"])
                step = SECONDS[query["interval"]]
                rows = self._rows(pair, step, 0 if self.deaf else int(query["startTime"]) // 1_000, 2**40)
                rows = rows if self.deaf else rows[: int(query["limit"])]
                return [[1_000 * at, *[str(close)] * 4, "1", 1_000 * (at + step) - 1, "1", 1, "1", "1", "0"] for at, close in rows]
            case "/api/v5/public/instruments":
                return {"code": "0", "msg": "", "data": [_okx_market(pair) for pair in self.listed]}
            case "/api/v5/market/candles" | "/api/v5/market/history-candles":
                pair, step = query["instId"].replace("-", "/"), SECONDS[query["bar"]]
                begin, end = int(query["before"]) // 1_000 + 1, int(query["after"]) // 1_000
                rows = self._rows(pair, step, begin, end)[::-1][: min(300, int(query["limit"]))]
                return {"code": "0", "msg": "", "data": [[str(1_000 * at), *[str(close)] * 4, "1", "1", "1", "1"] for at, close in rows]}
            case _:
                raise LookupError(path)

    def _rows(self, pair: str, step: int, begin: int, end: int) -> list[tuple[int, float]]:
        """Open times and closes of candles that open in [begin, end), the one that is not closed yet included."""
        now = int(time.time())
        first = max(begin, now - self.listed[pair], (now // step - self.keeps + 1) * step)
        return [(at, price(pair.partition("/")[0], at)) for at in range(-(-first // step) * step, min(end, now + 1), step)]


def _binance_market(pair: str) -> dict[str, Any]:
    base, quote = pair.split("/")
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "orderTypes": [],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"}],
    }


def _okx_market(pair: str) -> dict[str, Any]:
    base, quote = pair.split("/")
    return {
        "instId": f"{base}-{quote}",
        "instType": "SPOT",
        "baseCcy": base,
        "quoteCcy": quote,
        "state": "live",
        "tickSz": "0.01",
        "lotSz": "0.0001",
        "minSz": "0.001",
        "listTime": "1600000000000",
    }


BODIES: Final = {
    "500": (500, b"{}"),
    "html": (200, b"<html><body>maintenance</body></html>"),
    "gateway": (502, b"<html><body>Bad Gateway</body></html>"),
    "empty": (200, b"[]"),
    "nothing": (200, b""),
    "object": (200, b'{"candles": 7}'),
    "strings": (200, b'[["soon", "a", "b", "c", "d", "e"]]'),
    "short": (200, b"[[1700000000000]]"),
    "negative": (200, b'[[%d, "1", "1", "1", "-5", "1"]]'),
    "infinite": (200, b'[[%d, "1", "1", "1", "1e999", "1"]]'),
    "nan": (200, b"[[%d, 1, 1, 1, NaN, 1]]"),
    "deep": (200, b"[" * 100_000 + b"]" * 100_000),
    "429": (429, b'{"code": -1003, "msg": "Way too much request weight used; k3y-in-the-answer"}'),
    "451": (451, b'{"code": 0, "msg": "Service unavailable from a restricted location k3y-in-the-answer"}'),
    "redirect": (302, b"[]"),
}


@contextmanager
def running(exchange: Exchange) -> Generator[Exchange]:
    """The exchange on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            exchange.asked.append(self.path)
            exchange.heads.append({key.lower(): value for key, value in self.headers.items()})
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            with suppress(OSError):
                if exchange.fails(parts.path):
                    self._misbehave()
                else:
                    self._send(200, json.dumps(exchange.answer(parts.path, query)).encode())

        def _misbehave(self) -> None:
            if exchange.fault == "hang":
                exchange.stopping.wait(20)
            elif exchange.fault == "dribble":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                while not exchange.stopping.wait(0.05):
                    self.wfile.write(b" ")
            elif exchange.fault == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"[[17")
                self.close_connection = True
            else:
                status, body = BODIES[exchange.fault]
                recent = int(time.time()) // HOUR * HOUR - 2 * HOUR
                self._send(status, body.replace(b"%d", str(1_000 * recent).encode()))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{exchange.url}/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    exchange.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield exchange
    finally:
        exchange.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
