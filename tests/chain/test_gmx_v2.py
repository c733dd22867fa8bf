"""GMX V2 against the double of its Reader and DataStore: figures at any prices, ticks, time that passes, views that lie.

The double proves that readings, rounding and blocks are right, and nothing about the real contracts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from defi_risk_adapters.gmx_v2.reader import READER
from defi_risk_adapters.gmx_v2.state import Band, Prices

from defi_risk import abi
from defi_risk.ids import Address
from defi_risk.model import Account
from tests.chain.gmx import (
    DAY,
    VERDICT,
    GmxKit,
    Trio,
    bands_now,
    by_place,
    ending,
    held,
    integers,
    now,
    prices_of,
    read,
    said,
    settle,
    some_bands,
    tail,
)
from tests.chain.proxy import Change, negated, plus_one, tampering
from tests.chain.scanning import book_text, scan
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.gmx.deployment import deploy_venue
from tests.localchain.gmx.keys import key
from tests.localchain.gmx.market import GmxMarket, Opened
from tests.localchain.gmx.settings import MARKETS, Venue, factor
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person
from tests.localchain.states import STATES
from tests.localchain.tokens import units

pytestmark = pytest.mark.chain
POSITIONS: Final = 32


def everything(kit: GmxKit) -> tuple[int, dict[str, Account]]:
    """The newest block, and everybody's positions there."""
    anchor, accounts = read(kit.market, *kit.who.values())
    return anchor.number, accounts


# figures


@pytest.mark.parametrize("state", STATES)
def test_native_numbers_are_the_views(gmx: GmxKit, state: str) -> None:
    """In every state all sixteen numbers of every position equal what the Reader says, and the self-check says so."""
    STATES[state](gmx.market)
    block, accounts = everything(gmx)
    places = held(gmx.market)
    assert accounts.keys() == places.keys()
    assert len(places) == POSITIONS
    expected = said(gmx.market, block, [(position, now(gmx.market, position)) for _, position in places.values()])
    for (place, (label, _)), views in zip(places.items(), expected, strict=True):
        account = accounts[place]
        assert account.known, (label, account.reason)
        assert dict(account.native) == views, label
        assert account.self_check is not None
        assert account.self_check.match, label
        assert dict(account.self_check.protocol) == views, label


@pytest.mark.parametrize("state", STATES)
def test_a_verdict_is_what_the_reader_says_once_the_market_is_written_to(gmx: GmxKit, state: str) -> None:
    """The Reader's verdict leaves out what has run up. At the same second with everything taken up, it is ours of before, to the digit."""
    STATES[state](gmx.market)
    _, accounts = everything(gmx)
    block, places = settle(gmx.market), held(gmx.market)
    expected = said(gmx.market, block, [(position, now(gmx.market, position)) for _, position in places.values()])
    for (place, (label, _)), views in zip(places.items(), expected, strict=True):
        assert accounts[place].liquidatable is views[VERDICT], label
        assert integers(accounts[place]).remaining() == views["remainingCollateralUsd"], label


def test_the_population_shows_what_there_is_to_see(gmx: GmxKit) -> None:
    """The comparisons above were not of one kind only."""
    gmx.market.pass_time(40 * DAY)
    _, accounts = everything(gmx)
    native = [account.native for account in accounts.values()]
    counts = {
        "dead": sum(account.liquidatable is True for account in accounts.values()),
        "alive": sum(account.liquidatable is False for account in accounts.values()),
        "views lag": sum(account.liquidatable is not account.native[VERDICT] for account in accounts.values()),
        "capped": sum(each["basePnlUsd"] != each["uncappedBasePnlUsd"] for each in native),
        "paying": sum(each["fundingFeeAmount"] > 0 for each in native),
        "paid": sum(each["claimableLongTokenAmount"] + each["claimableShortTokenAmount"] > 0 for each in native),
        "spared": sum(each["totalDiscountAmount"] > 0 for each in native),
        "improving": sum(each["balanceWasImproved"] for each in native),
        "earning": sum(each["priceImpactUsd"] > 0 for each in native),
        "losing": sum(each["priceImpactUsd"] < 0 for each in native),
        "borrowing": sum(each["borrowingFeeUsd"] > 0 for each in native),
    }
    assert all(count >= 2 for count in counts.values()), counts
    pending = [each["proportionalPendingImpactUsd"] for each in native]
    assert bool(min(pending) < 0 < max(pending)) is gmx.market.venue.in_tokens


def test_the_view_that_lags_is_told(gmx_usd: GmxKit, tmp_path: Path) -> None:
    gmx_usd.market.pass_time(40 * DAY)
    snapshot = scan(book_text(gmx_usd.anvil.url, gmx_usd.market), gmx_usd.who.values(), tmp_path, code=None)
    lagging = {one.id for one in snapshot.accounts if one.native and one.liquidatable is not (one.native[VERDICT] == "true")}
    flagged = {account for flag in snapshot.flags if flag.code == "VIEW_LAGS" for account in flag.accounts}
    assert flagged == lagging
    assert len(lagging) >= 2


