"""The built-in adapters against the kit, on recordings of real contracts. `python -m tests.localchain replays` makes them anew."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from defi_risk_adapters.aave_v3 import AaveV3
from defi_risk_adapters.compound_v2 import CompoundV2
from defi_risk_adapters.compound_v3 import CompoundV3
from defi_risk_adapters.gains import Gains
from defi_risk_adapters.gmx_v2 import GmxV2
from defi_risk_adapters.hyperliquid import Hyperliquid
from defi_risk_adapters.perp_v2 import PerpV2
from defi_risk_adapters.synthetix_perps_v2 import SynthetixPerpsV2
from defi_risk_adapters.wallet import Wallet

from defi_risk import registry
from defi_risk.spi import Adapter
from defi_risk.testing import AdapterConformance


class TestAaveV3(AdapterConformance):
    adapter: ClassVar[Adapter] = AaveV3()
    replays = "aave_v3"
    tolerance = 2e-4  # up to 3.4 the average liquidation threshold is floored to a basis point
    unknown_modes = ({"POOL_REVISION": 99}, {"BASE_CURRENCY": "0x" + "11" * 20})


class TestCompoundV3(AdapterConformance):
    adapter: ClassVar[Adapter] = CompoundV3()
    replays = "compound_v3"


class TestCompoundV2(AdapterConformance):
    adapter: ClassVar[Adapter] = CompoundV2()
    replays = "compound_v2"


class TestGains(AdapterConformance):
    adapter: ClassVar[Adapter] = Gains()
    replays = "gains"
    unknown_modes = ({"getCurrentContractsVersion": 3},)


class TestGmxV2(AdapterConformance):
    adapter: ClassVar[Adapter] = GmxV2()
    replays = "gmx_v2"
    rounding_usd = 1e-6  # fees become units of the collateral token, of USDC at most
    vectors = 80  # of each of twenty-four accounts


@pytest.mark.slow
class TestGmxV2Impact(AdapterConformance):
    """Where price impact moves with the price: the venue's cap on it, over the least that must remain, bounds what the form can miss."""

    adapter: ClassVar[Adapter] = GmxV2()
    replays = "gmx_v2_impact"
    tolerance = 0.003 / 0.005


class TestHyperliquid(AdapterConformance):
    adapter: ClassVar[Adapter] = Hyperliquid()
    replays = "hyperliquid"
    unknown_modes = ({"info:userAbstraction": "dexAbstraction"}, {"info:userAbstraction": "somethingNew"})
    vectors = 60  # of each of some twenty accounts


class TestPerpV2(AdapterConformance):
    adapter: ClassVar[Adapter] = PerpV2()
    replays = "perp_v2"
    rounding_usd = 1e-6  # account values are floored to the settlement token's six decimals
    unknown_modes = ({"isOpen": False, "isPaused": False, "isClosed": False}, {"getOpenOrderIds": (b"\x01" * 32,)})


class TestSynthetixPerpsV2(AdapterConformance):
    adapter: ClassVar[Adapter] = SynthetixPerpsV2()
    replays = "synthetix_perps_v2"
    vectors = 80  # of each of thirty accounts


class TestWallet(AdapterConformance):
    adapter: ClassVar[Adapter] = Wallet()
    replays = "wallet"


@pytest.mark.parametrize(
    ("kit", "least"),
    [
        (TestAaveV3, 40),
        (TestCompoundV3, 40),
        (TestCompoundV2, 25),
        (TestGains, 25),
        (TestGmxV2, 20),
        (TestHyperliquid, 20),
        (TestPerpV2, 30),
        (TestSynthetixPerpsV2, 25),
        (TestWallet, 3),
    ],
)
def test_there_are_enough_recorded_accounts(kit: Any, least: int) -> None:
    found = [item for recording in kit().recordings for case in recording.cases for item in case.found if "legs" in item]
    assert len(found) >= least


def test_every_built_in_adapter_is_held_to_the_kit() -> None:
    kits = (TestAaveV3, TestCompoundV3, TestCompoundV2, TestGains, TestGmxV2, TestHyperliquid, TestPerpV2, TestSynthetixPerpsV2, TestWallet)
    ours = {entry.name for entry in registry.entries() if entry.target.startswith("defi_risk_adapters")}
    # Spark is Aave V3 under another name
    assert {kit.adapter.name for kit in kits} == ours - {"spark"}
    assert type(registry.get("spark")).read is AaveV3.read
