"""`defi-risk plan`: the cheapest way to survive a market move."""

from __future__ import annotations

import re
from typing import Final, Unpack

import click

from defi_risk.cli import Session
from defi_risk.cli.lacking import lacking
from defi_risk.cli.options import VERBOSITY, combined
from defi_risk.cli.reading import Reading, gathered, reading
from defi_risk.errors import UsageError
from defi_risk.text import shown

_MOVE: Final = re.compile(r"([+-]?)(\d{1,7}(?:\.\d{1,9})?) ?(%?)", re.ASCII)
_USD: Final = re.compile(r"\$?(\d{1,15}(?:\.\d{1,9})?)", re.ASCII)
LOWEST: Final = -1.0
HIGHEST: Final = 1e4
HIGHEST_PLAIN: Final = 1.0
"""A move from here on must be written in per cent."""


@click.command(name="plan", context_settings={"ignore_unknown_options": False})
@click.argument("wallets", nargs=-1, metavar="[WALLET...]")
@click.option("--survive", "moves", multiple=True, metavar="MOVE", help="A move of the market, -30% or +40%; again for both sides.")
@click.option("--budget", metavar="USD", help="The most money from outside; alone: how far the unified health can be pushed with it.")
@combined(reading)
@click.option("--format", "form", type=click.Choice(("table", "json")), help="Form of the result; default table, or what -o ends with.")
@click.option("-o", "--output", metavar="PATH", help="Write to a file.")
@VERBOSITY
@click.pass_obj
def plan(
    session: Session,
    wallets: tuple[str, ...],
    moves: tuple[str, ...],
    budget: str | None,
    form: str | None,
    output: str | None,
    **options: Unpack[Reading],
) -> int:
    """Find the cheapest way to survive a market move.

    The plan is the cheapest set of actions after which nothing is liquidated on the way there: free collateral is withdrawn and posted
    where it is short, debts are repaid or grown within the venues' initial limits, positions are cut, and only then money is asked from
    outside. It is tried on the changed book before it is shown. Nothing is carried out.

    \b
    Example:
      defi-risk plan demo --survive +40%
      defi-risk plan --book desk.toml --survive -30% --survive +30% --budget 10000
      defi-risk plan --book desk.toml --budget 0
    """
    from defi_risk.cli.output import planned

    target = planned(form, output)
    if target.folder is not None or target.form not in ("table", "json"):
        raise UsageError(f"-o {output!r} is neither a text nor a JSON file", hint="-o plan.json, or -o plan.txt")
    targets = [_move(move) for move in moves]
    most = None if budget is None else _usd(budget)
    if not targets and most is None:
        raise UsageError("nothing is asked of the plan", hint="--survive -30%, --survive +40% or --budget 5000")
    found = gathered(session, wallets, "plan", options)
    code = lacking(found, "plan")
    from defi_risk.cli.writing import deliver
    from defi_risk.export.plan import as_text, show
    from defi_risk.judging import rescue
    from defi_risk.snapshot.planned import rescue_plan

    result = rescue_plan(rescue(found, targets, most))
    deliver(result, target.form, target.file, show, as_text, session)
    return code


def _move(text: str) -> float:
    match = _MOVE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--survive {shown(text, 40)!r} is not a market move", hint="-30% for a fall, +40% for a rise")
    sign, digits, percent = match.groups()
    if not sign:
        raise UsageError(
            f"--survive {shown(text, 40)!r} has no sign", hint=f"a fall is -{digits}{percent or '%'}, a rise +{digits}{percent or '%'}"
        )
    value = float(sign + digits) / (100.0 if percent else 1.0)
    if not percent and abs(value) >= HIGHEST_PLAIN:  # 40 for 40 % is the likelier meaning
        raise UsageError(f"--survive {shown(text, 40)!r} is a move by {value:+,.0%}", hint=f"write {sign}{digits}% if per cent are meant")
    if value == 0 or not LOWEST < value <= HIGHEST:
        raise UsageError(f"--survive {shown(text, 40)!r} is out of range", hint="a fall above -100%, a rise up to +1000000%")
    return value


def _usd(text: str) -> float:
    match = _USD.fullmatch(text.strip().replace(",", "").replace("_", ""))
    if match is None:
        raise UsageError(f"--budget {shown(text, 40)!r} is not a sum in USD", hint="--budget 10000, or 0 for transfers only")
    return float(match[1])
