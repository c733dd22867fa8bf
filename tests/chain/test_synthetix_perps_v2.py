"""Synthetix PerpsV2 against the real contracts: figures, ticks, liquidations, and what cannot be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from eth_utils.crypto import keccak

from defi_risk.model import as_text
from defi_risk.snapshot import Snapshot
from tests.chain.keepers import KEEPER, Keepers
from tests.chain.proxy import Change, negated, plus_one, tampering
from tests.chain.scanning import book_text, scan
from tests.localchain.contract import Reverted
from tests.localchain.kits import Kit
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.synthetix.parameters import Fees
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain
DAY: Final = 86_400
CENT: Final = 10**16
FEWEST: Final = 25
KEEPER_DEPOSIT: Final = 5
"""Place of the field in what `delayedOrders` returns."""
ETH: Final = "sETHPERP"
BTC: Final = "sBTCPERP"
LINK: Final = "LINKPERP"
VIEWS: Final = (
    "notionalValue",
    "profitLoss",
    "accruedFunding",
    "remainingMargin",
    "accessibleMargin",
    "liquidationPrice",
    "canLiquidate",
    "liquidationFee",
)
SynthetixKit = Kit[SynthetixMarket]


def fresh(market: SynthetixMarket) -> None:
    """As the population left it."""


def second_later(market: SynthetixMarket) -> None:
    market.pass_time(1)


def three_days(market: SynthetixMarket) -> None:
    market.pass_time(3 * DAY)


def thirty_days(market: SynthetixMarket) -> None:
    market.pass_time(30 * DAY)


def thirty_days_written(market: SynthetixMarket) -> None:
    market.pass_time(30 * DAY)
    market.accrue()


def moved(market: SynthetixMarket) -> None:
    market.drop_prices()


def thirty_days_then_moved(market: SynthetixMarket) -> None:
    market.pass_time(30 * DAY)
    market.drop_prices()


STATES: Final[dict[str, Callable[[SynthetixMarket], None]]] = {
    state.__name__: state for state in (fresh, second_later, three_days, thirty_days, thirty_days_written, moved, thirty_days_then_moved)
}


def margins(snapshot: Snapshot) -> dict[tuple[str, str], Any]:
    """The margin accounts by owner and market."""
    parts = {account.id: account.id.split("/") for account in snapshot.accounts}
    return {(parts[each.id][2], parts[each.id][3]): each for each in snapshot.accounts if "synthetix_perps_v2" in each.id}


def views(market: SynthetixMarket, who: str, key: str, block: int) -> dict[str, str]:
    """What the market itself says of a margin, under its own names."""
    found = {name: market.view(name, who, key, block=block) for name in VIEWS}
    found["currentFundingRate"] = market.markets[key].views.call("currentFundingRate", block=block)
    found["sizeDelta"] = market.view("delayedOrders", who, key, block=block)[1]
    return {name: as_text(value) for name, value in found.items()}


def held(kit: SynthetixKit) -> Iterator[tuple[str, str, str]]:
    """Label, owner and market of everybody who has something somewhere, as the contracts say."""
    for case in kit.cases:
        for key in kit.market.markets:
            position = kit.market.position(case.address, key)
            if position.margin or position.size:
                yield case.label, case.address, key


def scanned(kit: SynthetixKit, folder: Path, *only: str, block: int | None = None) -> Snapshot:
    """A scan of everybody, or of some."""
    book = book_text(kit.anvil.url, kit.market)
    return scan(book, only or [case.address for case in kit.cases], folder, block=block, code=None)


@pytest.mark.parametrize("state", STATES)
def test_native_numbers_are_the_venues_own(synthetix: SynthetixKit, state: str, tmp_path: Path) -> None:
    STATES[state](synthetix.market)
    snapshot = scanned(synthetix, tmp_path)
    block = snapshot.sources[0].block
    assert block is not None
    assert block == synthetix.anvil.block().number
    accounts = margins(snapshot)
    expected = {(who, key): label for label, who, key in held(synthetix)}
    assert accounts.keys() == expected.keys()
    assert len(accounts) >= FEWEST
    for (who, key), label in expected.items():
        account, said = accounts[who, key], views(synthetix.market, who, key, block)
        assert account.status == "ok", (label, account.reason)
        assert account.native == said, label
        assert account.self_check.match, label
        assert account.self_check.protocol == said, label
        assert as_text(account.liquidatable) == said["canLiquidate"], label
    assert not [flag for flag in snapshot.flags if flag.code == "SELF_CHECK_FAILED"]


@pytest.mark.parametrize("state", ["fresh", "thirty_days_then_moved"])
def test_the_market_lets_go_of_what_is_available_and_no_more(synthetix: SynthetixKit, state: str, tmp_path: Path) -> None:
    """To a cent and a fiftieth of a percent of the notional."""
    STATES[state](synthetix.market)
    accounts = margins(scanned(synthetix, tmp_path))
    seen: Counter[str] = Counter()
    for label, who, key in held(synthetix):
        account = accounts[who, key]
        left = account.legs[0].available
        assert left is not None, label
        free = int(Decimal(str(left)).scaleb(18))
        seen["waiting" if account.native["sizeDelta"] != "0" else "free" if free else "bound"] += 1
        # seconds of funding at what a month has made of the rate, and the view stays off the highest leverage
        slack = CENT + abs(int(account.native["notionalValue"])) // 5_000
        with synthetix.anvil.rollback(), pytest.raises(Reverted):
            synthetix.market.move_margin(who, key, Raw(-free - slack))
        if free > slack:
            with synthetix.anvil.rollback():
                synthetix.market.move_margin(who, key, Raw(slack - free))
    assert min(seen[each] for each in ("waiting", "free", "bound")) >= 1, seen


def test_every_state_is_reached(synthetix: SynthetixKit, tmp_path: Path) -> None:
    """Living, dead and drowned accounts, long and short, are all there: the comparison above was not of one kind only."""
    synthetix.market.pass_time(3 * DAY)
    synthetix.market.drop_prices()
    accounts = margins(scanned(synthetix, tmp_path))
    dead = [account for account in accounts.values() if account.liquidatable]
    assert len(dead) >= 3
    assert any(account.equity_usd < 0 for account in dead)
    assert any(account.native["remainingMargin"] != "0" for account in dead)
    assert sum(account.liquidatable is False for account in accounts.values()) >= 20
    assert {int(account.native["notionalValue"]) > 0 for account in dead} == {True, False}
    assert any(int(account.native["accruedFunding"]) > 10**18 for account in accounts.values())
    assert any(int(account.native["accruedFunding"]) < -(10**18) for account in accounts.values())


@pytest.mark.parametrize("state", ["thirty_days", "thirty_days_written"])
def test_the_tick_is_the_first_answer_that_liquidates(synthetix: SynthetixKit, state: str, tmp_path: Path) -> None:
    """At the tick the real position is flagged and liquidated, one unit of the rate (1e-18 USD) to the safe side flagging reverts."""
    market, keepers = synthetix.market, Keepers(synthetix.market)
    STATES[state](market)
    anchor = market.anvil.block()
    accounts = margins(scanned(synthetix, tmp_path, block=anchor.number))
    proved: Counter[str] = Counter()
    for label, who, key in held(synthetix):
        account, position = accounts[who, key], market.position(who, key)
        asset = market.markets[key].listing.asset
        if account.liquidatable:
            assert keepers.flags(who, key, {}, anchor), label
            continue
        assert not position.size or not keepers.flags(who, key, {}, anchor), label
        for tick in account.ticks:
            answer, outward = int(tick.answer), -1 if tick.direction == "down" else 1
            assert (outward < 0) is (position.size > 0), label
            assert (answer - market.rate(asset)) * outward > 0, label
            assert not keepers.flags(who, key, keepers.rate(asset, answer - outward), anchor), (label, key)
            assert keepers.flags(who, key, keepers.rate(asset, answer), anchor), (label, key)
            proved[tick.direction] += 1
        if position.size > 0 and not account.ticks:
            assert not keepers.flags(who, key, keepers.rate(asset, 1), anchor), label
            proved["never"] += 1
    assert proved["down"] >= 10, proved
    assert proved["up"] >= 8, proved
    assert proved["never"] >= 2, proved


def test_a_mined_liquidation_is_the_one_that_the_cascade_predicts(synthetix: SynthetixKit, tmp_path: Path) -> None:
    """A hair above the tick nobody can be flagged; a hair beyond it the keepers, the fee pool and a new read find what was predicted."""
    market = synthetix.market
    market.pass_time(3 * DAY)
    market.accrue()
    accounts = margins(scanned(synthetix, tmp_path))
    proved: Counter[tuple[str, bool]] = Counter()
    for label, who, key in held(synthetix):
        for tick in accounts[who, key].ticks:
            with synthetix.anvil.rollback():
                asset, answer = market.markets[key].listing.asset, int(tick.answer)
                # the funding of the few seconds until the transactions is worth less than a hundred thousandth of the price
                hair = answer // 100_000 * (1 if tick.direction == "down" else -1)
                market.set_rate(asset, Raw(answer + hair))
                with pytest.raises(Reverted, match="cannot be liquidated"):
                    market.flag(KEEPER, who, key)
                market.set_rate(asset, Raw(answer - hair))
                before = scanned(synthetix, tmp_path, who)
                event, one = before.cascade["down"][0], margins(before)[who, key]
                assert (event.account, event.move) == (one.id, 0), label
                assert event.equity_before_usd - event.equity_after_usd == pytest.approx(one.equity_usd, rel=1e-9), label
                start = payouts(market) + market.view("delayedOrders", who, key)[KEEPER_DEPOSIT]  # which goes to the flagger
                market.flag(KEEPER, who, key)
                market.liquidate(KEEPER, who, key)
                after, paid = scanned(synthetix, tmp_path, who), payouts(market) - start
                assert margins(after).keys() == margins(before).keys() - {(who, key)}, label
                drift = abs(int(one.native["notionalValue"])) / 1e18 * 1e-7
                # where the margin does not cover the fees, the venue makes up for it
                assert paid / 1e18 >= event.seized_usd - drift, label
                covered = event.seized_usd > int(one.native["liquidationFee"]) / 1e18 + float(Fees().keeper)
                assert not covered or paid / 1e18 == pytest.approx(event.seized_usd, abs=drift), label
                proved[tick.direction, covered] += 1
    assert proved["down", True] >= 10, proved
    assert proved["up", True] >= 8, proved


def payouts(market: SynthetixMarket) -> int:
    """What the keeper and the venue's fee pool have."""
    return market.coin.balance(KEEPER) + market.coin.balance(market.env.call("FEE_ADDRESS"))


