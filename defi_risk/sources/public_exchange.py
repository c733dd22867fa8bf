"""An exchange's public market data through ccxt: no credentials, bounded in time and size, and two methods of ccxt that are ever called.

Those are `load_markets` and `fetch_ohlcv`. ccxt does its own HTTP on a session of ours, which follows no redirect, uses no proxy, keeps
no cookie, caps what it reads and, where the book gives an address for the exchange, reaches nothing else. ccxt's own error texts hold
whole answers and addresses, so none of them is passed on.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from importlib import import_module
from math import isfinite
from types import TracebackType
from typing import Any, Final, cast

import requests
from requests.adapters import HTTPAdapter

from defi_risk import __version__
from defi_risk.errors import (
    BadAnswer,
    OutOfRange,
    RateLimited,
    Refused,
    SourceError,
    TimedOut,
    TooLarge,
    Undecodable,
    UnknownName,
    Unreachable,
    UsageError,
)
from defi_risk.secrets import public_url
from defi_risk.sources.clock import Crew, Deadline
from defi_risk.text import DEEPEST

PATIENCE: Final = 15.0
"""Seconds that one call may take."""
LARGEST_ANSWER: Final = 64 * 1024 * 1024
LONGEST_PAGE: Final = 1_000
SHORTEST_PAGE: Final = 100
"""Candles that every exchange gives at once."""
SMALLEST: Final = 1e-30
LARGEST: Final = 1e30
"""USD per unit: no price lies beyond these."""
INSTALL: Final = "pip install 'defi-risk[exchanges]'"
_SYMBOLS: Final = ("{0}/USDT", "{0}/USD", "{0}/USDC", "{0}/USDT:USDT", "{0}/USDC:USDC", "{0}/USD:{0}")
_CLOSE: Final = 4
_PAUSE: Final = 0.3
_PIECE: Final = 65_536
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ORIGIN: Final = re.compile(r"^[a-z]+://[^/]*")
_SILENT: Final = logging.Logger("defi_risk.silent", level=logging.CRITICAL + 1)  # in no hierarchy: ccxt logs URLs at level DEBUG


def check(name: str, url: str | None = None) -> None:
    """Raise `UsageError` where ccxt is not installed, does not know the exchange or gets no candles from it, or for an address that is
    more than scheme, host and port. Asks nothing.
    """
    _built(name, {}, url)


class PublicExchange:
    """One exchange by its ccxt id, in a `with` block. `url` replaces scheme, host and port of all its addresses.

    `calls` counts the requests sent. Raises `UsageError` as `check` does, `SourceError` where the exchange fails.
    """

    def __init__(self, name: str, deadline: Deadline, url: str | None = None) -> None:
        self.name: Final = name
        self._ccxt: Final = _library()
        self._deadline: Final = deadline
        self._adapter: Final = _Adapter(name)
        self._session: Final = _session(self._adapter, url)
        self._stuck = False
        settings = {"session": self._session, "logger": _SILENT, "enableRateLimit": True, "userAgent": f"defi-risk/{__version__}"}
        self._exchange: Final[Any] = _built(name, settings, url)
        self._exchange.has["fetchCurrencies"] = False
        _spot_alone(self._exchange.options.get("fetchMarkets"))

    def __enter__(self) -> PublicExchange:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._session.close()

    @property
    def calls(self) -> int:
        return self._adapter.sent

    def symbol(self, coin: str) -> str | None:
        """The market of a coin in dollars: spot before perpetual, USDT before USD before USDC; None where there is none."""
        markets = self._call(self._exchange.load_markets)
        if not isinstance(markets, dict) or not markets:
            raise Undecodable(f"{self.name} gave no list of markets", source=self.name)
        for form in _SYMBOLS:
            market: Any = cast("dict[str, Any]", markets).get(form.format(coin))
            if isinstance(market, dict) and market.get("base") == coin and market.get("active") is not False:
                return form.format(coin)
        return None

    def offers(self, timeframe: str) -> bool:
        """Whether there are candles of that length."""
        return timeframe in (self._exchange.timeframes or {})

    def page(self, symbol: str) -> int:
        """The most candles of a market that one request gives, 1,000 at most."""
        kind: Any = (getattr(self._exchange, "features", None) or {}).get("swap" if ":" in symbol else "spot") or {}
        settings = kind.get("fetchOHLCV") or (kind.get("linear") or {}).get("fetchOHLCV") or {}
        limit = settings.get("limit")
        return min(limit, LONGEST_PAGE) if isinstance(limit, int) and limit > 0 else SHORTEST_PAGE

    def closes(self, symbol: str, timeframe: str, since: int, count: int) -> list[tuple[int, float]]:
        """Open time (unix seconds) and close of up to so many candles from `since` on, as the exchange gives them."""
        rows = self._call(lambda: self._exchange.fetch_ohlcv(symbol, timeframe, since * 1_000, count))
        if not isinstance(rows, list):
            raise Undecodable(f"{self.name} gave no list of candles of {symbol}", source=self.name)
        return [close for row in cast("list[object]", rows) if (close := self._close(symbol, row)) is not None]

    def _close(self, symbol: str, row: object) -> tuple[int, float] | None:
        """Time and close of one candle; None for one in which nothing was traded."""
        cells = cast("list[object]", row) if isinstance(row, list) else []
        time, close = (cells[0], cells[_CLOSE]) if len(cells) > _CLOSE else (None, None)
        if isinstance(time, bool) or not isinstance(time, int) or len(cells) <= _CLOSE:
            raise Undecodable(f"{self.name} gave candles of {symbol} that are none", source=self.name)
        if close is None:
            return None
        if isinstance(close, bool) or not isinstance(close, int | float):
            raise Undecodable(f"{self.name} gave candles of {symbol} whose closes are no numbers", source=self.name)
        if not sound(close):
            raise OutOfRange(f"{self.name} gave a price of {symbol} that cannot be", source=self.name)
        return time // 1_000, float(close)

    def _call(self, function: Callable[[], Any]) -> Any:
        """The function's result. It is called once more where there was no answer, or one that the exchange is out of order."""
        try:
            return self._once(function)
        except Unreachable:
            self._deadline.clock.sleep(min(_PAUSE, self._deadline.left()))
            return self._once(function)

    def _once(self, function: Callable[[], Any]) -> Any:
        """The result, within the time there is: in a thread that can be abandoned, as ccxt bounds each wait for a byte, not the whole."""
        seconds = min(PATIENCE, self._deadline.left())
        if seconds <= 0 or self._stuck:
            raise self._deadline.missed(self.name)
        self._exchange.timeout = seconds * 1_000
        self._adapter.status = 0
        with Crew([function], most=1) as crew:
            end = crew.take_within(seconds)
        if end is None:
            self._stuck = True  # the session is still in that thread's hands
            raise TimedOut(f"{self.name} gave no full answer within {seconds:.3g} s", source=self.name)
        result = end[1]
        if isinstance(result, Exception):
            raise self._fault(result) from None
        if isinstance(result, BaseException):
            raise result
        return result

    def _fault(self, error: Exception) -> SourceError:
        """What ccxt raised, as an error of ours. Of an answer that is not what it should be ccxt may raise anything."""
        if isinstance(error, SourceError):
            return error
        name, status = self.name, self._adapter.status
        if isinstance(error, self._ccxt.RequestTimeout):
            return TimedOut(f"{name} gave no answer in time", source=name)
        if status in (418, 429) or isinstance(error, self._ccxt.RateLimitExceeded | self._ccxt.DDoSProtection):
            return RateLimited(f"{name} asks for fewer requests (HTTP {status})", source=name, hint="wait a while")
        if status in (401, 403, 451) or isinstance(error, self._ccxt.AuthenticationError | self._ccxt.RestrictedLocation):
            return Refused(f"{name} refuses to answer (HTTP {status})", source=name, hint="it may not serve your region: name another one")
        if status == 0:
            return Unreachable(f"{name}: no connection", source=name, hint="is the network up?")
        if status >= 500:
            return Unreachable(f"{name} is out of order (HTTP {status})", source=name)
        if isinstance(error, self._ccxt.NetworkError):
            return Unreachable(f"{name} broke off its answer, or is out of order", source=name)
        return BadAnswer(f"{name} gave an answer that cannot be used (HTTP {status}, {type(error).__name__})", source=name)


