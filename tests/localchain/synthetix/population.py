"""The traders of Synthetix PerpsV2."""

from __future__ import annotations

from tests.localchain.people import Case, person
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.synthetix.recipes import RECIPES


def populate(market: SynthetixMarket) -> list[Case]:
    """Let all traders act; the accounts in the order in which they came."""
    cases: list[Case] = []
    for recipe in RECIPES:
        case = Case(recipe.label, person(f"{market.name}/{recipe.label}"))
        recipe.act(market, case.address)
        cases.append(case)
    return cases
