"""How the markets of the double are set up. Factors are decimal fractions; per second where the name of the parameter says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from tests.localchain.gmx.keys import ONE

YEAR: Final = 31_536_000
SYNTHETIC: Final = "SOL"
"""An index token without a contract: 9 decimals, priced by a feed alone."""
SYNTHETIC_DECIMALS: Final = 9
SYNTHETIC_PRICE: Final = "151.23456789"


def factor(fraction: str | Decimal | int) -> int:
    """A fraction as the contracts keep it, 1e30."""
    return int(Decimal(fraction) * ONE)


def yearly(fraction: str) -> int:
    """A rate per second that makes about this fraction in a year."""
    return factor(fraction) // YEAR


@dataclass(frozen=True, slots=True)
class Setting:
    """One market. `both` holds parameters kept for longs and shorts alike, `balance` those for trades that improve balance and others."""

    name: str
    index: str
    long: str
    short: str
    pool: tuple[str, str]
    plain: Mapping[str, int]
    both: Mapping[str, int]
    balance: Mapping[str, tuple[int, int]]
    most_pnl: str = "0.9"
    virtual: int | None = None
    disabled: bool = False


_PLAIN: Final = {
    "MIN_COLLATERAL_FACTOR": factor("0.01"),
    "MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION": factor("0.005"),
    "MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS": factor("0.003"),
    "LIQUIDATION_FEE_FACTOR": factor("0.0045"),
    "FUNDING_FACTOR": 0,
    "FUNDING_EXPONENT_FACTOR": ONE,
    "FUNDING_INCREASE_FACTOR_PER_SECOND": yearly("0.4") // 86_400,
    "FUNDING_DECREASE_FACTOR_PER_SECOND": yearly("0.01") // 86_400,
    "MIN_FUNDING_FACTOR_PER_SECOND": yearly("0.01"),
    "MAX_FUNDING_FACTOR_PER_SECOND": yearly("0.3"),
    "THRESHOLD_FOR_STABLE_FUNDING": factor("0.05"),
    "THRESHOLD_FOR_DECREASE_FUNDING": factor("0.02"),
}
_PLAINER: Final = {  # funding that follows the skew alone
    "FUNDING_FACTOR": yearly("0.5"),
    "FUNDING_EXPONENT_FACTOR": factor("1.2"),
    "FUNDING_INCREASE_FACTOR_PER_SECOND": 0,
}
_CURVE: Final = {
    "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER": factor("0.00000000006"),
    "MAX_OPEN_INTEREST": factor(40_000_000),
    "BORROWING_FACTOR": yearly("0.3"),
    "BORROWING_EXPONENT_FACTOR": ONE,
    "OPTIMAL_USAGE_FACTOR": 0,
    "BASE_BORROWING_FACTOR": 0,
    "ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR": 0,
    "OPEN_INTEREST_RESERVE_FACTOR": factor("0.8"),
}
_KINK: Final = {  # and open interest uses more of its limit than of the reserve
    "MAX_OPEN_INTEREST": factor(1_500_000),
    "BORROWING_FACTOR": 0,
    "OPTIMAL_USAGE_FACTOR": factor("0.1"),
    "BASE_BORROWING_FACTOR": yearly("0.2"),
    "ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR": yearly("0.9"),
}
_BALANCE: Final = {
    "POSITION_FEE_FACTOR": (factor("0.0004"), factor("0.0006")),
    "POSITION_IMPACT_FACTOR": (factor("0.00000000015"), factor("0.0000000003")),
    "POSITION_IMPACT_EXPONENT_FACTOR": (factor(2), factor(2)),
    "MAX_POSITION_IMPACT_FACTOR": (factor("0.004"), factor("0.005")),
}
_CURVED: Final = {
    "POSITION_IMPACT_FACTOR": (factor("0.00000005"), factor("0.0000001")),
    "POSITION_IMPACT_EXPONENT_FACTOR": (factor("1.6"), factor("1.65")),
}

MARKETS: Final = (
    Setting("ETH", "WETH", "WETH", "USDC", ("4000", "9000000"), _PLAIN, _CURVE, _BALANCE),
    Setting(
        "SOL", SYNTHETIC, "WETH", "USDC", ("1500", "4000000"),
        {**_PLAIN, **_PLAINER}, {**_CURVE, "BORROWING_EXPONENT_FACTOR": factor("1.05")}, {**_BALANCE, **_CURVED},
        virtual=factor(900_000),
    ),
    Setting("ETH-single", "WETH", "USDC", "USDC", ("6000000", "0"), _PLAIN, {**_CURVE, **_KINK}, _BALANCE),
    Setting(
        "LINK", "LINK", "LINK", "USDC", ("9000", "150000"),
        {**_PLAIN, "MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS": 0}, {**_CURVE, **_KINK}, _BALANCE,
        most_pnl="0.2",
    ),
    Setting("BTC", "WBTC", "WBTC", "USDC", ("100", "5000000"), _PLAIN, _CURVE, _BALANCE, disabled=True),
)  # fmt: skip
"""The second one shares its virtual inventory with others, the last one is disabled."""


@dataclass(frozen=True, slots=True)
class Venue:
    """A deployment: `in_tokens` weighs the balance of longs and shorts in tokens, `ignore_interest` takes usage of the reserve alone.
    `unread` are users that need no recording.
    """

    name: str
    in_tokens: bool = False
    skip_smaller_side: bool = False
    ignore_interest: bool = False
    markets: tuple[Setting, ...] = field(default=MARKETS)
    min_collateral_usd: int = factor(1)
    unread: tuple[str, ...] = ()


IN_USD: Final = Venue(
    "gmx-usd",
    unread=("long", "short", "sol-long", "sol-short-in-eth", "single-short", "link-short", "professional", "referred", "loss"),
)
IN_TOKENS: Final = Venue(
    "gmx-tokens",
    in_tokens=True,
    skip_smaller_side=True,
    ignore_interest=True,
    unread=(  # their price impact shows nothing that others' does not
        "long", "long-in-eth", "sol-short-in-eth", "single-short", "link-long", "link-short", "profit-long", "capped-profit", "loss",
        "under-water", "under-water-short", "near-the-line", "tiny", "referred", "well-referred", "professional", "both", "disabled",
        "short-in-eth", "sol-long", "profit-short", "several",
    ),
)  # fmt: skip
