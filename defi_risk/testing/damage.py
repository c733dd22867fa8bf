"""Answers that no honest contract gives: cut, empty, too long, of another type, at the ends of what bits can hold, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from defi_risk.replay import Outcome, Read, Recording, Reverted

ENOUGH: Final = 6


def damaged(recording: Recording, asked: Collection[Read], done: Counter[bytes]) -> Iterator[tuple[str, Recording]]:
    """Copies of a recording with one answer damaged, each with a name for messages, of the reads that a case asked.

    Of calls to one function the first and last. `done` counts, over all cases, how often each was damaged: `ENOUGH` times is enough.
    """
    for read in _chosen(recording, asked):
        function = read.data[:4] if read.data else b""
        done[function] += 1
        if done[function] > ENOUGH:
            continue
        good = recording.answers[read]
        for name, bad in _variants(good if isinstance(good, bytes) else bytes(32)):
            if bad != good:
                yield f"{name} answer to {_shown(read)}", replace(recording, answers={**recording.answers, read: bad})


def _chosen(recording: Recording, asked: Collection[Read]) -> list[Read]:
    """Reads to damage: one function often is asked of many tokens, and the ends of the list stand for all."""
    by_function: dict[bytes, list[Read]] = {}
    for read in recording.answers:
        if read not in asked:
            continue
        by_function.setdefault(b"" if read.data is None else read.data[:4], []).append(read)
    return [read for reads in by_function.values() for read in dict.fromkeys((reads[0], reads[-1]))]


def _variants(good: bytes) -> Iterator[tuple[str, Outcome]]:
    yield "an empty", b""
    yield "a cut", good[:-1]
    yield "half an", good[: len(good) // 64 * 32]
    yield "a too long", good + bytes(32)
    yield "an all-ones", b"\xff" * len(good)
    yield "an all-zero", bytes(len(good))
    yield "a text as", (32).to_bytes(32, "big") + (5).to_bytes(32, "big") + b"wrong".ljust(32, b"\0")
    yield "a list as", (32).to_bytes(32, "big") + (2**63).to_bytes(32, "big")
    yield "a refused", Reverted("reverted")


def _shown(read: Read) -> str:
    return f"the balance of {read.to}" if read.data is None else f"0x{read.data[:4].hex()} of {read.to}"
