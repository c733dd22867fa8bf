"""Recorded answers as a source that readings cannot tell from live nodes and services. The demo lives on it, and tests of adapters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from types import TracebackType
from typing import Any, Final

from defi_risk import abi, exact_json
from defi_risk.errors import BadAnswer, CallReverted, DefiRiskError, PluginError, ServiceFailed, StoreError
from defi_risk.model import Owner
from defi_risk.recording import LARGEST, Case, Outcome, Read, Recording, Reverted, dumps, load, loads, public
from defi_risk.secrets import public_setting
from defi_risk.spi import Ask, Call, Failed, Found, InfoCall, Market, NativeBalance
from defi_risk.text import shown
from defi_risk.units import Quantity, plain


class Replay:
    """Answers from a recording, with the surface of a live source of a chain.

    A read that was not recorded raises `StoreError`, or gets `missing` where that is given. `asked` gathers what was asked.
    """

    def __init__(self, recording: Recording, missing: Outcome | None = None) -> None:
        self.anchor: Final = recording.anchor
        self.calls = 0
        self.round_trips = 0
        self.notes: Final[tuple[str, ...]] = ()
        self.asked: Final[set[Read]] = set()
        self._recording: Final = recording
        self._missing: Final = missing

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """One answer an ask: its value, `Failed` for an optional ask that failed, or the error of another one, not raised."""
        self.round_trips += bool(asks)
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Any:
        try:
            read = read_of(ask)
        except PluginError as error:
            return error
        self.calls += read not in self.asked
        self.asked.add(read)
        found = self._recording.answers.get(read, self._missing)
        if found is None:
            raise StoreError(f"{self._recording.name} holds no answer to {described(ask)}", hint="record it again with this version")
        return answer_of(ask, found)

    def finish(self) -> None:
        """There is nothing to compare: a recording does not change."""

    def close(self) -> None:
        """There is nothing to close."""

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_of(ask: Ask) -> Read:
    """An ask in bytes. Raises `PluginError` for one that its ABI does not know."""
    if isinstance(ask, InfoCall):
        return Read(public_setting(ask.service), ask.body.encode(), ask.path)
    if isinstance(ask, NativeBalance):
        return Read(ask.owner, None)
    try:
        return Read(ask.to, abi.encode(ask))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PluginError(f"{ask.function} was asked with arguments that its ABI does not take ({type(error).__name__})") from None


def answer_of(ask: Ask, outcome: Outcome) -> Any:
    """What an adapter is sent for an outcome, as a live source would."""
    try:
        return _answered(ask, outcome) if isinstance(ask, InfoCall) else _returned(ask, outcome)
    except (CallReverted, ServiceFailed, BadAnswer) as error:
        return Failed(str(error)) if ask.optional else error


def _answered(ask: InfoCall, outcome: Outcome) -> Any:
    if isinstance(outcome, Reverted):
        raise ServiceFailed(outcome.reason)
    return exact_json.answer(outcome, public_setting(ask.service))


def _returned(ask: Call | NativeBalance, outcome: Outcome) -> Any:
    if isinstance(outcome, Reverted):
        raise CallReverted(f"{described(ask)}: {outcome.reason}")
    try:
        return abi.decode(ask, outcome) if isinstance(ask, Call) else int.from_bytes(outcome, "big")
    except BadAnswer as bad:
        raise type(bad)(f"{described(ask)}: {bad.message}", hint=bad.hint) from None


def outcome_of(ask: Ask, answer: Any) -> Outcome:
    """The bytes that make this answer: the way back from `answer_of`, in the canonical encoding."""
    if isinstance(answer, Failed | DefiRiskError):
        reason = answer.reason if isinstance(answer, Failed) else answer.message
        return Reverted(reason.removeprefix(f"{described(ask)}: "))
    if isinstance(ask, InfoCall):
        return exact_json.dump(answer).encode()
    if isinstance(ask, NativeBalance):
        return int(answer).to_bytes(32, "big")
    from eth_abi.abi import encode

    outputs = abi.function_of(ask).outputs
    return encode(outputs, [answer] if len(outputs) == 1 else list(answer))


def described(ask: Ask) -> str:
    """An ask for people: `getReserveData of 0x...`."""
    if isinstance(ask, InfoCall):
        return f"{shown(ask.path + ' ' + ask.body, 120)} of {public_setting(ask.service)}"
    return f"{ask.function} of {ask.to}" if isinstance(ask, Call) else f"the balance of {ask.owner}"


def written(value: Any) -> Any:
    """Accounts, quotes and all they hold as plain JSON values, exact. Fields that have their default are left out.

    An `Exact` is written as its feeds: its numbers stand in the account's `native`.
    """
    if value is None or (isinstance(value, bool | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Quantity):
        return f"{value.raw}e-{value.decimals}"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): written(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [written(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _field(field, getattr(value, field.name)) for field in fields(value) if _told(field, getattr(value, field.name))
        }
    raise TypeError(f"{type(value).__name__} cannot be written")


def _field(field: Field[Any], value: Any) -> Any:
    return written(value.feeds()) if field.name == "exact" else written(value)


def _told(field: Field[Any], value: Any) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(value != default)


def case_of(owner: Owner, market: Market, found: Iterable[Found]) -> Case:
    """A case from what its reading gave."""
    return Case(owner, public(market), tuple(written(item) for item in found))


__all__ = [
    "LARGEST", "Case", "Outcome", "Read", "Recording", "Replay", "Reverted", "answer_of", "case_of", "described", "dumps", "load",
    "loads", "outcome_of", "public", "read_of", "written",
]  # fmt: skip
