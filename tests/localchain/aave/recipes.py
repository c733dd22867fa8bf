"""What the users of an Aave market did, one function a user; run in the order in which they stand here.

Amounts are uneven on purpose. `room` borrows a share of what the market would still lend, so that one recipe fits all versions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.localchain.aave.market import STABLE, AaveMarket
from tests.localchain.contract import Reverted
from tests.localchain.people import person
from tests.localchain.tokens import Raw

Act = Callable[[AaveMarket, str], None]
ALL: Final = ("3.0", "3.2", "3.6")
EMODE_LISTS: Final = ("3.2", "3.6")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One user: what is special (`label`), in which versions, and what the user does."""

    label: str
    versions: tuple[str, ...]
    act: Act


RECIPES: Final[list[Recipe]] = []


def recipe(label: str, versions: tuple[str, ...] = ALL) -> Callable[[Act], Act]:
    """Register the function below as a recipe."""

    def register(act: Act) -> Act:
        RECIPES.append(Recipe(label, versions, act))
        return act

    return register


def room(market: AaveMarket, who: str, symbol: str, percent: int) -> None:
    """Borrow `percent` of what is available to `who`, in `symbol`; a few units less where roundings stand in the way of 100."""
    token = market.reserves[symbol].token
    worth = market.account(who).available * percent // 100
    amount = worth * 10**token.decimals // market.price(symbol)
    for missing in range(4):
        try:
            return market.borrow(who, symbol, Raw(amount - missing))
        except Reverted:
            if percent < 100 or missing == 3:
                raise
    return None


@recipe("dust-supply")
def dust_supply(market: AaveMarket, who: str) -> None:
    """Before anybody borrows: later one unit is worth less than one share."""
    market.supply(who, "WETH", Raw(1))


@recipe("dust-everywhere")
def dust_everywhere(market: AaveMarket, who: str) -> None:
    for symbol in ("WETH", "wstETH", "WBTC", "USDC", "DAI", "EURS"):
        market.supply(who, symbol, Raw(1))


@recipe("lender")
def lender(market: AaveMarket, who: str) -> None:
    supplies = {"WETH": 9_000, "wstETH": 3_000, "WBTC": 300, "USDC": 30_000_000, "DAI": 20_000_000, "EURS": 900_000, "CRV": 3_000_000}
    for symbol, amount in supplies.items():
        market.supply(who, symbol, amount)


@recipe("empty")
def empty(market: AaveMarket, who: str) -> None:
    """A wallet that never touched the market."""


@recipe("plain")
def plain(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "10.123456789012345678")
    market.borrow(who, "USDC", "9000.123456")


@recipe("no-debt")
def no_debt(market: AaveMarket, who: str) -> None:
    market.supply(who, "WBTC", "1.23456789")


@recipe("several-collaterals")
def several_collaterals(market: AaveMarket, who: str) -> None:
    for symbol, amount in (("WETH", "3.3"), ("wstETH", "2.2"), ("WBTC", "0.11111111"), ("USDC", "777.777777"), ("EURS", "1234.56")):
        market.supply(who, symbol, amount)
    room(market, who, "DAI", 60)


@recipe("several-debts")
def several_debts(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "100.000000000000000001")
    for symbol, amount in (("USDC", "12345.678901"), ("DAI", "23456.7890123"), ("WBTC", "0.12345678"), ("EURS", "3456.78")):
        market.borrow(who, symbol, amount)


@recipe("all-sorts")
def all_sorts(market: AaveMarket, who: str) -> None:
    for symbol, amount in (("WETH", "7.7"), ("wstETH", "5.5"), ("WBTC", "0.3"), ("USDC", "9999.999999"), ("DAI", "8888.8")):
        market.supply(who, symbol, amount)
    for symbol, percent in (("WETH", 15), ("USDC", 20), ("DAI", 25), ("EURS", 30), ("WBTC", 20), ("wstETH", 20)):
        room(market, who, symbol, percent)


