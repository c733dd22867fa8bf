"""The joint truth: real Aave 3.6 and real Synthetix PerpsV2 on one chain, the loan of the one posted as margin at the other.

What a scan says of such a book (unified health, first account, side, corridor) is proved by moving the one oracle on a fork: inside the
corridor no venue liquidates anything, at its end the named account is the first, and what its real liquidation leaves is what the cascade
predicted. The two cases are A and B of the health model's known answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk.ids import USD
from defi_risk.snapshot import Snapshot
from defi_risk.snapshot.results import Event
from tests.chain.crossing import UNIT, Crossing, book_text, first_dead, venue_of
from tests.chain.oracles import AaveJudge
from tests.chain.scanning import run, scan
from tests.localchain.anvil import Anvil
from tests.localchain.devnet import Devnet
from tests.localchain.devnet_book import book_text as devnet_book
from tests.localchain.forks import on
from tests.localchain.joint import ETH, PRICE, Joint, deploy_joint, hedge, stack
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain
DRIFT: Final = 1e-8
"""Share by which the interest and funding of the seconds between a scan and a transaction may move a figure."""
NEAR: Final = 1e-7
"""The same for a line that is met after liquidations before it, each carried out a `DRIFT` beyond its own line."""
CENT: Final = 0.01
EVENTS: Final = 3
"""Of a path, each carried out."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case with its known answers: healths and sigma distances of loan and perp, the book's corridor, and who dies at its ends."""

    label: str
    build: Callable[..., None]
    healths: tuple[float, float]
    sigmas: tuple[float, float]
    uhf: float
    first: tuple[str, str]
    down: float
    up: float | None


CASES: Final = {
    "A": Case("hedge", hedge, (2.075, 20.0), (12.95, 9.31), 42_000 / 30_600, ("synthetix", "up"), 12_000 / 24_900 - 1, 42_000 / 30_600 - 1),
    "B": Case("stack", stack, (1.66, 10.0), (9.94, 4.59), 30 * 9.8 / 240, ("synthetix", "down"), 240 / (30 * 9.8) - 1, None),
}
PATHS: Final = {"down": (300,), "up": (12_000,), "up_down": (4_500, 300)}
"""Where the paths of the cascade turn and end, in USD for one ETH."""


@pytest.fixture(scope="module")
def origin() -> Iterator[Joint]:
    """Both venues with both wallets on one node, and liquidators with all the money they need."""
    with Anvil() as anvil:
        put_multicall3(anvil)
        joint = deploy_joint(anvil)
        for case in CASES.values():
            case.build(joint.aave, joint.perps, person(case.label))
        AaveJudge(joint.aave).prepare()
        yield joint


@pytest.fixture
def forked(origin: Joint, tmp_path: Path) -> Iterator[Callable[[Case], Crossing]]:
    """Forks of it, one at a time. Whatever is done there, the origin is the same afterwards."""
    before = state_of(origin)
    with Anvil.fork(origin.anvil.url) as fork:
        yield lambda case: Crossing(on(fork, origin), person(case.label), tmp_path)
    assert state_of(origin) == before


def state_of(joint: Joint) -> Any:
    """Everything that a liquidation would change, and the block."""
    wallets = [person(case.label) for case in CASES.values()]
    loans = [joint.aave.account(who) for who in wallets]
    return joint.anvil.block(), joint.feed.answer, loans, [joint.perps.position(who, ETH) for who in wallets]


def account(snapshot: Snapshot, joint: Joint, venue: str) -> Any:
    return next(each for each in snapshot.accounts if venue_of(each.id, joint) == venue)


@pytest.mark.parametrize("name", CASES)
def test_the_book_is_the_one_with_the_known_answers(origin: Joint, name: str, tmp_path: Path) -> None:
    case = CASES[name]
    snapshot = Crossing(origin, person(case.label), tmp_path).scanned()
    book, pair = snapshot.book_health, [account(snapshot, origin, market.name) for market in (origin.aave, origin.perps)]
    assert not snapshot.partial
    assert [one.self_check.match for one in pair] == [True, True]
    assert [one.health for one in pair] == pytest.approx(case.healths, rel=DRIFT)
    assert [one.sigma for one in pair] == pytest.approx(case.sigmas, abs=0.005)
    assert book.uhf == pytest.approx(case.uhf, rel=DRIFT)
    assert book.net_equity_usd == pytest.approx(30_000, rel=DRIFT)
    assert book.first_account is not None
    assert (venue_of(book.first_account, origin), book.first_side) == case.first
    assert book.corridor[0] == pytest.approx(case.down, rel=DRIFT)
    assert book.corridor[1] == (None if case.up is None else pytest.approx(case.up, rel=DRIFT))


