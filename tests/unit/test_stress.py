"""The book under stress: the cases with known answers, the built-in scenarios one by one, and what decides whether one is passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from defi_risk.book.scenario import BUILT_IN, from_options
from defi_risk.errors import UsageError
from defi_risk.health import HealthSettings
from defi_risk.health.account import Assessed, assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.figures import Stress
from defi_risk.health.shock import Shock
from defi_risk.health.stress import run
from defi_risk.health.stress.scenarios import Scenario, built_in
from defi_risk.history import PriceHistory, RecordedDay, day
from defi_risk.ids import AccountId, Factor, Peg
from defi_risk.model import Account, Contract, LiquidationRule
from tests.accounts import BTC, ETH, SETTINGS, SOL, USD, USDC, USDT, collateral, debt, loan, margin, perp, position

LOAN, PERP = AccountId("manual:loan"), AccountId("manual:perp")
STETH = Peg("stETH/ETH")


def assessed(accounts: Sequence[Account], settings: HealthSettings = SETTINGS) -> list[Assessed]:
    return [assess(account, settings, {}) for account in sorted(accounts, key=lambda account: account.id)]


def stresses(accounts: Sequence[Account], days: Sequence[RecordedDay] = (), settings: HealthSettings = SETTINGS) -> dict[str, Stress]:
    """The built-in ones by id."""
    book = assessed(accounts, settings)
    return {one.scenario: one for one in run(book, Arrays.of(book), built_in(book, settings, days), settings)}


def under(accounts: Sequence[Account], *steps: Shock, settings: HealthSettings = SETTINGS) -> Stress:
    """One scenario of these steps."""
    book = assessed(accounts, settings)
    (found,) = run(book, Arrays.of(book), [Scenario(id="own", title="own", variants=(steps,))], settings)
    return found


def hedge() -> list[Account]:
    """Case A: a loan whose proceeds are all margin of a short that hedges its collateral."""
    closes = LiquidationRule(kind="close")
    return [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000), venue="Aave V3"),
        replace(perp(margin(USDC, 12_000), position(ETH, -10, 3000), venue="binance"), rule=closes),
    ]


def test_case_a_passes_a_fall_and_fails_a_rise() -> None:
    found = stresses(hedge())
    fall, rise = found["majors_down_40"], found["majors_up_40"]
    assert fall.passed
    assert fall.account_health == pytest.approx({LOAN: 2.075 * 0.6, PERP: 24_000 / 360})
    assert fall.account_surplus_usd == pytest.approx({LOAN: 18_000 * 0.83 - 12_000, PERP: 24_000 - 360})
    assert fall.min_health == pytest.approx(1.245)
    assert fall.worst_account == LOAN
    assert fall.equity_usd == pytest.approx(30_000)
    assert (fall.penalty_usd, fall.liquidations) == (0.0, ())
    assert fall.shocks == {"BTC": -0.4, "ETH": -0.4}
    assert not rise.passed
    # untouched, the short has nothing left at +40 %: C = 0 and R = 840
    assert rise.account_surplus_usd == pytest.approx({LOAN: 42_000 * 0.83 - 12_000, PERP: -840})
    assert rise.account_health[PERP] == pytest.approx(0, abs=1e-12)
    assert rise.worst_account == PERP
    assert rise.min_health == pytest.approx(0, abs=1e-12)
    (event,) = rise.liquidations
    assert event.account == PERP
    assert event.prices["ETH"] == pytest.approx(4117.647, abs=1e-3)
    # closed at 4,117.65 with 823.53 left, then the loan's ETH goes on to 4,200
    assert rise.equity_usd == pytest.approx(10 * 4_200 - 12_000 + 823.53, abs=0.01)


def test_all_built_in_stresses_are_listed_and_leave_what_they_do_not_touch() -> None:
    found = stresses(hedge())
    assert tuple(found) == BUILT_IN
    for name in ("usdt_090", "usdt_090_one_venue", "steth_093"):
        assert (found[name].equity_usd, found[name].passed) == (30_000, True)
        assert found[name].account_health == pytest.approx({LOAN: 2.075, PERP: 20})
    assert found["usdt_090"].shocks == {"USDT": -0.1}
    assert found["usdt_090_one_venue"].shocks == {}
    # 12,000 of USDC are owed and 12,000 are margin, and the short is quoted in it
    assert found["usdc_088"].account_surplus_usd == pytest.approx({LOAN: 24_900 - 10_560, PERP: 10_560 - 3_600 - 600})
    empty = stresses([])
    assert tuple(empty) == BUILT_IN
    assert all(one.passed and one.equity_usd == 0 and one.worst_account is None for one in empty.values())


def test_case_f_a_short_loses_when_its_quote_loses_its_peg() -> None:
    short = perp(margin(USDT, 5_000), position(ETH, -10, 3000, quote=USDT, maintenance="0.004"))
    found = stresses([short])["usdt_090"]
    loss_usd = 5_000 * 0.9 - found.equity_usd
    assert loss_usd / 0.9 == pytest.approx(3333.3333, abs=1e-4)
    assert found.passed
    # at 3,333.33 USDT the requirement is 133.33 USDT = 120 USD
    assert found.account_surplus_usd[PERP] == pytest.approx(5_000 * 0.9 - 3_000 - 120)


def test_usdt_falls_at_the_venue_that_suffers_most() -> None:
    lender = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDT, 2_000), venue="lender")
    short = perp(margin(USDT, 1_000), position(ETH, -3, 3000, quote=USDT), venue="bybit")
    rich = perp(margin(USDT, 99_000), position(ETH, -3, 3000, quote=USDT), venue="binance", name="rich")
    found = stresses([lender, short, rich])["usdt_090_one_venue"]
    assert found.shocks == {"bybit:USDT": -0.1}
    assert not found.passed
    assert found.account_surplus_usd[PERP] == pytest.approx(900 - 900 - 180)
    assert found.account_surplus_usd[LOAN] == pytest.approx(400)


@pytest.mark.parametrize(("hedged", "pool"), [(0, 48_000), (5_000, 48_500), (10_000, 49_000)])
def test_case_h_a_pool_with_a_hedge(hedged: int, pool: int) -> None:
    legs = [margin(USDC, 30_000), margin(ETH, 20, 1000)]
    account = perp(*legs, *([position(ETH, -hedged // 1000, 1000)] if hedged else []))
    assert under([account], Shock({ETH: -0.1})).equity_usd == pytest.approx(pool)


@pytest.mark.parametrize(("hedged", "change"), [(10, -4_000), (50, 0)])
def test_case_h_only_a_full_hedge_hedges(hedged: int, change: float) -> None:
    account = perp(margin(ETH, 50, 1000), position(ETH, -hedged, 1000))
    assert under([account], Shock({ETH: -0.1})).equity_usd - 50_000 == pytest.approx(change, abs=1e-9)


ALT = Factor("ALT")


def test_case_i_an_altcoin_long_is_worth_nothing_at_minus_27_percent() -> None:
    exchange = perp(margin(USDC, 40_000), position(ALT, 150_000, 1, maintenance=0))
    zero = -40_000 / 150_000
    assert zero == pytest.approx(-0.267, abs=5e-4)
    assert under([exchange], Shock({ALT: zero})).equity_usd == pytest.approx(0, abs=1e-9)


def test_case_i_isolated_margin_leaves_the_rest_untouched_and_cross_margin_does_not() -> None:
    majors = [margin(BTC, "0.25", 60_000), margin(ETH, 5, 3000)]
    long = position(ALT, 150_000, 1)
    crash = Shock({ALT: -0.4})
    isolated = under([perp(margin(USDC, 40_000), long), loan(*(replace(leg, role=collateral(ETH, 1).role) for leg in majors))], crash)
    assert not isolated.passed
    assert isolated.account_surplus_usd[LOAN] == 30_000
    assert [event.account for event in isolated.liquidations] == [PERP]
    assert isolated.equity_usd >= 30_000
    cross = under([perp(margin(USDC, 40_000), *majors, long)], crash)
    # 70,000 - 60,000 against 1,800: the cross account lives, but of the 30,000 in BTC and ETH 20,000 are gone
    assert cross.passed
    assert cross.equity_usd == pytest.approx(10_000)
    assert not under([perp(margin(USDC, 40_000), *majors, long)], Shock({ALT: -0.47})).passed


def test_w1_collateral_in_two_coins() -> None:
    pool = perp(margin(BTC, 1, 10_000), margin(USDT, 10_000))
    assert under([pool], Shock({BTC: -0.3})).equity_usd == pytest.approx(17_000)
    cut = under([perp(margin(BTC, 1, 10_000, "0.95"), margin(USDT, 10_000), position(ETH, 1, 3000, quote=USDT))], Shock({BTC: -0.3}))
    assert cut.account_surplus_usd[PERP] == pytest.approx(7_000 * 0.95 + 10_000 - 60)


def test_w6_available_margin_falls_by_more_than_the_collateral() -> None:
    account = perp(margin(BTC, 1, 1_000), position(ETH, 1, 2500, initial="0.2", maintenance="0.2"))
    assert under([account], Shock()).account_surplus_usd[PERP] == pytest.approx(500)
    assert under([account], Shock({BTC: -0.2})).account_surplus_usd[PERP] == pytest.approx(300)


def test_w7_a_fifth_of_a_hedge() -> None:
    spot, short = loan(collateral(ETH, 50, 1000, enabled=False)), perp(margin(USDC, 5_000), position(ETH, -10, 1000))
    found = under([spot, short], Shock({ETH: -0.1}))
    assert found.equity_usd - 55_000 == pytest.approx(-4_000)
    assert found.account_health == {LOAN: None, PERP: pytest.approx(6_000 / 180)}


# what decides


def test_accounts_are_tested_one_by_one_never_added_up() -> None:
    rich = perp(margin(USDC, 1_000_000), position(ETH, 1, 3000), name="rich")
    poor = perp(margin(USDC, 100), position(ETH, 1, 3000), name="poor")
    found = under([rich, poor], Shock({ETH: -0.1}))
    assert not found.passed
    assert found.worst_account == "manual:poor"


@pytest.mark.parametrize(("posted", "passed"), [("62", False), ("63.1", True)])
def test_a_derivatives_account_must_end_above_105_percent(posted: str, passed: bool) -> None:
    still = Shock({BTC: -0.5})
    found = under([perp(margin(USDC, posted), position(ETH, 1, 3000))], still)
    assert found.min_health == pytest.approx(float(posted) / 60)
    assert (found.passed, found.liquidations) == (passed, ())
    # a loan has no such line
    assert under([loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2_390))], still).passed


def test_it_is_the_way_that_counts_not_only_its_end() -> None:
    long = perp(margin(USDC, 500), position(ETH, 1, 3000))
    found = stresses([long])
    assert not found["eth_down_up_25"].passed
    assert found["eth_down_up_25"].account_surplus_usd[PERP] == pytest.approx(500 - 750 - 45)
    assert found["eth_down_up_25"].shocks == {"ETH": 0.25}
    # it was closed on the way down and earns nothing on the way up
    assert found["eth_down_up_25"].equity_usd < 100
    assert len(found["eth_down_up_25"].liquidations) == 1
    short = perp(margin(USDC, 500), position(ETH, -1, 3000))
    assert not stresses([short])["eth_up_down_25"].passed
    assert under([long], Shock({ETH: 0.25})).passed


def test_an_account_that_is_dead_today_fails_everything() -> None:
    dead = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2_500))
    for found in stresses([dead, hedge()[1]]).values():
        assert not found.passed
        assert found.liquidations
        assert (found.liquidations[0].account, found.liquidations[0].move) == (LOAN, 0.0)
    # and so does one that only its venue calls dead
    called = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2_399), liquidatable=True)
    assert all(not found.passed for found in stresses([called]).values())


def test_an_account_on_its_line_lives_where_its_venue_is_strict() -> None:
    pair = [collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2_400)]
    still = under([loan(*pair)], Shock({BTC: -0.5}))
    assert (still.passed, still.min_health, still.liquidations) == (True, 1.0, ())
    assert not under([loan(*pair, strict=False)], Shock({BTC: -0.5})).passed
    assert under([loan(*pair)], Shock({ETH: -1e-9})).liquidations
    # arriving exactly on the line
    safe = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 1_200))
    assert under([safe], Shock({ETH: -0.5})).passed
    assert not under([replace(safe, strict=False)], Shock({ETH: -0.5})).passed


def test_a_requirement_that_jumps_between_two_safe_ends_is_found() -> None:
    # from 1,500 to 1,600 USDC the venue wants half of the notional, from 1,600 on 1 % again
    tiers = [(0, "0.01", 0), (1500, "0.5", 0), (1600, "0.01", 0)]
    long = perp(margin(USDC, 100), position(ETH, 1, 1000, maintenance=tiers))
    up = under([long], Shock({ETH: 1.0}))
    assert up.account_surplus_usd[PERP] == pytest.approx(100 + 1_000 - 20)
    assert not up.passed
    assert up.liquidations[0].prices["ETH"] == pytest.approx(1500)
    assert under([long], Shock({ETH: 0.49})).passed
    # brackets that meet, of falling rates
    bent = perp(margin(USDC, 1_700), position(ETH, 1, 1000, maintenance=[(0, "1.5", 0), (1500, "0.01", -2235)]))
    found = under([bent], Shock({ETH: 1.0}))
    assert found.account_surplus_usd[PERP] == pytest.approx(445)
    assert not found.passed
    smooth = perp(margin(USDC, 100), position(ETH, 1, 1000, maintenance=[(0, "0.01", 0), (1500, "0.5", 735)]))
    assert under([smooth], Shock({ETH: 0.49})).passed


def test_the_worst_step_end_of_each_account_is_reported() -> None:
    low, high = Shock({ETH: -0.2}), Shock({ETH: 0.2})
    long, short = (perp(margin(USDC, 900), position(ETH, size, 3000), name=name) for size, name in ((1, "long"), (-1, "short")))
    for steps in ((low, high), (high, low)):
        found = under([long, short], *steps)
        assert found.account_health == pytest.approx({"manual:long": 300 / 48, "manual:short": 300 / 72})
        assert found.account_surplus_usd == pytest.approx({"manual:long": 252, "manual:short": 228})
        assert found.worst_account == "manual:short"
    assert under([long], low, high).equity_usd == pytest.approx(1_500)


def test_an_account_that_owes_more_than_it_has_without_requirement() -> None:
    found = under([perp(margin(USDC, -50), margin(ETH, 1, 60))], Shock({ETH: -0.5}))
    assert (found.passed, found.min_health, found.worst_account) == (False, None, PERP)
    assert found.account_health == {PERP: None}


# single scenarios


def test_steth_alone() -> None:
    account = loan(collateral(ETH, 10, 3500, "0.93", peg=STETH), debt(ETH, 10, 3000))
    found = stresses([account])
    assert found["steth_093"].shocks == {"stETH/ETH": -0.07}
    assert found["steth_093"].account_health[LOAN] == pytest.approx(35_000 * 0.93 * 0.93 / 30_000)
    # ETH takes the pegged collateral along
    assert found["majors_down_40"].account_health[LOAN] == pytest.approx(35_000 * 0.93 / 30_000)


def test_volatility_doubles_rates_and_takes_funding() -> None:
    posted = perp(margin(USDC, 2_000), position(ETH, 10, 3000, maintenance="0.02", fee="0.0005"))
    found = stresses([posted])["volatility_3x"]
    assert found.passed
    assert found.shocks == {}
    assert found.account_surplus_usd[PERP] == pytest.approx(2_000 - 270 - 1_215)
    assert found.equity_usd == pytest.approx(2_000 - 270)
    # a hedge stays open
    assert stresses(hedge())["volatility_3x"].account_surplus_usd == pytest.approx({LOAN: 12_900, PERP: 12_000 - 270 - 1_200})
    thin = replace(posted, legs=(margin(USDC, 1_400), *posted.legs[1:]), liquidatable=False)
    dies = stresses([thin])["volatility_3x"]
    assert not dies.passed
    assert [(event.account, event.move) for event in dies.liquidations] == [(PERP, 0.0)]
    assert dies.account_health[PERP] == pytest.approx(1_130 / 1_215)
    # who is next counts with the doubled rates and the paid funding too
    fat = replace(posted, legs=(margin(USDC, 10_000), *posted.legs[1:]), id=AccountId("manual:fat"))
    (event,) = stresses([thin, fat])["volatility_3x"].liquidations
    assert event.next_account == "manual:fat"
    assert event.next_move == pytest.approx((30_000 - 9_730) / (30_000 * (1 - 0.0405)) - 1)


def test_a_coin_in_which_nothing_is_held_keeps_its_price() -> None:
    pegged = position(ETH, 1, 3000, quote=USDT, quote_peg=Peg("USDT.x/USDT"), pnl=-100)
    account = perp(margin(USDT, 9_000, "0.9"), pegged, position(ETH, 1, 3000, quote=USDT))
    book = assessed([account])
    (found,) = run(book, Arrays.of(book), [Scenario(id="own", title="own", margin_rates=Decimal(2))], SETTINGS)
    assert found.equity_usd == pytest.approx(8_000)
    assert found.account_surplus_usd[PERP] == pytest.approx(8_000 - 2 * 60 * 1.9)


def test_volatility_takes_coins_from_coin_margin() -> None:
    inverse = perp(margin(BTC, 1, 60_000), position(BTC, 30_000, 60_000, quote=USD, contract=Contract.INVERSE))
    found = stresses([inverse])["volatility_3x"]
    assert found.equity_usd == pytest.approx(60_000 - 270)
    assert found.account_surplus_usd[PERP] == pytest.approx(60_000 - 270 - 1_200)


def test_one_venue_off() -> None:
    # the short at +10 % has less to spare than the loan at -10 %; what no venue can move does not count
    found = stresses([*hedge(), loan(collateral(USDC, 10), name="idle")])["venue_off_10"]
    assert found.shocks == {"binance:ETH": 0.1}
    assert found.account_health == {LOAN: pytest.approx(2.075), PERP: pytest.approx(9_000 / 660), "manual:idle": None}
    assert found.equity_usd == pytest.approx(27_010)
    # where no surplus moves, what is owned decides
    owned = stresses([loan(collateral(ETH, 1, 3000, enabled=False), venue="wallet")])["venue_off_10"]
    assert owned.shocks == {"wallet:ETH": -0.1}
    assert owned.equity_usd == pytest.approx(2_700)
    tight = replace(hedge()[0], legs=(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 23_000)))
    first = stresses([tight, hedge()[1]])["venue_off_10"]
    assert first.shocks == {"Aave V3:ETH": -0.1}
    assert not first.passed


def test_the_hedge_is_lost_then_the_market_falls() -> None:
    found = stresses(hedge())["hedge_lost"]
    assert found.shocks == {"BTC": -0.25, "ETH": -0.25}
    assert found.account_health == {LOAN: pytest.approx(2.075 * 0.75), PERP: None}
    assert found.equity_usd == pytest.approx(30_000 - 7_500)
    assert found.passed
    # a dead account dies before its hedge could be taken off it
    dying = perp(margin(USDC, 12_000), position(ETH, -10, 3000, pnl=-11_800))
    late = stresses([hedge()[0], dying])["hedge_lost"]
    assert (late.passed, late.liquidations[0].account, late.liquidations[0].move) == (False, PERP, 0.0)
    # nothing to lose: the market moves against what is there
    long = perp(margin(USDC, 12_000), position(ETH, 10, 3000))
    assert stresses([long])["hedge_lost"].equity_usd == pytest.approx(12_000 - 7_500)


def test_a_recorded_day_is_walked_through() -> None:
    noon = 1_583_971_200 + 12 * 3_600
    times = np.arange(noon - 13 * 3_600, noon + 5 * 3_600, 3_600)
    eth = np.full(len(times), 200.0)
    eth[-4:] = [150, 110, 180, 190]
    history = PriceHistory(times, ("ETH",), eth.reshape(-1, 1), "test")
    long = perp(margin(USDC, 1_500), position(ETH, 1, 3000))
    found = stresses([*hedge()[:1], replace(long, venue="x")], [day(history, date(2020, 3, 12))])["replay:2020-03-12"]
    assert found.title == "prices of 2020-03-12; without history and still: USDC"
    assert found.shocks == pytest.approx({"ETH": -0.05})
    # at -45 % the loan lives and the long does not; nothing of what comes back comes back to it
    assert found.account_health == pytest.approx({LOAN: 2.075 * 0.55, PERP: 150 / 33})
    assert found.passed
    thin = replace(long, legs=(margin(USDC, 1_300), *long.legs[1:]))
    fails = stresses([thin], [day(history, date(2020, 3, 12))])["replay:2020-03-12"]
    assert (fails.passed, fails.min_health) == (False, 0.0)
    assert 0 <= fails.equity_usd < 100


def test_a_scenario_of_ones_own_may_move_what_is_known_and_nothing_else() -> None:
    book = assessed(hedge())
    shock = from_options(["SOL=-50%", "ETH=-10%"])
    assert shock is not None
    with pytest.raises(UsageError, match="--shock SOL: unknown factor 'SOL'"):
        run(book, Arrays.of(book), [Scenario.of(shock)], SETTINGS)
    (found,) = run(book, Arrays.of(book), [Scenario.of(shock)], SETTINGS, known=["SOL"])
    assert found.shocks == {"SOL": -0.5, "ETH": -0.1}
    assert (found.scenario, found.title) == ("shock", "SOL -50 %, ETH -10 %")
    assert found.equity_usd == pytest.approx(30_000)


def test_all_modifiers_at_once() -> None:
    book = assessed([hedge()[0], perp(margin(USDC, 12_000), position(ETH, -10, 3000, pnl=-1_000), position(SOL, 10, 100))])
    modified = Scenario(
        id="own", title="", variants=((Shock({SOL: -0.5}),),), margin_rates=Decimal(3), funding_8h=Decimal("0.01"), hedge_lost=True
    )
    (found,) = run(book, Arrays.of(book), [modified], SETTINGS)
    # 12,000 - 1,000 settled - 30 funding - 500 loss; R = 500 * 6 %
    assert found.account_surplus_usd[PERP] == pytest.approx(12_000 - 1_000 - 30 - 500 - 30)
    assert found.account_surplus_usd[LOAN] == pytest.approx(12_900)
