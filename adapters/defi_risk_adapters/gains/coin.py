"""The coin that a trade is opened in: what it is, what the venue says it is worth, and amounts of it in USD."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.errors import MissingPrice, OutOfRange
from defi_risk.ids import USD
from defi_risk.model import Asset, FactorRef, Leg, Price, Role
from defi_risk.spi import Context
from defi_risk.units import Quantity, exact_ratio
from defi_risk_adapters.gains.reads import Facts, Listing

USD_PLACES: Final = 8
MOST_USD: Final = 1 << 96
PRICED_BY: Final = "getCollateralPriceUsd"


@dataclass(frozen=True, slots=True)
class Coin:
    """A collateral. `price` is USD for a whole coin, 1e8; `scale` is 10 ** 18 over its smallest units in a whole coin."""

    asset: Asset
    ref: FactorRef
    scale: int
    price: int

    @property
    def unit(self) -> int:
        """What amounts times the price are divided by for USD."""
        return int(10 ** (self.asset.decimals + USD_PLACES))

    def usd(self, units: int) -> Decimal:
        """USD of an amount in its smallest units, exact."""
        return exact_ratio(units * self.price, self.unit)

    def leg(self, units: int, *, counts: bool = True) -> Leg:
        """An amount of it as margin; one that does not count is only owned."""
        return Leg(
            role=Role.MARGIN,
            asset=self.asset,
            factor=self.ref.factor,
            peg=self.ref.peg,
            amount=Quantity(units, self.asset.decimals),
            price=Price(Quantity(self.price, USD_PLACES), USD, PRICED_BY),
            weight=Decimal(1 if counts else 0),
            enabled=counts,
        )


def coin_of(number: int, listed: Listing, facts: Facts, at: Context) -> Coin:
    """The collateral of that number. Raises `OutOfRange` for one that is not listed, or not scaled as a coin is, `MissingPrice`."""
    collateral = listed.collaterals.get(number)
    if collateral is None or collateral.decimals is None:
        raise OutOfRange(f"the trade is in collateral {number}, which is not listed, or with a precision that cannot be")
    usd = facts.coins[number][PRICED_BY]
    if not 0 < usd < MOST_USD:
        raise MissingPrice(f"the venue prices collateral {number} at {usd}")
    asset = Asset(at.token_id(collateral.token), facts.symbols[collateral.token], collateral.decimals)
    return Coin(asset, at.factor_of(asset.id), collateral.scale, usd)
