"""Past answers of price feeds, read from feeds kept in dictionaries, through the real ABI codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_abi.abi import encode

from defi_risk import abi, rounds
from defi_risk.engine import run
from defi_risk.ids import Address, ChainId, checksum
from defi_risk.model import Anchor, Chain
from defi_risk.rounds import Past
from defi_risk.spi import Ask, Call, Failed

NOW = 1_800_000_000
SINCE = NOW - 30 * 86_400
ETH, BTC, ODD = (checksum(byte * 20) for byte in ("aa", "bb", "cc"))
Answer = tuple[int, int]
"""Time and price of a round."""


@dataclass
class Aggregator:
    """A feed behind a proxy: rounds by phase and number; `says` is its description, None where it has none."""

    phases: Mapping[int, Mapping[int, Answer]]
    says: str | None = "ETH / USD"
    latest: int | None = None

    def answer(self, call: Call) -> object:
        match call.function:
            case "description":
                return self.says
            case "decimals":
                return 8
            case "latestRoundData":
                phase = max(self.phases, default=0)
                return self._round((phase << 64) + max(self.phases.get(phase, {0: 0})))
            case _:
                return self._round(call.args[0])

    def _round(self, number: int) -> tuple[int, int, int, int, int] | None:
        found = self.phases.get(number >> 64, {}).get(number & (2**64 - 1))
        return None if found is None else (number, found[1], found[0], found[0], number)


@dataclass
class Feeds:
    """A source that answers for feeds; `calls` are the rounds of questions."""

    feeds: Mapping[Address, Aggregator]
    calls: list[list[Call]] = field(default_factory=list)

    @property
    def anchor(self) -> Anchor:
        return Anchor(Chain(ChainId(1), "ethereum"), 1, "0x" + "00" * 32, NOW)

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        self.calls.append([ask for ask in asks if isinstance(ask, Call)])
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Ask) -> Any:
        assert isinstance(ask, Call)
        assert ask.optional
        abi.encode(ask)
        value = self.feeds[ask.to].answer(ask)
        if value is None:
            return Failed("reverted")
        outputs = abi.function_of(ask).outputs
        return abi.decode(ask, encode(list(outputs), list(value) if isinstance(value, tuple) else [value]))


def hourly(count: int, *, first: int = 1, end: int = NOW - 60) -> dict[int, Answer]:
    """So many rounds, an hour apart, the last one a minute ago."""
    return {first + index: (end - 3_600 * (count - 1 - index), 10**8 * (first + index)) for index in range(count)}


def read(*aggregators: Aggregator, coins: Sequence[str] = ("ETH",)) -> tuple[list[Past], Feeds]:
    source = Feeds(dict(zip((ETH, BTC, ODD), aggregators, strict=False)))
    return run(source, rounds.read(list(source.feeds), coins, SINCE)), source


def assert_whole(past: Past, *phases: Mapping[int, Answer]) -> None:
    """The rounds of 30 days, none left out, none twice."""
    held = sorted(answer for phase in phases for answer in phase.values() if answer[0] >= SINCE)
    assert list(past.rounds) == [(at, answer, 8) for at, answer in held]


@pytest.mark.parametrize("phase", [0, 1, 7])
def test_the_answers_of_thirty_days(phase: int) -> None:
    kept = hourly(1_500)
    [past], source = read(Aggregator({phase: kept}))
    assert_whole(past, kept)
    assert (past.coin, past.note, len(past.rounds)) == ("ETH", "", 720)
    assert [len(calls) for calls in source.calls] == [1, 2, 500, 500]


def test_feeds_are_told_by_what_they_say_and_read_side_by_side() -> None:
    ether, bitcoin = hourly(1_000), hourly(900, first=5)
    found, source = read(
        Aggregator({1: ether}, "ETH / USD"),
        Aggregator({1: bitcoin}, "BTC / USD"),
        Aggregator({1: hourly(10)}, "stETH / ETH"),
        coins=["BTC", "stETH", "NONE", "ETH"],
    )
    assert [past.coin for past in found] == ["BTC", "ETH"]
    assert_whole(found[0], bitcoin)
    assert_whole(found[1], ether)
    assert len(source.calls) == 4
    assert read(Aggregator({1: ether}, None))[0] == []
    assert read(Aggregator({1: ether}, "ETH/USD/USD"))[0] == []


def test_no_more_than_two_thousand_rounds_of_a_feed() -> None:
    kept = {index: (NOW - 60 * (5_000 - index), 10**8) for index in range(1, 5_000)}
    [past], source = read(Aggregator({2: kept}))
    assert len(past.rounds) == rounds.MOST_ROUNDS
    assert sum(call.function == "getRoundData" for calls in source.calls for call in calls) == rounds.MOST_ROUNDS - 1
    assert past.note.endswith("only: 2,000 rounds were read")


def test_missing_rounds_are_passed_over() -> None:
    kept = {number: answer for number, answer in hourly(1_000).items() if number % 7}
    [past], _ = read(Aggregator({1: kept}))
    assert_whole(past, kept)
    assert past.note == ""


def test_rounds_without_time_or_price_are_passed_over() -> None:
    kept = hourly(1_000)
    kept[990], kept[991], kept[992] = (0, 5), (kept[991][0], 0), (kept[992][0], -7)
    [past], _ = read(Aggregator({1: kept}))
    assert len(past.rounds) == 720 - 3
    assert min(answer for _, answer, _ in past.rounds) > 0


def test_a_change_of_aggregator_leads_to_the_last_round_of_the_one_before() -> None:
    old = hourly(40_000, end=NOW - 3_600 * 100 - 60)
    new = hourly(100, first=1)
    [past], source = read(Aggregator({3: old, 4: new}))
    assert_whole(past, old, new)
    assert past.note == ""
    assert len(source.calls) < 10


def test_an_aggregator_that_went_on_after_its_time_gives_nothing_twice() -> None:
    old, new = hourly(1_000), hourly(100)
    [past], _ = read(Aggregator({3: old, 4: new}))
    times = [at for at, _, _ in past.rounds]
    assert times == sorted(times)
    assert [answer for answer in past.rounds if answer[0] > NOW - 99 * 3_600] == [(at, value, 8) for at, value in list(new.values())[1:]]


def test_where_nothing_is_left_the_reading_stops_and_says_so() -> None:
    [fresh], _ = read(Aggregator({1: hourly(50)}))
    assert_whole(fresh, hourly(50))
    assert fresh.note.endswith("only: its feed began then")
    [changed], _ = read(Aggregator({4: hourly(50)}))
    assert changed.note.endswith("only: its aggregator changed then")
    [cut], _ = read(Aggregator({4: {number: answer for number, answer in hourly(900).items() if number > 400}}))
    assert len(cut.rounds) == 500
    assert cut.note.endswith("only: its feed keeps none before")


def test_a_feed_without_an_answer() -> None:
    [past], _ = read(Aggregator({}))
    assert past == Past("ETH", (), "the feed of ETH gives no answer")
    [never], _ = read(Aggregator({1: {1: (0, 0)}}))
    assert never.rounds == ()
    [stale], _ = read(Aggregator({1: hourly(50, end=SINCE - 1)}))
    assert stale == Past("ETH", (), "the feed of ETH gave its last answer on 2026-12-16")


def test_an_answer_for_another_round_is_not_taken() -> None:
    class Liar(Aggregator):
        def answer(self, call: Call) -> object:
            told = super().answer(call)
            return (told[0] - 1, *told[1:]) if call.function == "getRoundData" and isinstance(told, tuple) else told

    [past], _ = read(Liar({1: hourly(900)}))
    assert len(past.rounds) == 1
    assert past.note.endswith("its feed keeps none before")


def test_only_settled_rounds_are_kept_forever() -> None:
    _, source = read(Aggregator({1: hourly(900)}))
    lasting = {call.args[0] - (1 << 64): call.forever for calls in source.calls for call in calls if call.function == "getRoundData"}
    assert not any(lasting[number] for number in range(885, 900))
    assert all(lasting[number] for number in range(100, 880) if number in lasting)
