"""What the traders did, one function a trader; run in the order in which they stand here. Amounts are uneven on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.parameters import BTC, CRV, ETH, EUR, LINK, NO_TERMS, Terms, percent
from tests.localchain.tokens import Raw

Act = Callable[[GainsMarket, str], object]
DAY: Final = 86_400


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


@recipe("empty")
def empty(market: GainsMarket, who: str) -> None:
    """A wallet that never touched the venue."""


@recipe("long")
def long(market: GainsMarket, who: str) -> None:
    market.open(who, BTC, "1234.567891", "4.321")


@recipe("short")
def short(market: GainsMarket, who: str) -> None:
    market.open(who, ETH, "2345.678912345678912345", "-3.456", coin="DAI")


@recipe("whale")
def whale(market: GainsMarket, who: str) -> None:
    """A long so large that the others are paid for being short."""
    market.open(who, BTC, "200000.000001", "7.7")


@recipe("long-eth")
def long_eth(market: GainsMarket, who: str) -> None:
    market.open(who, ETH, "987.654321", "5.005")


@recipe("high-leverage")
def high_leverage(market: GainsMarket, who: str) -> None:
    """Its threshold lies between those of low and of high leverage."""
    market.open(who, ETH, "500.000003", "66.789")


@recipe("highest-leverage")
def highest_leverage(market: GainsMarket, who: str) -> None:
    market.open(who, BTC, "777.777777", "-150")


@recipe("short-link")
def short_link(market: GainsMarket, who: str) -> None:
    """Liquidated when the price has gone up."""
    market.open(who, LINK, "345.678901234567890123", "-19.99", coin="DAI")


@recipe("long-link")
def long_link(market: GainsMarket, who: str) -> None:
    market.open(who, LINK, "456.789012", "8.123")


@recipe("long-euro")
def long_euro(market: GainsMarket, who: str) -> None:
    market.open(who, EUR, "1111.111111", "39.999")


@recipe("short-euro")
def short_euro(market: GainsMarket, who: str) -> None:
    market.open(who, EUR, "2222.222222222222222222", "-444.444", coin="DAI")


@recipe("smallest-fee")
def smallest_fee(market: GainsMarket, who: str) -> None:
    """So small that closing costs what closing the smallest position costs."""
    market.open(who, CRV, "99.999999", "5.5")


@recipe("eaten-by-the-fee")
def eaten_by_the_fee(market: GainsMarket, who: str) -> None:
    """The smallest fee is more than what may be lost: liquidatable at once, whatever the price."""
    market.open(who, CRV, "5.000001", "2")


@recipe("dust")
def dust(market: GainsMarket, who: str) -> None:
    market.open(who, EUR, Raw(3), "1.1")


@recipe("no-line")
def no_line(market: GainsMarket, who: str) -> None:
    """Less leverage than may be lost: no price above zero liquidates it."""
    market.open(who, BTC, "4444.444444", "0.8")


@recipe("slow-line")
def slow_line(market: GainsMarket, who: str) -> None:
    market.open(who, ETH, "5555.555555", "-0.9")


@recipe("counter")
def counter(market: GainsMarket, who: str) -> None:
    """Against the skew, at half the fee."""
    market.open(who, BTC, "12345.678901", "-2.345", counter=True)


@recipe("personal-spread")
def personal_spread(market: GainsMarket, who: str) -> None:
    market.diamond.send("set_personal_spread", who, market.number(ETH), percent("0.0123"))
    market.open(who, ETH, "1357.913579", "11.111")


@recipe("before-9.2")
def before_9_2(market: GainsMarket, who: str) -> None:
    """No spread counts, no funding, and the threshold is the old one."""
    index = market.open(who, BTC, "1593.571593", "17.171")
    market.make_old(who, index, 0, NO_TERMS)


@recipe("version-9.2")
def version_9_2(market: GainsMarket, who: str) -> None:
    """The spread counts, funding does not."""
    index = market.open(who, BTC, "2604.682604", "-16.161")
    market.make_old(who, index, 1, Terms(percent("0.01")))


@recipe("older-fee")
def older_fee(market: GainsMarket, who: str) -> None:
    """Owes borrowing fees of the older kind."""
    index = market.open(who, ETH, "3715.793715", "6.066")
    market.diamond.send("set_older_fee", who, index, 123_456_789)


@recipe("profit-realized")
def profit_realized(market: GainsMarket, who: str) -> None:
    index = market.open(who, ETH, "864.208642", "-12.012")
    market.diamond.send("set_realized", who, index, 234_567_891)


@recipe("loss-realized")
def loss_realized(market: GainsMarket, who: str) -> None:
    index = market.open(who, LINK, "975.319753086419753086", "9.753", coin="DAI")
    market.diamond.send("set_realized", who, index, -(10**20) - 7)


@recipe("saved-by-realized-profit")
def saved_by_realized_profit(market: GainsMarket, who: str) -> None:
    """Took out more profit than the position is worth: no price above zero liquidates it."""
    index = market.open(who, ETH, "246.813579", "3.003")
    market.diamond.send("set_realized", who, index, 999_999_999)


@recipe("order")
def order(market: GainsMarket, who: str) -> None:
    market.order(who, ETH, "321.654987", "22.2", "2222.2222222222")


@recipe("two-trades-and-an-order")
def two_trades_and_an_order(market: GainsMarket, who: str) -> None:
    market.open(who, BTC, "1010.101010", "8.008")
    market.order(who, BTC, "2020.202020202020202020", "-9.009", "70000.0000000007", coin="DAI")
    market.open(who, EUR, "3030.303030303030303030", "-88.088", coin="DAI")


@recipe("three-trades")
def three_trades(market: GainsMarket, who: str) -> None:
    for pair, leverage in ((BTC, "-4.04"), (ETH, "4.4"), (LINK, "-2.22")):
        market.open(who, pair, "606.060606", leverage)


@recipe("both-ways")
def both_ways(market: GainsMarket, who: str) -> None:
    """Long and short of one pair, apart from each other."""
    market.open(who, ETH, "717.171717", "13.37")
    market.open(who, ETH, "727.272727", "-13.37")


@recipe("closed-again")
def closed_again(market: GainsMarket, who: str) -> None:
    market.close(who, market.open(who, BTC, "1111.11", "7.7"), BTC)


@recipe("liquidated-and-back")
def liquidated_and_back(market: GainsMarket, who: str) -> None:
    index = market.open(who, LINK, "123.456789", "33.3")
    market.liquidate(who, index, market.price(LINK) * 9 // 10)
    market.open(who, LINK, "234.567891", "3.33")


@recipe("in-ether")
def in_ether(market: GainsMarket, who: str) -> None:
    """Profit is paid in a coin that moves."""
    market.open(who, BTC, "1.234567890123456789", "6.54", coin="WETH")


@recipe("in-ether-and-dollars")
def in_ether_and_dollars(market: GainsMarket, who: str) -> None:
    market.open(who, ETH, "2.345678901234567891", "-4.56", coin="WETH")
    market.open(who, ETH, "456.123789", "-4.56")


@recipe("in-profit")
def in_profit(market: GainsMarket, who: str) -> None:
    """Opened when the price was lower."""
    start = Raw(market.feeds[ETH].answer)
    market.feeds[ETH].set("2111.11111111")
    market.open(who, ETH, "1928.374655", "2.468")
    market.feeds[ETH].set(start)


@recipe("under-water")
def under_water(market: GainsMarket, who: str) -> None:
    """Has lost more than its collateral, and nobody came."""
    start = Raw(market.feeds[ETH].answer)
    market.feeds[ETH].set("2999.99999999")
    market.open(who, ETH, "1029.384756", "9.876")
    market.feeds[ETH].set(start)


@recipe("late-long")
def late_long(market: GainsMarket, who: str) -> None:
    """Comes days after the others, when fees have run up."""
    market.pass_time(9 * DAY)
    market.open(who, BTC, "1414.141414", "14.14")


@recipe("turning-whale")
def turning_whale(market: GainsMarket, who: str) -> None:
    """A short so large that the funding rate turns round from here."""
    market.open(who, BTC, "300000.000002", "-8.8")


@recipe("after-the-turn")
def after_the_turn(market: GainsMarket, who: str) -> None:
    market.pass_time(2 * DAY)
    market.open(who, BTC, "1515.151515151515151515", "5.05", coin="DAI")
    market.open(who, BTC, "1616.161616", "5.06")
