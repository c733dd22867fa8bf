"""Price impact of closing a whole GMX position, and bounds of it over a range of prices.

Formulas: PositionPricingUtils.sol, `getPriceImpactUsd`, `getNextOpenInterest`, `getNextOpenInterestForVirtualInventory`; PricingUtils.sol.
Where balance is weighed in tokens every weight is a number of tokens times the middle of the index price, so that the impact moves with it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from defi_risk_adapters.gmx_v2.fixed import apply_factor, power
from defi_risk_adapters.gmx_v2.state import Band, ImpactCurve, MarketState, Position

_ROUGH: Final = 63
"""A rounded power grows with its base, but for less than 2 ** -64 of it: PRBMath's logarithm never falls, and its exp2 falls by no more
than the roundings of its roots let the product of all smaller ones exceed one of them.
"""


class Impact(NamedTuple):
    """USD (1e30), above 0 where the close earns, and whether the close improves the balance: that decides the position fee."""

    usd: int
    improved: bool


class _Imbalance(NamedTuple):
    """What the sides differ by before and after a close, and whether the same side stays the larger one."""

    before: int
    after: int
    same_side: bool

    @property
    def improved(self) -> bool:
        return self.after < self.before


def closing(state: MarketState, position: Position, index: Band) -> Impact:
    """Impact of closing all of a position, before any cap."""
    sides = _sides(state, position, index)
    found = Impact(_impact(state.impact, sides), sides.improved)
    if found.usd >= 0 or state.virtual is None:
        return found
    shared = _virtual_sides(state, position, index)
    other = Impact(_impact(state.impact, shared), shared.improved)
    return other if other.usd < found.usd else found


def improves(state: MarketState, position: Position, index: Band) -> bool:
    """Whether closing all of a position improves the balance, without the powers where they do not decide."""
    sides = _sides(state, position, index)
    if state.virtual is None or (sides.same_side and sides.improved):
        return sides.improved
    return closing(state, position, index).improved


def closing_at_least(state: MarketState, position: Position, low: Band, high: Band) -> int:
    """A lower bound of `closing` wherever the index price lies between two bands, tight as they meet.

    All weights are numbers of tokens times one price, or do not move: so which side is larger, and whether a close improves the balance,
    is the same at every price, and only the powers grow.
    """
    bounds = [_least(state.impact, _sides(state, position, low), _sides(state, position, high))]
    if bounds[0] < 0 and state.virtual is not None:
        bounds.append(_least(state.impact, _virtual_sides(state, position, low), _virtual_sides(state, position, high)))
    return min(bounds)


def capped(curve: ImpactCurve, size_usd: int, usd: int) -> int:
    """An impact with what the venue pays at most for a balance improved."""
    return min(usd, apply_factor(size_usd, curve.positive_cap)) if usd > 0 else usd


def _sides(state: MarketState, position: Position, index: Band) -> _Imbalance:
    side = position.is_long
    mine, theirs = state.balance(side, index), state.balance(not side, index)
    return _imbalance(mine, theirs, max(mine - _weight(state, position, index), 0), side)


def _virtual_sides(state: MarketState, position: Position, index: Band) -> _Imbalance:
    """By the inventory of all markets of the index token: above 0 where traders are short on balance. The close is added to both sides."""
    shared = (state.virtual or 0) * (index.mid if state.in_tokens else 1)
    size, side = _weight(state, position, index), position.is_long
    left, other = (max(-shared, 0), max(shared, 0)) if side else (max(shared, 0), max(-shared, 0))
    return _imbalance(left + size, other + size, left, side)


def _weight(state: MarketState, position: Position, index: Band) -> int:
    return position.size_tokens * index.mid if state.in_tokens else position.size_usd


def _imbalance(mine: int, theirs: int, left: int, long: bool) -> _Imbalance:
    """The sides before and after one of them is left with less. On a tie the short side counts as the larger one."""
    same = (mine <= theirs) == (left <= theirs) if long else (theirs <= mine) == (theirs <= left)
    return _Imbalance(abs(mine - theirs), abs(left - theirs), same)


def _impact(curve: ImpactCurve, sides: _Imbalance) -> int:
    if not sides.same_side:
        return _curve(curve, sides.before, True) - _curve(curve, sides.after, False)
    change = abs(_curve(curve, sides.before, sides.improved) - _curve(curve, sides.after, sides.improved))
    return change if sides.improved else -change


def _least(curve: ImpactCurve, low: _Imbalance, high: _Imbalance) -> int:
    """What `_impact` is at least between two prices: the least that its first term can be, less the most that its second can."""
    improved = high.same_side and high.improved
    gained, lost = _curve(curve, low.before, improved or not high.same_side), _curve(curve, high.after, improved)
    found = gained - lost - (gained + lost >> _ROUGH) - 2
    return max(found, 0) if improved else found


def _curve(curve: ImpactCurve, imbalance: int, improved: bool) -> int:
    """What an imbalance stands for. The terms for improving it are never better than those for worsening it."""
    if improved:
        exponent, factor = min(curve.exponent_improved, curve.exponent_worse), min(curve.factor_improved, curve.factor_worse)
    else:
        exponent, factor = curve.exponent_worse, curve.factor_worse
    return apply_factor(power(imbalance, exponent), factor)
