"""`defi-risk completion`: the completion script of a shell."""

from __future__ import annotations

import click

from defi_risk.cli import COMPLETE, PROGRAM
from defi_risk.cli.options import VERBOSITY

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", type=click.Choice(SHELLS))
@VERBOSITY
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example:
      eval "$(defi-risk completion bash)"
      defi-risk completion fish > ~/.config/fish/completions/defi-risk.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:  # the choice above admits only shells that click knows
        raise click.UsageError(f"no completion for {shell}", ctx)
    # made from the template, not by `source()`, which starts the shell to ask for its version
    complete = kind(ctx.find_root().command, {}, PROGRAM, COMPLETE)
    click.echo(complete.source_template % complete.source_vars())
