"""Attribution on random books: the parts add up, the opposite question has the opposite answer, and one cause alone is only that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.explain import Explanation, explain
from defi_risk.explain.model import CAUSES, Change
from defi_risk.explain.shapley import ALL, shapley
from defi_risk.export.explanation import as_text
from defi_risk.model import Account, Leg, Role
from defi_risk.snapshot import Snapshot
from defi_risk.units import Quantity
from tests.accounts import SETTINGS
from tests.strategies import BETA_SETTINGS, books, decimals, examples, holdings, margins, positions
from tests.taken import DAY, derivative, priced, sized, taken, weighed, with_legs

Changed = Callable[[Leg, Decimal], Leg]
times = decimals("0.5", "1.5")
rates = decimals("-0.02", "0.4")
rules = st.sampled_from(["linear", "per second", "per block", ""])


@st.composite
def rated(draw: st.DrawFn, book: list[Account]) -> list[Account]:
    """The book with rates of interest and funding."""

    def rate(leg: Leg) -> Leg:
        if leg.position is not None:
            funding, borrow = draw(st.none() | decimals("-0.003", "0.003")), draw(st.none() | decimals("0", "0.3"))
            return replace(leg, position=replace(leg.position, funding_8h=funding, borrow_apr=borrow))
        return replace(leg, apr=draw(st.none() | rates), compounding=draw(rules))

    return [with_legs(account, rate) for account in book]


@st.composite
def altered(draw: st.DrawFn, book: list[Account]) -> list[Account]:
    """The same book after anything: prices, amounts, weights, legs and accounts that came and went."""
    found: list[Account] = []
    for index, account in enumerate(book):
        if index and draw(st.integers(0, 5)) == 0:
            continue
        changed = account
        for change in (priced, sized, weighed):
            if draw(st.booleans()):
                changed = with_legs(changed, lambda leg, change=change: change(leg, draw(times)))  # type: ignore[misc]
        legs = [leg for leg in changed.legs if draw(st.integers(0, 5))]
        if draw(st.integers(0, 3)) == 0:
            legs.append(draw(holdings() if account.side == "lending" else st.one_of(margins(), positions())))
        if draw(st.booleans()):
            legs = [replace(leg, enabled=draw(st.booleans())) if leg.role is Role.COLLATERAL else leg for leg in legs]
        found.append(replace(changed, legs=tuple(draw(st.permutations(legs))), strict=draw(st.booleans())))
    if draw(st.integers(0, 5)) == 0:
        found += [replace(account, id=type(account.id)(f"{account.id}-new")) for account in draw(books(1))]
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """Two snapshots of one book, up to a month apart in either direction."""
    first = draw(books().flatmap(rated))
    last = draw(altered(first).flatmap(rated))
    settings = draw(st.sampled_from([SETTINGS, BETA_SETTINGS]))
    return taken(first, settings=settings), taken(last, draw(st.integers(-30 * DAY, 30 * DAY)), settings=settings)


def changes(found: Explanation) -> list[Change]:
    """Everything that was split."""
    return [*(account.surplus_usd for account in found.accounts), found.book.uhf, found.book.surplus_usd]


@pytest.mark.slow
@given(pairs())
@examples(60)
def test_parts_add_up_and_the_opposite_question_negates_them(pair: tuple[Snapshot, Snapshot]) -> None:
    first, last = pair
    found, back = explain(first, last, settings=SETTINGS), explain(last, first, settings=SETTINGS)
    recorded = [{account.id: account.surplus_usd for account in snapshot.accounts} for snapshot in pair]
    for account in found.accounts:
        change = account.surplus_usd
        assert change.parts is not None
        assert change.before == pytest.approx(recorded[0].get(account.id, 0.0), rel=1e-12, abs=1e-9)
        assert change.after == pytest.approx(recorded[1].get(account.id, 0.0), rel=1e-12, abs=1e-9)
        assert abs(change.parts.residual) < 0.01
    for there, again in zip(changes(found), changes(back), strict=True):
        assert (there.before, there.after) == (again.after, again.before)
        if there.parts is None or again.parts is None or there.before is None or there.after is None:
            assert there.parts is again.parts is None
            continue
        split = [getattr(there.parts, cause) for cause in (*CAUSES, "residual")]
        assert fsum(split) == pytest.approx(there.after - there.before, rel=1e-12, abs=1e-9)
        assert split == [-getattr(again.parts, cause) for cause in (*CAUSES, "residual")]
    assert "NaN" not in found.to_json()
    assert as_text(found, 80).startswith("unified health")


@given(books().flatmap(rated), st.permutations(range(4)))
@examples(25)
def test_nothing_changed_and_the_order_of_accounts(book: list[Account], order: list[int]) -> None:
    found = explain(taken(book), taken(book, DAY))
    assert {account.status for account in found.accounts} == {"unchanged"}
    for change in changes(found):
        assert change.parts is None or {getattr(change.parts, cause) for cause in CAUSES} == {0.0}
    other = [book[index] for index in order if index < len(book)]
    moved = [with_legs(account, lambda leg: priced(leg, Decimal("0.97"))) for account in book]
    straight = explain(taken(book), taken(moved, DAY), settings=SETTINGS)
    turned = explain(taken(other), taken(moved, DAY), settings=SETTINGS)
    assert (straight.accounts, straight.book) == (turned.accounts, turned.book)


@pytest.mark.parametrize(("change", "cause"), [(priced, "price"), (sized, "flow"), (weighed, "parameters")])
@given(book=books(), data=st.data())
@examples(40)
def test_one_cause_alone_is_only_that_one(change: Changed, cause: str, book: list[Account], data: st.DataObject) -> None:
    later = [with_legs(account, lambda leg: change(leg, data.draw(times))) for account in book]
    found = explain(taken(book), taken(later, DAY))
    for one in changes(found):
        if one.parts is not None:
            assert {name for name in CAUSES if getattr(one.parts, name)} <= {cause}
            assert getattr(one.parts, cause) == pytest.approx((one.after or 0) - (one.before or 0), rel=1e-9, abs=1e-6)


def a_week(account: Account, days: int) -> Account:
    """What the venue's books say later, at unchanged prices: worked out with decimals."""
    legs: list[Leg] = []
    for leg in account.legs:
        if leg.position is not None or leg.apr is None:
            legs.append(leg)
            continue
        power = leg.apr * days / 365
        grown = power.exp() if leg.compounding in ("per second", "per block") else 1 + power
        legs.append(replace(leg, amount=Quantity.of(leg.amount.decimal() * grown)))
    for leg in account.legs:
        position = leg.position
        if position is None or (position.funding_8h is None and position.borrow_apr is None):
            continue
        inverse = position.contract == "inverse"
        notional = position.size / position.mark if inverse else position.size * position.mark
        paid = notional * (position.funding_8h or 0) * 3 * days + abs(notional) * (position.borrow_apr or 0) * days / 365
        coin = (leg.factor, leg.peg) if inverse else (position.quote, position.quote_peg)
        margin = next((index for index, one in enumerate(legs) if one.role is Role.MARGIN and (one.factor, one.peg) == coin), None)
        if margin is None:
            index = legs.index(leg)
            legs[index] = replace(leg, position=replace(derivative(leg), accrued_funding=position.accrued_funding - paid))
        else:
            legs[margin] = replace(legs[margin], amount=Quantity.of(legs[margin].amount.decimal() - paid))
    return replace(account, legs=tuple(legs))


