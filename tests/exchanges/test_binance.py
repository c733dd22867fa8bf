"""Binance USDⓈ-M futures: single-asset and multi-assets mode, hedges, isolated positions, dated futures, published and recorded figures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk import exchange_rules
from defi_risk.health.normal import Normal, in_floats
from defi_risk.model import Account, Position, Role
from tests.exchanges.binance import DELIVERY, BinanceCoinM, BinanceExchange, Held
from tests.exchanges.double import Fault, serving
from tests.exchanges.reading import accounts, scan

D = Decimal
OLD_TIERS: Final = (("0", "0.004"), ("50000", "0.005"), ("250000", "0.01"), ("1000000", "0.025"), ("10000000", "0.05"))
"""The old published BTC table; its deductions are 0, 50, 1300, 16300, 266300."""
RECORDED: Final[dict[str, Any]] = {
    # ccxt/ccxt, ts/src/test/static/response/binance.json, fetchPositions by the account's answer (MIT)
    "/fapi/v3/account": {
        "totalInitialMargin": "7.59482199",
        "totalMaintMargin": "2.43034303",
        "totalWalletBalance": "25.72610060",
        "totalUnrealizedProfit": "0.54230362",
        "totalMarginBalance": "26.26840422",
        "totalCrossWalletBalance": "25.72610060",
        "totalCrossUnPnl": "0.54230362",
        "assets": [
            {
                "asset": "USDT",
                "walletBalance": "3.72964781",
                "unrealizedProfit": "0.54238506",
                "marginBalance": "4.27203287",
                "maintMargin": "2.43022194",
                "crossWalletBalance": "3.72964781",
                "crossUnPnl": "0.54238506",
                "updateTime": "1722161166529",
            },
            {
                "asset": "USDC",
                "walletBalance": "22.00000000",
                "unrealizedProfit": "0.00000000",
                "marginBalance": "22.00000000",
                "maintMargin": "0.00000000",
                "crossWalletBalance": "22.00000000",
                "crossUnPnl": "0.00000000",
                "updateTime": "1721991855073",
            },
        ],
        "positions": [
            {
                "symbol": "BTCUSDT",
                "positionSide": "BOTH",
                "positionAmt": "0.009",
                "unrealizedProfit": "0.54238506",
                "isolatedMargin": "0",
                "notional": "607.55548506",
                "isolatedWallet": "0",
                "initialMargin": "7.59444356",
                "maintMargin": "2.43022194",
                "updateTime": "1722161166529",
            }
        ],
    },
    # the same file and account a moment earlier, by the positions' answer
    "/fapi/v3/positionRisk": [
        {
            "symbol": "BTCUSDT",
            "positionSide": "BOTH",
            "positionAmt": "0.009",
            "entryPrice": "67445.9",
            "breakEvenPrice": "67479.62295",
            "markPrice": "67502.68519858",
            "unRealizedProfit": "0.51106678",
            "liquidationPrice": "64846.98753790",
            "isolatedMargin": "0",
            "notional": "607.52416678",
            "marginAsset": "USDT",
            "isolatedWallet": "0",
            "initialMargin": "7.59405208",
            "maintMargin": "2.43009666",
            "positionInitialMargin": "7.59405208",
            "updateTime": "1722161166529",
        }
    ],
}


def changed(where: str, change: Callable[[Any], object]) -> Fault:
    """A fault that alters a right answer in place."""

    def altered(answer: Any) -> Any:
        change(answer)
        return answer

    return Fault(where=where, change=altered)


def normal(account: Account) -> Normal[float]:
    """The account in USD, as the engine computes it."""
    return in_floats(account, {})


def position(account: Account, symbol: str) -> Position:
    """The position in a contract."""
    [found] = [leg.position for leg in account.legs if leg.asset.symbol == symbol and leg.position is not None]
    return found


def matches(account: Account) -> bool:
    """Whether the exchange's own figures are ours; every number it told must be among them."""
    assert account.status == "ok", account.reason
    assert account.self_check is not None
    assert account.self_check.protocol
    return account.self_check.match