LIES: Final[list[tuple[str, Change]]] = [
    *((name, plus_one(0)) for name in VIEWS if name != "canLiquidate"),
    ("canLiquidate", negated),
]


def test_a_view_that_lies_by_one_unit_is_found_out(synthetix: SynthetixKit, tmp_path: Path) -> None:
    owners = [synthetix.who[label] for label in ("long", "short-btc", "two-markets", "pending-order")]
    honest = margins(scanned(synthetix, tmp_path, *owners))
    assert len(honest) == 5
    for name, change in LIES:
        with tampering(synthetix.anvil, keccak(text=f"{name}(address)")[:4], change) as url:
            snapshot = scan(book_text(url, synthetix.market), owners, tmp_path, block=synthetix.anvil.block().number, code=None)
        for place, account in margins(snapshot).items():
            assert account.native == honest[place].native, name
            assert account.self_check.match is False, name
            assert account.self_check.protocol[name] != account.native[name]
        raised = [flag for flag in snapshot.flags if flag.code == "SELF_CHECK_FAILED"]
        assert {account for flag in raised for account in flag.accounts} == {account.id for account in honest.values()}
        assert {flag.severity for flag in raised} == {"critical"}


# what cannot be told, and what stands in the way


def only_unknown(snapshot: Snapshot, who: str, key: str) -> str:
    """The reason why this margin is unknown, where it is the only one; the book is then no more than partly known."""
    accounts = margins(snapshot)
    assert [place for place, account in accounts.items() if account.status != "ok"] == [(who, key)]
    account = accounts[who, key]
    assert (account.side, account.liquidatable, account.health, account.legs) == ("derivatives", None, None, ())
    assert snapshot.partial
    assert snapshot.book_health.bound == "at_most"
    return str(account.reason)


