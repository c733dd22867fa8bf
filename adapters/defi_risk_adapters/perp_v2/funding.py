"""Funding of Perpetual Protocol V2: what longs pay shorts runs up with the pool's average price above the index's.

Each second a base token of position pays (pool's average - average index) / 1 day, the difference held to a share of the index
(Exchange.sol, `_getFundingGrowthGlobalAndTwaps` and `_getDeltaTwapX96`; Funding.sol, `_DEFAULT_FUNDING_PERIOD`). In the first minutes of a
market the venue averages over less time than it is asked for here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from defi_risk.units import WAD, exact_ratio

X96: Final = 1 << 96
RATIO: Final = 10**6
PERIODS_A_DAY: Final = 3  # of eight hours


def rate_8h(sqrt_price: int, index: int, most: int, mark: int) -> Decimal:
    """What longs pay in eight hours, as a share of the notional at the mark; below zero where shorts pay.

    `sqrt_price`: root of the pool's average price, 96 binary places; `index` and `mark` 1e18; `most` 1e6 of the index.
    """
    average, bound = sqrt_price * sqrt_price // X96, index * X96 // WAD
    limit = bound * most // RATIO
    premium = max(-limit, min(average - bound, limit))
    return exact_ratio(premium * WAD, PERIODS_A_DAY * X96 * mark)
