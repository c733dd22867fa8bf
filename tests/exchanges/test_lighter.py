"""Lighter's accounts over HTTP on loopback.

Recorded: an account as ccxt's source has it (MIT): collateral 9100.242706, 18.0193 ETH long at 2669.84, value 15298.072264, liquidation at
2191.1107231380406, which is where a maintenance fraction of 1.2 % puts it.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.exchanges.double import Fault
from tests.exchanges.lighter import LighterDouble, position
from tests.exchanges.reading import accounts, scan, unknown


def recorded() -> LighterDouble:
    return LighterDouble(accounts={1077: ("9100.242706", [position()])})


def test_a_recorded_account(tmp_path: Path) -> None:
    [account] = accounts(recorded(), tmp_path).values()
    assert account.market == "account-1077"
    assert account.self_check is not None
    assert account.self_check.match
    assert account.self_check.protocol["cross_asset_value"] == "15298.072264"
    assert account.stated["cross_asset_value"] == "15298.072264"
    assert account.stated["liquidationPrice:ETH"] == "2191.1107231380406"
    assert account.strict
    leg = account.legs[1].position
    assert leg is not None
    assert (leg.mark, leg.initial_rate) == (Decimal("3013.8"), Decimal("0.05"))


def test_isolated_positions_and_other_accounts(tmp_path: Path) -> None:
    apart = position(market_id=2, symbol="SOL", sign=-1, position="10", avg_entry_price="150", position_value="1500", unrealized_pnl="0",
                     margin_mode=1, allocated_margin="100", liquidation_price="156.25")  # fmt: skip
    double = LighterDouble(accounts={1077: ("9100.242706", [position(), apart]), 2000: ("50", [])})
    found = accounts(double, tmp_path)
    assert set(found) == {"account-1077", "account-1077/SOL/isolated", "account-2000"}
    assert all(account.self_check is None or account.self_check.match for account in found.values())
    assert found["account-1077/SOL/isolated"].stated["liquidationPrice:SOL"] == "156.25"


def test_an_account_that_is_counted_and_not_listed(tmp_path: Path) -> None:
    double = LighterDouble(accounts={1077: ("9100.242706", [position()]), 2000: ("50", [])})
    damage = Fault(where="/account", change=lambda body: body | {"accounts": body["accounts"][:1]})
    assert "counts 2 accounts of this address, and tells of 1" in unknown(double, tmp_path, damage)[0].reason


def test_an_account_by_its_index(tmp_path: Path) -> None:
    class ByIndex(LighterDouble):
        credentials = {"wallet": "2000"}  # noqa: RUF012

    double = ByIndex(accounts={1077: ("9", []), 2000: ("50", [])})
    assert set(accounts(double, tmp_path)) == {"account-2000"}


def test_other_collateral_is_named(tmp_path: Path) -> None:
    """Recorded in the same place: collateral 9000, no position, a value of 9536.789088: coins are part of it."""
    double = LighterDouble(accounts={1077: ("9000.000000", [])}, given={"cross_asset_value": "9536.789088"})
    [account] = accounts(double, tmp_path).values()
    assert account.status == "unknown"
    assert "536.789088 USDC more" in account.reason


def test_coins_in_the_margin_of_a_unified_account(tmp_path: Path) -> None:
    """ETH counts as margin by a rule of its own, whether or not the account's value has it; USDC there is the collateral once more."""
    usdc = {"symbol": "USDC", "asset_id": 3, "balance": "0.000000", "margin_balance": "9100.242706", "margin_mode": "disabled"}
    ether = {"symbol": "ETH", "asset_id": 1, "balance": "0.00000000", "margin_balance": "3.00000000", "margin_mode": "enabled"}
    double = recorded()
    double.given = {"account_trading_mode": 1, "assets": [usdc, ether]}
    [account] = accounts(double, tmp_path).values()
    assert account.status == "unknown"
    assert "ETH in the margin" in account.reason
    double.given = {"account_trading_mode": 1, "assets": [usdc, ether | {"balance": "3", "margin_balance": "0.00000000"}]}
    [account] = accounts(double, tmp_path).values()
    assert account.status == "ok"


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    double = recorded()
    double.given = {"cross_maintenance_margin_requirement": "900"}
    [account] = accounts(double, tmp_path).values()
    assert account.self_check is not None
    assert not account.self_check.match


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"margin_mode": 2}, "margin mode 2"),
        ({"sign": 0}, "sign 0"),
        ({"market_id": 9}, "no perpetual 'ETH'"),
        ({"symbol": "BTC"}, "no perpetual 'BTC'"),
        ({"position_value": "NaN"}, "position_value"),
        ({"avg_entry_price": None}, "avg_entry_price is missing"),
        ({"position_value": "0"}, "no value"),
    ],
)
def test_damaged_positions(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    def damaged(body: Any) -> Any:
        rows = [one | {"positions": [held | change for held in one["positions"]]} for one in body["accounts"]]
        return body | {"accounts": rows}

    assert words in unknown(recorded(), tmp_path, Fault(where="/account", change=damaged))[0].reason


@pytest.mark.parametrize(
    ("change", "copies", "words"),
    [
        ({}, 2, "listed twice"),
        ({}, 0, "no account"),
        ({"l1_address": "0x0"}, 1, "another address"),
        ({"positions": [position(), position()]}, 1, "listed twice"),
        ({"cross_asset_value": None}, 1, "cross_asset_value is missing"),
    ],
)
def test_damaged_accounts(tmp_path: Path, change: dict[str, Any], copies: int, words: str) -> None:
    def damaged(body: Any) -> Any:
        return body | {"accounts": [body["accounts"][0] | change] * copies}

    assert words in unknown(recorded(), tmp_path, Fault(where="/account", change=damaged))[0].reason


@pytest.mark.parametrize("kind", ["html", "maintenance", "empty object", "symbol"])
def test_faults_are_named(tmp_path: Path, kind: str) -> None:
    account, report = unknown(recorded(), tmp_path, Fault(kind, where="/account"))
    assert (report.status, bool(account.reason)) == ("failed", True)


def test_an_account_that_there_is_not(tmp_path: Path) -> None:
    account, report = unknown(LighterDouble(), tmp_path)
    assert report.status == "failed"
    assert "no account of this index or address" in account.reason


def test_second_scans_are_one_request(tmp_path: Path) -> None:
    double = recorded()
    [report] = scan(double, tmp_path, times=2).reports
    assert len(double.log) == 1
    assert report.key is None


def test_nothing_is_no_account(tmp_path: Path) -> None:
    assert accounts(LighterDouble(accounts={1077: ("0", [])}), tmp_path) == {}