def test_a_flagged_position_is_unknown_and_the_owners_other_margins_are_not(synthetix: SynthetixKit, tmp_path: Path) -> None:
    """It may be liquidated at any price: also where the price has come back."""
    market, who = synthetix.market, synthetix.who["three-markets"]
    start = market.rate("sETH")
    market.set_rate("sETH", "3300")
    market.flag(KEEPER, who, ETH)
    market.set_rate("sETH", Raw(start))
    assert "flagged" in only_unknown(scanned(synthetix, tmp_path, who), who, ETH)
    assert market.view("canLiquidate", who, ETH) is False
    market.liquidate(KEEPER, who, ETH)
    assert margins(scanned(synthetix, tmp_path, who)).keys() == {(who, BTC), (who, LINK)}


@pytest.mark.parametrize(("spoil", "said"), [("stale", "invalid"), ("zero", "0 and")])
def test_a_rate_that_cannot_be_used_makes_its_market_unknown(synthetix: SynthetixKit, spoil: str, said: str, tmp_path: Path) -> None:
    market, who = synthetix.market, synthetix.who["three-markets"]
    if spoil == "stale":
        market.set_stale("LINK")
    else:
        market.set_rate("LINK", 0)
    reason = only_unknown(scanned(synthetix, tmp_path, who), who, LINK)
    assert "LINK" in reason
    assert said in reason


