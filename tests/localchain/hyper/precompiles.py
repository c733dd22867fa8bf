"""HyperEVM's read precompiles on an ordinary node: one small runtime at every address, and answers in its storage.

A double: what stands there is none of Hyperliquid's code. It does what the precompiles do for whoever calls them: takes bare ABI-encoded
arguments without a selector, returns the answer that was stored for them, and burns all gas for arguments that it does not know.

The slot keccak256(calldata) holds the length of the answer plus one (0: unknown), the slots behind it the words of the answer. Answers
are ordinary state, so they follow blocks, snapshots and forks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from tests.localchain.anvil import Anvil

FIRST: Final = 0x0800
POSITION: Final = "int64 uint64 int64 uint32 bool"
TABLE: Final = (
    ("position", "address uint16", POSITION),
    ("spotBalance", "address uint64", "uint64 uint64 uint64"),
    ("userVaultEquity", "address address", "uint64 uint64"),
    ("withdrawable", "address", "uint64"),
    ("delegations", "address", "(address,uint64,uint64)[]"),
    ("delegatorSummary", "address", "uint64 uint64 uint64 uint64"),
    ("markPx", "uint32", "uint64"),
    ("oraclePx", "uint32", "uint64"),
    ("spotPx", "uint32", "uint64"),
    ("l1BlockNumber", "", "uint64"),
    ("perpAssetInfo", "uint32", "(string,uint32,uint8,uint8,bool)"),
    ("spotInfo", "uint32", "(string,uint64[2])"),
    ("tokenInfo", "uint32", "(string,uint64[],uint64,address,address,uint8,uint8,int8)"),
    ("tokenSupply", "uint32", "(uint64,uint64,uint64,uint64,(address,uint64)[])"),
    ("bbo", "uint32", "uint64 uint64"),
    ("accountMarginSummary", "uint32 address", "int64 uint64 uint64 int64"),
    ("coreUserExists", "address", "bool"),
    ("borrowLendUserState", "address uint64", "(uint64,uint64) (uint64,uint64)"),
    ("borrowLendReserveState", "uint64", "uint64 uint64 uint64 uint64 uint64 uint64 uint64 uint64"),
    ("position2", "address uint32", POSITION),
)
"""Name, argument types and result types in the order of the addresses; a struct with a member of dynamic size is one tuple."""

_CODE: Final = (
    "CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 KECCAK256 DUP1 SLOAD DUP1 ISZERO >unknown JUMPI 1 SWAP1 SUB PUSH0 "
    "word: DUP2 DUP2 LT ISZERO >end JUMPI DUP1 5 SHR DUP4 ADD 1 ADD SLOAD DUP2 MSTORE 32 ADD >word JUMP "
    "end: POP PUSH0 RETURN unknown: INVALID"
)
_OPCODES: Final = {
    "ADD": 0x01, "SUB": 0x03, "LT": 0x10, "ISZERO": 0x15, "SHR": 0x1C, "KECCAK256": 0x20, "CALLDATASIZE": 0x36, "CALLDATACOPY": 0x37,
    "POP": 0x50, "MSTORE": 0x52, "SLOAD": 0x54, "JUMP": 0x56, "JUMPI": 0x57, "JUMPDEST": 0x5B, "PUSH0": 0x5F, "PUSH1": 0x60,
    "DUP1": 0x80, "DUP2": 0x81, "DUP4": 0x83, "SWAP1": 0x90, "RETURN": 0xF3, "INVALID": 0xFE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Precompile:
    """One precompile: where it is, and the types of what goes in and comes out."""

    address: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


PRECOMPILES: Final = {
    name: Precompile(f"0x{FIRST + place:040x}", tuple(inputs.split()), tuple(outputs.split()))
    for place, (name, inputs, outputs) in enumerate(TABLE)
}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a precompile answers to some arguments; None where it shall not know them."""

    name: str
    arguments: tuple[Any, ...]
    answer: tuple[Any, ...] | None


def assembled(source: str) -> bytes:
    """Machine code: `name:` is a place to jump to, `>name` pushes it, a number pushes itself."""
    words = source.split()
    places: dict[str, int] = {}
    size = 0
    for word in words:
        if word.endswith(":"):
            places[word[:-1]] = size
        size += 2 if word.startswith(">") or word.isdecimal() else 1
    return b"".join(_machine(word, places) for word in words)


def _machine(word: str, places: dict[str, int]) -> bytes:
    if word.endswith(":"):
        return bytes([_OPCODES["JUMPDEST"]])
    if word.startswith(">"):
        return bytes([_OPCODES["PUSH1"], places[word[1:]]])
    return bytes([_OPCODES["PUSH1"], int(word)]) if word.isdecimal() else bytes([_OPCODES[word]])


def install(anvil: Anvil) -> None:
    """Put the runtime at all addresses; none of them knows anything yet."""
    code = "0x" + assembled(_CODE).hex()
    for precompile in PRECOMPILES.values():
        anvil.set_code(precompile.address, code)


def store(anvil: Anvil, answers: Iterable[Stored]) -> None:
    """Let precompiles answer so from the next block on: what is written goes into the newest one, which must not be one that was read."""
    anvil.mine()
    anvil.rpc.batch([("anvil_setStorageAt", write) for answer in answers for write in _writes(answer)])
    anvil.mine()


def ask(anvil: Anvil, name: str, *arguments: object, block: int | str = "latest") -> tuple[Any, ...]:
    """What a precompile returns. Raises `RpcError` for arguments that it does not know."""
    precompile = PRECOMPILES[name]
    request = {"to": precompile.address, "data": "0x" + encode(precompile.inputs, arguments).hex(), "gas": hex(1_000_000)}
    data = anvil.rpc("eth_call", request, hex(block) if isinstance(block, int) else block)
    return tuple(decode(precompile.outputs, bytes.fromhex(data[2:])))


def _writes(stored: Stored) -> Iterator[Sequence[str]]:
    precompile = PRECOMPILES[stored.name]
    slot = int.from_bytes(keccak(encode(precompile.inputs, stored.arguments)))
    data = b"" if stored.answer is None else encode(precompile.outputs, stored.answer)
    words = [0 if stored.answer is None else len(data) + 1, *(int.from_bytes(data[at : at + 32]) for at in range(0, len(data), 32))]
    for place, word in enumerate(words):
        yield precompile.address, f"0x{(slot + place) % 2**256:064x}", f"0x{word:064x}"
