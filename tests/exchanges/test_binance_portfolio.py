"""Binance COIN-M futures and portfolio margin: published examples, and their rules against the exchange's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk.health.normal import Key, in_floats
from defi_risk.model import Account, Contract, Role
from tests.exchanges.binance import DELIVERY, BinanceCoinM, BinanceExchange, Held
from tests.exchanges.double import Fault
from tests.exchanges.reading import accounts, scan, unknown
from tests.exchanges.test_binance import changed, matches, normal, position

D = Decimal
LEVELS: Final = (
    ("0", "0.004"), ("10", "0.005"), ("20", "0.01"), ("30", "0.025"), ("50", "0.05"), ("100", "0.1"), ("200", "0.125"),
)  # fmt: skip
"""Brackets in BTC whose amounts are the published ones: 0.56 at level 4, 50 * (5 % - 2.5 %) + 0.56 = 1.81 at level 5, 11.81 at level 7."""


def coin_m() -> BinanceCoinM:
    """Perpetual and dated contracts on BTC, and an isolated one on ETH."""
    return BinanceCoinM(
        coin_wallets={"BTC": "1.5", "ETH": "10"},
        coin_positions=[
            Held("BTCUSD_PERP", "1500", "58000"),
            Held("BTCUSD_261225", "-700", "62000"),
            Held("ETHUSD_PERP", "-900", "2900", isolated="0.4"),
        ],
        marks={"BTCUSD_PERP": "60010", "BTCUSD_261225": "61000", "ETHUSD_PERP": "3001"},
    )


def portfolio() -> BinanceExchange:
    """The published inputs of an account in portfolio margin: loans, a perpetual and a dated contract, and one of COIN-M."""
    return BinanceExchange(
        portfolio=True,
        margin={"USDT": ("1000", "0", "0"), "BTC": ("0.1", "0.04", "0"), "ETH": ("20", "15", "0")},
        wallets={"USDT": "5000"},
        coin_wallets={"BTC": "0.1"},
        positions=[Held("BTCUSDT", "-0.05", "52000"), Held("BTCUSDT_261225", "0.04", "52350")],
        coin_positions=[Held("BTCUSD_PERP", "100", "50000")],
        marks={"BTCUSDT": "40000", "BTCUSDT_261225": "42000", "BTCUSD_PERP": "40000"},
        index={"USDT": ("1", "0", "0"), "BTC": ("40000", "0", "0"), "ETH": ("3000", "0", "0")},
        tiers=dict.fromkeys(("BTCUSDT", "BTCUSDT_261225", "BTCUSD_PERP"), (("0", "0.005"),)),
    )


def test_a_coin_margined_account_is_counted_in_its_coin(tmp_path: Path) -> None:
    found = accounts(coin_m(), tmp_path)
    assert list(found) == ["coinm/BTC", "coinm/ETH", "coinm/ETHUSD_PERP/isolated"]
    assert all(map(matches, found.values()))
    bitcoin = found["coinm/BTC"]
    perpetual, dated = position(bitcoin, "BTCUSD_PERP"), position(bitcoin, "BTCUSD_261225")
    assert (perpetual.contract, perpetual.size, perpetual.quote) == (Contract.INVERSE, D(150_000), "USD")
    assert (dated.size, dated.expires, dated.funding_8h) == (D(-70_000), DELIVERY // 1_000, None)
    assert bitcoin.legs[1].factor == "BTC"
    figures = normal(bitcoin)
    needed, held = 0.00999833 + 0.00459016, 1.5 + 150_000 / 58_000 - 150_000 / 60_010 - 70_000 / 62_000 + 70_000 / 61_000
    assert figures.requirement() == pytest.approx(needed * 60_000, rel=1e-5)
    assert figures.weighted() == pytest.approx(held * 60_000, rel=1e-6)
    assert figures.weighted() / figures.requirement() == pytest.approx(held / needed, rel=1e-5)
    [ether] = [leg for leg in found["coinm/ETHUSD_PERP/isolated"].legs if leg.position]
    assert ether.position is not None
    assert ether.position.size == D(-9_000)


def test_amounts_of_published_coin_margined_levels(tmp_path: Path) -> None:
    exchange = BinanceCoinM(
        coin_wallets={"BTC": "60"},
        coin_positions=[Held("BTCUSD_PERP", "180000", "60000")],
        marks={"BTCUSD_PERP": "60000"},
        tiers={"BTCUSD_PERP": LEVELS},
    )
    [account] = accounts(exchange, tmp_path).values()
    tiers = position(account, "BTCUSD_PERP").tiers
    assert [tiers[level - 1].deduction for level in (4, 5, 7)] == [D("0.56"), D("1.81"), D("11.81")]
    assert account.stated["maintMargin:BTCUSD_PERP"] == "25.69000000"  # 300 * 12.5 % - 11.81
    assert matches(account)


def test_both_sides_of_a_coin_margined_hedge_have_one_liquidation_price(tmp_path: Path) -> None:
    held = [Held("BTCUSD_PERP", "3000", "60000", side="LONG"), Held("BTCUSD_PERP", "-1000", "58000", side="SHORT")]
    exchange = BinanceCoinM(coin_wallets={"BTC": "0.6"}, coin_positions=held, marks={"BTCUSD_PERP": "59000"})
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert account.stated["liquidationPrice:BTCUSD_PERP:LONG"] == account.stated["liquidationPrice:BTCUSD_PERP:SHORT"]


@pytest.mark.parametrize("more", ['options = { defaultType = "delivery" }', 'options = { defaultSubType = "inverse" }'])
def test_the_book_can_name_the_coin_margined_wallet_by_options(tmp_path: Path, more: str) -> None:
    exchange = BinanceExchange(wallets={"USDT": "7"}, coin_wallets={"BTC": "1"})
    assert list(accounts(exchange, tmp_path, more)) == ["coinm/BTC"]


def test_one_request_more_than_balance_and_positions_values_coins(tmp_path: Path) -> None:
    exchange = coin_m()
    scan(exchange, tmp_path, times=2)
    assert [request.path for request in exchange.log] == [
        "/dapi/v1/account", "/dapi/v1/premiumIndex", "/dapi/v1/positionRisk", "/dapi/v1/account",
    ]  # fmt: skip


def test_the_published_account_in_portfolio_margin(tmp_path: Path) -> None:
    """USDT 1000 + 5000 + 600 - 414; BTC (0.1 - 0.04 + 0.1 - 0.05) and ETH (20 - 15) at 95 %; loans at 3x need 10 %."""
    [account] = accounts(portfolio(), tmp_path).values()
    assert (account.market, account.mode, account.line) == ("portfolio", "portfolio", D("1.05"))
    assert matches(account)
    equity = 6186 + 0.11 * 40000 * 0.95 + 5 * 3000 * 0.95
    needed = 10 + 8.4 + 0.00125 * 40000 + 0.004 * 40000 + 1.5 * 3000
    assert float(account.stated["accountEquity"]) == pytest.approx(equity)
    assert float(account.stated["accountMaintMargin"]) == pytest.approx(needed)
    figures = normal(account)
    assert figures.weighted() == pytest.approx(equity)
    assert figures.requirement() == pytest.approx(1.05 * needed)
    assert figures.equity == pytest.approx(6186 + 0.11 * 40000 + 5 * 3000)
    assert [leg.asset.symbol for leg in account.legs if leg.role is Role.DEBT] == ["BTC", "ETH"]
    assert [leg.maintenance_rate for leg in account.legs if leg.role is Role.DEBT] == [D("0.10"), D("0.10")]


def surplus(account: Account, factor: str, ratio: float) -> float:
    """C - R of the engine's normal form with one factor at a multiple of its price."""
    figures = normal(account)

    def at(form: Mapping[Key, float]) -> float:
        return sum(amount * (ratio if key.factor == factor else 1.0) for key, amount in form.items())

    steps = (ladder.forms[sum(at(gate) >= 0 for gate in ladder.gates)] for ladder in figures.ladders)
    return at(figures.c) - at(figures.r) - sum(map(at, steps))


