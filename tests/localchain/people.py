"""Who uses the markets: addresses derived from names, the same on every run."""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak


@dataclass(frozen=True, slots=True)
class Case:
    """An account of a population: what is special about it, and whose it is."""

    label: str
    address: str


def person(name: str) -> str:
    """The address of somebody: the last 20 bytes of the name's hash. Nobody has its key; the node lets everybody send."""
    return to_checksum_address(keccak(text=f"localchain/{name}")[12:])
