"""A wallet that borrows at one venue and trades at the other: its book, and how it fares as the oracle moves on a fork."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Any, Final

from defi_risk.snapshot import Snapshot
from tests.chain.keepers import KEEPER, Keepers
from tests.chain.oracles import LIQUIDATOR, AaveJudge, Override
from tests.chain.scanning import ETHER, scan
from tests.chain.scanning import book_text as text_of
from tests.localchain.anvil import Block
from tests.localchain.joint import ETH, Joint, trade_at_the_rate
from tests.localchain.synthetix.deployment import COIN
from tests.localchain.tokens import MAX, Raw

MODEL: Final = "[model]\nvolatility = { ETH = 0.04, sUSD = 0 }\n"
UNIT: Final = 10**8
"""One dollar as the feed counts."""
FINER: Final = 10**10
"""The perps count the same answer in so many parts."""
STEPS: Final = 10
"""Of the oracle between two places of a path."""


def book_text(joint: Joint) -> str:
    """The book that reads both venues."""
    return text_of(joint.anvil.url, joint.aave, joint.perps).removesuffix(ETHER) + MODEL


@dataclass(frozen=True, slots=True)
class Crossing:
    """One wallet on a fork of both venues."""

    joint: Joint
    who: str
    folder: Path

    def scanned(self) -> Snapshot:
        """What the product says at the newest block."""
        return scan(book_text(self.joint), [self.who], self.folder, code=None)

    def dies(self, state: Override | None = None, at: Block | None = None) -> set[str]:
        """The venues that would liquidate now, tried with their real functions: every pair of collateral and debt, and the position."""
        aave, perps = AaveJudge(self.joint.aave), Keepers(self.joint.perps)
        changed, moment = state or {}, at or self.joint.anvil.block()
        found = {self.joint.aave.name} if any(aave.passes(self.who, changed, moment)) else set[str]()
        return found | ({self.joint.perps.name} if perps.flags(self.who, ETH, changed, moment) else set())

    def dies_at(self, answer: int) -> set[str]:
        """The same where the feed answers this, at the time of the newest block."""
        return self.dies(AaveJudge(self.joint.aave).answers(self.joint.aave.reserves["WETH"].token.address, answer))

    def travel(self, to: int) -> Iterator[int]:
        """Move the oracle to an answer, step by step in equal ratios; what it answers after each step."""
        now = self.joint.feed.answer
        for step in range(1, STEPS + 1):
            answer = round(now * exp(log(to / now) * step / STEPS))
            self.joint.set_price(Raw(answer if step < STEPS else to))
            yield self.joint.feed.answer

    def liquidate(self, venue: str) -> None:
        """The real liquidation, as much of it as the venue lets pass in one call."""
        if venue == self.joint.perps.name:
            self.joint.perps.flag(KEEPER, self.who, ETH)
            self.joint.perps.liquidate(KEEPER, self.who, ETH)
        else:
            tokens = (self.joint.aave.reserves[symbol].token.address for symbol in ("WETH", COIN))
            self.joint.aave.pool.send("liquidationCall", *tokens, self.who, MAX.units, False, sender=LIQUIDATOR)

    def carry_out(self, action: dict[str, Any]) -> None:
        """One step of a plan as a transaction of the wallet."""
        aave, perps, amount = self.joint.aave, self.joint.perps, action["amount"]
        place = (action["kind"], venue_of(action["account"], self.joint))
        if place == ("borrow", aave.name):
            aave.borrow(self.who, action["symbol"], amount)
        elif place == ("repay", aave.name):
            token = aave.reserves[action["symbol"]].token
            token.approve(self.who, aave.pool.address)
            aave.pool.send("repay", token.address, token.units(amount), 2, self.who, sender=self.who)
        elif place == ("deposit", perps.name):
            perps.move_margin(self.who, ETH, amount)
        elif place == ("withdraw", perps.name):
            perps.move_margin(self.who, ETH, "-" + amount)
        elif place == ("close", perps.name):
            short = perps.position(self.who, ETH).size < 0
            trade_at_the_rate(perps, self.who, amount if short else "-" + amount)  # a plan reckons with the mark
        elif place != ("withdraw", "wallet"):  # what lies idle in the wallet is at hand
            raise AssertionError(f"no transaction is known for {action}")


def venue_of(account: str, joint: Joint) -> str:
    """The name of the market that an account is in; `wallet` for what lies in the wallet itself."""
    markets = (joint.aave, joint.perps)
    return next((market.name for market in markets if next(iter(market.roots.values())) in account), "wallet")


def first_dead(snapshot: Snapshot, account: str, direction: str) -> int:
    """The first answer of the feed that liquidates an account, as its exact tick says it."""
    [one] = [each for each in snapshot.accounts if each.id == account]
    [tick] = [tick for tick in one.ticks if tick.direction == direction and tick.symbol in ("WETH", "sETH")]
    if tick.symbol == "WETH":
        return int(tick.answer)
    return int(tick.answer) // FINER if direction == "down" else -(-int(tick.answer) // FINER)