def sound(price: float) -> bool:
    """Whether a number can be a price."""
    return isfinite(price) and SMALLEST <= price <= LARGEST


class _Adapter(HTTPAdapter):
    """Transport that reads a bounded answer whole before anybody parses it. `status` is that of the last answer, 0 without one."""

    def __init__(self, name: str) -> None:
        super().__init__(pool_connections=4, pool_maxsize=4, max_retries=0)
        self._name = name
        self.status = 0
        self.sent = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.sent += 1
        with super().send(request, *args, **{**options, "stream": True}) as response:
            self.status = response.status_code
            body = io.BytesIO()
            for piece in response.iter_content(_PIECE):
                body.write(piece)
                if body.tell() > LARGEST_ANSWER:
                    raise TooLarge(f"{self._name} answered with more than {LARGEST_ANSWER} bytes", source=self._name)
        self._look(response.status_code, body.getvalue())
        body.seek(0)
        whole = requests.Response()
        whole.status_code, whole.reason, whole.headers = response.status_code, response.reason, response.headers
        whole.url, whole.request, whole.raw = response.url, request, body
        return whole

    def _look(self, status: int, body: bytes) -> None:
        """Raise what ccxt would pass over: redirects and pages are no lists without candles to it. Errors it sorts by their status."""
        if 300 <= status < 400:
            raise Refused(f"{self._name} answered with a redirect, which is never followed", source=self._name)
        if status < 300 and body[:64].lstrip()[:1] not in (b"{", b"["):
            raise Undecodable(f"{self._name} gave an answer that is no JSON", source=self._name)
        if not _shallow(body):
            raise BadAnswer(f"{self._name} answered with values nested too deep", source=self._name)


