"""A Compound V2 account in the comptroller's own integers.

Factors and exchange rates are 1e18, prices 1e(36 - decimals of the underlying token), so that an amount times a price is 1e18 of the
oracle's unit. Every product is floored where `getHypotheticalAccountLiquidityInternal` (Comptroller.sol; Venus: ComptrollerLens.sol)
floors it.

`native` repeats `getAccountLiquidity`, which reads what each market wrote at its last accrual. `liquidatable` and `safe_throughout` judge
with every entered market accrued to the anchor: a liquidation call accrues the two markets it is given, and its caller can accrue the
others in the same transaction. What a debt has grown to is known up to its last digit (see `accrual`); they take the most it can be, so
they may call an account liquidatable one unit of its debt early, never late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk.units import WAD


@dataclass(frozen=True, slots=True)
class Entry:
    """What the account has in one entered market, by the market's own token: `key` is its address, `asset` the underlying token."""

    key: str
    asset: Asset
    price: int
    factor: int
    tokens: int
    rate_stored: int
    rate_now: int
    debt_stored: int
    debt_now: int

    def collateral(self, price: int, rate: int) -> int:
        """Weighted collateral, 1e18 of the oracle's unit."""
        return (self.factor * rate // WAD * price // WAD) * self.tokens // WAD

    def surplus(self, price: int) -> int:
        """Weighted collateral less debt, accrued to the anchor."""
        return self.collateral(price, self.rate_now) - price * self.debt_now // WAD

    def surplus_stored(self) -> int:
        """The same as the market last wrote it."""
        return self.collateral(self.price, self.rate_stored) - self.price * self.debt_stored // WAD


@dataclass(frozen=True, slots=True)
class AccountExact:
    """One account: entered markets that hold something of it.

    `other_debt` is a debt outside the markets at a fixed price (Venus: VAI), 1e18. `forced`: the venue lets anybody liquidate this
    account whatever its liquidity (a deprecated market, a forced liquidation).
    """

    entries: tuple[Entry, ...]
    other_debt: int = 0
    forced: bool = False
    _rest: Mapping[str, tuple[Entry, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        surpluses = [entry.surplus(entry.price) for entry in self.entries]
        whole = sum(surpluses) - self.other_debt
        rest = {entry.key: (entry, whole - surplus) for entry, surplus in zip(self.entries, surpluses, strict=True)}
        object.__setattr__(self, "_rest", rest)

    def native(self) -> dict[str, int | bool]:
        """`getAccountLiquidity`: error code, liquidity and shortfall, 1e18 of the oracle's unit, of which one is 0."""
        net = sum(entry.surplus_stored() for entry in self.entries) - self.other_debt
        return {"error": 0, "liquidity": max(net, 0), "shortfall": max(-net, 0)}

    def feeds(self) -> tuple[Feed, ...]:
        """`getUnderlyingPrice` of every entered market that counts for or against the account."""
        return tuple(
            Feed(entry.key, entry.asset, entry.price) for entry in self.entries if entry.debt_now or (entry.tokens and entry.factor)
        )

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the account has a shortfall. An answer that is not positive makes the venue refuse to judge, so it has none."""
        if self.forced:
            return True
        net = -self.other_debt
        for entry in self.entries:
            price = answers.get(entry.key, entry.price)
            if price <= 0:
                return False
            net += entry.surplus(price)
        return net < 0

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only where no answer of the market in [low, high] gives a shortfall; exact for `low` = `high`."""
        if self.forced:
            return False
        found = self._rest.get(key)
        if found is None or low >= high:
            return not self.liquidatable({key: low})
        entry, rest = found
        low = max(low, 0)
        # the least collateral with the most debt: tight where one of them is missing, or neither moves between the two answers
        if rest + entry.collateral(low, entry.rate_now) - high * entry.debt_now // WAD >= 0:
            return True
        if not (entry.debt_now and entry.tokens):
            return False
        # Without roundings the surplus is linear in the answer, so it is least at an end. The roundings move it by less than 1 up (the
        # debt's) and tokens / 1e18 + 1 down (the collateral's two).
        return rest + min(entry.surplus(low), entry.surplus(high)) >= entry.tokens // WAD + 3
