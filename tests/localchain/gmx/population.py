"""The users of the GMX double."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.localchain.gmx.market import GmxMarket, Opened
from tests.localchain.gmx.recipes import RECIPES
from tests.localchain.people import Case, person

LATER: Final = 4 * 86_400


def populate(market: GmxMarket) -> list[Case]:
    """Let all users act; the accounts in the order in which they came."""
    return [Case(label, positions[0].account) for label, positions in opened(market).items()]


def opened(market: GmxMarket) -> Mapping[str, list[Opened]]:
    """Let all users act, those who come late some days after the others; their positions by label."""
    found: dict[str, list[Opened]] = {}
    for late in (False, True):
        for recipe in RECIPES:
            if recipe.late is late:
                found[recipe.label] = recipe.act(market, person(f"{market.name}/{recipe.label}"))
        if not late:
            market.pass_time(LATER)
    return found
