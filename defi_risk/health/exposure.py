"""What the book holds of each factor, through its tokens and derivatives (`unified-health` section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from defi_risk.health.account import Assessed
from defi_risk.health.figures import Exposure
from defi_risk.health.normal import Holding
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import Factor
from defi_risk.model import Contract, Role


@dataclass(slots=True)
class _Tally:
    long: float = 0.0
    short: float = 0.0
    by_venue: dict[str, float] = field(default_factory=dict)
    owned: float = 0.0
    sold: float = 0.0

    def add(self, venue: str, usd: float) -> None:
        if usd > 0:
            self.long += usd
        else:
            self.short -= usd
        self.by_venue[venue] = self.by_venue.get(venue, 0.0) + usd


def exposures(assessed: Sequence[Assessed], settings: HealthSettings) -> tuple[Exposure, ...]:
    """One a factor, by name. Tokens count with their value, derivatives with their notional (both sides of it where the quote coin
    is volatile too). `hedge_ratio` is what derivatives are short of what is held as collateral, margin or idle; None where nothing is.
    """
    tallies: dict[Factor, _Tally] = {}
    for one in assessed:
        for holding in one.normal.holdings:
            _count(tallies, one.account.venue, holding, settings)
    return tuple(
        Exposure(
            factor=factor,
            long_usd=tally.long,
            short_usd=tally.short,
            net_usd=tally.long - tally.short,
            by_venue=dict(sorted(tally.by_venue.items())),
            corridor=corridor(assessed, factor),
            hedge_ratio=tally.sold / tally.owned if tally.owned else None,
        )
        for factor, tally in sorted(tallies.items())
    )


def _count(tallies: dict[Factor, _Tally], venue: str, holding: Holding[float], settings: HealthSettings) -> None:
    role, usd = holding.leg.role, holding.value
    tally = tallies.setdefault(holding.key.factor, _Tally())
    tally.add(venue, -usd if role is Role.DEBT else usd)
    if role in (Role.COLLATERAL, Role.MARGIN):
        tally.owned += max(0.0, usd)
    position = holding.leg.position
    if position is None:
        return
    tally.sold += max(0.0, -usd)
    if position.contract is Contract.LINEAR and not settings.stable(position.quote):
        tallies.setdefault(position.quote, _Tally()).add(venue, -usd)


def corridor(assessed: Iterable[Assessed], factor: Factor) -> tuple[float | None, float | None]:
    """The moves of one factor alone between which no account is liquidatable; (0, 0) where one is now."""
    downs: list[float] = []
    ups: list[float] = []
    for one in assessed:
        if one.figures.liquidatable:
            return 0.0, 0.0
        for move in one.figures.moves:
            if move.factor == factor and move.peg is None:
                (downs if move.direction == "down" else ups).append(move.move)
    return max(downs, default=None), min(ups, default=None)


def gross_volatile(exposed: Iterable[Exposure], settings: HealthSettings) -> float:
    """Long and short exposure to everything but money, added up, in USD."""
    return sum(one.long_usd + one.short_usd for one in exposed if not settings.stable(one.factor))
