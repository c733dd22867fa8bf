"""Aster's futures over HTTP on loopback, each request signed as typed data and verified by eth_account."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.gathering import gather
from defi_risk.model import KeyRights
from tests.exchanges.aster import ADDRESS, KEY, AsterDouble, position
from tests.exchanges.double import Fault, serving
from tests.exchanges.reading import accounts, scan, unknown


def both() -> AsterDouble:
    """1 BTC long in cross with a maintenance of 205, and an isolated ETH short with 300 USDT."""
    # 10000 + p - 50000 = 0.004 p below 50,000 of notional
    long = position(liquidationPrice=str(round(Decimal(40_000) / Decimal("0.996"), 6)))
    # 300 - (p - 3000) = 0.004 p
    dies = str(round(Decimal(3_300) / Decimal("1.004"), 6))
    short = position(symbol="ETHUSDT", positionAmt="-1", marginType="isolated", isolatedMargin="290", unRealizedProfit="-10",
                     entryPrice="3000", markPrice="3010", liquidationPrice=dies)  # fmt: skip
    return AsterDouble(positions=[long, short])


def test_cross_and_isolated(tmp_path: Path) -> None:
    found = accounts(both(), tmp_path)
    assert set(found) == {"futures/USDT", "futures/ETHUSDT/isolated"}
    assert [account.self_check.match for account in found.values() if account.self_check] == [True, True]
    wallet, apart = found["futures/USDT"], found["futures/ETHUSDT/isolated"]
    assert Decimal(wallet.stated["maintMargin"]) == Decimal("205") + Decimal("12.04")
    assert wallet.stated["walletBalance"] == "10300"
    assert str(apart.legs[0].amount) == "300"
    leg = wallet.legs[1].position
    assert leg is not None
    assert (leg.funding_8h, leg.index, leg.initial_rate) == (Decimal("0.0002"), Decimal(50_990), Decimal("0.1"))


@pytest.mark.parametrize(
    ("told", "index"),
    [({"markPrice": "52000", "indexPrice": "50960"}, "49980"), ({"markPrice": "0"}, "50990"), ({"indexPrice": "51000"}, "51000")],
)
def test_the_index_keeps_its_distance_to_the_mark(tmp_path: Path, told: dict[str, str], index: str) -> None:
    """Index prices are kept for ten minutes, and marks are not."""
    double = AsterDouble(positions=[position()])
    double.premium |= told
    leg = accounts(double, tmp_path)["futures/USDT"].legs[1].position
    assert leg is not None
    assert leg.index == Decimal(index)


@pytest.mark.parametrize("where", ["exchangeInfo", "leverageBracket"])
def test_a_contract_younger_than_the_list_is_looked_up_again(tmp_path: Path, where: str) -> None:
    def older(rows: Any) -> Any:
        (rows["symbols"] if isinstance(rows, dict) else rows).pop(0)
        return rows

    double = AsterDouble(positions=[position()], faults=[Fault(where=where, change=older, times=1)])
    [wallet] = accounts(double, tmp_path).values()
    assert wallet.status == "ok"
    assert sum(request.path.endswith(where) for request in double.log) == 2


@pytest.mark.parametrize("owner", ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ADDRESS])
def test_the_key_may_be_an_agents_of_the_wallet(tmp_path: Path, owner: str) -> None:
    """Aster's own interface gives out keys of agents, which sign for a wallet: `user` is the wallet, `signer` the agent."""
    double = both()
    double.owner = owner
    found = accounts(double, tmp_path, f'wallet = "{owner}"')
    assert set(found) == {"futures/USDT", "futures/ETHUSDT/isolated"}


@pytest.mark.parametrize(
    ("where", "note", "index"),
    [("premiumIndex", "funding rates are not known", None), ("fundingInfo", "funding intervals are not known", Decimal(50_990))],
)
def test_funding_that_is_not_told_is_a_note(tmp_path: Path, where: str, note: str, index: Decimal | None) -> None:
    found = scan(AsterDouble(positions=[position()], faults=[Fault("500", where)]), tmp_path)
    [wallet] = found.accounts
    assert wallet.status == "ok", wallet.reason
    assert [text.partition(":")[0] for report in found.reports for text in report.notes] == [note]
    leg = wallet.legs[1].position
    assert leg is not None
    assert (leg.funding_8h, leg.index) == (None, index)


