"""Bundles of reads as bytes, against eth-abi for Multicall3 and a real EVM for our executor."""

from __future__ import annotations

import random

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st
from pyrevm import EVM, AccountInfo, BlockEnv

from defi_risk.errors import Undecodable
from defi_risk.ids import keccak256
from defi_risk.sources import executor
from defi_risk.sources.packing import AMPLE, Probe, Unpacked, pack_executor, pack_multicall3, unpack_executor, unpack_multicall3

ADDRESS = bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11")
TYPE = "(bool,bytes)[]"
MODEXP = "0x" + "00" * 19 + "05"
SIZES = b"".join(size.to_bytes(32, "big") for size in (512, 32, 512))
LEFT = AMPLE.to_bytes(32, "big")

addresses = st.binary(min_size=20, max_size=20)
probes = st.lists(st.builds(Probe, addresses, st.none() | st.binary(max_size=100)), max_size=12)


@given(probes)
def test_aggregate3_calldata_is_what_an_abi_codec_makes(items: list[Probe]) -> None:
    calls = [("0x" + ADDRESS.hex(), True, keccak256(b"getCurrentBlockTimestamp()")[:4])]
    for probe in items:
        if probe.data is None:
            calls.append(("0x" + ADDRESS.hex(), True, keccak256(b"getEthBalance(address)")[:4] + bytes(12) + probe.to))
        else:
            calls.append(("0x" + probe.to.hex(), True, probe.data))
    calls.append((MODEXP, True, SIZES + bytes(512) + b"\xff" * 32 + bytes(512)))
    expected = keccak256(b"aggregate3((address,bool,bytes)[])")[:4] + encode(["(address,bool,bytes)[]"], [calls])
    assert pack_multicall3(ADDRESS, items) == expected


@given(st.integers(0, 2**64), st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=12), st.booleans())
def test_aggregate3_answers_are_unpacked(time: int, results: list[tuple[bool, bytes]], ample: bool) -> None:
    answer = encode([TYPE], [[(True, time.to_bytes(32, "big")), *results, (ample, bytes(512) if ample else b"")]])
    assert unpack_multicall3(answer, len(results)) == Unpacked(time, results, ample)


def test_a_witness_that_is_no_precompile_vouches_for_nothing() -> None:
    """A call of an address without code succeeds with nothing."""
    assert not unpack_multicall3(encode([TYPE], [[(True, bytes(32)), (True, b"x"), (True, b"")]]), 1).ample


def test_no_time_is_no_time() -> None:
    assert unpack_multicall3(encode([TYPE], [[(False, b""), (True, b"x"), (True, b"")]]), 1).timestamp is None
    assert unpack_multicall3(encode([TYPE], [[(True, b"7"), (True, b"x"), (True, b"")]]), 1).timestamp is None


@given(st.binary(max_size=400), st.integers(0, 3))
def test_junk_is_undecodable_or_fits(junk: bytes, count: int) -> None:
    for unpack in (unpack_multicall3, unpack_executor):
        try:
            found = unpack(junk, count)
        except Undecodable:
            continue
        assert len(found.results) == count
        assert sum(len(data) for _, data in found.results) <= len(junk)


