"""What the DataStore and the referral contract are asked, as steps, and their answers as values.

Reads of the DataStore never revert: what was never written is 0. So a wrong address or key shows as a market without parameters, which is
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.spi import Call, Interface, Steps
from defi_risk.units import BPS
from defi_risk_adapters.gmx_v2.fixed import ONE
from defi_risk_adapters.gmx_v2.keys import Word, key, named
from defi_risk_adapters.gmx_v2.prices import STORE
from defi_risk_adapters.gmx_v2.rule import Discounts
from defi_risk_adapters.gmx_v2.state import Borrowing, Funding, ImpactCurve, Listing, MarketState, Pair

REFERRALS: Final = Interface("defi_risk_abis", "gmx_v2/referral_storage")
HIGHEST_EXPONENT: Final = 10 * ONE
_FLAGS: Final = (
    "SKIP_BORROWING_FEE_FOR_SMALLER_SIDE", "USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE", "IGNORE_OPEN_INTEREST_FOR_USAGE_FACTOR",
)  # fmt: skip
_BOOLS: Final = frozenset({"IS_MARKET_DISABLED", *_FLAGS})
_ANYWHERE: Final = ("MIN_COLLATERAL_USD", *_FLAGS)
_OF_MARKET: Final = (
    "IS_MARKET_DISABLED", "MIN_COLLATERAL_FACTOR", "MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", "MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS",
    "LIQUIDATION_FEE_FACTOR", "FUNDING_FACTOR", "FUNDING_EXPONENT_FACTOR", "FUNDING_INCREASE_FACTOR_PER_SECOND",
    "FUNDING_DECREASE_FACTOR_PER_SECOND", "MIN_FUNDING_FACTOR_PER_SECOND", "MAX_FUNDING_FACTOR_PER_SECOND",
    "THRESHOLD_FOR_STABLE_FUNDING", "THRESHOLD_FOR_DECREASE_FUNDING", "FUNDING_UPDATED_AT", "SAVED_FUNDING_FACTOR_PER_SECOND",
)  # fmt: skip
_OF_BALANCE: Final = ("POSITION_FEE_FACTOR", "POSITION_IMPACT_FACTOR", "POSITION_IMPACT_EXPONENT_FACTOR", "MAX_POSITION_IMPACT_FACTOR")
_OF_SIDE: Final = (
    "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER", "BORROWING_FACTOR", "BORROWING_EXPONENT_FACTOR", "OPTIMAL_USAGE_FACTOR",
    "BASE_BORROWING_FACTOR", "ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR", "OPEN_INTEREST_RESERVE_FACTOR", "CUMULATIVE_BORROWING_FACTOR",
    "CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", "MAX_OPEN_INTEREST",
)  # fmt: skip
_OF_SIDE_AND_TOKEN: Final = (
    "OPEN_INTEREST", "OPEN_INTEREST_IN_TOKENS", "FUNDING_FEE_AMOUNT_PER_SIZE", "CLAIMABLE_FUNDING_AMOUNT_PER_SIZE",
)  # fmt: skip
Name = tuple[str, *tuple[Word, ...]]
Value = Callable[..., int]


def market_state(store: Address, listing: Listing) -> Steps[MarketState]:
    """Everything that decides about positions of one market, in two rounds. Raises `OutOfRange` for what cannot be."""
    names = _names(listing)
    *answers, virtual_id = yield [*_asks(store, names), STORE(store, "getBytes32", key("VIRTUAL_TOKEN_ID", listing.index))]
    told = dict(zip(names, answers, strict=True))

    def value(name: str, *of: Word) -> int:
        found: int = told[name, *of]
        return found

    virtual = None
    if any(virtual_id):
        kept = "VIRTUAL_INVENTORY_FOR_POSITIONS" + ("_IN_TOKENS" if value("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE") else "")
        [virtual] = yield [STORE(store, "getInt", key(kept, virtual_id))]
    else:
        yield []
    return _checked(_state(listing, value, virtual))


@lru_cache(maxsize=1_024)
def _names(listing: Listing) -> tuple[Name, ...]:
    """Names of a market's parameters with what each is kept for."""
    market = listing.token
    tokens = tuple(dict.fromkeys((listing.long, listing.short)))
    names: list[Name] = [(name,) for name in _ANYWHERE]
    names += [(name, market) for name in _OF_MARKET]
    names += [(name, market, flag) for name in (*_OF_BALANCE, *_OF_SIDE) for flag in (True, False)]
    names += [(name, market, token, side) for name in _OF_SIDE_AND_TOKEN for token in tokens for side in (True, False)]
    names += [("POOL_AMOUNT", market, token) for token in tokens]
    return (*names, *(("MAX_PNL_FACTOR", named("MAX_PNL_FACTOR_FOR_TRADERS"), market, side) for side in (True, False)))


@lru_cache(maxsize=1_024)
def _asks(store: Address, names: tuple[Name, ...]) -> tuple[Call, ...]:
    """The same asks for every owner, made once."""

    def getter(name: str) -> str:
        return "getBool" if name in _BOOLS else "getInt" if name == "SAVED_FUNDING_FACTOR_PER_SECOND" else "getUint"

    return tuple(STORE(store, getter(name[0]), key(*name)) for name in names)


