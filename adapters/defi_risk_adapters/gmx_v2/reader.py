"""GMX's Reader: the positions of an owner, the markets, and what it says of one position at given prices.

It is redeployed with every version, and one with another layout decodes into garbage without an error. So what it says of a position is
compared with what the DataStore keeps under the key that follows from it, and its later answers with its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.spi import Ask, Failed, Interface
from defi_risk_adapters.gmx_v2.keys import position_field, position_key
from defi_risk_adapters.gmx_v2.prices import STORE
from defi_risk_adapters.gmx_v2.state import Listing, Pair, Position, Prices

READER: Final = Interface("defi_risk_abis", "gmx_v2/reader")
MOST_POSITIONS: Final = 1_000
MOST_MARKETS: Final = 5_000
_REMAINS: Final = ("remainingCollateralUsd", "minCollateralUsd", "minCollateralUsdForLeverage")


def list_asks(reader: Address, store: Address, account: Address) -> list[Ask]:
    """The owner's positions, and all markets."""
    return [
        READER(reader, "getAccountPositions", store, account, 0, MOST_POSITIONS),
        READER(reader, "getMarkets", store, 0, MOST_MARKETS),
    ]


def positions(answer: Sequence[Any], account: Address) -> list[Position]:
    """The positions in an answer. Raises `OutOfRange` where one is somebody else's, `Unsupported` where there may be more."""
    if len(answer) >= MOST_POSITIONS:
        raise Unsupported(f"{MOST_POSITIONS} positions or more")
    found = [_position(each) for each in answer]
    if any(each.account != account for each in found):
        raise OutOfRange("the Reader gives positions of another owner", hint="its layout is not the known one")
    return found


def listings(answer: Sequence[Any]) -> dict[Address, Listing]:
    """The markets in an answer, by the address of their own token."""
    if len(answer) >= MOST_MARKETS:
        raise Unsupported(f"{MOST_MARKETS} markets or more")
    return {each.marketToken: Listing(each.marketToken, each.indexToken, each.longToken, each.shortToken) for each in answer}


def kept_asks(store: Address, position: Position) -> list[Ask]:
    """What the DataStore itself keeps of a position, by its key."""
    own = _key(position)
    names = ("SIZE_IN_USD", "SIZE_IN_TOKENS", "COLLATERAL_AMOUNT")
    uints: list[Ask] = [STORE(store, "getUint", position_field(own, name)) for name in names]
    return [*uints, STORE(store, "getInt", position_field(own, "PENDING_IMPACT_AMOUNT"))]


def check(position: Position, kept: Sequence[Any]) -> None:
    """Raise `OutOfRange` where the DataStore keeps something else than the Reader tells."""
    if tuple(kept) != (position.size_usd, position.size_tokens, position.amount, position.pending_impact):
        raise OutOfRange("the Reader tells of a position that the DataStore does not keep", hint="its layout is not the known one")


def view_asks(reader: Address, store: Address, referrals: Address, position: Position, listing: Listing, at: Prices) -> list[Ask]:
    """`getPositionInfo`, and `isPositionLiquidatable` as keepers ask it."""
    start = (store, referrals, _key(position))
    bands = tuple(tuple(band) for band in (at.index, at.long, at.short))
    props = (listing.token, listing.index, listing.long, listing.short)
    return [
        READER(reader, "getPositionInfo", *start, bands, 0, ZERO_ADDRESS, True, optional=True),
        READER(reader, "isPositionLiquidatable", *start, props, bands, True, True, optional=True),
    ]


def said(position: Position, answers: Sequence[Any]) -> dict[str, int | bool]:
    """What the Reader said of a position, by its own names; nothing where it was not asked or refused.

    Raises `OutOfRange` where it speaks of another position.
    """
    told: dict[str, int | bool] = {}
    info, verdict = answers or (Failed("not asked"), Failed("not asked"))
    if not isinstance(info, Failed):
        if info.positionKey != _key(position) or _position(info.position) != position:
            raise OutOfRange("the Reader tells of another position than the one asked for", hint="its layout is not the known one")
        costs, result = info.fees, info.executionPriceResult
        told |= {
            "basePnlUsd": info.basePnlUsd,
            "uncappedBasePnlUsd": info.uncappedBasePnlUsd,
            "priceImpactUsd": result.priceImpactUsd,
            "balanceWasImproved": result.balanceWasImproved,
            "proportionalPendingImpactUsd": result.proportionalPendingImpactUsd,
            "positionFeeAmount": costs.positionFeeAmount,
            "totalDiscountAmount": costs.totalDiscountAmount,
            "borrowingFeeUsd": costs.borrowing.borrowingFeeUsd,
            "fundingFeeAmount": costs.funding.fundingFeeAmount,
            "claimableLongTokenAmount": costs.funding.claimableLongTokenAmount,
            "claimableShortTokenAmount": costs.funding.claimableShortTokenAmount,
            "totalCostAmount": costs.totalCostAmount,
        }
    if not isinstance(verdict, Failed):
        dead, _, figures = verdict
        told |= {"isPositionLiquidatable": dead, **{name: getattr(figures, name) for name in _REMAINS}}
    return told


def _key(position: Position) -> bytes:
    return position_key(position.account, position.market, position.collateral, position.is_long)


def _position(given: Any) -> Position:
    """One position as the Reader gives it."""
    addresses, numbers = given.addresses, given.numbers
    return Position(
        account=addresses.account,
        market=addresses.market,
        collateral=addresses.collateralToken,
        is_long=given.flags.isLong,
        size_usd=numbers.sizeInUsd,
        size_tokens=numbers.sizeInTokens,
        amount=numbers.collateralAmount,
        pending_impact=numbers.pendingImpactAmount,
        borrowing_mark=numbers.borrowingFactor,
        funding_mark=numbers.fundingFeeAmountPerSize,
        claimable_marks=Pair(numbers.longTokenClaimableFundingAmountPerSize, numbers.shortTokenClaimableFundingAmountPerSize),
    )
