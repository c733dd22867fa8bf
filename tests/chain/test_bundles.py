"""Bundled reads on a real node: the real Multicall3, our executor by override and single calls must tell the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from defi_risk.errors import BadAnswer, BlockUnavailable, CallReverted, Reorged
from defi_risk.ids import ChainId, checksum
from defi_risk.model import Chain
from defi_risk.sources import executor
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Ask, Failed, NativeBalance
from tests.fault.world import VAULT
from tests.localchain.anvil import CHAIN_ID, Anvil
from tests.localchain.multicall import MULTICALL3, put_multicall3

pytestmark = pytest.mark.chain
CHAIN: Final = Chain(ChainId(CHAIN_ID), "local")
NOWHERE: Final = checksum("99" * 20)
# poison(n) of each: n back; a revert with n; a revert without a word; an endless loop; an invalid opcode; n words of zeros; 3 bytes
CODES: Final = {
    name: (checksum(f"{index:02x}" * 20), code)
    for index, (name, code) in enumerate(
        {
            "echo": executor.assemble("32 4 0 CALLDATACOPY 32 0 RETURN"),
            "refuse": executor.assemble("32 4 0 CALLDATACOPY 32 0") + b"\xfd",
            "silent": executor.assemble("0 0") + b"\xfd",
            "endless": executor.assemble("again: @again JUMP"),
            "invalid": b"\xfe",
            "zeros": executor.assemble("4 CALLDATALOAD 5") + b"\x1b" + executor.assemble("0 RETURN"),
            "short": executor.assemble("3 0 RETURN"),
        }.items(),
        0xB0,
    )
}


@dataclass(frozen=True)
class Way:
    """One way of bundling, by what a scan is told about Multicall3 and its node."""

    multicall3: bool
    overrides: bool | None = None


WAYS: Final = {"Multicall3": Way(True), "override": Way(False), "batch": Way(False, overrides=False)}


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil() as node:
        put_multicall3(node)
        for address, code in CODES.values():
            node.set_code(address, "0x" + code.hex())
        node.set_balance(NOWHERE, 123)
        node.mine(80)
        yield node


def opened(anvil: Anvil, way: Way, **options: Any) -> ChainSource:
    somewhere = MULTICALL3 if way.multicall3 else "0x" + "77" * 20
    source = ChainSource.open(CHAIN, [anvil.url], deadline=Deadline(60), multicall3=checksum(somewhere[2:]), **options)
    vars(source)["_pool"].nodes[0].overrides = way.overrides
    return source


def ask(name: str, number: int = 0, optional: bool = False) -> Ask:
    return VAULT(CODES[name][0], "poison", number, optional=optional)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_outcome_by_every_way(anvil: Anvil, way: str) -> None:
    asks = [ask("echo", 2**256 - 1), ask("refuse", 7), ask("silent", optional=True), ask("short"), ask("zeros", 1), NativeBalance(NOWHERE)]
    with opened(anvil, WAYS[way]) as source:
        found = source.answer([*asks, VAULT(NOWHERE, "poison", 1)])
        source.finish()
        assert found[0] == 2**256 - 1
        assert isinstance(found[1], CallReverted)
        assert "error 0x00000000" in str(found[1])
        assert isinstance(found[2], Failed)
        assert "without a reason" in found[2].reason
        assert "returned 3 bytes" in str(found[3])
        assert found[4:6] == [0, 123]
        assert isinstance(found[6], BadAnswer)
        assert "no data" in str(found[6])
        assert source.notes == () or way == "batch" or "old" in source.notes[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("poison", ["endless", "invalid", "zeros"])
def test_one_poisoned_read_of_500_fails_alone(anvil: Anvil, way: str, poison: str) -> None:
    with opened(anvil, WAYS[way]) as source:
        asks = [ask("echo", number) for number in range(499)]
        found = source.answer([*asks[:200], ask(poison, 2**22), *asks[200:]])
        blamed = found.pop(200)
        assert found == list(range(499))
        assert isinstance(blamed, CallReverted | BadAnswer)
        assert source.round_trips <= 14


@pytest.mark.parametrize("way", ["Multicall3", "override"])
def test_a_thousand_reads_go_in_two_requests(anvil: Anvil, way: str) -> None:
    with opened(anvil, WAYS[way]) as source:
        assert source.answer([ask("echo", number) for number in range(1_000)]) == list(range(1_000))
        assert source.round_trips == 2


@pytest.mark.parametrize("way", WAYS)
def test_reads_stay_at_the_anchor(anvil: Anvil, way: str) -> None:
    with opened(anvil, WAYS[way]) as source, anvil.rollback():
        anvil.mine()  # the node changes balances in its newest block
        anvil.set_balance(NOWHERE, 5)
        anvil.mine(3)
        assert source.answer([NativeBalance(NOWHERE)]) == [123]
        source.finish()


@pytest.mark.parametrize("block", ["safe", "finalized", "number"])
def test_reads_at_an_old_block(anvil: Anvil, block: str) -> None:
    head = anvil.block().number
    with anvil.rollback():
        anvil.set_balance(NOWHERE, 5)
        anvil.mine(3)
        with opened(anvil, WAYS["Multicall3"], block=head - 3 if block == "number" else block) as source:
            assert source.anchor.number < head
            assert source.answer([NativeBalance(NOWHERE), ask("echo", 4)]) == [123, 4]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_reorganisation_is_noticed(anvil: Anvil, way: str, depth: int) -> None:
    with anvil.rollback():
        anvil.mine(5)
        with opened(anvil, WAYS[way]) as source:
            source.answer([ask("echo", 1)])
            nothing = {"from": "0x" + "01" * 20, "to": "0x" + "02" * 20, "value": "0x0", "gasPrice": "0x0"}
            anvil.rpc("anvil_reorg", depth, [[nothing, 0]])  # without a transaction the new blocks would be the old ones
            with pytest.raises((Reorged, BlockUnavailable)):
                source.answer([ask("echo", 2)])


def test_blocks_that_are_not_there(anvil: Anvil) -> None:
    with pytest.raises(BlockUnavailable, match="is not there yet"):
        opened(anvil, WAYS["Multicall3"], block=anvil.block().number + 10)


def test_the_cache_saves_every_read(anvil: Anvil, tmp_path: Any) -> None:
    from defi_risk.sources.cache import Cache

    with Anvil(number=0) as node:
        put_multicall3(node)
        node.mine(3)
        cache = Cache.open(tmp_path / "cache")
        asks = [NativeBalance(NOWHERE), NativeBalance(CODES["echo"][0])]
        for calls in (2, 0):
            with opened(node, replace(WAYS["Multicall3"]), cache=cache) as source:
                assert source.answer(asks) == [0, 0]
                assert source.calls == calls
        cache.close()
