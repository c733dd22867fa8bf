"""gTrade: whole readings of a scripted venue, and the accounts that come of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from defi_risk_adapters.gains.exact import GainsExact

from defi_risk.health.normal import in_floats
from defi_risk.model import Role
from defi_risk.spi import InfoCall
from tests.adapters.gains_world import DAY, LINE, NO_TERMS, NOW, GainsWorld, Trade, checked, only, read
from tests.adapters.scripted import NOTHING_THERE


def test_the_account_by_hand() -> None:
    account = only(GainsWorld(charts={"time": NOW, "indexPrices": [0, "1900.5"]}))
    assert (account.status, account.mode, account.strict, account.liquidatable) == ("ok", "isolated", False, False)
    normal = in_floats(account, {})
    # 10,000 lost 4.975 %; closing is counted as 6 of fee and 2 of spread
    assert normal.weighted() == pytest.approx(1_000 - 497.5 - 8, abs=1e-9)
    assert normal.requirement() == pytest.approx(100, abs=1e-9)
    margin, leg = account.legs
    assert (margin.role, margin.asset.symbol, margin.amount.raw) == (Role.MARGIN, "USDC", 10**9)
    assert leg.position is not None
    assert (leg.position.size, leg.position.entry, leg.position.mark) == (Decimal(5), Decimal(2_000), Decimal("1900.5"))
    assert float(leg.position.initial_rate) == pytest.approx(1 / 150)
    assert (leg.factor, leg.asset.symbol) == ("ETH", "ETH/USD")
    assert leg.price is not None
    assert (leg.price.source, leg.price.updated_at, leg.price.heartbeat) == ("gains index ETH/USD", NOW, 60)
    assert account.rule is not None
    assert (account.rule.kind, account.rule.remainder) == ("close", "lost")
    assert account.self_check is not None
    assert account.self_check.match
    assert account.native["getTradeLiquidationPrice"] == LINE
    assert str(account.id).endswith("/0")
    assert [row.asset for row in account.custody] == [margin.asset.id]
    assert {row.holder for row in account.custody} == {str(account.id).split("/")[1].partition(":")[2]}


def test_the_surplus_is_nothing_exactly_on_the_line() -> None:
    for world in (
        GainsWorld(),
        GainsWorld([Trade(long=False, leverage=123_456, amount=777_777_777)]),
        GainsWorld([Trade(version=0, terms=NO_TERMS)]),
    ):
        exact = only(world).exact
        assert isinstance(exact, GainsExact)
        world.charts["indexPrices"] = [0, Decimal(exact.settled_line()).scaleb(-10)]
        account = only(world)
        normal = in_floats(account, {})
        assert normal.weighted() - normal.requirement() == pytest.approx(0, abs=1e-9)
        assert account.liquidatable


def test_a_position_is_dead_at_its_line_and_says_so_like_the_venue() -> None:
    world = GainsWorld(
        charts={"time": NOW, "indexPrices": {"1": Decimal("1821.6")}}, said={"validateTriggerCloseOrderCallback": checked(0)}
    )
    account = only(world)
    assert account.liquidatable
    assert account.self_check is not None
    assert account.self_check.match
    world.said["validateTriggerCloseOrderCallback"] = checked(11)
    lied = only(world).self_check
    assert lied is not None
    assert lied.match is False


def test_fees_for_holding_are_legs_of_their_own() -> None:
    said = {
        "getPairFundingFeeData": [(10**20, -(10**20), 0, NOW - DAY, 0)],
        "getPairBorrowingFeeParams": [(10**5, 0)],
        "getPairBorrowingFeeData": [(0, NOW - DAY, 0)],
        "getTradePendingHoldingFeesCollateral": (5 * 10**4, 86_400_000, 7_000_000, 93_450_000),
        "getTradeFeesData": (2_000_000, 5_000_000, 0, 0, 0, 0, 0, 0),
    }
    account = only(GainsWorld(said=said))
    margin, leg = account.legs
    assert leg.position is not None
    assert margin.amount.raw == 1_003 * 10**6
    assert account.native["fundingFeeCollateral"] == 5 * 10**4
    assert account.native["totalFeeCollateral"] == 93_450_000
    assert (leg.position.accrued_funding, leg.position.accrued_fees) == (Decimal("-0.05"), Decimal("93.4"))
    assert leg.position.borrow_apr is None  # what the older fees cost is not known
    said["getTradePendingHoldingFeesCollateral"] = (5 * 10**4, 86_400_000, 0, 86_450_000)
    position = only(GainsWorld(said=said)).legs[1].position
    assert position is not None
    assert position.borrow_apr == Decimal("3.1536")


@pytest.mark.parametrize(("long", "rate"), [(True, "0.0001152"), (False, "0.0001536")])
def test_the_funding_rate_of_eight_hours(long: bool, rate: str) -> None:
    """0.0000004 % a second; 90 short earn what 120 long pay."""
    said = {
        "getPairFundingFeeParams": [(0, 0, 10**5, 0, True, True, 0)],
        "getPairFundingFeeData": [(0, 0, 4 * 10**11, NOW, 0)],
        "getPairOiAfterV10Token": (120 * 10**18, 90 * 10**18),
    }
    position = only(GainsWorld([Trade(long=long)], said=said)).legs[1].position
    assert position is not None
    assert position.funding_8h is not None
    assert float(position.funding_8h) == pytest.approx(float(rate), rel=1e-12)
    said["getPairFundingFeeParams"] = [(0, 0, 10**5, 0, False, True, 0)]
    still = only(GainsWorld(said=said)).legs[1].position
    assert still is not None
    assert still.funding_8h == 0


@pytest.mark.parametrize(("version", "line", "funding"), [(0, LINE - 4 * 10**9, 0), (1, LINE, 0), (2, LINE + 10**8, 5 * 10**4)])
def test_spread_and_funding_count_from_some_version_on(version: int, line: int, funding: int) -> None:
    said = {"getPairFundingFeeData": [(10**20, -(10**20), 0, NOW, 0)]}
    native = only(GainsWorld([Trade(version=version)], said=said)).native
    assert (native["getTradeLiquidationPrice"], native["fundingFeeCollateral"]) == (line, funding)


def test_profit_in_a_coin_that_moves_is_unknown_and_says_where_the_line_is() -> None:
    account = only(GainsWorld([Trade(collateral=2, amount=10**18)]))
    assert (account.status, account.legs) == ("unknown", ())
    assert "WETH" in str(account.reason)
    assert "liquidated at 1821.6 ETH/USD or below" in str(account.reason)


def test_an_order_is_no_position_and_needs_no_price() -> None:
    world = GainsWorld([Trade(kind=1), Trade(1, kind=2, collateral=2, amount=10**18)], charts=NOTHING_THERE)
    done = read(world)
    assert [(one.mode, one.status, one.liquidatable) for one in done.accounts] == [("order", "ok", None)] * 2
    assert [[(leg.enabled, leg.weight, leg.asset.symbol) for leg in one.legs] for one in done.accounts] == [
        [(False, Decimal(0), "USDC")],
        [(False, Decimal(0), "WETH")],
    ]
    assert not any(isinstance(ask, InfoCall) for ask in world.asked)
    assert not done.reports


def test_three_rounds_however_many_trades_and_one_for_none() -> None:
    assert len(read(GainsWorld([Trade(index, pair=index % 2) for index in range(40)])).rounds) == 3
    done = read(GainsWorld([]))
    assert (len(done.rounds), done.items) == (1, [])


def test_a_pause_stops_liquidations_and_close_only_does_not() -> None:
    assert "paused" in only(GainsWorld(said={"getTradingActivated": 2})).blocked
    assert only(GainsWorld(said={"getTradingActivated": 1})).blocked == ""
