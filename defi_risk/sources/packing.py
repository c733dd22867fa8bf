"""Many reads in one call, on the wire: Multicall3's `aggregate3`, and the items of our own executor.

Written by hand because both are one shape of bytes only: a general ABI codec takes a hundred times longer. Both carry the time of the
block that was read, so that an answer about another block is noticed, and both tell whether gas was ample to the end. A call that runs
out of gas takes 63/64 of what is left with it: where `AMPLE` gas is left after the last call, every call before had 64 times as much,
and one that failed without a word was not starved by its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from defi_risk.errors import Undecodable

_AGGREGATE3: Final = bytes.fromhex("82ad56cb")  # aggregate3((address,bool,bytes)[])
_TIMESTAMP: Final = bytes.fromhex("0f28c97d")  # getCurrentBlockTimestamp()
_BALANCE: Final = bytes.fromhex("4d2301cc")  # getEthBalance(address)
_MAY_FAIL: Final = (1).to_bytes(32, "big") + (0x60).to_bytes(32, "big")  # allowFailure = true, then the offset of the calldata
_BALANCE_LENGTH: Final = b"\xff\xff\xff\xff"
_PAD: Final = bytes(12)
AMPLE: Final = 348_160
_MODEXP: Final = (5).to_bytes(20, "big")
_WITNESS_SIZE: Final = 512
_WITNESS: Final = b"".join(
    (
        *(size.to_bytes(32, "big") for size in (_WITNESS_SIZE, 32, _WITNESS_SIZE)),
        bytes(_WITNESS_SIZE),
        b"\xff" * 32,
        bytes(_WITNESS_SIZE),
    )
)
"""0 ** (2 ** 256 - 1) modulo 0: costs `AMPLE` gas by its size (EIP-2565; six times as much from EIP-7883 on), and no work."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One read as bytes: a call of `to` (20 bytes) with `data`, or with `data` None its balance."""

    to: bytes
    data: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it adds to a request, about."""
        return 160 + len(self.data or b"")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What one call for many gave: the time of the block (None: the contract does not tell), success and data of each, and whether
    no call can have failed for want of gas.
    """

    timestamp: int | None
    results: list[tuple[bool, bytes]]
    ample: bool


def pack_multicall3(address: bytes, probes: Sequence[Probe]) -> bytes:
    """Calldata for the Multicall3 at `address`; the block's time is asked first, the witness of gas last."""
    calls = [(address, _TIMESTAMP)]
    calls += [(address, _BALANCE + _PAD + probe.to) if probe.data is None else (probe.to, probe.data) for probe in probes]
    calls.append((_MODEXP, _WITNESS))
    offsets: list[bytes] = []
    tails: list[bytes] = []
    at = 32 * len(calls)
    for to, data in calls:
        offsets.append(at.to_bytes(32, "big"))
        padding = -len(data) % 32
        tails.append(_PAD + to + _MAY_FAIL + len(data).to_bytes(32, "big") + data + bytes(padding))
        at += 128 + len(data) + padding
    return b"".join((_AGGREGATE3, (32).to_bytes(32, "big"), len(calls).to_bytes(32, "big"), *offsets, *tails))


def unpack_multicall3(answer: bytes, count: int) -> Unpacked:
    """Results of `count` probes. Raises `Undecodable` unless every offset and length lies inside the answer."""
    base = _word(answer, 0) + 32
    if _word(answer, base - 32) != count + 2:
        raise Undecodable(f"{count + 2} calls got another number of answers")
    results: list[tuple[bool, bytes]] = []
    total = 0
    for index in range(count + 2):
        head = base + _word(answer, base + 32 * index)
        success = _word(answer, head)
        place = head + _word(answer, head + 32)
        size = _word(answer, place)
        end = place + 32 + size
        total += 32 + size  # answers that share bytes could be copied into far more memory than was received
        if success > 1 or end > len(answer) or total > len(answer):
            raise Undecodable("a bundled answer points outside itself")
        results.append((success == 1, answer[place + 32 : end]))
    (told, time), *found, (passed, power) = results
    timestamp = int.from_bytes(time, "big") if told and len(time) == 32 else None
    # an address without code would succeed too, but return nothing: there the precompile does not exist
    return Unpacked(timestamp, found, ample=passed and len(power) == _WITNESS_SIZE)


def pack_executor(probes: Sequence[Probe]) -> bytes:
    """Input for the executor."""
    parts: list[bytes] = []
    for probe in probes:
        if probe.data is None:
            parts += (probe.to, _BALANCE_LENGTH)
        else:
            parts += (probe.to, len(probe.data).to_bytes(4, "big"), probe.data)
    return b"".join(parts)


def unpack_executor(answer: bytes, count: int) -> Unpacked:
    """Results of `count` probes. Raises `Undecodable` unless the answer is exactly that long."""
    timestamp = _word(answer, 0)
    results: list[tuple[bool, bytes]] = []
    at = 32
    for _ in range(count):
        end = at + 5 + int.from_bytes(answer[at + 1 : at + 5], "big")
        if at + 5 > len(answer) or end > len(answer) or answer[at] > 1:
            raise Undecodable("a bundled answer is cut off")
        results.append((answer[at] == 1, answer[at + 5 : end]))
        at = end
    if at + 32 != len(answer):
        raise Undecodable("a bundled answer is cut off or has bytes left over")
    return Unpacked(timestamp, results, ample=_word(answer, at) >= AMPLE)


def _word(data: bytes, at: int) -> int:
    """The word at an offset. Raises `Undecodable` where it is not whole."""
    if at < 0 or at + 32 > len(data):
        raise Undecodable("a bundled answer points outside itself")
    return int.from_bytes(data[at : at + 32], "big")
