"""The gate through which every request of ccxt leaves: a transport that knows what may be asked, of whom, and how much may come back.

What is not listed is stopped before a byte of it leaves, and so is everything once the gate is shut. No redirect is followed, no proxy or
cookie used. urllib3, which logs what it asks for and quotes it in errors, is told the path alone: the signed rest is put in by the
connection as it writes the request line.
"""

from __future__ import annotations

import io
import re
import socket
from contextlib import suppress
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from defi_risk.errors import Refused, TimedOut, TooLarge, Undecodable
from defi_risk.secrets import public_url
from defi_risk.sources import refusals
from defi_risk.sources.clock import Clock
from defi_risk.text import DEEPEST

LARGEST_ANSWER: Final = 64 * 1024 * 1024
_PIECE: Final = 65_536
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_PART: Final = r"(?!\.\.?(?:/|$))[A-Za-z0-9_.:@~-]+"


class Gate(HTTPAdapter):
    """Transport that lets only listed requests out, and reads a bounded answer whole before anybody parses it.

    `asked`: a request was sent; `status` is that of the last answer, 0 without one, `code` that of an error's body, `retry_after` the
    seconds that it asked to wait, `maintenance`: it says that it is.
    Once `shut`, nothing leaves and what is under way is cut off.
    """

    def __init__(self, label: str, clock: Clock) -> None:
        self.target = ""
        self._socket: socket.socket | None = None
        super().__init__(pool_connections=4, pool_maxsize=4, max_retries=0)
        self._label = label
        self._clock = clock
        self.allowed: tuple[re.Pattern[str], ...] | None = ()
        self.origins: frozenset[str] = frozenset()
        self.sent = 0
        self.shut = False
        self.forget()

    def forget(self) -> None:
        """Begin anew what is known of the last answer."""
        self.asked, self.maintenance = False, False
        self.status, self.code = 0, ""
        self.retry_after: float | None = None

    def close_for_good(self) -> None:
        """Let nothing more out, and cut the connection that a request may be waiting on."""
        self.shut = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def hold(self, connection: HTTPConnection) -> None:
        """Take the connection that a request goes by, to be able to cut it. Raises `TimedOut` once shut."""
        self._socket = cast("socket.socket | None", connection.sock)
        if self.shut:
            self.close_for_good()
            raise TimedOut(f"{self._label} was given up", source=self._label)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self)

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """The path alone, for everybody but the connection: what follows it is signed, and urllib3 logs and quotes what it is given."""
        self.target = str(super().request_url(request, proxies))
        return self.target.partition("?")[0]

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self._admit(request)
        self.sent += 1
        self.asked, self.status = True, 0
        with super().send(request, *args, **{**options, "stream": True}) as response:
            self.status = response.status_code
            body = io.BytesIO()
            for piece in response.iter_content(_PIECE):
                body.write(piece)
                if body.tell() > LARGEST_ANSWER:
                    raise TooLarge(f"{self._label} answered with more than {LARGEST_ANSWER} bytes", source=self._label)
        content = body.getvalue()
        self._look(response.status_code, content)
        self.code = refusals.code_of(content)
        self.retry_after = refusals.wait_of(response.headers, content, self._clock.wall())
        body.seek(0)
        whole = requests.Response()
        whole.status_code, whole.reason, whole.headers = response.status_code, response.reason, response.headers
        whole.url, whole.request, whole.raw = response.url, request, body
        return whole

    def _admit(self, request: requests.PreparedRequest) -> None:
        """Stop what is on no list, before a byte of it leaves."""
        if self.shut:
            raise TimedOut(f"{self._label} was given up", source=self._label)
        url = request.url or ""
        asked = f"{request.method} {urlsplit(url).path}"
        listed = request.method == "GET" if self.allowed is None else any(one.fullmatch(asked) for one in self.allowed)
        if not listed:
            raise Refused(f"a request to {self._label} that is not on the list of reads was stopped", source=self._label)
        if public_url(url) not in self.origins:
            raise Refused(f"a request of {self._label} to a host that is not its own was stopped", source=self._label)

    def _look(self, status: int, body: bytes) -> None:
        """Raise what ccxt would pass over: redirects and pages are no lists without entries to it. Errors it sorts by their status."""
        if 300 <= status < 400:
            raise Refused(f"{self._label} answered with a redirect, which is never followed", source=self._label)
        if status < 300 and body[:64].lstrip()[:1] not in (b"{", b"["):
            raise Undecodable(f"{self._label} gave an answer that is no JSON", source=self._label)
        if not _shallow(body):
            raise Undecodable(f"{self._label} gave JSON that is broken or nested too deep", source=self._label)


def _pools(gate: Gate) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Connection pools by scheme whose connections know what follows the path, and can be cut."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            gate.hold(self)

        def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
            if self.sock is not None:
                gate.hold(self)
            super().putrequest(method, gate.target, skip_host, skip_accept_encoding)

    class Tls(Plain, HTTPSConnection):
        """The same over TLS: what `super()` reaches above is urllib3's TLS connection."""

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = cast("Any", Plain)

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = cast("Any", Tls)

    return {"http": PlainPool, "https": TlsPool}


@cache
def pattern(request: str) -> re.Pattern[str]:
    """A listed request; `{}` stands for one part of the path, in plain letters."""
    return re.compile(_PART.join(map(re.escape, request.split("{}"))))


class _Session(requests.Session):
    def get_redirect_target(self, resp: object) -> None:
        """No answer is a redirect: the address in it, which anybody may have chosen, is not even parsed."""


def session(gate: HTTPAdapter, url: str | None) -> requests.Session:
    """A session without proxies, netrc, cookies or redirects, to the given address alone; without one to any, over TLS."""
    made = _Session()
    made.trust_env = False
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    made.adapters.clear()
    made.mount(url.rstrip("/") + "/" if url else "https://", gate)
    return made


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
