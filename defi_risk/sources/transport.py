"""One HTTP exchange with a node, bounded in time and size, with nothing secret outside.

web3's `HTTPProvider` is the transport, on a session of ours. The session knows a node by scheme, host and port alone: path, query and
credentials, which hold keys, are put in by the connection as it writes the request line. So no exception, log record or repr of
web3, requests or urllib3 can show them.
"""

from __future__ import annotations

import base64
import http.client
import logging
import socket
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, cast
from urllib.parse import quote, unquote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from defi_risk import __version__
from defi_risk.errors import BadAnswer, SourceError, TimedOut, TooLarge, Unreachable, UsageError
from defi_risk.secrets import Secret, public_url
from defi_risk.sources import jsonrpc
from defi_risk.sources.clock import Clock
from defi_risk.sources.faults import http_error

_AS_IS: Final = "/?%:@!$&'()*+,;=~-._"
_PIECE: Final = 65_536
_SILENT: Final = logging.Logger("defi_risk.silent", level=logging.CRITICAL + 1)  # in no hierarchy: web3 logs URLs at level DEBUG
_SMALL: Final = 4 * 1024 * 1024  # below this, honest answers (rows of zeros) compress better than any cap on the ratio allows
_FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError, zlib.error)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one exchange: wall seconds, bytes of the answer after decompression, and how much smaller it may have been before."""

    seconds: float = 12.0
    answer_bytes: int = 32 * 1024 * 1024
    ratio: int = 100


class Door:
    """Where a node is: `origin` (scheme, host, port) for everybody, the rest for the connection alone.

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

    def target(self) -> str:
        """Path and query of the request line. Secret."""
        parts = urlsplit(self._url.reveal().strip())
        path = quote(parts.path or "/", safe=_AS_IS)
        return path + "?" + quote(parts.query, safe=_AS_IS) if parts.query else path

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
    result: tuple[int, str, bytes] | BaseException | None = None

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
            super().putrequest(method, door.target(), skip_host, skip_accept_encoding)
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


class Provider(HTTPProvider):
    """web3's HTTP provider within our bounds: no retries, no off-chain lookups, no middleware, nothing logged, answers checked strictly.

    `left` tells how many seconds remain for everything. Both methods return well-formed JSON-RPC answers to exactly what was asked,
    in its order, or raise `SourceError`.
    """

    def __init__(self, door: Door, limits: Limits, left: Callable[[], float], clock: Clock) -> None:
        self._session = _session(door)
        super().__init__(door.origin, session=self._session, exception_retry_configuration=None)
        self.global_ccip_read_enabled = False
        self.logger = _SILENT
        self._origin = door.origin
        self._kept = False  # whether a connection may be idle
        self._limits = limits
        self._left = left
        self._clock = clock

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        number = next(self.request_counter)
        answer = self._exchange(jsonrpc.encode(number, method, params))
        return cast("RPCResponse", jsonrpc.only(answer, number, self._origin))

    def make_batch_request(self, batch_requests: Sequence[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Answers in the order of the requests; a single one, with an error, where the node refuses the batch as a whole."""
        numbered = [(next(self.request_counter), method, params) for method, params in batch_requests]
        body = b"[" + b",".join(jsonrpc.encode(number, method, params) for number, method, params in numbered) + b"]"
        answer = jsonrpc.several(self._exchange(body), [number for number, _, _ in numbered], self._origin)
        return cast("list[RPCResponse] | RPCResponse", answer)

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()

    def _exchange(self, body: bytes) -> object:
        """Post a body and return the parsed answer."""
        seconds = min(self._limits.seconds, self._left())
        if seconds <= 0:
            raise TimedOut(f"no time left to ask {self._origin}", source=self._origin)
        status, retry_after, answer = self._bounded(body, seconds)
        if 200 <= status < 300:
            return jsonrpc.parse(answer, self._origin)
        if status in (400, 422) or status >= 500:
            # several nodes send JSON-RPC errors this way
            parsed = jsonrpc.parse_or_none(answer)
            if jsonrpc.is_answer(parsed):
                return parsed
        raise http_error(status, retry_after, self._origin, self._clock.wall())

    def _bounded(self, body: bytes, seconds: float) -> tuple[int, str, bytes]:
        """Post in a thread that can be abandoned: name lookup, slow headers and slow bodies know no total timeout of their own."""
        exchange = _Exchange()
        threading.Thread(target=self._post, args=(exchange, body, seconds), daemon=True).start()
        if not exchange.done.wait(seconds):
            exchange.give_up()
            raise TimedOut(f"{self._origin} gave no full answer within {seconds:.3g} s", source=self._origin)
        match exchange.result:
            case (status, retry_after, answer):
                return status, retry_after, answer
            case SourceError() as error:
                raise error
            case requests.Timeout():
                raise TimedOut(f"{self._origin} gave no answer within {seconds:.3g} s", source=self._origin) from None
            case BaseException() as error if isinstance(error, _FAILURES):
                raise Unreachable(
                    f"{self._origin}: {_why(error)}", source=self._origin, hint="is the node running, and the URL right?"
                ) from None
            case BaseException() as error:
                raise error
            case _:
                raise Unreachable(f"{self._origin} gave no answer", source=self._origin)

    def _opened(self, body: bytes, seconds: float) -> requests.Response:
        """The answer's head. A node may close an idle connection at the moment it is used again: such a request is sent once more."""
        kept, self._kept = self._kept, True
        try:
            return self._session.post(self._origin, data=body, timeout=(seconds, seconds), stream=True, allow_redirects=False)
        except requests.ConnectionError as error:
            if not kept or not _unanswered(error):
                raise
        self._session.close()
        return self._session.post(self._origin, data=body, timeout=(seconds, seconds), stream=True, allow_redirects=False)

    def _post(self, exchange: _Exchange, body: bytes, seconds: float) -> None:
        _UNDER_WAY.exchange = exchange
        try:
            with self._opened(body, seconds) as response:
                answer = _read(response, self._limits, self._origin)
                exchange.result = (response.status_code, response.headers.get("Retry-After", ""), answer)
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


def _why(error: BaseException) -> str:
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