def test_each_margin_coin_is_an_account_of_its_own(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        wallets={"USDT": "12000", "USDC": "700"},
        positions=[Held("ETHUSDT", "-10", "3000"), Held("BTCUSDC", "0.1", "61000", leverage=10)],
        marks={"ETHUSDT": "3000", "BTCUSDC": "59990"},
        funding={"ETHUSDT": ("0.00010000", 8), "BTCUSDC": ("-0.00020000", 4)},
    )
    found = accounts(exchange, tmp_path)
    assert list(found) == ["usdm/USDT", "usdm/USDC"]
    dollar, other = found.values()
    assert dollar.id == "binance-main/usdm/USDT"
    assert (dollar.mode, dollar.venue, dollar.strict, dollar.rule.remainder) == ("cross", "Binance", False, "refunded")
    assert matches(dollar)
    assert matches(other)
    assert normal(dollar).weighted() == pytest.approx(12000)
    assert normal(dollar).requirement() == pytest.approx(120)
    assert dollar.stated["marginRatio"] == "0.01000000"
    short, long = position(dollar, "ETHUSDT"), position(other, "BTCUSDC")
    assert (short.size, short.funding_8h, short.initial_rate, short.index) == (D(-10), D("0.0001"), D("0.05"), D(3000))
    assert (long.size, long.funding_8h, long.initial_rate) == (D("0.1"), D("-0.0004"), D("0.1"))
    assert long.index is not None
    assert round(long.index) == 60000
    assert other.legs[0].price is not None
    assert str(other.legs[0].price.value) == "0.9999"


def test_bundled_brackets_meet_at_their_floors() -> None:
    tables = exchange_rules.tiers("binance", date(2026, 11, 22))
    assert sorted(tables) == ["BTCUSDC", "BTCUSDT", "DOGEUSDT", "SOLUSDT"]
    for table in tables.values():
        for lower, upper in zip(table.tiers, table.tiers[1:], strict=False):
            assert upper.floor * lower.rate - lower.deduction == upper.floor * upper.rate - upper.deduction


def test_where_the_requirement_jumps_the_liquidation_price_is_the_edge(tmp_path: Path) -> None:
    """Deductions are rounded: what is needed at 2500 is less by 11.70 than below it, and the account has 5 to lose there."""
    exchange = BinanceExchange(
        wallets={"USDT": "51193.3"},
        positions=[Held("ETHUSDT", "100", "3000")],
        marks={"ETHUSDT": "3000"},
        faults=[changed("/fapi/v1/leverageBracket", lambda rows: [row["brackets"][2].update(cum=1311.7) for row in rows])],
    )
    [account] = accounts(exchange, tmp_path).values()
    assert account.stated["liquidationPrice:ETHUSDT"] == "2500.00000000"


def test_both_sides_of_a_hedge_have_one_liquidation_price(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        wallets={"USDT": "5000"},
        positions=[Held("ETHUSDT", "-10", "2900", side="SHORT"), Held("ETHUSDT", "25", "3000", side="LONG")],
        marks={"ETHUSDT": "3000"},
    )
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert account.stated["liquidationPrice:ETHUSDT:LONG"] == account.stated["liquidationPrice:ETHUSDT:SHORT"] == "2760.36400404"
    assert normal(account).requirement() == pytest.approx(445)


