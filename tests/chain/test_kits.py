"""The local chain itself: its markets are real where they say so, and a double says that it is one."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.chain.conftest import Populated
from tests.localchain import kits, paths
from tests.localchain.aave.market import AaveMarket
from tests.localchain.anvil import Anvil, AnvilError
from tests.localchain.comet.market import CometMarket
from tests.localchain.contract import Contract, Reverted
from tests.localchain.devnet import Devnet
from tests.localchain.devnet_book import book_text
from tests.localchain.kits import Kit
from tests.localchain.multicall import MULTICALL3
from tests.localchain.people import person
from tests.localchain.states import STATES
from tests.localchain.tokens import MAX
from tests.localchain.venus.market import Refused, VenusMarket

pytestmark = pytest.mark.chain
INFINITE = MAX.units
REVISIONS = {"3.0": 1, "3.2": 5, "3.6": 10}
COMPTROLLER_REJECTION = 3


def code_size(anvil: Anvil, address: str) -> int:
    return len(anvil.rpc("eth_getCode", address, "latest")) // 2 - 1


# every market


def test_a_population_is_large_and_everybody_is_somebody_else(populated: Populated) -> None:
    assert len(populated.cases) >= 25
    assert len(populated.who) == len(set(populated.who.values())) == len(populated.cases)


def test_roots_and_multicall_hold_code(populated: Populated) -> None:
    for address in (*populated.market.roots.values(), MULTICALL3):
        assert code_size(populated.anvil, address) > 1_000


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_reached_and_left(populated: Populated, state: str) -> None:
    before = populated.anvil.block()
    with populated.anvil.rollback():
        STATES[state](populated.market)
        assert (populated.anvil.block() == before) == (state == "fresh")
    assert populated.anvil.block() == before


def test_two_nodes_build_the_same_chain(comet_weth: Kit[CometMarket]) -> None:
    with kits.comet_weth() as again:
        assert again.anvil.block().hash == comet_weth.anvil.block().hash
        assert again.market.comet.address == comet_weth.market.comet.address


# Aave


def test_aave_is_of_the_version_it_names(aave: Kit[AaveMarket]) -> None:
    assert aave.market.pool.call("POOL_REVISION") == REVISIONS[aave.market.version]
    assert aave.market.provider.call("getPool") == aave.market.pool.address


def test_aave_judges_its_accounts(aave: Kit[AaveMarket]) -> None:
    market, who = aave.market, aave.who
    assert market.account(who["empty"]) == (0, 0, 0, 0, 0, INFINITE)
    assert market.account(who["no-debt"]).health_factor == INFINITE
    plain = market.account(who["plain"])
    assert plain.collateral > plain.debt > 0
    assert market.account(who["max-borrowed"]).available < 10**6  # a cent of the base currency
    assert market.account(who["all-switched-off"]).collateral == 0
    assert market.supplied(who["all-switched-off"], "WETH") > 0
    assert market.account(who["gone-again"]) == market.account(who["empty"])


def test_aave_liquidates_only_below_one(aave: Kit[AaveMarket]) -> None:
    market, borrower, liquidator = aave.market, aave.who["liquidatable-after-drop"], person("liquidator")
    assert market.account(borrower).health_factor > 10**18
    with pytest.raises(Reverted, match=r"45|HealthFactorNotBelowThreshold"):
        market.liquidate(liquidator, borrower, "USDC", "WETH", 1_000)
    market.drop_prices()
    assert market.account(borrower).health_factor < 10**18
    owed = market.owed(borrower, "USDC")
    market.liquidate(liquidator, borrower, "USDC", "WETH", 1_000)
    assert market.owed(borrower, "USDC") < owed - 999 * 10**6
    assert market.reserves["WETH"].token.balance(liquidator) > 0


def test_aave_holds_bad_debt_after_the_drop(aave: Kit[AaveMarket]) -> None:
    aave.market.drop_prices()
    account = aave.market.account(aave.who["bad-debt-after-drop"])
    assert account.debt > account.collateral > 0


def test_aave_grows_debts_with_time(aave: Kit[AaveMarket]) -> None:
    borrower = aave.who["plain"]
    before = aave.market.owed(borrower, "USDC")
    STATES["year-later"](aave.market)
    assert before * 101 // 100 < aave.market.owed(borrower, "USDC") < before * 110 // 100


def test_aave_isolates_and_silos(aave: Kit[AaveMarket]) -> None:
    market = aave.market
    with pytest.raises(Reverted, match=r"60|AssetNotBorrowableInIsolation"):
        market.borrow(aave.who["isolated-with-more"], "EURS", 1)
    with pytest.raises(Reverted, match=r"89|SiloedBorrowingViolation"):
        market.borrow(aave.who["siloed"], "USDC", 1)


def test_aave_refuses_what_is_frozen_or_paused(aave: Kit[AaveMarket]) -> None:
    market, who = aave.market, aave.who["plain"]
    market.freeze("USDC")
    with pytest.raises(Reverted, match=r"28|ReserveFrozen"):
        market.borrow(who, "USDC", 1)
    market.pause("USDC")
    with pytest.raises(Reverted, match=r"29|ReservePaused"):
        market.repay(who, "USDC", 1)


def test_aave_30_prices_an_emode_category_by_its_own_source(aave30: Kit[AaveMarket]) -> None:
    market, who = aave30.market, aave30.who["emode"]
    assert market.category_feed is not None
    before = market.account(who)
    market.reserves["wstETH"].feed.move(-50)
    assert market.account(who).collateral == pytest.approx(before.collateral, rel=1e-7)  # a second of interest
    market.category_feed.move(-10)
    assert market.account(who).collateral == pytest.approx(before.collateral * 9 // 10, rel=1e-7)


def test_aave_30_lends_at_stable_rates(aave30: Kit[AaveMarket]) -> None:
    who = aave30.who["stable-and-variable-debt"]
    assert aave30.market.owed_stable(who, "DAI") > 5_000 * 10**18
    assert aave30.market.owed(who, "DAI") > 4_000 * 10**18


def test_aave_36_takes_ltv_away_and_leaves_the_threshold(aave36: Kit[AaveMarket]) -> None:
    account = aave36.market.account(aave36.who["emode-loses-ltv"])
    assert (account.ltv, account.threshold, account.available) == (0, 8_600, 0)
    assert account.health_factor > 10**18


def test_a_grace_period_blocks_liquidations(aave36: Kit[AaveMarket]) -> None:
    market, borrower, liquidator = aave36.market, aave36.who["liquidatable-after-drop"], person("liquidator")
    market.drop_prices()
    market.pause("USDC", False, grace=3_600)
    with pytest.raises(Reverted, match="LiquidationGraceSentinelCheckFailed"):
        market.liquidate(liquidator, borrower, "USDC", "WETH", 1_000)
    market.pass_time(3_601)
    market.liquidate(liquidator, borrower, "USDC", "WETH", 1_000)


# Venus


def test_venus_judges_its_accounts(venus: Kit[VenusMarket]) -> None:
    market, who = venus.market, venus.who
    assert all(market.liquidity(case.address).error == 0 for case in venus.cases)
    assert {case.label for case in venus.cases if market.liquidity(case.address).shortfall} <= {"max-borrowed"}
    assert market.liquidity(who["not-entered"]) == (0, 0, 0)
    assert market.position(who["not-entered"], "WETH").tokens > 0
    assert market.position(who["native-debt"], "COIN").borrowed > 0


def test_venus_liquidates_only_in_shortfall(venus: Kit[VenusMarket]) -> None:
    market, borrower, liquidator = venus.market, venus.who["liquidatable-after-drop"], person("liquidator")
    with pytest.raises(Refused) as refused:
        market.liquidate(liquidator, borrower, "USDC", "WETH", 5_000)
    assert refused.value.code == COMPTROLLER_REJECTION
    market.drop_prices()
    with pytest.raises(Refused):
        market.liquidate(liquidator, borrower, "USDC", "WETH", 17_000)  # above the close factor
    owed = market.position(borrower, "USDC").borrowed
    market.liquidate(liquidator, borrower, "USDC", "WETH", 5_000)
    assert market.position(borrower, "USDC").borrowed < owed - 4_999 * 10**6
    assert market.position(liquidator, "WETH").tokens > 0


def test_venus_takes_interest_up_only_when_touched(venus: Kit[VenusMarket]) -> None:
    market, who = venus.market, venus.who["vai-beside-debt"]
    before, vai = market.position(who, "USDC"), market.owed_vai(who)
    STATES["year-later"](market)
    assert market.position(who, "USDC") == before
    market.accrue()
    assert before.borrowed * 103 // 100 < market.position(who, "USDC").borrowed < before.borrowed * 112 // 100
    assert vai * 1029 // 1000 < market.owed_vai(who) < vai * 1031 // 1000


def test_venus_takes_interest_up_everywhere_in_one_block(venus: Kit[VenusMarket]) -> None:
    venus.market.accrue()
    blocks = {reserve.market.call("accrualBlockNumber") for reserve in venus.market.reserves.values()}
    assert blocks == {venus.anvil.block().number}


def test_venus_counts_vai_as_debt(venus: Kit[VenusMarket]) -> None:
    market, who = venus.market, venus.who["vai-only"]
    room = market.liquidity(who).liquidity
    market.mint_vai(who, 100)
    assert market.liquidity(who).liquidity < room - 99 * 10**18


def test_venus_keeps_to_its_borrow_cap(venus: Kit[VenusMarket]) -> None:
    with pytest.raises(Reverted, match="market borrow cap reached"):
        venus.market.borrow(venus.who["whale"], "DAI", 700_000)


def test_venus_pauses_actions(venus: Kit[VenusMarket]) -> None:
    venus.market.pause("USDC", "borrow")
    with pytest.raises(Reverted, match="paused"):
        venus.market.borrow(venus.who["plain"], "USDC", 1)


def test_venus_liquidates_anybody_where_it_is_forced_to(venus: Kit[VenusMarket]) -> None:
    venus.market.force_liquidation("USDC")
    venus.market.liquidate(person("liquidator"), venus.who["plain"], "USDC", "WETH", 1_000)


# Compound III doubles


def test_a_double_is_named_a_double(comet: Kit[CometMarket]) -> None:
    assert comet.market.is_double
    assert comet.market.comet.call("name").startswith("Double ")
    assert "is not the real contract" in (paths.SOURCES / "comet_double.vy").read_text()


def test_comet_absorbs_only_who_is_liquidatable(comet: Kit[CometMarket]) -> None:
    market, borrower, absorber = comet.market, comet.who["liquidatable-after-drop"], person("absorber")
    assert market.collateralized(borrower)
    with pytest.raises(Reverted, match="NotLiquidatable"):
        market.absorb(absorber, borrower)
    market.drop_prices()
    assert market.liquidatable(borrower)
    market.absorb(absorber, borrower)
    assert (market.owed(borrower), market.posted(borrower, "wstETH")) == (0, 0)


def test_comet_sells_what_it_absorbed(comet_usdc: Kit[CometMarket]) -> None:
    market, buyer = comet_usdc.market, person("buyer")
    market.drop_prices()
    market.absorb(person("absorber"), comet_usdc.who["liquidatable-after-drop"])
    market.buy_collateral(buyer, "wstETH", 1_000)
    assert market.tokens["wstETH"].balance(buyer) > 0


def test_comet_judges_by_stored_interest(comet: Kit[CometMarket]) -> None:
    market, who = comet.market, comet.who["liquidatable-after-drop"]
    before = market.owed(who)
    assert market.collateralized(who)
    market.pass_time(10 * 31_536_000)
    assert market.owed(who) > before * 105 // 100
    assert market.collateralized(who)
    market.accrue()
    assert not market.collateralized(who)


def test_comet_refuses_what_is_paused(comet: Kit[CometMarket]) -> None:
    market = comet.market
    market.drop_prices()
    market.pause(absorb=True)
    assert market.comet.call("isAbsorbPaused") is True
    with pytest.raises(Reverted, match="Paused"):
        market.absorb(person("absorber"), comet.who["liquidatable-after-drop"])


def test_the_weth_double_is_priced_in_ether(comet_weth: Kit[CometMarket]) -> None:
    market = comet_weth.market
    assert market.comet.call("getPrice", market.base.feed.address) == 10**8
    assert 10**8 < market.comet.call("getPrice", market.collateral["wstETH"].feed.address) < 2 * 10**8


# the node


def test_a_fork_leaves_its_origin_alone(aave36: Kit[AaveMarket]) -> None:
    market, who = aave36.market, aave36.who["plain"]
    before = market.account(who)
    with Anvil.fork(aave36.anvil.url) as fork:
        pool: Contract = market.pool.on(fork)
        assert tuple(pool.call("getUserAccountData", who)) == before
        market.reserves["WETH"].feed.contract.on(fork).send("set_answer", 1)
        assert tuple(pool.call("getUserAccountData", who)) != before
    assert market.account(who) == before


def test_a_node_mines_when_asked_until_it_is_left_to_itself() -> None:
    sent = {"from": "0x" + "11" * 20, "to": "0x" + "22" * 20, "value": "0x0", "gas": hex(21_000), "gasPrice": "0x0"}
    with Anvil() as anvil:
        start = anvil.block().number
        waiting = anvil.rpc("eth_sendTransaction", sent)
        assert anvil.rpc("eth_getTransactionReceipt", waiting) is None
        assert int(anvil.receipt(sent)["blockNumber"], 16) == anvil.block().number == start + 1
        assert anvil.rpc("eth_getTransactionReceipt", waiting)["status"] == "0x1"
        anvil.mine_by_itself()
        assert int(anvil.rpc("eth_sendTransactionSync", sent)["blockNumber"], 16) == start + 2


def test_a_taken_port_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(AnvilError, match="did not start on port"):
            Anvil(port=taken.getsockname()[1])


def test_a_node_does_not_outlive_its_process() -> None:
    program = "import os, sys\nfrom tests.localchain.anvil import Anvil\nprint(Anvil().port, flush=True)\nos.kill(os.getpid(), 9)\n"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    assert done.returncode == -signal.SIGKILL
    port = int(done.stdout)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionError:
            break
        signal.sigtimedwait([], 0.02)
    else:
        pytest.fail(f"a node still listens on {port}")


# devnet


def test_the_devnet_book_names_what_stands_there(devnet: Devnet) -> None:
    text = book_text(devnet.anvil.url, devnet.wallets, devnet.markets, devnet.assets, devnet.venus.vai.address)
    book = tomllib.loads(text)
    assert book["book"]["wallets"] == [wallet.address for wallet in devnet.wallets]
    assert len(book["book"]["wallets"]) == 8
    roots = {"aave_v3": "pool_addresses_provider", "compound_v2": "comptroller", "compound_v3": "comet"}
    roots["synthetix_perps_v2"] = "market_manager"
    for market in book["markets"]:
        assert code_size(devnet.anvil, market[roots[market["adapter"]]]) > 1_000
    for asset in book["factors"]:
        assert asset.startswith("eip155:31337/erc20:0x")
        assert code_size(devnet.anvil, asset.rpartition(":")[2]) > 500


def test_every_devnet_wallet_has_a_debt(devnet: Devnet) -> None:
    who = {wallet.label: wallet.address for wallet in devnet.wallets}
    assert all(devnet.aave.account(who[name]).debt for name in ("alice", "bob", "carol", "frank", "grace", "heidi"))
    assert all(devnet.comet_usdc.owed(who[name]) for name in ("carol", "dave"))
    assert devnet.comet_weth.owed(who["dave"])
    assert devnet.venus.position(who["erin"], "COIN").borrowed
    assert devnet.venus.owed_vai(who["erin"])


def test_two_devnet_wallets_post_their_loans_as_margin(devnet: Devnet) -> None:
    """Short and long by ten ether at the feed that Aave reads, and no book of a trade leans to one side."""
    who, rate = {wallet.label: wallet.address for wallet in devnet.wallets}, devnet.aave.price("WETH") * 10**10
    assert devnet.perps.rate("sETH") == rate
    for name, ether, size in (("grace", 4, -10), ("heidi", 2, 10)):
        position = devnet.perps.position(who[name], "sETHPERP")
        assert (position.margin, position.size, position.last_price) == (ether * rate, size * 10**18, rate)
    assert devnet.perps.coin.balance(who["grace"]) == 0
    assert devnet.perps.coin.balance(who["heidi"]) == 3 * rate


def test_the_devnet_command_ends_cleanly(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-u", "-m", "tests.localchain", "devnet", "--port", str(port), "--out", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=paths.REPOSITORY, text=True, stdout=pipe, stderr=pipe) as running:  # noqa: S603 - our own
        assert running.stdout is not None
        assert running.stdout.readline().startswith("wallet alice")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 0, said
    assert "Traceback" not in said
    assert (tmp_path / "book.toml").exists()
