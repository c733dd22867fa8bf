"""ccxt's object for one exchange on a line of ours: bounded in time and size, to known addresses alone, with errors of our own tree.

ccxt does its own HTTP on a session of ours, which follows no redirect, uses no proxy, keeps no cookie, caps what it reads and reaches no
host but the exchange's own or, where the book gives an address for it, that one. Every request passes a gate before it leaves: what is not
on the list of the read that is under way is stopped. ccxt's own error texts hold whole answers, addresses and signatures, so none of them
is passed on; urllib3, which logs what it asks for, is told the path alone.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final, cast
from urllib.parse import urlsplit

from defi_risk import __version__
from defi_risk.errors import (
    BadAnswer,
    RateLimited,
    Refused,
    SourceError,
    TimedOut,
    Undecodable,
    UnknownName,
    Unreachable,
    UsageError,
)
from defi_risk.secrets import is_loopback, public_url
from defi_risk.sources import refusals
from defi_risk.sources.clock import Crew, Deadline
from defi_risk.sources.gate import Gate, pattern, session
from defi_risk.sources.line import why
from defi_risk.sources.refusals import Refusal

_CODE: Final = re.compile(r"-?[0-9]{1,6}")
"""A code of an exchange's that may be shown though it is not on our list: too short to be a secret."""
PATIENCE: Final = 15.0
"""Seconds that one call may take."""
INSTALL: Final = "pip install 'defi-risk[exchanges]'"
FAR: Final = 1e9
_PAUSE: Final = 0.3
_LONG_PAUSE: Final = 1.0
_ORIGIN: Final = re.compile(r"^[a-z]+://[^/]*")
_SILENT: Final = logging.Logger("defi_risk.silent", level=logging.CRITICAL + 1)  # in no hierarchy: ccxt logs URLs at level DEBUG
_FIXED: Final = {"adjustForTimeDifference": False, "timeDifference": 0, "maxRetriesOnFailure": 0}  # clock and repetition are ours


