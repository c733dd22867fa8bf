"""Bybit where something is missing, damaged, moving or not known; its requests, its clock and what a key may do."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from defi_risk_adapters.exchanges.bybit import Bybit

from defi_risk.book import ExchangeSettings
from defi_risk.desks import desk
from defi_risk.gathering import gather
from defi_risk.model import KeyRights, Role, Tier
from defi_risk.spi import DatedTiers
from tests.exchanges import reading
from tests.exchanges.bybit import (
    BybitDouble,
    Holding,
    alter,
    checked,
    cross,
    only,
    portfolio,
    position,
)
from tests.exchanges.double import Fault, serving
from tests.exchanges.near import InProcess, found, unknown
from tests.exchanges.reading import scan

D = Decimal
WALLET = "/v5/account/wallet-balance"
POSITIONS = "/v5/position/list"
INFO = "/v5/account/info"


class TestDoubt:
    @pytest.mark.parametrize(
        ("status", "mode", "says"),
        [
            (1, "REGULAR_MARGIN", "classic account"),
            (3, "REGULAR_MARGIN", "first unified account"),
            (4, "PORTFOLIO_MARGIN", "first unified account"),
            (7, "REGULAR_MARGIN", "status 7"),
            (6, "STRANGE_MARGIN", "STRANGE_MARGIN"),
            (6, "", "margin mode '?'"),
        ],
    )
    def test_mode_that_is_not_known(self, status: int, mode: str, says: str) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), status=status, mode=mode)
        account, report = unknown(double)
        assert says in account.reason
        assert report.status == "ok"

    def test_empty_account(self, tmp_path: Path) -> None:
        double = BybitDouble()
        gathered = scan(double, tmp_path, times=2)
        assert not gathered.accounts
        assert [request.path for request in double.log if request.path == INFO] == [INFO]  # the mode is read anew

    def test_mode_that_changed_since_it_was_kept(self, tmp_path: Path) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="9000")
        with serving(double) as url:
            book = tmp_path / "book.toml"
            book.write_text(double.book(url), "utf-8")
            [account] = gather(book=book, cache_dir=tmp_path / "cache").accounts
            assert account.mode == "cross"
            double.mode = "ISOLATED_MARGIN"
            double.lists["linear", "USDT"][0] |= {"positionBalance": "620", "liqPrice": "54147"}
            found = gather(book=book, cache_dir=tmp_path / "cache").accounts
        assert [account.market for account in found] == ["unified/BTCUSDT/isolated", "unified"]

    def test_option_value_makes_it_unknown(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"))
        double.coins["USDT"].more = {"equity": "1051"}
        assert "options" in unknown(double)[0].reason

    def test_position_that_is_not_listed(self) -> None:
        rows = [position("BTCUSDT", "Buy", "0.1", "60000", "60500"), position("ETHUSDT", "Buy", "1", "3000", "3000")]
        faults = Fault(where=POSITIONS, change=lambda answer: answer["result"].update(list=answer["result"]["list"][:1]) or answer)
        account, report = unknown(cross(*rows), faults)
        assert "did not add up" in account.reason
        assert report.status == "failed"

    def test_inverse_position_that_is_not_listed(self) -> None:
        rows = [position(name, "Buy", "600", "60000", "61000", inverse=True) for name in ("BTCUSD", "ETHUSD")]
        coins = {"BTC": Holding("0.2", "61000"), "ETH": Holding("1", "3000")}
        faults = Fault(where=POSITIONS, change=lambda answer: answer["result"].update(list=answer["result"]["list"][:1]) or answer)
        double = BybitDouble(coins=coins, lists={("inverse", ""): rows})
        assert "ETH do not add up" in unknown(double, faults)[0].reason

    def test_pages_are_followed(self) -> None:
        rows = [position(f"C{k}USDT", "Buy", "1", "3000", "3000") for k in range(201)]
        account = only(cross(*rows, balance="900000"))
        assert sum(leg.role is Role.POSITION for leg in account.legs) == 201

    def test_moving_account(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="9000")
        moving = iter(range(100))
        fault = Fault(where=WALLET, times=2)

        def change(answer: Any) -> Any:
            more = next(moving)
            coin = answer["result"]["list"][0]["coin"][0]
            coin["walletBalance"], coin["equity"] = str(9000 + more), str(9050 + more)
            return answer

        fault.change = change
        double.faults.append(fault)
        assert checked(only(double)).match
        fault.times = 99
        assert "moved 3 times" in unknown(double)[0].reason

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (alter(POSITIONS, "list", 0, "markPrice", value="NaN"), "markPrice is the text 'NaN'"),
            (alter(POSITIONS, "list", 0, "markPrice", value="0"), "which cannot be"),
            (alter(POSITIONS, "list", 0, "size", value="-1"), "size is -1"),
            (alter(POSITIONS, "list", 0, "side", value="Long"), "side 'Long'"),
            (alter(POSITIONS, "list", 0, "positionIdx", value=2), "at index 2"),
            (alter(POSITIONS, "list", 0, "avgPrice", value=None), "avgPrice is missing"),
            (alter(POSITIONS, "list", value=None), "list is missing"),
            (alter(WALLET, "list", 0, "coin", 0, "walletBalance", value="Infinity"), "walletBalance"),
            (alter(WALLET, "list", 0, "coin", 0, "equity", value=None), "equity is missing"),
            (alter(WALLET, "list", 0, "coin", 0, "marginCollateral", value="yes"), "marginCollateral"),
            (alter(WALLET, "list", value=[]), "0 items"),
            (alter(WALLET, "list", 0, "totalMaintenanceMargin", value=None), "totalMaintenanceMargin is missing"),
            (alter("risk-limit", "list", 0, "initialMargin", value="0.05"), "do not belong together"),
            (alter("risk-limit", "list", value=[]), "gave no risk limits of BTCUSDT"),
            (alter("risk-limit", "list", 1, "symbol", value="ETHUSDT"), "those of other contracts"),
            (alter("risk-limit", "list", 0, "maintenanceMargin", value="0.02"), "which cannot be"),
            (alter("instruments-info", "list", 1, "baseCoin", value="ETH"), "cannot be a contract on 'ETH'"),
            (alter("instruments-info", "list", 1, "fundingInterval", value="0"), "which cannot be"),
            (alter("tickers", "list", 0, "fundingRate", value="5"), "more than all of a position"),
            (alter("tickers", "list", 0, "fundingIntervalHour", value="-1"), "fundingIntervalHour"),
            (alter("instruments-info", "list", 1, "contractType", value="LinearFutures"), "deliveryTime is 0"),
            (alter(WALLET, "list", 0, "totalMarginBalance", value="NaN"), "totalMarginBalance"),
            (alter("spot-margin-trade", "list", 0, "collateralRatioList", value=[]), "does not begin at zero"),
        ],
    )
    def test_damaged_answers(self, fault: Fault, says: str) -> None:
        account, report = unknown(cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500")), fault)
        assert says in account.reason
        assert report.status == "failed"

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (alter("instruments-info", "list", value=[]), "does not list the contract BTCUSDT"),
            (alter("instruments-info", "list", 1, "settleCoin", value="USDC"), "settles in USDC"),
            (Fault("symbol", "risk-limit"), "did not give the risk limits of BTCUSDT"),
            (alter("spot-margin-trade", "list", value=[]), "no collateral value ratio of USDT"),
            (alter(POSITIONS, "list", 0, "tradeMode", value=1), "margin mode of its own"),
            (alter(WALLET, "list", 0, "coin", 0, "collateralSwitch", value=False), "is not collateral"),
            (alter(WALLET, "list", 0, "accountType", value="CONTRACT"), "another account"),
        ],
    )
    def test_what_is_not_modelled(self, fault: Fault, says: str) -> None:
        account, _ = unknown(cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500")), fault)
        assert says in account.reason

    def test_contract_that_is_younger_than_the_list(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900")
        gone = alter("instruments-info", "list", value=[])
        gone.times = 1
        double.faults.append(gone)
        assert checked(only(double)).match
        asked = [request.query for request in double.log if request.path.endswith("instruments-info")]
        assert [query.get("symbol") for query in asked] == [None, "BTCUSDT"]

    def test_bundled_tiers_stand_in(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900")
        double.faults.append(Fault("500", "risk-limit"))
        settings = ExchangeSettings(id="bybit", name="bybit-main")
        dated = DatedTiers(date(2026, 1, 2), (Tier(D(0), D("0.005"), D(0)),))
        reader = Bybit().read(replace(desk(settings, double.now()), tiers={"BTCUSDT": dated}))
        source, asks = InProcess(double), next(reader)
        listed = 0
        try:
            while True:
                listed += 1
                asks = reader.send(source.answer(asks))
        except StopIteration as end:
            [account] = end.value
        assert listed > 3
        assert "the risk limits of BTCUSDT are those of 2026-01-02: Bybit did not give them" in account.assumptions
        assert checked(account).match

    def test_contract_that_settles_in_a_coin_that_is_not_known(self) -> None:
        double = BybitDouble(coins={"USDX": Holding("1000", more={"totalPositionMM": "3", "totalPositionIM": "9"})})
        account, report = unknown(double)
        assert "settle in USDX" in account.reason
        assert report.status == "failed"

    def test_value_of_another_sign(self) -> None:
        double = cross(balance="100")
        double.coins["USDT"].more = {"usdValue": "-100"}
        assert "another sign" in unknown(double)[0].reason

    def test_position_twice(self) -> None:
        row = position("BTCUSDT", "Buy", "0.1", "60000", "60500")
        assert "list BTCUSDT twice" in unknown(cross(row, row))[0].reason

    def test_fee_rate_that_is_not_known(self) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), balance="5900")
        double.faults.append(Fault("permission", "fee-rate"))
        account = only(double)
        assert "the fee rate is not known" in account.assumptions[0]
        assert checked(account).match

    @pytest.mark.parametrize("kind", ["bad key", "permission", "address", "maintenance", "rate", "symbol"])
    def test_refusals(self, tmp_path: Path, kind: str) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"))
        account, report = reading.unknown(double, tmp_path, Fault(kind, WALLET))
        assert report.status == "failed"
        assert account.reason == report.error


class TestDesk:
    @pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio", "inverse"])
    def test_over_the_wire_as_in_process(self, tmp_path: Path, mode: str) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500", positionBalance="620", liqPrice="54147"), balance="700")
        if mode == "inverse":
            row = position("BTCUSD", "Buy", "6000", "60000", "61000", inverse=True)
            double = BybitDouble(coins={"BTC": Holding("0.2", "61000", "0.98")}, lists={("inverse", ""): [row]})
        elif mode == "portfolio":
            double = portfolio()
        elif mode == "isolated":
            double.mode = "ISOLATED_MARGIN"
        wired = scan(double, tmp_path).accounts
        near = found(double).accounts
        assert [account.stated for account in wired] == [account.stated for account in near]
        assert [account.legs for account in wired] == [account.legs for account in near]
        assert all(account.known for account in wired)

    def test_second_scan_takes_three_requests(self, tmp_path: Path) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), position("ETHUSDT", "Buy", "1", "3000", "3000"))
        assert all(account.known for account in scan(double, tmp_path, times=2).accounts)
        assert [request.path for request in double.log] == [WALLET, POSITIONS, WALLET]

    def test_two_kinds_of_margin_take_four(self, tmp_path: Path) -> None:
        double = cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"))
        double.coins["BTC"] = Holding("0.2", "61000", "0.98")
        double.lists["inverse", ""] = [position("BTCUSD", "Sell", "600", "60000", "61000", inverse=True)]
        assert all(account.known for account in scan(double, tmp_path, times=2).accounts)
        assert len(double.log) == 4

    @pytest.mark.parametrize("skew", [-90.0, 90.0])
    def test_clock(self, tmp_path: Path, skew: float) -> None:
        [account] = scan(cross(position("BTCUSDT", "Buy", "0.1", "60000", "60500"), skew=skew), tmp_path).accounts
        assert account.known

    @pytest.mark.parametrize(
        ("read_only", "permissions", "addresses", "rights"),
        [
            (1, {"ContractTrade": ["Order", "Position"], "Wallet": []}, ["192.0.2.7"], KeyRights(False, False, True)),
            (0, {"ContractTrade": ["Order", "Position"], "Wallet": []}, ["*"], KeyRights(True, False, False)),
            (0, {"Wallet": ["AccountTransfer", "Withdraw"]}, ["192.0.2.7"], KeyRights(True, True, True)),
            (0, {"Wallet": ["Withdraw"]}, [], KeyRights(False, True, False)),
        ],
    )
    def test_rights(
        self, tmp_path: Path, read_only: int, permissions: dict[str, list[str]], addresses: list[str], rights: KeyRights
    ) -> None:
        double = cross(balance="5", read_only=read_only, permissions=permissions, addresses=addresses)
        [report] = scan(double, tmp_path).reports
        assert report.key == rights

    def test_rights_that_are_not_told(self, tmp_path: Path) -> None:
        double = cross(balance="5")
        double.faults.append(alter("query-api", "readOnly", value=None))
        [report] = scan(double, tmp_path).reports
        assert report.key == KeyRights()
        assert any("readOnly is missing" in note for note in report.notes)
