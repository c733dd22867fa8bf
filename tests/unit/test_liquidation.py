"""One liquidation, by hand: what a liquidator takes, what a venue absorbs or closes, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from defi_risk.health.cascade.holdings import at
from defi_risk.health.cascade.liquidation import Taken, liquidate
from defi_risk.health.normal import Key, in_floats
from defi_risk.ids import Factor
from defi_risk.model import Account, Basis, Contract, Leg, LiquidationRule, Role
from tests.accounts import BTC, ETH, USD, USDC, USDT, Number, collateral, debt, loan, margin, perp, position

HALF = Decimal("0.5")
OLD = LiquidationRule(kind="repay", close_factor=HALF, full_below=Decimal("0.95"))
"""Aave V3 up to 3.2."""
NEW = replace(OLD, of_whole=True, full_under_usd=Decimal(2000), dust_usd=Decimal(1000))
"""Aave V3 from 3.3 on."""
COMPOUND = LiquidationRule(kind="repay", close_factor=HALF)
ABSORB = LiquidationRule(kind="absorb")
CLOSE = LiquidationRule(kind="close")
DAI = Factor("DAI")


def pledged(factor: Factor, amount: Number, price: Number = 1, weight: Number = "0.83", bonus: Number = "0.05") -> Leg:
    return replace(collateral(factor, amount, price, weight), bonus=Decimal(str(bonus)))


def take(account: Account, rule: LiquidationRule, moved: Mapping[Factor, float] | None = None, *, whole: bool = False) -> Taken:
    """Liquidate at today's prices, or with some factors multiplied."""
    ruled = replace(account, rule=rule)
    normal = in_floats(ruled, {})

    def seen(key: Key) -> float:
        return (moved or {}).get(key.factor, 1.0)

    taken = liquidate(ruled, normal, seen, whole=whole)
    before, after = at(normal.worth(), seen), at(taken.after.worth(), seen)
    assert before == pytest.approx(after + taken.penalty_usd - taken.bad_debt_usd, rel=1e-12, abs=1e-9)
    assert sum(taken.after.worth().values()) == pytest.approx(taken.after.equity, abs=1e-9)
    return taken


def values(taken: Taken, role: Role) -> dict[str, object]:
    """What is left, by factor, in USD at today's prices."""
    return {str(one.key.factor): pytest.approx(one.value, abs=1e-6) for one in taken.after.holdings if one.leg.role is role}


def eth_loan(owed: Number) -> Account:
    return loan(pledged(ETH, 10, 3000), debt(USDC, owed))


def test_half_of_the_debt_is_repaid_just_below_the_line() -> None:
    taken = take(eth_loan(24_900), OLD)
    assert (taken.repaid_usd, taken.seized_usd) == pytest.approx((12_450, 13_072.5))
    assert (taken.penalty_usd, taken.bad_debt_usd) == pytest.approx((622.5, 0))
    assert not taken.spiral
    assert values(taken, Role.COLLATERAL) == {"ETH": 16_927.5}
    assert values(taken, Role.DEBT) == {"USDC": 12_450}
    assert taken.after.weighted() / taken.after.requirement() == pytest.approx(2 - 0.83 * 1.05)
    assert (taken.after.collateral, taken.after.debt) == pytest.approx((16_927.5, 12_450))


def test_prices_of_the_event_count_and_what_is_left_is_counted_at_todays() -> None:
    taken = take(eth_loan(18_675), OLD, {ETH: 0.75})
    assert (taken.repaid_usd, taken.seized_usd) == pytest.approx((9_337.5, 9_804.375))
    assert values(taken, Role.COLLATERAL) == {"ETH": 30_000 - 9_804.375 / 0.75}


def test_all_of_it_at_095_and_below() -> None:
    taken = take(eth_loan(27_000), OLD)
    assert (taken.repaid_usd, taken.seized_usd) == pytest.approx((27_000, 28_350))
    assert values(taken, Role.DEBT) == {}
    assert take(eth_loan(26_200), OLD).repaid_usd == pytest.approx(13_100)  # 0.9504
    assert take(eth_loan(26_220), OLD).repaid_usd == pytest.approx(26_220)  # 0.9497


