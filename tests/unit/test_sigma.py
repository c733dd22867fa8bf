"""Distance in standard deviations: the specification's cases, bends on the way, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, sqrt

import pytest

from defi_risk.health.account import Assessed, assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.covariance import Covariance, covariance
from defi_risk.health.normal import Normal, summed
from defi_risk.health.sigma import SigmaDistance, book_sigma, sigma, sigmas
from defi_risk.ids import Factor, Peg
from defi_risk.model import Account
from tests.accounts import BTC, ETH, SETTINGS, USDC, USDT, Number, collateral, debt, loan, margin, perp, position

STETH = Peg("stETH/ETH")
FOUR = {"ETH": 0.04}


def aave(borrowed: Number) -> Account:
    return loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, borrowed), name="aave")


def one_perp(posted: Number, size: Number) -> Account:
    return perp(margin(USDC, posted), position(ETH, size, 3000), name="perp")


def book(*accounts: Account) -> list[Assessed]:
    return [assess(account, SETTINGS, {}) for account in accounts]


def daily(axes: Sequence[str], volatility: Mapping[str, float], correlation: Mapping[str, float] | None = None) -> Covariance:
    return covariance(axes, volatility=volatility, correlation=correlation or {}, stables=SETTINGS.stables, history=None)


def measured(
    *accounts: Account,
    volatility: Mapping[str, float] = FOUR,
    correlation: Mapping[str, float] | None = None,
    horizon: float = 1.0,
) -> list[SigmaDistance]:
    assessed = book(*accounts)
    arrays = Arrays.of(assessed)
    return sigmas(assessed, arrays, daily(arrays.axes, volatility, correlation), horizon)


def distances(*accounts: Account) -> list[float | None]:
    return [each.distance for each in measured(*accounts)]


def netted(*accounts: Account) -> SigmaDistance:
    """D of all accounts taken for one: what no venue would do."""
    parts = [one.normal for one in book(*accounts)]
    normal = Normal(
        c=summed(part.c for part in parts),
        r=summed(part.r for part in parts),
        ladders=tuple(ladder for part in parts for ladder in part.ladders),
        holdings=(),
        quotes={},
        equity=sum(part.equity for part in parts),
        collateral=0.0,
        debt=0.0,
        initial=0.0,
    )
    whole = book(accounts[0])[0]
    surplus = normal.weighted() - normal.requirement()
    whole = replace(whole, normal=normal, figures=replace(whole.figures, surplus_usd=surplus, requirement_usd=normal.requirement()))
    return sigma(whole, daily(("ETH", "USDC"), FOUR), 1.0)


class TestCases:
    def test_a_hedge(self) -> None:
        accounts = aave(12_000), one_perp(12_000, -10)
        assert distances(*accounts) == pytest.approx([12_900 / 996, 11_400 / 1224])
        assert distances(*accounts) == pytest.approx([12.95, 9.31], abs=0.005)
        assert netted(*accounts).distance == pytest.approx(106.6, abs=0.05)

    def test_a_balanced(self) -> None:
        accounts = aave("13997.84"), one_perp("13997.84", -10)
        assert distances(*accounts) == pytest.approx([10.95, 10.95], abs=0.005)

    def test_b_stacked_long(self) -> None:
        accounts = aave(15_000), one_perp(6_000, 10)
        assert distances(*accounts) == pytest.approx([9.94, 4.59], abs=0.005)
        assert netted(*accounts).distance == pytest.approx(7.04, abs=0.006)
        assert distances(aave("13756.91"), one_perp("13756.91", 10)) == pytest.approx([11.19, 11.19], abs=0.005)

    @pytest.mark.parametrize(("rho", "expected"), [(0, 7.90), (0.5, 7.47), (0.8, 7.24), (0.95, 7.14), (1, 7.10)])
    def test_c_correlation(self, rho: float, expected: float) -> None:
        account = perp(margin(BTC, "0.1", 100_000, "0.95"), margin(USDT, 10_000), position(ETH, 20, 3000, quote=USDT, maintenance="0.01"))
        (found,) = measured(account, volatility={"ETH": 0.04, "BTC": 0.03}, correlation={"BTC/ETH": rho})
        assert found.distance == pytest.approx(expected, abs=0.005)

    def test_the_distance_shrinks_with_the_root_of_the_horizon(self) -> None:
        assert measured(aave(12_000), horizon=4.0)[0].distance == pytest.approx(12_900 / 996 / 2)


class TestShock:
    def test_it_is_the_move_to_the_boundary(self) -> None:
        below, above = measured(aave(12_000), one_perp(12_000, -10))
        assert below.shock == pytest.approx({"ETH": 1445.7831325 / 3000 - 1})
        assert above.shock == pytest.approx({"ETH": 4117.6470588 / 3000 - 1})

    def test_what_moves_along_moves_in_it_too(self) -> None:
        assessed = book(aave(12_000))
        covered = daily(("BTC", "ETH", "USDC"), {"ETH": 0.04, "BTC": 0.02}, {"BTC/ETH": 0.5})
        other = book(perp(margin(BTC, 1, 60_000), name="other"))
        found = sigmas([*assessed, *other], Arrays.of([*assessed, *other]), covered, 1.0)
        fall = 1445.7831325 / 3000 - 1
        assert found[0].shock == pytest.approx({"ETH": fall, "BTC": fall * 0.5 * 0.02 / 0.04})

    def test_a_pegged_key_moves_with_its_factor_and_its_peg(self) -> None:
        account = loan(collateral(ETH, 10, 3000, "0.8", peg=STETH), debt(USDC, 12_000))
        (found,) = measured(account, volatility={"ETH": 0.04, "stETH/ETH": 0.03})
        assert found.distance == pytest.approx(12_000 / (24_000 * 0.05))
        assert found.shock == pytest.approx({"ETH": -0.5 * 0.64, "stETH/ETH": -0.5 * 0.36})

    def test_a_peg_moves_alone_where_its_factor_cancels(self) -> None:
        account = loan(collateral(ETH, 10, 3000, "0.9", peg=STETH), debt(ETH, "8.1", 3000))
        (found,) = measured(account, volatility={"ETH": 0.04, "stETH/ETH": 0.001})
        slope = 27_000 * 0.001, 2_700 * 0.04
        assert found.distance == pytest.approx(2_700 / sqrt(slope[0] ** 2 + slope[1] ** 2))

    def test_a_bracket_on_the_way_changes_the_distance(self) -> None:
        tiers = [(0, "0.02", 0), (35_000, "0.1", 2_800)]
        flat = one_perp(12_000, -10)
        bent = perp(margin(USDC, 12_000), position(ETH, -10, 3000, maintenance=tiers), name="bent")
        straight, found = measured(flat, bent)
        # above 35,000: 42,000 - n = 0.1 n - 2,800
        move = 44_800 / 1.1 / 30_000 - 1
        assert found.shock == pytest.approx({"ETH": move})
        assert straight.distance is not None
        assert found.distance == pytest.approx(straight.distance * move / straight.shock["ETH"])

    def test_the_bracket_that_holds_now_is_the_one_that_counts(self) -> None:
        tiers = [(0, "0.01", 0), (25_000, "0.02", 250)]
        account = perp(margin(USDC, 12_000), position(ETH, -10, 3000, maintenance=tiers))
        (found,) = measured(account)
        assert found.distance == pytest.approx((12_000 - 350) / (30_600 * 0.04))


class TestNoDistance:
    def test_no_move_kills_what_owes_nothing(self) -> None:
        assert measured(perp(margin(USDC, 5))) == [SigmaDistance(None)]
        assert measured(loan(collateral(ETH, 1, 3000, 0, enabled=False))) == [SigmaDistance(None)]

    def test_a_price_cannot_fall_below_zero(self) -> None:
        assert measured(one_perp(40_000, 10)) == [SigmaDistance(None)]
        up = measured(one_perp(40_000, -10))[0]
        assert up.distance is not None

    def test_money_against_money_stands_still(self) -> None:
        assert measured(loan(collateral(USDT, 100, 1, "0.9"), debt(USDC, 50))) == [SigmaDistance(None)]

    def test_an_account_on_its_line_has_none_left(self) -> None:
        assert distances(loan(collateral(ETH, 1, 3000, "0.5"), debt(USDC, 1500), strict=True)) == [0.0]
        assert distances(loan(collateral(USDT, 2, 1, "0.5"), debt(USDC, 1), strict=True)) == [0.0]

    def test_an_account_that_is_dead_has_none_left(self) -> None:
        found = measured(aave(25_000), aave(24_900.5), volatility={})
        assert found == [SigmaDistance(0.0), SigmaDistance(0.0)]

    def test_correlations_of_one_leave_no_variance(self) -> None:
        account = loan(collateral(ETH, 10, 3000, "0.8"), debt(BTC, "0.1", 60_000))
        (found,) = measured(account, volatility={"ETH": 0.04, "BTC": 0.16}, correlation={"BTC/ETH": 1.0})
        assert found == SigmaDistance(None)

    def test_what_has_no_volatility_is_named(self) -> None:
        doge = Factor("DOGE")
        account = loan(collateral(doge, 1000, 1, "0.5"), collateral(ETH, 10, 3000, "0.83"), debt(USDC, 1_000))
        first, second = measured(account, replace(aave(12_000), legs=(*aave(12_000).legs, collateral(doge, 1, 1, 0))))
        assert first == SigmaDistance(None, {}, ("DOGE",))
        assert second.distance == pytest.approx(12_900 / 996)

    def test_an_axis_that_nobody_asked_for_is_not_known_either(self) -> None:
        found = sigma(book(aave(12_000))[0], daily(("BTC", "USDC"), {"BTC": 0.03}), 1.0)
        assert found.missing == ("ETH",)


class TestBook:
    def test_the_smallest_and_its_account(self) -> None:
        assessed = book(aave(12_000), one_perp(12_000, -10))
        arrays = Arrays.of(assessed)
        found = book_sigma(assessed, sigmas(assessed, arrays, daily(arrays.axes, FOUR), 1.0), 1.0)
        assert (found.horizon_days, found.account) == (1.0, "manual:perp")
        assert found.distance == pytest.approx(9.31, abs=0.005)
        assert found.shock == pytest.approx({"ETH": 0.3725490196})

    def test_without_any(self) -> None:
        found = book_sigma([], [], 2.0)
        assert (found.horizon_days, found.distance, found.account, dict(found.shock)) == (2.0, None, None, {})

    def test_equal_distances_go_by_the_name(self) -> None:
        assessed = book(replace(aave(12_000), id=loan(name="b").id), replace(aave(12_000), id=loan(name="a").id))
        arrays = Arrays.of(assessed)
        assert book_sigma(assessed, sigmas(assessed, arrays, daily(arrays.axes, FOUR), 1.0), 1.0).account == "manual:a"

    def test_no_accounts_have_no_distances(self) -> None:
        assert sigmas([], Arrays.of([]), daily((), {}), 1.0) == []


def test_a_small_shock_is_what_the_exponential_says() -> None:
    """The multiplicative move of a pegged token is first order here: the error is the product of the two moves."""
    account = loan(collateral(ETH, 10, 3000, "0.8", peg=STETH), debt(USDC, 23_990))
    (found,) = measured(account, volatility={"ETH": 0.04, "stETH/ETH": 0.01})
    moved = (1 + found.shock["ETH"]) * (1 + found.shock["stETH/ETH"])
    assert 24_000 * moved == pytest.approx(23_990, rel=1e-7)
    assert exp(found.shock["ETH"]) == pytest.approx(1 + found.shock["ETH"], rel=1e-6)
