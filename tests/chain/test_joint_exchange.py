"""The joint book end to end: real Aave 3.6 on a local fork, and a scripted Binance that real ccxt asks over HTTP.

The loan of the one is the margin of the short at the other: case A of the health model's known answers. What the command line says of it is
carried out, by a transaction on the chain and a deposit at the exchange, and read again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk.snapshot import Snapshot
from tests.chain.oracles import AaveJudge
from tests.chain.scanning import ETHER, book_text, run, scan
from tests.exchanges.binance import BinanceExchange, Held
from tests.exchanges.double import Request, serving
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.forks import on
from tests.localchain.multicall import put_multicall3
from tests.localchain.paths import REPOSITORY
from tests.localchain.people import person

pytestmark = pytest.mark.chain
OWNER: Final = person("joint exchange/owner")
DEPOSITS: Final = person("joint exchange/deposits")
"""The address at which the exchange takes coins in."""
SHORT: Final = "binance-main/usdm/USDC"
PRICE: Final = 3_000
DRIFT: Final = 1e-7
"""Share by which the interest of some blocks may move a figure."""
MODEL: Final = "[model]\nvolatility = { ETH = 0.04 }\n"
PARITY: Final = ("1.00000000", "0", "0")
ASKED: Final = Request("GET", "/fapi/v3/account", {}, "", {}, b"")
TURNS: Final = 8
"""Places on the way to a move at which both venues are asked whether they liquidate."""


@pytest.fixture(scope="module")
def origin() -> Iterator[AaveMarket]:
    """Ten ether supplied and 12,000 USDC borrowed, which went to the exchange."""
    with Anvil() as anvil:
        put_multicall3(anvil)
        aave = deploy_aave36(anvil)
        aave.set_price("WETH", PRICE)
        aave.set_price("USDC", 1)
        aave.supply(person("joint exchange/lender"), "USDC", 5_000_000)
        aave.supply(OWNER, "WETH", 10)
        aave.borrow(OWNER, "USDC", 12_000)
        send(aave, Decimal(12_000))
        AaveJudge(aave).prepare()
        yield aave


def send(aave: AaveMarket, amount: Decimal) -> None:
    """Transfer USDC of the owner to the exchange."""
    token = aave.reserves["USDC"].token
    token.contract.send("transfer", DEPOSITS, token.units(str(amount)), sender=OWNER)


def traded() -> BinanceExchange:
    """A short of ten ether with the loan for margin; maintenance is 2 %."""
    return BinanceExchange(
        wallets={"USDC": "12000"},
        positions=[Held("ETHUSDC", "-10", str(PRICE), leverage=10)],
        marks={"ETHUSDC": str(PRICE)},
        index={"USDC": PARITY, "USDT": PARITY, "ETH": (str(PRICE), "0.05", "0.05"), "BTC": ("90000", "0.05", "0.05")},
        tiers={"ETHUSDC": (("0", "0.02"),)},
    )


@dataclass(frozen=True, slots=True)
class Joint:
    """Both venues, one owner, and the book that reads them."""

    aave: AaveMarket
    exchange: BinanceExchange
    url: str
    folder: Path

    @property
    def book(self) -> str:
        chain = book_text(self.aave.anvil.url, self.aave).removesuffix(ETHER)
        return chain + self.exchange.book(self.url) + MODEL

    def scanned(self, code: int | None = None) -> Snapshot:
        """What `defi-risk scan` says now."""
        return scan(self.book, [OWNER], self.folder, code=code)

    def planned(self, targets: Sequence[str]) -> Any:
        """What `defi-risk plan` says must be done to survive these moves."""
        file = self.folder / "plan.toml"
        file.write_text(self.book)
        survive = [word for target in targets for word in ("--survive", target)]
        code, out, err = run(["plan", OWNER, "--book", str(file), "--state", str(self.folder / "state"), "--format", "json", *survive])
        assert code == 0, err
        return json.loads(out)

    def price(self, price: Decimal) -> None:
        """Let ether cost that at both venues."""
        self.aave.set_price("WETH", str(price.quantize(Decimal("1e-8"))))
        self.exchange.marks["ETHUSDC"] = str(price.quantize(Decimal("1e-8")))
        self.exchange.index["ETH"] = (self.exchange.marks["ETHUSDC"], "0.05", "0.05")

    def dies(self) -> set[str]:
        """Who would liquidate now: Aave's real function, tried with every pair of collateral and debt; the exchange by its own answer,
        where the margin balance no longer exceeds the maintenance margin.
        """
        found = {"aave"} if any(AaveJudge(self.aave).passes(OWNER, {}, self.aave.anvil.block())) else set[str]()
        told = self.exchange.routes()["GET /fapi/v3/account"](ASKED)
        [coin] = [one for one in told["assets"] if one["asset"] == "USDC"]
        dead = Decimal(coin["marginBalance"]) <= Decimal(coin["maintMargin"]) != 0
        return found | ({"exchange"} if dead else set())

    def first_on_the_way(self, move: float) -> set[str]:
        """Who liquidates first on the way to a move, in even steps."""
        with self.aave.anvil.rollback():
            marks, index = dict(self.exchange.marks), dict(self.exchange.index)
            try:
                for step in range(1, TURNS + 1):
                    self.price(Decimal(PRICE) * (1 + Decimal(str(move)) * step / TURNS))
                    if found := self.dies():
                        return found
                return set()
            finally:
                self.exchange.marks, self.exchange.index = marks, index

    def carry_out(self, action: dict[str, Any]) -> None:
        """One step of a plan: a transaction on the chain, or a deposit or withdrawal at the exchange."""
        amount, kind = Decimal(action["amount"]), action["kind"]
        here = "exchange" if action["account"] == SHORT else "aave"
        wallets = self.exchange.wallets
        assert action["symbol"] == "USDC"
        if (here, kind) == ("aave", "borrow"):
            self.aave.borrow(OWNER, "USDC", str(amount))
        elif (here, kind) == ("exchange", "deposit"):
            send(self.aave, amount)
            wallets["USDC"] = str(Decimal(wallets["USDC"]) + amount)
        elif (here, kind) == ("exchange", "withdraw"):
            wallets["USDC"] = str(Decimal(wallets["USDC"]) - amount)
            token = self.aave.reserves["USDC"].token
            token.contract.send("transfer", OWNER, token.units(str(amount)), sender=DEPOSITS)
        elif (here, kind) == ("aave", "repay"):
            token = self.aave.reserves["USDC"].token
            token.approve(OWNER, self.aave.pool.address)
            self.aave.pool.send("repay", token.address, token.units(str(amount)), 2, OWNER, sender=OWNER)
        else:
            raise AssertionError(f"no way is known for {action}")


@pytest.fixture
def joint(origin: AaveMarket, tmp_path: Path) -> Iterator[Joint]:
    exchange = traded()
    with Anvil.fork(origin.anvil.url) as fork, serving(exchange) as url:
        yield Joint(on(fork, origin), exchange, url, tmp_path)


def test_the_exchange_is_the_first_to_die_on_the_upside(joint: Joint) -> None:
    snapshot = joint.scanned()
    book = snapshot.book_health
    loan, short = (next(one for one in snapshot.accounts if one.venue == venue) for venue in ("Aave V3", "Binance"))
    assert not snapshot.partial
    assert all(one.self_check is not None and one.self_check.match for one in (loan, short))
    assert (book.first_account, book.first_side) == (SHORT, "up")
    assert [one.health for one in (loan, short)] == pytest.approx([2.075, 20.0], rel=DRIFT)
    assert [one.sigma for one in (loan, short)] == pytest.approx([12.95, 9.31], abs=0.005)
    assert book.uhf == pytest.approx(42_000 / 30_600, rel=DRIFT)
    assert book.corridor == pytest.approx((12_000 / 24_900 - 1, 42_000 / 30_600 - 1), rel=DRIFT)
    assert book.net_equity_usd == pytest.approx(30_000, rel=DRIFT)
    [up] = [move for move in short.liquidation if (move.factor, move.direction) == ("ETH", "up")]
    assert f"{up.price:,.2f}" == "4,117.65"
    assert short.native["liquidationPrice:ETHUSDC"].startswith("4117.6470588")
    assert {flag.code for flag in snapshot.flags} >= {"BORROWED_MARGIN", "HEDGE_FRAGILE", "HEDGE_STRANDED", "STRESS_BREACH"}
    [flag] = [flag for flag in snapshot.flags if flag.code == "BORROWED_MARGIN"]
    assert set(flag.accounts) == {loan.id, SHORT}
    assert "likely borrowed" in flag.message
    [event, *_] = snapshot.cascade["up"]
    assert event.account == SHORT
    assert event.move == pytest.approx(42_000 / 30_600 - 1, rel=DRIFT)
    assert joint.first_on_the_way(0.40) == {"exchange"}
    assert joint.first_on_the_way(-0.53) == {"aave"}


PLANS: Final[list[tuple[tuple[str, ...], list[tuple[str, str]]]]] = [
    (("+40%",), [("borrow", "Aave V3"), ("deposit", "Binance")]),
    (("-44%", "+43%"), [("borrow", "Aave V3"), ("deposit", "Binance")]),
    (("-60%",), [("withdraw", "Binance"), ("repay", "Aave V3")]),
]


@pytest.mark.parametrize(("targets", "steps"), PLANS, ids=["up", "both", "down"])
def test_a_plan_carried_out_survives_its_target(joint: Joint, targets: tuple[str, ...], steps: list[tuple[str, str]]) -> None:
    moves = [float(target.rstrip("%")) / 100 for target in targets]
    assert any(joint.first_on_the_way(move) for move in moves), "it survives without a plan"
    plan = joint.planned(targets)
    assert (plan["feasible"], plan["outside_capital_usd"]) == (True, 0)
    venues = {one.id: one.venue for one in joint.scanned().accounts}
    assert [(action["kind"], venues[action["account"]]) for action in plan["actions"]] == steps
    for action in plan["actions"]:
        joint.carry_out(action)
    after = joint.scanned()
    assert not after.partial
    assert all(one.self_check is None or one.self_check.match for one in after.accounts)
    assert after.book_health.uhf == pytest.approx(plan["after"]["uhf"], rel=DRIFT)
    low, high = after.book_health.corridor
    for move in moves:
        assert (low is None or low <= move * (1 - DRIFT)) if move < 0 else (high is None or high >= move * (1 - DRIFT))
        assert joint.first_on_the_way(move * (1 - DRIFT)) == set()


DYING: Final = """
import os, time
from tests.chain.test_joint_exchange import traded
from tests.exchanges.double import serving