def test_from_33_on_half_of_all_debts_together() -> None:
    both = loan(pledged(ETH, 20, 3000), debt(USDC, 30_000), debt(DAI, 20_000))
    assert take(both, NEW).repaid_usd == pytest.approx(25_000)
    assert take(both, OLD).repaid_usd == pytest.approx(15_000)
    small = loan(pledged(ETH, 20, 3000), debt(USDC, 25_500), debt(DAI, 24_500))
    assert take(small, NEW).repaid_usd == pytest.approx(25_000 - 500)  # 500 would be dust


def test_the_largest_debt_against_the_largest_collateral_at_the_events_prices() -> None:
    many = loan(pledged(ETH, 4, 3000), pledged(BTC, "0.15", 60_000, "0.75", "0.1"), debt(USDC, 9_000), debt(DAI, 8_000))
    assert values(take(many, OLD), Role.COLLATERAL) == {"ETH": 12_000 - 4_725, "BTC": 9_000}
    fallen = take(many, OLD, {ETH: 0.7})
    assert values(fallen, Role.COLLATERAL)["ETH"] == 12_000
    assert fallen.seized_usd == pytest.approx(9_000)  # 9,900 would be more than the bitcoin
    assert fallen.repaid_usd == pytest.approx(9_000 / 1.1)


def test_two_debts_in_one_asset_are_one() -> None:
    """Aave 3.0 at a variable and a stable rate: half of both together, the variable one first."""
    taken = take(loan(pledged(ETH, 10, 3000), debt(USDC, 9_000), debt(DAI, 9_500), debt(USDC, 6_000)), OLD)
    assert taken.repaid_usd == pytest.approx(7_500)
    assert [one.value for one in taken.after.holdings if one.key.factor == USDC] == pytest.approx([1_500, 6_000])
    more = take(loan(pledged(ETH, 10, 3000), debt(USDC, 4_000), debt(DAI, 9_500), debt(USDC, 11_000)), OLD)
    assert [one.value for one in more.after.holdings if one.key.factor == USDC] == pytest.approx([7_500])


def test_small_positions_may_be_repaid_whole() -> None:
    assert take(loan(pledged(ETH, 1, 1900), debt(USDC, 1_590)), NEW).repaid_usd == pytest.approx(1_590)
    assert take(loan(pledged(ETH, 1, 2400), debt(USDC, 1_995)), NEW).repaid_usd == pytest.approx(1_995)
    assert take(loan(pledged(ETH, 1, 2500), debt(USDC, 2_100)), NEW).repaid_usd == pytest.approx(1_050)


def test_no_dust_of_the_debt_is_left() -> None:
    taken = take(loan(pledged(ETH, 1, 5700), debt(USDC, 2_500), debt(DAI, 2_300)), NEW)
    assert taken.repaid_usd == pytest.approx(1_500)
    assert values(taken, Role.DEBT) == {"USDC": 1_000, "DAI": 2_300}


def test_no_dust_of_the_collateral_is_left() -> None:
    taken = take(loan(pledged(ETH, 1, 3000), pledged(BTC, 1, 2900), debt(USDC, 5_000)), NEW)
    assert (taken.seized_usd, taken.repaid_usd) == pytest.approx((2_000, 2_000 / 1.05))
    assert values(taken, Role.COLLATERAL) == {"ETH": 1_000, "BTC": 2_900}


def test_where_every_part_would_leave_dust_all_of_it_goes() -> None:
    rule = replace(OLD, dust_usd=Decimal(1000))  # and no leave to repay small debts whole
    taken = take(loan(pledged(ETH, 1, 1000), debt(USDC, 835)), rule)
    assert (taken.repaid_usd, taken.seized_usd) == pytest.approx((835, 876.75))


def test_below_threshold_times_one_plus_bonus_health_falls() -> None:
    falling = take(eth_loan(29_000), COMPOUND)  # 0.8586 < 0.8715
    assert falling.spiral
    assert falling.after.weighted() / falling.after.requirement() == pytest.approx((30_000 - 15_225) * 0.83 / 14_500)
    assert not take(eth_loan(28_500), COMPOUND).spiral  # 0.8737
    assert not take(eth_loan("28571.428571428571"), COMPOUND).spiral  # on it: 0.8715


