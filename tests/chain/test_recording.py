"""The recorder on real contracts: what it records replays without a node, and the adapter that was recorded conforms to the kit."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

import pytest
from click.testing import CliRunner

from defi_risk import registry
from defi_risk.replay import load
from defi_risk.spi import Adapter
from defi_risk.testing import AdapterConformance
from defi_risk.testing.__main__ import main
from tests.localchain.kits import Kit
from tests.localchain.states import AnyMarket

pytestmark = pytest.mark.chain
NOBODY: Final = "0x000000000000000000000000000000000000dEaD"
AVERAGED: Final = ("aave30", "aave32")
DAYS: Final = 40 * 86_400


def recorded(kit: Kit[AnyMarket], adapter: str, folder: Path, *wallets: str) -> Path:
    """A recording that the command line made of a local market."""
    market = kit.market
    roots = [f"{key}={address}" for key, address in market.roots.items()]
    described = ",".join(["chain=local", *(roots if adapter == market.adapter else [])])
    beside = [] if adapter == market.adapter else ["--with", ",".join([f"adapter={market.adapter},chain=local", *roots])]
    file = folder / f"{adapter}-{market.name}.json"
    wanted = [word for wallet in (*wallets, NOBODY) for word in ("--wallet", wallet)]
    options = ["--rpc", kit.anvil.url, "--block", "latest", "--chain-id", "31337", "--market", described, *beside, "-o", str(file)]
    result = CliRunner().invoke(main, ["record", adapter, *wanted, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return file


def conformance(name: str, folder: Path, *, averaged: bool) -> AdapterConformance:
    class Recorded(AdapterConformance):
        adapter: ClassVar[Adapter] = registry.get(name)
        replays: ClassVar[str | Path] = folder
        tolerance: ClassVar[float] = 2e-4 if averaged else 1e-9
        seconds: ClassVar[float] = 0.5  # how fast it is is the business of other tests, on machines that do nothing else

    return Recorded()


def test_recorded_accounts_conform(populated: Kit[AnyMarket], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    market = populated.market
    market.pass_time(DAYS)
    file = recorded(populated, market.adapter, tmp_path, *populated.who.values())
    assert any(case.found for case in load(file).cases)
    averaged = request.node.callspec.params.get("populated") in AVERAGED
    kit = conformance(market.adapter, tmp_path, averaged=averaged)
    for name in dir(kit):
        if name.startswith("test_"):
            getattr(kit, name)()


def test_a_wallet_beside_a_market_conforms(populated: Kit[AnyMarket], tmp_path: Path) -> None:
    file = recorded(populated, "wallet", tmp_path, *populated.who.values())
    held = [item for case in load(file).cases for item in case.found if "legs" in item]
    assert held, "somebody has something idle"
    kit = conformance("wallet", tmp_path, averaged=False)
    for name in dir(kit):
        if name.startswith("test_"):
            getattr(kit, name)()


def test_what_cannot_be_recorded_is_one_line(comet_usdc: Kit[AnyMarket], tmp_path: Path) -> None:
    url = comet_usdc.anvil.url
    options = ["--rpc", url, "--wallet", NOBODY, "--chain-id", "31337", "-o", str(tmp_path / "x.json")]
    for adapter, market, fault in (
        ("compound_v4", "chain=local,comet=0x", "unknown adapter 'compound_v4'"),
        ("compound_v3", "chain=local", "needs comet="),
        ("compound_v3", "chain=local,comet", "is not KEY=VALUE"),
        ("compound_v3", "name=aave-v3-ethereum", "is a market of aave_v3"),
        ("compound_v3", f"chain=local,comet={NOBODY}", "no data"),
    ):
        result = CliRunner().invoke(main, ["record", adapter, *options, "--market", market], catch_exceptions=False)
        assert result.exit_code != 0
        assert fault in result.output
        assert len(result.output.strip().splitlines()) == 1
