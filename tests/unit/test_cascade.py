"""The cascade on books small enough to follow by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import isclose

import pytest

from defi_risk.health import HealthSettings
from defi_risk.health.account import Assessed, assess
from defi_risk.health.cascade import cascade, paths, walk
from defi_risk.health.cascade.fate import MOST
from defi_risk.health.figures import Event
from defi_risk.health.route import market_route, shock_route
from defi_risk.health.shock import Shock
from defi_risk.ids import AccountId, Peg
from defi_risk.model import Account, LiquidationRule
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, Number, collateral, debt, loan, margin, perp, position

CLOSE = LiquidationRule(kind="close")
HALF = LiquidationRule(kind="repay", close_factor=Decimal("0.5"))


def book(*accounts: Account, settings: HealthSettings = SETTINGS) -> list[Assessed]:
    return [assess(account, settings, {}) for account in sorted(accounts, key=lambda account: account.id)]


def bonus(account: Account, share: Number = "0.05") -> Account:
    """A loan whose collateral earns liquidators this much, half a debt at a time."""
    return replace(account, rule=HALF, legs=tuple(replace(leg, bonus=Decimal(str(share))) for leg in account.legs))


def closing(account: Account, rule: LiquidationRule = CLOSE) -> Account:
    return replace(account, rule=rule)


def hedged(rule: LiquidationRule = CLOSE) -> list[Assessed]:
    """Case A."""
    lent = bonus(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000)))
    return book(lent, closing(perp(margin(USDC, 12_000), position(ETH, -10, 3000)), rule))


def names(events: Sequence[Event]) -> list[str]:
    return [event.account.removeprefix("manual:") for event in events]


def test_case_a_the_short_dies_upward_and_breaks_the_hedge() -> None:
    [event] = cascade(hedged(), SETTINGS)["up"]
    assert event.account == "manual:perp"
    assert event.move == pytest.approx(0.3725490196)
    assert event.prices["ETH"] == pytest.approx(4117.647059)
    assert event.prices["USDC"] == 1
    assert (event.equity_before_usd, event.equity_after_usd) == pytest.approx((30_000, 30_000))
    assert event.hedge_break
    assert not event.spiral
    assert event.exposure_after == pytest.approx({"ETH": 41_176.470588, "USDC": -12_000 + 823.529412})
    assert event.next_account == "manual:loan"
    assert event.next_move == pytest.approx(1445.78313 / 4117.64706 - 1)


@pytest.mark.parametrize(("remainder", "left"), [("refunded", 18_823.53), ("lost", 18_000.0)])
def test_case_a_back_at_3000_the_gain_of_the_short_is_gone(remainder: str, left: float) -> None:
    rule = LiquidationRule(kind="close", remainder="lost" if remainder == "lost" else "refunded")
    walked = walk(hedged(rule), market_route(SETTINGS, 1.5, 1.0), SETTINGS)
    assert names(walked.events) == ["perp"]
    assert walked.equity_usd == pytest.approx(left, abs=5e-3)
    assert walked.finals[AccountId("manual:perp")].equity == pytest.approx(left - 18_000, abs=5e-3)


def test_case_a_down_and_both_ways() -> None:
    found = cascade(hedged(), SETTINGS)
    assert found["down"][0].account == "manual:loan"
    assert found["down"][0].move == pytest.approx(1445.78313 / 3000 - 1)
    assert found["down_up"] == found["up"]  # at -50 % the loan still lives: it falls at -51.8 %
    assert names(found["up_down"])[:2] == ["perp", "loan"]
    assert found["up_down"][1].move == found["down"][0].move
    assert found["up_down"][1].next_account == "manual:loan"


def test_case_b_the_long_dies_before_the_loan() -> None:
    stacked = book(
        bonus(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000))),
        closing(perp(margin(USDC, 6_000), position(ETH, 10, 3000))),
        loan(collateral(USDC, 9_000, weight=0, enabled=False), name="idle"),
    )
    found = cascade(stacked, SETTINGS)
    first, second = found["down"][:2]
    assert (first.account, second.account) == ("manual:perp", "manual:loan")
    assert (first.prices["ETH"], second.prices["ETH"]) == pytest.approx((2448.979592, 1807.228916))
    assert not first.hedge_break
    assert first.next_account == "manual:loan"
    assert first.next_move == pytest.approx(1807.228916 / 2448.979592 - 1)
    assert second.repaid_usd == pytest.approx(7_500)
    assert second.penalty_usd == pytest.approx(375)
    assert second.equity_before_usd == pytest.approx(18_072.29 - 15_000 + 489.80 + 9_000, abs=0.01)
    assert second.equity_after_usd == pytest.approx(second.equity_before_usd - 375)
    assert found["up"] == ()
    assert found["hedge_lost"] == ()


def test_a_loan_is_liquidated_again_and_again_on_the_way_down() -> None:
    """Half of the debt at H = 1 leaves H = 2 - threshold * (1 + bonus), until the debt is gone but for next to nothing."""
    events = cascade(book(bonus(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 24_000)))), SETTINGS)["down"]
    step = 1 / (2 - 0.83 * 1.05)
    assert len(events) > 10
    first = 24_000 / 24_900
    for index, event in enumerate(events):
        assert 1 + event.move == pytest.approx(first * step**index)
        assert event.repaid_usd == pytest.approx(12_000 / 2**index)
        assert not event.spiral


def test_the_spiral_at_one_point() -> None:
    """Dead today and below threshold * (1 + bonus): every call leaves it worse, up to bad debt, all at today's prices."""
    rule = replace(HALF, full_below=Decimal("0.95"))
    sunk = replace(bonus(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 29_000))), rule=rule)
    [event] = cascade(book(sunk), SETTINGS)["down"]
    assert (event.move, event.spiral) == (0, True)
    assert event.bad_debt_usd == pytest.approx(29_000 - 30_000 / 1.05)
    stepwise = cascade(book(replace(sunk, rule=HALF)), SETTINGS)["up"]
    assert {event.move for event in stepwise} == {0}
    assert all(event.spiral for event in stepwise)
    assert 5 < len(stepwise) <= MOST + 2
    assert stepwise[0].next_account == "manual:loan"
    assert stepwise[0].next_move == 0
    assert stepwise[-1].equity_after_usd == pytest.approx(0, abs=1e-9)
    assert sum(event.bad_debt_usd for event in stepwise) == pytest.approx(event.bad_debt_usd)


