"""Truth test 3: scans of forks, and of the past."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from defi_risk.snapshot import Snapshot
from tests.chain.scanning import book_text, by_owner, run, scan
from tests.localchain.aave.market import AaveMarket
from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.kits import Kit

pytestmark = pytest.mark.chain


def facts(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot without what depends on when and where it was taken."""
    found: dict[str, Any] = json.loads(snapshot.to_json())
    del found["taken_at"], found["sources"]
    return found


def test_forks_and_the_past(aave: Kit[AaveMarket], tmp_path: Path) -> None:
    market = aave.market
    wallets = [case.address for case in aave.cases]
    market.drop_prices()
    then = market.anvil.block().number
    before = scan(book_text(market.anvil.url, market), wallets, tmp_path)
    borrower = next(case.address for case in aave.cases if case.label == "liquidatable-after-drop")
    assert by_owner(before, market)[borrower].liquidatable is True
    with Anvil.fork(market.anvil.url, then) as fork:
        assert facts(scan(book_text(fork.url, market), wallets, tmp_path)) == facts(before)
        liquidate(market, fork, borrower)
        after = by_owner(scan(book_text(fork.url, market), wallets, tmp_path), market)
        assert after[borrower].debt_usd < by_owner(before, market)[borrower].debt_usd
    assert facts(scan(book_text(market.anvil.url, market), wallets, tmp_path)) == facts(before)
    market.pass_time(86_400)
    market.set_price("WETH", 1_234)
    now = scan(book_text(market.anvil.url, market), wallets, tmp_path)
    assert facts(now) != facts(before)
    assert facts(scan(book_text(market.anvil.url, market), wallets, tmp_path, block=then)) == facts(before)


def liquidate(market: AaveMarket, fork: Anvil, borrower: str) -> None:
    """A real liquidation, mined on the fork."""
    token, pool = market.reserves["USDC"].token, market.pool
    liquidator = "0x" + "77" * 20
    on = {contract: Contract(fork, contract.address, contract.abi) for contract in (token.contract, pool)}
    on[token.contract].send("mint", liquidator, 10**12)
    on[token.contract].send("approve", pool.address, 10**12, sender=liquidator)
    on[pool].send("liquidationCall", market.reserves["WETH"].token.address, token.address, borrower, 10**12, False, sender=liquidator)


def test_a_block_that_is_not_there_yet(populated: Kit[Any], tmp_path: Path) -> None:
    book = tmp_path / "book.toml"
    book.write_text(book_text(populated.market.anvil.url, populated.market))
    code, _, err = run(["scan", populated.cases[4].address, "--book", str(book), "--block", "999999999", "--format", "json"])
    assert code == 3
    assert "999999999" in err
