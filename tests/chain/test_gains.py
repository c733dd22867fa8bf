"""gTrade against the double of its diamond: figures, ticks, liquidations, and what stands in the way.

The double proves that readings, rounding and blocks are right, and nothing about the real contracts.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from defi_risk_adapters.gains.reads import DIAMOND
from eth_utils.crypto import keccak

from defi_risk import abi
from defi_risk.ids import Address
from defi_risk.model import as_text
from tests.chain.gains import DAY, STATES, GainsKit, asked, pair_of, scanned, trades
from tests.chain.keepers import bundle
from tests.chain.proxy import plus_one, tampering
from tests.chain.scanning import book_text, scan
from tests.localchain import paths
from tests.localchain.anvil import Block
from tests.localchain.contract import Reverted
from tests.localchain.gains.market import INDEX, GainsMarket, number_of
from tests.localchain.gains.parameters import ETH, FEED_TO_PRICE
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain
FEWEST: Final = 30
PAIR, LONG, COLLATERAL = 2, 4, 6
"""Places of fields in what `getTrades` returns."""


def said(market: GainsMarket, trade: Any, terms: Any, block: int) -> dict[str, str]:
    """What the diamond says of a trade at the present price, under the names of the product."""
    ask, price = asked(market, block), market.price(pair_of(market, trade))
    fees = ask("getTradePendingHoldingFeesCollateral", trade.user, trade.index, price)
    details = (
        *(trade.collateralIndex, trade.user, trade.pairIndex, trade.index, trade.openPrice, trade.long, trade.collateralAmount),
        *(trade.leverage, 0, tuple(terms), price, trade.isCounterTrade, 10**18, False),
    )
    found = {name: getattr(fees, name) for name in ("fundingFeeCollateral", "borrowingFeeCollateral", "totalFeeCollateral")}
    found["getTradeLiquidationPrice"] = ask("getTradeLiquidationPrice", details)
    verdict = ask("validateTriggerCloseOrderCallback", (trade.user, trade.index), 6, price, price, price, price)
    found["validateTriggerCloseOrderCallback"] = verdict.v.cancelReason == 0
    return {name: as_text(value) for name, value in found.items()}


@pytest.mark.parametrize("state", STATES)
def test_native_numbers_are_the_venues_own(gains: GainsKit, state: str, tmp_path: Path) -> None:
    STATES[state](gains.market)
    snapshot = scanned(gains, tmp_path)
    block = snapshot.sources[0].block
    assert block is not None
    accounts, seen = trades(snapshot), Counter[str]()
    for case in gains.cases:
        ask = asked(gains.market, block)
        held = zip(ask("getTrades", case.address), ask("getTradesLiquidationParams", case.address), strict=True)
        for trade, terms in held:
            account = accounts.pop((case.address, trade.index))
            if trade.tradeType:
                assert (account.mode, account.status, account.liquidatable) == ("order", "ok", False), case.label
                seen["order"] += 1
            elif trade.collateralIndex == number_of("WETH"):
                assert account.status == "unknown", case.label
                assert "it is liquidated at" in account.reason
                seen["unknown"] += 1
            else:
                expected = said(gains.market, trade, terms, block)
                assert account.status == "ok", (case.label, account.reason)
                assert account.native == expected, case.label
                assert account.self_check.match, case.label
                assert account.self_check.protocol == expected, case.label
                assert as_text(account.liquidatable) == expected["validateTriggerCloseOrderCallback"], case.label
                seen["ok"] += 1
    assert not accounts
    assert seen["ok"] >= FEWEST, seen
    assert seen["order"] == seen["unknown"] == 2, seen
    assert not [flag for flag in snapshot.flags if flag.code == "SELF_CHECK_FAILED"]


def test_every_state_is_reached(gains: GainsKit, tmp_path: Path) -> None:
    """Living, dead and drowned accounts, long and short, paying and paid: the comparison above was not of one kind only."""
    gains.market.pass_time(30 * DAY)
    gains.market.drop_prices()
    accounts = [one for one in trades(scanned(gains, tmp_path)).values() if one.native]
    dead = [one for one in accounts if one.liquidatable]
    funding = [int(one.native["fundingFeeCollateral"]) for one in accounts]
    sizes = {float(leg.size) > 0 for one in dead for leg in one.legs if leg.role == "position"}
    assert len(dead) >= 8
    assert sizes == {True, False}
    assert any(one.equity_usd < 0 for one in dead)
    assert sum(one.liquidatable is False for one in accounts) >= 12
    assert min(funding) < -(10**6)
    assert max(funding) > 10**6
    assert funding.count(0) >= 4
    assert sum(one.native["getTradeLiquidationPrice"] == "0" for one in accounts) >= 2


def liquidates(market: GainsMarket, who: str, index: int, price: int, at: Block) -> bool:
    """Whether the diamond lets anybody liquidate at that price of the pair, at that block and its time."""
    [passed] = bundle(market.anvil, [(market.diamond, market.diamond.calldata("liquidate", who, index, price))], {}, at)
    return passed


@pytest.mark.parametrize("state", ["fresh", "ten_days", "forty_days_written", "year_then_moved", "turned_round"])
def test_the_tick_is_the_first_price_that_liquidates(gains: GainsKit, state: str, tmp_path: Path) -> None:
    """At the tick the diamond liquidates, one unit of its price (1e-10 USD) to the safe side it reverts."""
    market = gains.market
    STATES[state](market)
    anchor = market.anvil.block()
    proved: Counter[str] = Counter()
    for (who, index), account in trades(scanned(gains, tmp_path, block=anchor.number)).items():
        if not account.native:
            continue
        [trade] = [one for one in market.trades(who) if one[INDEX] == index]
        now = market.price(list(market.listings)[trade[PAIR]])
        assert liquidates(market, who, index, now, anchor) is account.liquidatable, account.id
        for tick in account.ticks:
            answer, outward = int(tick.answer), -1 if trade[LONG] else 1
            assert (answer - now) * outward > 0, account.id
            assert not liquidates(market, who, index, answer - outward, anchor), account.id
            assert liquidates(market, who, index, answer, anchor), account.id
            proved[tick.direction] += 1
        if not account.liquidatable and not account.ticks:
            assert trade[LONG]
            assert not liquidates(market, who, index, 1, anchor), account.id
            proved["never"] += 1
    assert proved["down"] >= 6, proved
    assert proved["up"] >= 8, proved
    assert proved["never"] >= 2, proved


def test_a_mined_liquidation_is_the_one_that_the_cascade_predicts(gains: GainsKit, tmp_path: Path) -> None:
    """A hair before the tick it is refused; a hair beyond the trade is gone and its trader gets nothing back."""
    market, proved = gains.market, 0
    market.pass_time(3 * DAY)
    market.accrue()
    for label in ("long", "short", "short-link", "high-leverage", "long-euro", "counter", "smallest-fee", "profit-realized", "before-9.2"):
        who = gains.who[label]
        [(index, account)] = [(number, one) for (_, number), one in trades(scanned(gains, tmp_path, who)).items()]
        [tick] = account.ticks
        with gains.anvil.rollback():
            [trade] = market.trades(who)
            pair, coin = list(market.listings)[trade[PAIR]], list(market.coins.values())[trade[COLLATERAL] - 1]
            # what holding costs in the few seconds until the transactions is worth less than this part of the price
            hair = int(tick.answer) // 10**6 * (1 if trade[LONG] else -1)
            with pytest.raises(Reverted, match="NOT_HIT"):
                market.liquidate(who, index, int(tick.answer) + hair)
            market.feeds[pair].set(Raw((int(tick.answer) - hair) // FEED_TO_PRICE))
            before = scanned(gains, tmp_path, who)
            [one] = trades(before).values()
            event = before.cascade["down"][0]
            assert one.liquidatable, label
            assert (event.account, event.move) == (one.id, 0), label
            assert event.equity_before_usd - event.equity_after_usd == pytest.approx(one.equity_usd, rel=1e-9), label
            had = coin.balance(who)
            with pytest.raises(Reverted, match="only a liquidation"):
                market.close(who, index, pair)
            market.liquidate(who, index, market.price(pair))
            assert trades(scanned(gains, tmp_path, who)) == {}, label
            assert coin.balance(who) == had, label
            proved += 1
    assert proved == 9


LIES: Final = (
    ("getTradePendingHoldingFeesCollateral", 0, "fundingFeeCollateral"),
    ("getTradePendingHoldingFeesCollateral", 1, "borrowingFeeCollateral"),
    ("getTradePendingHoldingFeesCollateral", 3, "totalFeeCollateral"),
    ("getTradeLiquidationPrice", 0, "getTradeLiquidationPrice"),
)


def test_a_view_that_lies_by_one_unit_is_found_out(gains: GainsKit, tmp_path: Path) -> None:
    owners = [gains.who[label] for label in ("long", "short-link", "counter")]
    honest = trades(scanned(gains, tmp_path, *owners))
    for function, word, name in LIES:
        selector = abi.function_of(DIAMOND(Address(gains.market.diamond.address), function)).selector
        with tampering(gains.anvil, selector, plus_one(word)) as url:
            snapshot = scan(book_text(url, gains.market), owners, tmp_path, block=gains.anvil.block().number, code=None)
        for place, account in trades(snapshot).items():
            assert account.native == honest[place].native, name
            assert account.self_check.match is False, name
            assert account.self_check.protocol[name] != account.native[name]
        raised = [flag for flag in snapshot.flags if flag.code == "SELF_CHECK_FAILED"]
        assert {account for flag in raised for account in flag.accounts} == {account.id for account in honest.values()}


# what stands in the way


def test_a_pause_blocks_liquidations_and_keeps_the_figures(gains: GainsKit, tmp_path: Path) -> None:
    market, who = gains.market, gains.who["under-water"]
    [free] = trades(scanned(gains, tmp_path, who)).values()
    market.diamond.send("set_trading", 2)
    with pytest.raises(Reverted, match="Paused"):
        market.liquidate(who, 0, market.price(ETH))
    [stopped] = trades(scanned(gains, tmp_path, who)).values()
    assert (free.blocked, free.liquidatable) == (None, True)
    assert stopped.native.keys() == free.native.keys()
    assert stopped.liquidatable
    assert stopped.blocked == "trading is paused"


def test_a_diamond_that_is_none_or_too_new_is_one_unknown_account(gains: GainsKit, tmp_path: Path) -> None:
    def only() -> Any:
        [account] = [one for one in scanned(gains, tmp_path, gains.who["three-trades"]).accounts if "/gains:" in one.id]
        return account

    gains.market.diamond.send("set_contracts_version", 3)
    assert "version 3" in only().reason
    gains.anvil.set_code(gains.market.diamond.address, "0x")
    assert (only().status, only().side) == ("unknown", "derivatives")


def test_a_coin_without_a_price_costs_the_trades_in_it(gains: GainsKit, tmp_path: Path) -> None:
    """The real diamond takes whatever the feed answers; so does this one."""
    market, who = gains.market, gains.who["two-trades-and-an-order"]
    market.anvil.set_code(market.diamond.call("getCollateralUsdPriceFeed", number_of("DAI")), "0x")
    accounts = trades(scanned(gains, tmp_path, who))
    assert [one.status for one in accounts.values()] == ["ok", "unknown", "unknown"]
    assert "getCollateralPriceUsd" in accounts[who, 1].reason


def test_the_double_says_that_it_is_one_and_answers_by_the_abi_that_is_shipped(gains: GainsKit) -> None:
    """Every function that the adapter asks has the selector and the outputs that the venue's own ABI gives it."""
    assert gains.market.is_double
    assert "is not the real contract" in (paths.SOURCES / "gains_double.vy").read_text()
    contract = gains.market.diamond
    shipped = abi.load(DIAMOND)
    assert len(shipped) == 22
    for name, function in shipped.items():
        same = contract.abi.function(name, len(function.inputs))
        assert same.selector == function.selector == keccak(text=f"{name}({','.join(function.inputs)})")[:4]
        assert tuple(same.outputs) == tuple(function.outputs), name