@pytest.mark.parametrize(("name", "margin"), [("A", 12_000), ("B", 6_000)])
def test_the_loan_is_followed_into_the_margin(origin: Joint, name: str, margin: float, tmp_path: Path) -> None:
    """The transactions that the flag names are the wallet's own: the loan paid out, and the coin burnt for margin."""
    who = person(CASES[name].label)
    snapshot = Crossing(origin, who, tmp_path).scanned()
    [flag] = [flag for flag in snapshot.flags if flag.code == "BORROWED_MARGIN"]
    assert set(flag.accounts) == {account(snapshot, origin, market.name).id for market in (origin.aave, origin.perps)}
    assert flag.evidence["how"] == "traced"
    assert flag.evidence["borrowed_margin_usd"] == pytest.approx(margin, rel=DRIFT)
    sent = [origin.anvil.rpc("eth_getTransactionReceipt", str(flag.evidence[hop]).split()[0]) for hop in ("hop_1", "hop_2")]
    assert [receipt["from"] for receipt in sent] == [who.lower()] * 2
    assert [receipt["to"] for receipt in sent] == [
        origin.aave.pool.address.lower(),
        origin.perps.markets[ETH].trading.address.lower(),
    ]


def stages(events: Sequence[Event], path: str) -> Iterator[tuple[int, list[Event]]]:
    """Where a path turns or ends, with the liquidations predicted on the way there."""
    left, here = list(events), PRICE
    for end in PATHS[path]:
        there: list[Event] = []
        while left and min(here, end) <= PRICE * (1 + left[0].move) <= max(here, end):
            there.append(left.pop(0))
        yield end, there
        here = end


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", CASES)
def test_what_the_scan_predicts_happens(forked: Callable[[Case], Crossing], name: str, path: str) -> None:
    crossing = forked(CASES[name])
    start = crossing.scanned()
    left = EVENTS
    for end, events in stages(start.cascade[path], path):
        side = "up" if end * UNIT > crossing.joint.feed.answer else "down"
        for event in events[:left]:
            meet(crossing, event, side)
        left -= len(events)
        if left < 0:
            return  # the path goes on, further than is followed here
        for _ in crossing.travel(end * UNIT):
            assert crossing.dies() == set()
    assert left < EVENTS or (name, path) == ("B", "up"), "nothing was liquidated"


def meet(crossing: Crossing, event: Event, side: str) -> None:
    """Go where a liquidation is predicted, see that it is the first one there, carry it out and compare."""
    joint, venue, outward = crossing.joint, venue_of(event.account, crossing.joint), 1 if side == "up" else -1
    edge = PRICE * UNIT * (1 + event.move)
    for _ in crossing.travel(round(edge * (1 - outward * NEAR))):
        assert crossing.dies() == set()
    near = crossing.scanned()
    dead = first_dead(near, event.account, side)
    assert dead == pytest.approx(edge, rel=NEAR)
    assert (near.book_health.first_account, near.book_health.first_side) == (event.account, side)
    assert crossing.dies_at(dead - outward) == set()
    assert crossing.dies_at(dead) == {venue}
    joint.set_price(Raw(round(dead * (1 + outward * DRIFT))))
    assert crossing.dies() == {venue}
    before = account(crossing.scanned(), joint, venue)
    assert before.liquidatable
    crossing.liquidate(venue)
    left = crossing.scanned()
    assert left.book_health.net_equity_usd == pytest.approx(event.equity_after_usd, abs=CENT)
    exposures = {each.factor: each.net_usd for each in left.exposures}
    for factor in event.exposure_after.keys() - {USD}:  # the dollars that a position is counted in are no exposure of a scan
        assert exposures.get(factor, 0.0) == pytest.approx(event.exposure_after[factor], abs=CENT), factor
    after = [each for each in left.accounts if each.id == event.account]
    if venue == joint.perps.name:
        assert not after
    else:
        assert before.debt_usd - after[0].debt_usd == pytest.approx(event.repaid_usd, abs=CENT)
        assert before.collateral_usd - after[0].collateral_usd == pytest.approx(event.seized_usd, abs=CENT)
    assert left.book_health.first_account == event.first_since_liquidation
    if event.next_move is not None:
        assert event.next_move in [pytest.approx(move, abs=NEAR) for move in left.book_health.corridor]


