"""The joint truth with another venue: a loan of real Aave 3.6 posted as margin of a short at real Perpetual Protocol V2.

One feed prices ETH for Aave and is the index of the perp, whose mark is a time average: inside one call doubles make it any number, so
that the ends of the corridor are bracketed to one unit of each venue's own price; mined, the market is moved to a thousandth on either
side of the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk.ids import ChainId
from defi_risk.model import Anchor, Chain
from defi_risk.snapshot import Snapshot
from tests.chain.oracles import AaveJudge
from tests.chain.perp import ENOUGH, LIQUIDATOR, Takeover
from tests.chain.scanning import ETHER, book_text, scan
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.contract import Reverted
from tests.localchain.curie.deployment import deploy_curie
from tests.localchain.curie.market import CurieMarket
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain
WHO: Final = person("joint/perp-v2")
PERP: Final = "vETH"
STEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Hedge:
    """Both venues, and a wallet whose loan against ten ETH is the margin of a short of ten ETH."""

    aave: AaveMarket
    perps: CurieMarket
    takeover: Takeover

    def dies_at(self, answer: int, mark: int) -> set[str]:
        """Who would liquidate now if Aave's feed answered this and the mark were that, asked of their real functions."""
        block = self.aave.anvil.block()
        judge, token = AaveJudge(self.aave), self.aave.reserves["WETH"].token.address
        anchor = Anchor(Chain(ChainId(31337), "local"), block.number, block.hash, block.timestamp)
        base = self.perps.base(PERP)
        refusal = self.takeover.refusal(WHO, base, {base: mark}, anchor)
        assert refusal in ("", ENOUGH)
        found = {self.aave.name} if any(judge.passes(WHO, judge.answers(token, answer), block)) else set[str]()
        return found | (set() if refusal else {self.perps.name})


@pytest.fixture(scope="module")
def hedge() -> Iterator[Hedge]:
    with Anvil() as anvil:
        put_multicall3(anvil)
        assets = Assets(anvil)
        perps = deploy_curie(anvil, assets)
        aave = deploy_aave36(anvil, assets)
        aave.supply(person("joint/lender"), "USDC", 5_000_000)
        AaveJudge(aave).prepare()
        takeover = Takeover.of(perps)
        loan = Raw(4 * aave.price("WETH") * 10**6 // aave.price("USDC"))
        aave.supply(WHO, "WETH", 10)
        aave.borrow(WHO, "USDC", loan)
        perps.settlement.approve(WHO, perps.vault.address)
        perps.vault.send("deposit", perps.settlement.address, loan.units, sender=WHO)
        perps.open(WHO, PERP, -10)
        perps.pass_time(3_600)
        perps.accrue()
        yield Hedge(aave, perps, takeover)


def scanned(hedge: Hedge, folder: Path) -> Snapshot:
    book = book_text(hedge.aave.anvil.url, hedge.aave, hedge.perps).removesuffix(ETHER)
    return scan(book, [WHO], folder, code=None)


def of(snapshot: Snapshot, venue: AaveMarket | CurieMarket) -> Any:
    return next(each for each in snapshot.accounts if next(iter(venue.roots.values())) in each.id)


def tick(account: Any, direction: str, symbol: str) -> int:
    [found] = [int(tick.answer) for tick in account.ticks if (tick.direction, tick.symbol) == (direction, symbol)]
    return found


def test_the_corridor_is_where_the_venues_say(hedge: Hedge, tmp_path: Path) -> None:
    with hedge.aave.anvil.rollback():
        snapshot = scanned(hedge, tmp_path)
        book, loan, perp = snapshot.book_health, of(snapshot, hedge.aave), of(snapshot, hedge.perps)
        assert [one.self_check.match for one in (loan, perp)] == [True, True]
        assert (book.first_account, book.first_side) == (perp.id, "up")
        answer, mark = hedge.aave.price("WETH"), hedge.perps.mark(PERP)
        down, up = book.corridor
        assert down is not None
        assert up is not None
        for step in range(STEPS):
            inside = [1 + (end * step / STEPS) for end in (down, up)]
            assert [hedge.dies_at(round(answer * ratio), round(mark * ratio)) for ratio in inside] == [set(), set()]
        low, high = tick(loan, "down", "WETH"), tick(perp, "up", perp_symbol(perp))
        assert (low / answer - 1, high / mark - 1) == pytest.approx((down, up), rel=1e-7)
        assert hedge.dies_at(low + 1, mark * low // answer) == set()
        assert hedge.dies_at(low, mark * low // answer) == {hedge.aave.name}
        assert hedge.dies_at(answer * high // mark, high - 1) == set()
        assert hedge.dies_at(answer * high // mark, high) == {hedge.perps.name}


def perp_symbol(account: Any) -> str:
    [symbol] = [leg.symbol for leg in account.legs if leg.role == "position"]
    return str(symbol)


def test_the_short_is_liquidated_past_its_line_only_and_the_loan_is_not(hedge: Hedge, tmp_path: Path) -> None:
    perps = hedge.perps
    with hedge.aave.anvil.rollback():
        perp = of(scanned(hedge, tmp_path), perps)
        line = tick(perp, "up", perp_symbol(perp)) // 10**10
        perps.move(PERP, Raw(line * 999 // 1000))
        perps.accrue()
        with pytest.raises(Reverted, match=ENOUGH):
            perps.liquidate(LIQUIDATOR, WHO, PERP)
        perps.move(PERP, Raw(line * 1001 // 1000))
        perps.accrue()
        before = scanned(hedge, tmp_path)
        assert of(before, perps).liquidatable
        assert not of(before, hedge.aave).liquidatable
        perps.liquidate(LIQUIDATOR, WHO, PERP)
        after = scanned(hedge, tmp_path)
        event = next(event for event in before.cascade["up"] if event.move == 0)
        assert event.account == perp.id
        assert after.book_health.net_equity_usd == pytest.approx(event.equity_after_usd, rel=1e-6)
        exposure = {each.factor: each.net_usd for each in after.exposures}["ETH"]
        assert exposure == pytest.approx(event.exposure_after["ETH"], rel=1e-6, abs=0.1)