@pytest.mark.parametrize(
    ("exchange", "symbol", "mark"),
    [
        (BinanceExchange(wallets={"USDT": "9000"}, positions=[Held("ETHUSDT", "90", "3050")]), "ETHUSDT", 3000),
        (BinanceExchange(multi=True, wallets={"USDT": "-500", "BTC": "0.5"}, positions=[Held("ETHUSDT", "-10", "2500")]), "ETHUSDT", 3000),
        (BinanceCoinM(coin_wallets={"ETH": "40"}, coin_positions=[Held("ETHUSD_PERP", "60000", "3100")]), "ETHUSD_PERP", 3000),
        (BinanceExchange(portfolio=True, margin={"USDT": ("9000", "0", "0")}, positions=[Held("ETHUSDT", "-30", "2900")]), "ETHUSDT", 3000),
    ],
)
def test_the_engine_dies_where_the_stated_price_is(tmp_path: Path, exchange: BinanceExchange, symbol: str, mark: int) -> None:
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    ratio = float(account.stated[f"liquidationPrice:{symbol}"]) / mark
    size = normal(account).weighted()
    assert surplus(account, "ETH", ratio) == pytest.approx(0, abs=1e-7 * abs(size))
    assert surplus(account, "ETH", 1.0) > 0


def test_a_portfolio_liquidation_price_is_where_the_account_meets_its_line(tmp_path: Path) -> None:
    exchange = portfolio()
    exchange.coin_wallets, exchange.coin_positions, exchange.margin = {}, [], {"USDT": ("1000", "0", "0")}
    exchange.positions, exchange.wallets = [Held("BTCUSDT", "-0.5", "40000")], {"USDT": "0"}
    [account] = accounts(exchange, tmp_path).values()
    price = float(account.stated["liquidationPrice:BTCUSDT"])
    assert 1000 - 0.5 * (price - 40000) == pytest.approx(1.05 * 0.5 * price * 0.005)


