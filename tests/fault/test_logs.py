"""Transfers in logs, read from nodes on loopback: nodes of every habit and every fault, and a scan that none of them can hurt."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from defi_risk import trails
from defi_risk.book import parse
from defi_risk.errors import BadAnswer, Incapable, Refused, Reorged, SourceError
from defi_risk.ids import ZERO_ADDRESS, Address, Factor, account_id, checksum, erc20_id
from defi_risk.linking import How, Mark, Search, Seen, Transfer
from defi_risk.model import TRANSFER, Account, Asset, Custody, Leg, Proof, Role, Side
from defi_risk.sources import logs
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from defi_risk.units import Quantity
from tests.fault.chaos import ChaosNode, Fault, nodes
from tests.fault.faults import FAULTS, Case, black_hole
from tests.fault.world import ETHEREUM, HEAD, Json, Reverted, TestClock, World

A, B, STRANGER, TOKEN, ATOKEN, DEBT, VAULT, SYNTH = (checksum(f"{n:02x}" * 20) for n in range(0xA1, 0xA9))
EVENT = "MarginTransferred(address,int256)"
SEARCH = Search(ETHEREUM.id, (TOKEN, DEBT, SYNTH), (EVENT,), (A, B))
ONE = 10**6


def word(address: Address) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def hashed(number: int) -> str:
    return f"0x{number:064x}"


@dataclass
class LogWorld(World):
    """A chain with transfers and a margin event. It refuses `refusal` for more than `most_blocks` or `most_logs`."""

    transfers: Sequence[tuple[int, Address, Address, Address, int]] = (
        (901, DEBT, ZERO_ADDRESS, A, 12_000 * ONE),
        (901, TOKEN, ATOKEN, A, 12_000 * ONE),
        (930, TOKEN, A, B, 12_000 * ONE),
        (935, TOKEN, STRANGER, A, 0),
        (940, TOKEN, STRANGER, VAULT, 5 * ONE),
        (941, STRANGER, ATOKEN, A, 12_000 * ONE),
        (990, TOKEN, B, VAULT, 9_000 * ONE),
    )
    marks: Sequence[tuple[int, Address, Address]] = ((950, SYNTH, A), (951, SYNTH, STRANGER))
    most_blocks: int = 10**9
    most_logs: int = 10**9
    refusal: tuple[int, str] = (-32000, "block range is too large")
    patience: int = 10**9  # requests for logs before it wants no more
    spoil: Callable[[list[Json]], Json] | None = None
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def _result(self, method: str, params: Sequence[Any]) -> Json:
        return self._logs(params[0]) if method == "eth_getLogs" else super()._result(method, params)

    def _logs(self, asked: Mapping[str, Any]) -> Json:
        first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        self.ranges.append((first, last))
        if len(self.ranges) > self.patience:
            raise Reverted(code=429, message="too many requests")
        contracts = {address.lower() for address in asked["address"]}
        found = [log for log in self._all() if first <= int(log["blockNumber"], 16) <= last and log["address"] in contracts]
        found = [log for log in found if _matches(asked["topics"], log["topics"])]
        if last - first + 1 > self.most_blocks or len(found) > self.most_logs:
            raise Reverted(code=self.refusal[0], message=self.refusal[1])
        return self.spoil(found) if self.spoil else found

    def _all(self) -> Iterator[dict[str, Json]]:
        for number, (block, token, source, target, value) in enumerate(self.transfers):
            topics = [logs.topic(TRANSFER), word(source), word(target)]
            yield self._log(block, number, token, topics, value)
        for block, contract, about in self.marks:
            yield self._log(block, 77, contract, [logs.topic(EVENT), word(about)], 2**256 - 5)

    def _log(self, block: int, index: int, contract: Address, topics: list[str], value: int) -> dict[str, Json]:
        return {
            "address": contract.lower(),
            "topics": topics,
            "data": hashed(value),
            "blockNumber": hex(block),
            "blockHash": self.hash_of(block),
            "transactionHash": hashed(block),
            "transactionIndex": "0x0",
            "logIndex": hex(index),
            "removed": False,
        }


def _matches(asked: Sequence[Any], topics: Sequence[str]) -> bool:
    for place, wanted in enumerate(asked):
        choices = [wanted] if isinstance(wanted, str) else wanted
        if choices is not None and (place >= len(topics) or topics[place] not in choices):
            return False
    return True


@contextmanager
def opened(*endpoints: ChaosNode, limits: Limits | None = None) -> Generator[ChainSource]:
    given = limits or Limits(5.0, 1_000_000)
    with ChainSource.open(ETHEREUM, [node.url for node in endpoints], deadline=Deadline(60, TestClock()), limits=given) as source:
        yield source


def right(source: ChainSource, blocks: int = 500) -> None:
    """Everything that the world told, in its order: nothing empty, foreign or of other wallets."""
    seen = source.transfers(SEARCH, blocks, Deadline(30))
    assert (seen.chain, seen.since) == (1, max(0, HEAD - blocks + 1))
    assert [(one.block, one.token, one.source, one.target, one.value // ONE, one.index) for one in seen.transfers] == [
        (901, DEBT, ZERO_ADDRESS, A, 12_000, 0),
        (901, TOKEN, ATOKEN, A, 12_000, 1),
        (930, TOKEN, A, B, 12_000, 2),
        (990, TOKEN, B, VAULT, 9_000, 6),
    ]
    assert seen.marks == {Mark(SYNTH, EVENT, A, hashed(950))}
    assert all(one.transaction == hashed(one.block) for one in seen.transfers)


# -- what it costs -------------------------------------------------------------


def test_one_request_for_all_of_a_chain() -> None:
    with nodes(LogWorld()) as [node], opened(node) as source:
        before = len(node.requests), source.round_trips, source.calls
        right(source)
        assert (len(node.requests) - before[0], source.round_trips - before[1], source.calls - before[2]) == (1, 1, 3)
        assert node.requests[-1][1] == ["eth_getLogs", "eth_getLogs", "eth_getBlockByNumber"]
        assert source.notes == ()


def test_a_node_without_batches() -> None:
    with nodes(LogWorld(batches=False)) as [node], opened(node) as source:
        right(source)


@pytest.mark.parametrize(
    "refusal",
    [
        (-32005, "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0x102DBCC]."),
        (-32602, "range 500 exceeds limit of 100"),
        (-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
        (-32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 100 block range."),
        (-32614, "eth_getLogs is limited to a 100 range"),
        (-32000, "exceed maximum block range: 100"),
        (-32000, "requested too many blocks from 1 to 2, maximum is set to 100"),
        (-32701, "Please specify an address in your request or reduce the range"),
        (35, "ranges over 100 blocks are not supported on freetier"),
    ],
)
def test_whatever_a_node_says_where_it_looks_through_less(refusal: tuple[int, str]) -> None:
    with nodes(LogWorld(most_blocks=100, refusal=refusal)) as [node], opened(node) as source:
        right(source)
        assert node.world.ranges[:2] == [(501, 1000)] * 2  # type: ignore[attr-defined]  # a LogWorld
        assert source.round_trips <= 1 + 4
        assert source.notes == ()


def test_ranges_shrink_and_what_is_not_reached_is_a_note() -> None:
    head = 1_000_000
    paid = [(head - 5, TOKEN, ATOKEN, A, 1), (head - 300_000, TOKEN, A, B, 1), (head - 700_000, TOKEN, A, B, 1)]
    with nodes(LogWorld(head=head, late=-12 * (head - HEAD), most_blocks=10_000, transfers=paid)) as [node], opened(node) as source:
        seen = source.transfers(SEARCH, head, Deadline(30))
        assert [one.block for one in seen.transfers] == [head - 300_000, head - 5]
        rounds = logs.MOST_ROUNDS - 2  # of those, two are lost on larger ranges
        assert seen.since == head + 1 - 10_000 * (1 + (rounds - 1) * logs.MOST_RANGES)
        assert source.notes[-1].startswith(f"transfers are known from block {seen.since} on, not from 1: no time was left, or 8 rounds")
        assert source.round_trips == 1 + logs.MOST_ROUNDS
        assert len(source.notes) == 1


def test_no_round_begins_after_the_limit() -> None:
    with nodes(LogWorld()) as [node], opened(node) as source:
        seen = source.transfers(SEARCH, 500, Deadline(0))
        assert (seen.transfers, seen.since) == ((), HEAD + 1)
        assert "transfers could not be looked for: no time was left" in source.notes[-1]


def test_a_node_that_looks_through_next_to_nothing_is_a_note() -> None:
    with nodes(LogWorld(most_blocks=10)) as [node], opened(node) as source:
        seen = source.transfers(SEARCH, 500, Deadline(30))
        assert (seen.transfers, seen.since) == ((), HEAD + 1)
        assert source.notes[-1].startswith("transfers could not be looked for: ")
        assert "block range is too large" in source.notes[-1]


def test_more_transfers_than_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_TRANSFERS", 2)
    monkeypatch.setattr(logs, "SIZES", (100, 50))
    with nodes(LogWorld()) as [node], opened(node) as source:
        seen = source.transfers(SEARCH, 500, Deadline(30))
        assert [one.block for one in seen.transfers] == [990]
        assert seen.since == 951
        assert source.notes[-1] == "transfers are known from block 951 on, not from 501: there are more than 2"


def test_an_answer_too_large_to_take_is_asked_for_in_parts() -> None:
    many = [(block, TOKEN, STRANGER, A, 1) for block in range(520, 1_000)]
    with nodes(LogWorld(transfers=many, marks=())) as [node], opened(node, limits=Limits(5.0, 80_000)) as source:
        seen = source.transfers(SEARCH, 500, Deadline(30))
        assert len(seen.transfers) == len(many)
        assert source.notes == ()


# -- what is wrong or refused ---------------------------------------------------


def field_of(name: str, value: Json) -> Callable[[list[Json]], Json]:
    return lambda found: [{**log, name: value} for log in found]


def answer(value: Json) -> Callable[[list[Json]], Json]:
    return lambda found: value


def another_at_each_place(found: list[Json]) -> Json:
    return [*found, *({**log, "data": hashed(3)} for log in found)]


@pytest.mark.parametrize(
    "spoil",
    [
        field_of("blockNumber", hex(HEAD + 1)),
        field_of("blockNumber", "0x1"),
        field_of("blockNumber", 900),
        field_of("blockNumber", "latest"),
        field_of("logIndex", None),
        field_of("removed", True),
        field_of("address", STRANGER.lower()),
        field_of("address", "0x12"),
        field_of("topics", []),
        field_of("topics", "0x"),
        field_of("topics", [logs.topic(TRANSFER), word(STRANGER), word(VAULT)]),
        field_of("topics", [logs.topic("Approval(address,address,uint256)"), word(A), word(B)]),
        field_of("topics", [logs.topic(TRANSFER), "0x" + "f" * 64, word(A)]),
        field_of("topics", [logs.topic(TRANSFER), word(A)[:-1], word(A)]),
        field_of("topics", [logs.topic(EVENT), word(STRANGER)]),
        field_of("data", "0xabc"),
        field_of("data", 7),
        field_of("transactionHash", "0x" + "z" * 64),
        field_of("transactionHash", None),
        field_of("blockNumber", hex(HEAD)),
        another_at_each_place,
        answer("0x"),
        answer([7]),
        answer({"logs": []}),
        answer(None),
    ],
)
def test_logs_that_were_not_asked_for_or_cannot_be(spoil: Callable[[list[Json]], Json]) -> None:
    with nodes(LogWorld(spoil=spoil)) as [node], opened(node) as source, pytest.raises(BadAnswer):
        source.transfers(SEARCH, 500, Deadline(30))


@pytest.mark.parametrize("spoil", [field_of("topics", [logs.topic(TRANSFER), word(A), word(B), word(A)]), field_of("data", "0x")])
def test_other_kinds_of_tokens_are_no_transfers(spoil: Callable[[list[Json]], Json]) -> None:
    with nodes(LogWorld(spoil=spoil, marks=())) as [node], opened(node) as source:
        assert source.transfers(SEARCH, 500, Deadline(30)).transfers == ()


def test_a_chain_that_changed_since() -> None:
    with nodes(LogWorld()) as [node], opened(node) as source:
        node.world.fork = 1
        with pytest.raises(Reorged):
            source.transfers(SEARCH, 500, Deadline(30))


@pytest.mark.parametrize(
    ("refusal", "error"), [((-32601, "the method eth_getLogs does not exist"), Incapable), ((-32000, "not allowed for this key"), Refused)]
)
def test_a_node_that_serves_no_logs_is_asked_once_and_another_one_may(refusal: tuple[int, str], error: type[SourceError]) -> None:
    without = LogWorld(most_blocks=0, refusal=refusal)
    with nodes(without, LogWorld()) as [node, other]:
        with opened(node) as source, pytest.raises(error):
            source.transfers(SEARCH, 500, Deadline(30))
        assert node.methods.count("eth_getLogs") == 2
        with opened(node, other) as source:
            right(source)


def attempt(source: ChainSource) -> Seen | SourceError:
    try:
        return source.transfers(SEARCH, 500, Deadline(30))
    except SourceError as error:
        return error


def test_what_was_known_before_a_node_gave_up_stays_known() -> None:
    with nodes(LogWorld(most_blocks=100, patience=4)) as [node], opened(node) as source:
        seen = source.transfers(SEARCH, 500, Deadline(30))
        assert ([one.block for one in seen.transfers], seen.since) == ([901, 901, 930, 990], 901)
        assert "too many requests" in source.notes[-1]
        assert source.notes[-1].startswith("transfers are known from block 901 on, not from 501: ")


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_every_fault_of_a_node_while_logs_are_read(case: Case) -> None:
    """All, or nothing and a reason, or less and a note: a transfer that is not there never."""
    with nodes(LogWorld()) as [node], opened(node, limits=case.limits) as source:
        node.phase = "logs"
        node.fail(case.fault, "logs")
        sent = len(node.requests)
        seen = attempt(source)
        if isinstance(seen, SourceError):
            assert "k3y" not in f"{seen} {seen!r}"
        else:
            assert set(seen.transfers) <= {
                Transfer(token, source_, target, value, block, place, hashed(block))
                for place, (block, token, source_, target, value) in enumerate(LogWorld().transfers)
            }
            assert seen.since == HEAD - 499 or source.notes
        assert len(node.requests) - sent <= 3 * logs.MOST_ROUNDS + 8


# -- a scan is never hurt ------------------------------------------------------


def account(name: str, owner: Address, side: Side, role: Role, custody: Custody) -> Account:
    asset = Asset(erc20_id(ETHEREUM.id, TOKEN), "USDC", 6)
    leg = Leg(role=role, asset=asset, factor=Factor("USDC"), amount=Quantity(12_000 * ONE, 6))
    identity = account_id(ETHEREUM.id, name, "", owner)
    return Account(
        id=identity, owner=owner, side=side, venue=name, market=name, chain="ethereum", legs=(leg,), custody=(custody,)
    )  # fmt: skip


ASSET = erc20_id(ETHEREUM.id, TOKEN)
LOAN = account("aave", A, Side.LENDING, Role.DEBT, Custody(asset=ASSET, holder=ATOKEN, proofs=(Proof(DEBT),)))
MARGIN = account("perp", B, Side.DERIVATIVES, Role.MARGIN, Custody(asset=ASSET, holder=VAULT, proofs=()))


def links(source: ChainSource, text: str = "", accounts: Sequence[Account] = (LOAN, MARGIN), wallets: Sequence[Address] = (A, B)) -> Any:
    book = parse(text, "desk.toml")
    return trails.follow(book, accounts, wallets, {ETHEREUM.id: source}, Deadline(30))


def test_the_chain_of_transactions() -> None:
    with nodes(LogWorld()) as [node], opened(node) as source:
        [link] = links(source)
    assert (link.loan, link.margin, link.how, str(link.amount)) == (LOAN.id, MARGIN.id, How.TRACED, "9000")
    assert [(hop.block, hop.source, hop.target, hop.amount) for hop in link.hops] == [
        (901, ATOKEN, A, 9_000 * ONE),
        (930, A, B, 9_000 * ONE),
        (990, B, VAULT, 9_000 * ONE),
    ]


def test_nothing_is_asked_where_nothing_can_be_found() -> None:
    tag = f'[[links]]\nloan = "{LOAN.id}"\nmargin = "{MARGIN.id}"\n'
    with nodes(LogWorld()) as [node], opened(node) as source:
        sent = len(node.requests)
        assert links(source, "[model]\nfollow_days = 0\n") == ()
        assert links(source, tag) == ()
        assert links(source, accounts=[LOAN]) == ()
        assert links(source, accounts=[MARGIN]) == ()
        assert links(source, wallets=[A, B, *(checksum(f"{n:040x}") for n in range(1, 50))]) == ()
        assert len(node.requests) == sent
        assert source.notes == ("transfers were not followed between more than 50 wallets",)


def test_the_look_back_is_in_days() -> None:
    with nodes(LogWorld()) as [node], opened(node) as source:
        assert links(source, "[model]\nfollow_days = 0.01\n") == ()  # 72 blocks: the deposit and not the loan
        assert node.world.ranges == [(HEAD - 71, HEAD)] * 2  # type: ignore[attr-defined]  # a LogWorld


@pytest.mark.parametrize("world", [LogWorld(most_blocks=0, refusal=(-32601, "no such method")), LogWorld(spoil=answer(None))])
def test_a_node_without_logs_is_a_note(world: LogWorld) -> None:
    with nodes(world) as [node], opened(node) as source:
        assert links(source) == ()
        assert source.notes[-1].startswith("transfers could not be looked for: ")


def test_a_node_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "SECONDS", 0.05)
    monkeypatch.setattr(trails, "LEAST", 0.0)
    with nodes(LogWorld()) as [node], opened(node) as source:
        node.fail(Fault("hangs", wire=black_hole))
        clock = Deadline(60)
        assert links(source) == ()
        assert 60 - clock.left() < 2.0
        assert source.notes[-1] == "transfers could not be looked for within 0.1 s"


def test_without_time_nothing_is_asked() -> None:
    with nodes(LogWorld()) as [node], opened(node) as source:
        sent = len(node.requests)
        assert trails.follow(parse("", "desk.toml"), (LOAN, MARGIN), (A, B), {ETHEREUM.id: source}, Deadline(3)) == ()
        assert len(node.requests) == sent
        assert source.notes == ("transfers were not followed for want of time",)
