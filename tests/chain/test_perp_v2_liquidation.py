"""When Perpetual Protocol V2 liquidates, and what it leaves: the verdict against the real `ClearingHouse.liquidate`.

Three ways to the line. By doubles of pool and price feed inside one call, the mark is any number: to the unit (1e-18 USD). By real
trades, time and an oracle's answer, with nothing replaced: to one unit of the answer (1e-8 USD). By the maintenance ratio: to a millionth.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

import pytest
from defi_risk_adapters.perp_v2.exact import AccountExact, Position

from defi_risk.health.cascade.liquidation import liquidate
from defi_risk.health.figures import Tick
from defi_risk.health.normal import in_floats
from defi_risk.health.tick import ticks
from defi_risk.model import Account, Role
from tests.chain.perp import ENOUGH, LIQUIDATOR, Takeover, read
from tests.localchain.contract import Reverted
from tests.localchain.curie.market import CurieMarket
from tests.localchain.kits import Kit
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain
Curie = Kit[CurieMarket]
HOUR: Final = 3_600
WAD: Final = 10**18
ANSWER: Final = 10**10
"""One unit of an oracle's answer (1e-8 USD) in those of a mark."""
PENALTY: Final = 25_000
RATIO: Final = 10**6


def exact_of(account: Account) -> AccountExact:
    assert isinstance(account.exact, AccountExact)
    return account.exact


def largest(account: Account) -> Position | None:
    """The largest position that can be liquidated."""
    held = [each for each in exact_of(account).positions if each.live and each.size]
    return max(held, key=lambda each: abs(each.value(each.price)), default=None)


def judged(curie: Curie, accounts: dict[str, Account]) -> Iterator[tuple[str, Account, Position]]:
    """The accounts that have something to be liquidated."""
    for label, who in curie.who.items():
        account = accounts.get(who)
        if account is not None and account.known and (position := largest(account)) is not None:
            yield label, account, position


@pytest.fixture
def takeover(curie: Curie) -> Takeover:
    """Nine hours on, funding just written down everywhere."""
    made = Takeover.of(curie.market)
    curie.market.pass_time(9 * HOUR)
    curie.market.accrue()
    return made


# to the unit


def test_the_first_mark_that_kills_is_where_the_real_call_passes_first(curie: Curie, takeover: Takeover) -> None:
    found = read(curie.market, *curie.who.values())
    brackets, collaterals = 0, 0
    for label, account, position in judged(curie, dict(found.accounts)):
        exact = exact_of(account)
        assert not exact.liquidatable(), label
        keys = {feed.asset.id: feed.key for feed in exact.feeds()}
        for tick in ticks(exact, lambda _: 0.0, 0.0):
            key, inward = keys[tick.asset.id], 1 if tick.direction == "down" else -1
            for answer, says in ((tick.answer, ""), (tick.answer + inward, ENOUGH)):
                assert takeover.refusal(account.owner, position.key, {key: answer}, found.anchor) == says, (label, tick, answer)
            brackets += 1
            collaterals += key not in {each.key for each in exact.positions}
    assert brackets >= 35
    assert collaterals >= 5


def test_the_doubles_make_the_mark_that_they_are_told(curie: Curie, takeover: Takeover) -> None:
    anchor = read(curie.market, curie.who["plain"]).anchor
    for mark in (1, 10**18 + 1, 2_345_678_901_234_567_891_234, 10**27 + 7):
        assert takeover.mark("vETH", {curie.market.base("vETH"): mark}, anchor) == mark


def test_verdicts_agree_at_random_prices_of_everything(curie: Curie, takeover: Takeover) -> None:
    """All feeds of an account at once, most of them so that the account is close to its line."""
    random = Random(4)  # noqa: S311  # a repeatable walk through prices, nothing secret
    found = read(curie.market, *curie.who.values())
    dead = alive = 0
    for label, account, position in judged(curie, dict(found.accounts)):
        exact = exact_of(account)
        for _ in range(12):
            answers = {feed.key: max(1, int(feed.now * random.lognormvariate(0, 0.3))) for feed in exact.feeds()}
            refusal = takeover.refusal(account.owner, position.key, answers, found.anchor)
            assert refusal in ("", ENOUGH), (label, answers)
            assert exact.liquidatable(answers) is (refusal == ""), (label, answers)
            dead, alive = dead + (refusal == ""), alive + (refusal != "")
    assert dead >= 50
    assert alive >= 50


