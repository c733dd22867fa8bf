"""One HTTP exchange with a server, bounded in time and size, with nothing secret outside.

A session of requests knows a server by scheme, host and port alone: path, query and credentials of its URL, which hold keys, are put in
by the connection as it writes the request line. So no exception, log record or repr of web3, requests or urllib3 can show them.
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote, unquote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from defi_risk import __version__
from defi_risk.errors import BadAnswer, SourceError, TimedOut, TooLarge, Unreachable, UsageError
from defi_risk.secrets import Secret, public_url

_AS_IS: Final = "/?%:@!$&'()*+,;=~-._"
_PIECE: Final = 65_536
_SMALL: Final = 4 * 1024 * 1024  # below this, honest answers (rows of zeros) compress better than any cap on the ratio allows
_FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError, zlib.error)


class Reply(NamedTuple):
    """What came back: the HTTP status, the `Retry-After` header and the body, decompressed."""

    status: int
    retry_after: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one exchange: wall seconds, bytes of the answer after decompression, and how much smaller it may have been before."""

    seconds: float = 12.0
    answer_bytes: int = 32 * 1024 * 1024
    ratio: int = 100


class Door:
    """Where a server is: `origin` (scheme, host, port) for everybody, the rest for the connection alone.

    Raises `UsageError` for a URL that is not http(s), or that cannot be one.
    """

    __slots__ = ("_url", "origin")

    def __init__(self, url: Secret) -> None:
        self._url = url
        self.origin = public_url(url.reveal().strip())
        scheme = self.origin.partition("://")[0]
        if scheme not in ("http", "https"):
            shown = f"{self.origin!r} is not an http(s) URL" if "://" in self.origin else "a node's address is not a URL"
            raise UsageError(shown, hint="write it as https://host/path, or http://127.0.0.1:8545 for a node of your own")

    def __repr__(self) -> str:
        return f"Door({self.origin})"

    def target(self, beyond: str = "/") -> str:
        """Path and query of the request line, with a path and query below it. Secret."""
        parts = urlsplit(self._url.reveal().strip())
        further, _, asked = beyond.partition("?")
        path = parts.path.rstrip("/") + further if further != "/" else parts.path or "/"
        query = "&".join(part for part in (parts.query, asked) if part)
        return quote(path, safe=_AS_IS) + ("?" + quote(query, safe=_AS_IS) if query else "")

    def authorization(self) -> str:
        """Value of the `Authorization` header for a URL with user and password, else empty. Secret."""
        parts = urlsplit(self._url.reveal().strip())
        if parts.username is None:
            return ""
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


@dataclass(slots=True)
class _Exchange:
    """One exchange under way in its own thread. Whoever waits for it may give up and cut its connection."""

    done: threading.Event = field(default_factory=threading.Event)
    given_up: bool = False
    socket: socket.socket | None = None
    result: Reply | BaseException | None = None

    def hold(self, connection: HTTPConnection) -> None:
        sock = cast("socket.socket | None", connection.sock)
        self.socket = sock
        if self.given_up:
            self.give_up()

    def give_up(self) -> None:
        self.given_up = True
        if self.socket is not None:
            with suppress(OSError):  # closed already
                self.socket.shutdown(socket.SHUT_RDWR)


_UNDER_WAY = threading.local()


def _held(connection: HTTPConnection) -> None:
    exchange = getattr(_UNDER_WAY, "exchange", None)
    if isinstance(exchange, _Exchange):
        exchange.hold(connection)


def _connections(door: Door) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Connection pools by scheme whose connections know the way behind the door."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _held(self)

        def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
            if self.sock is not None:
                _held(self)
            super().putrequest(method, door.target(url), skip_host, skip_accept_encoding)
            if pair := door.authorization():
                self.putheader("Authorization", pair)

    class Tls(Plain, HTTPSConnection):
        """The same over TLS: what `super()` reaches above is urllib3's TLS connection."""

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = cast("Any", Plain)

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = cast("Any", Tls)

    return {"http": PlainPool, "https": TlsPool}


