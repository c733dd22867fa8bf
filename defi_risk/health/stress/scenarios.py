"""Stress scenarios: what one is, and the built-in ones (`unified-health` section 9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from defi_risk.book.scenario import BUILT_IN, ScenarioSettings
from defi_risk.errors import UnknownName, UsageError
from defi_risk.health.account import Assessed
from defi_risk.health.normal import Key
from defi_risk.health.settings import HealthSettings
from defi_risk.health.shock import Shock, Space
from defi_risk.health.stress.altered import hedges
from defi_risk.ids import USD, Factor, Peg
from defi_risk.model import Role
from defi_risk.text import shown

if TYPE_CHECKING:
    from defi_risk.history import RecordedDay

Steps: TypeAlias = tuple[Shock, ...]
"""Shocks one after the other, each relative to today."""

ETH: Final = Factor("ETH")
BTC: Final = Factor("BTC")
USDC: Final = Factor("USDC")
USDT: Final = Factor("USDT")
STETH: Final = Peg("stETH/ETH")
MOST_REPLAYED: Final = 288
"""Steps of a replayed day, beside its extremes: one every five minutes."""
_NOTED: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One stress. `variants`: of several (one a venue) the worst is reported; a scenario `written` by the user gets its own when its
    names are looked up in a book. `margin_rates` multiplies maintenance and initial rates of derivatives, `funding_8h` is paid by every
    position on its notional for a day; with `hedge_lost` hedging derivatives are closed at today's mark first.
    """

    id: str
    title: str
    variants: tuple[Steps, ...] = ((),)
    margin_rates: Decimal = Decimal(1)
    funding_8h: Decimal = Decimal(0)
    hedge_lost: bool = False
    written: ScenarioSettings | None = None

    @classmethod
    def of(cls, settings: ScenarioSettings) -> Scenario:
        """A scenario of the user's own."""
        return cls(
            id=settings.id,
            title=settings.title,
            margin_rates=settings.margin_rates,
            funding_8h=settings.funding_8h,
            hedge_lost=settings.hedge_lost,
            written=settings,
        )

    @property
    def alters(self) -> bool:
        """Whether accounts change before any price does."""
        return self.margin_rates != 1 or self.funding_8h != 0 or self.hedge_lost

    def paths(self, space: Space) -> tuple[Steps, ...]:
        """The variants as shocks of this space. Raises `UsageError` (for a file `BookError`, with its line) for a name not in it."""
        if self.written is None:
            return self.variants
        return (tuple(_bound(self.written, step, space) for step in range(len(self.written.steps))),)


def space_of(assessed: Iterable[Assessed], also: Iterable[str] = ()) -> Space:
    """What can be shocked in a book, and the factors and pegs that are known without being held. Raises nothing."""
    keys: set[Key] = set()
    venues: set[str] = set()
    for one in assessed:
        keys |= one.surplus.coordinates()
        venues.add(one.account.venue)
    names = {*also, ETH, BTC, USDC, USDT, STETH} - {USD}
    # a factor that is named by its asset id has a colon in it: only a peg is a plain ratio of two names
    pegs = {Peg(name) for name in names if "/" in name and ":" not in name}
    held = Space.of(keys, venues)
    factors = {Factor(name) for name in names - pegs}
    return Space(tuple(sorted({*held.factors, *factors})), tuple(sorted({*held.pegs, *pegs})), held.venues)


def built_in(assessed: Sequence[Assessed], settings: HealthSettings, days: Iterable[RecordedDay] = ()) -> tuple[Scenario, ...]:
    """The built-in stresses in their fixed order, and a replay of each recorded day."""
    held = {factor for one in assessed for factor in _factors(one)}
    venues = _by_venue(assessed)
    fall, rise = (_majors(held, settings, move) for move in (-0.4, 0.4))
    against = _majors(held, settings, -0.25 if _net_without_hedges(assessed, settings) >= 0 else 0.25)
    down, up = Shock({ETH: -0.25}), Shock({ETH: 0.25})
    at_one = [Shock(venues={(venue, USDT): -0.1}) for venue, factors in venues.items() if USDT in factors]
    off = [
        Shock(venues={(venue, factor): move for factor in sorted(factors) if not settings.stable(factor)})
        for venue, factors in venues.items()
        for move in (0.1, -0.1)
        if not all(map(settings.stable, factors))
    ]
    rates, funding = Decimal(2), Decimal("0.003")
    found = (
        Scenario(id="majors_down_40", title="BTC and ETH fall by 40 %, others by their beta", variants=((fall,),)),
        Scenario(id="majors_up_40", title="BTC and ETH rise by 40 %, others by their beta", variants=((rise,),)),
        Scenario(id="usdt_090", title="USDT falls by 10 % everywhere: held, owed and as quote coin", variants=((Shock({USDT: -0.1}),),)),
        Scenario(id="usdt_090_one_venue", title="USDT falls by 10 % at one venue only", variants=_each(at_one)),
        Scenario(id="usdc_088", title="USDC falls by 12 % everywhere: held, owed and as quote coin", variants=((Shock({USDC: -0.12}),),)),
        Scenario(id="steth_093", title="stETH falls by 7 % against ETH", variants=((Shock(pegs={STETH: -0.07}),),)),
        Scenario(
            id="volatility_3x",
            title="volatility times 3: margin rates doubled, 0.3 % funding per 8 h against every position for a day",
            margin_rates=rates,
            funding_8h=funding,
        ),
        Scenario(id="eth_down_up_25", title="ETH falls by 25 %, then stands 25 % above today", variants=((down, up),)),
        Scenario(id="eth_up_down_25", title="ETH rises by 25 %, then stands 25 % below today", variants=((up, down),)),
        Scenario(id="venue_off_10", title="one venue prices everything volatile 10 % off the others", variants=_each(off)),
        Scenario(
            id="hedge_lost",
            title="hedges are closed by auto-deleveraging, then the market moves by 25 % against what is left",
            variants=((against,),),
            hedge_lost=True,
        ),
    )
    by_id = {one.id: one for one in found}
    return (*(by_id[name] for name in BUILT_IN), *(_replay(day, assessed) for day in days))


