"""What the tokens of the local chain follow: one table for the devnet's book, the recordings and the truth tests."""

from __future__ import annotations

from typing import Final

from defi_risk.ids import Factor, Peg
from defi_risk.model import FactorRef

_REFS: Final = {
    "WETH": FactorRef(Factor("ETH")),
    "wstETH": FactorRef(Factor("ETH"), Peg("stETH/ETH")),
    "WBTC": FactorRef(Factor("BTC"), Peg("WBTC/BTC")),
    "EURS": FactorRef(Factor("EUR"), Peg("EURS/EUR")),
}


def factor_of(symbol: str) -> FactorRef:
    """Factor and peg of a token; one that is not listed is a factor of its own name."""
    return _REFS.get(symbol) or FactorRef(Factor(symbol))


def toml_line(key: str, symbol: str) -> str:
    """The token's line in the [factors] of a book."""
    ref = factor_of(symbol)
    pegged = f', peg = "{ref.peg}"' if ref.peg else ""
    return f'"{key}" = {{ factor = "{ref.factor}"{pegged} }} # {symbol}'
