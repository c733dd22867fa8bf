"""Recorded answers of one exchange account: the JSON file that they are, a source that readings cannot tell from the exchange, and what
records them.

A file holds which exchange it was, the time by its clock, and every read with the answers that it got, in their order. It stands above
HTTP: no address, header, signature or key is in it. Nothing in it is run or followed; a damaged one is a `StoreError`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast

from defi_risk import exact_json
from defi_risk.errors import DefiRiskError, ServiceFailed, StoreError
from defi_risk.spi import ExchangeCall, Failed
from defi_risk.text import clean, shown

SCHEMA: Final = "defi-risk/exchange/1"
LARGEST: Final = 16 << 20
LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_PARTS: Final = {"schema", "exchange", "milliseconds", "reads"}

Asked: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""Name and parameters of a read."""


class Source(Protocol):
    """Whatever answers the reads of one exchange account."""

    def answer(self, asks: Sequence[ExchangeCall]) -> Sequence[Any]: ...

    def milliseconds(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DeskRecording:
    """What one exchange said: `exchange` is ccxt's id of it, `milliseconds` its time, `name` the file's, for messages.

    The k-th answer is the one to the k-th time that a read was asked; the last holds from then on. A `Failed` is an answer, too.
    """

    name: str
    exchange: str
    milliseconds: int
    answers: Mapping[Asked, tuple[Any, ...]]


class DeskReplay:
    """Answers from a recording. A read that was not recorded raises `StoreError`. `calls` counts the reads."""

    def __init__(self, recording: DeskRecording) -> None:
        self._recording: Final = recording
        self._heard: Final[dict[Asked, int]] = {}
        self.calls = 0

    def milliseconds(self) -> int:
        """The time by the exchange's clock, which stands still."""
        return self._recording.milliseconds

    def answer(self, asks: Sequence[ExchangeCall]) -> list[Any]:
        """One answer an ask: its value, `Failed` for an optional read that failed, or the error of one that had to work, not raised."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: ExchangeCall) -> Any:
        asked = (ask.read, ask.params)
        told = self._recording.answers.get(asked)
        if told is None:
            raise StoreError(f"{self._recording.name} holds no answer to {_words(asked)}", hint="record it again with this version")
        before = self._heard.get(asked, 0)
        self._heard[asked] = before + 1
        self.calls += 1
        answer = told[min(before, len(told) - 1)]
        return ServiceFailed(answer.reason) if isinstance(answer, Failed) and not ask.optional else answer


@dataclass(slots=True)
class DeskRecorder:
    """A source that hands on to another one and remembers. Its clock stands still from when it was first asked.

    Raises `StoreError` for an answer that cannot be recorded as it is, and for one that holds one of the `hidden` texts.
    """

    source: Source
    hidden: Collection[str] = ()
    answers: dict[Asked, list[Any]] = field(default_factory=dict)
    _now: int | None = None

    def milliseconds(self) -> int:
        """The time by the exchange's clock."""
        if self._now is None:
            self._now = self.source.milliseconds()
        return self._now

    def answer(self, asks: Sequence[ExchangeCall]) -> Sequence[Any]:
        """The live answers."""
        found = self.source.answer(asks)
        for ask, answer in zip(asks, found, strict=True):
            kept = Failed(answer.message) if isinstance(answer, DefiRiskError) else answer
            asked = (ask.read, ask.params)
            if not _recordable(kept) or _text(kept, self.hidden):
                raise StoreError(f"the answer to {_words(asked)} cannot be recorded")
            self.answers.setdefault(asked, []).append(kept)
        return found

    def recording(self, name: str, exchange: str) -> DeskRecording:
        """What was asked until now."""
        return DeskRecording(name, exchange, self.milliseconds(), {asked: _settled(told) for asked, told in self.answers.items()})


def load(path: Path) -> DeskRecording:
    """The recording in a file. Raises `StoreError` for a file that is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise StoreError(f"{path.name} is larger than a recording can be")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the recording {path.name}: {type(error).__name__}") from None
    return loads(text, path.name)


def loads(text: str, name: str) -> DeskRecording:
    """The recording in a text. Raises `StoreError`."""
    try:
        if len(text) > LARGEST:
            raise StoreError(f"{name} is larger than a recording can be")
        document = _fields(exact_json.parse(text.encode()), _PARTS)
        if document["schema"] != SCHEMA:
            raise StoreError(f"{name} is not a recording of this version", hint=f"its schema must be {SCHEMA!r}")
        now = document["milliseconds"]
        if isinstance(now, bool) or not isinstance(now, int) or not 0 <= now <= LAST:
            raise ValueError("no time")
        return DeskRecording(name, _word(document["exchange"]), now, _reads(document["reads"]))
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{name} is not a recording of an exchange: {type(error).__name__}", hint="record it again") from None


def dumps(recording: DeskRecording) -> str:
    """The recording as text, with a line for each part that fits one, so that changes can be reviewed."""
    reads = [
        {"read": read, "params": dict(params), "answers": [_told(answer) for answer in told]}
        for (read, params), told in sorted(recording.answers.items())
    ]
    head = {"schema": SCHEMA, "exchange": recording.exchange, "milliseconds": recording.milliseconds, "reads": reads}
    return exact_json.lines(head) + "\n"


def _reads(entries: Any) -> dict[Asked, tuple[Any, ...]]:
    found: dict[Asked, tuple[Any, ...]] = {}
    for entry in _list(entries):
        fields = _fields(entry, {"read", "params", "answers"})
        params = fields["params"]
        if not isinstance(params, dict):
            raise TypeError("parameters are no object")
        asked = _word(fields["read"]), tuple((_word(key), _word(value, empty=True)) for key, value in params.items())
        answers = tuple(map(_answered, _list(fields["answers"])))
        if asked in found or not answers:
            raise ValueError("a read twice, or without answers")
        found[asked] = answers
    return found


def _answered(entry: Any) -> Any:
    """A value, or why there was none. Numbers of an exchange are texts; a fraction would be ambiguous."""
    if isinstance(entry, dict) and set(cast("dict[str, Any]", entry)) == {"failed"}:
        return Failed(clean(_word(cast("dict[str, Any]", entry)["failed"])))
    value = _fields(entry, {"told"})["told"]
    if not _recordable(value):
        raise ValueError("a number with a fraction")
    return value


def _told(answer: Any) -> dict[str, Any]:
    return {"failed": answer.reason} if isinstance(answer, Failed) else {"told": answer}


def _settled(told: Sequence[Any]) -> tuple[Any, ...]:
    """The answers without repetitions of the last one."""
    count = len(told)
    while count > 1 and told[count - 2] == told[count - 1]:
        count -= 1
    return tuple(told[:count])


def _recordable(value: Any) -> bool:
    """Whether JSON gives the same back: no floats, no names but texts."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _recordable(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(_recordable, value))
    return value is None or (isinstance(value, str | bool | int | Failed) and not isinstance(value, Decimal))


def _text(answer: Any, hidden: Collection[str]) -> bool:
    """Whether an answer holds one of these texts."""
    text = exact_json.dump(_told(answer))
    return any(secret and secret in text for secret in hidden)


def _fields(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(cast("dict[str, Any]", value)) != names:
        raise TypeError("not an object of these parts")
    return cast("dict[str, Any]", value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _word(value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise TypeError("not a text")
    return value


def _words(asked: Asked) -> str:
    read, params = asked
    return shown(read + "".join(f" {name}={value}" for name, value in params), 120)
