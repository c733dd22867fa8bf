"""Lighter: accounts of one address, margined in USDC. What is read is public, so no key is needed.

    cross_asset_value = collateral + profit of cross positions,  maintenance = sum of |position| * mark * maintenance fraction of the market

Dead when maintenance is above the account's value, and not at it. The exchange closes step by step below that line, and takes the whole
below a lower one (`closeout_margin_fraction`); here a liquidation closes all. An isolated position has its `allocated_margin` for itself.
Where other coins are part of the collateral, the value is more than these, and the account is unknown. Marks are those of `position_value`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Account, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import accounted
from defi_risk_adapters.exchanges.common import ZERO, same_digits
from defi_risk_adapters.exchanges.generic import (
    MOST,
    OF_ONE_MOMENT,
    Figures,
    Line,
    cross,
    distinct,
    equity_of,
    isolated,
    needed_by,
    optional,
    shown_price,
    traces,
    unread,
)

USDC: Final = "USDC"
PERCENT: Final = Decimal(100)
PIECES: Final = Decimal(10_000)
"""Margin fractions of markets are written in these."""
CENTS: Final = Decimal("0.01")
"""USDC by which an account's value may differ from collateral and profit before something else must be in it."""
NOT_FOUND: Final = "HTTP 400"
"""How Lighter answers for an account that there is not."""
_API: Final = "GET /api/v1/"


class Lighter:
    """Every account of the address, or the one of the index, in the book's `wallet`."""

    names: ClassVar = ("lighter",)
    api: ClassVar = API
    venue: ClassVar = "Lighter"
    needs: ClassVar = ("walletAddress",)
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "account": ExchangeRead("publicGetAccount", (_API + "account",)),
        "details": ExchangeRead("publicGetOrderBookDetails", (_API + "orderBookDetails",), kept=21_600, private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Balance and positions come in one answer, and are of one moment."""
        by = "index" if at.address.isdigit() else "l1_address"
        ask = ExchangeCall("account", (("by", by), ("value", at.address)))
        [given, listed] = yield [replace(ask, optional=True), ExchangeCall("details")]
        if isinstance(given, Failed):
            if NOT_FOUND in given.reason:
                raise BadAnswer("Lighter tells of no account of this index or address: nothing was ever paid in, or it is mistyped")
            [given] = yield [ask]
        markets = {row["market_id"].integer(0): row for row in Answer(listed, "orderBookDetails")["order_book_details"].listing()}
        found: list[Account | SourceReport] = []
        told = Answer(given, "account")
        rows, counted = told["accounts"].listing(), told.get("total")
        if not rows:
            raise BadAnswer("Lighter tells of no account of this address")
        if counted is not None and counted.integer(0) > len(rows):
            raise BadAnswer(f"Lighter counts {counted.integer()} accounts of this address, and tells of {len(rows)}")
        seen: set[int] = set()
        for row in rows:
            index = row["index"].integer(0)
            if index in seen:
                raise BadAnswer(f"account {index} is listed twice")
            seen.add(index)
            owner = row["l1_address"].text(80).lower() if by == "l1_address" else str(index)
            if owner != at.address.lower():
                raise BadAnswer(f"account {index} is of another address")
            found += self._account(at, index, row, markets)
        return found

    def _account(self, at: Desk, index: int, row: Answer, markets: Mapping[int, Answer]) -> list[Account]:
        name = f"account-{index}"
        lines = distinct(_line(one, markets) for one in row["positions"].listing() if one["position"].decimal(-MOST, MOST))
        collateral, value = row["collateral"].decimal(-MOST, MOST), row["cross_asset_value"].decimal(-MOST, MOST)
        apart = [line for line in lines if line.margin is not None]
        shared = [line for line in lines if line.margin is None]
        accounts = [
            isolated(at, self.venue, name, USDC, line, figures=Figures(ours={}, theirs={}, tolerance=OF_ONE_MOMENT)) for line in apart
        ]
        more = EXACT.subtract(value, equity_of(collateral, shared))
        if abs(more) > CENTS:
            reason = f"the value of Lighter's account {index} is {more.normalize():f} USDC more than its collateral and profit"
            return [*accounts, unread(at, self.venue, [name], f"{reason}: other collateral is not modelled")]
        if coins := _pledged(row):
            reason = f"{', '.join(coins)} in the margin of Lighter's account {index}: other collateral is not modelled"
            return [*accounts, unread(at, self.venue, [name], reason)]
        accounted(USDC, shared, *traces(row, "cross_maintenance_margin_requirement"))
        if not collateral and not shared:
            return accounts
        figures = _figures(row, collateral, shared)
        return [*accounts, cross(at, self.venue, [name], USDC, collateral, shared, figures=figures, strict=True)]

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """There is no key."""
        yield from ()
        return None


def _pledged(row: Answer) -> list[str]:
    """Other coins that are part of the margin, as they can be in a unified account; the margin balance of USDC is its `collateral`."""
    assets = row.get("assets")
    rows = [] if assets is None else assets.listing()
    return sorted({one["symbol"].text() for one in rows if optional(one, "margin_balance")} - {USDC})


def _line(row: Answer, markets: Mapping[int, Answer]) -> Line:
    market, symbol, sign = markets.get(row["market_id"].integer(0)), row["symbol"].text(), row["sign"].integer()
    if market is None or market["symbol"].text() != symbol or market["market_type"].text() != "perp":
        raise Unsupported(f"Lighter lists no perpetual {symbol!r} with this number, in which there is a position")
    mode = row["margin_mode"].integer()
    if mode not in (0, 1) or sign not in (1, -1):
        raise Unsupported(f"Lighter's margin mode {mode} with sign {sign} is not known")
    size = abs(row["position"].decimal(-MOST, MOST))
    mark = EXACT.divide(abs(row["position_value"].decimal(-MOST, MOST)), size)
    initial = EXACT.divide(row["initial_margin_fraction"].decimal(0, 100), PERCENT)
    rate = EXACT.divide(market["maintenance_margin_fraction"].decimal(1, PIECES), PIECES)
    if not mark:
        raise BadAnswer(f"the position in {symbol} has no value")
    position = Position(
        size=EXACT.multiply(Decimal(sign), size),
        entry=row["avg_entry_price"].decimal(0, MOST),
        mark=mark,
        quote=Factor(USDC),
        tiers=(Tier(ZERO, rate, ZERO),),
        initial_rate=max(initial, rate),
        unrealized_pnl=row["unrealized_pnl"].decimal(-MOST, MOST),
    )
    margin = row["allocated_margin"].decimal(-MOST, MOST) if mode == 1 else None
    return Line(symbol=symbol, coin=symbol, position=position, margin=margin, shown=shown_price(row, "liquidation_price"))


def _figures(row: Answer, collateral: Decimal, lines: Sequence[Line]) -> Figures:
    """The cross account's value, and what it needs where the exchange tells it."""
    value = str(row["cross_asset_value"].value)
    theirs = {"collateral": str(row["collateral"].value), "cross_asset_value": value}
    ours = {"collateral": theirs["collateral"], "cross_asset_value": same_digits(equity_of(collateral, lines), value)}
    field = "cross_maintenance_margin_requirement"
    if lines and optional(row, field):
        theirs[field] = str(row[field].value)
        ours[field] = same_digits(needed_by(lines), theirs[field])
    return Figures(ours=ours, theirs=theirs, tolerance=Decimal("0.001"))
