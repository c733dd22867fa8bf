"""The demo's book a week later: computed from the recorded one, never recorded, so that `explain demo demo:after` has a story to tell.

- prices: ETH is up 8 %, BTC 4 %;
- time: debts have grown at their recorded rates, and the shorts have earned or paid their funding and borrowing for seven days;
- a transfer: 5,000 of the idle USDC went from the wallet to the margin of the short on Hyperliquid;
- parameters: Aave's liquidation threshold of WETH went from 0.83 to 0.80, Hyperliquid's maintenance rate of ETH from 0.02 to 0.025.

No venue has judged this book: its accounts hold no native numbers, and the model's own verdict is the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from defi_risk.explain.accrual import funding, growth
from defi_risk.ids import Factor
from defi_risk.model import Account, Anchor, Leg, Position, Price, Role, SourceReport, Tier
from defi_risk.snapshot.venue import rfc3339
from defi_risk.units import EXACT, Quantity

if TYPE_CHECKING:
    from defi_risk.gathering import Gathered
    from defi_risk.snapshot import Snapshot

WEEK: Final = timedelta(days=7)
SECONDS: Final = int(WEEK.total_seconds())
BLOCK_SECONDS: Final = 12
MOVES: Final = {Factor("ETH"): Decimal("1.08"), Factor("BTC"): Decimal("1.04")}
SENT: Final = Decimal(5000)
THRESHOLD: Final = Decimal("0.80")
DEARER: Final = Decimal("1.25")
NOTE: Final = "computed from the recorded demo: a week of prices, interest, one transfer and new thresholds"
_USDC: Final = Factor("USDC")


def snapshot(found: Gathered, before: Snapshot) -> Snapshot:
    """The demo a week after `before`, which was judged from `found`."""
    from msgspec import structs

    from defi_risk.judging import judge

    later = replace(
        found,
        accounts=week_later(found.accounts),
        quotes={factor: usd * float(MOVES.get(factor, 1)) for factor, usd in found.quotes.items()},
        reports=tuple(_report(report) for report in found.reports),
    )
    judged = judge(later).snapshot
    # nobody has seen this block: it has a time, but no hash
    sources = tuple(structs.replace(source, block_hash=None) for source in judged.sources)
    return structs.replace(judged, taken_at=rfc3339(datetime.fromisoformat(before.taken_at) + WEEK), sources=sources)


def week_later(accounts: Iterable[Account]) -> tuple[Account, ...]:
    """The accounts after what the head of this module tells."""
    return tuple(_account(account) for account in accounts)


def _account(account: Account) -> Account:
    legs = [_later(leg) for leg in account.legs]
    if account.venue == "Wallet":
        legs = [_plus(leg, -SENT) if leg.factor == _USDC else leg for leg in legs]
    elif account.venue == "Hyperliquid":
        legs = [_plus(leg, SENT) if leg.role is Role.MARGIN else _dearer(leg) for leg in _paid(legs, account.legs)]
    elif account.venue == "Binance":
        legs = _paid(legs, account.legs)
    elif account.venue == "GMX V2":
        legs = _unsettled(legs, account.legs)
    elif account.venue == "Aave V3":
        legs = [replace(leg, weight=THRESHOLD) if leg.asset.symbol == "WETH" and leg.role is Role.COLLATERAL else leg for leg in legs]
    return replace(account, legs=tuple(legs), exact=None, native={}, stated={}, self_check=None, liquidatable=None)


def _paid(legs: Iterable[Leg], before: Iterable[Leg]) -> list[Leg]:
    """A week's funding, which is settled into the margin."""
    received = Decimal(repr(sum(funding(leg.position, SECONDS) for leg in before if leg.position)))
    return [_plus(leg, received) if leg.role is Role.MARGIN else leg for leg in legs]


def _later(leg: Leg) -> Leg:
    """A leg at the later price, with a week's interest."""
    if leg.position is not None:
        return replace(leg, position=_position(leg.position, MOVES[leg.factor]))
    grown = growth(float(leg.apr or 0), leg.compounding, SECONDS)
    return replace(leg, amount=Quantity(leg.amount.raw + round(leg.amount.raw * grown), leg.amount.decimals), price=_moved(leg))


def _dearer(leg: Leg) -> Leg:
    """A position with higher maintenance rates."""
    if leg.position is None:
        return leg
    tiers = (Tier(tier.floor, EXACT.multiply(tier.rate, DEARER), EXACT.multiply(tier.deduction, DEARER)) for tier in leg.position.tiers)
    return replace(leg, position=replace(leg.position, tiers=tuple(tiers)))


def _unsettled(legs: Sequence[Leg], before: Iterable[Leg]) -> list[Leg]:
    """A week's borrowing, which is settled on closing, and its funding, which can be claimed apart from the margin."""
    [position] = [leg.position for leg in before if leg.position]
    owed = EXACT.subtract(position.accrued_fees, Decimal(repr(funding(position, SECONDS))))
    received = funding(replace(position, funding_apart=False, borrow_apr=None), SECONDS)
    later = [replace(leg, position=replace(leg.position, accrued_fees=owed)) if leg.position else leg for leg in legs]
    return [leg if leg.enabled else _plus(leg, Decimal(repr(received))) for leg in later]


def _plus(leg: Leg, amount: Decimal) -> Leg:
    return replace(leg, amount=Quantity.of(EXACT.add(leg.amount.decimal(), amount)))


def _moved(leg: Leg) -> Price | None:
    if leg.price is None:
        return None
    return replace(leg.price, value=Quantity.of(EXACT.multiply(leg.price.value.decimal(), MOVES.get(leg.factor, Decimal(1)))))


def _position(position: Position, move: Decimal) -> Position:
    mark = EXACT.multiply(position.mark, move)
    before = position.unrealized_pnl or Decimal(0)
    gained = EXACT.multiply(position.size, EXACT.subtract(mark, position.mark))
    index = None if position.index is None else EXACT.multiply(position.index, move)
    return replace(position, mark=mark, index=index, unrealized_pnl=EXACT.add(before, gained))


def _report(report: SourceReport) -> SourceReport:
    at = report.anchor
    later = Anchor(at.chain, at.number + SECONDS // BLOCK_SECONDS, at.hash, at.timestamp + SECONDS) if at is not None else None
    as_of = None if report.as_of is None else report.as_of + SECONDS
    return replace(report, anchor=later, as_of=as_of, notes=(NOTE,), calls=0, round_trips=0)
