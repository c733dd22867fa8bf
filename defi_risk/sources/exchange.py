"""One exchange account as a source of answers: named reads alone, by the exchange's own clock, lists and brackets kept in the cache.

A reader says what it may read (`spi.ExchangeRead`); nothing else can be asked, the line lets no other request out, and none that is not a
GET can be listed. The clock of the exchange is measured once an hour, and again where it refuses the time of a request. An exchange that
asked to wait is left alone until then, by all accounts of this scan and of the next ones. Keys stay in ccxt's object and in no key, value
or file of the cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any, Final, cast

from defi_risk.book import ExchangeSettings
from defi_risk.errors import BadAnswer, PluginError, RateLimited, Refused, SourceError, Undecodable, WrongClock
from defi_risk.secrets import is_loopback
from defi_risk.sources.ccxt_line import CcxtLine, built, origins
from defi_risk.spi import ExchangeCall, ExchangeRead, ExchangeReader, Failed
from defi_risk.text import shown

if TYPE_CHECKING:
    from defi_risk.sources.cache import Cache
    from defi_risk.sources.clock import Deadline

TIME: Final = "time"
"""The read that gives the exchange's clock, in milliseconds, where it has one."""
MARKETS: Final = "markets"
"""The read of ccxt's markets, which its unified reads need; kept like any other."""
CLOCK_KEPT: Final = 3_600
REFUSAL_KEPT: Final = 600
SIMULATOR_KEPT: Final = 60
"""Seconds for which the tables of an exchange on this machine are kept: another one may answer at its address at any time."""
LONGEST_BAN: Final = 86_400.0
LONGEST_KEPT: Final = 16 * 1024 * 1024
FARTHEST: Final = 366 * 86_400_000
"""Milliseconds that an exchange's clock may be off ours before its answer is taken for none."""
_VERSION: Final = 1


