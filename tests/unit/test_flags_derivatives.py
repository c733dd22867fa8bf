"""Flags of derivatives accounts: margin, leverage, losses, funding."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from defi_risk import health
from defi_risk.flags import Limits, Severity
from defi_risk.health.normal import in_floats
from defi_risk.model import Account, Basis, Contract, Leg, Position
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, Number, collateral, debt, loan, margin, opened, perp, position
from tests.flagged import found


def futures(pnl: Number) -> Account:
    """Case G: initial margins 200 and 300, maintenance 150 and 225, of notionals 10,000 and 15,000; dead on its line."""
    return perp(
        margin(USDT, 1_000),
        position(ETH, 4, 2500, quote=USDT, maintenance="0.015", initial="0.02", pnl=100),
        position(BTC, "0.15", 100_000, quote=USDT, maintenance="0.015", initial="0.02", pnl=pnl),
        strict=False,
    )


def at_health(health_factor: Number) -> Account:
    """A long of 50,000 with a requirement of 1,000."""
    return perp(margin(USDC, Decimal(str(health_factor)) * 1000), position(ETH, 50, 1000, maintenance="0.02"))


def cut(account: Account, share: float, fee: float = 0.0) -> Account:
    """The account after so much of its last position was closed at the mark, and its fee paid."""
    *others, leg = account.legs
    assert leg.position is not None
    pnl = leg.position.unrealized_pnl or Decimal(0)
    smaller = replace(leg.position, size=leg.position.size * Decimal(1 - share), unrealized_pnl=pnl)
    paid = margin(USDT, Decimal(-fee))
    return replace(account, legs=(*others, replace(leg, position=smaller), *([paid] if fee else [])))


class TestMarginLow:
    @pytest.mark.parametrize(
        ("health_factor", "severity", "threshold"),
        [
            ("1.2", None, None),
            ("1.1999", Severity.WARNING, 1.2),
            ("1.1", Severity.WARNING, 1.2),
            ("1.0999", Severity.CRITICAL, 1.1),
            ("0.9", Severity.CRITICAL, 1.1),
        ],
    )
    def test_lines(self, health_factor: str, severity: Severity | None, threshold: float | None) -> None:
        flags = found("MARGIN_LOW", [at_health(health_factor)])
        assert [(flag.severity, flag.threshold) for flag in flags] == ([] if severity is None else [(severity, threshold)])

    def test_case_g_sizes_both_remedies(self) -> None:
        account = futures(-700)
        [flag] = found("MARGIN_LOW", [account])
        assert flag.severity is Severity.CRITICAL
        assert flag.evidence["health"] == pytest.approx(400 / 375)
        assert flag.evidence["add_usd"] == pytest.approx(1.2 * 375 - 400)
        assert flag.evidence["position"] == BTC  # as highly leveraged as the other, and larger
        share = flag.evidence["cut_share"]
        assert share == pytest.approx(50 / (1.2 * 225))
        assert flag.evidence["cut_usd"] == pytest.approx(15_000 * 50 / (1.2 * 225))
        assert isinstance(share, float)
        after = in_floats(cut(account, share), {})
        assert after.weighted() / after.requirement() == pytest.approx(1.2)
        assert "close $2,778 (18.5 %) of its BTC long" in flag.message
        assert "add $50.00" in flag.message

    def test_case_g_well_above_is_silent(self) -> None:
        assert found("MARGIN_LOW", [futures(-400)]) == []

    def test_the_cut_goes_by_leverage_and_pays_its_fee(self) -> None:
        account = perp(
            margin(USDT, 800),
            position(ETH, 10, 1000, quote=USDT, maintenance="0.01", initial="0.1"),
            position(BTC, "-0.5", 100_000, quote=USDT, maintenance=[(0, "0.01", 0), (40_000, "0.02", 400)], initial="0.05", fee="0.001"),
        )
        [flag] = found("MARGIN_LOW", [account])
        assert (flag.evidence["position"], flag.evidence["position_leverage"]) == (BTC, 20)
        share = flag.evidence["cut_share"]
        assert isinstance(share, float)
        after = in_floats(cut(account, share, fee=share * 50), {})
        assert after.weighted() / after.requirement() == pytest.approx(1.2)

    def test_the_cut_pays_for_the_way_out_and_a_fee_of_the_size_at_entry(self) -> None:
        short = opened(position(ETH, -10, 3000, entry=2500, fee="0.001", basis=Basis.ENTRY), exit_cost=20)
        [flag] = found("MARGIN_LOW", [perp(margin(USDC, 5_600), short)])
        # C is 580, less the fee of 25 for what is cut: the 20 are off already. R is 525 for what is left
        assert flag.evidence["cut_share"] == pytest.approx(50 / 605)

    def test_says_where_no_cut_is_enough(self) -> None:
        account = perp(
            margin(USDT, 1_050),
            position(ETH, 100, 1000, quote=USDT, maintenance="0.01", initial="0.1"),
            position(BTC, "0.0001", 100_000, quote=USDT, maintenance="0.01", initial="0.05"),
        )
        [flag] = found("MARGIN_LOW", [account])
        assert flag.evidence["cut_share"] is None
        assert "would not be enough" in flag.message

    def test_amounts_where_a_health_says_nothing(self) -> None:
        [flag] = found("MARGIN_LOW", [perp(margin(USDC, 10), position(ETH, 1, 1000, entry=1100))])
        assert flag.message.startswith("venue of perp · main has -$90.00 to meet the $20.00 of its maintenance requirement: add $114.00 of")

    def test_loans_are_not_meant(self) -> None:
        assert found("MARGIN_LOW", [loan(collateral(ETH, 1, 1000, "0.8"), debt(USDC, 790))]) == []


class TestMur:
    def test_case_g(self) -> None:
        [flag] = found("MUR_HIGH", [futures(-400)])
        assert flag.severity is Severity.WARNING
        assert flag.evidence["mur"] == pytest.approx(500 / 700)
        assert "71.43 %" in flag.message
        assert flag.threshold == 0.70

    def test_the_line(self) -> None:
        below = perp(margin(USDC, 1000), position(ETH, 7, 1000, maintenance="0.05", initial="0.1"))
        above = perp(margin(USDC, 999), position(ETH, 7, 1000, maintenance="0.05", initial="0.1"))
        assert found("MUR_HIGH", [below]) == []
        assert len(found("MUR_HIGH", [above])) == 1
        assert found("MUR_HIGH", [above], limits=Limits(mur=0.8)) == []

    def test_a_loan_by_its_borrow_limit(self) -> None:
        account = loan(collateral(ETH, 1, 1000, "0.8", initial="0.6"), debt(USDC, 450))
        [flag] = found("MUR_HIGH", [account])
        assert flag.evidence["mur"] == pytest.approx(0.75)
        assert "borrow limit" in flag.message

    def test_nothing_to_meet_it_with(self) -> None:
        [flag] = found("MUR_HIGH", [loan(collateral(ETH, 1, 1000, "0.8", initial=0), debt(USDC, 1))])
        assert flag.evidence["mur"] is None

    def test_nothing_in_use(self) -> None:
        assert found("MUR_HIGH", [loan(collateral(ETH, 1, 1000, "0.8")), perp(margin(USDC, 0))]) == []


class TestLeverageZone:
    @pytest.mark.parametrize(
        ("maintenance", "health_factor", "allowed"), [("0.18", 1.11, 3), ("0.15", 1.33, 5), ("0.11", 1.82, 5), ("0.0999", 2.0, None)]
    )
    def test_zones(self, maintenance: str, health_factor: float, allowed: float | None) -> None:
        account = perp(margin(USDC, 1000), position(ETH, "5.001", 1000, maintenance=maintenance))
        assert health.run([account], SETTINGS).accounts[account.id].health == pytest.approx(health_factor, abs=5e-3)
        flags = found("LEVERAGE_ZONE", [account])
        assert [flag.threshold for flag in flags] == ([] if allowed is None else [allowed])
        for flag in flags:
            assert flag.evidence["cut_usd"] == pytest.approx(5001 - allowed * 1000 if allowed else 0)

    def test_above_ten_at_any_health(self) -> None:
        assert found("LEVERAGE_ZONE", [perp(margin(USDC, 1000), position(ETH, -10, 1000, maintenance="0.01"))]) == []
        [flag] = found("LEVERAGE_ZONE", [perp(margin(USDC, 1000), position(ETH, -11, 1000, maintenance="0.01"))])
        assert (flag.threshold, flag.evidence["leverage"], flag.evidence["cut_usd"]) == (10, 11, 1000)

    def test_both_sides_count_and_equity_has_the_profit(self) -> None:
        account = perp(margin(USDC, 1000), position(ETH, 10, 1000, maintenance="0.01", pnl=1000), position(ETH, -10, 1000, maintenance=0))
        assert found("LEVERAGE_ZONE", [account]) == []
        account = perp(margin(USDC, 1000), position(ETH, 10, 1000, maintenance="0.01"), position(ETH, -10, 1000, maintenance=0))
        [flag] = found("LEVERAGE_ZONE", [account])
        assert flag.evidence["notional_usd"] == 20_000


class TestRiskContribution:
    def altcoins(self, size: Number) -> Account:
        """Case I: 40,000 of stable margin and 30,000 of ETH in one cross account."""
        return perp(margin(USDC, 40_000), margin(ETH, 10, 3000), position(SOL, size, 150, maintenance="0.01"))

    def test_case_i(self) -> None:
        [flag] = found("RISK_CONTRIBUTION", [self.altcoins(1000)], replace(SETTINGS, volatility={SOL: 0.08}))
        assert flag.severity is Severity.WARNING
        assert flag.evidence["share"] == pytest.approx(150_000 * 0.08 / 70_000)
        assert flag.evidence["allowed_usd"] == pytest.approx(0.1 * 70_000 / 0.08)
        assert "17.1 %" in flag.message

    def test_the_allowed_size_is_allowed_and_a_short_counts_too(self) -> None:
        settings = replace(SETTINGS, volatility={SOL: 0.08})
        assert found("RISK_CONTRIBUTION", [self.altcoins(87_500 / 150)], settings) == []
        assert len(found("RISK_CONTRIBUTION", [self.altcoins(-584)], settings)) == 1

    def test_one_and_a_third_percent(self) -> None:
        account = perp(margin(USDC, 75_000), position(ETH, 10, 2500))
        settings = replace(SETTINGS, volatility={ETH: 0.04})
        assert found("RISK_CONTRIBUTION", [account], settings) == []
        [flag] = found("RISK_CONTRIBUTION", [account], settings, limits=Limits(risk_share=0.013))
        assert flag.evidence["share"] == pytest.approx(0.013333, abs=1e-6)

    def test_unknown_volatility_is_silent(self) -> None:
        assert found("RISK_CONTRIBUTION", [self.altcoins(100_000)]) == []


class TestDrain:
    def test_above_half_of_the_wallet(self) -> None:
        [flag] = found("UPNL_DRAIN", [futures(-700)])
        assert flag.severity is Severity.WARNING
        assert flag.evidence["unrealized_pnl_usd"] == pytest.approx(-600)
        assert flag.evidence["share"] == pytest.approx(0.6)

    @pytest.mark.parametrize("pnl", [-400, -600, 900])
    def test_half_or_less_and_gains(self, pnl: int) -> None:
        assert found("UPNL_DRAIN", [futures(pnl)]) == []

    def test_a_wallet_that_is_gone_is_drained_too(self) -> None:
        [flag] = found("UPNL_DRAIN", [perp(margin(USDC, -10), position(ETH, 1, 1000, entry=1100))])
        assert flag.evidence["share"] is None
        assert flag.message == "venue of perp · main: unrealised losses of $100.00 are more than the wallet balance, which is gone"
        assert found("UPNL_DRAIN", [perp(margin(USDC, 0), position(ETH, 1, 1000))]) == []

    def test_what_is_owed_besides_is_told_apart(self) -> None:
        leg = opened(position(ETH, 1, 1000, entry=1040), accrued_funding=5, accrued_fees=25)
        [flag] = found("UPNL_DRAIN", [perp(margin(USDC, 100), leg)])
        assert (flag.evidence["unrealized_pnl_usd"], flag.evidence["unsettled_usd"]) == pytest.approx((-40, -20))
        assert flag.evidence["share"] == pytest.approx(0.6)
        assert "unrealised losses, with funding and fees that are not settled, of $60.00 are 60.0 %" in flag.message


def funded(size: Number, rate: Number | None, contract: Contract = Contract.LINEAR) -> Account:
    leg: Leg = position(ETH, size, 1000, contract=contract)
    assert leg.position is not None
    told: Position = replace(leg.position, funding_8h=None if rate is None else Decimal(str(rate)))
    return perp(margin(USDC, 10_000), replace(leg, position=told))


class TestFunding:
    @pytest.mark.parametrize(
        ("size", "rate", "payer", "received"),
        [(10, "0.0011", "longs", -33), (-10, "0.0011", "longs", 33), (10, "-0.002", "shorts", 60), (-10, "-0.002", "shorts", -60)],
    )
    def test_says_who_pays(self, size: int, rate: str, payer: str, received: float) -> None:
        [flag] = found("FUNDING_SPIKE", [funded(size, rate)])
        assert flag.severity is Severity.WARNING
        assert flag.evidence["payer"] == payer
        assert flag.evidence["received_usd_per_day"] == pytest.approx(received)
        assert f"{payer} pay" in flag.message
        assert ("receives" if received > 0 else "pays ") in flag.message

    @pytest.mark.parametrize("rate", ["0.001", "-0.001", None])
    def test_usual_or_unknown(self, rate: str | None) -> None:
        assert found("FUNDING_SPIKE", [funded(10, rate)]) == []

    def test_of_an_inverse_contract(self) -> None:
        [flag] = found("FUNDING_SPIKE", [funded(10_000, "0.002", Contract.INVERSE)])
        assert flag.evidence["received_usd_per_day"] == pytest.approx(-60)


class TestIsolated:
    def leveraged(self, initial: Number, mode: str = "cross") -> Account:
        account = perp(margin(USDC, 10_000), position(ETH, 1, 1000, maintenance="0.005", initial=initial))
        return replace(account, mode=mode)

    def test_above_fifty_in_cross_margin(self) -> None:
        [flag] = found("PREFER_ISOLATED", [self.leveraged("0.0125")])
        assert (flag.severity, flag.evidence["leverage"]) == (Severity.INFO, 80)
        assert found("PREFER_ISOLATED", [self.leveraged("0.02")]) == []
        assert found("PREFER_ISOLATED", [self.leveraged("0.0125", "isolated")]) == []

    def test_a_rate_that_nobody_told_is_no_leverage(self) -> None:
        assert found("PREFER_ISOLATED", [self.leveraged("0.005")]) == []

    def test_more_than_fifty_times_the_whole_account(self) -> None:
        account = perp(margin(USDC, 100), position(ETH, "5.1", 1000, maintenance="0.005"))
        [flag] = found("PREFER_ISOLATED", [account])
        assert flag.evidence["leverage"] == pytest.approx(51)
