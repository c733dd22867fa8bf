"""GMX's price service on the loopback: what tokens cost and what they are, as the venue's own service says it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.localchain.gmx.market import Band, Coin

HOST: Final = "127.0.0.1"
HTTP: Final = "HTTP/1.1"


@dataclass
class Service:
    """A running service. `bands` are min and max by symbol, `time` in unix seconds; what is `missing` is left out, `down` refuses all."""

    coins: Mapping[str, Coin]
    bands: Mapping[str, Band]
    time: int
    missing: set[str] = field(default_factory=set)
    down: bool = False
    url: str = ""

    def answer(self, path: str) -> tuple[int, Any]:
        """Status and body for a path."""
        told = {"/prices/tickers": self.tickers, "/tokens": self.tokens}.get(path)
        if self.down or told is None:
            return (503 if self.down else 404), None
        return 200, told()

    def tickers(self) -> list[dict[str, Any]]:
        """Prices as the contracts take them, as text."""
        return [
            {
                "tokenAddress": coin.address,
                "tokenSymbol": symbol,
                "minPrice": str(self.bands[symbol][0]),
                "maxPrice": str(self.bands[symbol][1]),
                "updatedAt": self.time * 1_000 + 431,
            }
            for symbol, coin in self.coins.items()
            if symbol not in self.missing
        ]

    def tokens(self) -> dict[str, Any]:
        """What the tokens are."""
        return {"tokens": [{"symbol": symbol, "address": coin.address, "decimals": coin.decimals} for symbol, coin in self.coins.items()]}


@contextmanager
def serving(service: Service) -> Generator[Service]:
    """Let it answer at its `url` until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = HTTP

        def do_GET(self) -> None:
            status, told = service.answer(self.path)
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        service.url = f"http://{HOST}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
