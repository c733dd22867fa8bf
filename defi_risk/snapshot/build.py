"""From accounts, figures and flags to a snapshot. Text that somebody else wrote is cleaned here, once, for every sink behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, cast, overload

from msgspec import UNSET, structs

import defi_risk
from defi_risk import model
from defi_risk.flags.model import Flag as RaisedFlag
from defi_risk.health import figures as health
from defi_risk.health import normal
from defi_risk.health.figures import AccountFigures, BookFigures, Figures
from defi_risk.health.normal import in_floats, profit
from defi_risk.ids import Factor
from defi_risk.linking import Link
from defi_risk.snapshot import converted
from defi_risk.snapshot.linked import linked
from defi_risk.snapshot.model import (
    SCHEMA,
    Account,
    BookHealth,
    Bound,
    Direction,
    Evidence,
    Exposure,
    Flag,
    Key,
    Kind,
    Leg,
    Liquidation,
    MarketMoves,
    NearestFactor,
    SelfCheck,
    Snapshot,
    Source,
    SourceStatus,
    Terms,
    Tick,
)
from defi_risk.snapshot.venue import liquidation_rule, oracle, rfc3339
from defi_risk.text import clean
from defi_risk.units import plain

LONGEST: Final = 1000
EXACT_IN_JSON: Final = 2**53
FIGURES: Final = (
    "equity_usd", "collateral_usd", "debt_usd", "weighted_collateral_usd", "requirement_usd", "initial_requirement_usd", "surplus_usd",
    "mur", "free_margin_usd", "withdrawable_usd", "health", "hf", "sigma", "time_to_liquidation_days",
)  # fmt: skip
NO_FIGURES: Final[dict[str, Any]] = {
    **dict.fromkeys(FIGURES),
    "liquidatable": None,
    "liquidation": (),
    "ticks": (),
    "sigma_missing": (),
    "market_moves": MarketMoves(down=None, up=None),
}
NO_VALUES: Final[dict[str, Any]] = dict.fromkeys(
    ("size", "entry_price", "funding_rate", "price_usd", "value_usd", "notional_usd", "unrealized_pnl_usd", "maintenance_usd")
)
NO_PRICES: Final[Mapping[Factor, float]] = MappingProxyType({})


def build(
    book_name: str,
    accounts: Sequence[model.Account],
    figures: Figures,
    flags: Sequence[RaisedFlag],
    sources: Sequence[model.SourceReport],
    taken_at: datetime | float,
    prices: Mapping[Factor, float] = NO_PRICES,
    links: Sequence[Link] = (),
) -> Snapshot:
    """The snapshot of one scan at a time (unix seconds, or one that knows its zone).

    `prices` are USD per unit of factors that positions are quoted in, for accounts that hold no margin in them; `links` say which loan
    funds which margin.
    """
    times = {source.anchor.chain.name: source.anchor.timestamp for source in sources if source.anchor}
    when = taken_at if isinstance(taken_at, datetime) else datetime.fromtimestamp(taken_at, UTC)
    return Snapshot(
        schema=SCHEMA,
        version=defi_risk.__version__,
        book=_text(book_name) or "book",
        taken_at=rfc3339(when),
        partial=any(source.status == "failed" for source in sources) or any(not account.known for account in accounts),
        sources=tuple(_source(source) for source in sources),
        accounts=tuple(_account(account, figures.accounts.get(account.id), prices, times.get(account.chain or "")) for account in accounts),
        book_health=book_health(figures.book),
        exposures=tuple(_exposure(item) for item in figures.exposures),
        flags=tuple(_flag(flag) for flag in flags),
        boundary=None if figures.boundary is None else converted.boundary(figures.boundary),
        stress=tuple(converted.stress(one) for one in figures.stress),
        cascade={path: tuple(converted.event(one) for one in events) for path, events in figures.cascade.items()},
        notes=tuple(_text(note) for note in figures.notes),
        links=tuple(linked(link, accounts) for link in links),
        skew_seconds=_skew(sources),
        chance=UNSET if figures.chance is None else converted.chance(figures.chance),
    )


def _skew(sources: Sequence[model.SourceReport]) -> int | None:
    """Seconds between the oldest and the newest of the times that sources of accounts were read at."""
    times = [source.anchor.timestamp for source in sources if source.anchor]
    times += [source.as_of for source in sources if source.as_of is not None and source.kind == "exchange"]
    return max(times) - min(times) if len(times) > 1 else None


def _time(seconds: int | None) -> str | None:
    if seconds is None or not 0 <= seconds < 253_402_300_800:  # the year 10000
        return None
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _text(text: str) -> str:
    """Clean text; empty stays empty."""
    return clean(text, LONGEST) if text else ""


@overload
def _plus(value: float) -> float: ...
@overload
def _plus(value: float | None) -> float | None: ...
def _plus(value: float | None) -> float | None:
    """Without the sign of a negative zero."""
    return None if value is None else value + 0.0


def _source(report: model.SourceReport) -> Source:
    anchor = report.anchor
    return Source(
        id=_text(report.id),
        kind=cast("Kind", report.kind),
        status=cast("SourceStatus", report.status),
        error=_text(report.error) or None,
        chain_id=anchor.chain.id if anchor else None,
        block=anchor.number if anchor else None,
        block_hash=anchor.hash if anchor else None,
        block_time=_time(anchor.timestamp if anchor else None),
        as_of=_time(report.as_of),
        key=None if report.key is None else Key(trade=report.key.trade, withdraw=report.key.withdraw, bound=report.key.bound),
        calls=report.calls,
        round_trips=report.round_trips,
        seconds=round(report.seconds, 3),
        notes=tuple(_text(note) for note in (*report.notes, *([report.sequencer] if report.sequencer else []))),
    )


def _account(account: model.Account, figures: AccountFigures | None, prices: Mapping[Factor, float], time: int | None) -> Account:
    known = account.known and figures is not None
    record = Account(
        id=_text(account.id),
        owner=_text(account.owner),
        owner_name=_text(account.owner_name) or None,
        side=account.side.value,
        venue=_text(account.venue),
        market=_text(account.market),
        chain=account.chain,
        mode=_text(account.mode),
        status="ok" if known else "unknown",
        reason=None if known else _text(account.reason) or "no figures",
        native=_native(account.numbers),
        self_check=_self_check(account.self_check),
        line=float(account.line),
        assumptions=tuple(_text(one) for one in account.assumptions),
        strict=account.strict,
        blocked=_text(account.blocked) or None,
        liquidation_rule=liquidation_rule(account.rule),
        legs=tuple(_leg(account, leg, prices, time, known) for leg in account.legs),
        **NO_FIGURES,
    )
    return _judged(record, figures) if known and figures is not None else record


def _judged(record: Account, figures: AccountFigures) -> Account:
    return structs.replace(
        record,
        **{name: _plus(getattr(figures, name)) for name in FIGURES},
        liquidatable=figures.liquidatable,
        sigma_missing=tuple(_text(name) for name in figures.sigma_missing),
        market_moves=MarketMoves(down=_plus(figures.down), up=_plus(figures.up)),
        liquidation=tuple(
            Liquidation(
                factor=_text(move.peg or move.factor), direction=_direction(move.direction), move=_plus(move.move), price=_plus(move.price)
            )
            for move in figures.moves
        ),
        ticks=tuple(
            Tick(
                token=tick.asset.id,
                symbol=tick.asset.symbol,
                direction=_direction(tick.direction),
                now=str(tick.now),
                answer=str(tick.answer),
            )
            for tick in figures.ticks
        ),
    )


def _native(numbers: Mapping[str, model.Native]) -> dict[str, str]:
    return {_text(name): _text(model.as_text(value)) for name, value in numbers.items()}


def _self_check(check: model.SelfCheck | None) -> SelfCheck | None:
    if check is None:
        return None
    return SelfCheck(
        protocol=_native(check.protocol), match=check.match, tolerance=UNSET if check.tolerance is None else float(check.tolerance)
    )


def _direction(word: str) -> Direction:
    return "up" if word == "up" else "down"


def _leg(account: model.Account, leg: model.Leg, prices: Mapping[Factor, float], time: int | None, known: bool) -> Leg:
    weighed = leg.role in (model.Role.COLLATERAL, model.Role.MARGIN)
    record = Leg(
        role=leg.role.value,
        token=leg.asset.id,
        symbol=leg.asset.symbol,
        factor=_text(leg.factor),
        peg=_text(leg.peg) if leg.peg else None,
        amount=None if leg.position else str(leg.amount),
        weight=float(leg.weight) if weighed else None,
        initial_weight=_number(leg.initial_weight) if weighed else None,
        bonus=_number(leg.bonus),
        available=None if leg.available is None else str(leg.available),
        oracle=oracle(leg.price, time),
        apr=_number(leg.apr),
        compounding=leg.compounding or None,
        maintenance_rate=float(leg.maintenance_rate),
        enabled=leg.enabled,
        terms=None,
        **NO_VALUES,
    )
    if leg.position:
        record = structs.replace(
            record,
            size=plain(leg.position.size),
            entry_price=float(leg.position.entry),
            funding_rate=_number(leg.position.funding_8h),
        )
    return _valued(record, account, leg, prices) if known else record


def _valued(record: Leg, account: model.Account, leg: model.Leg, prices: Mapping[Factor, float]) -> Leg:
    """The USD figures of one leg: those of an account that holds nothing else."""
    position = leg.position
    if position is None:
        [holding] = in_floats(replace(account, legs=(leg,)), prices).holdings
        return structs.replace(record, price_usd=_plus(holding.price), value_usd=_plus(holding.value))
    quote = _quote_usd(account, position, prices)
    linear, mark, size = position.contract is model.Contract.LINEAR, float(position.mark), float(position.size)
    coin = quote if linear else _coin_usd(account, normal.Key(leg.factor, leg.peg), prices)
    alone = in_floats(replace(account, legs=(leg,)), {**prices, position.quote: coin if linear else coin / mark})
    return structs.replace(
        record,
        price_usd=mark * quote,
        notional_usd=abs(size * mark * quote if linear else size * quote),
        unrealized_pnl_usd=_plus(profit(position, float) * coin),
        initial_usd=_plus(alone.initial),
        maintenance_usd=_plus(alone.requirement()),
        accrued_funding_usd=_plus(float(position.accrued_funding) * coin),
        accrued_fees_usd=_plus(float(position.accrued_fees) * coin),
        terms=_terms(position, quote),
    )


def _terms(position: model.Position, quote_usd: float) -> Terms:
    return Terms(
        contract=position.contract.value,
        quote=_text(position.quote),
        quote_peg=_text(position.quote_peg) if position.quote_peg else None,
        quote_usd=quote_usd,
        mark=float(position.mark),
        unrealized_pnl=_plus(profit(position, float)),
        tiers=tuple((float(tier.floor), float(tier.rate), float(tier.deduction)) for tier in position.tiers),
        maintenance_basis=position.basis.value,
        initial_rate=float(position.initial_rate),
        close_fee=float(position.close_fee),
        accrued_funding=_plus(float(position.accrued_funding)),
        accrued_fees=_plus(float(position.accrued_fees)),
        exit_cost=_plus(float(position.exit_cost)),
        liquidation_fee=float(position.liquidation_fee),
        funding_apart=position.funding_apart,
        borrow_apr=_number(position.borrow_apr),
        pnl_weight=float(position.pnl_weight),
        expires=_time(position.expires),
        index=_number(position.index),
    )


def _quote_usd(account: model.Account, position: model.Position, prices: Mapping[Factor, float]) -> float:
    """USD per quote coin: that of the account's margin in the same coin, else the book's, else 1."""
    leg = normal.margin_in(account.legs, normal.Key(position.quote, position.quote_peg))
    return prices.get(position.quote, 1.0) if leg is None or leg.price is None else float(leg.price.value)


def _coin_usd(account: model.Account, coin: normal.Key, prices: Mapping[Factor, float]) -> float:
    """USD per coin that an inverse contract of the account settles in."""
    leg = normal.pricing(account.legs, coin)
    if leg is not None and leg.position is not None:
        return float(leg.position.mark) * _quote_usd(account, leg.position, prices)
    return 0.0 if leg is None or leg.price is None else float(leg.price.value)


def _number(value: Decimal | None) -> float | None:
    return None if value is None else _plus(float(value))


def book_health(figures: BookFigures) -> BookHealth:
    """The figures of a whole book."""
    nearest = figures.nearest_factor
    return BookHealth(
        uhf=_plus(figures.uhf),
        first_account=figures.first_account,
        first_side=_direction(figures.first_side) if figures.first_side else None,
        corridor=(_plus(figures.corridor[0]), _plus(figures.corridor[1])),
        netted_uhf=_plus(figures.netted_uhf),
        netted_health=_plus(figures.netted_health),
        stranded_usd=_plus(figures.stranded_usd),
        fragmentation=_plus(figures.fragmentation),
        mur=_plus(figures.mur),
        net_equity_usd=_plus(figures.net_equity_usd),
        true_leverage=_plus(figures.true_leverage),
        nearest_factor=NearestFactor(
            factor=_text(nearest.factor),
            direction=_direction(nearest.direction),
            move=_plus(nearest.move),
            account=nearest.account,
        )
        if nearest
        else None,
        bound=cast("Bound", figures.bound),
        time_to_liquidation_days=figures.time_to_liquidation_days,
        sigma=converted.sigma(figures.sigma),
    )


def _exposure(item: health.Exposure) -> Exposure:
    return Exposure(
        factor=_text(item.factor),
        long_usd=_plus(item.long_usd),
        short_usd=_plus(item.short_usd),
        net_usd=_plus(item.net_usd),
        by_venue={_text(venue) or "?": _plus(usd) for venue, usd in item.by_venue.items()},
        corridor=(_plus(item.corridor[0]), _plus(item.corridor[1])),
        hedge_ratio=_plus(item.hedge_ratio),
    )


def _flag(flag: RaisedFlag) -> Flag:
    return Flag(
        code=flag.code,
        severity=flag.severity.value,
        accounts=tuple(flag.accounts),
        message=_text(flag.message),
        evidence={name: _evidence(value) for name, value in flag.evidence.items()},
        threshold=_text(flag.threshold) if isinstance(flag.threshold, str) else flag.threshold,
    )


def _evidence(value: Evidence) -> Evidence:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and abs(value) > EXACT_IN_JSON:
        return str(value)
    return value