def test_a_portfolio_liquidation_price_counts_what_is_owed_by_then_in_full(tmp_path: Path) -> None:
    """0.1 BTC are owned now, at 95 %; at the price where the account dies 1.23 BTC are owed. Their index stays at 40000."""
    exchange = portfolio()
    exchange.margin, exchange.wallets, exchange.positions = {"USDT": ("50000", "0", "0")}, {}, []
    exchange.coin_positions = [Held("BTCUSD_PERP", "1000", "40000")]
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    worth = 40000 * 100_000
    assert float(account.stated["liquidationPrice:BTCUSD_PERP"]) == pytest.approx(worth * (1 + 1.05 * 0.005) / (50000 + 4000 + 100_000))


def test_profit_that_outweighs_what_a_wallet_owes_is_said_where_the_model_counts_less(tmp_path: Path) -> None:
    exchange = portfolio()
    exchange.margin, exchange.wallets, exchange.positions = {"USDT": ("50000", "0", "0")}, {}, []
    exchange.coin_wallets = {"BTC": "-0.1"}
    exchange.coin_positions = [Held("BTCUSD_PERP", "100", "32000")]  # 0.0625 BTC
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert not account.assumptions
    exchange.coin_positions = [Held("BTCUSD_PERP", "300", "32000")]
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert normal(account).weighted() == pytest.approx(float(account.stated["accountEquity"]) - 0.1 * 0.05 * 40000)
    assert account.assumptions == (
        "BTC in the wallet counts at its price, where Binance counts it at 0.9500 of it: the margin is 200.00 USD smaller here",
    )


