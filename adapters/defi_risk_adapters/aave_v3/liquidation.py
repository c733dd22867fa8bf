"""Liquidation: the rule that the cascade applies, what stands in its way now, and the amounts of one call.

Sources: LiquidationLogic and ValidationLogic of Aave core V3 1.19.3 and of aave-v3-origin 3.1 to 3.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.model import LiquidationRule
from defi_risk.units import BPS, WAD, exact_ratio, mul_div_half_up, mul_div_up
from defi_risk_adapters.aave_v3.arithmetic import percent_mul, percent_mul_floor
from defi_risk_adapters.aave_v3.reserves import Reserve
from defi_risk_adapters.aave_v3.versions import Version

SENTINEL_LINE: Final = WAD * 95 // 100
FULL_UNDER: Final = 2_000 * 10**8
DUST: Final = FULL_UNDER // 2


def rule(version: Version, unit: int) -> LiquidationRule:
    """Half of a debt, all of it at a health factor of 0.95 or less; from 3.3 on all of a small one, and no dust may be left.

    The pool has its limits in raw base currency (2,000e8 and 1,000e8), `unit` is how much of that is one dollar. From 3.3 on the
    half is one of all debts together: a debt of less than that can be repaid whole.
    """
    half = LiquidationRule(kind="repay", close_factor=Decimal("0.5"), full_below=Decimal("0.95"))
    if not version.dust_rule:
        return half
    return LiquidationRule(
        kind=half.kind,
        close_factor=half.close_factor,
        of_whole=True,
        full_below=half.full_below,
        full_under_usd=exact_ratio(FULL_UNDER, unit),
        dust_usd=exact_ratio(DUST, unit),
    )


@dataclass(frozen=True, slots=True)
class Stake:
    """A reserve in which a liquidation of the account could take or repay something, with its name for messages."""

    reserve: Reserve
    symbol: str


@dataclass(frozen=True, slots=True)
class Sentinel:
    """The price oracle sentinel's word: `allowed` is None where it did not answer."""

    present: bool
    allowed: bool | None = None


def blocked(health_factor: int, collateral: Sequence[Stake], debts: Sequence[Stake], sentinel: Sentinel, now: int) -> str:
    """Why the pool would refuse to liquidate an account below its line, empty where one pair of reserves passes.

    One collateral and one debt that are free suffice, for the liquidator chooses the pair.
    """
    if sentinel.present and not sentinel.allowed and health_factor >= SENTINEL_LINE:
        state = "does not answer" if sentinel.allowed is None else "forbids liquidations (the sequencer is down or in its grace period)"
        return f"the price oracle sentinel {state} while the health factor is at least 0.95"
    for side, stakes in (("collateral", collateral), ("debt", debts)):
        if not stakes:
            return f"no {side} is left to liquidate"
        hindrances = [_hindrance(stake, now) for stake in stakes]
        if all(hindrances):
            return "; ".join(dict.fromkeys(hindrances))
    return ""


def _hindrance(stake: Stake, now: int) -> str:
    configuration = stake.reserve.configuration
    if not configuration.active:
        return f"reserve {stake.symbol} is inactive"
    if configuration.paused:
        return f"reserve {stake.symbol} is paused"
    if stake.reserve.grace_until >= now:
        return f"reserve {stake.symbol} is in its liquidation grace period until {stake.reserve.grace_until} (unix time)"
    return ""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a liquidation: the oracle's price, one whole token in raw units, and (collateral) the owner's balance."""

    price: int
    unit: int
    balance: int = 0


def seize(version: Version, debt: Side, collateral: Side, repaid: int, bonus: int) -> tuple[int, int]:
    """Collateral taken from the owner (liquidator's share and protocol fee together), and debt repaid, for at most `repaid` of debt.

    `bonus` is 10,000 plus the bonus in basis points. Where the collateral does not suffice, all of it goes for less debt.
    """
    base = debt.price * repaid * collateral.unit // (collateral.price * debt.unit)
    share = percent_mul_floor if version.revision >= 11 else percent_mul
    taken = share(base, bonus)
    if taken <= collateral.balance:
        return taken, repaid
    worth = collateral.price * collateral.balance * debt.unit // (debt.price * collateral.unit)
    divide = mul_div_up if version.directed else mul_div_half_up
    return collateral.balance, divide(worth, BPS, bonus)
