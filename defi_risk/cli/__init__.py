"""The command line: a group whose commands are imported only when they run, and the one place where an error becomes an exit code.

    0   fine                                 3    a source failed or an account is unknown: the snapshot is partial
    1   a bug                                10   with --fail-on: a flag of that severity or above was raised
    2   wrong usage or configuration         130  interrupted

Standard output holds only the result. An error is one line on standard error; the traceback of a bug needs `--verbose`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final, NoReturn

import click

from defi_risk import __version__
from defi_risk.errors import DefiRiskError

PROGRAM: Final = "defi-risk"
COMPLETE: Final = "_DEFI_RISK_COMPLETE"
INTERRUPTED: Final = 130
COMMANDS: Final = {
    "scan": "Read wallets and a book into one health picture.",
    "stress": "Show what scenarios liquidate, and what goes in which order.",
    "plan": "Find the cheapest way to survive a market move.",
    "whatif": "Show the book's health if accounts were arranged otherwise.",
    "explain": "Tell why health changed between two snapshots.",
    "demo": "Show the picture of the book that comes with the package.",
    "markets": "List the adapters and markets known, by chain.",
    "doctor": "Check installation, configuration, nodes and exchange accounts.",
    "completion": "Print the completion script of a shell.",
}
"""Each command with the first line of its help; its module in this package has a command of the same name."""


class Session:
    """What the boundary must know about the run: whether to be quiet, and whether a bug may show its traceback."""

    def __init__(self) -> None:
        self.quiet = False
        self.verbose = False

    def say(self, text: str) -> None:
        """A line for the person at the terminal, on standard error; none when quiet."""
        if not self.quiet:
            warn(text)


class Cli(click.Group):
    """The group. Calling it runs a command line and ends the process with its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"defi_risk.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from defi_risk.errors import UnknownName

            raise UnknownName("command", args[0], tuple(COMMANDS))
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command line and exit."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that cannot show a sign must not stop an answer
        session = Session()
        sys.exit(self._run(session, args, {"prog_name": prog_name or PROGRAM, "complete_var": complete_var or COMPLETE, **extra}))

    def _run(self, session: Session, args: Sequence[str] | None, extra: dict[str, Any]) -> int:
        try:
            end = super().main(args, standalone_mode=False, obj=session, **extra)
            return end if isinstance(end, int) else 0
        except DefiRiskError as error:
            return _fail(str(error), error.exit_code)
        except click.exceptions.Abort:
            return INTERRUPTED
        except click.ClickException as error:
            return _fail(_click_message(error), 2)
        except SystemExit as end:
            # click wraps standard output like this when it was closed early (`| head`), which is nobody's fault
            closed = type(sys.stdout).__name__.endswith("PacifyFlushWrapper")
            return 0 if closed else end.code if isinstance(end.code, int) else 1
        except Exception as error:  # noqa: BLE001  # the process boundary: whatever arrives here is a bug, told in one line
            return _bug(session, error)


def warn(text: str) -> None:
    """One line on standard error, without secrets, markup or control characters."""
    from defi_risk.secrets import redact
    from defi_risk.text import clean

    click.echo(clean(redact(text), 1000), err=True)


def _fail(message: str, code: int) -> int:
    warn(f"error: {message}")
    return code


def _click_message(error: click.ClickException) -> str:
    """Click's sentence in the form of ours, with the command to ask for help."""
    message = error.format_message().strip().rstrip(".").replace(". (Did you mean", " (did you mean")
    message = message[:1].lower() + message[1:] if not message.startswith(("'", '"')) else message
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} - see `{context.command_path} --help`" if context else message


def _bug(session: Session, error: Exception) -> int:
    warn(f"error: unexpected {type(error).__name__}: {error} - this is a bug; --verbose shows where")
    if session.verbose:
        import traceback

        from defi_risk.secrets import redact

        text = redact("".join(traceback.format_exception(error)))
        click.echo("".join(char for char in text if char == "\n" or char.isprintable()), err=True)
    return 1


@click.group(name=PROGRAM, cls=Cli, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=f"{PROGRAM} %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """How far is everything you hold from liquidation: lending and derivatives in one health picture.

    \b
    Start here:
      defi-risk demo
      defi-risk scan 0xYOUR_WALLET --rpc ethereum=https://YOUR_NODE
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
