"""Past answers of price feeds, by the interface that Chainlink's have (AggregatorV3Interface).

Which coin a feed prices is what the feed itself says (`description`, such as `ETH / USD`), asked of feeds whose addresses are known to be
right and of no other. A proxy numbers its rounds phase << 64 | round: the phase counts the aggregators that have stood behind it, and each
of them begins with round 1. Rounds are read backwards, 500 at a time and all feeds side by side. A round that is over never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from defi_risk.ids import USD, Address
from defi_risk.spi import Ask, Failed, Interface, Steps, together

FEED: Final = Interface("defi_risk_abis", "chainlink")
MOST_ROUNDS: Final = 2_000
BATCH: Final = 500
_PHASE: Final = 1 << 64
_SETTLED: Final = 16
"""Rounds before the latest one that a reorganisation of the chain may reach."""
_FANOUT: Final = 32
"""Rounds tried at once in search of the last one of a phase; their numbers stay below 2 ** 32."""


@dataclass(frozen=True, slots=True)
class Past:
    """Answers of a coin's feed as (unix seconds, integer, decimals), oldest first; `note` says why they end early, empty if they do not."""

    coin: str
    rounds: tuple[tuple[int, int, int], ...]
    note: str = ""


def read(feeds: Sequence[Address], coins: Sequence[str], since: int) -> Steps[list[Past]]:
    """Past USD prices of those coins that one of the feeds prices, from `since` (unix seconds) on, in the order of the coins."""
    told: Sequence[Any] = yield [FEED(feed, "description", optional=True, forever=True) for feed in feeds]
    by_pair = {pair: feed for feed, text in reversed(list(zip(feeds, told, strict=True))) if (pair := _pair(text)) is not None}
    return (yield from together([_past(coin, by_pair[coin, USD], since) for coin in coins if (coin, USD) in by_pair]))


def _pair(text: object) -> tuple[str, str] | None:
    """What `ETH / USD` says; None for anything else."""
    base, slash, quote = text.partition("/") if isinstance(text, str) else ("", "", "")
    return (base.strip(), quote.strip()) if slash else None


def _past(coin: str, feed: Address, since: int) -> Steps[Past]:
    decimals, latest = yield [FEED(feed, "decimals", optional=True, forever=True), FEED(feed, "latestRoundData", optional=True)]
    if isinstance(decimals, Failed) or not _over(latest):
        return Past(coin, (), f"the feed of {coin} gives no answer")
    found: list[tuple[int, int, int]] = [(latest.updatedAt, latest.answer, decimals)]
    phase, number = divmod(latest.roundId, _PHASE)
    asked, note = 1, ""
    while found[-1][0] > since:
        if asked >= MOST_ROUNDS:
            note = f"{MOST_ROUNDS:,} rounds were read"
            break
        if number <= 1:
            last = (yield from _last(feed, phase - 1)) if phase > 1 else 0
            if not last:
                note = "its feed began then" if phase <= 1 else "its aggregator changed then"
                break
            phase, number = phase - 1, last + 1
        ids = [phase * _PHASE + each for each in range(number - 1, max(0, number - 1 - min(BATCH, MOST_ROUNDS - asked)), -1)]
        # what a reorganisation of the chain could still change is not kept
        answers: Sequence[Any] = yield [_round(feed, each, forever=place > _SETTLED) for place, each in enumerate(ids, asked)]
        asked, number = asked + len(ids), number - len(ids)
        held = [answer for each, answer in zip(ids, answers, strict=True) if _over(answer) and answer.roundId == each]
        if not held:
            note = "its feed keeps none before"
            break
        for answer in held:
            # an aggregator may go on for a while after the next one has taken over
            if answer.updatedAt <= found[-1][0]:
                found.append((answer.updatedAt, answer.answer, decimals))
    oldest = datetime.fromtimestamp(found[-1][0], UTC).date().isoformat()
    kept = tuple(one for one in reversed(found) if one[0] >= since)
    if not kept:
        note = f"the feed of {coin} gave its last answer on {oldest}"
    elif note:
        note = f"answers for {coin} go back to {oldest} only: {note}"
    return Past(coin, kept, note)


def _last(feed: Address, phase: int) -> Steps[int]:
    """The last round of a phase, 0 where there is none: first by powers of two, then 32 numbers at a time between the two nearest."""
    low, high = 0, 1 << 32
    points = [1 << power for power in range(32)]
    while points:
        answers: Sequence[Any] = yield [_round(feed, phase * _PHASE + point, forever=True) for point in points]
        for point, answer in zip(points, answers, strict=True):
            if not _over(answer):
                high = point
                break
            low = point
        if not low:
            return 0
        points = sorted({low + (high - low) * part // (_FANOUT + 1) for part in range(1, _FANOUT + 1)} - {low})
    return low


def _round(feed: Address, number: int, *, forever: bool) -> Ask:
    return FEED(feed, "getRoundData", number, optional=True, forever=forever)


def _over(answer: Any) -> bool:
    """Whether a round was answered, with a price."""
    return not isinstance(answer, Failed) and 0 < answer.updatedAt < 1 << 33 and answer.answer > 0
