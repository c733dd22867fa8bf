"""MEXC's futures accounts over HTTP on loopback.

Recorded: an isolated SOL_USDT position of 2025-08-27 as a public client's source quotes MEXC's answer, and the assets and risk limits in
MEXC's documentation (read on 2026-04-04).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.gathering import gather
from defi_risk.model import Basis, Contract, KeyRights, Role
from tests.exchanges import reading
from tests.exchanges.double import Fault, serving
from tests.exchanges.inside import Inside, accounts, checked, damages, unknown
from tests.exchanges.mexc import BTC_TIERS, MexcDouble, contract, custom, position
from tests.exchanges.reading import scan

LONG = position("BTC_USDT", "long", 20000, "61000", 20)
SHORT = position("SOL_USDT", "short", 30000, "200", 10)
ALONE = position("BTC_USDT", "short", 1000, "59000.5", 50, margin="150")


def usdt(*rows: dict[str, Any], wallet: str = "50000", **more: Any) -> MexcDouble:
    return MexcDouble(wallets={"USDT": wallet, "BTC": "0"}, positions=list(rows), **more)


def test_the_recorded_isolated_position() -> None:
    row = {
        "positionId": 5355366,
        "symbol": "SOL_USDT",
        "positionType": 1,
        "openType": 1,
        "state": 1,
        "holdVol": 1,
        "holdAvgPrice": 203.44,
        "holdAvgPriceFullyScale": "203.44",
        "liquidatePrice": 194.07,
        "oim": 0.10253376,
        "im": 0.10253376,
        "leverage": 20,
        "marginRatio": 0.0998,
        "autoAddIm": False,
    }
    account = accounts(usdt(row))["futures/SOL_USDT/long/isolated"]
    assert checked(account).match
    assert checked(account).protocol == {"liquidationPrice:SOL_USDT:long": "194.07"}
    assert account.stated == {"liquidationPrice:SOL_USDT:long": "194.07"}, "to the cent, as the exchange cuts it"
    assert account.rule.remainder == "lost"
    [_, leg] = account.legs
    assert leg.position
    assert leg.position.basis is Basis.ENTRY
    assert leg.position.funding_8h == Decimal("0.0002"), "0.01 % every four hours"


def test_a_documented_wallet_without_positions() -> None:
    account = accounts(MexcDouble(wallets={"USDT": "32.80984793"}))["futures/USDT"]
    assert [leg.role for leg in account.legs] == [Role.MARGIN]
    assert account.stated["equity"] == "32.80984793"
    assert checked(account).match


def test_cross_and_isolated_positions_of_several_wallets() -> None:
    double = usdt(LONG, SHORT, ALONE, position("BTC_USD", "short", 50, "61000", 10), position("ETH_USDC", "long", 100, "2010", 5))
    double.wallets = {"USDT": "50000", "USDC": "1000", "BTC": "0.5", "XRP": "0"}
    found = accounts(double)
    assert set(found) == {"futures/USDT", "futures/BTC_USDT/short/isolated", "futures/USDC", "futures/BTC"}
    for account in found.values():
        assert checked(account).match, (account.stated, checked(account).protocol)
    wallet = found["futures/USDT"]
    assert str(wallet.legs[0].amount) == "49850", "less what the isolated position has for itself"
    assert {str(leg.position.tiers[0].rate) for leg in wallet.legs if leg.position} == {"0.001", "0.004"}
    coin = found["futures/BTC"].legs
    assert coin[0].price
    assert str(coin[0].price.value) == "60000"
    assert coin[1].position
    assert (coin[1].position.contract, coin[1].position.size) == (Contract.INVERSE, Decimal(-5000))


def test_coins_that_no_position_marks_are_priced_by_their_contracts() -> None:
    double = MexcDouble(wallets={"BTC": "0.2", "MX": "0.99647149", "SOL": "3", "USDC": "5"})
    double.marks |= {"MX_USDT": "2.5", "USDC_USDT": "1.01"}
    found = accounts(double)
    prices = {market: leg.price and str(leg.price.value) for market, account in found.items() for leg in account.legs}
    assert prices == {"futures/BTC": "60000", "futures/MX": "2.5", "futures/SOL": "202.15", "futures/USDC": "1"}
    assert [said for said in found["futures/MX"].assumptions if "against USDT" in said]
    assert not found["futures/BTC"].assumptions
    double.late = 90_000
    assert accounts(double)["futures/BTC"].legs[0].price is None, "an old price is none"


def test_a_wallet_that_cannot_be_read_costs_no_other() -> None:
    double = usdt(LONG, position("ETH_USDC", "long", 100, "2010", 5))
    double.wallets["USDC"] = "1000"
    double.contracts["ETH_USDC"] = contract("ETH_USDC", "0.01", futureType=2)
    found = accounts(double)
    assert {market: account.known for market, account in found.items()} == {"futures/USDT": True, "futures/USDC": False}
    assert "of a kind that is not modelled" in found["futures/USDC"].reason


def test_a_contract_newer_than_the_kept_list_is_found() -> None:
    double = usdt(LONG, SHORT)
    double.faults.append(Fault(where="contract/detail", change=lambda right: right | {"data": right["data"][:1]}, times=1))
    source = Inside(double)
    for _ in range(2):
        assert accounts(source)["futures/USDT"].known
    assert len([request for request in double.log if request.path.endswith("/detail")]) == 3, "kept once, asked anew twice"


@pytest.mark.parametrize(
    ("row", "terms", "rate"),
    [
        (position("BTC_USDT", "long", 50000, "61000", 20), custom(BTC_TIERS), "0.001"),
        (position("BTC_USDT", "long", 50001, "61000", 20), custom(BTC_TIERS), "0.004"),
        (position("BTC_USDT", "long", 300000, "61000", 20), custom(BTC_TIERS), "0.01"),
        (position("BTC_USDT", "long", 100000, "61000", 20), {}, "0.004"),
        (position("BTC_USDT", "long", 100001, "61000", 20), {}, "0.008"),
        (position("BTC_USDT", "long", 250000, "61000", 20), {}, "0.016"),
        (
            position("BTC_USDT", "long", 9000, "61000", 20),
            custom([(60000, "0.01"), (900000, "0.02")]) | {"riskLimitType": "BY_VALUE"},
            "0.01",
        ),
        (
            position("BTC_USDT", "short", 20, "61000", 20),
            {"riskLongShortSwitch": 1, "riskBaseVolShort": 10, "riskIncrVolShort": 10, "riskBaseVolLong": 99, "riskIncrVolLong": 9},
            "0.008",
        ),
    ],
)
def test_the_risk_tier_in_force(row: dict[str, Any], terms: dict[str, Any], rate: str) -> None:
    double = usdt(row, wallet="900000", contracts={"BTC_USDT": contract("BTC_USDT", "0.0001", **terms)})
    [leg] = [leg for leg in accounts(double)["futures/USDT"].legs if leg.position]
    assert leg.position
    assert str(leg.position.tiers[0].rate) == rate


def test_both_sides_of_a_cross_contract_share_a_risk_tier() -> None:
    rows = [position("BTC_USDT", "long", 40000, "61000", 20), position("BTC_USDT", "short", 40000, "59000", 20)]
    legs = accounts(usdt(*rows))["futures/USDT"].legs
    assert [str(leg.position.tiers[0].rate) for leg in legs if leg.position] == ["0.005", "0.005"]


def test_a_limit_by_value_counts_both_sides_and_only_dollars() -> None:
    terms = custom([(600_000, "0.01"), (9_000_000, "0.02")]) | {"riskLimitType": "BY_VALUE"}
    rows = [position("BTC_USDT", side, 60_000, "61000", 20) for side in ("long", "short")]
    double = usdt(*rows, wallet="900000", contracts={"BTC_USDT": contract("BTC_USDT", "0.0001", **terms)})
    legs = accounts(double)["futures/USDT"].legs
    assert [str(leg.position.tiers[0].rate) for leg in legs if leg.position] == ["0.02", "0.02"], "366 000 a side"
    coin = MexcDouble(wallets={"BTC": "1"}, positions=[position("BTC_USD", "long", 5, "61000", 20)])
    coin.contracts = {"BTC_USD": contract("BTC_USD", "100", **terms)}
    assert "not known: 'BY_VALUE'" in unknown(coin).reason


def test_a_coin_contract_that_is_not_quoted_in_dollars_is_not_modelled() -> None:
    double = MexcDouble(wallets={"ETH": "9"}, positions=[position("ETH_BTC", "long", 5, "0.05", 20)], marks={"ETH_BTC": "0.05"})
    double.contracts = {"ETH_BTC": contract("ETH_BTC", "1", settleCoin="ETH")}
    assert "settles in ETH and is quoted in BTC" in unknown(double).reason


def test_a_position_that_is_not_listed_is_missed() -> None:
    gone = Fault(where="open_positions", change=lambda right: right | {"data": []})
    assert "positionMargin of USDT is 150.0, and the exchange lists no position" in unknown(usdt(ALONE), gone).reason
    assert "unrealized of USDT" in unknown(usdt(LONG), gone).reason


@pytest.mark.parametrize("row", [ALONE, position("BTC_USD", "long", 50, "59000", 20, margin="0.005")])
def test_isolated_liquidation_prices(row: dict[str, Any]) -> None:
    double = usdt(row)
    double.wallets["BTC"] = "1"
    [account] = [one for one in accounts(double).values() if one.mode == "isolated"]
    assert checked(account).match
    double.positions = [row | {"liquidatePrice": 57000.0}]
    [account] = [one for one in accounts(double).values() if one.mode == "isolated"]
    assert not checked(account).match


def altered(name: str, **change: Any) -> Fault:
    def change_it(right: Any) -> Any:
        right["data"][0] |= change
        return right

    return Fault(where=name, change=change_it)


def without(where: str, name: str) -> Fault:
    def change_it(right: Any) -> Any:
        del right["data"][0][name]
        return right

    return Fault(where=where, change=change_it)


def test_an_equity_that_does_not_follow_is_seen() -> None:
    double = usdt(LONG)
    double.faults.append(altered("account/assets", unrealized=-200.0))
    account = accounts(double)["futures/USDT"]
    assert not checked(account).match
    assert checked(account).protocol["unrealized"] == "-200.0"
    assert account.stated["unrealized"] == "-2000.0"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (altered("account/assets", contributeMarginAmount=180), "multi-asset mode"),
        (altered("account/assets", debtAmount=20), "multi-asset mode"),
        (without("account/assets", "contributeMarginAmount"), "cannot be told apart"),
        (altered("account/assets", currency="USDX"), "lists no such asset"),
        (altered("account/assets", equity="NaN"), "equity"),
        (altered("open_positions", openType=3), "not known"),
        (altered("open_positions", positionType=0), "not known"),
        (altered("open_positions", state=2), "in the hands of the exchange"),
        (altered("open_positions", symbol="NOPE_USDT"), "lists no contract NOPE_USDT"),
        (altered("open_positions", leverage=0), "leverage"),
        (altered("open_positions", holdAvgPriceFullyScale=None, holdAvgPrice=None), "holdAvgPrice is missing"),
        (without("open_positions", "positionId"), "positionId is missing"),
        (altered("contract/detail", riskLimitMode="OTHER"), "not known: 'OTHER'"),
        (altered("contract/detail", riskLimitType="OTHER"), "not known: 'OTHER'"),
        (altered("contract/detail", riskLimitCustom=[{"level": 1, "maxVol": 5, "mmr": 0.1}]), "above the highest risk tier"),
        (altered("contract/detail", riskLimitCustom=[{"level": 2, "maxVol": 500000, "mmr": 0.1}]), "do not follow one another"),
        (altered("contract/detail", riskLimitCustom=[{"level": 1, "maxVol": 500000, "mmr": 0}]), "mmr is 0, which cannot be"),
        (altered("contract/ticker", indexPrice=-1), "indexPrice is -1, which cannot be"),
        (altered("account/assets", bonus=-1), "bonus is -1, which cannot be"),
        (altered("contract/detail", futureType=2), "not modelled"),
        (altered("contract/detail", settleCoin="MX"), "not modelled"),
        (altered("contract/detail", baseCoin=""), "not modelled"),
        (without("contract/detail", "liquidationFeeRate"), "liquidationFeeRate is missing"),
        (altered("contract/ticker", fairPrice=0), "is zero"),
        (altered("contract/ticker", symbol="OTHER"), "no price of it"),
        (altered("contract/ticker", timestamp=1587442022003), "older than 60 s"),
    ],
)
def test_what_cannot_be_read_makes_the_account_unknown(fault: Fault, reason: str) -> None:
    assert reason in unknown(usdt(LONG), fault).reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("bad key", where="account/assets"), "does not accept the key"),
        (Fault("permission", where="open_positions"), "does not let this key read that"),
        (Fault("address", where="account/assets"), "from this address"),
        (Fault("rate", where="open_positions"), "fewer requests"),
        (Fault("maintenance", where="account/assets"), "maintenance"),
        (Fault("empty list", where="open_positions"), ""),
        (Fault("empty object", where="account/assets"), ""),
        (Fault("html", where="contract/ticker"), "no JSON"),
    ],
)
def test_what_the_exchange_refuses_makes_the_account_unknown(tmp_path: Path, fault: Fault, reason: str) -> None:
    account, _ = reading.unknown(usdt(LONG), tmp_path, fault)
    assert reason in account.reason


def test_duplicates_are_never_counted_twice() -> None:
    assert "listed twice" in unknown(usdt(LONG, LONG)).reason
    assert "listed twice" in unknown(usdt(LONG, LONG | {"positionId": 7})).reason


def test_an_empty_account_is_none() -> None:
    assert accounts(MexcDouble(wallets={"USDT": "0", "BTC": "0"})) == {}


def test_a_trial_bonus_is_not_margin() -> None:
    double = usdt(LONG, assets={"USDT": {"bonus": 100, "frozenBalance": 50.5}})
    account = accounts(double)["futures/USDT"]
    assert [(str(leg.amount), leg.weight) for leg in account.legs if not leg.position] == [("49849.5", Decimal(1)), ("50.5", Decimal(0))]
    assert "a trial bonus of 100 USDT is not counted" in account.assumptions


def test_negative_equity_is_read_as_it_is() -> None:
    account = accounts(usdt(LONG, wallet="500"))["futures/USDT"]
    assert account.stated["equity"] == "-1500.0"


def test_a_second_scan_asks_four_times(tmp_path: Path) -> None:
    double = usdt(LONG, SHORT, ALONE)
    scan(double, tmp_path, times=2)
    assert len(double.log) == 4, [request.line for request in double.log]
    assert all(request.method == "GET" for request in double.log)


def test_a_balance_that_moves_is_read_again() -> None:
    double = usdt(LONG)
    first = altered("account/assets", equity=1.0)
    first.times = 1
    double.faults.append(first)
    assert str(accounts(double)["futures/USDT"].legs[0].amount) == "50000"


def test_two_keys_are_two_accounts(tmp_path: Path) -> None:
    main, sub = usdt(LONG), usdt(wallet="100")
    with serving(main) as one, serving(sub) as two:
        book = tmp_path / "book.toml"
        book.write_text(main.book(one, "main") + sub.book(two, "sub"), "utf-8")
        found = gather(book=book, cache_dir=tmp_path / "cache", deadline=20).accounts
    assert [(account.id, account.owner) for account in found] == [("main/futures/USDT", "main"), ("sub/futures/USDT", "sub")]


@pytest.mark.parametrize("skew", [-90.0, 90.0])
def test_another_clock(skew: float) -> None:
    assert accounts(usdt(LONG, skew=skew))["futures/USDT"].known


def test_rights_are_not_told(tmp_path: Path) -> None:
    [report] = scan(usdt(LONG), tmp_path).reports
    assert report.key == KeyRights()


def test_damaged_answers_are_never_a_bug_nor_an_account_of_less() -> None:
    double = usdt(LONG, SHORT, ALONE)
    whole = accounts(double)
    for place, worthless, found in damages(double):
        for account in found:
            assert "failed:" not in account.reason, (place, worthless, account.reason)
        if found and all(account.known for account in found):
            assert {account.market for account in found} == set(whole), (place, worthless)


def test_over_the_wire_it_is_the_same(tmp_path: Path) -> None:
    double = usdt(LONG, SHORT, ALONE)
    wired, here = reading.accounts(double, tmp_path), accounts(double)
    assert set(wired) == set(here)
    for market, account in wired.items():
        assert (account.legs, account.stated, account.self_check) == (here[market].legs, here[market].stated, here[market].self_check)
