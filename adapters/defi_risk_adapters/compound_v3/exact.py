"""A Comet position in Comet's own integers.

Indices are scaled 1e15, factors 1e18, prices 1e8. Formulas: Comet.sol, `presentValue`, `accruedInterestIndices`, `isLiquidatable`,
`isBorrowCollateralized`. The views `isLiquidatable` and `isBorrowCollateralized` judge on the indices as they were last written, while
`absorb` accrues first: `native` repeats the views, `liquidatable` and `safe_throughout` judge as `absorb` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk.units import WAD

INDEX_SCALE: Final = 10**15


def present_value(principal: int, index: int) -> int:
    """Amount of base units that a principal's magnitude stands for."""
    return abs(principal) * index // INDEX_SCALE


def utilization(supplied: int, supply_index: int, borrowed: int, borrow_index: int) -> int:
    """Share of the supply that is lent out, 1e18; above 1e18 where more is owed than supplied, 0 without supply."""
    supply = present_value(supplied, supply_index)
    return present_value(borrowed, borrow_index) * WAD // supply if supply else 0


def accrued(index: int, rate: int, seconds: int) -> int:
    """An index after so many seconds at a rate per second (1e18): linear from one accrual to the next."""
    return index + index * (rate * seconds) // WAD


@dataclass(frozen=True, slots=True)
class Holding:
    """One collateral of the account. `feed` is the address of its price feed, `price` its present answer."""

    feed: str
    asset: Asset
    price: int
    balance: int
    scale: int
    borrow_factor: int
    liquidate_factor: int

    def weighted(self, price: int, factor: int) -> int:
        """What it counts for at a price, 1e8 of the market's unit."""
        return self.balance * price // self.scale * factor // WAD


@dataclass(frozen=True, slots=True)
class _Part:
    """What depends on one feed: holdings, perhaps the debt, and the liquidity that everything else leaves."""

    holdings: tuple[Holding, ...]
    debt: bool
    rest: int


@dataclass(frozen=True, slots=True)
class CometExact:
    """One account. Debts and the supply are base units: `debt_stored` at the written index, the others accrued to the anchor.

    `movable` is False for a base token whose feed is a constant of the market: no other answer can ever come from it.
    """

    base: Asset
    base_feed: str
    base_price: int
    base_scale: int
    borrows: bool
    debt_stored: int
    debt_now: int
    supply_now: int
    holdings: tuple[Holding, ...]
    movable: bool = True
    _parts: Mapping[str, _Part] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = dict.fromkeys([self.base_feed, *(holding.feed for holding in self.holdings)])
        object.__setattr__(self, "_parts", {key: self._part(key) for key in keys})

    def native(self) -> dict[str, int | bool]:
        """`borrowBalanceOf`, `balanceOf` (accrued, as the views are), `isLiquidatable`, `isBorrowCollateralized` (not accrued)."""
        liquid = self._debt_value(self.debt_stored, self.base_price)
        return {
            "borrowBalanceOf": self.debt_now,
            "balanceOf": self.supply_now,
            "isLiquidatable": liquid + sum(h.weighted(h.price, h.liquidate_factor) for h in self.holdings) < 0,
            "isBorrowCollateralized": liquid + sum(h.weighted(h.price, h.borrow_factor) for h in self.holdings) >= 0,
        }

    def feeds(self) -> tuple[Feed, ...]:
        """Feeds of the base and of each collateral that counts; tokens that share a feed stand under the first of them."""
        if not self.borrows:
            return ()
        found = {self.base_feed: Feed(self.base_feed, self.base, self.base_price)} if self.movable else {}
        for holding in self.holdings:
            if holding.balance and holding.liquidate_factor and (self.movable or holding.feed != self.base_feed):
                found.setdefault(holding.feed, Feed(holding.feed, holding.asset, holding.price))
        return tuple(found.values())

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether `absorb` would take the account. An answer that is not positive makes `absorb` revert, so it would not."""
        if not self.borrows:
            return False
        base_price = answers.get(self.base_feed, self.base_price)
        if base_price <= 0:
            return False
        liquidity = self._debt_value(self.debt_now, base_price)
        for holding in self.holdings:
            price = answers.get(holding.feed, holding.price)
            if price <= 0:
                return False
            liquidity += holding.weighted(price, holding.liquidate_factor)
        return liquidity < 0

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only where no answer of the feed in [low, high] makes the account liquidatable; exact for `low` = `high`."""
        part = self._parts.get(key)
        if part is None or low >= high or not self.borrows:
            return not self.liquidatable({key: low})
        # the least collateral with the most debt: tight where one of them is missing, or neither moves between the two answers
        if self._liquidity(part, low, high) >= 0:
            return True
        if not (part.debt and part.holdings):
            return False
        # Without roundings liquidity is linear in the answer, so it is least at an end. The roundings move it by less than 1 up (the
        # debt's) and 2 down (each holding's two).
        ends = min(self._liquidity(part, low, low), self._liquidity(part, high, high))
        return ends >= 2 * len(part.holdings) + 1

    def _part(self, key: str) -> _Part:
        mine = tuple(holding for holding in self.holdings if holding.feed == key)
        others = sum(h.weighted(h.price, h.liquidate_factor) for h in self.holdings if h.feed != key)
        debt = key == self.base_feed
        return _Part(mine, debt, others if debt else others + self._debt_value(self.debt_now, self.base_price))

    def _liquidity(self, part: _Part, posted: int, owed: int) -> int:
        """Liquidity with one feed at `posted` for the collateral and at `owed` for the debt, negative answers taken as 0."""
        price = max(posted, 0)
        total = part.rest + self._debt_value(self.debt_now, max(owed, 0)) if part.debt else part.rest
        for holding in part.holdings:
            total += holding.weighted(price, holding.liquidate_factor)
        return total

    def _debt_value(self, debt: int, price: int) -> int:
        """Value of the debt, negative. Solidity divides towards zero, so the magnitude is what is floored."""
        return -(debt * price // self.base_scale)
