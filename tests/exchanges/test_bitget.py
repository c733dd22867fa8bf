"""Bitget's classic futures accounts over HTTP on loopback.

Recorded positions: metacodi/bitget at 2a69d41, test/log (ISC): live BTCUSDT positions of 2022 and 2023 with the exchange's own liquidation
price and margin rate.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import KeyRights
from tests.exchanges.bitget import BitgetDouble, coin, held, position
from tests.exchanges.double import Fault
from tests.exchanges.reading import accounts, scan, unknown

RECORDED = [
    # side, size, margin, entry, mark, profit, liquidation price, margin rate
    ("long", "0.062", "15.8281", "19147", "19154.25", "0.4495", "18979.01", "0.335600027932"),
    ("long", "0.062", "15.8281", "19147", "19177.06", "1.8637", "18979.01", "0.309141214401"),
    ("short", "0.006", "4.6299", "19291.5", "19293.69", "-0.0131", "19971.29", "0.115340395338"),
    ("short", "0.006", "4.6183", "19291.5", "19333.98", "-0.2548", "19969.36", "0.122291669865"),
    ("short", "0.006", "4.6183", "19291.5", "19271.19", "0.1218", "19969.36", "0.112206669832"),
    ("short", "0.006", "4.6183", "19291.5", "19260.42", "0.1864", "19969.36", "0.110635745640"),
    ("short", "0.037", "9.4029", "19060", "19060.37", "-0.0136", "19225.69", "0.345509734793"),
    ("short", "0.037", "9.4029", "19060", "18999.56", "2.2362", "19225.69", "0.277830212352"),
]
TO_THE_CENT = [
    # side, size, entry, leverage, liquidation price: margin is what the leverage asks for at entry
    ("long", "0.017", "16174", "25", "15598.79"),
    ("long", "0.017", "16193.5", "25", "15617.6"),
    ("long", "0.017", "16211", "25", "15634.47"),
    ("long", "0.017", "16301", "25", "15721.27"),
    ("long", "0.017", "16274", "25", "15695.23"),
    ("long", "0.017", "16232", "25", "15654.73"),
    ("long", "0.017", "16491.5", "25", "15905"),
    ("long", "0.017", "16480", "25", "15893.91"),
    ("long", "0.017", "16486.5", "25", "15900.18"),
    ("short", "0.5", "16421.5", "75", "16564.25"),
    ("short", "0.5", "16448.83", "75", "16591.83"),
    ("long", "0.01", "27621.5", "25", "26639.18"),
    ("long", "0.01", "27535.5", "25", "26556.23"),
    ("long", "0.01", "27507", "25", "26528.75"),
    ("long", "0.01", "27635", "25", "26652.2"),
    ("short", "0.603", "16435", "75", "16577.87"),
]


def apart(side: str, size: str, margin: str, entry: str, mark: str, profit: str, price: str, **more: Any) -> dict[str, Any]:
    return position(
        holdSide=side,
        total=size,
        marginSize=margin,
        openPriceAvg=entry,
        markPrice=mark,
        unrealizedPL=profit,
        liquidationPrice=price,
        marginMode="isolated",
        **more,
    )


@pytest.mark.parametrize(("side", "size", "margin", "entry", "mark", "profit", "price", "rate"), RECORDED)
def test_recorded_positions_die_where_the_exchange_said(tmp_path: Path, side: str, size: str, margin: str, entry: str, mark: str,
                                                        profit: str, price: str, rate: str) -> None:  # fmt: skip
    row = apart(side, size, margin, entry, mark, profit, price, marginRatio=rate, leverage="75")
    account = accounts(BitgetDouble(positions=[row]), tmp_path)[f"usdt/BTCUSDT/{side}/isolated"]
    assert account.self_check is not None
    assert account.self_check.match
    assert account.self_check.protocol[f"liquidationPrice:BTCUSDT:{side}"] == price
    ours = account.stated
    assert abs(Decimal(ours[f"liquidationPrice:BTCUSDT:{side}"]) - Decimal(price)) <= Decimal("0.02")  # margins have four decimals
    assert abs(Decimal(ours[f"marginRatio:BTCUSDT:{side}"]) / Decimal(rate) - 1) < Decimal("0.00004")
    assert account.mode == "isolated"
    assert account.rule.remainder == "lost"


def test_liquidation_prices_to_the_cent(tmp_path: Path) -> None:
    for side, size, entry, leverage, price in TO_THE_CENT:
        margin = str(Decimal(entry) * Decimal(size) / Decimal(leverage))
        row = apart(side, size, margin, entry, entry, "0", price, leverage=leverage)
        account = accounts(BitgetDouble(positions=[row]), tmp_path)[f"usdt/BTCUSDT/{side}/isolated"]
        ours = Decimal(account.stated[f"liquidationPrice:BTCUSDT:{side}"])
        assert abs(ours - Decimal(price)) <= Decimal("0.01"), (entry, ours, price)


def cross_book() -> BitgetDouble:
    """2 BTC long and 10 ETH short in one wallet of 10,000 USDT, and an isolated BTC short."""
    long = position(total="2", openPriceAvg="37000", markPrice="37370.5", unrealizedPL="741", marginSize="3737.05", posMode="one_way_mode")
    short = position(symbol="ETHUSDT", holdSide="short", total="10", openPriceAvg="2000", markPrice="2010", unrealizedPL="-100",
                     marginSize="1005", posMode="one_way_mode")  # fmt: skip
    alone = apart("short", "0.062", "90", "37300", "37370.5", "-4.371", "38556.74", symbol="BTCUSDT", posMode="one_way_mode")
    return BitgetDouble(wallets={"USDT": "10000"}, positions=[long, short, alone | {"holdSide": "short", "posMode": "hedge_mode"}])


def test_a_wallet_answers_for_its_cross_positions(tmp_path: Path) -> None:
    found = accounts(cross_book(), tmp_path)
    assert set(found) == {"usdt/USDT", "usdt/BTCUSDT/short/isolated"}
    wallet = found["usdt/USDT"]
    assert wallet.mode == "cross"
    assert wallet.self_check is not None
    assert not wallet.self_check.match  # it dies at 34,000 by our figures, and the exchange showed no price
    # maintenance 74741 * 0.0046 + 20100 * 0.0046, over 10000 + 741 - 100
    need = (Decimal(74_741) + 20_100) * Decimal("0.0046")
    assert Decimal(wallet.stated["crossedRiskRate"]) == (need / 10_641).quantize(Decimal("1e-12"), "ROUND_DOWN")
    # liquidated where 10000 + 2 * (p - 37000) - 100 = 2 p * 0.0046 + 92.46
    price = (Decimal(2) * 37_000 - 10_000 + 100 + Decimal("92.46")) / (2 * (1 - Decimal("0.0046")))
    row = cross_book()
    row.positions[0]["liquidationPrice"] = str(price)
    checked = accounts(row, tmp_path)["usdt/USDT"]
    assert checked.self_check is not None
    assert checked.self_check.match
    assert abs(Decimal(checked.stated["liquidationPrice:BTCUSDT"]) - price) < Decimal("0.0001")
    [margin, btc, eth] = wallet.legs
    assert str(margin.amount) == "10000"
    assert margin.price is not None
    assert (btc.position is not None, eth.position is not None) == (True, True)
    assert btc.position is not None
    assert btc.position.funding_8h == Decimal("0.0001")
    assert btc.position.index == Decimal(37_365)
    assert any("USDT is taken at a dollar" in sentence for sentence in wallet.assumptions)


def test_the_mode_decides_which_legs_die_together(tmp_path: Path) -> None:
    """Both sides of a hedge in one wallet: the price that kills is of both."""
    rows = [
        position(total="1", openPriceAvg="37000", markPrice="37000", unrealizedPL="0"),
        position(total="0.5", holdSide="short", openPriceAvg="37000", markPrice="37000", unrealizedPL="0"),
    ]
    # 2000 + 0.5 * (p - 37000) = 1.5 * p * 0.0046
    price = (Decimal(18_500) - 2_000) / (Decimal("0.5") - Decimal("1.5") * Decimal("0.0046"))
    for row in rows:
        row["liquidationPrice"] = str(round(price, 4))
    wallet = accounts(BitgetDouble(wallets={"USDT": "2000"}, positions=rows), tmp_path)["usdt/USDT"]
    assert wallet.self_check is not None
    assert wallet.self_check.match
    assert {"liquidationPrice:BTCUSDT:long", "liquidationPrice:BTCUSDT:short"} <= set(wallet.stated)
    assert abs(Decimal(wallet.stated["liquidationPrice:BTCUSDT:long"]) - price) < Decimal("0.001")


@pytest.mark.parametrize(("symbol", "expires"), [("BTCUSD", None), ("BTCUSDZ26", 1_798_185_600)])
def test_coin_margined_and_dated(tmp_path: Path, symbol: str, expires: int | None) -> None:
    row = position(marginCoin="BTC", symbol=symbol, total="0.5", openPriceAvg="50000", markPrice="60000", unrealizedPL="0.0833333",
                   marginSize="0.025", leverage="20", posMode="one_way_mode")  # fmt: skip
    account = accounts(BitgetDouble(wallets={"BTC": "0.1"}, positions=[row]), tmp_path)["coin/BTC"]
    [margin, leg] = account.legs
    assert leg.position is not None
    assert (leg.position.contract, leg.position.size, leg.position.expires) == ("inverse", Decimal(25_000), expires)
    assert leg.position.quote == "USD"
    assert margin.price is not None
    assert str(margin.price.value) == "60000"


def test_the_unit_of_a_coin_margined_size_must_be_told(tmp_path: Path) -> None:
    row = position(marginCoin="BTC", symbol="BTCUSD", total="0.5", openPriceAvg="50000", markPrice="60000", unrealizedPL="0",
                   marginSize="0", leverage="20")  # fmt: skip
    account, _ = unknown(BitgetDouble(wallets={"BTC": "0.1"}, positions=[row]), tmp_path)
    assert "unit of the size" in account.reason


def test_a_coin_margined_position_in_another_coin(tmp_path: Path) -> None:
    """Margin coins are shared among these contracts: BTCUSD can be margined in ETH, and its profit is then in ETH."""
    row = position(marginCoin="ETH", symbol="BTCUSD", total="0.5", openPriceAvg="50000", markPrice="60000", unrealizedPL="0",
                   marginSize="0.05", leverage="20")  # fmt: skip
    account, _ = unknown(BitgetDouble(wallets={"ETH": "5"}, positions=[row]), tmp_path)
    assert "BTCUSD is margined in ETH" in account.reason


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    wrong = Fault(where="all-position", change=lambda body: body | {"data": [row | {"liquidationPrice": "30000"} for row in body["data"]]})
    double = cross_book()
    double.faults.append(wrong)
    assert [account.self_check.match for account in accounts(double, tmp_path).values() if account.self_check] == [False, False]


@pytest.mark.parametrize(("mode", "words"), [("union", "'union' is not modelled"), ("", "'' is not modelled"), ("new", "'new'")])
def test_an_asset_mode_that_is_not_known(tmp_path: Path, mode: str, words: str) -> None:
    assert words in unknown(BitgetDouble(mode=mode), tmp_path)[0].reason


def united(**changes: Any) -> BitgetDouble:
    """1 BTC long with 20,000 USDT and 0.5 BTC, which counts for 95 %."""
    coins = [coin("USDT", "20000", "5"), coin("BTC", "0.5", price="107000")]
    row = held(total="1", avgPrice="107410.3", markPrice="107415.3", unrealisedPnl="5")
    given: dict[str, Any] = {"unified": True, "coins": coins, "held": [row], "effective": "70830", **changes}
    return BitgetDouble(**given)


def test_a_unified_account(tmp_path: Path) -> None:
    [account] = accounts(united(), tmp_path).values()
    assert (account.market, account.mode) == ("unified", "multi-asset")
    assert account.self_check is not None
    assert account.self_check.match
    dollars, coins, leg = account.legs
    assert (str(dollars.amount), str(coins.amount), coins.weight) == ("20000", "0.5", Decimal("0.95"))
    assert leg.position is not None
    assert (leg.position.close_fee, leg.position.tiers[0].rate) == (Decimal("0.0006"), Decimal("0.004"))
    assert leg.position.funding_8h == Decimal("0.0002")  # 0.0001 every 4 h
    assert Decimal(account.stated["mmr"]) == Decimal("107415.3") * Decimal("0.0046")
    assert any("collateral ratio of BTC" in sentence and "0.95" in sentence for sentence in account.assumptions)


def test_coins_that_do_not_count(tmp_path: Path) -> None:
    """The documentation's account: 6.19 USDT count, and 4.95 USD of BGB do not."""
    coins = [coin("USDT", "6.19300826", price="0.99999831"), coin("BGB", "1.15582129", price="4.27936425")]
    [account] = accounts(united(coins=coins, held=[], effective="6.19299777"), tmp_path).values()
    assert [leg.weight for leg in account.legs] == [Decimal(1), Decimal(0)]


