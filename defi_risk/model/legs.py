"""What an account consists of: collateral, debts, margin and positions."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from defi_risk.ids import Factor, Peg
from defi_risk.model.assets import Asset, Price
from defi_risk.units import Quantity

ONE: Final = Decimal(1)


class Role(StrEnum):
    """What a leg is inside its account."""

    COLLATERAL = "collateral"
    DEBT = "debt"
    MARGIN = "margin"
    POSITION = "position"


class Contract(StrEnum):
    """How a derivative settles: in its quote coin (linear) or in the coin of its factor (inverse)."""

    LINEAR = "linear"
    INVERSE = "inverse"


class Basis(StrEnum):
    """Which notional the maintenance rate applies to: the one at the mark, or the one at entry (GMX)."""

    MARK = "mark"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Tier:
    """One maintenance bracket: from `floor` of notional on, `rate` of the notional less `deduction`.

    `floor` and `deduction` in the quote coin (inverse contracts: in the coin of the factor), `rate` a fraction.
    """

    floor: Decimal
    rate: Decimal
    deduction: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The derivative behind a leg of role POSITION; the leg's factor is what it follows.

    `size` is signed, in base units (inverse: in USD of notional); `entry` and `mark` in the quote coin for one base unit. Profit is
    `unrealized_pnl` in the quote coin (inverse: in the coin of the factor), or follows from entry and mark where that is None.
    Rates are fractions; `funding_8h` positive means that longs pay shorts, `borrow_apr` is what either side pays a year, and both are
    of the notional at the mark. `funding_apart`: what it receives is claimed, and never margin; what it pays is taken from the margin.

    In the coin that the contract settles in: `accrued_funding` is what has run up since the last settlement and is not in the margin
    yet, received (negative: to be paid), `accrued_fees` what is owed beside it (borrowing fees, interest). Both are part of equity and
    of C. `exit_cost` is what the venue's rule takes off for closing all of it now (closing fee, price impact, a cap on profit): part of
    C, of equity only once it is closed. `pnl_weight` is the share of profit or loss that counts in C where the venue values the settling
    coin with a haircut (a loss in a coin that is still held counts as less, too). `close_fee` and `liquidation_fee` are shares of the
    notional that the maintenance rate applies to: the first is part of the requirement and paid on every close, the second is charged by a
    liquidation alone. A dated future has the unix time at which it `expires`; `index` is the venue's spot price of the underlying in the
    quote coin, where it tells it.
    """

    size: Decimal
    entry: Decimal
    mark: Decimal
    quote: Factor
    quote_peg: Peg | None = None
    contract: Contract = Contract.LINEAR
    tiers: tuple[Tier, ...]
    basis: Basis = Basis.MARK
    initial_rate: Decimal
    close_fee: Decimal = Decimal(0)
    liquidation_fee: Decimal = Decimal(0)
    funding_8h: Decimal | None = None
    funding_apart: bool = False
    borrow_apr: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    accrued_funding: Decimal = Decimal(0)
    accrued_fees: Decimal = Decimal(0)
    exit_cost: Decimal = Decimal(0)
    pnl_weight: Decimal = ONE
    expires: int | None = None
    index: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One holding or obligation inside an account.

    `amount` is in token units and not negative (a debt is told by its role; margin may be negative). `weight` is the share that
    counts for staying alive (liquidation threshold, liquidate collateral factor, 1 - haircut), `initial_weight` for borrowing and
    withdrawing (LTV, borrow collateral factor); both fractions, 0 where the venue counts nothing. `enabled` is False for a holding
    that the venue does not take as collateral: it is owned, but no health rests on it. `bonus` is what a liquidator earns on this
    collateral (0.05 = 5 %). `apr` is the simple annual rate, earned by collateral and paid by debt; `compounding` says how it
    grows ("linear", "per second", "per block"). `available` is what the venue could pay out of this asset now. `movable` is False for
    margin that nobody can pay in or take out by itself (funding that the venue has yet to write down). A debt in a derivatives account is
    taken off C; `maintenance_rate` is the share of its value that the venue's rule asks for beside that. A `weight` above 1 counts for a
    negative amount alone, which is owed at that much more than its price.
    """

    role: Role
    asset: Asset
    factor: Factor
    peg: Peg | None = None
    amount: Quantity
    price: Price | None = None
    weight: Decimal = ONE
    initial_weight: Decimal | None = None
    enabled: bool = True
    bonus: Decimal | None = None
    apr: Decimal | None = None
    compounding: str = ""
    available: Quantity | None = None
    movable: bool = True
    maintenance_rate: Decimal = Decimal(0)
    position: Position | None = None
