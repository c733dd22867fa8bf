"""Keys of GMX's DataStore: where each parameter of a market lies.

A name's own key is keccak256(abi.encode("NAME")), a composite one keccak256(abi.encode(key of the name, arguments...)). All arguments
are static words, so their encoding is the words one after the other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from defi_risk.ids import Address, keccak256

_WORD: Final = 32
Word = Address | bool | int | bytes


@lru_cache(maxsize=32_768)
def key(name: str, *args: Word) -> bytes:
    """Key of a parameter: its name, and the market, token, side or whatever else it is kept for."""
    return keccak256(named(name) + b"".join(map(_word, args))) if args else named(name)


@lru_cache(maxsize=256)
def named(name: str) -> bytes:
    """Key of a name alone."""
    text = name.encode("ascii")
    return keccak256(_word(_WORD) + _word(len(text)) + text.ljust(-(-len(text) // _WORD) * _WORD, b"\0"))


def position_key(account: Address, market: Address, collateral: Address, is_long: bool) -> bytes:
    """What GMX calls one position by."""
    return keccak256(_word(account) + _word(market) + _word(collateral) + _word(is_long))


def position_field(position: bytes, name: str) -> bytes:
    """Key of one field of a position, by the position's own key."""
    return keccak256(position + named(name))


def _word(value: Word) -> bytes:
    """One ABI word: an address or a number to the right, 32 bytes as they are."""
    if isinstance(value, str):
        return bytes(12) + bytes.fromhex(value[2:])
    return value if isinstance(value, bytes) else int(value).to_bytes(_WORD, "big")
