"""The users of Perpetual Protocol V2, and what became of two of its markets."""

from __future__ import annotations

from tests.localchain.curie.market import CurieMarket
from tests.localchain.curie.recipes import RECIPES
from tests.localchain.people import Case, person


def populate(market: CurieMarket) -> list[Case]:
    """Let all users act, pause one market and close another; the accounts in the order in which they came."""
    cases: list[Case] = []
    for recipe in RECIPES:
        case = Case(recipe.label, person(f"{market.name}/{recipe.label}"))
        recipe.act(market, case.address)
        cases.append(case)
    market.pause("vCRV")
    market.pause("vEURS")
    market.close_market("vEURS", "1.0912345678")
    market.report()
    return cases
