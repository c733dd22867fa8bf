"""The worked cases with the derivatives at Binance, through the command line: a loan by hand, and the scripted exchange over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.desks import aave, codes, flag, held, loan
from tests.cli.runner import run
from tests.exchanges.binance import DELIVERY, BinanceExchange, Held
from tests.exchanges.double import Double, Fault, Reply, Request, serving
from tests.fault.exchange import Exchange as Candles

pytestmark = pytest.mark.slow

NAME = "binance-main"
PERP = f"{NAME}/usdm/USDC"
MODEL = "[model]\nvolatility = { ETH = 0.04, BTC = 0.03 }\n"
PLAIN = {coin: (price, "0", "0") for coin, price in (("USDT", "1"), ("USDC", "1"), ("ETH", "3000"), ("BTC", "100000"))}
Snapshot = dict[str, Any]


SPOT = ("/api/v3/exchangeInfo", "/api/v3/klines")


class Priced(BinanceExchange):
    """The account, and the spot candles of ETH and BTC at the same address."""

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        candles = Candles()

        def spot(request: Request) -> Any:
            return candles.answer(request.path, request.query)

        return {**super().routes(), **{f"GET {path}": spot for path in SPOT}}

    def refuses(self, request: Request) -> Reply | None:
        return None if request.path in SPOT else super().refuses(request)


def exchange(
    wallet: dict[str, str], *held: Held, rate: str = "0.02", kind: type[BinanceExchange] = BinanceExchange, **more: Any
) -> BinanceExchange:
    """An account whose contracts have one bracket, and whose coins cost what they are worth."""
    symbols = {one.symbol for one in held}
    given: dict[str, Any] = {"index": PLAIN, "marks": {one.symbol: one.entry for one in held}, **more}
    return kind(wallets=wallet, positions=list(held), tiers=dict.fromkeys(symbols, (("0", rate),)), **given)


def short(margin: str = "12000") -> BinanceExchange:
    """Case A's side at the exchange."""
    return exchange({"USDC": margin}, Held("ETHUSDC", "-10", "3000"))


@contextmanager
def book(folder: Path, double: Double, *parts: str) -> Generator[str]:
    """The file of a book of these parts and the exchange, while that answers."""
    with serving(double) as url:
        path = folder / "case.toml"
        path.write_text('[book]\nname = "case"\n' + "".join(parts) + double.book(url, NAME), "utf-8")
        yield str(path)


def said(folder: Path, double: Double, *parts: str, command: str = "scan", options: tuple[str, ...] = (), code: int = 0) -> Snapshot:
    """What a command writes of it as JSON."""
    with book(folder, double, *parts) as path:
        ended = run(command, "--book", path, "--format", "json", *options)
    assert ended.code == code, ended.err
    found: Snapshot = json.loads(ended.out)
    return found


def account(snapshot: Snapshot, name: str) -> Any:
    [one] = [one for one in snapshot["accounts"] if one["id"] == name]
    return one


def test_case_a_the_exchange_dies_first_and_upward(tmp_path: Path) -> None:
    snapshot = said(tmp_path, short(), aave(12_000), MODEL)
    first = snapshot["book_health"]
    assert first["uhf"] == pytest.approx(1.372549, abs=1e-6)
    assert (first["first_account"], first["first_side"], first["bound"]) == (PERP, "up", "exact")
    assert account(snapshot, PERP)["sigma"] == pytest.approx(9.31, abs=5e-3)
    assert account(snapshot, PERP)["self_check"]["match"] is True
    assert {"HEDGE_FRAGILE", "HEDGE_STRANDED", "BORROWED_MARGIN"} <= codes(snapshot)
    assert flag(snapshot, "BORROWED_MARGIN")["evidence"]["how"] == "amounts"
    assert "KEY_TOO_STRONG" not in codes(snapshot)
    assert snapshot["cascade"]["up"][0]["prices"]["ETH"] == pytest.approx(4_117.65, abs=5e-3)
    for margin in (NAME, PERP):
        link = f'[[links]]\nloan = "manual:aave"\nmargin = "{margin}"\n'
        tagged = said(tmp_path, short("9000"), aave(12_000), link)
        assert flag(tagged, "BORROWED_MARGIN")["evidence"]["how"] == "tagged"
        assert flag(tagged, "BORROWED_MARGIN")["accounts"] == [PERP, "manual:aave"]


def test_case_a_on_the_terminal(tmp_path: Path) -> None:
    with book(tmp_path, short(), aave(12_000)) as path:
        ended = run("scan", "--book", path, env={"COLUMNS": "140"})
    assert ended.code == 0, ended.err
    head = ended.out.split("\n\n")[0]
    assert "first to go: Binance · usdm/USDC, if the market RISES 37.3 %" in head
    assert f"{NAME} as of " in head


