"""The arithmetic of gTrade by hand: thresholds, fees, funding and lines."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from defi_risk_adapters.gains.account import line_text
from defi_risk_adapters.gains.exact import LEGACY_THRESHOLD, GainsExact, Terms, closing_fee
from defi_risk_adapters.gains.holding import UNIT, Borrowing, Funding, HoldingFees, over

from defi_risk.ids import AssetId
from defi_risk.model import Asset
from tests.adapters.gains_world import DAY, LINE, NO_TERMS, P10, TERMS

ETH = Asset(AssetId("eip155:42161/gains:ETH/USD"), "ETH/USD", 18)
YEAR = 31_536_000
STILL = Funding(False, False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10**8)
NO_BORROWING = Borrowing(0, 0, 0)
FREE = HoldingFees(STILL, NO_BORROWING, True, True, 10_000 * 10**6, 2_000 * P10, 0, 0, 0)


def trade(**more: Any) -> GainsExact:
    """1,000 USDC ten times long from 2,000 at 2,000."""
    fields: dict[str, Any] = {
        "key": "index", "asset": ETH, "price": 2_000 * P10, "long": True, "entry": 2_000 * P10, "collateral": 1_000 * 10**6,
        "leverage": 10_000, "scale": 10**12, "threshold": 90 * P10, "spread": 2 * 10**8, "fee": 6 * 10**6, "realized": 0, "holding": FREE,
    }  # fmt: skip
    return GainsExact(**{**fields, **more})


@pytest.mark.parametrize(
    ("leverage", "threshold"), [(1_100, 90), (25_000, 90), (87_500, 85), (150_000, 80), (1_000_000, 80), (25_001, "89.99992")]
)
def test_the_threshold_falls_with_leverage(leverage: int, threshold: int | str) -> None:
    assert Terms(*TERMS).threshold(leverage) == Decimal(threshold) * P10


def test_the_threshold_is_rounded_up_and_old_trades_have_their_own() -> None:
    assert Terms(1, 90, 80, 1, 4).threshold(2) == 87
    assert Terms(*NO_TERMS).threshold(100_000) == LEGACY_THRESHOLD
    assert Terms(0, 50 * P10, 40 * P10, 1, 2).threshold(100_000) == LEGACY_THRESHOLD
    assert Terms(1, 50 * P10, 50 * P10, 5, 5).threshold(5) == 50 * P10


@pytest.mark.parametrize(
    ("size", "multiplier", "fee"), [(10_000, 1_000, 6), (10_000, 500, 3), (1_000, 1_000, Decimal("0.9")), (0, 500, Decimal("0.9"))]
)
def test_closing_costs_at_least_what_closing_the_smallest_position_does(size: int, multiplier: int, fee: Decimal | int) -> None:
    assert closing_fee(size * 10**6, multiplier, 6 * 10**8, 1_500 * 10**6) == fee * 10**6


@pytest.mark.parametrize(("a", "b", "quotient"), [(7, 2, 3), (-7, 2, -3), (7, -2, -3), (-7, -2, 3), (0, -2, 0), (-1, 3, 0)])
def test_quotients_are_cut_towards_zero(a: int, b: int, quotient: int) -> None:
    assert over(a, b) == quotient


def test_the_line_by_hand() -> None:
    """900 may be lost, 6 of it for closing: 178.8 of price, less 0.02 % of 2,000 for the spread."""
    long, short = trade(), trade(long=False)
    assert (long.line(1), short.line(1)) == (LINE, 4_000 * P10 - LINE)
    assert long.liquidatable({"index": LINE})
    assert not long.liquidatable({"index": LINE + 1})
    assert short.liquidatable({"index": 4_000 * P10 - LINE})
    assert not short.liquidatable({"index": 4_000 * P10 - LINE - 1})
    assert trade(spread=0, realized=-100 * 10**6).line(1) == Decimal("1841.2") * P10
    assert trade(spread=0, realized=100 * 10**6, threshold=80 * P10).line(1) == Decimal("1821.2") * P10
    assert trade(leverage=800).line(1) == 0
    assert trade(leverage=800).settled_line() < 0


def test_a_price_that_is_not_positive_liquidates_nothing() -> None:
    assert not trade(fee=10**12).liquidatable({"index": 0})
    assert trade(fee=10**12).liquidatable({"index": 1})


def test_borrowing_runs_at_the_price_of_the_moment() -> None:
    """A day at 0.00001 % a second is 0.864 % of the notional in units of the pair."""
    fees = replace(FREE, borrowing=Borrowing(DAY, 5 * UNIT, 10**5), borrowing_start=5 * UNIT)
    assert fees.borrowing_fee(2_000 * P10) == Decimal("86.4") * 10**6
    assert fees.borrowing_fee(1_000 * P10) == Decimal("43.2") * 10**6
    assert trade(holding=fees).line(2_000 * P10) == LINE + Decimal("17.28") * P10
    settled = trade(holding=fees).settled_line()
    assert trade(holding=fees).line(settled) == settled
    assert LINE < settled < trade(holding=fees).line(2_000 * P10)


def funding(**more: Any) -> Funding:
    """100 against 60 of open interest for a year, from a rate of nothing, with a velocity of 1e-7 % a second in a year."""
    fields: dict[str, Any] = {
        "enabled": True, "multiplied": False, "seconds": YEAR, "last": 0, "long_sum": 0, "short_sum": 0, "long_tokens": 100 * 10**18,
        "short_tokens": 60 * 10**18, "coefficient": 25 * 10**16, "most_velocity": 10**6, "most_rate": 10**5, "least_usd": 0,
        "collateral_price": 10**8,
    }  # fmt: skip
    return Funding(**{**fields, **more})


def test_the_rate_follows_the_skew() -> None:
    assert funding().velocity(2_000 * P10) == 1_000
    assert funding(short_tokens=140 * 10**18).velocity(2_000 * P10) == -1_000
    assert funding(most_velocity=0).velocity(1) == funding(coefficient=0).velocity(1) == funding(long_tokens=60 * 10**18).velocity(1) == 0
    assert funding(coefficient=10**30, most_velocity=7).velocity(2_000 * P10) == 7_000
    rate = funding().rate(1_000)
    assert (rate.mean, rate.now) == (5 * 10**10, 10**11)
    assert funding(most_rate=0).rate(1_000).now == 0
    assert funding(last=-7).rate(0).mean == -7


def test_a_skew_that_is_worth_too_little_moves_no_rate() -> None:
    """40 at 2,000 are 80,000 USD."""
    assert funding(least_usd=80_000).velocity(2_000 * P10) == 1_000
    assert funding(least_usd=80_000).velocity(2_000 * P10 - 1) == 0
    assert funding(least_usd=80_000, collateral_price=99_999_999).velocity(2_000 * P10) == 0


def test_the_rate_stops_at_its_cap() -> None:
    """Reached after half a year: 3/4 of the cap on average."""
    capped = funding(most_rate=500)
    rate = capped.rate(1_000)
    assert (rate.mean, rate.now) == (5 * 10**10 * 3 // 4, 5 * 10**10)
    assert funding(most_rate=500, last=5 * 10**10).rate(1_000).mean == 5 * 10**10
    assert funding(most_rate=500, last=-5 * 10**10).rate(-1_000).now == -5 * 10**10
    # a cap that was lowered below the rate is not met going outward; the contract lets the rate run on
    assert funding(most_rate=500, last=6 * 10**10).rate(1_000).now == 16 * 10**10


def test_who_earns_earns_in_proportion_where_the_venue_says_so() -> None:
    both = funding(multiplied=True)
    assert (both.multiplier(1, long=True), both.multiplier(1, long=False)) == (UNIT, UNIT * 100 // 60)
    assert (both.multiplier(-1, long=True), both.multiplier(-1, long=False)) == (UNIT * 60 // 100, UNIT)
    assert funding().multiplier(1, long=False) == both.multiplier(0, long=False) == UNIT
    assert replace(both, short_tokens=1).multiplier(1, long=False) == 100 * UNIT
    assert replace(both, short_tokens=0).multiplier(1, long=False) == 0


def test_funding_by_hand() -> None:
    """A mean of 5e-8 % a second for a year is 1.5768 %."""
    assert funding().total(2_000 * P10, 1_000, long=True) == 15_768 * 2_000 * P10 * 10**6
    assert funding().total(2_000 * P10, 1_000, long=False) == -15_768 * 2_000 * P10 * 10**6
    assert funding(enabled=False, long_sum=3).total(1, 1_000, long=True) == 3
    fees = replace(FREE, funding=funding())
    assert fees.funding_fee(2_000 * P10) == Decimal("157.68") * 10**6
    assert replace(fees, funded=False).funding_fee(2_000 * P10) == 0


def test_a_rate_that_turns_round_is_split_where_it_was_zero() -> None:
    """Half a year at -2.5e-8 % on average, then half a year at +2.5e-8 %: longs first earn 60 % of it, then pay it all."""
    turned = funding(multiplied=True, last=-5 * 10**10)
    assert turned.total(2_000 * P10, 1_000, long=True) == 25 * 10**9 * (YEAR // 2) * 2_000 * P10 // 10**8 * 4 // 10
    assert replace(turned, multiplied=False).total(2_000 * P10, 1_000, long=True) == 0


def test_the_line_in_words() -> None:
    assert line_text(trade()) == "it is liquidated at 1821.6 ETH/USD or below"
    assert line_text(trade(long=False)) == "it is liquidated at 2178.4 ETH/USD or above"
    assert line_text(trade(leverage=800)) == "no price of ETH/USD liquidates it"
