"""Aave's integer arithmetic: rays (1e27), wads (1e18), percentages (1e4 = 100 %), and the growth of indices.

Sources: WadRayMath, PercentageMath and MathUtils of Aave core V3 1.19.3 and aave-v3-origin 3.1 to 3.7.
"""

from __future__ import annotations

from defi_risk.units import BPS, RAY, SECONDS_PER_YEAR, WAD, mul_div_half_up


def ray_mul(a: int, b: int) -> int:
    """Product of rays, half up."""
    return mul_div_half_up(a, b, RAY)


def wad_div(a: int, b: int) -> int:
    """Quotient as a wad, half up."""
    return (a * WAD + b // 2) // b


def percent_mul(value: int, percentage: int) -> int:
    """Share of a value, half up; `percentage` in basis points."""
    return mul_div_half_up(value, percentage, BPS)


def percent_mul_floor(value: int, percentage: int) -> int:
    """Share of a value, rounded down; `percentage` in basis points."""
    return value * percentage // BPS


def linear_interest(rate: int, seconds: int) -> int:
    """Growth of a supply index, a ray: 1 + rate * time. `rate` is a ray a year."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def compounded_interest_split(rate: int, seconds: int) -> int:
    """Growth of a debt index up to 3.3, a ray: three terms of the binomial series, divided before they are multiplied."""
    if seconds == 0:
        return RAY
    squared = ray_mul(rate, rate) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    cubed = ray_mul(squared, rate) // SECONDS_PER_YEAR
    second = seconds * (seconds - 1) * squared // 2
    third = seconds * (seconds - 1) * (seconds - 2) * cubed // 6
    return RAY + rate * seconds // SECONDS_PER_YEAR + second + third


def compounded_interest_whole(rate: int, seconds: int) -> int:
    """Growth of a debt index from 3.4 on, a ray: three terms of the exponential series."""
    x = rate * seconds // SECONDS_PER_YEAR
    return RAY + x + ray_mul(x, x // 2 + ray_mul(x, x // 6))


def linear_index(index: int, rate: int, seconds: int) -> int:
    """A supply index after `seconds` at the stored `rate`."""
    return ray_mul(linear_interest(rate, seconds), index) if seconds else index


def compounded_index(index: int, rate: int, seconds: int, whole: bool) -> int:
    """A debt index after `seconds` at the stored `rate`; `whole` for the arithmetic of 3.4 on."""
    if not seconds:
        return index
    grown = compounded_interest_whole(rate, seconds) if whole else compounded_interest_split(rate, seconds)
    return ray_mul(grown, index)