def test_case_a_rescued(tmp_path: Path) -> None:
    plan = said(tmp_path, short(), aave(12_000), command="plan", options=("--survive", "+43.78%"))
    assert (plan["feasible"], plan["outside_capital_usd"]) == (True, 0)
    [deposit] = [action for action in plan["actions"] if action["kind"] == "deposit"]
    assert deposit["account"] == PERP
    assert float(deposit["amount"]) == pytest.approx(1_997.84, abs=2)


def test_isolated_positions_die_alone(tmp_path: Path) -> None:
    """Each takes its initial margin along, 5 % of its notional at 20x; what is left is out of reach."""
    double = exchange({"USDC": "12000"}, Held("ETHUSDC", "-10", "3000"), Held("BTCUSDC", "0.1", "100000"))
    found = said(tmp_path, double, aave(12_000), command="whatif", options=("--isolate", PERP))
    after = [round(one["equity_usd"]) for one in found["accounts_after"]]
    assert after == [1_500, 500, 10_000]
    assert found["after"]["uhf"] < found["before"]["uhf"]


def test_case_b_the_better_ratio_dies_first(tmp_path: Path) -> None:
    long = exchange({"USDC": "6000"}, Held("ETHUSDC", "10", "3000"))
    idle = loan("idle", held("USDC", 9_000))
    snapshot = said(tmp_path, long, aave(15_000), idle)
    assert (account(snapshot, "manual:aave")["health"], account(snapshot, PERP)["health"]) == (pytest.approx(1.66), pytest.approx(10.0))
    assert (snapshot["book_health"]["first_account"], snapshot["book_health"]["first_side"]) == (PERP, "down")
    [dies] = [one for one in account(snapshot, PERP)["liquidation"] if one["factor"] == "ETH"]
    assert dies["price"] == pytest.approx(2_448.98, abs=0.01)
    assert {"BORROWED_MARGIN", "WRONG_WAY_COLLATERAL"} <= codes(snapshot)
    best = said(tmp_path, long, aave(15_000), idle, command="plan", options=("--budget", "0"))
    moved = {action["account"]: float(action["amount"]) for action in best["actions"] if action["kind"] in ("deposit", "repay")}
    assert moved == {PERP: pytest.approx(7_756.91, abs=0.02), "manual:aave": pytest.approx(1_243.09, abs=0.02)}


@pytest.mark.parametrize(("rho", "distance"), [(0, 7.90), (0.5, 7.47), (0.8, 7.24), (0.95, 7.14), (1, 7.10)])
def test_case_c_multi_assets_mode(tmp_path: Path, rho: float, distance: float) -> None:
    index = {**PLAIN, "BTC": ("100000", "0.05", "0.05")}
    double = exchange({"BTC": "0.1", "USDT": "10000"}, Held("ETHUSDT", "20", "3000"), rate="0.01", multi=True, index=index)
    snapshot = said(tmp_path, double, aave(12_000), f'{MODEL}correlation = {{ "BTC/ETH" = {rho} }}\n')
    [one] = [one for one in snapshot["accounts"] if one["owner"] == NAME]
    assert one["surplus_usd"] == pytest.approx(18_900)
    assert one["sigma"] == pytest.approx(distance, abs=5e-3)
    assert one["self_check"]["match"] is True


def test_case_f_a_short_loses_when_its_quote_does(tmp_path: Path) -> None:
    double = exchange({"USDT": "10000"}, Held("ETHUSDT", "-10", "3000"))
    owing = aave(12_000).replace("USDC", "USDT")
    shocks = ("--shock", "USDT=-10%")
    rows = {row["scenario"]: row for row in said(tmp_path, double, owing, command="stress", options=shocks)["stress"]}
    lost = (10_000 - 3_333.33) * 0.9
    assert rows["shock"]["equity_usd"] == rows["usdt_090"]["equity_usd"] == pytest.approx(30_000 - 10_800 + lost, abs=5e-3)
    # at the exchange alone: the loan is still owed in full
    assert rows["usdt_090_one_venue"]["shocks"] == {"Binance:USDT": pytest.approx(-0.1)}
    assert rows["usdt_090_one_venue"]["equity_usd"] == pytest.approx(18_000 + lost, abs=5e-3)
    for name in ("binance:USDT", "Binance:USDT", "BINANCE:USDT"):
        row = said(tmp_path, double, owing, command="stress", options=("--shock", f"{name}=-10%"))["stress"]
        [one] = [one for one in row if one["scenario"] == "shock"]
        assert one["equity_usd"] == pytest.approx(18_000 + lost, abs=5e-3)