def test_a_debt_beyond_the_collateral_is_bad() -> None:
    taken = take(eth_loan(40_000), OLD)
    assert (taken.seized_usd, taken.repaid_usd) == pytest.approx((30_000, 30_000 / 1.05))
    assert taken.bad_debt_usd == pytest.approx(40_000 - 30_000 / 1.05)
    assert taken.spiral
    assert taken.after.holdings == ()
    assert (taken.after.equity, taken.after.debt, taken.after.requirement()) == (0, 0, 0)


def test_a_debt_is_not_bad_while_other_collateral_is_left() -> None:
    taken = take(loan(pledged(ETH, 10, 3000), pledged(BTC, 1, 5000), debt(USDC, 40_000)), OLD)
    assert taken.bad_debt_usd == 0
    assert values(taken, Role.DEBT) == {"USDC": 40_000 - 30_000 / 1.05}
    assert values(taken, Role.COLLATERAL) == {"BTC": 5_000}


def test_only_what_counts_as_collateral_can_be_taken() -> None:
    aside = collateral(BTC, 1, 60_000, "0.75", enabled=False)
    weightless = pledged(DAI, 50_000, weight=0)
    taken = take(loan(aside, weightless, pledged(ETH, 10, 3000), debt(USDC, 40_000)), OLD)
    assert values(taken, Role.COLLATERAL) == {"BTC": 60_000, "DAI": 50_000}
    assert taken.bad_debt_usd == pytest.approx(40_000 - 30_000 / 1.05)


def test_where_nothing_can_be_taken_nothing_happens() -> None:
    ruled = replace(loan(collateral(BTC, 1, 60_000, enabled=False), debt(USDC, 500)), rule=OLD)
    normal = in_floats(ruled, {})
    assert liquidate(ruled, normal, lambda _: 1.0) == Taken(normal, 0, 0, 0, 0, spiral=False)
    assert liquidate(ruled, normal, lambda _: 1.0).after is normal


def test_whole_takes_all_whatever_the_close_factor() -> None:
    assert take(eth_loan(24_900), COMPOUND, whole=True).repaid_usd == pytest.approx(24_900)


def test_absorbed_with_a_surplus_that_becomes_a_supply() -> None:
    held = (pledged(ETH, 10, 3000), pledged(BTC, "0.1", 60_000, "0.8", "0.1"), pledged(DAI, 100, weight=0, bonus=1))
    taken = take(loan(*held, debt(USDC, 30_000)), ABSORB)
    credit = 30_000 * 0.95 + 6_000 * 0.9
    assert (taken.seized_usd, taken.repaid_usd, taken.penalty_usd) == pytest.approx((36_100, credit, 36_100 - credit))
    assert values(taken, Role.COLLATERAL) == {"USDC": credit - 30_000}
    assert (taken.after.weighted(), taken.after.requirement(), taken.after.collateral) == (0, 0, 0)
    assert taken.after.equity == pytest.approx(credit - 30_000)


def test_absorbed_with_a_shortfall() -> None:
    taken = take(loan(pledged(ETH, 10, 3000), debt(USDC, 29_000)), ABSORB)
    assert taken.bad_debt_usd == pytest.approx(500)
    assert taken.after.holdings == ()


def test_absorbed_without_collateral() -> None:
    assert take(loan(debt(USDC, 29_000)), ABSORB).bad_debt_usd == 29_000
    assert take(loan(pledged(ETH, 1, 3000)), ABSORB).after.equity == 3_000


def short(fee: Number = 0) -> Account:
    """Case A's hedge: dead at 4,117.65."""
    return perp(margin(USDC, 12_000), position(ETH, -10, 3000, fee=fee))


def test_closed_and_the_rest_refunded() -> None:
    taken = take(short(), CLOSE, {ETH: 7 / 5.1})
    assert (taken.seized_usd, taken.repaid_usd, taken.penalty_usd, taken.bad_debt_usd) == (0, 0, 0, 0)
    assert values(taken, Role.MARGIN) == {"USDC": 823.529412}
    assert not any(one.leg.role is Role.POSITION for one in taken.after.holdings)
    assert (taken.after.requirement(), taken.after.initial) == (0, 0)


