"""A scan with a cache: the same answers with fewer requests, and nothing in it that could be wrong later."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from defi_risk.errors import CallReverted
from defi_risk.ids import ChainId
from defi_risk.model import Chain
from defi_risk.sources.cache import Cache
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Ask, NativeBalance
from tests.fault.chaos import ChaosNode, nodes
from tests.fault.world import CONTRACT, ETHEREUM, HEAD, VAULT, TestClock, World, owner

ASKS: list[Ask] = [
    *(VAULT(CONTRACT, "shares", owner(number)) for number in range(700)),
    NativeBalance(owner(1)),
    VAULT(CONTRACT, "refuses"),
]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    opened = Cache.open(tmp_path / "cache")
    yield opened
    opened.close()


def read(node: ChaosNode, cache: Cache | None, asks: list[Ask], chain: Chain = ETHEREUM, **options: Any) -> tuple[list[Any], int]:
    """Answers of a scan of its own, and the calls that it sent."""
    before = node.methods.count("eth_call")
    with ChainSource.open(chain, [node.url], deadline=Deadline(60, TestClock()), cache=cache, **options) as source:
        answers = source.answer(asks)
        source.finish()
    return answers, node.methods.count("eth_call") - before


def plain(answers: list[Any]) -> list[Any]:
    return [str(answer) if isinstance(answer, Exception) else answer for answer in answers]


def test_the_same_block_is_read_once(cache: Cache) -> None:
    with nodes(World()) as [node]:
        first, sent = read(node, cache, ASKS)
        again, later = read(node, cache, ASKS)
        assert plain(again) == plain(first) == plain(read(node, None, ASKS)[0])
        assert isinstance(again[-1], CallReverted)
        assert (sent, later) == (2, 0)
        assert node.requests[0][1] == ["eth_chainId", "eth_getBlockByNumber", "eth_getCode", "eth_getBlockByNumber"]


def test_another_block_is_read_anew(cache: Cache) -> None:
    with nodes(World()) as [node]:
        read(node, cache, ASKS)
        node.world.head += 1
        answers, sent = read(node, cache, ASKS)
        assert answers[0] == node.world.shares(owner(0), HEAD + 1)
        assert sent == 2


@pytest.mark.parametrize("change", [{"fork": 1}, {"chain_id": 10}])
def test_another_chain_shares_nothing(cache: Cache, change: dict[str, int]) -> None:
    asks: list[Ask] = [VAULT(CONTRACT, "shares", owner(1)), VAULT(CONTRACT, "decimals", forever=True)]
    with nodes(World(), World(**change)) as [node, other]:  # type: ignore[arg-type]  # all are integers
        read(node, cache, asks)
        assert read(other, cache, asks, Chain(ChainId(other.world.chain_id), "other"))[1] == 1


def test_what_is_read_by_number_only_is_not_kept(cache: Cache) -> None:
    with nodes(World(by_hash=False)) as [node]:
        read(node, cache, [*ASKS, VAULT(CONTRACT, "decimals", forever=True)])
        assert read(node, cache, ASKS)[1] > 0
        assert read(node, cache, [VAULT(CONTRACT, "decimals", forever=True)])[1] > 0


def test_what_cannot_change_is_kept_across_blocks(cache: Cache) -> None:
    asks: list[Ask] = [VAULT(CONTRACT, "decimals", forever=True), VAULT(CONTRACT, "symbol", forever=True)]
    with nodes(World()) as [node]:
        assert read(node, cache, asks) == ([18, "VLT"], 1)
        node.world.head += 1
        assert read(node, cache, asks) == ([18, "VLT"], 0)


def test_failures_are_not_kept_forever(cache: Cache) -> None:
    asks: list[Ask] = [VAULT(CONTRACT, name, forever=True, optional=True) for name in ("refuses", "nothing", "silent")]
    with nodes(World()) as [node]:
        read(node, cache, asks)
        node.world.head += 1
        assert read(node, cache, asks)[1] > 0


def test_what_the_node_failed_on_is_not_kept(cache: Cache) -> None:
    asks: list[Ask] = [VAULT(CONTRACT, "poison", 1), VAULT(CONTRACT, "poison", 2)]
    with nodes(World(poison="internal")) as [node]:
        read(node, cache, asks)
        node.world.poison = "burn"
        answers, sent = read(node, cache, asks)
        assert isinstance(answers[0], CallReverted)
        assert sent > 0


def test_nothing_is_forever_on_a_development_chain(cache: Cache) -> None:
    local = Chain(ChainId(31337), "local")
    asks: list[Ask] = [VAULT(CONTRACT, "decimals", forever=True)]
    with nodes(World(chain_id=31337)) as [node]:
        read(node, cache, asks, local)
        node.world.head += 1
        assert read(node, cache, asks, local)[1] == 1


def test_damage_is_a_miss(cache: Cache, tmp_path: Path) -> None:
    with nodes(World()) as [node]:
        first, _ = read(node, cache, ASKS)
        connection = sqlite3.connect(tmp_path / "cache" / "cache.db", isolation_level=None)
        connection.execute("UPDATE Cache SET value = substr(value, 1, length(value) - 1)")
        connection.close()
        again, sent = read(node, cache, ASKS)
        assert plain(again) == plain(first)
        assert sent == 2


def test_a_node_without_the_first_block_goes_without_the_cache(cache: Cache) -> None:
    with nodes(World()) as [node]:
        node.world.has_genesis = False
        assert read(node, cache, ASKS)[1] == 2
        assert read(node, cache, ASKS)[1] == 2
