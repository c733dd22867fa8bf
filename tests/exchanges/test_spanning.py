"""Mixed books: a loan beside an exchange account, as readers build them. Cases A, B, C, F and G with the derivatives at an exchange."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from defi_risk_adapters.exchanges import common

from defi_risk import judging
from defi_risk.explain import explain
from defi_risk.export.table import as_text
from defi_risk.health.plan import plan
from defi_risk.history import HOUR, PriceHistory
from defi_risk.model import Account, KeyRights, Position, SelfCheck, Side, SourceReport
from defi_risk.snapshot.model import Flag
from tests.cli.desks import aave, held, loan
from tests.exchanges.mixed import (
    AT,
    DAY,
    MODEL,
    NAME,
    PERP,
    TIME,
    USDT,
    Number,
    at_exchange,
    codes,
    coin,
    figures,
    flags,
    gathered,
    judged,
    open_position,
    perp,
    short,
    tethered,
)


class TestCaseA:
    def test_the_exchange_dies_first_and_upward(self) -> None:
        found = judged(aave(12_000), short())
        book = found.snapshot.book_health
        assert book.uhf == pytest.approx(1.372549, abs=1e-6)
        assert (book.first_account, book.first_side) == (PERP, "up")
        assert figures(found, PERP).sigma == pytest.approx(9.31, abs=5e-3)
        assert figures(found, "manual:aave").sigma == pytest.approx(12.95, abs=5e-3)
        assert book.netted_uhf == pytest.approx(15_789.47 / 3_000, abs=1e-4)

    def test_the_flags_that_no_single_venue_can_see(self) -> None:
        found = judged(aave(12_000), short())
        [fragile], [stranded], [borrowed] = (flags(found, code) for code in ("HEDGE_FRAGILE", "HEDGE_STRANDED", "BORROWED_MARGIN"))
        assert set(fragile.accounts) == set(stranded.accounts) == set(borrowed.accounts) == {PERP, "manual:aave"}
        assert fragile.evidence["hedge"] == PERP
        assert borrowed.evidence["how"] == "amounts"
        assert borrowed.evidence["borrowed_margin_usd"] == 12_000
        assert "Binance" in fragile.message
        assert "RESCUE_INFEASIBLE" not in codes(found)

    def test_dollars_of_another_name_are_not_alike(self) -> None:
        """USDT margin is not what was borrowed as USDC; that it can be is said all the same."""
        [borrowed] = flags(judged(aave(12_000), tethered(12_000)), "BORROWED_MARGIN")
        assert borrowed.evidence["how"] == "possible"

    def test_a_link_by_the_name_of_the_exchange_means_all_its_accounts(self) -> None:
        link = f'[[links]]\nloan = "manual:aave"\nmargin = "{NAME}"\n'
        bitcoin = perp("BTCUSDT", "BTC", open_position("0.01", 60_000, quote=USDT))
        second = at_exchange(coin("USDT", 500), bitcoin, market="usdm/USDT")
        other = at_exchange(coin("USDC", 700), perp("ETHUSDC", "ETH", open_position("0.1", 3000)), name="binance-sub")
        found = judged(aave(12_000) + link, short(3_000), second, other)
        tagged = [flag for flag in flags(found, "BORROWED_MARGIN") if flag.evidence["how"] == "tagged"]
        assert {account for flag in tagged for account in flag.accounts} == {PERP, f"{NAME}/usdm/USDT", "manual:aave"}
        assert {(one.loan, one.margin) for one in found.snapshot.links} == {
            ("manual:aave", PERP),
            ("manual:aave", f"{NAME}/usdm/USDT"),
        }

    def test_the_plan_moves_borrowed_money_to_the_exchange(self) -> None:
        ready = gathered(aave(12_000), short())
        made = plan(ready.accounts, judging.model_settings(ready), ready.quotes, (0.4378,))
        assert made.feasible_within
        assert sum(float(one.amount) for one in made.actions if (one.kind, one.account) == ("deposit", PERP)) == pytest.approx(1_998, abs=2)

    @pytest.mark.parametrize(
        ("chain", "latency", "seconds"),
        [
            (None, "", 3_600),
            ("ethereum", "", 1_800),
            ("ethereum", "[plan.latency]\nbinance = 600\n", 600),
            (None, f"[plan.latency]\n{NAME} = 60\n", 60),
        ],
    )
    def test_money_from_an_exchange_takes_half_an_hour(self, chain: str | None, latency: str, seconds: float) -> None:
        """To a loan on a chain; to one that is kept by hand an hour, and what the settings say of the exchange, whatever its case."""
        ready = gathered(aave(20_000), short(20_000), model=MODEL + latency)
        lent = [replace(one, chain=chain, id=type(one.id)("eth")) if one.side is Side.LENDING and chain else one for one in ready.accounts]
        made = plan(lent, judging.model_settings(ready), ready.quotes, (-0.3,), closing=False)
        [repaid] = [one for one in made.actions if one.kind == "repay"]
        assert made.feasible_within
        assert repaid.latency_seconds == seconds


class TestCaseB:
    def test_the_better_ratio_dies_first(self) -> None:
        long = at_exchange(coin("USDC", 6_000), perp("ETHUSDC", "ETH", open_position(10, 3000)))
        found = judged(aave(15_000) + loan("idle", held("USDC", 9_000)), long)
        assert (figures(found, "manual:aave").health, figures(found, PERP).health) == (pytest.approx(1.66), pytest.approx(10.0))
        assert (found.snapshot.book_health.first_account, found.snapshot.book_health.first_side) == (PERP, "down")
        assert found.snapshot.book_health.corridor[0] == pytest.approx(2_448.98 / 3_000 - 1, abs=1e-5)
        [wrong] = flags(found, "WRONG_WAY_COLLATERAL")
        assert set(wrong.accounts) == {PERP, "manual:aave"}
        made = plan(gathered(aave(15_000) + loan("idle", held("USDC", 9_000)), long).accounts, found.settings, {}, (), 0.0)
        deposits = {one.account: float(one.amount) for one in made.actions if one.kind in ("deposit", "repay")}
        assert deposits == {PERP: pytest.approx(7_756.91, abs=0.02), "manual:aave": pytest.approx(1_243.09, abs=0.02)}

    def test_two_that_die_on_one_path(self) -> None:
        """The loan at 1,807.23; the long within 5 % of it: a cluster, and one sees the other's end come nearer."""
        long = at_exchange(coin("USDC", 12_000), perp("ETHUSDC", "ETH", open_position(10, 3000)))
        found = judged(aave(15_000), long)
        [cluster] = flags(found, "LIQUIDATION_CLUSTER")
        assert set(cluster.accounts) == {PERP, "manual:aave"}


