"""What time alone did to a leg between two snapshots: interest at the rate of the first one, and funding.

The rates are those of the earlier snapshot; where they moved in between, the difference counts as flow. An amount that is the same to the
last digit has not accrued (books written by hand, venues that settle later), whatever its rate says.
"""

from __future__ import annotations

from math import expm1, inf, isfinite
from typing import Final

from defi_risk.health.carry import COMPOUNDED
from defi_risk.model import Contract, Leg, Position
from defi_risk.units import SECONDS_PER_YEAR

FUNDING_SECONDS: Final = 8 * 3600
_MOST: Final = 700.0
"""exp of more is beyond float64."""


def growth(apr: float, compounding: str, seconds: float) -> float:
    """What one unit grows by: apr * t, or exp(apr * t) - 1 where interest compounds by the second or the block; a year has 365 days."""
    exponent = apr * seconds / SECONDS_PER_YEAR
    if compounding not in COMPOUNDED:
        return exponent
    return expm1(exponent) if exponent < _MOST else inf


def interest(earlier: Leg, later: Leg, seconds: float, settled: float = 0.0) -> float:
    """How much of the change of an amount is interest, in token units; `settled` is the funding in that change.

    Never more than what is there at the end: interest on what was repaid or withdrawn in between counts as flow.
    """
    start, end = float(earlier.amount), float(later.amount)
    if earlier.apr is None or not start or start == end or seconds <= 0:
        return 0.0
    end -= settled
    grown = start * growth(float(earlier.apr), earlier.compounding, seconds)
    return max(-start, min(grown, max(end, 0.0))) if start > 0 else min(-start, max(grown, min(end, 0.0)))


def funding(earlier: Position, seconds: float) -> float:
    """What the position received (paid: below zero) in the coin that it settles in, funding and borrowing together; funding that is
    claimed apart from the margin is left out.
    """
    if seconds <= 0:
        return 0.0
    size, mark = float(earlier.size), float(earlier.mark)
    notional = size * mark if earlier.contract is Contract.LINEAR else size / mark
    paid = notional * float(earlier.funding_8h or 0) * seconds / FUNDING_SECONDS
    if earlier.funding_apart:
        paid = max(paid, 0.0)
    paid += abs(notional) * float(earlier.borrow_apr or 0) * seconds / SECONDS_PER_YEAR
    return -paid if isfinite(paid) else 0.0
