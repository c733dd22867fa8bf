"""The info service on the loopback: what a double of HyperCore says, over HTTP."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

HOST: Final = "127.0.0.1"
Info = Callable[[dict[str, Any]], Any]


class NotServed(Exception):
    """The service does not answer such a question; it says so with a status of 422, as the real one does."""


class InfoService:
    """A running service. `say` answers questions; `down` makes it refuse all, `asked` counts questions by type."""

    def __init__(self, server: ThreadingHTTPServer, say: Info) -> None:
        self.say = say
        self.down = False
        self.asked: Counter[str] = Counter()
        self.url: Final = f"http://{HOST}:{server.server_address[1]}/info"

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for a posted question."""
        if self.down or path != "/info":
            return (503 if self.down else 404), b"null"
        question = json.loads(body)
        self.asked[question["type"]] += 1
        try:
            return 200, json.dumps(self.say(question)).encode()
        except NotServed:
            return 422, b"Failed to deserialize the JSON body into the target type"


@contextmanager
def serving(say: Info) -> Generator[InfoService]:
    """A service that answers with what `say` returns, until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status, body = service.answer(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        service = InfoService(server, say)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
