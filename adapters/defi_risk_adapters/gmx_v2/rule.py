"""GMX's liquidation rule in its own integers: what would remain of a position's collateral if all of it were closed now.

Formulas: PositionUtils.sol, `isPositionLiquidatable` and `getPositionPnlUsd`; PositionPricingUtils.sol, `getPositionFees`. USD is 1e30.
The liquidation fee is taken when a liquidation is carried out and is no part of the test; nor is a fee of the user interface.
"""

from __future__ import annotations

from dataclasses import dataclass

from defi_risk_adapters.gmx_v2.accrual import Accrued
from defi_risk_adapters.gmx_v2.fixed import apply_factor
from defi_risk_adapters.gmx_v2.state import Band, MarketState, Position, Prices


@dataclass(frozen=True, slots=True)
class Discounts:
    """Shares of the position fee (1e30) that the owner is spared: as somebody's referral, and as a trader of a tier. The larger counts."""

    referral: int = 0
    pro: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of closing all of a position, in units of its collateral token."""

    position_fee: int
    discount: int
    borrowing: int
    funding: int

    @property
    def total(self) -> int:
        return self.position_fee + self.borrowing - self.discount + self.funding


def closing_price(position: Position, index: Band) -> int:
    """The price that a close settles at: the oracle's min for a long, its max for a short."""
    return index.low if position.is_long else index.high


def collateral_price(state: MarketState, position: Position, prices: Prices) -> int:
    """What a unit of the collateral counts, looked up as the contract does: the long token's min, else the short token's."""
    return (prices.long if position.collateral == state.listing.long else prices.short).low


def pnl(position: Position, price: int) -> int:
    """Profit at a price of the index token, as if the pool could pay everything."""
    gained = position.size_tokens * price - position.size_usd
    return gained if position.is_long else -gained


def capped_pnl(state: MarketState, position: Position, prices: Prices) -> int:
    """Profit at the closing price; where the pool owes its side more than it may pay, this position's share of what it may."""
    whole = pnl(position, closing_price(position, prices.index))
    if whole <= 0:
        return whole
    owed, most = pool_pnl(state, position.is_long, prices.index), pool_cap(state, position.is_long, prices)
    return whole * most // owed if 0 < most < owed else whole


def pool_pnl(state: MarketState, long: bool, index: Band) -> int:
    """Profit of everybody on one side, at the price that makes it largest."""
    interest, tokens = state.open_interest(long), state.open_tokens(long)
    if not interest or not tokens:
        return 0
    return tokens * index.high - interest if long else interest - tokens * index.low


def pool_cap(state: MarketState, long: bool, prices: Prices) -> int:
    """What the pool may pay one side; 0 stands for no cap."""
    return apply_factor(state.pool.of(long) * (prices.long if long else prices.short).low, state.max_pnl.of(long))


def costs(state: MarketState, position: Position, discounts: Discounts, price: int, improved: bool, due: Accrued) -> Costs:
    """Costs at a price of the collateral token: each fee in USD becomes units of it, floored."""
    fee = apply_factor(position.size_usd, state.fee_improved if improved else state.fee_worse) // price
    spared = max(apply_factor(fee, discounts.pro), apply_factor(fee, discounts.referral))
    return Costs(fee, spared, due.borrowing_usd // price, due.funding)


def pending_impact(position: Position, index: Band) -> int:
    """What the impact of opening, kept in tokens, is worth now: a gain by the oracle's min, a loss by its max."""
    return position.pending_impact * (index.low if position.pending_impact > 0 else index.high)


def required(state: MarketState, position: Position) -> int:
    """What must remain: the share of the size for liquidations, or the least collateral of any position."""
    return max(apply_factor(position.size_usd, state.liquidation_factor), state.min_collateral_usd)


def dead(remaining: int, needed: int) -> bool:
    """GMX's verdict."""
    return remaining < needed or remaining <= 0