def _state(listing: Listing, value: Value, virtual: int | None) -> MarketState:
    market = listing.token

    def sided(name: str, divisor: int = 1) -> Pair[Pair[int]]:
        tokens = (listing.long, listing.short)
        return Pair(*(Pair(*(value(name, market, token, side) // divisor for token in tokens)) for side in (True, False)))

    def either(name: str) -> tuple[int, int]:
        return value(name, market, True), value(name, market, False)

    fees, factors, exponents = either("POSITION_FEE_FACTOR"), either("POSITION_IMPACT_FACTOR"), either("POSITION_IMPACT_EXPONENT_FACTOR")
    return MarketState(
        listing=listing,
        disabled=bool(value("IS_MARKET_DISABLED", market)),
        min_collateral_usd=value("MIN_COLLATERAL_USD"),
        min_factor=value("MIN_COLLATERAL_FACTOR", market),
        liquidation_factor=value("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", market),
        interest_multiplier=Pair(*either("MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER")),
        liquidation_fee=value("LIQUIDATION_FEE_FACTOR", market),
        fee_improved=fees[0],
        fee_worse=fees[1],
        impact=ImpactCurve(
            *factors,
            *exponents,
            positive_cap=min(either("MAX_POSITION_IMPACT_FACTOR")),
            liquidation_cap=value("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS", market),
        ),
        max_pnl=Pair(*(value("MAX_PNL_FACTOR", named("MAX_PNL_FACTOR_FOR_TRADERS"), market, side) for side in (True, False))),
        pool=Pair(*(value("POOL_AMOUNT", market, token) // listing.divisor for token in (listing.long, listing.short))),
        interest=sided("OPEN_INTEREST", listing.divisor),
        interest_tokens=sided("OPEN_INTEREST_IN_TOKENS", listing.divisor),
        borrowing=Pair(*(_borrowing(market, side, value) for side in (True, False))),
        funding=_funding(market, value),
        funding_per_size=sided("FUNDING_FEE_AMOUNT_PER_SIZE"),
        claimable_per_size=sided("CLAIMABLE_FUNDING_AMOUNT_PER_SIZE"),
        skip_smaller_side=bool(value("SKIP_BORROWING_FEE_FOR_SMALLER_SIDE")),
        in_tokens=bool(value("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE")),
        virtual=virtual,
    )


def _borrowing(market: Address, side: bool, value: Value) -> Borrowing:
    terms = Borrowing(*(value(name, market, side) for name in _OF_SIDE[1:]))
    return replace(terms, most_interest=None) if value("IGNORE_OPEN_INTEREST_FOR_USAGE_FACTOR") else terms


def _funding(market: Address, value: Value) -> Funding:
    return Funding(
        factor=value("FUNDING_FACTOR", market),
        exponent=value("FUNDING_EXPONENT_FACTOR", market),
        increase=value("FUNDING_INCREASE_FACTOR_PER_SECOND", market),
        decrease=value("FUNDING_DECREASE_FACTOR_PER_SECOND", market),
        least=value("MIN_FUNDING_FACTOR_PER_SECOND", market),
        most=value("MAX_FUNDING_FACTOR_PER_SECOND", market),
        stable_from=value("THRESHOLD_FOR_STABLE_FUNDING", market),
        decrease_below=value("THRESHOLD_FOR_DECREASE_FUNDING", market),
        saved=value("SAVED_FUNDING_FACTOR_PER_SECOND", market),
        updated_at=value("FUNDING_UPDATED_AT", market),
    )


def _checked(state: MarketState) -> MarketState:
    """The state itself. Raises `OutOfRange` where a share is above 1, an exponent out of all bounds, or nothing must remain, and
    `Unsupported` where a parameter lies under no key of this version: older ones kept one exponent for both ways of the balance, and no
    share of the size for liquidations.
    """
    market, curve = state.listing.token, state.impact
    shares = (state.min_factor, state.liquidation_factor, state.liquidation_fee, state.fee_improved, state.fee_worse, curve.liquidation_cap)
    powers = (curve.exponent_improved, curve.exponent_worse, state.funding.exponent, *(each.exponent for each in state.borrowing))
    if max(shares) > ONE or max(powers) > HIGHEST_EXPONENT:
        raise OutOfRange(f"GMX market {market} has a parameter that cannot be")
    if not state.liquidation_factor and not state.min_collateral_usd:
        raise OutOfRange(f"the DataStore knows no liquidation rule for GMX market {market}")
    nameless = (curve.factor_worse and not curve.exponent_worse) or (curve.factor_improved and not curve.exponent_improved)
    if nameless or (state.min_factor and not state.liquidation_factor):
        raise Unsupported(f"GMX market {market} keeps its parameters as another version does", hint="versions from 2.2b on are modelled")
    return state


def discounts(store: Address, referrals: Address | None, account: Address, code: bytes) -> Steps[Discounts]:
    """Discounts of an owner's position fees, in three rounds; `code` is the referral code that the owner trades under."""
    [tier, *owned] = yield [
        STORE(store, "getUint", key("PRO_TRADER_TIER", account)),
        *([REFERRALS(referrals, "codeOwners", code)] if referrals and any(code) else []),
    ]
    affiliate = owned[0] if owned else ZERO_ADDRESS
    known = referrals is not None and affiliate != ZERO_ADDRESS
    [pro, *terms] = yield [
        STORE(store, "getUint", key("PRO_DISCOUNT_FACTOR", tier)),
        *([REFERRALS(referrals, name, affiliate) for name in ("referrerTiers", "referrerDiscountShares")] if referrals and known else []),
    ]
    spared = _share(pro) if tier else 0
    if not (referrals and known):
        return Discounts(pro=spared)
    level, own_share = terms
    [rebate] = yield [REFERRALS(referrals, "tiers", level)]
    return Discounts(_referral(rebate, own_share), spared)


def _referral(terms: Any, own_share: int) -> int:
    """The share that a referred trader is spared: of the rebate in basis points, the part that is not the affiliate's."""
    factor = terms.totalRebate * (own_share or terms.discountShare) // BPS * ONE // BPS
    return _share(factor)


def _share(factor: int) -> int:
    if factor > ONE:
        raise OutOfRange("GMX spares a trader more than the whole position fee")
    return factor
