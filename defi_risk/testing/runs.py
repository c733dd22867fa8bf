"""Readings run against recordings, as they are or with answers changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, cast

from defi_risk import abi, engine
from defi_risk.model import Account, Quote
from defi_risk.replay import Case, Recording, Replay, Reverted, written
from defi_risk.spi import Adapter, Ask, Call, Failed

Found: TypeAlias = list[Account | Quote]
Change: TypeAlias = Callable[[Call, Any], Any]
"""From a call and its answer to the answer that is sent instead."""
NOTHING_THERE = Reverted("there is nothing at that address")
HOSTILE_TEXT = "\u202eevil\x1b[31m\n<b>=cmd|' /C calc'!A0\u200b"


class Changed:
    """A replay whose answers are changed on their way to the adapter. What was not recorded does not exist."""

    def __init__(self, recording: Recording, change: Change) -> None:
        self.anchor = recording.anchor
        self._inner = Replay(recording, missing=NOTHING_THERE)
        self._change = change

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """The recorded answers, changed; failures stay as they are."""
        return [self._one(ask, answer) for ask, answer in zip(asks, self._inner.answer(asks), strict=True)]

    def _one(self, ask: Ask, answer: Any) -> Any:
        failed = isinstance(answer, Failed | Exception)
        return answer if failed or not isinstance(ask, Call) else self._change(ask, answer)


def read(adapter: Adapter, source: engine.Source, recording: Recording, case: Case) -> Found:
    """What the adapter returns for a case. Raises whatever the reading raises, and `TypeError` for a result of another kind."""
    found = cast("object", engine.run(source, adapter.read(case.owner, case.market, recording.context)))
    if not isinstance(found, list):
        raise TypeError(f"a reading returns a list, not {type(found).__name__}")
    items = cast("list[object]", found)
    for item in items:
        if not isinstance(item, Account | Quote):
            raise TypeError(f"a reading returns accounts and quotes, not {type(item).__name__}")
    return cast("Found", items)


def accounts(found: Iterable[Account | Quote]) -> list[Account]:
    """The accounts among what was found."""
    return [item for item in found if isinstance(item, Account)]


def texts(value: Any) -> Iterable[str]:
    """Every text inside what a reading returned."""
    plain = written(value)
    stack = [plain]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            stack += item


def hostile(call: Call, answer: Any) -> Any:
    """A hostile text in place of every text and symbol that a contract returns."""
    outputs = abi.function_of(call).outputs
    if outputs == ("string",):
        return HOSTILE_TEXT
    if outputs == ("bytes32",) and call.function in ("symbol", "name"):
        return b"\x1b[31m\nevil=" + bytes(20)
    return answer
