"""Borrowing and funding of a GMX market from its last update to a later time, at given prices.

Formulas: MarketUtils.sol, `getBorrowingFactorPerSecond`, `getUsageFactor`, `getNextCumulativeBorrowingFactor`,
`getNextFundingFactorPerSecond`, `getNextFundingAmountPerSize`, `getFundingAmount`. Rates are 1e30 a second. The contracts take up both
before they judge a liquidation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from defi_risk.errors import OutOfRange
from defi_risk_adapters.gmx_v2.fixed import ONE, PER_SIZE, apply_factor, ceil_div, power
from defi_risk_adapters.gmx_v2.state import MarketState, Pair, Position, Prices

NOTHING: Final[Pair[Pair[int]]] = Pair(Pair(0, 0), Pair(0, 0))


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second: what a USD of each side's size pays for borrowing, and what a USD of the paying side pays for funding."""

    borrowing: Pair[int]
    funding: int
    longs_pay: bool


@dataclass(frozen=True, slots=True)
class Accrued:
    """What a position owes at some time: for borrowing in USD (1e30), for funding in its collateral token; what it may claim."""

    borrowing_usd: int
    funding: int
    claimable: Pair[int]


@dataclass(frozen=True, slots=True)
class Counters:
    """The market's counters by side (and token), as written or with what has run up since."""

    borrowing: Pair[int]
    funding: Pair[Pair[int]]
    claimable: Pair[Pair[int]]

    def due(self, position: Position, collateral_is_long: bool) -> Accrued:
        """What a position owes by these counters. Raises `OutOfRange` where a counter lies before the position's own mark."""
        side = position.is_long
        borrowed = self.borrowing.of(side) - position.borrowing_mark
        paid = self.funding.of(side).of(collateral_is_long) - position.funding_mark
        earned = [now - mark for now, mark in zip(self.claimable.of(side), position.claimable_marks, strict=True)]
        if min(borrowed, paid, *earned) < 0:
            raise OutOfRange(f"a counter of GMX market {position.market} lies before the one that the position was written at")
        return Accrued(
            borrowing_usd=apply_factor(position.size_usd, borrowed),
            funding=ceil_div(position.size_usd * paid, PER_SIZE),
            claimable=Pair(*(position.size_usd * each // PER_SIZE for each in earned)),
        )


def written(state: MarketState) -> Counters:
    """The counters as the market last wrote them."""
    return Counters(
        Pair(state.borrowing.long.cumulative, state.borrowing.short.cumulative), state.funding_per_size, state.claimable_per_size
    )


def accrued(state: MarketState, prices: Prices, now: int) -> tuple[Counters, Rates]:
    """The counters at `now`, and the rates since the last update. Raises `OutOfRange` for an update after `now`."""
    last = written(state)
    borrowing = Pair(borrowing_rate(state, prices, True), borrowing_rate(state, prices, False))
    seconds = _seconds(state.funding.updated_at, now)
    rate, longs_pay = funding_rate(state, prices, seconds)
    paid, earned = _funding_deltas(state, prices, rate * seconds, longs_pay)
    counters = Counters(
        Pair(*(each.cumulative + fee * _seconds(each.updated_at, now) for each, fee in zip(state.borrowing, borrowing, strict=True))),
        _plus(last.funding, paid),
        _plus(last.claimable, earned),
    )
    return counters, Rates(borrowing, rate, longs_pay)


def borrowing_rate(state: MarketState, prices: Prices, long: bool) -> int:
    """What a USD of one side's size pays a second. Raises `OutOfRange` for a side without a pool, where the contract reverts."""
    reserved = state.open_tokens(True) * prices.index.high if long else state.open_interest(False)
    if not reserved:
        return 0
    if state.skip_smaller_side and state.balance(long, prices.index) < state.balance(not long, prices.index):
        return 0
    pool = state.pool.of(long) * (prices.long if long else prices.short).low
    curve = state.borrowing.of(long)
    if not pool or (curve.optimal and (not apply_factor(pool, curve.reserve) or curve.most_interest == 0)):
        raise OutOfRange(f"GMX market {state.listing.token} has nothing in the pool that its positions borrow from, or no limit to it")
    if not curve.optimal:
        return apply_factor(power(reserved, curve.exponent) * ONE // pool, curve.factor)
    usage = reserved * ONE // apply_factor(pool, curve.reserve)
    if curve.most_interest:
        usage = max(usage, state.open_interest(long) * ONE // curve.most_interest)
    rate = apply_factor(usage, curve.base)
    if usage > curve.optimal and curve.optimal < ONE:
        rate += max(0, curve.above - curve.base) * (usage - curve.optimal) // (ONE - curve.optimal)
    return rate


def funding_rate(state: MarketState, prices: Prices, seconds: int) -> tuple[int, bool]:
    """What a USD of the paying side's size pays a second, and whether longs pay. `seconds` since the rate was last written."""
    long, short = (state.balance(side, prices.index) for side in (True, False))
    terms = state.funding
    if not (state.open_interest(True) and state.open_interest(False)) or not long + short:
        return 0, False
    if long == short and not terms.increase:
        return 0, True
    skew = power(abs(long - short), terms.exponent) * ONE // (long + short)
    if not terms.increase:
        return min(apply_factor(skew, terms.factor), terms.most), long > short
    rate = terms.saved
    if (rate > 0 and long > short) or (rate < 0 and short > long):
        rising, falling = skew > terms.stable_from, skew < terms.decrease_below
    else:
        rising, falling = True, False
    if rising:
        change = apply_factor(skew, terms.increase) * seconds
        rate += change if long >= short else -change
    elif falling and rate:
        rate = (1 if rate > 0 else -1) * max(1, abs(rate) - terms.decrease * seconds)
    size = max(min(abs(rate), terms.most), min(terms.least, terms.most))
    return size, rate >= 0 and size > 0


def _funding_deltas(state: MarketState, prices: Prices, share: int, longs_pay: bool) -> tuple[Pair[Pair[int]], Pair[Pair[int]]]:
    """Growth of the counters of funding paid and earned, by side and token, for `share` (1e30) of the paying side's size.

    Where both tokens are one, the contract writes the same slot twice; so each growth counts twice.
    """
    paying, earning = state.interest.of(longs_pay), state.open_interest(not longs_pay)
    total = sum(paying)
    if not share or not total or not earning:
        return NOTHING, NOTHING
    usd = apply_factor(total, share) // state.listing.divisor
    paid: list[int] = []
    earned: list[int] = []
    for interest, price in zip(paying, (prices.long.high, prices.short.high), strict=True):
        part = usd * interest // total
        paid.append(ceil_div(ceil_div(part * PER_SIZE, interest), price) * state.listing.divisor if interest else 0)
        earned.append(part * PER_SIZE // earning // price * state.listing.divisor)
    out, back = Pair(*paid), Pair(*earned)
    return (Pair(out, NOTHING.short), Pair(NOTHING.long, back)) if longs_pay else (Pair(NOTHING.long, out), Pair(back, NOTHING.short))


def _plus(a: Pair[Pair[int]], b: Pair[Pair[int]]) -> Pair[Pair[int]]:
    return Pair(*(Pair(*(x + y for x, y in zip(left, right, strict=True))) for left, right in zip(a, b, strict=True)))


def _seconds(updated_at: int, now: int) -> int:
    """Time since an update; none where there was no update yet."""
    if updated_at > now:
        raise OutOfRange("a GMX market was updated after the block's time")
    return now - updated_at if updated_at else 0
