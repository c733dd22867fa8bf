"""A venue's service beside the chain: one wait a round for both, and whatever it does it costs nobody but who asked it."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from defi_risk import engine
from defi_risk.engine import Findings, Job
from defi_risk.errors import BadAnswer, DefiRiskError, RateLimited, ServiceFailed, Undecodable, Unreachable
from defi_risk.model import Account, Owner, Side
from defi_risk.sources.cache import Cache
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from defi_risk.spi import Context, Failed, InfoCall, Market, Reading
from tests.fault.chaos import ChaosNode, Fault, nodes
from tests.fault.faults import FAULTS, PATIENT, RIGHT, Case, black_hole, status, text
from tests.fault.service import services
from tests.fault.test_leaks import Canary
from tests.fault.world import CONTRACT, ETHEREUM, NOW, VAULT, TestClock, World, owner
from tests.kiosk import Kiosk, answers

OWNER = Owner(owner(1))
PLAIN = (
    "refuses connections", "resets in body", "answers late", "HTTP 429, retry after 1 s", "HTTP 500", "redirect to itself", "web page",
    "truncated JSON", "200 MB", "gzip bomb", "gzip",
)  # fmt: skip
"""Faults that are tried in every run; the others where there is time."""
WIRES = {name: case for name, case in FAULTS.items() if case.fault.wire is not None and name != "JSON that is no answer"}


class Vault:
    """A venue that is on the chain alone, read in as many rounds."""

    name: ClassVar[str] = "vault"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Vault"
    roots: ClassVar[tuple[str, ...]] = ()

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        for _ in range(2):
            yield [VAULT(CONTRACT, "shares", owner.address)]
        return [Account(id=market.account_id(owner), owner=owner.address, side=Side.LENDING, venue="Vault", market=market.name)]


@dataclass
class Scan:
    """How reading a kiosk and a vault ended."""

    found: Findings
    source: ChainSource
    clock: TestClock

    @property
    def kiosk(self) -> Account:
        return self.found.accounts[0]


def opened(node: ChaosNode) -> ChainSource:
    """The chain of a node, with a minute to read it."""
    return ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, TestClock()), limits=PATIENT)


def scan(node: ChaosNode, api: str, *, limits: Limits = PATIENT, cache: Cache | None = None, seconds: float = 60, kiosks: int = 1) -> Scan:
    """Read kiosks (wallets 1, 2, ...) and a vault over one node and one service."""
    clock = TestClock()
    owners = [Owner(owner(number + 1)) for number in range(kiosks)]
    market = Market("kiosk", ETHEREUM, "kiosk", (("api", api),))
    jobs = [Job(Kiosk(), one, market) for one in owners] + [Job(Vault(), OWNER, Market("vault", ETHEREUM, "vault"))]
    with ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(seconds, clock), limits=limits, cache=cache) as source:
        at = source.anchor
        found = engine.read(source, jobs, Context(ETHEREUM, at.number, at.timestamp))
        source.finish()
    assert found.accounts[-1].known, "the vault has nothing to do with the service"
    return Scan(found, source, clock)


# -- the good case ------------------------------------------------------------


def test_coins_of_the_service_and_shares_of_the_chain_make_one_account() -> None:
    with nodes(World()) as [node], services(None) as [service]:
        done = scan(node, service.url)
    held = {str(leg.factor): leg.amount.decimal() * leg.price.value.decimal() for leg in done.kiosk.legs if leg.price}
    assert held["BTC"] == Decimal("32500.25")
    assert held["xyz:GOLD"] == Decimal("47989.2")
    assert held["shares"] == Decimal(World().shares(OWNER.address, 1_000)).scaleb(-18)
    [report] = done.found.reports
    assert (report.id, report.kind, report.status, report.as_of, report.notes) == ("kiosk", "exchange", "ok", NOW, ("version 3",))
    assert (report.calls, report.round_trips) == (3, 2)


def test_a_round_that_asks_both_is_waited_for_once() -> None:
    """Node and service hold back their answers until both have been asked: one after the other would end in a timeout."""
    met = threading.Barrier(2, timeout=2)

    def hold(answer: Any) -> Any:
        met.wait()
        return answer

    def meet(question: str) -> None:
        if "version" not in question:
            met.wait()

    with nodes(World()) as [node], services(None) as [service]:
        service.before = meet
        node.fail(Fault("held", answer=hold), "reading")
        with opened(node) as source:
            before, node.phase = source.round_trips, "reading"
            market = Market("kiosk", ETHEREUM, "kiosk", (("api", service.url),))
            found = engine.read(source, [Job(Kiosk(), OWNER, market)], Context(ETHEREUM, 1_000, NOW))
            assert source.round_trips - before == 2
            assert source.calls == 5
    assert [account.known for account in found.accounts] == [True]


def test_equal_questions_of_a_round_are_asked_once_and_none_is_kept_for_another_scan(tmp_path: Path) -> None:
    reads: list[int] = []
    for _ in range(2):
        with nodes(World()) as [node], services(None) as [service]:
            done = scan(node, service.url, cache=Cache.open(tmp_path), kiosks=3)
            kinds = sorted(question.split()[0] + question.split()[-1] for question in service.asked)
            assert len(kinds) == len(set(service.asked)) == 5  # the state of each wallet, one version, one list of prices
            assert done.found.reports[0].calls == 5
            assert all(account.known for account in done.found.accounts)
            reads.append(node.methods.count("eth_call"))
    assert reads[0] > reads[1] == 0


def test_a_round_of_questions_alone_counts_as_one_wait() -> None:
    with nodes(World()) as [node], services(None) as [service], opened(node) as source:
        before = source.round_trips
        assert (
            source.answer([InfoCall(service.url, path="version"), InfoCall(service.url, path="version", optional=True)])
            == [{"number": 3}] * 2
        )
        assert source.answer([]) == []
        assert (source.calls, source.round_trips - before, len(service.asked)) == (1, 1, 1)


def test_four_questions_to_a_host_go_out_side_by_side_and_never_more() -> None:
    four = threading.Barrier(4, timeout=2)
    with nodes(World()) as [node], services({"x": 1}) as [service]:

        def meet(question: str) -> None:
            four.wait()

        service.before = meet
        with opened(node) as source:
            assert source.answer([InfoCall(f"{service.url}&n={n % 2}", path=f"x{n}") for n in range(12)]) == [1] * 12
        assert service.most == 4


def test_the_request_is_what_was_asked_and_where_the_setting_says() -> None:
    with nodes(World()) as [node], services({"": {}}) as [service]:
        with opened(node) as source:
            url = service.url.replace("http://", "http://us3r:w0rd@")
            source.answer([InfoCall(url, '{"type": "meta"}')])
            source.answer([InfoCall(url, path="open-trades?limit=5&x=a%20b")])
            source.answer([InfoCall(url.partition("?")[0] + "/", '{"q": 1}', "/deep/er")])
        heads = [head.decode().splitlines() for head in service.heads]
        assert [lines[0] for lines in heads] == [
            "POST /v3/k3y-of-the-path?apikey=k3y-of-the-query HTTP/1.1",
            "GET /v3/k3y-of-the-path/open-trades?apikey=k3y-of-the-query&limit=5&x=a%20b HTTP/1.1",
            "POST /v3/k3y-of-the-path/deep/er HTTP/1.1",
        ]
        assert all("Authorization: Basic dXMzcjp3MHJk" in lines for lines in heads)
        assert "Content-Type: application/json" in heads[0]
        assert service.asked[0].endswith('{"type": "meta"}')
        assert service.connections == 2  # one for each setting


# -- faults ------------------------------------------------------------


@pytest.mark.parametrize("name", [name if name in PLAIN else pytest.param(name, marks=pytest.mark.slow) for name in WIRES])
def test_a_fault_that_lasts_makes_one_unknown_account_and_shows_no_key(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    case = WIRES[name]
    with nodes(World()) as [node], services(None) as [service]:
        service.fail(case.fault)
        done = scan(node, service.url, limits=case.limits if case.errors else PATIENT)
        [report] = done.found.reports
        if case.errors == RIGHT:
            assert (done.kiosk.known, report.status, report.error) == (True, "ok", "")
        else:
            assert (done.kiosk.status, done.kiosk.side, report.status) == ("unknown", Side.DERIVATIVES, "failed")
            assert f"127.0.0.1:{service.port}" in done.kiosk.reason
            assert report.error == done.kiosk.reason
            assert len(service.asked) <= 4  # two questions, each at most twice
    assert "k3y" not in repr((done.found, done.source.notes, vars(done.source))) + caplog.text


CURED = [name for name, case in WIRES.items() if case.errors and issubclass(case.errors[0], Unreachable | RateLimited) and case.passing]


@pytest.mark.parametrize("name", [name if name in PLAIN else pytest.param(name, marks=pytest.mark.slow) for name in CURED])
def test_a_fault_that_passes_is_cured_by_asking_once_more(name: str) -> None:
    with nodes(World()) as [node], services(None) as [service]:
        service.fail(WIRES[name].fault, times=1)
        done = scan(node, service.url)
        assert (done.kiosk.known, done.found.reports[0].status) == (True, "ok")
        assert len(service.asked) == 4


@pytest.mark.parametrize(("header", "slept"), [("Retry-After: 7\r\n", 7.0), ("", 1.0), ("Retry-After: 3600\r\n", 0.0)])
def test_retry_after_is_honoured_where_there_is_time(header: str, slept: float) -> None:
    clock = TestClock()
    with nodes(World()) as [node], services({"x": 5}) as [service]:
        service.fail(Fault("429", wire=status("429 Slow", headers=header)), times=1)
        with ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, clock), limits=PATIENT) as source:
            [answer] = source.answer([InfoCall(service.url, path="x")])
    assert clock.slept == slept
    assert answer == 5 if slept else isinstance(answer, ServiceFailed)
    assert len(service.asked) == (2 if slept else 1)


def test_a_slow_service_leaves_time_for_the_chain_and_is_not_asked_again() -> None:
    with nodes(World()) as [node], services(None) as [service]:
        service.fail(Fault("black hole", wire=black_hole))
        done = scan(node, service.url, limits=Limits(seconds=60), seconds=0.8, kiosks=2)
        assert re.search(r"gave no full answer within 0\.(3\d+|4) s", done.kiosk.reason)
        assert len(service.asked) == 3
        with ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, TestClock()), limits=Limits(seconds=0.1)) as source:
            for _ in range(3):
                [answer] = source.answer([InfoCall(service.url, path="x")])
                assert isinstance(answer, ServiceFailed)
        assert len(service.asked) == 4


def test_a_redirect_leads_nowhere() -> None:
    canary = Canary()
    try:
        with nodes(World()) as [node], services(None) as [service]:
            headers = f"Location: http://127.0.0.1:{canary.port}/k3y\r\n"
            service.fail(Fault("302", wire=status("302 Found", headers=headers)))
            done = scan(node, service.url)
            assert "a redirect, which is never followed" in done.kiosk.reason
        assert canary.connections == 0
    finally:
        canary.close()


BAD_JSON = {
    "a name twice": b'{"mode": "cross", "mode": "isolated", "coins": [], "time": 1}',
    "NaN": b'{"mode": "cross", "coins": [], "time": NaN}',
    "deep": b'{"coins": ' * 80 + b"1" + b"}" * 80,
    "more JSON behind it": b'{"mode": "cross", "coins": [], "time": 1} {}',
    "another coding": '{"mode": "cross", "coins": [], "time": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_can_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with nodes(World()) as [node], services({'"state"': body, "version": {"number": 1}}) as [service]:
        assert scan(node, service.url).kiosk.reason == f"http://127.0.0.1:{service.port} answered with something that is not JSON"


SHAPES: dict[str, tuple[Any, str]] = {
    "null": (None, "state is null, not an object"),
    "a list": ([], "state is an array, not an object"),
    "a missing field": ({"mode": "cross"}, "state.coins is missing"),
    "a text for a number": (
        {"mode": "cross", "coins": [{"coin": "BTC", "amount": "NaN"}]},
        "state.coins[0].amount is the text 'NaN', not a number",
    ),
    "a negative amount": ({"mode": "cross", "coins": [{"coin": "BTC", "amount": -1}]}, "state.coins[0].amount is -1, which cannot be"),
    "a huge amount": (
        {"mode": "cross", "coins": [{"coin": "BTC", "amount": Decimal("1e999")}]},
        "state.coins[0].amount is beyond all bounds",
    ),
    "too many": ({"mode": "cross", "coins": [{}] * 101}, "state.coins has 101 items, more than 100"),
    "a mode of tomorrow": ({"mode": "quantum", "coins": []}, "mode quantum of Kiosk is not modelled"),
}


@pytest.mark.parametrize(("value", "reason"), SHAPES.values(), ids=SHAPES)
def test_json_of_another_shape_is_an_unknown_account_with_the_reason(value: Any, reason: str) -> None:
    with nodes(World()) as [node], services({**answers(), '"state"': value}) as [service]:
        done = scan(node, service.url)
    assert (done.kiosk.status, done.kiosk.reason) == ("unknown", reason)
    assert done.found.reports[0].status == "ok"  # it answered; what it said is the account's trouble


def test_a_service_behind_the_chain_is_stale() -> None:
    with nodes(World()) as [node], services(answers(NOW - 100)) as [service]:
        [report] = scan(node, service.url).found.reports
    assert (report.status, report.error, report.as_of) == ("stale", "100 s behind", NOW - 100)


def test_an_optional_question_that_fails_is_a_note() -> None:
    told = {**answers(), "version": b"oops"}
    with nodes(World()) as [node], services(told) as [service]:
        done = scan(node, service.url)
    [report] = done.found.reports
    assert (done.kiosk.known, report.status, report.error) == (True, "ok", "")
    assert report.notes == (f"http://127.0.0.1:{service.port} answered with something that is not JSON",)


# -- where it is ------------------------------------------------------------


def ask(service: str, path: str = "", body: str = "") -> Any:
    """The answer to one question over a good node."""
    with nodes(World()) as [node], opened(node) as source:
        [answer, optional] = source.answer([InfoCall(service, body, path), InfoCall(service, body, path, optional=True)])
    assert isinstance(optional, Failed) == isinstance(answer, DefiRiskError)
    return answer


def test_a_reference_is_resolved_where_it_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with services({"x": 7}) as [service]:
        monkeypatch.setenv("KIOSK_API", service.url)
        file = tmp_path / "api"
        file.write_text(service.url)
        file.chmod(0o600)
        assert [ask(text, "x") for text in ("${KIOSK_API}", "env:KIOSK_API", f"file:{file}")] == [7, 7, 7]


@pytest.mark.parametrize(
    ("service", "path", "said"),
    [
        ("", "", "no address is set"),
        ("${KIOSK_MISSING}", "", "environment variable KIOSK_MISSING is not set"),
        ("ftp://127.0.0.1/k3y", "", "is not an http(s) URL"),
        ("k3y-alone", "", "is not an http(s) URL"),
        ("http://[k3y", "", "is not an http(s) URL"),
        ("http://127.0.0.1:1/k3y", "a b", "a path that is none"),
        ("http://127.0.0.1:1/k3y", "x\r\nHost: y", "a path that is none"),
        ("http://127.0.0.1:1/k3y", "ü", "a path that is none"),
        ("http://127.0.0.1:1/k3y", "", "http://127.0.0.1:1: connection refused"),
    ],
)
def test_a_setting_that_leads_nowhere_says_so_without_its_secret(service: str, path: str, said: str) -> None:
    answer = ask(service, path)
    assert isinstance(answer, ServiceFailed)
    assert said in str(answer)
    assert "k3y" not in repr(answer) + str(answer) + repr(answer.__cause__)


@pytest.mark.parametrize("body", ["\ud800", "x" * 70_000, None, 5])
def test_a_question_that_cannot_be_sent_is_not(body: Any) -> None:
    answer = ask("http://127.0.0.1:1", body=body)
    assert isinstance(answer, ServiceFailed)
    assert "no text, or is far too long" in str(answer)


def test_an_answer_that_cannot_be_used_is_told_from_none() -> None:
    with services({"x": b"<html>k3y-of-the-path</html>"}) as [service]:
        answer = ask(service.url, "x")
    assert isinstance(answer, Undecodable)
    assert isinstance(answer, BadAnswer)
    assert str(answer) == f"http://127.0.0.1:{service.port} answered with a web page"


def test_a_chain_that_fails_does_not_wait_for_the_service() -> None:
    with nodes(World()) as [node], services(None) as [service]:
        service.fail(Fault("black hole", wire=black_hole))
        clock = TestClock()
        with ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, clock), limits=Limits(seconds=2)) as source:
            node.fail(FAULTS["HTTP 401"].fault)
            began = clock.now()
            with pytest.raises(DefiRiskError, match="HTTP 401"):
                source.answer([VAULT(CONTRACT, "decimals"), InfoCall(service.url, path="x")])
            assert clock.now() - began < 1.5


def test_every_kind_of_broken_connection_is_among_the_faults() -> None:
    assert len(WIRES) > 30
    assert {type(case) for case in WIRES.values()} == {Case}
    assert set(PLAIN) < set(WIRES)
    assert {name for name in WIRES if "gzip" in name or "HTTP 5" in name} >= {"gzip bomb", "gzip cut off", "HTTP 500", "HTTP 503"}
    assert text(b"") is not None
