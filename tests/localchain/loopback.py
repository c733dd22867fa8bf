"""A small HTTP server on the loopback, for the doubles of venues' public services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

HOST: Final = "127.0.0.1"
Answer = Callable[[str, bytes], tuple[int, bytes]]
"""From the path and what was posted (nothing for a GET) to the status and the JSON of the answer."""


@contextmanager
def serving(answer: Answer) -> Generator[str]:
    """The address of a server that answers GET and POST, until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._tell(b"")

        def do_POST(self) -> None:
            self._tell(self.rfile.read(int(self.headers["content-length"])))

        def _tell(self, posted: bytes) -> None:
            status, body = answer(self.path, posted)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
