"""The rescue plan (`unified-health` section 7): the cheapest actions after which no account dies on the way to a market move.

A linear programme finds them; they are rounded to exact amounts, applied to the accounts as they were read, and judged anew by the
model: only that decides whether a plan holds. Needs scipy, so it is imported where a plan is asked for and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import expm1, inf, isfinite, log, log1p
from typing import Final

from defi_risk import health
from defi_risk.errors import UsageError
from defi_risk.health.figures import BookFigures, Figures
from defi_risk.health.plan.apply import Action, applied, exact_amounts
from defi_risk.health.plan.moves import Problem, survey
from defi_risk.health.plan.programme import Programme
from defi_risk.health.plan.way import Way
from defi_risk.health.plan.words import Writer, limits, other_side, too_slow
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import Factor
from defi_risk.model import Account

__all__ = ["Action", "Plan", "applied", "plan", "rescuable"]

FURTHEST: Final = log(100.0)
"""How far a budget is spent to push the unified health factor: to a fall by 99 % and a rise to hundredfold."""
HAIRS: Final = (1e-9, 1e-7, 1e-5)
"""Shares of an account's gross that every surplus is kept above zero; the next one where rounding ate the last."""
HALVINGS: Final = 32
HIGHEST: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rescue plan. `target`: the market moves that were asked for; where only a budget was given, the ends of the widest corridor.

    `feasible`: the book after `actions` survives all of `target`. Where it does not, the actions are those that survive the most of it
    that can be had, `reached` (None: something is liquidatable now and cannot be cured). `outside_capital_usd` comes from outside the
    book, `moved_usd` is all that arrives somewhere and the notional of what is closed. `limits_hit` says what binds, in words.
    """

    target: tuple[float, ...]
    feasible: bool
    outside_capital_usd: float
    moved_usd: float
    actions: tuple[Action, ...]
    before: BookFigures
    after: BookFigures
    limits_hit: tuple[str, ...]
    reached: tuple[float, float] | None

    @property
    def feasible_within(self) -> bool:
        """Whether the book's own money does it."""
        return self.feasible and self.outside_capital_usd == 0


def plan(
    accounts: Sequence[Account],
    settings: HealthSettings,
    quotes: Mapping[Factor, float],
    targets: Sequence[float] = (),
    budget: float | None = None,
    *,
    closing: bool = True,
    partial: bool = False,
) -> Plan:
    """The cheapest plan that survives the market moves `targets` (-0.3: a fall by 30 %), or what a budget can do.

    `budget` is the most outside capital in USD, None for as much as it takes. With a budget and no targets the corridor around today is
    made as wide as transfers and the budget allow (nothing is closed for that: without positions there is nothing to survive).
    `closing` False: positions are left alone. Unknown accounts take no part. `partial`: a source failed, so that accounts may be missing
    altogether. Raises `UsageError` for what cannot be asked, and
    `MissingPrice` where an account holds something without price.
    """
    low, high = _checked(accounts, targets, budget)
    planner = _Planner(accounts, settings, quotes, closing and bool(targets), inf if budget is None else budget, partial)
    if not targets:
        return planner.widest()
    if _survives(planner.before, low, high):
        return planner.nothing(tuple(targets), (low, high))
    return planner.survive(tuple(targets), low, high)


def rescuable(
    accounts: Sequence[Account], settings: HealthSettings, quotes: Mapping[Factor, float], targets: Sequence[float], budget: float = 0.0
) -> bool:
    """Whether transfers within the book, and so much outside capital, survive the targets. As `plan` without closing, but faster."""
    low, high = _checked(accounts, targets or (0.0,), budget)
    planner = _Planner(accounts, settings, quotes, False, budget)
    return _survives(planner.before, low, high) or planner.attempt(low, high) is not None


def _checked(accounts: Sequence[Account], targets: Sequence[float], budget: float | None) -> tuple[float, float]:
    """The ends of the way to survive. Raises `UsageError`."""
    if not accounts:
        raise UsageError("there is no account to plan for", hint="name a wallet or a book that holds something")
    if not any(account.known for account in accounts):
        raise UsageError("none of the accounts could be read, so nothing can be planned", hint="see the reasons that a scan gives")
    if budget is not None and (not isfinite(budget) or budget < 0):
        raise UsageError(f"a budget of {budget} USD cannot be", hint="0 for transfers only, or a sum above")
    if not targets and budget is None:
        raise UsageError("nothing is asked of the plan", hint="give a market move to survive, a budget, or both")
    for target in targets:
        if not isfinite(target) or not -1.0 < target <= HIGHEST:
            raise UsageError(f"a market move of {target:+.0%} cannot be survived", hint="above -100 %: -30% or +40%")
    return min(0.0, *targets, 0.0), max(0.0, *targets, 0.0)


def _survives(figures: Figures, low: float, high: float) -> bool:
    """Whether no known account dies between the two market moves."""
    down, up = figures.book.corridor
    if any(one.liquidatable for one in figures.accounts.values()):
        return False
    return (down is None or down <= low) and (up is None or up >= high)


