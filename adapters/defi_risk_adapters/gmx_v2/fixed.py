"""GMX's fixed point: USD and factors are 1e30, and a product with a factor is floored unless its name says otherwise.

Powers are those of PRBMathUD60x18 (prb-math 2.4.3), which works with 18 decimals: log2 bit by bit, a product rounded half up, and exp2
as a product of roots of two. Its 64 roots, 2 ** (2 ** -k) in units of 2 ** -64 rounded to the nearest, are computed here.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import Final

from defi_risk.errors import OutOfRange
from defi_risk.units import WAD, mul_div_half_up, mul_div_up

ONE: Final = 10**30
PRICE_DECIMALS: Final = 30  # a price is USD (1e30) for one base unit of a token
PER_SIZE: Final = 10**45  # funding amounts are kept for each USD (1e30) of size, times 1e15
_WEI: Final = 10**12  # between 30 and 18 decimals
_PRECISION: Final = 512
_LARGEST: Final = 192 * WAD


def apply_factor(value: int, factor: int) -> int:
    """`value` times a factor (1e30), floored; neither is negative."""
    return value * factor // ONE


def ceil_div(a: int, b: int) -> int:
    """`a / b` rounded up for non-negative integers."""
    return mul_div_up(a, 1, b)


def towards_zero(a: int, b: int) -> int:
    """`a / b` as Solidity divides signed integers; `b` is above 0."""
    return a // b if a >= 0 else -(-a // b)


@lru_cache(maxsize=4_096)
def power(value: int, exponent: int) -> int:
    """`value ** exponent`, both 1e30, as GMX's `Precision.applyExponentFactor`. 0 below 1. Raises `OutOfRange` where it would revert."""
    if value < ONE:
        return 0
    if exponent == ONE:
        return value
    return _exp2(mul_div_half_up(_log2(value // _WEI), exponent // _WEI, WAD)) * _WEI


def _log2(value: int) -> int:
    """Binary logarithm, 1e18, of a number from 1 on, 1e18; every step is floored."""
    whole = (value // WAD).bit_length() - 1
    result, rest, half = whole * WAD, value >> whole, WAD // 2
    while half and rest != WAD:
        rest = rest * rest // WAD
        if rest >= 2 * WAD:
            result += half
            rest >>= 1
        half >>= 1
    return result


def _roots() -> tuple[int, ...]:
    root, found = 2 << _PRECISION, list[int]()
    for _ in range(64):
        root = isqrt(root << _PRECISION)
        found.append((root + (1 << _PRECISION - 65)) >> _PRECISION - 64)
    return tuple(found)


_ROOTS: Final = _roots()


def _exp2(value: int) -> int:
    """Two to a power, both 1e18."""
    if value >= _LARGEST:
        raise OutOfRange("a power of GMX's is larger than its arithmetic can hold")
    binary = (value << 64) // WAD
    result = 1 << 191
    for place, root in enumerate(_ROOTS):
        if binary >> 63 - place & 1:
            result = result * root >> 64
    return result * WAD >> 191 - (binary >> 64)
