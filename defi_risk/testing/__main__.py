"""`python -m defi_risk.testing record ADAPTER --rpc URL --wallet 0x... --block N --market KEY=VALUE,...`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from defi_risk.errors import DefiRiskError, UsageError
from defi_risk.ids import parse_address
from defi_risk.model import Chain, Owner
from defi_risk.spi import Market


@click.group()
def main() -> None:
    """Tools for authors of adapters."""


@main.command(
    epilog="Example: record compound_v3 --rpc $ETH_RPC_URL --wallet 0x... --block 21000000 --market name=compound-v3-ethereum-usdc"
)
@click.argument("adapter")
@click.option("--rpc", required=True, help="Node URL; an archive node for old blocks. ${NAME} is taken from the environment.")
@click.option("--wallet", "wallets", required=True, multiple=True, help="Address to read; several make one recording.")
@click.option("--block", default="finalized", show_default=True, help="Number, latest, safe or finalized.")
@click.option("--market", required=True, help="name=NAME of a built-in market, or chain=...,KEY=VALUE,...")
@click.option("--with", "others", multiple=True, help="A further market that the reading may look at, as for --market.")
@click.option("--chain-id", type=int, help="Chain id of a chain that is not built in.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File; by default ADAPTER-BLOCK.json.")
def record(
    adapter: str,
    rpc: str,
    wallets: tuple[str, ...],
    block: str,
    market: str,
    others: tuple[str, ...],
    chain_id: int | None,
    output: Path | None,
) -> None:
    """Record what ADAPTER reads of wallets at one block, as a replay for its conformance tests."""
    try:
        file = _record(adapter, rpc, wallets, block, [market, *others], chain_id, output)
    except DefiRiskError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(file)


def _record(name: str, rpc: str, wallets: tuple[str, ...], block: str, texts: list[str], chain_id: int | None, output: Path | None) -> Path:
    from defi_risk import markets, registry
    from defi_risk.ids import ChainId
    from defi_risk.replay import dumps
    from defi_risk.secrets import resolve
    from defi_risk.sources.chain import ChainSource
    from defi_risk.sources.clock import Deadline
    from defi_risk.spi import Context
    from defi_risk.testing.record import record as make

    adapter = registry.get(name)
    options = [{"adapter": name} | _options(text) for text in texts]
    place = markets.chain(options[0].get("chain", "ethereum"), ChainId(chain_id) if chain_id else None)
    found = [_market(one, place) for one in options]
    read = found[0]
    if read.adapter != adapter.name:
        raise UsageError(f"{read.name} is a market of {read.adapter}, not of {adapter.name}")
    with ChainSource.open(read.chain, [resolve(rpc)], deadline=Deadline(600), block=block) as source:
        at = source.anchor
        chain = read.chain
        factors, heartbeats = markets.context_factors(chain.id), markets.heartbeats(chain.id)
        context = Context(chain, at.number, at.timestamp, factors, heartbeats, tuple(found))
        tasks = [(Owner(parse_address(wallet)), read) for wallet in wallets]
        recording = make(f"{name}-{at.number}", source, adapter, tasks, context)
        source.finish()
    file = output or Path(f"{recording.name}.json")
    file.write_text(dumps(recording), "utf-8")
    return file


def _market(options: dict[str, str], place: Chain) -> Market:
    """The market that options describe; `name` without `chain` is that of a built-in one."""
    from defi_risk import markets, registry

    if "chain" not in options and "name" in options:
        return markets.by_name(options["name"])
    return markets.from_options(options, registry.get, {place.name: place})


def _options(text: str) -> dict[str, str]:
    """`KEY=VALUE,KEY=VALUE` as a dictionary."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    for key, equals, value in pairs:
        if not (key.strip() and equals and value.strip()):
            raise UsageError(f"{key!r} is not KEY=VALUE")
    return {key.strip(): value.strip() for key, _, value in pairs}


if __name__ == "__main__":
    main(prog_name="python -m defi_risk.testing")
