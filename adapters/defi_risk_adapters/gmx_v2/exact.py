"""A GMX position in GMX's own integers, at the prices of today or others.

A feed's answer is the price that decides, in USD (1e30) for one base unit: of the index token what a close settles at (min for a long, max
for a short), of a collateral token its min. The other end of the band moves with it, in today's proportion. One token has one feed: a
position in WETH with WETH as collateral has a single one. The token that backs the pool keeps today's price where it is neither.

`native` repeats the Reader: `isPositionLiquidatable` judges with the counters as they were last written, `getPositionInfo` adds what has
run up since. `liquidatable` and `safe_throughout` judge as a liquidation does, with everything taken up at the anchor's time and prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk_adapters.gmx_v2 import impact, rule
from defi_risk_adapters.gmx_v2.accrual import Accrued
from defi_risk_adapters.gmx_v2.fixed import apply_factor
from defi_risk_adapters.gmx_v2.impact import Impact
from defi_risk_adapters.gmx_v2.rule import Costs, Discounts
from defi_risk_adapters.gmx_v2.state import Band, MarketState, Position, Prices


@dataclass(frozen=True, slots=True)
class GmxExact:
    """One position: its market, the prices of today, and what it owes as written (`stored`) and up to the anchor (`due`)."""

    index: Asset
    collateral: Asset
    position: Position
    state: MarketState
    prices: Prices
    discounts: Discounts
    stored: Accrued
    due: Accrued
    _constant: Impact | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        constant = None if self.state.in_tokens else impact.closing(self.state, self.position, self.prices.index)
        object.__setattr__(self, "_constant", constant)

    @property
    def needed(self) -> int:
        """What must remain, in USD (1e30)."""
        return rule.required(self.state, self.position)

    def native(self) -> dict[str, int | bool]:
        """What `isPositionLiquidatable` and `getPositionInfo` say, under their names."""
        position, state, prices = self.position, self.state, self.prices
        closing, improved = self.closing(prices.index)
        written, now = self.costs(prices, self.stored), self.costs(prices, self.due)
        left = self._left(prices, written)
        uncapped = rule.pnl(position, rule.closing_price(position, prices.index))
        return {
            "isPositionLiquidatable": rule.dead(left, self.needed),
            "remainingCollateralUsd": left,
            "minCollateralUsd": state.min_collateral_usd,
            "minCollateralUsdForLeverage": apply_factor(position.size_usd, state.liquidation_factor),
            "basePnlUsd": rule.capped_pnl(state, position, prices),
            "uncappedBasePnlUsd": uncapped,
            "priceImpactUsd": closing,
            "balanceWasImproved": improved,
            "proportionalPendingImpactUsd": rule.pending_impact(position, prices.index),
            "positionFeeAmount": now.position_fee,
            "totalDiscountAmount": now.discount,
            "borrowingFeeUsd": self.due.borrowing_usd,
            "fundingFeeAmount": now.funding,
            "claimableLongTokenAmount": self.due.claimable.long,
            "claimableShortTokenAmount": self.due.claimable.short,
            "totalCostAmount": now.total,
        }

    def feeds(self) -> tuple[Feed, ...]:
        """The index token's, and the collateral token's where it is another token. Tokens are told apart by address: it is the key."""
        index, collateral = self.state.listing.index, self.position.collateral
        first = Feed(index, self.index, rule.closing_price(self.position, self.prices.index))
        if collateral == index:
            return (first,)
        return first, Feed(collateral, self.collateral, self._collateral_price(self.prices))

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether a liquidation would pass. At an answer that is not positive the oracle gives none, so it would not."""
        return min(answers.values(), default=1) > 0 and rule.dead(self.remaining(answers), self.needed)

    def remaining(self, answers: Mapping[str, int] = NOTHING) -> int:
        """What would remain of the collateral, in USD (1e30)."""
        prices = self.at(answers)
        return self._left(prices, self.costs(prices, self.due))

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only where no answer of the feed in [low, high] makes the position liquidatable; exact for `low` = `high`."""
        if low >= high:
            return not self.liquidatable({key: low})
        return not rule.dead(self._at_least(self.at({key: max(low, 1)}), self.at({key: max(high, 1)})), self.needed)

    def at(self, answers: Mapping[str, int]) -> Prices:
        """The market's prices at other answers of the feeds."""
        listing = self.state.listing
        moved = {key: self._moved(key, answer) for key, answer in answers.items()}
        return Prices(
            moved.get(listing.index, self.prices.index),
            moved.get(listing.long, self.prices.long),
            moved.get(listing.short, self.prices.short),
        )

    def closing(self, index: Band) -> Impact:
        """Impact of the close at an index price, with the venue's cap on what it pays."""
        found = self._constant or impact.closing(self.state, self.position, index)
        return Impact(impact.capped(self.state.impact, self.position.size_usd, found.usd), found.improved)

    @property
    def lowest_impact(self) -> int:
        """What the rule counts at the very least for price impact."""
        return -apply_factor(self.position.size_usd, self.state.impact.liquidation_cap)

    def judged_impact(self, index: Band) -> int:
        """Impact as the rule counts it: of the close and what is left from opening, not above 0."""
        lowest = self.lowest_impact
        return max(min(self.closing(index).usd + rule.pending_impact(self.position, index), 0), lowest) if lowest else 0

    def costs(self, prices: Prices, due: Accrued) -> Costs:
        """Costs of the close in collateral tokens."""
        return rule.costs(self.state, self.position, self.discounts, self._collateral_price(prices), self._improves(prices.index), due)

    def _improves(self, index: Band) -> bool:
        return self._constant.improved if self._constant else impact.improves(self.state, self.position, index)

    def _left(self, prices: Prices, costs: Costs) -> int:
        held = (self.position.amount - costs.total) * self._collateral_price(prices)
        return held + rule.capped_pnl(self.state, self.position, prices) + self.judged_impact(prices.index)

    def _at_least(self, low: Prices, high: Prices) -> int:
        """A lower bound of what remains between two prices of one token, tight as they meet.

        Collateral less costs, and profit, are linear in the price while each cost is the same number of tokens at both ends, as it then is
        between them: together they are least at an end. Where the collateral's price follows from another end of its band, rounding takes
        less than one unit of it for every token, and puts back no more than one where it would be 0.
        """
        position, listing = self.position, self.state.listing
        ends = (low, high)
        costs = [self.costs(end, self.due) for end in ends]
        steady = costs[0] == costs[1]
        tokens = position.amount - (costs[0].total if steady else self.due.funding)
        held = [tokens * self._collateral_price(end) for end in ends]
        gained = [rule.pnl(position, rule.closing_price(position, end.index)) for end in ends]
        if self._may_be_capped(ends):
            together = min(held) + self._capped_at_least(min(gained), ends)
        else:
            together = min(a + b for a, b in zip(held, gained, strict=True))
        if position.collateral == listing.index and not position.is_long:
            together -= 2 * abs(tokens)
        return together + self._impact_at_least(low.index, high.index) - (0 if steady else self._fees_at_most(ends))

    def _impact_at_least(self, low: Band, high: Band) -> int:
        """A lower bound of the impact as the rule counts it, between two prices of the index token."""
        if low == high or not self.lowest_impact:
            return self.judged_impact(low)
        curve, size = self.state.impact, self.position.size_usd
        least = self._constant.usd if self._constant else impact.closing_at_least(self.state, self.position, low, high)
        pending = min(rule.pending_impact(self.position, end) for end in (low, high))
        return max(min(impact.capped(curve, size, least) + pending, 0), self.lowest_impact)

    def _fees_at_most(self, ends: tuple[Prices, Prices]) -> int:
        """The most that fees in USD can be between two prices of the collateral: each may be floored, the discount by one unit more."""
        improved = self._improves(ends[0].index)
        fee = apply_factor(self.position.size_usd, self.state.fee_improved if improved else self.state.fee_worse)
        spared = apply_factor(fee, max(self.discounts.pro, self.discounts.referral))
        return fee - spared + self.due.borrowing_usd + 2 * max(map(self._collateral_price, ends))

    def _may_be_capped(self, ends: tuple[Prices, Prices]) -> bool:
        """Whether the cap on profits may bind anywhere between two prices."""
        owed, caps = self._owed(ends), self._caps(ends)
        return max(caps) > 0 and min(caps) < max(owed)

    def _capped_at_least(self, least: int, ends: tuple[Prices, Prices]) -> int:
        """A lower bound of the capped profit where the uncapped one is at least `least`: the smallest cap over the most that is owed."""
        owed, most = max(self._owed(ends)), min(self._caps(ends))
        return least * most // owed if least > 0 and most < owed else least

    def _owed(self, ends: tuple[Prices, Prices]) -> list[int]:
        return [rule.pool_pnl(self.state, self.position.is_long, end.index) for end in ends]

    def _caps(self, ends: tuple[Prices, Prices]) -> list[int]:
        return [rule.pool_cap(self.state, self.position.is_long, end) for end in ends]

    def _collateral_price(self, prices: Prices) -> int:
        return rule.collateral_price(self.state, self.position, prices)

    def _moved(self, key: str, answer: int) -> Band:
        """The band of a token whose deciding price is `answer`."""
        if key != self.state.listing.index:
            band = self.prices.long if key == self.state.listing.long else self.prices.short
        else:
            band = self.prices.index
            if not self.position.is_long:
                return Band(max(1, band.low * answer // band.high), answer)
        return Band(answer, max(answer, band.high * answer // band.low))
