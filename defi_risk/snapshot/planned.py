"""A rescue plan as it is written to JSON: the actions with exact amounts, and the book's health before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from defi_risk.snapshot.build import book_health
from defi_risk.snapshot.canonical import Said
from defi_risk.snapshot.model import Amount, BookHealth
from defi_risk.snapshot.results import Move, Usd
from defi_risk.text import clean
from defi_risk.units import plain

if TYPE_CHECKING:
    from defi_risk.health.plan import Action, Plan


class PlannedAction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step. `account` is where it is done (null: money from outside the book), `to` where money that leaves goes, if to one place;
    `amount` is in token units (closing: in the position's units), `latency_seconds` from the start of the plan until it has taken effect.
    """

    kind: Literal["withdraw", "deposit", "repay", "borrow", "close", "add"]
    account: str | None
    to: str | None
    token: str
    symbol: str
    factor: str
    amount: Amount
    value_usd: Usd
    latency_seconds: float
    text: str


class RescuePlan(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan. `target` is the market move to survive, a list where there are several; for a budget alone the ends of the widest corridor.

    Where it is not `feasible`, the actions are those that survive the most that can be had, `reached` says how much that is.
    `before` and `after` are the book's health without and with the actions.
    """

    target: Move | tuple[Move, ...]
    feasible: bool
    outside_capital_usd: Usd
    moved_usd: Usd
    actions: tuple[PlannedAction, ...]
    before: BookHealth
    after: BookHealth
    limits_hit: tuple[str, ...]
    reached: tuple[Move, Move] | None


def rescue_plan(found: Plan) -> RescuePlan:
    """The plan in this form."""
    return RescuePlan(
        target=found.target[0] if len(found.target) == 1 else found.target,
        feasible=found.feasible,
        outside_capital_usd=found.outside_capital_usd + 0.0,
        moved_usd=found.moved_usd + 0.0,
        actions=tuple(_action(one) for one in found.actions),
        before=book_health(found.before),
        after=book_health(found.after),
        limits_hit=tuple(clean(limit, 500) for limit in found.limits_hit),
        reached=found.reached,
    )


def _action(action: Action) -> PlannedAction:
    return PlannedAction(
        kind=action.kind,
        account=action.account,
        to=action.to,
        token=action.token,
        symbol=clean(action.symbol, 64),
        factor=clean(action.factor, 200),
        amount=plain(action.amount),
        value_usd=action.value_usd + 0.0,
        latency_seconds=action.latency_seconds,
        text=clean(action.text, 500),
    )
