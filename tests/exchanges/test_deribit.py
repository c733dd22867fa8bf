"""Deribit's futures accounts over HTTP on loopback.

Recorded: a summary of the documentation with options in it (equity 302.61869214), and a position as ccxt's source has it (MIT): 50 USD of
BTC-PERPETUAL at 7476.65 with a maintenance margin of 0.000143783.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import KeyRights
from tests.exchanges.deribit import DeribitDouble, position
from tests.exchanges.double import Fault
from tests.exchanges.reading import accounts, scan, unknown

RECORDED = {
    "balance": 302.60065765,
    "equity": 302.61869214,
    "margin_balance": 302.62729214,
    "maintenance_margin": 0.8857841,
    "initial_margin": 1.24669592,
    "futures_session_upl": 0.05921555,
    "session_rpl": -0.03258105,
    "options_value": -0.0086,
}


def test_a_recorded_summary_with_options_is_named(tmp_path: Path) -> None:
    found = accounts(DeribitDouble(given={"BTC": RECORDED}), tmp_path)
    assert found["BTC"].status == "unknown"
    assert "options" in found["BTC"].reason


def test_a_recorded_summary_adds_up(tmp_path: Path) -> None:
    """The same without its options: balance + profits of the session are its equity, to the digit before rounding."""
    without = RECORDED | {"options_value": 0, "equity": 302.62729215}
    row = position("BTC-PERPETUAL", "50000", floating_profit_loss=Decimal("0.05921555"), maintenance_margin=Decimal("0.8857841"),
                   initial_margin=Decimal("1.24669592"))  # fmt: skip
    [account] = accounts(DeribitDouble(given={"BTC": without}, positions=[row]), tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.match
    assert account.stated["equity"] == "302.62729215"
    assert account.stated["maintenance_margin"] == "0.8857841"


def test_a_recorded_position(tmp_path: Path) -> None:
    row = position("BTC-PERPETUAL", "50", average_price=Decimal("7440.18"), mark_price=Decimal("7476.65"), index_price=Decimal("7466.79"),
                   maintenance_margin=Decimal("0.000143783"), initial_margin=Decimal("0.000197283"),
                   estimated_liquidation_price=Decimal("1.74"))  # fmt: skip
    [account] = accounts(DeribitDouble(balances={"BTC": "29.3467"}, positions=[row]), tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.match
    assert account.stated["liquidationPrice:BTC-PERPETUAL"] == "1.74"
    leg = account.legs[1].position
    assert leg is not None
    assert (leg.contract, leg.size, leg.expires, leg.funding_8h) == ("inverse", Decimal(50), None, Decimal("0.0001"))
    assert account.legs[0].price is not None
    assert str(account.legs[0].price.value) == "7476.65"
    assert account.strict
    assert any("rises with the size" in sentence for sentence in account.assumptions)


def test_each_currency_is_an_account(tmp_path: Path) -> None:
    rows = [
        position("BTC-PERPETUAL", "-30000", estimated_liquidation_price=Decimal("170833.3333")),
        position("BTC-25DEC26", "6000", floating_profit_loss=Decimal("0.02")),
        position("BTC_USDC-PERPETUAL", "0.1", floating_profit_loss=Decimal("100"), maintenance_margin=Decimal("60")),
    ]
    found = accounts(DeribitDouble(balances={"BTC": "0.2", "USDC": "2000", "ETH": "3"}, positions=rows), tmp_path)
    assert set(found) == {"BTC", "USDC", "ETH"}
    perpetual, dated = (leg.position for leg in found["BTC"].legs[1:])
    assert perpetual is not None
    assert dated is not None
    assert dated.expires == 1_798_185_600
    linear = found["USDC"].legs[1].position
    assert linear is not None
    assert (linear.contract, linear.quote, linear.tiers[0].rate) == ("linear", "USDC", Decimal("0.01"))
    assert found["ETH"].legs[0].price is not None
    assert str(found["ETH"].legs[0].price.value) == "3000"


def test_portfolio_margin_is_what_deribit_asks(tmp_path: Path) -> None:
    rows = [position("BTC-PERPETUAL", "30000"), position("BTC-25DEC26", "-30000")]
    double = DeribitDouble(positions=rows, model="segregated_pm", given={"BTC": {"maintenance_margin": 0.01, "initial_margin": 0.013}})
    [account] = accounts(double, tmp_path).values()
    assert account.mode == "portfolio"
    assert account.stated["maintenance_margin"] == "0.01"
    assert account.self_check is not None
    assert account.self_check.match
    assert any("scenarios are not computed" in sentence for sentence in account.assumptions)


@pytest.mark.parametrize("model", ["cross_sm", "cross_pm", "new"])
def test_models_that_are_not_known(tmp_path: Path, model: str) -> None:
    [account] = accounts(DeribitDouble(model=model), tmp_path).values()
    assert account.status == "unknown"
    assert repr(model) in account.reason


def test_an_option_makes_its_currency_unknown(tmp_path: Path) -> None:
    option = position("BTC-25DEC26-60000-C", "1") | {"kind": "option"}
    found = accounts(DeribitDouble(balances={"BTC": "1", "ETH": "1"}, positions=[option]), tmp_path)
    assert (found["BTC"].status, found["ETH"].status) == ("unknown", "ok")
    assert "BTC-25DEC26-60000-C" in found["BTC"].reason


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    double = DeribitDouble(positions=[position("BTC-PERPETUAL", "6000")], given={"BTC": {"maintenance_margin": 0.5}})
    [account] = accounts(double, tmp_path).values()
    assert account.self_check is not None
    assert not account.self_check.match


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instrument_name": "NONE-PERPETUAL"}, "'NONE-PERPETUAL'"),
        ({"direction": "zero"}, "direction 'zero'"),
        ({"mark_price": "NaN"}, "mark_price"),
        ({"maintenance_margin": None}, "maintenance_margin is missing"),
        ({"average_price": ""}, "average_price"),
    ],
)
def test_damaged_positions(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    double = DeribitDouble(positions=[position("BTC-PERPETUAL", "6000")])
    damage = Fault(where="get_positions", change=lambda body: body | {"result": [body["result"][0] | change]})
    assert words in unknown(double, tmp_path, damage)[0].reason


def test_a_position_is_never_counted_twice(tmp_path: Path) -> None:
    double = DeribitDouble(positions=[position("BTC-PERPETUAL", "6000")] * 2)
    assert "listed twice" in unknown(double, tmp_path)[0].reason


def test_nothing_is_no_account_and_debt_is_negative(tmp_path: Path) -> None:
    assert accounts(DeribitDouble(balances={}), tmp_path) == {}
    [account] = accounts(DeribitDouble(balances={"USDC": "-5"}), tmp_path).values()
    assert str(account.legs[0].amount) == "-5"


def test_second_scans_are_three_requests(tmp_path: Path) -> None:
    double = DeribitDouble(positions=[position("BTC-PERPETUAL", "6000")])
    [report] = scan(double, tmp_path, times=2).reports
    assert len(double.log) == 3
    assert report.key == KeyRights()


@pytest.mark.parametrize("kind", ["bad key", "permission", "address", "time", "html", "empty list", "empty object"])
def test_faults_are_named(tmp_path: Path, kind: str) -> None:
    account, report = unknown(DeribitDouble(), tmp_path, Fault(kind, where="/private/get_account_summaries"))
    assert report.status == "failed"
    assert account.reason


@pytest.mark.parametrize("skew", [90.0, -90.0])
def test_the_exchanges_clock_is_gone_by(tmp_path: Path, skew: float) -> None:
    assert [account.status for account in scan(DeribitDouble(skew=skew), tmp_path).accounts] == ["ok"]
