"""Truth test 1: our native numbers equal the protocols' view functions, digit for digit, read through the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk.model import as_text
from tests.chain.scanning import book_text, by_owner, scan
from tests.localchain.aave.market import AaveMarket
from tests.localchain.comet.market import CometMarket
from tests.localchain.kits import Kit
from tests.localchain.states import STATES, AnyMarket
from tests.localchain.venus.market import VenusMarket

pytestmark = pytest.mark.chain
AAVE_FIELDS: Final = ("totalCollateralBase", "totalDebtBase", "availableBorrowsBase", "currentLiquidationThreshold", "ltv", "healthFactor")
COMET_VIEWS: Final = ("borrowBalanceOf", "balanceOf", "isLiquidatable", "isBorrowCollateralized")
FEWEST: Final = 25


def views(market: AnyMarket, owner: str, block: int) -> Mapping[str, str]:
    """What the protocol itself says of an account at a block, under its own names."""
    if isinstance(market, AaveMarket):
        found = dict(zip(AAVE_FIELDS, market.account(owner, block=block), strict=True))
    elif isinstance(market, CometMarket):
        found = {name: market.comet.call(name, owner, block=block) for name in COMET_VIEWS}
    else:
        assert isinstance(market, VenusMarket)
        found = market.liquidity(owner, block=block)._asdict()
    return {name: as_text(value) for name, value in found.items()}


def nothing(market: AnyMarket) -> Mapping[str, str]:
    """What the protocol says of somebody it has never seen."""
    return views(market, "0x" + "11" * 20, market.anvil.block().number)


@pytest.mark.parametrize("state", STATES)
def test_native_numbers_are_the_protocols_own(populated: Kit[Any], state: str, tmp_path: Path) -> None:
    market, cases = populated.market, populated.cases
    STATES[state](market)
    snapshot = scan(book_text(market.anvil.url, market), [case.address for case in cases], tmp_path)
    block = snapshot.sources[0].block
    assert block is not None
    assert block == market.anvil.block().number
    accounts = by_owner(snapshot, market)
    assert len(accounts) >= FEWEST
    for case in cases:
        protocol = views(market, case.address, block)
        if case.address not in accounts:
            assert protocol == nothing(market), case.label
            continue
        account = accounts[case.address]
        assert account.status == "ok", (case.label, account.reason)
        assert account.native == protocol, case.label
        assert account.self_check.match, case.label
        assert account.self_check.protocol == protocol, case.label
    assert not [flag for flag in snapshot.flags if flag.code == "SELF_CHECK_FAILED"]


def test_every_state_is_reached(populated: Kit[Any], tmp_path: Path) -> None:
    """Healthy, liquidatable and under water accounts are all there: the comparison above was not of one kind only."""
    market = populated.market
    market.drop_prices()
    snapshot = scan(book_text(market.anvil.url, market), [case.address for case in populated.cases], tmp_path)
    accounts = by_owner(snapshot, market).values()
    dead = [account for account in accounts if account.liquidatable]
    assert len(dead) >= 2
    assert any(account.equity_usd < 0 for account in dead)
    assert sum(account.liquidatable is False for account in accounts) >= 10