def plain(account: Account) -> bool:
    """Whether no two legs are of one kind, so that funding has one place to go."""
    kinds = [
        (leg.role, leg.asset.id, bool(leg.position and leg.position.size > 0), leg.position and leg.position.contract)
        for leg in account.legs
    ]
    return len({*kinds}) == len(kinds)


@pytest.mark.slow
@given(books().filter(lambda book: all(map(plain, book))).flatmap(rated), st.integers(1, 30))
@examples(50)
def test_time_alone_is_only_carry(book: list[Account], days: int) -> None:
    later = [a_week(account, days) for account in book]
    found = explain(taken(book), taken(later, days * DAY))
    for account, was in zip(found.accounts, sorted(book, key=lambda one: one.id), strict=True):
        parts = account.surplus_usd.parts
        assert parts is not None
        gross = sum(abs(float(leg.amount)) * float(leg.price.value) for leg in was.legs if leg.price)
        gross += sum(abs(float(one.size * one.mark)) for leg in was.legs if (one := leg.position))
        assert (parts.price, parts.parameters) == (0.0, 0.0)
        assert abs(parts.flow) <= 1e-9 * gross + 1e-9


@given(st.lists(st.floats(-1e9, 1e9), min_size=ALL + 1, max_size=ALL + 1))
@examples(60)
def test_shapley_values_add_up_and_turn_with_the_question(values: list[float]) -> None:
    parts = shapley(values)
    assert fsum(parts) == pytest.approx(values[ALL] - values[0], abs=1e-6)
    assert shapley(values[::-1]) == tuple(-part + 0.0 for part in parts)
    flat = [values[state & ~2] for state in range(ALL + 1)]
    assert shapley(flat)[1] == 0.0