class Exchange:
    """An account of a book, in a `with` block or until `close`. Raises `UsageError` as `CcxtLine` does, `PluginError` for a reader whose
    list holds more than GETs.

    `calls` counts the requests sent, `notes` are harmless findings.
    """

    def __init__(self, settings: ExchangeSettings, reader: ExchangeReader, deadline: Deadline, cache: Cache | None = None) -> None:
        keys = {field: secret.reveal() for field, secret in settings.credentials.items()}
        wallet = {"walletAddress": settings.wallet} if settings.wallet else {}
        options = {"options": dict(settings.options)} if settings.options else {}
        self._reads: Final[Mapping[str, ExchangeRead]] = reader.reads
        self._line: Final = CcxtLine(
            settings.id, deadline, settings.url, {**keys, **wallet, **options}, reader.venue, exact=True, reads=requests_of(reader)
        )
        self._deadline: Final = deadline
        self._cache: Final = cache
        self._place: Final = f"exchange/{_VERSION}/{settings.id}/{_digest(settings.url or '', json.dumps(settings.options, default=str))}"
        self._wait: Final = f"exchange/{_VERSION}/{settings.id}/{_digest(settings.url or '')}/wait"
        self._own: Final = _digest(*(f"{field}={value}" for field, value in sorted({**keys, **wallet}.items())))
        self._secrets: Final = tuple(settings.credentials.values())
        self._simulated: Final = settings.url is not None and is_loopback(settings.url)
        self._offset = 0
        self._listed = False
        self._fresh: Final[dict[str, tuple[Any, float]]] = {}
        self.name: Final = reader.venue
        self.notes: list[str] = []
        clock: Any = self._line.exchange  # its own methods would go by this machine's clock
        clock.milliseconds = self.milliseconds
        clock.seconds = lambda: self.milliseconds() // 1_000
        clock.microseconds = lambda: self.milliseconds() * 1_000

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections."""
        self._line.close()

    @property
    def calls(self) -> int:
        return self._line.calls

    @property
    def offset(self) -> int:
        """Milliseconds that the exchange's clock is ahead of this machine's, as far as it was measured."""
        return self._offset

    def milliseconds(self) -> int:
        """The time by the exchange's clock."""
        return int(self._deadline.clock.wall() * 1_000) + self._offset

    def open(self) -> None:
        """Take the exchange's clock; this machine's has to do where it gives none, and is put right if it refuses the time of a request.

        Raises `SourceError` where it does not answer at all, or asked to be left alone until later.
        """
        stored = self._get(self._key(TIME))
        if isinstance(stored, int) and not isinstance(stored, bool) and abs(stored) <= FARTHEST:
            self._offset = stored
        elif TIME in self._reads:
            try:
                self.measure()
            except (BadAnswer, Refused) as fault:
                self.notes.append(f"the exchange's clock could not be read, and this machine's is taken for it: {fault.message}")

    def measure(self) -> int:
        """Ask the exchange for its time, and go by it from now on. Milliseconds that it is ahead of this machine's clock."""
        read = self._reads[TIME]
        before = self._deadline.clock.wall()
        told = self._send(read, {})
        middle = (before + self._deadline.clock.wall()) / 2
        if isinstance(told, bool) or not isinstance(told, int | str) or not str(told).isascii() or not str(told).isdigit():
            raise Undecodable(f"{self.name} gave a time that is none", source=self.name)
        offset = int(told) - int(middle * 1_000) if len(str(told)) < 20 else FARTHEST + 1
        if abs(offset) > FARTHEST:
            raise Undecodable(f"{self.name} gave a time that cannot be", source=self.name)
        self._offset = offset
        self._put(self._key(TIME), self._offset, CLOCK_KEPT)
        return self._offset

    def answer(self, asks: Sequence[ExchangeCall]) -> list[Any]:
        """One answer an ask, asked in order: a value, `Failed` for an optional read that failed, or the error of one that had to work."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: ExchangeCall) -> Any:
        if ask.read not in self._reads:
            return PluginError(f"{shown(ask.read)!r} is not on the list of reads of {self.name}")
        try:
            return self._kept(ask)
        except SourceError as error:
            return Failed(str(error)) if ask.optional and not isinstance(error, RateLimited) else error

    def _kept(self, ask: ExchangeCall) -> Any:
        """The answer, from the cache where the read is kept. A refusal of an optional one is kept, too, for ten minutes at most: that of a
        wallet that was never opened.
        """
        read, params = self._reads[ask.read], dict(ask.params)
        key = self._key(ask.read, *(f"{name}={value}" for name, value in ask.params), private=read.private)
        refused = f"{key}/refused"
        if read.kept and (stored := self._known(key)) is not None:
            return stored
        if read.kept and ask.optional and isinstance(reason := self._known(refused), str):
            return Failed(reason)
        if not read.method[0].isupper() and read.method.startswith("fetch_"):
            self._list()
        try:
            found = self._patient(read, params)
        except (BadAnswer, Refused) as error:
            if read.kept and ask.optional and not isinstance(error, WrongClock):
                self._fresh[refused] = str(error), min(read.kept, REFUSAL_KEPT)
            raise
        if read.kept:
            self._fresh[key] = found, read.kept
        return found

    def _known(self, key: str) -> Any:
        """What was kept under a key, in this reading or before."""
        return self._fresh[key][0] if key in self._fresh else self._get(key)

    def keep(self) -> None:
        """Keep the tables that were read, now that what rests on them is known to be sound: a damaged one is asked for again next time."""
        for key, (value, seconds) in self._fresh.items():
            self._put(key, value, min(seconds, SIMULATOR_KEPT) if self._simulated else seconds)
        self._fresh.clear()

    def _list(self) -> None:
        """Give ccxt the markets that its unified methods need, once."""
        if self._listed or MARKETS not in self._reads:
            return
        markets = self._kept(ExchangeCall(MARKETS))
        if not isinstance(markets, dict) or not markets:
            raise Undecodable(f"{self.name} gave no list of markets", source=self.name)
        if not self._line.exchange.markets:
            self._line.exchange.set_markets(list(cast("dict[str, Any]", markets).values()))
        self._listed = True

    def _patient(self, read: ExchangeRead, params: Mapping[str, str]) -> Any:
        """The answer of one read; where the exchange refuses the time of the request, its clock is taken anew and it is asked once more."""
        try:
            return self._send(read, params)
        except WrongClock:
            if TIME not in self._reads:
                raise
            self.measure()
            return self._send(read, params)

    def _send(self, read: ExchangeRead, params: Mapping[str, str]) -> Any:
        self._respect()
        method: Any = getattr(self._line.exchange, read.method, None)
        if method is None:
            raise PluginError(f"this version of ccxt has no {read.method}", hint="pip install -U ccxt")
        given = dict(params)
        if missing := [name for name in read.takes if name not in given]:
            raise PluginError(f"a read of {self.name} lacks {' and '.join(missing)}")
        ordered = [given.pop(name) for name in read.takes]
        unified = read.method.startswith(("fetch_", "load_"))
        bound = partial(method, *ordered, params=given) if unified else partial(method, given)
        try:
            return self._line.call(bound, read.requests)
        except RateLimited as limited:
            if limited.retry_after:
                pause = min(limited.retry_after, LONGEST_BAN)
                self._put(self._wait, self._deadline.clock.wall() + pause, pause)
            raise

    def _respect(self) -> None:
        """Raise `RateLimited` while the exchange wants to be left alone."""
        until = self._get(self._wait)
        left = until - self._deadline.clock.wall() if isinstance(until, float | int) else 0.0
        if 0 < left <= LONGEST_BAN:
            said = f"{self.name} asked to be left alone for another {ceil(left)} s"
            raise RateLimited(said, source=self.name, hint="scan again then", retry_after=left)

    def remembered(self, name: str) -> Any:
        """What was kept under a name for this key; None where nothing is."""
        return self._get(self._key(name, private=True))

    def remember(self, name: str, value: Any, seconds: int) -> None:
        """Keep a JSON value for this key."""
        self._put(self._key(name, private=True), value, seconds)

    def _key(self, *parts: str, private: bool = False) -> str:
        return "/".join((self._place, self._own if private else "all", *parts))

    def _get(self, key: str) -> Any:
        stored = self._cache.get(key) if self._cache else None
        try:
            return None if stored is None else json.loads(stored)
        except (ValueError, RecursionError):
            return None

    def _put(self, key: str, value: Any, seconds: float) -> None:
        if self._cache is None:
            return
        try:
            text = json.dumps(value).encode()
        except (TypeError, ValueError, RecursionError):
            return
        if len(text) <= LONGEST_KEPT and not any(secret.reveal().encode() in text for secret in self._secrets):  # some repeat the key
            self._cache.put({key: text}, seconds)


def requests_of(reader: ExchangeReader) -> tuple[str, ...]:
    """Every request that a reader may send, as "GET /path". Raises `PluginError` for one that is no GET: none that reads is another."""
    found = dict.fromkeys(request for read in reader.reads.values() for request in read.requests)
    if wrong := [request for request in found if not request.startswith("GET /")]:
        raise PluginError(f"the reader of {reader.venue} lists a request that is no GET: {shown(wrong[0])}", hint="readers only read")
    return tuple(found)


def hosts(settings: ExchangeSettings, reader: ExchangeReader) -> list[str]:
    """Scheme, host and port of all that reading an account may reach; nothing else is. Raises `UsageError`, `PluginError`."""
    return origins(built(settings.id, {}, settings.url), requests_of(reader))


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:32]
