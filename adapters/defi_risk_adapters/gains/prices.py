"""Prices of pairs, which no contract of gTrade's tells: from the venue's price service, or from feeds that a market's settings name.

The setting `prices` is the address of a service (the venue's own by default), or "oracle" for the Chainlink feeds in the setting `feeds`:
`ETH/USD:0x... BTC/USD:0x...`. A service answers `/charts` with one index price a pair, by the pair's number. gTrade liquidates by index
prices; the opens, highs, lows and closes beside them are mark prices, which differ for pairs whose mark follows futures. Sources: the
venue's documentation, "Live prices and OHLC snapshots" and "Mark + Index introduction".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, Protocol

from defi_risk.answers import Answer
from defi_risk.errors import AddressError, BadAnswer, MissingPrice, SettingError, Unsupported
from defi_risk.ids import Address, parse_address
from defi_risk.model import SourceReport
from defi_risk.spi import Ask, Context, Failed, InfoCall, Market, Steps
from defi_risk.units import EXACT
from defi_risk_adapters.oracles import CHAINLINK

SERVICE: Final = "https://backend-pricing.eu.gains.trade"
PATH: Final = "/charts"
ORACLE: Final = "oracle"
PLACES: Final = 10
HEARTBEAT: Final = 60  # seconds; the service moves several times a second
APART: Final = 900  # seconds before or after the block from which a price is no longer one of the block's time
MOST_PAIRS: Final = 10_000
MOST_FEEDS: Final = 64
MOST_PRICE: Final = 10**9  # USD; the contracts keep prices in 64 bits with 10 places
_MILLISECONDS: Final = 10**11  # unix times from here on are in milliseconds


@dataclass(frozen=True, slots=True)
class PairPrice:
    """A pair's price (1e10) and where it is from. `updated_at` in unix seconds and `heartbeat` in seconds, None where unknown."""

    key: str
    value: int
    updated_at: int | None
    heartbeat: int | None


class Board(Protocol):
    """Where prices are looked up."""

    def price(self, number: int, name: str) -> PairPrice:
        """The price of a pair by its number and name. Raises `MissingPrice` where there is none, or a `BadAnswer`."""
        ...

    def report(self) -> SourceReport | None:
        """How a service beside the chain was; None for feeds on it."""
        ...


def board(market: Market, at: Context, *, wanted: bool) -> Steps[Board]:
    """Ask for prices, in one round; nobody is asked where none is wanted. Raises `Unsupported` for settings that cannot be used."""
    source = market.get("prices", SERVICE)
    if not wanted:
        return Feeds({})
    if source == ORACLE:
        return (yield from _feeds(market.get("feeds"), at))
    [given] = yield [InfoCall(source, path=PATH, optional=True)]
    return Service(given, at.timestamp)


@dataclass(frozen=True, slots=True)
class Service:
    """What a price service answered, to be looked at pair by pair; `now` is the block's time."""

    given: Any
    now: int

    def price(self, number: int, name: str) -> PairPrice:
        """See `Board`."""
        if isinstance(self.given, Failed):
            raise MissingPrice(f"no price of {name}: {self.given.reason}")
        time = self._time()
        if abs(time - self.now) > APART:
            when = f"{abs(time - self.now):,} s {'later' if time > self.now else 'earlier'}"
            raise MissingPrice(f"no price of {name} at the block's time: the price service answers for {when}")
        entry = self._entry(number)
        if entry is None or entry.value is None:
            raise MissingPrice(f"the price service has no index price of {name}")
        value = scaled(entry.decimal(0, MOST_PRICE))
        if not value:
            raise MissingPrice(f"the price service says that {name} is worth nothing")
        return PairPrice(f"gains index {name}", value, min(time, self.now), HEARTBEAT)

    def report(self) -> SourceReport | None:
        """See `Board`."""
        if isinstance(self.given, Failed):
            return _report("failed", self.given.reason)
        try:
            time = self._time()
        except BadAnswer as error:
            return _report("failed", str(error))
        behind = self.now - time
        if behind <= HEARTBEAT:
            return _report("ok", "", time)
        return _report("stale", f"prices are {behind:,} s older than the block", time)

    def _time(self) -> int:
        told = int(self._charts()["time"].decimal(0, 1 << 53))
        return told // 1000 if told >= _MILLISECONDS else told

    def _entry(self, number: int) -> Answer | None:
        """The pair's entry, in an array or in an object by the pair's number."""
        prices = self._charts()["indexPrices"]
        if isinstance(prices.value, Mapping):
            return prices.get(str(number))
        items = prices.listing(MOST_PAIRS)
        return items[number] if number < len(items) else None

    def _charts(self) -> Answer:
        return Answer(self.given, "charts")


@dataclass(frozen=True, slots=True)
class Feeds:
    """Prices by the names of pairs, each with why there is none where there is none."""

    found: Mapping[str, PairPrice | str]

    def price(self, number: int, name: str) -> PairPrice:
        """See `Board`."""
        found = self.found.get(name, "the settings of the market name no feed for it")
        if isinstance(found, str):
            raise MissingPrice(f"no price of {name}: {found}")
        return found

    def report(self) -> SourceReport | None:
        """See `Board`."""
        return None


def _report(status: str, error: str, time: int | None = None) -> SourceReport:
    return SourceReport(id="gains", kind="exchange", status=status, error=error, as_of=time)


def scaled(price: Decimal) -> int:
    """A price in USD as the contracts keep it, 1e10, rounded down."""
    return int(EXACT.scaleb(price, PLACES).to_integral_value(ROUND_FLOOR, EXACT))


def named_feeds(text: str) -> dict[str, Address]:
    """The setting `feeds`. Raises `SettingError` for one without feeds, with too many, a pair twice or a bad address."""
    hint = 'write prices = "oracle" and feeds = "ETH/USD:0x... BTC/USD:0x..."'
    entries = text.split()
    found: dict[str, Address] = {}
    for place, entry in enumerate(entries, 1):
        name, _, feed = entry.rpartition(":")
        try:
            found[name] = parse_address(feed)
        except AddressError:
            raise SettingError("feeds", f"has no sound address at the end of entry {place}", hint) from None
    if not found or len(found) < len(entries) or len(found) > MOST_FEEDS or not all(found):
        raise SettingError("feeds", f"must name 1 to {MOST_FEEDS} pairs, each with its feed, and each once", hint)
    return found


def _feeds(text: str, at: Context) -> Steps[Board]:
    try:
        named = named_feeds(text)
    except SettingError as error:
        raise Unsupported(error.message, hint=error.hint) from None
    asks: list[Ask] = []
    for feed in named.values():
        asks += [CHAINLINK(feed, "decimals", optional=True, forever=True), CHAINLINK(feed, "latestRoundData", optional=True)]
    answers = yield asks
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return Feeds({name: _fed(feed, *pair, at) for (name, feed), pair in zip(named.items(), pairs, strict=True)})


def _fed(feed: Address, decimals: Any, latest: Any, at: Context) -> PairPrice | str:
    if isinstance(decimals, Failed) or isinstance(latest, Failed):
        return f"the feed {feed} does not answer"
    value = scaled(EXACT.scaleb(Decimal(latest.answer), -decimals)) if latest.answer > 0 and decimals <= 36 else 0
    if not 0 < value <= MOST_PRICE * 10**PLACES:
        return f"the feed {feed} answers {latest.answer} with {decimals} decimals"
    known = 0 < latest.updatedAt <= at.timestamp
    return PairPrice(feed, value, latest.updatedAt if known else None, at.heartbeat_of(feed) if known else None)