def multi(weight: Number = "0.95") -> Account:
    """Case C: multi-assets mode, 0.1 BTC with a haircut of 5 % and 10,000 USDT under a long of 60,000 ETH at 1 %."""
    return at_exchange(
        coin("BTC", "0.1", 100_000, weight),
        coin("USDT", 10_000),
        perp("ETHUSDT", "ETH", open_position(20, 3000, "0.01", quote=USDT)),
        market="usdm",
        mode="multi-asset",
    )


@pytest.mark.parametrize(("rho", "distance"), [(0, 7.90), (0.5, 7.47), (0.8, 7.24), (0.95, 7.14), (1, 7.10)])
def test_case_c_correlation(rho: float, distance: float) -> None:
    model = f'{MODEL}correlation = {{ "BTC/ETH" = {rho} }}\n'
    one = figures(judged(aave(12_000), multi(), model=model), f"{NAME}/usdm")
    assert one.surplus_usd == pytest.approx(18_900)
    assert one.sigma == pytest.approx(distance, abs=5e-3)


def test_case_c_with_its_line_above_one() -> None:
    """A portfolio account dies at 1.05 times its maintenance margin: 630 instead of 600."""
    one = figures(judged(aave(12_000), replace(multi(), line=Decimal("1.05"))), f"{NAME}/usdm")
    assert (one.requirement_usd, one.surplus_usd) == (pytest.approx(630), pytest.approx(18_870))
    assert one.line == 1.05


class TestCaseF:
    def test_a_short_loses_when_its_quote_does(self) -> None:
        rows = {row.scenario: row for row in judged(aave(12_000), tethered()).snapshot.stress}
        assert rows["usdt_090"].equity_usd == pytest.approx(18_000 + (10_000 - 3_333.33) * 0.9, abs=5e-3)
        assert rows["usdt_090_one_venue"].shocks == {"Binance:USDT": pytest.approx(-0.1)}
        assert rows["usdt_090_one_venue"].equity_usd == pytest.approx(rows["usdt_090"].equity_usd)

    def test_one_venue_alone_is_the_worst_one(self) -> None:
        """The loan owes USDT: a fall everywhere makes good at Aave what it costs at Binance."""
        owing = aave(12_000).replace("USDC", "USDT")
        rows = {row.scenario: row for row in judged(owing, tethered()).snapshot.stress}
        assert rows["usdt_090_one_venue"].shocks == {"Binance:USDT": pytest.approx(-0.1)}
        assert rows["usdt_090"].equity_usd - rows["usdt_090_one_venue"].equity_usd == pytest.approx(1_200)


