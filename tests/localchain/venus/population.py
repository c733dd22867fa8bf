"""The users of a Compound V2 style market."""

from __future__ import annotations

from tests.localchain.people import Case, person
from tests.localchain.venus.market import VenusMarket
from tests.localchain.venus.recipes import RECIPES


def populate(market: VenusMarket) -> list[Case]:
    """Let all users act; the accounts in the order in which they came."""
    cases: list[Case] = []
    for recipe in RECIPES:
        case = Case(recipe.label, person(f"{market.name}/{recipe.label}"))
        recipe.act(market, case.address)
        cases.append(case)
    return cases
