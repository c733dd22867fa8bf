"""What has run up in a derivative and what leaving it costs: in C, in equity, in a liquidation and over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from defi_risk.explain.accrual import funding
from defi_risk.health.account import assess
from defi_risk.health.carry import carry_usd_per_year, time_to_liquidation
from defi_risk.health.cascade.liquidation import liquidate
from defi_risk.health.normal import Key, gain, in_floats, in_fractions
from defi_risk.health.settled import earned, scaled
from defi_risk.model import NOTHING, Account, Basis, Contract, Feed, Leg, LiquidationRule, Price, Role
from defi_risk.snapshot.restore import check, restore
from defi_risk.testing.moves import disagreements, subject, tick_faults, worse_with_more
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, SETTINGS, USD, USDC, asset, margin, opened, perp, position
from tests.taken import taken

YEAR = 365


def gmx(*legs: Leg) -> Account:
    """Case E of the model: 10 ETH long from 3,000, a closing fee of 0.07 % and a least collateral of 0.5 %, both of the size at entry."""
    long = position(ETH, 10, 3000, quote=USD, maintenance="0.005", basis=Basis.ENTRY)
    return perp(*legs, opened(long, exit_cost=21))


@pytest.mark.parametrize(("posted", "line"), [(margin(USDC, 6000), 2417.10), (margin(ETH, 2, 3000), 2514.25)])
def test_case_e_with_the_way_out_in_c(posted: Leg, line: float) -> None:
    one = assess(gmx(posted), SETTINGS, {})
    [down] = [move for move in one.figures.moves if move.factor == ETH]
    assert down.price == pytest.approx(line, rel=1e-12)
    assert (one.figures.equity_usd, one.figures.weighted_collateral_usd) == pytest.approx((6000, 5979))


def test_what_has_run_up_counts_in_equity_and_what_leaving_costs_does_not() -> None:
    leg = opened(position(ETH, -2, 3000, entry=3100), accrued_funding="12.5", accrued_fees="2.5", exit_cost=5)
    normal = in_floats(perp(margin(USDC, 1000), leg), {})
    assert (normal.equity, normal.weighted()) == pytest.approx((1000 + 200 + 10, 1000 + 200 + 10 - 5))
    assert float(in_fractions(perp(margin(USDC, 1000), leg), {}).weighted()) == normal.weighted()


def test_an_inverse_contract_settles_all_of_it_in_its_coin() -> None:
    leg = position(BTC, 60_000, 60_000, entry=50_000, contract=Contract.INVERSE)
    normal = in_floats(perp(margin(BTC, 1, 60_000), opened(leg, accrued_funding="0.01", accrued_fees="0.02", exit_cost="0.005")), {})
    assert normal.equity == pytest.approx(60_000 * (1 + 0.2 - 0.01))
    assert normal.weighted() == pytest.approx(60_000 * (1 + 0.2 - 0.01 - 0.005))
    assert sum(amount for key, amount in normal.c.items() if key.factor == BTC) == pytest.approx(60_000 * (1 + 1.2 - 0.015))


def closed(account: Account, rule: LiquidationRule, price: float = 1.0) -> tuple[float, float, float]:
    """Equity before, equity after and penalty of one liquidation with ETH at so many times its price."""
    ruled = replace(account, rule=rule)
    normal = in_floats(ruled, {})

    def seen(key: Key) -> float:
        return price if key.factor == ETH else 1.0

    done = liquidate(ruled, normal, seen)
    before, after = (sum(usd * seen(key) for key, usd in one.worth().items()) for one in (normal, done.after))
    assert before == pytest.approx(after + done.penalty_usd - done.bad_debt_usd)
    return before, after, done.penalty_usd


def test_a_liquidation_pays_for_the_way_out_and_its_own_fee() -> None:
    leg = opened(position(ETH, 10, 3000, fee="0.001"), exit_cost=40, liquidation_fee="0.002", accrued_fees=10)
    before, after, penalty = closed(perp(margin(USDC, 3000), leg), LiquidationRule(kind="close"), 0.9)
    assert (before, penalty, after) == pytest.approx((-10, 0, 0))  # nothing is left to pay with: it is bad debt
    before, after, penalty = closed(perp(margin(USDC, 4000), leg), LiquidationRule(kind="close"), 0.9)
    assert (before, penalty, after) == pytest.approx((4000 - 3000 - 10, 40 + 0.003 * 27_000, 869))


@pytest.mark.parametrize(
    ("rule", "posted", "share"),
    [
        (LiquidationRule(kind="close", close_factor=Decimal("0.5")), 590, 0.5),
        (LiquidationRule(kind="close", close_factor=Decimal("0.5"), full_below=Decimal("0.5")), 590, 0.5),
        (LiquidationRule(kind="close", close_factor=Decimal("0.5"), full_below=Decimal("0.5")), 300, 1.0),
        (LiquidationRule(kind="close", close_factor=Decimal("0.2"), full_under_usd=Decimal(30_001)), 590, 1.0),
        (LiquidationRule(kind="close", close_factor=Decimal("0.2"), full_under_usd=Decimal(30_000)), 590, 0.2),
    ],
)
def test_how_much_of_a_position_one_step_closes(rule: LiquidationRule, posted: int, share: float) -> None:
    account = replace(perp(margin(USDC, posted), position(ETH, 10, 3000)), rule=rule)
    done = liquidate(account, in_floats(account, {}), lambda _: 1.0)
    [left] = [one.value for one in done.after.holdings if one.leg.role is Role.POSITION] or [0.0]
    assert left == pytest.approx(30_000 * (1 - share))


def test_half_a_position_leaves_half_of_what_has_run_up() -> None:
    leg = opened(position(ETH, 10, 3000), accrued_funding=-100, exit_cost=60)
    account = replace(perp(margin(USDC, 600), leg), rule=LiquidationRule(kind="close", close_factor=Decimal("0.5")))
    done = liquidate(account, in_floats(account, {}), lambda _: 1.0)
    assert done.penalty_usd == pytest.approx(30)
    assert done.after.equity == pytest.approx(600 - 100 - 30)
    assert done.after.weighted() == pytest.approx(600 - 100 - 30 - 30)


def test_either_side_pays_to_borrow_and_one_of_them_funding() -> None:
    leg = opened(position(ETH, -10, 3000), funding_8h="0.0001", borrow_apr="0.1")
    one = assess(perp(margin(USDC, 3000), leg), SETTINGS, {})
    carry = carry_usd_per_year(one)
    assert (carry.funding, carry.borrow, carry.supply) == pytest.approx((30_000 * 0.0001 * 3 * YEAR, 3000, 0))
    one = assess(perp(margin(USDC, 3000), opened(position(ETH, -10, 3000), borrow_apr="0.1")), SETTINGS, {})
    assert time_to_liquidation(one) == pytest.approx((3000 - 600) / 3000 * YEAR)


@pytest.mark.parametrize("contract", [Contract.LINEAR, Contract.INVERSE])
def test_what_is_settled_in_decimals_is_what_the_normal_form_counts(contract: Contract) -> None:
    size = -3 if contract is Contract.LINEAR else -9000
    leg = opened(position(ETH, size, 3000, entry=2900, contract=contract), accrued_funding="-7.5", accrued_fees="2.25", exit_cost=4)
    assert leg.position is not None
    whole = earned(leg.position)
    assert float(whole) == pytest.approx(gain(leg.position, float), rel=1e-12)
    quarter = scaled(leg.position, Decimal("0.25"))
    assert float(earned(quarter)) == pytest.approx(float(whole) / 4, rel=1e-12)
    assert (quarter.entry, quarter.mark, quarter.exit_cost) == (leg.position.entry, leg.position.mark, Decimal(1))


@pytest.mark.parametrize(("apart", "days"), [(False, None), (True, 2400 / 9000 * YEAR)])
def test_funding_that_is_claimed_apart_saves_no_margin(apart: bool, days: float | None) -> None:
    """A short receives 32,850 USD a year and pays 9,000 to borrow: only what is added to the margin keeps it alive."""
    leg = opened(position(ETH, -10, 3000), funding_8h="0.001", borrow_apr="0.3")
    assert leg.position is not None
    leg = replace(leg, position=replace(leg.position, funding_apart=apart))
    one = assess(perp(margin(USDC, 3000), leg), SETTINGS, {})
    assert carry_usd_per_year(one).funding == pytest.approx(32_850)
    assert time_to_liquidation(one) == (days if days is None else pytest.approx(days))
    assert leg.position is not None
    assert funding(leg.position, 86_400) == pytest.approx((0 if apart else 90) - 9000 / YEAR)
    paying = replace(leg.position, size=Decimal(10))
    assert funding(paying, 86_400) == pytest.approx(-90 - 9000 / YEAR)


def test_a_snapshot_is_enough_to_compute_it_anew() -> None:
    terms = {"accrued_funding": "-1.25", "accrued_fees": "0.5", "exit_cost": "21.5", "liquidation_fee": "0.002", "borrow_apr": "0.08"}
    snapshot = taken([perp(margin(USDC, 1000), opened(position(ETH, 1, 3000, entry=2900), **terms))])
    [account] = snapshot.accounts
    leg = account.legs[1]
    assert (leg.unrealized_pnl_usd, leg.accrued_funding_usd, leg.accrued_fees_usd, leg.initial_usd) == (100, -1.25, 0.5, 60)
    again = restore(account)
    check(account, again)
    assert again.legs[1] == opened(again.legs[1], **terms)


@dataclass(frozen=True, slots=True)
class Venue:
    """A long or short in a venue's integers: dead where margin + size * (price - entry) is below the rate's share of the notional."""

    margin: int
    size: int
    entry: int
    price: int
    basis_points: int = 200

    def native(self) -> dict[str, int | bool]:
        return {"margin": self.margin}

    def feeds(self) -> tuple[Feed, ...]:
        return (Feed("mark", asset(ETH), self.price),)

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        price = answers.get("mark", self.price)
        return (self.margin + self.size * (price - self.entry)) * 10_000 < abs(self.size) * price * self.basis_points

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        return not (self.liquidatable({key: low}) or self.liquidatable({key: high}))  # linear between


def judged(size: int, posted: int = 6000, rate: str = "0.02") -> Account:
    """Prices with 8 decimals; the position's price names its feed."""
    exact = Venue(posted * 10**8, size, 3100 * 10**8, 3000 * 10**8)
    leg = replace(position(ETH, size, 3000, entry=3100, maintenance=rate), price=Price(Quantity.of(Decimal(3000)), source="mark"))
    return perp(margin(USDC, posted), leg, exact=exact)


@pytest.mark.parametrize("size", [10, -10, 3])
def test_the_tick_of_a_position_is_the_first_dead_mark(size: int) -> None:
    account = judged(size)
    one = assess(account, SETTINGS, {})
    [tick] = one.figures.ticks
    [move] = [move for move in one.figures.moves if move.factor == ETH]
    assert (tick.direction, tick.now) == ("down" if size > 0 else "up", 3000 * 10**8)
    assert tick.answer / 10**8 == pytest.approx(move.price, abs=2e-8)
    assert account.exact is not None
    assert account.exact.liquidatable({"mark": tick.answer})
    assert not account.exact.liquidatable({"mark": tick.answer + (1 if size > 0 else -1)})


@pytest.mark.parametrize("size", [10, -10])
def test_the_kit_holds_a_position_to_its_venue(size: int) -> None:
    of = subject(judged(size), 1e-9)
    assert of is not None
    assert list(disagreements(of, 200, seed=1)) == []
    assert list(tick_faults(of, seed=2)) == []
    assert list(worse_with_more(of, seed=3)) == []
    wrong = subject(judged(size, rate="0.0201"), 1e-9)
    assert wrong is not None
    assert any("the float model has" in finding for finding in disagreements(wrong, 200, seed=1))
