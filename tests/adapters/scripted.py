"""Drives an adapter's real generator with scripted answers: no node, no engine.

A script answers one call by its name and arguments with a value, a question to a service with the value of its JSON, or says
`NOTHING_THERE` for what a contract would revert on. As the engine does, a read that had to work is raised at the `yield`, an optional
one arrives as `Failed`; multiple results arrive in the named tuples of the ABI file, so a script that gives too few or too many is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eth_abi.abi import encode

from defi_risk.abi import decode, function_of
from defi_risk.errors import CallReverted, DefiRiskError, Undecodable
from defi_risk.model import Account, Quote, SourceReport
from defi_risk.spi import Ask, Call, Failed, Found, InfoCall, NativeBalance, Reading

NOTHING_THERE: Final = object()
Script = Callable[[Ask], Any]


@dataclass
class Drive:
    """What a reading returned, and what it asked round by round."""

    items: list[Found] = field(default_factory=list)
    rounds: list[list[Ask]] = field(default_factory=list)

    @property
    def accounts(self) -> list[Account]:
        return [item for item in self.items if isinstance(item, Account)]

    @property
    def account(self) -> Account:
        [only] = self.accounts
        return only

    @property
    def quotes(self) -> list[Quote]:
        return [item for item in self.items if isinstance(item, Quote)]

    @property
    def reports(self) -> list[SourceReport]:
        return [item for item in self.items if isinstance(item, SourceReport)]

    def calls(self, function: str) -> list[Call]:
        return [ask for asks in self.rounds for ask in asks if isinstance(ask, Call) and ask.function == function]


def drive(reading: Reading, script: Script) -> Drive:
    """Run a reading to its end; raises what it raises."""
    done = Drive()
    try:
        asks = next(reading)
        while True:
            done.rounds.append(list(asks))
            asks = _advance(reading, [_answer(ask, script) for ask in asks])
    except StopIteration as end:
        done.items = list(end.value)
    return done


def _advance(reading: Reading, answers: Sequence[Any]) -> Sequence[Ask]:
    for answer in answers:
        if isinstance(answer, DefiRiskError):
            return reading.throw(answer)
    return reading.send(answers)


def _answer(ask: Ask, script: Script) -> Any:
    raw = script(ask)
    if raw is NOTHING_THERE:
        return Failed("reverted") if ask.optional else CallReverted(f"{_name(ask)} reverted")
    if isinstance(ask, NativeBalance | InfoCall):
        return raw
    try:
        return _typed(ask, raw)
    except Undecodable as error:
        return Failed(str(error)) if ask.optional else error


def _typed(call: Call, raw: Any) -> Any:
    """The value as the codec gives it: through the bytes of the ABI, unless the script gives bytes of its own."""
    if isinstance(raw, Raw):
        return decode(call, raw.data)
    function = function_of(call)
    values = raw if isinstance(raw, tuple) and not _single(function.outputs) else (raw,)
    return decode(call, encode(list(function.outputs), list(values)))


def _single(outputs: Sequence[str]) -> bool:
    return len(outputs) == 1


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that a contract returns whatever it was asked."""

    data: bytes


def _name(ask: Ask) -> str:
    return ask.function if isinstance(ask, Call) else "balance" if isinstance(ask, NativeBalance) else f"{ask.path} {ask.body}"
