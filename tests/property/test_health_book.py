"""What holds for every book: bounds between its figures, and independence of order, splits and units."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import isclose, isfinite
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk import flags, health
from defi_risk.health import AccountFigures, Figures, HealthSettings
from defi_risk.ids import AccountId
from defi_risk.model import Account, Leg, Role, Side
from defi_risk.units import EXACT, Quantity
from tests import strategies as own
from tests.accounts import SETTINGS, USDC, USDT, collateral, loan, margin

HEALTH_FAMILY = {"LIQUIDATABLE", "NEAR_LIQUIDATION"}
GRAVITY = list(flags.Severity)
LITTLE = 1e-9


def most(value: float | None) -> float:
    """A ratio where None is infinite."""
    return float("inf") if value is None else value


@own.examples(150)
@given(own.books(), own.settings)
def test_bounds_between_the_figures(book: list[Account], settings: HealthSettings) -> None:
    figures = health.run(book, settings)
    whole = figures.book
    assert all(most(whole.uhf) <= most(one.hf) for one in figures.accounts.values())
    assert most(whole.uhf) <= most(whole.netted_uhf)
    asked = [one for one in figures.accounts.values() if one.requirement_usd > 0]
    if asked and all(one.weighted_collateral_usd > 0 for one in figures.accounts.values()):
        ratios = [one.weighted_collateral_usd / one.requirement_usd for one in asked]
        assert whole.netted_health is not None
        assert min(ratios) <= whole.netted_health * (1 + LITTLE)
        if len(asked) == len(figures.accounts):
            assert whole.netted_health <= max(ratios) * (1 + LITTLE)
    if whole.uhf is None:
        assert (whole.stranded_usd, whole.fragmentation, whole.first_account, whole.first_side) == (None, None, None, None)
    elif len(book) > 1:
        assert whole.fragmentation is not None
        assert 0 <= whole.fragmentation <= 1
    down, up = whole.corridor
    assert down is None or -1 < down <= 0
    assert up is None or up >= 0


@own.examples(100)
@given(own.books(), own.settings)
def test_every_number_is_finite_and_every_move_in_range(book: list[Account], settings: HealthSettings) -> None:
    figures = health.run(book, settings)
    for one in figures.accounts.values():
        for name in AccountFigures.__dataclass_fields__:
            value = getattr(one, name)
            assert not isinstance(value, float) or isfinite(value)
        for move in one.moves:
            assert -1 < move.move <= 0 if move.direction == "down" else move.move >= 0
        assert one.withdrawable_usd >= 0
    for exposure in figures.exposures:
        assert isclose(sum(exposure.by_venue.values()), exposure.net_usd, rel_tol=1e-9, abs_tol=1e-6)


@own.examples(75)
@given(own.books(), own.settings, st.randoms(use_true_random=False))
def test_order_does_not_matter(book: list[Account], settings: HealthSettings, random: Random) -> None:
    figures = health.run(book, settings)
    shuffled = list(book)
    random.shuffle(shuffled)
    again = health.run(shuffled, settings)
    assert again == figures
    assert flags.run(shuffled, again, (), settings) == flags.run(book, figures, (), settings)


@own.examples(75)
@given(own.accounts(), own.settings, own.usd, st.integers(0, 3))
def test_more_collateral_or_less_debt_never_lowers_hf(account: Account, settings: HealthSettings, extra: Decimal, which: int) -> None:
    leg = account.legs[which % len(account.legs)]
    assume(leg.role is not Role.POSITION)
    if leg.role is Role.DEBT:
        better = replace(leg, amount=Quantity.of(leg.amount.decimal() / 2))
    else:
        better = replace(leg, amount=Quantity.of(leg.amount.decimal() + extra / leg.price.value.decimal() if leg.price else extra))
    richer = replace(account, legs=tuple(better if one is leg else one for one in account.legs))
    before, after = health.run([account], settings), health.run([richer], settings)
    was, now = before.accounts[account.id], after.accounts[account.id]
    assert most(now.hf) >= most(was.hf) * (1 - LITTLE)
    assert was.liquidatable or not now.liquidatable
    raised = {flag.code: flag.severity for flag in flags.run([account], before, (), settings)}
    for flag in flags.run([richer], after, (), settings):
        if flag.code in HEALTH_FAMILY and not was.liquidatable:
            assert flag.code in raised
            assert GRAVITY.index(flag.severity) <= GRAVITY.index(raised[flag.code])


@own.examples(50)
@given(own.books(), own.settings)
def test_an_unknown_account_only_turns_figures_into_bounds(book: list[Account], settings: HealthSettings) -> None:
    whole = health.run(book, settings)
    unknown = replace(book[0], id=AccountId("manual:unknown"), status="unknown", reason="no answer")
    partial = health.run([*book, unknown], settings)
    assert partial.book == replace(whole.book, bound="at_most")
    assert partial.accounts == whole.accounts
    # once it is known it can only lower the bound
    known = health.run([*book, replace(unknown, status="ok")], settings)
    assert most(known.book.uhf) <= most(partial.book.uhf)
    assert health.run([unknown], settings).book.bound == "unknown"


@own.examples(50)
@given(own.books(), st.sampled_from(["0.001", "7", "1000000"]))
def test_the_unit_of_account_does_not_matter(book: list[Account], scale: str) -> None:
    """In cents, or in yen, ratios and distances are what they were. Quote coins get their prices from margin or from `quotes`."""
    quotes = {USDC: 1.0, USDT: 0.9995}

    def scaled(leg: Leg) -> Leg:
        price = (
            None if leg.price is None else replace(leg.price, value=Quantity.of(EXACT.multiply(leg.price.value.decimal(), Decimal(scale))))
        )
        return replace(leg, price=price)

    other = [replace(account, legs=tuple(map(scaled, account.legs))) for account in book]
    before = health.run(book, SETTINGS, quotes=quotes)
    after = health.run(other, SETTINGS, quotes={coin: usd * float(scale) for coin, usd in quotes.items()})
    for key, was in before.accounts.items():
        now = after.accounts[key]
        # what nearly cancels keeps few digits in any unit
        assume(abs(was.surplus_usd) > 1e-6 * (abs(was.collateral_usd) + was.debt_usd + was.requirement_usd))
        assert (was.hf is None) == (now.hf is None)
        assert was.hf is None or now.hf is None or isclose(was.hf, now.hf, rel_tol=1e-6)
        assert isclose(was.surplus_usd * float(scale), now.surplus_usd, rel_tol=1e-6)


@own.examples(100)
@given(own.loans())
def test_what_is_withdrawable_leaves_the_loan_within_its_limit(account: Account) -> None:
    figures = health.run([account], SETTINGS).accounts[account.id]
    assert figures.withdrawable_usd <= sum(leg_usd(leg) for leg in account.legs if leg.role is Role.COLLATERAL) * (1 + LITTLE)
    if figures.free_margin_usd < 0:
        free = sum(leg_usd(leg) for leg in account.legs if leg.role is Role.COLLATERAL and (not leg.enabled or not leg.weight))
        assert isclose(figures.withdrawable_usd, free, rel_tol=1e-9, abs_tol=1e-9)


def leg_usd(leg: Leg) -> float:
    """Value of a leg."""
    return float(leg.amount) * float(leg.price.value) if leg.price else 0.0


@own.examples(50)
@given(own.accounts(), own.usd)
def test_an_account_without_requirement_changes_no_distance(account: Account, idle: Decimal) -> None:
    alone: Figures = health.run([account], SETTINGS)
    beside = loan(collateral(USDC, idle, 1, 0, enabled=False), name="idle")
    both = health.run([account, beside], SETTINGS)
    assert (both.book.uhf, both.book.corridor, both.book.first_side) == (alone.book.uhf, alone.book.corridor, alone.book.first_side)
    if account.side is Side.DERIVATIVES:
        richer = replace(account, legs=(*account.legs, margin(USDC, idle)))
        assert most(health.run([richer], SETTINGS).book.uhf) >= most(alone.book.uhf) * (1 - LITTLE)
