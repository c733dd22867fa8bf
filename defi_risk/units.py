"""Integer and decimal arithmetic: fixed-point scales, Solidity's roundings, and exact quantities.

Nothing here uses the ambient `decimal` context: it holds 28 digits, is per thread, and would lose digits of a uint256 without
a sound. `EXACT` holds 160 digits and refuses a stray float.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, DivisionByZero, FloatOperation, InvalidOperation, Overflow
from typing import Final

BPS: Final = 10_000  # 1 = 1e-4, Aave's ltv, thresholds and bonuses
WAD: Final = 10**18  # health factors, Compound's mantissas
RAY: Final = 10**27  # Aave's indices and rates
SECONDS_PER_YEAR: Final = 31_536_000  # 365 days, as Aave and Comet count
MAX_UINT256: Final = 2**256 - 1

EXACT: Final = Context(prec=160, traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation])


def mul_div_down(a: int, b: int, c: int) -> int:
    """`a * b / c` rounded towards zero for non-negative integers, without an intermediate overflow. `c` = 0 raises."""
    return a * b // c


def mul_div_up(a: int, b: int, c: int) -> int:
    """`a * b / c` rounded up for non-negative integers. `c` = 0 raises."""
    return -(-a * b // c)


def mul_div_half_up(a: int, b: int, c: int) -> int:
    """`a * b / c` rounded half up as Aave's WadRayMath and PercentageMath do: `(a * b + c // 2) // c`."""
    return (a * b + c // 2) // c


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact amount: `raw` units of 10 ** -`decimals`. Any size, any sign; equal only when written at the same scale."""

    raw: int
    decimals: int

    def decimal(self) -> Decimal:
        """The same number as a Decimal, exact."""
        return EXACT.scaleb(Decimal(self.raw), -self.decimals)

    def __float__(self) -> float:
        return self.raw / 10**self.decimals if self.decimals >= 0 else float(self.raw * 10**-self.decimals)

    def __str__(self) -> str:
        return plain(self.decimal())

    @classmethod
    def of(cls, value: Decimal) -> Quantity:
        """The quantity that a finite Decimal names, exact. Raises `ValueError` for NaN and infinities."""
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise ValueError(f"not a finite number: {value}")
        raw = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
        return cls(raw * 10**exponent, 0) if exponent > 0 else cls(raw, -exponent)


def plain(value: Decimal) -> str:
    """Decimal text without exponent and without trailing zeros: `1.5`, `0`, `-0.001`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def exact_ratio(numerator: int, denominator: int) -> Decimal:
    """`numerator / denominator` to 160 digits (basis points to a fraction and the like). `denominator` = 0 raises."""
    return EXACT.divide(Decimal(numerator), Decimal(denominator))
