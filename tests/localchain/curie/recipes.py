"""What the users of Perpetual Protocol V2 did, one function a user; run in the order in which they stand here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.curie.market import ARBITRAGEUR, CurieMarket
from tests.localchain.people import person
from tests.localchain.tokens import Raw

Act = Callable[[CurieMarket, str], None]
SPACING: Final = 60  # of the ticks that liquidity may start and end at


@dataclass(frozen=True, slots=True)
class Recipe:
    """One user: what is special (`label`), and what the user does."""

    label: str
    act: Act


RECIPES: Final[list[Recipe]] = []


def recipe(label: str) -> Callable[[Act], Act]:
    """Register the function below as a recipe."""

    def register(act: Act) -> Act:
        RECIPES.append(Recipe(label, act))
        return act

    return register


def room(market: CurieMarket, who: str, symbol: str, percent: int) -> None:
    """Open a position of `percent` of what `who` may still hold: long above zero, short below."""
    free = int(market.vault.call("getFreeCollateral", who)) * 10**12
    notional = free * abs(percent) * 10**6 // (100 * int(market.config.call("getImRatio")))
    size = notional * 10**18 // market.mark(symbol)
    market.open(who, symbol, Raw(size if percent > 0 else -size))


def around(market: CurieMarket, symbol: str, ticks: int) -> dict[str, int]:
    """Ends of a range of liquidity around the present price."""
    middle = market.tick(symbol) // SPACING * SPACING
    return {"low": middle - ticks, "high": middle + ticks}


@recipe("plain")
def plain(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "2000.000003")
    market.open(who, "vETH", "3.123456789012345678")


@recipe("empty")
def empty(market: CurieMarket, who: str) -> None:
    """A wallet that never touched the venue."""


@recipe("margin-only")
def margin_only(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "1234.567891")


@recipe("collateral-only")
def collateral_only(market: CurieMarket, who: str) -> None:
    market.deposit(who, "WETH", "3.123456789012345678")
    market.deposit(who, "WBTC", "0.12345679")


@recipe("short")
def short(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "1500.5")
    market.open(who, "vETH", "-2.718281828459045235")


@recipe("short-link")
def short_link(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "777.777777")
    market.open(who, "vLINK", "-321.098765432109876543")


@recipe("small")
def small(market: CurieMarket, who: str) -> None:
    """Below 100 USD a position is liquidated whole."""
    market.deposit(who, "USDC", "6.789123")
    market.open(who, "vETH", "0.012345678901234567")


@recipe("dust-long")
def dust_long(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "0.1")
    market.open(who, "vLINK", "0.012345678901234567")


@recipe("max-long")
def max_long(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "5000.123457")
    room(market, who, "vETH", 97)


@recipe("max-short")
def max_short(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "5000.123457")
    room(market, who, "vBTC", -97)


@recipe("several-markets")
def several_markets(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "9999.999999")
    market.open(who, "vETH", "5.5")
    market.open(who, "vBTC", "-0.333333333333333333")
    market.open(who, "vLINK", "1000.000000000000000001")


@recipe("two-alike")
def two_alike(market: CurieMarket, who: str) -> None:
    """Two longs of about one value: a liquidation may take one of them whole."""
    market.deposit(who, "USDC", "4000.4")
    market.open(who, "vETH", "6.0")
    market.open(who, "vBTC", "0.25")


@recipe("one-large-one-small")
def one_large_one_small(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "3000.3")
    market.open(who, "vBTC", "0.3")
    market.open(who, "vETH", "-0.5")


@recipe("hedged")
def hedged(market: CurieMarket, who: str) -> None:
    """Ether as margin of a short in ether, and no settlement token."""
    market.deposit(who, "WETH", "5.000000000000000001")
    market.open(who, "vETH", "-5.0")


@recipe("ether-as-margin")
def ether_as_margin(market: CurieMarket, who: str) -> None:
    market.deposit(who, "WETH", "2.2")
    room(market, who, "vBTC", 60)


@recipe("bitcoin-as-margin")
def bitcoin_as_margin(market: CurieMarket, who: str) -> None:
    market.deposit(who, "WBTC", "0.07654321")
    room(market, who, "vLINK", -80)


@recipe("all-margins")
def all_margins(market: CurieMarket, who: str) -> None:
    market.deposit(who, "WETH", "1.1")
    market.deposit(who, "WBTC", "0.03")
    market.deposit(who, "USDC", "1000.000001")
    room(market, who, "vETH", 40)
    room(market, who, "vLINK", -30)


@recipe("owes-settlement")
def owes_settlement(market: CurieMarket, who: str) -> None:
    """Losses paid in the settlement token, of which there is none."""
    market.deposit(who, "WETH", "4.0")
    for _ in range(4):
        market.open(who, "vETH", "12.0")
        market.close(who, "vETH")
    market.open(who, "vBTC", "0.2")


@recipe("partly-closed")
def partly_closed(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "3000.3")
    market.open(who, "vETH", "4.0")
    market.open(who, "vETH", "-1.234567890123456789")


@recipe("flipped")
def flipped(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "4000.4")
    market.open(who, "vETH", "2.0")
    market.open(who, "vETH", "-5.123456789012345678")


@recipe("closed-again")
def closed_again(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "1000.1")
    market.open(who, "vETH", "1.5")
    market.close(who, "vETH")


@recipe("gone-again")
def gone_again(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "555.55")
    market.withdraw(who, "USDC")


@recipe("withdrew-a-part")
def withdrew_a_part(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "5000.000005")
    market.open(who, "vETH", "-4.0")
    market.withdraw(who, "USDC", "2500.000003")


@recipe("whale")
def whale(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "23456789.012345")
    market.open(who, "vETH", "-432.109876543210987654")
    market.open(who, "vBTC", "21.098765432109876543")


@recipe("maker")
def maker(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "200000.0")
    market.add_liquidity(who, "vETH", "30.0", "90000.0")


@recipe("maker-in-a-range")
def maker_in_a_range(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "20000.0")
    market.add_liquidity(who, "vBTC", "0.5", "40000.0", **around(market, "vBTC", 600))


@recipe("maker-and-taker")
def maker_and_taker(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "30000.0")
    market.open(who, "vLINK", "-1000.0")
    market.add_liquidity(who, "vETH", "1.0", "3000.0")


@recipe("was-a-maker")
def was_a_maker(market: CurieMarket, who: str) -> None:
    """Liquidity that was traded against and taken out: what is left is a position."""
    market.deposit(who, "USDC", "50000.0")
    ends = around(market, "vETH", 1200)
    market.add_liquidity(who, "vETH", "10.0", "30000.0", **ends)
    market.open(ARBITRAGEUR, "vETH", "4000.0")
    market.remove_liquidity(who, "vETH", **ends)
    market.open(ARBITRAGEUR, "vETH", "-4000.0")


@recipe("maker-in-the-paused-market")
def maker_in_the_paused_market(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "9000.0")
    market.add_liquidity(who, "vCRV", "3000.0", "3000.0", **around(market, "vCRV", 1200))
    market.open(ARBITRAGEUR, "vCRV", "-200000.0")
    market.open(who, "vETH", "-2.0")


@recipe("idle-maker-in-the-paused-market")
def idle_maker_in_the_paused_market(market: CurieMarket, who: str) -> None:
    """Liquidity far below the price: what it holds is what it owes, and no position."""
    market.deposit(who, "USDC", "900.0")
    market.add_liquidity(who, "vCRV", 0, "2000.0", low=-30_000, high=-24_000)


@recipe("in-the-paused-market")
def in_the_paused_market(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "400.4")
    market.open(who, "vCRV", "3000.3")


@recipe("beside-the-paused-market")
def beside_the_paused_market(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "2400.4")
    market.open(who, "vCRV", "-5000.5")
    market.open(who, "vETH", "3.3")


@recipe("in-the-closed-market")
def in_the_closed_market(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "500.5")
    market.open(who, "vEURS", "2000.2")


@recipe("beside-the-closed-market")
def beside_the_closed_market(market: CurieMarket, who: str) -> None:
    market.deposit(who, "WBTC", "0.05")
    market.open(who, "vEURS", "-1000.1")
    market.open(who, "vBTC", "0.1")


@recipe("liquidatable-after-drop")
def liquidatable_after_drop(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "2780.9")
    market.open(who, "vETH", "4.0")


@recipe("deep-under-water-after-drop")
def deep_under_water_after_drop(market: CurieMarket, who: str) -> None:
    market.deposit(who, "USDC", "700.7")
    market.open(who, "vLINK", "300.0")


@recipe("liquidator")
def liquidator(market: CurieMarket, who: str) -> None:
    """Took over a part of somebody's position."""
    market.deposit(who, "USDC", "100000.000001")
    victim = person(f"{market.name}/partly-liquidated")
    market.deposit(victim, "USDC", "1000.1")
    room(market, victim, "vLINK", 97)
    before = market.listings["vLINK"].feed.answer
    market.move("vLINK", Raw(before * 955 // 1000))
    market.liquidate(who, victim, "vLINK")
    market.move("vLINK", Raw(before))


@recipe("partly-liquidated")
def partly_liquidated(market: CurieMarket, who: str) -> None:
    """Lost a part of the position to the user before."""
