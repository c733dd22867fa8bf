"""What a GMX market and a position in it are made of, as the contracts keep them.

USD amounts and factors are 1e30; a price is USD (1e30) for one base unit of its token; token amounts are base units. What the contracts
keep twice, for longs and shorts or for the long and the short token, is a `Pair`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from defi_risk.ids import Address

T = TypeVar("T")


class Pair(NamedTuple, Generic[T]):
    """Something kept for longs and for shorts, or for the long and the short token of a market."""

    long: T
    short: T

    def of(self, long: bool) -> T:
        """The one that is asked for."""
        return self.long if long else self.short


class Band(NamedTuple):
    """A price with the spread that GMX keeps: `low` is the oracle's min, `high` its max."""

    low: int
    high: int

    @property
    def mid(self) -> int:
        return (self.low + self.high) // 2


@dataclass(frozen=True, slots=True)
class Listing:
    """A market by the address of its own token: what it follows, and what backs its longs and its shorts."""

    token: Address
    index: Address
    long: Address
    short: Address

    @property
    def divisor(self) -> int:
        """Every amount kept for both tokens is one slot where they are the same token: the contracts halve each reading of it."""
        return 2 if self.long == self.short else 1


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a market's three tokens."""

    index: Band
    long: Band
    short: Band


@dataclass(frozen=True, slots=True)
class Position:
    """One position. Its marks are the market's counters at its last change: borrowing, funding paid, funding earned in each token."""

    account: Address
    market: Address
    collateral: Address
    is_long: bool
    size_usd: int
    size_tokens: int
    amount: int
    pending_impact: int
    borrowing_mark: int
    funding_mark: int
    claimable_marks: Pair[int]


@dataclass(frozen=True, slots=True)
class ImpactCurve:
    """Price impact of a market: `factor * imbalance ** exponent` for trades that improve its balance and for those that do not.

    The caps are shares of a position's size: of a positive impact, and of a negative one where a liquidation is judged.
    """

    factor_improved: int
    factor_worse: int
    exponent_improved: int
    exponent_worse: int
    positive_cap: int
    liquidation_cap: int


@dataclass(frozen=True, slots=True)
class Borrowing:
    """Borrowing fee of one side: the curve's parameters, and the fee for each USD of size so far with the time it was written.

    `most_interest`: the most open interest, of which what is open is a share that counts as usage too; None where it does not count.
    """

    factor: int
    exponent: int
    optimal: int
    base: int
    above: int
    reserve: int
    cumulative: int
    updated_at: int
    most_interest: int | None = None


@dataclass(frozen=True, slots=True)
class Funding:
    """Parameters of the funding rate per second; `saved` is the rate as last written, above 0 where longs pay."""

    factor: int
    exponent: int
    increase: int
    decrease: int
    least: int
    most: int
    stable_from: int
    decrease_below: int
    saved: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class MarketState:
    """A market as it was last written. Amounts by side and token are halved already where both tokens are one.

    `in_tokens`: the balance of the sides is weighed by open interest in tokens, at the price of today. `virtual` is the inventory that
    markets of one index token share, in tokens or USD likewise; None where there is none.
    """

    listing: Listing
    disabled: bool
    min_collateral_usd: int
    min_factor: int
    liquidation_factor: int
    interest_multiplier: Pair[int]
    liquidation_fee: int
    fee_improved: int
    fee_worse: int
    impact: ImpactCurve
    max_pnl: Pair[int]
    pool: Pair[int]
    interest: Pair[Pair[int]]
    interest_tokens: Pair[Pair[int]]
    borrowing: Pair[Borrowing]
    funding: Funding
    funding_per_size: Pair[Pair[int]]
    claimable_per_size: Pair[Pair[int]]
    skip_smaller_side: bool
    in_tokens: bool
    virtual: int | None

    def open_interest(self, long: bool) -> int:
        """USD that positions of one side were opened at."""
        return sum(self.interest.of(long))

    def open_tokens(self, long: bool) -> int:
        """Tokens that positions of one side stand for."""
        return sum(self.interest_tokens.of(long))

    def balance(self, long: bool, index: Band) -> int:
        """What one side weighs where the two are balanced."""
        return self.open_tokens(long) * index.mid if self.in_tokens else self.open_interest(long)
