"""`defi-risk explain`: tell why health changed between two snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from defi_risk.cli import Session
from defi_risk.cli.options import BOOK, VERBOSITY, load_book
from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.health.settings import HealthSettings
    from defi_risk.snapshot import Snapshot

DEMO: Final = "demo"
AFTER: Final = "demo:after"


@click.command(name="explain")
@click.argument("before", metavar="A.json")
@click.argument("after", metavar="B.json")
@BOOK
@click.option("--format", "form", type=click.Choice(("table", "json")), help="Form of the result; default table, or what -o ends with.")
@click.option("-o", "--output", metavar="PATH", help="Write to a file.")
@VERBOSITY
@click.pass_obj
def explain(session: Session, before: str, after: str, book: Path | None, form: str | None, output: str | None) -> int:
    """Tell why health changed between two snapshots.

    Every account's change of surplus, in USD, and the change of the unified health are split into prices, carry (interest and funding
    at the first snapshot's rates), flow (every other change of amounts) and parameters. The parts add up. The word demo in place of a
    file is the embedded book, demo:after the same book a week later. Give --book where the book has betas of its own. Exit code 3 where
    an account is not known in both.

    \b
    Example:
      defi-risk explain demo demo:after
      defi-risk explain monday.json friday.json --format json | jq .book.uhf
    """
    from defi_risk.cli.output import planned

    target = planned(form, output)
    if target.folder is not None or target.form not in ("table", "json"):
        raise UsageError(f"-o {output!r} is neither a text nor a JSON file", hint="-o why.json, or -o why.txt")
    settings = _settings(book)
    files = before, after
    first, last = _snapshots(files)
    from defi_risk import explain as attribution

    found = attribution.explain(first, last, settings=settings, files=files)
    from defi_risk.cli.writing import deliver
    from defi_risk.export.explanation import as_text, show

    deliver(found, target.form, target.file, show, as_text, session)
    return 3 if any(account.status == "unknown" for account in found.accounts) else 0


def _settings(path: Path | None) -> HealthSettings | None:
    book = load_book(path, ())
    if book is None:
        return None
    from defi_risk.judging import health_settings

    return health_settings(book)


def _snapshots(names: tuple[str, str]) -> tuple[Snapshot, Snapshot]:
    """Both snapshots; the embedded ones are of one moment, however long computing them takes."""
    from defi_risk.snapshot import load

    found = {name: load(name) for name in names if name not in (DEMO, AFTER)}
    if len(found) < len({*names}):
        from defi_risk import demo
        from defi_risk.demo import after
        from defi_risk.judging import judge

        gathered = demo.gathered()
        found[DEMO] = judge(gathered).snapshot
        if AFTER in names:
            found[AFTER] = after.snapshot(gathered, found[DEMO])
    first, last = names
    return found[first], found[last]
