"""Why a contract refused, from the data of its revert."""

from __future__ import annotations

from typing import Final

from defi_risk.text import shown

_ERROR: Final = bytes.fromhex("08c379a0")  # Error(string)
_PANIC: Final = bytes.fromhex("4e487b71")  # Panic(uint256)
_LOOKUP: Final = bytes.fromhex("556f1830")  # OffchainLookup(address,string[],bytes,bytes4,bytes) of EIP-3668
_PANICS: Final = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "bad enum value",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
}


def reason_of(data: bytes) -> str:
    """A few words on a revert's data, safe to show: the contract chose them."""
    return f"reverted: {_words(data)}" if data else "reverted without a reason"


def _words(data: bytes) -> str:
    head, body = data[:4], data[4:]
    if head == _ERROR and len(body) >= 64:
        size = int.from_bytes(body[32:64], "big")
        return f"{shown(body[64 : 64 + min(size, 400)].decode('utf-8', 'replace'), 80)!r}"
    if head == _PANIC and len(body) == 32:
        code = int.from_bytes(body, "big")
        return f"panic 0x{code:02x} ({_PANICS.get(code, 'unknown')})" if code < 256 else "panic"
    if head == _LOOKUP:
        return "asks for an off-chain lookup, which is never followed"
    return f"error 0x{head.hex()}" if len(data) >= 4 else f"{len(data)} bytes"
