"""What the traders did, one function a trader; run in the order in which they stand here. Amounts are uneven on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.people import person
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.tokens import Raw

Act = Callable[[SynthetixMarket, str], None]
ETH: Final = "sETHPERP"
BTC: Final = "sBTCPERP"
LINK: Final = "LINKPERP"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One trader: what is special (`label`), and what the trader does."""

    label: str
    act: Act


RECIPES: Final[list[Recipe]] = []


def recipe(label: str) -> Callable[[Act], Act]:
    """Register the function below as a recipe."""

    def register(act: Act) -> Act:
        RECIPES.append(Recipe(label, act))
        return act

    return register


def enter(market: SynthetixMarket, who: str, key: str, margin: str, size: str) -> None:
    """Deposit and open."""
    market.deposit(who, key, margin)
    market.trade(who, key, size)


@recipe("empty")
def empty(market: SynthetixMarket, who: str) -> None:
    """A wallet that never touched the market."""


@recipe("margin-only")
def margin_only(market: SynthetixMarket, who: str) -> None:
    market.deposit(who, ETH, "1234.567890123456789")


@recipe("dust-margin")
def dust_margin(market: SynthetixMarket, who: str) -> None:
    market.deposit(who, BTC, Raw(1))


@recipe("dust-size")
def dust_size(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "50.000000000000000001", "0.000000000000000001")


@recipe("long")
def long(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "3000.123456789", "7.654321098765432109")


@recipe("short")
def short(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "4000.000000000000000003", "-5.123456789012345678")


@recipe("long-btc")
def long_btc(market: SynthetixMarket, who: str) -> None:
    enter(market, who, BTC, "20000.25", "1.234567890123456789")


@recipe("short-btc")
def short_btc(market: SynthetixMarket, who: str) -> None:
    enter(market, who, BTC, "15000.75", "-0.987654321098765432")


@recipe("long-link")
def long_link(market: SynthetixMarket, who: str) -> None:
    enter(market, who, LINK, "2000.5", "987.654321")


@recipe("short-link")
def short_link(market: SynthetixMarket, who: str) -> None:
    enter(market, who, LINK, "3000.3", "-1234.5678901234")


@recipe("high-leverage")
def high_leverage(market: SynthetixMarket, who: str) -> None:
    """Fifteen times: liquidatable after the drop, with little left."""
    enter(market, who, ETH, "1000.1", "6.2")


@recipe("under-water")
def under_water(market: SynthetixMarket, who: str) -> None:
    """Twenty-three times: the drop takes more than the margin."""
    enter(market, who, ETH, "2000.2", "18.9")


@recipe("high-leverage-short")
def high_leverage_short(market: SynthetixMarket, who: str) -> None:
    enter(market, who, LINK, "500.05", "-700.7")


@recipe("near-the-line")
def near_the_line(market: SynthetixMarket, who: str) -> None:
    """Ends a hair above its line when the price has dropped."""
    enter(market, who, ETH, "1040.404", "4.1")


@recipe("below-one")
def below_one(market: SynthetixMarket, who: str) -> None:
    """More margin than notional: no price above zero liquidates it."""
    enter(market, who, ETH, "9000.9", "2.345678901234567")


@recipe("smallest-fee")
def smallest_fee(market: SynthetixMarket, who: str) -> None:
    """So small that the flagger's fee is the least one."""
    enter(market, who, ETH, "45.45", "0.123456789012345678")


@recipe("smallest-fee-crossed")
def smallest_fee_crossed(market: SynthetixMarket, who: str) -> None:
    """A short whose fee grows out of the least one on the way to its line."""
    enter(market, who, ETH, "60.606", "-0.2111111111")


@recipe("largest-fee")
def largest_fee(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "150000.15", "321.123456789")


@recipe("largest-fee-crossed")
def largest_fee_crossed(market: SynthetixMarket, who: str) -> None:
    """A long whose fee falls below the largest one on the way to its line."""
    enter(market, who, BTC, "90000.09", "4.85858585")


@recipe("whale")
def whale(market: SynthetixMarket, who: str) -> None:
    """So large that its premium counts."""
    enter(market, who, BTC, "6543210.123", "-123.456789")


@recipe("whale-link")
def whale_link(market: SynthetixMarket, who: str) -> None:
    enter(market, who, LINK, "65432.1", "23456.789")


@recipe("pending-order")
def pending_order(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "2222.22", "3.3")
    market.order(who, ETH, "-1.1")


@recipe("first-order-pending")
def first_order_pending(market: SynthetixMarket, who: str) -> None:
    """Margin, and an order that would open a position."""
    market.deposit(who, BTC, "5000.5")
    market.order(who, BTC, "0.2")


@recipe("increased")
def increased(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "5000.5", "2.2")
    market.set_rate("sETH", "2480.000000000000000007")
    market.trade(who, ETH, "3.3")


@recipe("reduced")
def reduced(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "5000.5", "-6.6")
    market.set_rate("sETH", "2533.33")
    market.trade(who, ETH, "2.2")


@recipe("turned-round")
def turned_round(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "7000.7", "4.4")
    market.trade(who, ETH, "-9.9")


@recipe("topped-up")
def topped_up(market: SynthetixMarket, who: str) -> None:
    enter(market, who, BTC, "4000.4", "0.7")
    market.deposit(who, BTC, "333.333333")


@recipe("withdrawn-to-the-limit")
def withdrawn_to_the_limit(market: SynthetixMarket, who: str) -> None:
    enter(market, who, LINK, "9000.9", "1500.15")
    market.withdraw_all(who, LINK)


@recipe("closed-again")
def closed_again(market: SynthetixMarket, who: str) -> None:
    """What is left is margin."""
    enter(market, who, ETH, "1111.11", "1.7")
    market.close(who, ETH)


@recipe("gone-again")
def gone_again(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "1111.11", "-1.7")
    market.close(who, ETH)
    market.withdraw_all(who, ETH)


@recipe("two-markets")
def two_markets(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "2500.25", "5.5")
    enter(market, who, BTC, "5000.5", "-0.4")


@recipe("three-markets")
def three_markets(market: SynthetixMarket, who: str) -> None:
    enter(market, who, ETH, "1500.15", "-2.2")
    enter(market, who, BTC, "3000.3", "0.25")
    enter(market, who, LINK, "400.04", "99.9")


@recipe("liquidated-and-back")
def liquidated_and_back(market: SynthetixMarket, who: str) -> None:
    keeper = person("synthetix/keeper")
    enter(market, who, LINK, "100.1", "120.12")
    market.set_rate("LINK", "14.7")
    market.flag(keeper, who, LINK)
    market.liquidate(keeper, who, LINK)
    market.set_rate("LINK", "15.432112345678901234")
    enter(market, who, LINK, "200.2", "50.05")


@recipe("in-profit")
def in_profit(market: SynthetixMarket, who: str) -> None:
    """Opened at a lower price; the price stays where it was when all the others came."""
    market.set_rate("sETH", "2111.111111111111111111")
    enter(market, who, ETH, "2500.5", "8.8")
    market.set_rate("sETH", "2512.345678912345678901")
