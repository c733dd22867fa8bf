"""What an oracle source tells about its own answer, as steps that any adapter can take in one round.

Chainlink feeds tell when they were updated. Many sources in front of them (price caps, ratio adapters) offer only `latestAnswer`:
the age of their answer is unknown, which is not the same as fresh. Cap adapters tell whether their cap binds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from defi_risk.ids import USD, Address, Factor
from defi_risk.model import Price
from defi_risk.spi import Ask, Context, Failed, Interface, Steps
from defi_risk.units import Quantity

CHAINLINK: Final = Interface("defi_risk_abis", "chainlink")


@dataclass(frozen=True, slots=True)
class Update:
    """When a source was updated (unix seconds) and whether its cap binds; None where it does not tell."""

    at: int | None = None
    capped: bool | None = None


def updates(at: Context, sources: Sequence[Address]) -> Steps[dict[Address, Update]]:
    """Ask sources about their answers, in one round; a source that tells nothing is no error."""
    wanted = tuple(dict.fromkeys(sources))
    answers = yield _asks(wanted)
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return {
        source: Update(_updated_at(rounds, at.timestamp), None if isinstance(capped, Failed) else capped)
        for source, (rounds, capped) in zip(wanted, pairs, strict=True)
    }


def price(at: Context, value: Quantity, source: str, update: Update | None = None, unit: Factor = USD) -> Price:
    """A price with what is known of its age."""
    known = update or Update()
    heartbeat = at.heartbeat_of(source) if known.at is not None else None
    return Price(value, unit, source, known.at, heartbeat, known.capped)


@lru_cache(maxsize=64)
def _asks(sources: tuple[Address, ...]) -> tuple[Ask, ...]:
    """The same asks for every owner of a market, made once."""
    return tuple(CHAINLINK(source, name, optional=True) for source in sources for name in ("latestRoundData", "isCapped"))


def _updated_at(rounds: Any, now: int) -> int | None:
    """Time of the answer, or None where it is not a time that can be or the answer is not the one in use."""
    if isinstance(rounds, Failed) or rounds.answer <= 0 or not 0 < rounds.updatedAt <= now:
        return None
    updated_at: int = rounds.updatedAt
    return updated_at