def test_every_number_at_other_prices_is_the_readers(gmx: GmxKit) -> None:
    """Sixteen sets of random prices with spreads up to 2 %: the integers give what the views give, and the same verdict."""
    market, random = gmx.market, Random(20_260_301)  # noqa: S311  # a repeatable walk, nothing secret
    market.pass_time(9 * DAY)
    settle(market)
    block, accounts = everything(gmx)
    places, verdicts = held(market), Counter[bool]()
    for _ in range(16):
        bands = some_bands(random, market, 0.02)
        asked = [(position, prices_of(market, position.market, bands)) for _, position in places.values()]
        for place, (_, prices), views in zip(places, asked, said(market, block, asked), strict=True):
            exact = replace(integers(accounts[place]), prices=Prices(*(Band(*band) for band in prices)))
            assert exact.native() == views, (places[place], prices)
            assert exact.liquidatable() is views[VERDICT], (places[place], prices)
            verdicts[exact.liquidatable()] += 1
    assert min(verdicts.values()) >= 100, verdicts


# ticks


def moved(market: GmxMarket, symbol: str, answer: int) -> dict[str, tuple[int, int]]:
    """Prices where one token's is another: it decides as min or max, so the band closes up around it."""
    return bands_now(market) | {symbol: (answer, answer)}


def test_the_tick_is_the_first_price_that_the_reader_calls_liquidatable(gmx: GmxKit, tmp_path: Path) -> None:
    """At the tick it does, one unit nearer (1e-12 USD of an ether) it does not."""
    market = gmx.market
    market.pass_time(9 * DAY)
    settle(market)
    block = market.anvil.block().number
    snapshot = scan(book_text(market.anvil.url, market), gmx.who.values(), tmp_path, block=block, code=None)
    accounts, places = {ending(one.id): one for one in snapshot.accounts}, held(market)
    symbols = {coin.address: symbol for symbol, coin in market.coins.items()}
    asked: list[tuple[Opened, Trio]] = []
    directions: list[str] = []
    for place, (_, position) in places.items():
        for tick in accounts[place].ticks:
            symbol = symbols[tick.token.rpartition(":")[2]]
            pair = (int(tick.answer), int(tick.answer) + (1 if tick.direction == "down" else -1))
            asked += [(position, prices_of(market, position.market, moved(market, symbol, answer))) for answer in pair]
            directions.append(f"{'index' if symbol == market.setting(position.market).index else 'collateral'} {tick.direction}")
    verdicts = [views[VERDICT] for views in said(market, block, asked)]
    assert verdicts == [True, False] * len(directions)
    proved = Counter(directions)
    assert proved["index down"] >= 12, proved
    assert proved["index up"] >= 8, proved
    assert proved["collateral down"] >= 10, proved


# the worked example: an ether position opened at 3,000, a close fee of 0.07 %, and 0.5 % that must remain


def plain_venue(anvil: Anvil) -> GmxMarket:
    """A single market of ether without price impact, borrowing or funding, at 3,000 USD."""
    setting = next(one for one in MARKETS if one.name == "ETH")
    idle = {name: 0 for name in setting.plain if "FUNDING" in name and "EXPONENT" not in name}
    flat = replace(
        setting,
        plain={**setting.plain, **idle, "MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION": factor("0.005")},
        both={**setting.both, "BORROWING_FACTOR": 0},
        balance={
            **setting.balance,
            "POSITION_FEE_FACTOR": (factor("0.0007"), factor("0.0007")),
            "POSITION_IMPACT_FACTOR": (0, 0),
        },
    )
    market = deploy_venue(Assets(anvil), Venue("gmx-plain", markets=(flat,)))
    market.set_price("WETH", 3_000)
    market.set_price("USDC", 1)
    return market


@pytest.mark.parametrize(("collateral", "margin", "expected"), [("USDC", "6000", 2_417.10), ("WETH", "2", 2_514.25)])
def test_the_worked_example_through_the_command_line(collateral: str, margin: str, expected: float, tmp_path: Path) -> None:
    with Anvil() as anvil:
        put_multicall3(anvil)
        market, who = plain_venue(anvil), person("gmx/example")
        position = market.open(who, "ETH", collateral, long=True, size="30000", margin=margin)
        snapshot = scan(book_text(anvil.url, market), [who], tmp_path)
        [account] = [one for one in snapshot.accounts if "/gmx_v2:" in one.id]
        [leg] = [one for one in account.legs if one.role == "position"]
        assert (account.status, account.mode.split()[0], account.liquidatable) == ("ok", "isolated", False)
        assert leg.size is not None
        assert Decimal(leg.size) == 10
        [down] = [one for one in account.liquidation if (one.factor, one.direction) == ("ETH", "down")]
        assert down.price == pytest.approx(expected, rel=1e-12)
        [tick] = [one for one in account.ticks if one.symbol == "WETH"]
        assert int(tick.answer) / 1e12 == pytest.approx(expected, rel=1e-12)
        block = anvil.block().number
        for price, dead in ((int(tick.answer), True), (int(tick.answer) + 1, False)):
            assert market.verdict(position, block, prices_of(market, "ETH", moved(market, "WETH", price)))[0] is dead


