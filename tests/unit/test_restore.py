"""Accounts come back from a snapshot with the same figures; a snapshot that cannot be is refused in one line that names the account."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from msgspec import structs

from defi_risk import demo, health, model, snapshot
from defi_risk.errors import StoreError
from defi_risk.explain import explain
from defi_risk.health.normal import in_floats
from defi_risk.model import Contract
from defi_risk.snapshot.model import Account, Leg, Snapshot
from defi_risk.snapshot.restore import check, quotes, restore
from tests.accounts import ETH, SETTINGS, USDC, USDT, collateral, debt, loan, margin, perp, position
from tests.strategies import books, examples
from tests.taken import TIME, derivative, read, taken


def rebuilt(snap: Snapshot) -> Snapshot:
    """The snapshot of the restored accounts."""
    accounts, prices = [restore(account) for account in snap.accounts], quotes(snap.accounts)
    figures = health.run(accounts, SETTINGS, quotes=prices)
    return snapshot.build(snap.book, accounts, figures, (), (read(),), TIME, prices)


@pytest.mark.slow
@given(books())
@examples(150)
def test_a_restored_book_makes_the_same_snapshot(book: list[model.Account]) -> None:
    snap = taken(book)
    again = rebuilt(snap)
    assert again.accounts == snap.accounts
    assert again.book_health == snap.book_health
    assert again.digest == snap.digest


def test_the_demo_comes_back() -> None:
    snap = demo.snapshot()
    for account in snap.accounts:
        restored = restore(account)
        normal = in_floats(restored, quotes([account]))
        assert normal.weighted() == pytest.approx(account.weighted_collateral_usd, rel=1e-12)
        assert normal.requirement() == pytest.approx(account.requirement_usd, rel=1e-12)
        assert normal.weighted() - normal.requirement() == pytest.approx(account.surplus_usd, rel=1e-9)
        assert restored.exact is None
        native: dict[str, model.Native] = {**restored.native, **restored.stated}
        assert {name: model.as_text(value) for name, value in native.items()} == account.native
    assert quotes(snap.accounts) == {"USD": 1.0}  # GMX counts in dollars; everything else is quoted in a coin of the margin


def test_prices_of_quotes_come_from_the_terms() -> None:
    account = perp(margin(ETH, 5, 3000), position(ETH, -10, 3000, quote=USDT, entry=2900))
    snap = taken([account], prices={USDT: 0.97})
    [recorded] = snap.accounts
    assert quotes([recorded]) == {USDT: 0.97}
    assert in_floats(restore(recorded), {USDT: 0.97}).equity == recorded.equity_usd
    other = structs.replace(taken([account], prices={USDT: 0.98}).accounts[0], id="manual:other")
    with pytest.raises(StoreError, match="manual:other: USDT has two prices"):
        quotes([recorded, other])


def test_what_a_venue_says_of_its_profit_is_kept() -> None:
    account = perp(margin(USDC, 5000), position(ETH, 10, 3000, entry=2900, pnl=950))
    restored = restore(taken([account]).accounts[0])
    assert derivative(restored.legs[1]) == derivative(account.legs[1])
    assert in_floats(restored, {}).equity == 5950


SINCE = {
    *("accrued_funding", "accrued_fees", "exit_cost", "liquidation_fee", "funding_apart", "borrow_apr"),
    *("initial_usd", "accrued_funding_usd", "accrued_fees_usd"),
}
"""What older snapshots do not have, of terms of positions and of legs."""


def test_a_snapshot_of_an_older_release_is_read_restored_and_compared() -> None:
    now = taken([perp(margin(USDC, 5000), position(ETH, 10, 3000, entry=2900))])
    said = json.loads(now.to_json())
    del said["links"]
    for leg in said["accounts"][0]["legs"]:
        for part in (leg, leg["terms"] or {}):
            for name in SINCE & part.keys():
                del part[name]
    before = Snapshot.from_json(json.dumps(said))
    [recorded] = before.accounts
    check(recorded, restore(recorded))
    assert derivative(restore(recorded).legs[1]) == derivative(restore(now.accounts[0]).legs[1])
    assert explain(before, now).accounts[0].status == "unchanged"


def test_an_unknown_account_has_no_legs_and_keeps_its_reason() -> None:
    lost = loan(collateral(ETH, 1, 3000), status="unknown", reason="no\x1b[2J answer")
    restored = restore(taken([lost]).accounts[0])
    assert (restored.known, restored.legs, restored.reason) == (False, (), "no[2J answer")


def test_the_verdict_of_the_venue_is_kept() -> None:
    account = loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000), liquidatable=True, blocked="paused", strict=False)
    restored = restore(taken([account]).accounts[0])
    assert (restored.liquidatable, restored.blocked, restored.strict) == (True, "paused", False)


HEDGED = taken([loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000)), perp(margin(USDC, 12_000), position(ETH, -10, 3000))]).accounts
INVERSE = taken([perp(margin(ETH, 5, 3000), position(ETH, -9000, 3000, contract=Contract.INVERSE))]).accounts[0]


def damaged(account: Account, index: int, **changes: Any) -> Account:
    legs = list(account.legs)
    legs[index] = structs.replace(legs[index], **changes)
    return structs.replace(account, legs=tuple(legs))


def terms_of(leg: Leg, **changes: Any) -> Any:
    assert leg.terms is not None
    return structs.replace(leg.terms, **changes)


LOAN, PERP = HEDGED


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (damaged(PERP, 1, terms=None), "manual:perp: the position ETH has no terms: the snapshot was written by an older version"),
        (damaged(PERP, 1, size=None), "manual:perp: the position ETH has no amount"),
        (damaged(PERP, 1, entry_price=None), "manual:perp: the position ETH has no entry_price"),
        (damaged(LOAN, 0, amount=None), "manual:loan: the collateral ETH has no amount"),
        (damaged(LOAN, 0, price_usd=None), "manual:loan: the collateral ETH has no price_usd"),
        (damaged(LOAN, 0, weight=None), "manual:loan: the collateral ETH has no weight"),
        (damaged(LOAN, 0, amount="9" * 400), "manual:loan: the collateral ETH has an impossible amount"),
        (damaged(LOAN, 0, amount="9" * 5000), "manual:loan: the collateral ETH has an impossible amount"),
        (damaged(LOAN, 0, price_usd=float("inf")), "price_usd is inf, which is not a number to compute with"),
        (damaged(LOAN, 0, weight=float("nan")), "weight is nan, which is not a number to compute with"),
        (damaged(INVERSE, 1, entry_price=0.0), "manual:perp: the inverse position ETH has a price that is not above zero"),
        (damaged(INVERSE, 1, terms=terms_of(INVERSE.legs[1], mark=-1.0)), "has a price that is not above zero"),
    ],
)
def test_what_cannot_be_is_refused(account: Account, says: str) -> None:
    with pytest.raises(StoreError) as caught:
        restore(account)
    assert says in str(caught.value)
    assert str(caught.value).endswith("- scan again with this version")


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (structs.replace(LOAN, surplus_usd=12_900.01), "surplus_usd is 12900.01, but its legs make 12900"),
        (structs.replace(LOAN, surplus_usd=None), "surplus_usd is None"),
        (damaged(LOAN, 0, weight=0.9), "weighted_collateral_usd is 24900.0, but its legs make 27000"),
        (damaged(LOAN, 1, amount="12001"), "requirement_usd is 12000.0, but its legs make 12001"),
        (damaged(LOAN, 0, price_usd=1e308), "beyond what can be computed|weighted_collateral_usd"),
        (damaged(LOAN, 0, price_usd=1e308, amount="9" * 300), "weighted_collateral_usd is 24900.0, but its legs make inf"),
    ],
)
def test_figures_that_do_not_follow_from_the_legs_are_refused(account: Account, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        check(account, restore(account))
