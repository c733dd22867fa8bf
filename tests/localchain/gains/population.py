"""The traders of gTrade."""

from __future__ import annotations

from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.recipes import RECIPES
from tests.localchain.people import Case, person


def populate(market: GainsMarket) -> list[Case]:
    """Let all traders act; the accounts in the order in which they came."""
    cases: list[Case] = []
    for recipe in RECIPES:
        case = Case(recipe.label, person(f"{market.name}/{recipe.label}"))
        recipe.act(market, case.address)
        cases.append(case)
    return cases
