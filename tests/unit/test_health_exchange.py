"""Accounts as exchanges judge them, in round numbers: liquidated at a line above 1, plans, stresses and what-ifs beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from defi_risk import health, snapshot
from defi_risk.explain.pairing import State
from defi_risk.health import AccountFigures
from defi_risk.health.account import assess
from defi_risk.health.carry import carry_usd_per_year, time_to_liquidation
from defi_risk.health.cascade import cascade
from defi_risk.health.cascade.closing import shut
from defi_risk.health.cascade.holdings import assembled, revalued
from defi_risk.health.normal import in_floats
from defi_risk.health.plan import plan
from defi_risk.health.stress.altered import altered
from defi_risk.health.turned import margin_of, turned
from defi_risk.health.whatif import cross, isolated, sweep_funding
from defi_risk.model import Account, Contract, Leg, LiquidationRule
from defi_risk.snapshot.restore import restore
from tests.accounts import BTC, ETH, SETTINGS, USD, USDC, USDT, Number, collateral, debt, loan, margin, opened, perp, position

CLOSE = LiquidationRule(kind="close")
FIFTH = Decimal("1.05")


def one(account: Account) -> AccountFigures:
    return health.run([account], SETTINGS).accounts[account.id]


def at_line(*legs: Leg, line: Number = FIFTH, name: str = "perp") -> Account:
    """A portfolio account that dies on 1.05 times its maintenance margin."""
    return replace(perp(*legs, name=name, strict=False), rule=CLOSE, line=Decimal(line))


def owing(leg: Leg, rate: Number) -> Leg:
    return replace(leg, maintenance_rate=Decimal(rate))


def dated(leg: Leg) -> Leg:
    assert leg.position is not None
    return replace(leg, position=replace(leg.position, expires=1_800_000_000))


class TestLine:
    def test_a_long_dies_where_equity_is_105_percent_of_maintenance(self) -> None:
        """1,000 of margin, 3,000 of ETH at 2 %: 1,000 + 3,000 (m - 1) = 1.05 * 60 m."""
        figures = one(at_line(margin(USDC, 1_000), position(ETH, 1, 3000)))
        ratio = 2_000 / (3_000 - 63)
        assert figures.requirement_usd == pytest.approx(63)
        assert figures.down == pytest.approx(ratio - 1)
        assert figures.moves[0].price == pytest.approx(3_000 * ratio)

    def test_what_is_left_after_the_liquidation_is_refunded(self) -> None:
        account = at_line(margin(USDC, 1_000), opened(position(ETH, 1, 3000), liquidation_fee="0.01"))
        [event] = cascade([assess(account, SETTINGS, {})], SETTINGS)["down"]
        price = 3_000 * 2_000 / (3_000 - 63)
        assert event.equity_before_usd == pytest.approx(63 / 3_000 * price)
        assert event.penalty_usd == pytest.approx(0.01 * price)
        assert event.equity_after_usd == pytest.approx((0.021 - 0.01) * price)

    def test_a_step_of_a_liquidation_leaves_the_line(self) -> None:
        account = replace(
            at_line(margin(USDC, 1_000), position(ETH, 1, 3000)), rule=LiquidationRule(kind="close", close_factor=Decimal("0.5"))
        )
        events = cascade([assess(account, SETTINGS, {})], SETTINGS)["down"]
        first, second = events[:2]
        # half is closed at the line: what is left of the account dies where equity + 1,500 (m - m1) = 1.05 * 30 m
        near = 1 + first.move
        left = 1_000 - 3_000 * (1 - near)
        assert 1 + second.move == pytest.approx((left - 1_500 * near) / (31.5 - 1_500))

    def test_on_the_line_it_is_dead_and_a_hair_above_it_is_not(self) -> None:
        assert one(at_line(margin(USDC, 63), position(ETH, 1, 3000))).liquidatable
        assert not one(at_line(margin(USDC, "63.0000000001"), position(ETH, 1, 3000))).liquidatable


class TestDebts:
    def test_a_loan_beside_positions_needs_margin(self) -> None:
        """2 BTC at 0.95, 10,000 borrowed at 4 %, 1.05: C = 114,000 - 10,000, R = 420."""
        account = at_line(margin(BTC, 2, 60_000, "0.95"), owing(debt(USDT, 10_000), "0.04"))
        figures = one(account)
        assert (figures.weighted_collateral_usd, figures.requirement_usd) == pytest.approx((104_000, 420))
        assert figures.initial_requirement_usd == pytest.approx(420)
        assert figures.withdrawable_usd == pytest.approx((104_000 - 420) / 0.95)
        assert figures.down == pytest.approx(10_420 / 114_000 - 1)

    def test_what_is_borrowed_grows_and_so_does_its_margin(self) -> None:
        lent = replace(owing(debt(USDT, 10_000), "0.04"), apr=Decimal("0.1"), compounding="linear")
        account = at_line(margin(USDC, 11_000), lent)
        found = assess(account, SETTINGS, {})
        # 11,000 - 10,000 (1 + 0.1 t) * 1.042 = 0
        assert time_to_liquidation(found) == pytest.approx(365 * (11_000 / 10_420 - 1) / 0.1)
        assert carry_usd_per_year(found).borrow == pytest.approx(1_000)

    def test_a_surcharge_on_what_is_owed(self) -> None:
        figures = one(at_line(margin(USDC, 5_000), margin(ETH, -1, 3_000, "1.02"), line=1))
        assert figures.weighted_collateral_usd == pytest.approx(5_000 - 3_060)
        assert figures.equity_usd == pytest.approx(2_000)

    def test_closing_pays_the_debt_and_drops_its_margin(self) -> None:
        account = at_line(margin(USDC, 13_000), owing(debt(USDT, 10_000), "0.04"), position(ETH, 1, 3000))
        [event] = cascade([assess(account, SETTINGS, {})], SETTINGS)["down"]
        near = 1 + event.move
        assert 3_000 - 3_000 * (1 - near) == pytest.approx(420 + 63 * near)
        assert event.equity_after_usd == pytest.approx(event.equity_before_usd)
        assert event.next_account is None


class TestWhatIsLeft:
    """Holdings that a liquidation changed count as those that were read."""

    def test_a_balance_below_zero_is_owed_at_its_surcharge_and_above_zero_at_its_price(self) -> None:
        account = at_line(margin(USDC, 5_000), margin(ETH, -1, 3_000, "1.02"), margin(BTC, "0.1", 60_000, "0.9"))
        _, owed, held = in_floats(account, {}).holdings
        assert sum(revalued(owed, -100.0).counts.values()) == pytest.approx(-102)
        assert sum(revalued(owed, 100.0).counts.values()) == pytest.approx(100)
        assert sum(revalued(held, 100.0).counts.values()) == pytest.approx(90)
        assert sum(revalued(held, -100.0).counts.values()) == pytest.approx(-100)

    def test_half_a_debt_needs_half_its_margin(self) -> None:
        account = at_line(margin(BTC, 1, 60_000), owing(debt(USDT, 10_000), "0.04"))
        normal = in_floats(account, {})
        held, lent = normal.holdings
        after = assembled(account, normal, [held, revalued(lent, 5_000.0)])
        assert (after.requirement(), after.initial, after.debt) == pytest.approx((210, 210, 5_000))
        assert assembled(account, normal, normal.holdings).initial == pytest.approx(normal.initial)

    def test_funding_pays_out_of_what_counts(self) -> None:
        """27 a day of a coin that counts half: 1,000 above the line are gone in 1,000 / 13.5 days."""
        leg = opened(position(ETH, 1, 3000, quote=USDT), funding_8h="0.003", pnl_weight="0.5")
        account = at_line(margin(USDC, 1_063), leg)
        assert time_to_liquidation(assess(account, SETTINGS, {})) == pytest.approx(1_000 / 13.5)


class TestHaircuts:
    def test_profit_in_a_coin_with_a_haircut_counts_less(self) -> None:
        """An inverse long with 0.1 BTC of profit at 60,000: 6,000 of which 95 % count."""
        leg = position(BTC, 60_000, 60_000, entry=60_000, pnl="0.1", quote=USD, contract=Contract.INVERSE, maintenance="0.01")
        figures = one(at_line(margin(BTC, 1, 60_000, "0.95"), opened(leg, pnl_weight="0.95"), line=1))
        assert figures.weighted_collateral_usd == pytest.approx(0.95 * 66_000)
        assert figures.equity_usd == pytest.approx(66_000)

    def test_closing_at_a_loss_takes_coins_that_count_for_less(self) -> None:
        """Closing all of it changes nothing that counts: the loss was taken off at the same weight."""
        leg = opened(position(ETH, 1, 3000, quote=USDT, pnl=-500), pnl_weight="0.9")
        book = [at_line(margin(USDT, 2_000, 1, "0.9"), leg)]
        [action] = plan(book, SETTINGS, {}, (-0.9,), 0.0).actions
        assert action.kind == "close"
        assert float(action.amount) < 1
        left = plan(book, SETTINGS, {}, (-0.99,), 0.0)
        assert left.feasible


class TestPlan:
    def test_the_line_is_what_a_plan_keeps_to(self) -> None:
        """To survive -30 %: 2,100 * 0.021 + 900 = 944.10 must be there."""
        wallet = loan(collateral(USDC, 5_000, weight=0, enabled=False), name="idle")
        made = plan([at_line(margin(USDC, 500), position(ETH, 1, 3000)), wallet], SETTINGS, {}, (-0.3,), closing=False)
        assert made.feasible_within
        [deposit] = [action for action in made.actions if action.kind == "deposit"]
        assert float(deposit.amount) == pytest.approx(444.10, abs=0.01)

    def test_a_coin_with_a_haircut_is_moved_in_full(self) -> None:
        """444.10 that counts is 467.47 of USDT at 95 %."""
        idle = loan(collateral(USDT, 5_000, weight=0, enabled=False), name="idle")
        account = at_line(margin(USDC, 500), margin(USDT, 1, 1, "0.95"), position(ETH, 1, 3000))
        made = plan([account, idle], SETTINGS, {}, (-0.3,), closing=False)
        [deposit] = [action for action in made.actions if action.kind == "deposit"]
        assert float(deposit.amount) == pytest.approx((444.10 - 0.95) / 0.95, abs=0.01)

    def test_repaying_frees_the_margin_of_the_debt_too(self) -> None:
        """To survive -30 % of BTC: 1.042 for every dollar repaid."""
        account = at_line(margin(BTC, 1, 60_000, "0.95"), owing(debt(USDT, 45_000), "0.04"))
        idle = loan(collateral(USDT, 45_000, weight=0, enabled=False), name="idle")
        made = plan([account, idle], SETTINGS, {}, (-0.3,), closing=False)
        assert made.feasible_within
        [repaid] = [action for action in made.actions if action.kind == "repay"]
        assert float(repaid.amount) == pytest.approx(45_000 - 0.7 * 57_000 / 1.042, abs=0.01)

    def test_what_is_owed_at_a_surcharge_is_paid_back_first(self) -> None:
        """Owed: 3,060 that counts for 3,000 paid."""
        account = at_line(margin(USDC, 4_000), margin(USDT, -3_000, 1, "1.02"), position(ETH, 1, 3000))
        idle = loan(collateral(USDT, 5_000, weight=0, enabled=False), name="idle")
        made = plan([account, idle], SETTINGS, {}, (-0.3,), closing=False)
        [deposit] = [action for action in made.actions if action.kind == "deposit"]
        assert float(deposit.amount) == pytest.approx((944.10 - 940) / 1.02, abs=0.01)


class TestStress:
    def test_doubled_rates_are_those_of_debts_too(self) -> None:
        account = at_line(margin(USDC, 20_000), owing(debt(USDT, 10_000), "0.04"), position(ETH, 1, 3000))
        after = altered(assess(account, SETTINGS, {}), frozenset(), Decimal(2), Decimal(0))
        assert one(after).requirement_usd == pytest.approx(2 * one(account).requirement_usd)
        bare = at_line(margin(USDC, 20_000), owing(debt(USDT, 10_000), "0.04"))
        assert one(altered(assess(bare, SETTINGS, {}), frozenset(), Decimal(2), Decimal(0))).requirement_usd == pytest.approx(840)

    def test_a_dated_future_pays_no_funding(self) -> None:
        legs = margin(USDC, 5_000), dated(position(ETH, 1, 3000)), position(BTC, "0.1", 60_000)
        account = at_line(*legs)
        after = altered(assess(account, SETTINGS, {}), frozenset(), Decimal(1), Decimal("0.003"))
        assert one(account).equity_usd - one(after).equity_usd == pytest.approx(6_000 * 0.009)
        swept = sweep_funding(replace(account, legs=(*legs[:2], opened(legs[2], funding_8h="0.001"))), 1)
        assert one(account).equity_usd - one(swept).equity_usd == pytest.approx(6_000 * 0.003)


class TestWhatIf:
    def test_isolated_accounts_keep_the_line(self) -> None:
        apart = isolated(at_line(margin(USDC, 2_000), position(ETH, 1, 3000, initial="0.1"), position(BTC, "0.01", 60_000, initial="0.1")))
        assert {account.line for account in apart} == {FIFTH}
        assert [one(account).equity_usd for account in apart] == pytest.approx([300, 60, 1_640])

    def test_shared_margin_dies_at_the_strictest_line(self) -> None:
        parts: Sequence[Account] = [
            replace(at_line(margin(USDC, 100), position(ETH, 1, 300), name="a"), venue="x", assumptions=("one",)),
            replace(at_line(margin(USDC, 100), position(BTC, 1, 300), name="b", line=1), venue="x", assumptions=("one", "two")),
        ]
        both = cross(parts)
        assert (both.line, both.assumptions) == (FIFTH, ("one", "two"))
        assert one(both).requirement_usd == pytest.approx(12 * 1.05)


class TestBasisOfCoinMargin:
    """1 BTC at 60,000 as margin of 30,000 USD sold in a dated contract that marks 61,500: the exchange counts in coins."""

    def account(self, size: Number = -30_000, price: Number = 60_000, mark: Number = 61_500) -> Account:
        leg = position(BTC, size, mark, entry=58_000, quote=USD, maintenance="0.01", fee="0.0005", contract=Contract.INVERSE)
        return at_line(margin(BTC, 1, price), dated(leg), line=1)

    def test_health_is_the_ratio_in_coins(self) -> None:
        figures = one(self.account())
        lost = 30_000 / 58_000 - 30_000 / 61_500
        needed = 30_000 / 61_500 * 0.0105
        assert figures.health == pytest.approx((1 - lost) / needed)
        assert figures.equity_usd == pytest.approx((1 - lost) * 60_000)
        assert figures.requirement_usd == pytest.approx(needed * 60_000)

    def test_it_dies_where_the_exchange_says(self) -> None:
        """1 - 30,000 / 58,000 + 30,000 / p = 30,000 / p * 0.0105 has no root above 0; as a long it has."""
        assert one(self.account()).up is None
        figures = one(self.account(size=30_000))
        mark = 30_000 * (1 + 0.0105) / (1 + 30_000 / 58_000)
        assert figures.down == pytest.approx(mark / 61_500 - 1)

    @pytest.mark.parametrize("size", [-30_000, 30_000])
    def test_what_a_coin_is_worth_in_dollars_changes_no_ratio_and_no_line(self, size: int) -> None:
        near, far = one(self.account(size=size)), one(self.account(size=size, price=45_000))
        assert far.health == pytest.approx(near.health)
        assert far.down == (None if near.down is None else pytest.approx(near.down))
        assert far.equity_usd == pytest.approx(near.equity_usd * 0.75)

    def test_without_margin_in_the_coin_all_contracts_share_one_price(self) -> None:
        """That of the first one's mark: a coin of profit is worth as much whichever contract made it."""
        near = position(BTC, 30_000, 60_000, entry=50_000, quote=USD, maintenance="0.01", contract=Contract.INVERSE)
        far = dated(position(BTC, -20_000, 61_500, entry=63_000, quote=USD, maintenance="0.01", contract=Contract.INVERSE))
        account = at_line(margin(USDC, 1_000), near, far, line=1)
        alone = in_floats(account, {})
        assert [one.coin_usd for one in alone.holdings] == [None, 60_000, 60_000]
        empty = in_floats(replace(account, legs=(*account.legs, margin(BTC, 0, 60_000))), {})
        assert (empty.weighted(), empty.requirement()) == (alone.weighted(), alone.requirement())
        recorded = snapshot.build("desk", [account], health.run([account], SETTINGS), (), (), 0.0).accounts[0]
        assert recorded.legs[2].unrealized_pnl_usd == pytest.approx((20_000 / 61_500 - 20_000 / 63_000) * 60_000)

    def test_the_snapshot_says_the_same(self) -> None:
        account = self.account()
        figures = health.run([account], SETTINGS)
        recorded = snapshot.build("desk", [account], figures, (), (), 0.0).accounts[0]
        leg = recorded.legs[1]
        assert leg.notional_usd == 30_000
        assert leg.unrealized_pnl_usd == pytest.approx((30_000 / 61_500 - 30_000 / 58_000) * 60_000)
        assert leg.maintenance_usd == pytest.approx(one(account).requirement_usd)
        assert [side.coin_usd for side in State.of(recorded).sides] == [1.0, 60_000]
        again = restore(recorded)
        assert in_floats(again, {}).weighted() == pytest.approx(in_floats(account, {}).weighted())

    def test_what_is_closed_is_settled_at_the_price_of_the_coin(self) -> None:
        """Half of the short bought back leaves the same coins as the exchange's books would."""
        account = self.account()
        [half] = [leg for leg in account.legs if leg.position is not None]
        normal = in_floats(account, {})
        left = shut(account, normal, lambda _: 1.0, lambda _: Decimal("0.5"), 0.0)
        lost = 30_000 / 58_000 - 30_000 / 61_500
        [purse] = [one for one in left.holdings if one.leg.role is not half.role]
        assert purse.value == pytest.approx((1 - lost / 2) * 60_000)
        assert left.weighted() == pytest.approx(normal.weighted())
        assert left.requirement() == pytest.approx(normal.requirement() / 2)


