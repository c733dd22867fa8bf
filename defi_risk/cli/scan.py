"""`defi-risk scan`: read wallets and a book into one health picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

import click

from defi_risk.cli import Session
from defi_risk.cli.options import RESULT, VERBOSITY, combined
from defi_risk.cli.reading import Reading, gathered, reading
from defi_risk.errors import UsageError


@click.command(name="scan")
@click.argument("wallets", nargs=-1, metavar="[WALLET...]")
@combined(reading, RESULT)
@click.option("--boundary", metavar="X,Y", help="Draw the joint boundary over these two factors: ETH,BTC.")
@click.option("--chance", is_flag=True, help="Simulate the chance of a liquidation; needs volatilities or prices in the book.")
@click.option("--method", type=click.Choice(("ewma", "bootstrap")), default="ewma", show_default=True, help="How --chance draws returns.")
@click.option("--paths", type=click.IntRange(100, 1_000_000), default=10_000, show_default=True, help="Simulated paths of --chance.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Seed of --chance: the same seed, the same answer."
)
@click.option("--since", type=click.Path(path_type=Path), metavar="SNAPSHOT", help="Tell which parameters changed since this snapshot.")
@VERBOSITY
@click.pass_obj
def scan(
    session: Session,
    wallets: tuple[str, ...],
    form: str | None,
    output: str | None,
    fail_on: str | None,
    boundary: str | None,
    chance: bool,
    method: Literal["ewma", "bootstrap"],
    paths: int,
    seed: int,
    since: Path | None,
    **options: Unpack[Reading],
) -> int:
    """Read wallets and a book into one health picture.

    WALLET is an address, a name such as vitalik.eth, or the word demo. Every market built in or configured is read at one block a
    chain. Exit codes: 0 fine, 2 wrong usage, 3 partial, 10 with --fail-on.

    \b
    Example:
      defi-risk scan 0xYOUR_WALLET --rpc ethereum=https://YOUR_NODE
      defi-risk scan --book desk.toml --format json | jq .book_health
      defi-risk scan --book desk.toml --boundary ETH,BTC --chance
    """
    from defi_risk.cli.output import emit, exit_code, planned

    target = planned(form, output)
    pair = _pair(boundary)
    before = None
    if since is not None:
        from defi_risk.snapshot import load
        from defi_risk.snapshot.restore import restore

        before = load(since)
        for account in before.accounts:
            restore(account)  # one that cannot be is told before anything is read
    found = gathered(session, wallets, "scan", options)
    from defi_risk.health import ChanceAsked
    from defi_risk.judging import judge

    ask = ChanceAsked(method=method, paths=paths, seed=seed) if chance else None
    snapshot = judge(found, boundary=pair, chance=ask, since=before).snapshot
    emit(snapshot, target, session)
    return exit_code(snapshot, fail_on)


def _pair(text: str | None) -> tuple[str, str] | None:
    """The two names of `ETH,BTC`."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise UsageError(f"--boundary {text!r} does not name two different factors", hint="--boundary ETH,BTC")
    return names[0], names[1]
