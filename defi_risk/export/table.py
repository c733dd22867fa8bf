"""A snapshot for a terminal: the answer first, then the accounts, then the flags with what to do about them.

Severity is a word and a sign, never colour alone. Text that somebody else wrote passes `defi_risk.text` and is shown as text, never as
markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from io import StringIO
from itertools import groupby
from math import inf
from typing import Final, TextIO

from msgspec import UNSET
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defi_risk.export import stress
from defi_risk.export.remedies import REMEDIES
from defi_risk.snapshot import Snapshot
from defi_risk.snapshot.model import Account, Flag, Source
from defi_risk.snapshot.words import NONE, Names, dollars, duration, percent, price, priced, ratio, unified, verdict
from defi_risk.text import clean, shown

WIDTH: Final = 100
INDENT: Final = 2
SHORTEST_NAME: Final = 24
FIGURES: Final = ("equity", "health", "surplus", "falls to", "rises to")
COLUMNS: Final = ("account", *FIGURES, "at price", " ")
DISPENSABLE: Final = ("equity", "at price", "surplus", "health")  # in this order, where the terminal is narrow
MOST_ACCOUNTS: Final = 40
MOST_FLAGS: Final = 12
MOST_ALIKE: Final = 3
MOST_UNKNOWN: Final = 10
MOST_ASSUMED: Final = 4
MOST_ASSUMED_TEXT: Final = 160
FAR_APART: Final = 60
"""Seconds between the times of sources from which the head of a table says so."""
SAID_ABOVE: Final = ("ASSUMED_RULE",)
"""Codes of flags that stand under the accounts already."""
SEVERITY: Final = {"critical": ("✖", "bold red"), "warning": ("▲", "yellow"), "info": ("•", "cyan")}
_LABEL: Final = "bold"
_DIM: Final = "dim"


def show(snapshot: Snapshot, stream: TextIO | None = None, *, stressed: bool = False) -> None:
    """Print to a stream (standard output), in colour where it is a terminal and NO_COLOR is not set. `stressed`: stresses and cascade
    instead of the flags.
    """
    show_parts(lambda width: _parts(snapshot, Names(snapshot.accounts), width, stressed=stressed), stream)


def as_text(snapshot: Snapshot, width: int = WIDTH, *, stressed: bool = False) -> str:
    """The same as plain text."""
    return plain(_parts(snapshot, Names(snapshot.accounts), width, stressed=stressed), width)


def show_parts(parts: Callable[[int], Iterable[RenderableType]], stream: TextIO | None = None) -> None:
    """Print what `parts` makes for a width: to a terminal as it can, elsewhere as plain text."""
    out = stream or sys.stdout
    if out.isatty():
        console = Console(file=out, markup=False, highlight=False, emoji=False)
        for part in parts(console.width):
            console.print(part)
    else:
        out.write(plain(parts(_asked_width()), _asked_width()))


def plain(parts: Iterable[RenderableType], width: int = WIDTH) -> str:
    """Parts as plain text."""
    stream = StringIO()
    console = Console(file=stream, markup=False, highlight=False, emoji=False, width=width, color_system=None)
    for part in parts:
        console.print(part)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def _asked_width() -> int:
    """COLUMNS where it is a sensible number, else room for the whole table."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and 20 <= int(columns) <= 500 else WIDTH


def _parts(snapshot: Snapshot, names: Names, width: int, *, stressed: bool) -> Iterator[RenderableType]:
    yield _answer(snapshot, names)
    known = [account for account in snapshot.accounts if account.status == "ok"]
    if known:
        yield Text()
        yield Padding(_accounts(snapshot, known, names, width), (0, 0, 0, 2))
        if len(known) > MOST_ACCOUNTS:
            yield Text(f"  and {len(known) - MOST_ACCOUNTS:,} more accounts: --format csv has them all", style=_DIM)
        yield from (Padding(Text(said, style=_DIM), (0, 0, 0, 2)) for said in _assumed(known, names))
    unread = [account for account in snapshot.accounts if account.status == "unknown"]
    if unread:
        yield Text()
        yield Padding(_unknown(unread, names), (0, 0, 0, 2))
    if stressed:
        yield from stress.parts(snapshot, names)
    elif flags := tuple(flag for flag in snapshot.flags if flag.code not in SAID_ABOVE):
        yield Text()
        yield Padding(_flags(flags), (0, 0, 0, 2))
    yield Text()
    yield Text(f"next: {_next(snapshot, stressed=stressed)}", style=_DIM)


