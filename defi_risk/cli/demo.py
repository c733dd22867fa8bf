"""`defi-risk demo`: the picture of the book that comes with the package."""

from __future__ import annotations

import click

from defi_risk.cli import Session
from defi_risk.cli.options import RESULT, VERBOSITY, combined


@click.command(name="demo")
@combined(RESULT, VERBOSITY)
@click.pass_obj
def demo(session: Session, form: str | None, output: str | None, fail_on: str | None) -> int:
    """Show the picture of the book that comes with the package.

    No node, no key and no network: the accounts were recorded, everything after that is computed anew.

    \b
    Example:
      defi-risk demo
      defi-risk demo --format json | jq .book_health.uhf
    """
    from defi_risk import demo as recorded
    from defi_risk.cli.output import emit, exit_code, planned

    target = planned(form, output)
    snapshot = recorded.snapshot()
    emit(snapshot, target, session)
    return exit_code(snapshot, fail_on)