@pytest.mark.parametrize(("pnl", "health", "dead"), [("-400", 1.866667, False), ("-700", 1.066667, False), ("-725", 1.0, True)])
def test_case_g_a_futures_wallet_is_dead_on_its_line(pnl: str, health: float, dead: bool) -> None:
    def one(size: str, mark: int, profit: str) -> Position:
        initial = Decimal(1) / 15
        return open_position(size, mark, "0.05", quote=USDT, initial_rate=initial, unrealized_pnl=Decimal(profit))

    legs = perp("ETHUSDT", "ETH", one("1", 3000, "100")), perp("BTCUSDT", "BTC", one("0.1", 45_000, pnl))
    found = judged(aave(12_000), at_exchange(coin("USDT", 1_000), *legs, market="usdm/USDT"))
    wallet = figures(found, f"{NAME}/usdm/USDT")
    assert (wallet.health, wallet.liquidatable) == (pytest.approx(health, abs=1e-6), dead)
    assert wallet.requirement_usd == pytest.approx(375)
    assert ("LIQUIDATABLE" in codes(found)) is dead
    assert "MUR_HIGH" in codes(found)


class TestOtherFlags:
    def test_a_key_that_can_do_harm(self) -> None:
        def said(rights: KeyRights | None) -> list[Flag]:
            return flags(
                judged(aave(12_000), short(), reports=[SourceReport(id=NAME, kind="exchange", as_of=TIME, key=rights)]), "KEY_TOO_STRONG"
            )

        [flag] = said(KeyRights(trade=True, withdraw=True, bound=False))
        assert flag.message == f"the key of {NAME} can trade and withdraw, from any address: to read is all that is needed"
        assert (flag.severity, flag.accounts) == ("warning", (PERP,))
        assert flag.evidence == {"source": NAME, "trade": True, "withdraw": True, "bound": False}
        assert "can withdraw:" in said(KeyRights(trade=False, withdraw=True, bound=True))[0].message
        for harmless in (None, KeyRights(), KeyRights(trade=False, withdraw=False, bound=False)):
            assert said(harmless) == []

    def test_assumptions_are_said_once_for_all_accounts(self) -> None:
        dated = "brackets of ETHUSDC are those published on 2026-01-02"
        pair = [replace(short(), assumptions=(dated,)), replace(short(), id=type(short().id)(f"{NAME}/other"), assumptions=(dated,))]
        found = judged(aave(12_000), *pair)
        [flag] = flags(found, "ASSUMED_RULE")
        assert (flag.severity, flag.accounts, flag.evidence) == ("info", (f"{NAME}/other", PERP), {"assumption_1": dated})
        text = as_text(found.snapshot, 140)
        assert text.count(dated) == 1
        assert "assumed for Binance" in text
        assert "ASSUMED_RULE" not in text

    def test_dollars_that_nobody_prices_are_an_assumption(self) -> None:
        at_par = common.at_par(common.margin(AT, "USDT", Decimal(500), None))
        account = at_exchange(at_par, perp("ETHUSDT", "ETH", open_position(-1, 3000, quote=USDT)), market="usdm/USDT")
        [flag] = flags(judged(aave(12_000), account), "ASSUMED_RULE")
        assert "USDT is taken at a dollar" in flag.message
        priced = judged(aave(12_000) + loan("tether", held("USDT", 1, "0.97")), account)
        assert flags(priced, "ASSUMED_RULE") == []
        assert figures(priced, f"{NAME}/usdm/USDT").equity_usd == pytest.approx(485)

    def test_a_self_check_says_its_tolerance(self) -> None:
        check = SelfCheck.within(
            Decimal("0.001"), {"marginRatio": "0.0500", "maintMargin": "600.00"}, {"marginRatio": "0.0600", "maintMargin": "600.01"}
        )
        assert not check.match
        account = replace(short(), self_check=check, stated={"marginRatio": "0.0500", "maintMargin": "600.00"})
        [flag] = flags(judged(aave(12_000), account), "SELF_CHECK_FAILED")
        assert flag.message.endswith(": our marginRatio and the venue's own at the same moment differ by more than 0.1 %")
        assert flag.evidence == {"marginRatio computed": "0.0500", "marginRatio protocol": "0.0600"}
        assert flag.threshold == 0.001

    def test_venues_that_price_one_coin_apart(self) -> None:
        off = at_exchange(coin("USDC", 12_000), perp("ETHUSDC", "ETH", open_position(-10, 3_060)))
        [flag] = flags(judged(aave(12_000), off), "VENUE_BASIS")
        assert flag.evidence["derivatives_venue"] == "Binance"
        assert flag.evidence["apart"] == pytest.approx(0.02)
        # a dated future is above its spot for a reason: its index is what the venue says of the coin
        dated = open_position(-10, 3_060, expires=TIME + 90 * DAY, index=Decimal(3_001))
        assert flags(judged(aave(12_000), at_exchange(coin("USDC", 12_000), perp("ETHUSDC_1", "ETH", dated))), "VENUE_BASIS") == []

    def test_a_stable_coin_that_is_off_at_the_exchange(self) -> None:
        off = at_exchange(coin("USDT", 12_000, "0.97"), perp("ETHUSDT", "ETH", open_position(-10, 3000, quote=USDT)), market="usdm/USDT")
        [flag] = flags(judged(aave(12_000), off), "DEPEG")
        assert flag.evidence["factor"] == "USDT"
        assert flag.evidence["off"] == pytest.approx(-0.03)
        assert f"{NAME}/usdm/USDT" in flag.accounts

    def test_funding_and_interest_that_cost_more_than_they_earn(self) -> None:
        paying = open_position(-10, 3000, funding_8h=Decimal("-0.0012"))
        lent = aave(12_000).replace("[[manual.debt]]\n", "[[manual.debt]]\napr = 0.05\n")
        found = judged(lent, at_exchange(coin("USDC", 12_000), perp("ETHUSDC", "ETH", paying)))
        assert flags(found, "FUNDING_SPIKE")[0].evidence["payer"] == "shorts"
        [carry] = flags(found, "NEGATIVE_CARRY")
        assert carry.evidence["borrow_usd_per_year"] == pytest.approx(600)
        assert carry.evidence["funding_usd_per_year"] == pytest.approx(-30_000 * 0.0012 * 3 * 365)
        # a dated future pays no funding: nothing is unknown about it
        dated = open_position(-10, 3000, expires=TIME + DAY, index=Decimal(3000))
        [carry] = flags(judged(lent, at_exchange(coin("USDC", 12_000), perp("ETHUSDC_1", "ETH", dated))), "NEGATIVE_CARRY")
        assert carry.evidence["legs_without_rate"] == 0

    @pytest.mark.parametrize(("mode", "raised"), [("cross", True), ("multi-asset", True), ("isolated", False), ("portfolio", False)])
    def test_high_leverage_in_a_shared_account(self, mode: str, raised: bool) -> None:
        wild = open_position("0.1", 3000, "0.005", initial_rate=Decimal("0.01"))
        account = at_exchange(coin("USDC", 12_000), perp("ETHUSDC", "ETH", wild), mode=mode)
        assert bool(flags(judged(aave(12_000), account), "PREFER_ISOLATED")) is raised

    def test_what_a_venue_s_new_terms_change(self) -> None:
        before = judged(aave(12_000), short())
        dearer = replace(short(), line=Decimal("1.1"))
        [flag] = [
            one
            for one in judging.judge(gathered(aave(12_000), dearer), since=before.snapshot).snapshot.flags
            if one.code == "PARAMETER_CHANGE"
        ]
        assert flag.evidence == {"liquidation line": "1 -> 1.1"}

    def test_an_average_over_tiers_moves_without_new_terms(self) -> None:
        def told(before: Number, after: Number) -> list[Flag]:
            first, last = (replace(multi(weight), line=Decimal(1)) for weight in (before, after))
            since = judged(aave(12_000), first).snapshot
            return flags(judging.judge(gathered(aave(12_000), last), since=since), "PARAMETER_CHANGE")

        assert told("0.9512345678", "0.9512345679") == []
        assert [flag.evidence for flag in told("0.95", "0.9")] == [{"BTC weight": "0.95 -> 0.9"}]


