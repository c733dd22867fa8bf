"""Records the demo that ships in the package: two loans of one wallet on a local chain, read by the adapters that a scan uses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from defi_risk import engine, markets, registry
from defi_risk.engine import Job
from defi_risk.ids import ChainId, erc20_id, parse_address
from defi_risk.model import Chain, Owner
from defi_risk.replay import Case, Recording, dumps
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Context, Market
from defi_risk.testing.record import Recorder
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.comet.deployment import deploy_comet_usdc
from tests.localchain.factors import factor_of
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person
from tests.localchain.states import AnyMarket

FILE: Final = Path(__file__).parents[2] / "defi_risk" / "demo" / "chain.json"
CHAIN: Final = Chain(ChainId(31337), "local")
PRICES: Final = {"WETH": 3_000, "wstETH": 3_600, "WBTC": 90_000, "USDC": 1}
DAYS: Final = 30


def write(file: Path = FILE) -> Path:
    """Record into a file."""
    file.write_text(dumps(record()), "utf-8")
    return file


def record() -> Recording:
    """Bring the chain up, let the wallet borrow and post what it borrowed elsewhere, wait a month, read."""
    with Anvil() as anvil:
        put_multicall3(anvil)
        assets = Assets(anvil)
        aave, comet = deploy_aave36(anvil, assets), deploy_comet_usdc(anvil, assets)
        for symbol, price in PRICES.items():
            assets.feed(symbol).set(price)
        lender, owner = person("demo/lender"), person("demo/owner")
        aave.supply(lender, "USDC", 5_000_000)
        comet.supply(lender, "USDC", 5_000_000)
        aave.supply(owner, "WETH", 10)
        aave.borrow(owner, "USDC", 12_000)
        comet.supply(owner, "WBTC", "0.4")
        comet.supply(owner, "wstETH", 3)
        comet.borrow(owner, 16_000)
        assets.token("USDC").mint(owner, 4_000)
        assets.token("USDC").contract.send("transfer", person("demo/perp venue"), 24_000 * 10**6, sender=owner)
        anvil.pass_time(DAYS * 86_400)
        for symbol, price in PRICES.items():
            assets.feed(symbol).set(price)
        places = (_market(aave, "core"), _market(comet, "usdc double"), Market("wallet", CHAIN, "wallet", venue="Wallet"))
        return _read(anvil, assets, parse_address(owner), places)


def _market(market: AnyMarket, name: str) -> Market:
    return Market(market.adapter, CHAIN, name, tuple(market.roots.items()), registry.get(market.adapter).venue, "local chain")


def _read(anvil: Anvil, assets: Assets, address: str, places: tuple[Market, ...]) -> Recording:
    factors = {erc20_id(CHAIN.id, parse_address(token.address)): factor_of(symbol) for symbol, token in assets.tokens.items()}
    owner = Owner(parse_address(address))
    with ChainSource.open(CHAIN, [anvil.url], deadline=Deadline(60)) as source:
        recorder = Recorder(source)
        known = {**markets.context_factors(CHAIN.id), **factors}
        context = Context(CHAIN, source.anchor.number, source.anchor.timestamp, known, {}, places)
        engine.read(recorder, [Job(registry.get(place.adapter), owner, place) for place in places], context)
        return Recording("chain.json", source.anchor, context, recorder.answers, tuple(Case(owner, place, ()) for place in places))