def test_an_account_of_which_nothing_can_be_taken_is_passed_over() -> None:
    sunk = loan(collateral(BTC, 1, 60_000, enabled=False), debt(USDC, 500), name="sunk")
    found = cascade(book(sunk, *(one.account for one in hedged())), SETTINGS)
    assert names(found["up"]) == ["perp"]
    assert found["up"][0].next_account == "manual:loan"


def test_ties_go_by_account() -> None:
    twins = [closing(perp(margin(USDC, 600), position(ETH, 1, 3000), name=name)) for name in ("b", "a")]
    events = cascade(book(*twins), SETTINGS)["down"]
    assert names(events) == ["a", "b"]
    assert (events[0].next_account, events[0].next_move) == ("manual:b", 0)
    assert (events[1].next_account, events[1].next_move) == (None, None)


def test_one_venue_alone_diverges() -> None:
    long = closing(perp(margin(USDC, 3_000), position(ETH, 10, 3000), name="long", venue="left"))
    short = closing(perp(margin(USDC, 4_000), position(ETH, -10, 3000), name="short", venue="right"))
    assessed = book(long, short)
    path = paths(assessed, SETTINGS)["venue_diverges"]
    assert (path.venue, path.direction) == ("left", "down")
    [event] = cascade(assessed, SETTINGS)["venue_diverges"]
    assert event.account == "manual:long"
    assert event.move == pytest.approx(-(3_000 - 600) / 29_400)
    # at the other venue the price is still 3,000: the short has lost nothing
    assert event.equity_before_usd == pytest.approx(4_000 + 3_000 - 2_448.979592)
    assert event.next_account == "manual:short"
    assert event.next_move == pytest.approx(3_400 / 30_600)


def test_without_anything_to_die_there_is_nothing_to_diverge() -> None:
    found = cascade(book(loan(collateral(ETH, 1, 3000, "0.8"))), SETTINGS)
    assert found == dict.fromkeys(("down", "up", "down_up", "up_down", "venue_diverges", "hedge_lost"), ())
    assert cascade([], SETTINGS) == found


def test_a_hedge_lost_to_auto_deleveraging() -> None:
    """The short is closed at today's mark with its profit; then the fall meets the loan alone."""
    lent = bonus(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 18_000)))
    short = closing(perp(margin(USDC, 12_000), position(ETH, -10, 3000, entry=3200)))
    assessed = book(lent, short)
    path = paths(assessed, SETTINGS)["hedge_lost"]
    assert path.direction == "down"
    bare = {one.account.id: one for one in path.assessed}[AccountId("manual:perp")]
    assert (bare.figures.equity_usd, bare.figures.requirement_usd, bare.figures.liquidatable) == (14_000, 0, False)
    events = cascade(assessed, SETTINGS)["hedge_lost"]
    assert set(names(events)) == {"loan"}
    assert events[0].equity_before_usd == pytest.approx(18_000 / 0.83 - 18_000 + 14_000)
    assert events[0].exposure_after["ETH"] == pytest.approx(18_000 / 0.83 - 9_450)


def test_of_two_positions_that_hedge_each_other_the_short_one_is_lost() -> None:
    """It is the one in profit when venues deleverage in a fall."""
    long = closing(perp(margin(USDC, 3_000), position(ETH, 10, 3000), position(SOL, 1, 100), name="a"))
    short = closing(perp(margin(USDC, 4_000), position(ETH, -10, 3000), name="b"))
    path = paths(book(long, short), SETTINGS)["hedge_lost"]
    assert path.direction == "down"
    positions = {one.account.id: [str(h.key.factor) for h in one.normal.holdings if h.leg.position] for one in path.assessed}
    assert positions == {"manual:a": ["ETH", "SOL"], "manual:b": []}
    assert names(cascade(book(long, short), SETTINGS)["hedge_lost"]) == ["a"]


