"""Short ways to write down accounts of the model: loans, margin accounts and positions with round numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from defi_risk.health import HealthSettings
from defi_risk.ids import AccountId, AssetId, Factor, Peg
from defi_risk.model import Account, Asset, Basis, Contract, Exact, Leg, Position, Price, Role, SelfCheck, Side, Tier
from defi_risk.units import Quantity

ETH, BTC, SOL, USDC, USDT, USD = (Factor(name) for name in ("ETH", "BTC", "SOL", "USDC", "USDT", "USD"))
SETTINGS = HealthSettings(stables=frozenset({USDC, USDT, Factor("DAI")}))
OWNER = "0x" + "11" * 20
Number = str | int | float | Decimal


def number(value: Number) -> Decimal:
    """A decimal of what is easiest to write; a float means its shortest text."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def asset(factor: Factor, peg: Peg | None = None) -> Asset:
    """The token of a factor, or of a peg."""
    name = peg or factor
    return Asset(AssetId(f"eip155:1/erc20:{name}"), name.split("/", maxsplit=1)[0], 18)


def coin(
    role: Role,
    factor: Factor,
    amount: Number,
    price: Number = 1,
    *,
    weight: Number = 1,
    initial: Number | None = None,
    peg: Peg | None = None,
    enabled: bool = True,
    available: Number | None = None,
) -> Leg:
    """A leg of tokens priced in USD."""
    return Leg(
        role=role,
        asset=asset(factor, peg),
        factor=factor,
        peg=peg,
        amount=Quantity.of(number(amount)),
        price=Price(Quantity.of(number(price))),
        weight=number(weight),
        initial_weight=None if initial is None else number(initial),
        enabled=enabled,
        available=None if available is None else Quantity.of(number(available)),
    )


def collateral(
    factor: Factor,
    amount: Number,
    price: Number = 1,
    weight: Number = 1,
    *,
    initial: Number | None = None,
    peg: Peg | None = None,
    enabled: bool = True,
    available: Number | None = None,
) -> Leg:
    """Collateral of a loan."""
    return coin(Role.COLLATERAL, factor, amount, price, weight=weight, initial=initial, peg=peg, enabled=enabled, available=available)


def debt(factor: Factor, amount: Number, price: Number = 1, peg: Peg | None = None) -> Leg:
    """What is owed."""
    return coin(Role.DEBT, factor, amount, price, peg=peg)


def margin(factor: Factor, amount: Number, price: Number = 1, weight: Number = 1, peg: Peg | None = None) -> Leg:
    """Margin of a derivatives account; `weight` is 1 - haircut."""
    return coin(Role.MARGIN, factor, amount, price, weight=weight, peg=peg)


def position(
    factor: Factor,
    size: Number,
    mark: Number,
    *,
    entry: Number | None = None,
    quote: Factor = USDC,
    maintenance: Number | Sequence[tuple[Number, Number, Number]] = "0.02",
    initial: Number | None = None,
    fee: Number = 0,
    pnl: Number | None = None,
    contract: Contract = Contract.LINEAR,
    basis: Basis = Basis.MARK,
    peg: Peg | None = None,
    quote_peg: Peg | None = None,
) -> Leg:
    """A derivative at entry = mark unless told; `maintenance` is a rate, or tiers of floor, rate and deduction."""
    rows = [(0, maintenance, 0)] if isinstance(maintenance, str | int | float | Decimal) else maintenance
    tiers = tuple(Tier(number(floor), number(rate), number(deduction)) for floor, rate, deduction in rows)
    return Leg(
        role=Role.POSITION,
        asset=asset(factor, peg),
        factor=factor,
        peg=peg,
        amount=Quantity.of(abs(number(size))),
        position=Position(
            size=number(size),
            entry=number(mark if entry is None else entry),
            mark=number(mark),
            quote=quote,
            quote_peg=quote_peg,
            contract=contract,
            tiers=tiers,
            basis=basis,
            initial_rate=tiers[0].rate if initial is None else number(initial),
            close_fee=number(fee),
            unrealized_pnl=None if pnl is None else number(pnl),
        ),
    )


def opened(leg: Leg, **more: Number) -> Leg:
    """The leg with other terms of its position, as decimals."""
    assert leg.position is not None
    terms: dict[str, Any] = {name: number(value) for name, value in more.items()}
    return replace(leg, position=replace(leg.position, **terms))


class More(TypedDict, total=False):
    """Fields of an account that a test cares about."""

    owner: str
    venue: str
    chain: str | None
    exact: Exact | None
    native: dict[str, int | bool]
    self_check: SelfCheck | None
    liquidatable: bool | None
    strict: bool
    blocked: str
    status: str
    reason: str


def loan(*legs: Leg, name: str = "loan", **more: Unpack[More]) -> Account:
    """A lending account with the id `manual:NAME`."""
    return _account(Side.LENDING, legs, name, more)


def perp(*legs: Leg, name: str = "perp", **more: Unpack[More]) -> Account:
    """A derivatives account with the id `manual:NAME`."""
    return _account(Side.DERIVATIVES, legs, name, more)


def _account(side: Side, legs: Sequence[Leg], name: str, more: More) -> Account:
    plain = Account(id=AccountId(f"manual:{name}"), owner=OWNER, side=side, venue=f"venue of {name}", market="main", legs=tuple(legs))
    return replace(plain, **more)
