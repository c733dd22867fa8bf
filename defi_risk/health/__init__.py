"""Unified health: every account in one normal form, on one shock axis, compared by distance to its own liquidation.

Pure functions of values: nothing here reads, asks or waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from defi_risk.health.account import assess
from defi_risk.health.book import assess_book
from defi_risk.health.exposure import exposures
from defi_risk.health.figures import AccountFigures, BookFigures, Exposure, Figures, Move, NearestFactor, Tick
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import Factor
from defi_risk.model import Account

__all__ = ["AccountFigures", "BookFigures", "Exposure", "Figures", "HealthSettings", "Move", "NearestFactor", "Tick", "run"]


def run(
    accounts: Sequence[Account], settings: HealthSettings, *, quotes: Mapping[Factor, float] | None = None, partial: bool = False
) -> Figures:
    """Figures of a book, the same whatever the order of its accounts. Unknown accounts have none and make the book partial.

    `quotes`: USD per unit of factors, for positions whose account holds no margin in their quote coin (otherwise 1). `partial`: a
    source failed, so that accounts may be missing altogether. Every leg but positions must be priced in USD, else `MissingPrice`.
    """
    known = sorted((account for account in accounts if account.known), key=lambda account: account.id)
    assessed = [assess(account, settings, quotes or {}) for account in known]
    exposed = exposures(assessed, settings)
    return Figures(
        accounts={one.account.id: one.figures for one in assessed},
        book=assess_book(assessed, exposed, settings, partial=partial or len(known) < len(accounts)),
        exposures=exposed,
    )
