"""The worked cases beyond today's figures: sigmas, stresses, cascades, plans and flags, as books through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.desks import SIGMAS, aave, codes, flag, hedge, held, loan, perp, position, stacked, stressed, taken, written
from tests.cli.runner import run

BACK = """
[[scenario]]
id = "there-and-back"
shocks = { ETH = "+40%" }
then = [{ ETH = "+0%" }]
"""


def planned(folder: Path, book: str, *options: str) -> dict[str, Any]:
    ended = run("plan", "--book", str(written(folder, book)), "--format", "json", *options)
    assert ended.code == 0, ended.err
    plan: dict[str, Any] = json.loads(ended.out)
    return plan


def moved(plan: dict[str, Any], kind: str, account: str) -> float:
    return float(sum(float(action["amount"]) for action in plan["actions"] if (action["kind"], action["account"]) == (kind, account)))


def test_case_a_in_standard_deviations(tmp_path: Path) -> None:
    snapshot, accounts = taken(tmp_path, hedge(), SIGMAS)
    assert (accounts["aave"]["sigma"], accounts["perp"]["sigma"]) == (pytest.approx(12.95, abs=5e-3), pytest.approx(9.31, abs=5e-3))
    sigma = snapshot["book_health"]["sigma"]
    assert (sigma["horizon_days"], sigma["account"]) == (1, "manual:perp")
    assert sigma["distance"] == pytest.approx(9.31, abs=5e-3)
    assert sigma["shock"] == {"ETH": pytest.approx(0.372549, abs=1e-6)}
    balanced, _ = taken(tmp_path, hedge("13997.84"), SIGMAS)
    assert balanced["book_health"]["sigma"]["distance"] == pytest.approx(10.95, abs=5e-3)


def test_case_a_dies_on_the_way_up_and_the_money_does_not_come_back(tmp_path: Path) -> None:
    snapshot, _ = taken(tmp_path, hedge())
    first = snapshot["cascade"]["up"][0]
    assert (first["account"], first["move"]) == ("manual:perp", pytest.approx(0.372549, abs=1e-6))
    assert first["prices"]["ETH"] == pytest.approx(4_117.65, abs=5e-3)
    assert (first["equity_before_usd"], first["equity_after_usd"]) == (pytest.approx(30_000), pytest.approx(30_000))
    assert first["hedge_break"] is True
    assert snapshot["cascade"]["down"][0]["account"] == "manual:aave"
    kept = stressed(tmp_path, hedge(), scenario=BACK)["there-and-back"]
    lost = stressed(tmp_path, hedge(remainder="lost"), scenario=BACK)["there-and-back"]
    assert (kept["equity_usd"], lost["equity_usd"]) == (pytest.approx(18_823.53, abs=5e-3), pytest.approx(18_000))
    assert (kept["pass"], [event["account"] for event in kept["liquidations"]]) == (False, ["manual:perp"])


def test_case_a_passes_down_and_fails_up(tmp_path: Path) -> None:
    rows = stressed(tmp_path, hedge())
    assert rows["majors_down_40"]["pass"] is True
    assert rows["majors_down_40"]["min_health"] == pytest.approx(1.245)
    assert rows["majors_up_40"]["pass"] is False
    assert rows["majors_up_40"]["min_health"] == 0
    assert list(rows) == [
        "majors_down_40", "majors_up_40", "usdt_090", "usdt_090_one_venue", "usdc_088", "steth_093", "volatility_3x", "eth_down_up_25",
        "eth_up_down_25", "venue_off_10", "hedge_lost",
    ]  # fmt: skip


def test_case_a_rescued(tmp_path: Path) -> None:
    plan = planned(tmp_path, hedge(), "--survive", "+43.78%")
    assert plan["feasible"] is True
    assert plan["outside_capital_usd"] == 0
    assert moved(plan, "borrow", "manual:aave") == pytest.approx(1_997.84, abs=2)
    assert moved(plan, "deposit", "manual:perp") == pytest.approx(1_997.84, abs=2)
    best = planned(tmp_path, hedge(), "--budget", "0")
    assert moved(best, "borrow", "manual:aave") == pytest.approx(4_415.60, abs=0.5)
    assert best["after"]["uhf"] == pytest.approx(1.5168, abs=5e-5)


def test_case_b_in_standard_deviations_and_rescued(tmp_path: Path) -> None:
    _, accounts = taken(tmp_path, stacked(), SIGMAS)
    assert (accounts["aave"]["sigma"], accounts["perp"]["sigma"]) == (pytest.approx(9.94, abs=5e-3), pytest.approx(4.59, abs=5e-3))
    best, after = taken(tmp_path, stacked(1_243.09, 7_756.91), SIGMAS)
    assert best["book_health"]["sigma"]["distance"] == pytest.approx(11.19, abs=5e-3)
    assert after["perp"]["market_moves"]["down"] == pytest.approx(-0.4475, abs=5e-5)
    plan = planned(tmp_path, stacked(), "--budget", "0")
    assert moved(plan, "repay", "manual:aave") == pytest.approx(1_243.09, abs=0.02)
    assert moved(plan, "deposit", "manual:perp") == pytest.approx(7_756.91, abs=0.02)
    assert plan["after"]["corridor"][0] == pytest.approx(-0.4475, abs=5e-5)


@pytest.mark.parametrize(("rho", "distance"), [(0, 7.90), (0.5, 7.47), (0.8, 7.24), (0.95, 7.14), (1, 7.10)])
def test_case_c_correlation(tmp_path: Path, rho: float, distance: float) -> None:
    exchange = perp(
        "exchange",
        held("BTC", "0.1", 100_000, weight="0.95"),
        held("USDT", 10_000),
        position("ETH", 20, 3000, quote="USDT", maintenance="0.01"),
    )
    model = f'[model]\nvolatility = {{ BTC = 0.03, ETH = 0.04 }}\ncorrelation = {{ "BTC/ETH" = {rho} }}\n'
    _, accounts = taken(tmp_path, exchange, model)
    assert accounts["exchange"]["surplus_usd"] == pytest.approx(18_900)
    assert accounts["exchange"]["sigma"] == pytest.approx(distance, abs=5e-3)


def test_case_f_a_short_loses_when_its_quote_does(tmp_path: Path) -> None:
    short = perp("short", held("USDT", 10_000), position("ETH", -10, 3000, quote="USDT"))
    row = stressed(tmp_path, short, shocks=("USDT=-10%",))["shock"]
    # 10,000 USDT less 3,333.33 USDT at 0.90 each
    assert row["equity_usd"] == pytest.approx((10_000 - 3_333.33) * 0.9, abs=5e-3)
    assert stressed(tmp_path, short)["usdt_090"]["equity_usd"] == pytest.approx(row["equity_usd"])


@pytest.mark.parametrize(("short", "equity"), [(0, 48_000), (5_000, 48_500), (10_000, 49_000)])
def test_case_h_hedged_collateral(tmp_path: Path, short: float, equity: float) -> None:
    hedge = position("ETH", -short / 2000, 2000) if short else ""
    pool = perp("pool", held("ETH", 10, 2000), held("USDC", 30_000), hedge)
    assert stressed(tmp_path, pool, shocks=("ETH=-10%",))["shock"]["equity_usd"] == pytest.approx(equity)


@pytest.mark.parametrize(("short", "net"), [(10_000, -4_000), (50_000, 0)])
def test_case_h_only_a_full_hedge_is_one(tmp_path: Path, short: float, net: float) -> None:
    book = loan("spot", held("ETH", 25, 2000)) + perp("hedge", held("USDC", 50_000), position("ETH", -short / 2000, 2000))
    assert stressed(tmp_path, book, shocks=("ETH=-10%",))["shock"]["equity_usd"] == pytest.approx(100_000 + net)


ALT = position("SOL", 1_000, 150, maintenance="0.0001", initial="0.2666666666")


def test_case_i_an_altcoin_long(tmp_path: Path) -> None:
    """40,000 of stable margin under 150,000 of notional: nothing is left at -26.7 %. Isolated, the other 30,000 are out of its reach."""
    isolated = perp("alt", held("USDC", 40_000), ALT) + perp("rest", held("BTC", "0.3", 100_000))
    _, accounts = taken(tmp_path, isolated)
    assert accounts["alt"]["market_moves"]["down"] == pytest.approx(-0.2667, abs=1e-3)
    row = stressed(tmp_path, isolated, shocks=("SOL=-40%",))["shock"]
    assert row["equity_usd"] == pytest.approx(30_000, abs=20)
    cross = perp("cross", held("USDC", 40_000), held("BTC", "0.3", 100_000), ALT)
    worse = stressed(tmp_path, cross, shocks=("SOL=-40%",))["shock"]
    assert worse["equity_usd"] == pytest.approx(10_000, abs=20)
    risk = taken(tmp_path, cross, "[model]\nvolatility = { SOL = 0.08, BTC = 0.03 }\n")[0]
    assert flag(risk, "RISK_CONTRIBUTION")["evidence"]["share"] == pytest.approx(0.171, abs=5e-4)


def test_w1_collateral_that_falls(tmp_path: Path) -> None:
    pool = perp("pool", held("BTC", "0.1", 100_000), held("USDT", 10_000))
    assert stressed(tmp_path, pool, shocks=("BTC=-30%",))["shock"]["equity_usd"] == pytest.approx(17_000)


def futures(pnl: int) -> str:
    """W3 to W5: initial margins of 200 and 300, maintenance of 150 and 225."""
    return perp(
        "futures",
        held("USDT", 1_000),
        position("ETH", 1, 3000, quote="USDT", maintenance="0.05", initial="0.066666666666667", unrealized_pnl="100"),
        position("BTC", "0.1", 45_000, quote="USDT", maintenance="0.05", initial="0.066666666666667", unrealized_pnl=str(pnl)),
        liquidation="<=",
    )


def test_w3_to_w5_a_futures_wallet(tmp_path: Path) -> None:
    healthy, accounts = taken(tmp_path, futures(-400))
    assert accounts["futures"]["mur"] == pytest.approx(0.7143, abs=5e-5)
    assert "MUR_HIGH" in codes(healthy)
    assert "MARGIN_LOW" not in codes(healthy)
    thin, accounts = taken(tmp_path, futures(-700))
    assert accounts["futures"]["equity_usd"] == pytest.approx(400)
    assert accounts["futures"]["free_margin_usd"] == pytest.approx(-100)
    assert accounts["futures"]["liquidatable"] is False
    assert flag(thin, "MARGIN_LOW")["severity"] == "critical"
    dead, accounts = taken(tmp_path, futures(-725))
    assert accounts["futures"]["liquidatable"] is True
    assert "LIQUIDATABLE" in codes(dead)


@pytest.mark.parametrize(("price", "free"), [(50_000, 500), (40_000, 300)])
def test_w6_available_margin_falls_faster_than_equity(tmp_path: Path, price: float, free: float) -> None:
    pool = perp("pool", held("BTC", "0.02", price), position("ETH", 1, 1000, maintenance="0.1", initial="0.5"))
    _, accounts = taken(tmp_path, pool)
    assert accounts["pool"]["free_margin_usd"] == pytest.approx(free)


def test_w8_collateral_counts_less_than_it_is_worth(tmp_path: Path) -> None:
    _, accounts = taken(tmp_path, perp("pool", held("ETH", 5, 2000, weight="0.95"), held("USDT", 5_000)))
    assert (accounts["pool"]["equity_usd"], accounts["pool"]["weighted_collateral_usd"]) == (pytest.approx(15_000), pytest.approx(14_500))


def test_w9_what_an_allocation_really_holds(tmp_path: Path) -> None:
    pool = perp(
        "pool",
        held("ETH", 20, 2000),
        held("BTC", "0.2", 100_000),
        held("USDC", 15_000),
        position("ETH", "12.5", 2000, maintenance="0.01", initial="0.33333333333333"),
    )
    snapshot, accounts = taken(tmp_path, pool)
    assert accounts["pool"]["initial_requirement_usd"] == pytest.approx(8_333.33, abs=0.01)
    assert accounts["pool"]["free_margin_usd"] == pytest.approx(66_666.67, abs=0.01)
    assert accounts["pool"]["equity_usd"] == pytest.approx(75_000)
    [eth] = [one for one in snapshot["exposures"] if one["factor"] == "ETH"]
    assert eth["net_usd"] == pytest.approx(65_000)
    assert eth["net_usd"] / accounts["pool"]["equity_usd"] == pytest.approx(0.8667, abs=5e-5)


def test_w11_a_risk_contribution_needs_a_horizon(tmp_path: Path) -> None:
    pool = perp("pool", held("USDC", 75_000), position("ETH", "12.5", 2000))
    snapshot, _ = taken(tmp_path, pool, SIGMAS)
    # 25,000 x 4 % / 75,000 is 1.33 % of a day, far below the limit of 10 %
    assert "RISK_CONTRIBUTION" not in codes(snapshot)


def test_w12_a_loan_that_is_somebody_s_margin(tmp_path: Path) -> None:
    """The cross-venue loan of the articles, with numbers: cases A and B."""
    assert {"BORROWED_MARGIN", "HEDGE_STRANDED"} <= codes(taken(tmp_path, hedge())[0])
    assert {"BORROWED_MARGIN", "WRONG_WAY_COLLATERAL"} <= codes(taken(tmp_path, stacked())[0])
    assert "BORROWED_MARGIN" not in codes(taken(tmp_path, aave(12_000))[0])
