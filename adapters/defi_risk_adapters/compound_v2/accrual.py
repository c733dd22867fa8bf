"""Interest of a Compound V2 market, as `accrueInterest` of CToken.sol adds it: simple from one accrual to the next, every step floored.

Rates, factors and indices are 1e18; a rate is per block or per second, whichever the market counts. What an account owes is
`principal * borrowIndex // interestIndex`, but no view gives principal and interest index, so the balance after an accrual follows
from the stored one only up to a unit or so of the token's last digit: `debt_range` gives the smallest and largest that it can be. The
two are equal where nothing accrued.
"""

from __future__ import annotations

from dataclasses import dataclass

from defi_risk.units import WAD


@dataclass(frozen=True, slots=True)
class Books:
    """A market's totals in units of its underlying token, its index and rates. `elapsed` counts blocks or seconds since accrual."""

    cash: int
    borrows: int
    reserves: int
    supply: int
    index: int
    borrow_rate: int
    reserve_factor: int
    elapsed: int

    @property
    def factor(self) -> int:
        """Simple interest since the last accrual."""
        return self.borrow_rate * self.elapsed

    @property
    def interest(self) -> int:
        """Interest that all borrowers owe since the last accrual."""
        return self.factor * self.borrows // WAD

    @property
    def new_index(self) -> int:
        """The borrow index after an accrual."""
        return self.index + self.factor * self.index // WAD

    @property
    def net(self) -> int:
        """What the suppliers own as the books stand."""
        return self.cash + self.borrows - self.reserves

    @property
    def earned(self) -> int:
        """What the suppliers gain by an accrual."""
        return self.interest - self.reserve_factor * self.interest // WAD

    def new_exchange_rate(self, stored: int) -> int:
        """Underlying for one cToken (1e18) after an accrual, given the stored rate.

        Exact where the stored rate is the one that these totals give. A fork may count more than them (bad debt, fees of its own):
        there it is the stored rate plus the gain, floored, so at most 1 too low.
        """
        if not self.supply:
            return stored
        if self.net * WAD // self.supply == stored:
            return (self.net + self.earned) * WAD // self.supply
        return stored + self.earned * WAD // self.supply

    def debt_range(self, stored: int) -> tuple[int, int]:
        """Least and most that a borrower with this stored balance can owe after an accrual."""
        if not stored or self.new_index == self.index:
            return stored, stored
        return stored * self.new_index // self.index, ((stored + 1) * self.new_index - 1) // self.index
