"""`defi-risk markets`: what can be read, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from defi_risk.cli.options import VERBOSITY

if TYPE_CHECKING:
    from defi_risk.spi import Market


@click.command(name="markets")
@click.option("--chain", metavar="NAME", help="Only the markets of one chain.")
@click.option("--adapters", "only_adapters", is_flag=True, help="The adapters instead, with the packages that bring them.")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True, help="Form of the result.")
@VERBOSITY
def markets(chain: str | None, only_adapters: bool, form: str) -> None:
    """List the adapters and markets known, by chain.

    A market marked 'asked' is known, but its address was not confirmed by the venue's own team: it is read only when asked for by
    `--market name=NAME` or in a book.

    \b
    Example:
      defi-risk markets --chain ethereum
      defi-risk markets --adapters --format json
    """
    found: dict[str, Any] = {"adapters": _adapters()} if only_adapters else {"adapters": _adapters(), "markets": _markets(chain)}
    if form == "json":
        import json

        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in _adapter_lines(found["adapters"]) if only_adapters else _market_lines(found["markets"]):
        click.echo(line)


def _adapters() -> list[dict[str, Any]]:
    from defi_risk import registry
    from defi_risk.spi import settings_of

    found: list[dict[str, Any]] = []
    for entry in registry.entries():
        adapter = registry.get(entry.name)
        found.append(
            {
                "name": entry.name,
                "venue": adapter.venue,
                "api": adapter.api,
                "roots": list(adapter.roots),
                "settings": list(settings_of(adapter)),
                "distribution": entry.distribution,
                "version": entry.version,
                "target": entry.target,
            }
        )
    return found


def _markets(chain: str | None) -> list[dict[str, Any]]:
    from defi_risk import markets as known
    from defi_risk.errors import UnknownName

    if chain is not None and chain not in known.chains():
        raise UnknownName("chain", chain, tuple(known.chains()))
    return [_market(one) for one in known.built_in() if chain in (None, one.chain.name)]


def _market(market: Market) -> dict[str, Any]:
    from defi_risk import markets as known
    from defi_risk.secrets import public_setting

    return {
        "name": market.name,
        "adapter": market.adapter,
        "venue": market.venue,
        "chain": market.chain.name,
        "chain_id": market.chain.id,
        "params": {key: public_setting(value) for key, value in market.params},
        "source": market.source,
        "confidence": market.confidence,
        "on": market.confidence == known.VERIFIED,
    }


def _adapter_lines(adapters: list[dict[str, Any]]) -> list[str]:
    return _columns([("adapter", "venue", "root", "brought by")] + [_adapter_row(one) for one in adapters])


def _adapter_row(one: dict[str, Any]) -> tuple[str, ...]:
    return one["name"], one["venue"], ", ".join(one["roots"]) or "-", f"{one['distribution']} {one['version']} ({one['target']})"


def _market_lines(found: list[dict[str, Any]]) -> list[str]:
    rows = [("chain", "market", "venue", "adapter", "read", "root")]
    for one in sorted(found, key=lambda one: (one["chain_id"], one["venue"], one["name"])):
        root = next(iter(one["params"].values()), "-")
        rows.append((one["chain"], one["name"], one["venue"], one["adapter"], "yes" if one["on"] else "asked", root))
    return _columns(rows)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    from defi_risk.text import clean

    cells = [tuple(clean(cell, 120) for cell in row) for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
