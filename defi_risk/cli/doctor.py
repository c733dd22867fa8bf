"""`defi-risk doctor`: one line for everything that a scan depends on, each with a remedy where it is not well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from defi_risk.cli.options import BOOK, RPC, STATE, VERBOSITY, cache_dir, load_book

if TYPE_CHECKING:
    from defi_risk.cli.checks import Check
    from defi_risk.secrets import Secret


@click.command(name="doctor")
@BOOK
@RPC
@STATE
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True, help="Form of the result.")
@VERBOSITY
def doctor(book: Path | None, rpc: dict[str, tuple[Secret, ...]], state: Path | None, form: str) -> int:
    """Check installation, configuration, nodes and exchange accounts.

    Each line is ok, warn or fail, with a remedy. Exit code 0 if nothing failed, 2 for installation or configuration, 3 for a node or an
    exchange. Nothing but the hosts listed is contacted. Exchange accounts are read as a scan reads them, and what their keys may do is
    asked anew.

    \b
    Example:
      defi-risk doctor --rpc ethereum=https://YOUR_NODE
      defi-risk doctor --book desk.toml
    """
    checks = list(examine(book, rpc, state))
    if form == "json":
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        for check in checks:
            click.echo(_line(check))
    return max((check.code if check.status == "fail" else 0 for check in checks), key=[0, 3, 2].index)


def examine(book: Path | None, rpc: dict[str, tuple[Secret, ...]], state: Path | None) -> Iterator[Check]:
    """All checks, in the order in which their failures explain each other."""
    from defi_risk.cli import checks

    yield from checks.machine()
    yield from checks.adapters()
    yield checks.folder(cache_dir(state))
    yield from _reading(book, rpc)


def _reading(path: Path | None, rpc: dict[str, tuple[Secret, ...]]) -> Iterator[Check]:
    """The book, the hosts that a scan would contact, and each of them."""
    from defi_risk import desks, histories, targets
    from defi_risk.book import Book
    from defi_risk.cli.checks import OK, WARN, Check, failed
    from defi_risk.errors import DefiRiskError, UsageError
    from defi_risk.secrets import public_url

    try:
        book = load_book(path, rpc)
        if book is not None:
            counts = f"{len(book.wallets)} wallets, {len(book.chains)} chains, {len(book.markets)} markets"
            counts += f", {len(book.exchanges)} exchanges, {len(book.manual)} manual"
            yield Check(OK, "book", f"{path}: {book.name}, {counts}")
        chains = targets.chains(book or Book(name="doctor"), rpc, ())
        services = targets.services(chains)
    except UsageError as error:
        yield failed("book" if path else "nodes", error)
        return
    hosts = [public_url(node.reveal()) for target in chains for node in target.settings.rpc]
    traded: list[str] = []
    if book is not None and (book.exchanges or histories.origin(book)[0] == histories.EXCHANGE):
        from defi_risk.cli import exchanges

        try:
            desks.check(book)
            traded = exchanges.reached(book)
        except DefiRiskError as error:
            yield failed("exchanges", error)
    if not hosts and not (book and book.exchanges):
        yield Check(WARN, "nodes", "none is configured", "give --rpc ethereum=URL, set DEFI_RISK_RPC_ETHEREUM, or use --book")
    if hosts or traded:
        yield Check(OK, "hosts", "a scan contacts these and no others: " + ", ".join(dict.fromkeys([*hosts, *services, *traded])))
    if hosts:
        from defi_risk.cli import nodes

        for target in chains:
            yield from nodes.chain(target)
    for settings in book.exchanges if book and traded else ():
        from defi_risk.cli import exchanges

        yield from exchanges.account(settings)


def _line(check: Check) -> str:
    from defi_risk.secrets import redact
    from defi_risk.text import clean

    remedy = f" - {check.remedy}" if check.remedy else ""
    return clean(redact(f"{check.status:<5}{check.subject}: {check.finding}{remedy}"), 1000)
