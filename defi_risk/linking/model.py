"""What linking works on and what it gives: transfers as a chain's logs tell them, and links of a loan with margin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from defi_risk.ids import AccountId, Address, ChainId
from defi_risk.model import Asset
from defi_risk.units import Quantity


class How(StrEnum):
    """How a link is known, the surest way first."""

    TAGGED = "tagged"
    TRACED = "traced"
    AMOUNTS = "amounts"


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for in the logs of one chain: transfers of these contracts, and `events` (signatures) of theirs, about these wallets."""

    chain: ChainId
    contracts: tuple[Address, ...]
    events: tuple[str, ...]
    wallets: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One ERC-20 transfer: `value` in the token's smallest unit, `index` the place of its log in the block."""

    token: Address
    source: Address
    target: Address
    value: int
    block: int
    index: int
    transaction: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Another event that a contract logged about an address."""

    contract: Address
    event: str
    about: Address
    transaction: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the logs of one chain told, from block `since` up to the anchor: transfers in their order, each once."""

    chain: ChainId
    since: int
    transfers: tuple[Transfer, ...] = ()
    marks: frozenset[Mark] = frozenset()


@dataclass(frozen=True, slots=True)
class Hop:
    """One transfer on the way from a loan to margin; `amount` is the part of it that the link is about, in smallest units."""

    transaction: str
    block: int
    source: Address
    target: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """This loan funds that margin: `amount` of `asset` at most, None where a tag does not say how much.

    `hops` are the transfers of a traced link in their order, the newest of them where there are too many; `left_out` counts the others.
    """

    loan: AccountId
    margin: AccountId
    how: How
    asset: Asset | None = None
    amount: Quantity | None = None
    hops: tuple[Hop, ...] = ()
    left_out: int = 0
