"""What the perps markets here are like: what they follow, their rates, and what governance sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.localchain.tokens import units

DECIMALS: Final = 18


def word(text: str) -> bytes:
    """A name as Synthetix keeps it: 32 bytes, filled up with zeros."""
    return text.encode().ljust(32, b"\0")


@dataclass(frozen=True, slots=True)
class Listing:
    """A perps market. `rate` in USD; fees, ratios and deltas are fractions; `max_value`, `skew_scale` in units of the base asset; the
    funding rate drifts by at most `max_funding_velocity` a day, every day.
    """

    asset: str
    rate: str
    taker_fee: str = "0.0006"
    maker_fee: str = "0.0002"
    max_leverage: str = "25"
    max_value: str = "100000"
    max_funding_velocity: str = "0.3"
    skew_scale: str = "1000000"
    premium_multiplier: str = "1"
    buffer_ratio: str = "0.0075"
    max_liquidation_delta: str = "1"
    max_pd: str = "1"

    @property
    def key(self) -> str:
        """The market's name: `sETHPERP`."""
        return f"{self.asset}PERP"

    @property
    def parameters(self) -> tuple[object, ...]:
        """The struct `Parameters` of PerpsV2MarketSettings; orders may wait from one second to a hundred minutes."""

        def wad(text: str) -> int:
            return units(text, DECIMALS)

        fees = (wad(self.taker_fee), wad(self.maker_fee)) * 3
        funding = (wad(self.max_funding_velocity), wad(self.skew_scale))
        windows = (2, 120, 1, 6_000, 15, 120)
        offchain = (word(f"oc{self.key}"), wad("0.05"))
        liquidation = (wad(self.premium_multiplier), wad(self.buffer_ratio), wad(self.max_liquidation_delta), wad(self.max_pd))
        return (*fees, wad(self.max_leverage), wad(self.max_value), *funding, *windows, *offchain, *liquidation)


@dataclass(frozen=True, slots=True)
class Fees:
    """What holds for all markets, in sUSD; `ratio` is the flagger's share of the notional, between `least` and `most`."""

    ratio: str = "0.0035"
    least: str = "2"
    most: str = "1000"
    keeper: str = "2"
    min_margin: str = "40"

    @property
    def settings(self) -> dict[str, int]:
        """Values by the name of the function that sets them, in the order in which they may be set."""
        return {
            "setMinInitialMargin": units(self.min_margin, DECIMALS),
            "setMaxKeeperFee": units(self.most, DECIMALS),
            "setMinKeeperFee": units(self.least, DECIMALS),
            "setLiquidationFeeRatio": units(self.ratio, DECIMALS),
            "setKeeperLiquidationFee": units(self.keeper, DECIMALS),
        }


LISTINGS: Final = (
    Listing("sETH", "2512.345678912345678901"),
    Listing(
        "sBTC", "60123.456700000000000123", skew_scale="5000", max_funding_velocity="0.005", premium_multiplier="1.5625", max_value="300"
    ),
    Listing(
        "LINK",
        "15.432112345678901234",
        skew_scale="400000",
        max_funding_velocity="0.003",
        max_leverage="27.5",
        buffer_ratio="0.01",
        max_value="2000000",
    ),
)
DROP: Final = {"sETH": -9, "sBTC": -11, "LINK": 13}
"""The price move of the population, in per cent."""
