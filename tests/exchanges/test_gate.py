"""Gate's classic futures accounts over HTTP on loopback.

The recorded position is one of HYPE_USDT as Gate's interface told it in September 2026 (a public issue note, account id left out): worth
342.9974, maintenance margin 3.1154453842 at a rate of 0.008333 and a taker fee of 0.075 %.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from defi_risk.model import KeyRights
from tests.exchanges.double import Fault
from tests.exchanges.gate import MULTIPLIERS, GateDouble, key, position
from tests.exchanges.reading import accounts, scan, unknown


def recorded() -> dict[str, Any]:
    return position(
        contract="HYPE_USDT",
        size="-37",
        mode="dual_short",
        value="342.9974",
        entry_price="88.077351351351",
        mark_price="92.702",
        unrealised_pnl="-17.111200000001",
        liq_price="152.873",
        initial_margin="4.833976690667",
        maintenance_margin="3.1154453842",
        maintenance_rate="0.008333",
        average_maintenance_rate="0.0083",
        cross_leverage_limit="75",
    )


def test_a_recorded_position(tmp_path: Path) -> None:
    # the wallet is what makes it die at the price that was told: 152.873 * 3.7 * 0.009083 + 3.7 * (152.873 - 88.07735)
    [wallet] = accounts(GateDouble(wallets={"usdt": "244.8816"}, positions={"usdt": [recorded()]}), tmp_path).values()
    assert wallet.market == "usdt/USDT"
    assert wallet.self_check is not None
    assert wallet.self_check.match
    assert wallet.stated["maintenance_margin:HYPE_USDT:short"] == "3.1154453842"
    assert wallet.stated["value:HYPE_USDT:short"] == "342.9974"
    assert abs(Decimal(wallet.stated["liquidationPrice:HYPE_USDT:short"]) - Decimal("152.873")) < Decimal("0.001")
    position_ = wallet.legs[1].position
    assert position_ is not None
    assert (position_.size, position_.close_fee, position_.funding_8h) == (Decimal("-3.7"), Decimal("0.00075"), Decimal("0.0001"))


def both() -> GateDouble:
    """1 BTC long in cross, 1 ETH short apart with 300 USDT."""
    short = position(contract="ETH_USDT", size="-100", leverage="10", margin="300", entry_price="3000", mark_price="3010",
                     unrealised_pnl="-10", pos_margin_mode="isolated", liq_price="3284.4")  # fmt: skip
    return GateDouble(positions={"usdt": [position(liq_price="40190.9"), short]})


def test_cross_and_isolated(tmp_path: Path) -> None:
    found = accounts(both(), tmp_path)
    assert set(found) == {"usdt/USDT", "usdt/ETH_USDT/isolated"}
    assert [account.self_check.match for account in found.values() if account.self_check] == [True, True]
    wallet, apart = found["usdt/USDT"], found["usdt/ETH_USDT/isolated"]
    # 10000 + (p - 50000) = 0.00475 p
    price = Decimal(40_000) / (1 - Decimal("0.00475"))
    double = both()
    double.positions["usdt"][0]["liq_price"] = str(round(price, 1))
    checked = accounts(double, tmp_path)["usdt/USDT"]
    assert Decimal(checked.stated["liquidationPrice:BTC_USDT"]) == price.quantize(Decimal("0.1"), "ROUND_DOWN")
    assert str(wallet.legs[0].amount) == "10000"
    assert str(apart.legs[0].amount) == "300"
    assert apart.rule.remainder == "lost"
    # 300 - (p - 3000) = 0.00475 p
    assert Decimal(apart.stated["liquidationPrice:ETH_USDT"]) == Decimal("3284.3")


def test_coin_margined(tmp_path: Path) -> None:
    long = position(
        contract="BTC_USD", size="5000", unrealised_pnl="0.00196078", entry_price="50000", mark_price="51000", maintenance_rate="0.005"
    )
    double = GateDouble(wallets={"btc": "0.05", "usdt": "0"}, positions={"btc": [long]})
    [wallet] = accounts(double, tmp_path).values()
    leg = wallet.legs[1].position
    assert leg is not None
    assert (leg.contract, leg.size, leg.quote) == ("inverse", Decimal(5_000), "USD")
    assert wallet.legs[0].price is not None
    assert str(wallet.legs[0].price.value) == "51000"
    assert wallet.self_check is not None
    assert wallet.self_check.match


def test_brackets_with_deductions(tmp_path: Path) -> None:
    """Gate's brackets are charged in steps: 20,000 of notional is 10,000 at 0.8333 % and 10,000 at 1 %."""
    row = recorded() | {
        "size": "-2000",
        "mark_price": "100",
        "value": "",
        "maintenance_margin": "",
        "liq_price": "99999999",
        "unrealised_pnl": "-2000",
    }
    [wallet] = accounts(GateDouble(positions={"usdt": [row]}), tmp_path).values()
    tier = wallet.legs[1].position
    assert tier is not None
    assert tier.tiers[1].deduction == Decimal("16.67")
    need = Decimal(20_000) * Decimal("0.01075") - Decimal("16.67")
    assert Decimal(wallet.stated["maintenance_margin:HYPE_USDT:short"]) == need


@pytest.mark.parametrize("count", [100, 130])
def test_more_positions_than_one_answer_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    rows = []
    for number in range(count):
        monkeypatch.setitem(MULTIPLIERS, f"C{number}_USDT", "1")
        rows.append(
            position(contract=f"C{number}_USDT", size="10", entry_price="9", mark_price="10", unrealised_pnl="10", maintenance_rate="0.004")
        )
    double = GateDouble(positions={"usdt": rows})
    [wallet] = accounts(double, tmp_path).values()
    assert len(wallet.legs) == 1 + count
    assert wallet.self_check is not None
    assert wallet.self_check.match
    assert [request.query.get("offset", "0") for request in double.log if "positions" in request.path] == ["0", "0", "100"]


