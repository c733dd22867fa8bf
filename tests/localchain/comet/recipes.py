"""What the users of the Compound III doubles did, one function a user; run in the order in which they stand here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.comet.market import CometMarket
from tests.localchain.people import person
from tests.localchain.tokens import Raw

Act = Callable[[CometMarket, str], None]
BOTH: Final = ("comet-usdc", "comet-weth")
IN_USDC: Final = ("comet-usdc",)
IN_WETH: Final = ("comet-weth",)
WAD: Final = 10**18


@dataclass(frozen=True, slots=True)
class Recipe:
    """One user: what is special (`label`), in which markets, and what the user does."""

    label: str
    markets: tuple[str, ...]
    act: Act


RECIPES: Final[list[Recipe]] = []


def recipe(label: str, markets: tuple[str, ...] = BOTH) -> Callable[[Act], Act]:
    """Register the function below as a recipe."""

    def register(act: Act) -> Act:
        RECIPES.append(Recipe(label, markets, act))
        return act

    return register


def room(market: CometMarket, who: str, percent: int) -> None:
    """Borrow `percent` of what the posted collateral allows, rounded down as the market does."""
    worth = 0
    for symbol, asset in market.collateral.items():
        info = market.asset_info(symbol)
        worth += market.posted(who, symbol) * asset.feed.answer // info.scale * info.borrow_factor // WAD
    unit = 10**market.base.token.decimals
    market.borrow(who, Raw(worth * percent // 100 * unit // market.base.feed.answer))


@recipe("lender")
def lender(market: CometMarket, who: str) -> None:
    market.supply(who, market.base.token.symbol, 12_345_678 if market.name == "comet-usdc" else 23_456)


@recipe("empty")
def empty(market: CometMarket, who: str) -> None:
    """A wallet that never touched the market."""


@recipe("dust-base-supply")
def dust_base_supply(market: CometMarket, who: str) -> None:
    market.supply(who, market.base.token.symbol, Raw(1))


@recipe("dust-collateral")
def dust_collateral(market: CometMarket, who: str) -> None:
    for symbol in market.collateral:
        market.supply(who, symbol, Raw(1))


@recipe("plain")
def plain(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "10.123456789012345678")
    room(market, who, 60)


@recipe("plain-bitcoin")
def plain_bitcoin(market: CometMarket, who: str) -> None:
    market.supply(who, "WBTC", "0.87654321")
    room(market, who, 55)


@recipe("plain-ether", IN_USDC)
def plain_ether(market: CometMarket, who: str) -> None:
    market.supply(who, "WETH", "8.765432109876543210")
    market.borrow(who, "9000.123456")


@recipe("no-debt")
def no_debt(market: CometMarket, who: str) -> None:
    market.supply(who, "WBTC", "1.23456789")


@recipe("several-collaterals")
def several_collaterals(market: CometMarket, who: str) -> None:
    for symbol, amount in (("wstETH", "2.2"), ("WBTC", "0.11111111")):
        market.supply(who, symbol, amount)
    room(market, who, 65)


@recipe("all-collaterals", IN_USDC)
def all_collaterals(market: CometMarket, who: str) -> None:
    for symbol, amount in (("WETH", "3.3"), ("wstETH", "2.2"), ("WBTC", "0.11111111"), ("LINK", "123.456")):
        market.supply(who, symbol, amount)
    room(market, who, 70)


@recipe("with-dust-beside", IN_USDC)
def with_dust_beside(market: CometMarket, who: str) -> None:
    market.supply(who, "WETH", "1.5")
    for symbol in ("wstETH", "WBTC", "LINK"):
        market.supply(who, symbol, Raw(1))
    room(market, who, 50)


@recipe("dust-collateral-beside")
def dust_collateral_beside(market: CometMarket, who: str) -> None:
    market.supply(who, "WBTC", Raw(1))
    market.supply(who, "wstETH", "2.345")
    room(market, who, 77)


@recipe("borrowed-twice")
def borrowed_twice(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "7.89")
    room(market, who, 30)
    market.supply(who, "WBTC", "0.05")
    market.borrow(who, "1.234567")


@recipe("collateral-withdrawn")
def collateral_withdrawn(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "9.87")
    market.supply(who, "WBTC", "0.12")
    room(market, who, 40)
    market.withdraw(who, "WBTC")
    market.withdraw(who, "wstETH", "0.87")


@recipe("two-collaterals-idle")
def two_collaterals_idle(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "0.000000000000000003")
    market.supply(who, "WBTC", "0.5")


@recipe("base-supplier")
def base_supplier(market: CometMarket, who: str) -> None:
    market.supply(who, market.base.token.symbol, "4321.123456")


@recipe("base-supplier-with-collateral")
def base_supplier_with_collateral(market: CometMarket, who: str) -> None:
    """Base that is supplied is no collateral, and collateral beside it serves nothing."""
    market.supply(who, market.base.token.symbol, "765.432109")
    market.supply(who, "wstETH", "1.1")


@recipe("supplier-turned-borrower")
def supplier_turned_borrower(market: CometMarket, who: str) -> None:
    """One withdrawal that goes through zero."""
    market.supply(who, market.base.token.symbol, "2.5")
    market.supply(who, "wstETH", "5.5")
    room(market, who, 45)


@recipe("borrower-turned-supplier")
def borrower_turned_supplier(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "3.3")
    room(market, who, 30)
    market.supply(who, market.base.token.symbol, "20000.5")


@recipe("least-borrowed")
def least_borrowed(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "1.9")
    market.borrow(who, Raw(int(market.comet.call("baseBorrowMin"))))


@recipe("dust-debt")
def dust_debt(market: CometMarket, who: str) -> None:
    """Below the least that can be borrowed: by repaying all but one unit."""
    market.supply(who, "wstETH", "1.7")
    room(market, who, 50)
    market.repay(who, but=1)


@recipe("dust-debt-dust-collateral")
def dust_debt_dust_collateral(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "1.6")
    room(market, who, 50)
    market.repay(who, but=2)
    market.withdraw(who, "wstETH", Raw(1_600_000_000_000_000_000 - 10**13))


@recipe("max-borrowed")
def max_borrowed(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "10.000000000000000007")
    room(market, who, 100)


@recipe("max-borrowed-bitcoin")
def max_borrowed_bitcoin(market: CometMarket, who: str) -> None:
    market.supply(who, "WBTC", "3.00000001")
    room(market, who, 100)


@recipe("liquidatable-after-drop")
def liquidatable_after_drop(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "20.2")
    room(market, who, 95)


@recipe("just-liquidatable-after-drop", IN_USDC)
def just_liquidatable_after_drop(market: CometMarket, who: str) -> None:
    market.supply(who, "WETH", "10.0")
    market.borrow(who, "17200.2")


@recipe("just-safe-after-drop", IN_USDC)
def just_safe_after_drop(market: CometMarket, who: str) -> None:
    market.supply(who, "WETH", "10.0")
    market.borrow(who, "17180.1")


@recipe("bad-debt-after-drop", IN_USDC)
def bad_debt_after_drop(market: CometMarket, who: str) -> None:
    market.supply(who, "LINK", "3000.3")
    room(market, who, 99)


@recipe("repaid")
def repaid(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "4.4")
    room(market, who, 40)
    market.repay(who)


@recipe("gone-again")
def gone_again(market: CometMarket, who: str) -> None:
    market.supply(who, "wstETH", "2.4")
    room(market, who, 40)
    market.repay(who)
    market.withdraw(who, "wstETH")


@recipe("partly-repaid")
def partly_repaid(market: CometMarket, who: str) -> None:
    market.supply(who, "WBTC", "0.65432109")
    room(market, who, 80)
    market.supply(who, market.base.token.symbol, "1.23")
    market.withdraw(who, "WBTC", "0.01")


@recipe("absorbed")
def absorbed(market: CometMarket, who: str) -> None:
    """Liquidated: no collateral, and what was left over as base."""
    feed = market.collateral["WBTC"].feed
    before = feed.answer
    market.supply(who, "WBTC", "0.5")
    room(market, who, 99)
    feed.move(-7)
    market.absorb(person(f"{market.name}/absorber"), who)
    feed.set(Raw(before))


@recipe("absorbed-and-back")
def absorbed_and_back(market: CometMarket, who: str) -> None:
    """Liquidated, and a borrower again."""
    absorbed(market, who)
    market.withdraw(who, market.base.token.symbol)
    market.supply(who, "wstETH", "3.21")
    room(market, who, 33)


@recipe("whale")
def whale(market: CometMarket, who: str) -> None:
    """Most of what can be had, for rates that are felt."""
    market.supply(who, "wstETH", "123456.789012345678901234")
    market.borrow(who, Raw(market.base.token.balance(market.comet.address) * 60 // 100))
