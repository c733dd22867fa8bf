"""What exchanges do wrong, at every read of every exchange that ships: the figures are right, or somebody is told that they are not.

`allowed` is the judge of all of it. An account that the exchange's answers leave in doubt is unknown, or missing with its source failed;
what is shown as known has the figures of the truth, or its self-check says that they differ from the exchange's own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from defi_risk_adapters.exchanges.common import profit

from defi_risk import desks, registry
from defi_risk.book import ExchangeSettings, parse
from defi_risk.desks import Found
from defi_risk.errors import SourceError
from defi_risk.model import PAR, Account, Leg, SourceReport
from defi_risk.sources.clock import Deadline
from defi_risk.sources.exchange import Exchange
from defi_risk.spi import ExchangeCall
from tests.exchanges import plain
from tests.exchanges.conftest import unlisted
from tests.exchanges.double import HEARD, Double, Fault, serving
from tests.exchanges.doubles import ALL

pytestmark = pytest.mark.slow

NAMES = tuple(ALL)
BY_DEFAULT = ("plain", "binance", "okx")
"""What is tested in every way by default; the others in one way, and in all of them where slow tests run."""
PUBLIC = ("dydx", "lighter")
"""Whose reads are not signed, and go by no clock."""


@pytest.fixture(scope="module", autouse=True)
def _plain_reader(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest runs it
    with plain.registered(tmp_path_factory.mktemp("plain")):
        yield


# -- the judge ----------------------------------------------------------------------------------------------------------------------------


def risk(leg: Leg) -> tuple[tuple[object, ...], tuple[object, ...], Decimal | None]:
    """All of a leg that health rests on: its numbers, its names, its price."""
    at = leg.position
    own = None if at is None else (
        at.size, at.mark, at.contract, at.tiers, at.basis, profit(at), at.accrued_funding, at.accrued_fees, at.exit_cost,
        at.close_fee, at.pnl_weight,
    )  # fmt: skip
    numbers = (leg.role, Decimal(str(leg.amount)).normalize(), leg.weight, leg.enabled, leg.maintenance_rate, own)
    names = (leg.asset.id, leg.factor, leg.peg, at.quote if at else "")
    told = leg.price if leg.price and leg.price.source != PAR else None
    return numbers, names, Decimal(str(told.value)) if told else None


def same(one: Account, right: Account, *, names: bool = True) -> bool:
    """Whether an account has the right figures. A price that it lacks is no wrong one: the rest of the book gives it, or nobody does and
    the account is unknown. Without `names`, coins may be called something else.
    """
    if (one.mode, one.line, one.strict, one.rule, len(one.legs)) != (right.mode, right.line, right.strict, right.rule, len(right.legs)):
        return False
    ours, theirs = (sorted(map(risk, account.legs), key=lambda leg: repr((leg[0], leg[2] is None))) for account in (one, right))
    return all(
        mine[0] == other[0] and mine[2] in (None, other[2]) and (mine[1] == other[1] or not names)
        for mine, other in zip(ours, theirs, strict=True)
    )


def allowed(result: Found, truth: Found, fault: str, *, names: bool = True) -> None:
    """Fail where the result of a faulty reading shows as right what is not."""
    [report], told = result.reports, {account.id: account for account in truth.accounts}
    doubted = report.status != "ok" or any(not account.known for account in result.accounts)
    if doubted:
        reasons = [report.error] * (report.status != "ok") + [account.reason for account in result.accounts if not account.known]
        assert all(reasons), fault
    assert len({account.id for account in result.accounts}) == len(result.accounts), fault
    for account in result.accounts:
        if account.known:
            right = told.get(account.id) if names else next((one for one in truth.accounts if same(account, one, names=False)), None)
            named = account.self_check is not None and not account.self_check.match
            said = set(account.assumptions) - set(right.assumptions if right else ()) or set(report.notes) - set(truth.reports[0].notes)
            assert named or said or (right is not None and same(account, right, names=names)), f"{fault}: {account.id} is shown as right"
    missing = set(told) - {account.id for account in result.accounts} if names else set[str]()
    assert doubted or not missing or any(not account.self_check.match for account in result.accounts if account.self_check), (
        f"{fault}: {sorted(missing)} are gone without a word"
    )


# -- faults of the server, over the wire ---------------------------------------------------------------------------------------------------


def reading(double: Double, seconds: float = 20) -> Found:
    """The accounts of a double as the scan reads them."""
    with serving(double) as url:
        book = parse(double.book(url, "main"), "desk.toml")
        with desks.Reading(book, Deadline(seconds), None) as found:
            return found.found()


@cache
def truth_of(name: str) -> Found:
    found = reading(ALL[name]())
    assert found.accounts
    assert all(account.known for account in found.accounts), [account.reason for account in found.accounts]
    return found


@cache
def asked_of(name: str) -> tuple[str, ...]:
    """Every path that a reading asks for."""
    double = ALL[name]()
    with serving(double) as url, Exchange(*settings_of(double, url), Deadline(20)) as source:
        source.open()
        desks.judge(*settings_of(double, url), source)
    return tuple(dict.fromkeys(request.line for request in double.log))


def settings_of(double: Double, url: str) -> tuple[ExchangeSettings, Any]:
    [settings] = parse(double.book(url, "main"), "desk.toml").exchanges
    return settings, registry.exchange(settings.id)


REFUSALS = ("bad key", "permission", "address", "time", "maintenance", "rate", "418", "429", "html", "nothing", "gateway", "500", "cut",
            "deep", "redirect", "empty list", "empty object")  # fmt: skip
SAYS = {
    "bad key": ("key",), "permission": ("key", "not read"), "address": ("address", "key"), "maintenance": ("maintenance", "out of order"),
    "time": ("time of our requests", "cannot be used"), "rate": ("fewer requests", "banned"), "418": ("banned",),
    "429": ("fewer requests",),
    "html": ("no JSON",), "nothing": ("no JSON",), "gateway": ("out of order",), "500": ("out of order",),
    "cut": ("broke off", "no connection"), "deep": ("nested too deep",), "redirect": ("redirect",),
}  # fmt: skip


PAUSING = ("gateway", "500", "cut", "maintenance", "rate")  # asked once more after a pause


def fail(name: str, kind: str, lines: Sequence[str], afters: Sequence[int]) -> None:
    """Judge readings in which the n-th request to a path goes wrong."""
    HEARD.clear()
    for line in lines:
        for after in afters:
            if kind in OWN[:4] and "ime" in line:
                continue  # a public read knows no key
            result = reading(ALL[name](faults=[Fault(kind, where=line, after=after)]))
            allowed(result, truth_of(name), f"{kind} at {line} after {after}")
            [report] = result.reports
            if report.status != "ok" and kind in SAYS:
                says = SAYS["bad key" if (name, kind) == ("deribit", "time") else kind]  # Deribit has one word for both
                assert any(word in report.error for word in says), (line, report.error)
            for word in ("http://", "dummy", "signature", "Traceback", "<html"):
                assert word not in report.error, report.error
    assert unlisted() == []


OWN = ("bad key", "permission", "address", "time", "maintenance", "rate")
"""What each exchange says in its own words."""


@pytest.mark.parametrize(("name", "kind"), [*(("plain", kind) for kind in REFUSALS), *(("binance", kind) for kind in OWN)])
def test_a_server_that_fails_at_the_last_read(name: str, kind: str) -> None:
    fail(name, kind, asked_of(name)[-1:], [0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in NAMES for kind in REFUSALS if name not in PUBLIC or kind not in OWN[:4]]
)
def test_a_server_that_fails_at_any_read(name: str, kind: str) -> None:
    """Each fault at each path: from the first request on, and from the second on (between the two looks at the balance)."""
    lines = asked_of(name)
    fail(name, kind, lines[-2:] if kind in PAUSING else lines, [0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["silence", "drip"])
@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_hangs_at_one_read(name: str, kind: str) -> None:
    for line in asked_of(name)[-2:]:
        result = reading(ALL[name](faults=[Fault(kind, where=line)]), seconds=1)
        allowed(result, truth_of(name), f"{kind} at {line}")
        assert result.reports[0].status == "failed" or result.reports[0].notes


@pytest.mark.parametrize("skew", [-90, 90])
@pytest.mark.parametrize(
    "name", [name if name in BY_DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name not in PUBLIC]
)
def test_signed_reads_go_by_the_exchanges_clock(name: str, skew: int) -> None:
    allowed(found := reading(ALL[name](skew=skew)), truth_of(name), f"skew {skew}")
    assert found.reports[0].status == "ok"
    assert [account.id for account in found.accounts] == [account.id for account in truth_of(name).accounts]
    assert any("clock" in note for note in found.reports[0].notes)


# -- faults in the answers, without the wire ----------------------------------------------------------------------------------------------


@dataclass
class Recorder:
    """Passes reads on to an exchange and keeps the answers."""

    source: Exchange
    answers: list[tuple[ExchangeCall, Any]] = field(default_factory=list)

    def answer(self, asks: Sequence[ExchangeCall]) -> list[Any]:
        found = self.source.answer(asks)
        self.answers += zip(asks, copy.deepcopy(found), strict=True)
        return found

    def milliseconds(self) -> int:
        return self.source.milliseconds()


@dataclass
class Replayed:
    """Recorded answers by read and parameters, in turn; the last one for good. A read that was never asked before fails."""

    recorded: Sequence[tuple[ExchangeCall, Any]]
    now: int
    turns: dict[tuple[str, tuple[tuple[str, str], ...]], int] = field(default_factory=dict)

    def answer(self, asks: Sequence[ExchangeCall]) -> list[Any]:
        return [self._one(ask) for ask in asks]

    def _one(self, ask: ExchangeCall) -> Any:
        key = (ask.read, ask.params)
        known = [answer for call, answer in self.recorded if (call.read, call.params) == key]
        turn = self.turns.get(key, 0)
        self.turns[key] = turn + 1
        return copy.deepcopy(known[min(turn, len(known) - 1)]) if known else SourceError("the exchange does not know that")

    def milliseconds(self) -> int:
        return self.now


@dataclass(frozen=True)
class Recording:
    settings: ExchangeSettings
    reader: Any
    answers: tuple[tuple[ExchangeCall, Any], ...]
    now: int
    truth: Found

    def judged(self, answers: Sequence[tuple[ExchangeCall, Any]]) -> Found:
        try:
            return desks.judge(self.settings, self.reader, Replayed(answers, self.now))
        except SourceError as error:
            return desks.failed(self.settings, self.reader, error)


@cache
def recording(name: str) -> Recording:
    double = ALL[name]()
    with serving(double) as url:
        settings, reader = settings_of(double, url)
        with Exchange(settings, reader, Deadline(20)) as source:
            source.open()
            recorder = Recorder(source)
            desks.judge(settings, reader, recorder)
            now = source.milliseconds()
    made = Recording(settings, reader, tuple(recorder.answers), now, Found([], [SourceReport(id="main", kind="exchange")]))
    truth = made.judged(made.answers)
    assert truth.accounts
    assert all(account.known for account in truth.accounts), [account.reason for account in truth.accounts]
    return Recording(settings, reader, made.answers, now, truth)


Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every part of a JSON value, the whole first; of long lists the first two entries."""
    yield at
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*at, name))
    elif isinstance(value, list):
        for index, part in enumerate(value[:2]):
            yield from places(part, (*at, index))