class TestTurned:
    def future(self, pnl: Number) -> Account:
        return at_line(margin(USDT, 12_000), dated(position(ETH, -10, 3_060, quote=USDT, pnl=pnl)), line=1)

    def test_there_and_back(self) -> None:
        account = self.future(pnl=120)
        normal = in_floats(account, {})
        assert margin_of(normal, ETH, SETTINGS) == "stable"
        coined = turned(account, normal, 1, Decimal(3_000), "coin")
        other = in_floats(coined, {})
        assert margin_of(other, ETH, SETTINGS) == "coin"
        assert (other.equity, other.collateral) == pytest.approx((12_120, 12_000))
        assert other.holdings[0].value == pytest.approx(-30_000)  # 10 coins, which count at what a coin is worth
        assert coined.legs[-1].amount.decimal() == 4
        back = turned(coined, other, 0, Decimal(3_000), "stable")
        again = in_floats(back, {})
        assert (again.equity, again.weighted(), again.requirement()) == pytest.approx((12_120, 12_120, 612))
        for key, amount in normal.worth().items():
            if key.factor == ETH:
                assert again.worth()[key] == pytest.approx(amount)

    def test_brackets_are_those_of_the_same_notional(self) -> None:
        rows = [(0, "0.01", 0), (20_000, "0.03", 400)]
        leg = dated(position(ETH, -10, 3_000, quote=USDT, maintenance=rows))
        account = at_line(margin(USDT, 12_000), leg, line=1)
        coined = turned(account, in_floats(account, {}), 1, Decimal(3_000), "coin")
        assert in_floats(coined, {}).requirement() == pytest.approx(in_floats(account, {}).requirement()) == pytest.approx(500)

    def test_what_is_neither_has_no_other_kind(self) -> None:
        account = at_line(margin(BTC, 1, 60_000), dated(position(ETH, -10, 3_000, quote=USDT)))
        assert margin_of(in_floats(account, {}), ETH, SETTINGS) is None
