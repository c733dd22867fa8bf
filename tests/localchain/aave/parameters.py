"""What every Aave market here lists: reserves, their risk parameters, and eMode categories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Curve:
    """Interest: optimal utilization and the rates below and above it, in basis points."""

    optimal: int
    base: int
    slope_low: int
    slope_high: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A reserve as governance lists it. `ltv`, `threshold`, `bonus` (with the 100 %) and `reserve_factor` in basis points;
    `debt_ceiling` in whole USD, 0 outside isolation mode; `decimals` only where the token is to have unusual ones.
    """

    symbol: str
    ltv: int
    threshold: int
    bonus: int
    curve: Curve
    reserve_factor: int = 1_000
    debt_ceiling: int = 0
    borrowable_in_isolation: bool = False
    siloed: bool = False
    stable_rate: bool = False
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """An eMode category. Aave 3.0 knows only `members` (collateral and debt alike), later ones the two lists."""

    id: int
    label: str
    ltv: int
    threshold: int
    bonus: int
    collateral: tuple[str, ...]
    borrowable: tuple[str, ...]


LISTINGS: Final = (
    Listing("WETH", 8_050, 8_300, 10_500, Curve(9_000, 0, 270, 8_000)),
    Listing("wstETH", 7_850, 8_100, 10_600, Curve(8_000, 25, 200, 8_500)),
    Listing("WBTC", 7_300, 7_800, 10_650, Curve(8_000, 0, 400, 6_000), reserve_factor=2_000),
    Listing("USDC", 7_500, 7_800, 10_450, Curve(9_200, 0, 550, 4_000), borrowable_in_isolation=True),
    Listing("DAI", 6_300, 7_700, 10_500, Curve(9_200, 0, 550, 4_000), borrowable_in_isolation=True, stable_rate=True),
    Listing("EURS", 7_000, 7_500, 10_500, Curve(8_000, 0, 400, 10_000)),
    Listing("LINK", 5_000, 6_500, 10_750, Curve(4_500, 0, 700, 30_000), debt_ceiling=1_000_000),
    Listing("CRV", 0, 0, 0, Curve(4_500, 300, 1_400, 15_000), siloed=True),
)
LISTINGS_30: Final = tuple(replace(listing, decimals=2) if listing.symbol == "EURS" else listing for listing in LISTINGS)
"""Later versions refuse tokens of fewer than 6 decimals."""
ETH_CORRELATED: Final = Category(1, "ETH correlated", 9_300, 9_500, 10_100, ("WETH", "wstETH"), ("WETH", "wstETH"))
STABLECOINS: Final = Category(2, "Stablecoins", 9_000, 9_300, 10_200, ("USDC", "DAI"), ("USDC", "DAI"))
STAKED: Final = Category(3, "Staked against stablecoins", 8_400, 8_600, 10_400, ("WETH", "wstETH"), ("USDC", "DAI", "EURS"))
LIQUIDATION_PROTOCOL_FEE: Final = 1_000  # basis points of the bonus
DROP: Final = {"WETH": -24, "wstETH": -28, "WBTC": -20, "LINK": -60}
CATEGORY_DROP: Final = -25
"""The price drop of the populations, in per cent."""