class TestAlreadyKnownFlags:
    """Rules that were there before, with an exchange on one side."""

    def test_one_death_brings_the_other_nearer(self) -> None:
        """Case B: when the long is closed at 2,448.98, the loan is a fall to 1,807.23 from its own end."""
        long = at_exchange(coin("USDC", 6_000), perp("ETHUSDC", "ETH", open_position(10, 3000)))
        [flag] = flags(judged(aave(15_000), long), "CASCADE")
        assert (flag.evidence["first"], flag.evidence["next"]) == (PERP, "manual:aave")
        assert flag.evidence["next_hf"] == pytest.approx(2_448.98 / 1_807.23, abs=1e-5)

    def test_no_transfer_is_enough(self) -> None:
        thin = at_exchange(coin("USDC", 2_000), perp("ETHUSDC", "ETH", open_position(-10, 3000)))
        [flag] = flags(judged(aave(23_000), thin), "RESCUE_INFEASIBLE")
        assert set(flag.accounts) == {PERP, "manual:aave"}

    def test_much_of_the_book_at_one_exchange(self) -> None:
        [flag] = flags(judged(aave(20_000), short(40_000)), "VENUE_CONCENTRATION")
        assert flag.evidence["venue"] == "Binance"

    def test_the_hedge_is_traded_at_the_exchange(self) -> None:
        [flag] = flags(judged(aave(12_000), short()), "COLLATERAL_HEDGE")
        assert (flag.evidence["hedge"], flag.evidence["hedge_ratio"]) == (PERP, 1)

    def test_collateral_that_moves_with_what_is_traded(self) -> None:
        """Three months of hourly prices: apart at first, together in the last week, with a jump at the end."""
        steps = np.random.default_rng(7).normal(0, 0.005, (2_160, 2))
        steps[-168:, 1] = steps[-168:, 0]
        steps[-1] = 0.08
        times = TIME - HOUR * np.arange(2_160)[::-1]
        history = PriceHistory(times, ("BTC", "ETH"), np.exp(np.cumsum(steps, axis=0)) * 100, "made up")
        bitcoin = at_exchange(coin("USDC", 12_000), perp("BTCUSDC", "BTC", open_position("0.3", 60_000)))
        found = judging.judge(replace(gathered(aave(12_000), bitcoin, model=""), history=history))
        assert {"CORRELATION_SHIFT", "PRICE_MOVE"} <= codes(found)
        [shift] = flags(found, "CORRELATION_SHIFT")
        assert PERP in shift.accounts