class CcxtLine:
    """One exchange by its ccxt id, for one thread at a time. `label` names it in messages; `url` replaces scheme, host and port of all its
    addresses.

    `settings` are handed to ccxt's constructor; `exact`: numbers of answers stay the text that they are written with; `reads` are all
    requests that there will ever be, as "GET /path/{}", which bounds the hosts. `calls` counts the requests sent. Raises `UsageError` where
    ccxt is not installed or does not know the exchange, and for an address that is more than scheme, host and port.
    """

    def __init__(
        self,
        name: str,
        deadline: Deadline,
        url: str | None,
        settings: Mapping[str, object],
        label: str = "",
        *,
        exact: bool = False,
        reads: Sequence[str] | None = None,
    ) -> None:
        self.label: Final = label or name
        self._ccxt: Final = library()
        self._deadline: Final = deadline
        self._gate: Final = Gate(self.label, deadline.clock)
        self._session: Final = session(self._gate, url)
        self._exact: Final = exact
        self._url: Final = url
        self._given_up: TimedOut | None = None
        own = {"session": self._session, "logger": _SILENT, "enableRateLimit": True, "userAgent": f"defi-risk/{__version__}"}
        self.exchange: Final[Any] = built(name, {**settings, **own}, url, exact=exact)
        self._family: Final = tuple(kind.__name__ for kind in type(self.exchange).__mro__)
        self._gate.origins = frozenset(origins(self.exchange, reads))
        self.exchange.options.update(_FIXED)
        self._last = -FAR
        self._unhurried: Final = url is None or not is_loopback(url)
        self.exchange.throttle = self._throttle

    def close(self) -> None:
        """Let no further request out, and close idle connections."""
        self._gate.close_for_good()
        self._session.close()

    @property
    def calls(self) -> int:
        return self._gate.sent

    def call(self, function: Callable[[], Any], allowed: Sequence[str] | None = None) -> Any:
        """The function's result. It is called once more where there was no answer, or one that the exchange is out of order, and where it
        asked to wait and there is time to. `allowed`: the requests that may leave meanwhile, as "GET /path/{}"; None: any GET.
        """
        self._gate.allowed = None if allowed is None else tuple(pattern(request) for request in allowed)
        try:
            return self._once(function)
        except Unreachable:
            if self._gate.maintenance:
                raise
            pause = _PAUSE
        except RateLimited:
            pause = _LONG_PAUSE if self._gate.retry_after is None else self._gate.retry_after
            if pause >= self._deadline.left() / 2 or self._gate.status == 418:
                raise
        self._deadline.clock.sleep(min(pause, self._deadline.left()))
        return self._once(function)

    def _once(self, function: Callable[[], Any]) -> Any:
        """The result, within the time there is: in a thread that can be abandoned, as ccxt bounds each wait for a byte, not the whole."""
        seconds = min(PATIENCE, self._deadline.left())
        if self._gate.shut:  # whatever is asked after that: the reason is the one that it was given up for
            raise self._given_up or TimedOut(f"{self.label} was given up", source=self.label)
        if seconds <= 0:
            raise self._deadline.missed(self.label)
        self.exchange.timeout = seconds * 1_000
        self._gate.forget()
        with Crew([function], most=1) as crew:
            end = crew.take_within(seconds)
        if end is None:
            self._gate.close_for_good()  # the session is still in that thread's hands: whatever it does next must not leave
            late = f"{self.label} gave no full answer within {seconds:.3g} s"
            if seconds < PATIENCE:  # the exchange may be well: the time of the scan ended first
                late += f", all that was left of {self._deadline.seconds:g} s"
            self._given_up = TimedOut(late, source=self.label, hint="allow more time" if seconds < PATIENCE else "")
            raise self._given_up
        result = end[1]
        if isinstance(result, Exception):
            raise self._fault(result) from None
        if isinstance(result, BaseException):
            raise result
        if self._exact and isinstance(result, str | bytes):  # what ccxt could not parse it hands on as text
            raise Undecodable(f"{self.label} gave an answer that is no JSON", source=self.label)
        return result

    def _throttle(self, cost: float | None = None) -> None:
        """ccxt's pause between requests, by a clock that never runs back (ccxt's own sleeps where the exchange's clock is behind); none
        for what is on this machine.
        """
        clock = self._deadline.clock
        pause = self.exchange.rateLimit * (1 if cost is None else cost) / 1_000 - (clock.now() - self._last)
        if pause > 0 and self._unhurried:
            clock.sleep(pause)
        self._last = clock.now()

    def _fault(self, error: Exception) -> SourceError:
        """What ccxt raised, as an error of ours. Of an answer that is not what it should be ccxt may raise anything."""
        if isinstance(error, SourceError):
            return error
        ccxt, name, status, code = self._ccxt, self.label, self._gate.status, self._gate.code
        if not self._gate.asked:
            return BadAnswer(f"{name} was not asked: ccxt could not put the question ({type(error).__name__})", source=name)
        kind = refusals.by_code(self._family, code)
        said = f"HTTP {status}" if status >= 300 else "no answer" if not status else ""
        said = ", ".join(filter(None, (said, f"code {code}" if kind else "")))
        if kind is None and isinstance(error, ccxt.RequestTimeout):
            return TimedOut(f"{name} gave no answer in time", source=name)
        kind = kind or _by_status(status, code) or refusals.by_class(ccxt, error)
        if status == 403 and not code and kind is Refusal.RATE:
            kind = None  # a bare 403 is a rate limit to ccxt, and as often a country that is not served
        if kind is not None:
            return self._refusal(kind, f" ({said})" if said else "")
        if status == 0:
            hint = "is the network up?" if self._url is None else "is it running, and the url in the book right?"
            return Unreachable(f"no connection to {name}: {why(error)}", source=name, hint=hint)
        if status == 403:
            hint = "it may not serve this address or region, or was asked too often"
            return Refused(f"{name} refuses to answer ({said})", source=name, hint=hint)
        if status == 401:
            return self._refusal(Refusal.KEY, f" ({said})")
        if status >= 500:
            return Unreachable(f"{name} is out of order ({said})", source=name, hint="try again later")
        if isinstance(error, ccxt.NetworkError):
            how = said or f"HTTP {status}"
            return Unreachable(f"{name} broke off its answer, or is out of order ({how})", source=name, hint="try again later")
        unlisted = f"code {code}" if _CODE.fullmatch(code) else ""
        how = ", ".join(filter(None, (said or f"HTTP {status}", type(error).__name__, unlisted)))
        return BadAnswer(f"{name} gave an answer that cannot be used ({how})", source=name)

    def _refusal(self, kind: Refusal, said: str) -> SourceError:
        keyed = bool(self.exchange.apiKey or self.exchange.privateKey)
        if kind is Refusal.RATE and self._gate.status == 418:
            kind = Refusal.BANNED
        self._gate.maintenance = kind is Refusal.MAINTENANCE
        return refusals.error_of(kind, self.label, said, self._gate.retry_after, keyed=keyed)


