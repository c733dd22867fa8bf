"""What Binance publishes about its contracts: terms, maintenance brackets, funding and index prices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.model import Tier
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import brackets, per_8h

MOST: Final = Decimal(10) ** 15
_SYMBOL: Final = 40
_FOREVER: Final = 4_102_444_800
"""2100-01-01: perpetual contracts are delivered at a time after it."""
_SLACK: Final = Decimal("0.01")
"""Deductions are rounded to hundredths at most (COIN-M: 0.56 BTC)."""


@dataclass(frozen=True, slots=True)
class Family:
    """Contracts that are listed together: the name of their wallet, and of the reads that tell about them."""

    name: str
    linear: bool
    contracts: str
    brackets: str
    premium: str
    intervals: str


USDM: Final = Family("usdm", True, "contracts", "brackets", "premium", "intervals")
COINM: Final = Family("coinm", False, "coin_contracts", "coin_brackets", "coin_premium", "coin_intervals")
UM: Final = Family("um", True, "contracts", "pm_um_brackets", "premium", "intervals")
CM: Final = Family("cm", False, "coin_contracts", "pm_cm_brackets", "coin_premium", "coin_intervals")


@dataclass(frozen=True, slots=True)
class Listed:
    """A contract: the coin it follows (`base`), the one it is quoted in and the one it settles in (`coin`), the USD that one contract is of
    where it is inverse (else 1), and the unix time at which it is delivered: where it is `perpetual`, taken off the exchange.
    """

    symbol: str
    base: str
    quote: str
    coin: str
    linear: bool
    value: Decimal
    perpetual: bool
    delivered: int | None

    @property
    def expires(self) -> int | None:
        """When a dated future ends; a perpetual one pays funding to its last day."""
        return None if self.perpetual else self.delivered


@dataclass(frozen=True, slots=True)
class Premium:
    """A contract's funding rate for 8 hours, and its index as a share of its mark: fresher marks are multiplied with it, as the share moves
    far less than prices do. None where the exchange does not tell.
    """

    funding_8h: Decimal | None
    index_share: Decimal | None


@dataclass(slots=True)
class Tables:
    """The tables of one family for the contracts that an account holds, and what must be said of them."""

    contracts: Mapping[str, Listed]
    tiers: dict[str, tuple[Tier, ...]] = field(default_factory=dict)
    premiums: Mapping[str, Premium] = field(default_factory=dict)
    assumptions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def says(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Assumptions about these contracts."""
        return tuple(text for symbol, text in self.assumptions.items() if symbol in symbols)


def tables(at: Desk, family: Family, symbols: Collection[str], premium: object = None) -> Requests[Tables]:
    """The tables for these contracts; `premium` is an answer with their index prices and funding, if there is one already.

    Raises `Unsupported` for a contract that is not listed, or that neither the exchange nor the bundled tables have brackets of.
    """
    if not symbols:
        return Tables({})
    listed = yield from _listed(family, symbols)
    result = Tables(listed)
    for one in listed.values():
        if one.perpetual and one.delivered is not None:
            ends = datetime.fromtimestamp(one.delivered, UTC)
            result.notes.append(f"{one.symbol} ends: the exchange settles it on {ends:%Y-%m-%d %H:%M} UTC")
    yield from _brackets(at, family, symbols, result)
    if premium is None:
        [premium] = yield [ExchangeCall(family.premium, optional=True)]
    [intervals] = yield [ExchangeCall(family.intervals, optional=True)]
    for lost, what in ((premium, "funding rates"), (intervals, "funding intervals")):
        if isinstance(lost, Failed):
            result.notes.append(f"{what} are not known: {lost.reason}")
    if not isinstance(premium, Failed):
        result.premiums = _premiums(at, premium, None if isinstance(intervals, Failed) else intervals, listed)
    return result


def _listed(family: Family, symbols: Collection[str]) -> Requests[dict[str, Listed]]:
    for read in (family.contracts, f"{family.contracts}_now"):
        [answer] = yield [ExchangeCall(read)]
        rows = _by_symbol(Answer(answer, "exchangeInfo")["symbols"])
        if all(symbol in rows for symbol in symbols):
            return {symbol: _contract(rows[symbol], symbol, family.linear) for symbol in symbols}
    missing = next(symbol for symbol in symbols if symbol not in rows)
    raise Unsupported(f"{shown(missing)} is in no list of {family.name} contracts of the exchange")


