"""Populated markets on local nodes: started once a session, and for every test as if it were the first.

`aave30`, `aave32`, `aave36`, `venus`, `comet_usdc`, `comet_weth` are a `Kit` each; `aave` and `comet` run a test once a version or
market, `populated` once a market of any kind. `devnet` holds several markets and wallets that are in more than one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.localchain import devnet as networks
from tests.localchain import kits
from tests.localchain.anvil import Anvil
from tests.localchain.kits import Kit
from tests.localchain.states import AnyMarket

Populated = Kit[AnyMarket]
AAVE = ("aave30", "aave32", "aave36")
COMET = ("comet_usdc", "comet_weth")
GMX = ("gmx_usd", "gmx_tokens")


def shared(start: Callable[[], AbstractContextManager[Kit[Any]]]) -> Any:
    """A kit for the whole session."""

    @pytest.fixture(scope="session")
    def running() -> Iterator[Kit[Any]]:
        with start() as kit:
            yield kit

    return running


def fresh(session: str) -> Any:
    """A kit of the session, put back after the test."""

    @pytest.fixture
    def as_new(request: pytest.FixtureRequest) -> Iterator[Kit[Any]]:
        kit: Kit[Any] = request.getfixturevalue(session)
        with kit.anvil.rollback():
            yield kit

    return as_new


running_aave30, aave30 = shared(kits.aave30), fresh("running_aave30")
running_aave32, aave32 = shared(kits.aave32), fresh("running_aave32")
running_aave36, aave36 = shared(kits.aave36), fresh("running_aave36")
running_venus, venus = shared(kits.venus), fresh("running_venus")
running_comet_usdc, comet_usdc = shared(kits.comet_usdc), fresh("running_comet_usdc")
running_comet_weth, comet_weth = shared(kits.comet_weth), fresh("running_comet_weth")
running_curie, curie = shared(kits.curie), fresh("running_curie")
running_gains, gains = shared(kits.gains), fresh("running_gains")
running_synthetix, synthetix = shared(kits.synthetix), fresh("running_synthetix")
running_gmx_usd, gmx_usd = shared(kits.gmx), fresh("running_gmx_usd")
running_gmx_tokens, gmx_tokens = shared(kits.gmx_tokens), fresh("running_gmx_tokens")


@pytest.fixture(params=AAVE)
def aave(request: pytest.FixtureRequest) -> Kit[Any]:
    """Each version of Aave in turn."""
    kit: Kit[Any] = request.getfixturevalue(request.param)
    return kit


@pytest.fixture(params=COMET)
def comet(request: pytest.FixtureRequest) -> Kit[Any]:
    """Each Compound III double in turn."""
    kit: Kit[Any] = request.getfixturevalue(request.param)
    return kit


@pytest.fixture(params=GMX)
def gmx(request: pytest.FixtureRequest) -> Kit[Any]:
    """The GMX double as it weighs balance in USD, then in tokens."""
    kit: Kit[Any] = request.getfixturevalue(request.param)
    return kit


@pytest.fixture(params=(*AAVE, "venus", *COMET))
def populated(request: pytest.FixtureRequest) -> Populated:
    """Each market in turn."""
    found: Populated = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def running_devnet() -> Iterator[networks.Devnet]:
    with Anvil() as anvil:
        yield networks.build(anvil)


@pytest.fixture
def devnet(running_devnet: networks.Devnet) -> Iterator[networks.Devnet]:
    """Several markets on one node, and wallets that are in more than one of them."""
    with running_devnet.anvil.rollback():
        yield running_devnet
