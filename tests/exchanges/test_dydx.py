"""dYdX's subaccounts over HTTP on loopback.

Recorded: a subaccount of October 2025 as ccxt's source has it (MIT; address left out), a position of July 2025 of ccxt's response tests,
and margin requirements of dydxprotocol/v4-chain at 84d4664, protocol/x/perpetuals/lib/lib_test.go (numbers).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from defi_risk_adapters.exchanges.dydx import rounded

from defi_risk.health import HealthSettings, run
from defi_risk.ids import Factor
from tests.exchanges.double import Fault
from tests.exchanges.dydx import ADDRESS, DydxDouble, market, position
from tests.exchanges.reading import accounts, scan, unknown


def test_a_recorded_subaccount(tmp_path: Path) -> None:
    btc_entry, eth_entry = Decimal("112196.87848803433219017636"), Decimal("3894.7")
    btc_price = btc_entry - Decimal("17002.285719484425404321566048") / Decimal("4.1368")
    eth_price = eth_entry + Decimal("-0.044675155") / Decimal("0.001")
    held = [position("ETH-USD", "0.001", str(eth_entry)), position("BTC-USD", "-4.1368", str(btc_entry))]
    double = DydxDouble(
        markets=[market("BTC-USD", str(btc_price)), market("ETH-USD", str(eth_price))],
        subaccounts={0: ("608580.951601", held)},
        given={0: {"equity": "161451.040416029", "freeCollateral": "152508.28819133578"}},
    )
    [account] = accounts(double, tmp_path).values()
    assert account.self_check is not None
    assert account.self_check.match
    assert account.self_check.protocol["equity"] == "161451.040416029"
    assert account.stated["equity"] == "161451.040416029"
    assert abs(Decimal(account.stated["freeCollateral"]) - Decimal("152508.28819133578")) < Decimal("0.000002")
    assert account.market == "subaccount-0"
    assert account.mode == "cross"
    assert account.strict


def test_profit_of_a_recorded_position(tmp_path: Path) -> None:
    entry, profit = Decimal("118692.04840909090909090909"), Decimal("-57.26681734000000000000037")
    price = entry - profit / Decimal("0.407")
    double = DydxDouble(markets=[market("BTC-USD", str(price))], subaccounts={0: ("60000", [position("BTC-USD", "-0.407", str(entry))])})
    [account] = accounts(double, tmp_path).values()
    leg = account.legs[1].position
    assert leg is not None
    assert abs(leg.size * (leg.mark - leg.entry) - profit) < Decimal("1e-18")


@pytest.mark.parametrize(
    ("price", "exponent", "resolution", "quantums", "initial", "maintenance", "im", "mm"),
    [
        (55_550, -1, -4, 7_000, "0.01", "0.5", 38_885_000, 19_442_500),
        (42_000_000, -2, -6, 5_000, "0.01", "0.5", 21_000_000, 10_500_000),
        (55_550, -1, -6, 7_000, "1", "1", 38_885_000, 38_885_000),
    ],
)
def test_margins_of_the_chains_own_tests(price: int, exponent: int, resolution: int, quantums: int, initial: str, maintenance: str,
                                         im: int, mm: int) -> None:  # fmt: skip
    worth = Decimal(price).scaleb(exponent) * Decimal(quantums).scaleb(resolution)
    assert rounded(worth, Decimal(initial)).scaleb(6) == im
    assert rounded(worth, Decimal(initial), Decimal(maintenance)).scaleb(6) == mm


@pytest.mark.parametrize(
    ("imf", "fraction", "rate"), [("0.05", "0.6", "0.03"), ("0.1", "0.5", "0.05"), ("0.2", "0.5", "0.1"), ("1", "0.2", "0.2")]
)
def test_tiers_at_genesis(imf: str, fraction: str, rate: str) -> None:
    """Both roundings cost at most two quantums against one by the product, which is what the indexer tells."""
    for worth in (Decimal("1234567.891"), Decimal("0.000001"), Decimal("99.999999")):
        exact = rounded(worth, Decimal(imf), Decimal(fraction))
        assert Decimal(0) <= exact - worth * Decimal(rate) <= Decimal("0.000002")


def test_where_a_long_dies(tmp_path: Path) -> None:
    """1 BTC at 60,000 on 55,000 borrowed USDC: 5,000 against 720; it dies at 55668.02."""
    double = DydxDouble(subaccounts={0: ("-55000", [position("BTC-USD", "1", "60000")])})
    found = scan(double, tmp_path)
    [figures] = run(found.accounts, HealthSettings(stables=frozenset({Factor("USDC")})), quotes=found.quotes).accounts.values()
    assert figures.weighted_collateral_usd == pytest.approx(5_000)
    assert figures.requirement_usd == pytest.approx(720)
    [down] = [one for one in figures.moves if one.factor == "BTC"]
    assert down.price == pytest.approx(55_668.02, abs=0.005)
    [account] = found.accounts
    assert account.stated["liquidationPrice:BTC-USD"] == "55668"
    assert account.self_check is not None
    assert account.self_check.match  # the indexer tells no liquidation prices to compare with


def test_children_are_accounts_of_their_own(tmp_path: Path) -> None:
    double = DydxDouble(subaccounts={0: ("1000", []), 128: ("500", [position("ETH-USD", "-1", "3100")]), 256: ("0", [])})
    found = accounts(double, tmp_path)
    assert set(found) == {"subaccount-0", "subaccount-128"}
    assert found["subaccount-128"].mode == "isolated"
    leg = found["subaccount-128"].legs[1].position
    assert leg is not None
    assert leg.funding_8h == Decimal("0.0001")


def test_open_interest_raises_initial_margin(tmp_path: Path) -> None:
    """Half way between the caps: 2 % + half of 98 %. Maintenance stays."""
    details = market("BTC-USD", "60000", openInterest="25", openInterestLowerCap="1000000", openInterestUpperCap="2000000")
    double = DydxDouble(markets=[details], subaccounts={0: ("60000", [position("BTC-USD", "0.1", "60000")])})
    leg = next(iter(accounts(double, tmp_path).values())).legs[1].position
    assert leg is not None
    assert leg.initial_rate == Decimal("0.51")
    assert leg.tiers[0].rate == Decimal("0.012")


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    held = [position("ETH-USD", "0.1", "2900")]
    double = DydxDouble(subaccounts={0: ("1000", held)}, given={0: {"equity": "900"}})
    [account] = accounts(double, tmp_path).values()
    assert account.self_check is not None
    assert not account.self_check.match


@pytest.mark.parametrize(("cash", "equity"), [("1000", "1000.5"), ("0", "5")])
def test_positions_that_are_not_listed_are_traced_by_the_equity(tmp_path: Path, cash: str, equity: str) -> None:
    account, _ = unknown(DydxDouble(subaccounts={0: (cash, [])}, given={0: {"equity": equity}}), tmp_path)
    assert f"has an equity of {equity}, {cash} of collateral and no positions" in account.reason


def of_first(change: dict[str, Any]) -> Any:
    def changed(body: Any) -> Any:
        rows = body["subaccounts"]
        held = {name: one | change for name, one in rows[0]["openPerpetualPositions"].items()}
        return body | {"subaccounts": [rows[0] | {"openPerpetualPositions": held}]}

    return changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "CLOSED"}, "CLOSED"),
        ({"side": "SHORT"}, "SHORT of size 1"),
        ({"size": "NaN"}, "size"),
        ({"entryPrice": None}, "entryPrice is missing"),
        ({"market": "NONE-USD"}, "no market 'NONE-USD'"),
    ],
)
def test_damaged_positions(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    double = DydxDouble(subaccounts={0: ("-55000", [position("BTC-USD", "1", "60000")])})
    account, _ = unknown(double, tmp_path, Fault(where="/addresses/", change=of_first(change)))
    assert words in account.reason


@pytest.mark.parametrize(
    ("change", "copies", "words"),
    [
        ({}, 2, "listed twice"),
        ({"address": "dydx1other"}, 1, "another address"),
        ({"assetPositions": {"BTC": {"size": "1"}}}, 1, "holds BTC"),
        ({"equity": None}, 1, "equity is missing"),
    ],
)
def test_damaged_subaccounts(tmp_path: Path, change: dict[str, Any], copies: int, words: str) -> None:
    def damaged(body: Any) -> Any:
        return body | {"subaccounts": [body["subaccounts"][0] | change] * copies}

    double = DydxDouble(subaccounts={0: ("1000", [])})
    assert words in unknown(double, tmp_path, Fault(where="/addresses/", change=damaged))[0].reason


def test_final_settlement(tmp_path: Path) -> None:
    settled = market("BTC-USD", "60000", status="FINAL_SETTLEMENT")
    double = DydxDouble(markets=[settled], subaccounts={0: ("1", [position("BTC-USD", "1", "60000")])})
    assert "final settlement" in unknown(double, tmp_path)[0].reason


def test_a_late_indexer_is_stale(tmp_path: Path) -> None:
    [report] = scan(DydxDouble(subaccounts={0: ("1000", [])}, late=600), tmp_path).reports
    assert report.status == "stale"
    assert "behind" in report.error


def test_another_chains_address(tmp_path: Path) -> None:
    class Other(DydxDouble):
        credentials = {"wallet": "0x" + "11" * 20}  # noqa: RUF012

    assert "dydx1" in unknown(Other(), tmp_path)[0].reason


def test_an_address_without_subaccounts_and_faults(tmp_path: Path) -> None:
    assert ADDRESS not in str(scan(DydxDouble(), tmp_path).accounts)
    for kind in ("html", "maintenance", "empty list"):
        account, report = unknown(DydxDouble(subaccounts={0: ("1000", [])}), tmp_path, Fault(kind, where="/addresses/"))
        assert (report.status, bool(account.reason)) == ("failed", True)


def test_an_address_that_the_indexer_does_not_know(tmp_path: Path) -> None:
    """It answers HTTP 404, which is no outage: the reason says what is the matter."""

    class Other(DydxDouble):
        credentials = {"wallet": "dydx1" + "q" * 38}  # noqa: RUF012

    account, report = unknown(Other(), tmp_path)
    assert report.status == "failed"
    assert "no subaccount of this address" in account.reason
    assert "out of order" not in account.reason


def test_every_scan_is_three_requests(tmp_path: Path) -> None:
    double = DydxDouble(subaccounts={0: ("1000", [])})
    [report] = scan(double, tmp_path, times=2).reports
    assert len(double.log) == 3
    assert report.key is None
