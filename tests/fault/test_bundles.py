"""Many reads in few requests: the ways of sending them, and the one read that spoils a request."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from defi_risk.errors import BadAnswer, CallReverted, Undecodable
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from defi_risk.spi import Ask, Call, Failed, NativeBalance
from tests.fault.chaos import ChaosNode, nodes
from tests.fault.world import CONTRACT, ETHEREUM, HEAD, VAULT, TestClock, World, owner

pytestmark = pytest.mark.slow
WAYS = {
    "Multicall3": World(),
    "override": World(multicall3=False),
    "batch": World(multicall3=False, overrides=False),
    "single": World(multicall3=False, overrides=False, batches=False),
}


@contextmanager
def source(world: World) -> Generator[tuple[ChainSource, ChaosNode]]:
    deadline, limits = Deadline(60, TestClock()), Limits(5.0, 500_000)
    with nodes(world) as [node], ChainSource.open(ETHEREUM, [node.url], deadline=deadline, limits=limits) as opened:
        yield opened, node


def shares(count: int, start: int = 0) -> list[Ask]:
    return [VAULT(CONTRACT, "shares", owner(number)) for number in range(start, start + count)]


def right(asks: Sequence[Ask]) -> list[int]:
    world = World()
    return [world.shares(ask.args[0], HEAD) for ask in asks if isinstance(ask, Call)]


def poison(number: int) -> Call:
    return VAULT(CONTRACT, "poison", number)


# -- outcomes -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hash", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_answers(way: str, by_hash: bool) -> None:
    world = WAYS[way]
    with source(replace(world, by_hash=by_hash)) as (chain, node):
        asks = [
            *shares(3),
            NativeBalance(owner(7)),
            VAULT(CONTRACT, "symbol"),
            VAULT(CONTRACT, "pair"),
            *(VAULT(CONTRACT, name) for name in ("refuses", "silent", "nothing", "lookup")),
            *(VAULT(CONTRACT, name, optional=True) for name in ("refuses", "silent", "nothing")),
            VAULT(owner(99), "symbol"),
        ]
        found = chain.answer(asks)
        chain.finish()
        assert found[:5] == [*right(shares(3)), world.balance(owner(7), HEAD), "VLT"]
        assert found[5] == (HEAD, CONTRACT)
        assert found[5].left == HEAD
        kinds = [CallReverted, CallReverted, Undecodable, CallReverted, Failed, Failed, Failed, Undecodable]
        assert [type(answer) for answer in found[6:]] == kinds
        assert "not today" in str(found[6])
        assert "refuses of 0x0A0A" in str(found[6])
        assert "without a reason" in str(found[7])
        assert "never followed" in str(found[9])
        assert "not today" in found[10].reason
        assert ("compared at the end" in " ".join(chain.notes)) is not by_hash
        assert node.methods.count("eth_chainId") == (2 if way == "single" else 1)


@pytest.mark.parametrize("way", WAYS)
def test_reads_are_pinned_to_the_anchor_while_the_chain_goes_on(way: str) -> None:
    with source(replace(WAYS[way])) as (chain, node):
        first = chain.answer(shares(3))
        node.world.head += 5
        assert chain.answer(shares(3, start=50)) == right(shares(3, start=50))
        assert first == right(shares(3))
        chain.finish()


def test_equal_reads_are_asked_once() -> None:
    with source(World()) as (chain, node):
        once, again = VAULT(CONTRACT, "decimals"), VAULT(CONTRACT, "decimals", optional=True)
        assert chain.answer([once, again, once, VAULT(CONTRACT, "decimals", forever=True)]) == [18] * 4
        assert chain.calls == 1
        assert chain.answer([VAULT(CONTRACT, "decimals", forever=True)]) == [18]
        assert chain.calls == 1
        assert chain.answer([]) == []
        assert len(node.requests) == 2


def test_arguments_that_cannot_be_encoded_fail_alone() -> None:
    with source(World()) as (chain, _):
        bad: list[Ask] = [
            VAULT(CONTRACT, "shares"),
            VAULT(CONTRACT, "shares", 7),
            VAULT(CONTRACT, "poison", -1),
            VAULT(CONTRACT, "no_such"),
        ]
        found = chain.answer([*bad, *shares(1)])
        assert [type(answer).__name__ for answer in found[:4]] == ["PluginError"] * 4
        assert found[4:] == right(shares(1))


# -- counts -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("calls", "requests", "waits"), [(1, 1, 1), (500, 1, 1), (501, 2, 1), (2_000, 4, 1), (2_600, 6, 1)])
def test_chunks_go_out_side_by_side(calls: int, requests: int, waits: int) -> None:
    with source(World()) as (chain, node):
        asks = shares(calls)
        assert chain.answer(asks) == right(asks)
        chain.finish()
        assert node.methods.count("eth_call") == requests
        assert chain.round_trips == 1 + waits
        assert chain.calls == calls


def test_chunks_are_bounded_in_bytes() -> None:
    with source(World()) as (chain, node):
        world = World()
        asks: list[Ask] = [VAULT(CONTRACT, "shares", owner(number)) for number in range(499)]
        assert chain.answer(asks) == [world.shares(owner(number), HEAD) for number in range(499)]
        assert max(map(len, node.bodies)) < 1_000_000


def test_batches_hold_a_hundred() -> None:
    with source(World(multicall3=False, overrides=False)) as (chain, node):
        asks = shares(250)
        assert chain.answer(asks) == right(asks)
        assert sorted(len(methods) for _, methods in node.requests)[-3:] == [50, 100, 100]


def test_batches_shrink_to_what_the_node_takes() -> None:
    with source(World(multicall3=False, overrides=False, batch_limit=10)) as (chain, node):
        asks = shares(40)
        assert chain.answer(asks) == right(asks)
        assert chain.answer(shares(20, start=70)) == right(shares(20, start=70))
        assert [len(methods) for _, methods in node.requests][-2:] == [10, 10]


# -- what is not what it seems ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["other", "reverting"])
def test_another_contract_at_the_address_of_multicall3(code: str) -> None:
    with source(World(multicall3_code=code)) as (chain, _):
        assert chain.answer(shares(9)) == right(shares(9))
        assert chain.answer(shares(9, 20)) == right(shares(9, 20))
        assert "is not Multicall3" in " ".join(chain.notes)


@pytest.mark.parametrize("way", ["Multicall3", "override"])
def test_an_answer_about_another_block_is_never_taken(way: str) -> None:
    with source(replace(WAYS[way])) as (chain, node):
        node.world.late = 12
        with pytest.raises(BadAnswer, match="answered about another block"):
            chain.answer(shares(3))


# -- poison -------------------------------------------------------------------------------------------------------------------------------

KINDS = {
    "burns nearly all gas": World(poison="burn", gas_cap=20_000),
    "burns all gas": World(poison="exhaust", gas_cap=20_000),
    "returns a megabyte": World(poison="huge"),
    "breaks the node": World(poison="internal"),
}


@pytest.mark.parametrize(
    ("kind", "way", "place"),
    [
        *((kind, way, 250) for kind in KINDS for way in ("Multicall3", "override", "batch")),
        *(("burns nearly all gas", "Multicall3", at) for at in (0, 499)),
    ],
)
def test_one_poisoned_read_of_500_fails_alone(kind: str, way: str, place: int) -> None:
    offered = WAYS[way]
    world = replace(KINDS[kind], multicall3=offered.multicall3, overrides=offered.overrides)
    with source(world) as (chain, node):
        asks = shares(499)
        found = chain.answer([*asks[:place], poison(1), *asks[place:]])
        blamed = found.pop(place)
        assert found == right(asks)
        assert isinstance(blamed, CallReverted | BadAnswer)
        assert "poison of 0x0A0A" in str(blamed)
        assert chain.round_trips <= 32
        assert len(node.requests) <= 41
        following = shares(30, start=700)
        assert chain.answer(following) == right(following)


def test_a_cap_on_gas_halves_requests_and_is_remembered() -> None:
    with source(World(gas_cap=120)) as (chain, node):
        asks = shares(500)
        assert chain.answer(asks) == right(asks)
        before = len(node.requests)
        assert chain.answer(shares(200, start=600)) == right(shares(200, start=600))
        assert len(node.requests) - before == 4  # 62 a request, the most that worked


def test_neighbours_starved_of_gas_are_asked_again() -> None:
    """The burner leaves a 64th of the gas: reads after it fail silently, and would be taken for reverts."""
    with source(World(poison="burn", gas_cap=6_400)) as (chain, _):
        asks = shares(300)
        found = chain.answer([poison(1), *asks])
        assert found[1:] == right(asks)
        assert isinstance(found[0], CallReverted)


@pytest.mark.parametrize("way", ["Multicall3", "override"])
def test_a_read_that_starves_inside_a_bundle_that_ends_well_is_asked_again_alone(way: str) -> None:
    """Too little gas is left for the heavy read, enough for those after it: nothing but its silence tells that it was starved."""
    with source(replace(WAYS[way], poison="burn", gas_cap=6_400)) as (chain, _):
        found = chain.answer([poison(1), VAULT(CONTRACT, "heavy"), *shares(5)])
        assert isinstance(found[0], CallReverted)
        assert found[1] == 7
        assert found[2:] == right(shares(5))


@pytest.mark.parametrize("way", ["Multicall3", "override"])
def test_where_gas_was_ample_a_silent_failure_costs_no_second_wait(way: str) -> None:
    with source(replace(WAYS[way])) as (chain, _):
        chain.answer(shares(2))
        before = chain.round_trips
        found = chain.answer([VAULT(CONTRACT, "silent", optional=True), *shares(5, start=10)])
        assert isinstance(found[0], Failed)
        assert found[1:] == right(shares(5, start=10))
        assert chain.round_trips == before + 1


def test_a_large_answer_is_split() -> None:
    with source(World()) as (chain, _):
        asks = [poison(2**255 + number) for number in range(2_000)]
        chain.answer(asks[:1])
        assert chain.answer(asks) == [2**255 + number for number in range(2_000)]