def _answer(snapshot: Snapshot, names: Names) -> Table:
    """The headline and the figures of the book, as label and value; the first line holds the unified health."""
    book = snapshot.book_health
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    worst = next((flag.severity for severity in SEVERITY for flag in snapshot.flags if flag.severity == severity), "")
    style = {"critical": "bold red", "warning": "bold yellow"}.get(worst, "bold green")
    if book.bound != "exact":
        style = "bold yellow" if style == "bold green" else style
    grid.add_row(Text("unified health", style=_LABEL), _said(unified(snapshot), verdict(snapshot, names), style, "default"))
    if book.bound != "unknown":
        low, high = book.corridor
        corridor = f"{percent(low)} … {percent(high)}" if (low, high) != (None, None) else "unlimited"
        grid.add_row(Text("corridor"), _said(corridor, "the market moves that liquidate nothing"))
        if book.nearest_factor:
            near = book.nearest_factor
            grid.add_row(Text("nearest factor"), _said(f"{shown(near.factor)} {percent(near.move)}", f"alone: {names.by_id(near.account)}"))
        if book.sigma.distance is not None and book.sigma.account:
            bound = "at most " if book.sigma.missing else ""
            sigmas = f"{bound}{ratio(book.sigma.distance)} standard deviations of {book.sigma.horizon_days:g} d"
            grid.add_row(Text("sigma"), _said(sigmas, f"to the line of {names.by_id(book.sigma.account)}"))
        if book.time_to_liquidation_days is not None:
            grid.add_row(Text("time"), _said(duration(book.time_to_liquidation_days), "to the first liquidation at unchanged prices"))
        if snapshot.chance is not UNSET:
            grid.add_row(Text("chance"), stress.chance_line(snapshot.chance, names))
        if book.netted_uhf is not None:
            grid.add_row(Text("netted"), _said(ratio(book.netted_uhf), "upper bound, not a safety number"))
        if book.stranded_usd:
            grid.add_row(Text("stranded"), _said(dollars(book.stranded_usd), "surplus that cannot help the account that goes first"))
        leverage = "" if book.true_leverage is None else f"true leverage {book.true_leverage:,.2f}"
        grid.add_row(Text("net equity"), _said(dollars(book.net_equity_usd), leverage))
    grid.add_row(Text("book", style=_DIM), Text(_provenance(snapshot), style=_DIM))
    return grid


def _said(figure: str, meaning: str, style: str = "", quiet: str = _DIM) -> Text:
    return Text(figure, style=style).append(f"   {meaning}" if meaning else "", quiet)


def _provenance(snapshot: Snapshot) -> str:
    venues = len({account.venue for account in snapshot.accounts})
    count = len(snapshot.accounts)
    accounts = f"{count:,} margin account{'' if count == 1 else 's'} at {venues} venue{'' if venues == 1 else 's'}"
    places = [_place(source) for source in snapshot.sources if source.kind != "manual" or source.status != "ok"]
    if snapshot.skew_seconds is not None and snapshot.skew_seconds >= FAR_APART:
        places.append(f"read {duration(snapshot.skew_seconds / 86_400)} apart")
    return ", ".join([f"{shown(snapshot.book, 40)}: {accounts}", *places])


def _place(source: Source) -> str:
    name = shown(source.id, 30)
    if source.status == "failed":
        return f"{name} FAILED ({shown(source.error or 'no reason', 160)})"
    name += " STALE" if source.status == "stale" else ""
    if source.block is None:
        return f"{name} as of {_utc(source.as_of)}" if source.as_of else name
    return f"{name} at block {source.block:,}" + (f" ({_utc(source.block_time)})" if source.block_time else "")


def _utc(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S} UTC"


def _accounts(snapshot: Snapshot, known: list[Account], names: Names, width: int) -> Table:
    """The accounts, nearest to their line first. Figures are whole or left out; the name takes the room that is left."""
    first = snapshot.book_health.first_account
    shown_accounts = sorted(known, key=_distance)[:MOST_ACCOUNTS]
    rows = [dict(zip(COLUMNS, _cells(account, names, first == account.id), strict=True)) for account in shown_accounts]
    widths = {name: max(len(name), *(cell_len(row[name]) for row in rows)) + 2 for name in COLUMNS}
    chosen = list(COLUMNS)
    for name in DISPENSABLE:
        least = min(widths["account"], SHORTEST_NAME)
        if INDENT + least + sum(widths[other] for other in chosen if other != "account") <= width:
            break
        chosen.remove(name)
    room = width - INDENT - sum(widths[name] for name in chosen if name != "account")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_DIM, pad_edge=False)
    for name in chosen:
        most = max(8, room - 2) if name == "account" else None
        table.add_column(name, justify="right" if name in FIGURES else "left", no_wrap=True, overflow="ellipsis", max_width=most)
    for account, row in zip(shown_accounts, rows, strict=True):
        style = "bold red" if account.liquidatable else "bold" if first == account.id else ""
        table.add_row(*(Text(row[name], style=style) for name in chosen))
    return table