SEVERAL = [coin("USDT", "20000", "5"), coin("BTC", "0.5", price="107000"), coin("ETH", "10", price="3000"), coin("BGB", "10", price="4")]


@pytest.mark.parametrize(
    ("collateral", "effective", "weights"),
    [
        # 20005 + 40000 * 0.95 + 13500 * 0.9 + 30000 * 0.9: the second tier of BTC begins at 40,000 USD
        ({"collateralType": "all"}, "97155", ["1", "0.93738318", "0.9", "0"]),
        ({"collateralType": "mainstream"}, "97155", ["1", "0.93738318", "0.9", "0"]),
        ({"collateralType": "custom", "collateralCoins": "ETH,USDT"}, "47005", ["1", "0", "0.9", "0"]),
    ],
)
def test_several_coins_by_the_public_tiers(tmp_path: Path, collateral: dict[str, str], effective: str, weights: list[str]) -> None:
    tiers = {"BTC": [("0", "0.95"), ("40000", "0.9")], "ETH": [("0", "0.9")]}
    [account] = accounts(united(coins=SEVERAL, effective=effective, discounts=tiers, collateral=collateral), tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.match
    assert [round(leg.weight, 8) for leg in account.legs[:4]] == [Decimal(weight) for weight in weights]
    assert any("public tiers" in sentence and "ETH" in sentence for sentence in account.assumptions)


def test_a_key_that_may_not_ask_for_the_collateral_type(tmp_path: Path) -> None:
    """The sum tells whether all coins count."""
    double = united(coins=SEVERAL, effective="97830")
    double.faults.append(Fault("permission", where="collateral-type"))
    [account] = accounts(double, tmp_path).values()
    assert [leg.weight for leg in account.legs[:4]] == [Decimal(1), Decimal("0.95"), Decimal("0.9"), Decimal(0)]


def test_open_orders_of_a_unified_account(tmp_path: Path) -> None:
    """The documentation adds orders to the positions that maintenance is asked for: 500 USD more than the position's own 494.11."""
    [account] = accounts(united(ordered="500"), tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.match
    assert Decimal(account.stated["mmr"]).quantize(Decimal("0.01")) == Decimal("994.11")
    assert any("open orders" in sentence for sentence in account.assumptions)


def test_only_open_orders_in_a_unified_account(tmp_path: Path) -> None:
    double = united(coins=[coin("USDT", "20000")], held=[], effective="20000", ordered="50")
    [account] = accounts(double, tmp_path).values()
    assert account.status == "ok"
    assert [str(leg.amount) for leg in account.legs] == ["20000"]
    assert any("open orders" in sentence for sentence in account.assumptions)


def test_positions_that_the_account_does_not_answer_for_yet(tmp_path: Path) -> None:
    """The position is closed while the account is read: once more, and there is none."""
    double = united(coins=[coin("USDT", "20000")], effective="20000")
    row, double.held = double.held[0], []
    double.faults.append(Fault(where="current-position", times=1, change=lambda body: body | {"data": {"list": [row]}}))
    [account] = accounts(double, tmp_path).values()
    assert account.status == "ok"
    assert len(account.legs) == 1


@pytest.mark.parametrize("balance", ["20000", "19000"])
def test_what_spot_orders_lock_is_in_the_equity(tmp_path: Path, balance: str) -> None:
    """1,000 of the 20,000 USDT are locked, whether or not they are told as part of the balance."""
    coins = [coin("USDT", "20000", "5") | {"balance": balance, "available": "19000", "locked": "1000"}]
    [account] = accounts(united(coins=coins, effective="20005"), tmp_path).values()
    assert account.status == "ok"
    assert str(account.legs[0].amount) == "20000"


@pytest.mark.parametrize(
    ("given", "rights"),
    [
        ({"permType": "read-only", "permissions": ["uta_mgt", "uta_trade"]}, KeyRights(trade=False, withdraw=False, bound=True)),
        ({"permType": "read-and-write", "permissions": ["uta_mgt"]}, KeyRights(trade=True, withdraw=False, bound=True)),
        ({"permType": "read-and-write", "permissions": ["uta_trade", "withdraw"]}, KeyRights(trade=True, withdraw=True, bound=True)),
        ({"permType": "read-and-write", "permissions": ["new"]}, KeyRights(trade=None, withdraw=None, bound=True)),
        ({"permType": "new", "permissions": []}, KeyRights(trade=None, withdraw=None, bound=True)),
    ],
)
def test_rights_of_a_unified_key(tmp_path: Path, given: dict[str, Any], rights: KeyRights) -> None:
    """The classic account's read of them is refused to it."""
    [report] = scan(united(permissions=given), tmp_path).reports
    assert report.key == rights


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settled": {"accountMode": "hybrid", "assetMode": "single"}}, "'hybrid'"),
        ({"coins": [coin("USDT", "20000", "5"), coin("BTC", "0.5", price="107000"), coin("ETH", "1", price="3000")]}, "does not tell"),
        ({"coins": [coin("USDT", "20000", "5", debt="3")]}, "a loan of USDT"),
        ({"coins": [coin("USDT", "20000", "500")]}, "do not add up"),
        ({"held": [held(marginMode="isolated")]}, "isolated margin of BTCUSDT"),
        ({"held": [held(category="COIN-FUTURES", symbol="BTCUSD")]}, "coin-margined"),
        ({"held": [held(total="1", unrealisedPnl="5"), held(total="1", unrealisedPnl="5")]}, "listed twice"),
    ],
)
def test_unified_accounts_that_are_not_modelled(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    account, report = unknown(united(**changes), tmp_path)
    assert words in account.reason
    assert report.status in ("ok", "failed")


def test_second_scans_of_a_unified_account_are_four_requests(tmp_path: Path) -> None:
    double = united()
    scan(double, tmp_path, times=2)
    assert len(double.log) == 4, [request.line for request in double.log]


def test_a_unified_account_without_anything(tmp_path: Path) -> None:
    assert accounts(united(coins=[], held=[], effective="0"), tmp_path) == {}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("marginMode", "portfolio", "margin mode 'portfolio'"),
        ("posMode", "both", "position mode 'both'"),
        ("holdSide", "net", "side 'net'"),
        ("symbol", "NONEUSDT", "lists no contract 'NONEUSDT'"),
        ("markPrice", "NaN", "markPrice"),
        ("openPriceAvg", "", "openPriceAvg"),
        ("total", None, "total is missing"),
        ("keepMarginRate", None, "keepMarginRate is missing"),
        ("leverage", "0", "leverage is 0"),
    ],
)
def test_damaged_positions(tmp_path: Path, field: str, value: str | None, words: str) -> None:
    damage = Fault(where="all-position", change=lambda body: body | {"data": [row | {field: value} for row in body["data"]]})
    account, _ = unknown(BitgetDouble(positions=[position()]), tmp_path, damage)
    assert words in account.reason


