"""Records the demo that ships in the package: two loans of one wallet, two shorts that hedge them on the same local chain and one at a
scripted exchange, read by the adapters and the reader that a scan uses.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from defi_risk import desk_replay, desks, engine, registry
from defi_risk.book import ExchangeSettings
from defi_risk.desk_replay import DeskRecorder, DeskRecording
from defi_risk.engine import Job
from defi_risk.ids import AssetId, ChainId, erc20_id, parse_address
from defi_risk.model import Chain, Owner
from defi_risk.replay import Case, Recording, dumps
from defi_risk.secrets import Secret
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline, SystemClock
from defi_risk.sources.exchange import Exchange
from defi_risk.spi import Context, Market
from defi_risk.testing.record import Recorder
from tests.exchanges.binance import BinanceExchange, Held
from tests.exchanges.double import serving
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.comet.deployment import deploy_comet_usdc
from tests.localchain.comet.market import CometMarket
from tests.localchain.factors import factor_of
from tests.localchain.gmx.deployment import deploy_venue
from tests.localchain.gmx.market import GmxMarket
from tests.localchain.gmx.settings import IN_USD
from tests.localchain.hyper.market import HyperMarket, running
from tests.localchain.hyper.population import cross, entered
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person

FILE: Final = Path(__file__).parents[2] / "defi_risk" / "demo" / "chain.json"
EXCHANGE: Final = FILE.with_name("exchange.json")
CHAIN: Final = Chain(ChainId(31337), "local")
PRICES: Final = {"WETH": 3_000, "wstETH": 3_600, "WBTC": 90_000, "USDC": 1}
MARKS: Final = {"ETH": Decimal("3000"), "BTC": Decimal("90000")}
OPEN: Final = replace(
    IN_USD, name="double", markets=tuple(replace(market, disabled=False) for market in IN_USD.markets if market.name == "BTC")
)
"""GMX with one market, which the population of the tests cannot trade in."""
FUNDING: Final = "0.0000125"
"""Longs pay shorts 0.01 % in 8 hours, told by the hour."""
DAYS: Final = 30
ID: Final = "binanceusdm"
PARITY: Final = ("1.00000000", "0.0001", "0.0001")


@dataclass(frozen=True, slots=True)
class Town:
    """The chain, its tokens and its four venues; two of them are loans' and two are perpetuals'."""

    anvil: Anvil
    assets: Assets
    aave: AaveMarket
    comet: CometMarket
    hyper: HyperMarket
    gmx: GmxMarket


def write(file: Path = FILE) -> tuple[Path, Path]:
    """Record into two files: the chain, and the exchange at the time of its block."""
    chain = record()
    file.write_text(dumps(chain), "utf-8")
    exchange = file.with_name(EXCHANGE.name)
    exchange.write_text(desk_replay.dumps(record_exchange(chain.anchor.timestamp)), "utf-8")
    return file, exchange


def record() -> Recording:
    """Bring the chain up, let the wallet borrow and post what it borrowed as margin, wait a month, read."""
    with _town() as town:
        owner = person("demo/owner")
        _lend(town)
        _borrow(town, owner)
        town.anvil.pass_time(DAYS * 86_400)
        _prices(town)
        places = (
            _market(town.aave, "core"),
            _market(town.comet, "usdc double"),
            _market(town.gmx, "double"),
            _market(town.hyper, "hyperliquid"),
            Market("wallet", CHAIN, "wallet", venue="Wallet"),
        )
        return _read(town, owner, places)


class _Still(SystemClock):
    """A clock whose wall stands at a time of the past."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def wall(self) -> float:
        return float(self._seconds)


class _Binance(BinanceExchange):
    """The exchange at a time of the past."""

    seconds = 0

    def now(self) -> int:
        return self.seconds * 1_000


