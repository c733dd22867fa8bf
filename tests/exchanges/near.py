"""A scripted exchange without the wire: what a reader makes of a double's answers, at a hundredth of the time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from defi_risk import registry
from defi_risk.book import ExchangeSettings
from defi_risk.desks import Found, failed, judge
from defi_risk.errors import BadAnswer, SourceError
from defi_risk.model import Account, SourceReport
from defi_risk.spi import ExchangeCall, Failed
from tests.exchanges.double import Double, Fault, Reply, Request


class InProcess:
    """The double's answers as ccxt hands them on: all numbers as text. What would be no answer over the wire is a failure here."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self.reads = registry.exchange(double.id).reads

    def milliseconds(self) -> int:
        return self.double.now()

    def answer(self, asks: Sequence[ExchangeCall]) -> list[Any]:
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: ExchangeCall) -> Any:
        method, _, path = self.reads[ask.read].requests[0].partition(" ")
        request = Request(method, path, dict(ask.params), "", {}, b"")
        self.double.log.append(request)
        struck = [fault for fault in self.double.faults if fault.strikes(request)]
        broken = next((fault.kind for fault in struck if fault.change is None), "")
        handler = self.double.find(request)
        told = None if broken or handler is None else handler(request)
        if told is None or isinstance(told, Reply):
            return Failed(broken) if ask.optional else BadAnswer(broken or "no answer")
        right = json.loads(json.dumps(told), parse_int=str, parse_float=str)
        for change in (fault.change for fault in struck if fault.change is not None):
            right = change(right)
        return right


def settings_of(double: Double, rules: Mapping[str, Decimal] | None = None) -> ExchangeSettings:
    return ExchangeSettings(id=double.id, name=f"{double.id}-main", rules=dict(rules or {}))


def found(double: Double, **rules: int) -> Found:
    """Accounts and report of one scan."""
    settings = settings_of(double, {name: Decimal(value) for name, value in rules.items()})
    reader = registry.exchange(double.id)
    try:
        return judge(settings, reader, InProcess(double))
    except SourceError as error:
        return failed(settings, reader, error)


def accounts(double: Double, **rules: int) -> dict[str, Account]:
    """Accounts by their markets."""
    return {account.market: account for account in found(double, **rules).accounts}


def unknown(double: Double, *faults: Fault) -> tuple[Account, SourceReport]:
    """The account that nobody can say anything about, with its report; fails where there is any other."""
    double.faults += faults
    result = found(double)
    [account], [report] = result.accounts, result.reports
    assert account.status == "unknown", account
    assert not account.legs
    return account, report
