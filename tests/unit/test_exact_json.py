"""JSON in and out: digits stay, tricks are refused, and what is written reads back equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defi_risk import exact_json
from defi_risk.errors import Undecodable

SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**80), 10**80) | st.text(max_size=8) | st.decimals(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5), max_leaves=20
)


def same(one: Any, other: Any) -> bool:
    """Equal to the last digit: 1.50 is not 1.5."""
    return repr(one) == repr(other)


@settings(max_examples=50)
@given(VALUES)
def test_what_is_written_reads_back_with_the_same_digits(value: Any) -> None:
    text = exact_json.dump(value)
    again = exact_json.parse(text.encode())
    # a Decimal without a fraction or an exponent is written as a whole number
    assert again == value
    assert exact_json.dump(again) == text
    assert text.isascii()
    assert same(exact_json.parse(exact_json.lines(value).encode()), again)


def test_numbers_keep_their_digits() -> None:
    value = exact_json.parse(b"[1, 1.50, 0.1, 1e2, -0.00, 115792089237316195423570985008687907853269984665640564039457584007913129639935]")
    assert [str(item) for item in value] == ["1", "1.50", "0.1", "1E+2", "-0.00", str(2**256 - 1)]
    assert [type(item) for item in value[:2]] == [int, Decimal]


REFUSED = [
    b"", b"nonsense", b"NaN", b"[Infinity]", b"[-Infinity]", b'{"a": 1, "a": 1}', b"\xff", b"[1,]", b'{"a": 1}{"b": 2}',
    b"[" * 100 + b"]" * 100, b"9" * 201, b"1." + b"9" * 200, b"1e" + b"9" * 30, b"\xef\xbb\xbf{}", b"[01]", b"'a'", b"<html>",
]  # fmt: skip


@pytest.mark.parametrize("body", REFUSED)
def test_tricks_are_refused(body: bytes) -> None:
    with pytest.raises(Undecodable, match=r"^https://x answered with "):
        exact_json.answer(body, "https://x")


def test_the_number_of_values_is_bounded() -> None:
    with pytest.raises(ValueError, match="too many"):
        exact_json.parse(b"[" + b"[]," * 100 + b"[]]", most=100)
    with pytest.raises(ValueError, match="too many"):
        exact_json.parse(b"[" + b"1.1," * exact_json.MOST_VALUES + b"1.1,1.1]")


@pytest.mark.parametrize(
    ("body", "said"),
    [(b" \n", "nothing"), (b"<!DOCTYPE html>", "a web page"), (b"  <HTML>", "a web page"), (b"{", "something that is not JSON")],
)
def test_what_came_instead_is_said(body: bytes, said: str) -> None:
    with pytest.raises(Undecodable, match=said):
        exact_json.answer(body, "x")


def test_long_values_take_several_lines_so_that_a_change_is_one_line() -> None:
    before = {"positions": [{"coin": f"C{number}", "size": "1.0", "entry": "2.0"} for number in range(9)], "time": 5}
    after = {**before, "positions": [*before["positions"][:4], {"coin": "C4", "size": "9.0", "entry": "2.0"}, *before["positions"][5:]]}  # type: ignore[index]
    old, new = (exact_json.lines(value).splitlines() for value in (before, after))
    assert len(old) == len(new) == 14
    assert sum(one != other for one, other in zip(old, new, strict=True)) == 1
    assert max(map(len, old)) <= exact_json.WIDTH + 10