class _Adapter(HTTPAdapter):
    def __init__(self, door: Door) -> None:
        self._door = door
        super().__init__(pool_connections=1, pool_maxsize=8, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _connections(self._door)


class _Session(requests.Session):
    def get_redirect_target(self, resp: object) -> None:
        """No answer is a redirect: the address in it, which anybody may have chosen, is not even parsed."""


def _session(door: Door) -> requests.Session:
    """A session without proxies, netrc, cookies, retries or redirects of its own."""
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    session.mount(door.origin.partition("://")[0] + "://", _Adapter(door))
    session.headers.clear()
    session.headers.update(
        {
            "Content-Type": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"defi-risk/{__version__}",
            "Accept": "application/json",
        }
    )
    return session


class Line:
    """Bounded HTTP exchanges with the server behind a door, from any number of threads: no retries, no redirects, nothing logged but
    the origin and what follows it in `path`.
    """

    def __init__(self, door: Door, limits: Limits) -> None:
        self.session: Final = _session(door)
        self._origin = door.origin
        self._limits = limits
        self._kept = False  # whether a connection may be idle

    def exchange(self, body: bytes, left: float, path: str = "/") -> Reply:
        """Post a body; without one get `path`, which begins with a slash. `left` are the seconds that remain for everything.

        Raises `SourceError`. An answer of any status is an answer.
        """
        seconds = min(self._limits.seconds, left)
        if seconds <= 0:
            raise TimedOut(f"no time left to ask {self._origin}", source=self._origin)
        return self._bounded(partial(self._send, body, path, (seconds, seconds)), seconds)

    def close(self) -> None:
        """Close idle connections."""
        self.session.close()

    def _bounded(self, send: Callable[[], requests.Response], seconds: float) -> Reply:
        """Send in a thread that can be abandoned: name lookup, slow headers and slow bodies know no total timeout of their own."""
        exchange = _Exchange()
        threading.Thread(target=self._take, args=(exchange, send), daemon=True).start()
        if not exchange.done.wait(seconds):
            exchange.give_up()
            raise TimedOut(f"{self._origin} gave no full answer within {seconds:.3g} s", source=self._origin)
        match exchange.result:
            case Reply() as reply:
                return reply
            case SourceError() as error:
                raise error
            case requests.Timeout():
                raise TimedOut(f"{self._origin} gave no answer within {seconds:.3g} s", source=self._origin) from None
            case BaseException() as error if isinstance(error, _FAILURES):
                raise Unreachable(f"{self._origin}: {why(error)}", source=self._origin, hint="is it running, and the URL right?") from None
            case BaseException() as error:
                raise error
            case _:
                raise Unreachable(f"{self._origin} gave no answer", source=self._origin)

    def _send(self, body: bytes, path: str, timeout: tuple[float, float]) -> requests.Response:
        method, given = ("POST", body) if body else ("GET", None)
        url = self._origin + (path if path != "/" else "")
        return self.session.request(method, url, data=given, timeout=timeout, stream=True, allow_redirects=False)

    def _opened(self, send: Callable[[], requests.Response]) -> requests.Response:
        """The answer's head. A server may close an idle connection as it is used again: such a request is sent once more."""
        kept = self._kept
        try:
            return send()
        except requests.ConnectionError as error:
            self._kept = False
            if not kept or not _unanswered(error):
                raise
        self.session.close()
        return send()

    def _take(self, exchange: _Exchange, send: Callable[[], requests.Response]) -> None:
        _UNDER_WAY.exchange = exchange
        try:
            with self._opened(send) as response:
                answer = _read(response, self._limits, self._origin)
                exchange.result = Reply(response.status_code, response.headers.get("Retry-After", ""), answer)
            self._kept = True
        except BaseException as error:  # noqa: BLE001  # carried to the thread that waits, which sorts it
            exchange.result = error
        finally:
            _UNDER_WAY.exchange = None
            exchange.done.set()


def _unanswered(error: BaseException) -> bool:
    """Whether a connection broke before the first byte of an answer."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, ConnectionResetError | BrokenPipeError | http.client.RemoteDisconnected):
            return True
        if seen is None:
            break
        seen = seen.__context__
    return False


def _read(response: requests.Response, limits: Limits, origin: str) -> bytes:
    """The body, decompressed here so that a small bomb cannot become a large one before it is measured."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise BadAnswer(f"{origin} answered in an encoding that was not asked for", source=origin)
    inflate = None if encoding in ("", "identity") else zlib.decompressobj(47)
    parts: list[bytes] = []
    received = size = 0
    while piece := response.raw.read(_PIECE, decode_content=False):
        received += len(piece)
        while piece:
            part = piece if inflate is None else inflate.decompress(piece, 16 * _PIECE)
            piece = b"" if inflate is None else inflate.unconsumed_tail
            size += len(part)
            if size > limits.answer_bytes:
                raise TooLarge(f"{origin} answered with more than {limits.answer_bytes} bytes", source=origin)
            if size > _SMALL and size > received * limits.ratio:
                raise TooLarge(f"{origin} answered with data compressed more than {limits.ratio} times", source=origin)
            parts.append(part)
    if inflate is not None and not inflate.eof:
        raise Unreachable(f"{origin} broke off its answer", source=origin)
    return b"".join(parts)


def why(error: BaseException) -> str:
    """A reason in our own words: a library's own text may quote what it should not."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        if isinstance(seen, socket.gaierror | urllib3.exceptions.NameResolutionError):
            return "host name not found"
        if isinstance(seen, ConnectionRefusedError):
            return "connection refused"
        if isinstance(seen, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
            return "no trusted TLS connection"
        if isinstance(seen, ConnectionResetError | BrokenPipeError | http.client.RemoteDisconnected | http.client.IncompleteRead):
            return "connection broke off"
        if isinstance(seen, http.client.HTTPException | zlib.error):
            return "not an HTTP answer"
        inner = next((arg for arg in (*seen.args, getattr(seen, "reason", None)) if isinstance(arg, BaseException)), None)
        seen = inner or seen.__cause__ or seen.__context__
    return "connection failed"
