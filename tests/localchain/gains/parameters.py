"""What the pairs here are like, and what governance sets: fees, spreads, terms of liquidation, funding and borrowing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.localchain.tokens import units

PRICE_DECIMALS: Final = 10
LEVERAGE_DECIMALS: Final = 3
FEED_TO_PRICE: Final = 100
"""Feeds answer with 8 decimals, the venue counts with 10."""
COLLATERALS: Final = ("USDC", "DAI", "WETH")
"""In the order of their numbers, which start at 1."""


def percent(text: str) -> int:
    """A percentage as the venue keeps it."""
    return units(text, 10)


class Terms(NamedTuple):
    """The struct `LiquidationParams`: percentages 1e10, leverages 1e3."""

    most_spread: int = percent("0.05")
    start_threshold: int = percent("90")
    end_threshold: int = percent("77.7")
    start_leverage: int = 25_000
    end_leverage: int = 150_000


TERMS: Final = Terms()
NO_TERMS: Final = Terms(0, 0, 0, 0, 0)
"""Of trades from before there were any."""


class FundingParams(NamedTuple):
    """The struct `FundingFeeParams`: coefficient 1e26, velocity 1e7 and rate 1e10 per cent a second, least skew in USD."""

    skew_coefficient: int = 0
    most_velocity: int = 0
    most_rate: int = 0
    least_usd: int = 0
    enabled: bool = False
    multiplied: bool = False
    gap: int = 0


NO_FUNDING: Final = FundingParams()


@dataclass(frozen=True, slots=True)
class Listing:
    """A pair. `follows` is the token whose feed prices it; `fee`, `spread` in per cent; `borrowing` in 1e-10 per cent a second."""

    name: str
    follows: str
    fee: str = "0.06"
    spread: str = "0.04"
    least_usd: int = 1_500
    most_leverage: int = 150
    counter_fee: int = 500
    terms: Terms = TERMS
    funding: FundingParams = NO_FUNDING
    borrowing: int = 0

    @property
    def rules(self) -> tuple[int, ...]:
        """The struct `Rules` of the double."""
        return percent(self.fee), self.least_usd * 1_000, self.most_leverage * 1_000, self.counter_fee


BTC, ETH, LINK, EUR, CRV = "BTC/USD", "ETH/USD", "LINK/USD", "EUR/USD", "CRV/USD"
LISTINGS: Final = (
    Listing(BTC, "WBTC", funding=FundingParams(14 * 10**18, 20_000, 9_000, 0, True, True), borrowing=911),
    Listing(ETH, "WETH", spread="0.0333", funding=FundingParams(3 * 10**17, 30_000, 1_234, 500, True, False), borrowing=1_717),
    Listing(LINK, "LINK", fee="0.08", spread="0.19", funding=FundingParams(10**18, 20_000, 5_000, 10**9, True, True), borrowing=3_171),
    Listing(
        EUR, "EURS", fee="0.008", spread="0.006", most_leverage=1_000, terms=Terms(percent("0.002"), end_leverage=500_000), borrowing=111
    ),
    Listing(CRV, "CRV", fee="0.1", spread="0.25", least_usd=7_500, most_leverage=75, borrowing=2_222),
)
"""One with everything, one whose rate soon meets its cap, one whose skew is worth too little for a rate, and two without funding."""
DROP: Final = {BTC: -21, ETH: -24, LINK: 26, EUR: -1, CRV: -40}
"""The price move of the population, in per cent; one goes up."""
