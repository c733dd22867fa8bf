"""A scripted exchange read without the wire: its answers as ccxt hands them on, at a hundredth of the time."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, cast
from unittest.mock import patch

from defi_risk import registry
from defi_risk.book import ExchangeSettings
from defi_risk.desks import Found, failed, judge
from defi_risk.errors import BadAnswer, SourceError
from defi_risk.model import Account, KeyRights, SelfCheck
from defi_risk.spi import Desk, ExchangeCall, Failed
from tests.exchanges.double import Double, Fault, Reply, Request

READER: Final = cache(registry.exchange)
WORTHLESS: Final[tuple[object, ...]] = (None, "", "NaN", "1e99", [])


class Inside:
    """The double as a source of answers. Reads that are kept are asked once, as with a cache; the double's log holds all requests."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self._reads = READER(double.id).reads
        self._kept: dict[ExchangeCall, Any] = {}

    def milliseconds(self) -> int:
        return self.double.now()

    def answer(self, asks: Sequence[ExchangeCall]) -> list[Any]:
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: ExchangeCall) -> Any:
        if ask in self._kept:
            return self._kept[ask]
        read, params = self._reads[ask.read], dict(ask.params)
        method, _, path = read.requests[0].partition(" ")
        request = Request(method, path.replace("{}", next(iter(params.values()), "")), params, "", {}, b"")
        self.double.log.append(request)
        fault = next((fault for fault in self.double.faults if fault.strikes(request)), None)
        handler = self.double.find(request)
        right = None if handler is None else handler(request)
        if right is None or isinstance(right, Reply) or (fault is not None and fault.change is None):
            return Failed("refused") if ask.optional else BadAnswer("refused")
        if fault is not None and fault.change is not None:
            right = fault.change(json.loads(json.dumps(right)))
        told = json.loads(json.dumps(right), parse_int=str, parse_float=str)
        if read.kept:
            self._kept[ask] = told
        return told


def found(source: Double | Inside, **options: object) -> Found:
    """What the exchange's reader makes of the answers."""
    source = source if isinstance(source, Inside) else Inside(source)
    settings = ExchangeSettings(id=source.double.id, name=f"{source.double.id}-main", options=options)
    reader = READER(source.double.id)
    with patch.object(registry, "exchange", READER):
        try:
            return judge(settings, reader, source)
        except SourceError as error:
            return failed(settings, reader, error)


def accounts(source: Double | Inside, **options: object) -> dict[str, Account]:
    """Accounts by their markets."""
    return {account.market: account for account in found(source, **options).accounts}


def rights(double: Double) -> KeyRights | None:
    """What the exchange says that the key may do."""
    source, steps = Inside(double), READER(double.id).rights(Desk("x", double.id, double.now()))
    asks = next(steps)
    try:
        while True:
            asks = steps.send(source.answer(asks))
    except StopIteration as end:
        return cast("KeyRights | None", end.value)


def unknown(double: Double, *faults: Fault) -> Account:
    """The account that nobody can say anything about; fails where there is any other."""
    double.faults += faults
    [account] = found(double).accounts
    assert account.status == "unknown", account
    assert not account.legs
    return account


def checked(account: Account) -> SelfCheck:
    """The verdict on an account that is known and was checked."""
    assert account.known, account.reason
    assert account.self_check is not None
    return account.self_check


@dataclass
class _Frozen(Double):
    """The answers that a double once gave, at the time it gave them."""

    answers: dict[str, Any] = field(default_factory=dict)
    at: int = 0

    def now(self) -> int:
        return self.at

    def find(self, request: Request) -> Callable[[Request], Any] | None:
        return (lambda _: self.answers[request.line]) if request.line in self.answers else None


def damages(double: Double) -> Generator[tuple[str, object, list[Account]]]:
    """Each field of each answer, in the first row of each list, left out and with every worthless value, and what accounts come of it."""
    frozen = _Frozen(at=double.now())
    frozen.id = double.id  # type: ignore[misc]  # it stands for that one
    found(double)
    for request in double.log:
        handler = double.find(request)
        assert handler is not None
        frozen.answers[request.line] = handler(request)
    for line, answer in frozen.answers.items():
        for path, right in list(_fields(answer)):
            for worthless in (MISSING, *WORTHLESS):
                if worthless != right:
                    frozen.faults = [Fault(where=line, change=_put(path, worthless))]
                    yield f"{line} {path}", worthless, found(frozen).accounts


MISSING: Final = object()


def _fields(value: Any, path: tuple[str | int, ...] = ()) -> Generator[tuple[tuple[str | int, ...], Any]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _fields(item, (*path, name))
    elif isinstance(value, list):
        for index, item in list(enumerate(value))[:1]:
            yield from _fields(item, (*path, index))


def _put(path: tuple[str | int, ...], value: object) -> Callable[[Any], Any]:
    def change(answer: Any) -> Any:
        at = answer
        for step in path[:-1]:
            at = at[step]
        if value is MISSING:
            at.pop(path[-1])
        else:
            at[path[-1]] = value
        return answer

    return change