def test_a_suspended_market_blocks_liquidations_and_keeps_its_figures(synthetix: SynthetixKit, tmp_path: Path) -> None:
    market, who = synthetix.market, synthetix.who["under-water"]
    market.drop_prices()
    free = margins(scanned(synthetix, tmp_path, who))[who, ETH]
    assert (free.liquidatable, free.blocked) == (True, None)
    market.suspend(ETH)
    with pytest.raises(Reverted, match="suspended"):
        market.flag(KEEPER, who, ETH)
    stopped = margins(scanned(synthetix, tmp_path, who))[who, ETH]
    assert stopped.native.keys() == free.native.keys()
    assert stopped.native["notionalValue"] == free.native["notionalValue"]
    assert stopped.liquidatable
    assert "suspended" in stopped.blocked
    market.suspend(ETH, suspended=False)
    market.env.send("suspend", False, False, True)
    assert "suspended" in margins(scanned(synthetix, tmp_path, who))[who, ETH].blocked
    market.env.send("suspend", True, False, False)
    assert "invalid" in only_unknown(scanned(synthetix, tmp_path, who), who, ETH)


def test_a_market_that_answers_nothing_is_unknown_and_the_others_are_not(synthetix: SynthetixKit, tmp_path: Path) -> None:
    """Its proxy leads nowhere any more: whether there is a position in it, nobody can tell."""
    market, who = synthetix.market, synthetix.who["two-markets"]
    synthetix.anvil.set_code(market.markets[LINK].views.address, "0x")
    accounts = margins(scanned(synthetix, tmp_path, who))
    lost = market.markets[LINK].views.address
    assert accounts.keys() == {(who, ETH), (who, BTC), (who, lost)}
    assert accounts[who, lost].status == "unknown"
    assert "positions" in accounts[who, lost].reason
    assert accounts[who, ETH].status == accounts[who, BTC].status == "ok"


def test_a_manager_that_is_none_is_one_unknown_account(synthetix: SynthetixKit, tmp_path: Path) -> None:
    who = synthetix.who["long"]
    synthetix.anvil.set_code(synthetix.market.manager.address, "0x")
    snapshot = scanned(synthetix, tmp_path, who)
    [account] = [each for each in snapshot.accounts if "synthetix_perps_v2" in each.id]
    assert (account.status, account.side) == ("unknown", "derivatives")


def test_the_age_of_a_rate_is_told(synthetix: SynthetixKit, tmp_path: Path) -> None:
    market, who = synthetix.market, synthetix.who["long"]
    market.set_rate("sETH", "2500")
    market.pass_time(2 * DAY)
    snapshot = scanned(synthetix, tmp_path, who)
    [leg] = [leg for leg in margins(snapshot)[who, ETH].legs if leg.role == "position"]
    assert leg.oracle.age_seconds == 2 * DAY
    assert [flag.code for flag in snapshot.flags].count("STALE_PRICE") == 1
