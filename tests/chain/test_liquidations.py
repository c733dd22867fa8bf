"""On the dead side of the tick a liquidation is really mined, on the safe side none is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain.scanning import book_text, by_owner, scan
from tests.localchain.comet.market import CometMarket
from tests.localchain.contract import Reverted
from tests.localchain.kits import Kit
from tests.localchain.people import person
from tests.localchain.tokens import Raw
from tests.localchain.venus.market import Refused, VenusMarket

pytestmark = pytest.mark.chain
BORROWER: Final = "plain"
LIQUIDATOR: Final = person("hunter")


def liquidate(market: Any, borrower: str, collateral: str) -> None:
    """A liquidation as a transaction: some USDC repaid for the collateral, or the account absorbed."""
    if isinstance(market, CometMarket):
        market.absorb(LIQUIDATOR, borrower)
    else:
        market.liquidate(LIQUIDATOR, borrower, "USDC", collateral, 500)


def set_answer(market: Any, symbol: str, answer: int) -> None:
    """Let the market's oracle give this answer for a token."""
    if isinstance(market, VenusMarket):
        market.oracle.send("set_price", market.reserves[symbol].market.address, answer)
    else:
        market.set_price(symbol, Raw(answer))


def test_a_liquidation_is_mined_past_the_tick_only(populated: Kit[Any], tmp_path: Path) -> None:
    market, borrower = populated.market, populated.who[BORROWER]
    market.accrue()
    account = by_owner(scan(book_text(market.anvil.url, market), [borrower], tmp_path, code=None), market)[borrower]
    held = {leg.symbol for leg in account.legs if leg.role == "collateral"}
    [tick] = [tick for tick in account.ticks if tick.symbol in held and tick.direction == "down"]
    answer = int(tick.answer)
    # the interest of the few seconds until the transactions is worth less than a thousandth of the price
    set_answer(market, tick.symbol, answer + answer // 1000)
    with pytest.raises((Reverted, Refused)):
        liquidate(market, borrower, tick.symbol)
    set_answer(market, tick.symbol, answer - answer // 1000)
    liquidate(market, borrower, tick.symbol)
    after = by_owner(scan(book_text(market.anvil.url, market), [borrower], tmp_path, code=None), market)
    assert borrower not in after or after[borrower].debt_usd < account.debt_usd
