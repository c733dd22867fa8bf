"""What holds for every book under every scenario: a shock is today's figures at other prices, and a verdict is that of the whole way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import isclose, isfinite

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk.health import HealthSettings
from defi_risk.health.account import Assessed, assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.figures import Stress
from defi_risk.health.normal import in_floats
from defi_risk.health.shock import Shock
from defi_risk.health.stress import PASSING_HEALTH, run
from defi_risk.health.stress.scenarios import Scenario, Steps, built_in
from defi_risk.ids import USD, Factor, Peg
from defi_risk.model import Account, Contract, Leg, Position, Role, Side
from defi_risk.units import EXACT, Quantity
from tests import strategies as own
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, margin

QUOTES = {USDC: 1.0, USDT: 0.9995}
LITTLE = 1e-9


def assessed(book: Sequence[Account], settings: HealthSettings = SETTINGS) -> list[Assessed]:
    return [assess(account, settings, QUOTES) for account in sorted(book, key=lambda account: account.id)]


def stressed(book: Sequence[Assessed], scenarios: Sequence[Scenario], settings: HealthSettings = SETTINGS) -> tuple[Stress, ...]:
    return run(book, Arrays.of(book), scenarios, settings)


def plain(*variants: Steps) -> Scenario:
    return Scenario(id="own", title="own", variants=variants)


moves = st.integers(-99, 150).map(lambda percent: percent / 100)


@st.composite
def shocks(draw: st.DrawFn) -> Shock:
    """Moves of some factors and pegs everywhere."""
    factors = draw(st.dictionaries(st.sampled_from([ETH, BTC, SOL, USDC, USDT]), moves, max_size=3))
    return Shock(factors, draw(st.dictionaries(st.sampled_from(sorted(own.PEGS.values())), moves, max_size=1)))


def repriced(leg: Leg, shock: Shock) -> Leg:
    """The leg as it would be read if prices were others: written without the normal form."""

    def times(factor: Factor, peg: Peg | None) -> Decimal:
        move = EXACT.add(Decimal(1), Decimal(repr(shock.factors.get(factor, 0.0)))) if factor != USD else Decimal(1)
        return EXACT.multiply(move, EXACT.add(Decimal(1), Decimal(repr(shock.pegs.get(peg, 0.0)))) if peg else Decimal(1))

    if leg.position is None:
        assert leg.price is not None
        value = EXACT.multiply(leg.price.value.decimal(), times(leg.factor, leg.peg))
        return replace(leg, price=replace(leg.price, value=Quantity.of(value)))
    position: Position = leg.position
    ratio = EXACT.divide(times(leg.factor, leg.peg), times(position.quote, position.quote_peg))
    mark = EXACT.multiply(position.mark, ratio)
    return replace(leg, position=replace(position, mark=mark))


@own.examples(150)
@given(own.accounts(convex=False), shocks())
def test_a_shock_is_the_account_at_other_prices(account: Account, shock: Shock) -> None:
    (one,) = assessed([account])
    (found,) = stressed([one], [plain((shock,))])
    quotes = {coin: usd * (1 + shock.factors.get(coin, 0.0)) for coin, usd in QUOTES.items()}
    there = in_floats(replace(account, legs=tuple(repriced(leg, shock) for leg in account.legs)), quotes)
    gross = sum(map(abs, there.c.values())) + there.requirement() + sum(map(abs, one.normal.c.values()))
    surplus = there.weighted() - there.requirement()
    assume(all(abs(sum(gate.values())) > LITTLE * gross for ladder in there.ladders for gate in ladder.gates))
    assert isclose(found.account_surplus_usd[account.id], surplus + one.credit, rel_tol=0, abs_tol=LITTLE * gross)
    health = found.account_health[account.id]
    if there.requirement() == 0 or one.normal.requirement() == 0:
        assert health is None or there.requirement() > 0
    else:
        assert health is not None
        assert isclose(health, max(0.0, there.weighted()) / there.requirement(), rel_tol=1e-6, abs_tol=LITTLE * gross / there.requirement())
    if not found.liquidations:
        assert isclose(found.equity_usd, there.equity, rel_tol=0, abs_tol=LITTLE * (gross + abs(there.equity)))


@own.examples(100)
@given(own.accounts(convex=False), st.lists(shocks(), min_size=1, max_size=3))
def test_the_verdict_is_that_of_the_whole_way(account: Account, steps: list[Shock]) -> None:
    """Looked at in 200 places between any two steps."""
    (one,) = assessed([account])
    (found,) = stressed([one], [plain(tuple(steps))])
    gross = sum(map(abs, one.normal.c.values())) + one.normal.requirement()
    lowest = float("inf")
    before, keys, thin = Shock(), one.surplus.coordinates(), False
    for shock in steps:
        here, there = ({key: each.multiplier(key, account.venue) for key in keys} for each in (before, shock))
        for part in range(201):
            ramps = {key: (here[key] + (there[key] - here[key]) * part / 200, 0.0) for key in keys}
            lowest = min(lowest, one.surplus.at(ramps, 1.0))
        before = shock
    health = found.min_health
    thin = account.side is Side.DERIVATIVES and health is not None and health < PASSING_HEALTH
    if lowest < -LITTLE * gross or one.figures.liquidatable or thin:
        assert not found.passed
    elif not found.passed and not any(_jumps(leg) for leg in account.legs):
        assert lowest <= LITTLE * gross


def _jumps(leg: Leg) -> bool:
    return leg.position is not None and len(leg.position.tiers) > 1


@own.examples(30)
@given(own.books(), own.settings)
def test_every_built_in_stress_of_every_book(book: list[Account], settings: HealthSettings) -> None:
    read = assessed(book, settings)
    found = stressed(read, built_in(read, settings), settings)
    for one in found:
        numbers = [one.equity_usd, one.penalty_usd, *one.account_surplus_usd.values(), *one.shocks.values()]
        ratios = [health for health in one.account_health.values() if health is not None]
        assert all(map(isfinite, [*numbers, *ratios]))
        assert set(one.account_health) == set(one.account_surplus_usd) == {account.id for account in book}
        assert one.min_health is None or one.min_health == min(ratios)
        assert one.min_health is None or one.worst_account is not None
        assert one.penalty_usd == sum(event.penalty_usd for event in one.liquidations)
        if any(account.figures.liquidatable for account in read) or one.liquidations:
            assert not one.passed
        for account in read:
            health = one.account_health[account.account.id]
            line = PASSING_HEALTH if account.account.side is Side.DERIVATIVES else 1.0
            if one.passed and health is not None:
                assert health >= line * (1 - LITTLE)


@own.examples(50)
@given(own.books(), st.lists(shocks(), min_size=1, max_size=4))
def test_no_variant_is_worse_than_the_one_reported(book: list[Account], each: list[Shock]) -> None:
    read = assessed(book)
    (worst,) = stressed(read, [plain(*((shock,) for shock in each))])
    alone = [stressed(read, [plain((shock,))])[0] for shock in each]
    assert worst.passed == all(one.passed for one in alone)
    # the same numbers but for rounding, which depends on what else is multiplied in one go
    same = [one for one in alone if one.shocks == worst.shocks and one.passed == worst.passed]
    assert any([event.account for event in one.liquidations] == [event.account for event in worst.liquidations] for one in same)
    assert any(one.equity_usd == pytest.approx(worst.equity_usd, rel=1e-9, abs=1e-6) for one in same)


@own.examples(50)
@given(own.books(), shocks(), own.usd, st.integers(0, 3))
def test_more_margin_fails_no_stress(book: list[Account], shock: Shock, extra: Decimal, which: int) -> None:
    account = book[which % len(book)]
    assume(account.side is Side.DERIVATIVES)
    richer = replace(account, legs=(*account.legs, margin(USDC, extra)))
    scenarios = [plain((shock,))]
    (before,) = stressed(assessed([account]), scenarios)
    (after,) = stressed(assessed([richer]), scenarios)
    assert after.passed or not before.passed or any(_in(leg, USDC) for leg in account.legs)


def _in(leg: Leg, coin: Factor) -> bool:
    """A negative balance in the same coin is a leg of its own: the other one does not fill it."""
    return leg.role is not Role.POSITION and leg.factor == coin and leg.amount.raw < 0


@own.examples(50)
@given(own.accounts(), shocks())
def test_modifiers_that_change_nothing_change_nothing(account: Account, shock: Shock) -> None:
    read = assessed([account])
    (before,) = stressed(read, [plain((shock,))])
    (after,) = stressed(read, [Scenario(id="own", title="own", variants=((shock,),), margin_rates=Decimal(1), funding_8h=Decimal(0))])
    assert before == after


@own.examples(75)
@given(own.margin_accounts(), st.sampled_from(["1.5", "2", "5"]), st.sampled_from(["0", "0.0001", "0.003"]))
def test_dearer_margin_and_funding_in_closed_form(account: Account, times: str, funding: str) -> None:
    (one,) = assessed([account])
    assume(not one.figures.liquidatable)
    scenario = Scenario(id="own", title="own", margin_rates=Decimal(times), funding_8h=Decimal(funding))
    (found,) = stressed([one], [scenario])
    needs = fees = paid = 0.0
    for holding in one.normal.holdings:
        position = holding.leg.position
        if position is not None:
            own_needs = sum(holding.needs.values()) + (holding.ladder.now() if holding.ladder else 0.0)
            fee = _fee(position, one, holding.value) * float(account.line)
            fees, needs = fees + fee, needs + own_needs - fee
            paid += abs(holding.value) * float(funding) * 3 * (position.expires is None)
        else:
            needs += sum(holding.needs.values())
    requirement = needs * float(times) + fees
    gross = sum(map(abs, one.normal.c.values())) + requirement + paid
    health = found.account_health[account.id]
    if not any(leg.role is Role.MARGIN and leg.weight != 1 for leg in account.legs):
        weighted = one.normal.weighted() - paid
        assert isclose(found.account_surplus_usd[account.id], weighted - requirement, rel_tol=0, abs_tol=1e-8 * gross)
        assert health is None or isclose(health, max(0.0, weighted) / requirement, rel_tol=1e-5, abs_tol=1e-8 * gross / requirement)
    if not found.liquidations:
        assert isclose(found.equity_usd, one.normal.equity - paid, rel_tol=0, abs_tol=1e-8 * gross)


def _fee(position: Position, one: Assessed, value: float) -> float:
    """The closing fee in USD, as the requirement holds it."""
    if not position.close_fee:
        return 0.0
    share = float(position.close_fee)
    if position.basis.value == "mark":
        return abs(value) * share
    size, entry = abs(float(position.size)), float(position.entry)
    quote = one.normal.quotes[next(key for key in one.normal.quotes if key.factor == position.quote)]
    return share * quote * (size * entry if position.contract is Contract.LINEAR else size / entry * float(position.mark))
