"""What holds for every walk: value is conserved, events are in order, and a two-way path starts like a one-way one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from math import isclose, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.health import HealthSettings
from defi_risk.health.account import Assessed, assess
from defi_risk.health.cascade import HIGHEST, LOWEST, Walk, cascade, walk
from defi_risk.health.cascade.deleveraging import changed
from defi_risk.health.cascade.fate import SAFE, Traveller, fate, lanes_of
from defi_risk.health.cascade.holdings import Multipliers, at
from defi_risk.health.cascade.liquidation import liquidate
from defi_risk.health.distance import Ramps, Surplus
from defi_risk.health.figures import Event
from defi_risk.health.normal import Normal
from defi_risk.health.route import Stage, market_route, shock_route
from defi_risk.health.shock import Shock
from defi_risk.ids import AccountId, Peg
from defi_risk.model import Account, LiquidationRule, Role, Side
from tests import strategies as own
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDT

HALF = Decimal("0.5")
LENDING = (
    LiquidationRule(kind="repay"),
    LiquidationRule(kind="repay", close_factor=HALF),
    LiquidationRule(kind="repay", close_factor=HALF, full_below=Decimal("0.95")),
    LiquidationRule(
        kind="repay",
        close_factor=HALF,
        of_whole=True,
        full_below=Decimal("0.95"),
        full_under_usd=Decimal(2000),
        dust_usd=Decimal(1000),
    ),
    LiquidationRule(kind="absorb"),
)
DERIVATIVES = (
    LiquidationRule(kind="close"),
    LiquidationRule(kind="close", remainder="lost"),
    LiquidationRule(kind="close", close_factor=HALF),
    LiquidationRule(kind="close", close_factor=Decimal("0.25"), remainder="lost"),
)
VENUES = ("here", "there")


@st.composite
def books(draw: st.DrawFn) -> list[Account]:
    """Books whose accounts have liquidation rules of every kind and live at two venues."""
    found: list[Account] = []
    for account in draw(own.books()):
        rule = draw(st.sampled_from(LENDING if account.side is Side.LENDING else DERIVATIVES))
        bonus = draw(own.decimals("0", "0.2", 3))
        legs = tuple(replace(leg, bonus=bonus) if leg.role is Role.COLLATERAL else leg for leg in account.legs)
        found.append(replace(account, rule=rule, legs=legs, venue=draw(st.sampled_from(VENUES))))
    return found


def assessed_of(book: Sequence[Account], settings: HealthSettings) -> list[Assessed]:
    return [assess(account, settings, {}) for account in sorted(book, key=lambda account: account.id)]


def scale(assessed: Sequence[Assessed]) -> float:
    """The size of the numbers that sums of a book are made of, at any price of the walks here."""
    return 1.0 + 10 * sum(abs(amount) for one in assessed for amount in one.normal.worth().values())


def balanced(before: float, after: float, penalty: float, bad_debt: float, size: float) -> bool:
    return isclose(before, after + penalty - bad_debt, rel_tol=1e-10, abs_tol=1e-10 * size)


def check_events(events: Sequence[Event], size: float) -> None:
    for event in events:
        assert balanced(event.equity_before_usd, event.equity_after_usd, event.penalty_usd, event.bad_debt_usd, size)
        assert min(event.seized_usd, event.repaid_usd, event.bad_debt_usd) >= 0
        assert event.penalty_usd >= -1e-12 * event.seized_usd
        numbers = [event.move, event.seized_usd, event.repaid_usd, event.penalty_usd, event.equity_before_usd, event.equity_after_usd]
        numbers += [*event.prices.values(), *event.exposure_after.values(), event.next_move or 0.0]
        assert all(map(isfinite, numbers))
        assert isclose(sum(event.exposure_after.values()), event.equity_after_usd, rel_tol=1e-9, abs_tol=1e-9 * size)
        assert (event.next_account is None) == (event.next_move is None)


def check_finals(walked: Walk, assessed: Sequence[Assessed], stage: Stage, size: float) -> None:
    """The finals are whole normal forms, with nothing negative that was not before, and add up to the walk's equity."""
    total = 0.0
    for one in assessed:
        final = walked.finals[one.account.id]
        ramps = stage.ramps(final.worth(), one.account.venue)
        total += sum(amount * max(0.0, ramps[key][0] + ramps[key][1] * stage.far) for key, amount in final.worth().items())
        check_form(final, one.account, size)
    assert isclose(total, walked.equity_usd, rel_tol=1e-9, abs_tol=1e-9 * size)


