"""A trade in gTrade's own integers: prices 1e10, leverage 1e3, percentages 1e10, amounts in units of the collateral.

A trade is liquidated at an oracle price at or beyond the line that `getTradeLiquidationPrice` gives for that very price: where the loss
reaches a share of the collateral (the threshold) less the closing fee, the fees for holding it and a part of the spread. Formulas:
BorrowingFeesUtils.sol, `_getTradeLiquidationPrice`; TradingCommonUtils.sol, `getLiqPnlThresholdP`, `getTotalTradeFeesCollateral`;
TradingCallbacksUtils.sol, `_validateTriggerCloseOrderCallback` (all of version 10). Below version 9.2 there is no spread on closing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk_adapters.gains.holding import P10, PERCENT, HoldingFees, over

LEVERAGE: Final = 10**3
LEGACY_THRESHOLD: Final = 90 * P10  # ConstantsUtils.sol, LEGACY_LIQ_THRESHOLD_P
_SETTLING: Final = 32


class Terms(NamedTuple):
    """The liquidation terms that a trade was opened under: thresholds by leverage, and the most of the spread that counts."""

    most_spread: int
    start_threshold: int
    end_threshold: int
    start_leverage: int
    end_leverage: int

    def threshold(self, leverage: int) -> int:
        """Share of the collateral whose loss liquidates, per cent 1e10. Trades from before there were such terms have none set."""
        if not self.most_spread:
            return LEGACY_THRESHOLD
        if leverage <= self.start_leverage:
            return self.start_threshold
        if leverage >= self.end_leverage:
            return self.end_threshold
        fall = (leverage - self.start_leverage) * (self.start_threshold - self.end_threshold)
        return self.start_threshold - fall // (self.end_leverage - self.start_leverage)


def closing_fee(size: int, multiplier: int, fee_rate: int, least_size: int) -> int:
    """Fee for closing a notional: a share of it (per cent 1e10), at least that of the smallest notional. `multiplier` 1e3 cuts the
    notional of counter trades, not the smallest one.
    """
    return max(size * multiplier, least_size * LEVERAGE) * fee_rate // P10 // PERCENT // LEVERAGE


@dataclass(frozen=True, slots=True)
class GainsExact:
    """One trade. `key` names the source of its pair's price, `price` is what it says now.

    `scale` is 10 ** 18 over the collateral's own, `threshold` the share whose loss liquidates, `spread` what of the spread counts (both per
    cent 1e10), `realized` profit less trading fees that were settled before.
    """

    key: str
    asset: Asset
    price: int
    long: bool
    entry: int
    collateral: int
    leverage: int
    scale: int
    threshold: int
    spread: int
    fee: int
    realized: int
    holding: HoldingFees

    def native(self) -> dict[str, int | bool]:
        """What the views say at the present price; the trigger's validation as whether a liquidation would be carried out."""
        return {
            "getTradeLiquidationPrice": self.line(self.price),
            "fundingFeeCollateral": self.holding.funding_fee(self.price),
            "borrowingFeeCollateral": self.holding.borrowing_fee(self.price),
            "totalFeeCollateral": self.holding.total(self.price),
            "validateTriggerCloseOrderCallback": self.liquidatable(),
        }

    def feeds(self) -> tuple[Feed, ...]:
        """The pair's price."""
        return (Feed(self.key, self.asset, self.price),)

    def line(self, price: int) -> int:
        """`getTradeLiquidationPrice` at a price of the pair."""
        return max(self._line(self.holding.total(price)), 0)

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the venue would liquidate at these prices. It takes no price that is not positive."""
        price = answers.get(self.key, self.price)
        return price > 0 and self._dead(price, self.line(price))

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only where no price of the pair in [low, high] is dead; exact for `low` = `high`. More fees move the line inwards."""
        if key != self.key or low >= high:
            return not self.liquidatable({key: low})
        line = max(self._line(self.holding.most(max(low, 1), max(high, 1))), 0)
        return not self._dead(max(low, 1) if self.long else high, line)

    def settled_line(self) -> int:
        """The price that is its own line: where the verdict changes. Negative where a long trade outlives every price.

        The line moves by a small share of what the price does, so that a few steps from the present price reach it.
        """
        line = self._line(self.holding.total(self.price))
        for _ in range(_SETTLING):
            next_line = self._line(self.holding.total(max(line, 0)))
            if next_line == line:
                break
            line = next_line
        return line

    def bearable(self) -> int:
        """The loss that liquidates before fees, in 1e-18 * 1e-3 of a whole collateral coin, as the contract rounds it."""
        return self.collateral * self.threshold * self.scale * LEVERAGE // PERCENT // P10

    def _line(self, holding: int) -> int:
        fees = (self.fee + holding - self.realized) * self.scale * LEVERAGE
        distance = over(over(over(self.entry * (self.bearable() - fees), self.collateral), self.leverage), self.scale)
        distance -= self.entry * self.spread // P10 // PERCENT
        return self.entry - distance if self.long else self.entry + distance

    def _dead(self, price: int, line: int) -> bool:
        return price <= line if self.long else price >= line