def test_a_mismatch_is_seen(tmp_path: Path) -> None:
    double = GateDouble(positions={"usdt": [recorded() | {"maintenance_margin": "4.1"}]})
    [wallet] = accounts(double, tmp_path).values()
    assert wallet.self_check is not None
    assert not wallet.self_check.match


@pytest.mark.parametrize("mode", ["multi_currency", "portfolio", "single_currency", "new"])
def test_unified_modes_are_named(tmp_path: Path, mode: str) -> None:
    assert repr(mode) in unknown(GateDouble(unified=mode), tmp_path)[0].reason


def test_a_wallet_tells_its_mode_too(tmp_path: Path) -> None:
    """A key that may not read the unified account's mode still cannot take it for a classic one."""
    double = GateDouble(margin_mode=1)
    account, _ = unknown(double, tmp_path, Fault("permission", where="unified_mode"))
    assert "margin mode 1" in account.reason


def test_wallets_elsewhere_are_unknown(tmp_path: Path) -> None:
    found = accounts(GateDouble(elsewhere={"delivery": "5", "options": "0"}), tmp_path)
    assert found["delivery/USDT"].status == "unknown"
    assert "delivery" in found["delivery/USDT"].reason
    assert found["usdt/USDT"].status == "ok"
    assert "options/USDT" not in found


def test_a_wallet_that_could_not_be_read_is_never_taken_for_none(tmp_path: Path) -> None:
    account, report = unknown(both(), tmp_path, Fault("gateway", where="futures/btc/accounts"))
    assert report.status == "failed"
    assert account.reason


def test_a_key_that_may_not_read_options_is_noted(tmp_path: Path) -> None:
    double = both()
    double.faults.append(Fault("permission", where="options/accounts"))
    found = scan(double, tmp_path)
    assert [account.status for account in found.accounts] == ["ok", "ok"]
    assert any("wallet of options was not read" in note for note in found.reports[0].notes)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("mode", "split", "position mode 'split'"),
        ("mark_price", "NaN", "mark_price"),
        ("entry_price", "", "entry_price"),
        ("margin", None, "margin is missing"),
        ("contract", "NONE_USDT", "out of order"),
        ("pos_margin_mode", "isolated", "margin mode 'isolated'"),
    ],
)
def test_damaged_positions(tmp_path: Path, field: str, value: str | None, words: str) -> None:
    row = position(leverage="10", margin="100", pos_margin_mode="isolated") if field == "margin" else position()
    damage = Fault(where="futures/usdt/positions", change=lambda rows: [one | {field: value} for one in rows])
    account, _ = unknown(GateDouble(positions={"usdt": [row]}), tmp_path, damage)
    assert words in account.reason


def test_a_position_is_never_counted_twice(tmp_path: Path) -> None:
    assert "listed twice" in unknown(GateDouble(positions={"usdt": [position(), position()]}), tmp_path)[0].reason


def test_nothing_and_negative_equity(tmp_path: Path) -> None:
    assert accounts(GateDouble(wallets={"usdt": "0"}), tmp_path) == {}
    [account] = accounts(GateDouble(wallets={"usdt": "-5"}), tmp_path).values()
    assert str(account.legs[0].amount) == "-5"


def test_second_scans_are_small(tmp_path: Path) -> None:
    """The wallet in BTC and those elsewhere were never opened: such refusals are kept, too."""
    double = both()
    assert len(scan(double, tmp_path, times=2).accounts) == 2
    assert len(double.log) == 3, [request.line for request in double.log]


@pytest.mark.parametrize("listed", ["all", "cross", "isolated"])
def test_positions_that_are_not_listed_are_traced_by_the_wallet(tmp_path: Path, listed: str) -> None:
    damage = Fault(where="usdt/positions", change=lambda rows: [row for row in rows if listed not in ("all", row["pos_margin_mode"])])
    assert "lists no position that settles in it" in unknown(both(), tmp_path, damage)[0].reason


@pytest.mark.parametrize(
    ("keys", "rights"),
    [
        ([key(("futures", True))], KeyRights(trade=False, withdraw=False, bound=False)),
        ([key(("futures", False), addresses=("1.2.3.4",))], KeyRights(trade=True, withdraw=False, bound=True)),
        ([key(("withdraw", False))], KeyRights(trade=False, withdraw=True, bound=False)),
        ([key(("futures", True)), key(("futures", False))], KeyRights()),
    ],
)
def test_rights(tmp_path: Path, keys: list[dict[str, Any]], rights: KeyRights) -> None:
    [report] = scan(GateDouble(keys=keys), tmp_path).reports
    assert report.key == rights


@pytest.mark.parametrize("kind", ["bad key", "permission", "address", "html", "empty list", "empty object"])
def test_faults_are_named(tmp_path: Path, kind: str) -> None:
    account, report = unknown(GateDouble(), tmp_path, Fault(kind, where="/futures/usdt/accounts"))
    assert report.status == "failed"
    assert account.reason


@pytest.mark.parametrize("skew", [90.0, -90.0])
def test_the_exchanges_clock_is_gone_by(tmp_path: Path, skew: float) -> None:
    assert [account.status for account in scan(GateDouble(skew=skew), tmp_path).accounts] == ["ok"]
