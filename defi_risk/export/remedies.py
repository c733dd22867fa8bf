"""What to do about a flag, in one line. A flag says what is the case; what helps depends only on its code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ACCOUNT_UNKNOWN": "read the reason; until it is gone, the book's health is only an upper bound",
        "LIQUIDATABLE": "repay or add collateral now: anyone may liquidate this account",
        "NEAR_LIQUIDATION": "repay debt, add collateral or close part of the position, so that the distance grows",
        "SELF_CHECK_FAILED": "trust the venue's own number, and report this difference: one of the two is wrong",
        "SOURCE_FAILED": "run `defi-risk doctor`; a second node in `rpc` takes over when the first one fails",
        "SOURCE_STALE": "use a node that follows the chain; figures are as old as its block",
        "STALE_PRICE": "expect a jump when the oracle answers again, and leave room for it",
        "VIEW_LAGS": "go by the liquidation call's verdict: the venue's view is behind it until somebody updates it",
    }
)
