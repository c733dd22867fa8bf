"""Records the replays that the adapters' conformance tests run on: every user of every market, 40 days after they acted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from defi_risk import registry
from defi_risk.ids import AssetId, ChainId, erc20_id, parse_address
from defi_risk.model import Chain, Owner
from defi_risk.replay import dumps
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Context, Market
from defi_risk.testing.record import record
from tests.localchain import kits
from tests.localchain.factors import factor_of
from tests.localchain.kits import Kit

FOLDER: Final = Path(__file__).parents[2] / "fixtures" / "replays"
CHAIN: Final = Chain(ChainId(31337), "local")
NOBODY: Final = Owner(parse_address("0x000000000000000000000000000000000000dead"))
KITS: Final = (
    kits.aave30, kits.aave32, kits.aave36, kits.venus, kits.comet_usdc, kits.comet_weth, kits.synthetix, kits.curie,
    kits.gains, kits.gains_served, kits.hyper, kits.gmx, kits.gmx_tokens,
)  # fmt: skip
BESIDE_WALLET: Final = ("aave-3.6", "venus", "comet-usdc")
DAYS: Final = 40


def write(folder: Path = FOLDER) -> Iterator[Path]:
    """Record everything; yields each file when it is written."""
    for start in KITS:
        with start() as kit:
            kit.market.pass_time(DAYS * 86_400)
            market = kit.market
            settings: dict[str, str] = getattr(market, "settings", {})
            params = (*market.roots.items(), *settings.items())
            described = Market(market.adapter, CHAIN, market.name, params, registry.get(market.adapter).venue)
            yield _write(folder, kit, described, (described,))
            if market.name in BESIDE_WALLET:
                yield _write(folder, kit, Market("wallet", CHAIN, "wallet", (), "Wallet"), (described,), "lender", "plain", "whale")


def _write(folder: Path, kit: Kit[Any], read: Market, places: tuple[Market, ...], *only: str) -> Path:
    unread: tuple[str, ...] = getattr(kit.market, "unread", ())
    labels = [label for label in kit.who if label not in unread and (not only or label in only)]
    owners = [Owner(parse_address(kit.who[label])) for label in labels]
    factors = {erc20_id(CHAIN.id, parse_address(token.address)): factor_of(symbol) for symbol, token in kit.market.tokens.items()}
    listed: dict[str, str] = getattr(kit.market, "listed", {})
    factors |= {AssetId(f"eip155:{CHAIN.id}/{name}"): factor_of(symbol) for name, symbol in listed.items()}
    with ChainSource.open(CHAIN, [kit.anvil.url], deadline=Deadline(120)) as source:
        context = Context(CHAIN, source.anchor.number, source.anchor.timestamp, factors, {}, places)
        tasks = [(owner, read) for owner in (*owners, NOBODY)]
        recording = record(kit.market.name, source, registry.get(read.adapter), tasks, context)
    file = folder / (read.adapter if only else getattr(kit.market, "replays", read.adapter)) / f"{kit.market.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dumps(recording), "utf-8")
    return file
