"""GMX V2's rule on random markets and positions: bounds that hold, verdicts that follow the price, fees that add up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal
from math import exp
from random import Random
from typing import Final

import pytest
from defi_risk_adapters.gmx_v2 import accrual, impact
from defi_risk_adapters.gmx_v2.accrual import Accrued
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.fixed import power
from defi_risk_adapters.gmx_v2.keys import key
from defi_risk_adapters.gmx_v2.legs import legs
from defi_risk_adapters.gmx_v2.prices import Quoted
from defi_risk_adapters.gmx_v2.rule import Discounts
from defi_risk_adapters.gmx_v2.state import Band, ImpactCurve, Listing, MarketState, Pair, Position, Prices
from hypothesis import given, settings
from hypothesis import strategies as st

from defi_risk.health.normal import in_floats
from defi_risk.health.tick import ticks
from defi_risk.model import Account, Side
from defi_risk.spi import Context as Reading
from tests.adapters.gmx_world import (
    CHAIN,
    INDEX,
    LONG,
    MARKET,
    NOW,
    ONE,
    OWNER,
    SHORT,
    asset,
    made,
    plain_funding,
    plain_position,
    plain_state,
    unit_price,
    usd,
)
from tests.localchain.gmx import keys

PRECISE: Final = Context(prec=80)
shares = st.integers(0, ONE // 50)
flags = st.booleans()


@st.composite
def bands(draw: st.DrawFn, decimals: int = 18, low: int = 1, high: int = 10_000) -> Band:
    price = draw(st.integers(unit_price(low, decimals), unit_price(high, decimals)))
    return Band(price, price + draw(st.integers(0, price // 100)))


@st.composite
def curves(draw: st.DrawFn) -> ImpactCurve:
    exponents = st.integers(ONE, 22 * ONE // 10)
    factors = st.integers(0, usd("0.0000001"))
    return ImpactCurve(draw(factors), draw(factors), draw(exponents), draw(exponents), draw(shares), draw(shares))


@st.composite
def states(draw: st.DrawFn, prices: Prices) -> MarketState:
    """Markets of some million USD a side, in which one token may stand for both sides, or the index token be the long one."""
    listing = draw(st.sampled_from([Listing(MARKET, INDEX, LONG, SHORT), Listing(MARKET, INDEX, INDEX, SHORT)]))
    interest = [draw(st.integers(usd(10**5), usd(10**7))) for _ in range(4)]
    tokens = [each * draw(st.integers(50, 200)) // 100 // prices.index.low for each in interest]
    return plain_state(
        listing=listing,
        liquidation_factor=draw(st.integers(ONE // 1_000, ONE // 50)),
        fee_improved=draw(st.integers(0, ONE // 2_000)),
        fee_worse=draw(st.integers(0, ONE // 1_000)),
        impact=draw(curves()),
        max_pnl=Pair(draw(st.integers(0, ONE)), draw(st.integers(0, ONE))),
        pool=Pair(draw(st.integers(1, 10**22)), draw(st.integers(1, 10**14))),
        interest=Pair(Pair(*interest[:2]), Pair(*interest[2:])),
        interest_tokens=Pair(Pair(*tokens[:2]), Pair(*tokens[2:])),
        in_tokens=draw(flags),
        virtual=draw(st.none() | st.integers(-(10**22), 10**22)),
    )


@st.composite
def positions(draw: st.DrawFn) -> GmxExact:
    """Positions near their line as often as not, with costs that have run up."""
    index, coin = draw(bands()), draw(bands(6, 1, 2))
    prices = Prices(index, index, coin)
    state = draw(states(prices))
    if state.listing.long == LONG:
        prices = replace(prices, long=draw(bands()))
    is_long, on_long = draw(flags), draw(flags)
    collateral = state.listing.long if on_long else SHORT
    size = draw(st.integers(usd(10_000), usd(90_000)))
    entry = index.low * draw(st.integers(60, 160)) // 100
    price = (prices.long if on_long else coin).low
    position = plain_position(
        is_long=is_long,
        collateral=collateral,
        size_usd=size,
        size_tokens=size // entry,
        amount=size * draw(st.integers(5, 700)) // 1_000 // price,
        pending_impact=draw(st.integers(-1, 1)) * (size // entry // 500),
    )
    due = Accrued(draw(st.integers(0, size // 50)), draw(st.integers(0, position.amount // 50 + 1)), Pair(0, 0))
    return made(position, state, prices, discounts=Discounts(draw(shares), draw(shares)), due=due)


@given(st.integers(ONE, 10**38), st.integers(ONE // 10, 3 * ONE))
def test_a_power_is_a_hair_below_the_true_one(value: int, exponent: int) -> None:
    """45 halves of 1e-18 are cut in the logarithm, the exponent is cut to 18 digits, and the product of roots to 64 binary ones."""
    true = PRECISE.power(PRECISE.divide(Decimal(value), Decimal(ONE)), PRECISE.divide(Decimal(exponent), Decimal(ONE)))
    ours = Decimal(power(value, exponent)) / ONE
    slack = Decimal(45 * (exponent // ONE + 1) + 30) / 10**18
    assert true * (1 - slack) - Decimal(2) / 10**18 <= ours <= true * (1 + slack)


@given(st.integers(ONE, 10**38), st.integers(0, 10**36), st.integers(ONE // 10, 3 * ONE))
def test_a_power_grows_with_its_base_but_for_its_last_binary_digits(value: int, more: int, exponent: int) -> None:
    small, large = power(value, exponent), power(value + more, exponent)
    assert small <= large + (large >> 63) + 1


@given(st.text("ABCDEFGHIJ_", min_size=1, max_size=70), st.lists(flags | st.integers(0, 2**256 - 1) | st.binary(min_size=32, max_size=32)))
def test_keys_are_what_the_abi_codec_makes(name: str, arguments: list[bool | int | bytes]) -> None:
    assert key(name, *arguments) == keys.key(name, *arguments)


@given(positions(), st.floats(-1.5, 1.5), st.floats(0, 1), flags)
def test_an_interval_called_safe_is_safe(exact: GmxExact, near: float, wide: float, tight: bool) -> None:
    random = Random(int(near * 10**6))  # noqa: S311  # repeatable, no secret
    for feed in exact.feeds():
        low = max(1, int(feed.now * exp(near)))
        high = low + int(low * wide ** (12 if tight else 1))
        assert exact.safe_throughout(feed.key, low, low) != exact.liquidatable({feed.key: low})
        if exact.safe_throughout(feed.key, low, high):
            inside = [low, high, *(random.randint(low, high) for _ in range(12))]
            assert not any(exact.liquidatable({feed.key: answer}) for answer in inside)


@given(positions(), st.floats(-1.5, 1.5), st.floats(0, 1))
def test_the_bound_of_the_impact_lies_below_it_everywhere(exact: GmxExact, near: float, wide: float) -> None:
    now = exact.feeds()[0].now
    low = max(1, int(now * exp(near)))
    high = low + int(low * wide**4)
    ends = [exact.at({INDEX: answer}).index for answer in (low, high)]
    bound = impact.closing_at_least(exact.state, exact.position, *ends)
    random = Random(high)  # noqa: S311  # repeatable, no secret
    for answer in (low, high, *(random.randint(low, high) for _ in range(12))):
        index = exact.at({INDEX: answer}).index
        assert bound <= impact.closing(exact.state, exact.position, index).usd
        assert impact.improves(exact.state, exact.position, index) == impact.closing(exact.state, exact.position, index).improved


@given(positions(), st.integers(1, 10**9))
def test_more_collateral_never_kills(exact: GmxExact, more: int) -> None:
    richer = replace(exact, position=replace(exact.position, amount=exact.position.amount + more))
    assert richer.remaining() > exact.remaining()
    assert not (richer.liquidatable() and not exact.liquidatable())


@given(positions(), st.floats(0.01, 3))
def test_a_price_that_moves_with_the_position_never_kills_where_impact_stands_still(exact: GmxExact, move: float) -> None:
    """Nor does what backs the pool: a cap on profits takes no more than the profit."""
    still = replace(exact, state=replace(exact.state, in_tokens=False), position=replace(exact.position, pending_impact=0))
    if still.liquidatable() or not still.position.is_long or exact.position.collateral == INDEX:
        return
    feed = still.feeds()[0]
    uncapped = replace(still, state=replace(still.state, max_pnl=Pair(0, 0)))
    assert not uncapped.liquidatable({INDEX: int(feed.now * (1 + move))})


@settings(max_examples=20)
@given(positions())
def test_the_tick_is_the_first_answer_that_kills(exact: GmxExact) -> None:
    if exact.liquidatable():
        return
    for tick in ticks(exact, lambda feed: 0.0, 0.0):
        feed = next(each for each in exact.feeds() if each.asset == tick.asset)
        step = 1 if tick.direction == "down" else -1
        assert exact.liquidatable({feed.key: tick.answer})
        assert not exact.liquidatable({feed.key: tick.answer + step})


@given(positions(), st.integers(1, 10**7), st.integers(0, usd("0.0000001")), flags)
def test_what_is_paid_for_funding_is_never_less_than_what_is_earned(exact: GmxExact, seconds: int, factor: int, single: bool) -> None:
    """The contracts round what is paid up and what is earned down; a token behind both sides is one slot."""
    state, prices = exact.state, exact.prices
    if single:
        listing = Listing(MARKET, INDEX, SHORT, SHORT)
        halves = [each // 2 for each in (sum(state.interest.long), sum(state.interest.short))]
        state = replace(state, listing=listing, interest=Pair(*(Pair(each, each) for each in halves)))
        prices = replace(prices, long=prices.short)
    state = replace(state, funding=plain_funding(factor=factor, most=ONE, exponent=ONE, updated_at=NOW - seconds))
    counters, rates = accrual.accrued(state, prices, NOW)
    payers, getters = (state.interest.of(side) for side in (rates.longs_pay, not rates.longs_pay))
    paid = [counters.funding.of(rates.longs_pay).of(token) * payers.of(token) for token in (True, False)]
    earned = [counters.claimable.of(not rates.longs_pay).of(token) * sum(getters) for token in (True, False)]
    if single:
        assert sum(paid) >= earned[0]
    else:
        assert all(out >= back for out, back in zip(paid, earned, strict=True))


def test_the_form_sees_what_the_integers_see() -> None:
    """At today's prices C - R is what remains less what must: to a part in a thousand million of the size."""
    random, at = Random(11), Reading(CHAIN, 1, NOW, {})  # noqa: S311  # repeatable, no secret
    for _ in range(200):
        size = usd(random.randint(10**4, 10**7))
        price = unit_price(random.randint(10, 10_000), 18)
        position: Position = plain_position(
            is_long=random.random() < 0.5,
            size_usd=size,
            size_tokens=int(size * random.uniform(0.7, 1.4)) // price,
            amount=size * random.randint(5, 500) // 1_000 // unit_price(1, 6),
        )
        index = Band(price, price + random.randint(0, price // 200))
        prices = Prices(index, index, Band(unit_price("0.9995", 6), unit_price(1, 6)))
        curve = ImpactCurve(usd("0.0000001"), usd("0.0000002"), ONE, ONE, usd("0.001"), usd("0.002"))
        state = plain_state(impact=curve, fee_worse=usd("0.0006"), fee_improved=usd("0.0004"), max_pnl=Pair(0, 0))
        due = Accrued(random.randint(0, size // 100), random.randint(0, position.amount // 100), Pair(0, 0))
        exact = made(position, state, prices, due=due)
        quotes = {
            token: Quoted(asset(token, decimals), band, None, None)
            for token, decimals, band in ((INDEX, 18, index), (LONG, 18, index), (SHORT, 6, prices.short))
        }
        found = legs(exact, accrual.Rates(Pair(0, 0), 0, False), quotes, Pair(0, 0), at)
        account = Account(id=asset(INDEX, 18).id, owner=OWNER.address, side=Side.DERIVATIVES, venue="", market="", legs=found)  # type: ignore[arg-type]
        normal = in_floats(account, {})
        assert normal.weighted() - normal.requirement() == pytest.approx((exact.remaining() - exact.needed) / ONE, abs=1e-9 * size / ONE)