def test_the_published_ratio_is_cut_and_not_rounded(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        portfolio=True,
        margin={"USDT": ("122607.35137903", "0", "0")},
        positions=[Held("ETHUSDT", "2", "2965.5865075")],
        marks={"ETHUSDT": "2965.5865075"},
    )
    [account] = accounts(exchange, tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.protocol["uniMMR"] == account.stated["uniMMR"] == "5167.92171923"
    assert account.stated["accountMaintMargin"] == "23.72469206"


def test_what_is_owed_counts_in_full(tmp_path: Path) -> None:
    exchange = portfolio()
    exchange.margin["BTC"] = ("0.1", "0.5", "0.001")
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert normal(account).weighted() == pytest.approx(6186 + (0.1 - 0.501 + 0.1 - 0.05) * 40000 + 5 * 3000 * 0.95)


def test_four_requests_read_a_portfolio(tmp_path: Path) -> None:
    exchange = portfolio()
    scan(exchange, tmp_path, times=2)
    paths = ["/papi/v1/account", "/papi/v1/balance", "/papi/v1/um/positionRisk"]
    assert [request.path for request in exchange.log] == [*paths, "/papi/v1/cm/positionRisk"]
    exchange.coin_wallets, exchange.coin_positions = {}, []
    found = scan(exchange, tmp_path, times=2)
    assert [request.path for request in exchange.log] == [*paths, "/sapi/v1/portfolio/asset-index-price"]
    assert matches(found.accounts[0])


def test_a_coin_margined_position_beside_an_empty_wallet_is_found_by_the_sums(tmp_path: Path) -> None:
    exchange = portfolio()
    exchange.coin_wallets = {}

    def hidden(balance: Any) -> Any:
        for row in balance:
            row["cmUnrealizedPNL"] = "0.0"
        return balance

    exchange.coin_positions = [Held("BTCUSD_PERP", "5000", "40000")]
    exchange.faults = [Fault(where="/papi/v1/balance", change=hidden)]
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert "maintMargin:BTCUSD_PERP" in account.stated


def test_sums_that_are_not_the_exchanges_are_told(tmp_path: Path) -> None:
    exchange = portfolio()
    exchange.faults = [changed("/papi/v1/account", lambda answer: answer.update(accountEquity="20000.00000000"))]
    [account] = accounts(exchange, tmp_path).values()
    assert account.self_check is not None
    assert not account.self_check.match


@pytest.mark.parametrize("kind", ["coin", "rate", "leverage"])
def test_what_is_not_told_of_a_coin_is_the_worst(tmp_path: Path, kind: str) -> None:
    exchange = portfolio()
    exchange.coin_wallets, exchange.coin_positions = {}, []
    if kind == "coin":
        del exchange.rates["ETH"]
        exchange.fixed["/papi/v1/account"] = {"uniMMR": "2", "accountEquity": "1", "accountMaintMargin": "1", "accountStatus": "NORMAL"}
    elif kind == "rate":
        exchange.leverages = {"USDT": 10}
    else:
        exchange.without = {"/sapi/v1/portfolio/margin-asset-leverage"}
    [account] = accounts(exchange, tmp_path).values()
    if kind == "coin":
        assert account.assumptions == ("ETH is taken to count for nothing: it has no collateral rate",)
        # a loan counts in full: of 20 ETH, 15 pay it back
        assert in_floats(account, {}).weighted() == pytest.approx(6186 + 0.06 * 40000 * 0.95)
    else:
        assert [leg.maintenance_rate for leg in account.legs if leg.role is Role.DEBT] == [D("0.10"), D("0.10")]
        assert len(account.assumptions) == 2


def test_a_coin_that_neither_counts_nor_is_priced_is_left_out(tmp_path: Path) -> None:
    """The margin wallet may hold a coin that is no collateral of portfolio margin: it is in neither list."""
    exchange = portfolio()
    coin = dict.fromkeys(("crossMarginAsset", "crossMarginFree", "totalWalletBalance"), "12.5") | dict.fromkeys(
        ("crossMarginBorrowed", "crossMarginInterest", "umWalletBalance", "cmWalletBalance", "umUnrealizedPNL", "cmUnrealizedPNL"), "0.0"
    )
    exchange.faults = [changed("/papi/v1/balance", lambda rows: rows.append({"asset": "NEW", **coin}))]
    found = scan(exchange, tmp_path)
    [account] = found.accounts
    assert matches(account)
    assert all(leg.asset.symbol != "NEW" for leg in account.legs)
    assert found.reports[0].notes == ("NEW was left out: it is no collateral of portfolio margin, and has no index price",)


def test_a_coin_that_is_owed_and_not_priced_is_not_left_out(tmp_path: Path) -> None:
    exchange = portfolio()
    del exchange.rates["ETH"]
    exchange.fixed["/papi/v1/account"] = {"uniMMR": "2", "accountEquity": "1", "accountMaintMargin": "1", "accountStatus": "NORMAL"}
    account, _ = unknown(exchange, tmp_path, changed("asset-index-price", lambda rows: rows.pop()))
    assert "ETH has no index price" in account.reason


def _twice(rows: list[Any]) -> None:
    rows.append(dict(rows[0]))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (changed("/papi/v1/account", lambda answer: answer.update(accountStatus="ASLEEP")), "account status ASLEEP is not known"),
        (changed("/papi/v1/account", lambda answer: answer.update(accountEquity="NaN")), "not a number"),
        (changed("/papi/v1/account", lambda answer: answer.pop("uniMMR")), "uniMMR is missing"),
        (changed("/papi/v1/account", lambda answer: answer.update(uniMMR="NaN")), "papi/account.uniMMR is the text 'NaN'"),
        (changed("/papi/v1/account", lambda answer: answer.update(actualEquity={})), "papi/account.actualEquity is an object"),
        (changed("asset-index-price", lambda rows: rows[1].update(assetIndexPrice="0")), "BTC has no index price"),
        (changed("/papi/v1/balance", _twice), "holds USDT twice"),
        (changed("/papi/v1/balance", lambda rows: rows[0].pop("umWalletBalance")), "umWalletBalance is missing"),
        (changed("/papi/v1/um/positionRisk", _twice), "um/positionRisk holds BTCUSDT BOTH twice"),
        (changed("/papi/v1/cm/positionRisk", lambda rows: rows[0].update(markPrice="0")), "BTCUSD_PERP has no mark price"),
        (changed("asset-index-price", lambda rows: rows.pop()), "ETH has no index price"),
    ],
)
def test_a_damaged_portfolio_is_unknown(tmp_path: Path, fault: Fault, reason: str) -> None:
    account, _ = unknown(portfolio(), tmp_path, fault)
    assert reason in account.reason


