"""Keys of GMX's DataStore, through the ABI codec: a name's own, and one of a name with arguments."""

from __future__ import annotations

from typing import Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

ONE: Final = 10**30
Argument = str | bool | int | bytes


def key(name: str, *arguments: Argument) -> bytes:
    """The key of a parameter: addresses as `0x` text."""
    own = keccak(encode(["string"], [name]))
    return keccak(encode(["bytes32", *map(_type, arguments)], [own, *arguments])) if arguments else own


def position_key(account: str, market: str, collateral: str, is_long: bool) -> bytes:
    """The key of a position."""
    return keccak(encode(["address", "address", "address", "bool"], [account, market, collateral, is_long]))


def field(of: bytes, name: str) -> bytes:
    """The key of one field of a position or market."""
    return keccak(encode(["bytes32", "bytes32"], [of, key(name)]))


def _type(argument: Argument) -> str:
    if isinstance(argument, bool):
        return "bool"
    if isinstance(argument, int):
        return "uint256"
    return "address" if isinstance(argument, str) else "bytes32"
