"""Several faulty nodes at once, in the order that a seed gives: complete while one node is sound, and never wrong."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from defi_risk.errors import SourceError
from tests.fault.chaos import Fault, nodes
from tests.fault.faults import FAULTS, PATIENT, PHASES
from tests.fault.test_nodes import assert_right, outcome, scan
from tests.fault.world import World

# the first two tell of another block, which ends in a dispute while a third node is down; the others cost real time
LEFT_OUT = ("another fork", "old state", "black hole", "drips its headers", "drips its body", "answers late")
NAMES = [name for name in FAULTS if name not in LEFT_OUT]

LIARS = {
    "forged time": Fault("time", world=lambda world, _: replace(world, late=3)),
    "another fork": Fault("fork", world=lambda world, _: replace(world, fork=1)),
    "another chain": Fault("chain", world=lambda world, _: replace(world, chain_id=5)),
    "an old block": Fault("old", world=lambda world, _: replace(world, head=world.head - 20)),
    "no contracts": Fault("empty", answer=FAULTS["result null"].fault.answer),
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("name", LIARS)
def test_one_liar_among_three_is_found(name: str, phase: str) -> None:
    with nodes(World(), World(), World()) as [liar, *honest]:
        liar.fail(LIARS[name], phase)
        source, answers = scan(PATIENT, liar, *honest)
        assert_right(World(), source, answers)
        if phase != "anchor" and name != "another chain":  # which is asked with the anchor only
            assert source.notes, "a liar without a trace"


@pytest.mark.parametrize("seed", range(60))
def test_faults_at_random_with_one_sound_node(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a seed is the point
    with nodes(World(), World(), World()) as started:
        chance.shuffle(started)
        for node in started[:2]:
            node.fail(FAULTS[chance.choice(NAMES)].fault, chance.choice([*PHASES, None]), chance.choice([1, 2, 3, 10**9]))
        source, answers = scan(PATIENT, *sorted(started, key=lambda node: node.port))
        assert_right(World(), source, answers)


@pytest.mark.parametrize("seed", range(60))
def test_faults_at_random_on_every_node(seed: int) -> None:
    chance = random.Random(1_000 + seed)  # noqa: S311  # a seed is the point
    with nodes(World(), World()) as started:
        for node in started:
            node.fail(
                FAULTS[chance.choice([name for name in NAMES if not FAULTS[name].fault.world])].fault, chance.choice([*PHASES, None]), 2
            )
        found = outcome(PATIENT, *started)
        if isinstance(found, SourceError):
            assert found.message
            assert "k3y" not in str(found)
        else:
            assert_right(World(), *found)
        assert sum(len(node.requests) for node in started) <= 3 * 6 + 16
