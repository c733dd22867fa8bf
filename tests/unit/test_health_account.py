"""One account: its normal form, its distances, what can be withdrawn."""

from __future__ import annotations

from math import inf, isfinite

import pytest

from defi_risk import health
from defi_risk.errors import MissingPrice
from defi_risk.health import AccountFigures, HealthSettings
from defi_risk.health.distance import Surplus, alone
from defi_risk.health.normal import Key, in_floats
from defi_risk.ids import Factor, Peg
from defi_risk.model import Account, Basis, Contract, Leg, Price, Role
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, SETTINGS, SOL, USD, USDC, USDT, coin, collateral, debt, loan, margin, perp, position

STETH = Peg("stETH/ETH")


def one(account: Account, settings: HealthSettings = SETTINGS) -> AccountFigures:
    return health.run([account], settings).accounts[account.id]


def move(figures: AccountFigures, name: str, direction: str) -> float:
    return next(m.move for m in figures.moves if (m.peg or m.factor, m.direction) == (name, direction))


class TestLoan:
    def test_a_wallet_has_equity_and_nothing_else(self) -> None:
        figures = one(loan(collateral(ETH, 2, 3000, weight=0, enabled=False)))
        assert (figures.equity_usd, figures.collateral_usd, figures.weighted_collateral_usd) == (6000, 0, 0)
        assert (figures.health, figures.hf, figures.down, figures.up, figures.mur) == (None, None, None, None, None)
        assert not figures.liquidatable
        assert figures.withdrawable_usd == 6000
        assert figures.moves == ()

    def test_a_holding_that_is_no_collateral_does_not_carry_the_debt(self) -> None:
        figures = one(loan(collateral(ETH, 1, 3000, "0.8"), collateral(BTC, 1, 60_000, "0.7", enabled=False), debt(USDC, 1200)))
        assert figures.health == pytest.approx(2.0)
        assert (figures.equity_usd, figures.collateral_usd) == (61_800, 3_000)

    def test_the_ratio_of_dust_debt_keeps_its_digits(self) -> None:
        figures = one(loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, "0.000000000001")))
        assert figures.hf == pytest.approx(2.4e16, rel=1e-12)
        assert figures.health == pytest.approx(figures.hf, rel=1e-12)
        assert figures.down is not None
        assert -1 < figures.down < 0

    def test_a_pair_trade_dies_by_the_ratio_alone(self) -> None:
        figures = one(loan(collateral(ETH, 20, 3000, "0.8"), debt(BTC, "0.47", 100_000)))
        assert figures.hf is None
        assert move(figures, ETH, "down") == pytest.approx(47 / 48 - 1)
        assert move(figures, BTC, "up") == pytest.approx(48 / 47 - 1)

    def test_a_peg_breaks_alone(self) -> None:
        figures = one(loan(collateral(ETH, 10, 3000, "0.93", peg=STETH), debt(ETH, 9, 3000)))
        assert figures.hf is None
        assert [(m.factor, m.peg, m.direction) for m in figures.moves] == [(ETH, STETH, "down")]
        assert move(figures, STETH, "down") == pytest.approx(9 / 9.3 - 1)

    def test_stables_move_alone_but_not_with_the_market(self) -> None:
        figures = one(loan(collateral(USDC, 1000, 1, "0.8"), debt(USDT, 700)))
        assert figures.hf is None
        assert move(figures, USDC, "down") == pytest.approx(-0.125)
        assert move(figures, USDT, "up") == pytest.approx(1 / 7)

    def test_usd_itself_never_moves(self) -> None:
        figures = one(perp(margin(USD, 1000), position(ETH, 1, 3000, quote=USD)))
        assert {m.factor for m in figures.moves} == {ETH}

    def test_a_crossing_only_at_zero_is_none(self) -> None:
        figures = one(loan(collateral(ETH, 1, 3000, "0.8"), collateral(USDC, 1000, 1, "0.5"), debt(USDT, 500)))
        assert figures.down is None
        assert figures.hf is None

    def test_what_cancels_is_not_a_crossing_at_the_end_of_the_world(self) -> None:
        figures = one(loan(collateral(ETH, 1, 3000, "0.8"), collateral(USDC, "0.3", 1, "0.7"), debt(USDT, "0.21")))
        assert figures.down is None

    def test_betas_and_the_clamp_at_zero(self) -> None:
        settings = HealthSettings(stables=SETTINGS.stables, betas={SOL: 2.0})
        two = loan(collateral(SOL, 10, 100, "0.5"), collateral(ETH, 1, 1000, "0.5"), debt(USDC, 300))
        assert one(two, settings).down == pytest.approx(-(1000 - 300) / 1500)
        # SOL is worth nothing from -50 % on; the ETH alone carries a debt of 100 down to -80 %
        less = loan(collateral(SOL, 10, 100, "0.5"), collateral(ETH, 1, 1000, "0.5"), debt(USDC, 100))
        assert one(less, settings).down == pytest.approx(100 / 500 - 1)

    def test_a_negative_beta_dies_of_a_rise(self) -> None:
        bear = Factor("BEAR")
        settings = HealthSettings(stables=SETTINGS.stables, betas={bear: -1.0})
        figures = one(loan(collateral(bear, 1, 1000, "0.8"), debt(USDC, 400)), settings)
        assert figures.down is None
        assert figures.up == pytest.approx(0.5)

    def test_an_account_without_requirement_never_dies(self) -> None:
        figures = one(loan(collateral(ETH, 1, 3000, "0.8", initial="0.75")))
        assert (figures.health, figures.hf, figures.liquidatable, figures.mur) == (None, None, False, 0.0)
        assert figures.withdrawable_usd == 3000

    def test_debt_without_collateral_is_dead(self) -> None:
        figures = one(loan(debt(USDC, 5)))
        assert (figures.health, figures.hf, figures.liquidatable) == (0.0, 0.0, True)
        assert (figures.down, figures.up, figures.moves) == (0.0, 0.0, ())

    def test_the_venue_s_verdict_rules(self) -> None:
        legs = (collateral(ETH, 1, 1000, "0.8"), debt(USDC, 800))
        dead = one(loan(*legs, liquidatable=True))
        assert (dead.liquidatable, dead.hf, dead.down, dead.up) == (True, 1.0, 0.0, 0.0)
        below = (collateral(ETH, 1, 1000, "0.8"), debt(USDC, "800.0000001"))
        alive = one(loan(*below, liquidatable=False))
        assert (alive.liquidatable, alive.hf) == (False, 1.0)
        assert alive.down == 0.0
        assert one(loan(*below)).liquidatable

    def test_the_line_itself_is_judged_without_rounding(self) -> None:
        # 0.1 * 3 is not 0.3 in float64
        legs = (collateral(ETH, 3, "0.1"), debt(USDC, "0.3"))
        assert not one(loan(*legs)).liquidatable
        assert one(loan(*legs, strict=False)).liquidatable

    def test_a_leg_without_usd_price_is_refused(self) -> None:
        for price in (None, Price(Quantity(1, 0), unit=ETH)):
            leg = Leg(role=Role.DEBT, asset=debt(ETH, 1).asset, factor=ETH, amount=Quantity(1, 0), price=price)
            with pytest.raises(MissingPrice, match="has no price in USD"):
                one(loan(leg))

    def test_numbers_of_any_size(self) -> None:
        figures = one(loan(collateral(ETH, 10**60, 10**17, "0.8"), debt(USDC, 1)))
        assert figures.hf is not None
        assert isfinite(figures.hf)


