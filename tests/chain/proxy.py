"""A node between a scan and the real node that changes what one view function answers, and hides the ways to batch calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.localchain.anvil import Anvil

Change = Callable[[bytes], bytes]


@contextmanager
def tampering(anvil: Anvil, selector: bytes, change: Change) -> Generator[str]:
    """URL of a node that answers calls of one function with what `change` makes of the real answer.

    It knows no Multicall3 and no overrides, so that every call stands alone and can be told by its selector.
    """

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": request["id"]}
        params = request.get("params", [])
        if request["method"] == "eth_call" and len(params) > 2:
            return {**head, "error": {"code": -32602, "message": "too many arguments, want at most 2"}}
        if request["method"] == "eth_getCode":
            return {**head, "result": "0x"}
        found: dict[str, Any] = forward(anvil, request)
        if request["method"] == "eth_call" and params[0].get("data", "")[:10] == "0x" + selector.hex() and "result" in found:
            found["result"] = "0x" + change(bytes.fromhex(found["result"][2:])).hex()
        return found

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps([answer(one) for one in asked] if isinstance(asked, list) else answer(asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def forward(anvil: Anvil, request: dict[str, Any]) -> dict[str, Any]:
    """The real node's answer."""
    connection = HTTPConnection("127.0.0.1", anvil.port, timeout=30)
    try:
        connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def plus_one(word: int) -> Change:
    """Add one unit to a 32-byte word of an answer."""

    def change(data: bytes) -> bytes:
        start, end = 32 * word, 32 * word + 32
        return data[:start] + (int.from_bytes(data[start:end], "big") + 1).to_bytes(32, "big") + data[end:]

    return change


def negated(data: bytes) -> bytes:
    """The other boolean."""
    return (1 - int.from_bytes(data, "big")).to_bytes(32, "big")
