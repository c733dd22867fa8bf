"""What the users of the GMX double do: one recipe each, in the order in which they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.gmx.market import GmxMarket, Opened
from tests.localchain.gmx.settings import SYNTHETIC
from tests.localchain.tokens import Amount

Act = Callable[[GmxMarket, str], list[Opened]]


@dataclass(frozen=True, slots=True)
class Trade:
    """A position to open; `pending` only where the venue weighs balance in tokens: elsewhere price impact is the same at every price."""

    market: str
    collateral: str
    long: bool
    size: Amount
    margin: Amount
    entry: str = ""
    pending: str = "0"

    def open(self, venue: GmxMarket, who: str) -> Opened:
        pending = self.pending if venue.venue.in_tokens else "0"
        terms = {"size": self.size, "margin": self.margin, "entry": self.entry, "pending": pending}
        return venue.open(who, self.market, self.collateral, long=self.long, **terms)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A user: what is special about it, its positions, and what else it has. `late` users come some days after the others."""

    label: str
    trades: tuple[Trade, ...]
    before: Callable[[GmxMarket, str], None] | None = None
    late: bool = False

    def act(self, venue: GmxMarket, who: str) -> list[Opened]:
        """Let the user act."""
        if self.before is not None:
            self.before(venue, who)
        return [trade.open(venue, who) for trade in self.trades]


def _one(label: str, *trade: object, late: bool = False, **terms: str) -> Recipe:
    return Recipe(label, (Trade(*trade, **terms),), late=late)  # type: ignore[arg-type]


def _referred(venue: GmxMarket, who: str) -> None:
    venue.refer(who, "friend", rebate=1_500, share=3_333)


def _referred_better(venue: GmxMarket, who: str) -> None:
    venue.refer(who, "good-friend", rebate=2_000, share=5_000, own_share=7_500)


def _professional(venue: GmxMarket, who: str) -> None:
    venue.promote(who, 3, "0.17")


def _both(venue: GmxMarket, who: str) -> None:
    _referred_better(venue, who)
    venue.promote(who, 2, "0.09")


SHORT, LONG = False, True
RECIPES: Final = (
    _one("long", "ETH", "USDC", LONG, "300000", "60000"),
    _one("long-in-eth", "ETH", "WETH", LONG, "250000.123456", "20.123456789"),
    _one("short", "ETH", "USDC", SHORT, "400000", "50000.654321"),
    _one("short-in-eth", "ETH", "WETH", SHORT, "150000", "15"),
    _one("whale", "ETH", "USDC", LONG, "2500000", "500000", pending="-1.5"),
    _one("sol-long", SYNTHETIC, "USDC", LONG, "120000", "15000"),
    _one("sol-long-in-eth", SYNTHETIC, "WETH", LONG, "90000", "6", pending="2.25"),
    _one("sol-short", SYNTHETIC, "USDC", SHORT, "220000", "31000", pending="-3.5"),
    _one("sol-short-in-eth", SYNTHETIC, "WETH", SHORT, "70000", "4.5"),
    _one("single-long", "ETH-single", "USDC", LONG, "500000", "61000"),
    _one("single-short", "ETH-single", "USDC", SHORT, "750000", "99000"),
    _one("link-long", "LINK", "LINK", LONG, "60000", "900"),
    _one("link-short", "LINK", "USDC", SHORT, "35000", "7000"),
    _one("profit-long", "ETH", "USDC", LONG, "90000", "5000", entry="1511.11"),
    _one("profit-short", "ETH", "USDC", SHORT, "120000", "4000", entry="3333.33"),
    _one("capped-profit", "LINK", "USDC", LONG, "50000", "2500", entry="6.66"),
    _one("loss", "ETH", "WETH", LONG, "200000", "25", entry="2800"),
    _one("under-water", "ETH", "USDC", LONG, "200000", "9000", entry="2750"),
    _one("under-water-short", SYNTHETIC, "USDC", SHORT, "100000", "6000", entry="120", late=True),
    _one("near-the-line", "ETH", "USDC", LONG, "1000000", "5800", late=True),
    _one("near-the-line-short", "ETH", "USDC", SHORT, "1000000", "7900", late=True, pending="-0.4"),
    _one("tiny", "ETH", "USDC", LONG, "12", "1.5", late=True),
    Recipe("referred", (Trade("ETH", "USDC", LONG, "150000", "9000"),), _referred),
    Recipe("well-referred", (Trade("ETH", "WETH", SHORT, "150000", "9"),), _referred_better),
    Recipe("professional", (Trade(SYNTHETIC, "USDC", LONG, "150000", "9000"),), _professional, late=True),
    Recipe("both", (Trade("ETH-single", "USDC", SHORT, "150000", "9000"),), _both),
    _one("disabled", "BTC", "USDC", LONG, "350000", "90000"),
    Recipe(
        "several",
        (
            Trade("ETH", "USDC", LONG, "50000", "10000"),
            Trade("ETH", "USDC", SHORT, "60000", "9000"),
            Trade("ETH", "WETH", LONG, "70000", "3", pending="0.2"),
            Trade(SYNTHETIC, "WETH", SHORT, "80000", "4"),
            Trade("LINK", "LINK", SHORT, "9000", "300"),
        ),
        late=True,
    ),
)
