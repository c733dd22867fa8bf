"""Which mode a Binance account is in, what its key may do, how much is asked, and what damaged answers lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from defi_risk.errors import UsageError
from defi_risk.gathering import gather
from defi_risk.model import Account, KeyRights
from tests.exchanges.binance import BinanceCoinM, BinanceExchange, Held
from tests.exchanges.double import Fault, serving
from tests.exchanges.reading import accounts, scan, unknown
from tests.exchanges.test_binance import changed, matches, position

INFO = "/sapi/v1/account/info"
ACCOUNT = "/fapi/v2/account"
RISK = "/fapi/v3/positionRisk"


def short() -> BinanceExchange:
    """A short on ETH beside a long on BTC."""
    return BinanceExchange(
        wallets={"USDT": "12000"},
        positions=[Held("ETHUSDT", "-10", "3000"), Held("BTCUSDT", "0.1", "61000")],
        marks={"ETHUSDT": "3000", "BTCUSDT": "60000"},
    )


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Fault], Account]]:
    """What becomes of the account under a fault, its tables being in the cache."""
    folder = tmp_path_factory.mktemp("damaged")
    exchange = short()
    with serving(exchange) as url:
        book = folder / "book.toml"
        book.write_text(exchange.book(url), "utf-8")

        def under(*faults: Fault) -> Account:
            exchange.faults = list(faults)
            [account] = gather(book=book, cache_dir=folder / "cache", deadline=20).accounts
            return account

        assert under().status == "ok"
        yield under


# modes


def test_the_portfolio_service_tells_the_mode_where_the_flag_is_not_there(tmp_path: Path) -> None:
    exchange = BinanceExchange(portfolio=True, margin={"USDT": ("1000", "0", "0")}, without={INFO})
    assert list(accounts(exchange, tmp_path)) == ["portfolio"]


def test_an_answer_without_the_mode_is_an_unknown_account(tmp_path: Path) -> None:
    account, report = unknown(short(), tmp_path, Fault("empty object", INFO))
    assert "does not tell whether this account is in portfolio margin" in account.reason
    assert report.status == "ok"


def test_funds_in_the_futures_wallet_tell_the_mode_where_nothing_can_be_asked(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {INFO}
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert any("funds in its futures wallet say that it is not" in text for text in account.assumptions)
    exchange.wallets, exchange.positions = {}, []
    account, _ = unknown(exchange, tmp_path)
    assert "the wallet is empty" in account.reason


def test_the_book_may_say_the_mode_of_an_account_that_has_funds(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {INFO}
    [account] = accounts(exchange, tmp_path, "options = { portfolioMargin = false }").values()
    assert matches(account)
    assert any("the book says that it is not" in text for text in account.assumptions)
    exchange.wallets, exchange.positions = {}, []
    [account] = scan(exchange, tmp_path, "options = { portfolioMargin = false }").accounts
    assert account.status == "unknown"
    assert "the wallet is empty" in account.reason


def test_the_book_may_ask_for_the_portfolio(tmp_path: Path) -> None:
    exchange = BinanceExchange(portfolio=True, margin={"USDT": ("1000", "0", "0")}, without={INFO})
    assert list(accounts(exchange, tmp_path, "options = { portfolioMargin = true }")) == ["portfolio"]


def test_an_account_that_is_no_portfolio_is_not_read_as_one(tmp_path: Path) -> None:
    [account] = scan(short(), tmp_path, "options = { portfolioMargin = true }").accounts
    assert account.status == "unknown"


@pytest.mark.parametrize("kind", [BinanceExchange, BinanceCoinM])
def test_an_empty_wallet_is_no_account_once_the_mode_is_sure(tmp_path: Path, kind: type[BinanceExchange]) -> None:
    exchange = kind()
    found = scan(exchange, tmp_path, times=2)
    assert not found.accounts
    assert found.reports[0].status == "ok"
    assert exchange.log[-1].path == INFO


def test_an_empty_wallet_of_an_account_that_went_into_portfolio_margin_is_unknown(tmp_path: Path) -> None:
    moved = changed(INFO, lambda info: info.update(isPortfolioMarginRetailEnabled=True))
    moved.after = 1
    account, _ = unknown(BinanceExchange(), tmp_path, moved)
    assert "went into portfolio margin" in account.reason


@pytest.mark.parametrize("value", ["true", None, 1])
def test_a_damaged_flag_is_never_taken_for_a_mode(tmp_path: Path, value: object) -> None:
    exchange = short()
    exchange.faults = [changed(INFO, lambda info: info.update(isPortfolioMarginRetailEnabled=value))]
    unknown(exchange, tmp_path)


def test_the_mode_is_asked_where_only_the_newer_account_answers(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {ACCOUNT}
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert "/fapi/v1/multiAssetsMargin" in {request.path for request in exchange.log}


def test_an_account_that_tells_no_mode_and_cannot_be_asked_for_it_is_unknown(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {ACCOUNT, "/fapi/v1/multiAssetsMargin"}
    unknown(exchange, tmp_path)


def test_an_older_account_without_the_mode_is_not_used(tmp_path: Path) -> None:
    exchange = short()
    exchange.faults = [changed(ACCOUNT, lambda account: account.pop("multiAssetsMargin"))]
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert "/fapi/v3/account" in {request.path for request in exchange.log}


@pytest.mark.parametrize("more", ['options = { defaultType = "option" }', 'options = { defaultType = "spot" }'])
def test_a_wallet_that_is_none_of_futures_is_unknown(tmp_path: Path, more: str) -> None:
    [account] = scan(short(), tmp_path, more).accounts
    assert "name no futures wallet" in account.reason


def two(tmp_path: Path, *entries: tuple[str, str]) -> list[Account]:
    """Accounts of two entries of a book that have one key."""
    exchange = BinanceExchange(wallets={"USDT": "100"}, coin_wallets={"BTC": "1"})
    with serving(exchange) as url:
        tables = [exchange.book(url, f"entry-{number}", more) for number, (_, more) in enumerate(entries)]
        book = tmp_path / "book.toml"
        text = "".join(table.replace('id = "binance"', f'id = "{name}"') for table, (name, _) in zip(tables, entries, strict=True))
        book.write_text(text, "utf-8")
        return list(gather(book=book, cache_dir=None, deadline=20).accounts)


INVERSE = 'options = { defaultType = "delivery" }'


@pytest.mark.parametrize(
    "entries",
    [
        (("binance", ""), ("binanceusdm", "")),
        (("binance", 'options = { defaultType = "future" }'), ("binance", "options = { portfolioMargin = false }")),
        (("binance", INVERSE), ("binancecoinm", "")),
    ],
)
def test_one_wallet_under_two_names_is_refused(tmp_path: Path, entries: tuple[tuple[str, str], tuple[str, str]]) -> None:
    with pytest.raises(UsageError, match="entry-0 and entry-1 are one account"):
        two(tmp_path, *entries)


@pytest.mark.parametrize("other", [("binance", INVERSE), ("binancecoinm", "")])
def test_both_wallets_of_one_key_are_read(tmp_path: Path, other: tuple[str, str]) -> None:
    found = two(tmp_path, ("binance", ""), other)
    assert [account.id for account in found] == ["entry-0/usdm/USDT", "entry-1/coinm/BTC"]
    assert all(map(matches, found))


# requests and clock


@pytest.mark.parametrize(("multi", "most"), [(False, 3), (True, 4)])
def test_a_second_scan_takes_at_most_four_requests(tmp_path: Path, multi: bool, most: int) -> None:
    exchange = short()
    exchange.multi = multi
    found = scan(exchange, tmp_path, times=2)
    assert matches(found.accounts[0])
    assert len(exchange.log) == found.reports[0].calls == most


@pytest.mark.parametrize("skew", [-90, 90])
def test_another_clock_does_not_matter(tmp_path: Path, skew: int) -> None:
    exchange = short()
    exchange.skew = skew
    found = scan(exchange, tmp_path)
    assert matches(found.accounts[0])
    assert any("clock" in note for note in found.reports[0].notes)


def test_an_account_that_moved_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    exchange = short()
    times = iter(["1", "2"])
    traded = changed(ACCOUNT, lambda account: account["assets"][0].update(walletBalance=next(times, "12000.00000000")))
    traded.times = 2
    exchange.faults = [traded]
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    paths = [request.path for request in exchange.log if request.path in (ACCOUNT, RISK)]
    assert paths == [ACCOUNT, RISK, ACCOUNT, RISK, ACCOUNT, RISK, ACCOUNT]


# rights


@pytest.mark.parametrize(
    ("more", "rights"),
    [
        ({}, KeyRights(trade=False, withdraw=False, bound=True)),
        ({"enableFutures": True, "ipRestrict": False}, KeyRights(trade=True, withdraw=False, bound=False)),
        ({"enableSpotAndMarginTrading": True}, KeyRights(trade=True, withdraw=False, bound=True)),
        ({"enablePortfolioMarginTrading": True}, KeyRights(trade=True, withdraw=False, bound=True)),
        ({"enableWithdrawals": True}, KeyRights(trade=False, withdraw=True, bound=True)),
        ({"permitsUniversalTransfer": True}, KeyRights(trade=False, withdraw=True, bound=True)),
        ({"enableFutures": None, "enableWithdrawals": None, "ipRestrict": None}, KeyRights()),
    ],
)
def test_rights_of_the_key(tmp_path: Path, more: dict[str, Any], rights: KeyRights) -> None:
    exchange = BinanceExchange(wallets={"USDT": "1"})
    exchange.rights |= more
    assert scan(exchange, tmp_path).reports[0].key == rights


# tables


def test_bundled_brackets_stand_in_where_the_key_may_not_read_them(tmp_path: Path) -> None:
    exchange = BinanceExchange(wallets={"USDT": "9000"}, positions=[Held("BTCUSDT", "1", "60000")], marks={"BTCUSDT": "60000"})
    exchange.tiers = {"BTCUSDT": (("0", "0.004"), ("300000", "0.005"))}
    exchange.without = {"/fapi/v1/leverageBracket"}
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert account.assumptions == ("brackets of BTCUSDT are those published on 2026-09-01: the exchange did not give them now",)
    exchange.positions = [Held("ETHUSDT", "1", "3000")]
    [account] = scan(exchange, tmp_path).accounts
    assert "no maintenance brackets of ETHUSDT are known" in account.reason


def test_brackets_that_do_not_meet_are_refused(tmp_path: Path) -> None:
    exchange = short()
    table = changed("/fapi/v1/leverageBracket", lambda rows: [row["brackets"][2].update(cum=0) for row in rows])
    account, _ = unknown(exchange, tmp_path, table)
    assert "do not meet at 250000" in account.reason


def test_a_contract_younger_than_the_list_is_looked_up_again(tmp_path: Path) -> None:
    exchange = short()
    exchange.positions.append(Held("NEWUSDT", "5", "2"))
    exchange.marks["NEWUSDT"] = "2.5"
    old = changed("/fapi/v1/exchangeInfo", lambda info: info["symbols"].pop(2))
    older = changed("/fapi/v1/leverageBracket", lambda rows: rows.pop(2))
    old.times = older.times = 1
    exchange.faults = [old, older]
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert account.legs[3].factor == "NEW"


def test_funding_that_is_not_told_is_a_note(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {"/fapi/v1/premiumIndex"}
    found = scan(exchange, tmp_path)
    assert matches(found.accounts[0])
    assert any("funding rates are not known" in note for note in found.reports[0].notes)


def test_funding_without_its_interval_is_not_guessed(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {"/fapi/v1/fundingInfo"}
    found = scan(exchange, tmp_path)
    assert any("funding intervals are not known" in note for note in found.reports[0].notes)
    held = position(found.accounts[0], "ETHUSDT")
    assert held.funding_8h is None
    assert held.index == 3000


def test_dollar_coins_without_an_index_are_at_par(tmp_path: Path) -> None:
    exchange = short()
    exchange.without = {"/fapi/v1/assetIndex"}
    [account] = accounts(exchange, tmp_path).values()
    assert account.legs[0].price is not None
    assert str(account.legs[0].price.value) == "1"
    assert any("USDT" in text for text in account.assumptions)


# what the exchange shows against ours


@pytest.mark.parametrize(("shown", "fits"), [("4300.00000000", False), ("0", False)])
def test_a_planted_liquidation_price_is_a_mismatch(tmp_path: Path, shown: str, fits: bool) -> None:
    exchange = short()
    exchange.faults = [changed(RISK, lambda rows: rows[0].update(liquidationPrice=shown))]
    [account] = accounts(exchange, tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.match is fits
    assert account.self_check.protocol["liquidationPrice:ETHUSDT"] == shown


def test_planted_maintenance_is_a_mismatch(tmp_path: Path) -> None:
    exchange = short()
    exchange.faults = [changed(ACCOUNT, lambda account: account["positions"][0].update(maintMargin="121.00000000"))]
    [account] = accounts(exchange, tmp_path).values()
    assert account.self_check is not None
    assert not account.self_check.match


# damaged answers


def _twice(rows: list[Any], side: str = "BOTH") -> None:
    rows.append({**rows[0], "positionSide": side} if "positionSide" in rows[0] else dict(rows[0]))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (changed(ACCOUNT, lambda account: _twice(account["positions"])), "account holds ETHUSDT BOTH twice"),
        (changed(RISK, _twice), "positionRisk holds ETHUSDT BOTH twice"),
        (changed(ACCOUNT, lambda account: _twice(account["assets"])), "holds USDT twice"),
        (changed(RISK, lambda rows: rows.pop()), "do not hold the same contracts"),
        (changed(RISK, lambda rows: rows[0].update(positionAmt="-11")), "hold another size of ETHUSDT"),
        (changed(ACCOUNT, lambda account: account["assets"][0].update(crossWalletBalance="NaN")), "not a number"),
        (changed(ACCOUNT, lambda account: account["positions"][0].pop("maintMargin")), "maintMargin is missing"),
        (changed(ACCOUNT, lambda account: account.pop("assets")), "account.assets is missing"),
        (changed(ACCOUNT, lambda account: account.update(multiAssetsMargin="no")), "not true or false"),
        (changed(RISK, lambda rows: rows[0].update(markPrice="0")), "no mark price"),
        (changed(RISK, lambda rows: rows[0].update(entryPrice="-1")), "cannot be"),
        (changed(ACCOUNT, lambda account: account["positions"][0].update(positionSide="UP")), "position side UP is not known"),
        (changed(ACCOUNT, lambda account: account["positions"][0].update(isolatedWallet="5")), "cross, and has an isolated wallet"),
        (
            changed(ACCOUNT, lambda account: account["assets"][0].update(crossUnPnl="NaN")),
            "assets[0].crossUnPnl is the text 'NaN'",
        ),
        (changed(ACCOUNT, lambda account: account["assets"][0].update(maintMargin="")), "assets[0].maintMargin is an empty text"),
        (changed(ACCOUNT, lambda account: account["assets"][0].update(marginBalance=[])), "assets[0].marginBalance is an array"),
        (changed(ACCOUNT, lambda account: account.update(totalWalletBalance="NaN")), "totalWalletBalance is the text 'NaN'"),
        (changed(ACCOUNT, lambda account: _twice(account["positions"], "SHORT")), "holds ETHUSDT in one-way and in hedge mode"),
        (changed(ACCOUNT, lambda account: account["positions"][0].update(isolated=True)), "isolated, and has no wallet"),
        (changed(RISK, lambda rows: rows[0].update(notional="0")), "ETHUSDT has no mark price, or no notional"),
        (Fault("empty list", ACCOUNT), ""),
        (Fault("empty list", RISK), "do not hold the same contracts"),
        (changed(RISK, lambda rows: rows[0].update(symbol="ETHUSDC")), "do not hold the same contracts"),
        (Fault("html", RISK), "no JSON"),
        (Fault("nothing", RISK), "no JSON"),
        (Fault("cut", RISK), "broke off its answer"),
    ],
)
def test_a_damaged_answer_makes_the_account_unknown(damaged: Callable[[Fault], Account], fault: Fault, reason: str) -> None:
    account = damaged(fault)
    assert account.status == "unknown"
    assert not account.legs
    assert reason in account.reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (changed("/fapi/v1/exchangeInfo", lambda info: info.update(symbols=[])), "ETHUSDT is in no list of usdm contracts"),
        (changed("/fapi/v1/exchangeInfo", lambda info: info["symbols"][1].update(marginAsset="BNFCR")), "settles in BNFCR"),
        (changed("/fapi/v1/exchangeInfo", lambda info: info["symbols"][1].update(deliveryDate=0)), "symbols[1].deliveryDate is 0"),
        (
            changed("/fapi/v1/fundingInfo", lambda rows: rows.append({"symbol": "ETHUSDT", "fundingIntervalHours": 0})),
            "interval of 0 hours",
        ),
        (
            changed("/fapi/v1/leverageBracket", lambda rows: rows[1]["brackets"][0].update(maintMarginRatio=0)),
            "a bracket of ETHUSDT has no maintenance rate",
        ),
        (Fault("html", "/fapi/v1/exchangeInfo"), "no JSON"),
        (Fault("empty object", INFO), "does not tell whether"),
    ],
)
def test_a_damaged_table_makes_the_account_unknown(tmp_path: Path, fault: Fault, reason: str) -> None:
    account, _ = unknown(short(), tmp_path, fault)
    assert reason in account.reason


@pytest.mark.parametrize("name", ["totalWalletBalance", "totalMarginBalance", "totalMaintMargin"])
@pytest.mark.parametrize("value", ["NaN", "", None, {}, "1e999"])
def test_damaged_sums_make_a_multi_assets_account_unknown(tmp_path: Path, name: str, value: object) -> None:
    exchange = BinanceExchange(multi=True, wallets={"USDT": "100"})
    account, _ = unknown(exchange, tmp_path, changed(ACCOUNT, lambda account: account.update({name: value})))
    assert account.reason.startswith(f"account.{name} is")


def test_a_coin_without_a_name_is_refused(tmp_path: Path) -> None:
    exchange = BinanceExchange(multi=True, wallets={"USDT": "100"})
    account, _ = unknown(exchange, tmp_path, changed(ACCOUNT, lambda account: account["assets"][0].update(asset="")))
    assert "is in no index of multi-assets mode" in account.reason


def test_a_balance_that_is_not_the_sum_of_cross_and_isolated_wallets_is_a_mismatch(tmp_path: Path) -> None:
    exchange = BinanceCoinM(coin_wallets={"ETH": "10"}, coin_positions=[Held("ETHUSD_PERP", "-900", "2900", isolated="0.4")])
    assert matches(accounts(exchange, tmp_path)["coinm/ETH"])
    exchange.faults = [changed("/dapi/v1/account", lambda account: account["assets"][0].update(crossWalletBalance="100.00000000"))]
    account = accounts(exchange, tmp_path)["coinm/ETH"]
    assert account.self_check is not None
    assert not account.self_check.match


def test_a_mode_that_changes_while_the_account_is_read_is_read_again(tmp_path: Path) -> None:
    earlier = changed(ACCOUNT, lambda account: account.update(multiAssetsMargin=False))
    earlier.times = 1
    [account] = accounts(BinanceExchange(multi=True, wallets={"USDT": "100"}, faults=[earlier]), tmp_path).values()
    assert account.mode == "multi-asset"
    assert matches(account)


def test_a_mode_that_is_not_the_one_told_is_a_mismatch(tmp_path: Path) -> None:
    """The newer account does not tell its mode: the sum of an account in multi-assets mode is not that of USDT alone."""
    exchange = BinanceExchange(multi=True, wallets={"USDT": "100", "USDC": "50"}, without={ACCOUNT})
    exchange.faults = [changed("/fapi/v1/multiAssetsMargin", lambda answer: answer.update(multiAssetsMargin=False))]
    account = accounts(exchange, tmp_path)["usdm/USDT"]
    assert account.self_check is not None
    assert not account.self_check.match


def test_a_coin_that_vanishes_from_the_list_is_missed(tmp_path: Path) -> None:
    exchange = BinanceExchange(wallets={"USDT": "100", "USDC": "50"})
    account, _ = unknown(exchange, tmp_path, changed(ACCOUNT, lambda account: account["assets"].pop(0)))
    assert "totalWalletBalance is 100.00000000, and no USDT has a balance" in account.reason


def test_sums_without_coins_are_refused(tmp_path: Path) -> None:
    exchange = BinanceExchange(multi=True, wallets={"USDT": "100"})
    account, _ = unknown(exchange, tmp_path, changed(ACCOUNT, lambda account: account.update(assets=[])))
    assert "no coin has a balance" in account.reason


def test_an_isolated_position_in_multi_assets_mode_is_refused(tmp_path: Path) -> None:
    exchange = BinanceExchange(multi=True, wallets={"USDT": "100"}, positions=[Held("ETHUSDT", "1", "3000", isolated="300")])
    account, _ = unknown(exchange, tmp_path)
    assert "isolated in multi-assets mode" in account.reason


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("bad key", "does not accept the key"),
        ("permission", "the key"),
        ("address", "the key"),
        ("maintenance", "maintenance"),
        ("rate", "fewer requests"),
    ],
)
def test_a_refusal_is_said_in_one_line(tmp_path: Path, kind: str, says: str) -> None:
    exchange = short()
    account, report = unknown(exchange, tmp_path, Fault(kind, "/account"))
    assert report.status == "failed"
    assert says in report.error
    assert "dummy" not in report.error + account.reason
