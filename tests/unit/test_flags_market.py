"""Flags about prices: venues, pegs, and what a price history says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from defi_risk.flags import Limits, Severity
from defi_risk.history import DAY, HOUR, PriceHistory
from defi_risk.ids import ChainId, Factor, Peg
from defi_risk.model import Account, Anchor, Chain, Contract, SourceReport
from tests.accounts import BTC, ETH, SETTINGS, SOL, USD, USDC, Number, collateral, debt, loan, margin, perp, position
from tests.flagged import found

BOTH = ("manual:loan", "manual:perp")
STETH = Peg("stETH/ETH")
START = 1_700_000_000


def book(*, here: Number = 3000, there: Number = 3000, usdc: Number = 1, quote: Factor = USDC) -> list[Account]:
    return [
        loan(collateral(ETH, 10, here, "0.83"), debt(USDC, 12_000, usdc)),
        perp(margin(USDC, 12_000, usdc), position(ETH, -10, there, quote=quote)),
    ]


class TestBasis:
    @pytest.mark.parametrize(("there", "raised"), [(3030, False), ("3030.1", True), ("2970.2", True), (2971, False)])
    def test_more_than_one_percent(self, there: Number, raised: bool) -> None:
        flags = found("VENUE_BASIS", book(there=there))
        assert [(flag.severity, flag.accounts) for flag in flags] == ([(Severity.WARNING, BOTH)] if raised else [])

    def test_says_both_prices(self) -> None:
        [flag] = found("VENUE_BASIS", book(there=3300))
        assert flag.evidence["lending_price_usd"] == 3000
        assert flag.evidence["derivatives_price_usd"] == 3300
        assert flag.evidence["apart"] == pytest.approx(0.1)

    def test_marks_are_in_the_quote_coin(self) -> None:
        assert found("VENUE_BASIS", book(there="3333.333", usdc="0.9")) == []
        inverse = [book()[0], perp(margin(ETH, 10, 3000), position(ETH, 30_000, 3000, contract=Contract.INVERSE))]
        assert found("VENUE_BASIS", inverse) == []

    def test_pegged_tokens_and_one_side_alone_are_not_compared(self) -> None:
        pegged = loan(collateral(ETH, 10, 3600, "0.8", peg=STETH), debt(USDC, 1))
        assert found("VENUE_BASIS", [pegged, book()[1]]) == []
        assert found("VENUE_BASIS", [book()[0], replace(book(here=4000)[0], venue="elsewhere")]) == []

    def test_one_venue_is_not_two(self) -> None:
        first, second = book(there=3300)
        assert found("VENUE_BASIS", [first, replace(second, venue=first.venue)]) == []


class TestDepeg:
    @pytest.mark.parametrize(("usdc", "raised"), [("0.99", False), ("0.9899", True), ("1.01", False), ("1.0101", True)])
    def test_a_stable(self, usdc: str, raised: bool) -> None:
        flags = found("DEPEG", book(usdc=usdc))
        assert [(flag.severity, flag.accounts) for flag in flags] == ([(Severity.WARNING, BOTH)] if raised else [])

    def test_exposure_on_both_sides(self) -> None:
        [flag] = found("DEPEG", book(usdc="0.9"))
        assert flag.evidence["off"] == pytest.approx(-0.1)
        assert flag.evidence["lending_usd"] == pytest.approx(-10_800)
        # margin, and the short's proceeds, which are in the quote coin
        assert flag.evidence["derivatives_usd"] == pytest.approx(10_800 + 27_000)
        assert flag.evidence["long_usd"] == pytest.approx(37_800)
        assert flag.evidence["short_usd"] == pytest.approx(10_800)

    def test_dust_is_nothing_a_book_depends_on(self) -> None:
        assert found("DEPEG", [loan(collateral(USDC, "1.2", "0.8"))]) == []
        assert len(found("DEPEG", [loan(collateral(USDC, "1.3", "0.8"))])) == 1

    def test_one_side_is_enough(self) -> None:
        [flag] = found("DEPEG", book(usdc="0.9")[:1])
        assert flag.evidence["lending_usd"] == pytest.approx(-10_800)
        assert flag.evidence["derivatives_usd"] == 0

    def staked(self, here: Number, there: Number | None = None, price: Number = 3000) -> list[Account]:
        lent = loan(collateral(ETH, 10, here, "0.8", peg=STETH), debt(USDC, 12_000))
        side = perp(margin(USDC, 12_000), position(ETH, -10, price))
        return (
            [lent, side] if there is None else [lent, side, perp(margin(ETH, 1, there, peg=STETH), position(ETH, -1, price), name="other")]
        )

    @pytest.mark.parametrize(
        ("here", "there", "raised"),
        [
            (2970, None, False),
            (2969, None, True),  # a token that is worth less than its factor
            (3500, None, False),  # one that has grown against it
            (3500, 3470, False),
            (3500, 3460, True),  # two venues that disagree
        ],
    )
    def test_a_peg(self, here: Number, there: Number | None, raised: bool) -> None:
        assert bool(found("DEPEG", self.staked(here, there))) is raised

    def test_a_peg_names_the_hedge_of_its_factor(self) -> None:
        [flag] = found("DEPEG", self.staked(2790))
        assert flag.accounts == BOTH
        assert flag.evidence["off"] == pytest.approx(-0.07)
        assert flag.evidence["lending_usd"] == pytest.approx(27_900)
        assert flag.evidence["derivatives_usd"] == pytest.approx(-30_000)

    def test_wrapped_and_plain_share_a_peg_not_a_price(self) -> None:
        first, *_ = self.staked(3000)
        wrapped = collateral(ETH, 1, 3600, "0.8", peg=STETH)
        named = replace(wrapped, asset=replace(wrapped.asset, symbol="wstETH"))
        assert found("DEPEG", [replace(first, legs=(*first.legs, named)), self.staked(3000)[1]]) == []

    def test_a_venue_s_own_price_of_the_factor_counts_first(self) -> None:
        lent = loan(collateral(ETH, 10, 2800, "0.8", peg=STETH), collateral(ETH, 1, 2800, "0.8"), debt(USDC, 12_000))
        assert found("DEPEG", [lent, self.staked(1)[1]]) == []

    def test_a_synthetic_dollar(self) -> None:
        lent = loan(collateral(USD, 10_000, "0.98", "0.8", peg=Peg("USDe/USD")), debt(USDC, 1_000))
        side = perp(margin(USD, 10_000, 1, peg=Peg("USDe/USD")), position(ETH, 1, 3000, quote=USD))
        [flag] = found("DEPEG", [lent, side])
        assert flag.evidence["peg"] == "USDe/USD"


def history(names: Sequence[str], prices: Sequence[Sequence[float]], step: int = HOUR) -> PriceHistory:
    times = START + step * np.arange(len(prices), dtype=np.int64)
    return PriceHistory(times, tuple(names), np.array(prices, dtype=np.float64), "made up")


def read_at(seconds: int) -> SourceReport:
    return SourceReport(id="ethereum", anchor=Anchor(Chain(ChainId(1), "ethereum"), 1, "0x" + "ab" * 32, seconds))


class TestPriceMove:
    def test_within_any_sixty_minutes(self) -> None:
        prices = [[3000.0]] * 30 + [[3160.0]] + [[3160.0]] * 5
        [flag] = found("PRICE_MOVE", book(), history=history(["ETH"], prices))
        assert (flag.severity, flag.accounts) == (Severity.WARNING, ("manual:loan",))
        assert flag.evidence["move"] == pytest.approx(160 / 3000)
        assert flag.evidence["end"] == "2023-11-16T04:13:20Z"

    def test_not_close_to_close_alone(self) -> None:
        """Down and up again within the hour, seen by observations every 20 minutes."""
        prices = [[3000.0]] * 6 + [[2840.0], [2990.0]] + [[2990.0]] * 6
        [flag] = found("PRICE_MOVE", book(), history=history(["ETH"], prices, 1200))
        assert flag.evidence["move"] == pytest.approx(-160 / 3000)

    @pytest.mark.parametrize(
        ("prices", "step"),
        [
            ([[3000.0]] * 5 + [[3149.0]] * 5, HOUR),
            ([[3000.0], [3100.0], [3200.0]], HOUR),
            ([[3000.0], [3500.0]], 2 * HOUR),
            ([[3000.0], [3500.0], *[[3500.0]] * 25], HOUR),  # longer ago than a day
        ],
    )
    def test_less_slower_or_longer_ago(self, prices: list[list[float]], step: int) -> None:
        assert found("PRICE_MOVE", book(), history=history(["ETH"], prices, step)) == []

    def test_only_of_collateral_and_only_with_a_history_of_now(self) -> None:
        sharp = [[3000.0]] * 5 + [[3300.0]]
        assert found("PRICE_MOVE", book(), history=history(["BTC"], sharp)) == []
        assert found("PRICE_MOVE", book()) == []
        end = START + 5 * HOUR
        assert len(found("PRICE_MOVE", book(), history=history(["ETH"], sharp), sources=[read_at(end + DAY + HOUR)])) == 1
        assert found("PRICE_MOVE", book(), history=history(["ETH"], sharp), sources=[read_at(end + DAY + HOUR + 1)]) == []
        assert len(found("PRICE_MOVE", book(), replace(SETTINGS, history=history(["ETH"], sharp)))) == 1


def paths(weeks: int, tied: float, seed: int = 7) -> list[list[float]]:
    """Hourly prices of two assets, independent at first and of a given tie in the last week."""
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 0.01, (weeks * 168, 2))
    steps[-168:, 1] = tied * steps[-168:, 0] + (1 - tied**2) ** 0.5 * steps[-168:, 1]
    return [[3000.0 * a, 150.0 * b] for a, b in np.exp(np.cumsum(steps, axis=0)).tolist()]


class TestCorrelationShift:
    def traded(self, factor: Factor = SOL) -> list[Account]:
        return [book()[0], perp(margin(USDC, 9_000), position(factor, 10, 150))]

    def test_collateral_that_comes_to_move_with_what_is_traded(self) -> None:
        [flag] = found("CORRELATION_SHIFT", self.traded(), history=history(["ETH", "SOL"], paths(6, 0.97)))
        assert (flag.severity, flag.accounts) == (Severity.WARNING, BOTH)
        now, mean = flag.evidence["correlation"], flag.evidence["mean"]
        assert isinstance(now, float)
        assert isinstance(mean, float)
        assert now > 0.95
        assert now - mean >= 0.2

    def test_loose_ties_the_same_factor_and_short_histories(self) -> None:
        assert found("CORRELATION_SHIFT", self.traded(), history=history(["ETH", "SOL"], paths(6, 0.7))) == []
        assert found("CORRELATION_SHIFT", self.traded(ETH), history=history(["ETH", "SOL"], paths(6, 0.97))) == []
        assert found("CORRELATION_SHIFT", self.traded(), history=history(["ETH", "SOL"], paths(3, 0.97))) == []
        assert found("CORRELATION_SHIFT", self.traded()) == []

    def test_an_old_tie_is_no_shift(self) -> None:
        settled = found(
            "CORRELATION_SHIFT", self.traded(), history=history(["ETH", "SOL"], paths(6, 0.97)), limits=Limits(correlation_rise=0.9)
        )
        assert settled == []


class TestVolatilityShift:
    def year(self, last: float) -> PriceHistory:
        random = np.random.default_rng(3)
        steps = random.normal(0.0, 0.04, 370)
        steps[-7:] = np.array([last, -last] * 4)[:7]
        return history(["ETH"], [[price] for price in (3000.0 * np.exp(np.cumsum(steps))).tolist()], DAY)

    def test_a_calm_week_asks_to_cut(self) -> None:
        [flag] = found("VOLATILITY_SHIFT", book(), history=self.year(0.01))
        assert (flag.severity, flag.accounts) == (Severity.INFO, BOTH)
        assert flag.evidence["daily_volatility"] == pytest.approx(0.01)
        assert flag.evidence["cut_least_usd"] == pytest.approx(6_000)
        assert flag.evidence["cut_most_usd"] == pytest.approx(12_000)

    def test_a_usual_week_no_leverage_and_no_history(self) -> None:
        assert found("VOLATILITY_SHIFT", book(), history=self.year(0.04)) == []
        assert found("VOLATILITY_SHIFT", [loan(collateral(ETH, 10, 3000, "0.8"))], history=self.year(0.01)) == []
        assert (
            found(
                "VOLATILITY_SHIFT", [replace(book()[0], legs=(collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 1)))], history=self.year(0.01)
            )
            == []
        )
        assert found("VOLATILITY_SHIFT", book()) == []


def test_measured_volatility_and_correlation_serve_where_none_is_given() -> None:
    told = history(["ETH", "SOL"], paths(6, 0.97))
    side = perp(margin(USDC, 9_000), position(SOL, 600, 150))
    [flag] = found("RISK_CONTRIBUTION", [side], history=told)
    assert flag.evidence["daily_volatility"] == pytest.approx(0.01 * 24**0.5, rel=0.15)
    [flag] = found("WRONG_WAY_COLLATERAL", [book()[0], side], history=told, limits=Limits(wrong_way=0.2))
    tied = flag.evidence["correlation"]
    assert isinstance(tied, float)
    assert 0.2 < tied < 0.8
