"""The sequencer's uptime feed, read beside the adapters."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from defi_risk import engine, sequencer
from defi_risk.ids import ChainId, checksum
from defi_risk.model import Chain
from defi_risk.spi import Ask, Context, Failed
from tests.unit.test_engine import Answers

NOW = 1_700_000_000
ROLLUP = Chain(ChainId(42161), "arbitrum")
FEED = checksum("f" * 40)


class Round(NamedTuple):
    """What `latestRoundData` returns."""

    roundId: int
    answer: int
    startedAt: int
    updatedAt: int
    answeredInRound: int


def finding(answer: Any) -> str:
    asked: list[Ask] = []

    def reply(ask: Ask) -> Any:
        asked.append(ask)
        return answer

    watch = sequencer.Watch()
    owner, market = sequencer.market(ROLLUP, FEED)
    found = engine.read(Answers(reply), [engine.Job(watch, owner, market)], Context(ROLLUP, 1, NOW))
    assert not found.accounts
    assert [ask.to for ask in asked if not isinstance(ask, Failed)] == [FEED]  # type: ignore[union-attr]  # it asks no balance
    return watch.finding


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Round(1, 0, NOW - 3_600, NOW, 1), ""),
        (Round(1, 0, 0, NOW, 1), ""),
        (Round(1, 0, NOW - 3_599, NOW, 1), "came back 3599 s ago, inside its grace period of 3600 s"),
        (Round(1, 1, NOW - 700, NOW, 1), "down for 700 s"),
        (Failed("reverted"), "could not be read"),
    ],
)
def test_what_the_feed_says(answer: Any, says: str) -> None:
    found = finding(answer)
    assert says in found
    assert bool(found) == bool(says)
