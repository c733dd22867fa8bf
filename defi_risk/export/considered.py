"""A what-if for a terminal: the answer before and after, then the accounts that it touches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defi_risk.export.plan import corridor, uhf
from defi_risk.export.table import plain, show_parts
from defi_risk.snapshot.considered import Considered, Grid, Standing
from defi_risk.snapshot.words import dollars, percent, ratio
from defi_risk.text import shown

_DIM: Final = "dim"


def show(found: Considered, stream: TextIO | None = None) -> None:
    """Print to a stream (standard output)."""
    show_parts(lambda _: _parts(found), stream)


def as_text(found: Considered) -> str:
    """The same as plain text."""
    return plain(_parts(found))


def _parts(found: Considered) -> Iterator[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text("unified health", style="bold"), Text(f"{uhf(found.before)} → {uhf(found.after)}", style="bold"))
    grid.add_row(Text("corridor"), Text(f"{corridor(found.before)} → {corridor(found.after)}"))
    if found.grid is not None:
        grid.add_row(Text("margin"), Text(_margin(found.grid)))
    yield grid
    yield Text()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_DIM, pad_edge=False)
    for title in ("", "account", "equity", "health", "surplus", "falls to", "rises to"):
        table.add_column(title, justify="left" if title in ("", "account") else "right", overflow="fold")
    for sign, accounts in (("before", found.accounts_before), ("after", found.accounts_after)):
        for one in accounts if found.grid is None or sign == "before" else ():
            table.add_row(Text(sign if found.grid is None else "now", style=_DIM), *map(Text, _cells(one)))
    yield Padding(table, (0, 0, 0, 2))


def _cells(one: Standing) -> tuple[str, ...]:
    return shown(one.id, 60), dollars(one.equity_usd), ratio(one.health), dollars(one.surplus_usd), percent(one.down), percent(one.up)


def _margin(grid: Grid) -> str:
    worst = ", ".join(f"{shown(one.factor, 24)} {percent(one.move)} loses {dollars(one.loss_usd)}" for one in grid.scenarios)
    return f"{dollars(grid.grid_usd)} by the worst of a grid of prices, {dollars(grid.summed_usd)} position by position   {worst}"
