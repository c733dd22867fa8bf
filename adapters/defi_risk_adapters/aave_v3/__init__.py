"""Aave V3 (3.0 to 3.7) and its forks such as Spark: a market is one `PoolAddressesProvider`.

Nothing is copied from the pool's views: indices are accrued to the anchor from the stored index, rate and time, balances follow
from scaled balances, and the account data from those, each with the rounding of the pool's own version. The pool's
`getUserAccountData` at the same block is the self-check.
"""

from __future__ import annotations

from typing import ClassVar

from defi_risk.model import Owner
from defi_risk.spi import Context, Market, Reading
from defi_risk_adapters.aave_v3.reading import read


class AaveV3:
    """Adapter of Aave V3 markets."""

    name: ClassVar[str] = "aave_v3"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Aave V3"
    roots: ClassVar[tuple[str, ...]] = ("pool_addresses_provider",)

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """The owner's account in one market, in four rounds; empty for an owner who holds nothing there."""
        return read(owner, market, at, self.venue)


class Spark(AaveV3):
    """The same contracts under another name: a fork of Aave 3.0."""

    name: ClassVar[str] = "spark"
    venue: ClassVar[str] = "Spark"


__all__ = ["AaveV3", "Spark"]
