"""Which block a scan reads at, and what several nodes must agree on."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from defi_risk import scan
from defi_risk.book import MarketSettings, parse
from defi_risk.errors import (
    BlockUnavailable,
    DefiRiskError,
    Disagreement,
    RateLimited,
    Refused,
    Reorged,
    TimedOut,
    Unreachable,
    UsageError,
    WrongChain,
)
from defi_risk.ids import ChainId, checksum
from defi_risk.model import Chain
from defi_risk.secrets import Secret
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from tests.fault.chaos import ChaosNode, Fault, nodes
from tests.fault.faults import FAULTS
from tests.fault.world import CONTRACT, ETHEREUM, HEAD, VAULT, TestClock, World, owner


def opened(*endpoints: ChaosNode, seconds: float = 60, limits: Limits = Limits(seconds=3.0), **options: object) -> ChainSource:  # noqa: B008  # frozen
    urls = [Secret(node.url) for node in endpoints]
    return ChainSource.open(ETHEREUM, urls, deadline=Deadline(seconds, TestClock()), limits=limits, **options)  # type: ignore[arg-type]  # passed on


def refused(*endpoints: ChaosNode, **options: object) -> DefiRiskError:
    with pytest.raises(DefiRiskError) as caught:
        opened(*endpoints, **options)  # type: ignore[arg-type]  # passed on
    return caught.value


def test_one_round_trip_finds_everything() -> None:
    with nodes(World()) as [node], opened(node) as source:
        assert source.anchor == replace(source.anchor, number=HEAD, hash=node.world.hash_of(HEAD), timestamp=node.world.time_of(HEAD))
        assert source.round_trips == 1
        assert node.requests == [("", ["eth_chainId", "eth_getBlockByNumber", "eth_getCode"])]
        assert source.notes == ()


@pytest.mark.parametrize(
    ("block", "number"),
    [("latest", HEAD), ("safe", HEAD - 32), ("finalized", HEAD - 64), (HEAD - 7, HEAD - 7), ("993", 993), ("0x3e1", 993), (0, 0)],
)
def test_blocks_by_tag_and_number(block: str | int, number: int) -> None:
    with nodes(World()) as [node], opened(node, block=block) as source:
        assert source.anchor.number == number
        assert source.anchor.hash == node.world.hash_of(number)
        assert source.round_trips == 1


@pytest.mark.parametrize("block", ["", "newest", "-1", "1.5", "0x", "pending", "1e3", -1, 2**63, "9" * 40, "latest "])
def test_what_is_no_block(block: str | int) -> None:
    with nodes(World()) as [node]:
        assert isinstance(refused(node, block=block), UsageError)
        assert node.requests == []


def test_confirmations_go_back_from_the_newest_block() -> None:
    with nodes(World()) as [node], opened(node, confirmations=12) as source:
        assert source.anchor.number == HEAD - 12
        assert source.round_trips == 2
        assert source.answer([VAULT(CONTRACT, "shares", owner(1))]) == [node.world.shares(owner(1), HEAD - 12)]


def test_a_block_of_the_future() -> None:
    with nodes(World()) as [node]:
        error = refused(node, block=HEAD + 9)
        assert isinstance(error, BlockUnavailable)
        assert str(error) == f"block 1009 is not there yet: the newest of http://127.0.0.1:{node.port} is 1000"


def test_a_pruned_block() -> None:
    with nodes(World(pruned_below=900)) as [node]:
        error = refused(node, block=500)
        assert isinstance(error, BlockUnavailable)
        assert "no longer holds the state of block 500 - use an archive node" in str(error)


def test_a_node_without_checkpoints() -> None:
    def unknown(answer: object) -> object:
        assert isinstance(answer, list)
        return [
            {"jsonrpc": "2.0", "id": item["id"], "error": {"code": -39001, "message": "safe block not found"}} for item in answer[1:2]
        ] + [item for item in answer if item["id"] != answer[1]["id"]]

    with nodes(World()) as [node]:
        error = refused(node.fail(Fault("no checkpoints", answer=unknown)), block="safe")
        assert isinstance(error, BlockUnavailable)
        assert "has no safe block" in str(error)


def test_another_chain_is_named() -> None:
    with nodes(World(chain_id=137)) as [node]:
        error = refused(node)
        assert isinstance(error, WrongChain)
        assert str(error) == f"http://127.0.0.1:{node.port} serves chain 137 (polygon), not 1 (ethereum) - is this an Ethereum URL?"


def test_an_unknown_chain_is_named_by_its_number() -> None:
    with (
        nodes(World(chain_id=424_242)) as [node],
        pytest.raises(WrongChain, match=r"serves chain 424242, not 10 \(optimism\) - is this an Opt"),
    ):
        ChainSource.open(Chain(ChainId(10), "optimism"), [node.url], deadline=Deadline(9, TestClock()))


def test_no_node_at_all() -> None:
    with pytest.raises(UsageError, match=r"no node for ethereum - give one with --rpc ethereum=URL"):
        ChainSource.open(ETHEREUM, [], deadline=Deadline(9))


@pytest.mark.parametrize(
    "url",
    ["ftp://host/k3y", "ws://host/k3y", "k3y", "http://", "http://host:99999/k3y", "file:///k3y", "/k3y", "https://[k3y", "host:80/k3y"],
)
def test_what_is_no_url_is_refused_unseen(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        ChainSource.open(ETHEREUM, [url], deadline=Deadline(9))
    assert "k3y" not in str(caught.value)
    assert "http" in caught.value.hint


def test_clocks_that_differ_are_a_note() -> None:
    with nodes(World(late=-7_200)) as [node], opened(node) as source:
        assert "is 7205 s old" in source.notes[0]
    with nodes(World(late=300)) as [node], opened(node) as source:
        assert "is 295 s in the future" in source.notes[0]


def test_batches_refused_cost_one_request_each() -> None:
    with nodes(World(batches=False)) as [node], opened(node) as source:
        assert [methods for _, methods in node.requests][1:] == [["eth_chainId"], ["eth_getBlockByNumber"], ["eth_getCode"]]
        assert source.round_trips == 4
        assert "takes no batches" in source.notes[0]


# -- several nodes ------------------------------------------------------------------------------------------------------------------------


def test_nodes_at_the_same_head_agree_in_one_round_trip() -> None:
    with nodes(World(), World(), World()) as started, opened(*started) as source:
        assert source.round_trips == 1
        source.answer([VAULT(CONTRACT, "decimals")])
        assert [len(node.requests) for node in started] == [2, 1, 1]


def test_a_node_one_block_ahead_is_asked_for_the_anchor() -> None:
    with nodes(World(), World(head=HEAD + 1)) as [first, second], opened(first, second) as source:
        assert source.anchor.number == HEAD
        assert source.round_trips == 2
        first.fail(FAULTS["HTTP 500"].fault)
        assert source.answer([VAULT(CONTRACT, "decimals")]) == [18]
        assert second.requests[-1][1] == ["eth_call"]


def test_a_node_one_block_behind_must_catch_up_before_it_is_used() -> None:
    with nodes(World(), World(head=HEAD - 1)) as [first, second], opened(first, second) as source:
        first.fail(FAULTS["HTTP 500"].fault)
        second.world.head = HEAD
        assert source.answer([VAULT(CONTRACT, "decimals")]) == [18]
        assert second.methods.count("eth_chainId") == 2


def test_a_node_far_behind_gives_no_anchor() -> None:
    with nodes(World(head=HEAD - 50), World()) as started, opened(*started) as source:
        assert source.anchor.number == HEAD
        assert "lags 600 s behind" in " ".join(source.notes)


def test_a_node_ahead_of_time_gives_no_anchor_where_another_is_in_time() -> None:
    with nodes(World(head=HEAD + 1_000), World()) as started, opened(*started) as source:
        assert source.anchor.number == HEAD


def test_a_node_on_another_fork_is_outvoted() -> None:
    with nodes(World(fork=1), World(), World()) as [liar, *honest], opened(liar, *honest) as source:
        assert source.anchor.hash == honest[0].world.hash_of(HEAD)
        assert f"http://127.0.0.1:{liar.port} has another block 1000 than most nodes of ethereum" in source.notes
        assert source.answer([VAULT(CONTRACT, "decimals")]) == [18]
        assert "eth_call" not in liar.methods


def test_two_nodes_that_differ_are_a_dispute() -> None:
    with nodes(World(fork=1), World()) as started:
        error = refused(*started)
        assert isinstance(error, Disagreement)
        assert all(f"127.0.0.1:{node.port} says 0x" in str(error) for node in started)


def test_two_nodes_that_differ_for_a_moment_are_asked_again() -> None:
    fork = Fault("for a moment", world=lambda world, count: replace(world, fork=1))
    with nodes(World(), World()) as [first, second], opened(first.fail(fork, times=1), second) as source:
        assert source.anchor.hash == second.world.hash_of(HEAD)


def test_a_node_of_another_chain_is_put_aside_and_named() -> None:
    with nodes(World(chain_id=137), World()) as [wrong, right], opened(wrong, right) as source:
        assert "serves chain 137 (polygon), not 1 (ethereum)" in " ".join(source.notes)
        source.answer([VAULT(CONTRACT, "decimals")])
        assert len(wrong.requests) == 1


def test_a_node_that_hangs_is_not_waited_for() -> None:
    with nodes(World(), World()) as [slow, quick]:
        slow.fail(FAULTS["black hole"].fault)
        began = time.monotonic()
        with opened(slow, quick, limits=Limits(seconds=20)) as source:
            assert source.answer([VAULT(CONTRACT, "decimals")]) == [18]
        assert time.monotonic() - began < 5


def test_all_nodes_failing_tells_of_each() -> None:
    with nodes(World(), World(), World()) as started:
        for node, fault in zip(started, ("HTTP 502 with a web page", "HTTP 401", "closes in body"), strict=True):
            node.fail(FAULTS[fault].fault)
        error = refused(*started)
        assert isinstance(error, Refused)
        assert "HTTP 401" in error.message
        assert "HTTP 502" in error.hint
        assert "broke off" in error.hint
        assert "\n" not in str(error)


# -- the end of a scan --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"fork": 1}, {"head": HEAD - 1}])
def test_a_reorganisation_is_found_at_the_end_where_reads_are_by_number(change: dict[str, int]) -> None:
    with nodes(World(by_hash=False)) as [node], opened(node) as source:
        assert source.answer([VAULT(CONTRACT, "decimals")]) == [18]
        node.world = replace(node.world, **change)  # type: ignore[arg-type]  # all are integers
        with pytest.raises((Reorged, BlockUnavailable), match=r"block 1000 of ethereum"):
            source.finish()


@pytest.mark.parametrize("change", [{"by_hash": False}, {"knows_hashes": False}])
def test_a_backend_that_cannot_read_by_hash_is_read_by_number(change: dict[str, bool]) -> None:
    """A balancer may have backends of several kinds: what one answer could do, the next may not."""
    with nodes(World()) as [node], opened(node) as source:
        assert source.answer([VAULT(CONTRACT, "decimals")]) == [18]
        node.world = replace(node.world, **change)  # type: ignore[arg-type]  # all are booleans
        assert source.answer([VAULT(CONTRACT, "shares", owner(3))]) == [node.world.shares(owner(3), HEAD)]
        source.finish()
        assert "compared at the end" in " ".join(source.notes)


# -- time ---------------------------------------------------------------------------------------------------------------------------------


def test_a_black_hole_ends_at_the_deadline() -> None:
    with nodes(World()) as [node]:
        began = time.monotonic()
        error = refused(node.fail(FAULTS["black hole"].fault), seconds=0.3)
        assert isinstance(error, TimedOut)
        assert time.monotonic() - began < 3


def test_no_time_no_request() -> None:
    with nodes(World()) as [node]:
        assert isinstance(refused(node, seconds=0), TimedOut)
        assert node.requests == []


def test_a_rest_longer_than_the_deadline_is_not_taken() -> None:
    with nodes(World()) as [node]:
        error = refused(node.fail(FAULTS["HTTP 429, retry after an hour"].fault), seconds=60)
        assert isinstance(error, RateLimited)
        assert error.retry_after == 3600
        assert len(node.requests) == 1


def test_a_rest_that_is_asked_for_is_taken() -> None:
    clock = TestClock()
    with nodes(World()) as [node]:
        node.fail(FAULTS["HTTP 429, retry after 1 s"].fault, times=2)
        with ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, clock)):
            assert clock.slept >= 1.9
            assert len(node.requests) == 3


def test_nobody_listens() -> None:
    with nodes(World()) as [node]:
        node.close()
        error = refused(node)
        assert isinstance(error, Unreachable)
        assert str(error) == f"http://127.0.0.1:{node.port}: connection refused - is it running, and the URL right?"


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(Unreachable, match=r"http://no-such-host\.invalid: host name not found"):
        ChainSource.open(ETHEREUM, ["http://no-such-host.invalid/k3y"], deadline=Deadline(9, TestClock()))


def test_contracts_that_are_not_there_yet_are_found_in_the_same_round_trip() -> None:
    multicall3 = checksum("ca11bde05977b3631167028862be2a173976ca11")
    with nodes(World()) as [node], opened(node, roots=[multicall3, owner(1), owner(2)], block=HEAD) as chain:
        assert chain.absent == {owner(1), owner(2)}
        assert chain.round_trips == 1
        assert len(node.requests) == 1
    with nodes(World()) as [node], opened(node) as chain:
        assert chain.absent == frozenset()


def test_a_past_without_markets_holds_nothing_in_them() -> None:
    """A scan at a block before any built-in market: nothing is unknown, and the source says what was not there."""
    priced = parse('[[manual]]\nname = "ether"\nside = "lending"\n[[manual.collateral]]\nfactor = "ETH"\namount = 1\nprice = 2000\n')
    with nodes(World()) as [node]:
        snapshot = scan([owner(1)], book=priced, rpc={"ethereum": node.url}, block=HEAD - 1)
        assert not snapshot.partial
        source = snapshot.sources[0]
        assert any("aave-v3-ethereum was not there yet at block" in note for note in source.notes)
        own = MarketSettings(adapter="aave_v3", chain="ethereum", name="mine", params=(("pool_addresses_provider", owner(9)),))
        mine = scan([owner(1)], book=priced, rpc={"ethereum": node.url}, block=HEAD - 1, market_settings=[own])
        assert [account.market for account in mine.accounts if account.status == "unknown"] == ["mine", "wallet"], "it may be mistyped"
        now = scan([owner(1)], book=priced, rpc={"ethereum": node.url})
        assert now.partial, "at the newest block a market without code is a fault"