def test_a_key_that_is_none_is_said(tmp_path: Path) -> None:
    double = both()
    book = tmp_path / "book.toml"
    with serving(double) as url:
        book.write_text(double.book(url, more=f'wallet = "{ADDRESS}"').replace(KEY, "0xnone"), "utf-8")
        [account] = gather(book=book, deadline=20).accounts
    assert account.status == "unknown"
    assert "could not put the question" in account.reason


def test_hedged_sides(tmp_path: Path) -> None:
    rows = [position(positionSide="LONG"), position(positionSide="SHORT", positionAmt="-1", unRealizedProfit="-1000")]
    [wallet] = accounts(AsterDouble(positions=rows), tmp_path).values()
    assert len(wallet.legs) == 3
    assert wallet.self_check is not None
    assert wallet.self_check.match


@pytest.mark.parametrize(("multi", "words"), [(True, "multi-assets mode"), (None, "multiAssetsMargin is missing")])
def test_modes_that_are_not_known(tmp_path: Path, multi: bool | None, words: str) -> None:
    assert words in unknown(AsterDouble(multi=multi), tmp_path)[0].reason


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    double = both()
    double.positions[1]["liquidationPrice"] = "4000"
    apart = accounts(double, tmp_path)["futures/ETHUSDT/isolated"]
    assert apart.self_check is not None
    assert not apart.self_check.match


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positionSide": "UP"}, "position side 'UP'"),
        ({"marginType": "portfolio"}, "margin mode 'portfolio'"),
        ({"symbol": "NONEUSDT"}, "no contract 'NONEUSDT'"),
        ({"markPrice": "NaN"}, "markPrice"),
        ({"entryPrice": None}, "entryPrice is missing"),
    ],
)
def test_damaged_positions(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    damage = Fault(where="positionRisk", change=lambda rows: [rows[0] | change])
    assert words in unknown(AsterDouble(positions=[position()]), tmp_path, damage)[0].reason


def test_a_position_is_never_counted_twice(tmp_path: Path) -> None:
    assert "listed twice" in unknown(AsterDouble(positions=[position(), position()]), tmp_path)[0].reason


def test_nothing_and_negative_equity(tmp_path: Path) -> None:
    assert accounts(AsterDouble(wallets={"USDT": "0"}), tmp_path) == {}
    [account] = accounts(AsterDouble(wallets={"USDT": "-5"}), tmp_path).values()
    assert str(account.legs[0].amount) == "-5"


def test_second_scans_are_four_requests_and_see_another_mode(tmp_path: Path) -> None:
    double = both()
    found = scan(double, tmp_path, times=2)
    assert len(found.accounts) == 2
    assert len(double.log) == 4, [request.line for request in double.log]
    double.multi = True
    [account] = scan(double, tmp_path).accounts
    assert "multi-assets mode" in account.reason


def test_the_key_can_do_everything_and_is_shown_nowhere(tmp_path: Path) -> None:
    double = both()
    found = scan(double, tmp_path)
    assert found.reports[0].key == KeyRights(trade=True, withdraw=True, bound=False)
    assert all(KEY[2:] not in f"{request.raw_query}{request.headers}{request.body!r}" for request in double.log)
    assert KEY[2:] not in repr(found)


@pytest.mark.parametrize("kind", ["bad key", "permission", "time", "html", "empty object"])
def test_faults_are_named(tmp_path: Path, kind: str) -> None:
    account, report = unknown(AsterDouble(), tmp_path, Fault(kind, where="v3/account"))
    assert report.status == "failed"
    assert account.reason


@pytest.mark.parametrize("skew", [90.0, -90.0])
def test_the_exchanges_clock_is_gone_by(tmp_path: Path, skew: float) -> None:
    assert [account.status for account in scan(AsterDouble(skew=skew), tmp_path).accounts] == ["ok"]