def _distance(account: Account) -> tuple[float, str]:
    return inf if account.hf is None else account.hf, account.id


def _cells(account: Account, names: Names, first: bool) -> list[str]:
    """One row, in the order of `COLUMNS`."""
    moves = account.market_moves
    mark = "LIQUIDATABLE" if account.liquidatable else "← first" if first else ""
    surplus = dollars(account.surplus_usd) if account.surplus_usd or account.requirement_usd else NONE
    figures = [dollars(account.equity_usd), ratio(account.health), surplus, percent(moves.down), percent(moves.up)]
    return [names.of(account), *figures, _price(account), mark]


def _price(account: Account) -> str:
    """The price at which one factor alone liquidates: on the side that the market would kill on, where one factor can."""
    moves = account.market_moves
    side = "up" if moves.down is None or (moves.up is not None and 1 + moves.up < 1 / (1 + moves.down)) else "down"
    found = [item for item in account.liquidation if item.move > -1 and "/" not in item.factor]
    nearest = min(found, key=lambda item: (item.direction != side, max(1 + item.move, 1 / (1 + item.move))), default=None)
    return NONE if nearest is None else f"{priced(account, nearest.factor)} {price(nearest.price)}"


def _assumed(known: list[Account], names: Names) -> Iterator[str]:
    """What figures rest on that no venue told, once each, with the accounts that it concerns."""
    found: dict[str, list[Account]] = {}
    for account in known:
        for one in account.assumptions:
            found.setdefault(clean(one, MOST_ASSUMED_TEXT), []).append(account)
    for said, accounts in list(found.items())[:MOST_ASSUMED]:
        more = f" and {len(accounts) - 1} more" if len(accounts) > 1 else ""
        yield f"assumed for {names.of(accounts[0])}{more}: {said}"
    if len(found) > MOST_ASSUMED:
        yield f"and {len(found) - MOST_ASSUMED} more assumptions: --format json has them all"


def _unknown(unread: list[Account], names: Names) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for account in unread[:MOST_UNKNOWN]:
        reason = clean(account.reason or "no reason", 300)
        grid.add_row(Text("? unknown", style="yellow"), Text(names.of(account)).append(f"   {reason}", _DIM))
    if len(unread) > MOST_UNKNOWN:
        grid.add_row(Text("? unknown", style="yellow"), Text(f"and {len(unread) - MOST_UNKNOWN:,} more accounts", style=_DIM))
    return grid


def _flags(flags: tuple[Flag, ...]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    left, hidden = MOST_FLAGS, 0
    for (severity, code), group in groupby(sorted(flags, key=_gravity), lambda flag: (flag.severity, flag.code)):
        alike = list(group)
        sign, style = SEVERITY[severity]
        named = alike[: min(MOST_ALIKE, left)]
        for flag in named:
            text = Text(shown(code, 40), style=_LABEL).append(f"  {clean(flag.message, 500)}", "not bold")
            if flag is named[-1]:
                text.append(_after(code, len(alike) - len(named)), "not bold dim")
            grid.add_row(Text(f"{sign} {severity}", style=style), text)
        left -= len(named)
        hidden += 0 if named else len(alike)
    if hidden:
        grid.add_row(Text(), Text(f"and {hidden:,} more flags: --format json has them all", style=_DIM))
    return grid


def _gravity(flag: Flag) -> tuple[int, str]:
    return list(SEVERITY).index(flag.severity), flag.code


def _after(code: str, more: int) -> str:
    """What is said once of flags of one code: how many more there are, and what to do."""
    rest = f"\nand {more:,} more {shown(code, 40)}" if more else ""
    remedy = REMEDIES.get(code)
    return rest + (f"\n→ {remedy}" if remedy else "")


def _next(snapshot: Snapshot, *, stressed: bool) -> str:
    if any(source.status == "failed" for source in snapshot.sources):
        return "defi-risk doctor   checks the nodes of a book, line by line"
    if snapshot.book == "demo" and not stressed:
        return "defi-risk stress demo | defi-risk plan demo --survive +40% | defi-risk scan YOUR.eth --rpc ethereum=https://YOUR_NODE"
    if snapshot.book == "demo":
        return "defi-risk scan YOUR.eth --rpc ethereum=https://YOUR_NODE"
    return "--format json for every figure, --fail-on critical to be told by exit code"