def _bound(written: ScenarioSettings, step: int, space: Space) -> Shock:
    factors: dict[Factor, float] = {}
    pegs: dict[Peg, float] = {}
    venues: dict[tuple[str, Factor], float] = {}
    for name, move in written.steps[step].items():
        try:
            shock = space.shock({name: float(move)})
        except UnknownName as error:
            raise written.fault(step, name, error.message, _hint(name, space) or error.hint) from None
        except UsageError as error:
            raise written.fault(step, name, error.message, error.hint) from None
        if any(where in venues for where in shock.venues):
            raise written.fault(step, name, "is moved twice")
        factors.update(shock.factors)
        pegs.update(shock.pegs)
        venues.update(shock.venues)
    return Shock(factors, pegs, venues)


def _hint(name: str, space: Space) -> str:
    """What is likely meant by a name in another case, and why USD is none."""
    if name.upper() == USD:
        return "prices are counted in USD: it cannot move"
    same = [known for known in (*space.factors, *space.pegs) if known.casefold() == name.casefold()]
    return f"did you mean {same[0]!r}?" if same else ""


def _factors(one: Assessed) -> set[Factor]:
    return {key.factor for key in one.surplus.coordinates()} - {USD}


def _by_venue(assessed: Iterable[Assessed]) -> dict[str, set[Factor]]:
    """The factors that each venue's accounts depend on."""
    found: dict[str, set[Factor]] = {}
    for one in assessed:
        found.setdefault(one.account.venue, set()).update(_factors(one))
    return dict(sorted(found.items()))


def _each(shocks: Sequence[Shock]) -> tuple[Steps, ...]:
    """One variant a shock; a still one where there is none, so that the scenario is listed."""
    return tuple((shock,) for shock in shocks) or ((),)


def _majors(held: Iterable[Factor], settings: HealthSettings, move: float) -> Shock:
    """BTC and ETH by the move itself, other volatile factors by their beta times it, no price below zero; stables and pegs stand still."""
    others = {factor: max(-1.0, settings.beta(factor) * move) for factor in sorted(held) if not settings.stable(factor)}
    return Shock({BTC: move, ETH: move, **{factor: share for factor, share in others.items() if share and factor not in (BTC, ETH)}})


def _net_without_hedges(assessed: Sequence[Assessed], settings: HealthSettings) -> float:
    """What the book gains when the market rises by one and its hedges are gone, in USD."""
    lost = hedges(assessed, settings)
    total = 0.0
    for row, one in enumerate(assessed):
        for index, holding in enumerate(one.normal.holdings):
            factor = holding.key.factor
            if settings.stable(factor) or index in lost.get(row, ()):
                continue
            beta = 1.0 if factor in (BTC, ETH) else settings.beta(factor)
            total += beta * (-holding.value if holding.leg.role is Role.DEBT else holding.value)
    return total


def _replay(day: RecordedDay, assessed: Iterable[Assessed]) -> Scenario:
    """A recorded day, observation by observation; what it has no prices of stands still and is named. Of a day with very many, evenly
    spread ones are taken, and the lowest and highest price of every name.
    """
    keys = {key for one in assessed for key in one.surplus.coordinates()}
    space = Space.of(keys, ())
    names = [name for name in day.names if name in space.factors or name in space.pegs]
    columns = [day.names.index(name) for name in names]
    rows = _taken([[float(row[column]) for column in columns] for row in day.multipliers[1:]])
    steps = tuple(space.shock({name: value - 1.0 for name, value in zip(names, row, strict=True)}) for row in rows)
    still = [shown(name) for name in (*space.factors, *space.pegs) if name not in names]
    title = f"prices of {day.date.isoformat()}"
    if len(rows) < len(day.multipliers) - 1:
        title += f" ({len(rows)} of {len(day.multipliers) - 1:,} observations, extremes among them)"
    if still:
        more = f" and {len(still) - _NOTED} more" if len(still) > _NOTED else ""
        title += f"; without history and still: {', '.join(still[:_NOTED])}{more}"
    return Scenario(id=f"replay:{day.date.isoformat()}", title=title, variants=(steps,))


def _taken(rows: list[list[float]]) -> list[list[float]]:
    """At most `MOST_REPLAYED` rows evenly spread, the last one among them, and the extremes of every column."""
    if len(rows) <= MOST_REPLAYED:
        return rows
    kept = {len(rows) - 1 - number * len(rows) // MOST_REPLAYED for number in range(MOST_REPLAYED)}
    for column in zip(*rows, strict=True):
        kept |= {column.index(min(column)), column.index(max(column))}
    return [rows[index] for index in sorted(kept)]
