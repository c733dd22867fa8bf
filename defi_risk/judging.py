"""The second half of a scan: figures, flags and the snapshot of what was gathered, and rescue plans for it. Nothing here reads anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from defi_risk import flags, health, linking, markets, snapshot
from defi_risk.book import Book
from defi_risk.book.scenario import ScenarioSettings, known_names
from defi_risk.errors import DefiRiskError, SourceError, UsageError
from defi_risk.flags import Limits
from defi_risk.gathering import Gathered
from defi_risk.health import Asked, ChanceAsked, HealthSettings, Picture
from defi_risk.health.stress.scenarios import Scenario
from defi_risk.model import PRICES, Account, Side
from defi_risk.text import shown

if TYPE_CHECKING:
    from defi_risk.health.plan import Plan
    from defi_risk.history import PriceHistory, RecordedDay
    from defi_risk.snapshot import Snapshot

TARGETS: Final = (-0.4, 0.4)
"""The market moves that RESCUE_INFEASIBLE asks about: those of the built-in stresses of the majors."""
MOST_PLANNED: Final = 500
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Judged:
    """A snapshot, and what it was drawn from."""

    snapshot: Snapshot
    picture: Picture
    settings: HealthSettings


def judge(
    found: Gathered,
    *,
    scenarios: Sequence[ScenarioSettings] = (),
    replays: Sequence[date] = (),
    boundary: tuple[str, str] | None = None,
    chance: ChanceAsked | None = None,
    since: Snapshot | None = None,
) -> Judged:
    """The snapshot of what was gathered, with all figures and flags.

    `scenarios` are stresses on top of those built in, `replays` days of the book's price history to be lived through again; `boundary`
    the two factors to draw the joint boundary over; `chance` a simulation to run; `since` an earlier snapshot, to tell which parameters
    changed. Raises `UsageError` for what cannot be done as asked.
    """
    settings = model_settings(found)
    priced = not any(report.status == "failed" and report.id.startswith(PRICES) for report in found.reports)
    unlived = () if priced or settings.history is not None else tuple(replays)
    asked = Asked(
        scenarios=tuple(Scenario.of(one) for one in scenarios),
        days=_days(settings.history, () if unlived else replays),
        known=known_names(),
        boundary=boundary,
        chance=chance,
        priced=priced,
    )
    picture = health.draw(found.accounts, settings, quotes=found.quotes, partial=found.partial, asked=asked)
    helpless, unsolved = _helpless(found, picture, settings)
    left_out = (f"the replay of {one.isoformat()} is left out, as the prices could not be read" for one in unlived)
    notes = (*picture.figures.notes, *left_out, *_dated(settings.history, found), *_foreign(found, since), *unsolved)
    picture = replace(picture, figures=replace(picture.figures, notes=notes))
    links = linking.find(found.accounts, settings.links, found.links)
    raised = flags.run(
        found.accounts,
        picture.figures,
        found.reports,
        settings,
        limits=Limits.of(found.book.thresholds),
        assessed=picture.assessed,
        history=settings.history,
        plan=helpless,
        previous=None if since is None else _accounts(since),
        links=links,
    )
    taken = snapshot.build(found.book.name, found.accounts, picture.figures, raised, found.reports, datetime.now(UTC), found.quotes, links)
    return Judged(taken, picture, settings)


def model_settings(found: Gathered) -> HealthSettings:
    """The settings of what was gathered, its price history among them."""
    return replace(health_settings(found.book), history=_with_pegs(found))


def health_settings(book: Book) -> HealthSettings:
    """Settings of the model: the built-in stables and betas, and what the book says."""
    table, model = markets.factor_table(), book.model
    return HealthSettings(
        stables=table.stables,
        betas={factor: float(beta) for factor, beta in {**table.betas, **book.betas}.items()},
        horizon_days=float(model.horizon_days),
        volatility={str(factor): float(sigma) for factor, sigma in model.volatility.items()},
        correlation={pair: float(rho) for pair, rho in model.correlation.items()},
        turn=float(model.turn),
        buffer=float(book.plan.buffer),
        latencies={venue: float(seconds) for venue, seconds in book.plan.latency.items()},
        links=tuple((link.loan, link.margin) for link in book.links),
    )


def _with_pegs(found: Gathered) -> PriceHistory | None:
    """The history, with the ratio of every pegged token that it has a price of."""
    if found.history is None:
        return None
    from defi_risk import history

    return history.with_pegs(found.history, sorted({leg.peg for account in found.accounts for leg in account.legs if leg.peg is not None}))


def _dated(history: PriceHistory | None, found: Gathered) -> Iterator[str]:
    """What is not of today in the prices that volatilities and correlations are taken from."""
    if history is None:
        return
    clock = datetime.now(UTC).timestamp()
    now = max((report.anchor.timestamp for report in found.reports if report.anchor), default=clock)
    source, day = shown(PurePath(history.source).name), datetime.fromtimestamp(history.end, UTC).date().isoformat()
    if history.end > clock + DAY:
        yield f"the price history of {source} reaches to {day}, which is yet to come"
    elif history.end < now - DAY - (history.interval() or 0):
        yield f"the price history of {source} ends on {day}: what is taken from it is of then, not of now"


def _foreign(found: Gathered, since: Snapshot | None) -> Iterator[str]:
    """That nothing was compared with an earlier snapshot, where it is of another book."""
    if since is not None and {account.id for account in since.accounts}.isdisjoint(account.id for account in found.accounts):
        yield f"no parameters were compared: the snapshot {since.id} has no account in common with this one"


def _days(history: PriceHistory | None, replays: Sequence[date]) -> tuple[RecordedDay, ...]:
    if not replays:
        return ()
    if history is None:
        raise UsageError("there is no price history to replay a day from", hint='give [model] prices = "prices.csv" in the book')
    from defi_risk.history import day

    return tuple(day(history, one) for one in replays)


def rescue(found: Gathered, targets: Sequence[float], budget: float | None = None) -> Plan:
    """The cheapest plan after which what was gathered survives market moves, or the best use of a budget.

    Raises `UsageError`, and `SourceError` where nothing of the book could be read.
    """
    from defi_risk.health.plan import plan

    if not any(account.known for account in found.accounts) and (found.partial or found.accounts):
        raise SourceError("nothing of the book could be read, so nothing can be planned", hint="see what its sources say")
    settings = model_settings(found)
    return plan(found.accounts, settings, found.quotes, targets, budget, partial=found.partial)


def _helpless(found: Gathered, picture: Picture, settings: HealthSettings) -> tuple[Plan | None, tuple[str, ...]]:
    """What it would take to survive the built-in stresses of the majors where no transfer within the book does, and where lending and
    derivatives stand side by side; None elsewhere. With notes: a programme that the solver gives up costs the flag, not the scan.
    """
    down, up = picture.figures.book.corridor
    sides = {one.account.side for one in picture.assessed}
    covered = (down is None or down < TARGETS[0]) and (up is None or up > TARGETS[1])
    if covered or sides != set(Side):
        return None, ()
    if len(picture.assessed) > MOST_PLANNED:
        return None, (f"whether transfers within the book survive the stresses is left out: more than {MOST_PLANNED} accounts",)
    from defi_risk.health.plan import plan, rescuable

    try:
        if rescuable(found.accounts, settings, found.quotes, TARGETS):
            return None, ()
        return plan(found.accounts, settings, found.quotes, TARGETS, closing=False), ()
    except DefiRiskError as error:
        return None, (f"whether transfers within the book survive the stresses is not known: {error}",)


def _accounts(earlier: Snapshot) -> list[Account]:
    from defi_risk.snapshot.restore import restore

    return [restore(account) for account in earlier.accounts]
