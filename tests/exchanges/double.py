"""A scripted exchange on loopback: real paths, checked signatures, state for the account's modes, and faults on demand.

A double of one exchange is a subclass of `Double` that answers as that exchange does. It refuses a wrong key, a wrong signature and a wrong
time as the real one would, so that a request which it answers is one that the exchange would answer. `log` keeps every request.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

HOST: Final = "127.0.0.1"
WINDOW: Final = 5.0
"""Seconds that a signed request may be old, or early."""


HEARD: Final[dict[str, set[str]]] = {}
"""Every request line that any double was sent, by its id: see `tests/exchanges/conftest.py`."""


class Request(NamedTuple):
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    raw_query: str
    headers: dict[str, str]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class Reply(NamedTuple):
    """What is sent back: a JSON value, or bytes as they are."""

    status: int
    content: Any
    headers: Mapping[str, str] = {}


@dataclass
class Fault:
    """How requests whose line holds `where` go wrong, from the `after`-th on, `times` times.

    `kind` is one of `BROKEN` (what any server can do), or a kind that `Double.error` knows; `change` alters the right answer instead.
    """

    kind: str = ""
    where: str = ""
    after: int = 0
    times: int = 10**9
    change: Callable[[Any], Any] | None = None

    def strikes(self, request: Request) -> bool:
        if self.where not in request.line:
            return False
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return False
        self.times -= 1
        return True


BROKEN: Final[dict[str, Reply]] = {
    "html": Reply(200, b"<html><body>maintenance</body></html>"),
    "gateway": Reply(502, b"<html><body>Bad Gateway</body></html>"),
    "500": Reply(500, b"{}"),
    "nothing": Reply(200, b""),
    "empty list": Reply(200, []),
    "empty object": Reply(200, {}),
    "deep": Reply(200, b"[" * 100_000 + b"]" * 100_000),
    "429": Reply(429, {"code": -1003, "msg": "Way too many requests"}, {"Retry-After": "120"}),
    "418": Reply(418, {"code": -1003, "msg": "banned"}, {"Retry-After": "3600"}),
    "redirect": Reply(302, [], {"Location": "http://127.0.0.1:1/elsewhere"}),
}


@dataclass
class Double:
    """One exchange with one account. `skew` is how many seconds its clock is ahead of this machine's."""

    id: ClassVar[str] = ""
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "dummy-key-4711", "secret": "dummy-secret-4711"}
    skew: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def now(self) -> int:
        """Milliseconds by the exchange's clock."""
        return int((time.time() + self.skew) * 1_000)

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        """Right answers by "GET /path": a JSON value, or a `Reply`."""
        raise NotImplementedError

    def refuses(self, request: Request) -> Reply | None:
        """The exchange's own refusal of a private request whose key, signature or time is wrong; None for one that is right or public."""
        raise NotImplementedError

    def error(self, kind: str) -> Reply:
        """The exchange's own way to say "bad key", "permission", "address", "time", "maintenance", "rate", "symbol"."""
        raise NotImplementedError

    def unknown(self, request: Request) -> Reply:
        """What it says to a path that it does not have."""
        return Reply(404, {"code": -1, "msg": f"no {request.line}"})

    def find(self, request: Request) -> Callable[[Request], Any] | None:
        """The route of a request; override it for paths that hold names."""
        return self.routes().get(request.line)

    def reply(self, request: Request) -> Reply:
        """The whole answer, as it would be without faults of the server."""
        if (refusal := self.refuses(request)) is not None:
            return refusal
        handler = self.find(request)
        if handler is None:
            return self.unknown(request)
        answer = handler(request)
        return answer if isinstance(answer, Reply) else Reply(200, answer)

    def book(self, url: str, name: str = "", more: str = "") -> str:
        """The `[[exchanges]]` table of this account at an address."""
        lines = [f'{key} = "{value}"' for key, value in self.credentials.items()]
        return "\n".join(
            ["[[exchanges]]", f'id = "{self.id}"', f'name = "{name or self.id + "-main"}"', f'url = "{url}"', *lines, more, ""]
        )


@contextmanager
def serving(double: Double) -> Generator[str]:
    """The address of the exchange, until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # an answer goes out in two writes: without it the second waits 40 ms for the first's receipt

        def _tell(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = Request(self.command, parts.path, query, parts.query, headers, body)
            double.log.append(request)
            HEARD.setdefault(double.id, set()).add(request.line)
            with suppress(OSError):
                self._answer(request)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _tell

        def _answer(self, request: Request) -> None:
            fault = next((fault for fault in double.faults if fault.strikes(request)), None)
            if fault is None:
                self._send(double.reply(request))
            elif fault.change is not None:
                right = double.reply(request)
                self._send(Reply(right.status, fault.change(json.loads(json.dumps(right.content))), right.headers))
            elif fault.kind == "silence":
                double.stopping.wait(30)
            elif fault.kind == "cut":
                self._head(200, {"Content-Length": "1000"})
                self.wfile.write(b"[{")
                self.close_connection = True
            elif fault.kind == "drip":
                self._head(200, {"Content-Length": "100000"})
                while not double.stopping.wait(0.05):
                    self.wfile.write(b" ")
            else:
                self._send(BROKEN.get(fault.kind) or double.error(fault.kind))

        def _send(self, reply: Reply) -> None:
            content = reply.content if isinstance(reply.content, bytes) else json.dumps(reply.content).encode()
            self._head(reply.status, {"Content-Type": "application/json", "Content-Length": str(len(content)), **reply.headers})
            self.wfile.write(content)

        def _head(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            double.stopping.set()
            server.shutdown()
            thread.join(5)