exchange = traded()
reply = exchange.reply
def dying(request):
    if request.path == "/fapi/v3/positionRisk":
        os._exit(9)
    return reply(request)
exchange.reply = dying
with serving(exchange) as url:
    print(url, flush=True)
    time.sleep(100)
"""


@contextmanager
def dying() -> Generator[tuple[str, subprocess.Popen[str]]]:
    """An exchange that is a process of its own, and ends in the middle of a scan."""
    # S603: the command is this interpreter with a text made here
    with subprocess.Popen([sys.executable, "-c", DYING], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_an_exchange_killed_in_the_middle_leaves_the_chain_whole(origin: AaveMarket, tmp_path: Path) -> None:
    with dying() as (url, process):
        snapshot = Joint(origin, traded(), url, tmp_path).scanned(code=3)
        assert process.wait(10) == 9
    loan, short = snapshot.accounts
    assert snapshot.partial
    assert (loan.venue, loan.status) == ("Aave V3", "ok")
    assert loan.health == pytest.approx(2.075, rel=DRIFT)
    assert loan.self_check is not None
    assert loan.self_check.match
    assert (short.id, short.status, short.legs) == ("binance-main", "unknown", ())
    assert short.reason
    assert "no connection" in short.reason
    assert {source.id: source.status for source in snapshot.sources} == {"local": "ok", "binance-main": "failed"}
    assert (snapshot.book_health.bound, snapshot.book_health.corridor[1]) == ("at_most", None)


def test_a_chain_that_is_down_leaves_the_exchange_whole(origin: AaveMarket, tmp_path: Path) -> None:
    exchange = traded()
    with serving(exchange) as url:
        joint = Joint(origin, exchange, url, tmp_path)
        snapshot = scan(joint.book.replace(origin.anvil.url, "http://127.0.0.1:9"), [OWNER], tmp_path, code=3)
    assert snapshot.partial
    [short] = [one for one in snapshot.accounts if one.id == SHORT]
    assert short.status == "ok"
    assert short.health == pytest.approx(20.0)
    assert short.self_check is not None
    assert short.self_check.match
    assert all(one.status == "unknown" for one in snapshot.accounts if one is not short)
    assert {source.id: source.status for source in snapshot.sources} == {"local": "failed", "binance-main": "ok"}
    assert snapshot.book_health.bound == "at_most"


def test_a_second_scan_asks_the_exchange_at_most_four_times(joint: Joint) -> None:
    """Both sources tell when they were read."""
    joint.scanned()
    joint.exchange.log.clear()
    snapshot = joint.scanned()
    assert len(joint.exchange.log) <= 4
    chain, exchange = snapshot.sources
    assert (chain.block_time is not None, exchange.as_of is not None) == (True, True)
