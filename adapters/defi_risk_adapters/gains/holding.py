"""Funding and borrowing that have run up in one trade, at any price of its pair.

Per pair and collateral the venue keeps sums of rate * seconds * price since the beginning (per cent of one unit of the pair, 1e20). What
has run up since the pair was last touched counts at the price of the moment: so these fees, and with them the price at which a trade is
liquidated, move with the price. The funding rate follows the skew of the pair up to a cap, and rests where the skew is worth too little.
Formulas: FundingFeesUtils.sol (version 10), `getPairPendingAccFundingFees`, `getPairPendingAccBorrowingFees`. Borrowing fees of the older
kind, by block, are taken as they are at the present price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from defi_risk.units import SECONDS_PER_YEAR

P10: Final = 10**10
PERCENT: Final = 100
UNIT: Final = 10**20  # of multipliers and sums
MOST_MULTIPLIER: Final = 100 * UNIT  # FUNDING_APR_MULTIPLIER_CAP


def over(numerator: int, denominator: int) -> int:
    """A quotient rounded towards zero, as Solidity divides signed integers."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


@dataclass(frozen=True, slots=True)
class Rate:
    """Funding in per cent of the notional per second, 1e18, positive where longs pay: the mean since the last touch, and at present."""

    mean: int
    now: int


@dataclass(frozen=True, slots=True)
class Funding:
    """Funding of one pair in one collateral, as it was written `seconds` ago. `last` is the rate then, 1e18 per cent per second.

    `long_sum`, `short_sum`: 1e20. `long_tokens`, `short_tokens`: open interest, 1e18. `coefficient` (1e26) times the skew in tokens is how
    much the rate changes in a year, at most `most_velocity` (1e7) and up to a rate of `most_rate` (1e10); none where the skew is worth less
    than `least_usd`. `collateral_price`: USD, 1e8. `multiplied`: the smaller side earns in proportion to the larger one.
    """

    enabled: bool
    multiplied: bool
    seconds: int
    last: int
    long_sum: int
    short_sum: int
    long_tokens: int
    short_tokens: int
    coefficient: int
    most_velocity: int
    most_rate: int
    least_usd: int
    collateral_price: int

    def velocity(self, price: int) -> int:
        """Change of the rate in a year, 1e10 per cent per second, at a price of the pair (1e10)."""
        skew = self.long_tokens - self.short_tokens
        if not skew or not self.coefficient or not self.most_velocity:
            return 0
        worth = over(over(skew * price, 10**18) * self.collateral_price, 10**8)
        if abs(worth) < self.least_usd * P10:
            return 0
        size = min(abs(skew) * self.coefficient // 10**34, self.most_velocity * 10**3)
        return -size if worth < 0 else size

    def rate(self, velocity: int) -> Rate:
        """The rate that a velocity leads to. It stays where it is once the cap is reached."""
        if not self.most_rate:
            return Rate(0, 0)
        if not velocity or not self.seconds:
            return Rate(self.last, self.last)
        cap = self.most_rate * 10**8 * (-1 if velocity < 0 else 1)
        if cap == self.last:
            return Rate(cap, cap)
        reached = over(over((cap - self.last) * SECONDS_PER_YEAR, velocity), 10**8)
        if 0 <= reached < self.seconds:  # a negative time, beyond a lowered cap, is a huge one in the contract's unsigned integers
            mean = over(self.last + cap, 2)
            return Rate(over(mean * reached + cap * (self.seconds - reached), self.seconds), cap)
        now = self.last + over(self.seconds * velocity * 10**8, SECONDS_PER_YEAR)
        return Rate(over(self.last + now, 2), now)

    def multiplier(self, rate: int, *, long: bool) -> int:
        """What a side pays or earns of the rate, 1e20; a side without open interest nothing."""
        if not rate:
            return UNIT
        mine, other = (self.long_tokens, self.short_tokens) if long else (self.short_tokens, self.long_tokens)
        if not mine:
            return 0
        earns = (rate < 0) == long
        return min(other * UNIT // mine, MOST_MULTIPLIER) if earns and self.multiplied else UNIT

    def total(self, price: int, velocity: int, *, long: bool) -> int:
        """A side's sum up to now, 1e20."""
        written = self.long_sum if long else self.short_sum
        if not self.enabled:
            return written
        rate, sign = self.rate(velocity), 1 if long else -1
        if not (self.multiplied and self.last * rate.now < 0):
            return written + sign * self._step(rate.mean, self.seconds, price, long=long)
        # the side that earns changes with the sign of the rate, so the time is split where the rate was zero
        turned = over(over(-self.last * SECONDS_PER_YEAR, velocity), 10**8)
        before = self._step(over(self.last, 2), turned, price, long=long)
        return written + sign * (before + self._step(over(rate.now, 2), self.seconds - turned, price, long=long))

    def _step(self, rate: int, seconds: int, price: int, *, long: bool) -> int:
        return over(over(rate * seconds * price, 10**8) * self.multiplier(rate, long=long), UNIT)


@dataclass(frozen=True, slots=True)
class Borrowing:
    """Borrowing of one pair in one collateral: the sum (1e20) written `seconds` ago and the rate since, 1e10 per cent per second."""

    seconds: int
    written: int
    rate: int

    def total(self, price: int) -> int:
        """The sum up to now at a price of the pair (1e10)."""
        return self.written + self.rate * self.seconds * price


@dataclass(frozen=True, slots=True)
class HoldingFees:
    """What one trade owes for being held, in units of its collateral. `size` is its notional at entry in them, `entry` its price (1e10).

    `funding_start`, `borrowing_start`: the sums when it was last settled. `funded` is False for trades from before version 10. `older` are
    borrowing fees of the older kind.
    """

    funding: Funding
    borrowing: Borrowing
    long: bool
    funded: bool
    size: int
    entry: int
    funding_start: int
    borrowing_start: int
    older: int

    def funding_fee(self, price: int) -> int:
        """Owed; received where negative."""
        return self._funding_fee(price, self.funding.velocity(price))

    def borrowing_fee(self, price: int) -> int:
        """Owed."""
        return self.size * (self.borrowing.total(price) - self.borrowing_start) // self.entry // P10 // PERCENT

    def total(self, price: int) -> int:
        """All of it at a price of the pair (1e10)."""
        return self.funding_fee(price) + self.borrowing_fee(price) + self.older

    def most(self, low: int, high: int) -> int:
        """Not less than `total` at any price in [low, high], and the same where the two are one.

        At one velocity each fee goes one way with the price, so it is greatest at an end; the velocity rests below some price and runs
        above it, so those at the ends are all there are.
        """
        ends = sorted({low, high})
        velocities = {self.funding.velocity(price) for price in ends}
        funding = max(self._funding_fee(price, velocity) for price in ends for velocity in velocities)
        return funding + max(map(self.borrowing_fee, ends)) + self.older

    def _funding_fee(self, price: int, velocity: int) -> int:
        if not self.funded:
            return 0
        grown = self.funding.total(price, velocity, long=self.long) - self.funding_start
        return over(over(over(self.size * grown, self.entry), P10), PERCENT)