@recipe("emode")
def emode(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 1)
    market.supply(who, "wstETH", "10.101010101010101010")
    room(market, who, "WETH", 98)


@recipe("emode-partly-outside")
def emode_partly_outside(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 1)
    for symbol, amount in (("wstETH", "4.4"), ("WBTC", "0.22222222"), ("DAI", "3333.3")):
        market.supply(who, symbol, amount)
    room(market, who, "WETH", 80)


@recipe("emode-all-outside")
def emode_all_outside(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 1)
    market.supply(who, "USDC", "15000.000001")
    room(market, who, "WETH", 70)


@recipe("emode-two-debts")
def emode_two_debts(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 1)
    market.supply(who, "WETH", "20.2")
    room(market, who, "wstETH", 40)
    room(market, who, "WETH", 60)


@recipe("emode-stablecoins")
def emode_stablecoins(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 2)
    market.supply(who, "USDC", "25000.123456")
    room(market, who, "DAI", 97)


@recipe("emode-without-debt")
def emode_without_debt(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 2)
    market.supply(who, "DAI", "4321.000000000000000001")


@recipe("emode-left-again")
def emode_left_again(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 1)
    market.supply(who, "wstETH", "6.6")
    room(market, who, "WETH", 50)
    market.set_emode(who, 0)


@recipe("emode-staked", EMODE_LISTS)
def emode_staked(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 3)
    market.supply(who, "wstETH", "8.8")
    market.supply(who, "WETH", "3.1")
    room(market, who, "USDC", 75)
    room(market, who, "EURS", 50)


@recipe("emode-loses-ltv", EMODE_LISTS)
def emode_loses_ltv(market: AaveMarket, who: str) -> None:
    """In 3.6 the category takes the LTV of wstETH away at the end."""
    market.set_emode(who, 3)
    market.supply(who, "wstETH", "5.123")
    room(market, who, "DAI", 65)


@recipe("isolated")
def isolated(market: AaveMarket, who: str) -> None:
    market.supply(who, "LINK", "1000.123")
    market.set_collateral(who, "LINK", True)
    room(market, who, "DAI", 95)


@recipe("isolated-with-more")
def isolated_with_more(market: AaveMarket, who: str) -> None:
    """What is supplied after an isolated collateral does not count as collateral."""
    market.supply(who, "LINK", "2000.2")
    market.set_collateral(who, "LINK", True)
    market.supply(who, "WETH", "1.1")
    room(market, who, "USDC", 50)


@recipe("isolated-unused")
def isolated_unused(market: AaveMarket, who: str) -> None:
    """An isolated asset beside other collateral stays switched off."""
    market.supply(who, "WETH", "2.2")
    market.supply(who, "LINK", "345.6")
    market.borrow(who, "USDC", "1500.5")


@recipe("siloed")
def siloed(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "5.5")
    market.borrow(who, "CRV", "7654.321")


@recipe("not-a-collateral")
def not_a_collateral(market: AaveMarket, who: str) -> None:
    market.supply(who, "CRV", "10000.1")
    market.supply(who, "USDC", "2000.2")
    market.borrow(who, "DAI", "900.9")


@recipe("collateral-switched-off")
def collateral_switched_off(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "4.4")
    market.supply(who, "USDC", "5000.000005")
    market.set_collateral(who, "USDC", False)
    room(market, who, "DAI", 70)


@recipe("all-switched-off")
def all_switched_off(market: AaveMarket, who: str) -> None:
    for symbol, amount in (("WETH", "1.5"), ("DAI", "2500.5")):
        market.supply(who, symbol, amount)
        market.set_collateral(who, symbol, False)


@recipe("same-asset")
def same_asset(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "12.000000000000000012")
    market.borrow(who, "WETH", "8.8")


@recipe("same-asset-emode")
def same_asset_emode(market: AaveMarket, who: str) -> None:
    market.set_emode(who, 2)
    market.supply(who, "USDC", "10000.000001")
    room(market, who, "USDC", 99)