def test_sums_without_coins_are_refused(tmp_path: Path) -> None:
    exchange = portfolio()
    exchange.positions, exchange.coin_positions = [], []
    account, _ = unknown(exchange, tmp_path, Fault("empty list", "/papi/v1/balance"))
    assert "no coin has a balance" in account.reason


def test_an_unknown_margin_type_is_not_guessed(tmp_path: Path) -> None:
    exchange = coin_m()
    fault = changed("/dapi/v1/positionRisk", lambda rows: [row.update(marginType="shared") for row in rows])
    account, _ = unknown(exchange, tmp_path, fault)
    assert "margin type shared is not known" in account.reason


def test_brackets_of_ones_own_are_said(tmp_path: Path) -> None:
    exchange = coin_m()
    exchange.faults = [changed("/dapi/v2/leverageBracket", lambda rows: [row.update(notionalCoef=1.5) for row in rows])]
    found = accounts(exchange, tmp_path)
    assert found["coinm/ETHUSD_PERP/isolated"].assumptions == ("brackets of ETHUSD_PERP are this account's own, by a coefficient of 1.5",)
    assert len(found["coinm/BTC"].assumptions) == 2


def test_an_empty_portfolio_is_no_account(tmp_path: Path) -> None:
    assert not accounts(BinanceExchange(portfolio=True), tmp_path)


def test_a_portfolio_is_read_by_one_id_alone(tmp_path: Path) -> None:
    exchange = BinanceCoinM(portfolio=True, margin={"USDT": ("1000", "0", "0")})
    [account] = scan(exchange, tmp_path).accounts
    assert account.status == "unknown"
    assert 'name it id = "binance"' in account.reason