def test_an_isolated_position_is_an_account_of_its_own(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        wallets={"USDT": "1000"},
        positions=[
            Held("BTCUSDT", "0.5", "61000", isolated="3000", side="LONG"),
            Held("BTCUSDT", "-0.2", "59000", isolated="900", side="SHORT"),
            Held("ETHUSDT", "1", "3000"),
        ],
        marks={"BTCUSDT": "60000", "ETHUSDT": "3000"},
    )
    found = accounts(exchange, tmp_path)
    assert list(found) == ["usdm/USDT", "usdm/BTCUSDT/LONG/isolated", "usdm/BTCUSDT/SHORT/isolated"]
    assert all(map(matches, found.values()))
    assert [round(normal(one).weighted()) for one in found.values()] == [1000, 2500, 700]
    long = found["usdm/BTCUSDT/LONG/isolated"]
    assert (long.mode, long.rule.remainder, long.stated["liquidationPrice:BTCUSDT:LONG"]) == ("isolated", "lost", "55220.88353413")


def test_a_dated_future_expires_and_earns_no_funding(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        wallets={"USDT": "9000"}, positions=[Held("BTCUSDT_261225", "-0.2", "61500")], marks={"BTCUSDT_261225": "61200"}
    )
    [account] = accounts(exchange, tmp_path).values()
    dated = position(account, "BTCUSDT_261225")
    assert (dated.expires, dated.funding_8h) == (DELIVERY // 1_000, None)
    assert dated.index is not None
    assert round(dated.index, 6) == 60000
    assert account.legs[1].factor == "BTC"
    assert matches(account)


def test_the_published_example_of_a_cross_liquidation_price(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        wallets={"USDT": "2000"},
        positions=[Held("BTCUSDT", "1", "20000")],
        marks={"BTCUSDT": "20000"},
        tiers={"BTCUSDT": (("0", "0.004"),)},
    )
    [account] = accounts(exchange, tmp_path).values()
    assert round(D(account.stated["liquidationPrice:BTCUSDT"]), 2) == D("18072.29")
    assert matches(account)


@pytest.mark.parametrize(("isolated", "price"), [("", "1153.26"), ("1535443.01", "1114.78")])
def test_the_published_example_of_two_positions(tmp_path: Path, isolated: str, price: str) -> None:
    """Binance FAQ, liquidation price of USDⓈ-M futures: the other position needs 71200.81144 and has lost 56354.57."""
    exchange = BinanceExchange(
        wallets={"USDT": "0" if isolated else "1535443.01"},
        positions=[Held("ETHUSDT", "3683.979", "1456.84", isolated=isolated), Held("BTCUSDT", "109.488", "32481.980")],
        marks={"ETHUSDT": "1335.18", "BTCUSDT": "31967.27"},
        tiers={"ETHUSDT": (("0", "0.05"), ("2707300", "0.1")), "BTCUSDT": OLD_TIERS},  # 2707300 * 5 % = 135365
    )
    found = accounts(exchange, tmp_path)
    account = found["usdm/ETHUSDT/isolated" if isolated else "usdm/USDT"]
    assert round(D(account.stated["liquidationPrice:ETHUSDT"]), 2) == D(price)
    other = found["usdm/USDT"]
    assert other.stated["maintMargin:BTCUSDT"] == "71200.81144400"
    assert position(other, "BTCUSDT").unrealized_pnl == pytest.approx(D("-56354.57"), abs=D("0.01"))
    assert matches(account)


def test_maintenance_by_the_old_published_table(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        wallets={"USDT": "500000"}, positions=[Held("BTCUSDT", "100", "30000")], marks={"BTCUSDT": "30000"}, tiers={"BTCUSDT": OLD_TIERS}
    )
    [account] = accounts(exchange, tmp_path).values()
    assert [tier.deduction for tier in position(account, "BTCUSDT").tiers] == [0, 50, 1300, 16300, 266300]
    assert account.stated["maintMargin:BTCUSDT"] == "58700.00000000"
    assert normal(account).requirement() == pytest.approx(58700)


def test_a_recorded_multi_assets_account_has_its_own_ratio(tmp_path: Path) -> None:
    """0.0925 is 2.43034303 / 26.26840422, both told by the account. 0.0945 is what ccxt derives from a leg, and in its coin it is 0.57."""
    exchange = BinanceExchange(multi=True, without={"/fapi/v2/account"}, fixed=RECORDED)
    exchange.tiers["BTCUSDT"] = (("0", "0.004"), ("50000", "0.005"), ("250000", "0.01"))
    # the rates that the recorded sums were made with: 0.54230362 / 0.54238506 is the bid, 2.43034303 / 2.43022194 the ask rate of USDT
    exchange.index |= {"USDT": ("0.99994984", "0.0001", "0.0001"), "USDC": ("0.99996421", "0.0001", "0.0001")}
    [account] = accounts(exchange, tmp_path).values()
    assert (account.market, account.mode) == ("usdm", "multi-asset")
    assert matches(account)
    assert account.self_check is not None
    told = account.self_check.protocol
    assert {name: told[name] for name in ("totalMarginBalance", "totalMaintMargin", "walletBalance:USDC", "maintMargin:BTCUSDT")} == {
        "totalMarginBalance": "26.26840422",
        "totalMaintMargin": "2.43034303",
        "walletBalance:USDC": "22.00000000",
        "maintMargin:BTCUSDT": "2.43022194",
    }
    assert account.stated["totalMaintMargin"] == "2.43034305"
    assert account.stated["maintMargin:BTCUSDT"] == "2.43022194"
    assert round(D(account.stated["totalMarginBalance"]), 5) == D("26.26840")
    assert round(D(account.stated["marginRatio"]), 4) == D("0.0925")
    assert normal(account).requirement() / normal(account).weighted() == pytest.approx(0.0925196, rel=1e-6)
    # the exchange's is of another moment's index prices: 64846.79 and 64846.99 within seconds
    assert told["liquidationPrice:BTCUSDT"] == "64846.98753790"
    assert abs(D(account.stated["liquidationPrice:BTCUSDT"]) - D("64846.9")) < D("0.15")


def test_multi_assets_mode_counts_what_is_owned_at_less_and_what_is_owed_at_more(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        multi=True,
        wallets={"USDT": "500", "BTC": "0.5"},
        positions=[Held("ETHUSDT", "-10", "2900"), Held("BTCUSDT", "1.5", "61000")],
        marks={"ETHUSDT": "3000", "BTCUSDT": "60000"},
    )
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert account.stated["totalMarginBalance"] == "26499.80000000"  # 28500 of BTC - 2000 of USDT at 1.0001
    assert account.stated["totalMaintMargin"] == "520.05200000"
    # the 500 USDT that stand in the wallet count at no more than their price
    assert normal(account).weighted() == pytest.approx(28500 + 500 - 2500 * 1.0001, abs=1e-6)
    assert normal(account).requirement() == pytest.approx(520.052)
    exchange.wallets["USDT"] = "5000"
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert normal(account).weighted() == pytest.approx(28500 + 2500 * 0.9999)


def test_a_coin_that_is_no_margin_in_multi_assets_mode_counts_nothing(tmp_path: Path) -> None:
    def no_margin(account: Any) -> Any:
        account["assets"][1]["marginAvailable"] = False
        account["totalWalletBalance"] = account["totalMarginBalance"] = "499.95000000"
        return account

    exchange = BinanceExchange(
        multi=True, wallets={"USDT": "500", "BTC": "0.5"}, faults=[Fault(where="/fapi/v2/account", change=no_margin)]
    )
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    assert [leg.enabled for leg in account.legs] == [True, False]
    assert normal(account).weighted() == pytest.approx(499.95)


def test_earning_dollars_and_credits_follow_their_dollar(tmp_path: Path) -> None:
    """Binance margins futures with USDT in Earn (LDUSDT) and RWUSD, and settles them in credits (BNFCR) in the European Union."""
    dollar = ("1.00000000", "0.001", "0.001")
    exchange = BinanceExchange(
        multi=True,
        wallets={"USDC": "500", "LDUSDT": "1000", "RWUSD": "300", "BNFCR": "-37.5"},
        positions=[Held("BTCUSDC", "0.1", "59000")],
        marks={"BTCUSDC": "60000"},
    )
    exchange.index |= dict.fromkeys(("LDUSDT", "RWUSD", "BNFCR"), dollar)
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    factors = {leg.asset.symbol: (leg.factor, leg.peg) for leg in account.legs if leg.role is Role.MARGIN}
    assert factors == {
        "USDC": ("USDC", None),
        "LDUSDT": ("USDT", "LDUSDT/USDT"),
        "RWUSD": ("USD", "RWUSD/USD"),
        "BNFCR": ("USD", "BNFCR/USD"),
    }


def test_a_coin_that_is_no_margin_and_has_no_index_is_left_out(tmp_path: Path) -> None:
    exchange = BinanceExchange(multi=True, wallets={"USDT": "500"}, positions=[Held("ETHUSDT", "1", "3000")], marks={"ETHUSDT": "3000"})
    dust = {"asset": "BUSD", "walletBalance": "0.01000000", "crossWalletBalance": "0.01000000", "updateTime": 1_722_161_166_529}
    exchange.faults = [changed("/fapi/v2/account", lambda account: account["assets"].insert(1, {**dust, "marginAvailable": False}))]
    found = scan(exchange, tmp_path)
    [account] = found.accounts
    assert matches(account)
    assert [leg.asset.symbol for leg in account.legs if leg.role is Role.MARGIN] == ["USDT"]
    assert found.reports[0].notes[0] == "BUSD was left out: it is no margin in multi-assets mode, and has no index price"


def test_funds_without_positions_are_an_account(tmp_path: Path) -> None:
    found = accounts(BinanceExchange(wallets={"USDT": "250.5", "BTC": "0.1"}), tmp_path)
    assert list(found) == ["usdm/USDT", "usdm/BTC"]
    assert [leg.role for account in found.values() for leg in account.legs] == [Role.MARGIN, Role.MARGIN]
    assert all(map(matches, found.values()))


def never(coin: str, where: str = "/fapi/v2/account", **sums: str) -> Fault:
    """The account with sums of its own and an entry that was never updated."""

    def change(account: Any) -> None:
        account.update(sums)
        next(row for row in account["assets"] if row["asset"] == coin)["updateTime"] = 0

    return changed(where, change)


@pytest.mark.parametrize(
    ("sums", "markets"),
    [
        ({"totalWalletBalance": "5949.97500000", "totalMarginBalance": "5949.97500000"}, [D("249.975"), D(5700)]),
        ({"totalWalletBalance": "249.97500000", "totalMarginBalance": "249.97500000"}, [D("249.975")]),
        ({"totalWalletBalance": "900.00000000"}, None),
    ],
)
def test_the_accounts_own_sum_tells_whether_an_entry_that_was_never_updated_counts(
    tmp_path: Path, sums: dict[str, str], markets: list[Decimal] | None
) -> None:
    exchange = BinanceExchange(multi=True, wallets={"USDT": "250", "BTC": "0.1"}, faults=[never("BTC", **sums)])
    found = scan(exchange, tmp_path)
    [account] = found.accounts
    if markets is None:
        assert account.status == "unknown"
        assert "totalWalletBalance is the sum neither with nor without BTC" in account.reason
        return
    assert matches(account)
    assert [holding.counts[holding.key] for holding in normal(account).holdings] == [pytest.approx(float(one)) for one in markets]
    assert any("BTC was left out" in note for note in found.reports[0].notes) is (len(markets) == 1)


@pytest.mark.parametrize(("total", "status"), [("250.00000000", "ok"), ("0.00000000", ""), ("17.00000000", "unknown")])
def test_the_sum_of_a_single_asset_account_tells_of_usdt(tmp_path: Path, total: str, status: str) -> None:
    exchange = BinanceExchange(wallets={"USDT": "250", "USDC": "9"}, faults=[never("USDT", totalWalletBalance=total)])
    found = scan(exchange, tmp_path)
    states = {account.market: account.status for account in found.accounts}
    assert states == {**({"usdm/USDT": status} if status else {}), "usdm/USDC": "ok"}
    assert any("USDT was left out" in note for note in found.reports[0].notes) is (not status)


@pytest.mark.parametrize(
    ("kind", "family", "where"), [(BinanceExchange, "usdm", "/fapi/v2/account"), (BinanceCoinM, "coinm", "/dapi/v1/account")]
)
def test_an_entry_that_was_never_updated_and_that_no_sum_tells_of_is_unknown(
    tmp_path: Path, kind: type[BinanceExchange], family: str, where: str
) -> None:
    exchange = kind(wallets={"USDT": "250", "BTC": "0.1"}, coin_wallets={"ETH": "2", "BTC": "0.1"}, faults=[never("BTC", where)])
    first, second = accounts(exchange, tmp_path).values()
    assert matches(first)
    assert (second.market, second.status) == (f"{family}/BTC", "unknown")
    assert "0.10000000 BTC stand in an entry that the exchange has never updated" in second.reason


def test_losses_that_exceed_a_wallet_are_said_where_the_model_counts_less(tmp_path: Path) -> None:
    exchange = BinanceExchange(
        multi=True, wallets={"USDT": "2000", "BTC": "0.5"}, positions=[Held("ETHUSDT", "-10", "2700")], marks={"ETHUSDT": "3000"}
    )
    [account] = accounts(exchange, tmp_path).values()
    assert matches(account)
    missing = float(account.stated["totalMarginBalance"]) - normal(account).weighted()
    assert missing == pytest.approx(0.2)
    assert account.assumptions == (
        "USDT in the wallet counts at its price, where Binance counts it at 1.0001 of it: the margin is 0.20 USD smaller here",
    )


def test_a_coin_that_only_a_position_settles_in_has_its_index_price(tmp_path: Path) -> None:
    exchange = BinanceExchange(wallets={"USDT": "500"}, positions=[Held("BTCUSDC", "0.1", "61000")], marks={"BTCUSDC": "62000"})
    account = accounts(exchange, tmp_path)["usdm/USDC"]
    assert account.legs[0].price is not None
    assert str(account.legs[0].price.value) == "0.9999"


def test_a_perpetual_contract_that_ends_is_said(tmp_path: Path) -> None:
    exchange = BinanceExchange(wallets={"USDT": "500"}, positions=[Held("BTCUSDT", "0.01", "60000")], marks={"BTCUSDT": "60000"})
    ends = changed("/fapi/v1/exchangeInfo", lambda info: [row.update(deliveryDate=DELIVERY) for row in info["symbols"]])
    exchange.faults = [ends]
    found = scan(exchange, tmp_path)
    assert "BTCUSDT ends: the exchange settles it on 2026-12-25 08:00 UTC" in found.reports[0].notes
    held = position(found.accounts[0], "BTCUSDT")
    assert (held.expires, held.funding_8h) == (None, D("0.0001"))


def test_negative_equity_is_shown_as_it_is(tmp_path: Path) -> None:
    exchange = BinanceExchange(wallets={"USDT": "100"}, positions=[Held("ETHUSDT", "1", "3300")], marks={"ETHUSDT": "3000"})
    [account] = accounts(exchange, tmp_path).values()
    assert account.stated["marginBalance"] == "-200.00000000"
    assert "marginRatio" not in account.stated
    assert normal(account).weighted() == pytest.approx(-200)


def test_two_keys_are_two_owners(tmp_path: Path) -> None:
    other = BinanceExchange(wallets={"USDT": "200"})
    with serving(other) as url:
        found = scan(BinanceExchange(wallets={"USDT": "100"}), tmp_path, more=other.book(url, "sub"))
    assert [(account.id, account.owner) for account in found.accounts] == [
        ("binance-main/usdm/USDT", "binance-main"), ("sub/usdm/USDT", "sub"),
    ]  # fmt: skip
    assert all(map(matches, found.accounts))
