"""Figures of the whole book (`unified-health` section 5): accounts are compared by distance, the netted figures stand beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log

from defi_risk.health.account import Assessed
from defi_risk.health.distance import Ratios, Surplus, crossings, market
from defi_risk.health.exposure import gross_volatile
from defi_risk.health.figures import BookFigures, Exposure, Move, NearestFactor
from defi_risk.health.settings import HealthSettings
from defi_risk.model import Side


def assess_book(assessed: Sequence[Assessed], exposed: Iterable[Exposure], settings: HealthSettings, *, partial: bool) -> BookFigures:
    """Figures of the known accounts, which must come in the order of their ids. `partial`: something of the book is not known."""
    first = min((one for one in assessed if one.figures.hf is not None), key=_hf, default=None)
    uhf = None if first is None else first.figures.hf
    netted = _netted_uhf(assessed, uhf, settings)
    equity = sum(one.figures.equity_usd for one in assessed)
    known = bool(assessed) or not partial
    return BookFigures(
        uhf=uhf,
        first_account=None if first is None else first.account.id,
        first_side=None if first is None else _side(first),
        corridor=(
            max((one.figures.down for one in assessed if one.figures.down is not None), default=None),
            min((one.figures.up for one in assessed if one.figures.up is not None), default=None),
        ),
        netted_uhf=netted,
        netted_health=_netted_health(assessed),
        stranded_usd=None if first is None else _stranded(assessed, first, settings),
        fragmentation=_fragmentation(len(assessed), uhf, netted),
        mur=_largest_mur(assessed),
        net_equity_usd=equity if known else None,
        true_leverage=gross_volatile(exposed, settings) / equity if equity > 0 else None,
        nearest_factor=_nearest(assessed, settings),
        bound="exact" if not partial else "at_most" if assessed else "unknown",
    )


def _hf(one: Assessed) -> float:
    return float("inf") if one.figures.hf is None else one.figures.hf


def _side(first: Assessed) -> str | None:
    """Which way the market moves to the first liquidation; None where it has come already."""
    if first.figures.liquidatable:
        return None
    return "down" if first.ratios.down is not None and 1.0 / first.ratios.down == first.figures.hf else "up"


def _netted_uhf(assessed: Sequence[Assessed], uhf: float | None, settings: HealthSettings) -> float | None:
    """HF of the summed surplus: an upper bound, since margin does not flow between accounts."""
    if uhf is None:
        return None
    total = Surplus.total(one.surplus for one in assessed)
    ramps = market(total.coordinates(), settings)
    if uhf <= 1 and total.at(ramps, 1.0) < 0:
        return min(1.0, max(uhf, _netted_health(assessed) or 0.0))
    netted = crossings(total, ramps).hf()
    return None if netted is None else max(uhf, netted)  # the sum cannot be dead before its parts: less is rounding


def _netted_health(assessed: Sequence[Assessed]) -> float | None:
    weighted = sum(one.figures.weighted_collateral_usd for one in assessed)
    requirement = sum(one.figures.requirement_usd for one in assessed)
    return None if requirement == 0 else max(0.0, weighted) / requirement


def _stranded(assessed: Sequence[Assessed], first: Assessed, settings: HealthSettings) -> float:
    """What the other accounts have to spare at the book's first liquidation."""
    ratio = 1.0 if first.figures.liquidatable else _ratio(first.ratios, _side(first))
    others = (one.surplus for one in assessed if one is not first)
    return sum(max(0.0, surplus.at(market(surplus.coordinates(), settings), ratio)) for surplus in others)


def _ratio(ratios: Ratios, side: str | None) -> float:
    found = ratios.down if side == "down" else ratios.up
    return 1.0 if found is None else found


def _fragmentation(accounts: int, uhf: float | None, netted: float | None) -> float | None:
    """1 - ln UHF / ln netted UHF: the share of the book's safety that the accounts cannot lend each other."""
    if accounts < 2 or uhf is None:
        return None
    if netted is None:
        return 1.0
    if netted <= 1:
        return 0.0
    return 1.0 if uhf <= 1 else 1.0 - log(uhf) / log(netted)


def _largest_mur(assessed: Sequence[Assessed]) -> float | None:
    """The largest of the derivatives accounts; None where there is none, and where one has a requirement but nothing to meet it."""
    sides = [one.figures for one in assessed if one.account.side is Side.DERIVATIVES]
    used = [figures.mur for figures in sides if figures.mur is not None]
    if any(figures.mur is None and figures.initial_requirement_usd > 0 for figures in sides):
        return None
    return max(used, default=None)


def _nearest(assessed: Sequence[Assessed], settings: HealthSettings) -> NearestFactor | None:
    """The smallest move, as a log ratio, of one factor or peg alone that liquidates a living account.

    A price that rises by a ratio and the coin it is counted in that falls by it are one event: the first names it.
    """
    found = [(round(abs(log(1.0 + move.move)), 12), one, move) for one in assessed for move in one.figures.moves]
    if not found:
        return None

    def rank(item: tuple[float, Assessed, Move]) -> tuple[float, bool, str, str, str, str]:
        size, one, move = item
        return size, settings.stable(move.factor), one.account.id, move.peg or "", move.factor, move.direction

    _, one, move = min(found, key=rank)
    return NearestFactor(str(move.peg or move.factor), move.direction, move.move, one.account.id)