def test_closed_and_the_rest_lost() -> None:
    taken = take(short(), replace(CLOSE, remainder="lost"), {ETH: 7 / 5.1})
    assert (taken.penalty_usd, taken.seized_usd) == pytest.approx((823.529412, 823.529412))
    assert taken.after.holdings == ()


def test_the_closing_fee_is_paid_out_of_what_is_left() -> None:
    taken = take(short(fee="0.001"), CLOSE, {ETH: 1.37})
    assert taken.penalty_usd == pytest.approx(41.1)
    assert values(taken, Role.MARGIN) == {"USDC": 12_000 - 11_100 - 41.1}
    poor = take(short(fee="0.001"), CLOSE, {ETH: 1.3995})
    assert poor.penalty_usd == pytest.approx(15)
    assert (poor.after.equity, poor.bad_debt_usd) == pytest.approx((0, 0), abs=1e-9)


def test_fees_on_the_size_at_entry() -> None:
    linear = position(ETH, 10, 3000, entry=2800, fee="0.001", basis=Basis.ENTRY)
    inverse = position(BTC, 30_000, 60_000, entry=50_000, quote=USD, contract=Contract.INVERSE, fee="0.001", basis=Basis.ENTRY)
    assert take(perp(margin(USDC, 6_000), linear), CLOSE, {ETH: 0.9, USDC: 0.98}).penalty_usd == pytest.approx(28 * 0.98)
    assert take(perp(margin(BTC, 1, 60_000), inverse), CLOSE, {BTC: 0.9}).penalty_usd == pytest.approx(0.0006 * 54_000)


def test_equity_below_zero_is_the_venues_loss() -> None:
    taken = take(short(fee="0.001"), CLOSE, {ETH: 1.5})
    assert (taken.penalty_usd, taken.bad_debt_usd) == pytest.approx((0, 3_000))
    assert taken.after.holdings == ()


def test_a_loss_beyond_its_coin_is_paid_by_the_other_margin() -> None:
    account = perp(margin(ETH, 2, 3000, "0.95"), margin(BTC, "0.1", 60_000, "0.9"), margin(USDC, 1_000), position(ETH, 10, 3000))
    taken = take(account, CLOSE, {ETH: 0.8})
    # 6,000 are lost: 1,000 in coin, 4,800 of ether at the event's prices, 200 of bitcoin, whose haircut is the larger one
    assert values(taken, Role.MARGIN) == {"BTC": 5_800}
    assert taken.after.equity == pytest.approx(5_800)


def test_debts_are_paid_once_nothing_is_open() -> None:
    account = perp(margin(BTC, "0.1", 60_000, "0.9"), debt(USDT, 2_000), position(ETH, 1, 3000))
    taken = take(account, CLOSE, {ETH: 0.9})
    assert values(taken, Role.DEBT) == {}
    assert values(taken, Role.MARGIN) == {"BTC": 6_000 - 2_000 - 300}


def test_without_positions_what_is_owed_is_paid() -> None:
    account = perp(margin(BTC, "0.1", 60_000, "0.9"), debt(USDT, 5_800))
    assert values(take(account, CLOSE), Role.MARGIN) == {"BTC": 200}
    assert take(account, CLOSE, {BTC: 0.9}).bad_debt_usd == pytest.approx(400)
    assert take(perp(debt(USDT, 5_800)), CLOSE).after.debt == 5_800


def test_margin_that_the_venue_does_not_count_is_left_alone() -> None:
    idle = replace(margin(BTC, "0.1", 60_000), enabled=False)
    taken = take(perp(idle, margin(USDC, 12_000), position(ETH, -10, 3000)), CLOSE, {ETH: 1.5})
    assert taken.bad_debt_usd == pytest.approx(3_000)
    assert values(taken, Role.MARGIN) == {"BTC": 6_000}


