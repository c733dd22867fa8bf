"""GMX's price service on the loopback: what tokens cost and what they are, as the venue's own service says it."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.localchain import loopback
from tests.localchain.gmx.market import Band, Coin


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

    def told(path: str, _: bytes) -> tuple[int, bytes]:
        status, body = service.answer(path)
        return status, json.dumps(body).encode()

    with loopback.serving(told) as service.url:
        yield service
