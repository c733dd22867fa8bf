"""What one owner holds and owes in each reserve: scaled balances as read, and amounts at the anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from defi_risk.errors import OutOfRange
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.spi import Ask, Interface, Steps
from defi_risk.units import RAY, mul_div_down, mul_div_up
from defi_risk_adapters.aave_v3.arithmetic import compounded_interest_split, ray_mul
from defi_risk_adapters.aave_v3.configuration import ReserveConfiguration, borrows
from defi_risk_adapters.aave_v3.reserves import Listing, Reserve
from defi_risk_adapters.aave_v3.versions import Version
from defi_risk_adapters.tokens import ERC20

SCALED_TOKEN: Final = Interface("defi_risk_abis", "aave_v3/scaled_token")
STABLE_DEBT_TOKEN: Final = Interface("defi_risk_abis", "aave_v3/stable_debt_token")


@dataclass(frozen=True, slots=True)
class StableDebt:
    """A debt at a rate of its own (a ray a year), as of its last change."""

    principal: int
    rate: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Balance:
    """An owner's balances in one reserve, as the tokens keep them. `direct` is a debt read as it is, without index."""

    supplied: int = 0
    variable: int = 0
    direct: int | None = None
    stable: StableDebt | None = None

    def __bool__(self) -> bool:
        return bool(self.supplied or self.variable or self.direct or (self.stable and self.stable.principal))


@dataclass(frozen=True, slots=True)
class Amounts:
    """The same at the anchor, in token units."""

    supplied: int
    variable: int
    stable: int


def balances(owner: Address, version: Version, reserves: Sequence[Listing], user_map: int) -> Steps[list[Balance]]:
    """Read an owner's balances in one round, in the order of `reserves`.

    Every supply is asked for, since one that is no collateral leaves no mark in the owner's map; a debt always does.
    """
    asks: list[Ask] = [SCALED_TOKEN(listing.a_token, "scaledBalanceOf", owner) for listing in reserves]
    debts: dict[int, list[Ask]] = {
        index: _debt_asks(owner, version, listing) for index, listing in enumerate(reserves) if borrows(user_map, listing.id)
    }
    answers = yield asks + [ask for batch in debts.values() for ask in batch]
    found: list[Balance] = [Balance(supplied) for supplied in answers[: len(asks)]]
    position = len(asks)
    for index, batch in debts.items():
        variable, *rest = answers[position : position + len(batch)]
        position += len(batch)
        direct = rest[0] if len(rest) == 1 else None
        stable = StableDebt(*rest) if len(rest) == 3 else None
        found[index] = Balance(found[index].supplied, variable, direct, stable)
    return found


def _debt_asks(owner: Address, version: Version, listing: Listing) -> list[Ask]:
    """The variable debt, then either the debt token's own balance or the three numbers of a stable debt."""
    variable, stable = listing.data.variableDebtTokenAddress, listing.data.stableDebtTokenAddress
    asks: list[Ask] = [SCALED_TOKEN(variable, "scaledBalanceOf", owner)]
    if version.stable_debt and stable != ZERO_ADDRESS:
        names = ("principalBalanceOf", "getUserStableRate", "getUserLastUpdated")
        asks += [STABLE_DEBT_TOKEN(stable, name, owner) for name in names]
    elif version.debt_by_balance and not ReserveConfiguration.unpack(listing.data.configuration.data).virtual:
        asks.append(ERC20(variable, "balanceOf", owner))
    return asks


def amounts(balance: Balance, reserve: Reserve, version: Version, now: int) -> Amounts:
    """Balances accrued to `now` with the version's rounding. Raises `OutOfRange` for a stable debt changed after `now`."""
    if version.directed:
        supplied = mul_div_down(balance.supplied, reserve.supply_index, RAY)
        variable = mul_div_up(balance.variable, reserve.debt_index, RAY)
    else:
        supplied = ray_mul(balance.supplied, reserve.supply_index)
        variable = ray_mul(balance.variable, reserve.debt_index)
    if balance.direct is not None:
        variable = balance.direct
    return Amounts(supplied, variable, _stable_amount(balance.stable, now))


def _stable_amount(debt: StableDebt | None, now: int) -> int:
    if debt is None or debt.principal == 0:
        return 0
    if debt.updated_at > now:
        raise OutOfRange(f"a stable debt was changed {debt.updated_at - now} s after the block it was read at")
    return ray_mul(debt.principal, compounded_interest_split(debt.rate, now - debt.updated_at))