def test_half_of_every_position_closed() -> None:
    account = perp(margin(USDC, 600), position(ETH, 10, 3000, fee="0.001"), position(BTC, "0.1", 60_000, maintenance="0.01"))
    taken = take(account, replace(CLOSE, close_factor=HALF), {ETH: 0.99})
    assert taken.penalty_usd == pytest.approx(29_700 * 0.001 / 2)
    assert values(taken, Role.MARGIN) == {"USDC": 600 - 150 - 14.85}
    assert values(taken, Role.POSITION) == {"ETH": 15_000, "BTC": 3_000}
    assert taken.after.requirement() == pytest.approx(15_000 * 0.021 + 30)
    assert taken.after.equity == pytest.approx(600 - 150 - 14.85)  # at today's prices the open half has lost nothing
    assert not taken.spiral
    rest = next(one.leg.position for one in taken.after.holdings if one.key.factor == ETH)
    assert rest is not None
    assert rest.size == 5


def test_brackets_follow_the_smaller_size() -> None:
    tiers = [(0, "0.01", 0), (20_000, "0.05", 800)]
    account = perp(margin(USDC, 700), position(ETH, 10, 3000, maintenance=tiers))
    assert in_floats(account, {}).requirement() == pytest.approx(700)
    taken = take(account, replace(CLOSE, close_factor=HALF))
    assert taken.after.requirement() == pytest.approx(150)
    again = liquidate(replace(account, rule=replace(CLOSE, close_factor=HALF)), taken.after, lambda _: 1.0)
    assert again.after.requirement() == pytest.approx(75)


def test_an_account_worth_nothing_is_closed_whole() -> None:
    taken = take(short(), replace(CLOSE, close_factor=HALF), {ETH: 1.4})
    assert taken.after.holdings == ()


def test_inverse_contracts_settle_in_their_coin() -> None:
    account = perp(
        margin(BTC, "0.1", 60_000), position(BTC, 30_000, 60_000, quote=USD, contract=Contract.INVERSE, maintenance="0.01", fee="0.001")
    )
    taken = take(account, CLOSE, {BTC: 0.9})
    coins = 0.1 + 30_000 / 60_000 - 30_000 / 54_000 - 30 / 54_000
    assert values(taken, Role.MARGIN) == {"BTC": pytest.approx(coins * 60_000)}
    assert taken.penalty_usd == pytest.approx(30)


def test_a_profit_in_a_coin_that_became_worthless_is_paid_in_dollars() -> None:
    account = perp(margin(BTC, 1, 60_000), position(ETH, 10, 3000, quote=USDT))
    taken = take(account, CLOSE, {USDT: 0.0})
    assert values(taken, Role.MARGIN) == {"BTC": 60_000, "USD": 30_000}


def test_profit_is_booked_to_a_coin_of_its_own_where_there_was_none() -> None:
    taken = take(perp(margin(BTC, "0.1", 60_000), position(ETH, 10, 3000, quote=USDT)), CLOSE, {ETH: 1.1, USDT: 0.95})
    # the price in USDT is 3,300 / 0.95
    assert values(taken, Role.MARGIN) == {"BTC": 6_000, "USDT": 10 * (3300 / 0.95 - 3000)}


def test_derivatives_are_closed_whatever_kind_their_rule_names() -> None:
    """To absorb a position's notional as if it were collateral would give its owner thousands that do not exist."""
    long = perp(margin(USDC, 500), position(ETH, 10, 3000))
    assert take(long, ABSORB, {ETH: 0.99}) == take(long, CLOSE, {ETH: 0.99})
    assert take(long, ABSORB, {ETH: 0.99}).after.equity == pytest.approx(200)
    owing = perp(margin(USDC, 6_000), debt(USDT, 5_500), position(ETH, 10, 3000))
    assert take(owing, ABSORB).after.equity == pytest.approx(500)


def test_a_part_closed_where_brackets_do_not_meet() -> None:
    """The deduction eats the whole requirement today, and half of the position needs something: no ratio to compare with."""
    tiers = [(0, "0.01", 0), (30_000, "0.01", 300)]
    account = perp(margin(USDC, -1_000), margin(BTC, 1, 60_000, "0.001"), position(ETH, 10, 3000, maintenance=tiers))
    taken = take(account, replace(CLOSE, close_factor=HALF))
    assert not taken.spiral
    assert taken.after.requirement() == pytest.approx(150)