def _by_status(status: int, code: str) -> Refusal | None:
    """What an HTTP status means by itself."""
    if status in (418, 429):
        return Refusal.RATE
    return Refusal.REGION if status == 451 else None


def built(name: str, settings: Mapping[str, object], url: str | None, *, exact: bool = False) -> Any:
    """ccxt's object for an exchange, at another address where one is given. Raises `UsageError`."""
    ccxt = library()
    if name not in ccxt.exchanges:
        raise UnknownName("exchange", name, tuple(ccxt.exchanges))
    exchange = (_exact(name) if exact else getattr(ccxt, name))(settings)
    if url is not None:
        if public_url(url) != url.rstrip("/").lower() or not url.startswith(("http://", "https://")):
            raise UsageError(f"the url of exchange {name} must be scheme, host and port alone", hint="such as http://127.0.0.1:8080")
        exchange.urls["api"] = _moved(exchange.urls["api"], url.rstrip("/"))
    return exchange


def origins(exchange: Any, reads: Sequence[str] | None) -> list[str]:
    """Scheme, host and port of the addresses by which ccxt reaches an exchange; where requests are listed, of those that these go to."""
    known = [exchange.implode_hostname(address) for address in _addresses(exchange.urls["api"])]
    if reads is None:
        return sorted({public_url(address) for address in known})
    return sorted({origin for request in reads for origin in _serving(request.partition(" ")[2], known)})


def _addresses(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for branch in cast("Mapping[str, object]", tree).values():
            yield from _addresses(branch)


def _serving(path: str, addresses: Iterable[str]) -> set[str]:
    """The origins of the addresses that are the longest beginning of a path; all where none is one."""
    lengths = {address: len(prefix) for address in addresses if f"{path}/".startswith(f"{(prefix := urlsplit(address).path.rstrip('/'))}/")}
    longest = max(lengths.values(), default=0)
    return {public_url(address) for address in addresses if lengths.get(address, -1 if lengths else 0) == longest}


@cache
def _exact(name: str) -> Any:
    """ccxt's class for an exchange, reading numbers as the text that they are written with."""
    base: Any = getattr(library(), name)
    # where ccxt's own setting leaves numbers unquoted, its parsers compare whole numbers as numbers
    whole: Any = int if base().describe().get("quoteJsonNumbers") is False else str

    class Exact(base):  # type: ignore[misc]  # ccxt has no types for this
        number = str

        def on_json_response(self, response_body: str) -> Any:
            return json.loads(response_body, parse_float=str, parse_int=whole, parse_constant=str)

    Exact.__name__ = name
    return Exact


def library() -> Any:
    """The module ccxt. Raises `UsageError` where it is not installed."""
    try:
        return import_module("ccxt")
    except ImportError:
        raise UsageError("exchanges need an extra", hint=INSTALL) from None


def _moved(address: object, url: str) -> object:
    """Addresses of ccxt with another scheme, host and port, however deep they stand."""
    if isinstance(address, str):
        return _ORIGIN.sub(lambda _: url, address)
    if isinstance(address, Mapping):
        return {key: _moved(value, url) for key, value in cast("Mapping[str, object]", address).items()}
    return address