# special cases


def test_bitcoin_as_collateral_is_counted_in_its_eight_decimals(gmx: GmxKit) -> None:
    """Fees are floored to whole units of the collateral: 1e-8 of it is worth more than 1e-6 of a dollar coin."""
    market, who = gmx.market, person("gmx/bitcoin")
    market.set_price("WBTC", "61987.65432109")
    opened = [
        market.open(who, "BTC", "WBTC", long=long, size=size, margin=margin)
        for long, size, margin in ((True, "777.77", "0.00181234"), (False, "123456.789", "0.5"))
    ]
    market.pass_time(40 * DAY)
    anchor, accounts = read(market, who)
    asked = [(position, now(market, position)) for position in opened]
    for position, views in zip(opened, said(market, anchor.number, asked), strict=True):
        account = accounts[tail(market, position)]
        assert dict(account.native) == views
        assert views["positionFeeAmount"] * now(market, position)[1][0] < integers(account).position.size_usd * 6 // 10_000
    block = settle(market)
    for position, views in zip(opened, said(market, block, asked), strict=True):
        assert integers(accounts[tail(market, position)]).remaining() == views["remainingCollateralUsd"]


def test_many_positions_come_in_four_rounds(gmx_usd: GmxKit, tmp_path: Path) -> None:
    snapshot = scan(book_text(gmx_usd.anvil.url, gmx_usd.market), [gmx_usd.who["several"]], tmp_path, code=None)
    [source] = [one for one in snapshot.sources if one.kind == "chain"]
    anchors = 1
    assert source.round_trips == anchors + 4


def test_funding_earned_waits_beside_the_margin(gmx_usd: GmxKit, tmp_path: Path) -> None:
    """What a position earned is claimed, and saves it from nothing; what was claimable in its market before is owned once."""
    market, who = gmx_usd.market, gmx_usd.who["several"]
    earlier = 12_345_678
    market.write({key("CLAIMABLE_FUNDING_AMOUNT", market.address("ETH"), market.coins["USDC"].address, who): earlier})
    market.pass_time(30 * DAY)
    accounts = by_place(scan(book_text(market.anvil.url, market), [who], tmp_path, code=None))
    waiting = [(place, leg) for place, account in accounts.items() for leg in account.legs if leg.role == "margin" and not leg.enabled]
    total = Counter[str]()
    for place, leg in waiting:
        total[leg.symbol] += units(leg.amount, market.coins[leg.symbol].decimals)
        assert Decimal(leg.amount) > 0, place
    expected = Counter[str]({"USDC": earlier})
    for place, account in accounts.items():
        setting = market.setting(held(market)[place][1].market)
        expected[setting.long] += int(account.native["claimableLongTokenAmount"])
        expected[setting.short] += int(account.native["claimableShortTokenAmount"])
    assert total == +expected
    assert len(total) >= 2


# a Reader that is not what it seems


LIES: Final = (
    ("isPositionLiquidatable", negated, "isPositionLiquidatable"),
    ("isPositionLiquidatable", plus_one(2), "remainingCollateralUsd"),
    ("getPositionInfo", plus_one(-3), "basePnlUsd"),
    ("getPositionInfo", plus_one(-2), "uncappedBasePnlUsd"),
)


def told_by(kit: GmxKit, function: str, change: Change, who: Sequence[str], folder: Path) -> dict[str, Any]:
    """The positions of some users where a function of the Reader answers something else."""
    selector = abi.function_of(READER(Address(kit.market.reader.address), function)).selector
    with tampering(kit.anvil, selector, change) as url:
        return by_place(scan(book_text(url, kit.market), who, folder, block=kit.anvil.block().number, code=None))


def test_a_view_that_lies_by_one_unit_is_found_out(gmx_usd: GmxKit, tmp_path: Path) -> None:
    who = [gmx_usd.who[label] for label in ("long", "sol-short", "link-long")]
    honest = by_place(scan(book_text(gmx_usd.anvil.url, gmx_usd.market), who, tmp_path, code=None))
    for function, change, name in LIES:
        for place, account in told_by(gmx_usd, function, change, who, tmp_path).items():
            assert account.native == honest[place].native
            assert account.liquidatable is honest[place].liquidatable
            assert account.self_check.match is False
            assert {each for each in account.native if account.native[each] != account.self_check.protocol[each]} == {name}


def test_a_view_of_another_position_is_no_answer(gmx_usd: GmxKit, tmp_path: Path) -> None:
    """Its key, its size: a Reader of another layout decodes into garbage."""
    for word in (0, 4):
        [account] = told_by(gmx_usd, "getPositionInfo", plus_one(word), [gmx_usd.who["long"]], tmp_path).values()
        assert account.status == "unknown"
        assert "another position" in account.reason
