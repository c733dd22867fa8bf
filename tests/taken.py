"""Snapshots of made-up books at any time, and the same books with something changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from defi_risk import health, snapshot
from defi_risk.health import HealthSettings
from defi_risk.ids import ChainId, Factor
from defi_risk.model import Account, Anchor, Chain, Leg, Position, Price, SourceReport
from defi_risk.snapshot import Snapshot
from defi_risk.units import Quantity
from tests.accounts import SETTINGS

TIME = 1_734_163_211  # 2024-12-14 08:00:11 UTC
DAY = 86_400
WEEK = 7 * DAY
CHAIN = Chain(ChainId(1), "ethereum")


def read(seconds: int = 0) -> SourceReport:
    """A chain that was read."""
    return SourceReport(id="ethereum", anchor=Anchor(CHAIN, 21_400_000 + seconds // 12, "0x" + "ab" * 32, TIME - 12 + seconds))


def failed(name: str = "ethereum", kind: str = "chain") -> SourceReport:
    """A source that was not."""
    return SourceReport(id=name, kind=kind, status="failed", error="no answer")


def taken(
    accounts: Sequence[Account],
    seconds: int = 0,
    *,
    sources: Sequence[SourceReport] | None = None,
    settings: HealthSettings = SETTINGS,
    name: str = "desk",
    prices: Mapping[Factor, float] | None = None,
) -> Snapshot:
    """The snapshot of a book, so many seconds later."""
    reports = (read(seconds),) if sources is None else sources
    partial = any(source.status == "failed" for source in reports)
    figures = health.run(accounts, settings, quotes=prices, partial=partial)
    return snapshot.build(name, accounts, figures, (), reports, TIME + seconds, prices or {})


def with_legs(account: Account, change: Callable[[Leg], Leg]) -> Account:
    """The account with every leg changed."""
    return replace(account, legs=tuple(change(leg) for leg in account.legs))


def priced(leg: Leg, times: Decimal) -> Leg:
    """The leg at another price (a position: mark)."""
    if leg.position is not None:
        return replace(leg, position=replace(leg.position, mark=leg.position.mark * times))
    if leg.price is None:
        return leg
    return replace(leg, price=Price(Quantity.of(leg.price.value.decimal() * times)))


def sized(leg: Leg, times: Decimal) -> Leg:
    """The leg with another amount (a position: size, and with it what leaving costs)."""
    if leg.position is not None:
        return replace(leg, position=replace(leg.position, size=leg.position.size * times, exit_cost=leg.position.exit_cost * times))
    return replace(leg, amount=Quantity.of(leg.amount.decimal() * times))


def weighed(leg: Leg, times: Decimal) -> Leg:
    """The leg with another weight (a position: maintenance)."""
    if leg.position is not None:
        tiers = tuple(replace(tier, rate=tier.rate * times, deduction=tier.deduction * times) for tier in leg.position.tiers)
        return replace(leg, position=replace(leg.position, tiers=tiers))
    return replace(leg, weight=leg.weight * times)


def derivative(leg: Leg) -> Position:
    """The position of a leg that has one."""
    assert leg.position is not None
    return leg.position
