"""Whether a rollup's sequencer is up, by Chainlink's uptime feed: while it is down, and for a while after, prices are not what they seem.

The feed's answer is 0 for up and 1 for down; `startedAt` is the time of the last change (0 only on a feed that was never started).
"""

from __future__ import annotations

from typing import ClassVar, Final

from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.model import Chain, Owner
from defi_risk.spi import API, Context, Failed, Interface, Market, Reading

FEED: Final = Interface("defi_risk_abis", "chainlink")
GRACE: Final = 3_600  # seconds after a restart in which consumers customarily wait


class Watch:
    """A reading beside those of the adapters, in their first round. `finding` is empty where all is well."""

    name: ClassVar[str] = "sequencer"
    api: ClassVar[int] = API
    venue: ClassVar[str] = "Chainlink"
    roots: ClassVar[tuple[str, ...]] = ("feed",)

    def __init__(self) -> None:
        self.finding = ""

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Sets `finding`; there are no accounts here."""
        [answer] = yield [FEED(market["feed"], "latestRoundData", optional=True)]
        self.finding = _finding(answer, at.timestamp)
        return []


def market(chain: Chain, feed: Address) -> tuple[Owner, Market]:
    """What a `Watch` is asked to read: nobody's position, in a market that is the feed."""
    return Owner(ZERO_ADDRESS), Market("sequencer", chain, "sequencer", (("feed", feed),))


def _finding(answer: object, now: int) -> str:
    if isinstance(answer, Failed):
        return "whether the sequencer is up could not be read"
    started: int = getattr(answer, "startedAt", 0)
    if getattr(answer, "answer", 1) != 0:
        return f"the sequencer has been down for {max(0, now - started)} s"
    if started and now - started < GRACE:
        return f"the sequencer came back {max(0, now - started)} s ago, inside its grace period of {GRACE} s"
    return ""
