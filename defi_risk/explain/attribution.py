"""Attribution: the change of every surplus and of the unified health split by cause, adding up exactly (`unified-health` section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite
from typing import Final

from defi_risk.errors import StoreError, UsageError
from defi_risk.explain.model import (
    CAUSES,
    SCHEMA,
    AccountChange,
    BookChange,
    Cause,
    Change,
    Explanation,
    Parts,
    Reference,
    Status,
    Words,
)
from defi_risk.explain.pairing import State
from defi_risk.explain.scope import by_id, emptied, incomparable, named, seconds_between, weaknesses
from defi_risk.explain.sentences import sentence
from defi_risk.explain.shapley import ALL, shapley
from defi_risk.explain.states import Between, Corner
from defi_risk.health.account import assess
from defi_risk.health.settings import HealthSettings
from defi_risk.markets import factor_table
from defi_risk.snapshot.model import Account, Snapshot
from defi_risk.snapshot.words import Names
from defi_risk.text import shown

CENT: Final = 0.01
NOISE: Final = 1e-12
OWN_ROUNDING: Final = 1e-3
"""How far a recorded unified health may be from the model's: venues floor their own ratios by up to a basis point."""
SAME: Final = 1e-9


def explain(
    before: Snapshot, after: Snapshot, *, settings: HealthSettings | None = None, files: tuple[str | None, str | None] = (None, None)
) -> Explanation:
    """Why health changed from one snapshot to the other. Asked the other way round, the answer is the same with opposite signs.

    `settings` are those that the snapshots were made with, the built-in ones where nothing is given: the unified health depends on their
    betas. Raises `UsageError` where the snapshots have no account in common, `StoreError` for an account that cannot be what it says.
    """
    ones, others = by_id(before), by_id(after)
    if not ones.keys() & others.keys() and not emptied(before, after):
        raise UsageError(
            f"{named(before, files[0])} and {named(after, files[1])} have no account in common", hint="give two snapshots of one book"
        )
    model = settings or HealthSettings(stables=factor_table().stables, betas={k: float(v) for k, v in factor_table().betas.items()})
    names = Names([*{**ones, **others}.values()])
    judged = [_judge(ones.get(one), others.get(one), before, after, names, model) for one in sorted({**ones, **others})]
    uhf, notes = _uhf(before, after, judged)
    return Explanation(
        schema=SCHEMA,
        before=_reference(before, files[0]),
        after=_reference(after, files[1]),
        book=BookChange(
            uhf=uhf,
            surplus_usd=_total([one.change.surplus_usd for one in judged]),
            bound=Words(before=before.book_health.bound, after=after.book_health.bound),
            first_account=Words(before=before.book_health.first_account, after=after.book_health.first_account),
        ),
        accounts=tuple(one.change for one in judged),
        notes=(*weaknesses(before, after, files), *notes),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """An account with its HF in all 16 states (infinite where no move liquidates it); None where it is not known in one snapshot."""

    change: AccountChange
    hf: tuple[float, ...] | None
    lost: bool = False


def _judge(
    one: Account | None, other: Account | None, before: Snapshot, after: Snapshot, names: Names, settings: HealthSettings
) -> _Judged:
    account = other or one
    if account is None:
        raise ValueError("an account of neither snapshot")
    reason = incomparable(one, other, before, after)
    base = AccountChange(
        id=account.id,
        name=names.of(account),
        status="unknown",
        reason=reason,
        mode=Words(before=one.mode if one else None, after=other.mode if other else None),
        days=0.0,
        surplus_usd=Change(before=one.surplus_usd if one else None, after=other.surplus_usd if other else None, parts=None),
        largest=None,
        sentence=reason or "",
    )
    if reason is not None:
        both = one is not None and other is not None and one.status == other.status == "unknown"
        return _Judged(base, None, lost=not both)
    return _split(base, one, other, seconds_between(account, before, after), settings)


def _split(base: AccountChange, one: Account | None, other: Account | None, seconds: float, settings: HealthSettings) -> _Judged:
    if one and other and one.side != other.side:
        raise StoreError(
            f"account {shown(base.id, 120)} is {one.side} in one snapshot and {other.side} in the other",
            hint="give two snapshots of one book",
        )
    between = Between(State.of(one) if one else None, State.of(other) if other else None, seconds)
    try:
        surplus, hf = zip(*_states(between, settings), strict=True)
    except (ArithmeticError, ValueError):
        # whole snapshots can be computed, or they had been refused: mixed ones may multiply what never stood together
        raise StoreError(f"account {shown(base.id, 120)}: its numbers are beyond what can be computed") from None
    # where no cause is at work the two may still differ in their last digits, for legs that are added up in another order
    last = surplus[ALL] if between.active else _figures(between.last(), settings)[0]
    parts = _parts(surplus, last - surplus[0])
    if abs(parts.residual) > max(CENT, NOISE * max(map(abs, surplus))):
        raise RuntimeError(f"the parts of {shown(base.id, 120)} miss the whole by {parts.residual} USD")
    status: Status = "closed" if other is None else "opened" if one is None else "changed" if between.active else "unchanged"
    largest = _largest(parts)
    change = AccountChange(
        id=base.id,
        name=base.name,
        status=status,
        reason=None,
        mode=base.mode,
        days=seconds / 86_400,
        surplus_usd=Change(before=surplus[0], after=last, parts=parts),
        largest=largest,
        sentence=sentence(status, largest, between, base.mode),
    )
    return _Judged(change, hf)


def _states(between: Between, settings: HealthSettings) -> list[tuple[float, float]]:
    """Surplus and HF (infinite where no move liquidates) in all 16 states. Raises `ArithmeticError` or `ValueError` beyond float64."""
    found: dict[int, tuple[float, float]] = {}
    for state in range(ALL + 1):
        switched = state & between.active
        if switched not in found:
            found[switched] = _figures(between.at(state), settings)
    return [found[state & between.active] for state in range(ALL + 1)]


def _figures(corner: Corner | None, settings: HealthSettings) -> tuple[float, float]:
    """Surplus and HF of one state; 0 and infinite where the account does not exist there."""
    if corner is None:
        return 0.0, inf
    figures = assess(corner.account, settings, corner.quotes).figures
    if not isfinite(figures.surplus_usd):
        raise OverflowError
    return figures.surplus_usd, inf if figures.hf is None else figures.hf


def _parts(values: Sequence[float], change: float) -> Parts:
    split = shapley(values)
    price, carry, flow, parameters = split
    return Parts(price=price, carry=carry, flow=flow, parameters=parameters, residual=change - fsum(split) + 0.0)


def _largest(parts: Parts) -> Cause | None:
    """The cause that did most; None where nothing did as much as half a cent."""
    sizes = {cause: abs(float(getattr(parts, cause))) for cause in CAUSES}
    most = max(CAUSES, key=lambda cause: sizes[cause])
    return most if sizes[most] >= CENT / 2 else None


def _total(changes: Sequence[Change]) -> Change:
    """The sum over accounts; null where one is not known."""

    def added(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fsum(known) if len(known) == len(values) else None

    parts = [change.parts for change in changes]
    whole = [part for part in parts if part is not None]
    return Change(
        before=added([change.before for change in changes]),
        after=added([change.after for change in changes]),
        parts=Parts(**{name: fsum(getattr(part, name) for part in whole) + 0.0 for name in Parts.__struct_fields__})
        if len(whole) == len(parts)
        else None,
    )


def _uhf(before: Snapshot, after: Snapshot, judged: Sequence[_Judged]) -> tuple[Change, list[str]]:
    """The unified health of both as recorded, its parts where they can be known, and why they cannot."""
    first, last = before.book_health.uhf, after.book_health.uhf
    whole = Change(before=first, after=last, parts=None)
    lost = [one.change for one in judged if one.lost]
    if lost:
        return whole, [f"the unified health is not split: {lost[0].name} is not known in both snapshots ({lost[0].reason})"]
    ratios = [one.hf for one in judged if one.hf is not None]
    if not ratios:
        return whole, []
    values = [min(hf[state] for hf in ratios) for state in range(ALL + 1)]
    off = max(_off(first, values[0]), _off(last, values[ALL]))
    if off > OWN_ROUNDING:
        made = " and ".join("no limit" if value == inf else f"{value:.4g}" for value in (values[0], values[ALL]))
        return whole, [f"the unified health is not split: the legs make {made}, so that the book has betas of its own (--book)"]
    if first is None or last is None or inf in values:
        where = "before" if first is None else "after" if last is None else "with only some of the changes"
        every = values.count(inf) == len(values)
        return whole, [] if every else [f"the unified health is not split: {where}, no market move liquidates anything"]
    notes = [] if off <= SAME else ["the unified health's residual is the venue's own rounding"]
    return Change(before=first, after=last, parts=_parts(values, last - first)), notes


def _off(recorded: float | None, made: float) -> float:
    """How far the recorded unified health is from the one that the legs make, relative; null is infinite."""
    if recorded is None or made == inf:
        return 0.0 if recorded is None and made == inf else inf
    return abs(made - recorded) / recorded if recorded else made


def _reference(snapshot: Snapshot, file: str | None) -> Reference:
    return Reference(id=snapshot.id, book=snapshot.book, taken_at=snapshot.taken_at, partial=snapshot.partial, file=file)