def test_what_hedges_nothing_is_not_lost() -> None:
    stacked = closing(perp(margin(ETH, 10, 3000), margin(USDC, 1_000), position(ETH, 5, 3000)))
    assert paths(book(stacked), SETTINGS)["hedge_lost"].route == ()


def test_prices_are_those_of_tokens_before_positions_and_pegged_tokens() -> None:
    marks = closing(perp(margin(USDT, 60_000, "0.98"), position(ETH, 100, 3100, quote=USDT), position(BTC, -1, 60_000, quote=USDT)))
    lent = bonus(loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2_000)))
    event = cascade(book(marks, lent), SETTINGS)["down"][0]
    ratio = 1 + event.move
    assert event.prices == pytest.approx({"BTC": 58_800 * ratio, "ETH": 3_000 * ratio, "USDC": 1, "USDT": 0.98})


def test_betas_move_factors_by_their_share() -> None:
    settings = HealthSettings(stables=SETTINGS.stables, betas={SOL: 1.5})
    lent = bonus(loan(collateral(SOL, 100, 150, "0.8"), debt(USDC, 9_000)))
    assessed = book(lent, bonus(loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 21_000), name="ether")), settings=settings)
    first, second = cascade(assessed, settings)["down"][:2]
    assert (first.account, second.account) == ("manual:ether", "manual:loan")
    assert (first.move, second.move) == pytest.approx((-0.125, -1 / 6))
    assert second.prices["SOL"] == pytest.approx(112.5)
    assert first.next_account == "manual:loan"
    assert first.next_move == pytest.approx((5 / 6) / 0.875 - 1)


def test_along_a_shock_moves_are_shares_of_it() -> None:
    lent = bonus(loan(collateral(ETH, 10, 3000, "0.8"), collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 60_000)))
    walked = walk(book(lent), shock_route(Shock({BTC: -0.1}), Shock({BTC: -0.1, ETH: -0.5, USDC: 0.1})), SETTINGS)
    first = walked.events[0]
    # B = 24,000 (1 - 0.5 t) + 43,200 - 60,000 (1 + 0.1 t) = 0 at t = 0.4
    assert first.move == pytest.approx(1.4)
    assert first.prices == pytest.approx({"ETH": 2_400, "BTC": 54_000, "USDC": 1.04})
    assert (first.next_account, first.next_move) == (None, None)
    assert first.repaid_usd == pytest.approx(31_200)
    assert walk(book(lent), (), SETTINGS).equity_usd == 30_000


def test_a_shock_of_one_venue_is_seen_there_only() -> None:
    accounts = [closing(perp(margin(USDC, 3_000), position(ETH, 10, 3000), name=name, venue=name)) for name in ("a", "b")]
    walked = walk(book(*accounts), shock_route(Shock(venues={("a", ETH): -0.1})), SETTINGS)
    assert names(walked.events) == ["a"]
    assert isclose(walked.equity_usd, 6_000 - (3_000 - 600) / 29_400 * 30_000)


def test_an_account_alive_on_its_line_dies_there_once_the_market_moves() -> None:
    on_the_line = bonus(loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 24_000)))
    assessed = book(on_the_line)
    assert not assessed[0].figures.liquidatable
    found = cascade(assessed, SETTINGS)
    assert found["down"][0].move == 0
    assert found["up"] == ()


def test_a_price_of_nothing_is_no_death_where_nothing_is_required() -> None:
    """With a beta of 2 SOL is worth nothing at -50 %: so is a debt in it, and the account stands on no line."""
    settings = replace(SETTINGS, betas={SOL: 2.0})
    looped = loan(collateral(SOL, 10, 100, "0.8", peg=Peg("jitoSOL/SOL")), debt(SOL, 5, 100), strict=False)
    (one,) = book(looped, settings=settings)
    assert (one.figures.hf, one.figures.down, one.figures.up) == (None, None, None)
    assert [move.peg for move in one.figures.moves] == ["jitoSOL/SOL"]
    assert not any(cascade([one], settings).values())
    # where something is owed there still, and just covered, it is one
    covered = loan(*looped.legs, collateral(USDC, 100), debt(USDT, 100), strict=False)
    assert book(covered, settings=settings)[0].figures.down == pytest.approx(-0.5)
    assert names(cascade(book(covered, settings=settings), settings)["down"])[0] == "loan"


def test_a_dead_hedge_is_liquidated_not_deleveraged() -> None:
    """As in the stress of the same name: what is below its line today is gone before its venue deleverages anyone."""
    lent = bonus(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 18_000)))
    dead = closing(perp(margin(USDC, 500), position(ETH, -10, 3000)), replace(CLOSE, remainder="lost"))
    alive = closing(perp(margin(USDC, 9_000), position(ETH, -5, 3000), name="short"))
    events = cascade(book(lent, dead, alive), SETTINGS)["hedge_lost"]
    assert (events[0].account, events[0].move, events[0].penalty_usd) == ("manual:perp", 0.0, 500)
    assert "short" not in names(events)
    assert cascade(book(lent, dead), SETTINGS)["hedge_lost"] == ()
