"""WEEX's futures accounts over HTTP on loopback.

The exchange tells no maintenance: rates follow from its liquidation prices, or from the brackets that it announced.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import KeyRights, Role
from tests.exchanges import reading
from tests.exchanges.double import Fault
from tests.exchanges.inside import Inside, accounts, checked, damages, unknown
from tests.exchanges.reading import scan
from tests.exchanges.weex import WeexDouble, position

LONG = position("BTCUSDT", "LONG", "0.5", "61000", 20)
DOGE = position("DOGEUSDT", "SHORT", "100000", "0.09323", 10)
ALONE = position("BTCUSDT", "SHORT", "0.1", "59000", 50, margin="250")
GOLD = position("XAUTUSDT", "LONG", "20", "4100", 20)


def usdt(*rows: dict[str, Any], wallet: str = "5000", **more: Any) -> WeexDouble:
    return WeexDouble(wallets={"USDT": wallet}, positions=list(rows), **more)


def rates(account: Any) -> list[Decimal]:
    return [leg.position.tiers[0].rate for leg in account.legs if leg.position]


def test_a_balance_as_documented() -> None:
    row = {"asset": "USDT", "balance": "20.00000000", "availableBalance": "20.00000000", "frozen": "0", "unrealizePnl": "0"}
    double = usdt(wallet="20")
    double.faults.append(Fault(where="account/balance", change=lambda _: [row]))
    account = accounts(double)["futures/USDT"]
    assert [(leg.role, str(leg.amount)) for leg in account.legs] == [(Role.MARGIN, "20")]


@pytest.mark.parametrize(
    ("rows", "wallet", "expected"),
    [
        ([LONG], "5000", ["0.004"]),
        ([position("BTCUSDT", "SHORT", "0.5", "61000", 20)], "5000", ["0.004"]),
        ([LONG, DOGE], "9000", ["0.004", "0.02"]),
        ([LONG, DOGE, position("XAUTUSDT", "SHORT", "5", "4100", 20)], "12000", ["0.004", "0.02", "0.002"]),
        ([LONG, DOGE, ALONE], "9250", ["0.004", "0.02"]),
    ],
)
def test_rates_follow_from_the_exchanges_liquidation_prices(rows: list[dict[str, Any]], wallet: str, expected: list[str]) -> None:
    found = accounts(usdt(*rows, wallet=wallet))
    account = found["futures/USDT"]
    for rate, known in zip(rates(account), expected, strict=True):
        assert rate == pytest.approx(Decimal(known), rel=Decimal("0.005")), "as far as six decimals of a price tell"
    for one in found.values():
        assert one.self_check
        assert one.self_check.match, (one.stated, one.self_check.protocol)
        assert any("implies" in said for said in one.assumptions)
    if ALONE in rows:
        apart = found["futures/BTCUSDT/short/isolated"]
        assert rates(apart)[0] == pytest.approx(Decimal("0.004"), rel=Decimal("0.001"))
        assert str(apart.legs[0].amount) == "250"
        assert apart.rule.remainder == "lost"
        assert any("isolated positions too" in said for said in account.assumptions)


def test_marks_funding_and_entries() -> None:
    [leg] = [leg for leg in accounts(usdt(LONG))["futures/USDT"].legs if leg.position]
    assert leg.position
    assert (leg.position.size, leg.position.entry, leg.position.mark) == (Decimal("0.5"), Decimal(61000), Decimal(60000))
    assert leg.position.funding_8h == Decimal("0.00005618")


def test_announced_brackets_where_no_price_is_shown() -> None:
    account = accounts(usdt(GOLD, wallet="79000"))["futures/USDT"]
    assert [str(rate) for rate in rates(account)] == ["0.002"]
    [leg] = [leg for leg in account.legs if leg.position]
    assert leg.position
    assert [str(tier.floor) for tier in leg.position.tiers] == ["0", "50000", "100000", "1000000", "2000000", "5000000"]
    assert any("those published on 2026-03-04" in said for said in account.assumptions)


def test_without_price_and_brackets_the_account_is_unknown() -> None:
    account = unknown(usdt(LONG, wallet="40000"))
    assert "tells neither brackets nor a liquidation price of BTCUSDT:long" in account.reason


def test_a_margin_that_is_not_known_costs_no_other() -> None:
    double = usdt(LONG, ALONE, position("ETHUSDC", "LONG", "3", "2100", 5), wallet="40000")
    double.wallets["USDC"] = "1500"
    found = accounts(double)
    known = {"futures/USDT": False, "futures/BTCUSDT/short/isolated": True, "futures/USDC": True}
    assert {market: account.known for market, account in found.items()} == known
    assert "tells neither brackets nor a liquidation price of BTCUSDT:long" in found["futures/USDT"].reason
    double = usdt(LONG, ALONE | {"liquidatePrice": "0"})
    known = {"futures/USDT": True, "futures/BTCUSDT/short/isolated": False}
    assert {market: account.known for market, account in accounts(double).items()} == known


def test_a_contract_newer_than_the_kept_list_is_found() -> None:
    double = usdt(LONG)
    double.faults.append(Fault(where="exchangeInfo", change=lambda right: right | {"symbols": right["symbols"][1:]}, times=1))
    source = Inside(double)
    for _ in range(2):
        assert accounts(source)["futures/USDT"].known
    assert len([request for request in double.log if request.path.endswith("/exchangeInfo")]) == 3, "kept once, asked anew twice"


@pytest.mark.parametrize("size", ["0.1", "0.3", "0.55", "0.9"])
@pytest.mark.parametrize("others", [[], [DOGE]])
def test_both_sides_of_a_contract_are_of_one_rate(size: str, others: list[dict[str, Any]]) -> None:
    short = position("BTCUSDT", "SHORT", size, "59500", 20, separatedMode="SEPARATED")
    double = usdt(LONG | {"separatedMode": "SEPARATED"}, short, *others, wallet="9000", far=Decimal(1000))
    account = accounts(double)["futures/USDT"]
    expected = ["0.004", "0.004", *(["0.02"] if others else [])]
    for rate, known in zip(rates(account), expected, strict=True):
        assert rate == pytest.approx(Decimal(known), rel=Decimal("0.001"))
    assert checked(account).match
    assert not any("liquidationPrice" in name for name in checked(account).protocol), "an estimate, that leaves the hedge out"


def test_both_sides_of_a_contract_with_one_price_or_two() -> None:
    short = position("BTCUSDT", "SHORT", "0.1", "61000", 20)
    double = usdt(LONG, short | {"liquidatePrice": "0"})
    assert rates(accounts(double)["futures/USDT"]) == pytest.approx([Decimal("0.004")] * 2, rel=Decimal("0.001"))
    assert "liquidation prices of their own" in unknown(usdt(LONG, short | {"liquidatePrice": "70000"})).reason
    even = usdt(LONG | {"liquidatePrice": "50000"}, short | {"size": "0.5", "openValue": "30500"})
    assert "equally large" in unknown(even).reason


def test_positions_kept_apart_are_accounts_of_their_own() -> None:
    rows = [ALONE | {"separatedMode": "SEPARATED", "separatedOpenOrderId": number, "id": number} for number in (71, 72)]
    found = accounts(usdt(*rows, wallet="700"))
    assert set(found) == {"futures/USDT", "futures/BTCUSDT/short-71/isolated", "futures/BTCUSDT/short-72/isolated"}
    assert str(found["futures/USDT"].legs[0].amount) == "200"


def test_margin_that_grows_by_itself_is_said() -> None:
    found = accounts(usdt(ALONE | {"isAutoAppendIsolatedMargin": True}))
    assert any("by itself" in said for said in found["futures/BTCUSDT/short/isolated"].assumptions)


def altered(where: str, **change: Any) -> Fault:
    def change_it(right: Any) -> Any:
        right[0] |= change
        return right

    return Fault(where=where, change=change_it)


def without(where: str, name: str) -> Fault:
    def change_it(right: Any) -> Any:
        del right[0][name]
        return right

    return Fault(where=where, change=change_it)


def listed(**change: Any) -> Fault:
    def change_it(right: Any) -> Any:
        right["symbols"][0] |= change
        return right

    return Fault(where="exchangeInfo", change=change_it)


def test_a_profit_that_does_not_follow_is_seen() -> None:
    double = usdt(LONG)
    double.faults.append(altered("account/balance", unrealizePnl="-900.0", balance="4100.0"))
    account = accounts(double)["futures/USDT"]
    assert not checked(account).match
    assert account.stated["unrealizePnl"] == "-500.0"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (altered("allPosition", marginType="UNION"), "not known: 'UNION'"),
        (altered("allPosition", separatedMode="OTHER"), "not known"),
        (altered("allPosition", side="BOTH"), "side 'BOTH'"),
        (altered("allPosition", size="NaN"), "size is the text 'NaN'"),
        (altered("allPosition", symbol="NOPEUSDT"), "lists no contract NOPEUSDT"),
        (altered("allPosition", asset="USDC"), "lists no such asset"),
        (altered("allPosition", leverage="0"), "leverage"),
        (altered("allPosition", liquidatePrice="59990"), "which cannot be"),
        (altered("allPosition", marginType="ISOLATED", isolatedMargin="0"), "tells no margin of it"),
        (without("allPosition", "openValue"), "openValue is missing"),
        (without("allPosition", "id"), "id is missing"),
        (without("allPosition", "unrealizePnl"), "unrealizePnl is missing"),
        (altered("premiumIndex", indexPrice="-1"), "indexPrice is -1, which cannot be"),
        (without("account/balance", "unrealizePnl"), "unrealizePnl is missing"),
        (altered("account/balance", balance=""), "balance is an empty text"),
        (altered("premiumIndex", symbol="OTHER"), "no mark of it"),
        (altered("premiumIndex", time=1), "older than 60 s"),
        (altered("premiumIndex", markPrice="0"), "markPrice"),
        (listed(forwardContractFlag=False), "not modelled"),
        (listed(marginAsset="BTC"), "not modelled"),
        (listed(baseAsset=""), "not modelled"),
    ],
)
def test_what_cannot_be_read_makes_the_account_unknown(fault: Fault, reason: str) -> None:
    assert reason in unknown(usdt(LONG), fault).reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("bad key", where="account/balance"), "does not accept the key"),
        (Fault("permission", where="allPosition"), "does not let this key read that"),
        (Fault("address", where="account/balance"), "from this address"),
        (Fault("rate", where="allPosition"), "fewer requests"),
        (Fault("maintenance", where="account/balance"), "out of order"),
        (Fault("empty object", where="allPosition"), ""),
        (Fault("html", where="premiumIndex"), "no JSON"),
    ],
)
def test_what_the_exchange_refuses_makes_the_account_unknown(tmp_path: Path, fault: Fault, reason: str) -> None:
    account, _ = reading.unknown(usdt(LONG), tmp_path, fault)
    assert reason in account.reason


def test_duplicates_are_never_counted_twice() -> None:
    assert "listed twice" in unknown(usdt(LONG, LONG)).reason
    assert "listed twice" in unknown(usdt(LONG, LONG | {"id": 7})).reason
    double = usdt(LONG)
    assert "listed twice" in unknown(double, Fault(where="account/balance", change=lambda right: right * 2)).reason


def test_an_empty_account_is_none() -> None:
    assert accounts(usdt(wallet="0")) == {}
    assert accounts(WeexDouble()) == {}


def test_a_position_without_a_wallet_is_not_an_empty_account() -> None:
    account = unknown(WeexDouble(positions=[LONG]))
    assert "lists no such asset" in account.reason


def test_wallets_of_two_assets() -> None:
    double = usdt(LONG, position("ETHUSDC", "LONG", "3", "2100", 5))
    double.wallets["USDC"] = "1500"
    assert set(accounts(double)) == {"futures/USDT", "futures/USDC"}


def test_a_second_scan_asks_four_times(tmp_path: Path) -> None:
    double = usdt(LONG, DOGE, ALONE, wallet="9250")
    scan(double, tmp_path, times=2)
    assert len(double.log) == 4, [request.line for request in double.log]
    assert all(request.method == "GET" for request in double.log)


def test_a_balance_that_moves_is_read_again() -> None:
    double = usdt(LONG)
    first = altered("account/balance", balance="1.00000000")
    first.times = 1
    double.faults.append(first)
    assert str(accounts(double)["futures/USDT"].legs[0].amount) == "5000"


def test_a_position_that_is_not_listed_is_missed() -> None:
    reason = unknown(usdt(ALONE), Fault(where="allPosition", change=lambda _: [])).reason
    assert "unrealizePnl of USDT is -100.00000000, and the exchange lists no position" in reason


def test_what_orders_have_frozen_is_said() -> None:
    double = usdt(LONG)
    double.faults.append(altered("account/balance", frozen="81.2824"))
    assert any("(81.2824 USDT)" in said for said in accounts(double)["futures/USDT"].assumptions)


@pytest.mark.parametrize("change", [{"side": "LONG", "liquidatePrice": "58000"}, {"openValue": "5000"}, {"unrealizePnl": "100"}])
def test_the_profit_of_an_isolated_position_is_compared(change: dict[str, Any]) -> None:
    double = usdt(position("BTCUSDT", "SHORT", "0.1", "58000", 20, margin="500"))
    assert checked(accounts(double)["futures/BTCUSDT/short/isolated"]).match
    double.faults.append(altered("allPosition", **change))
    found = accounts(double)
    assert not any(account.known and checked(account).match for account in found.values() if account.mode == "isolated")


@pytest.mark.parametrize("skew", [-90.0, 90.0])
def test_another_clock(skew: float) -> None:
    assert accounts(usdt(LONG, skew=skew))["futures/USDT"].known


def test_rights_are_not_told(tmp_path: Path) -> None:
    [report] = scan(usdt(LONG), tmp_path).reports
    assert report.key == KeyRights()


def test_damaged_answers_are_never_a_bug_nor_an_account_of_less() -> None:
    double = usdt(LONG, DOGE, ALONE, wallet="9250")
    whole = accounts(double)
    for place, worthless, found in damages(double):
        for account in found:
            assert "failed:" not in account.reason, (place, worthless, account.reason)
        if found and all(account.known for account in found):
            assert {account.market for account in found} == set(whole), (place, worthless)


def test_over_the_wire_it_is_the_same(tmp_path: Path) -> None:
    double = usdt(LONG, DOGE, ALONE, wallet="9250")
    wired, here = reading.accounts(double, tmp_path), accounts(double)
    assert set(wired) == set(here)
    for market, account in wired.items():
        assert (account.legs, account.stated, account.self_check) == (here[market].legs, here[market].stated, here[market].self_check)
