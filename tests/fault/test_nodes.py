"""Each fault of a node in each phase of a scan: the answer is right, or the error is; a wrong value never."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from defi_risk.errors import DefiRiskError, Disagreement, SourceError
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from defi_risk.spi import Ask, NativeBalance
from tests.fault.chaos import ChaosNode, nodes
from tests.fault.faults import FAULTS, PHASES, Case
from tests.fault.world import CONTRACT, ETHEREUM, VAULT, TestClock, World, owner

pytestmark = pytest.mark.slow
ROUND_1: list[Ask] = [*(VAULT(CONTRACT, "shares", owner(n)) for n in range(5)), VAULT(CONTRACT, "decimals"), NativeBalance(owner(1))]
ROUND_2: list[Ask] = [*(VAULT(CONTRACT, "shares", owner(n)) for n in range(90, 93)), VAULT(CONTRACT, "refuses", optional=True)]


def scan(limits: Limits, *endpoints: ChaosNode) -> tuple[ChainSource, list[object]]:
    """A scan of two rounds; every node is told the phase."""

    def phase(name: str) -> None:
        for node in endpoints:
            node.phase = name

    phase("anchor")
    source = ChainSource.open(ETHEREUM, [node.url for node in endpoints], deadline=Deadline(60, TestClock()), limits=limits)
    with source:
        answers: list[object] = []
        for name, asks in (("round 1", ROUND_1), ("round 2", ROUND_2)):
            phase(name)
            answers += source.answer(asks)
        phase("finish")
        source.finish()
    return source, answers


def truth(world: World, number: int) -> list[object]:
    """The right answers at a block, without the optional one that fails."""
    return [
        *(world.shares(owner(n), number) for n in range(5)),
        18,
        world.balance(owner(1), number),
        *(world.shares(owner(n), number) for n in range(90, 93)),
    ]


def assert_right(world: World, source: ChainSource, answers: list[object]) -> None:
    assert source.anchor.hash == world.hash_of(source.anchor.number)
    assert answers[:-1] == truth(world, source.anchor.number)
    assert "not today" in getattr(answers[-1], "reason", "")


@pytest.fixture
def pair() -> Iterator[list[ChaosNode]]:
    with nodes(World(), World()) as started:
        yield started


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_a_lasting_fault_of_the_only_node_is_right_or_tells_why(case: Case, phase: str) -> None:
    with nodes(World()) as [node]:
        node.fail(case.fault, phase)
        found = outcome(case.limits, node)
        if isinstance(found, SourceError):
            assert isinstance(found, case.errors), repr(found)
            assert "k3y" not in f"{found} {found!r} {found.__context__!r} {found.__cause__!r}"
            assert f"127.0.0.1:{node.port}" in str(found)
        elif case.fault.world:
            assert_consistent(node, case, *found)
        else:
            assert_right(node.world, *found)
        assert len(node.requests) <= 3 * 4 + 8, node.requests


def outcome(limits: Limits, *endpoints: ChaosNode) -> tuple[ChainSource, list[object]] | SourceError:
    try:
        return scan(limits, *endpoints)
    except SourceError as error:
        return error


def assert_consistent(node: ChaosNode, case: Case, source: ChainSource, answers: list[object]) -> None:
    """A node that serves another world may be believed as long as everything fits together."""
    for world in (node.world, *(case.fault.world(replace(node.world), count) for count in range(2) if case.fault.world)):
        if source.anchor.hash == world.hash_of(source.anchor.number):
            assert_right(world, source, answers)
            return
    raise AssertionError("an anchor of no world")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_with_a_healthy_second_node_everything_is_complete(pair: list[ChaosNode], case: Case, phase: str) -> None:
    ill, healthy = pair
    ill.fail(case.fault, phase)
    if case.fault.name in ("fork", "old") and phase == "anchor":  # one of two says otherwise: nobody can tell which is right
        with pytest.raises(Disagreement, match="nodes differ about block 1000"):
            scan(case.limits, ill, healthy)
        return
    source, answers = scan(case.limits, ill, healthy)
    assert_right(healthy.world, source, answers)
    assert len(ill.requests) + len(healthy.requests) <= 3 * 5 + 16


@pytest.mark.parametrize(("name", "phase"), [(name, phase) for name, case in FAULTS.items() for phase in PHASES if phase in case.passing])
def test_a_fault_that_passes_leaves_no_trace(name: str, phase: str) -> None:
    with nodes(World()) as [node]:
        node.fail(FAULTS[name].fault, phase, times=1)
        source, answers = scan(FAULTS[name].limits, node)
        assert_right(node.world, source, answers)


def test_errors_of_asks_are_of_the_tree() -> None:
    with nodes(World()) as [node], ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(9, TestClock())) as source:
        answers = source.answer([VAULT(CONTRACT, name) for name in ("refuses", "silent", "nothing", "lookup")])
        assert all(isinstance(answer, DefiRiskError) for answer in answers)
