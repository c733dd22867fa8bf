"""A rescue plan for a terminal: what to do, in the venues' own words, and what it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defi_risk.export.table import plain, show_parts
from defi_risk.snapshot.model import BookHealth
from defi_risk.snapshot.planned import RescuePlan
from defi_risk.snapshot.words import INFINITE, dollars, duration, percent, ratio

_DIM: Final = "dim"
_CODE: Final = re.compile(r"[A-Z]+_[A-Z]+: ")
_MOST_LIMITS: Final = 12


def show(plan: RescuePlan, stream: TextIO | None = None) -> None:
    """Print to a stream (standard output)."""
    show_parts(lambda _: _parts(plan), stream)


def as_text(plan: RescuePlan) -> str:
    """The same as plain text."""
    return plain(_parts(plan))


def _parts(plan: RescuePlan) -> Iterator[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    style = "bold green" if plan.feasible else "bold red"
    grid.add_row(Text("unified health", style="bold"), Text(f"{uhf(plan.before)} → {uhf(plan.after)}", style=style).append(_verdict(plan)))
    grid.add_row(Text("corridor"), Text(f"{corridor(plan.before)} → {corridor(plan.after)}"))
    money = f"{dollars(plan.outside_capital_usd)} from outside, {dollars(plan.moved_usd)} moved"
    grid.add_row(Text("cost"), Text(money))
    yield grid
    yield Text()
    if plan.actions:
        yield Padding(_actions(plan), (0, 0, 0, 2))
    else:
        yield Text("  nothing to do" if plan.feasible else "  nothing that the book can do would help", style=_DIM)
    if plan.limits_hit:
        yield Text()
        for limit in plan.limits_hit[:_MOST_LIMITS]:
            yield Text(f"  {limit}" if _CODE.match(limit) else f"  limit: {limit}", style=_DIM)
        if len(plan.limits_hit) > _MOST_LIMITS:
            yield Text(f"  limit: and {len(plan.limits_hit) - _MOST_LIMITS:,} more, all of them in --format json", style=_DIM)
    yield Text()
    yield Text("next: act yourself at the venues; nothing here can move money", style=_DIM)


def uhf(book: BookHealth) -> str:
    """The unified health in words, as a bound where it is one."""
    number = INFINITE if book.uhf is None else ratio(book.uhf)
    return number if book.bound == "exact" else f"at most {number}"


def corridor(book: BookHealth) -> str:
    """The market moves that liquidate nothing, in words."""
    low, high = book.corridor
    return "unlimited" if low is None and high is None else f"{percent(low)} … {percent(high)}"


def _verdict(plan: RescuePlan) -> str:
    moves = plan.target if isinstance(plan.target, tuple) else (plan.target,)
    wanted = " and ".join(percent(move) for move in moves) or "today's market"
    known = "" if plan.after.bound == "exact" else ", as far as the book is known"
    if plan.feasible:
        return f"   survives {wanted}{'' if plan.actions else ' as it is'}{known}"
    if plan.reached is None:
        return f"   {wanted} CANNOT be survived"
    return f"   {wanted} CANNOT be survived, {percent(plan.reached[0])} … {percent(plan.reached[1])} can"


def _actions(plan: RescuePlan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_DIM, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("do", overflow="fold")
    table.add_column("worth", justify="right", no_wrap=True)
    table.add_column("done after", justify="right", no_wrap=True)
    for index, action in enumerate(plan.actions, start=1):
        wait = duration(action.latency_seconds / 86_400) if action.latency_seconds else "at once"
        table.add_row(Text(f"{index}."), Text(action.text), Text(dollars(action.value_usd)), Text(wait))
    return table
