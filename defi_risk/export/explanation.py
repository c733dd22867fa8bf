"""Why health changed, for a terminal: the book in one line, then every account that changed with its parts in USD and what did most."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defi_risk.explain.model import CAUSES, AccountChange, Change, Explanation, Parts, Reference
from defi_risk.snapshot.words import INFINITE, NONE, dollars, ratio
from defi_risk.text import clean, shown

WIDTH: Final = 100
INDENT: Final = 2
SHORTEST_NAME: Final = 16
FIGURES: Final = ("before", "after", *CAUSES)
MOST_ACCOUNTS: Final = 40
MOST_UNKNOWN: Final = 10
_DIM: Final = "dim"


def show(explanation: Explanation, stream: TextIO | None = None) -> None:
    """Print to a stream (standard output), in colour where it is a terminal and NO_COLOR is not set."""
    out = stream or sys.stdout
    if out.isatty():
        _print(Console(file=out, markup=False, highlight=False, emoji=False), explanation)
    else:
        out.write(as_text(explanation, _asked_width()))


def as_text(explanation: Explanation, width: int = WIDTH) -> str:
    """The same as plain text."""
    stream = StringIO()
    _print(Console(file=stream, markup=False, highlight=False, emoji=False, width=width, color_system=None), explanation)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def headline(explanation: Explanation) -> str:
    """`unified health 1.31 → 1.12 (price -0.15, carry -0.00, flow -0.05, parameters +0.01)`."""
    uhf, bound = explanation.book.uhf, explanation.book.bound
    whole = f"unified health {_unified(uhf.before, bound.before)} → {_unified(uhf.after, bound.after)}"
    if uhf.parts is None or uhf.before is None or uhf.after is None:
        return whole
    small = max(abs(getattr(uhf.parts, cause)) for cause in CAUSES) < 0.01
    places = 4 if small else 2
    return f"{whole} ({', '.join(f'{cause} {getattr(uhf.parts, cause):+.{places}f}' for cause in CAUSES)})"


def _unified(value: float | None, bound: str | None) -> str:
    if bound == "unknown":
        return "unknown"
    number = INFINITE if value is None else ratio(value)
    return f"at most {number}" if bound == "at_most" else number


def _asked_width() -> int:
    """COLUMNS where it is a sensible number, else room for the whole table."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and 20 <= int(columns) <= 500 else WIDTH


def _print(console: Console, explanation: Explanation) -> None:
    for part in _parts(explanation, console.width):
        console.print(part)


def _parts(explanation: Explanation, width: int) -> Iterator[RenderableType]:
    yield Text(headline(explanation), style="bold")
    yield Text(f"{_reference(explanation.before)} → {_reference(explanation.after)}", style=_DIM)
    first, last = (_named(explanation, one) for one in (explanation.book.first_account.before, explanation.book.first_account.after))
    if first != last:
        yield Text(f"first to go: {first or 'none'} → {last or 'none'}")
    changed = [one for one in explanation.accounts if one.status in ("changed", "opened", "closed")]
    if changed:
        yield Text()
        yield Padding(_table(explanation, sorted(changed, key=_size), width), (0, 0, 0, INDENT))
        if len(changed) > MOST_ACCOUNTS:
            yield Text(f"  and {len(changed) - MOST_ACCOUNTS:,} more accounts: --format json has them all", style=_DIM)
    unknown = [one for one in explanation.accounts if one.status == "unknown"]
    if unknown:
        yield Text()
        yield Padding(_unknown(unknown), (0, 0, 0, INDENT))
    same = sum(one.status == "unchanged" for one in explanation.accounts)
    notes = [f"{same:,} account{'' if same == 1 else 's'} did not change"] if same else []
    for index, note in enumerate([*notes, *explanation.notes]):
        if not index:
            yield Text()
        yield Text(f"note: {clean(note, 500)}", style=_DIM)


def _reference(one: Reference) -> str:
    name = shown(one.file, 60) if one.file else shown(one.book, 40)
    return f"{name} ({one.taken_at[:10]} {one.taken_at[11:16]} UTC)"


def _named(explanation: Explanation, identity: str | None) -> str | None:
    return next((one.name for one in explanation.accounts if one.id == identity), identity and shown(identity, 60))


def _size(one: AccountChange) -> tuple[float, str]:
    """Largest change first."""
    parts = one.surplus_usd.parts
    return -max(abs(getattr(parts, cause)) for cause in CAUSES) if parts else 0.0, one.id


def _table(explanation: Explanation, changed: list[AccountChange], width: int) -> Table:
    """The surplus of every account: figures are whole, the name and its sentence take the room that is left."""
    rows = [(Text(one.name).append(f"\n{clean(one.sentence, 300)}", _DIM), _cells(one.surplus_usd)) for one in changed[:MOST_ACCOUNTS]]
    if len(changed) > 1 and explanation.book.surplus_usd.parts:
        rows.append((Text("all accounts"), _cells(explanation.book.surplus_usd)))
    chosen = list(FIGURES)
    sizes = {name: max(len(name), *(cell_len(cells[name]) for _, cells in rows)) + 2 for name in FIGURES}
    while len(chosen) > len(CAUSES) and INDENT + SHORTEST_NAME + sum(sizes[name] for name in chosen) > width:
        chosen.pop(0)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_DIM, pad_edge=False)
    room = width - INDENT - sum(sizes[name] for name in chosen) - 2
    table.add_column("surplus", overflow="fold", max_width=max(8, room))
    for name in chosen:
        table.add_column(name, justify="right", no_wrap=True, overflow="ellipsis")
    for account, cells in rows:
        table.add_row(account, *(Text(cells[column]) for column in chosen))
    return table


def _cells(change: Change) -> dict[str, str]:
    return {"before": dollars(change.before), "after": dollars(change.after), **{cause: _signed(change.parts, cause) for cause in CAUSES}}


def _signed(parts: Parts | None, cause: str) -> str:
    """`+$120`, `-$3.20`; a dash for less than half a cent."""
    value = 0.0 if parts is None else float(getattr(parts, cause))
    if abs(value) < 0.005:
        return NONE
    return f"{'+' if value > 0 else ''}{dollars(value)}"


def _unknown(unknown: list[AccountChange]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in unknown[:MOST_UNKNOWN]:
        grid.add_row(Text("? unknown", style="yellow"), Text(one.name).append(f"   {clean(one.reason or '', 300)}", _DIM))
    if len(unknown) > MOST_UNKNOWN:
        grid.add_row(Text("? unknown", style="yellow"), Text(f"and {len(unknown) - MOST_UNKNOWN:,} more accounts", style=_DIM))
    return grid
