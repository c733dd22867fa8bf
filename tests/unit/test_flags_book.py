"""Flags of the book as a whole: its collateral, its venues, what its venues changed, what is not known of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from defi_risk import flags, health
from defi_risk.flags import Limits, Severity
from defi_risk.health.account import assess
from defi_risk.model import Account, LiquidationRule, SourceReport
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, Number, collateral, debt, loan, margin, perp, position
from tests.flagged import found


def mixed(stables: Number, majors: Number, others: Number) -> list[Account]:
    """A loan with stables and BTC, a perp with ETH and SOL for margin."""
    half = Decimal(str(majors)) / 2
    lent = loan(collateral(USDC, stables, weight="0.8"), collateral(BTC, half / 50_000, 50_000, "0.8"), debt(USDC, 1))
    return [lent, perp(margin(ETH, half / 2500, 2500), margin(SOL, Decimal(str(others)) / 100, 100), position(ETH, "0.001", 2500))]


class TestMix:
    @pytest.mark.parametrize("shares", [(50, 40, 10), (70, 30, 0), (60, 40, 0), (70, 20, 10)])
    def test_within_the_ranges(self, shares: tuple[int, int, int]) -> None:
        assert found("COLLATERAL_MIX", mixed(*shares)) == []

    @pytest.mark.parametrize(
        ("shares", "moves"),
        [
            ((49, 41, 10), (1, -1, 0)),
            ((100, 0, 0), (-30, 30, 0)),
            ((0, 100, 0), (60, -60, 0)),
            ((0, 0, 100), (70, 20, -90)),
            ((55, 30, 15), (5, 0, -5)),
            ((71, 19, 10), (-1, 1, 0)),
        ],
    )
    def test_outside_with_what_to_move(self, shares: tuple[int, int, int], moves: tuple[int, int, int]) -> None:
        [flag] = found("COLLATERAL_MIX", mixed(*(share * 100 for share in shares)))
        assert flag.severity is Severity.INFO
        assert [flag.evidence[f"move_{name}_usd"] for name in ("stables", "majors", "others")] == pytest.approx(
            [move * 100 for move in moves], abs=1e-6
        )
        assert found("COLLATERAL_MIX", mixed(*((share + move) * 100 for share, move in zip(shares, moves, strict=True)))) == []

    def test_says_so_in_words(self) -> None:
        [flag] = found("COLLATERAL_MIX", mixed(10_000, 0, 0))
        assert flag.message == (
            "$10,000 of collateral are 100.0 % stables (range 50 to 70 %), 0 % BTC and ETH (range 20 to 40 %): "
            "move $3,000 out of stables and $3,000 into BTC and ETH"
        )

    def test_what_secures_nothing_is_left_out(self) -> None:
        idle = loan(collateral(SOL, 1000, 100, "0.8"), name="idle")
        disabled = loan(collateral(SOL, 1000, 100, "0.8", enabled=False), collateral(USDC, 1, weight="0.8"), debt(USDC, "0.1"), name="off")
        assert found("COLLATERAL_MIX", [*mixed(5000, 4000, 1000), idle]) == []
        assert found("COLLATERAL_MIX", [*mixed(5100, 3900, 1000), disabled]) == []
        assert found("COLLATERAL_MIX", [idle]) == []

    def test_a_part_of_the_book_has_no_shares(self) -> None:
        assert found("COLLATERAL_MIX", [*mixed(0, 100, 0), loan(name="x", status="unknown")]) == []

    def test_the_ranges_are_settings(self) -> None:
        limits = Limits(stables_low=0.0, stables_high=0.2, majors_low=0.5, majors_high=1.0)
        assert found("COLLATERAL_MIX", mixed(0, 100, 0), limits=limits) == []


class TestConcentration:
    def test_above_half(self) -> None:
        first, second = (loan(collateral(ETH, 1, usd, "0.8"), name=name, venue=name) for name, usd in (("a", 501), ("b", 499)))
        [flag] = found("VENUE_CONCENTRATION", [first, second])
        assert (flag.severity, flag.accounts, flag.evidence["venue"]) == (Severity.INFO, ("manual:a",), "a")
        assert flag.evidence["share"] == pytest.approx(0.501)

    def test_half_is_not_above_and_a_wallet_is_no_venue(self) -> None:
        even = [loan(collateral(ETH, 1, 500, "0.8"), name=name, venue=name) for name in "ab"]
        assert found("VENUE_CONCENTRATION", even) == []
        wallet = loan(collateral(ETH, 1, 5000, weight=0, enabled=False), name="wallet", venue="Wallet")
        assert found("VENUE_CONCENTRATION", [wallet, even[0]]) == []

    def test_two_accounts_of_one_venue_count_together(self) -> None:
        three = [loan(collateral(ETH, 1, 500, "0.8"), name=name, venue=venue) for name, venue in (("a", "x"), ("b", "x"), ("c", "y"))]
        [flag] = found("VENUE_CONCENTRATION", three)
        assert flag.accounts == ("manual:a", "manual:b")

    def test_without_net_equity_or_with_accounts_unknown(self) -> None:
        sunk = loan(collateral(ETH, 1, 500, "0.8"), debt(USDC, 600))
        assert found("VENUE_CONCENTRATION", [sunk]) == []
        assert found("VENUE_CONCENTRATION", [loan(collateral(ETH, 1, 500, "0.8")), loan(name="x", status="unknown")]) == []


class TestChanges:
    before = loan(collateral(ETH, 1, 3000, "0.83", initial="0.8"), debt(USDC, 100))

    def test_a_threshold(self) -> None:
        after = replace(self.before, legs=(collateral(ETH, 2, 2000, "0.78", initial="0.8"), debt(USDC, 100)))
        [flag] = found("PARAMETER_CHANGE", [after], previous=[self.before])
        assert (flag.severity, flag.accounts) == (Severity.INFO, ("manual:loan",))
        assert flag.evidence == {"ETH weight": "0.83 -> 0.78"}

    @pytest.mark.parametrize(
        ("changed", "name"),
        [
            (replace(before, blocked="the pool is paused"), "liquidation"),
            (replace(before, rule=LiquidationRule(kind="repay", close_factor=Decimal("0.5"))), "close factor"),
            (replace(before, legs=(replace(before.legs[0], initial_weight=Decimal("0.7")), before.legs[1])), "ETH initial weight"),
        ],
    )
    def test_other_terms(self, changed: Account, name: str) -> None:
        [flag] = found("PARAMETER_CHANGE", [changed], previous=[self.before])
        assert list(flag.evidence) == [name]

    def test_another_mode_explains_its_weights(self) -> None:
        changed = replace(self.before, mode="emode:1", legs=(collateral(ETH, 1, 3000, "0.95"), debt(USDC, 100)))
        [flag] = found("PARAMETER_CHANGE", [changed], previous=[self.before])
        assert flag.evidence == {"mode": "cross -> emode:1"}

    def test_tiers_and_fees(self) -> None:
        before = perp(margin(USDC, 1000), position(ETH, 1, 3000, maintenance="0.01"))
        after = perp(margin(USDC, 1000), position(ETH, 1, 3000, maintenance=[(0, "0.02", 0), (10, "0.03", 1)], fee="0.001"))
        [flag] = found("PARAMETER_CHANGE", [after], previous=[before])
        assert set(flag.evidence) == {"ETH maintenance tiers", "ETH closing fee"}

    def test_two_tokens_of_one_symbol_are_both_told(self) -> None:
        one, other = collateral(ETH, 1, 3000, "0.8"), collateral(BTC, 1, 3000, "0.7")
        other = replace(other, asset=replace(other.asset, symbol="ETH"))
        before = loan(one, other)
        after = loan(replace(one, weight=Decimal("0.7")), replace(other, weight=Decimal("0.6")))
        [flag] = found("PARAMETER_CHANGE", [after], previous=[before])
        assert flag.evidence == {"ETH weight": "0.8 -> 0.7", "ETH weight #2": "0.7 -> 0.6"}

    def test_prices_amounts_and_the_owner_s_doings_are_no_change_of_terms(self) -> None:
        other = loan(collateral(ETH, 5, 1000, "0.83", initial="0.8"), debt(USDC, 700))
        off = replace(self.before, legs=(replace(self.before.legs[0], enabled=False, weight=Decimal(0)), self.before.legs[1]))
        for after in (self.before, other, off, loan(collateral(BTC, 1, 3000, "0.5"))):
            assert found("PARAMETER_CHANGE", [after], previous=[self.before]) == []

    def test_what_is_not_told_or_was_not_there_is_not_compared(self) -> None:
        untold = replace(self.before, legs=(replace(self.before.legs[0], initial_weight=None), self.before.legs[1]))
        assert found("PARAMETER_CHANGE", [self.before], previous=[untold]) == []
        assert found("PARAMETER_CHANGE", [self.before], previous=[replace(untold, status="unknown", blocked="x")]) == []
        assert found("PARAMETER_CHANGE", [self.before], previous=[]) == []
        assert found("PARAMETER_CHANGE", [self.before]) == []


def test_unknown_accounts_feed_no_number() -> None:
    book = [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000)),
        perp(margin(USDC, 6_000), position(ETH, 10, 3000)),
    ]
    lost = perp(margin(USDC, 10**6), position(ETH, -1000, 3000), name="lost", status="unknown", reason="no answer")
    alone, together = (
        {flag.code: flag for flag in flags.run(accounts, health.run(accounts, SETTINGS), (), SETTINGS)}
        for accounts in (book, [*book, lost])
    )
    assert together.keys() - alone.keys() == {"ACCOUNT_UNKNOWN"}
    assert alone.keys() - together.keys() == {"COLLATERAL_HEDGE", "COLLATERAL_MIX", "VENUE_CONCENTRATION"}
    for code in alone.keys() & together.keys():
        assert alone[code] == together[code]


def test_normal_forms_that_are_given_are_the_same_as_those_built() -> None:
    book = [loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000)), perp(margin(USDC, 6_000), position(ETH, 10, 3000))]
    figures = health.run(book, SETTINGS)
    assessed = [assess(account, SETTINGS, {}) for account in book]
    given = flags.run(book, figures, (), SETTINGS, assessed=assessed)
    assert given == flags.run(book, figures, (), SETTINGS)
    assert {"WRONG_WAY_COLLATERAL", "BORROWED_MARGIN"} <= {flag.code for flag in given}


def test_a_source_that_failed_leaves_no_share_of_the_book() -> None:
    book = [loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000))]
    figures = health.run(book, SETTINGS, partial=True)
    lost = SourceReport(id="binance", kind="exchange", status="failed", error="no answer")
    codes = {flag.code for flag in flags.run(book, figures, [lost], SETTINGS)}
    assert "SOURCE_FAILED" in codes
    assert not codes & {"COLLATERAL_MIX", "VENUE_CONCENTRATION"}