@pytest.mark.parametrize(("entry", "health", "dead"), [("49000", 1.866667, False), ("52000", 1.066667, False), ("52250", 1.0, True)])
def test_case_g_a_futures_wallet(tmp_path: Path, entry: str, health: float, dead: bool) -> None:
    """Losses of 400, 700 and 725 on 0.1 BTC at 45,000, a profit of 100 on 1 ETH at 3,000; brackets of 5 %."""
    positions = Held("ETHUSDT", "1", "2900"), Held("BTCUSDT", "0.1", entry)
    marks = {"ETHUSDT": "3000", "BTCUSDT": "45000"}
    snapshot = said(tmp_path, exchange({"USDT": "1000"}, *positions, rate="0.05", marks=marks), aave(12_000))
    one = account(snapshot, f"{NAME}/usdm/USDT")
    assert one["health"] == pytest.approx(health, abs=1e-6)
    assert (one["liquidatable"], "LIQUIDATABLE" in codes(snapshot)) == (dead, dead)
    assert one["requirement_usd"] == pytest.approx(375)


def test_a_basis_trade_across_a_loan_and_the_exchange(tmp_path: Path) -> None:
    """A dated short against the loan's collateral: the index is the exchange's, and so is the clock."""
    double = exchange({"USDT": "12000"}, Held("ETHUSDT_261225", "-10", "3060"))
    found = flag(said(tmp_path, double, aave(12_000)), "BASIS_TRADE")
    evidence = found["evidence"]
    assert found["accounts"] == [f"{NAME}/usdm/USDT", "manual:aave"]
    assert (evidence["index"], evidence["index_source"]) == (3_000, "venue")
    assert evidence["days"] == pytest.approx((DELIVERY - double.now()) / 86_400_000, abs=0.01)
    assert evidence["basis_per_year"] == pytest.approx(0.02 * 365 / evidence["days"])
    assert evidence["liquidation_price"] == pytest.approx(42_600 / 10.2)
    assert (evidence["margin"], evidence["other_margin"]) == ("stable", "coin")


def test_a_key_that_can_withdraw(tmp_path: Path) -> None:
    double = short()
    double.rights = {**double.rights, "enableWithdrawals": True, "ipRestrict": False}
    found = flag(said(tmp_path, double, aave(12_000)), "KEY_TOO_STRONG")
    assert (found["severity"], found["accounts"]) == ("warning", [PERP])
    assert found["evidence"]["withdraw"] is True
    assert "can withdraw" in found["message"] or "trade and withdraw" in found["message"]


def test_a_self_check_that_fails_says_its_tolerance(tmp_path: Path) -> None:
    double = short()

    def dearer(content: Any) -> Any:
        return {**content, "assets": [{**row, "maintMargin": "999.0"} for row in content["assets"]]}

    double.faults = [Fault(where="/fapi/v2/account", change=dearer)]
    found = flag(said(tmp_path, double, aave(12_000)), "SELF_CHECK_FAILED")
    assert "at the same moment differ by more than" in found["message"]
    assert found["threshold"] > 0


PRICES = '[model]\nprices = "exchange:binance"\n'


def test_candles_of_what_the_exchange_account_trades(tmp_path: Path) -> None:
    """BTC is in no leg but a position; the address is that of the book's exchange."""
    positions = Held("ETHUSDC", "-10", "3000"), Held("BTCUSDC", "0.1", "60000")
    double = exchange({"USDC": "12000"}, *positions, kind=Priced, index={**PLAIN, "BTC": ("60000", "0", "0")})
    snapshot = said(tmp_path, double, aave(12_000), PRICES)
    [prices] = [source for source in snapshot["sources"] if source["id"] == "prices:binance"]
    assert prices["status"] == "ok"
    asked = {request.query["symbol"] for request in double.log if request.path == "/api/v3/klines"}
    assert asked == {"ETHUSDT", "BTCUSDT"}
    assert account(snapshot, PERP)["sigma"] > 1
    assert account(snapshot, PERP)["sigma_missing"] == []


def test_lost_prices_never_lose_the_scan(tmp_path: Path) -> None:
    """The history is asked of the address that the book gives for the exchange, which lists no spot markets there."""
    double = short()
    snapshot = said(tmp_path, double, aave(12_000), PRICES, code=3)
    [prices] = [source for source in snapshot["sources"] if source["id"] == "prices:binance"]
    assert (prices["status"], snapshot["partial"]) == ("failed", True)
    assert snapshot["book_health"]["bound"] == "exact"
    assert snapshot["book_health"]["uhf"] == pytest.approx(1.372549, abs=1e-6)
    assert any(request.path == "/api/v3/exchangeInfo" for request in double.log)


def test_a_lost_exchange_leaves_the_loan(tmp_path: Path) -> None:
    double = short()
    double.faults = [Fault("maintenance")]
    snapshot = said(tmp_path, double, aave(12_000), code=3)
    assert snapshot["book_health"]["bound"] == "at_most"
    assert account(snapshot, "manual:aave")["health"] == pytest.approx(2.075)
    assert account(snapshot, NAME)["status"] == "unknown"
    assert {"SOURCE_FAILED", "ACCOUNT_UNKNOWN"} <= codes(snapshot)