class TestWithdrawable:
    def test_the_lowest_weight_goes_first(self) -> None:
        account = loan(
            collateral(ETH, 1, 1000, "0.83", initial="0.8"),
            collateral(SOL, 10, 100, "0.6", initial="0.5"),
            collateral(BTC, 1, 50, enabled=False),
            debt(USDC, 600),
        )
        # the limit of 1,300 leaves 700: all SOL for 500 of it, then 250 of ETH; BTC is free
        assert one(account).withdrawable_usd == pytest.approx(50 + 1000 + 250)

    def test_what_the_venue_can_pay_is_the_most(self) -> None:
        account = loan(collateral(ETH, 1, 1000, "0.8"), collateral(SOL, 10, 100, "0.5", available=1), debt(USDC, 1))
        assert one(account).withdrawable_usd == pytest.approx(1000 + 100)
        assert one(loan(collateral(ETH, 1, 1000, "0.8", available="0.25"))).withdrawable_usd == 250

    def test_nothing_that_counts_leaves_beyond_the_borrow_limit(self) -> None:
        account = loan(collateral(ETH, 1, 1000, "0.83", initial="0.7"), collateral(SOL, 1, 9, weight="0.5", initial=0), debt(USDC, 750))
        figures = one(account)
        assert figures.free_margin_usd == pytest.approx(-50)
        assert figures.mur == pytest.approx(750 / 700)
        assert figures.withdrawable_usd == 0

    def test_margin_but_not_unrealised_profit(self) -> None:
        figures = one(perp(margin(USDC, 100), position(ETH, 1, 1000, pnl=500)))
        assert figures.free_margin_usd == 580
        assert figures.withdrawable_usd == 100
        assert one(perp(margin(USDC, 100))).withdrawable_usd == 100

    def test_a_debt_beside_the_margin_must_stay_covered(self) -> None:
        figures = one(perp(margin(ETH, 1, 1000, "0.9"), debt(USDC, 600)))
        assert figures.health is None
        # what counts for 300 is worth more than that: ETH of 666.67 still covers the debt
        assert figures.withdrawable_usd == pytest.approx(300 / 0.9)


