"""BingX's perpetual accounts over HTTP on loopback.

Recorded: the examples of balances and positions in ccxt 4.5.90, bingx.py (`parse_position`, `fetch_balance`), real answers of July 2024,
and an isolated FARTCOIN-USDT position of 2025-08-10 as the notes of a public client show BingX's answer.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import Contract, KeyRights, Role
from tests.exchanges import inside, reading
from tests.exchanges.bingx import BingXDouble, position
from tests.exchanges.double import Fault
from tests.exchanges.inside import accounts, checked, damages, unknown
from tests.exchanges.reading import scan

LONG = position("ETH-USDT", "LONG", "10", "2000", "1990", 20)
SHORT = position("BTC-USDT", "SHORT", "0.5", "60000", "61000", 10)
ALONE = position("ETH-USDT", "SHORT", "30", "2010", "1990", 20, margin="3000")
COIN = position("BTC-USD", "SHORT", "10", "60000", "61000")


def usdt(*rows: dict[str, Any], balance: str = "5000.0000", **more: Any) -> BingXDouble:
    return BingXDouble(wallets={"USDT": balance}, positions=list(rows), **more)


def test_the_recorded_coin_margined_position() -> None:
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
    account = accounts(double)["cswap/SOL"]
    assert checked(account).match
    assert checked(account).protocol["liquidationPrice:SOL-USD:long"] == "23.968303426677032"
    assert Decimal(account.stated["liquidationPrice:SOL-USD:long"]) == pytest.approx(Decimal("23.9683034"), rel=Decimal("0.00002"))
    [leg] = [leg for leg in account.legs if leg.position]
    assert leg.position
    assert leg.position.contract is Contract.INVERSE
    assert leg.position.size == 10
    assert leg.position.tiers[0].rate == pytest.approx(Decimal("0.007"), rel=Decimal("0.0001")), "0.65 % and the taker fee of 0.05 %"
    assert account.legs[0].price
    assert str(account.legs[0].price.value) == "158.402"


def test_the_recorded_dollar_margined_balance_and_position() -> None:
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
    account = accounts(double)["swap/USDT"]
    assert checked(account).match
    assert checked(account).protocol["balance"] == "64.8212"
    assert checked(account).protocol["riskRate:LTC-USDT:long"] == "0.0008"
    assert "liquidationPrice:LTC-USDT:long" not in account.stated


def test_the_recorded_isolated_position_whose_risk_is_of_an_older_price() -> None:
    row = {
        "positionId": "1954053807223824384",
        "symbol": "FARTCOIN-USDT",
        "currency": "USDT",
        "positionAmt": "231.093",
        "positionSide": "LONG",
        "isolated": True,
        "avgPrice": "1.1099",
        "initialMargin": "25.6513",
        "margin": "21.4291",
        "leverage": 10,
        "unrealizedProfit": "-4.0142",
        "realisedProfit": "-0.2970",
        "liquidationPrice": 1.0068,
        "pnlRatio": "-0.1580",
        "maxMarginReduction": "0.0000",
        "riskRate": "0.0849",
        "markPrice": "1.0925",
        "positionValue": "251.9806",
        "onlyOnePosition": True,
    }
    double = usdt(row, balance="100.0000", tiers={"FARTCOIN-USDT": [("0", "5000", "0.006500", "0")]})
    account = accounts(double)["swap/FARTCOIN-USDT/long/isolated"]
    assert str(account.legs[0].amount) == "25.4433"
    assert checked(account).match, (account.stated, checked(account).protocol)
    assert Decimal(account.stated["liquidationPrice:FARTCOIN-USDT:long"]) == pytest.approx(Decimal("1.0068"), abs=Decimal("0.0001"))
    assert Decimal(account.stated["riskRate:FARTCOIN-USDT:long"]) == pytest.approx(Decimal("0.0825"), abs=Decimal("0.0001"))
    double = usdt(row, balance="100.0000", tiers={"FARTCOIN-USDT": [("0", "5000", "0.006000", "0")]})
    assert not checked(accounts(double)["swap/FARTCOIN-USDT/long/isolated"]).match, "of a wrong bracket it is still seen"


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
def test_the_exchanges_figures_follow(balance: str, rows: list[dict[str, Any]]) -> None:
    found = accounts(usdt(*rows, balance=balance, frozen={"USDT": "12.5"}))
    for account in found.values():
        assert checked(account).match, (account.stated, checked(account).protocol)
        assert any(name.startswith("liquidationPrice") for name in checked(account).protocol)
        assert not account.strict
        assert account.rule.remainder == ("lost" if account.mode == "isolated" else "refunded")
    wallet = found["swap/USDT"]
    assert [str(leg.amount) for leg in wallet.legs if leg.role is Role.MARGIN][-1] == "12.5"
    assert sum(1 for leg in wallet.legs if leg.position) == len([row for row in rows if not row["isolated"]])
    if ALONE in rows:
        apart = found["swap/ETH-USDT/short/isolated"]
        assert str(apart.legs[0].amount) == "3000"


def test_a_hedge_in_coins() -> None:
    rows = [position("BTC-USD", "LONG", "300", "60000", "61000"), position("BTC-USD", "SHORT", "100", "60500", "61000", margin="0.03")]
    found = accounts(BingXDouble(coins={"BTC": "0.2", "ETH": "1.5", "XRP": "0"}, coin_positions=rows))
    assert set(found) == {"cswap/BTC", "cswap/BTC-USD/short/isolated", "cswap/ETH"}
    for name in ("cswap/BTC", "cswap/BTC-USD/short/isolated"):
        check = found[name].self_check
        assert check
        assert check.match
        assert any("implies" in said for said in found[name].assumptions)
    assert found["cswap/ETH"].legs[0].price is None


def told_no_margin(right: Any) -> Any:
    """Positions as they are documented of coin-margined contracts: without the margin of isolated ones."""
    for row in right["data"]:
        del row["margin"]
    return right


@pytest.mark.parametrize(("side", "mark"), [("LONG", "61000"), ("LONG", "58000"), ("SHORT", "61000"), ("SHORT", "58000")])
def test_the_margin_of_an_isolated_coin_position_follows_from_its_risk_and_price(side: str, mark: str) -> None:
    double = BingXDouble(coins={"BTC": "0.2"}, coin_positions=[position("BTC-USD", side, "100", "60500", mark, margin="0.03")])
    double.faults.append(Fault(where="cswap/v1/user/positions", change=told_no_margin))
    found = accounts(double)
    apart = found[f"cswap/BTC-USD/{side.lower()}/isolated"]
    assert Decimal(str(apart.legs[0].amount)) == pytest.approx(Decimal("0.03"), rel=Decimal("0.00001"))
    assert Decimal(str(found["cswap/BTC"].legs[0].amount)) == pytest.approx(Decimal("0.17"), rel=Decimal("0.00001"))
    assert checked(apart).match, (apart.stated, checked(apart).protocol)
    assert any("liquidation price imply" in said for said in apart.assumptions)


def test_the_same_two_equations_hold_of_the_recorded_coin_position() -> None:
    row = position("SOL-USD", "LONG", "1", "158.63", "158.402", margin="0.35709842") | {
        "unrealizedProfit": "-0.00009074",
        "liquidationPrice": 23.968303426677032,
        "riskRate": "0.00123783",
    }
    double = BingXDouble(coins={"SOL": "0.5"}, coin_positions=[row])
    double.faults.append(Fault(where="cswap/v1/user/positions", change=told_no_margin))
    margin = accounts(double)["cswap/SOL-USD/long/isolated"].legs[0].amount
    assert Decimal(str(margin)) == pytest.approx(Decimal("0.35709842"), rel=Decimal("0.000001")), "the balance behind it, cross as it was"


def test_a_wallet_that_cannot_be_read_costs_no_other() -> None:
    row = position("BTC-USD", "LONG", "100", "60500", "61000", margin="0.03") | {"liquidationPrice": 0}
    double = usdt(LONG, coins={"BTC": "0.2", "SOL": "3"}, coin_positions=[row])
    double.faults.append(Fault(where="cswap/v1/user/positions", change=told_no_margin))
    found = accounts(double)
    assert {market: account.known for market, account in found.items()} == {"swap/USDT": True, "cswap/BTC": False, "cswap/SOL": True}
    assert "the exchange tells no margin of it" in found["cswap/BTC"].reason


def test_coins_that_no_position_marks_are_priced_by_their_contracts() -> None:
    found = accounts(BingXDouble(coins={"BTC": "0.2", "XRP": "5"}))
    assert found["cswap/BTC"].legs[0].price
    assert str(found["cswap/BTC"].legs[0].price.value) == "60000"
    assert found["cswap/XRP"].legs[0].price is None
    silent = BingXDouble(coins={"BTC": "0.2"}, faults=[Fault("maintenance", where="cswap/v1/market/premiumIndex")])
    assert accounts(silent)["cswap/BTC"].legs[0].price is None


@pytest.mark.parametrize("family", ["swap", "cswap"])
def test_a_contract_newer_than_the_kept_list_is_found(family: str) -> None:
    double = usdt(LONG) if family == "swap" else BingXDouble(coins={"BTC": "0.5"}, coin_positions=[COIN])
    double.faults.append(Fault(where="/contracts", change=lambda right: right | {"data": []}, times=1))
    source = inside.Inside(double)
    for _ in range(2):
        assert all(account.known for account in accounts(source).values())
    assert len([request for request in double.log if request.path.endswith("/contracts")]) == 3, "kept once, asked anew twice"


def test_two_isolated_positions_of_one_side_are_two_accounts() -> None:
    other = position("ETH-USDT", "SHORT", "1", "2010", "1990", 20, margin="300")
    found = accounts(usdt(ALONE, other))
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
def test_a_planted_difference_is_seen(where: str, name: str, change: dict[str, Any]) -> None:
    double = usdt(LONG, balance="2000.0000")
    double.faults.append(Fault(where=f"swap/v{3 if 'balance' in where else 2}/{where}", change=lambda right: altered(right, change)))
    account = accounts(double)["swap/USDT"]
    assert not checked(account).match
    assert name in checked(account).protocol


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
        (planted("maintMarginRatio", maintMarginRatio="0"), "maintMarginRatio is 0, which cannot be"),
        (planted("quote/premiumIndex", indexPrice="-2000"), "indexPrice is -2000, which cannot be"),
        (without("avgPrice"), "avgPrice is missing"),
        (without("positionId"), "positionId is missing"),
        (twice(), "listed twice"),
    ],
)
def test_what_cannot_be_read_makes_the_account_unknown(fault: Fault, reason: str) -> None:
    assert reason in unknown(usdt(LONG), fault).reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
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
def test_what_the_exchange_refuses_makes_the_account_unknown(tmp_path: Path, fault: Fault, reason: str) -> None:
    account, _ = reading.unknown(usdt(LONG), tmp_path, fault)
    assert reason in account.reason


def test_the_same_cross_position_under_two_numbers_is_unknown() -> None:
    account = unknown(usdt(LONG, LONG | {"positionId": "7"}))
    assert "listed twice" in account.reason


@pytest.mark.parametrize(("mode", "reason"), [("multiAssetsMode", "multi-assets mode"), ("unheard", "not known: 'unheard'")])
def test_a_mode_that_is_not_modelled_makes_the_account_unknown(mode: str, reason: str) -> None:
    account = unknown(usdt(LONG, mode=mode))
    assert reason in account.reason


def test_an_empty_account_is_none_and_the_mode_is_asked_anew(tmp_path: Path) -> None:
    double = BingXDouble(wallets={"": "0.0000"})
    assert accounts(double) == {}
    double.mode = "multiAssetsMode"
    [account] = accounts(double).values()
    assert "multi-assets mode" in account.reason, "a mode that was kept hides no funds"


def test_funds_without_positions_are_margin() -> None:
    account = accounts(usdt(balance="250.0000"))["swap/USDT"]
    assert [leg.role for leg in account.legs] == [Role.MARGIN]


def test_negative_equity_is_read_as_it_is() -> None:
    double = usdt(position("ETH-USDT", "LONG", "10", "2000", "1500"), balance="3000.0000")
    double.faults.append(planted(riskRate=""))
    account = accounts(double)["swap/USDT"]
    assert account.stated["equity"] == "-2000.00000000"


def test_both_kinds_of_wallets_and_the_option_that_names_one() -> None:
    double = usdt(LONG, coins={"BTC": "0.1"}, coin_positions=[position("BTC-USD", "SHORT", "10", "60000", "61000")])
    assert set(accounts(double)) == {"swap/USDT", "cswap/BTC"}
    assert set(accounts(double, defaultSubType="inverse")) == {"cswap/BTC"}
    assert set(accounts(double, defaultSubType="linear")) == {"swap/USDT"}


BOTH: dict[str, Any] = {"coins": {"BTC": "0.1"}, "coin_positions": [COIN]}


@pytest.mark.parametrize(
    "double",
    [usdt(LONG, SHORT, ALONE), usdt(LONG, SHORT, ALONE, **BOTH), BingXDouble(**BOTH), BingXDouble()],
    ids=["dollars", "both", "coins", "nothing"],
)
def test_a_second_scan_asks_four_times_at_most(double: BingXDouble) -> None:
    source = inside.Inside(double)
    accounts(source)
    double.log.clear()
    accounts(source)
    assert len(double.log) <= 4, [request.line for request in double.log]


def test_requests_of_a_second_scan_over_the_wire(tmp_path: Path) -> None:
    double = usdt(LONG, SHORT, ALONE, **BOTH)
    scan(double, tmp_path, times=2)
    assert len(double.log) == 4, [request.line for request in double.log]
    assert all(request.method == "GET" for request in double.log)


@pytest.mark.parametrize(
    ("kind", "market"),
    [("swap/v3", "swap/USDT"), ("cswap/v1", "cswap/BTC")],
)
def test_a_balance_of_before_a_trade_is_read_again(kind: str, market: str) -> None:
    double = usdt(LONG, **BOTH)
    before = {"balance": "1.0000", "usedMargin": "0.0000"}
    double.faults.append(Fault(where=f"{kind}/user/balance", times=1, change=lambda right: altered(right, before)))
    assert str(accounts(double)[market].legs[0].amount) in ("5000", "0.1")


def test_a_balance_whose_margin_in_use_is_another_figure_is_read_twice() -> None:
    double = usdt(LONG)
    double.faults.append(Fault(where="v3/user/balance", change=lambda right: altered(right, {"usedMargin": "990.0000"})))
    assert accounts(double)["swap/USDT"].known
    assert [request.path for request in double.log].count("/openApi/swap/v3/user/balance") == 2


def test_a_balance_that_never_stands_still_is_not_read() -> None:
    double, amounts = usdt(LONG), count(1)
    moves = Fault(
        where="v3/user/balance", change=lambda right: altered(right, {"balance": f"{next(amounts)}.0000", "usedMargin": "0.0000"})
    )
    assert "moved 3 times" in unknown(double, moves).reason


def emptied() -> Fault:
    return Fault(where="user/positions", change=lambda right: right | {"data": []})


def test_a_position_that_is_not_listed_is_missed() -> None:
    reason = unknown(usdt(LONG), emptied()).reason
    assert "unrealizedProfit of USDT is -100.00000000, and the exchange lists no position" in reason
    even = position("ETH-USDT", "LONG", "10", "2000", "2000", 20)
    assert "usedMargin of USDT" in unknown(usdt(even), emptied()).reason
    coins = BingXDouble(coins={"BTC": "0.1"}, coin_positions=[COIN | {"unrealizedProfit": "0"}])
    assert "usedMargin of BTC" in unknown(coins, emptied()).reason
    orders = usdt(frozen={"USDT": "50.0000"})
    orders.faults.append(Fault(where="v3/user/balance", change=lambda right: altered(right, {"usedMargin": "50.0000"})))
    assert accounts(orders)["swap/USDT"].known, "margin of open orders alone is no position"


def test_positions_beside_a_balance_that_looks_empty() -> None:
    double = usdt(LONG, **BOTH)
    double.faults.append(Fault(where="swap/v3/user/balance", change=lambda right: right | {"data": []}))
    assert "positions settle in USDT, and the account lists no such asset" in unknown(double).reason


@pytest.mark.parametrize(
    ("row", "size"),
    [
        (position("ETH-USDT", "SHORT", "10", "2000", "1990", 20) | {"positionAmt": "-10", "positionSide": "BOTH"}, -10),
        (LONG | {"positionSide": "BOTH"}, 10),
    ],
)
def test_one_way_positions_go_by_their_sign(row: dict[str, Any], size: int) -> None:
    double = usdt(row)
    double.positions = [row | {"riskRate": "0.0", "liquidationPrice": 0}]
    [leg] = [leg for leg in accounts(double)["swap/USDT"].legs if leg.position]
    assert leg.position
    assert leg.position.size == size


def test_a_short_without_its_sign_is_unknown() -> None:
    row = position("ETH-USDT", "SHORT", "10", "2000", "1990", 20) | {"positionSide": "BOTH", "riskRate": "0.01", "liquidationPrice": 0}
    assert "side of the position in ETH-USDT is not known" in unknown(usdt(row)).reason


@pytest.mark.parametrize("change", [{"avgPrice": "2100"}, {"positionAmt": "100"}, {"positionSide": "SHORT"}])
def test_a_profit_that_does_not_follow_from_the_position_is_seen(change: dict[str, Any]) -> None:
    double = usdt(LONG, position("BTC-USDT", "LONG", "0.1", "60000", "61000", 10), balance="50000.0000")
    double.faults.append(planted(**change))
    check, side = checked(accounts(double)["swap/USDT"]), change.get("positionSide", "LONG").lower()
    assert check.protocol[f"unrealizedProfit:ETH-USDT:{side}"] == "-100.00000000"
    assert not check.match


def test_a_contract_size_that_is_not_the_exchanges_is_seen() -> None:
    double = BingXDouble(coins={"BTC": "0.2"}, coin_positions=[position("BTC-USD", "LONG", "300", "60000", "65000")])
    assert checked(accounts(double)["cswap/BTC"]).match
    change = Fault(
        where="cswap/v1/market/contracts", change=lambda right: right | {"data": [row | {"minTickSize": "10"} for row in right["data"]]}
    )
    double.faults.append(change)
    assert not any(account.known and checked(account).match for account in accounts(double).values())


@pytest.mark.parametrize(("told", "index"), [("2000", Decimal(2000)), ("0", None), ("", None)])
def test_an_index_of_nothing_is_none(told: str, index: Decimal | None) -> None:
    double = usdt(LONG)
    double.faults.append(planted("quote/premiumIndex", indexPrice=told))
    [leg] = [leg for leg in accounts(double)["swap/USDT"].legs if leg.position]
    assert leg.position
    assert leg.position.index == index


@pytest.mark.parametrize("skew", [-90.0, 90.0])
def test_another_clock(skew: float) -> None:
    assert accounts(usdt(LONG, skew=skew))["swap/USDT"].known


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
def test_rights(told: Any, rights: KeyRights) -> None:
    assert inside.rights(usdt(LONG, permissions=told)) == rights


def test_rights_over_the_wire(tmp_path: Path) -> None:
    [report] = scan(usdt(LONG), tmp_path).reports
    assert report.key == KeyRights(False, False, True)


def test_damaged_answers_are_never_a_bug_nor_an_account_of_less() -> None:
    double = usdt(LONG, SHORT, ALONE, balance="9000.0000", coins={"BTC": "0.2"}, coin_positions=[COIN])
    whole = accounts(double)
    for place, worthless, found in damages(double):
        for account in found:
            assert "failed:" not in account.reason, (place, worthless, account.reason)
        if found and all(account.known for account in found):
            assert {account.market for account in found} == set(whole), (place, worthless)


def test_over_the_wire_it_is_the_same(tmp_path: Path) -> None:
    double = usdt(LONG, SHORT, ALONE, balance="9000.0000", coins={"BTC": "0.2"}, coin_positions=[COIN])
    wired, here = reading.accounts(double, tmp_path), accounts(double)
    assert set(wired) == set(here)
    for market, account in wired.items():
        assert (account.legs, account.stated, account.self_check) == (here[market].legs, here[market].stated, here[market].self_check)