PLANS: Final[list[tuple[str, tuple[str, ...], set[str]]]] = [
    ("A", ("+40%",), {"borrow", "deposit"}),
    ("A", ("-44%", "+43%"), {"borrow", "deposit"}),
    ("A", ("-60%",), {"withdraw", "repay"}),
    ("A", ("-60%", "+80%"), {"close", "withdraw", "repay"}),
    ("B", ("-40%",), {"withdraw", "deposit", "repay"}),
    ("B", ("-60%",), {"close", "withdraw", "deposit", "repay"}),
]


@pytest.mark.parametrize(("name", "targets", "kinds"), PLANS)
def test_a_plan_carried_out_survives_its_target(
    forked: Callable[[Case], Crossing], name: str, targets: tuple[str, ...], kinds: set[str]
) -> None:
    crossing = forked(CASES[name])
    joint = crossing.joint
    moves = [float(target.rstrip("%")) / 100 for target in targets]
    assert any(dies_on_the_way(crossing, move) for move in moves), "it survives without a plan"
    plan = planned(crossing, targets)
    assert plan["feasible"]
    assert plan["outside_capital_usd"] == 0
    assert {action["kind"] for action in plan["actions"]} == kinds
    for action in plan["actions"]:
        crossing.carry_out(action)
    after = crossing.scanned().book_health
    # what is left of a position has a smaller premium than the plan, which scales all of it alike, allows for
    assert after.uhf == pytest.approx(plan["after"]["uhf"], rel=1e-5 if "close" in kinds else NEAR)
    low, high = after.corridor
    for move in moves:
        assert (low is None or low <= move) if move < 0 else (high is None or high >= move)
        with joint.anvil.rollback():
            for _ in crossing.travel(round(PRICE * UNIT * (1 + move))):
                assert crossing.dies() == set()
            assert joint.feed.answer == round(PRICE * UNIT * (1 + move))


def dies_on_the_way(crossing: Crossing, move: float) -> bool:
    """Whether some venue liquidates on the way to a move of the market."""
    with crossing.joint.anvil.rollback():
        return any(crossing.dies() for _ in crossing.travel(round(PRICE * UNIT * (1 + move))))


def planned(crossing: Crossing, targets: Sequence[str]) -> Any:
    """What `defi-risk plan` says of the wallet, as a user asks it."""
    book = crossing.folder / "plan.toml"
    book.write_text(book_text(crossing.joint))
    survive = [word for target in targets for word in ("--survive", target)]
    state = str(crossing.folder / "state")
    code, out, err = run(["plan", crossing.who, "--book", str(book), "--state", state, "--format", "json", *survive])
    assert code == 0, err
    return json.loads(out)


def test_the_devnet_holds_both_cases(devnet: Devnet, tmp_path: Path) -> None:
    """At another price of ETH; healths and price ratios do not depend on it."""
    book = devnet_book(devnet.anvil.url, devnet.wallets, devnet.markets, devnet.assets, devnet.venus.vai.address)
    snapshot = scan(book, [], tmp_path, code=None)
    who = {wallet.label: wallet.address for wallet in devnet.wallets}
    for label, case in (("grace", CASES["A"]), ("heidi", CASES["B"])):
        mine = {each.venue: each for each in snapshot.accounts if each.owner == who[label]}
        pair = [mine["Aave V3"], mine["Synthetix PerpsV2"]]
        assert [one.health for one in pair] == pytest.approx(case.healths, rel=NEAR)
        assert pair[1].hf == pytest.approx(case.uhf, rel=NEAR)
