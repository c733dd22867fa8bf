"""Bybit's unified account over HTTP on loopback.

Recorded: a position of 2023 in ccxt's own tests (ccxt/ccxt at 04890d6, ts/src/test/static/response/bybit.json, MIT); three of 2025 that
people left in public repositories, with requirement, margin and liquidation price as Bybit told them: SOLUSDT in cross mode with its whole
account (2025-10-02, of an account that pays 18 % of tax on fees), BTCUSDT in cross mode (2025-11-08), and one in isolated mode
(2025-09-18, whose symbol was left out).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from defi_risk.model import Role
from tests.exchanges.bybit import (
    BTC_TIERS,
    BybitDouble,
    Holding,
    alter,
    checked,
    cross,
    health,
    only,
    portfolio,
    position,
    price,
)
from tests.exchanges.double import Fault
from tests.exchanges.near import accounts, unknown
from tests.exchanges.reading import scan

D = Decimal
WALLET = "/v5/account/wallet-balance"
POSITIONS = "/v5/position/list"
INFO = "/v5/account/info"


class TestRecorded:
    def sol(self) -> BybitDouble:
        row = position("SOLUSDT", "Buy", "0.2", "233.02", "233.029") | {
            "positionIM": "4.6876214",
            "positionMM": "0.2602414",
            "positionIMByMp": "4.68780139",
            "positionMMByMp": "0.26025039",
            "unrealisedPnl": "0.0018",
            "liqPrice": "176.89650029",
        }
        usdt = Holding("11.47724524", more={"equity": "11.47904524", "usdValue": "11.48691986", "totalPositionMM": "0.2602414"})
        totals = {
            "totalEquity": "11.48691986",
            "totalWalletBalance": "11.48511863",
            "totalMarginBalance": "11.48691986",
            "totalInitialMargin": "4.6908371",
            "totalMaintenanceMargin": "0.26041992",
            "totalMaintenanceMarginByMp": "0.26042892",
            "accountMMRate": "0.0226",
            "accountMMRateByMp": "0.0226",
        }
        return BybitDouble(coins={"USDT": usdt}, lists={("linear", "USDT"): [row]}, totals=totals)

    def test_whole_account_agrees_digit_for_digit(self, tmp_path: Path) -> None:
        [account] = scan(self.sol(), tmp_path).accounts
        assert checked(account).match
        for name in ("totalMarginBalance", "totalMaintenanceMargin", "accountMMRate", "totalEquity", "walletBalance:USDT"):
            assert account.stated[name] == checked(account).protocol[name], name
        assert account.stated["positionMM:SOLUSDT"] == "0.26025039"
        assert price(account, "SOLUSDT") == pytest.approx(176.89650029, abs=5e-5)
        assert account.assumptions == ()
        weighted, required = health(account)
        assert weighted == pytest.approx(11.48691986, rel=1e-9)
        assert required == pytest.approx(0.26042892, rel=1e-7)

    def test_requirement_by_mark_price(self) -> None:
        row = position("BTCUSDT", "Buy", "0.001", "101890", "101910.23")
        assert (row["positionMM"], row["positionIM"]) == ("0.5599867", "10.24145855")  # the double's arithmetic is the exchange's
        account = only(cross(row, balance="100"))
        assert account.stated["positionMM:BTCUSDT"] == "0.5599867"
        assert checked(account).match

    def test_isolated_position(self) -> None:
        row = position("XUSDT", "Buy", "10000", "0.8184", "0.8107", rate="0.01") | {
            "positionMM": "85.89108",
            "positionMMByMp": "85.12108",
            "positionIM": "822.45108",
            "positionBalance": "822.45108",
            "liqPrice": "0.744",
            "unrealisedPnl": "-77",
        }
        double = cross(row, mode="ISOLATED_MARGIN", tiers={"XUSDT": (("200000", "0.01", "0.02", "50", ""),)})
        account = accounts(double)["unified/XUSDT/isolated"]
        assert account.stated["positionMM:XUSDT"] == "85.12108"
        assert account.stated["liqPrice:XUSDT"] == "0.744"
        assert checked(account).match
        row["liqPrice"] = "0.7448"  # by entry price, which was in force that day
        account = accounts(double, maintenance_at_mark=0)["unified/XUSDT/isolated"]
        assert account.stated["positionMM:XUSDT"] == "85.89108"
        assert price(account, "XUSDT") == pytest.approx(0.7448, abs=1e-4)

    def test_requirement_by_entry_price_before_it_changed(self) -> None:
        row = position("LTCUSDT", "Buy", "1.2", "64.59947917", "71.1", "6") | {
            "positionValue": "77.519375",
            "positionMM": "0.81072399",
            "positionIM": "12.95542633",
            "unrealisedPnl": "7.800625",
        }
        del row["positionMMByMp"]
        double = cross(row, tiers={"LTCUSDT": (("200000", "0.01", "0.02", "50", ""),)})
        account = only(double, maintenance_at_mark=0)
        assert checked(account).match
        assert float(account.stated["positionMM:LTCUSDT"]) == pytest.approx(0.81072399, rel=1e-5)
        assert health(account)[1] == pytest.approx(0.81072399, rel=1e-7)
        # today's rule does not explain that requirement, and it shows
        assert not checked(only(double)).match

    def test_hedged_side_is_asked_for_less(self) -> None:
        """The short is recorded (ccxt/ccxt pull request 18712, 2023-11-21, of an account that held a long of the same contract, too): its
        requirement is twice the fee of closing, and nothing of its tier.
        """
        short = position("BTCUSDT", "Sell", "0.003", "37416.5", "37414.4", positionIdx=2) | {
            "positionValue": "112.2495",
            "positionMM": "0.1358219",
            "positionIM": "11.3607719",
            "unrealisedPnl": "0.0063",
        }
        del short["positionMMByMp"]
        long = position("BTCUSDT", "Buy", "0.003", "37416.5", "37414.4", positionIdx=1)
        account = only(cross(long, short, balance="20"))
        assert checked(account).match
        assert account.stated["positionMM:BTCUSDT/short"] == "0.1358219"
        assert health(account)[1] == pytest.approx(0.1358219 + float(long["positionMM"]), rel=1e-7)
        assert any("BTCUSDT/short is hedged" in text for text in account.assumptions)
        # alone it is a wrong requirement
        assert not checked(only(cross(short, balance="20"))).match


class TestCross:
    def test_liquidation_price_of_a_short(self) -> None:
        row = position("BTCUSDT", "Sell", "0.1", "60000", "61000")
        account = only(cross(row))
        fee = D("6000") * D("1.1") * D("0.00055")
        assert D(account.stated["positionMM:BTCUSDT"]) == D("6100") * D("0.005") + fee
        expected = (1000 + 6000 - float(fee)) / (0.1 * 1.005)
        assert price(account, "BTCUSDT") == pytest.approx(expected, rel=1e-4)
        row["liqPrice"] = f"{expected:.2f}"
        assert checked(only(cross(row))).match

    def test_dies_at_its_liquidation_price(self) -> None:
        account = only(cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500")))
        found = price(account, "BTCUSDT")
        weighted, required = health(only(cross(position("BTCUSDT", "Buy", "0.1", "60000", f"{found:.4f}"))))
        assert weighted == pytest.approx(required, rel=2e-3)
        assert account.strict is False

    def test_planted_mismatch_shows(self) -> None:
        row = position("BTCUSDT", "Buy", "0.1", "60000", "60500") | {"liqPrice": "48000"}
        assert not checked(only(cross(row))).match

    def test_a_price_left_out_beside_the_mark_shows(self) -> None:
        assert not checked(only(cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500")))).match
        # far away none is expected
        assert checked(only(cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900"))).match

    @pytest.mark.parametrize(
        ("field", "value"), [("totalMarginBalance", "990"), ("totalMaintenanceMargin", "20"), ("accountMMRate", "0.06")]
    )
    def test_planted_total_shows(self, field: str, value: str) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900")
        double.totals = {field: value} | ({f"{field}ByMp": value} if field != "totalMarginBalance" else {})
        assert not checked(only(double)).match

    def test_other_positions_take_their_share_of_the_margin(self) -> None:
        rows = [position("BTCUSDT", "Buy", "0.1", "60000", "60500"), position("ETHUSDT", "Sell", "1", "3000", "3000", "5")]
        need = [D(row["positionMM"]) for row in rows]
        own = D("60500") * D("0.1") - 1050 + need[1] + D("6000") * D("0.9") * D("0.00055")
        rows[0]["liqPrice"] = f"{own / (D('0.1') * D('0.995')):.2f}"
        rows[1]["liqPrice"] = f"{3000 + 1050 - D(rows[0]['positionIM']) - need[1]:.2f}"  # all of the other's initial margin set apart
        account = only(cross(*rows))
        assert account.stated["liqPrice:BTCUSDT"] == rows[0]["liqPrice"]
        assert account.stated["liqPrice:ETHUSDT"] == rows[1]["liqPrice"]
        assert checked(account).match

    def test_wrong_profit_shows(self) -> None:
        row = position("BTCUSDT", "Buy", "0.1", "60000", "60500", unrealisedPnl="5")
        account = only(cross(row, balance="5900"))
        assert not checked(account).match
        assert checked(account).protocol["unrealisedPnl:BTCUSDT"] == "5"

    def test_wrong_tier_shows(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500", rate="0.006"), balance="5900")
        assert not checked(only(double)).match

    def test_second_tier_and_percent(self) -> None:
        row = position("BTCUSDT", "Buy", "35", "60000", "61000", rate="0.0056", deduction="1200")
        double = cross(row, balance="2000000")
        assert checked(only(double)).match
        double.tiers["BTCUSDT"] = (("2000000", "0.5", "1", "100", ""), ("2600000", "0.56", "1.11", "90", ""))
        account = only(double)
        assert checked(account).match
        [leg] = [leg for leg in account.legs if leg.position]
        assert leg.position is not None
        assert [(tier.floor, tier.rate, tier.deduction) for tier in leg.position.tiers] == [
            (D(0), D("0.005"), D(0)),
            (D(2000000), D("0.0056"), D(1200)),
        ]

    def test_position(self) -> None:
        account = only(cross(position("BTCUSDT", "Sell", "0.1", "60000", "61000", "20")))
        [leg] = [leg for leg in account.legs if leg.role is Role.POSITION]
        assert leg.position is not None
        assert (leg.factor, leg.position.size, leg.position.entry, leg.position.mark) == ("BTC", D("-0.1"), D(60000), D(61000))
        assert leg.position.initial_rate == pytest.approx(D("0.05"), rel=D("1e-6"))
        assert leg.position.funding_8h == D("0.0001")
        assert leg.position.index == D(61000)
        assert leg.position.unrealized_pnl == -100
        assert (account.venue, account.market, account.mode, account.id) == ("Bybit", "unified", "cross", "bybit-main/unified")

    def test_dated_future_and_short_intervals(self) -> None:
        rows = [position("BTCUSDT", "Buy", "0.1", "60000", "60500"), position("ETHUSDT", "Buy", "1", "3000", "3000")]
        future = {"contractType": "LinearFutures", "deliveryTime": "1830297600000"}
        double = cross(*rows, balance="5900", contracts={"BTCUSDT": future, "ETHUSDT": {"fundingInterval": 240}})
        legs = [leg.position for leg in only(double).legs if leg.position]
        assert [(leg.expires, leg.funding_8h) for leg in legs] == [(1830297600, None), (None, D("0.0002"))]

    def test_interval_of_funding_is_that_of_its_rate(self) -> None:
        """Contracts are read every six hours, and Bybit shortens the interval when funding is high: tickers tell the present one."""
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900")
        double.faults.append(alter("tickers", "list", 0, "fundingIntervalHour", value="1"))
        [leg] = [leg.position for leg in only(double).legs if leg.position]
        assert leg.funding_8h == D("0.0008")

    def test_deduction_of_nothing_in_a_later_tier(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900")
        double.tiers["BTCUSDT"] = tuple((*row[:4], "0") for row in BTC_TIERS)
        [leg] = [leg.position for leg in only(double).legs if leg.position]
        assert [tier.deduction for tier in leg.tiers] == [0, 1200]

    def test_hedge_mode(self) -> None:
        rows = [
            position("BTCUSDT", "Buy", "0.2", "60000", "60500", positionIdx=1),
            position("BTCUSDT", "Sell", "0.1", "61000", "60500", positionIdx=2),
        ]
        account = only(cross(*rows))
        assert [leg.position.size for leg in account.legs if leg.position] == [D("0.2"), D("-0.1")]
        assert {name for name in account.stated if name.startswith("position")} == {"positionMM:BTCUSDT/long", "positionMM:BTCUSDT/short"}
        assert checked(account).match

    def test_usdc_contract_counts_from_its_session_price(self) -> None:
        row = position("BTCPERP", "Buy", "0.1", "60500", "61000") | {"avgPrice": "50000", "sessionAvgPrice": "60500"}
        contract = {"BTCPERP": {"baseCoin": "BTC", "quoteCoin": "USDC", "settleCoin": "USDC"}}
        double = BybitDouble(coins={"USDC": Holding("9000", "0.9998")}, lists={("linear", "USDC"): [row]}, contracts=contract)
        account = only(double)
        assert checked(account).match
        [leg] = [leg.position for leg in account.legs if leg.position]
        assert (leg.entry, leg.quote) == (D(60500), "USDC")

    def test_inverse(self) -> None:
        row = position("BTCUSD", "Buy", "6000", "60000", "61000", inverse=True)
        double = BybitDouble(coins={"BTC": Holding("0.2", "61000", "0.98")}, lists={("inverse", ""): [row]})
        account = only(double)
        assert checked(account).match
        [leg] = [leg.position for leg in account.legs if leg.position]
        assert (leg.size, leg.quote, leg.pnl_weight) == (D(6000), "USD", D("0.98"))
        weighted, required = health(account)
        profit = 6000 / 60000 - 6000 / 61000
        assert weighted == pytest.approx((0.2 + profit) * 0.98 * 61000, rel=1e-6)
        assert required == pytest.approx((6000 / 61000 * 0.005 + 0.1 * 1.1 * 0.00055) * 61000, rel=1e-5)
        assert [request.query.get("category") for request in double.log if request.path == POSITIONS] == ["linear", "inverse"]


class TestCoins:
    def test_tiers_of_collateral(self) -> None:
        ratios = {"BTC": [("0", "10", "0.98"), ("10", "20", "0.95"), ("20", "30", "0.90"), ("30", "40", "0.85"), ("40", "", "0")]}
        double = cross(position("ETHUSDT", "Buy", "1", "3000", "3000"), ratios=ratios)
        double.coins["BTC"] = Holding("25", "60000", "0.952")
        account = only(double)
        [leg] = [leg for leg in account.legs if leg.asset.symbol == "BTC"]
        assert leg.price is not None
        assert leg.weight * 25 * leg.price.value.decimal() == D(1428000)
        assert checked(account).match

    def test_borrowed_coin(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="9000", extra="120")
        double.coins["ETH"] = Holding("0", "3000", "0.95", borrowed="1")
        account = only(double)
        assert checked(account).match
        [debt] = [leg for leg in account.legs if leg.role is Role.DEBT]
        assert (debt.maintenance_rate, debt.apr) == (D("0.04"), D("0.01095"))
        weighted, required = health(account)
        assert weighted == pytest.approx(9000 + 50 - 3000)
        assert required == pytest.approx(float(account.stated["totalMaintenanceMargin"]), rel=1e-7)
        assert "120.00 USD" in account.assumptions[0]

    def test_borrowed_coin_that_is_still_there(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="9000", extra="120")
        double.coins["ETH"] = Holding("3", "3000", "0.9", borrowed="1")
        account = only(double)
        assert checked(account).match
        assert health(account)[0] == pytest.approx(9050 + 2 * 3000 * 0.9)

    def test_losses_below_zero_count_in_full(self) -> None:
        double = cross(position("BTCUSDT", "Sell", "0.1", "60000", "70000"), balance="100", extra="36")
        double.coins["BTC"] = Holding("0.1", "70000", "0.95")
        account = only(double)
        assert {name: value for name, value in account.stated.items() if name.startswith("total")} == {
            name: value for name, value in checked(account).protocol.items() if str(name).startswith("total")
        }
        weighted, required = health(account)
        assert weighted == pytest.approx(7000 * 0.95 - 900)
        assert required == pytest.approx(float(account.stated["totalMaintenanceMargin"]), rel=1e-7)

    def test_coin_that_is_no_collateral(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="9000")
        double.coins |= {"MNT": Holding("100", "1", switched=False), "DUST": Holding("5", "0", collateral=False)}
        account = only(double)
        assert health(account)[0] == pytest.approx(9050)
        assert [leg.enabled for leg in account.legs if leg.asset.symbol == "MNT"] == [False]
        assert "DUST is left out: Bybit tells no price of it" in account.assumptions

    @pytest.mark.parametrize("mode", ["REGULAR_MARGIN", "PORTFOLIO_MARGIN"])
    def test_realised_losses_below_zero_are_a_debt(self, mode: str) -> None:
        """Nothing is borrowed for spot, but Bybit asks margin for what is lacking: it was shown as required of nothing."""
        coins = {"USDT": Holding("-100"), "BTC": Holding("0.1", "60000", "0.95")}
        account = only(BybitDouble(mode=mode, coins=coins, extra="4"))
        assert health(account) == pytest.approx((5600, 4))
        [debt] = [leg for leg in account.legs if leg.role is Role.DEBT]
        assert (debt.amount.decimal(), debt.maintenance_rate, debt.apr) == (D(100), D("0.04"), D("0.01095"))
        assert checked(account).match

    def test_margin_for_orders_alone(self) -> None:
        account = only(cross(balance="1000", extra="7"))
        assert health(account) == pytest.approx((1000, 7))
        assert any("shown as a debt of that size in USDT" in text for text in account.assumptions)

    def test_open_spot_orders_are_said(self) -> None:
        double = cross(balance="1000")
        double.coins["USDT"].more = {"locked": "40"}
        assert any("open spot orders hold USDT" in text for text in only(double).assumptions)

    def test_profit_without_a_balance(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500", liqPrice="60332"), balance="0")
        assert health(only(double))[0] == pytest.approx(50)

    def test_funds_without_positions(self) -> None:
        account = only(cross(balance="25.5"))
        assert [(leg.role, leg.amount.decimal()) for leg in account.legs] == [(Role.MARGIN, D("25.5"))]
        assert account.stated["walletBalance:USDT"] == "25.5"

    def test_negative_equity(self) -> None:
        account = only(cross(position("BTCUSDT", "Buy", "0.1", "60000", "40000")))
        weighted, required = health(account)
        assert weighted == pytest.approx(-1000)
        assert required > 0
        assert "accountMMRate" not in account.stated

    def test_being_liquidated(self) -> None:
        assert only(cross(position("BTCUSDT", "Buy", "0.1", "60000", "55000", positionStatus="Liq"))).liquidatable


class TestIsolated:
    def test_each_position_is_an_account(self) -> None:
        rows = [
            position("BTCUSDT", "Buy", "0.1", "60000", "60500", positionIdx=1, positionBalance="630", liqPrice="53999"),
            position("BTCUSDT", "Sell", "0.1", "60000", "60500", positionIdx=2, positionBalance="650", liqPrice="66135"),
        ]
        found = accounts(cross(*rows, balance="2000", mode="ISOLATED_MARGIN"))
        assert list(found) == ["unified/BTCUSDT/isolated/long", "unified/BTCUSDT/isolated/short", "unified"]
        long, short, free = found.values()
        assert [leg.amount.decimal() for leg in free.legs] == [D(720)]
        assert health(long)[0] == pytest.approx(680)
        assert health(short)[0] == pytest.approx(600)
        assert checked(long).match
        assert checked(short).match
        assert {account.rule.remainder for account in (long, short)} == {"lost"}
        assert long.id == "bybit-main/unified/BTCUSDT/isolated/long"

    def test_inverse(self) -> None:
        row = position("BTCUSD", "Sell", "6000", "60000", "61000", inverse=True, positionBalance="0.0101", liqPrice="66320")
        double = BybitDouble(mode="ISOLATED_MARGIN", coins={"BTC": Holding("0.2", "61000", "0.98")}, lists={("inverse", ""): [row]})
        account = accounts(double)["unified/BTCUSD/isolated"]
        assert checked(account).match
        weighted, _ = health(account)
        assert weighted == pytest.approx((0.0101 + 6000 / 61000 - 0.1) * 61000, rel=1e-6)

    def test_margin_that_is_no_longer_told(self) -> None:
        row = position("BTCUSDT", "Buy", "0.1", "60000", "60000", positionBalance="", liqPrice="54271.36")
        double = cross(row, mode="ISOLATED_MARGIN")
        assert accounts(double)["unified/BTCUSDT/isolated"].legs[0].amount.decimal() == D(row["positionIM"])
        row["liqPrice"] = ""
        assert "does not tell the margin" in unknown(double)[0].reason

    def test_debts_and_missing_funds(self) -> None:
        row = position("BTCUSDT", "Buy", "0.1", "60000", "60000", positionBalance="2000", liqPrice="40000")
        double = cross(row, mode="ISOLATED_MARGIN")
        assert unknown(double)[1].status == "failed"
        double.coins["ETH"] = Holding("0", "3000", borrowed="1")
        assert "owed in isolated mode" in unknown(double)[0].reason


class TestPortfolio:
    def test_requirement_is_what_bybit_asks(self) -> None:
        account = only(portfolio())
        weighted, required = health(account)
        assert weighted == pytest.approx(1100 + 6100 * 0.98)
        assert required == pytest.approx(305)
        assert checked(account).match
        assert account.mode == "portfolio"
        assert "grid of scenarios" in account.assumptions[0]

    def test_positions_that_are_not_listed(self) -> None:
        gone = Fault(where=POSITIONS, change=lambda answer: answer["result"].update(list=[]) or answer)
        assert "do not add up" in unknown(portfolio(), gone)[0].reason
        double = portfolio()
        double.lists["linear", "USDT"][0] |= {"unrealisedPnl": "0", "avgPrice": "61000"}
        assert "lists nothing that it is for" in unknown(double, gone)[0].reason

    def test_options_make_it_unknown(self) -> None:
        double = portfolio()
        double.lists["option", ""] = [{"symbol": "BTC-25DEC26-90000-C-USDT", "size": "1"}]
        assert "there is an option" in unknown(double)[0].reason