def test_the_maintenance_ratio_kills_at_the_millionth(curie: Curie, takeover: Takeover) -> None:
    market, count = curie.market, 0
    found = read(market, *curie.who.values())
    for label, account, position in judged(curie, dict(found.accounts)):
        value, notional = int(account.native["getAccountValue"]), int(account.native["getTotalAbsPositionValue"])
        ratio = value * RATIO // notional
        if ratio >= RATIO:
            continue
        for given, says in ((ratio, ENOUGH), (ratio + 1, "")):
            with curie.anvil.rollback():
                market.set_mm_ratio(given)
                anchor = read(market, account.owner)
                assert anchor.accounts[account.owner].liquidatable is (says == "")
                assert takeover.refusal(account.owner, position.key, {}, anchor.anchor) == says, label
        count += 1
    assert count >= 20


# with nothing replaced


@dataclass(frozen=True, slots=True)
class Moment:
    """A block yet to come, at a fixed time, in which the oracle of vETH gives an answer."""

    market: CurieMarket
    timestamp: int

    @contextmanager
    def answer(self, answer: int, *traders: str) -> Generator[list[bool]]:
        """The block in which the oracle answers that, and the liquidations of these traders after it in the same block; undone
        afterwards. Whether each went through.
        """
        market, house = self.market, self.market.clearing_house
        with market.anvil.rollback():
            market.anvil.rpc("evm_setNextBlockTimestamp", self.timestamp)
            calls = [market.listings["vETH"].feed.contract.transaction("set_answer", answer, gas=10**6)]
            calls += [house.transaction("liquidate", who, market.base("vETH"), sender=LIQUIDATOR, gas=10**7) for who in traders]
            receipts = market.anvil.in_one_block(calls)
            assert [int(receipt["transactionIndex"], 16) for receipt in receipts] == [*range(len(calls))]
            assert market.anvil.block().timestamp == self.timestamp
            yield [receipt["status"] == "0x1" for receipt in receipts[1:]]


def refusal(market: CurieMarket, trader: str, symbol: str) -> str:
    """Why the real liquidation would revert now; empty where it would go through."""
    try:
        market.clearing_house.call("liquidate", trader, market.base(symbol), sender=LIQUIDATOR)
    except Reverted as error:
        return error.reason
    return ""