@recipe("short")
def short(market: AaveMarket, who: str) -> None:
    market.supply(who, "USDC", "50000.000005")
    market.borrow(who, "WETH", "12.345678901234567890")


@recipe("dust-debt")
def dust_debt(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "0.000012345678901234")
    market.borrow(who, "USDC", Raw(1))


@recipe("dust-debt-large-collateral")
def dust_debt_large_collateral(market: AaveMarket, who: str) -> None:
    market.supply(who, "WBTC", "9.87654321")
    market.borrow(who, "DAI", Raw(2))


@recipe("max-borrowed")
def max_borrowed(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "10.000000000000000007")
    room(market, who, "USDC", 100)


@recipe("liquidatable-after-drop")
def liquidatable_after_drop(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "10.5")
    market.borrow(who, "USDC", "17900.5")


@recipe("just-liquidatable-after-drop")
def just_liquidatable_after_drop(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "10.0")
    market.borrow(who, "USDC", "16200.2")


@recipe("bad-debt-after-drop")
def bad_debt_after_drop(market: AaveMarket, who: str) -> None:
    market.supply(who, "LINK", "3000.3")
    market.set_collateral(who, "LINK", True)
    room(market, who, "DAI", 99)


@recipe("received-by-transfer")
def received_by_transfer(market: AaveMarket, who: str) -> None:
    """What arrives counts as collateral at once, from 3.6 on only when the owner says so."""
    market.transfer(person(f"{market.name}/lender"), who, "WETH", "3.210987654321")
    market.set_collateral(who, "WETH", True)
    room(market, who, "USDC", 40)


@recipe("received-beside-debt")
def received_beside_debt(market: AaveMarket, who: str) -> None:
    market.supply(who, "WBTC", "0.5")
    room(market, who, "DAI", 60)
    market.transfer(person(f"{market.name}/lender"), who, "USDC", "4444.444444")


@recipe("gone-again")
def gone_again(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "2.5")
    market.borrow(who, "USDC", "1000.5")
    market.repay(who, "USDC")
    market.withdraw(who, "WETH")


@recipe("partly-repaid")
def partly_repaid(market: AaveMarket, who: str) -> None:
    market.supply(who, "wstETH", "6.54321")
    market.borrow(who, "USDC", "8000.000008")
    market.repay(who, "USDC", "3210.987654")
    market.withdraw(who, "wstETH", "0.123456789")


@recipe("whale")
def whale(market: AaveMarket, who: str) -> None:
    market.supply(who, "wstETH", "1234567.890123456789012345")
    market.borrow(who, "USDC", "9876543.210987")
    market.borrow(who, "DAI", "8765432.109876543210987654")


@recipe("loses-ltv")
def loses_ltv(market: AaveMarket, who: str) -> None:
    """Governance takes the LTV of EURS away at the end."""
    market.supply(who, "EURS", "12345.67")
    market.supply(who, "USDC", "1234.567890")
    room(market, who, "DAI", 55)


@recipe("partly-liquidated")
def partly_liquidated(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "8.0")
    market.borrow(who, "USDC", "15600.6")
    feed = market.reserves["WETH"].feed
    before = feed.answer
    feed.move(-10)
    market.liquidate(person(f"{market.name}/liquidator"), who, "USDC", "WETH", "4000.5")
    feed.set(Raw(before))


@recipe("stable-debt", ("3.0",))
def stable_debt(market: AaveMarket, who: str) -> None:
    market.supply(who, "WETH", "10.75")
    market.borrow(who, "DAI", "7000.000000000000000007", STABLE)


@recipe("stable-and-variable-debt", ("3.0",))
def stable_and_variable_debt(market: AaveMarket, who: str) -> None:
    market.supply(who, "WBTC", "0.75")
    market.borrow(who, "DAI", "5000.5", STABLE)
    market.borrow(who, "DAI", "4000.4")
    market.borrow(who, "USDC", "3000.3")
