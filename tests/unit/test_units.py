"""Integer roundings and exact quantities."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.units import EXACT, MAX_UINT256, Quantity, exact_ratio, mul_div_down, mul_div_half_up, mul_div_up, plain

UINT = st.one_of(st.integers(0, MAX_UINT256), st.sampled_from([0, 1, 2**128, MAX_UINT256]))


@given(UINT, UINT, UINT.filter(bool))
def test_roundings_are_those_of_the_exact_fraction(a: int, b: int, c: int) -> None:
    exact = Fraction(a * b, c)
    down, up, half = mul_div_down(a, b, c), mul_div_up(a, b, c), mul_div_half_up(a, b, c)
    assert down <= exact < down + 1
    assert up - 1 < exact <= up
    assert half == (a * b + c // 2) // c
    assert half in (down, up)


@given(st.integers(-MAX_UINT256, MAX_UINT256), st.integers(0, 36))
def test_a_quantity_keeps_every_digit(raw: int, decimals: int) -> None:
    quantity = Quantity(raw, decimals)
    assert Fraction(quantity.decimal()) == Fraction(raw, 10**decimals)
    back = Quantity.of(quantity.decimal())
    assert Fraction(back.raw, 10**back.decimals) == Fraction(raw, 10**decimals)
    assert Decimal(str(quantity)) == quantity.decimal()
    assert float(quantity) == pytest.approx(float(Fraction(raw, 10**decimals)), rel=1e-15)


def test_digits_survive_in_threads() -> None:
    quantity = Quantity(MAX_UINT256, 18)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(str, [quantity] * 4)) == [str(quantity)] * 4
    assert str(quantity).replace(".", "") == str(MAX_UINT256)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("-0", "0"), ("1.500", "1.5"), ("1E+3", "1000"), ("-0.0010", "-0.001"), ("1e-18", "0.000000000000000001")],
)
def test_plain_text_has_no_exponent(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_no_quantity(value: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        Quantity.of(Decimal(value))


def test_division_by_zero_is_never_a_number() -> None:
    for divide in (mul_div_down, mul_div_up, mul_div_half_up):
        with pytest.raises(ZeroDivisionError):
            divide(1, 1, 0)
    with pytest.raises(ZeroDivisionError):
        exact_ratio(1, 0)
    assert EXACT.prec == 160
