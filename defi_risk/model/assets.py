"""Chains, blocks, tokens, factors and prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from defi_risk.ids import USD, AssetId, ChainId, Factor, Peg
from defi_risk.text import clean
from defi_risk.units import Quantity

PRICES: Final = "prices:"
"""What the ids of sources start with that give past prices and no accounts."""
PAR: Final = "par"
"""The source of a price that nobody told: a dollar coin at a dollar, until another source of the book prices it."""
ETHER: Final = Factor("ETH")


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: EIP-155 id, the name used in books, and the symbol and factor of its own coin."""

    id: ChainId
    name: str
    coin: str = "ETH"
    coin_factor: Factor = ETHER


@dataclass(frozen=True, slots=True)
class Anchor:
    """The block that every read of a scan is pinned to. `timestamp` in unix seconds UTC; `hash` as 0x and 64 hex digits."""

    chain: Chain
    number: int
    hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Asset:
    """A token or coin by its id. `symbol` is what the token calls itself, cleaned: for eyes only, never identity."""

    id: AssetId
    symbol: str
    decimals: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbol", clean(self.symbol, 64))


@dataclass(frozen=True, slots=True)
class FactorRef:
    """What an asset is worth in factors: one factor, and the peg that can break where it is pegged to it."""

    factor: Factor
    peg: Peg | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """A price as the venue reads it: units of `unit` (USD, or a factor such as ETH) for one whole token.

    `source` names the oracle (an address, or "book"). `updated_at` is the unix time of the oracle's answer and `heartbeat` the
    seconds after which it counts as stale; None where the oracle does not tell. `capped` tells whether a cap of the oracle's own
    holds the price below its market; None where it has none.
    """

    value: Quantity
    unit: Factor = USD
    source: str = ""
    updated_at: int | None = None
    heartbeat: int | None = None
    capped: bool | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a venue's oracle says one whole unit of an unpegged factor is worth in USD: it prices what no venue of the book does."""

    factor: Factor
    price: Price
