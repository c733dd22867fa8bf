"""Recordings as sources: they answer as live nodes do, and a damaged file is one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from defi_risk import engine
from defi_risk.errors import CallReverted, DefiRiskError, PluginError, StoreError, Undecodable
from defi_risk.ids import Address, ChainId, checksum
from defi_risk.model import Anchor, Chain
from defi_risk.replay import LARGEST, Read, Recording, Replay, Reverted, answer_of, dumps, load, loads, outcome_of, written
from defi_risk.spi import Ask, Call, Context, Failed, Interface, NativeBalance

ERC20 = Interface("defi_risk_abis", "erc20")
BYTES32 = Interface("defi_risk_abis", "erc20_bytes32")
TOKEN, OWNER = checksum("aa" * 20), checksum("bb" * 20)
CHAIN = Chain(ChainId(1), "ethereum")
WORD = (7).to_bytes(32, "big")


def recording(**answers: Any) -> Recording:
    asks: dict[str, Ask] = {
        "balance": ERC20(TOKEN, "balanceOf", OWNER),
        "decimals": ERC20(TOKEN, "decimals"),
        "coin": NativeBalance(OWNER),
    }
    held = {Read(TOKEN, b"") if name not in asks else _read(asks[name]): answer for name, answer in answers.items()}
    return Recording("test", Anchor(CHAIN, 5, "0x" + "cd" * 32, 9), Context(CHAIN, 5, 9), held, ())


def _read(ask: Ask) -> Read:
    from defi_risk.replay import read_of

    return read_of(ask)


def test_it_is_a_source_for_the_engine() -> None:
    source: engine.Source = Replay(recording(balance=WORD, coin=WORD))
    assert source.answer([ERC20(TOKEN, "balanceOf", OWNER), NativeBalance(OWNER)]) == [7, 7]


def test_it_counts_as_a_live_source_does() -> None:
    with Replay(recording(balance=WORD)) as source:
        source.answer([ERC20(TOKEN, "balanceOf", OWNER), ERC20(TOKEN, "balanceOf", OWNER, optional=True)])
        source.answer([])
        source.finish()
        assert (source.calls, source.round_trips, source.notes) == (1, 1, ())


def test_failures_arrive_as_values() -> None:
    source = Replay(recording(balance=Reverted("paused"), decimals=b""))
    required, optional, empty = source.answer(
        [ERC20(TOKEN, "balanceOf", OWNER), ERC20(TOKEN, "balanceOf", OWNER, optional=True), ERC20(TOKEN, "decimals")]
    )
    assert isinstance(required, CallReverted)
    assert str(required) == f"balanceOf of {TOKEN}: paused"
    assert optional == Failed(f"balanceOf of {TOKEN}: paused")
    assert isinstance(empty, Undecodable)


def test_what_was_not_recorded_is_an_error_of_ours() -> None:
    with pytest.raises(StoreError, match="holds no answer to balanceOf of 0x"):
        Replay(recording()).answer([ERC20(TOKEN, "balanceOf", OWNER)])
    [answer] = Replay(recording(), missing=Reverted("nothing there")).answer([NativeBalance(OWNER)])
    assert isinstance(answer, CallReverted)


def test_an_ask_that_cannot_be_encoded_is_an_answer_too() -> None:
    [answer] = Replay(recording()).answer([ERC20(TOKEN, "balanceOf", 5)])
    assert isinstance(answer, PluginError)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (ERC20(TOKEN, "balanceOf", OWNER), 2**256 - 1),
        (ERC20(TOKEN, "symbol"), "a symbol of more than thirty-two bytes, ünïcode"),
        (BYTES32(TOKEN, "symbol"), b"MKR".ljust(32, b"\0")),
        (NativeBalance(OWNER), 10**18),
        (Call(TOKEN, Interface("defi_risk_abis", "chainlink"), "latestRoundData"), (1, -5, 2, 3, 1)),
        (Call(TOKEN, Interface("defi_risk_abis", "aave_v3/pool"), "getReservesList"), (TOKEN, OWNER)),
    ],
)
def test_answers_survive_the_way_through_bytes(ask: Ask, answer: Any) -> None:
    assert answer_of(ask, outcome_of(ask, answer)) == answer


def test_a_reason_is_not_repeated_when_it_is_recorded_again() -> None:
    ask = ERC20(TOKEN, "balanceOf", OWNER, optional=True)
    once = answer_of(ask, Reverted("paused"))
    assert answer_of(ask, outcome_of(ask, once)) == once


def test_a_recording_survives_the_way_through_text(tmp_path: Path) -> None:
    before = recording(balance=WORD, coin=WORD, decimals=Reverted('"odd" \x1b text'))
    file = tmp_path / "test.json"
    file.write_text(dumps(before), "utf-8")
    assert load(file) == before
    assert file.read_text("utf-8").isascii()


DAMAGES: list[Callable[[str], str]] = [
    lambda text: text[: len(text) // 2],
    lambda text: "[]",
    lambda text: "null",
    lambda text: "[" * 100_000,
    lambda text: text.replace("replay/1", "replay/2"),
    lambda text: text.replace('"returned": "0x', '"returned": "'),
    lambda text: text.replace('"returned": "0x0', '"returned": "0x'),
    lambda text: text.replace(str(TOKEN), str(TOKEN)[:-1]),
    lambda text: text.replace('"answers"', '"answer"'),
    lambda text: text.replace('"number": 5', '"numbers": 5'),
    lambda text: text.replace('"cases": [', '"cases": [7'),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_text_is_one_clear_error(damage: Callable[[str], str]) -> None:
    text = dumps(recording(balance=WORD))
    assert damage(text) != text
    with pytest.raises(StoreError, match="test is not a recording"):
        loads(damage(text), "test")


def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the recording"):
        load(tmp_path / "missing.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="cannot read the recording"):
        load(tmp_path / "binary.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(StoreError, match="larger than"):
        load(huge)


def test_only_values_are_written() -> None:
    assert written({"a": (1, True, None, "x")}) == {"a": ["1", True, None, "x"]}
    with pytest.raises(TypeError, match="object cannot be written"):
        written(object())


def test_errors_are_of_one_tree() -> None:
    assert issubclass(StoreError, DefiRiskError)
    assert json.loads(dumps(recording()))["schema"] == "defi-risk/replay/1"
    assert Address(TOKEN) == TOKEN
