"""The loss of a hedge: derivatives that stand against the rest of the book, closed by their venues at today's mark
(`unified-health` section 6).

Auto-deleveraging takes a winning position away without a fee: its profit is settled, its exposure is gone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from defi_risk.health.account import Assessed
from defi_risk.health.cascade import closing
from defi_risk.health.distance import Ratios, Surplus, crossings, market
from defi_risk.health.normal import Key, Normal
from defi_risk.health.settings import HealthSettings
from defi_risk.health.stress.altered import hedges
from defi_risk.model import ONE

_GONE: Final = Decimal(0)


def deleveraged(assessed: Sequence[Assessed], settings: HealthSettings) -> tuple[Assessed, ...] | None:
    """The book without its hedging derivatives; None where it has none.

    Figures of a changed account are those of its surplus; what concerns the venue's integers or its initial limits is left as it was.
    """
    # what is dead today is liquidated before its venue deleverages it
    lost = {row: legs for row, legs in hedges(assessed, settings).items() if not assessed[row].figures.liquidatable}
    if not lost:
        return None
    return tuple(_without(one, lost[row], settings) if row in lost else one for row, one in enumerate(assessed))


def harm(assessed: Sequence[Assessed], settings: HealthSettings) -> Literal["down", "up"]:
    """Which way of the market costs the book money."""
    forms = (one.normal.worth() for one in assessed)
    gain = sum(amount * settings.beta(key.factor) for form in forms for key, amount in form.items())
    return "up" if gain < 0 else "down"


def _without(one: Assessed, lost: Container[int], settings: HealthSettings) -> Assessed:
    gone = {id(holding) for index, holding in enumerate(one.normal.holdings) if index in lost}
    after = closing.shut(one.account, one.normal, _today, lambda holding: _GONE if id(holding) in gone else ONE, 0.0)
    return changed(one, after, settings)


def changed(one: Assessed, after: Normal[float], settings: HealthSettings) -> Assessed:
    """The account as if it were this one: surplus, ratios and the figures that follow from them."""
    surplus = Surplus.of(after, strict=one.account.strict)
    weighted, needed = after.weighted(), after.requirement()
    dead = weighted < needed or (not one.account.strict and weighted == needed > 0)
    ratios = Ratios(1.0, 1.0) if dead else crossings(surplus, market(surplus.coordinates(), settings))
    health = None if needed == 0 else max(0.0, weighted / needed)
    down, up = ratios.moves()
    figures = replace(
        one.figures,
        equity_usd=after.equity,
        collateral_usd=after.collateral,
        debt_usd=after.debt,
        weighted_collateral_usd=weighted,
        requirement_usd=needed,
        initial_requirement_usd=after.initial,
        surplus_usd=weighted - needed,
        health=health,
        free_margin_usd=weighted - after.initial,
        liquidatable=dead,
        hf=min(health or 0.0, 1.0) if dead else ratios.hf(),
        down=down,
        up=up,
    )
    return replace(one, normal=after, surplus=surplus, ratios=ratios, figures=figures, credit=0.0)


def _today(_: Key) -> float:
    return 1.0
