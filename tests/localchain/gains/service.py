"""gTrade's price service on the loopback: what feeds say, as the venue's own service says it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from defi_risk import exact_json
from tests.localchain import loopback
from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.parameters import PRICE_DECIMALS
from tests.localchain.gains.recipes import RECIPES

VARIABLE: Final = "GAINS_PRICES"
"""Where the service's address is put: a market that names it needs no port, so recordings are the same on every machine."""
RECORDED: Final = (
    "empty",
    "long",
    "short-link",
    "short-euro",
    "smallest-fee",
    "order",
    "two-trades-and-an-order",
    "in-ether",
    "under-water",
)
"""Users in the recording of a market that is priced by the service."""


@dataclass
class Prices:
    """A running service. `say` makes the answer; while `down` there is none."""

    say: Callable[[], Any]
    down: bool = False

    def answer(self, path: str, _: bytes) -> tuple[int, bytes]:
        """Status and body for a path."""
        if self.down or path != "/charts":
            return (503 if self.down else 404), b"null"
        told = self.say()
        return 200, told if isinstance(told, bytes) else exact_json.dump(told).encode()


def charts(market: GainsMarket) -> dict[str, Any]:
    """The prices of now, by the numbers of pairs. Mark prices are a little off, as in life: nothing is liquidated by them."""
    index = [Decimal(market.price(pair)).scaleb(-PRICE_DECIMALS) for pair in market.listings]
    marks = [price * 99 / 100 for price in index]
    time = market.anvil.block().timestamp * 1_000 + 250
    return {"time": time, "opens": marks, "highs": marks, "lows": marks, "closes": marks, "indexPrices": index}


@contextmanager
def served(market: GainsMarket) -> Generator[tuple[GainsMarket, Prices]]:
    """The same market as one that is priced by a service, and the service; its address is in the environment meanwhile."""
    prices = Prices(lambda: charts(market))
    unread = tuple(recipe.label for recipe in RECIPES if recipe.label not in RECORDED)
    with loopback.serving(prices.answer) as url:
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = url
        try:
            yield replace(market, name="gains-service", prices=f"${{{VARIABLE}}}", unread=unread), prices
        finally:
            os.environ.pop(VARIABLE) if before is None else os.environ.update({VARIABLE: before})
