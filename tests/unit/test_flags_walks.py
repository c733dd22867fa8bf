"""Flags from stresses, paths and rescue plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from defi_risk import health
from defi_risk.flags import Limits, Severity
from defi_risk.health import Figures, HealthSettings
from defi_risk.health.account import assess
from defi_risk.health.cascade import cascade
from defi_risk.health.figures import Event, Stress
from defi_risk.ids import AccountId
from defi_risk.model import Account
from tests.accounts import ETH, SETTINGS, SOL, USDC, Number, collateral, debt, loan, margin, perp, position
from tests.flagged import found

LOAN, PERP = AccountId("manual:loan"), AccountId("manual:perp")


def book(borrowed: Number = 12_000, short: Number = 10, posted: Number = 12_000) -> list[Account]:
    """A loan against 10 ETH, and a short (below zero: a long) with margin of its own."""
    return [loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, borrowed)), perp(margin(USDC, posted), position(ETH, -float(short), 3000))]


def event(move: float, account: AccountId, next_account: AccountId | None = None, next_move: float | None = None) -> Event:
    return Event(
        move=move,
        prices={},
        account=account,
        seized_usd=0,
        repaid_usd=0,
        penalty_usd=0,
        bad_debt_usd=0,
        equity_before_usd=0,
        equity_after_usd=0,
        exposure_after={},
        hedge_break=False,
        spiral=False,
        next_account=next_account,
        next_move=next_move,
    )


def stress(
    healths: Mapping[AccountId, float | None], surpluses: Mapping[AccountId, float], *events: Event, passed: bool = False, name: str = "one"
) -> Stress:
    return Stress(
        scenario=name,
        title=f"scenario {name}",
        shocks={"ETH": -0.4},
        equity_usd=18_000,
        min_health=min((value for value in healths.values() if value is not None), default=None),
        worst_account=PERP,
        account_health=healths,
        account_surplus_usd=surpluses,
        liquidations=events,
        penalty_usd=0,
        passed=passed,
    )


def stressed(*results: Stress) -> Figures:
    return replace(health.run(book(), SETTINGS), stress=results)


class TestStress:
    def test_one_flag_a_failing_scenario_naming_the_accounts(self) -> None:
        dead = stress({LOAN: 1.5, PERP: 0.0}, {LOAN: 9_000, PERP: -500}, name="up")
        thin = stress({LOAN: 1.01, PERP: 1.0499}, {LOAN: 100, PERP: 100}, name="thin")
        fine = stress({LOAN: 1.01, PERP: 1.05}, {LOAN: 100, PERP: 100}, passed=True, name="fine")
        first, second = found("STRESS_BREACH", book(), figures=stressed(dead, thin, fine))
        assert {first.evidence["scenario"], second.evidence["scenario"]} == {"up", "thin"}
        assert first.severity is Severity.WARNING
        for flag in (first, second):
            assert flag.accounts == (PERP,)
            assert flag.threshold == (0.0 if flag.evidence["scenario"] == "up" else 1.05)

    def test_on_the_way_counts_too(self) -> None:
        result = stress({LOAN: 2.0, PERP: 20.0}, {LOAN: 9_000, PERP: 500}, event(-0.2, LOAN), name="there and back")
        [flag] = found("STRESS_BREACH", book(), figures=stressed(result))
        assert flag.accounts == (LOAN,)
        assert "liquidates" in flag.message

    def test_a_scenario_that_failed_is_never_passed_over(self) -> None:
        [flag] = found("STRESS_BREACH", book(), figures=stressed(stress({LOAN: 2.0, PERP: 20.0}, {LOAN: 1, PERP: 1})))
        assert flag.accounts == (PERP,)

    def test_the_line_is_a_setting_and_not_for_loans(self) -> None:
        result = stress({LOAN: 1.01, PERP: 1.04}, {LOAN: 100, PERP: 100})
        assert found("STRESS_BREACH", book(), figures=stressed(result), limits=Limits(stress_health=1.03)) == []
        passing = stress({LOAN: 1.01, PERP: 1.2}, {LOAN: 100, PERP: 100}, passed=True)
        assert len(found("STRESS_BREACH", book(), figures=stressed(passing), limits=Limits(stress_health=1.3))) == 1


class TestCluster:
    def test_within_five_percent_of_price(self) -> None:
        # the loan dies at 1,445.78; the long at 3,000 - margin, over 0.98
        near, far = (book(short=-10, posted=30_000 - 10 * 0.98 * price) for price in (1_445.78 * 1.049, 1_445.78 * 1.051))
        [flag] = found("LIQUIDATION_CLUSTER", near)
        assert (flag.severity, flag.accounts) == (Severity.WARNING, (LOAN, PERP))
        assert flag.evidence["direction"] == "down"
        assert flag.evidence["apart"] == pytest.approx(0.049, abs=1e-5)
        assert found("LIQUIDATION_CLUSTER", far) == []

    def test_on_different_sides_or_beyond_the_path(self) -> None:
        assert found("LIQUIDATION_CLUSTER", book()) == []
        assert found("LIQUIDATION_CLUSTER", book(borrowed=2_000, short=-10, posted=27_600)) == []

    def test_on_the_way_up(self) -> None:
        accounts = [loan(collateral(USDC, 50_000, weight="0.9"), debt(ETH, 10, 3000)), book(posted=15_500)[1]]
        [flag] = found("LIQUIDATION_CLUSTER", accounts)
        assert flag.evidence["direction"] == "up"

    def test_two_of_one_side_are_no_cluster(self) -> None:
        twin = replace(book()[0], id=AccountId("manual:twin"))
        assert found("LIQUIDATION_CLUSTER", [book()[0], twin]) == []


def walked(accounts: list[Account], settings: HealthSettings = SETTINGS) -> Figures:
    assessed = [assess(account, settings, {}) for account in sorted(accounts, key=lambda one: one.id)]
    return replace(health.run(accounts, settings), cascade=cascade(assessed, settings))


class TestCascade:
    def test_the_next_one_is_nearer_where_the_first_one_dies(self) -> None:
        accounts = book(borrowed=15_000, short=-10, posted=6_000)
        flags = found("CASCADE", accounts, figures=walked(accounts))
        [flag] = [flag for flag in flags if flag.evidence["path"] == "down"]
        assert (flag.severity, flag.accounts) == (Severity.WARNING, (LOAN, PERP))
        assert flag.evidence["first"] == PERP
        assert flag.evidence["first_move"] == pytest.approx(2448.9796 / 3000 - 1)
        assert flag.evidence["next_hf"] == pytest.approx(2448.9796 / 1807.2289)
        assert flag.evidence["next_hf_today"] == pytest.approx(1.66)
        assert "down_up" not in {flag.evidence["path"] for flag in flags}  # the same liquidation

    def test_betas_count_on_the_way_there_and_on(self) -> None:
        settings = replace(SETTINGS, betas={SOL: 1.5})
        accounts = [
            loan(collateral(SOL, 200, 150, "0.8"), debt(USDC, 9_000)),
            perp(margin(USDC, 3_000), position(ETH, 10, 3000, maintenance="0.01")),
        ]
        [flag] = [
            flag for flag in found("CASCADE", accounts, settings, figures=walked(accounts, settings)) if flag.evidence["path"] == "down"
        ]
        first = 27_000 / 0.99 / 30_000
        there = 24_000 * (1 - 1.5 * (1 - first))
        assert flag.evidence["next_hf"] == pytest.approx(1 / (1 - (1 - 9_000 / there) / 1.5))

    def test_a_hedge_is_farther_away_there(self) -> None:
        assert found("CASCADE", book(), figures=walked(book())) == []

    def test_another_path_by_what_its_event_says(self) -> None:
        figures = health.run(book(), SETTINGS)
        nearer = replace(figures, cascade={"venue_diverges": (event(0.3, PERP, LOAN, -0.2),)})
        [flag] = found("CASCADE", book(), figures=nearer)
        assert flag.evidence["next_hf"] == pytest.approx(1.25)
        farther = replace(figures, cascade={"venue_diverges": (event(0.3, PERP, LOAN, -0.6),)})
        assert found("CASCADE", book(), figures=farther) == []

    def test_of_one_side_nothing_and_of_nothing_nothing(self) -> None:
        figures = replace(health.run(book(), SETTINGS), cascade={"up": (), "venue_diverges": (event(0.3, PERP, PERP, 0.01),)})
        assert found("CASCADE", book(), figures=figures) == []


@dataclass(frozen=True)
class Told:
    """How a rescue plan ended."""

    feasible: bool
    outside_capital_usd: float


class TestRescue:
    @pytest.mark.parametrize(
        ("plan", "raised"), [(Told(True, 0.0), False), (Told(True, 1.0), True), (Told(False, 0.0), True), (None, False)]
    )
    def test_whether_the_book_saves_itself(self, plan: Told | None, raised: bool) -> None:
        flags = found("RESCUE_INFEASIBLE", book(), plan=plan)
        assert [(flag.severity, flag.accounts) for flag in flags] == ([(Severity.WARNING, (LOAN, PERP))] if raised else [])

    def test_needs_both_sides(self) -> None:
        assert found("RESCUE_INFEASIBLE", book()[:1], plan=Told(False, 5.0)) == []
        assert found("RESCUE_INFEASIBLE", [book()[0], perp(margin(USDC, 5))], plan=Told(False, 5.0)) == []

    def test_names_the_sum(self) -> None:
        [flag] = found("RESCUE_INFEASIBLE", book(), plan=Told(False, 1234.5))
        assert "$1,235 from outside" in flag.message
