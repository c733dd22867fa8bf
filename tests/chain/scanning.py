"""Scans through the command line, as a user runs them, of markets on a local node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from defi_risk.cli import main
from defi_risk.snapshot import Snapshot, from_json
from tests.localchain.factors import toml_line
from tests.localchain.states import AnyMarket

ETHER: Final = """
[[manual]]
name = "ether"
side = "lending"
[[manual.collateral]]
factor = "ETH"
amount = "1"
price = "2512.34567891"
"""
"""Something that tells the price of ETH where a market counts in ETH and no other one is read."""


def book_text(url: str, *markets: AnyMarket) -> str:
    """A book of local markets behind a node; their tokens follow the factors that their symbols promise."""
    lines = ["[book]", 'name = "truth"', "[chains.local]", "chain_id = 31337", f'rpc = ["{url}"]']
    for market in markets:
        lines += ["[[markets]]", f'adapter = "{market.adapter}"', 'chain = "local"', f'name = "{market.name}"']
        settings: dict[str, str] = getattr(market, "settings", {})
        lines += [f'{name} = "{value}"' for name, value in (*market.roots.items(), *settings.items())]
    tokens = {token.address: symbol for market in markets for symbol, token in market.tokens.items()}
    for market in markets:
        listed: dict[str, str] = getattr(market, "listed", {})
        tokens |= {f"eip155:31337/{name}": symbol for name, symbol in listed.items()}
    lines += ["[factors]", *(toml_line(key, symbol) for key, symbol in tokens.items())]
    return "\n".join(lines) + "\n" + ETHER


def run(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `defi-risk` with these arguments."""
    result = CliRunner().invoke(main, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def scan(book: str, wallets: Iterable[str], folder: Path, *, block: int | None = None, code: int | None = 0) -> Snapshot:
    """The snapshot that `defi-risk scan --format json` prints; `code` is the exit code it must end with (None: any)."""
    file = folder / "book.toml"
    file.write_text(book)
    at = [] if block is None else ["--block", str(block)]
    ended, out, err = run(["scan", *wallets, "--book", str(file), "--format", "json", "--state", str(folder / "state"), *at])
    assert code is None or ended == code, f"exit code {ended}: {err}"
    return from_json(out)


def by_owner(snapshot: Snapshot, market: AnyMarket) -> dict[str, Any]:
    """The accounts of one market by the address of their owner."""
    root = next(iter(market.roots.values()))
    return {account.id.rpartition("/")[2]: account for account in snapshot.accounts if root in account.id}
