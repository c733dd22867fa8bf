"""`defi-risk whatif`: the book's health if accounts were arranged otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Unpack

import click

from defi_risk.cli import Session
from defi_risk.cli.lacking import lacking
from defi_risk.cli.options import VERBOSITY, combined
from defi_risk.cli.reading import Reading, gathered, reading
from defi_risk.errors import UnknownName, UsageError
from defi_risk.text import shown
from defi_risk.words import Names

if TYPE_CHECKING:
    from defi_risk.gathering import Gathered
    from defi_risk.model import Account
    from defi_risk.snapshot.considered import Considered

_DAYS: Final = re.compile(r"\d{1,5}(?:\.\d{1,6})?", re.ASCII)
_SHARE: Final = re.compile(r"(\d{1,2}(?:\.\d{1,6})?) ?%", re.ASCII)
RANGE: Final = 0.15
HOW: Final = "one of --isolate ACCOUNT, --merge ACCOUNT --merge ACCOUNT, --sweep ACCOUNT=30, --grid ACCOUNT"


@click.command(name="whatif")
@click.argument("wallets", nargs=-1, metavar="[WALLET...]")
@click.option("--isolate", metavar="ACCOUNT", help="Give every position of a cross account margin of its own.")
@click.option("--merge", multiple=True, metavar="ACCOUNT", help="Let accounts of one venue share their margin; name two or more.")
@click.option("--sweep", metavar="ACCOUNT=DAYS", help="Leave so many days of funding at today's rates in the account.")
@click.option("--grid", metavar="ACCOUNT[=15%]", help="Margin by the worst of a grid of prices, beside the sum of its positions.")
@combined(reading)
@click.option("--format", "form", type=click.Choice(("table", "json")), help="Form of the result; default table, or what -o ends with.")
@click.option("-o", "--output", metavar="PATH", help="Write to a file.")
@VERBOSITY
@click.pass_obj
def whatif(
    session: Session,
    wallets: tuple[str, ...],
    isolate: str | None,
    merge: tuple[str, ...],
    sweep: str | None,
    grid: str | None,
    form: str | None,
    output: str | None,
    **options: Unpack[Reading],
) -> int:
    """Show the book's health if accounts were arranged otherwise.

    ACCOUNT is an id as snapshots write it, or the name of a [[manual]] account. Nothing is carried out.

    \b
    Example:
      defi-risk whatif demo --sweep Hyperliquid=30
      defi-risk whatif demo --grid Hyperliquid
      defi-risk whatif --book desk.toml --isolate binance-main
    """
    from defi_risk.cli.output import planned

    target = planned(form, output)
    if target.folder is not None or target.form not in ("table", "json"):
        raise UsageError(f"-o {output!r} is neither a text nor a JSON file", hint="-o whatif.json, or -o whatif.txt")
    if sum(map(bool, (isolate, merge, sweep, grid))) != 1:
        raise UsageError("ask for one change at a time", hint=HOW)
    asked = _Asked(isolate, merge, *_swept(sweep), *_ranged(grid))
    found = gathered(session, wallets, "whatif", options)
    code = lacking(found, "what-if")
    from defi_risk.cli.writing import deliver
    from defi_risk.export import considered

    deliver(asked.answer(found), target.form, target.file, considered.show, considered.as_text, session)
    return code


class _Asked:
    """One change, parsed but not yet looked up in a book."""

    def __init__(self, isolate: str | None, merge: Sequence[str], sweep: str | None, days: float, grid: str | None, reach: float) -> None:
        self.isolate, self.merge, self.sweep, self.days, self.grid, self.reach = isolate, merge, sweep, days, grid, reach

    def answer(self, found: Gathered) -> Considered:
        """The book before and after. Raises `UsageError`."""
        from defi_risk import health
        from defi_risk.health import whatif as change
        from defi_risk.judging import model_settings
        from defi_risk.snapshot import considered

        settings, quotes, book = model_settings(found), found.quotes, found.accounts
        if self.grid is not None:
            one = _find(book, self.grid)
            margin = change.grid_margin(one, self.reach, quotes=quotes)
            return considered.gridded(health.run(book, settings, quotes=quotes, partial=found.partial), one.id, margin)
        if self.isolate is not None:
            one = _find(book, self.isolate)
            replaced = {one.id: change.isolated(one, quotes)}
            return considered.changed("isolate", change.compare(book, replaced, settings, quotes, partial=found.partial), [one.id])
        if self.sweep is not None:
            one = _find(book, self.sweep)
            swept = change.sweep_funding(one, self.days, quotes)
            return considered.changed("sweep", change.compare(book, {one.id: (swept,)}, settings, quotes, partial=found.partial), [one.id])
        several = [_find(book, name) for name in self.merge]
        merged = change.cross(several)
        parts = {one.id: (merged,) if number == 0 else () for number, one in enumerate(several)}
        return considered.changed(
            "merge", change.compare(book, parts, settings, quotes, partial=found.partial), [one.id for one in several]
        )


def _find(accounts: Sequence[Account], name: str) -> Account:
    """The account of that id, of that name in the tables, or the only one of the exchange that the book calls so. Raises `UnknownName`, and
    `UsageError` where an exchange has several.
    """
    names = Names(accounts)
    for account in accounts:
        if name in (account.id, names.of(account)):
            return account
    traded = [account for account in accounts if account.chain is None and account.source == name]
    if len(traded) > 1:
        raise UsageError(f"{shown(name, 60)} has {len(traded)} accounts", hint=f"name one of them: {', '.join(map(names.of, traded))}")
    if traded:
        return traded[0]
    raise UnknownName("account", name, tuple(names.of(account) for account in accounts))


def _swept(text: str | None) -> tuple[str | None, float]:
    if text is None:
        return None, 0.0
    name, _, days = text.rpartition("=")
    if not name or not _DAYS.fullmatch(days):
        raise UsageError(f"--sweep {shown(text, 60)!r} is not ACCOUNT=DAYS", hint="--sweep Hyperliquid=30")
    return name, float(days)


def _ranged(text: str | None) -> tuple[str | None, float]:
    if text is None:
        return None, RANGE
    name, equals, share = text.rpartition("=")
    match = _SHARE.fullmatch(share) if equals else None
    if equals and (not name or match is None):
        raise UsageError(f"--grid {shown(text, 60)!r} is not ACCOUNT=RANGE", hint="--grid Hyperliquid=15%")
    return (name, float(match[1]) / 100.0) if match else (text, RANGE)
