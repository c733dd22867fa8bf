"""Our numbers are computed, not copied: a view that lies by one unit is found out, and our number stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from eth_utils.crypto import keccak

from tests.chain.proxy import Change, negated, plus_one, tampering
from tests.chain.scanning import book_text, by_owner, scan
from tests.localchain.aave.market import AaveMarket
from tests.localchain.comet.market import CometMarket
from tests.localchain.kits import Kit
from tests.localchain.states import AnyMarket

pytestmark = pytest.mark.chain
SOME: Final = 6
Lie = tuple[str, str, Change]
AAVE: Final[list[Lie]] = [
    ("getUserAccountData(address)", name, plus_one(word))
    for word, name in enumerate(
        ("totalCollateralBase", "totalDebtBase", "availableBorrowsBase", "currentLiquidationThreshold", "ltv", "healthFactor")
    )
]
COMET: Final[list[Lie]] = [
    ("borrowBalanceOf(address)", "borrowBalanceOf", plus_one(0)),
    ("isLiquidatable(address)", "isLiquidatable", negated),
    ("isBorrowCollateralized(address)", "isBorrowCollateralized", negated),
]
VENUS: Final[list[Lie]] = [("getAccountLiquidity(address)", "liquidity", plus_one(1))]


def lies(market: AnyMarket) -> list[Lie]:
    if isinstance(market, AaveMarket):
        return AAVE
    return COMET if isinstance(market, CometMarket) else VENUS


def test_a_view_that_lies_by_one_unit_is_found_out(populated: Kit[Any], tmp_path: Path) -> None:
    market = populated.market
    # healthy accounts with debt and finite numbers: one unit more is a different, possible answer for each of them
    honest = by_owner(scan(book_text(market.anvil.url, market), [case.address for case in populated.cases], tmp_path, code=None), market)
    chosen = [owner for owner, account in honest.items() if account.liquidatable is False and account.debt_usd][:SOME]
    assert len(chosen) == SOME
    for signature, name, change in lies(market):
        with tampering(market.anvil, keccak(text=signature)[:4], change) as url:
            snapshot = scan(book_text(url, market), chosen, tmp_path, block=market.anvil.block().number, code=None)
        accounts = by_owner(snapshot, market)
        for owner in chosen:
            ours, theirs = accounts[owner].native, accounts[owner].self_check
            assert ours == honest[owner].native, (owner, name)
            assert theirs.match is False, (owner, name)
            assert theirs.protocol[name] != ours[name]
        raised = [flag for flag in snapshot.flags if flag.code == "SELF_CHECK_FAILED"]
        assert {account for flag in raised for account in flag.accounts} == {accounts[owner].id for owner in chosen}
        assert {flag.severity for flag in raised} == {"critical"}
