"""`defi-risk scan`: read wallets and a book into one health picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from defi_risk.cli import Session
from defi_risk.cli.options import READING, RESULT, VERBOSITY, cache_dir, combined, load_book, market_settings
from defi_risk.cli.progress import Progress
from defi_risk.cli.wallets import read_wallets
from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.book import Book, MarketSettings
    from defi_risk.secrets import Secret
    from defi_risk.snapshot import Snapshot


@click.command(name="scan")
@click.argument("wallets", nargs=-1, metavar="[WALLET...]")
@combined(READING, RESULT, VERBOSITY)
@click.pass_obj
def scan(
    session: Session,
    wallets: tuple[str, ...],
    book: Path | None,
    rpc: dict[str, tuple[Secret, ...]],
    block: str,
    wallet_file: Path | None,
    market_texts: tuple[dict[str, str], ...],
    deadline: float,
    state: Path | None,
    form: str | None,
    output: str | None,
    fail_on: str | None,
) -> int:
    """Read wallets and a book into one health picture.

    WALLET is an address, a name such as vitalik.eth, or the word demo. Every market built in or configured is read at one block a
    chain. Exit codes: 0 fine, 2 wrong usage, 3 partial, 10 with --fail-on.

    \b
    Example:
      defi-risk scan 0xYOUR_WALLET --rpc ethereum=https://YOUR_NODE
      defi-risk scan --book desk.toml --format json | jq .book_health
    """
    from defi_risk.cli.output import emit, exit_code, planned

    target = planned(form, output)
    if "demo" in wallets:
        if len(wallets) > 1 or book or wallet_file:
            raise UsageError("'demo' is a book of its own and goes with no other wallet", hint="defi-risk scan demo")
        from defi_risk import demo

        snapshot = demo.snapshot()
    else:
        holdings = load_book(book, rpc)
        asked = [*wallets, *(read_wallets(wallet_file) if wallet_file else ())]
        extra = market_settings(market_texts, holdings)
        with Progress(session) as progress:
            snapshot = _scan(asked, holdings, rpc, block, extra, deadline, cache_dir(state), progress)
    emit(snapshot, target, session)
    return exit_code(snapshot, fail_on)


def _scan(
    wallets: Sequence[str],
    book: Book | None,
    rpc: Mapping[str, Sequence[Secret]],
    block: str,
    markets: Sequence[MarketSettings],
    deadline: float,
    cache: Path,
    progress: Callable[[str], None],
) -> Snapshot:
    from defi_risk.scanning import scan as read

    return read(
        wallets,
        book=book,
        rpc=rpc,
        block=block,
        market_settings=markets,
        deadline=deadline,
        cache_dir=cache,
        progress=progress,
    )
