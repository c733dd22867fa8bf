"""A node on loopback that answers what `doctor` asks, as well or as badly as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HASH = "0x" + "cd" * 32


@dataclass
class Node:
    """What the node is like; `url` once it runs. `asked` are the methods that it was asked for, `paths` the paths of the requests."""

    chain_id: int = 1
    head: int = 21_400_000
    age: float = 4.0
    archive: bool = True
    batches: bool = True
    by_hash: bool = True
    code: str = "0x6001"
    broken: str = ""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request["method"])
        result: object = {
            "eth_chainId": hex(self.chain_id),
            "eth_getCode": self.code,
            "eth_getBlockByNumber": {"number": hex(self.head), "hash": HASH, "timestamp": hex(int(time.time() - self.age))},
        }.get(request["method"])
        if request["method"] == "eth_getBalance":
            block = request["params"][1]
            able = self.by_hash if isinstance(block, dict) else self.archive
            result = "0x0" if able else None
        if result is None or request["method"] == self.broken:
            return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": "missing trie node"}}
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}


@contextmanager
def running(node: Node) -> Generator[Node]:
    """The node on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            node.paths.append(self.path)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if isinstance(asked, list):
                found: Any = [node.answer(one) for one in asked]
                if not node.batches:
                    found = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch requests are not supported"}}
            else:
                found = node.answer(asked)
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield node
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
