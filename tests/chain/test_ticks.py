"""Truth test 2: at the reported oracle tick the real liquidation passes, one answer to the safe side it reverts for every pair."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain.oracles import judge_of
from tests.chain.scanning import book_text, by_owner, scan
from tests.localchain.kits import Kit

pytestmark = pytest.mark.chain
FEWEST: Final = {"comet-weth": 15}  # both Comet doubles together are one protocol; elsewhere 20
UNPAYABLE: Final = {("venus", "dust-debt")}
"""A debt of one unit: half of it, the most that may be repaid, is nothing, so that no liquidation of it can pass at any price."""


def test_the_tick_is_the_first_answer_that_liquidates(populated: Kit[Any], tmp_path: Path) -> None:
    market, cases = populated.market, populated.cases
    judge = judge_of(market)
    proved: Counter[str] = Counter()
    judge.prepare()
    market.accrue()
    anchor = market.anvil.block()
    snapshot = scan(book_text(market.anvil.url, market), [case.address for case in cases], tmp_path, block=anchor.number, code=None)
    accounts = by_owner(snapshot, market)
    for case in cases:
        account = accounts.get(case.address)
        if account is None or account.liquidatable or (market.name, case.label) in UNPAYABLE:
            continue
        for tick in account.ticks:
            token = tick.token.rpartition(":")[2] if "erc20:" in tick.token else tick.token.rpartition("/")[2]
            answer, what = int(tick.answer), (case.label, tick.symbol, tick.direction, tick.answer)
            outward = -1 if tick.direction == "down" else 1
            assert (answer - int(tick.now)) * outward > 0, what
            assert not any(judge.passes(case.address, judge.answers(token, answer - outward), anchor)), what
            assert any(judge.passes(case.address, judge.answers(token, answer), anchor)), what
            proved[case.address] += 1
    assert len(proved) >= FEWEST.get(market.name, 20), proved
