"""Distances in closed form against plain evaluation and bisection, over random accounts of every kind."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import inf

from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk import health
from defi_risk.health import HealthSettings
from defi_risk.health.distance import Ramps, Surplus, alone, crossings, market
from defi_risk.health.normal import Ladder, Normal, in_floats, in_fractions
from defi_risk.model import Account, Basis, Contract, Leg, Position, Role
from defi_risk.units import Quantity
from tests import strategies as own
from tests.accounts import USD, perp


def gross(surplus: Surplus) -> float:
    """The size of what is added up: rounding is relative to it."""
    rungs = (form for ladder in surplus.ladders for form in ladder.forms)
    return sum(map(abs, surplus.net.values())) + sum(abs(amount) for form in rungs for amount in form.values()) + 1e-300


def paths(surplus: Surplus, settings: HealthSettings) -> list[Ramps]:
    """The market path, and every factor and peg alone."""
    keys = surplus.coordinates()
    found: list[Ramps] = [market(keys, settings)]
    found += [alone(keys, factor, peg=False) for factor in sorted({key.factor for key in keys} - {USD})]
    found += [alone(keys, peg, peg=True) for peg in sorted({key.peg for key in keys if key.peg is not None})]
    return found


def bisect(surplus: Surplus, ramps: Ramps, alive: float, dead: float) -> float:
    """The crossing between a living and a dead point."""
    for _ in range(200):
        middle = (alive + dead) / 2
        if surplus.at(ramps, middle) >= 0:
            alive = middle
        else:
            dead = middle
    return dead


@own.examples(180)
@given(own.accounts(convex=False), own.settings)
def test_nothing_dies_before_the_crossing_and_it_dies_there(account: Account, settings: HealthSettings) -> None:
    normal = in_floats(account, {})
    surplus = Surplus.of(normal, strict=account.strict)
    assume(normal.weighted() - normal.requirement() > 1e-9 * gross(surplus))
    slack = 1e-11 * gross(surplus)
    for ramps in paths(surplus, settings):
        ratios = crossings(surplus, ramps)
        for found, end in ((ratios.down, 0.0), (ratios.up, inf)):
            edge = (found if found is not None else end) if end == 0 else (found if found is not None else 50.0)
            for share in (0.05, 0.3, 0.5, 0.77, 0.9, 0.99, 1 - 1e-6):
                at = 1 + (edge - 1) * share
                assert surplus.at(ramps, at) >= -slack * max(1.0, at)
            if found is not None:
                just_beyond = found * (1 - 1e-9) if end == 0 else found * (1 + 1e-9)
                assert surplus.at(ramps, just_beyond) <= slack * max(1.0, found)


@own.examples(180)
@given(own.accounts(), own.settings)
def test_closed_form_equals_bisection(account: Account, settings: HealthSettings) -> None:
    """B is concave on a path without clamps, so that one living and one dead point hold exactly one crossing between them."""
    normal = in_floats(account, {})
    surplus = Surplus.of(normal, strict=account.strict)
    now = normal.weighted() - normal.requirement()
    assume(now > 1e-3 * gross(surplus))
    for ramps in paths(surplus, settings):
        assume(all(b <= 1 for _, b in ramps.values()))
        ratios = crossings(surplus, ramps)
        for found, beyond in ((ratios.down, 0.0), (ratios.up, 1e6)):
            dead = surplus.at(ramps, beyond) < -1e-9 * gross(surplus) * max(1.0, beyond)
            assert found is not None or not dead
            if found is None or not dead:
                continue
            # a surplus that hardly changes, beside what is added up there, crosses where rounding puts it
            steep = abs(surplus.at(ramps, found * 1.001) - surplus.at(ramps, found)) > 1e-5 * gross(surplus) * max(1.0, found)
            if steep:
                assert abs(found - bisect(surplus, ramps, 1.0, beyond)) <= 1e-12 * max(1.0, found)


@own.examples(120)
@given(own.accounts(), st.lists(st.floats(0, 3), min_size=16, max_size=16), st.lists(st.floats(0, 3), min_size=16, max_size=16))
def test_the_safe_set_is_convex(account: Account, one: list[float], other: list[float]) -> None:
    surplus = Surplus.of(in_floats(account, {}), strict=True)
    keys = sorted(surplus.coordinates(), key=str)

    def at(multipliers: list[float]) -> float:
        return surplus.at({key: (multiplier, 0.0) for key, multiplier in zip(keys, multipliers, strict=False)}, 1.0)

    assume(len(keys) <= 16)
    middle = [(a + b) / 2 for a, b in zip(one, other, strict=True)]
    assert at(middle) >= (at(one) + at(other)) / 2 - 1e-11 * gross(surplus)


@own.examples(120)
@given(own.accounts(), st.floats(0, 5))
def test_forms_are_homogeneous(account: Account, scale: float) -> None:
    """In another unit of account everything is the same multiple."""
    surplus = Surplus.of(in_floats(account, {}), strict=True)
    still = dict.fromkeys(surplus.coordinates(), (1.0, 0.0))
    assert abs(surplus.at(dict.fromkeys(still, (scale, 0.0)), 1.0) - scale * surplus.at(still, 1.0)) <= 1e-11 * gross(surplus) * max(
        1.0, scale
    )


@own.examples(120)
@given(own.accounts(convex=False))
def test_floats_agree_with_fractions(account: Account) -> None:
    rounded, sure = in_floats(account, {}), in_fractions(account, {})
    # on the very edge of a bracket that is a cliff, either side is right
    assume(all(abs(sum(gate.values())) > 1e-9 * sum(map(abs, gate.values())) for ladder in rounded.ladders for gate in ladder.gates))
    size = gross(Surplus.of(rounded, strict=True)) + sum(abs(holding.value) for holding in rounded.holdings)

    def figures(normal: Normal[float] | Normal[Fraction]) -> list[float]:
        return [float(x) for x in (normal.weighted(), normal.requirement(), normal.equity, normal.debt, normal.collateral, normal.initial)]

    for ours, theirs in zip(figures(rounded), figures(sure), strict=True):
        assert abs(ours - theirs) <= 1e-13 * size


def bracket_amount(position: Position) -> float:
    """Maintenance by the stepwise schedule: each slice of the notional at its own rate; in the settling coin."""
    price = position.entry if position.basis is Basis.ENTRY else position.mark
    size = abs(position.size)
    notional = size * price if position.contract is Contract.LINEAR else size / price
    tops = [tier.floor for tier in position.tiers[1:]]
    total = notional * position.close_fee
    for tier, top in zip(position.tiers, [*tops, notional], strict=True):
        total += max(Decimal(0), min(notional, top) - tier.floor) * tier.rate
    return float(total)


@own.examples(120)
@given(own.positions())
def test_deductions_equal_the_stepwise_brackets(leg: Leg) -> None:
    assert leg.position is not None
    position = leg.position
    normal = in_floats(perp(leg), {})
    coin = 1.0 if position.contract is Contract.LINEAR else float(position.mark)
    expected = bracket_amount(position) * coin
    assert abs(normal.requirement() - expected) <= 1e-9 * expected + 1e-9
    for ladder in normal.ladders:
        assert abs(ladder.now() - largest(ladder)) <= 1e-12 * largest(ladder)


def largest(ladder: Ladder[float]) -> float:
    """Where brackets meet and rates rise, the one that holds is the largest."""
    return max(sum(form.values()) for form in ladder.forms)


@own.examples(120)
@given(own.accounts(), own.settings, st.integers(0, 3), st.integers(1, 9))
def test_splitting_a_leg_changes_nothing(account: Account, settings: HealthSettings, which: int, tenths: int) -> None:
    leg = account.legs[which % len(account.legs)]
    assume(leg.role is not Role.POSITION)
    whole = leg.amount.decimal()
    part = whole * Decimal(tenths) / 10
    split = [replace(leg, amount=Quantity.of(part)), replace(leg, amount=Quantity.of(whole - part))]
    pieces = replace(account, legs=(*(one for one in account.legs if one is not leg), *split))
    before = health.run([account], settings).accounts[account.id]
    after = health.run([pieces], settings).accounts[account.id]
    assume(abs(before.surplus_usd) > 1e-6 * (abs(before.equity_usd) + before.requirement_usd))
    assert after.liquidatable is before.liquidatable
    assert (after.hf is None) == (before.hf is None)
    if before.hf is not None and after.hf is not None:
        assert abs(after.hf - before.hf) <= 1e-6 * before.hf
    assert abs(after.withdrawable_usd - before.withdrawable_usd) <= 1e-6 * (1 + before.withdrawable_usd)
