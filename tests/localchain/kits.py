"""Populated markets, each on a node of its own: what the chain tests start from."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.population import populate as populate_aave
from tests.localchain.aave.v30 import deploy_aave30
from tests.localchain.aave.v32 import deploy_aave32
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import CHAIN_ID, Anvil
from tests.localchain.comet.deployment import deploy_comet_usdc, deploy_comet_weth
from tests.localchain.comet.market import CometMarket
from tests.localchain.comet.population import populate as populate_comet
from tests.localchain.curie.deployment import deploy_curie
from tests.localchain.curie.market import CurieMarket
from tests.localchain.curie.population import populate as populate_curie
from tests.localchain.gains.deployment import deploy_gains
from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.population import populate as populate_gains
from tests.localchain.gains.service import served
from tests.localchain.gmx.deployment import deploy_gmx, deploy_gmx_tokens
from tests.localchain.gmx.market import GmxMarket
from tests.localchain.gmx.population import populate as populate_gmx
from tests.localchain.hyper.market import HyperMarket
from tests.localchain.hyper.market import running as running_hyper
from tests.localchain.hyper.population import populate as populate_hyper
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import Case
from tests.localchain.states import AnyMarket
from tests.localchain.synthetix.deployment import deploy_synthetix
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.synthetix.population import populate as populate_synthetix
from tests.localchain.venus.deployment import deploy_venus
from tests.localchain.venus.market import VenusMarket
from tests.localchain.venus.population import populate as populate_venus

M = TypeVar("M", bound=AnyMarket)


@dataclass(frozen=True, slots=True)
class Kit(Generic[M]):
    """A market, its users, and by label who is who."""

    market: M
    cases: tuple[Case, ...]

    @property
    def anvil(self) -> Anvil:
        """The node."""
        return self.market.anvil

    @property
    def who(self) -> Mapping[str, str]:
        """Addresses by label."""
        return {case.label: case.address for case in self.cases}


@contextmanager
def open_kit(deploy: Callable[[Anvil], M], populate: Callable[[M], list[Case]]) -> Generator[Kit[M]]:
    """Start a node with Multicall3 and one populated market; end it afterwards."""
    with Anvil() as anvil:
        put_multicall3(anvil)
        market = deploy(anvil)
        yield Kit(market, tuple(populate(market)))


def aave30() -> AbstractContextManager[Kit[AaveMarket]]:
    """Aave 3.0.2."""
    return open_kit(deploy_aave30, populate_aave)


def aave32() -> AbstractContextManager[Kit[AaveMarket]]:
    """Aave 3.2."""
    return open_kit(deploy_aave32, populate_aave)


def aave36() -> AbstractContextManager[Kit[AaveMarket]]:
    """Aave 3.6."""
    return open_kit(deploy_aave36, populate_aave)


def venus() -> AbstractContextManager[Kit[VenusMarket]]:
    """Venus 3.1.0, Compound V2 style."""
    return open_kit(deploy_venus, populate_venus)


def comet_usdc() -> AbstractContextManager[Kit[CometMarket]]:
    """The Compound III double that lends USDC."""
    return open_kit(deploy_comet_usdc, populate_comet)


def comet_weth() -> AbstractContextManager[Kit[CometMarket]]:
    """The Compound III double that lends WETH."""
    return open_kit(deploy_comet_weth, populate_comet)


def synthetix() -> AbstractContextManager[Kit[SynthetixMarket]]:
    """Synthetix PerpsV2."""
    return open_kit(deploy_synthetix, populate_synthetix)


def curie() -> AbstractContextManager[Kit[CurieMarket]]:
    """Perpetual Protocol V2 (curie 2.8.4)."""
    return open_kit(deploy_curie, populate_curie)


def gains() -> AbstractContextManager[Kit[GainsMarket]]:
    """The gTrade double, priced by feeds."""
    return open_kit(deploy_gains, populate_gains)


@contextmanager
def gains_served() -> Generator[Kit[GainsMarket]]:
    """The gTrade double, priced by a service."""
    with gains() as kit, served(kit.market) as (market, _):
        yield Kit(market, kit.cases)


def gmx() -> AbstractContextManager[Kit[GmxMarket]]:
    """The GMX V2 double that weighs longs against shorts in USD."""
    return open_kit(deploy_gmx, populate_gmx)


def gmx_tokens() -> AbstractContextManager[Kit[GmxMarket]]:
    """The GMX V2 double that weighs them in tokens."""
    return open_kit(deploy_gmx_tokens, populate_gmx)


@contextmanager
def hyper(chain_id: int = CHAIN_ID) -> Generator[Kit[HyperMarket]]:
    """The double of HyperCore."""
    with Anvil(chain_id=chain_id) as anvil, running_hyper(anvil) as market:
        put_multicall3(anvil)
        yield Kit(market, tuple(populate_hyper(market)))