def between_the_averages(market: CurieMarket, line: int, *, long: bool) -> tuple[Moment, int]:
    """Bring the venue to where an oracle's answer decides the mark: the pool's averages of 15 seconds and of half an hour lie on either
    side of `line` (1e18). By trades, answers and time, as in life. The answer returned is on the living side.
    """
    near = line * (1015 if long else 985) // 1000 // ANSWER
    market.move("vETH", Raw(near))
    market.trade_to("vETH", Raw(line * (97 if long else 103) // 100))
    market.anvil.pass_time(16)
    return Moment(market, market.anvil.block().timestamp + 5), near * (997 if long else 1003) // 1000


@pytest.mark.parametrize(("label", "long"), [("plain", True), ("short", False), ("max-long", True), ("withdrew-a-part", False)])
def test_by_trades_and_an_oracle_the_line_is_met_to_one_unit_of_its_answer(curie: Curie, label: str, long: bool) -> None:
    market, who = curie.market, curie.who[label]
    Takeover.of(market)
    direction, outward = ("down", -1) if long else ("up", 1)
    [line] = [tick.answer for tick in found_ticks(market, who) if tick.direction == direction]
    moment, answer = between_the_averages(market, line, long=long)
    with moment.answer(answer):
        exact, mark, base = exact_of(read(market, who).accounts[who]), market.mark("vETH"), market.base("vETH")
        [line] = [tick.answer for tick in found_ticks(market, who) if tick.direction == direction]
    steps = abs(line - mark) // ANSWER
    while not exact.liquidatable({base: mark + outward * steps * ANSWER}):
        steps += 1
    for count, dies in ((steps - 1, False), (steps, True)):
        with moment.answer(answer + outward * count, who) as [passed]:
            assert passed is dies, (label, count)
        with moment.answer(answer + outward * count):
            assert market.mark("vETH") == mark + outward * count * ANSWER
            assert read(market, who).accounts[who].liquidatable is dies


def found_ticks(market: CurieMarket, who: str) -> tuple[Tick, ...]:
    """The exact ticks of an account as it is now."""
    return ticks(exact_of(read(market, who).accounts[who]), lambda _: 0.0, 0.0)


# what a liquidation leaves


def dying(curie: Curie, label: str, *, health: float) -> Account:
    """An account at a health below 1: the maintenance ratio is what brings it there, prices stay."""
    market, who = curie.market, curie.who[label]
    Takeover.of(market)
    market.accrue()
    account = read(market, who).accounts[who]
    notional = int(account.native["getTotalAbsPositionValue"])
    market.set_mm_ratio(int(int(account.native["getAccountValue"]) * RATIO / notional / health))
    account = read(market, who).accounts[who]
    assert account.liquidatable
    return account


@pytest.mark.parametrize("health", [0.97, 0.51, 0.49])
@pytest.mark.parametrize("label", ["plain", "short", "two-alike", "one-large-one-small", "several-markets", "ether-as-margin", "small"])
def test_a_real_liquidation_takes_what_was_said(curie: Curie, label: str, health: float) -> None:
    """The size to the last digit; the account value falls by the penalty, and by less than a millionth for funding of a second."""
    market, who = curie.market, curie.who[label]
    before = dying(curie, label, health=health)
    position = largest(before)
    assert position is not None
    taken = int(before.native[f"getLiquidatablePositionSize({position.key})"])
    symbol = position.asset.symbol
    market.liquidate(LIQUIDATOR, who, symbol)
    after = read(market, who).accounts[who]
    assert market.size(who, symbol) == position.size - taken
    assert after.self_check is not None
    assert after.self_check.match
    closed = abs(taken) * position.price // WAD
    lost = int(before.native["getAccountValue"]) - int(after.native["getAccountValue"])
    assert abs(lost - closed * PENALTY // RATIO) < closed // 10**6 + 2 * 10**12
    left = int(after.native["getTotalAbsPositionValue"])
    notional = int(before.native["getTotalAbsPositionValue"])
    whole = health < 0.5 or abs(position.value(position.price)) <= 100 * WAD
    others = notional - abs(position.value(position.price))
    assert abs(left - (others if whole else max(notional // 2, others))) < notional // 10**6


@pytest.mark.parametrize(("label", "health"), [("plain", 0.97), ("short", 0.7), ("max-long", 0.51), ("plain", 0.45), ("short", 0.3)])
def test_a_real_liquidation_leaves_what_the_cascade_predicts(curie: Curie, label: str, health: float) -> None:
    """C, R and equity of the account behind one step of the rule, against the account as it is read afterwards."""
    market, who = curie.market, curie.who[label]
    before = dying(curie, label, health=health)
    predicted = liquidate(before, in_floats(before, {}), lambda _: 1.0).after
    position = largest(before)
    assert position is not None
    market.liquidate(LIQUIDATOR, who, position.asset.symbol)
    after = read(market, who).accounts[who]
    found = in_floats(after, {})
    assert predicted.weighted() == pytest.approx(found.weighted(), rel=1e-5)
    assert predicted.requirement() == pytest.approx(found.requirement(), rel=1e-5, abs=1e-9)
    assert predicted.equity == pytest.approx(found.equity, rel=1e-5)


def test_a_loss_beyond_the_margin_is_not_the_traders(curie: Curie) -> None:
    """After a fall: the position is taken whole, and what is missing is the insurance fund's."""
    market, who = curie.market, curie.who["deep-under-water-after-drop"]
    Takeover.of(market)
    market.drop_prices()
    account = read(market, who).accounts[who]
    assert int(account.native["getAccountValue"]) < 0
    assert refusal(market, who, "vLINK") == ""
    market.liquidate(LIQUIDATOR, who, "vLINK")
    after = read(market, who).accounts[who]
    assert after.native["getAccountValue"] == 0
    assert [leg.role for leg in after.legs] == [Role.MARGIN]


def test_open_liquidity_must_be_cancelled_before_a_liquidation(curie: Curie) -> None:
    """Why an account with open liquidity is not judged: the venue does not either."""
    market, who = curie.market, curie.who["maker-and-taker"]
    Takeover.of(market)
    market.set_mm_ratio(900_000)
    market.set_price("vLINK", "16.5")
    assert refusal(market, who, "vLINK") == "CH_CLWTISO"