def part_of(value: Any, place: Place) -> Any:
    for step in place:
        value = value[step]
    return value


def changed(value: Any, place: Place, change: Callable[[Any, Any], None]) -> Any:
    """A copy in which the holder of a part was changed: `change(holder, step)`."""
    fresh = copy.deepcopy(value)
    change(part_of(fresh, place[:-1]), place[-1])
    return fresh


def _set(to: Any) -> Callable[[Any, Any], None]:
    def put(holder: Any, step: Any) -> None:
        holder[step] = to

    return put


def _drop(holder: Any, step: Any) -> None:
    del holder[step]


def _scientific(holder: Any, step: Any) -> None:
    holder[step] = f"{Decimal(holder[step]):E}"


def number(value: Any) -> bool:
    try:
        return isinstance(value, str) and Decimal(value).is_finite()
    except ArithmeticError:
        return False


def word(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not number(value)


def rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _twice(holder: Any, step: Any) -> None:
    holder[step] = [*holder[step], *copy.deepcopy(holder[step])]


CHANGES: dict[str, tuple[Callable[[Any], bool], Callable[[Any, Any], None]]] = {
    "missing": (lambda _: True, _drop),
    "null": (lambda _: True, _set(None)),
    "not a number": (number, _set("NaN")),
    "infinite": (number, _set("Infinity")),
    "garbage": (number, _set("12,5")),
    "boolean": (number, _set(True)),
    "scientific": (number, _scientific),
    "huge": (number, _set("1" + "0" * 90)),
    "an unknown word": (word, _set("SOMETHING_NEW")),
    "an empty word": (word, _set("")),
    "an object": (lambda _: True, _set({})),
    "twice": (rows, _twice),
    "a list of nothing": (rows, _set([None])),
    "emptied": (rows, _set([])),  # positions that are none beside a wallet whose margin is in use, too
}
UNTIL = 2
"""How many places of an answer are tried by default, spread over it."""


def tried(name: str, kind: str, most: int | None) -> Iterator[tuple[str, Found]]:
    """What comes of each recorded answer with one part changed, everywhere where it was given."""
    record = recording(name)
    fits, change = CHANGES[kind]
    asked = list(dict.fromkeys((call.read, call.params) for call, _ in record.answers))
    for read, params in asked:
        first = next(answer for call, answer in record.answers if (call.read, call.params) == (read, params))
        every = [place for place in places(first) if place and fits(part_of(first, place))]
        if kind == "missing":  # a row that is missing is a list cut short: see below
            every = [place for place in every if isinstance(place[-1], str)]
        step = 1 if most is None else max(1, len(every) // most)
        for place in every[::step]:
            answers: list[tuple[ExchangeCall, Any]] = []
            for call, answer in record.answers:
                hit = (call.read, call.params) == (read, params)
                try:
                    answers.append((call, changed(answer, place, change) if hit else answer))
                except (KeyError, IndexError, TypeError):
                    answers.append((call, answer))
            yield f"{read} {'.'.join(map(str, place))} {kind}", record.judged(answers)


DAMAGES = [(name, kind) for name in NAMES for kind in CHANGES if (name, kind) != ("plain", "emptied")]  # nothing else tells of its balances


@pytest.mark.parametrize(("name", "kind"), [each for each in DAMAGES if each[0] in BY_DEFAULT or each[1] == "emptied"])
def test_an_answer_with_one_part_that_is_wrong(name: str, kind: str) -> None:
    for fault, result in tried(name, kind, UNTIL):
        allowed(result, recording(name).truth, f"{name}: {fault}", names=kind != "an unknown word")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), DAMAGES)
