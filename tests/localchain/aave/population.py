"""The users of an Aave market."""

from __future__ import annotations

from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.parameters import STAKED
from tests.localchain.aave.recipes import RECIPES
from tests.localchain.people import Case, person


def populate(market: AaveMarket) -> list[Case]:
    """Let all users of the market's version act, then governance; the accounts in the order in which they came."""
    cases: list[Case] = []
    for recipe in RECIPES:
        if market.version in recipe.versions:
            case = Case(recipe.label, person(f"{market.name}/{recipe.label}"))
            recipe.act(market, case.address)
            cases.append(case)
    _govern(market)
    return cases


def _govern(market: AaveMarket) -> None:
    """Take LTVs away from assets that are in use: a state no user can enter, but many are left in."""
    market.set_risk("EURS", 0, 7_500, 10_500)
    if market.version == "3.6":
        market.configurator.send("setAssetLtvzeroInEMode", market.reserves["wstETH"].token.address, STAKED.id, True)
