"""The fair split of a change among four causes: the Shapley value.

A figure is known in all 16 states in which each cause is still as before or already as after. A cause's part is what switching it does,
averaged over all orders of switching; the parts add up to the whole change, and nothing depends on an order.
L. S. Shapley, "A value for n-person games" (1953).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Final

COUNT: Final = 4
ALL: Final = (1 << COUNT) - 1
"""The state in which every cause is as after; 0 is the one before."""
_ORDERS: Final = (3, 1, 1, 3)
"""In how many of 12 equal lots of orders a cause is switched after so many others."""


def shapley(values: Sequence[float]) -> tuple[float, ...]:
    """Each cause's part of `values[ALL] - values[0]`; bit i of an index tells that cause i is as after."""
    return tuple(_part(values, 1 << cause) for cause in range(COUNT))


def _part(values: Sequence[float], cause: int) -> float:
    terms: list[float] = []
    for others in range(ALL + 1):
        if not others & cause and values[others | cause] != values[others]:
            # repeated, not multiplied: `fsum` is exact, so that the opposite question has the opposite answer to the last bit
            terms += [values[others | cause], -values[others]] * _ORDERS[others.bit_count()]
    return fsum(terms) / 12.0 + 0.0
