"""The worked cases of the model, as books through the command line: what a user would see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runner import run

LOAN = """
[[manual]]
name = "aave"
side = "lending"
[[manual.collateral]]
factor = "ETH"
amount = "10"
price = "3000"
weight = "0.83"
initial_weight = "0.80"
[[manual.debt]]
factor = "USDC"
amount = "{debt}"
price = "1"
"""
PERP = """
[[manual]]
name = "perp"
side = "derivatives"
[[manual.collateral]]
factor = "USDC"
amount = "{margin}"
price = "1"
[[manual.position]]
factor = "ETH"
quote = "USDC"
size = "{size}"
entry = "3000"
mark = "3000"
maintenance = "0.02"
"""
IDLE = """
[[manual]]
name = "idle"
side = "lending"
[[manual.collateral]]
factor = "USDC"
amount = "9000"
price = "1"
"""
CROSS = """
[[manual]]
name = "cross"
side = "derivatives"
[[manual.collateral]]
factor = "USDC"
amount = "5"
price = "1"
[[manual.position]]
factor = "ETH"
quote = "USDC"
size = "1"
entry = "100"
mark = "100"
maintenance = "0.004"
[[manual.position]]
factor = "BTC"
quote = "USDC"
size = "1"
entry = "100"
mark = "100"
maintenance = "0.04"
"""
GMX = """
[[manual]]
name = "gmx"
side = "derivatives"
[[manual.collateral]]
factor = "{coin}"
amount = "{amount}"
price = "{price}"
[[manual.position]]
factor = "ETH"
quote = "USD"
size = "10"
entry = "3000"
mark = "3000"
maintenance = "0.005"
maintenance_basis = "entry"
close_fee = "0.0007"
"""
WALLET = """
[[manual]]
name = "futures"
side = "derivatives"
liquidation = "<="
[[manual.collateral]]
factor = "USDT"
amount = "1000"
price = "1"
[[manual.position]]
factor = "ETH"
quote = "USDT"
size = "1"
entry = "3000"
mark = "3000"
maintenance = "0.05"
initial = "0.0666666666666666666666666667"
unrealized_pnl = "100"
[[manual.position]]
factor = "BTC"
quote = "USDT"
size = "0.1"
entry = "45000"
mark = "45000"
maintenance = "0.05"
initial = "0.0666666666666666666666666667"
unrealized_pnl = "{pnl}"
"""


def scanned(tmp_path: Path, *parts: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The snapshot of a book made of these parts, and its accounts by name."""
    book = tmp_path / "case.toml"
    book.write_text('[book]\nname = "case"\n' + "".join(parts))
    ended = run("scan", "--book", str(book), "--format", "json")
    assert ended.code == 0, ended.err
    snapshot = json.loads(ended.out)
    return snapshot, {account["id"].removeprefix("manual:"): account for account in snapshot["accounts"]}


def price_of(account: dict[str, Any], factor: str, direction: str) -> float:
    [found] = [item for item in account["liquidation"] if (item["factor"], item["direction"]) == (factor, direction)]
    return float(found["price"])


def test_case_a_the_hedge_dies_upward(tmp_path: Path) -> None:
    snapshot, accounts = scanned(tmp_path, LOAN.format(debt=12_000), PERP.format(margin=12_000, size=-10))
    book, aave, perp = snapshot["book_health"], accounts["aave"], accounts["perp"]
    assert (aave["health"], perp["health"]) == (pytest.approx(2.075), pytest.approx(20.0))
    assert (aave["surplus_usd"], perp["surplus_usd"]) == (pytest.approx(12_900), pytest.approx(11_400))
    assert price_of(aave, "ETH", "down") == pytest.approx(1_445.783, abs=1e-3)
    assert price_of(perp, "ETH", "up") == pytest.approx(4_117.647, abs=1e-3)
    assert book["uhf"] == pytest.approx(1.372549, abs=1e-6)
    assert (book["first_account"], book["first_side"]) == ("manual:perp", "up")
    assert book["corridor"] == [pytest.approx(-0.518072, abs=1e-6), pytest.approx(0.372549, abs=1e-6)]
    assert book["netted_health"] == pytest.approx(2.928571, abs=1e-6)
    assert book["netted_uhf"] == pytest.approx(15_789.47 / 3_000, abs=1e-4)
    assert book["stranded_usd"] == pytest.approx(41_176.47 * 0.83 - 12_000, abs=0.01)
    assert book["bound"] == "exact"


def test_case_a_balanced(tmp_path: Path) -> None:
    """Borrowing 1,997.84 more into the perp gives the same distance on both sides."""
    snapshot, accounts = scanned(tmp_path, LOAN.format(debt="13997.84"), PERP.format(margin="13997.84", size=-10))
    assert accounts["aave"]["market_moves"]["down"] == pytest.approx(-0.4378, abs=5e-5)
    assert accounts["perp"]["market_moves"]["up"] == pytest.approx(0.4378, abs=5e-5)
    assert snapshot["book_health"]["uhf"] == pytest.approx(1.4378, abs=5e-5)
    best, _ = scanned(tmp_path, LOAN.format(debt="16415.60"), PERP.format(margin="16415.60", size=-10))
    assert best["book_health"]["uhf"] == pytest.approx(1.5168, abs=5e-5)


def test_case_b_the_better_ratio_dies_first(tmp_path: Path) -> None:
    snapshot, accounts = scanned(tmp_path, LOAN.format(debt=15_000), PERP.format(margin=6_000, size=10), IDLE)
    assert accounts["aave"]["health"] == pytest.approx(1.66)
    assert accounts["perp"]["health"] == pytest.approx(10.0)
    assert accounts["idle"]["health"] is None
    assert price_of(accounts["aave"], "ETH", "down") == pytest.approx(1_807.23, abs=0.01)
    assert price_of(accounts["perp"], "ETH", "down") == pytest.approx(2_448.98, abs=0.01)
    assert snapshot["book_health"]["first_account"] == "manual:perp"


def test_case_d_other_positions_need_margin_too(tmp_path: Path) -> None:
    _, accounts = scanned(tmp_path, CROSS)
    assert price_of(accounts["cross"], "ETH", "down") == pytest.approx(99.40, abs=0.005)


@pytest.mark.parametrize(("coin", "amount", "price", "dies"), [("USDC", "6000", "1", 2_417.10), ("ETH", "2", "3000", 2_514.25)])
def test_case_e_the_rate_on_the_size_at_entry(tmp_path: Path, coin: str, amount: str, price: str, dies: float) -> None:
    _, accounts = scanned(tmp_path, GMX.format(coin=coin, amount=amount, price=price))
    assert price_of(accounts["gmx"], "ETH", "down") == pytest.approx(dies, abs=0.005)


@pytest.mark.parametrize(("pnl", "health", "dead"), [("-400", 1.866667, False), ("-700", 1.066667, False), ("-725", 1.0, True)])
def test_case_g_a_futures_wallet(tmp_path: Path, pnl: str, health: float, dead: bool) -> None:
    _, accounts = scanned(tmp_path, WALLET.format(pnl=pnl))
    futures = accounts["futures"]
    assert futures["health"] == pytest.approx(health, abs=1e-6)
    assert futures["liquidatable"] is dead
    assert futures["equity_usd"] == pytest.approx(1_100 + float(pnl))
    assert futures["requirement_usd"] == pytest.approx(375)
    assert futures["free_margin_usd"] == pytest.approx(600 + float(pnl))
    assert futures["mur"] == pytest.approx(500 / (1_100 + float(pnl)))
