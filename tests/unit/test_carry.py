"""What interest and funding do to an account at unchanged prices."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import exp, log

import pytest

from defi_risk import manual
from defi_risk.book import ManualDebt, ManualHolding, ManualSettings
from defi_risk.health.account import Assessed, assess
from defi_risk.health.carry import Carry, carry_usd_per_year, time_to_liquidation
from defi_risk.model import Account, Contract, Leg, Side
from tests.accounts import ETH, SETTINGS, USDC, USDT, Number, collateral, debt, loan, margin, number, perp, position

YEAR = 365.0


def at(leg: Leg, apr: Number, compounding: str = "per second") -> Leg:
    return replace(leg, apr=number(apr), compounding=compounding)


def funded(leg: Leg, rate: Number) -> Leg:
    assert leg.position is not None
    return replace(leg, position=replace(leg.position, funding_8h=number(rate)))


def known(account: Account) -> Assessed:
    return assess(account, SETTINGS, {})


def days(account: Account) -> float | None:
    return time_to_liquidation(known(account))


def aave(borrowed: Number, owes: Number, earns: Number, compounding: str = "per second", *, strict: bool = True) -> Account:
    held = at(collateral(ETH, 10, 3000, "0.83"), earns, compounding)
    return loan(held, at(debt(USDC, borrowed), owes, compounding), strict=strict)


class TestVectors:
    def test_a_loan_whose_debt_outgrows_its_collateral(self) -> None:
        assert days(aave(15_000, "0.06", "0.02")) == pytest.approx(log(1.66) / 0.04 * YEAR, rel=1e-9)
        assert log(1.66) / 0.04 == pytest.approx(12.7, abs=0.05)

    def test_funding_eats_a_margin(self) -> None:
        short = perp(margin(USDC, 12_000), funded(position(ETH, -10, 3000), "-0.0001"))
        assert days(short) == pytest.approx(11_400 / 9)
        long = perp(margin(USDC, 12_000), funded(position(ETH, 10, 3000), "0.0001"))
        assert days(long) == pytest.approx(1267, abs=0.5)

    def test_a_loan_written_down_by_hand_compounds(self) -> None:
        settings = ManualSettings(
            name="otc",
            side=Side.LENDING,
            supply_apr=Decimal("0.02"),
            collateral=(ManualHolding(factor=ETH, amount=Decimal(10), price=Decimal(3000), weight=Decimal("0.83")),),
            debt=(ManualDebt(factor=USDC, amount=Decimal(15_000), price=Decimal(1), apr=Decimal("0.06")),),
        )
        (account,) = manual.accounts([settings])
        assert {leg.compounding for leg in account.legs} == {"per second"}
        assert days(account) == pytest.approx(12.7 * YEAR, abs=0.05 * YEAR)


class TestTime:
    def test_the_dead_have_none(self) -> None:
        assert days(aave(25_000, 0, "0.5")) == 0.0

    def test_without_rates_nothing_happens(self) -> None:
        assert days(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000))) is None
        assert days(loan(collateral(ETH, 10, 3000, "0.83"))) is None
        assert days(perp(margin(USDC, 12_000), position(ETH, 10, 3000))) is None

    def test_what_earns_more_than_it_owes_lives(self) -> None:
        assert days(aave(15_000, "0.02", "0.02")) is None
        assert days(aave(15_000, "0.02", "0.03")) is None

    def test_a_thousand_years_are_never(self) -> None:
        barely = log(1.66) / 1_000
        assert days(aave(15_000, barely * 1.001, 0)) == pytest.approx(log(1.66) / (barely * 1.001) * YEAR)
        assert days(aave(15_000, barely * 0.999, 0)) is None

    def test_simple_interest_is_slower(self) -> None:
        assert days(aave(15_000, "0.06", 0, "linear")) == pytest.approx(0.66 / 0.06 * YEAR)
        assert days(aave(15_000, "0.06", 0, "per block")) == pytest.approx(log(1.66) / 0.06 * YEAR)

    def test_simple_supply_against_compounded_debt(self) -> None:
        account = loan(at(collateral(ETH, 10, 3000, "0.83"), "0.2", "linear"), at(debt(USDC, 15_000), "0.06"))
        found = days(account)
        assert found is not None
        years = found / YEAR
        assert 24_900 * (1 + 0.2 * years) == pytest.approx(15_000 * exp(0.06 * years))
        assert years > 30  # it first gains

    def test_the_first_of_two_crossings(self) -> None:
        """A dear loan of one part makes it die before the other part's interest would have carried it."""
        account = loan(
            at(collateral(ETH, 10, 3000, "0.83"), "0.02"),
            at(debt(USDC, 24_000), "0.06", "linear"),
            at(collateral(USDT, 100, 1, "0.9"), "0.5"),
        )
        found = days(account)
        assert found is not None

        def surplus(years: float) -> float:
            return 24_900 * exp(0.02 * years) + 90 * exp(0.5 * years) - 24_000 * (1 + 0.06 * years)

        assert surplus(found / YEAR) == pytest.approx(0, abs=1e-6)
        assert all(surplus(found / YEAR * part / 100) > 0 for part in range(100))
        assert surplus(60) > 0  # it would have come back

    def test_on_the_line_and_falling_is_now(self) -> None:
        line = loan(at(collateral(ETH, 1, 3000, "0.5"), 0), at(debt(USDC, 1500), "0.1"))
        assert days(line) == pytest.approx(0, abs=1e-6)
        rising = loan(at(collateral(ETH, 1, 3000, "0.5"), "0.2"), at(debt(USDC, 1500), "0.1"))
        assert days(rising) is None

    def test_a_margin_that_its_own_debt_uses_up(self) -> None:
        assert days(perp(margin(USDC, 100), at(debt(USDC, 100), "0.02", "linear"))) == pytest.approx(0, abs=1e-6)

    def test_collateral_that_counts_for_nothing_earns_nothing(self) -> None:
        idle = at(collateral(ETH, 1000, 3000, "0.8", enabled=False), "0.5")
        account = aave(15_000, "0.06", 0)
        assert days(replace(account, legs=(*account.legs, idle))) == days(account)

    def test_a_debt_inside_a_margin_account_grows(self) -> None:
        account = perp(margin(ETH, 10, 3000, "0.9"), at(debt(USDC, 12_000), "0.08"), position(ETH, 1, 3000))
        assert days(account) == pytest.approx(log((27_000 - 60) / 12_000) / 0.08 * YEAR)

    def test_a_negative_rate_shrinks_a_holding(self) -> None:
        assert days(aave(15_000, 0, "-0.05")) == pytest.approx(log(1.66) / 0.05 * YEAR)

    def test_enormous_rates_do_not_overflow(self) -> None:
        assert days(aave(15_000, 100, 0)) == pytest.approx(log(1.66) / 100 * YEAR)
        assert days(aave(15_000, 99, 100)) is None
        assert days(aave(15_000, 100, 99)) == pytest.approx(log(1.66) * YEAR)

    def test_funding_of_an_inverse_contract(self) -> None:
        short = funded(position(ETH, -30_000, 3000, contract=Contract.INVERSE), "-0.0001")
        assert days(perp(margin(ETH, 10, 3000), short)) == pytest.approx((30_000 - 600) / 9)

    def test_funding_received_keeps_alive(self) -> None:
        assert days(perp(margin(USDC, 12_000), funded(position(ETH, -10, 3000), "0.0001"))) is None


class TestCarry:
    def test_interest_and_funding(self) -> None:
        assert carry_usd_per_year(known(aave(15_000, "0.06", "0.02"))) == pytest.approx(Carry(600, 900, 0))
        account = perp(
            at(margin(USDC, 12_000), "0.01"),
            at(margin(USDT, -1_000), "0.1"),
            funded(position(ETH, -10, 3000), "0.0001"),
            funded(position(ETH, 1, 3000), "0.0002"),
        )
        assert carry_usd_per_year(known(account)) == pytest.approx(Carry(120, 100, 9 * YEAR - 1.8 * YEAR))

    def test_idle_holdings_earn_too(self) -> None:
        idle = loan(at(collateral(ETH, 10, 3000, 0, enabled=False), "0.03"))
        assert carry_usd_per_year(known(idle)) == pytest.approx(Carry(900, 0, 0))
