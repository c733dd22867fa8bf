"""What differs between the versions of the pool, by its `POOL_REVISION()`.

Sources: Aave core V3 1.19.3 (3.0) and the tags 3.1 to 3.7 of aave-v3-origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from defi_risk.errors import Unsupported

_NAMES: Final = {1: "3.0", 2: "3.0", 3: "3.0", 4: "3.1", 5: "3.2", 6: "3.2", 7: "3.3", 8: "3.4", 9: "3.5", 10: "3.6", 11: "3.7"}


@dataclass(frozen=True, slots=True)
class Version:
    """One revision of the pool. Each property is a rule that an account's numbers depend on."""

    revision: int

    @property
    def stable_debt(self) -> bool:
        """Debts at a fixed rate of their own count, beside the variable ones."""
        return self.revision <= 4

    @property
    def category_in_reserve(self) -> bool:
        """A reserve belongs to one eMode category, which may replace its price; later, categories list reserves in bitmaps."""
        return self.revision <= 4

    @property
    def virtual_balance(self) -> bool:
        """The pool keeps its own count of the underlying, and a grace period for each reserve after a pause."""
        return self.revision >= 4

    @property
    def debt_by_balance(self) -> bool:
        """A debt in a reserve without virtual accounting (GHO) is its token's `balanceOf`, which holds the owner's discount."""
        return self.revision == 7

    @property
    def whole_taylor(self) -> bool:
        """Compounded interest multiplies before it divides."""
        return self.revision >= 8

    @property
    def directed(self) -> bool:
        """Collateral is rounded down and debt up, and the health factor takes the threshold sum, not the floored average."""
        return self.revision >= 9

    @property
    def own_category_values(self) -> bool:
        """An eMode category's values hold even where the reserve's own are 0, and a threshold of 0 still counts as collateral."""
        return self.revision >= 10

    @property
    def isolated_categories(self) -> bool:
        """An eMode category may strip the collateral outside of it of its borrowing power."""
        return self.revision >= 11

    @property
    def sentinel(self) -> bool:
        """A price oracle sentinel may hold up liquidations."""
        return self.revision <= 10

    @property
    def debt_ceilings(self) -> bool:
        """A collateral with a debt ceiling isolates the account that rests on it alone."""
        return self.revision <= 10

    @property
    def dust_rule(self) -> bool:
        """The close factor depends on the size of the position, and a liquidation must not leave dust."""
        return self.revision >= 7


def version_of(revision: int) -> Version:
    """The version of a pool. Raises `Unsupported` for a revision whose formulas are not known here."""
    if revision not in _NAMES:
        raise Unsupported(
            f"the Aave V3 pool has revision {revision}, whose arithmetic is not known",
            hint=f"revisions 1 to {max(_NAMES)} ({_NAMES[1]} to {_NAMES[max(_NAMES)]}) are modelled",
        )
    return Version(revision)
