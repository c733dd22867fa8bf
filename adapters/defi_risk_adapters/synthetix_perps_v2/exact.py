"""A position of Synthetix PerpsV2 in the venue's own integers: 1e18 everywhere, products and quotients cut towards zero.

Formulas: PerpsV2MarketBase.sol, of the same names with an underscore; `_approxLiquidationPrice` of PerpsV2MarketViews.sol. The views
and the liquidation judge alike: `flagPosition` writes the funding down at the anchor's price first, which changes no sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk.units import WAD

DAY: Final = 86_400
MILLI: Final = WAD // 1000
"""What `accessibleMargin` leaves of leverage and margin for roundings."""


def divided(a: int, b: int) -> int:
    """`a / b` cut towards zero, as Solidity divides. `b` = 0 raises."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def times(a: int, b: int) -> int:
    """`a * b` in 1e18 (`multiplyDecimal`)."""
    return divided(a * b, WAD)


def over(a: int, b: int) -> int:
    """`a / b` in 1e18 (`divideDecimal`)."""
    return divided(a * WAD, b)


@dataclass(frozen=True, slots=True)
class Rules:
    """What governance sets: for one market the first five, for all of them the others. Ratios are 1e18, fees and margins sUSD."""

    skew_scale: int
    premium_multiplier: int
    buffer_ratio: int
    max_leverage: int
    max_funding_velocity: int
    fee_ratio: int
    min_fee: int
    max_fee: int
    keeper_fee: int
    min_margin: int

    def fee(self, notional: int) -> int:
        """What flagging a position of that notional earns (`liquidationFee`)."""
        return max(min(times(notional, self.fee_ratio), self.max_fee), self.min_fee)


@dataclass(frozen=True, slots=True)
class Funding:
    """How a market's funding stands at the anchor: the rate a day, the sequence (sUSD for one unit of the base asset) as it was last
    written, and the share of the price that has run up since. The rate drifts by the velocity, which follows the skew.
    """

    rate: int
    recorded: int
    unrecorded: int

    @classmethod
    def at(cls, now: int, *, written: int, rate: int, recorded: int, skew: int, rules: Rules) -> Funding:
        """Funding at the time `now`, where rate and sequence were written at the time `written` (unix seconds)."""
        days = over(now - written, DAY)
        lean = max(-WAD, min(over(skew, rules.skew_scale), WAD))
        rate_now = rate + times(times(lean, rules.max_funding_velocity), days)
        average = -over(rate + rate_now, 2 * WAD)
        return cls(rate_now, recorded, times(average, days))

    def entry(self, price: int) -> int:
        """The sequence as it would be written now."""
        return self.recorded + times(self.unrecorded, price)


@dataclass(frozen=True, slots=True)
class PerpExact:
    """One position. `funding_start` is the sequence where the position was last changed, None for a margin without position; `key`
    names the feed, whose present answer is `price`.
    """

    key: str
    asset: Asset
    price: int
    margin: int
    last_price: int
    size: int
    funding_start: int | None
    funding: Funding
    rules: Rules
    order: int = 0
    """What a pending order would add to the size."""

    def native(self) -> dict[str, int | bool]:
        """The venue's views of the position, the daily funding rate of its market, and the size of a pending order."""
        price, dead = self.price, self.liquidatable()
        return {
            "notionalValue": times(self.size, price),
            "profitLoss": self.profit(price),
            "accruedFunding": self.accrued(price),
            "remainingMargin": self.remaining(price),
            "accessibleMargin": self.accessible(price),
            "liquidationPrice": self.liquidation_price(price),
            "canLiquidate": dead,
            "liquidationFee": self.rules.fee(times(abs(self.size), price)) if dead else 0,
            "currentFundingRate": self.funding.rate,
            "sizeDelta": self.order,
        }

    def feeds(self) -> tuple[Feed, ...]:
        """The rate of the base asset, where there is a position in it."""
        return (Feed(self.key, self.asset, self.price),) if self.size else ()

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the position can be flagged. The venue takes no answer that is not positive."""
        price = answers.get(self.key, self.price)
        return bool(self.size) and price > 0 and self._surplus(price) <= 0

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only where no answer in [low, high] lets the position be flagged; exact for `low` = `high`."""
        if key != self.key or not self.size:
            return not self.liquidatable()
        if low >= high:
            return not self.liquidatable({key: low})
        low, notional = max(low, 1), self._notional(high)
        # But for the fee and for roundings the surplus is linear in the price, so it is least at an end; the fee never falls with it.
        ends = min(self._surplus(price) + self.rules.fee(self._notional(price)) for price in (low, high))
        return ends - self.rules.fee(notional) > 2 * self._roundings()

    def profit(self, price: int) -> int:
        """What the price has brought since the position was last changed (`profitLoss`)."""
        return times(self.size, price - self.last_price)

    def accrued(self, price: int) -> int:
        """Funding received (negative: paid) since then (`accruedFunding`)."""
        return 0 if self.funding_start is None else times(self.size, self.funding.entry(price) - self.funding_start)

    def remaining(self, price: int) -> int:
        """Margin with profit and funding, not less than 0 (`remainingMargin`)."""
        return max(0, self._worth(price))

    def premium(self, price: int) -> int:
        """What a liquidation charges for the price impact of the size alone (`_liquidationPremium`)."""
        return times(times(over(abs(self.size), self.rules.skew_scale), self._notional(price)), self.rules.premium_multiplier)

    def line(self, price: int) -> int:
        """The margin at which the position can be flagged: buffer, flagger's fee and keeper's fee (`_liquidationMargin`)."""
        notional = self._notional(price)
        return times(notional, self.rules.buffer_ratio) + self.rules.fee(notional) + self.rules.keeper_fee

    def accessible(self, price: int) -> int:
        """What may be withdrawn, a little underestimated (`accessibleMargin`)."""
        bound = abs(over(times(self.size, price), self.rules.max_leverage - MILLI))
        if bound:
            bound = max(bound, self.rules.min_margin) + MILLI
        return max(0, self.remaining(price) - bound)

    def withdrawable(self) -> int:
        """What the market would let the owner take out at the present price. The view leaves out two things that a withdrawal checks:
        that no order is waiting, and that more than the line with the premium stays (`transferMargin`, `_updatePositionMargin`).
        """
        if self.order:
            return 0
        if not self.size:
            return self.margin
        return max(0, min(self.accessible(self.price), self._worth(self.price) - self.premium(self.price) - self.line(self.price) - 1))

    def liquidation_price(self, price: int) -> int:
        """The venue's estimate of the price of the line, with fees and funding as they are at `price` (`liquidationPrice`)."""
        if not self.size:
            return 0
        missing = self.line(price) - (self.margin - self.premium(price))
        return max(0, self.last_price + over(missing, self.size) - (self.funding.entry(price) - (self.funding_start or 0)))

    def _worth(self, price: int) -> int:
        return self.margin + self.profit(price) + self.accrued(price)

    def _notional(self, price: int) -> int:
        return times(abs(self.size), price)

    def _surplus(self, price: int) -> int:
        # The venue compares max(0, what is left) with the line, which is never below 0: the sign of the difference is the same.
        return self._worth(price) - self.premium(price) - self.line(price)

    def _roundings(self) -> int:
        """More than all roundings together can move the surplus from the real number."""
        impact = over(abs(self.size), self.rules.skew_scale) // WAD + 2
        return abs(self.size) // WAD + impact * (self.rules.premium_multiplier // WAD + 1) + self.rules.buffer_ratio // WAD + 6
