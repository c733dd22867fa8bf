"""Unified health: every account in one normal form, on one shock axis, compared by distance to its own liquidation.

Pure functions of values: nothing here reads, asks or waits. `run` gives the present figures of a book, `draw` the whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from defi_risk.health.asked import Asked, ChanceAsked
from defi_risk.health.figures import AccountFigures, BookFigures, Exposure, Figures, Move, NearestFactor, Tick
from defi_risk.health.picture import Picture, draw
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import Factor
from defi_risk.model import Account

__all__ = [
    "AccountFigures",
    "Asked",
    "BookFigures",
    "ChanceAsked",
    "Exposure",
    "Figures",
    "HealthSettings",
    "Move",
    "NearestFactor",
    "Picture",
    "Tick",
    "draw",
    "run",
]


def run(
    accounts: Sequence[Account], settings: HealthSettings, *, quotes: Mapping[Factor, float] | None = None, partial: bool = False
) -> Figures:
    """The present figures of a book; see `draw`."""
    return draw(accounts, settings, quotes=quotes, partial=partial).figures
