"""JSON-RPC answers and errors: what is taken, what is refused, what it means."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from defi_risk.errors import BadAnswer, BlockUnavailable, DefiRiskError, Incapable, RateLimited, Refused, Reorged, TooLarge
from defi_risk.secrets import Secret
from defi_risk.sources import jsonrpc
from defi_risk.sources.faults import Fault, Kind, error_of, fault_of, http_error, seconds_of
from defi_risk.sources.reverts import reason_of

# what clients say, by client or service
SAID = [
    (3, "execution reverted: Ownable: caller is not the owner", Kind.REVERT),
    (3, "execution reverted: rate limit exceeded", Kind.REVERT),
    (-32000, "execution reverted", Kind.REVERT),
    (-32015, "VM execution error.", Kind.HALT),
    (-32000, "VM Exception while processing transaction: reverted with reason string 'x'", Kind.REVERT),
    (-32000, "invalid opcode: INVALID", Kind.HALT),
    (-32000, "stack underflow (0 <=> 2)", Kind.HALT),
    (-32603, "EVM error InvalidFEOpcode", Kind.HALT),
    (-32603, "EVM error OutOfGas", Kind.HEAVY),
    (-32603, "EVM error MemoryOOG", Kind.HEAVY),
    (-32000, "out of gas", Kind.HEAVY),
    (-32000, "gas required exceeds allowance (50000000)", Kind.HEAVY),
    (-32000, "execution aborted (timeout = 5s)", Kind.HEAVY),
    (-32000, "request timed out", Kind.HEAVY),
    (-32000, "response size exceeded", Kind.HEAVY),
    (-32008, "Response is too big", Kind.HEAVY),
    (-32600, "batch too large", Kind.HEAVY),
    (-32005, "limit exceeded", Kind.RATE),
    (-32005, "daily request count exceeded, request rate limited", Kind.RATE),
    (429, "Your app has exceeded its compute units per second capacity", Kind.RATE),
    (-32000, "Too Many Requests", Kind.RATE),
    (-32097, "", Kind.RATE),
    (-32601, "the method eth_call does not exist/is not available", Kind.INCAPABLE),
    (-32601, "rate limit", Kind.INCAPABLE),
    (-32602, "too many arguments, want at most 2", Kind.INCAPABLE),
    (-32602, "invalid argument 1: json: cannot unmarshal object into Go value of type string", Kind.INCAPABLE),
    (-32600, "batch requests are not supported", Kind.INCAPABLE),
    (-32000, "missing trie node 9a3f (path 01) state 0x12 is not available", Kind.BLOCK),
    (-32000, "historical state 1234 is not available", Kind.BLOCK),
    (-32000, "header not found", Kind.BLOCK),
    (-32000, "header for hash not found", Kind.BLOCK),
    (-32001, "Resource not found", Kind.BLOCK),
    (-32001, "block not found: 0x12", Kind.BLOCK),
    (-32602, "BlockOutOfRangeError: block height is 5 but requested was 153", Kind.BLOCK),
    (-39001, "Unknown block", Kind.BLOCK),
    (-32000, "hash 12ab is not currently canonical", Kind.REORG),
    (-32000, "project ID does not have access to archive state", Kind.REFUSED),
    (-32000, "invalid API key", Kind.REFUSED),
    (401, "no", Kind.REFUSED),
    (-32603, "Internal error", Kind.NODE),
    (-32000, "something else", Kind.NODE),
    (0, "", Kind.NODE),
]


@pytest.mark.parametrize(("code", "message", "kind"), SAID)
def test_what_nodes_mean(code: int, message: str, kind: Kind) -> None:
    assert fault_of(code, message).kind is kind


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.RATE, RateLimited),
        (Kind.REFUSED, Refused),
        (Kind.BLOCK, BlockUnavailable),
        (Kind.REORG, Reorged),
        (Kind.INCAPABLE, Incapable),
        (Kind.HEAVY, TooLarge),
        (Kind.NODE, BadAnswer),
    ],
)
def test_what_faults_become(kind: Kind, error: type[DefiRiskError]) -> None:
    made = error_of(Fault(kind, -7, "so it is"), "https://node")
    assert type(made) is error
    assert made.message == "https://node answered 'so it is' (code -7)"


def test_a_node_s_words_are_made_harmless() -> None:
    Secret("https://host/v3/0123456789abcdef")
    said = fault_of(-1, "\x1b]0;x\x07 <b>\u202e your key 0123456789abcdef at https://host/v3/other " + "x" * 10_000).message
    assert "0123456789abcdef" not in said
    assert "other" not in said
    assert len(said) <= 120
    assert said.isprintable()


@given(st.integers(), st.text(max_size=3_000), st.binary(max_size=200))
@example(-1, "block " * 400 + "nope", b"")
@example(-1, "exceeded " * 200, b"")
def test_any_words_are_sorted_quickly(code: int, message: str, data: bytes) -> None:
    began = time.perf_counter()
    fault = fault_of(code, message, data)
    assert time.perf_counter() - began < 0.5
    assert fault.message.isprintable()
    assert reason_of(data).isprintable()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("1.5", 1.5), ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0), ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0)]
    + [(bad, None) for bad in ("", "soon", "-1", "9" * 30, "nan", "1e9", "Wed, 99 Oct 2015")],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert seconds_of(header, 1_445_412_480.0) == seconds


@pytest.mark.parametrize("status", [*range(100, 200, 9), *range(300, 600)])
def test_every_http_status_has_an_error(status: int) -> None:
    error = http_error(status, "", "https://node", 0.0)
    assert error.source == "https://node"
    assert f"HTTP {status}" in error.message


# -- answers ------------------------------------------------------------------------------------------------------------------------------


def frame(number: object, **body: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, **body}


def test_a_single_answer() -> None:
    assert jsonrpc.outcome(jsonrpc.only(frame(7, result="0x1"), 7, "n")) == "0x1"
    assert jsonrpc.outcome(jsonrpc.only(frame(7, result=None, error=None), 7, "n")) is None
    assert jsonrpc.outcome(jsonrpc.only([frame(7, result="0x1")], 7, "n")) == "0x1"
    fault = jsonrpc.outcome(jsonrpc.only(frame(None, error={"code": -32600, "message": "no"}), 7, "n"))
    assert isinstance(fault, Fault)
    assert fault.code == -32600


@pytest.mark.parametrize(
    "answer",
    [
        None,
        7,
        "x",
        [],
        {},
        frame(8, result=1),
        frame("7", result=1),
        frame(None, result=1),
        frame(7),
        frame(7, error="no"),
        [frame(7), frame(8)],
    ],
)
def test_what_is_no_answer(answer: object) -> None:
    with pytest.raises(BadAnswer):
        jsonrpc.only(answer, 7, "n")


def test_a_batch_in_any_order() -> None:
    answers = jsonrpc.several([frame(3, result="c"), frame(1, result="a"), frame(2, error={"code": 3, "message": "no"})], [1, 2, 3], "n")
    assert isinstance(answers, list)
    assert [answer["id"] for answer in answers] == [1, 2, 3]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [frame(1, result=1)],
        [frame(1, result=1), frame(1, result=2)],
        [frame(1, result=1), frame(2, result=2), frame(3, result=3)],
        [frame(1, result=1), frame(True, result=2)],
        [frame(1, result=1), frame("2", result=2)],
        [frame(1, result=1), frame([], result=2)],
        [frame(1, result=1), None],
        frame(1, result=1),
        "no",
    ],
)
def test_what_is_no_batch(answer: object) -> None:
    with pytest.raises((Incapable, BadAnswer)):
        jsonrpc.several(answer, [1, 2], "n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0x08c379a0", b"\x08\xc3\x79\xa0"),
        ("Reverted 0x08c379a0", b"\x08\xc3\x79\xa0"),
        ({"data": "0x01"}, b"\x01"),
        (None, b""),
        (7, b""),
        ("0x0", b""),
        ("0xzz", b""),
        ({"data": {}}, b""),
        ("no", b""),
    ],
)
def test_revert_data_wherever_it_is(data: object, expected: bytes) -> None:
    fault = jsonrpc.outcome({"error": {"code": 3, "message": "execution reverted", "data": data}})
    assert isinstance(fault, Fault)
    assert fault.data == expected


@pytest.mark.parametrize("value", [None, 7, "", "0", "0x0", "0xzz", "ab", "0x a", "0x\u0661\u0661", [], {}, "0X00"])
def test_what_is_no_hex_data(value: object) -> None:
    with pytest.raises(BadAnswer, match="where hex data was expected"):
        jsonrpc.data_of(value, "n")


@pytest.mark.parametrize("value", [None, 7, "", "7", "0x", "0x-1", "0x+1", "0x1_0", "0x" + "1" * 65, "0x 1", "0x\u0661", True])
def test_what_is_no_quantity(value: object) -> None:
    with pytest.raises(BadAnswer, match="where a hex number was expected"):
        jsonrpc.quantity_of(value, "n")


@given(st.binary(max_size=100))
def test_data_comes_through(data: bytes) -> None:
    assert jsonrpc.data_of("0x" + data.hex(), "n") == data


@given(st.integers(0, 2**256 - 1))
def test_quantities_come_through(number: int) -> None:
    assert jsonrpc.quantity_of(hex(number), "n") == number


# -- text ---------------------------------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(VALUES)
def test_json_is_parsed_as_json(value: object) -> None:
    assert jsonrpc.parse(json.dumps(value).encode(), "n") == value


@given(st.binary(max_size=300) | st.text('[]{}",:\\1anull', max_size=300).map(str.encode))
def test_any_bytes_are_json_or_a_bad_answer(body: bytes) -> None:
    with suppress(BadAnswer):
        jsonrpc.parse(body, "n")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[[]," * 30_000,
        b'["\\"[",' + b"[" * 100_000,
        b'"' + b"[" * 100_000,
        ("[" * 100_000).encode("utf-16"),
        ("[" * 100_000).encode("utf-32"),
        b"\xef\xbb\xbf[]",
        b"[" + b"[]," * 60_000 + b"1]",
        b"9" * 100_000,
        b"1e999999",
        b"NaN",
        b"-Infinity",
        b'"\xff"',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_hostile_json(body: bytes) -> None:
    began = time.perf_counter()
    try:
        value = jsonrpc.parse(body, "n")
    except BadAnswer:
        value = None
    assert value in (None, float("inf"))
    assert time.perf_counter() - began < 1


def test_many_small_values_are_fine() -> None:
    body = json.dumps([{"id": number, "result": "[[[{{{"} for number in range(2_000)]).encode()
    assert len(jsonrpc.parse(body, "n")) == 2_000  # type: ignore[arg-type]  # a list


# -- reasons ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "reverted without a reason"),
        ("08c379a0" + f"{32:064x}" + f"{2:064x}" + b"no".hex().ljust(64, "0"), "reverted: 'no'"),
        ("08c379a0" + f"{32:064x}" + f"{2**255:064x}" + b"\xff\x1b[2J".hex().ljust(64, "0"), "reverted: '\ufffd[2J'"),
        ("08c379a0", "reverted: error 0x08c379a0"),
        ("4e487b71" + f"{0x11:064x}", "reverted: panic 0x11 (arithmetic overflow)"),
        ("4e487b71" + f"{2**200:064x}", "reverted: panic"),
        ("556f1830", "reverted: asks for an off-chain lookup, which is never followed"),
        ("deadbeef00", "reverted: error 0xdeadbeef"),
        ("00", "reverted: 1 bytes"),
    ],
)
def test_reasons(data: str, reason: str) -> None:
    assert reason_of(bytes.fromhex(data)) == reason
