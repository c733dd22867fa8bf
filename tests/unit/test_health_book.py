"""The book's figures: edge cases of fragmentation, bounds, ties, exposures."""

from __future__ import annotations

import pytest

from defi_risk import health
from defi_risk.health import BookFigures, Exposure
from defi_risk.ids import Factor, Peg
from defi_risk.model import Account, Contract
from tests.accounts import BTC, ETH, SETTINGS, SOL, USD, USDC, USDT, Number, collateral, debt, loan, margin, perp, position


def book(*accounts: Account, partial: bool = False) -> BookFigures:
    return health.run(accounts, SETTINGS, partial=partial).book


def exposure(factor: Factor, *accounts: Account) -> Exposure:
    return next(one for one in health.run(accounts, SETTINGS).exposures if one.factor == factor)


def lent(owed: Number, name: str = "loan", status: str = "ok") -> Account:
    """1 ETH at 1,000 with threshold 0.8."""
    return loan(collateral(ETH, 1, 1000, "0.8"), debt(USDC, owed), name=name, status=status)


class TestFragmentation:
    def test_none_with_one_account_or_without_uhf(self) -> None:
        assert book(lent(400)).fragmentation is None
        idle = loan(collateral(USDC, 5, weight=0, enabled=False), name="idle")
        assert book(idle, loan(collateral(ETH, 1, 5), name="b")).fragmentation is None

    def test_zero_where_accounts_die_together(self) -> None:
        assert book(lent(400, "a"), lent(400, "b")).fragmentation == pytest.approx(0)

    def test_one_where_only_netting_saves(self) -> None:
        figures = book(lent(400), loan(collateral(USDC, 10_000, 1, "0.8"), name="saver"))
        assert (figures.uhf, figures.netted_uhf, figures.fragmentation) == (2.0, None, 1.0)
        assert figures.stranded_usd == 8_000

    def test_one_where_the_first_is_dead_and_the_sum_lives(self) -> None:
        figures = book(lent(1000, "dead"), lent(100, "rich"))
        assert figures.uhf == pytest.approx(0.8)
        assert figures.netted_uhf == pytest.approx(1600 / 1100)
        assert figures.fragmentation == 1.0
        assert (figures.first_account, figures.first_side, figures.corridor) == ("manual:dead", None, (0.0, 0.0))
        assert figures.stranded_usd == 700

    def test_zero_where_the_sum_is_dead_too(self) -> None:
        figures = book(lent(1000, "dead"), lent(700, "weak"))
        assert figures.netted_uhf == pytest.approx(1600 / 1700)
        assert figures.fragmentation == 0.0


class TestBound:
    def test_exact_with_nothing_at_all(self) -> None:
        figures = book()
        assert (figures.bound, figures.net_equity_usd, figures.uhf, figures.netted_health) == ("exact", 0, None, None)

    def test_unknown_when_no_account_is_known(self) -> None:
        figures = book(lent(400, "gone", status="unknown"))
        assert (figures.bound, figures.net_equity_usd, figures.uhf, figures.true_leverage) == ("unknown", None, None, None)
        assert book(partial=True).bound == "unknown"

    def test_at_most_when_a_source_failed(self) -> None:
        assert book(lent(400), partial=True).bound == "at_most"
        assert book(lent(400), lent(400, "gone", status="unknown")).bound == "at_most"


def test_equal_accounts_are_told_apart_by_their_ids() -> None:
    one, other = lent(400, "a"), lent(400, "b")
    assert book(one, other).first_account == book(other, one).first_account == "manual:a"
    nearest = book(other, one).nearest_factor
    assert nearest is not None
    assert nearest.account == "manual:a"


def test_the_nearest_factor_may_be_a_peg() -> None:
    looped = loan(collateral(ETH, 10, 3000, "0.95", peg=Peg("stETH/ETH")), debt(ETH, 9, 3000), name="loop")
    nearest = book(lent(400), looped).nearest_factor
    assert nearest is not None
    assert (nearest.factor, nearest.direction, nearest.account) == ("stETH/ETH", "down", "manual:loop")
    assert nearest.move == pytest.approx(9 / 9.5 - 1)


def test_log_distance_compares_falls_with_rises() -> None:
    # -40 % is a ratio of 1.67, +50 % one of 1.5
    nearest = book(lent(480), perp(margin(USDC, 500), position(BTC, -1, 1000, maintenance=0))).nearest_factor
    assert nearest is not None
    assert (nearest.factor, nearest.direction) == (BTC, "up")


def test_mur_is_the_largest_of_the_derivatives_accounts() -> None:
    safe = perp(margin(USDC, 1000), position(ETH, 1, 1000, initial="0.1"), name="safe")
    used = perp(margin(USDC, 1000), position(ETH, 1, 1000, initial="0.5"), name="used")
    assert book(safe, used, lent(700)).mur == pytest.approx(0.5)
    assert book(lent(700)).mur is None
    assert book(safe, perp(position(ETH, 1, 1000), name="bare")).mur is None


def test_no_leverage_figure_without_equity() -> None:
    figures = book(lent(1000))
    assert (figures.net_equity_usd, figures.true_leverage) == (0, None)
    assert book(lent(500)).true_leverage == pytest.approx(2)


class TestExposures:
    def test_look_through_by_factor_and_venue(self) -> None:
        loop = loan(collateral(ETH, 1, 3300, "0.8", peg=Peg("wstETH/ETH")), collateral(ETH, 1, 3000, enabled=False), debt(ETH, 1, 3000))
        short = perp(margin(ETH, 1, 3000), margin(USDT, -50), position(ETH, -1, 3000, quote=USDT))
        eth = exposure(ETH, loop, short)
        assert (eth.long_usd, eth.short_usd, eth.net_usd) == (9300, 6000, 3300)
        assert eth.by_venue == {"venue of loan": 3300, "venue of perp": 0}
        assert eth.hedge_ratio == pytest.approx(3000 / 9300)
        usdt = exposure(USDT, loop, short)
        assert (usdt.long_usd, usdt.short_usd, usdt.hedge_ratio) == (0, 50, None)

    def test_inverse_notional_is_in_usd(self) -> None:
        account = perp(margin(BTC, 1, 60_000), position(BTC, -30_000, 60_000, quote=USD, contract=Contract.INVERSE))
        btc = exposure(BTC, account)
        assert (btc.long_usd, btc.short_usd, btc.hedge_ratio) == (60_000, 30_000, 0.5)

    def test_a_volatile_quote_is_the_other_side(self) -> None:
        account = perp(margin(BTC, 1, 60_000), position(ETH, 10, "0.05", quote=BTC))
        assert exposure(ETH, account).long_usd == 30_000
        assert exposure(BTC, account).short_usd == 30_000
        assert book(account).true_leverage == pytest.approx(2.0)

    def test_the_corridor_of_one_factor(self) -> None:
        eth = exposure(ETH, lent(400), perp(margin(USDC, 100), position(ETH, -1, 1000, maintenance=0)))
        assert eth.corridor == pytest.approx((-0.5, 0.1))
        assert exposure(SOL, loan(collateral(SOL, 1, 5), name="s"), lent(900, "dead")).corridor == (0.0, 0.0)
        assert exposure(SOL, loan(collateral(SOL, 1, 5), name="s")).corridor == (None, None)
