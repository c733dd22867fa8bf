"""The lock-step engine: advances every reading of a chain round by round and gathers what they return.

Round k of every adapter, wallet and market is one list of distinct asks, answered together. A reading that fails ends as one unknown
account and touches nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar, cast

from defi_risk.errors import AdapterError, BadAnswer, DefiRiskError
from defi_risk.ids import AccountId
from defi_risk.model import Account, Anchor, Owner, Quote, SourceReport
from defi_risk.service_reports import ServiceReports
from defi_risk.spi import Adapter, Ask, Call, Context, Found, InfoCall, Market, NativeBalance, Reading, Steps, side_of
from defi_risk.text import shown

MOST_ROUNDS: Final = 16
_R = TypeVar("_R")
Progress = Callable[[str], None]


class Source(Protocol):
    """Whatever answers asks about one chain at one block: live nodes, or recorded answers."""

    @property
    def anchor(self) -> Anchor:
        """The block that all answers are about."""
        ...

    def answer(self, asks: Sequence[Ask]) -> Sequence[Any]:
        """One answer an ask: a value, `Failed` for an optional ask, or the error of one that had to work."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One reading to do: what one owner holds in one market."""

    adapter: Adapter
    owner: Owner
    market: Market


@dataclass(slots=True)
class Findings:
    """What readings returned, in the order of their jobs; `reports` are on venues' own services, one an adapter, `id` its name."""

    accounts: list[Account] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    reports: list[SourceReport] = field(default_factory=list)


def run(source: Source, steps: Steps[_R]) -> _R:
    """Drive one generator of asks to its end. Raises what the steps raise, and `SourceError` where the source itself fails."""
    try:
        asks = next(steps)
        while True:
            asks = _advance(steps, asks, _table(source, asks))
    except StopIteration as end:
        return cast("_R", end.value)


def read(source: Source, jobs: Sequence[Job], context: Context, progress: Progress | None = None) -> Findings:
    """Do all jobs of one chain. Raises `SourceError` where the source itself fails; a failing job is an unknown account."""
    outcomes: dict[int, list[Found]] = {}
    services = ServiceReports()
    waiting: dict[int, tuple[Reading, Sequence[Ask]]] = {}
    for index, job in enumerate(jobs):
        reading = job.adapter.read(job.owner, job.market, context)
        _step(outcomes, waiting, index, job, reading, reading.__next__)
    rounds = 0
    while waiting:
        rounds += 1
        if rounds > MOST_ROUNDS:
            for index in waiting:
                outcomes[index] = [_unknown(jobs[index], f"still asking after {MOST_ROUNDS} rounds")]
            break
        asked = list(dict.fromkeys(ask for _, asks in waiting.values() for ask in asks))
        if progress:
            progress(f"{context.chain.name}: round {rounds}, {len(asked)} reads for {len(waiting)} readings")
        table = dict(zip(asked, source.answer(asked), strict=True))
        services.note(((jobs[index].adapter.name, asks) for index, (_, asks) in waiting.items()), table)
        current, waiting = waiting, {}
        for index, (reading, asks) in current.items():
            _step(outcomes, waiting, index, jobs[index], reading, _sender(reading, asks, table))
    findings = Findings()
    found: dict[AccountId, Account] = {}
    for index, job in enumerate(jobs):
        for item in outcomes[index]:
            if isinstance(item, Quote):
                findings.quotes.append(item)
            elif isinstance(item, SourceReport):
                services.say(job.adapter.name, item)
            elif item.id in found:
                # counted twice it would be a wrong number, and which of the two is right nobody can tell
                found[item.id] = replace(_unknown(job, f"adapter {job.adapter.name} returned this account twice"), id=item.id)
            else:
                found[item.id] = replace(item, owner_name=job.owner.name) if job.owner.name else item
    findings.accounts += found.values()
    findings.reports += services.reports()
    return findings


def _sender(reading: Reading, asks: Sequence[Ask], table: Mapping[Ask, Any]) -> Callable[[], Sequence[Ask]]:
    return lambda: _advance(reading, asks, table)


def _step(
    outcomes: dict[int, list[Found]],
    waiting: dict[int, tuple[Reading, Sequence[Ask]]],
    index: int,
    job: Job,
    reading: Reading,
    advance: Callable[[], Sequence[Ask]],
) -> None:
    """Advance one reading; file its next asks, its result, or the unknown account that its failure makes."""
    try:
        waiting[index] = (reading, _checked(advance()))
    except StopIteration as end:
        outcomes[index] = list(end.value or ())
    except (AdapterError, BadAnswer) as error:
        outcomes[index] = [_unknown(job, str(error))]
    except Exception as error:  # noqa: BLE001  # an adapter is foreign code: its bug may cost its own account, never the others
        outcomes[index] = [_unknown(job, f"adapter {job.adapter.name} failed: {type(error).__name__}")]


def _advance(steps: Steps[Any], asks: Sequence[Ask], table: Mapping[Ask, Any]) -> Sequence[Ask]:
    """Send the answers, or throw the first error of an ask that had to work."""
    answers = [table[ask] for ask in asks]
    for answer in answers:
        if isinstance(answer, DefiRiskError):
            return steps.throw(answer)
    return steps.send(answers)


def _checked(asks: Iterable[object]) -> Sequence[Ask]:
    """Asks as a list of asks. Raises `TypeError` for anything else that an adapter may have yielded."""
    checked: list[Ask] = []
    for ask in asks:
        if not isinstance(ask, Call | NativeBalance | InfoCall):
            raise TypeError(f"not an ask: {type(ask).__name__}")
        checked.append(ask)
    return checked


def _table(source: Source, asks: Sequence[Ask]) -> dict[Ask, Any]:
    distinct = list(dict.fromkeys(asks))
    return dict(zip(distinct, source.answer(distinct), strict=True))


def _unknown(job: Job, reason: str) -> Account:
    return Account(
        id=job.market.account_id(job.owner),
        owner=job.owner.address,
        side=side_of(job.adapter),
        venue=job.market.venue or job.adapter.venue,
        market=job.market.name,
        chain=job.market.chain.name,
        status="unknown",
        reason=shown(reason, 200),
        source=job.market.chain.name,
    )
