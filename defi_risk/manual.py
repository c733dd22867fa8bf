"""Margin accounts that the owner wrote down by hand: `[[manual]]` tables of a book as accounts like any other.

They have no exact arithmetic and no verdict of a venue: the unified model judges them. A leg without price is priced like any other,
from the rest of the book (`defi_risk.pricing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from defi_risk.book import ManualDebt, ManualHolding, ManualPosition, ManualSettings
from defi_risk.ids import AccountId, AssetId, Factor, Peg
from defi_risk.model import Account, Asset, Basis, Contract, Leg, LiquidationRule, Position, Price, Role, Side
from defi_risk.units import EXACT, Quantity

SOURCE = "manual"


def accounts(settings: Sequence[ManualSettings]) -> list[Account]:
    """One account for each `[[manual]]` table, in their order, with the id `manual:NAME`."""
    return [_account(one) for one in settings]


def _account(settings: ManualSettings) -> Account:
    lending = settings.side is Side.LENDING
    held = Role.COLLATERAL if lending else Role.MARGIN
    return Account(
        id=AccountId(f"manual:{settings.name}"),
        owner=settings.name,
        side=settings.side,
        venue=settings.name,  # each one is a venue of its own, not all of them one
        market=SOURCE,
        legs=(
            *(_holding(item, held, settings) for item in settings.collateral),
            *(_debt(item) for item in settings.debt),
            *(_position(item) for item in settings.position),
        ),
        strict=settings.strict,
        rule=LiquidationRule(
            kind="repay" if lending else "close",
            close_factor=settings.close_factor,
            remainder="lost" if settings.remainder == "lost" else "refunded",
        ),
        source=SOURCE,
    )


def _holding(item: ManualHolding, role: Role, settings: ManualSettings) -> Leg:
    return Leg(
        role=role,
        asset=_asset(item.factor, item.peg, item.amount),
        factor=item.factor,
        peg=item.peg,
        amount=Quantity.of(item.amount),
        price=_price(item.price),
        weight=item.weight,
        initial_weight=item.weight if item.initial_weight is None else item.initial_weight,
        bonus=settings.bonus,
        apr=settings.supply_apr,
        compounding="per second" if settings.supply_apr is not None else "",
    )


def _debt(item: ManualDebt) -> Leg:
    return Leg(
        role=Role.DEBT,
        asset=_asset(item.factor, item.peg, item.amount),
        factor=item.factor,
        peg=item.peg,
        amount=Quantity.of(item.amount),
        price=_price(item.price),
        apr=item.apr,
        compounding="per second" if item.apr is not None else "",
    )


def _position(item: ManualPosition) -> Leg:
    size = abs(item.size)
    return Leg(
        role=Role.POSITION,
        asset=_asset(item.factor, None, size),
        factor=item.factor,
        amount=Quantity.of(size),
        position=Position(
            size=item.size,
            entry=item.entry,
            mark=item.mark,
            quote=item.quote,
            contract=item.contract,
            tiers=item.tiers,
            basis=item.basis,
            initial_rate=_maintenance_rate(item) if item.initial is None else item.initial,
            close_fee=item.close_fee,
            funding_8h=item.funding_8h,
            unrealized_pnl=item.unrealized_pnl,
        ),
    )


def _maintenance_rate(item: ManualPosition) -> Decimal:
    """The rate of the bracket that the position is in now; tiers have floors in the coin that the contract settles in."""
    price = item.entry if item.basis is Basis.ENTRY else item.mark
    size = abs(item.size)
    notional = EXACT.multiply(size, price) if item.contract is Contract.LINEAR else EXACT.divide(size, price)
    return [tier.rate for tier in item.tiers if tier.floor <= notional][-1]


def _asset(factor: Factor, peg: Peg | None, amount: Decimal) -> Asset:
    """What the owner named; the pegged token where there is one (`stETH/ETH` is stETH), else the factor itself."""
    name = peg.partition("/")[0] if peg else factor
    return Asset(AssetId(f"peg:{peg}" if peg else f"factor:{factor}"), name, Quantity.of(amount).decimals)


def _price(usd: Decimal | None) -> Price | None:
    return None if usd is None else Price(Quantity.of(usd), source="book")
