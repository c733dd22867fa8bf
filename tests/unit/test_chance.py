"""Simulated first passages and losses, against closed forms and against paths that hold no chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import exp, inf, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from defi_risk.errors import UsageError
from defi_risk.health import chance
from defi_risk.health.account import Assessed, assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.chance import Method, simulate
from defi_risk.health.chance.deaths import Watch
from defi_risk.health.chance.paths import HALVINGS, Bootstrap, StudentT, root, steps
from defi_risk.health.covariance import covariance
from defi_risk.health.figures import Chance, Outlook
from defi_risk.health.settings import HealthSettings
from defi_risk.history import PriceHistory
from defi_risk.ids import AccountId, Factor, Peg
from defi_risk.model import Account, Leg, LiquidationRule
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, Number, collateral, debt, loan, margin, perp, position

NORMAL = NormalDist()
CALM = 0.001
"""A volatility at which simple and log returns are the same for all that is tested here."""
HOUR = 3_600


def run(
    *accounts: Account,
    volatility: Mapping[str, float] | None = None,
    correlation: Mapping[str, float] | None = None,
    method: Method = "ewma",
    history: PriceHistory | None = None,
    horizons: Sequence[float] = (1.0,),
    settings: HealthSettings = SETTINGS,
    paths: int = 4_000,
    seed: int = 1,
    level: float = 0.99,
    tails: float = 5.0,
) -> Chance:
    assessed = known(*accounts)
    arrays = Arrays.of(assessed)
    given = {"ETH": CALM} if volatility is None else volatility
    daily = covariance(arrays.axes, volatility=given, correlation=correlation or {}, stables=SETTINGS.stables, history=history)
    return simulate(
        assessed,
        arrays,
        daily,
        settings,
        method=method,
        history=history,
        paths=paths,
        seed=seed,
        level=level,
        horizons=horizons,
        tails=tails,
    )


def known(*accounts: Account) -> list[Assessed]:
    return [assess(account, SETTINGS, {}) for account in accounts]


def only(found: Chance) -> Outlook:
    (outlook,) = found.outlooks
    return outlook


def at_distance(sigmas: float, name: str = "loan") -> Account:
    """A loan so many standard deviations of a calm day above its line."""
    return loan(collateral(ETH, 1000, 1000, "0.8"), debt(USDC, 800_000 * (1 - sigmas * CALM)), name=name)


def falling(move: float, days: int = 31, *, every: int = HOUR, names: tuple[str, ...] = ("ETH",)) -> PriceHistory:
    """A history whose log returns are all the same."""
    times = np.arange(0, days * 86_400 + 1, every, dtype=np.int64)
    prices = 3000.0 * np.exp(move * np.arange(len(times)))
    return PriceHistory(times, names, np.repeat(prices[:, None], len(names), axis=1), "test")


def sure(*accounts: Account, move: float = -0.02, horizon: float = 1.0, names: tuple[str, ...] = ("ETH",)) -> Outlook:
    """What happens where every hour moves the price by the same."""
    return only(run(*accounts, method="bootstrap", history=falling(move, names=names), horizons=(horizon,), paths=200))


class TestClosedForms:
    @pytest.mark.parametrize("sigmas", [0.5, 1.0, 2.0, 2.5])
    @pytest.mark.parametrize("horizon", [1.0, 7.0])
    def test_touching_a_line_with_normal_returns(self, sigmas: float, horizon: float) -> None:
        outlook = only(run(at_distance(sigmas * sqrt(horizon)), paths=20_000, tails=inf, horizons=(horizon,)))
        expected = 2 * NORMAL.cdf(-sigmas)
        assert outlook.probability == pytest.approx(expected, abs=4 * outlook.standard_errors["probability"] + 0.01 * expected)
        assert outlook.accounts == {"manual:loan": outlook.probability}

    @pytest.mark.parametrize("sigmas", [0.001, 0.01, 0.05, 0.1, 0.25])
    @pytest.mark.parametrize("horizon", [1 / 24, 1.0, 7.0])
    def test_touching_a_line_close_by(self, sigmas: float, horizon: float) -> None:
        outlook = only(run(at_distance(sigmas * sqrt(horizon)), paths=20_000, tails=inf, horizons=(horizon,)))
        expected = 2 * NORMAL.cdf(-sigmas)
        assert outlook.probability == pytest.approx(expected, abs=4 * outlook.standard_errors["probability"] + 0.006)

    def test_touching_a_line_with_fat_tails(self) -> None:
        # the upper 5 % of Student's t with 5 degrees of freedom begin at 2.0150; its variance is 5 / 3
        outlook = only(run(at_distance(2.0150 / sqrt(5 / 3)), paths=20_000, tails=5.0))
        assert outlook.probability == pytest.approx(0.1, abs=4 * outlook.standard_errors["probability"])

    def test_two_accounts_with_one_line_die_together(self) -> None:
        outlook = only(run(at_distance(1.5, "a"), at_distance(1.5, "b")))
        assert outlook.probability == outlook.probability_several > 0

    def test_a_long_and_a_short_seldom_die_together(self) -> None:
        short = perp(margin(USDC, 21_500), position(ETH, -1000, 1000, maintenance="0.02"))
        outlook = only(run(at_distance(1.5), short, tails=inf, paths=20_000))
        down, up = outlook.accounts[AccountId("manual:loan")], outlook.accounts[AccountId("manual:perp")]
        assert down == pytest.approx(2 * NORMAL.cdf(-1.5), abs=0.01)
        assert up == pytest.approx(2 * NORMAL.cdf(-1.5 / 1.02), abs=0.01)
        assert outlook.probability + outlook.probability_several == pytest.approx(down + up)
        assert outlook.probability_several < 0.01

    def test_losses_of_a_holding(self) -> None:
        wallet = loan(collateral(ETH, 1000, 1000, 0, enabled=False))
        outlook = only(run(wallet, paths=20_000, tails=inf))
        z, sigma = NORMAL.inv_cdf(0.99), 1_000_000 * CALM
        errors = outlook.standard_errors
        assert outlook.value_at_risk_usd == pytest.approx(z * sigma, abs=4 * errors["value_at_risk_usd"])
        expected = NORMAL.pdf(z) / 0.01 * sigma
        assert outlook.expected_shortfall_usd == pytest.approx(expected, abs=4 * errors["expected_shortfall_usd"])
        assert 0 < errors["value_at_risk_usd"] < 0.05 * sigma
        assert outlook.probability == 0

    def test_fat_tails_have_the_variance_that_was_given(self) -> None:
        hours = steps((2.0,))
        walk = StudentT.of(np.diag([0.04**2, 0.0, 0.02**2]), hours, 6.0, 1).draw(20_000)
        ends = walk.logs[:, np.searchsorted(hours, [24.0, 48.0])]
        assert np.std(ends[:, 0, 0]) == pytest.approx(0.04, rel=0.03)
        assert np.std(ends[:, 1], axis=0) == pytest.approx([0.04 * sqrt(2), 0, 0.02 * sqrt(2)], rel=0.03)
        day = ends[:, 0, 0] / np.std(ends[:, 0, 0])
        assert np.mean(day**4) > 4  # the tails do not wash out within a day

    def test_correlations_arrive(self) -> None:
        daily = np.array([[0.04**2, 0.6 * 0.04 * 0.02], [0.6 * 0.04 * 0.02, 0.02**2]])
        ends = StudentT.of(daily, steps((1.0,)), inf, 1).draw(20_000).logs[:, -1]
        assert np.asarray(np.corrcoef(ends.T))[0, 1] == pytest.approx(0.6, abs=0.02)
        assert np.allclose(root(daily) @ root(daily).T, daily, rtol=1e-12)

    def test_equity_of_a_hedged_book_does_not_move(self) -> None:
        accounts = loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 5_000)), perp(margin(USDC, 20_000), position(ETH, -10, 3000))
        outlook = only(run(*accounts, volatility={"ETH": 0.02}))
        assert outlook.probability == 0
        assert outlook.value_at_risk_usd == pytest.approx(0, abs=1e-6)

    def test_a_pegged_token_moves_with_both(self) -> None:
        steth = Peg("stETH/ETH")
        wallet = loan(collateral(ETH, 1000, 1000, 0, peg=steth, enabled=False))
        outlook = only(run(wallet, volatility={"ETH": 0.0003, steth: 0.0004}, paths=20_000, tails=inf))
        errors = outlook.standard_errors
        assert outlook.value_at_risk_usd == pytest.approx(NORMAL.inv_cdf(0.99) * 500, abs=4 * errors["value_at_risk_usd"])


class TestCertain:
    def test_without_variance_nothing_happens(self) -> None:
        outlook = only(run(at_distance(0.01), volatility={"ETH": 0.0}))
        assert (outlook.probability, outlook.probability_several, outlook.value_at_risk_usd) == (0, 0, 0)

    def test_an_account_on_its_line_stays_there(self) -> None:
        line = loan(collateral(ETH, "0.1", "0.3", "0.7"), collateral(BTC, "0.7", "0.1", "0.3"), debt(USDC, "0.042"))
        outlook = only(run(line, volatility={"ETH": 0.0, "BTC": 0.0}))
        assert outlook.probability == 0

    def test_who_is_dead_dies_at_once(self) -> None:
        account = loan(replace(collateral(ETH, 10, 3000, "0.8"), bonus=Decimal("0.05")), debt(USDC, 24_500))
        outlook = only(run(account, volatility={"ETH": 0.0}))
        assert (outlook.probability, outlook.accounts[AccountId("manual:loan")]) == (1, 1)
        assert outlook.value_at_risk_usd == pytest.approx(0.05 * 24_500)

    def test_what_owes_nothing_never_dies(self) -> None:
        long = perp(margin(USDC, 31_000), position(ETH, 10, 3000), name="long")
        assert only(run(long, volatility={"ETH": 0.5}, tails=2.1)).probability == 0

    def test_a_fall_by_the_hour_kills_on_its_hour(self) -> None:
        # 0.98 an hour as a log: below the line after ln(1.2) / 0.02 = 9.1 hours
        account = loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 20_000))
        assert sure(account, horizon=9 / 24).probability == 0
        assert sure(account, horizon=10 / 24).probability == 1
        assert sure(account, move=0.02, horizon=7.0).probability == 0

    def test_days_are_bridged_where_there_are_only_days(self) -> None:
        account = loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 20_000))
        history = falling(-0.2, days=60, every=86_400)
        short, long = run(account, method="bootstrap", history=history, horizons=(0.875, 1.0), paths=200).outlooks
        assert (short.probability, long.probability) == (0, 1)


def paid(leg: Leg, bonus: Number) -> Leg:
    return replace(leg, bonus=Decimal(str(bonus)))


def by(rule: LiquidationRule, account: Account) -> Account:
    return replace(account, rule=rule)


def price(hours: float, move: float = -0.02) -> float:
    return exp(move * hours)


class TestLiquidation:
    def test_a_closed_position_leaves_cash(self) -> None:
        # equity 12,000 - 30,000 (1 - s) meets 0.02 * 30,000 s at s = 18,000 / 29,400: after 24.5 hours
        account = by(LiquidationRule(kind="close"), perp(margin(USDC, 12_000), position(ETH, 10, 3000, fee="0.001")))
        dies = next(hour for hour in range(1, 48) if 12_000 - 30_000 * (1 - price(hour)) < 0.021 * 30_000 * price(hour))
        left = 12_000 - 30_000 * (1 - price(dies)) - 0.001 * 30_000 * price(dies)
        outlook = sure(account, horizon=2.0)
        assert outlook.probability == 1
        assert outlook.value_at_risk_usd == pytest.approx(12_000 - left)
        assert outlook.expected_shortfall_usd == pytest.approx(12_000 - left)
        lost = replace(account, rule=LiquidationRule(kind="close", remainder="lost"))
        assert sure(lost, horizon=2.0).value_at_risk_usd == pytest.approx(12_000)

    def test_the_venue_bears_what_is_below_zero(self) -> None:
        account = by(LiquidationRule(kind="close"), perp(margin(USDC, 2_000), position(ETH, 10, 3000)))
        assert 30_000 * (1 - price(1, -0.07)) > 2_000
        assert sure(account, move=-0.07).value_at_risk_usd == pytest.approx(2_000)

    def test_part_of_a_debt_is_repaid(self) -> None:
        half = LiquidationRule(kind="repay", close_factor=Decimal("0.5"))
        account = by(half, loan(paid(collateral(ETH, 10, 3000, "0.8"), "0.05"), debt(USDC, 20_000)))
        seized = 10_000 * 1.05 / price(10)
        expected = 30_000 * (1 - price(24)) - 10_000 + seized * price(24)
        assert sure(account).value_at_risk_usd == pytest.approx(expected)

    def test_all_of_it_where_the_rule_says_so(self) -> None:
        account = loan(paid(collateral(ETH, 10, 3000, "0.8"), "0.05"), debt(USDC, 20_000))

        def loss(repaid: float) -> float:
            return 30_000 * (1 - price(24)) - repaid + repaid * 1.05 * price(14)

        half = LiquidationRule(kind="repay", close_factor=Decimal("0.5"))
        expected = loss(10_000)
        assert sure(by(half, account)).value_at_risk_usd == pytest.approx(expected)
        for rule in (
            replace(half, full_below=Decimal("0.999")),
            replace(half, full_under_usd=Decimal(20_001)),
            replace(half, dust_usd=Decimal(20_001)),
        ):
            assert sure(by(rule, account)).value_at_risk_usd == pytest.approx(loss(20_000))
        for rule in (
            replace(half, full_below=Decimal("0.9")),
            replace(half, full_under_usd=Decimal(19_999)),
            replace(half, dust_usd=Decimal(9_999)),
            replace(half, of_whole=True),
        ):
            assert sure(by(rule, account)).value_at_risk_usd == pytest.approx(expected)

    def test_no_dust_is_left(self) -> None:
        account = loan(paid(collateral(ETH, 10, 3000, "0.8"), "0.05"), debt(USDC, 20_000))
        rule = LiquidationRule(kind="repay", close_factor=Decimal("0.5"), dust_usd=Decimal(12_000))
        expected = 30_000 * (1 - price(24)) - 8_000 + 8_000 * 1.05 * price(14)
        assert sure(by(rule, account)).value_at_risk_usd == pytest.approx(expected)

    def test_a_share_of_all_debts_together(self) -> None:
        account = loan(paid(collateral(ETH, 10, 3000, "0.8"), "0.05"), debt(USDC, 14_000), debt(Factor("DAI"), 6_000))
        for of_whole, repaid in ((False, 7_000), (True, 10_000)):
            rule = LiquidationRule(kind="repay", close_factor=Decimal("0.5"), of_whole=of_whole)
            expected = 30_000 * (1 - price(24)) - repaid + repaid * 1.05 * price(14)
            assert sure(by(rule, account)).value_at_risk_usd == pytest.approx(expected)

    def test_volatile_margin_stays_what_it_is(self) -> None:
        account = perp(margin(ETH, 4, 3000), position(ETH, 10, 3000))
        dies = next(hour for hour in range(1, 48) if 42_000 * price(hour, -0.01) - 30_000 < 600 * price(hour, -0.01))
        left = 42_000 * price(dies, -0.01) - 30_000
        assert left > 0
        expected = 12_000 - left * price(48 - dies, -0.01)
        assert sure(account, move=-0.01, horizon=2.0).value_at_risk_usd == pytest.approx(expected)

    def test_no_more_is_seized_than_there_is(self) -> None:
        account = loan(paid(collateral(ETH, 10, 3000, "0.97"), "0.05"), debt(USDC, 27_000))
        # two hours take the collateral to 26,081: all of it goes, for 24,839 of the debt
        assert 30_000 * 0.97 * price(1, -0.07) > 27_000
        assert 30_000 * price(2, -0.07) < 27_000 * 1.05
        assert sure(account, move=-0.07).value_at_risk_usd == pytest.approx(3_000)
        other = paid(collateral(BTC, "0.001", 60_000, "0.5"), 0)
        both = replace(account, legs=(*account.legs, other))
        left = 30_000 * price(2, -0.07) / 1.05
        found = sure(both, move=-0.07, names=("ETH", "BTC")).value_at_risk_usd
        assert found == pytest.approx(3_000 + 60 - 60 * price(24, -0.07) + 27_000 - left)

    def test_the_largest_of_each(self) -> None:
        account = loan(
            paid(collateral(USDC, 9_000, 1, "0.8"), "0.5"),
            paid(collateral(ETH, 10, 3000, "0.8"), "0.05"),
            debt(USDC, 4_000),
            debt(Factor("DAI"), 22_000),
        )
        # 0.8 (9,000 + 30,000 s) = 26,000 at s = 0.78: the thirteenth hour
        assert log(30_000 / 23_500) / 0.02 == pytest.approx(12.2, abs=0.05)
        expected = 30_000 * (1 - price(24)) - 22_000 + 22_000 * 1.05 * price(11)
        assert sure(account).value_at_risk_usd == pytest.approx(expected)

    def test_an_absorbed_account_keeps_what_is_above(self) -> None:
        account = by(LiquidationRule(kind="absorb"), loan(paid(collateral(ETH, 10, 3000, "0.8"), "0.1"), debt(USDC, 20_000)))
        left = 30_000 * 0.9 * price(10) - 20_000
        assert left > 0
        assert sure(account).value_at_risk_usd == pytest.approx(10_000 - left)
        under = replace(account, legs=(paid(collateral(ETH, 10, 3000, "0.97"), "0.1"), debt(USDC, 29_000)))
        assert sure(under, move=-0.07).value_at_risk_usd == pytest.approx(1_000)

    def test_a_loan_with_nothing_to_seize(self) -> None:
        outlook = only(run(loan(debt(USDC, 100)), volatility={}))
        assert (outlook.probability, outlook.value_at_risk_usd) == (1, 0)

    def test_each_horizon_counts_what_happened_within_it(self) -> None:
        account = loan(paid(collateral(ETH, 10, 3000, "0.8"), "0.05"), debt(USDC, 20_000))
        before, after = run(account, method="bootstrap", history=falling(-0.02), horizons=(9 / 24, 10 / 24), paths=200).outlooks
        assert before.value_at_risk_usd == pytest.approx(30_000 * (1 - price(9)))
        assert after.value_at_risk_usd == pytest.approx(30_000 * (1 - price(10)) + 1_000)


class TestLadders:
    TIERS = ((0, "0.01", 0), (31_000, "0.05", 1_240), (33_000, "0.2", 6_190))

    def test_brackets_on_the_way_are_the_real_ones(self) -> None:
        account = perp(margin(USDC, 6_000), position(ETH, -10, 3000, maintenance=list(self.TIERS)))

        def surplus(hour: int) -> float:
            notional = 30_000 * price(hour, 0.01)
            _, rate, deduction = [tier for tier in self.TIERS if float(tier[0]) <= notional][-1]
            return 36_000 - notional - notional * float(rate) + deduction

        dies = next(hour for hour in range(1, 48) if surplus(hour) < 0)
        assert sure(account, move=0.01, horizon=(dies - 1) / 24).probability == 0
        assert sure(account, move=0.01, horizon=dies / 24).probability == 1

    def test_they_agree_with_the_book_as_arrays(self) -> None:
        account = perp(margin(USDC, 6_000), position(ETH, -10, 3000, maintenance=list(self.TIERS)), name="tiers")
        other = perp(margin(USDC, 9_000), position(ETH, 10, 3000, maintenance=[(0, "0.01", 0), (20_000, "0.05", 0)]), name="steps")
        assessed = known(account, other)
        arrays = Arrays.of(assessed)
        walk = StudentT.of(np.diag([0.05**2, 0.0]), steps((1.0,)), 4.0, 3).draw(500)
        points = np.exp(walk.logs @ arrays.pulls)
        watch = Watch.of(arrays, np.zeros((2, 2)), np.zeros(2, dtype=np.bool_))
        found = watch.deaths(np.ascontiguousarray(points.transpose(1, 0, 2)), walk.spread.T)
        dead = np.stack([arrays.surplus(points[:, step]) < 0 for step in range(points.shape[1])])
        expected = np.where(dead.any(axis=0), dead.argmax(axis=0) + 1, np.iinfo(np.int16).max)
        assert (found == expected).all()
        assert 0 < dead.any(axis=0).mean() < 1


def test_more_accounts_die_than_a_small_integer_can_count() -> None:
    count = 40_000
    tally = chance._Tally.of(1.0, 1, 2, count)  # pyright: ignore[reportPrivateUsage]
    tally.add(0, np.zeros((2, count), dtype=np.int16), np.zeros(2))
    assert tally.dead.tolist() == [count, count]


class TestBootstrap:
    def test_it_draws_whole_days(self) -> None:
        rng = np.random.default_rng(1)
        returns = rng.normal(0, 0.01, (24 * 60, 2))
        prices = 100 * np.exp(np.cumsum(returns, axis=0))
        history = PriceHistory(np.arange(len(prices), dtype=np.int64) * HOUR, ("BTC", "ETH"), prices, "test")
        source = Bootstrap.of(history, ("BTC", "ETH", "USDC"), (0, 1), steps((2.0,)), 1)
        walk = source.draw(3)
        first = np.diff(walk.logs[0, HALVINGS : HALVINGS + 24], axis=0, prepend=np.zeros((1, 3)))
        assert first[:, 2] == pytest.approx(np.zeros(24))
        place = int(np.argmin(np.abs(returns[:, 0] - first[0, 0])))
        assert first[:, :2] == pytest.approx(returns[place : place + 24])
        assert np.diag(source.daily)[:2] == pytest.approx(24 * returns[1:].var(axis=0))

    def test_bridged_days_keep_their_returns_and_their_variance(self) -> None:
        rng = np.random.default_rng(1)
        prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, (400, 1)), axis=0))
        history = PriceHistory(np.arange(400, dtype=np.int64) * 86_400, ("ETH",), prices, "test")
        walk = Bootstrap.of(history, ("ETH",), (0,), steps((1.0,)), 1).draw(5_000)
        days = np.diff(np.log(prices[:, 0]))
        assert np.isin(np.round(walk.logs[:, -1, 0], 9), np.round(days, 9)).all()
        assert np.std(walk.logs[:, HALVINGS + 11, 0]) == pytest.approx(np.std(days) / sqrt(2), rel=0.05)

    def test_gaps_are_passed_over(self) -> None:
        history = falling(-0.02, days=80)
        prices = history.prices.copy()
        prices[900:905] = np.nan
        prices[905:] *= 7.0
        found = PriceHistory(history.times, history.names, prices, "test")
        walk = Bootstrap.of(found, ("ETH",), (0,), steps((1.0,)), 1).draw(500)
        assert walk.logs[:, -1, 0] == pytest.approx(np.full(500, -0.48))

    def test_the_settings_history_is_used(self) -> None:
        account = loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 20_000))
        settings = replace(SETTINGS, history=falling(-0.02))
        assert only(run(account, method="bootstrap", settings=settings, paths=200)).probability == 1

    def test_too_short_a_history(self) -> None:
        with pytest.raises(UsageError, match=r"test: 29 days with a return of every one of ETH - a bootstrap needs 30"):
            run(at_distance(1), method="bootstrap", history=falling(-0.02, days=29))

    def test_a_history_without_the_factor(self) -> None:
        with pytest.raises(UsageError, match="no daily prices of ETH"):
            run(at_distance(1), method="bootstrap", history=falling(-0.02, names=("BTC",)))
        with pytest.raises(UsageError, match="no daily prices of ETH"):
            run(at_distance(1), method="bootstrap", history=falling(-0.02, every=2 * 86_400, days=200))

    def test_without_history(self) -> None:
        with pytest.raises(UsageError, match="needs a price history"):
            run(at_distance(1), method="bootstrap")


class TestRun:
    def test_the_same_seed_gives_the_same_figures(self) -> None:
        accounts = at_distance(1.5), perp(margin(USDC, 21_500), position(ETH, -1000, 1000))
        assert run(*accounts, seed=5) == run(*accounts, seed=5)
        assert run(*accounts, seed=5) != run(*accounts, seed=6)

    @pytest.mark.parametrize("method", ["ewma", "bootstrap"])
    def test_pieces_change_nothing(self, method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(1)
        prices = 3000 * np.exp(np.cumsum(rng.normal(0, 0.03, (400, 1)), axis=0))
        history = PriceHistory(np.arange(400, dtype=np.int64) * 86_400, ("ETH",), prices, "test")
        accounts = (loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 22_000)),)
        whole = run(*accounts, volatility={"ETH": 0.04}, method=method, history=history, horizons=(1.0, 7.0))
        monkeypatch.setattr(chance, "_MOST_AT_ONCE", 173)
        parts = run(*accounts, volatility={"ETH": 0.04}, method=method, history=history, horizons=(1.0, 7.0))
        assert [each.accounts for each in parts.outlooks] == [each.accounts for each in whole.outlooks]
        assert parts.outlooks[1].value_at_risk_usd == pytest.approx(whole.outlooks[1].value_at_risk_usd, rel=1e-12)
        assert 0 < whole.outlooks[0].probability < whole.outlooks[1].probability < 1

    def test_what_it_says_of_itself(self) -> None:
        found = run(at_distance(2), horizons=(), paths=150, seed=9, level=0.95)
        assert (found.method, found.paths, found.seed, found.level, found.step_hours) == ("ewma", 150, 9, 0.95, 1.0)
        assert [each.horizon_days for each in found.outlooks] == [1.0, 7.0]
        week = run(at_distance(2), horizons=(), paths=150, settings=replace(SETTINGS, horizon_days=7.0))
        assert [each.horizon_days for each in week.outlooks] == [7.0, 1.0]
        other = run(at_distance(2), horizons=(), paths=150, settings=replace(SETTINGS, horizon_days=2.5))
        assert [each.horizon_days for each in other.outlooks] == [2.5, 1.0, 7.0]

    def test_none_in_many_is_not_none(self) -> None:
        outlook = only(run(at_distance(50)))
        assert outlook.probability == 0
        assert outlook.standard_errors["probability"] == pytest.approx(1 / 4_000, rel=0.01)

    def test_enormous_volatility_stays_finite(self) -> None:
        outlook = only(run(at_distance(2), volatility={"ETH": 100.0}, tails=2.01, horizons=(365.0,), paths=100))
        assert outlook.probability > 0.9
        assert np.isfinite([outlook.value_at_risk_usd, outlook.expected_shortfall_usd]).all()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"paths": 99}, "99 paths - give 100 to 1,000,000"),
            ({"paths": 2_000_000}, "2000000 paths"),
            ({"level": 1.0}, "a level of 1"),
            ({"level": float("nan")}, "a level of nan"),
            ({"seed": -1}, "a seed of -1"),
            ({"tails": 2.0}, "2 degrees of freedom"),
            ({"horizons": (0.0,)}, "a horizon of 0 days"),
            ({"horizons": (400.0,)}, "a horizon of 400 days"),
            ({"horizons": (inf,)}, "a horizon of inf days"),
        ],
    )
    def test_numbers_out_of_range(self, options: dict[str, float], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            run(at_distance(2), **options)  # type: ignore[arg-type]

    def test_an_empty_book(self) -> None:
        with pytest.raises(UsageError, match="no known account"):
            run()

    def test_a_factor_without_volatility(self) -> None:
        idle = loan(collateral(SOL, 1, 100, 0, enabled=False), collateral(BTC, 1, 60_000, 0), name="idle")
        with pytest.raises(UsageError, match=r"no volatility of BTC, SOL - give it under \[model\] volatility"):
            run(at_distance(2), idle)


def test_steps() -> None:
    assert steps((1.0,)).tolist() == [*(2.0**-halving for halving in range(HALVINGS, 0, -1)), *range(1, 25)]
    assert steps((0.3,)).tolist()[HALVINGS:] == pytest.approx([*(0.3 * part for part in range(1, 24)), 7, 7.2])
    week = steps((7.0, 1.0)).tolist()
    assert week[HALVINGS : HALVINGS + 49] == [*range(1, 49), 54]
    assert week[-1] == 168
    assert len(week) == HALVINGS + 68
    mixed = steps((0.5, 1.0)).tolist()[HALVINGS:]
    assert mixed == [*(0.5 * part for part in range(1, 25)), *range(13, 25)]
    assert steps((20.0,)).tolist()[-3:] == [432, 456, 480]
