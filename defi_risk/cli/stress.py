"""`defi-risk stress`: what scenarios and long walks of the market would liquidate."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from defi_risk.cli import Session
from defi_risk.cli.options import RESULT, VERBOSITY, combined
from defi_risk.cli.reading import Reading, gathered, reading
from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.book.scenario import ScenarioSettings


@click.command(name="stress")
@click.argument("wallets", nargs=-1, metavar="[WALLET...]")
@combined(reading, RESULT)
@click.option(
    "--scenario",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Scenarios of your own; again for more.",
)
@click.option(
    "--shock",
    "shocks",
    multiple=True,
    metavar="NAME=MOVE",
    help="ETH=-30%, stETH/ETH=-7% or binance:ETH=+10%; all of them make one scenario.",
)
@click.option(
    "--replay", "days", multiple=True, metavar="DATE", help="A day of the book's price history, such as 2022-05-09; again for more."
)
@VERBOSITY
@click.pass_obj
def stress(
    session: Session,
    wallets: tuple[str, ...],
    form: str | None,
    output: str | None,
    fail_on: str | None,
    files: tuple[Path, ...],
    shocks: tuple[str, ...],
    days: tuple[str, ...],
    **options: Unpack[Reading],
) -> int:
    """Show what scenarios liquidate, and what goes in which order.

    WALLET is an address, a name, or the word demo. Eleven scenarios are built in, up and down; every account is tested by itself, for
    margin does not flow between venues. Exit codes are those of scan.

    \b
    Example:
      defi-risk stress demo
      defi-risk stress demo --shock ETH=-30% --shock USDT=-10%
      defi-risk stress --book desk.toml --scenario mine.toml --replay 2022-05-09
    """
    from defi_risk.cli.output import emit, exit_code, planned

    target = planned(form, output)
    dates = [_date(day) for day in days]
    own = _own(files, shocks)
    found = gathered(session, wallets, "stress", options)
    from defi_risk.judging import judge

    snapshot = judge(found, scenarios=own, replays=dates).snapshot
    emit(snapshot, target, session, stressed=True)
    return exit_code(snapshot, fail_on)


def _own(files: tuple[Path, ...], shocks: tuple[str, ...]) -> list[ScenarioSettings]:
    """The user's own scenarios, read before anything else is, so that a mistake costs no scan."""
    from defi_risk.book.scenario import from_options, load_scenarios

    found = [scenario for file in files for scenario in load_scenarios(file)]
    ids = [scenario.id for scenario in found]
    for name in ids:
        if ids.count(name) > 1:
            raise UsageError(f"two scenario files have a scenario {name!r}", hint="give one of them another id")
    one = from_options(shocks)
    return [*found, one] if one else found


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"--replay {text!r} is not a date", hint="write it as 2022-05-09") from None
