"""The reserves of a market: what is asked of each, and a reserve with its indices accrued to the anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from defi_risk.errors import MissingPrice, OutOfRange
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.spi import Ask, Failed, Interface
from defi_risk.units import RAY
from defi_risk_adapters.aave_v3.arithmetic import compounded_index, linear_index
from defi_risk_adapters.aave_v3.configuration import ReserveConfiguration
from defi_risk_adapters.aave_v3.versions import Version

POOL: Final = Interface("defi_risk_abis", "aave_v3/pool")
ORACLE: Final = Interface("defi_risk_abis", "aave_v3/oracle")
MOST_RESERVES: Final = 128


@dataclass(frozen=True, slots=True)
class Listing:
    """One entry of the reserves list as it was answered. `cash` is the pool's own count of the underlying, from 3.1 on."""

    token: Address
    data: Any
    price: int | Failed
    source: Address | Failed
    cash: int | Failed
    grace_until: int | Failed

    @property
    def id(self) -> int:
        """Its place in the bitmaps; the place in the list differs once a reserve was dropped."""
        found: int = self.data.id
        return found

    @property
    def a_token(self) -> Address:
        """The token of its supplies."""
        found: Address = self.data.aTokenAddress
        return found


@dataclass(frozen=True, slots=True)
class Reserve:
    """A reserve at the anchor. Indices and annual rates are rays, `price` is in base currency, None where there is none."""

    token: Address
    id: int
    configuration: ReserveConfiguration
    supply_index: int
    debt_index: int
    supply_rate: int
    debt_rate: int
    price: int | None
    fault: str
    source: str
    grace_until: int

    def must_price(self) -> int:
        """The price of a reserve that the account's health rests on. Raises `MissingPrice`, or `OutOfRange` for a price of 0."""
        if self.price is None:
            raise MissingPrice(f"the market's oracle gives no price for {self.token}: {self.fault}")
        if self.price == 0:
            raise OutOfRange(f"the market's oracle prices {self.token} at 0")
        return self.price


@lru_cache(maxsize=64)
def reserve_asks(pool: Address, oracle: Address, version: Version, tokens: tuple[Address, ...]) -> tuple[Ask, ...]:
    """What is asked of every reserve; the same asks for every owner, made once.

    A price that cannot be had is the trouble of those who hold that reserve, so only `getReserveData` must work.
    """
    asks: list[Ask] = []
    for token in tokens:
        asks.append(POOL(pool, "getReserveData", token))
        asks.append(ORACLE(oracle, "getAssetPrice", token, optional=True))
        asks.append(ORACLE(oracle, "getSourceOfAsset", token, optional=True))
        if version.virtual_balance:
            asks.append(POOL(pool, "getVirtualUnderlyingBalance", token, optional=True))
            asks.append(POOL(pool, "getLiquidationGracePeriod", token, optional=True))
    return tuple(asks)


def listings(version: Version, tokens: Sequence[Address], answers: Sequence[Any]) -> tuple[Listing, ...]:
    """Answers to `reserve_asks`, by reserve. Raises `OutOfRange` for ids that clash or a reserve without its tokens."""
    width = 5 if version.virtual_balance else 3
    nothing = Failed("not in this version")
    found: list[Listing] = []
    for index, token in enumerate(tokens):
        row = answers[index * width : (index + 1) * width]
        data, price, source = row[:3]
        cash, grace = row[3:] if version.virtual_balance else (nothing, nothing)
        if data.aTokenAddress == ZERO_ADDRESS or data.variableDebtTokenAddress == ZERO_ADDRESS:
            raise OutOfRange(f"the pool lists {token} but has no tokens for it")
        found.append(Listing(token, data, price, source, cash, grace))
    ids = {listing.id for listing in found}
    if len(ids) != len(found) or max(ids, default=0) >= MOST_RESERVES:
        raise OutOfRange(f"the ids of the pool's {len(found)} reserves clash or exceed {MOST_RESERVES - 1}")
    return tuple(found)


def reserve_at(listing: Listing, version: Version, now: int) -> Reserve:
    """A reserve accrued to `now`. Raises `OutOfRange` for indices below one or a last update in the future."""
    data = listing.data
    seconds = now - data.lastUpdateTimestamp
    if seconds < 0:
        raise OutOfRange(f"reserve {listing.token} was updated {-seconds} s after the block it was read at")
    if min(data.liquidityIndex, data.variableBorrowIndex) < RAY:
        raise OutOfRange(f"reserve {listing.token} has an index below 1")
    return Reserve(
        token=listing.token,
        id=listing.id,
        configuration=ReserveConfiguration.unpack(data.configuration.data),
        supply_index=linear_index(data.liquidityIndex, data.currentLiquidityRate, seconds),
        debt_index=compounded_index(data.variableBorrowIndex, data.currentVariableBorrowRate, seconds, version.whole_taylor),
        supply_rate=data.currentLiquidityRate,
        debt_rate=data.currentVariableBorrowRate,
        price=None if isinstance(listing.price, Failed) else listing.price,
        fault=listing.price.reason if isinstance(listing.price, Failed) else "",
        source="" if isinstance(listing.source, Failed) or listing.source == ZERO_ADDRESS else listing.source,
        grace_until=0 if isinstance(listing.grace_until, Failed) else listing.grace_until,
    )
