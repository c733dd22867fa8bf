"""Our codec for static words gives what eth-abi gives, and refuses what eth-abi refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode as library_decode
from eth_abi.abi import encode as library_encode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from defi_risk import abi
from defi_risk.abi import _function as function_from  # pyright: ignore[reportPrivateUsage]
from defi_risk.errors import PluginError, TooLarge, Undecodable
from defi_risk.ids import checksum
from defi_risk.spi import Interface

WORDS = ["uint256", "uint128", "uint40", "uint8", "int256", "int104", "bool", "address", "bytes32", "bytes4"]


def described(outputs: list[str], inputs: list[str] | None = None) -> dict[str, Any]:
    return {
        "name": "f",
        "stateMutability": "view",
        "inputs": [{"name": f"a{i}", "type": kind} for i, kind in enumerate(inputs or [])],
        "outputs": [{"name": f"r{i}", "type": kind} for i, kind in enumerate(outputs)],
    }


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), st.data())
def test_words_decode_as_the_library_does(kinds: list[str], data: st.DataObject) -> None:
    raw = b"".join(
        data.draw(st.one_of(st.binary(min_size=32, max_size=32), st.integers(0, 2).map(lambda n: n.to_bytes(32, "big")))) for _ in kinds
    )
    function = function_from(described(kinds))
    try:
        expected = library_decode(kinds, raw)
    except DecodingError:
        with pytest.raises(Undecodable):
            function.decode(raw)
        return
    found = function.decode(raw)
    found = (found,) if len(kinds) == 1 else tuple(found)
    assert found == tuple(checksum(value[2:]) if kind == "address" else value for kind, value in zip(kinds, expected, strict=True))


@given(st.lists(st.one_of(st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20).map(lambda b: checksum(b.hex())))))
def test_arguments_encode_as_the_library_does(args: list[Any]) -> None:
    kinds = ["uint256" if isinstance(arg, int) else "address" for arg in args]
    function = function_from(described(["bool"], kinds))
    assert function.encode(tuple(args)) == function.selector + library_encode(kinds, args)


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for kinds in (["string"], ["address[]"], ["uint256[]", "bool"], ["bytes"], ["uint8", "address"]):
        try:
            function_from(described(kinds)).decode(data)
        except (Undecodable, TooLarge):
            continue


def test_structs_keep_their_names() -> None:
    entry = described(["uint256"])
    entry["outputs"] = [
        {
            "name": "",
            "type": "tuple",
            "components": [
                {"name": "config", "type": "tuple", "components": [{"name": "data", "type": "uint256"}]},
                {"name": "index", "type": "uint128"},
                {"name": "token", "type": "address"},
            ],
        }
    ]
    token = checksum("b" * 40)
    answer = function_from(entry).decode(library_encode(["(uint256)", "uint128", "address"], [(7,), 8, token]))
    assert answer.config.data == 7
    assert (answer.index, answer.token) == (8, token)


def test_arrays_of_structs_with_text() -> None:
    entry = described(["uint256"])
    parts = [{"name": "symbol", "type": "string"}, {"name": "token", "type": "address"}]
    entry["outputs"] = [{"name": "", "type": "tuple[]", "components": parts}]
    token = checksum("c" * 40)
    raw = library_encode(["(string,address)[]"], [[("WETH", token), ("USDC", token)]])
    answer = function_from(entry).decode(raw)
    assert [item.symbol for item in answer] == ["WETH", "USDC"]
    assert answer[0].token == token


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_word_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(Undecodable):
        function_from(described(["uint256"])).decode(bytes(size))


def test_a_text_without_end_is_refused() -> None:
    function = function_from(described(["string"]))
    with pytest.raises(TooLarge):
        function.decode(library_encode(["string"], ["x" * 5_000]))
    with pytest.raises(Undecodable):
        function.decode(library_encode(["bytes"], [b"\xff\xfe\xfd"]))


def test_only_view_functions_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_abis"
    package.mkdir()
    (package / "__init__.py").write_text("")
    entry = described(["bool"])
    (package / "writes.json").write_text(json.dumps([{**entry, "stateMutability": "nonpayable"}]))
    (package / "twice.json").write_text(json.dumps([entry, entry]))
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("writes", "twice", "absent"):
        with pytest.raises(PluginError):
            abi.load(Interface("some_abis", path))