def _contract(row: Answer, symbol: str, linear: bool) -> Listed:
    delivery = row["deliveryDate"].integer(1) // 1_000
    perpetual = "PERPETUAL" in row["contractType"].text()
    base, quote, coin = (row[name].text(20) for name in ("baseAsset", "quoteAsset", "marginAsset"))
    if coin != (quote if linear else base):
        raise Unsupported(f"{shown(symbol)} settles in {coin}, which is not modelled")
    value = Decimal(1) if linear else row["contractSize"].decimal(1, MOST)
    return Listed(symbol, base, quote, coin, linear, value, perpetual, None if delivery >= _FOREVER else delivery)


def _brackets(at: Desk, family: Family, symbols: Collection[str], result: Tables) -> Requests[None]:
    found: dict[str, Answer] = {}
    for read in (family.brackets, f"{family.brackets}_now"):
        [answer] = yield [ExchangeCall(read, optional=True)]
        if isinstance(answer, Failed):
            break
        found = _by_symbol(Answer(answer, "leverageBracket"))
        if all(symbol in found for symbol in symbols):
            break
    for symbol in symbols:
        if symbol in found:
            result.tiers[symbol] = _tiers(found[symbol], symbol)
            if (coefficient := found[symbol].get("notionalCoef")) is not None and coefficient.decimal(0) != 1:
                result.assumptions[symbol] = f"brackets of {symbol} are this account's own, by a coefficient of {coefficient.decimal()}"
        elif (bundled := at.tiers.get(symbol)) is not None:
            result.tiers[symbol] = bundled.tiers
            result.assumptions[symbol] = f"brackets of {symbol} are those published on {bundled.as_of}: the exchange did not give them now"
        else:
            raise Unsupported(f"no maintenance brackets of {shown(symbol)} are known", hint="let the key read futures")


def _tiers(row: Answer, symbol: str) -> tuple[Tier, ...]:
    """Brackets with the exchange's own deductions. Raises `OutOfRange` where they do not meet at the floors."""
    rows: list[Tier] = []
    for part in row["brackets"].listing(100):
        names = ("notionalFloor", "qtylFloor", "qtyFloor")
        floor = next((field for name in names if (field := part.get(name)) is not None), None)
        low = part["notionalFloor"] if floor is None else floor
        rate = part["maintMarginRatio"].decimal(0, 1)
        if not rate:
            raise OutOfRange(f"a bracket of {shown(symbol)} has no maintenance rate")
        rows.append(Tier(low.decimal(0, MOST), rate, part["cum"].decimal(0, MOST)))
    told = tuple(sorted(rows, key=lambda tier: tier.floor))
    for tier, right in zip(told, brackets((tier.floor, tier.rate) for tier in told), strict=True):
        if abs(tier.deduction - right.deduction) > _SLACK * max(Decimal(1), right.deduction):
            raise OutOfRange(f"brackets of {shown(symbol)} do not meet at {tier.floor}")
    return told


def _premiums(at: Desk, premium: object, intervals: object, listed: Mapping[str, Listed]) -> dict[str, Premium]:
    rows = _by_symbol(Answer(premium, "premiumIndex"))
    told = {} if intervals is None else _by_symbol(Answer(intervals, "fundingInfo"))
    hours = {symbol: row["fundingIntervalHours"].decimal(0, 24) for symbol, row in told.items()}
    result: dict[str, Premium] = {}
    for symbol in listed.keys() & rows.keys():
        row, rate = rows[symbol], rows[symbol].get("lastFundingRate")
        mark, index = row["markPrice"].decimal(0, MOST), row["indexPrice"].decimal(0, MOST)
        paid = intervals is not None and rate is not None and rate.value != "" and listed[symbol].expires is None
        every = hours[symbol] if symbol in hours else at.rule("funding_interval_hours")
        funding = per_8h(rate.decimal(-1, 1), every) if paid and rate is not None else None
        result[symbol] = Premium(funding, EXACT.divide(index, mark) if mark and index else None)
    return result


def indices(answer: Any) -> dict[str, Decimal]:
    """USD index of the coins of COIN-M contracts, by coin."""
    found: dict[str, Decimal] = {}
    for row in Answer(answer, "premiumIndex").listing():
        pair, index = row["pair"].text(_SYMBOL), row["indexPrice"].decimal(0, MOST)
        if pair.endswith("USD") and index:
            found[pair.removesuffix("USD")] = index
    return found


def _by_symbol(rows: Answer) -> dict[str, Answer]:
    """Rows by their symbol; Binance gives one object where there is one symbol."""
    listed = [rows] if isinstance(rows.value, Mapping) else rows.listing()
    return {row["symbol"].text(_SYMBOL): row for row in listed}
