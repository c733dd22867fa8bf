"""An Aave account in the pool's own integers: `calculateUserAccountData` of every version, and verdicts at other prices.

The pool's view and its liquidation call judge the same state, the indices accrued to the block, so one set of numbers serves both.
Source: GenericLogic of Aave core V3 1.19.3 and of aave-v3-origin 3.1 to 3.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from defi_risk.model import NOTHING, Feed
from defi_risk.units import BPS, MAX_UINT256, WAD
from defi_risk_adapters.aave_v3.arithmetic import percent_mul, percent_mul_floor, wad_div

FIELDS: Final = ("totalCollateralBase", "totalDebtBase", "availableBorrowsBase", "currentLiquidationThreshold", "ltv", "healthFactor")


@dataclass(frozen=True, slots=True)
class Held:
    """Collateral that counts: `amount` in token units of 1 / `unit`, ratios in basis points, `feed` the address that is priced."""

    feed: str
    amount: int
    unit: int
    threshold: int
    ltv: int


@dataclass(frozen=True, slots=True)
class Owed:
    """Debt of one reserve, all kinds together: `amount` in token units of 1 / `unit`."""

    feed: str
    amount: int
    unit: int


@dataclass(frozen=True, slots=True)
class _Part:
    """What one feed prices, and the sums of everything it does not: value, value times threshold, debt."""

    held: tuple[tuple[int, int, int], ...]
    owed: tuple[tuple[int, int, int], ...]
    value: int
    weighted: int
    debt: int
    one_threshold: bool


@dataclass(frozen=True, slots=True)
class AaveAccount:
    """The exact account. `directed` is the arithmetic of 3.5 on: debt rounded up, and health from the threshold sum itself.

    A verdict at one changed price reads sums that are made once, and touches only what that price moves.
    """

    held: tuple[Held, ...]
    owed: tuple[Owed, ...]
    prices: tuple[Feed, ...]
    directed: bool
    _parts: Mapping[str, _Part] = field(init=False, repr=False, compare=False)
    _dead: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        now = {feed.key: feed.now for feed in self.prices}
        object.__setattr__(self, "_parts", {key: self._part(key, now) for key in now})
        object.__setattr__(self, "_dead", self._health(*self._sums(now)) < WAD)

    def native(self) -> Mapping[str, int | bool]:
        """The six numbers of `getUserAccountData`: base currency, basis points, and a wad."""
        now = {feed.key: feed.now for feed in self.prices}
        value, weighted, debt = self._sums(now)
        lent = sum(_worth(held.amount, now[held.feed], held.unit) * held.ltv for held in self.held)
        threshold, ltv = (weighted // value, lent // value) if value else (0, 0)
        limit = percent_mul_floor(value, ltv) if self.directed else percent_mul(value, ltv)
        numbers = (value, debt, max(limit - debt, 0), threshold, ltv, self._health(value, weighted, debt))
        return dict(zip(FIELDS, numbers, strict=True))

    def feeds(self) -> tuple[Feed, ...]:
        """The answers of `getAssetPrice` that the verdict depends on; none without debt."""
        if not self.owed:
            return ()
        moving = {held.feed for held in self.held if held.threshold or not self.directed} | {owed.feed for owed in self.owed}
        return tuple(feed for feed in self.prices if feed.key in moving)

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the health factor is below 1e18 at these prices."""
        if not answers:
            return self._dead
        if len(answers) == 1:
            ((key, answer),) = answers.items()
            return self._below(key, answer, answer)
        now = {feed.key: feed.now for feed in self.prices}
        return self._health(*self._sums({**now, **answers})) < WAD

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """Whether no price of `key` in [low, high] can bring the health factor below 1e18.

        Values and debts grow with the price, and every rounding keeps that order; so collateral at `low` against debt at `high`
        bounds the health factor from below, and is attained where the price moves only one of the two.
        """
        return not self._below(key, low, high)

    def _below(self, key: str, low: int, high: int) -> bool:
        """Whether the bound on the health factor over [low, high] is below 1e18; exact for `low` = `high`."""
        part = self._parts.get(key)
        if part is None:
            return self._dead
        debt = part.debt
        for amount, unit, pad in part.owed:
            debt += (amount * high + pad) // unit
        if not debt:
            return False
        value, weighted = _grown(part, low)
        if self.directed:
            return wad_div(weighted, debt) // BPS < WAD
        threshold = weighted // value if value else 0
        if high != low:
            threshold = min(threshold, _least_average(part, weighted, high))
        return wad_div(percent_mul(value, threshold), debt) < WAD

    def _health(self, value: int, weighted: int, debt: int) -> int:
        if not debt:
            return MAX_UINT256
        if self.directed:
            return wad_div(weighted, debt) // BPS
        return wad_div(percent_mul(value, weighted // value if value else 0), debt)

    def _sums(self, prices: Mapping[str, int]) -> tuple[int, int, int]:
        return _sums(self.held, self.owed, prices, self.directed)

    def _part(self, key: str, now: Mapping[str, int]) -> _Part:
        held = tuple(held for held in self.held if held.feed == key)
        owed = tuple(owed for owed in self.owed if owed.feed == key)
        others_held = (held for held in self.held if held.feed != key)
        others_owed = (owed for owed in self.owed if owed.feed != key)
        value, weighted, debt = _sums(others_held, others_owed, now, self.directed)
        return _Part(
            held=tuple((each.amount, each.unit, each.threshold) for each in held),
            owed=tuple((each.amount, each.unit, each.unit - 1 if self.directed else 0) for each in owed),
            value=value,
            weighted=weighted,
            debt=debt,
            one_threshold=len({each.threshold for each in held}) <= 1,
        )


def _worth(amount: int, price: int, unit: int) -> int:
    return amount * price // unit


def _sums(held: Iterable[Held], owed: Iterable[Owed], prices: Mapping[str, int], directed: bool) -> tuple[int, int, int]:
    """Collateral value, the sum of value times threshold, and debt; in base currency and basis points of it."""
    value = weighted = debt = 0
    for each in held:
        worth = _worth(each.amount, prices[each.feed], each.unit)
        value += worth
        weighted += worth * each.threshold
    for due in owed:
        pad = due.unit - 1 if directed else 0
        debt += (due.amount * prices[due.feed] + pad) // due.unit
    return value, weighted, debt


def _grown(part: _Part, price: int) -> tuple[int, int]:
    """Collateral value and threshold sum of the whole account with this part at `price`."""
    value, weighted = part.value, part.weighted
    for amount, unit, threshold in part.held:
        worth = amount * price // unit
        value += worth
        weighted += worth * threshold
    return value, weighted


def _least_average(part: _Part, weighted_low: int, high: int) -> int:
    """A lower bound of the floored average threshold up to `high`, its value at the low end apart.

    The average runs one way in the value of collateral that shares one threshold, so the ends hold its minimum. Where a price moves
    collateral of several thresholds, the smallest sum over the largest value bounds it.
    """
    value, weighted = _grown(part, high)
    if not value:
        return 0
    return weighted // value if part.one_threshold else weighted_low // value
