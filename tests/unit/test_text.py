"""Hostile text leaves the door harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.text import DEEPEST, SHOWN, check_depth, clean, csv_cell, look_alike, shown


@given(st.text(max_size=500))
def test_nothing_that_acts_survives(text: str) -> None:
    result = clean(text)
    assert result
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in result)
    assert result == clean(result)
    assert len(shown(text)) <= SHOWN
    assert not csv_cell(result).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b]0;owned\x07USDC", "]0;ownedUSDC"),
        ("US\u202eDC", "USDC"),
        ("U\u200bSDC", "USDC"),
        ("a\r\nb\tc", "a b c"),
        ("", "?"),
        ("\x00\x1b", "?"),
        ("e" + "\u0301" * 50, "\u00e9\u0301\u0301"),
        ("x" * 1_000_000, "x" * 200),
    ],
)
def test_known_tricks(hostile: str, harmless: str) -> None:
    assert clean(hostile) == harmless


def test_formulas_and_look_alikes() -> None:
    assert csv_cell("=1+1") == "'=1+1"
    assert csv_cell("USDC") == "USDC"
    assert look_alike("U\u0405DC")
    assert not look_alike("USDC")
    assert shown("y" * 30) == "y" * 23 + "…"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_judged_before_parsing(opening: bytes) -> None:
    check_depth(opening * DEEPEST)
    with pytest.raises(ValueError, match="too deep"):
        check_depth(opening * (DEEPEST + 1))
    with pytest.raises(ValueError, match="too many"):
        check_depth(b"[]," * 200, most=100)


def test_width_and_brackets_in_text_are_no_depth() -> None:
    check_depth(b"[" + b"[]," * 100_000 + b"0]")
    check_depth(b'"' + b"[" * 1_000 + b'\\"' + b"{" * 1_000 + b'"')