@given(st.randoms(use_true_random=False))
def test_one_changed_word_never_gives_more_than_was_sent(chance: random.Random) -> None:
    answer = bytearray(encode([TYPE], [[(True, bytes(32)), (True, b"a" * 40), (False, b""), (True, b"b" * 5), (True, b"")]]))
    at = chance.randrange(len(answer) // 32) * 32
    answer[at : at + 32] = chance.choice([2**255, 2**63, 2**64 - 32, len(answer), len(answer) - 31, 64, 1]).to_bytes(32, "big")
    try:
        found = unpack_multicall3(bytes(answer), 3)
    except Undecodable:
        return
    assert sum(len(data) for _, data in found.results) <= len(answer)


def test_answers_that_share_bytes_are_refused() -> None:
    """A small answer whose every offset leads to one large piece would be copied into far more memory."""
    count, size = 500, 100_000
    shared = (1).to_bytes(32, "big") + (64).to_bytes(32, "big") + size.to_bytes(32, "big") + bytes(size)
    offsets = b"".join((32 * (count + 2)).to_bytes(32, "big") for _ in range(count + 2))
    with pytest.raises(Undecodable, match="outside itself"):
        unpack_multicall3((32).to_bytes(32, "big") + (count + 2).to_bytes(32, "big") + offsets + shared, count)


@pytest.mark.parametrize("answer", [b"", bytes(31), bytes(32) + b"\x01\x00\x00\x00\x05abc", bytes(32) + b"\x02\x00\x00\x00\x00"])
def test_executor_answers_that_are_cut_off(answer: bytes) -> None:
    with pytest.raises(Undecodable):
        unpack_executor(answer, 1)


def test_executor_answers_with_bytes_left_over() -> None:
    with pytest.raises(Undecodable, match="left over"):
        unpack_executor(bytes(32) + b"\x01\x00\x00\x00\x00" + b"?" + LEFT, 1)


# -- the executor in a real EVM -----------------------------------------------------------------------------------------------------------

ECHO = executor.assemble("CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 RETURN")
REFUSE = executor.assemble("CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0") + b"\xfd"
WRITE = bytes.fromhex("600160005500")  # sstore(0, 1)
BURN = b"\xfe"
HUNGRY = executor.assemble("0 300000 MSTORE 0 0 RETURN")  # memory for 200,000 gas
HERE = {name: bytes([number]) * 20 for number, name in enumerate(("self", "echo", "refuse", "write", "burn", "hungry", "nobody"), 0x50)}
NOBODY = "0x" + "00" * 20


@pytest.fixture(scope="module")
def evm() -> EVM:
    engine = EVM()
    engine.set_block_env(BlockEnv(timestamp=1_234_567, number=7))
    codes = {"self": executor.code(), "echo": ECHO, "refuse": REFUSE, "write": WRITE, "burn": BURN, "hungry": HUNGRY}
    for name, code in codes.items():
        engine.insert_account_info("0x" + HERE[name].hex(), AccountInfo(code=code))
        engine.set_balance("0x" + HERE[name].hex(), len(name))
    return engine


def run(evm: EVM, items: list[Probe], gas: int = 30_000_000) -> Unpacked:
    answer = evm.message_call(caller=NOBODY, to="0x" + HERE["self"].hex(), calldata=pack_executor(items), gas=gas)
    return unpack_executor(bytes(answer), len(items))


@given(data=st.lists(st.tuples(st.sampled_from(["echo", "refuse", "nobody", "balance"]), st.binary(max_size=300)), max_size=20))
def test_the_executor_runs_every_item(evm: EVM, data: list[tuple[str, bytes]]) -> None:
    items = [Probe(HERE["echo"], None) if name == "balance" else Probe(HERE[name], body) for name, body in data]
    words = (len("echo")).to_bytes(32, "big")
    expected = [(name != "refuse", {"nobody": b"", "balance": words}.get(name, body)) for name, body in data]
    assert run(evm, items) == Unpacked(1_234_567, expected, ample=True)


def test_the_executor_changes_nothing(evm: EVM) -> None:
    assert run(evm, [Probe(HERE["write"], b"")]).results == [(False, b"")]


def test_a_burner_starves_its_neighbours_without_a_word(evm: EVM) -> None:
    """This is why a read that fails silently inside a bundle is asked again alone, unless gas was ample to the end."""
    hungry = Probe(HERE["hungry"], b"")
    starved = run(evm, [hungry, Probe(HERE["burn"], b""), hungry], gas=6_000_000)
    assert starved.results == [(True, b""), (False, b""), (False, b"")]
    assert not starved.ample
    assert run(evm, [hungry, Probe(HERE["refuse"], b""), hungry], gas=6_000_000) == Unpacked(
        1_234_567, [(True, b""), (False, b""), (True, b"")], ample=True
    )


def test_long_answers_of_one_item_do_not_reach_the_next(evm: EVM) -> None:
    items = [Probe(HERE["echo"], b"x" * 5_000), Probe(HERE["echo"], b""), Probe(HERE["nobody"], b"y" * 100), Probe(HERE["echo"], b"z")]
    assert [data for _, data in run(evm, items).results] == [b"x" * 5_000, b"", b"", b"z"]


def test_the_code_is_short_enough_for_its_assembler() -> None:
    assert len(executor.code()) < 256
