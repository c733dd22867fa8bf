"""KuCoin's classic futures over HTTP on loopback.

Recorded: the isolated position of the exchange's documentation (2 contracts of ETHUSDTM at 4189.35, liquidation at 4044.55) and a wallet of
it (equity 387.224858816, of which 310.370835226 is cross margin).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import Basis, KeyRights
from tests.exchanges.double import Fault
from tests.exchanges.kucoin import KucoinDouble, position
from tests.exchanges.reading import accounts, scan, unknown


def test_a_recorded_isolated_position(tmp_path: Path) -> None:
    found = accounts(KucoinDouble(positions=[position()]), tmp_path)
    assert set(found) == {"USDT", "USDT/ETHUSDTM/isolated"}
    apart = found["USDT/ETHUSDTM/isolated"]
    assert apart.self_check is not None
    assert apart.self_check.match
    assert apart.stated["maintMargin:ETHUSDTM"] == "3.28436309"
    # 3.40376309 + 0.02 * (p - 4189.35) = 0.50707892; the exchange shows the next tick of 0.05
    assert apart.stated["liquidationPrice:ETHUSDTM"] == "4044.51"
    assert apart.self_check.protocol["liquidationPrice:ETHUSDTM"] == "4044.55"
    leg = apart.legs[1].position
    assert leg is not None
    assert (leg.basis, leg.size, leg.funding_8h) == (Basis.ENTRY, Decimal("0.02"), Decimal("0.0001"))
    assert str(found["USDT"].legs[0].amount) == "1000"


def test_a_recorded_wallet(tmp_path: Path) -> None:
    """371.394298816 without profit, of which 63.98342359 is isolated; profits 2.95996 (cross) and 12.8706 (isolated)."""
    rows = [
        position(symbol="XBTUSDTM", currentQty=2, crossMode=True, marginMode="CROSS", unrealisedPnl=2.95996, avgEntryPrice=86_000,
                 markPrice=87_479.98, liquidationPrice=0, leverage=10),
        position(posMargin=63.98342359, unrealisedPnl=12.8706, maintMargin=76.85402359, liquidationPrice=1200),
    ]  # fmt: skip
    double = KucoinDouble(wallets={"USDT": str(Decimal("371.394298816") - Decimal("63.98342359"))}, positions=rows, needs={"USDT": "2"})
    wallet = accounts(double, tmp_path)["USDT"]
    assert wallet.self_check is not None
    assert wallet.self_check.match
    assert wallet.stated["accountEquity"] == "387.224858816"
    assert Decimal(str(wallet.legs[0].amount)) + Decimal("2.95996") == Decimal("310.370835226")
    leg = wallet.legs[1].position
    assert leg is not None
    need = leg.tiers[0].rate * leg.size * leg.mark
    assert abs(need - 2) < Decimal("1e-6")
    assert leg.initial_rate == Decimal("0.1")
    assert any("KuCoin's present one" in sentence for sentence in wallet.assumptions)


@pytest.mark.parametrize(("symbol", "expires"), [("XBTUSDM", None), ("XBTMZ26", 1_798_185_600)])
def test_coin_margined_and_dated(tmp_path: Path, symbol: str, expires: int | None) -> None:
    row = position(symbol=symbol, settleCurrency="XBT", currentQty=-1000, crossMode=True, marginMode="CROSS", avgEntryPrice=50_000,
                   markPrice=40_000, unrealisedPnl=0.005, liquidationPrice=0, leverage=5)  # fmt: skip
    [wallet] = accounts(KucoinDouble(wallets={"XBT": "0.1"}, positions=[row], needs={"XBT": "0.001"}), tmp_path).values()
    assert wallet.market == "BTC"
    leg = wallet.legs[1].position
    assert leg is not None
    assert (leg.contract, leg.size, leg.expires, leg.quote) == ("inverse", Decimal(-1_000), expires, "USD")
    assert wallet.legs[1].factor == "BTC"


@pytest.mark.parametrize("others", [{}, {"USDT": "1000"}])
def test_positions_that_settle_in_a_coin_of_their_own(tmp_path: Path, others: dict[str, str]) -> None:
    """ETHUSDM settles in ETH, whose wallet is not among those that are looked at first: it is read all the same, and never lost."""
    row = position(symbol="ETHUSDM", settleCurrency="ETH", currentQty=-1000, crossMode=True, marginMode="CROSS", avgEntryPrice=5_000,
                   markPrice=4_000, unrealisedPnl=0.05, liquidationPrice=0, leverage=5)  # fmt: skip
    found = accounts(KucoinDouble(wallets={"ETH": "0.5", **others}, positions=[row], needs={"ETH": "0.01"}), tmp_path)
    assert set(found) == {"ETH", *others}
    margin, leg = found["ETH"].legs
    assert (str(margin.amount), margin.factor, leg.factor) == ("0.5", "ETH", "ETH")
    assert leg.position is not None
    assert (leg.position.contract, leg.position.size) == ("inverse", Decimal(-1_000))
    assert all(account.self_check is None or account.self_check.match for account in found.values())


def test_a_wallet_that_is_used_up_does_not_hide_the_others(tmp_path: Path) -> None:
    """Cross equity of -50 USDT, and a risk ratio below zero: that wallet is unknown, the one in USDC is not."""
    row = position(symbol="XBTUSDTM", currentQty=2, crossMode=True, marginMode="CROSS", unrealisedPnl=-150, avgEntryPrice=86_000,
                   markPrice=11_000, liquidationPrice=0, leverage=10)  # fmt: skip
    double = KucoinDouble(wallets={"USDT": "100", "USDC": "7"}, positions=[row], needs={"USDT": "2"})
    found = accounts(double, tmp_path)
    assert (found["USDT"].status, found["USDC"].status) == ("unknown", "ok")
    assert "used up" in found["USDT"].reason


def test_hedged_sides_are_accounts_of_their_own(tmp_path: Path) -> None:
    rows = [position(positionSide="LONG"), position(positionSide="SHORT", currentQty=-2, unrealisedPnl=0.1194, liquidationPrice=4334.1,
                                                    maintMargin=3.52316309)]  # fmt: skip
    found = accounts(KucoinDouble(positions=rows), tmp_path)
    assert {"USDT/ETHUSDTM/long/isolated", "USDT/ETHUSDTM/short/isolated"} <= set(found)
    assert all(account.self_check is None or account.self_check.match for account in found.values())


@pytest.mark.parametrize("mode", ["UNIFIED", "NEW", ""])
def test_modes_that_are_not_known(tmp_path: Path, mode: str) -> None:
    assert repr(mode) in unknown(KucoinDouble(mode=mode), tmp_path)[0].reason


def test_a_cross_wallet_without_its_risk_is_unknown(tmp_path: Path) -> None:
    row = position(crossMode=True, marginMode="CROSS")
    assert "no risk ratio" in unknown(KucoinDouble(positions=[row]), tmp_path)[0].reason


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    apart = accounts(KucoinDouble(positions=[position(liquidationPrice=4000)]), tmp_path)["USDT/ETHUSDTM/isolated"]
    assert apart.self_check is not None
    assert not apart.self_check.match


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "NONEUSDTM"}, "cannot be used"),
        ({"positionSide": "UP"}, "position side 'UP'"),
        ({"marginMode": "CROSS"}, "margin mode 'CROSS'"),
        ({"markPrice": "NaN"}, "markPrice"),
        ({"posMaint": None}, "posMaint is missing"),
        ({"settleCurrency": "DOGE"}, "positions in DOGE"),
    ],
)
def test_damaged_positions(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    damage = Fault(where="/positions", change=lambda body: body | {"data": [body["data"][0] | change]})
    assert words in unknown(KucoinDouble(positions=[position()]), tmp_path, damage)[0].reason


def test_a_position_is_never_counted_twice(tmp_path: Path) -> None:
    assert "listed twice" in unknown(KucoinDouble(positions=[position(), position()]), tmp_path)[0].reason


def test_nothing_and_negative_equity(tmp_path: Path) -> None:
    assert accounts(KucoinDouble(wallets={}), tmp_path) == {}
    [account] = accounts(KucoinDouble(wallets={"USDT": "-5"}), tmp_path).values()
    assert account.legs[0].amount.decimal() == -5


def test_second_scans_are_three_requests(tmp_path: Path) -> None:
    double = KucoinDouble(positions=[position()])
    assert len(scan(double, tmp_path, times=2).accounts) == 2
    assert len(double.log) == 3


@pytest.mark.parametrize(
    ("permission", "addresses", "rights"),
    [
        ("General", None, KeyRights(trade=False, withdraw=False, bound=None)),
        ("General,Futures", "1.2.3.4", KeyRights(trade=True, withdraw=False, bound=True)),
        ("General,Transfer", "", KeyRights(trade=False, withdraw=True, bound=False)),
        ("General,Other", "", KeyRights(trade=None, withdraw=None, bound=False)),
    ],
)
def test_rights(tmp_path: Path, permission: str, addresses: str | None, rights: KeyRights) -> None:
    assert scan(KucoinDouble(permission=permission, addresses=addresses), tmp_path).reports[0].key == rights


@pytest.mark.parametrize("kind", ["bad key", "permission", "address", "time", "html", "empty list", "empty object"])
def test_faults_are_named(tmp_path: Path, kind: str) -> None:
    account, report = unknown(KucoinDouble(), tmp_path, Fault(kind, where="account-overview"))
    assert report.status == "failed"
    assert account.reason


@pytest.mark.parametrize("skew", [90.0, -90.0])
def test_the_exchanges_clock_is_gone_by(tmp_path: Path, skew: float) -> None:
    assert [account.status for account in scan(KucoinDouble(skew=skew), tmp_path).accounts] == ["ok"]
