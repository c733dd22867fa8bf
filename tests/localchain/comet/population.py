"""The users of the Compound III doubles."""

from __future__ import annotations

from tests.localchain.comet.market import CometMarket
from tests.localchain.comet.recipes import RECIPES
from tests.localchain.people import Case, person


def populate(market: CometMarket) -> list[Case]:
    """Let all users of that market act; the accounts in the order in which they came."""
    cases: list[Case] = []
    for recipe in RECIPES:
        if market.name in recipe.markets:
            case = Case(recipe.label, person(f"{market.name}/{recipe.label}"))
            recipe.act(market, case.address)
            cases.append(case)
    return cases
