"""The whole picture of a book: present figures, and what was asked for beyond them, computed once from the same assessed accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from defi_risk.errors import UnknownName, UsageError
from defi_risk.health import stress
from defi_risk.health.account import Assessed, assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.asked import Asked, ChanceAsked
from defi_risk.health.book import assess_book
from defi_risk.health.boundary import boundary, chosen
from defi_risk.health.carry import time_to_liquidation
from defi_risk.health.cascade import cascade
from defi_risk.health.covariance import Covariance, covariance
from defi_risk.health.exposure import exposures
from defi_risk.health.figures import Boundary, Chance, Exposure, Figures
from defi_risk.health.settings import HealthSettings
from defi_risk.health.shock import Space
from defi_risk.health.sigma import SigmaDistance, book_sigma, sigmas
from defi_risk.health.stress.scenarios import built_in
from defi_risk.ids import AccountId, Factor
from defi_risk.model import Account

MOST_WALKED: Final = 2_000
"""A book of more accounts (a bulk scan of other people's wallets) has its present figures only: a note says so."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A book's figures with what they were computed from, for flags and plans."""

    assessed: tuple[Assessed, ...]
    covariance: Covariance
    figures: Figures
    quotes: Mapping[Factor, float] = field(default_factory=dict)


def draw(
    accounts: Sequence[Account],
    settings: HealthSettings,
    *,
    quotes: Mapping[Factor, float] | None = None,
    partial: bool = False,
    asked: Asked | None = None,
) -> Picture:
    """The picture of a book, the same whatever the order of its accounts. `quotes`: USD per unit of factors, for positions whose account
    holds no margin in their quote coin (otherwise 1). `partial`: a source failed, so that accounts may be missing altogether. `asked`
    None: the present figures only.

    Every leg but positions must be priced in USD, else `MissingPrice`. Raises `UsageError` for what cannot be done as asked.
    """
    known = sorted((account for account in accounts if account.known), key=lambda account: account.id)
    assessed = [assess(account, settings, quotes or {}) for account in known]
    arrays = Arrays.of(assessed)
    covered = covariance(
        arrays.axes,
        volatility=settings.volatility,
        correlation=settings.correlation,
        stables=frozenset(str(factor) for factor in settings.stables),
        history=settings.history,
    )
    distances = sigmas(assessed, arrays, covered, settings.horizon_days)
    assessed = [_ahead(one, found) for one, found in zip(assessed, distances, strict=True)]
    exposed = exposures(assessed, settings)
    present = assess_book(assessed, exposed, settings, partial=partial or len(known) < len(accounts))
    times = [one.figures.time_to_liquidation_days for one in assessed]
    present = replace(
        present,
        sigma=replace(book_sigma(assessed, distances, settings.horizon_days), missing=_missing(distances)),
        time_to_liquidation_days=min((days for days in times if days is not None), default=None),
    )
    figures = Figures(accounts={one.account.id: one.figures for one in assessed}, book=present, exposures=exposed)
    if asked is not None:
        figures = _beyond(figures, assessed, arrays, covered, settings, asked, partial=partial or len(known) < len(accounts))
    return Picture(tuple(assessed), covered, figures, quotes or {})


def _ahead(one: Assessed, found: SigmaDistance) -> Assessed:
    """The account with its distance in standard deviations, and with how long it lives at unchanged prices."""
    time = time_to_liquidation(one)
    figures = replace(one.figures, sigma=found.distance, sigma_missing=found.missing, time_to_liquidation_days=time)
    return replace(one, figures=figures)


def _missing(distances: Sequence[SigmaDistance]) -> tuple[str, ...]:
    return tuple(sorted({name for found in distances for name in found.missing}))


def _beyond(
    figures: Figures,
    assessed: Sequence[Assessed],
    arrays: Arrays,
    covered: Covariance,
    settings: HealthSettings,
    asked: Asked,
    *,
    partial: bool,
) -> Figures:
    if asked.walk and len(assessed) > MOST_WALKED:
        note = f"stresses and cascades are left out: {len(assessed):,} accounts are more than {MOST_WALKED:,}"
        figures = replace(figures, notes=(note,))
    elif asked.walk:
        scenarios = (*built_in(assessed, settings, asked.days), *asked.scenarios)
        figures = replace(
            figures,
            stress=stress.run(assessed, arrays, scenarios, settings, known=asked.known),
            cascade=cascade(assessed, settings),
        )
    # what cannot be done because something could not be read is left out, not wrong usage: the scan is not lost for it
    try:
        drawn = _boundary(assessed, figures.exposures, settings, asked)
        if isinstance(drawn, str):
            figures = _without(figures, f"the boundary is left out: the maintenance brackets of {drawn} do not meet")
        else:
            figures = replace(figures, boundary=drawn)
    except UnknownName as fault:
        if not partial:
            raise
        figures = _without(figures, f"the boundary is left out, as not everything could be read: {fault.message}")
    if asked.chance is not None:
        try:
            figures = replace(figures, chance=_chance(assessed, arrays, covered, settings, asked.chance))
        except UsageError as fault:
            if not (partial and not assessed) and asked.priced:
                raise
            figures = _without(figures, f"chances are left out, as not everything could be read: {fault.message}")
    return figures


def _without(figures: Figures, note: str) -> Figures:
    return replace(figures, notes=(*figures.notes, note))


def _chance(assessed: Sequence[Assessed], arrays: Arrays, covered: Covariance, settings: HealthSettings, ask: ChanceAsked) -> Chance:
    from defi_risk.health.chance import simulate

    return simulate(assessed, arrays, covered, settings, method=ask.method, paths=ask.paths, seed=ask.seed)


def _boundary(
    assessed: Sequence[Assessed], exposed: Sequence[Exposure], settings: HealthSettings, asked: Asked
) -> Boundary | AccountId | None:
    if asked.boundary is None:
        pair = chosen(exposed, settings)
        return None if pair is None else boundary(assessed, pair)
    space = Space.of((key for one in assessed for key in one.surplus.coordinates()), ())
    first, second = (_factor(space, name) for name in asked.boundary)
    if first == second:
        raise UsageError(f"a boundary needs two different factors, not {first} twice", hint="--boundary ETH,BTC")
    return boundary(assessed, (first, second))


def _factor(space: Space, name: str) -> Factor:
    if name in space.pegs:
        raise UsageError(f"{name!r} is a peg; a boundary is drawn over two factors", hint=f"one of {', '.join(space.factors)}")
    return Factor(str(space.find(name)))