def test_a_position_is_never_counted_twice(tmp_path: Path) -> None:
    assert "listed twice" in unknown(BitgetDouble(positions=[position(), position()]), tmp_path)[0].reason


def test_nothing_and_negative_equity(tmp_path: Path) -> None:
    assert accounts(BitgetDouble(wallets={}), tmp_path) == {}
    [account] = accounts(BitgetDouble(wallets={"USDT": "-5"}), tmp_path).values()
    assert str(account.legs[0].amount) == "-5"


def test_an_empty_account_is_looked_at_again(tmp_path: Path) -> None:
    double = BitgetDouble(wallets={})
    assert scan(double, tmp_path, times=2).accounts == ()
    assert [request.path for request in double.log if "accounts" in request.path] == ["/api/v2/mix/account/accounts"] * 3


def test_second_scans_are_small(tmp_path: Path) -> None:
    double = cross_book()
    found = scan(double, tmp_path, times=2)
    assert len(found.accounts) == 2
    assert len(double.log) <= 4, [request.line for request in double.log]


def test_what_moves_while_it_is_read(tmp_path: Path) -> None:
    double = BitgetDouble()
    double.faults.append(Fault(where="account/accounts", after=4, times=1, change=lambda body: moved(body, "900")))
    [account] = accounts(double, tmp_path).values()
    assert account.status == "ok"
    assert str(account.legs[0].amount) == "1000"


