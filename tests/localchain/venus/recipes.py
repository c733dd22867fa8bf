"""What the users of a Compound V2 style market did, one function a user; run in the order in which they stand here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.people import person
from tests.localchain.tokens import Raw
from tests.localchain.venus.market import VenusMarket

Act = Callable[[VenusMarket, str], None]
TOKEN_UNIT: Final = Raw(2 * 10**8)
"""What the smallest unit of a market token of 18 decimals costs at the start."""


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


def room(market: VenusMarket, who: str, symbol: str, percent: int) -> None:
    """Borrow `percent` of what `who` still may, in `symbol`."""
    amount = market.liquidity(who).liquidity * percent // 100 * 10**18 // market.price(symbol)
    market.borrow(who, symbol, Raw(amount))


@recipe("dust-supply")
def dust_supply(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", TOKEN_UNIT)


@recipe("dust-everywhere")
def dust_everywhere(market: VenusMarket, who: str) -> None:
    for symbol in ("WETH", "wstETH", "DAI", "LINK", "COIN"):
        market.supply(who, symbol, TOKEN_UNIT)


@recipe("lender")
def lender(market: VenusMarket, who: str) -> None:
    supplies = {
        "WETH": 9_000,
        "wstETH": 3_000,
        "WBTC": 300,
        "USDC": 20_000_000,
        "DAI": 9_000_000,
        "LINK": 50_000,
        "CRV": 100_000,
        "COIN": 5_000,
    }
    for symbol, amount in supplies.items():
        market.supply(who, symbol, amount)


@recipe("empty")
def empty(market: VenusMarket, who: str) -> None:
    """A wallet that never touched the market."""


@recipe("plain")
def plain(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "10.123456789012345678")
    market.borrow(who, "USDC", "9000.123456")


@recipe("no-debt")
def no_debt(market: VenusMarket, who: str) -> None:
    market.supply(who, "WBTC", "1.23456789")


@recipe("several-collaterals")
def several_collaterals(market: VenusMarket, who: str) -> None:
    for symbol, amount in (("WETH", "3.3"), ("wstETH", "2.2"), ("WBTC", "0.11111111"), ("USDC", "777.777777"), ("COIN", "1.23")):
        market.supply(who, symbol, amount)
    room(market, who, "DAI", 60)


@recipe("several-debts")
def several_debts(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "100.000000000000000001")
    for symbol, amount in (("USDC", "12345.678901"), ("DAI", "23456.7890123"), ("WBTC", "0.12345678"), ("LINK", "345.6"), ("COIN", "2.1")):
        market.borrow(who, symbol, amount)


@recipe("all-sorts")
def all_sorts(market: VenusMarket, who: str) -> None:
    for symbol, amount in (("WETH", "7.7"), ("wstETH", "5.5"), ("WBTC", "0.3"), ("USDC", "9999.999999"), ("DAI", "8888.8")):
        market.supply(who, symbol, amount)
    for symbol, percent in (("WETH", 15), ("USDC", 20), ("DAI", 25), ("WBTC", 30), ("wstETH", 20)):
        room(market, who, symbol, percent)
    market.mint_vai(who, "123.456")


@recipe("native-coin")
def native_coin(market: VenusMarket, who: str) -> None:
    market.supply(who, "COIN", "12.345678901234567890")
    room(market, who, "USDC", 70)


@recipe("native-debt")
def native_debt(market: VenusMarket, who: str) -> None:
    market.supply(who, "USDC", "20000.000002")
    room(market, who, "COIN", 65)


@recipe("not-entered")
def not_entered(market: VenusMarket, who: str) -> None:
    """Supplied, but no collateral."""
    market.supply(who, "WETH", "4.5", enter=False)


@recipe("partly-entered")
def partly_entered(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "4.4")
    market.supply(who, "USDC", "5000.000005", enter=False)
    room(market, who, "DAI", 75)


@recipe("left-again")
def left_again(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "3.3")
    market.supply(who, "WBTC", "0.2")
    room(market, who, "USDC", 20)
    market.leave(who, "WBTC")


@recipe("entered-without-supply")
def entered_without_supply(market: VenusMarket, who: str) -> None:
    market.enter(who, "WETH", "USDC", "COIN")


@recipe("not-a-collateral")
def not_a_collateral(market: VenusMarket, who: str) -> None:
    market.supply(who, "CRV", "10000.1")
    market.supply(who, "USDC", "2000.2")
    market.borrow(who, "DAI", "900.9")


@recipe("same-asset")
def same_asset(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "12.000000000000000012")
    market.borrow(who, "WETH", "8.8")


@recipe("short")
def short(market: VenusMarket, who: str) -> None:
    market.supply(who, "USDC", "50000.000005")
    market.borrow(who, "WETH", "12.345678901234567890")


@recipe("vai-only")
def vai_only(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "2.5")
    market.mint_vai(who, "1500.000000000000000015")


@recipe("vai-beside-debt")
def vai_beside_debt(market: VenusMarket, who: str) -> None:
    market.supply(who, "WBTC", "0.7")
    market.borrow(who, "USDC", "8000.8")
    market.mint_vai(who, "7000.7")
    market.mint_vai(who, "70.07")


@recipe("dust-debt")
def dust_debt(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "0.0000123")
    market.borrow(who, "USDC", Raw(1))


@recipe("dust-debt-large-collateral")
def dust_debt_large_collateral(market: VenusMarket, who: str) -> None:
    market.supply(who, "WBTC", "9.87654321")
    market.borrow(who, "DAI", Raw(2))


@recipe("max-borrowed")
def max_borrowed(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "10.000000000000000007")
    room(market, who, "USDC", 100)


@recipe("liquidatable-after-drop")
def liquidatable_after_drop(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "10.5")
    market.borrow(who, "USDC", "17900.5")


@recipe("just-liquidatable-after-drop")
def just_liquidatable_after_drop(market: VenusMarket, who: str) -> None:
    market.supply(who, "COIN", "10.0")
    market.borrow(who, "DAI", "15300.2")


@recipe("bad-debt-after-drop")
def bad_debt_after_drop(market: VenusMarket, who: str) -> None:
    market.supply(who, "LINK", "3000.3")
    room(market, who, "DAI", 99)


@recipe("received-by-transfer")
def received_by_transfer(market: VenusMarket, who: str) -> None:
    """What arrives is no collateral before its owner enters the market."""
    market.transfer(person("venus/lender"), who, "WETH", 16_049_382_715)
    market.enter(who, "WETH")
    room(market, who, "USDC", 40)


@recipe("received-not-entered")
def received_not_entered(market: VenusMarket, who: str) -> None:
    market.transfer(person("venus/lender"), who, "USDC", 12_345_678_901)


@recipe("gone-again")
def gone_again(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "2.5")
    market.borrow(who, "USDC", "1000.5")
    market.repay(who, "USDC")
    market.withdraw(who, "WETH")


@recipe("partly-repaid")
def partly_repaid(market: VenusMarket, who: str) -> None:
    market.supply(who, "wstETH", "6.54321")
    market.borrow(who, "USDC", "8000.000008")
    market.repay(who, "USDC", "3210.987654")
    market.withdraw(who, "wstETH", "0.123456789")


@recipe("partly-liquidated")
def partly_liquidated(market: VenusMarket, who: str) -> None:
    market.supply(who, "WETH", "8.0")
    market.borrow(who, "USDC", "15600.6")
    market.set_price("WETH", "2300")
    market.liquidate(person("venus/liquidator"), who, "USDC", "WETH", "4000.5")
    market.set_price("WETH", "2512.34567891")


@recipe("whale")
def whale(market: VenusMarket, who: str) -> None:
    market.supply(who, "wstETH", "1234567.890123456789012345")
    market.borrow(who, "USDC", "9876543.210987")
    market.borrow(who, "DAI", "4321012.109876543210987654")
