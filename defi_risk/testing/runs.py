"""Readings run against recordings, as they are or with answers changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from defi_risk import abi, engine, exact_json, spi
from defi_risk.model import Account, Quote, SourceReport
from defi_risk.replay import Case, Read, Recording, Replay, Reverted, written
from defi_risk.spi import Adapter, Ask, Call, Failed, InfoCall

Found: TypeAlias = list[spi.Found]
Change: TypeAlias = Callable[[Call | InfoCall, Any], Any]
"""From a call or a question and its answer to the answer that is sent instead."""
NOTHING_THERE = Reverted("there is nothing at that address")
MOST_RENAMED: Final = 20
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
        return answer if failed or not isinstance(ask, Call | InfoCall) else self._change(ask, answer)


def read(adapter: Adapter, source: engine.Source, recording: Recording, case: Case) -> Found:
    """What the adapter returns for a case. Raises whatever the reading raises, and `TypeError` for a result of another kind."""
    found = cast("object", engine.run(source, adapter.read(case.owner, case.market, recording.context)))
    if not isinstance(found, list):
        raise TypeError(f"a reading returns a list, not {type(found).__name__}")
    items = cast("list[object]", found)
    for item in items:
        if not isinstance(item, Account | Quote | SourceReport):
            raise TypeError(f"a reading returns accounts, quotes and reports, not {type(item).__name__}")
    return cast("Found", items)


def accounts(found: Iterable[spi.Found]) -> list[Account]:
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


def instead(mode: Mapping[str, Any]) -> Change:
    """Other answers by the name of a function, or by `info:` and a part of a question's path or body (`info:userAbstraction`)."""

    def change(ask: Call | InfoCall, answer: Any) -> Any:
        if isinstance(ask, Call):
            return mode.get(ask.function, answer)
        asked = f"{ask.path} {ask.body}"
        return next((other for name, other in mode.items() if name.startswith("info:") and name[5:] in asked), answer)

    return change


def hostile(ask: Call | InfoCall, answer: Any) -> Any:
    """A hostile text in place of every text and symbol that a contract returns."""
    outputs = abi.function_of(ask).outputs if isinstance(ask, Call) else ()
    if outputs == ("string",):
        return HOSTILE_TEXT
    if isinstance(ask, Call) and outputs == ("bytes32",) and ask.function in ("symbol", "name"):
        return b"\x1b[31m\nevil=" + bytes(20)
    return answer


def renamings(recording: Recording, asked: Collection[Read], found: Found) -> Iterator[Change]:
    """For each text of a service that shows up in what was found (a coin's name): a hostile one in its place, wherever it is said."""
    answers = [recording.answers[read] for read in asked if read.of_service]
    said = {text for answer in answers if isinstance(answer, bytes) for text in _said(exact_json.parse(answer))}
    shown = "\n".join(texts(found))
    names = sorted(text for text in said if len(text) > 1 and text in shown and not text.replace(".", "").lstrip("-").isdecimal())
    yield from map(_renaming, names[:MOST_RENAMED])


def _renaming(text: str) -> Change:
    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed(name): renamed(item) for name, item in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            items: list[Any] = value
            return [renamed(item) for item in items]
        return text + HOSTILE_TEXT if value == text else value

    return lambda ask, answer: renamed(answer) if isinstance(ask, InfoCall) else answer


def _said(value: Any) -> Iterator[str]:
    """Every text inside an answer, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield name
            yield from _said(item)
    elif isinstance(value, list):
        items: list[Any] = value
        for item in items:
            yield from _said(item)
