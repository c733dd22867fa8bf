"""A command line run in this process: exit code, standard output and standard error."""

from __future__ import annotations

from typing import NamedTuple

from click.testing import CliRunner

from defi_risk.cli import main


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str


def run(*args: str, env: dict[str, str | None] | None = None) -> Ended:
    """Run `defi-risk ARGS`."""
    result = CliRunner().invoke(main, list(args), env={"DEFI_RISK_ADAPTERS": None, "COLUMNS": None, **(env or {})})
    return Ended(result.exit_code, result.stdout, result.stderr)
