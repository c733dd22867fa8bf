"""What-ifs: isolated and cross margin, funding swept into margin, margin by a scenario grid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import nan

import pytest

from defi_risk import health
from defi_risk.errors import UsageError
from defi_risk.health.whatif import compare, cross, grid_margin, isolated, sweep_funding
from defi_risk.ids import AccountId
from defi_risk.model import Account, Contract, Leg
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, Number, collateral, debt, loan, margin, opened, perp, position


def funded(leg: Leg, rate: str) -> Leg:
    assert leg.position is not None
    return replace(leg, position=replace(leg.position, funding_8h=Decimal(rate)))


def total(accounts: tuple[Account, ...], factor: str) -> Decimal:
    legs = [leg for account in accounts for leg in account.legs if leg.position is None and leg.factor == factor]
    return sum((leg.amount.decimal() for leg in legs), Decimal(0))


def altcoin(size: Number = 1000) -> Account:
    """Case I: 40,000 of stables and 30,000 of BTC behind 150,000 of an altcoin."""
    return perp(margin(USDC, 40_000), margin(BTC, "0.5", 60_000), position(SOL, size, 150, maintenance="0.01", initial="0.1"))


def test_isolated_positions_take_their_initial_requirement_along() -> None:
    account = perp(
        margin(USDC, 10_000),
        position(ETH, 10, 3000, initial="0.1"),
        position(BTC, "-0.5", 60_000, initial="0.05"),
    )
    first, second, rest = isolated(account)
    assert [one.mode for one in (first, second)] == ["isolated", "isolated"]
    assert [float(total((one,), USDC)) for one in (first, second, rest)] == pytest.approx([3_000, 1_500, 5_500])
    assert total((first, second, rest), USDC) == 10_000
    assert [len([leg for leg in one.legs if leg.position]) for one in (first, second, rest)] == [1, 1, 0]
    assert len({first.id, second.id, rest.id}) == 3
    figures = health.run([first, second, rest], SETTINGS).accounts
    assert figures[rest.id].withdrawable_usd == pytest.approx(5_500)
    assert figures[first.id].initial_requirement_usd == pytest.approx(figures[first.id].weighted_collateral_usd)


def test_isolated_margin_is_shared_where_there_is_too_little() -> None:
    account = perp(margin(USDC, 900), margin(BTC, "0.01", 60_000, "0.5"), position(ETH, 10, 3000, initial="0.1"), position(SOL, 10, 300))
    first, second, rest = isolated(account)
    weighted = [health.run([one], SETTINGS).accounts[one.id].weighted_collateral_usd for one in (first, second)]
    assert sum(weighted) == pytest.approx(1_200)
    assert weighted[0] / weighted[1] == pytest.approx(3_000 / 60)
    assert float(total((rest,), USDC)) == pytest.approx(0, abs=1e-9)
    assert total((first, second, rest), BTC) == Decimal("0.01")


def test_what_is_owed_stays_with_margin_that_covers_it() -> None:
    account = perp(margin(USDC, 5_000), margin(USDT, -1_000), debt(USDT, 500), position(ETH, 10, 3000, initial="0.2"))
    first, rest = isolated(account)
    figures = health.run([first, rest], SETTINGS).accounts
    assert figures[first.id].weighted_collateral_usd == pytest.approx(3_500)
    assert figures[rest.id].weighted_collateral_usd == pytest.approx(0, abs=1e-6)
    assert total((first, rest), USDT) == -500


def test_case_i_isolation_saves_what_is_not_posted() -> None:
    book = [altcoin()]
    split = isolated(book[0])
    comparison = compare(book, {book[0].id: split}, SETTINGS)
    assert comparison.accounts == split
    assert comparison.before.book.corridor[0] == pytest.approx((1_500 - 70_000) / (148_500 + 30_000), abs=1e-6)
    down = comparison.after.accounts[split[0].id].down
    assert down is not None
    assert down > -0.1
    kept = comparison.after.accounts[split[1].id]
    assert kept.hf is None
    assert kept.equity_usd == pytest.approx(70_000 - 15_000)


def test_cross_undoes_isolated() -> None:
    account = altcoin()
    merged = cross(isolated(account))
    before = health.run([account], SETTINGS).accounts[account.id]
    after = health.run([merged], SETTINGS).accounts[merged.id]
    for name in ("equity_usd", "weighted_collateral_usd", "requirement_usd", "surplus_usd", "hf", "down"):
        assert getattr(after, name) == pytest.approx(getattr(before, name))
    assert len(merged.legs) == len(account.legs)
    assert merged.mode == "cross"


def test_cross_margin_lets_a_hedge_help() -> None:
    long = perp(margin(USDC, 1_000), position(ETH, 1, 3000), name="long", venue="x")
    short = perp(margin(USDC, 1_000), position(ETH, -1, 3000), name="short", venue="x", strict=False)
    both = cross([long, short])
    comparison = compare([long, short], {long.id: [both], short.id: []}, SETTINGS)
    assert comparison.before.book.uhf is not None
    assert comparison.before.book.uhf < 1.5
    down, up = comparison.after.book.corridor
    assert down is None
    assert up == pytest.approx((2_000 - 120) / 120)
    assert not both.strict


def test_what_cannot_share_margin() -> None:
    one = altcoin()
    for others in ([one], [one, replace(one, venue="elsewhere")], [one, replace(one, owner="someone")]):
        with pytest.raises(UsageError, match="cannot share margin"):
            cross(others)


def test_no_account_shares_margin_with_itself() -> None:
    """Merged with itself an account would count twice, or vanish with its position."""
    with pytest.raises(UsageError, match="cannot share margin with itself"):
        cross([altcoin(), altcoin()])


def test_a_comparison_in_a_partial_book_is_a_bound() -> None:
    book = [altcoin()]
    found = compare(book, {book[0].id: isolated(book[0])}, SETTINGS, partial=True)
    assert (found.before.book.bound, found.after.book.bound) == ("at_most", "at_most")
    assert compare(book, {}, SETTINGS).after.book.bound == "exact"


def test_funding_income_becomes_margin() -> None:
    account = perp(margin(USDC, 1_000), funded(position(ETH, -10, 3000), "0.0001"))
    after = sweep_funding(account, 10)
    assert after.legs[0].amount.decimal() == 1_000 + 90  # 30,000 at 0.01 % three times a day
    paying = sweep_funding(perp(margin(USDC, 1_000), funded(position(ETH, 10, 3000), "0.0001")), 10)
    assert paying.legs[0].amount.decimal() == 910
    negative = sweep_funding(perp(margin(USDC, 1_000), funded(position(ETH, 10, 3000), "-0.0001")), 10)
    assert negative.legs[0].amount.decimal() == 1_090
    assert sweep_funding(account, 0) == account


@pytest.mark.parametrize("size", [10, -10])
def test_what_the_same_days_cost_to_borrow_is_paid_from_it(size: int) -> None:
    leg = opened(position(ETH, size, 3000), funding_8h="0.0001", borrow_apr="0.365")
    after = sweep_funding(perp(margin(USDC, 1_000), leg), 10)
    assert after.legs[0].amount.decimal() == 1_000 - 300 + (90 if size < 0 else -90)


def test_funding_of_an_inverse_contract_is_paid_in_its_coin() -> None:
    inverse = position(BTC, -60_000, 60_000, quote=USDT, contract=Contract.INVERSE)
    after = sweep_funding(perp(margin(BTC, 1, 60_000), funded(inverse, "0.001")), 1)
    assert after.legs[0].amount.decimal() == Decimal("1.003")


def test_funding_in_a_coin_without_margin_opens_a_balance() -> None:
    account = perp(margin(BTC, 1, 60_000), funded(position(ETH, -10, 3000), "0.0001"))
    after = sweep_funding(account, 10, {USDC: 0.98})
    assert total((after,), USDC) == 90
    assert health.run([after], SETTINGS, quotes={USDC: 0.98}).accounts[after.id].equity_usd == pytest.approx(60_000 + 90 * 0.98)


def test_funding_that_is_not_known_is_not_zero() -> None:
    with pytest.raises(UsageError, match="funding rate of ETH"):
        sweep_funding(perp(margin(USDC, 1_000), position(ETH, -10, 3000)), 10)
    for days in (-1.0, nan):
        with pytest.raises(UsageError, match="days of funding"):
            sweep_funding(altcoin(), days)


def test_the_grid_nets_within_a_factor() -> None:
    account = perp(margin(USDC, 10_000), position(ETH, 10, 3000, maintenance="0.1"), position(ETH, -9, 3000, maintenance="0.1"))
    found = grid_margin(account)
    assert found.grid_usd == pytest.approx(3_000 * 0.15)
    assert found.summed_usd == pytest.approx(5_700)
    assert found.difference_usd == found.summed_usd - found.grid_usd
    assert (found.scans[0].factor, found.scans[0].move) == (ETH, -0.15)


def test_the_grid_sums_over_factors() -> None:
    found = grid_margin(perp(margin(USDC, 10_000), position(ETH, 10, 3000), position(BTC, "-0.5", 60_000)), price=0.1)
    assert [scan.factor for scan in found.scans] == [BTC, ETH]
    assert [scan.move for scan in found.scans] == pytest.approx([0.1, -0.1])
    assert [scan.loss_usd for scan in found.scans] == pytest.approx([3_000, 3_000])
    assert grid_margin(perp(margin(USDC, 1), position(ETH, 10, 3000)), 0.1, 2.0).grid_usd == pytest.approx(6_000)
    assert grid_margin(perp(margin(USDC, 1))).grid_usd == 0


@pytest.mark.parametrize(("price", "volatility"), [(0.0, 1.0), (-0.1, 1.0), (0.6, 1.0), (0.15, 4.0), (nan, 1.0)])
def test_ranges_that_cannot_be(price: float, volatility: float) -> None:
    with pytest.raises(UsageError, match="price range"):
        grid_margin(altcoin(), price, volatility)


def test_only_known_derivatives_accounts() -> None:
    lent = loan(collateral(ETH, 1, 3000, "0.8"))
    lost = replace(altcoin(), status="unknown")
    for account, fault in ((lent, "is a loan"), (lost, "could not be read")):
        with pytest.raises(UsageError, match=fault):
            isolated(account)
        with pytest.raises(UsageError, match=fault):
            grid_margin(account)
    with pytest.raises(UsageError, match="no positions"):
        isolated(perp(margin(USDC, 1)))
    with pytest.raises(UsageError, match="no margin"):
        isolated(replace(altcoin(), legs=tuple(replace(leg, amount=Quantity(-1, 0)) for leg in altcoin().legs)))


def test_replacing_what_is_not_there() -> None:
    with pytest.raises(UsageError, match="no account manual:other"):
        compare([altcoin()], {AccountId("manual:other"): ()}, SETTINGS)
