"""The tokens of the local chain and what they cost: deployed when first asked for, then shared by all markets of a chain.

Prices are uneven on purpose, so that every rounding of a protocol shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.localchain.anvil import Anvil
from tests.localchain.tokens import Feed, Token, deploy_feed, deploy_token

DECIMALS: Final = {"WETH": 18, "wstETH": 18, "WBTC": 8, "USDC": 6, "DAI": 18, "EURS": 6, "LINK": 18, "CRV": 18}
USD_PRICES: Final = {
    "WETH": "2512.34567891",
    "wstETH": "3027.98765432",
    "WBTC": "60123.4567",
    "USDC": "0.99991234",
    "DAI": "1.00021",
    "EURS": "1.08371234",
    "LINK": "15.4321",
    "CRV": "0.51234567",
}
ETH_PRICES: Final = {"WETH": "1", "wstETH": "1.20524309", "WBTC": "23.93120427"}
_PRICES: Final = {"USD": USD_PRICES, "ETH": ETH_PRICES}


@dataclass(frozen=True, slots=True)
class Assets:
    """The tokens and feeds of one chain."""

    anvil: Anvil
    tokens: dict[str, Token] = field(default_factory=dict)
    feeds: dict[tuple[str, str], Feed] = field(default_factory=dict)

    def token(self, symbol: str, decimals: int | None = None) -> Token:
        """The token of that symbol; `decimals` only where it is to differ from the usual ones."""
        if symbol not in self.tokens:
            self.tokens[symbol] = deploy_token(self.anvil, symbol, DECIMALS[symbol] if decimals is None else decimals)
        return self.tokens[symbol]

    def feed(self, symbol: str, unit: str = "USD") -> Feed:
        """The feed that prices a token in `unit` (USD or ETH), with 8 decimals."""
        if (symbol, unit) not in self.feeds:
            self.feeds[symbol, unit] = deploy_feed(self.anvil, f"{symbol} / {unit}", _PRICES[unit][symbol])
        return self.feeds[symbol, unit]
