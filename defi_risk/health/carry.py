"""What time does to an account at unchanged prices: interest and funding (`unified-health` section 8).

Debts and collateral grow by their annual rates, exp(rate * t) where interest compounds by the second or block and 1 + rate * t where it
does not; a derivative pays `funding_8h` of its notional three times a day in the coin that it settles in, longs to shorts where the rate
is positive, and `borrow_apr` of it a year on either side. A year has 365 days. A rate that is not known counts as none: venues without
rates, and legs written down without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp
from typing import Final, NamedTuple

from defi_risk.health.account import Assessed
from defi_risk.health.normal import Holding
from defi_risk.model import Role

DAYS_A_YEAR: Final = 365.0
FUNDINGS_A_DAY: Final = 3.0
FURTHEST: Final = 1_000 * DAYS_A_YEAR
"""What has not happened in a thousand years does not happen."""
COMPOUNDED: Final = ("per second", "per block")
_CLOSE: Final = 1e-12
_HAIR: Final = 1e-13
_MOST_HALVINGS: Final = 200


class Carry(NamedTuple):
    """USD a year at today's rates and amounts: `supply` earned on what is held, `borrow` paid on debts and to hold positions open,
    `funding` received less paid.
    """

    supply: float
    borrow: float
    funding: float


def carry_usd_per_year(one: Assessed) -> Carry:
    """What the account's rates make in a year, without compounding."""
    supply = borrow = funding = 0.0
    for holding in one.normal.holdings:
        earned = holding.value * _rate(holding)
        if holding.leg.role is Role.POSITION:
            funding += _funding(holding) * DAYS_A_YEAR
            borrow += _borrowing(holding) * DAYS_A_YEAR
        elif holding.leg.role is Role.DEBT:
            borrow += earned
        elif earned < 0 < _rate(holding):
            borrow -= earned  # a negative balance is a debt
        else:
            supply += earned
    return Carry(supply, borrow, funding)


def time_to_liquidation(one: Assessed) -> float | None:
    """Days until the surplus falls below zero at unchanged prices; 0 for an account that is liquidatable, None for never in 1,000 years.

    It is the first such moment, also where the surplus falls, rises and falls again.
    """
    if one.figures.liquidatable:
        return 0.0
    # an account on the line itself starts a hair above it, so that a fall from there is a crossing
    hair = _HAIR * sum(abs(holding.value) for holding in one.normal.holdings)
    surplus = max(hair, one.figures.surplus_usd + one.credit)
    growing = [part for holding in one.normal.holdings if (part := _part(holding)) is not None]
    still = surplus - sum(part.constant for part in growing)
    roots = _sign_changes(_summed([_Term(0.0, still, 0.0), *growing]), FURTHEST)
    return roots[0] if roots else None


def _rate(holding: Holding[float]) -> float:
    return 0.0 if holding.leg.apr is None else float(holding.leg.apr)


def _funding(holding: Holding[float]) -> float:
    """USD a day that the position receives."""
    position = holding.leg.position
    rate = None if position is None else position.funding_8h
    return 0.0 if rate is None else -holding.value * float(rate) * FUNDINGS_A_DAY


def _borrowing(holding: Holding[float]) -> float:
    """USD a day that the position pays for what its venue lends it."""
    position = holding.leg.position
    rate = None if position is None else position.borrow_apr
    return 0.0 if rate is None else abs(holding.value) * float(rate) / DAYS_A_YEAR


class _Term(NamedTuple):
    """(constant + slope * t) * exp(rate * t), t in days."""

    rate: float
    constant: float
    slope: float


def _counted(holding: Holding[float]) -> float:
    """The share of what a position settles that its venue counts."""
    return 1.0 if holding.leg.position is None else float(holding.leg.position.pnl_weight)


def _part(holding: Holding[float]) -> _Term | None:
    """What a holding adds to the surplus over time; None where that does not change."""
    if holding.leg.role is Role.POSITION:
        funding = _funding(holding)
        apart = holding.leg.position is not None and holding.leg.position.funding_apart
        earned = ((min(funding, 0.0) if apart else funding) - _borrowing(holding)) * _counted(holding)
        return _Term(0.0, 0.0, earned) if earned else None
    rate = _rate(holding) / DAYS_A_YEAR
    amount = sum(holding.counts.values()) - sum(holding.needs.values())
    if not rate or not amount:
        return None
    return _Term(rate, amount, 0.0) if holding.leg.compounding in COMPOUNDED else _Term(0.0, amount, amount * rate)


def _summed(terms: Iterable[_Term]) -> list[_Term]:
    """The same sum with one term a rate, and without those that are zero."""
    found: dict[float, tuple[float, float]] = {}
    for rate, constant, slope in terms:
        before = found.get(rate, (0.0, 0.0))
        found[rate] = before[0] + constant, before[1] + slope
    return [_Term(rate, *parts) for rate, parts in found.items() if parts != (0.0, 0.0)]


@dataclass(frozen=True, slots=True)
class _Curve:
    """A sum of terms divided by its fastest growing exponential: the same signs, and nothing overflows."""

    terms: tuple[_Term, ...]

    @classmethod
    def of(cls, terms: Sequence[_Term]) -> _Curve:
        top = max(term.rate for term in terms)
        return cls(tuple(_Term(rate - top, constant, slope) for rate, constant, slope in terms))

    def at(self, days: float) -> float:
        return sum((constant + slope * days) * exp(rate * days) for rate, constant, slope in self.terms)

    def derivative(self) -> list[_Term]:
        return _summed(_Term(rate, constant * rate + slope, slope * rate) for rate, constant, slope in self.terms)


def _sign_changes(terms: Sequence[_Term], end: float) -> list[float]:
    """Where a sum of terms, followed from 0 to `end`, changes its sign, in order.

    Between the sign changes of its derivative a curve is monotone (Rolle); the derivative of a curve has one constant or slope less,
    down to a curve that has none.
    """
    if not terms:
        return []
    curve = _Curve.of(terms)
    stops = [0.0, *_sign_changes(curve.derivative(), end), end]
    found: list[float] = []
    before = curve.at(0.0)
    for near, far in pairwise(stops):
        after = curve.at(far)
        if before < 0 < after or after < 0 < before:
            found.append(_bisected(curve, near, far, rising=after > 0))
        before = after or before  # zero at a turn: the next stretch tells whether it was crossed or touched
    return found


def _bisected(curve: _Curve, low: float, high: float, *, rising: bool) -> float:
    for _ in range(_MOST_HALVINGS):
        middle = (low + high) / 2
        if high - low <= _CLOSE * high or not low < middle < high:
            break
        if (curve.at(middle) > 0) is rising:
            high = middle
        else:
            low = middle
    return high