def check_form(final: Normal[float], account: Account, size: float) -> None:
    """What an account says of itself follows from its holdings."""
    little = 1e-9 * size
    assert isclose(sum(final.worth().values()), final.equity, abs_tol=little)
    assert isclose(final.weighted(), sum(sum(one.counts.values()) for one in final.holdings), abs_tol=little)
    debts = [one.value for one in final.holdings if one.leg.role is Role.DEBT]
    assert isclose(final.debt, sum(debts), abs_tol=little)
    assert min(debts, default=0.0) >= 0
    if account.side is Side.LENDING:
        assert all(one.value >= 0 for one in final.holdings)
        assert isclose(final.requirement(), final.debt, abs_tol=little)


def first_moves(events: Sequence[Event]) -> dict[AccountId, float]:
    """The move at which each account is first liquidated."""
    return {event.account: event.move for event in reversed(events)}


@pytest.mark.slow
@own.examples(70)
@given(books(), own.settings)
def test_every_path_conserves_value_and_starts_where_it_must(book: list[Account], settings: HealthSettings) -> None:
    assessed = assessed_of(book, settings)
    size = scale(assessed)
    found = cascade(assessed, settings)
    for events in found.values():
        check_events(events, size)
    for one_way, two_way in (("down", "down_up"), ("up", "up_down")):
        begun = [event for event in found[one_way] if abs(event.move) <= settings.turn]
        assert found[two_way][: len(begun)] == tuple(begun)
    moves = {one.account.id: one.ratios.moves() for one in assessed}
    assert all(moves[account][0] == move for account, move in first_moves(found["down"]).items())
    assert all(moves[account][1] == move for account, move in first_moves(found["up"]).items())
    for one in assessed:
        if one.figures.down is not None and LOWEST - 1 < one.figures.down < 0:
            assert any(event.account == one.account.id for event in found["down"])
        if one.figures.up is not None and 0 < one.figures.up < HIGHEST - 1:
            assert any(event.account == one.account.id for event in found["up"])


@own.examples(52)
@given(books(), own.settings, st.sampled_from([(LOWEST,), (HIGHEST,), (0.6, HIGHEST), (1.6, LOWEST)]))
def test_a_walk_adds_up(book: list[Account], settings: HealthSettings, stops: tuple[float, ...]) -> None:
    assessed = assessed_of(book, settings)
    size = scale(assessed)
    route = market_route(settings, *stops)
    walked = walk(assessed, route, settings)
    check_events(walked.events, size)
    check_finals(walked, assessed, route[-1], size)


@own.examples(52)
@given(books(), own.settings, st.sampled_from([LOWEST, HIGHEST]))
def test_a_walk_is_in_order_and_leaves_nothing_for_another(book: list[Account], settings: HealthSettings, end: float) -> None:
    assessed = assessed_of(book, settings)
    route = market_route(settings, end)
    walked = walk(assessed, route, settings)
    places = [abs(event.move) for event in walked.events]
    assert places == sorted(places)
    assert max(places, default=0.0) <= abs(end - 1)
    for near, far in pairwise(walked.events):
        assert near.move != far.move or near.account <= far.account
    last: dict[AccountId, float] = {event.account: event.move for event in walked.events}
    rest = [changed(one, walked.finals[one.account.id], settings) if one.account.id in last else one for one in assessed]
    for event in walk([one for one in rest if not one.figures.liquidatable], route, settings).events:
        # changed as it is now it may not have lived where it once passed: beyond its last liquidation it does
        assert abs(event.move) <= abs(last[event.account]) * (1 + 1e-9)