class TestExplained:
    def test_a_failed_exchange_hides_its_own_accounts_alone(self) -> None:
        sub = at_exchange(coin("USDC", 500), name="binance-sub")
        before = judged(aave(12_000), short(), sub).snapshot
        lost = SourceReport(id="binance-sub", kind="exchange", status="failed", error="no answer")
        read = SourceReport(id=NAME, kind="exchange", as_of=TIME + DAY)
        after = judged(aave(12_000), reports=[read, lost]).snapshot
        told = {one.id: (one.status, one.reason) for one in explain(before, after).accounts}
        assert told[PERP] == ("closed", None)
        assert told["binance-sub/usdm/USDC"] == ("unknown", "unknown after: binance-sub failed: no answer")

    def test_time_is_the_exchange_s(self) -> None:
        def at(time: int) -> Any:
            return judged(aave(12_000), short(), reports=[SourceReport(id=NAME, kind="exchange", as_of=time)]).snapshot

        [one] = [one for one in explain(at(TIME), at(TIME + 3 * DAY)).accounts if one.id == PERP]
        assert one.days == 3

    def test_a_new_line_is_a_change_of_parameters(self) -> None:
        after = judged(aave(12_000), replace(short(), line=Decimal("1.5"))).snapshot
        [one] = [one for one in explain(judged(aave(12_000), short()).snapshot, after).accounts if one.id == PERP]
        assert one.surplus_usd.parts is not None
        assert one.surplus_usd.parts.parameters == pytest.approx(-300)
        assert one.sentence == "parameters: liquidated at 1 → 1.5 times the maintenance margin"


def test_two_clocks_far_apart_are_said_in_the_head() -> None:
    other = at_exchange(coin("USDC", 500), name="binance-sub")
    reports = [SourceReport(id=NAME, kind="exchange", as_of=TIME), SourceReport(id="binance-sub", kind="exchange", as_of=TIME + 95)]
    text = as_text(judged(aave(12_000), short(), other, reports=reports).snapshot, 200)
    assert f"{NAME} as of 2027-01-15 08:00:00 UTC" in text
    assert "read 95 seconds apart" in text