def test_an_answer_with_any_part_that_is_wrong(name: str, kind: str) -> None:
    for fault, result in tried(name, kind, None):
        allowed(result, recording(name).truth, f"{name}: {fault}", names=kind != "an unknown word")


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_to_one_read(name: str) -> None:
    record = recording(name)
    for read in dict.fromkeys(call.read for call, _ in record.answers):
        answers = [(call, SourceError("out of order") if call.read == read else answer) for call, answer in record.answers]
        allowed(record.judged(answers), record.truth, f"{name}: {read} fails")
        empties: tuple[Any, ...] = ([], {})
        for empty in empties:
            answers = [(call, empty if call.read == read else answer) for call, answer in record.answers]
            allowed(record.judged(answers), record.truth, f"{name}: {read} is {empty}")


def test_the_judge_catches_what_it_should() -> None:
    """A balance that is another one, an account that is gone, an account twice: none of them passes."""
    truth = recording("plain").truth
    double = plain.PlainExchange(balances={"USDT": "1000.11", "USDC": "250.00"})
    other = reading(double)
    for wrong in (
        other,
        Found([], list(truth.reports)),
        Found([*truth.accounts, *truth.accounts], list(truth.reports)),
        Found(list(truth.accounts), [SourceReport(id="main", kind="exchange", status="failed")]),
    ):
        with pytest.raises(AssertionError):
            allowed(wrong, truth, "planted")
