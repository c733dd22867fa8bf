"""gTrade: what must hold for every trade, whatever has run up in fees."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from defi_risk_adapters.gains import Gains
from defi_risk_adapters.gains.exact import GainsExact
from defi_risk_adapters.gains.holding import P10, Borrowing, Funding, HoldingFees, over
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from defi_risk.health.normal import in_floats
from defi_risk.ids import AssetId
from defi_risk.model import Asset
from tests.adapters.gains_world import DAY, NO_TERMS, NOW, OWNER, TERMS, GainsWorld, Trade
from tests.adapters.scripted import drive

ETH = Asset(AssetId("eip155:42161/gains:ETH/USD"), "ETH/USD", 18)
PRICES = st.integers(1, 10**16)
TOKENS = st.integers(0, 10**24)
SMALL = 10**27
"""Of the sums of fees: a part of the notional at the prices here."""


@st.composite
def fundings(draw: st.DrawFn, least_usd: int) -> Funding:
    return Funding(
        enabled=draw(st.booleans()),
        multiplied=draw(st.booleans()),
        seconds=draw(st.integers(0, 100 * DAY)),
        last=draw(st.integers(-(10**11), 10**11)),
        long_sum=draw(st.integers(-SMALL, SMALL)),
        short_sum=draw(st.integers(-SMALL, SMALL)),
        long_tokens=draw(TOKENS),
        short_tokens=draw(TOKENS),
        coefficient=draw(st.integers(0, 10**18)),
        most_velocity=draw(st.integers(0, 100)),
        most_rate=draw(st.integers(0, 2_000)),
        least_usd=least_usd,
        collateral_price=draw(st.integers(99 * 10**6, 101 * 10**6)),
    )


@st.composite
def trades(draw: st.DrawFn, least_usd: st.SearchStrategy[int] = st.integers(0, 10**9)) -> GainsExact:  # noqa: B008  # strategies have no state
    entry, long = draw(st.integers(10**9, 10**15)), draw(st.booleans())
    collateral, leverage = draw(st.integers(10**6, 10**12)), draw(st.integers(1_100, 200_000))
    holding = HoldingFees(
        funding=draw(fundings(draw(least_usd))),
        borrowing=Borrowing(draw(st.integers(0, 100 * DAY)), draw(st.integers(0, SMALL)), draw(st.integers(0, 3_000))),
        long=long,
        funded=draw(st.booleans()),
        size=collateral * leverage // 1_000,
        entry=entry,
        funding_start=draw(st.integers(-SMALL, SMALL)),
        borrowing_start=0,
        older=draw(st.integers(0, collateral // 10)),
    )
    return GainsExact(
        key="index",
        asset=ETH,
        price=max(1, entry * draw(st.integers(50, 150)) // 100),
        long=long,
        entry=entry,
        collateral=collateral,
        leverage=leverage,
        scale=10**12,
        threshold=draw(st.integers(60, 95)) * P10,
        spread=draw(st.integers(0, 5 * 10**8)),
        fee=collateral * leverage * 6 // 10**7,
        realized=draw(st.integers(-collateral // 10, collateral // 10)),
        holding=holding,
    )


@given(st.integers(-(10**40), 10**40), st.integers(-(10**20), 10**20))
def test_quotients_are_cut_towards_zero(numerator: int, denominator: int) -> None:
    assume(denominator != 0)
    assert over(numerator, denominator) == math.trunc(Fraction(numerator, denominator))


@settings(max_examples=50)
@given(trades(), PRICES, PRICES, st.lists(st.floats(0, 1), max_size=8))
def test_what_is_called_safe_is_safe(trade: GainsExact, one: int, other: int, places: list[float]) -> None:
    low, high = sorted((one, other))
    between = [low, high, *(low + int((high - low) * place) for place in places)]
    if trade.safe_throughout("index", low, high):
        assert not any(trade.liquidatable({"index": price}) for price in between)
    for price in between:
        assert trade.safe_throughout("index", price, price) is not trade.liquidatable({"index": price})
        assert trade.holding.total(price) <= trade.holding.most(low, high)
        assert trade.holding.total(price) == trade.holding.most(price, price)


@settings(max_examples=50)
@given(trades(st.just(0)), PRICES, PRICES)
def test_beyond_a_dead_price_all_are_dead(trade: GainsExact, one: int, other: int) -> None:
    """But for the steps in which the line moves, each as wide as one unit of the collateral."""
    low, high = sorted((one, other))
    near, far = (high, low) if trade.long else (low, high)
    fees = trade.holding
    assume(abs(fees.total(2 * trade.entry) - fees.total(trade.entry)) < fees.size // 2)  # they cost less than half of what the price moves
    assume(abs(near - far) > 8 * (trade.entry // fees.size + 1))
    assert not trade.liquidatable({"index": near}) or trade.liquidatable({"index": far})


@settings(max_examples=50)
@given(trades(st.just(0)))
def test_the_verdict_changes_at_the_line_that_is_its_own_price(trade: GainsExact) -> None:
    fees = trade.holding
    assume(abs(fees.total(2 * trade.entry) - fees.total(trade.entry)) < fees.size // 2)
    line, width = trade.settled_line(), 8 * (trade.entry // fees.size + 1)
    assume(line > width)
    outward = -width if trade.long else width
    assert trade.liquidatable({"index": line + outward})
    assert not trade.liquidatable({"index": line - outward})


@st.composite
def listed(draw: st.DrawFn) -> Trade:
    leverage, amount = draw(st.integers(1_100, 500_000)), draw(st.integers(10**6, 10**13))
    entry, counter = draw(st.integers(10**8, 10**15)), draw(st.booleans())
    version = draw(st.integers(0, 2))
    terms = draw(st.sampled_from((TERMS, NO_TERMS)))
    return Trade(0, 1, 1, amount, leverage, draw(st.booleans()), entry, 0, counter, version, terms)


@settings(max_examples=50)
@given(listed(), st.integers(1, 5 * 10**6), st.integers(0, 4_000), st.integers(-(10**30), 10**30), st.integers(98 * 10**6, 101 * 10**6))
def test_the_normal_form_has_the_venues_verdict_and_its_zero(trade: Trade, part: int, rate: int, paid: int, usd: int) -> None:
    world = GainsWorld(
        [trade],
        {"time": NOW, "indexPrices": {"1": Decimal(max(1, trade.entry * part // 10**6)).scaleb(-10)}},
        {
            "getCollateralPriceUsd": usd,
            "getPairBorrowingFeeParams": [(rate, 0)],
            "getPairBorrowingFeeData": [(0, NOW - 50 * DAY, 0)],
            "getPairFundingFeeData": [(paid, -paid, 0, NOW, 0)],
        },
    )
    account = drive(Gains().read(OWNER, world.market(), world.context()), world.answer).account
    assert account.status == "ok", account.reason
    assert isinstance(account.exact, GainsExact)
    position = account.legs[1].position
    assert position is not None
    normal = in_floats(account, {})
    surplus = normal.weighted() - normal.requirement()
    owed = abs(float(position.accrued_funding)) + float(position.accrued_fees)
    size = abs(float(position.size)) * float(max(position.entry or 0, position.mark)) + trade.amount / 1e6 + owed
    assert account.exact.liquidatable() == (surplus < 0) or abs(surplus) < 1e-9 * size
    moved = float(position.size) * (float(position.mark) - account.exact.settled_line() / 1e10)
    assert abs(surplus - moved) < 1e-9 * size
