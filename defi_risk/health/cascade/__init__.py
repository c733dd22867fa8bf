"""The cascade: what is liquidated on a route, in order, and what the book is worth after each liquidation (`unified-health` section 6).

Prices do not react to liquidations, so that every account meets its own fate; the fates are merged by their place on the route. After
a liquidation the end state depends on the path.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Final, Literal

from defi_risk.health.account import Assessed
from defi_risk.health.cascade.corridors import Corridors
from defi_risk.health.cascade.deleveraging import deleveraged, harm
from defi_risk.health.cascade.fate import Lane, Step, Traveller, fate, lanes_of
from defi_risk.health.cascade.ledger import Ledger, Sums
from defi_risk.health.distance import move_of
from defi_risk.health.figures import Event
from defi_risk.health.normal import Normal
from defi_risk.health.route import Route, Stage, market_route
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import AccountId

LOWEST: Final = 0.1
HIGHEST: Final = 4.0
"""Price ratios at which market paths end."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A book walked along a route: the liquidations in order, what each account is then, and the book's equity in USD at the end."""

    events: tuple[Event, ...]
    finals: Mapping[AccountId, Normal[float]]
    equity_usd: float


@dataclass(frozen=True, slots=True)
class Path:
    """A named path of the cascade: its route and the book it starts from. `venue` is the one that diverges, `direction` where the path
    goes first. A path that the book does not have (nothing to diverge, no hedge to lose) has no stages.
    """

    route: Route
    assessed: Sequence[Assessed]
    direction: Literal["down", "up"]
    venue: str | None = None


def cascade(assessed: Sequence[Assessed], settings: HealthSettings) -> dict[str, tuple[Event, ...]]:
    """The liquidations on each path, by its name; the accounts must come in the order of their ids."""
    book = _Book(assessed, settings)
    found: dict[str, tuple[Event, ...]] = {}
    for name, path in paths(assessed, settings).items():
        walked = book if path.assessed is assessed else _Book(path.assessed, settings, book.travellers)
        found[name] = walked.run(path.route)[0] if path.route else ()
    return found


def walk(assessed: Sequence[Assessed], route: Route, settings: HealthSettings, *, only: Container[AccountId] | None = None) -> Walk:
    """Walk a book along any route. Accounts that are dead today are liquidated at its start. `only`: those that can die on this route,
    where that is known; the others are not looked at.

    `move` of an event is the market's where the route runs along the market (for all venues or for some), with `next_account` and
    `next_move`: the account that the market, from there on, would liquidate first. On other routes `move` counts stages (0.5: half-way
    through the first shock, 1.5: half-way from there to the second), and there is no next.
    """
    book = _Book(assessed, settings)
    events, finals = book.run(route, only)
    return Walk(events, finals, book.equity(route))


def paths(assessed: Sequence[Assessed], settings: HealthSettings) -> dict[str, Path]:
    """The paths of the cascade. `turn` of the settings is where the two-way ones turn."""
    low, high = max(1.0 - settings.turn, LOWEST), min(1.0 + settings.turn, HIGHEST)
    bare = deleveraged(assessed, settings)
    loss = "down" if bare is None else harm(bare, settings)
    return {
        "down": Path(market_route(settings, LOWEST), assessed, "down"),
        "up": Path(market_route(settings, HIGHEST), assessed, "up"),
        "down_up": Path(market_route(settings, low, HIGHEST), assessed, "down"),
        "up_down": Path(market_route(settings, high, LOWEST), assessed, "up"),
        "venue_diverges": _diverging(assessed, settings),
        "hedge_lost": Path(() if bare is None else market_route(settings, _end(loss)), bare or assessed, loss),
    }


def _end(direction: Literal["down", "up"]) -> float:
    return LOWEST if direction == "down" else HIGHEST


def _diverging(assessed: Sequence[Assessed], settings: HealthSettings) -> Path:
    """The venue and direction of the smallest log move that liquidates a living account."""
    nearest: tuple[float, bool, str] | None = None
    for one in assessed:
        if one.figures.liquidatable:
            continue
        for rises, ratio in ((False, one.ratios.down), (True, one.ratios.up)):
            if ratio is not None:
                found = (round(abs(log(ratio)), 12), rises, one.account.venue)
                nearest = found if nearest is None else min(nearest, found)
    if nearest is None:
        return Path((), assessed, "down")
    direction: Literal["down", "up"] = "up" if nearest[1] else "down"
    return Path(market_route(settings, _end(direction), venue=nearest[2]), assessed, direction, nearest[2])


class _Book:
    """What does not depend on the route."""

    def __init__(self, assessed: Sequence[Assessed], settings: HealthSettings, known: Sequence[Traveller] = ()) -> None:
        ready = {id(traveller.one): traveller for traveller in known}
        self.travellers = [ready.get(id(one)) or Traveller.of(one, settings) for one in assessed]
        self.assessed = assessed
        self.ledger = Ledger(assessed, settings)

    def run(self, route: Route, only: Container[AccountId] | None = None) -> tuple[tuple[Event, ...], dict[AccountId, Normal[float]]]:
        """Every account alone, then all of them by their place on the route."""
        lanes = [lanes_of(stage, self.travellers) for stage in route]
        finals = {one.account.id: one.normal for one in self.assessed}
        queue = Corridors(self.assessed)
        steps: list[Step] = []
        for traveller in self.travellers:
            if only is not None and traveller.one.account.id not in only:
                continue
            met = fate(traveller, route, lanes)
            if met.stuck:
                queue.forget(traveller.one.account.id)
            if met.steps:
                steps += met.steps
                finals[traveller.one.account.id] = met.steps[-1].taken.after
        self.ledger.reset()
        return tuple(self._events(sorted(steps), route, lanes, queue)), finals

    def _events(self, steps: Sequence[Step], route: Route, lanes: Sequence[Mapping[str, Lane]], queue: Corridors) -> Iterator[Event]:
        for number, stage in enumerate(route):
            mine = [step for step in steps if step.stage == number]
            queue.enter(lanes[number])
            if mine:
                sums = Sums(self.ledger, stage)
                for step in mine:
                    yield _event(step, stage, sums, queue)

    def equity(self, route: Route) -> float:
        """Equity at the end of the route that was just run, with all its liquidations."""
        if not route:
            return sum(one.normal.equity for one in self.assessed)
        return sum(Sums(self.ledger, route[-1]).exposures(route[-1].far).values())


def _event(step: Step, stage: Stage, sums: Sums, queue: Corridors) -> Event:
    change = sums.change(step.account, step.taken.after.worth(), step.point)
    queue.change(step.account, step.corridor)
    following = queue.first(step.point)
    return Event(
        move=move_of(step.point) if queue.whole else _share(stage, step),
        prices=sums.prices(step.point),
        account=step.account,
        seized_usd=step.taken.seized_usd,
        repaid_usd=step.taken.repaid_usd,
        penalty_usd=step.taken.penalty_usd,
        bad_debt_usd=step.taken.bad_debt_usd,
        equity_before_usd=sum(change.before.values()),
        equity_after_usd=sum(change.after.values()),
        exposure_after=change.after,
        hedge_break=change.hedge_break,
        spiral=step.taken.spiral,
        next_account=None if following is None else following[0],
        next_move=None if following is None else following[1],
    )


def _share(stage: Stage, step: Step) -> float:
    return step.stage + (step.point - stage.near) / (stage.far - stage.near)
