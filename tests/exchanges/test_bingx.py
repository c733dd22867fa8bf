"""BingX's perpetual accounts over HTTP on loopback.

Recorded: the examples of balances and positions in ccxt 4.5.90, bingx.py (`parse_position`, `fetch_balance`), real answers of July 2024.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import Contract, KeyRights, Role
from tests.exchanges.bingx import BingXDouble, position
from tests.exchanges.double import Fault
from tests.exchanges.reading import accounts, scan, unknown

LONG = position("ETH-USDT", "LONG", "10", "2000", "1990", 20)
SHORT = position("BTC-USDT", "SHORT", "0.5", "60000", "61000", 10)
ALONE = position("ETH-USDT", "SHORT", "30", "2010", "1990", 20, margin="3000")


def usdt(*rows: dict[str, Any], balance: str = "5000.0000", **more: Any) -> BingXDouble:
    return BingXDouble(wallets={"USDT": balance}, positions=list(rows), **more)


def test_the_recorded_coin_margined_position(tmp_path: Path) -> None:
    row = {
        "symbol": "SOL-USD",
        "positionId": "1813080351385337856",
        "positionSide": "LONG",
        "isolated": False,
        "positionAmt": "1",
        "availableAmt": "1",
        "unrealizedProfit": "-0.00009074",
        "initialMargin": "0.00630398",
        "liquidationPrice": 23.968303426677032,
        "avgPrice": "158.63",
        "leverage": 10,
        "markPrice": "158.402",
        "riskRate": "0.00123783",
    }
    # the balance of that day is not recorded: it follows from the one of the next day and three fundings of 0.01 % of 10 / 158.63
    double = BingXDouble(coins={"SOL": "0.35709842"}, coin_positions=[row])
    account = accounts(double, tmp_path)["cswap/SOL"]
    assert account.self_check
    assert account.self_check.match
    assert account.self_check.protocol["liquidationPrice:SOL-USD:long"] == "23.968303426677032"
    assert Decimal(account.stated["liquidationPrice:SOL-USD:long"]) == pytest.approx(Decimal("23.9683034"), rel=Decimal("0.00002"))
    [leg] = [leg for leg in account.legs if leg.position]
    assert leg.position
    assert leg.position.contract is Contract.INVERSE
    assert leg.position.size == 10
    assert leg.position.tiers[0].rate == pytest.approx(Decimal("0.007"), rel=Decimal("0.0001")), "0.65 % and the taker fee of 0.05 %"
    assert account.legs[0].price
    assert str(account.legs[0].price.value) == "158.402"


def test_the_recorded_dollar_margined_balance_and_position(tmp_path: Path) -> None:
    row = {
        "positionId": "1792480725958881280",
        "symbol": "LTC-USDT",
        "currency": "USDT",
        "positionAmt": "0.1",
        "positionSide": "LONG",
        "isolated": False,
        "avgPrice": "83.53",
        "initialMargin": "1.3922",
        "margin": "0.3528",
        "leverage": 6,
        "unrealizedProfit": "-1.0393",
        "liquidationPrice": 0,
        "riskRate": "0.0008",
        "markPrice": "73.14",
        "positionValue": "7.3136",
    }
    double = usdt(row, balance="64.8212", tiers={"LTC-USDT": [("0", "5000", "0.006500", "0")]})
    account = accounts(double, tmp_path)["swap/USDT"]
    assert account.self_check
    assert account.self_check.match
    assert account.self_check.protocol["balance"] == "64.8212"
    assert account.self_check.protocol["riskRate:LTC-USDT:long"] == "0.0008"
    assert "liquidationPrice:LTC-USDT:long" not in account.stated


@pytest.mark.parametrize(
    ("balance", "rows"),
    [
        pytest.param("3000.0000", [LONG], id="long"),
        pytest.param("6000.0000", [SHORT], id="short"),
        pytest.param("9000.0000", [LONG, SHORT], id="two contracts"),
        pytest.param("9000.0000", [LONG, position("ETH-USDT", "SHORT", "40", "2000", "1990", 20)], id="both sides"),
        pytest.param("9000.0000", [LONG, SHORT, ALONE], id="beside an isolated one"),
        pytest.param("90000.0000", [position("ETH-USDT", "LONG", "600", "2000", "1990", 50)], id="second bracket"),
    ],
)
def test_the_exchanges_figures_follow(tmp_path: Path, balance: str, rows: list[dict[str, Any]]) -> None:
    found = accounts(usdt(*rows, balance=balance, frozen={"USDT": "12.5"}), tmp_path)
    for account in found.values():
        assert account.self_check
        assert account.self_check.match, (account.stated, account.self_check.protocol)
        assert any(name.startswith("liquidationPrice") for name in account.self_check.protocol)
        assert not account.strict
        assert account.rule.remainder == ("lost" if account.mode == "isolated" else "refunded")
    wallet = found["swap/USDT"]
    assert [str(leg.amount) for leg in wallet.legs if leg.role is Role.MARGIN][-1] == "12.5"
    assert sum(1 for leg in wallet.legs if leg.position) == len([row for row in rows if not row["isolated"]])
    if ALONE in rows:
        apart = found["swap/ETH-USDT/short/isolated"]
        assert str(apart.legs[0].amount) == "3000"


def test_a_hedge_in_coins(tmp_path: Path) -> None:
    rows = [position("BTC-USD", "LONG", "300", "60000", "61000"), position("BTC-USD", "SHORT", "100", "60500", "61000", margin="0.03")]
    found = accounts(BingXDouble(coins={"BTC": "0.2", "ETH": "1.5", "XRP": "0"}, coin_positions=rows), tmp_path)
    assert set(found) == {"cswap/BTC", "cswap/BTC-USD/short/isolated", "cswap/ETH"}
    for name in ("cswap/BTC", "cswap/BTC-USD/short/isolated"):
        check = found[name].self_check
        assert check
        assert check.match
        assert any("implies" in said for said in found[name].assumptions)
    assert found["cswap/ETH"].legs[0].price is None


def test_two_isolated_positions_of_one_side_are_two_accounts(tmp_path: Path) -> None:
    other = position("ETH-USDT", "SHORT", "1", "2010", "1990", 20, margin="300")
    found = accounts(usdt(ALONE, other), tmp_path)
    assert set(found) == {"swap/USDT"} | {f"swap/ETH-USDT/short-{row['positionId']}/isolated" for row in (ALONE, other)}


@pytest.mark.parametrize(
    ("where", "name", "change"),
    [
        ("user/positions", "riskRate:ETH-USDT:long", {"riskRate": "0.9"}),
        ("user/positions", "liquidationPrice:ETH-USDT:long", {"liquidationPrice": 1900}),
        ("user/positions", "liquidationPrice:ETH-USDT:long", {"liquidationPrice": 0}),
        ("user/balance", "equity", {"equity": "9000.0000"}),
    ],
)
def test_a_planted_difference_is_seen(tmp_path: Path, where: str, name: str, change: dict[str, Any]) -> None:
    double = usdt(LONG, balance="2000.0000")
    double.faults.append(Fault(where=f"swap/v{3 if 'balance' in where else 2}/{where}", change=lambda right: altered(right, change)))
    account = accounts(double, tmp_path)["swap/USDT"]
    assert account.self_check
    assert not account.self_check.match
    assert name in account.self_check.protocol


def altered(right: Any, change: dict[str, Any]) -> Any:
    right["data"][0] |= change
    return right


def without(name: str) -> Fault:
    def change(right: Any) -> Any:
        del right["data"][0][name]
        return right

    return Fault(where="v2/user/positions", change=change)


def planted(where: str = "v2/user/positions", **change: Any) -> Fault:
    return Fault(where=where, change=lambda right: altered(right, change))


def twice() -> Fault:
    return Fault(where="v2/user/positions", change=lambda right: right | {"data": [*right["data"], *right["data"]]})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (planted(positionAmt="NaN"), "positionAmt is the text 'NaN'"),
        (planted(markPrice=""), "markPrice is an empty text"),
        (planted(positionSide="BOTHWAYS"), "side of the position in ETH-USDT is not known"),
        (planted(isolated="maybe"), "isolated"),
        (planted(symbol="NOPE-USDT"), "lists no contract NOPE-USDT"),
        (planted(currency="EUR"), "not modelled"),
        (planted("v3/user/balance", balance="1e99"), "balance"),
        (planted("v3/user/balance", equity="NaN"), "equity is the text 'NaN'"),
        (planted(riskRate="NaN"), "riskRate is the text 'NaN'"),
        (planted(liquidationPrice="NaN"), "liquidationPrice is the text 'NaN'"),
        (planted("v3/user/balance", asset=""), "not of which asset"),
        (planted("maintMarginRatio", minPositionVal="5"), "do not begin at zero"),
        (without("avgPrice"), "avgPrice is missing"),
        (without("positionId"), "positionId is missing"),
        (twice(), "listed twice"),
        (Fault("bad key", where="user/balance"), "does not accept the key"),
        (Fault("permission", where="user/positions"), "does not let this key read that"),
        (Fault("address", where="user/balance"), "from this address"),
        (Fault("rate", where="user/positions"), "fewer requests"),
        (Fault("symbol", where="maintMarginRatio"), "cannot be used"),
        (Fault("maintenance", where="user/positions"), ""),
        (Fault("empty list", where="user/positions"), ""),
        (Fault("html", where="user/balance"), "no JSON"),
    ],
)
def test_what_cannot_be_read_makes_the_account_unknown(tmp_path: Path, fault: Fault, reason: str) -> None:
    account, _ = unknown(usdt(LONG), tmp_path, fault)
    assert reason in account.reason


def test_the_same_cross_position_under_two_numbers_is_unknown(tmp_path: Path) -> None:
    account, _ = unknown(usdt(LONG, LONG | {"positionId": "7"}), tmp_path)
    assert "listed twice" in account.reason


@pytest.mark.parametrize(("mode", "reason"), [("multiAssetsMode", "multi-assets mode"), ("unheard", "not known: 'unheard'")])
def test_a_mode_that_is_not_modelled_makes_the_account_unknown(tmp_path: Path, mode: str, reason: str) -> None:
    account, _ = unknown(usdt(LONG, mode=mode), tmp_path)
    assert reason in account.reason


def test_an_empty_account_is_none_and_the_mode_is_asked_anew(tmp_path: Path) -> None:
    double = BingXDouble(wallets={"": "0.0000"})
    assert scan(double, tmp_path).accounts == ()
    double.mode = "multiAssetsMode"
    [account] = scan(double, tmp_path).accounts
    assert "multi-assets mode" in account.reason, "a mode that was kept hides no funds"


def test_funds_without_positions_are_margin(tmp_path: Path) -> None:
    account = accounts(usdt(balance="250.0000"), tmp_path)["swap/USDT"]
    assert [leg.role for leg in account.legs] == [Role.MARGIN]


def test_negative_equity_is_read_as_it_is(tmp_path: Path) -> None:
    double = usdt(position("ETH-USDT", "LONG", "10", "2000", "1500"), balance="3000.0000")
    double.faults.append(planted(riskRate=""))
    account = accounts(double, tmp_path)["swap/USDT"]
    assert account.stated["equity"] == "-2000.00000000"


def test_both_kinds_of_wallets_and_the_option_that_names_one(tmp_path: Path) -> None:
    double = usdt(LONG, coins={"BTC": "0.1"}, coin_positions=[position("BTC-USD", "SHORT", "10", "60000", "61000")])
    assert set(accounts(double, tmp_path)) == {"swap/USDT", "cswap/BTC"}
    assert set(accounts(double, tmp_path, 'options = { defaultSubType = "inverse" }')) == {"cswap/BTC"}
    assert set(accounts(double, tmp_path, 'options = { defaultSubType = "linear" }')) == {"swap/USDT"}


@pytest.mark.parametrize(
    ("double", "most"),
    [
        (usdt(LONG, SHORT, ALONE), 4),
        (BingXDouble(coins={"BTC": "0.1"}, coin_positions=[position("BTC-USD", "SHORT", "10", "60000", "61000")]), 5),
    ],
)
def test_requests_of_a_second_scan(tmp_path: Path, double: BingXDouble, most: int) -> None:
    scan(double, tmp_path, times=2)
    assert len(double.log) <= most, [request.line for request in double.log]
    assert all(request.method == "GET" for request in double.log)


def test_a_balance_that_moves_is_read_again(tmp_path: Path) -> None:
    double = usdt(LONG)
    double.faults.append(Fault(where="v3/user/balance", times=1, change=lambda right: altered(right, {"balance": "1.0000"})))
    account = accounts(double, tmp_path)["swap/USDT"]
    assert str(account.legs[0].amount) == "5000"


@pytest.mark.parametrize("skew", [-90.0, 90.0])
def test_another_clock(tmp_path: Path, skew: float) -> None:
    assert accounts(usdt(LONG, skew=skew), tmp_path)["swap/USDT"].known


@pytest.mark.parametrize(
    ("told", "rights"),
    [
        ({"permissions": [2], "ipAddresses": []}, KeyRights(False, False, False)),
        ({"permissions": [2, 3], "ipAddresses": ["203.0.113.9"]}, KeyRights(True, False, True)),
        ({"code": 0, "data": {"permissions": [1, 2, 5]}}, KeyRights(True, True, None)),
        ({"permissions": [2, 99]}, KeyRights(None, None, None)),
        (
            {
                "code": 0,
                "data": {"enableFutures": False, "enableSpotAndMarginTrading": False, "enableWithdrawals": True, "ipRestrict": True},
            },
            KeyRights(False, True, True),
        ),
        ({"code": 0, "data": {"enableFutures": False}}, KeyRights()),
    ],
)
def test_rights(tmp_path: Path, told: Any, rights: KeyRights) -> None:
    [report] = scan(usdt(LONG, permissions=told), tmp_path).reports
    assert report.key == rights