class _Session(requests.Session):
    def get_redirect_target(self, resp: object) -> None:
        """No answer is a redirect: the address in it, which anybody may have chosen, is not even parsed."""


def _session(adapter: HTTPAdapter, url: str | None) -> requests.Session:
    """A session without proxies, netrc, cookies or redirects, to the given address alone; without one to any, over TLS."""
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    session.mount(url.rstrip("/") + "/" if url else "https://", adapter)
    return session


def _moved(address: object, url: str) -> object:
    """Addresses of ccxt with another scheme, host and port, however deep they stand."""
    if isinstance(address, str):
        return _ORIGIN.sub(lambda _: url, address)
    if isinstance(address, Mapping):
        return {key: _moved(value, url) for key, value in cast("Mapping[str, object]", address).items()}
    return address


def _spot_alone(settings: object) -> None:
    """Of several kinds of markets load the spot ones: derivatives are several times as many."""
    if isinstance(settings, dict) and isinstance(settings.get("types"), list) and "spot" in settings["types"]:
        settings["types"] = ["spot"]


def _shallow(body: bytes) -> bool:
    """Whether JSON nests no deeper than `DEEPEST`, which keeps the parser from running over the stack (as `defi_risk.text.check_depth`).

    In whole passes over the bytes, for a list of markets holds a million texts: each pass takes the innermost brackets away.
    """
    outside_texts = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(outside_texts).translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return not brackets


def _built(name: str, settings: Mapping[str, object], url: str | None) -> Any:
    """ccxt's object for an exchange, at another address where one is given. Raises `UsageError`."""
    ccxt = _library()
    if name not in ccxt.exchanges:
        raise UnknownName("exchange", name, tuple(ccxt.exchanges))
    exchange = getattr(ccxt, name)(settings)
    if exchange.has.get("fetchOHLCV") is not True:
        raise UsageError(f"exchange {name} gives no candles", hint='name another one, or a file: prices = "prices.csv"')
    if url is not None:
        if public_url(url) != url.rstrip("/").lower() or not url.startswith(("http://", "https://")):
            raise UsageError(f"the url of exchange {name} must be scheme, host and port alone", hint="such as http://127.0.0.1:8080")
        exchange.urls["api"] = _moved(exchange.urls["api"], url.rstrip("/"))
    return exchange


def _library() -> Any:
    try:
        return import_module("ccxt")
    except ImportError:
        raise UsageError("prices of an exchange need an extra", hint=INSTALL) from None
