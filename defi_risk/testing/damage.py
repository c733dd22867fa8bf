"""Answers that no honest contract gives: cut, empty, too long, of another type, at the ends of what bits can hold, or refused.

And those that no honest service gives, in terms of JSON: `defi_risk.testing.json_damage`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from defi_risk.replay import Outcome, Read, Recording, Reverted
from defi_risk.testing import json_damage

ENOUGH: Final = 6
ENOUGH_OF_JSON: Final = 2
_OWN: Final = re.compile(rb"0x[0-9a-fA-F]+|[0-9]+")


def damaged(recording: Recording, asked: Collection[Read], done: Counter[bytes]) -> Iterator[tuple[str, Recording]]:
    """Copies of a recording with one answer damaged, each with a name for messages, of the reads that a case asked.

    Of calls to one function, and of questions that differ only in addresses and numbers, the first and last. `done` counts, over all
    cases, how often each was damaged: `ENOUGH` times is enough, and fewer where there are many ways.
    """
    for read in _chosen(recording, asked):
        kind = _kind(read)
        done[kind] += 1
        if done[kind] > (ENOUGH_OF_JSON if read.of_service else ENOUGH):
            continue
        good = recording.answers[read]
        for name, bad in json_damage.variants(good) if read.of_service else _variants(good if isinstance(good, bytes) else bytes(32)):
            if bad != good:
                yield f"{name} answer to {_shown(read)}", replace(recording, answers={**recording.answers, read: bad})


def _chosen(recording: Recording, asked: Collection[Read]) -> list[Read]:
    """Reads to damage: one function often is asked of many tokens, and the ends of the list stand for all."""
    by_kind: dict[bytes, list[Read]] = {}
    for read in recording.answers:
        if read in asked:
            by_kind.setdefault(_kind(read), []).append(read)
    return [read for reads in by_kind.values() for read in dict.fromkeys((reads[0], reads[-1]))]


def _kind(read: Read) -> bytes:
    """What reads of one kind have in common: the selector, the address where there is none, or the question without what it is about."""
    if read.of_service:
        return _OWN.sub(b"?", f"{read.to} {read.path} ".encode() + (read.data or b""))
    if read.data is None:
        return b""
    return read.data[:4] if len(read.data) % 32 else read.to.encode()  # whole words: arguments without a selector


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
    if read.of_service:
        return f"{read.path} {(read.data or b'').decode()} of {read.to}"
    return f"the balance of {read.to}" if read.data is None else f"0x{read.data[:4].hex()} of {read.to}"
