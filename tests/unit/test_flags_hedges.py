"""Flags that need a loan and a derivative together: hedges, borrowed margin, wrong-way collateral, carry."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from defi_risk import flags, health
from defi_risk.flags import ALL, Limits, Severity
from defi_risk.health.normal import in_floats
from defi_risk.ids import Address
from defi_risk.linking import Hop, How, Link
from defi_risk.model import Account, Leg
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, Number, collateral, debt, loan, margin, opened, perp, position
from tests.flagged import found


def hedge(short: Number = 10, borrowed: Number = 12_000) -> list[Account]:
    """Case A: a loan whose proceeds are all margin of a short that hedges its collateral."""
    return [loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, borrowed)), perp(margin(USDC, borrowed), position(ETH, -float(short), 3000))]


def stacked() -> list[Account]:
    """Case B: a loan against ETH, and a long on ETH with what it lent; 9,000 lie idle."""
    return [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000)),
        perp(margin(USDC, 6_000), position(ETH, 10, 3000)),
        loan(collateral(USDC, 9_000, weight=0, enabled=False), name="idle"),
    ]


BOTH = ("manual:loan", "manual:perp")


class TestFragile:
    def test_case_a(self) -> None:
        [flag] = found("HEDGE_FRAGILE", hedge())
        assert (flag.severity, flag.accounts) == (Severity.WARNING, BOTH)
        assert flag.evidence["hedge_hf"] == pytest.approx(4117.6471 / 3000)
        assert flag.evidence["hedged_hf"] == pytest.approx(2.075)
        assert "rise" in flag.message

    def test_case_a_with_enough_borrowed_for_the_hedge(self) -> None:
        assert found("HEDGE_FRAGILE", hedge(borrowed=17_000)) == []

    def test_what_cannot_be_liquidated_outlives_its_hedge(self) -> None:
        spot = [loan(collateral(ETH, 10, 3000, weight=0, enabled=False), name="wallet"), hedge()[1]]
        [flag] = found("HEDGE_FRAGILE", spot)
        assert flag.evidence["hedged_hf"] is None
        assert "while no fall liquidates" in flag.message

    def test_a_long_that_hedges_a_debt_dies_on_the_way_down(self) -> None:
        book = [loan(collateral(USDC, 60_000, weight="0.8"), debt(ETH, 10, 3000)), perp(margin(USDC, 5_000), position(ETH, 10, 3000))]
        [flag] = found("HEDGE_FRAGILE", book)
        assert flag.evidence["hedge_hf"] == pytest.approx(30_000 * 0.98 / 25_000)
        assert flag.evidence["hedged_hf"] == pytest.approx(1.6)
        assert "fall" in flag.message

    def test_dust_and_legs_that_do_not_offset(self) -> None:
        assert found("HEDGE_FRAGILE", hedge(short="0.49")) == []
        assert found("HEDGE_FRAGILE", stacked()) == []

    def test_a_position_whose_margin_offsets_it_hedges_nothing_else(self) -> None:
        carry = perp(margin(ETH, 10, 3000), position(ETH, -10, 3000))
        assert found("HEDGE_FRAGILE", [hedge()[0], carry]) == []


class TestStranded:
    def test_case_a(self) -> None:
        [flag] = found("HEDGE_STRANDED", hedge())
        assert (flag.severity, flag.accounts, flag.threshold) == (Severity.WARNING, BOTH, 0.5)
        assert flag.evidence["fragmentation"] == pytest.approx(1 - 0.316669 / 1.660731, abs=1e-5)

    def test_little_fragmentation_or_no_offset(self) -> None:
        assert found("HEDGE_STRANDED", hedge(), limits=Limits(fragmentation=0.81)) == []
        assert found("HEDGE_STRANDED", stacked(), limits=Limits(fragmentation=0.0)) == []


class TestCollateralHedge:
    @pytest.mark.parametrize("short", [2.5, 3, 5])
    def test_within_the_range(self, short: float) -> None:
        assert found("COLLATERAL_HEDGE", hedge(short)) == []

    def test_too_little_with_the_effect_on_both_accounts(self) -> None:
        book = hedge(1)
        [flag] = found("COLLATERAL_HEDGE", book)
        assert (flag.severity, flag.accounts, flag.threshold) == (Severity.INFO, BOTH, 0.25)
        assert flag.evidence["hedge_ratio"] == pytest.approx(0.1)
        assert flag.evidence["sell_usd"] == pytest.approx(4_500)
        done = hedge(2.5)
        assert found("COLLATERAL_HEDGE", done) == []
        after = health.run(done, SETTINGS).accounts[done[1].id]
        assert flag.evidence["hedge_mur_after"] == pytest.approx(after.mur)
        assert flag.evidence["hedge_dies_up_after"] == pytest.approx(after.up)
        assert flag.evidence["hedge_dies_up_price_after"] == pytest.approx(3000 * (1 + (after.up or 0)))
        assert flag.evidence["loan_dies_down_price_after"] == pytest.approx(1445.7831, abs=1e-4)
        assert flag.evidence["loan_mur_after"] == flag.evidence["loan_mur"]

    def test_too_much(self) -> None:
        [flag] = found("COLLATERAL_HEDGE", hedge())
        assert flag.threshold == 0.5
        assert flag.evidence["sell_usd"] == pytest.approx(-15_000)
        after = health.run(hedge(5), SETTINGS).book
        assert after.corridor[1] == pytest.approx(flag.evidence["hedge_dies_up_after"])
        assert "buy back $15,000" in flag.message

    def test_margin_that_is_lacking_is_borrowed(self) -> None:
        book = [loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000)), perp(margin(USDC, 100), position(ETH, "-0.1", 3000))]
        [flag] = found("COLLATERAL_HEDGE", book)
        assert flag.evidence["borrow_usd"] == pytest.approx(7_500 * 0.02 - 100)
        assert flag.evidence["loan_dies_down_price_after"] == pytest.approx(12_050 / 8.3)

    def test_what_is_owed_in_the_factor_is_hedged_already(self) -> None:
        looped = loan(collateral(ETH, 10, 3000, "0.95"), debt(ETH, 9, 3000))
        short = [looped, perp(margin(USDC, 3_000), position(ETH, "-0.4", 3000))]
        assert found("COLLATERAL_HEDGE", short) == []
        [flag] = found("COLLATERAL_HEDGE", [looped, perp(margin(USDC, 3_000), position(ETH, "-0.1", 3000))])
        assert flag.evidence["collateral_usd"] == pytest.approx(3_000)
        assert flag.evidence["sell_usd"] == pytest.approx(450)

    def test_a_long_is_turned_round(self) -> None:
        [flag] = found("COLLATERAL_HEDGE", stacked())
        assert flag.evidence["sell_usd"] == pytest.approx(37_500)
        assert flag.evidence["hedge_ratio"] == 0

    def test_without_a_position_there_only_the_amount_is_known(self) -> None:
        [flag] = found("COLLATERAL_HEDGE", [hedge()[0], perp(margin(USDC, 5000), position(BTC, "0.1", 60_000))])
        assert flag.evidence["sell_usd"] == pytest.approx(7_500)
        assert "hedge_mur_after" not in flag.evidence

    def test_silent_without_collateral_derivatives_or_the_whole_book(self) -> None:
        assert found("COLLATERAL_HEDGE", hedge()[:1]) == []
        assert found("COLLATERAL_HEDGE", hedge()[1:]) == []
        assert found("COLLATERAL_HEDGE", [*hedge(1), loan(name="x", status="unknown")]) == []

    def test_the_proposal_of_a_tiered_position_is_in_its_new_bracket(self) -> None:
        tiers = [(0, "0.01", 0), (5_000, "0.05", 200)]

        def book(short: float) -> list[Account]:
            return [hedge()[0], perp(margin(USDC, 12_000), position(ETH, -short, 3000, maintenance=tiers, initial="0.02"))]

        [flag] = found("COLLATERAL_HEDGE", book(1))
        assert flag.evidence["hedge_dies_up_after"] == pytest.approx(health.run(book(2.5), SETTINGS).book.corridor[1])


class TestBorrowedMargin:
    @pytest.mark.parametrize("book", [hedge(), stacked()])
    def test_cases_a_and_b(self, book: list[Account]) -> None:
        [flag] = found("BORROWED_MARGIN", book)
        assert (flag.severity, flag.accounts) == (Severity.WARNING, BOTH)
        assert flag.evidence["true_leverage"] == pytest.approx(2.0)
        assert flag.evidence["borrowed_margin_usd"] == (12_000 if len(book) == 2 else 6_000)

    def test_not_where_stable_collateral_covers_the_debt(self) -> None:
        covered = loan(collateral(USDT, 20_000, weight="0.8"), collateral(ETH, 1, 3000, "0.8"), debt(USDC, 12_000))
        assert found("BORROWED_MARGIN", [covered, hedge()[1]]) == []

    def test_not_a_volatile_debt_nor_volatile_or_idle_margin(self) -> None:
        owed = loan(collateral(ETH, 10, 3000, "0.83"), debt(BTC, "0.2", 60_000))
        assert found("BORROWED_MARGIN", [owed, hedge()[1]]) == []
        assert found("BORROWED_MARGIN", [hedge()[0], perp(margin(ETH, 4, 3000), position(ETH, -1, 3000))]) == []
        assert found("BORROWED_MARGIN", [hedge()[0], perp(margin(USDC, 4000))]) == []

    def test_amounts_that_are_alike(self) -> None:
        second = loan(collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 1_000), name="second")
        [flag] = found("BORROWED_MARGIN", [*hedge(), second])
        assert flag.accounts == BOTH
        assert "$12,000 of the $12,000 of stable margin in venue of perp · main is likely borrowed money, for the amounts" in flag.message
        assert flag.evidence["how"] == "amounts"
        covered = loan(collateral(USDT, 20_000, weight="0.8"), collateral(ETH, 1, 3000, "0.8"), debt(USDC, 12_000))
        assert found("BORROWED_MARGIN", [covered, second, hedge()[1]])[0].evidence["how"] == "possible"

    def test_transfers_say_how_much_and_how(self) -> None:
        first, side = hedge()
        second = loan(collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 9_000), name="second")
        hop = Hop("0x" + "ab" * 32, 123, Address("0x" + "22" * 20), Address("0x" + "33" * 20), 7_000 * 10**18)
        asset_ = second.legs[1].asset
        proven = Link(loan=second.id, margin=side.id, how=How.TRACED, asset=asset_, amount=Quantity(7_000, 0), hops=(hop,), left_out=2)
        [flag] = found("BORROWED_MARGIN", [first, second, side], links=[proven])
        assert flag.accounts == ("manual:perp", "manual:second")
        assert flag.evidence["borrowed_margin_usd"] == 7_000
        assert flag.evidence["hop_1"] == f"{hop.transaction} in block 123: 7000 USDC from 0x2222…2222 to 0x3333…3333"
        assert (flag.evidence["hops_left_out"], flag.evidence["how"]) == (2, "traced")
        assert "$7,000 of the $12,000 of stable margin" in flag.message
        assert "is borrowed money, followed through 3 transactions: venue of second · main owes $9,000;" in flag.message

    def test_dust_that_transfers_show_says_nothing_of_the_rest(self) -> None:
        first, side = hedge()
        dust = Link(loan=first.id, margin=side.id, how=How.TRACED, asset=first.legs[1].asset, amount=Quantity(599, 0))
        [flag] = found("BORROWED_MARGIN", [first, side], links=[dust])
        assert flag.evidence["how"] == "possible"

    def test_a_tag_that_leads_nowhere_is_an_answer(self) -> None:
        assert found("BORROWED_MARGIN", hedge(), replace(SETTINGS, links=(("binance", "manual:perp"),))) == []

    def test_links_say_which(self) -> None:
        first, side = hedge()
        second = loan(collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 1_000), name="second")
        [flag] = found("BORROWED_MARGIN", [replace(first, legs=(first.legs[0], debt(USDC, 11_000))), second, side])
        assert flag.accounts == ("manual:loan", "manual:perp", "manual:second")
        assert flag.evidence["how"] == "possible"
        linked = replace(SETTINGS, links=(("manual:second", "manual:perp"),))
        [flag] = found("BORROWED_MARGIN", [first, second, side], linked)
        assert flag.accounts == ("manual:perp", "manual:second")
        assert flag.evidence["stable_debt_usd"] == 1_000
        assert flag.evidence["how"] == "tagged"

    def test_a_link_may_name_an_exchange_and_a_volatile_debt(self) -> None:
        owed = loan(collateral(ETH, 10, 3000, "0.83"), debt(BTC, "0.2", 60_000))
        side = replace(hedge()[1], owner="binance-main")
        linked = replace(SETTINGS, links=(("manual:loan", "binance-main"),))
        assert len(found("BORROWED_MARGIN", [owed, side], linked)) == 1


class TestWrongWay:
    def test_case_b_but_not_case_a(self) -> None:
        [flag] = found("WRONG_WAY_COLLATERAL", stacked())
        assert (flag.severity, flag.accounts) == (Severity.WARNING, BOTH)
        assert flag.evidence["notional_usd"] == pytest.approx(30_000)
        assert found("WRONG_WAY_COLLATERAL", hedge()) == []

    @pytest.mark.parametrize(("rho", "size", "raised"), [(0.81, 1, True), (0.8, 1, False), (0.81, -1, False), (-0.9, -1, True)])
    def test_two_that_are_known_to_move_together(self, rho: float, size: int, raised: bool) -> None:
        book = [hedge()[0], perp(margin(USDC, 9_000), position(SOL, 100 * size, 150))]
        assert bool(found("WRONG_WAY_COLLATERAL", book, replace(SETTINGS, correlation={"SOL/ETH": rho}))) is raised
        assert found("WRONG_WAY_COLLATERAL", book) == []  # what the model assumes is no finding

    def test_the_same_factor_whatever_the_line(self) -> None:
        assert len(found("WRONG_WAY_COLLATERAL", stacked(), limits=Limits(wrong_way=1.0))) == 1

    def test_not_collateral_of_no_loan_nor_stables_nor_what_is_owed_too(self) -> None:
        side = stacked()[1]
        assert found("WRONG_WAY_COLLATERAL", [loan(collateral(ETH, 10, 3000, "0.83")), side]) == []
        assert found("WRONG_WAY_COLLATERAL", [loan(collateral(USDC, 1000, weight="0.8"), debt(USDT, 1)), side]) == []
        short = loan(collateral(ETH, 1, 3000, "0.8"), collateral(USDC, 50_000, weight="0.8"), debt(ETH, 2, 3000))
        assert found("WRONG_WAY_COLLATERAL", [short, side]) == []


def rated(leg: Leg, apr: str | None = None, funding: str | None = None) -> Leg:
    told = None if leg.position is None else replace(leg.position, funding_8h=None if funding is None else Decimal(funding))
    return replace(leg, apr=None if apr is None else Decimal(apr), position=told)


def test_accounts_are_called_as_in_the_tables() -> None:
    loan_, side = hedge()
    book = [replace(loan_, venue="Aave V3", chain="base"), replace(side, venue="desk", market="manual")]
    [flag] = found("BORROWED_MARGIN", book)
    assert "stable margin in desk is likely borrowed money, for the amounts are alike: Aave V3 · main owes $12,000;" in flag.message
    several = [*book, loan(collateral(USDC, 1), name="c", chain="ethereum", owner="0x" + "22" * 20)]
    [flag] = found("BORROWED_MARGIN", several)
    assert "0x1111…1111 · Aave V3 · main · base owes" in flag.message


class TestCarry:
    def book(self, borrow: str | None, supply: str | None, funding: str | None) -> list[Account]:
        return [
            loan(rated(collateral(ETH, 10, 3000, "0.83"), supply), rated(debt(USDC, 12_000), borrow)),
            perp(margin(USDC, 12_000), rated(position(ETH, -10, 3000), funding=funding)),
        ]

    def test_costs_more_than_it_earns(self) -> None:
        [flag] = found("NEGATIVE_CARRY", self.book("0.06", "0.02", "-0.0001"))
        assert (flag.severity, flag.accounts) == (Severity.WARNING, BOTH)
        assert flag.evidence["borrow_usd_per_year"] == pytest.approx(720)
        assert flag.evidence["supply_usd_per_year"] == pytest.approx(600)
        assert flag.evidence["funding_usd_per_year"] == pytest.approx(-30_000 * 0.0001 * 3 * 365)
        assert flag.evidence["carry_usd_per_year"] == pytest.approx(600 - 720 - 3285)
        assert flag.evidence["legs_without_rate"] == 0

    def test_a_short_earns_positive_funding(self) -> None:
        assert found("NEGATIVE_CARRY", self.book("0.06", "0.02", "0.0001")) == []

    def test_says_what_it_does_not_know(self) -> None:
        [flag] = found("NEGATIVE_CARRY", self.book("0.06", None, None))
        assert flag.evidence["legs_without_rate"] == 1
        assert "the rate of 1 leg is not known and counts as none" in flag.message

    def test_the_line_and_one_side_alone(self) -> None:
        book = self.book("0.06", "0.02", "0")
        assert len(found("NEGATIVE_CARRY", book, limits=Limits(carry=119))) == 1
        assert found("NEGATIVE_CARRY", book, limits=Limits(carry=121)) == []
        assert found("NEGATIVE_CARRY", book[:1]) == []


def test_starred_flags_need_both_sides() -> None:
    assert sorted(code for code, rule in ALL.items() if rule.spans) == [
        *("BORROWED_MARGIN", "CASCADE", "COLLATERAL_HEDGE", "CORRELATION_SHIFT", "HEDGE_FRAGILE", "HEDGE_STRANDED"),
        *("LIQUIDATION_CLUSTER", "NEGATIVE_CARRY", "RESCUE_INFEASIBLE", "VENUE_BASIS", "WRONG_WAY_COLLATERAL"),
    ]
    for book in (hedge()[:1], hedge()[1:], stacked()[:1]):
        raised = flags.run(book, health.run(book, SETTINGS), (), SETTINGS)
        assert not [flag.code for flag in raised if ALL[flag.code].spans]


def test_a_hedge_moves_what_the_worked_example_says() -> None:
    """20,000 of ETH in a pool of 50,000 falls by 10 %: hedged by a quarter it loses 1,500, by a half 1,000."""
    for short, equity in ((0, 48_000), (5_000, 48_500), (10_000, 49_000)):
        book = perp(margin(USDC, 30_000), margin(ETH, 20, 1000), position(ETH, -short / 1000, 1000))
        worth = in_floats(book, {}).worth()
        assert sum(usd * (0.9 if key.factor == ETH else 1.0) for key, usd in worth.items()) == pytest.approx(equity)


def test_a_long_that_becomes_a_short_still_pays_for_the_way_out() -> None:
    book = [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 1_000)),
        perp(margin(USDC, 1_000), opened(position(ETH, 1, 3000), exit_cost=30)),
    ]
    [flag] = found("COLLATERAL_HEDGE", book)
    assert flag.evidence["sell_usd"] == pytest.approx(10_500)
    assert flag.evidence["hedge_mur_after"] == pytest.approx(0.02 * 7_500 / (1_000 - 75))
