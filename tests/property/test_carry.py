"""Time to liquidation of random accounts: the first moment below the line, checked on a dense grid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import exp

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from defi_risk.health.account import Assessed, assess
from defi_risk.health.carry import FURTHEST, carry_usd_per_year, time_to_liquidation
from defi_risk.model import Account, Leg, Role
from tests.accounts import SETTINGS
from tests.strategies import accounts, decimals, examples

RATES = st.one_of(st.sampled_from([Decimal(0), Decimal("0.02"), Decimal("0.05")]), decimals("-0.1", "0.8"))
WAYS = st.sampled_from(["linear", "per second", "per block", ""])
FUNDING = decimals("-0.002", "0.002", 6)


@st.composite
def carried(draw: st.DrawFn) -> Account:
    """An account all of whose legs earn or cost something."""

    def paying(leg: Leg) -> Leg:
        if leg.position is not None:
            borrow = draw(st.none() | decimals("0", "0.5"))
            return replace(leg, position=replace(leg.position, funding_8h=draw(FUNDING), borrow_apr=borrow))
        return replace(leg, apr=draw(RATES), compounding=draw(WAYS))

    account = draw(accounts())
    return replace(account, legs=tuple(paying(leg) for leg in account.legs))


def surplus(one: Assessed, days: float) -> float:
    """B at unchanged prices after so many days, straight from the legs."""
    total = -sum(ladder.now() for ladder in one.normal.ladders) + one.credit
    for holding in one.normal.holdings:
        rate = 0.0 if holding.leg.apr is None else float(holding.leg.apr) / 365
        grown = exp(rate * days) if holding.leg.compounding in ("per second", "per block") else 1 + rate * days
        if holding.leg.role is not Role.POSITION:
            total += grown * (sum(holding.counts.values()) - sum(holding.needs.values()))
            continue
        total += sum(holding.counts.values()) - sum(holding.needs.values())
        if holding.leg.position is not None:
            counted = float(holding.leg.position.pnl_weight)
            total -= counted * holding.value * float(holding.leg.position.funding_8h or 0) * 3 * days
            total -= counted * abs(holding.value) * float(holding.leg.position.borrow_apr or 0) / 365 * days
    return total


def scale(one: Assessed, days: float) -> float:
    """What rounding in the surplus is judged by."""
    fastest = max((abs(float(holding.leg.apr or 0)) for holding in one.normal.holdings), default=0.0) / 365
    return sum(abs(holding.value) for holding in one.normal.holdings) * (1 + fastest * days) * exp(min(fastest * days, 600))


@pytest.mark.slow
@examples(300)
@given(carried())
def test_it_is_the_first_moment_below_the_line(account: Account) -> None:
    one = assess(account, SETTINGS, {})
    found = time_to_liquidation(one)
    if one.figures.liquidatable:
        assert found == 0
        return
    assert found is None or 0 <= found <= FURTHEST
    end = 30_000.0 if found is None else min(found, 30_000.0)
    for days in (end * (1 - 1e-9) * part for part in np.linspace(0, 1, 200)):
        assert surplus(one, days) >= -1e-9 * scale(one, days)
    if found is not None and found < 30_000:
        assert abs(surplus(one, found)) <= 1e-8 * scale(one, found)


@examples(100)
@given(carried(), decimals("1", "100000", 2))
def test_more_surplus_never_dies_sooner(account: Account, more: Decimal) -> None:
    one = assess(account, SETTINGS, {})
    richer = replace(one, figures=replace(one.figures, surplus_usd=one.figures.surplus_usd + float(more)))
    before, after = time_to_liquidation(one), time_to_liquidation(richer)
    assert after is None or (before is not None and after >= before * (1 - 1e-9))


@examples(100)
@given(carried())
def test_carry_is_the_slope_of_equity(account: Account) -> None:
    one = assess(account, SETTINGS, {})
    found = carry_usd_per_year(one)
    slope = 0.0
    for holding in one.normal.holdings:
        position = holding.leg.position
        worth = sum(holding.worth.values())
        slope += worth * float(holding.leg.apr or 0)
        if position is not None:
            slope -= holding.value * float(position.funding_8h or 0) * 1095 + abs(holding.value) * float(position.borrow_apr or 0)
    size = sum(abs(holding.value) for holding in one.normal.holdings) * 3
    assert abs(found.supply - found.borrow + found.funding - slope) <= 1e-9 * (1 + size)