def record_exchange(seconds: int) -> DeskRecording:
    """Read the account at the exchange with the reader of a scan, over HTTP, at a unix time: a short of what the loan on Comet has for
    collateral in staked ether, under margin that the loan paid.
    """
    exchange = _Binance(
        wallets={"USDC": "3000"},
        positions=[Held("ETHUSDC", "-3.6", "3000", leverage=10)],
        marks={"ETHUSDC": "3000"},
        index={"USDC": PARITY, "USDT": PARITY, "ETH": ("3000.00000000", "0.05", "0.05"), "BTC": ("90000.00000000", "0.05", "0.05")},
    )
    exchange.seconds = seconds
    keys = {"apiKey": Secret(exchange.credentials["api_key"], "key"), "secret": Secret(exchange.credentials["secret"], "secret")}
    with serving(exchange) as url:
        settings = ExchangeSettings(id=ID, name="binance", credentials=keys, url=url)
        reader = registry.exchange(ID)
        with Exchange(settings, reader, Deadline(60, _Still(seconds))) as source:
            recorder = DeskRecorder(source, [secret.reveal() for secret in keys.values()])
            desks.judge(settings, reader, recorder)
    return recorder.recording(EXCHANGE.name, ID)


@contextmanager
def _town() -> Generator[Town]:
    with Anvil() as anvil, running(anvil) as hyper:
        put_multicall3(anvil)
        assets = Assets(anvil)
        aave, comet, gmx = deploy_aave36(anvil, assets), deploy_comet_usdc(anvil, assets), deploy_venue(assets, OPEN)
        town = Town(anvil, assets, aave, comet, hyper, gmx)
        _prices(town)
        yield town


def _prices(town: Town) -> None:
    for symbol, price in PRICES.items():
        town.assets.feed(symbol).set(price)
    for coin in town.hyper.core.dexs[0].coins:
        coin.mark, coin.funding = MARKS.get(coin.name, coin.mark), FUNDING
    town.hyper.tell()


def _lend(town: Town) -> None:
    lender = person("demo/lender")
    town.aave.supply(lender, "USDC", 5_000_000)
    town.comet.supply(lender, "USDC", 5_000_000)


def _borrow(town: Town, owner: str) -> None:
    """The loan on Aave becomes the margin of the short that hedges its ether. Most of the loan on Comet becomes that of the short that
    hedges its bitcoin, and some of it margin at the exchange. Somebody else is long on the chain, so that funding runs.
    """
    town.aave.supply(owner, "WETH", 10)
    town.aave.borrow(owner, "USDC", 12_000)
    town.comet.supply(owner, "WBTC", "0.4")
    town.comet.supply(owner, "wstETH", 3)
    town.comet.borrow(owner, 16_000)
    town.assets.token("USDC").mint(owner, 7_000)
    town.assets.token("USDC").contract.send("transfer", person("demo/perp venues"), 24_000 * 10**6, sender=owner)
    town.assets.token("USDC").contract.send("transfer", person("demo/exchange"), 3_000 * 10**6, sender=owner)
    town.hyper.core.users[owner] = cross("12000", ETH=entered("-10", "3000", 10))
    town.gmx.open(person("demo/other side"), "BTC", "USDC", long=True, size="38000", margin="30000")
    town.gmx.open(owner, "BTC", "USDC", long=False, size="36000", margin="12000")


def _market(market: AaveMarket | CometMarket | GmxMarket | HyperMarket, name: str) -> Market:
    settings: dict[str, str] = getattr(market, "settings", {})
    params = (*market.roots.items(), *settings.items())
    return Market(market.adapter, CHAIN, name, params, registry.get(market.adapter).venue, "local chain")


def _read(town: Town, address: str, places: tuple[Market, ...]) -> Recording:
    factors = {erc20_id(CHAIN.id, parse_address(token.address)): factor_of(symbol) for symbol, token in town.assets.tokens.items()}
    listed = {**town.hyper.listed, **town.gmx.listed}
    factors |= {AssetId(f"eip155:{CHAIN.id}/{name}"): factor_of(symbol) for name, symbol in listed.items()}
    owner = Owner(parse_address(address))
    with ChainSource.open(CHAIN, [town.anvil.url], deadline=Deadline(60)) as source:
        recorder = Recorder(source)
        context = Context(CHAIN, source.anchor.number, source.anchor.timestamp, factors, {}, places)
        engine.read(recorder, [Job(registry.get(place.adapter), owner, place) for place in places], context)
        return Recording("chain.json", source.anchor, context, recorder.answers, tuple(Case(owner, place, ()) for place in places))
