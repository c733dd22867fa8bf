"""OKX's trading account where something is missing, damaged, moving or not known; its requests, its clock and what a key may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from defi_risk_adapters.exchanges.okx.contracts import Tables
from defi_risk_adapters.exchanges.okx.futures import isolated
from defi_risk_adapters.exchanges.okx.records import Balance, Config, positions

from defi_risk.answers import Answer
from defi_risk.model import KeyRights, Tier
from defi_risk.spi import DatedTiers, Desk
from tests.exchanges import reading
from tests.exchanges.double import Fault, Request, serving
from tests.exchanges.near import accounts, found, unknown
from tests.exchanges.okx import (
    BTC_TIERS,
    OkxDouble,
    Place,
    Purse,
    changed,
    checked,
    close,
    coin_changed,
    figures,
    futures_book,
    multi_book,
)
from tests.exchanges.reading import scan


@pytest.mark.parametrize("fields", [{"acctLv": "5"}, {"acctLv": ""}, {"acctLv": None}, {"posMode": "other"}, {"posMode": None}])
def test_an_unknown_mode_is_no_mode(fields: dict[str, Any]) -> None:
    fault = Fault(where="config", change=lambda answer: changed(answer, **fields))
    account, _ = unknown(futures_book(), fault)
    assert "none that is known" in account.reason


def test_an_empty_account_is_none() -> None:
    for level in ("1", "2", "3", "4"):
        gathered = found(OkxDouble(level=level))
        assert (gathered.accounts, gathered.reports[0].status) == ([], "ok")


def test_negative_equity_is_dead() -> None:
    places = [Place("BTC-USDT-SWAP", "50", "60000", "40000")]
    for level, market in (("2", "futures/USDT"), ("3", "multi-currency")):
        account = accounts(OkxDouble(level=level, purses={"USDT": Purse("5000")}, places=places))[market]
        worth, needed = figures(account)
        assert worth == pytest.approx(-5_000)
        assert needed == pytest.approx(90)
        assert checked(account)


def falling(answer: Any) -> Any:
    """Position tiers whose second rate is below the first."""
    answer["data"][1]["mmr"] = "0.001"
    return answer


DAMAGE: list[tuple[str, Callable[[Any], Any]]] = [
    ("positions", lambda answer: changed(answer, upl="NaN")),
    ("positions", lambda answer: changed(answer, markPx="")),
    ("positions", lambda answer: changed(answer, pos="Infinity")),
    ("positions", lambda answer: answer | {"data": answer["data"] * 2}),
    ("positions", lambda answer: answer | {"data": None}),
    ("positions", lambda answer: changed(answer, posSide="long")),
    ("positions", lambda answer: changed(answer, mgnMode="portfolio")),
    ("balance", lambda answer: coin_changed(answer, eq="NaN")),
    ("balance", lambda answer: coin_changed(answer, cashBal=None)),
    ("balance", lambda answer: coin_changed(answer, eqUsd="-1")),
    ("balance", lambda answer: coin_changed(answer, smtSyncEq="5")),
    ("balance", lambda answer: answer | {"data": []}),
    ("balance", lambda answer: changed(answer, details=answer["data"][0]["details"] * 2)),
    ("position-tiers", lambda answer: falling(answer)),
]


@pytest.mark.parametrize(("where", "change"), DAMAGE)
def test_damaged_answers_are_no_account(where: str, change: Callable[[Any], Any]) -> None:
    account, _ = unknown(futures_book(), Fault(where=where, change=change))
    assert account.reason


POOL_DAMAGE: list[tuple[str, str, Callable[[Any], Any]]] = [
    # what is wrong, where, how the answer is changed
    ("avgPx is 0, which cannot be", "account/positions", lambda answer: changed(answer, avgPx="0")),
    ("is negative on side", "account/positions", lambda answer: changed(answer, posSide="short", pos="-5")),
    ("cannot be", "balance", lambda answer: coin_changed(answer, disEq="9999999")),
    ("tells nothing of what BTC counts for", "balance", lambda answer: coin_changed(answer, disEq="")),
    ("discount tiers of BTC", "discount-rate", lambda answer: changed(answer, details=[], ccy="BTC")),
]


@pytest.mark.parametrize(("reason", "where", "change"), POOL_DAMAGE)
def test_a_damaged_pool_is_no_account(reason: str, where: str, change: Callable[[Any], Any]) -> None:
    double = multi_book(mode="long_short_mode" if "side" in reason else "net_mode")
    if "tells nothing" in reason:
        double.faults.append(Fault("500", where="discount-rate"))
    account, _ = unknown(double, Fault(where=where, change=change))
    assert reason in account.reason


POOL_UNKNOWN: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("does not count as margin", "balance", lambda answer: coin_changed(answer, disEq="0")),
    ("tells no value of BTC", "balance", lambda answer: coin_changed(answer, eqUsd="0", liab="1")),
    ("has its margin in", "account/positions", lambda answer: changed(answer, ccy="USDC")),
]


@pytest.mark.parametrize(("reason", "where", "change"), POOL_UNKNOWN)
def test_a_pool_that_is_not_understood_is_unknown(reason: str, where: str, change: Callable[[Any], Any]) -> None:
    double = multi_book()
    double.faults.append(Fault(where=where, change=change))
    [account] = accounts(double).values()
    assert reason in account.reason


@pytest.mark.parametrize(
    ("coin", "settles", "doubted"), [("", "USDT", ()), ("USDC", "USDT", ("USDT", "USDC")), ("USDT", "", ("USDT",)), ("", "", None)]
)
def test_a_position_whose_coin_is_in_doubt_makes_every_account_unknown_that_it_may_be_in(
    coin: str, settles: str, doubted: tuple[str, ...] | None
) -> None:
    double = futures_book()
    double.faults += [
        Fault(where="account/positions", change=lambda answer: changed(answer, ccy=coin)),
        Fault(where="public/instruments", change=lambda answer: settling(answer, "BTC-USDT-SWAP", settles)),
    ]
    if doubted is None:
        assert "tells no coin" in unknown(double)[0].reason
    else:
        assert [account.market for account in found(double).accounts if not account.known] == [f"futures/{code}" for code in doubted]


def settling(answer: Any, symbol: str, coin: str) -> Any:
    for row in answer["data"]:
        row["settleCcy"] = coin if row["instId"] == symbol else row["settleCcy"]
    return answer


@pytest.mark.parametrize("worth", [None, ""])
def test_a_coin_whose_worth_is_not_told_is_said_to_be_priced_by_its_positions(worth: str | None) -> None:
    def change(answer: Any) -> Any:
        for row in answer["data"][0]["details"]:
            row["eqUsd"] = worth
        return answer

    double = futures_book()
    double.faults.append(Fault(where="account/balance", change=change))
    account = accounts(double)["futures/BTC"]
    assert "BTC is priced by its positions: the balance tells no worth of it in USD" in account.assumptions


def test_worthless_coins_are_passed_over() -> None:
    for level, count in (("2", 2), ("3", 1)):
        double = OkxDouble(level=level, purses={"GONE": Purse("5000", "0"), "USDT": Purse("700"), "BTC": Purse("1", "60000", BTC_TIERS)})
        found = accounts(double)
        assert len(found) == count
        assert all(account.known for account in found.values())
        assert "GONE" not in {leg.asset.symbol for account in found.values() for leg in account.legs}


def pool_with_orders() -> OkxDouble:
    purses = {"USDT": Purse("20000", ordered="500")}
    return OkxDouble(level="3", purses=purses, places=[Place("BTC-USDT-SWAP", "50", "60000", "60000")])


def test_orders_of_a_pool_with_positions() -> None:
    """20,000 over 135 of the position and 65 of orders."""
    double = pool_with_orders()
    double.faults.append(Fault(where="balance", change=lambda answer: changed(answer, mgnRatio="100", mmr="180")))
    [account] = accounts(double).values()
    assert checked(account)
    assert close(account, 20_000, 200)
    assert any("open orders require 65.00 USD" in text for text in account.assumptions)


def test_a_pool_without_ratio_has_its_maintenance_margin() -> None:
    double = multi_book(places=[])
    double.faults.append(Fault(where="balance", change=lambda answer: changed(answer, mgnRatio="")))
    [account] = accounts(double).values()
    assert figures(account)[1] == pytest.approx(40 * 150 * 0.02)


def test_what_orders_cannot_explain_is_no_match() -> None:
    double = pool_with_orders()
    double.faults.append(Fault(where="balance", change=lambda answer: changed(answer, adjEq="9000", mgnRatio="66.66")))
    [account] = accounts(double).values()
    assert not checked(account)
    assert figures(account)[0] == pytest.approx(20_000)


def test_fees_of_several_groups_are_none() -> None:
    double = replace(futures_book(), own_fee="0.0001")
    double.faults.append(Fault(where="trade-fee", change=lambda answer: answer | {"data": answer["data"] * 2}))
    assert all(map(checked, accounts(double).values()))


def test_bundled_tiers_and_closed_positions() -> None:
    """A table of the configuration serves where the exchange tells neither tiers nor its own margin; a position of zero is none."""
    row = OkxDouble(purses={"USDT": Purse("1")}).row(Place("BTC-USDT-SWAP", "5", "60000", "60000", margin="200")) | {"mmr": ""}
    assert positions({"data": [row | {"pos": "0"}]}, Config("futures", ("net",))) == []
    [held] = positions({"data": [row]}, Config("futures", ("net",)))
    tiers = DatedTiers(date(2026, 9, 1), (Tier(Decimal(0), Decimal("0.004"), Decimal(0)),))
    at = Desk("okx-main", "okx", 0, numbers={"taker_fee": Decimal("0.0005")}, tiers={"BTC-USDT-SWAP": tiers})
    listed = OkxDouble().instruments(Request("GET", "", {"instType": "SWAP"}, "", {}, b""))["data"][0]
    tables = Tables({"BTC-USDT-SWAP": Answer(listed, "instruments")})
    account = isolated(at, "futures", Balance({}, "", "", "", Decimal(0), Decimal(0), None), held, tables)
    assert any("published on 2026-09-01" in text for text in account.assumptions)
    assert checked(account)


def test_balances_that_move_are_read_again() -> None:
    double = futures_book()
    double.faults.append(Fault(where="balance", times=1, change=lambda answer: coin_changed(answer, cashBal="1")))
    assert all(map(checked, accounts(double).values()))
    always = futures_book()
    counter = iter(range(100))
    fault = Fault(where="balance", change=lambda answer: coin_changed(answer, cashBal=str(next(counter))))
    account, _ = unknown(always, fault)
    assert "moved" in account.reason


@pytest.mark.parametrize("fields", [{"mgnRatio": "500"}, {"liqPx": "30000"}, {"mmr": "100"}, {"liqPx": ""}])
def test_a_planted_mismatch_is_found(fields: dict[str, str]) -> None:
    double = OkxDouble(purses={"USDT": Purse("2000")}, places=[Place("BTC-USDT-SWAP", "50", "60000", "60000")])
    double.faults.append(Fault(where="positions", change=lambda answer: changed(answer, **fields)))
    assert not checked(accounts(double)["futures/USDT"])


@pytest.mark.parametrize("fields", [{"adjEq": "90000"}, {"mgnRatio": "3"}, {"mmr": "5"}])
def test_a_planted_mismatch_of_the_pool_is_found(fields: dict[str, str]) -> None:
    double = multi_book(purses={"BTC": Purse("1", "60000", BTC_TIERS), "USDT": Purse("8000")})
    assert checked(accounts(double)["multi-currency"])
    double.faults.append(Fault(where="balance", change=lambda answer: changed(answer, **fields)))
    assert not checked(accounts(double)["multi-currency"])


def test_without_tables_the_positions_own_figures_serve() -> None:
    double = futures_book()
    double.faults += [Fault("500", where=name) for name in ("position-tiers", "trade-fee", "funding-rate")]
    gathered = found(double)
    assert all(map(checked, gathered.accounts))
    assert all(any("gave no position tiers" in text for text in account.assumptions) for account in gathered.accounts)
    assert {note.split()[0] for note in gathered.reports[0].notes} >= {"tiers", "fees", "funding"}


def test_a_second_scan_is_four_requests(tmp_path: Path) -> None:
    for number, double in enumerate((futures_book(), multi_book(), multi_book(level="4", risk=(Decimal(9), Decimal(0))))):
        folder = tmp_path / str(number)
        folder.mkdir()
        gathered = scan(double, folder, times=2)
        assert all(map(checked, gathered.accounts))
        assert [request.path.rpartition("/")[2] for request in double.log] == ["config", "balance", "positions", "balance"]


@pytest.mark.parametrize(
    ("perm", "address", "rights"),
    [
        ("read_only", "", KeyRights(trade=False, withdraw=False, bound=False)),
        ("read_only,trade", "203.0.113.7", KeyRights(trade=True, withdraw=False, bound=True)),
        ("read_only,withdraw,trade", "", KeyRights(trade=True, withdraw=True, bound=False)),
        ("read_only,magic", "", KeyRights(bound=False)),
        ("", "", KeyRights(bound=False)),
    ],
)
def test_what_the_key_may_do(tmp_path: Path, perm: str, address: str, rights: KeyRights) -> None:
    [report] = scan(replace(futures_book(), perm=perm, ip=address), tmp_path).reports
    assert report.key == rights


def test_a_sub_account_is_an_exchange_of_its_own(tmp_path: Path) -> None:
    with serving(multi_book()) as url:
        gathered = scan(futures_book(), tmp_path, multi_book().book(url, name="okx-sub"))
    assert {account.id for account in gathered.accounts if account.source == "okx-sub"} == {"okx-sub/multi-currency"}
    assert len(gathered.accounts) == 4
    assert all(map(checked, gathered.accounts))


@pytest.mark.parametrize("skew", [90.0, -90.0])
def test_the_clock_is_the_exchanges(tmp_path: Path, skew: float) -> None:
    [report] = scan(replace(futures_book(), skew=skew), tmp_path).reports
    assert report.status == "ok"
    assert any("clock" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["bad key", "permission", "address", "time", "rate", "maintenance"])
def test_refusals_fail_the_source(tmp_path: Path, kind: str) -> None:
    account, report = reading.unknown(futures_book(), tmp_path, Fault(kind, where="balance"))
    assert report.status == "failed"
    assert account.reason
    assert "dummy" not in account.reason + report.error


def test_an_account_is_all_or_nothing(tmp_path: Path) -> None:
    """The positions fail after the balance came."""
    for kind in ("html", "500", "nothing", "empty list", "empty object"):
        reading.unknown(futures_book(), tmp_path, Fault(kind, where="positions"))


def test_over_the_wire_as_in_process(tmp_path: Path) -> None:
    for number, double in enumerate((futures_book(), multi_book(), multi_book(level="4", risk=(Decimal(9), Decimal(0))))):
        folder = tmp_path / str(number)
        folder.mkdir()
        wired, near = scan(double, folder), found(double)
        assert [account.stated for account in wired.accounts] == [account.stated for account in near.accounts]
        assert [account.legs for account in wired.accounts] == [account.legs for account in near.accounts]
        assert [account.assumptions for account in wired.accounts] == [account.assumptions for account in near.accounts]
        assert all(map(checked, wired.accounts))


def emptied(answer: Any, *fields: str) -> Any:
    return changed(answer, **dict.fromkeys(fields, ""))


CONTRADICTIONS: list[tuple[str, Callable[[Any], Any], str]] = [
    # where, how the answer is changed, what is said
    ("positions", lambda answer: answer | {"data": []}, "do not add up"),
    ("positions", lambda answer: answer | {"data": answer["data"][1:]}, "do not add up"),
    ("positions", lambda answer: changed(answer, pos=""), "pos is an empty text"),
    ("positions", lambda answer: changed(answer, pos=None), "pos is missing"),
    ("positions", lambda answer: changed(answer, pos="5"), "upl is not what lies between"),
    ("positions", lambda answer: changed(answer, notionalUsd="3000"), "notionalUsd is not what its contracts are worth"),
    ("positions", lambda answer: changed(answer, markPx="66000", notionalUsd="33000"), "upl is not what lies between"),
    ("balance", lambda answer: coin_changed(answer, upl=None), "upl is missing"),
    ("balance", lambda answer: coin_changed(answer, isoEq=None), "isoEq is missing"),
    ("balance", lambda answer: coin_changed(answer, isoEq=""), "(isoEq)"),
    ("balance", lambda answer: coin_changed(answer, isoUpl="-900"), "do not add up"),
    ("balance", lambda answer: coin_changed(answer, liab=None), "liab is missing"),
    ("balance", lambda answer: changed(answer, uTime="1" + "0" * 30), "uTime"),
    ("instruments", lambda answer: changed(answer, ctVal="0.1"), "upl is not what lies between"),
]


@pytest.mark.parametrize(("where", "change", "says"), CONTRADICTIONS)
def test_answers_that_contradict_each_other(where: str, change: Callable[[Any], Any], says: str) -> None:
    """Positions that are not all there, or of another size, are no account with less to fear."""
    account, report = unknown(futures_book(), Fault(where=where, change=change))
    assert says in account.reason
    assert report.status == "failed"


def test_maintenance_margin_of_no_position() -> None:
    """A list of positions that is empty, just as they have neither profit nor loss."""
    double = OkxDouble(purses={"USDT": Purse("5000")})
    double.faults.append(Fault(where="balance", change=lambda answer: coin_changed(answer, mmr="12")))
    assert "no position is listed that it is for" in unknown(double)[0].reason
    double.purses["USDT"] = Purse("5000", ordered="100")
    [account] = accounts(double).values()
    assert close(account, 5_000, 12)
    assert any("open orders require USDT 12" in text for text in account.assumptions)


@pytest.mark.parametrize("level", ["3", "4"])
@pytest.mark.parametrize("fields", [("mgnRatio", "mmr"), ("adjEq",), ("adjEq", "mmr", "mgnRatio")])
def test_a_pool_without_its_requirement_is_unknown(level: str, fields: tuple[str, ...]) -> None:
    """It was shown as one that nothing is required of."""
    double = multi_book(level=level, risk=(Decimal(40_000), Decimal(0)))
    account, _ = unknown(double, Fault(where="balance", change=lambda answer: emptied(answer, *fields)))
    assert "tells no adjEq or mmr" in account.reason


def test_a_ratio_that_does_not_belong_to_the_requirement_shows() -> None:
    double = multi_book(level="4", risk=(Decimal(40_000), Decimal(0)))
    double.faults.append(Fault(where="balance", change=lambda answer: changed(answer, mgnRatio="1000000")))
    [account] = accounts(double).values()
    assert figures(account)[1] == pytest.approx(40_000)
    assert not checked(account)


def test_a_dated_future_without_its_date_is_unknown() -> None:
    double = futures_book()

    def without(answer: Any) -> Any:
        return answer | {"data": [row | {"expTime": ""} for row in answer["data"]]}

    double.faults.append(Fault(where="instruments", change=without))
    assert "expTime is empty" in unknown(double)[0].reason


def test_what_is_valued_at_nothing_is_said() -> None:
    double = OkxDouble(purses={"GONE": Purse("5000", "0"), "USDT": Purse("700")})
    [report] = found(double).reports
    assert "GONE is left out: OKX values it at nothing" in report.notes
