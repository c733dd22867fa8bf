"""What to do about a flag, in one line. A flag says what is the case; what helps depends only on its code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ACCOUNT_UNKNOWN": "read the reason; until it is gone, the book's health is only an upper bound",
        "ASSUMED_RULE": "compare what is assumed with the venue's own page; a key that may read more, or a newer table, replaces it",
        "BASIS_TRADE": "what it earns a year is only had at expiry: keep margin for the way there, on the side where the future loses",
        "BORROWED_MARGIN": "judge the book by its true leverage; repay the loan with margin that is not needed",
        "CASCADE": "see the cascade for what follows; move margin before the first one dies, not between the two",
        "COLLATERAL_HEDGE": "hedge within the range, and look at both accounts' new distances first",
        "COLLATERAL_MIX": "exchange what is too much for what is too little, as the flag says",
        "CORRELATION_SHIFT": "exchange collateral for stable coins: it falls with what it is to secure",
        "DEPEG": "close the side that loses if it stays off, and watch which venue's price your accounts are judged by",
        "FUNDING_SPIKE": "work out how long the position is worth its funding, or move it to a venue that charges less",
        "HEDGE_FRAGILE": "move margin to the hedge until both sides die equally far away; `plan` says how much",
        "HEDGE_STRANDED": "do not count on the hedge's profit in time: keep margin on both sides, or hedge in the same account",
        "KEY_TOO_STRONG": "make a key that can only read, bound to this machine's address, use it here, and delete the other one",
        "LEVERAGE_ZONE": "cut the notional the flag names",
        "LIQUIDATABLE": "repay or add collateral now: anyone may liquidate this account",
        "LIQUIDATION_CLUSTER": "spread the two boundaries: there will be no time to act between them",
        "MARGIN_LOW": "close the part of the position that the flag names, or add the collateral",
        "MUR_HIGH": "add collateral or reduce what uses it, until a part of it is free again",
        "NEAR_LIQUIDATION": "repay debt, add collateral or close part of the position, so that the distance grows",
        "NEGATIVE_CARRY": "repay the dearest debt, or close what pays funding, unless the position is worth its price",
        "PARAMETER_CHANGE": "read what the venue announced, and look at the distances anew",
        "PREFER_ISOLATED": "switch the position to isolated margin, or lower its leverage",
        "PRICE_MOVE": "look at the distances again: what moved once may move on",
        "RESCUE_INFEASIBLE": "bring capital from outside or close positions: moving what is there is not enough",
        "RISK_CONTRIBUTION": "cut the position to the size that the flag names",
        "SELF_CHECK_FAILED": "trust the venue's own number, and report this difference: one of the two is wrong",
        "SOURCE_FAILED": "run `defi-risk doctor`, which says what to mend; where a node fails, a second one in `rpc` takes over",
        "SOURCE_STALE": "use a node that follows the chain; figures are as old as its block",
        "STALE_PRICE": "expect a jump when the oracle answers again, and leave room for it",
        "STRESS_BREACH": "see `plan --survive` for the cheapest way through it",
        "UPNL_DRAIN": "close or hedge the losing position before its loss is realised for you",
        "VENUE_BASIS": "each account is judged by its own venue's price: find out which of the two is wrong",
        "VENUE_CONCENTRATION": "spread the equity over venues that do not fail together",
        "VIEW_LAGS": "go by the liquidation call's verdict: the venue's view is behind it until somebody updates it",
        "VOLATILITY_MISSING": "give `volatility` in `[model]`, or a price history that holds the factor",
        "VOLATILITY_SHIFT": "cut leverage by 10 to 20 % while it is cheap to do so",
        "WRONG_WAY_COLLATERAL": "exchange the collateral for stable coins, or reduce the derivative",
    }
)
