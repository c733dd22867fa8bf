"""How venues' own services were: one report an adapter, from how its questions were answered and from what it says itself.

A required question without an answer makes the report "failed", for the account that asked is unknown. An optional one is a note: the
adapter does without it, or says what is lost. A service that gave no answer at all has failed unless its adapter says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from defi_risk.errors import DefiRiskError
from defi_risk.model import SourceReport
from defi_risk.spi import Ask, Failed, InfoCall
from defi_risk.text import clean

KIND: Final = "exchange"
_WORST_FIRST: Final = ("failed", "stale", "ok")


@dataclass(slots=True)
class _Heard:
    """What one adapter's questions came to."""

    asked: int = 0
    rounds: int = 0
    answered: bool = False
    errors: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    told: list[SourceReport] = field(default_factory=list)

    def report(self, name: str) -> SourceReport:
        notes = [clean(note) for note in self.notes]
        error = next((clean(error) for error in self.errors), "")
        if self.asked and not (self.answered or self.told or error):
            error, notes = notes[0], notes[1:]
        status = "failed" if error else "ok"
        own = SourceReport(id=name, kind=KIND, status=status, error=error, notes=tuple(notes), calls=self.asked, round_trips=self.rounds)
        [report] = united([own, *self.told])
        return report


class ServiceReports:
    """Gathers, over the rounds of one chain, what is heard of services. Adapters are known by name."""

    def __init__(self) -> None:
        self._heard: Final[dict[str, _Heard]] = {}

    def note(self, asked: Iterable[tuple[str, Sequence[Ask]]], answers: Mapping[Ask, Any]) -> None:
        """Note the answers of one round: what each adapter asked, chain and services, and the answers to all of it."""
        questions: dict[str, dict[InfoCall, None]] = {}
        for name, asks in asked:
            for ask in asks:
                if isinstance(ask, InfoCall):
                    questions.setdefault(name, {})[ask] = None
        for name, distinct in questions.items():
            heard = self._heard.setdefault(name, _Heard())
            heard.rounds += 1
            heard.asked += len({replace(question, optional=False) for question in distinct})
            for question in distinct:
                answer = answers[question]
                if isinstance(answer, DefiRiskError):
                    heard.errors[str(answer)] = None
                elif isinstance(answer, Failed):
                    heard.notes[answer.reason] = None
                else:
                    heard.answered = True

    def say(self, name: str, report: SourceReport) -> None:
        """Add what an adapter says of its venue's service; of nothing else can it speak."""
        told = SourceReport(
            id=name,
            kind=KIND,
            status=report.status if report.status in _WORST_FIRST else "failed",
            error=clean(report.error) if report.error else "",
            notes=tuple(clean(note) for note in report.notes),
            as_of=report.as_of,
        )
        self._heard.setdefault(name, _Heard()).told.append(told)

    def reports(self) -> list[SourceReport]:
        """One report for each adapter that asked a service or speaks of one."""
        return [heard.report(name) for name, heard in self._heard.items()]


def united(reports: Iterable[SourceReport]) -> list[SourceReport]:
    """One report an id: the worst status with its first error, the oldest time, all notes and the sums of what was asked."""
    found: dict[str, SourceReport] = {}
    for report in reports:
        known = found.get(report.id)
        found[report.id] = report if known is None else _both(known, report)
    return list(found.values())


def _both(one: SourceReport, other: SourceReport) -> SourceReport:
    worst = min(one, other, key=lambda report: _WORST_FIRST.index(report.status))
    times = [report.as_of for report in (one, other) if report.as_of is not None]
    return replace(
        one,
        status=worst.status,
        error=worst.error,
        as_of=min(times, default=None),
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
        calls=one.calls + other.calls,
        round_trips=one.round_trips + other.round_trips,
    )