def moved(body: Any, equity: str) -> Any:
    return body | {"data": [row | {"accountEquity": equity} for row in body["data"]]}


@pytest.mark.parametrize(
    ("authorities", "ips", "rights"),
    [
        (["coor", "cpor"], "1.2.3.4", KeyRights(trade=False, withdraw=False, bound=True)),
        (["coow", "cpor"], "", KeyRights(trade=True, withdraw=False, bound=False)),
        (["wwow"], "", KeyRights(trade=False, withdraw=True, bound=False)),
        (["something"], "", KeyRights(trade=None, withdraw=None, bound=False)),
        ([], "", KeyRights(trade=None, withdraw=None, bound=False)),
        (["readonly"], "", KeyRights(trade=False, withdraw=False, bound=False)),
        (["trade"], "", KeyRights(trade=True, withdraw=False, bound=False)),
    ],
)
def test_rights(tmp_path: Path, authorities: list[str], ips: str, rights: KeyRights) -> None:
    [report] = scan(BitgetDouble(authorities=authorities, ips=ips), tmp_path).reports
    assert report.key == rights


@pytest.mark.parametrize("kind", ["bad key", "permission", "address", "html", "empty list", "empty object"])
def test_faults_are_named(tmp_path: Path, kind: str) -> None:
    account, report = unknown(BitgetDouble(), tmp_path, Fault(kind, where="/mix/account"))
    assert report.status == "failed"
    assert account.reason


@pytest.mark.parametrize("skew", [90.0, -90.0])
def test_the_exchanges_clock_is_gone_by(tmp_path: Path, skew: float) -> None:
    found = scan(BitgetDouble(skew=skew), tmp_path)
    assert [account.status for account in found.accounts] == ["ok"]
    assert any("clock" in note for note in found.reports[0].notes)


def test_a_wrong_secret(tmp_path: Path) -> None:
    class Other(BitgetDouble):
        def refuses(self, request: Any) -> Any:
            return self.error("bad key") if "/mix/account" in request.path else None

    account, report = unknown(Other(), tmp_path)
    assert (report.status, "key" in account.reason) == ("failed", True)
