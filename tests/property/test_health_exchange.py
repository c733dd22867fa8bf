"""What holds for accounts as exchanges judge them: a line above 1, haircuts on profit, margin for debts, what is owed at a surcharge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import isclose

import numpy as np
import pytest
from defi_risk_adapters.exchanges import common
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk import health
from defi_risk.health.account import assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.normal import Form, Holding, Key, Normal, in_floats, in_fractions
from defi_risk.health.turned import Margin, margin_of, turned
from defi_risk.ids import AssetId, Factor
from defi_risk.model import Account, Asset, Basis, Contract, Leg, Position, Price, Role
from defi_risk.snapshot import build, restore
from defi_risk.units import EXACT, Quantity
from tests import strategies as own
from tests.accounts import SETTINGS, USDC, USDT, margin, perp

QUOTES = {USDC: 1.0, USDT: 0.5}
"""Of coins that an account holds no margin in; a half is exact in every kind of number."""
LINES = st.sampled_from([Decimal(1), Decimal("1.05"), Decimal("1.25")])
TWOS = st.sampled_from([Decimal("0.25"), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(4)])


def changed(account: Account, change: Callable[[Leg], Leg]) -> Account:
    return replace(account, legs=tuple(map(change, account.legs)))


@own.examples(60)
@given(own.margin_accounts(convex=False), LINES)
def test_the_line_scales_what_is_required_and_nothing_else(account: Account, line: Decimal) -> None:
    plain, scaled = (in_fractions(replace(account, line=one), QUOTES) for one in (Decimal(1), line))
    assert scaled.requirement() == plain.requirement() * Fraction(line)
    assert (scaled.c, scaled.equity, scaled.collateral, scaled.debt) == (plain.c, plain.equity, plain.collateral, plain.debt)
    # the brackets begin where they did
    assert [ladder.gates for ladder in scaled.ladders] == [ladder.gates for ladder in plain.ladders]


@own.examples(60)
@given(own.margin_accounts(), own.decimals("0", "1"))
def test_a_haircut_on_profit_shrinks_what_counts_and_not_what_is_owned(account: Account, weight: Decimal) -> None:
    def cut(leg: Leg, share: Decimal) -> Leg:
        return leg if leg.position is None else replace(leg, position=replace(leg.position, pnl_weight=share))

    whole, less = (in_fractions(changed(account, partial(cut, share=share)), QUOTES) for share in (Decimal(1), weight))
    profit = sum((sum(one.worth.values()) for one in whole.holdings if one.leg.role is Role.POSITION), start=Fraction(0))
    assert whole.weighted() - less.weighted() == (1 - Fraction(weight)) * profit
    assert (whole.equity, whole.requirement(), whole.worth()) == (less.equity, less.requirement(), less.worth())


@own.examples(60)
@given(own.margin_accounts(), own.decimals("0", "0.2"), LINES)
def test_a_debt_needs_margin_beside_its_repayment(account: Account, rate: Decimal, line: Decimal) -> None:
    def backed(share: Decimal) -> Normal[Fraction]:
        legs = changed(account, lambda leg: replace(leg, maintenance_rate=share) if leg.role is Role.DEBT else leg)
        return in_fractions(replace(legs, line=line), QUOTES)

    without, with_it = backed(Decimal(0)), backed(rate)
    assert with_it.requirement() - without.requirement() == with_it.debt * Fraction(rate) * Fraction(line)
    assert with_it.initial - without.initial == with_it.debt * Fraction(rate) * Fraction(line)
    assert with_it.weighted() == without.weighted()


@own.examples(60)
@given(own.margin_accounts(), own.decimals("0", "1.5"))
def test_a_weight_above_one_makes_a_debt_dearer_and_no_holding_richer(account: Account, weight: Decimal) -> None:
    weighed = changed(account, lambda leg: replace(leg, weight=weight) if leg.role is Role.MARGIN else leg)
    normal = in_fractions(weighed, QUOTES)
    for holding in normal.holdings:
        if holding.leg.role is Role.MARGIN:
            share = min(Fraction(weight), Fraction(1)) if holding.value >= 0 else max(Fraction(weight), Fraction(1))
            assert holding.counts == {holding.key: holding.value * share}
    assert normal.equity == in_fractions(account, QUOTES).equity


@own.examples(80)
@given(own.margin_accounts())
def test_floats_are_the_fractions_rounded(account: Account) -> None:
    """Where brackets meet: elsewhere a notional on the edge of one may fall on either side of it."""
    sure, quick = in_fractions(account, QUOTES), in_floats(account, QUOTES)
    gross = float(sum(map(abs, sure.c.values())) + sure.requirement() + sum(abs(one.value) for one in sure.holdings))
    pairs = [
        (sure.weighted(), quick.weighted()),
        (sure.requirement(), quick.requirement()),
        (sure.equity, quick.equity),
        (sure.initial, quick.initial),
    ]
    for one, other in pairs:
        assert float(one) == pytest.approx(other, rel=1e-11, abs=1e-11 * gross)


def moved(account: Account, seen: dict[Key, Decimal]) -> Account:
    """The account as it would be read once prices have moved: what each leg says then, worked out here and not by the forms."""

    def price_of(key: Key) -> Decimal:
        return seen.get(key, Decimal(1))

    def read(leg: Leg) -> Leg:
        if leg.position is None:
            assert leg.price is not None
            value = EXACT.multiply(leg.price.value.decimal(), price_of(Key(leg.factor, leg.peg)))
            return replace(leg, price=Price(Quantity.of(value)))
        one = leg.position
        ratio = EXACT.divide(price_of(Key(leg.factor, leg.peg)), price_of(Key(one.quote, one.quote_peg)))
        return replace(leg, position=read_position(one, EXACT.multiply(one.mark, ratio)))

    return changed(account, read)


def read_position(one: Position, mark: Decimal) -> Position:
    linear = one.contract is Contract.LINEAR
    pnl = Fraction(one.unrealized_pnl) if one.unrealized_pnl is not None else None
    if pnl is not None:
        size = Fraction(one.size)
        pnl += size * (Fraction(mark) - Fraction(one.mark)) if linear else size / Fraction(one.mark) - size / Fraction(mark)
    told = None if pnl is None else EXACT.divide(Decimal(pnl.numerator), Decimal(pnl.denominator))
    return replace(one, mark=mark, unrealized_pnl=told)


@own.examples(80)
@given(own.margin_accounts(convex=False), st.data())
def test_the_forms_say_what_a_reading_would_say_after_a_move(account: Account, data: st.DataObject) -> None:
    assume(all(leg.position is None or leg.position.basis is Basis.MARK for leg in account.legs))
    normal = in_fractions(account, QUOTES)
    keys = sorted({key for one in normal.holdings for key in (*one.worth, *one.counts)}, key=str)
    seen = {key: data.draw(TWOS) for key in keys}
    quotes = {factor: usd * float(seen.get(Key(factor), Decimal(1))) for factor, usd in QUOTES.items()}
    after = in_fractions(moved(account, seen), quotes)
    assert after.weighted() == at(normal.c, seen)
    needed = at(normal.r, seen)
    for ladder in normal.ladders:
        needed += at(ladder.forms[sum(at(gate, seen) >= 0 for gate in ladder.gates)], seen)
    assert after.requirement() == needed
    assert after.equity == at(normal.worth(), seen)


def at(form: Form[Fraction], seen: dict[Key, Decimal]) -> Fraction:
    return sum((amount * Fraction(seen.get(key, Decimal(1))) for key, amount in form.items()), start=Fraction(0))


@own.examples(120)
@given(st.lists(own.positions(), min_size=1, max_size=6), own.decimals("0.01", "2"), LINES)
def test_readers_and_the_model_find_one_liquidation_price(legs: list[Leg], share: Decimal, line: Decimal) -> None:
    """Of all positions in one contract, on margin in the coin that it settles in: exact decimals there, closed forms here."""
    first = legs[0]
    held = [one for leg in legs if (one := leg.position) is not None and same_contract(first, leg)]
    assert first.position is not None
    inverse = first.position.contract is Contract.INVERSE
    coin, price = (first.factor, first.position.mark) if inverse else (first.position.quote, Decimal(1))
    cushion = EXACT.multiply(share, sum((common.notional(one) for one in held), Decimal(0))).quantize(Decimal("1e-9"))
    mine = tuple(replace(first, position=one) for one in held)
    account = replace(perp(margin(coin, cushion, price), *mine), line=line)
    found = common.joint_price(held, cushion, line)
    figures = health.run([account], SETTINGS, quotes=dict.fromkeys(QUOTES, 1.0)).accounts[account.id]
    assume(not figures.liquidatable and figures.surplus_usd > 1e-6 * figures.requirement_usd)
    mark = float(first.position.mark)
    moves = [mark * (1 + one.move) for one in figures.moves if one.factor == first.factor]
    nearest = min(moves, key=lambda one: abs(one - mark), default=None)
    if found is None or nearest is None:
        assert found is None or float(found) > 1e9 * mark or float(found) < 1e-9 * mark
        assert nearest is None or not 1e-9 * mark < nearest < 1e9 * mark
    elif abs(float(found) - mark) < 100 * mark:
        assert nearest == pytest.approx(float(found), rel=1e-7)


def same_contract(one: Leg, other: Leg) -> bool:
    first, second = one.position, other.position
    assert first is not None
    assert second is not None
    return (one.factor, first.quote, first.contract, first.mark) == (other.factor, second.quote, second.contract, second.mark)


def coins(future: Holding[float]) -> float:
    """Signed units of what it follows, at its own mark."""
    position = future.leg.position
    assert position is not None
    return float(position.size) / (1.0 if position.contract is Contract.LINEAR else float(position.mark))


def needs(future: Holding[float]) -> float:
    return future.ladder.now() if future.ladder else sum(future.needs.values())


@own.examples(60)
@given(own.margin_accounts(), st.sampled_from(["coin", "stable"]), st.data())
def test_margin_of_the_other_kind_is_worth_as_much(account: Account, kind: Margin, data: st.DataObject) -> None:
    held = [index for index, leg in enumerate(account.legs) if leg.position is not None and leg.position.basis is Basis.MARK]
    assume(held)
    index = data.draw(st.sampled_from(held))
    leg = replace(account.legs[index], asset=Asset(AssetId("own"), "own", 18))
    account = replace(account, legs=(*account.legs[:index], leg, *account.legs[index + 1 :]))
    before = in_floats(account, QUOTES)
    coin = before.holdings[index].key
    quotes = {key.factor: usd for key, usd in before.quotes.items()}
    inverse = leg.position is not None and leg.position.contract is Contract.INVERSE
    spot = Decimal(repr(before.holdings[index].coin_usd)) if inverse else Decimal("1234.5")
    other = turned(account, before, index, spot, kind)
    after = in_floats(other, {**QUOTES, **quotes})
    gross = sum(abs(one.value) for one in before.holdings) + abs(before.equity)
    # a coin that the account has more than one price of cannot be what its positions are quoted or settled in at both
    assume(all(isclose(usd, after.quotes.get(key, usd)) for key, usd in before.quotes.items()))
    settled = {id(one.leg): one.coin_usd for one in after.holdings}
    assume(all(isclose(one.coin_usd, settled.get(id(one.leg)) or one.coin_usd) for one in before.holdings if one.coin_usd))
    assert isclose(after.equity, before.equity, rel_tol=1e-9, abs_tol=1e-9 * gross)
    then, [future] = before.holdings[index], [one for one in after.holdings if one.leg.asset.id == "own"]
    assert future.key == coin
    assert isclose(coins(future), coins(then), rel_tol=1e-9)
    needed = needs(then) * (future.value / then.value - 1)  # a contract in its coin counts at what a coin is worth, not at its mark
    assert isclose(after.requirement(), before.requirement() + needed, rel_tol=1e-9, abs_tol=1e-9 * gross)
    assert margin_of(after, coin.factor, SETTINGS) in (kind, None)


@own.examples(40)
@given(own.books())
def test_arrays_say_the_same_as_the_forms_today(book: list[Account]) -> None:
    assessed = [assess(account, SETTINGS, {}) for account in book]
    arrays = Arrays.of(assessed)
    today = np.ones((1, len(arrays.keys)))
    for row, one in enumerate(assessed):
        gross = sum(map(abs, one.normal.c.values())) + one.normal.requirement()
        for found, wanted in (
            (arrays.weighted(today)[0, row], one.normal.weighted()),
            (arrays.requirement(today)[0, row], one.normal.requirement()),
            (arrays.equity(today)[0, row], one.normal.equity),
        ):
            assert isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12 * gross)


@own.examples(60)
@given(own.books())
def test_a_snapshot_gives_back_what_the_figures_rest_on(book: list[Account]) -> None:
    recorded = build("book", book, health.run(book, SETTINGS, quotes=QUOTES), (), (), 1_700_000_000, QUOTES)
    for account, record in zip(book, recorded.accounts, strict=True):
        again = restore.restore(record)
        assert (again.line, again.assumptions, again.numbers) == (account.line, account.assumptions, account.numbers)
        before, after = in_floats(account, QUOTES), in_floats(again, {**QUOTES, **quoted(account)})
        gross = sum(map(abs, before.c.values())) + abs(before.requirement()) + sum(abs(one.value) for one in before.holdings)
        assert after.weighted() == pytest.approx(before.weighted(), rel=1e-9, abs=1e-9 * gross)
        assert after.requirement() == pytest.approx(before.requirement(), rel=1e-9, abs=1e-9 * gross)
        for leg, other in zip(account.legs, again.legs, strict=True):
            assert float(other.maintenance_rate) == float(leg.maintenance_rate)
            if leg.position is not None and other.position is not None:
                assert other.position.expires == leg.position.expires
                assert float(other.position.pnl_weight) == float(leg.position.pnl_weight)


def quoted(account: Account) -> dict[Factor, float]:
    """USD per quote coin, as the account's own margin says it."""
    return {leg.factor: float(leg.price.value) for leg in account.legs if leg.role is Role.MARGIN and leg.price and not leg.peg}