SHOCKS = st.builds(
    Shock,
    st.dictionaries(st.sampled_from([ETH, BTC, SOL, USDT]), st.floats(-1, 2)),
    st.dictionaries(st.just(Peg("stETH/ETH")), st.floats(-1, 1)),
    st.dictionaries(st.tuples(st.sampled_from(VENUES), st.sampled_from([ETH, USDT])), st.floats(-1, 1)),
)


@own.examples(52)
@given(books(), own.settings, st.lists(SHOCKS, min_size=1, max_size=3))
def test_value_is_conserved_under_shocks(book: list[Account], settings: HealthSettings, shocks: list[Shock]) -> None:
    assessed = assessed_of(book, settings)
    size = scale(assessed)
    route = shock_route(*shocks)
    walked = walk(assessed, route, settings)
    check_events(walked.events, size)
    check_finals(walked, assessed, route[-1], size)
    moves = [event.move for event in walked.events]
    if any(event.next_account for event in walked.events):
        return  # the route happens to be the market's
    assert moves == sorted(moves)


def relative(surplus: Surplus, ramps: Ramps, point: float) -> float:
    """B at a point, relative to what is added up there and a little of today's terms."""
    size = sum(abs(amount) * (1e-4 + max(0.0, ramps[key][0] + ramps[key][1] * point)) for key, amount in surplus.net.items())
    return surplus.at(ramps, point) / max(size, 1e-9)


@own.examples(70)
@given(books(), own.settings, st.lists(SHOCKS, min_size=1, max_size=3))
def test_an_account_lives_between_its_liquidations_and_dies_at_them(
    book: list[Account], settings: HealthSettings, shocks: list[Shock]
) -> None:
    """Also where prices stand still away from today, reach zero, and come back. Looked at in 20 places on every part of the way."""
    assessed = assessed_of(book, settings)
    route = shock_route(*shocks)
    travellers = [Traveller.of(one, settings) for one in assessed]
    lanes = [lanes_of(stage, travellers) for stage in route]
    for each in travellers:
        account, surplus = each.one.account, each.one.surplus
        met = fate(each, route, lanes)
        stuck = met.stuck or bool(met.steps and met.steps[-1].corridor == SAFE)
        for number, stage in enumerate(route):
            point = stage.near
            for step in (*(one for one in met.steps if one.stage == number), None):
                ramps = stage.ramps(each.keys | surplus.coordinates(), account.venue)
                end = stage.far if step is None else step.point
                if end > point and not (stuck and step is None):
                    assert all(relative(surplus, ramps, point + (end - point) * part / 20) >= -1e-8 for part in range(1, 20))
                if step is not None:
                    assert min(relative(surplus, ramps, end), relative(surplus, ramps, end + 1e-7)) <= 1e-6
                    surplus, point = Surplus.of(step.taken.after, strict=account.strict), end


@own.examples(105)
@given(own.accounts(), st.data())
def test_one_liquidation_conserves_value(account: Account, data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(LENDING if account.side is Side.LENDING else DERIVATIVES))
    ruled = replace(account, rule=rule)
    one = assess(ruled, SETTINGS, {})
    multipliers = {key: data.draw(st.floats(0.05, 3)) for key in sorted(one.surplus.coordinates(), key=str)}
    seen: Multipliers = multipliers.__getitem__
    taken = liquidate(ruled, one.normal, seen, whole=data.draw(st.booleans()))
    before, after = at(one.normal.worth(), seen), at(taken.after.worth(), seen)
    assert balanced(before, after, taken.penalty_usd, taken.bad_debt_usd, scale([one]))
    check_form(taken.after, ruled, scale([one]))