class TestDerivatives:
    def test_linear_distances_of_the_specification(self) -> None:
        long = one(perp(margin(USDC, 600), position(ETH, 1, 3000)))
        short = one(perp(margin(USDC, 600), position(ETH, -1, 3000)))
        assert long.down == pytest.approx(-0.02 * (10 - 1) / 0.98)
        assert short.up == pytest.approx(0.02 * (10 - 1) / 1.02)

    def test_haircuts_shrink_what_is_held_but_not_what_is_owed_and_nothing_held_counts_for_more_than_it_is(self) -> None:
        figures = one(perp(margin(ETH, 1, 1000, "0.9"), margin(USDT, -200, 1, "0.5"), margin(BTC, 1, 5, "2"), position(ETH, "0.1", 1000)))
        assert figures.weighted_collateral_usd == pytest.approx(900 - 200 + 5)
        assert figures.equity_usd == pytest.approx(1000 - 200 + 5)

    def test_entry_and_mark_give_the_profit_that_is_not_told(self) -> None:
        assert one(perp(position(ETH, 2, 3000, entry=2900))).equity_usd == 200
        assert one(perp(position(ETH, -2, 3000, entry=2900))).equity_usd == -200

    def test_an_inverse_long_in_its_own_coin(self) -> None:
        # long of 3,000 USD on 1 ETH: B = (1 + 3000 / 2500) p - 3000 - 60
        account = perp(margin(ETH, 1, 3000), position(ETH, 3000, 3000, entry=2500, quote=USD, contract=Contract.INVERSE))
        figures = one(account)
        assert figures.equity_usd == pytest.approx(3000 + 3000 * 0.2)
        assert figures.requirement_usd == pytest.approx(60)
        assert figures.moves[0].price == pytest.approx(3060 / 2.2)

    def test_an_inverse_short_of_its_collateral_is_flat_in_usd(self) -> None:
        account = perp(margin(ETH, 1, 3000), position(ETH, -3000, 3000, quote=USD, contract=Contract.INVERSE))
        figures = one(account)
        assert figures.hf is None
        assert figures.surplus_usd == pytest.approx(2940)

    def test_inverse_brackets_are_counted_in_coins(self) -> None:
        tiers = [(0, "0.01", "0"), (1, "0.02", "0.01")]
        account = perp(margin(ETH, "0.1", 3000), position(ETH, 6000, 3000, quote=USD, contract=Contract.INVERSE, maintenance=tiers))
        figures = one(account)
        assert figures.requirement_usd == pytest.approx(2 * 3000 * 0.02 - 0.01 * 3000)
        # in the second bracket all the way down: (0.1 + 2) p - 6000 = 120 - 0.01 p
        assert figures.moves[0].price == pytest.approx(6120 / 2.11)

    def test_a_linear_position_changes_its_bracket_on_the_way(self) -> None:
        tiers = [(0, "0.01", 0), (4000, "0.05", 160)]
        figures = one(perp(margin(USDC, 1500), position(ETH, -1, 3000, maintenance=tiers)))
        assert figures.requirement_usd == 30
        # 4500 - p = 0.05 p - 160
        assert figures.moves[0].price == pytest.approx(4660 / 1.05)

    def test_brackets_move_with_the_quote_coin(self) -> None:
        tiers = [(0, "0.01", 0), (50_000, "0.02", 500)]
        figures = in_floats(perp(margin(USDC, 5_000), position(ETH, -10, 3000, maintenance=tiers)), {})
        surplus = Surplus.of(figures, strict=True)
        # with the coin at half, 30,000 USD are 60,000 of the coin: 1,200 - 500 of it, 350 USD
        assert surplus.at(alone(surplus.coordinates(), USDC, peg=False), 0.5) == pytest.approx(0.5 * (5_000 + 30_000) - 30_000 - 350)

    def test_a_bracket_without_deduction_is_a_cliff(self) -> None:
        cliff = [(0, "0.01", 0), (3100, "0.5", 0)]
        account = perp(margin(USDC, 500), position(ETH, 1, 3000, maintenance=cliff))
        figures = one(account)
        # a rise earns money and kills all the same: 600 of margin against 1,550
        assert figures.up == pytest.approx(3100 / 3000 - 1)
        assert figures.down == pytest.approx(2500 / 0.99 / 3000 - 1)

    def test_the_first_of_several_crossings(self) -> None:
        # dead between 3,100 and where profit has overtaken the requirement: the first point outward counts
        tiers = [(0, "0.01", 0), (3100, "0.5", 0), (3200, "0.01", 0)]
        figures = one(perp(margin(USDC, 500), position(ETH, 1, 3000, maintenance=tiers)))
        assert figures.up == pytest.approx(3100 / 3000 - 1)

    def test_touching_the_line_kills_only_where_the_rule_says_on_it(self) -> None:
        # B = 3,300 - p up to 3,300, and p - 3,300 behind it
        legs = (margin(USDC, 6300), position(ETH, 1, 3000, maintenance=[(0, 2, 0), (3300, 0, -6600)]))
        assert one(perp(*legs)).up is None
        assert one(perp(*legs, strict=False)).up == pytest.approx(0.1)

    def test_initial_margin_is_never_less_than_maintenance(self) -> None:
        tiers = [(0, "0.01", 0), (1000, "0.1", 0)]
        figures = one(perp(margin(USDC, 5000), position(ETH, 1, 3000, maintenance=tiers, initial="0.01", fee="0.001")))
        assert figures.requirement_usd == pytest.approx(303)
        assert figures.initial_requirement_usd == pytest.approx(303)

    def test_the_requirement_on_entry_picks_its_bracket_once(self) -> None:
        tiers = [(0, "0.01", 0), (2000, "0.02", 20)]
        figures = one(perp(margin(USDC, 500), position(ETH, 1, 1000, entry=3000, maintenance=tiers, basis=Basis.ENTRY, pnl=0)))
        assert figures.requirement_usd == pytest.approx(40)
        inverse = position(ETH, 6000, 2000, entry=3000, quote=USD, contract=Contract.INVERSE, basis=Basis.ENTRY, maintenance="0.01")
        assert one(perp(margin(ETH, 9, 2000), inverse)).requirement_usd == pytest.approx(2 * 0.01 * 2000)

    def test_a_debt_is_taken_off_the_margin(self) -> None:
        figures = one(perp(margin(USDC, 1000), debt(USDT, 400), position(ETH, 1, 3000)))
        assert figures.weighted_collateral_usd == 600
        assert figures.requirement_usd == 60
        assert (figures.debt_usd, figures.equity_usd) == (400, 600)

    def test_the_quote_is_priced_by_the_margin_then_the_book_then_at_one(self) -> None:
        own = perp(margin(USDT, 100, "0.9"), position(ETH, 1, 3000, quote=USDT))
        other = perp(margin(USDC, 100), position(ETH, 1, 3000, quote=USDT))
        for account, quotes, usd in ((own, {USDT: 0.8}, 0.9), (other, {USDT: 0.8}, 0.8), (other, {}, 1.0)):
            figures = health.run([account], SETTINGS, quotes=quotes).accounts[account.id]
            assert figures.requirement_usd == pytest.approx(60 * usd)

    def test_an_empty_exchange_account_lives(self) -> None:
        for strict in (True, False):
            figures = one(perp(strict=strict))
            assert (figures.liquidatable, figures.health, figures.mur, figures.hf) == (False, None, None, None)

    def test_money_owed_without_position_is_dead_below_zero(self) -> None:
        figures = one(perp(margin(USDC, -5)))
        assert (figures.liquidatable, figures.health, figures.hf) == (True, None, 0.0)

    def test_a_coin_quoted_in_another_shows_its_own_price(self) -> None:
        figures = one(perp(margin(BTC, 1, 60_000), position(ETH, 100, "0.05", quote=BTC)))
        eth = next(m for m in figures.moves if m.factor == ETH)
        assert eth.price == pytest.approx(0.05 * (1 + eth.move))

    def test_the_price_of_a_coin_that_is_only_a_quote(self) -> None:
        account = perp(margin(ETH, 1, 3000), position(ETH, -2, 3000, quote=USDT))
        figures = health.run([account], SETTINGS, quotes={USDT: 0.98}).accounts[account.id]
        usdt = next(m for m in figures.moves if m.factor == USDT)
        assert usdt.price == pytest.approx(0.98 * (1 + usdt.move))


def test_keys_join_what_moves_together() -> None:
    normal = in_floats(loan(collateral(ETH, 1, 10), coin(Role.COLLATERAL, ETH, 2, 10), debt(ETH, 1, 10)), {})
    assert normal.c == {Key(ETH): 30.0}
    assert normal.r == {Key(ETH): 10.0}


def test_no_figure_is_infinite() -> None:
    figures = one(loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, "1e-300")))
    assert figures.hf is None or figures.hf < inf