@dataclass(frozen=True, slots=True)
class _Done:
    """A set of actions with the book that it leaves behind."""

    problem: Problem
    writer: Writer
    actions: tuple[Action, ...]
    after: Figures


class _Planner:
    """Plans for one book."""

    def __init__(
        self,
        accounts: Sequence[Account],
        settings: HealthSettings,
        quotes: Mapping[Factor, float],
        closing: bool,
        budget: float,
        partial: bool = False,
    ) -> None:
        picture = health.draw(accounts, settings, quotes=quotes, partial=partial)
        self.partial = partial
        self.accounts = accounts
        self.settings = settings
        self.quotes = quotes
        self.before = picture.figures
        self.budget = budget
        self.problem = survey(picture.assessed, settings, quotes, closing=closing)
        # the second where the first finds nothing that can be carried out step by step
        self.programmes = Programme(self.problem, HAIRS[0]), Programme(self.problem, HAIRS[0], at_once=True)

    def survive(self, targets: tuple[float, ...], low: float, high: float) -> Plan:
        """Survive it, or as much of it as can be."""
        done = self.attempt(low, high)
        if done is not None:
            return self._plan(targets, (low, high), done, feasible=True)
        reached, done = self._furthest(lambda part: (expm1(part * log1p(low)), expm1(part * log1p(high))), 1.0)
        return self._plan(targets, reached, done, feasible=False)

    def widest(self) -> Plan:
        """Push the corridor outward as far as the budget goes, the same price ratio on both sides."""
        corridor, done = self._furthest(lambda part: (expm1(-part), expm1(part)), FURTHEST)
        return self._plan(corridor or (), corridor, done, feasible=corridor is not None)

    def nothing(self, targets: tuple[float, ...], way: tuple[float, float]) -> Plan:
        """The plan of a book that survives as it stands."""
        return self._plan(targets, way, self._idle(), feasible=True)

    def attempt(self, low: float, high: float) -> _Done | None:
        """The cheapest actions that survive the way, judged by the model on the changed book; None where there are none."""
        return next(filter(None, (self._attempt(programme, low, high) for programme in self.programmes)), None)

    def _attempt(self, programme: Programme, low: float, high: float) -> _Done | None:
        way = Way(low, high, self.settings)
        for hair in HAIRS:
            strict = programme if hair == HAIRS[0] else replace(programme, hair=hair, lenient=False)
            flows = strict.cheapest(way, self.budget)
            if flows is None:
                return None
            writer = Writer(self.problem, exact_amounts(self.problem, flows))
            if not writer.executable:
                return None
            actions = writer.actions()
            changed = applied(self.accounts, actions, self.quotes)
            after = health.run(changed, self.settings, quotes=self.quotes, partial=self.partial)
            if _survives(after, low, high):
                return _Done(self.problem, writer, actions, after)
        return None

    def _furthest(self, way: Callable[[float], tuple[float, float]], top: float) -> tuple[tuple[float, float] | None, _Done]:
        """The largest part of a way, up to `top`, that something survives, with what; None where nothing survives today."""
        for programme in self.programmes:
            share = self._most(programme, way, top)
            done = None if share is None else self._attempt(programme, *way(share))
            if share is not None and done is not None:
                return way(share), done
        return None, self._idle()

    def _most(self, programme: Programme, way: Callable[[float], tuple[float, float]], top: float) -> float | None:
        """The largest part of a way, up to `top`, that some movements survive; None where none does today."""

        def feasible(part: float) -> bool:
            return programme.feasible(Way(*way(part), self.settings), self.budget)

        if not feasible(0.0):
            return None
        if feasible(top):
            return top
        low, high = 0.0, top
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if feasible(middle) else (low, middle)
        return low

    def _idle(self) -> _Done:
        return _Done(self.problem, Writer(self.problem, {}), (), self.before)

    def _plan(self, target: tuple[float, ...], reached: tuple[float, float] | None, done: _Done, *, feasible: bool) -> Plan:
        outside = sum(action.value_usd for action in done.actions if action.kind == "add")
        moved = sum(action.value_usd for action in done.actions if action.kind in ("deposit", "repay", "close"))
        short_of = not feasible or outside > 0
        said = [
            *limits(self.problem, done.writer.amounts, done.after, short_of=short_of, budget=self.budget),
            *too_slow(done.writer, self.before),
            *other_side(done.writer, self.before.book, done.after.book),
        ]
        unknown = sum(not account.known for account in self.accounts)
        if unknown:
            said.append(f"{unknown} account{'s' if unknown > 1 else ''} could not be read and take{'' if unknown > 1 else 's'} no part")
        elif self.partial:
            said.append("a source could not be read: what it holds takes no part")
        return Plan(
            target=target,
            feasible=feasible,
            outside_capital_usd=outside,
            moved_usd=moved,
            actions=done.actions,
            before=self.before.book,
            after=done.after.book,
            limits_hit=tuple(dict.fromkeys(said)),
            reached=reached,
        )
