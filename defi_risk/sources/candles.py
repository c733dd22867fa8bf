"""Closing prices of coins from an exchange's candles, read newest first and kept in the cache.

Hourly candles are read back to 372 days: what compares this week's volatility with the year needs them all, correlation the last 37. The
last 38 days must be read; of the days before, each scan reads 12 requests a coin further and takes at most half of the time left, so that
an exchange which gives few candles a request is read over several scans. Where the exchange keeps less than 37 days of hourly candles
(Kraken keeps 720), daily ones are read instead.

A request is for one page: an aligned stretch of as many candles as the exchange gives at once. A page of the past that is there whole
never changes; every other one holds for the full hour in which it was read. Candles that are not closed are never taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from defi_risk.errors import BadAnswer, SourceError
from defi_risk.sources.cache import Cache
from defi_risk.sources.clock import Deadline
from defi_risk.sources.public_exchange import PublicExchange, sound

HOUR: Final = 3_600
DAY: Final = 86_400
REACH: Final = 372 * DAY
"""A year, and the week that the first of its volatilities is taken over."""
DAILY_REACH: Final = 400 * DAY
RECENT: Final = 38 * DAY
ENOUGH: Final = 37 * DAY
MOST_REQUESTS: Final = 12
_TRIES: Final = 4
_WHOLE: Final = 0.99
_VERSION: Final = 1
_LASTING: Final = 400.0 * DAY
_PASSING: Final = 2.0 * HOUR
_ROW: Final = struct.Struct("<qd")
Rows = dict[int, float]
"""Closes by the open time (unix seconds) of their candle."""


@dataclass(frozen=True, slots=True)
class Closes:
    """Closes of a coin on one market, in dollars or a coin at par with them: (open time in unix seconds, close), oldest first.

    Each candle is `seconds` long.
    """

    coin: str
    symbol: str
    seconds: int
    rows: tuple[tuple[int, float], ...]


@dataclass(slots=True)
class Candles:
    """What an exchange gave: `missing` are coins without a market there, `errors` lost a coin or more, `notes` only shorten a history."""

    found: list[Closes] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calls: int = 0


def read(name: str, coins: Sequence[str], *, until: int, deadline: Deadline, cache: Cache | None = None, url: str | None = None) -> Candles:
    """Closes of the coins, in their order, up to `until` (unix seconds), on the exchange with that ccxt id.

    What fails is in the result; raises `UsageError` alone, for an exchange that cannot be read at all.
    """
    with PublicExchange(name, deadline, url) as exchange:
        reader = _Reader(exchange, _Store(cache, f"{name}/{sha256((url or '').encode()).hexdigest()[:16]}", until), until, deadline)
        result = reader.read(coins)
        result.calls = exchange.calls
    return result


@dataclass(slots=True)
class _Line:
    """One market as it is read: the next page starts at `at`; `ended` once the exchange has nothing older."""

    coin: str
    symbol: str
    size: int
    at: int
    rows: Rows = field(default_factory=dict)
    spent: int = 0
    ended: bool = False

    def span(self, closed: int) -> int:
        return closed - min(self.rows) if self.rows else 0


class _Reader:
    def __init__(self, exchange: PublicExchange, store: _Store, until: int, deadline: Deadline) -> None:
        self._exchange = exchange
        self._store = store
        self._until = until
        self._deadline = deadline
        self._closed = until // HOUR * HOUR
        self._result = Candles()

    def read(self, coins: Sequence[str]) -> Candles:
        lines = list(self._begun(coins))
        self._deepen(lines)
        for line in lines:
            daily = self._daily(line) if line.ended and line.span(self._closed) < ENOUGH else {}
            step, rows = (DAY, daily) if daily else (HOUR, line.rows)
            self._result.found.append(Closes(line.coin, line.symbol, step, tuple(sorted(rows.items()))))
        return self._result

    def _begun(self, coins: Sequence[str]) -> Iterator[_Line]:
        """The markets with their last 38 days. An answer that cannot be used costs its own coin; any other failure ends the reading."""
        for index, coin in enumerate(coins):
            try:
                symbol = self._symbol(coin)
            except SourceError as fault:
                self._give_up(fault, coins[index:])
                return
            if not symbol:
                self._result.missing.append(coin)
                continue
            size = self._exchange.page(symbol) * HOUR
            line = _Line(coin, symbol, size, (self._closed - HOUR) // size * size)
            try:
                while line.at + size > self._closed - RECENT:
                    self._turn(line)
                if not line.rows:
                    raise BadAnswer(f"{self._exchange.name} gave no candles of {symbol}", source=self._exchange.name)
            except BadAnswer as fault:
                self._result.errors.append(str(fault))
                continue
            except SourceError as fault:
                self._give_up(fault, coins[index:])
                return
            yield line

    def _give_up(self, fault: SourceError, lost: Sequence[str]) -> None:
        self._result.errors.append(f"{fault}; so there are no prices of {', '.join(lost)}")

    def _symbol(self, coin: str) -> str:
        """The coin's market; empty where there is none."""
        stored = self._store.symbol(coin)
        if stored is None:
            stored = self._exchange.symbol(coin) or ""
            self._store.put_symbol(coin, stored)
        return stored

    def _deepen(self, lines: Sequence[_Line]) -> None:
        """Read on into the past, page by page of all markets, as far as requests and time go."""
        patience = Deadline(self._deadline.left() / 2, self._deadline.clock)
        oldest = self._closed - REACH
        while todo := [line for line in lines if not line.ended and line.at + line.size > oldest and line.spent < MOST_REQUESTS]:
            for line in todo:
                if patience.left() <= 0:
                    self._cut(lines, "")
                    return
                try:
                    self._turn(line)
                except SourceError as fault:
                    self._cut(lines, f" ({fault})")
                    return
        self._cut(lines, "")

    def _cut(self, lines: Sequence[_Line], why: str) -> None:
        """Say which markets were not read back to the end."""
        short: dict[str, list[str]] = {}
        for line in lines:
            if not line.ended and line.at + line.size > self._closed - REACH:
                short.setdefault(_date(min(line.rows)), []).append(line.symbol)
        for date, symbols in short.items():
            self._result.notes.append(f"candles of {', '.join(symbols)} were read back to {date} only{why}")

    def _turn(self, line: _Line) -> None:
        """Read the next page of a market; one of the past without any candle is its end."""
        before = self._exchange.calls
        rows = self._page(line.symbol, "1h", HOUR, line.at, line.size)
        line.spent += self._exchange.calls - before
        line.rows |= rows
        # a page that has hardly begun may be empty because the exchange is a few seconds late
        line.ended = not rows and self._closed - line.at > DAY
        line.at -= line.size

    def _daily(self, line: _Line) -> Rows:
        """Daily closes instead of hourly ones that do not reach back far enough; none where they do not either, or cannot be read."""
        if not self._exchange.offers("1d"):
            return {}
        size = self._exchange.page(line.symbol) * DAY
        at, rows = (self._closed - DAY) // size * size, Rows()
        try:
            while at + size > self._closed - DAILY_REACH:
                rows |= self._page(line.symbol, "1d", DAY, at, size)
                at -= size
        except SourceError as fault:
            self._result.notes.append(f"daily candles of {line.symbol} could not be read ({fault})")
            return {}
        if not rows or self._closed - min(rows) < ENOUGH:
            return {}
        self._result.notes.append(f"hourly candles of {line.symbol} go back to {_date(min(line.rows))} only, so daily ones are taken")
        return rows

    def _page(self, symbol: str, timeframe: str, step: int, start: int, size: int) -> Rows:
        """The closed candles of one page, from the cache or the exchange."""
        stored = self._store.page(symbol, timeframe, start, size)
        if stored is not None:
            return stored
        end = min(start + size, self._until)
        rows, since = Rows(), start
        for _ in range(_TRIES):
            found = self._exchange.closes(symbol, timeframe, since, (end - since + step - 1) // step)
            fresh = {time: close for time, close in found if since <= time and time + step <= end}
            rows |= fresh
            since = max(fresh, default=end) + step
            if since + step > end:
                break
        whole = start + size <= self._until and len(rows) >= _WHOLE * size // step
        self._store.put_page(symbol, timeframe, start, size, rows, whole=whole)
        return rows


class _Store:
    """Pages and symbols in the cache, by exchange, symbol, timeframe and the full UTC hour. What is not of our form is a miss."""

    def __init__(self, cache: Cache | None, place: str, until: int) -> None:
        self._cache = cache
        self._place = f"candles/{_VERSION}/{place}"
        self._hour = str(until // HOUR)
        self._until = until

    def symbol(self, coin: str) -> str | None:
        """The coin's market as it was found in this hour; empty for none, None where it is not known."""
        stored = self._cache.get(f"{self._place}/symbol/{coin}/{self._hour}") if self._cache else None
        try:
            text = None if stored is None else stored.decode()
        except UnicodeDecodeError:
            return None
        return text if text is None or text == "" or text.startswith(f"{coin}/") else None

    def put_symbol(self, coin: str, symbol: str) -> None:
        if self._cache:
            self._cache.put({f"{self._place}/symbol/{coin}/{self._hour}": symbol.encode()}, seconds=_PASSING)

    def page(self, symbol: str, timeframe: str, start: int, size: int) -> Rows | None:
        for holds in ("whole", self._hour):
            stored = self._cache.get(self._key(symbol, timeframe, start, size, holds)) if self._cache else None
            if stored is not None and len(stored) % _ROW.size == 0:
                rows: Rows = dict(_ROW.iter_unpack(stored))
                if all(start <= time < min(start + size, self._until) and sound(close) for time, close in rows.items()):
                    return rows
        return None

    def put_page(self, symbol: str, timeframe: str, start: int, size: int, rows: Rows, *, whole: bool) -> None:
        if self._cache:
            packed = b"".join(_ROW.pack(time, close) for time, close in rows.items())
            key = self._key(symbol, timeframe, start, size, "whole" if whole else self._hour)
            self._cache.put({key: packed}, seconds=_LASTING if whole else _PASSING)

    def _key(self, symbol: str, timeframe: str, start: int, size: int, holds: str) -> str:
        return f"{self._place}/{symbol}/{timeframe}/{start}/{size}/{holds}"


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
