"""Deribit futures and perpetuals, margined by currency: one account a currency, in that currency.

    equity = balance + futures_session_upl + session_rpl + options_value,  margin_balance = equity - options_value
    liquidated when maintenance_margin > margin_balance, not at it

Standard margin rises with the size of a position by a formula of each instrument that the interface does not give, and portfolio margin is
a grid of scenarios: what Deribit asks for now is taken as a share of the notional, and held. Options, and collateral across currencies
(`cross_sm`, `cross_pm`), are named and unknown. Profit counts since the last daily settlement, which pays it into the balance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import Unsupported
from defi_risk.ids import USD
from defi_risk.model import Account, Contract, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import accounted
from defi_risk_adapters.exchanges.common import ZERO, maintenance, notional, profit, same_digits, steady
from defi_risk_adapters.exchanges.generic import (
    DOLLARS,
    MOST,
    Figures,
    Line,
    cross,
    distinct,
    equity_of,
    needed_by,
    optional,
    quote_of,
    shown_price,
    total,
    traces,
    unread,
)

MODELS: Final = {"segregated_sm": "standard", "segregated_pm": "portfolio"}
HELD: Final = "maintenance of {} is Deribit's present one, held as a share of the notional: its rate rises with the size"
GRID: Final = "portfolio margin of {} is Deribit's present requirement, held as a share of the notional: its scenarios are not computed"
FAR: Final = Decimal(32_000_000_000_000)
"""Milliseconds after which an expiry is that of a perpetual."""
_API: Final = "GET /api/v2/"


class Deribit:
    """Every currency that holds something."""

    names: ClassVar = ("deribit",)
    api: ClassVar = API
    venue: ClassVar = "Deribit"
    needs: ClassVar = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", (_API + "public/get_time",), private=False),
        "summaries": ExchangeRead("privateGetGetAccountSummaries", (_API + "private/get_account_summaries",)),
        "positions": ExchangeRead("privateGetGetPositions", (_API + "private/get_positions",)),
        "instruments": ExchangeRead("publicGetGetInstruments", (_API + "public/get_instruments",), kept=21_600, private=False),
        "book": ExchangeRead("publicGetGetBookSummaryByCurrency", (_API + "public/get_book_summary_by_currency",), 600, private=False),
        "index": ExchangeRead("publicGetGetIndexPrice", (_API + "public/get_index_price",), kept=600, private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Summaries of all currencies, with all positions of the same moment."""
        before, [given] = yield from steady(
            [ExchangeCall("summaries")], lambda _: [ExchangeCall("positions", (("currency", "any"),))], _held
        )
        rows = [row for row in Answer(given, "positions")["result"].listing() if row["size"].decimal(-MOST, MOST)]
        futures = [row for row in rows if row["kind"].text() == "future"]
        instruments: dict[str, Answer] = {}
        if futures:
            [listed] = yield [ExchangeCall("instruments", (("currency", "any"), ("kind", "future")))]
            instruments = {row["instrument_name"].text(): row for row in Answer(listed, "instruments")["result"].listing()}
        options = {row["instrument_name"].text() for row in rows if row["kind"].text() != "future"}
        names = {row["instrument_name"].text() for row in futures}
        if missing := names - set(instruments):
            raise Unsupported(f"Deribit lists no instrument {min(missing)!r}, in which there is a position")
        accounts: list[Account | SourceReport] = []
        for summary in _summaries(before[0]):
            if _empty(summary):
                continue
            coin = summary["currency"].text()
            mine = [row for row in futures if _settles(instruments[row["instrument_name"].text()]) == coin]
            if reason := _unmodelled(summary, options):
                accounts.append(unread(at, self.venue, [coin], reason))
                continue
            accounts += yield from self._currency(at, coin, summary, mine, instruments)
        told = {summary["currency"].text() for summary in _summaries(before[0]) if not _empty(summary)}
        lost = {_settles(instruments[name]) for name in names} - told
        if lost:
            raise Unsupported(f"Deribit tells no account in {min(lost)}, in which there are positions")
        return accounts

    def _currency(
        self, at: Desk, coin: str, summary: Answer, rows: Sequence[Answer], instruments: Mapping[str, Answer]
    ) -> Requests[list[Account | SourceReport]]:
        notes: list[str] = []
        funding: dict[str, Decimal] = {}
        if rows:
            [book] = yield [ExchangeCall("book", (("currency", coin), ("kind", "future")), optional=True)]
            if isinstance(book, Failed):
                notes.append(f"funding of {coin} was not read: {book.reason}")
            else:
                funding = _funding(book)
        elsewhere = None
        if not rows and coin not in DOLLARS:
            [index] = yield [ExchangeCall("index", (("index_name", f"{coin.lower()}_usd"),), optional=True)]
            elsewhere = None if isinstance(index, Failed) else Answer(index, "index")["result"]["index_price"].decimal(0, MOST)
        model = summary["margin_model"].text()
        grid = MODELS[model] == "portfolio"
        lines = distinct(_line(row, instruments[row["instrument_name"].text()], funding) for row in rows)
        accounted(coin, lines, summary["maintenance_margin"], *traces(summary, "futures_session_upl"))
        needs = summary["maintenance_margin"].decimal(0, MOST)
        lines, says = _spread(lines, needs) if grid and lines else (lines, [HELD.format(line.symbol) for line in lines])
        balance = EXACT.subtract(summary["margin_balance"].decimal(-MOST, MOST), total(profit(line.position) for line in lines))
        price = next((line.position.mark for line in lines if line.position.contract is Contract.INVERSE), elsewhere)
        account = cross(
            at,
            self.venue,
            [coin],
            coin,
            balance,
            lines,
            figures=_figures(summary, balance, lines),
            price=price,
            mode="portfolio" if grid else "cross",
            strict=True,
            priced=not grid,
            assumptions=[GRID.format(coin)] if grid and lines else says,
        )
        return [account, SourceReport(id=at.name, kind="exchange", notes=tuple(notes))]

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """No read of ccxt's tells the scope of a key."""
        yield from ()
        return KeyRights()


def _summaries(given: object) -> list[Answer]:
    found = Answer(given, "summaries")["result"]["summaries"].listing()
    if not found:
        raise Unsupported("Deribit tells no summary of any currency")
    return found


def _empty(summary: Answer) -> bool:
    fields = ("equity", "balance", "maintenance_margin", "initial_margin", "margin_balance")
    return not any(summary[field].decimal(-MOST, MOST) for field in fields) and not optional(summary, "options_value")


def _held(given: Sequence[Any]) -> object:
    """What trading and settlement move, and prices do not."""
    return [
        (row["currency"].text(), row["balance"].decimal(-MOST, MOST), optional(row, "session_rpl"), row["margin_model"].text())
        for row in _summaries(given[0])
    ]


def _unmodelled(summary: Answer, options: set[str]) -> str:
    """Why a currency's account cannot be told; empty where it can. Options of a currency are named after it, or after what it settles."""
    coin, model = summary["currency"].text(), summary["margin_model"].text()
    across = summary.get("cross_collateral_enabled")
    if model not in MODELS or (across is not None and across.flag()):
        return f"Deribit's margin model {model!r} with collateral across currencies is not modelled"
    own = [name for name in options if name.startswith(f"{coin}-") or f"_{coin}-" in name]
    if own or optional(summary, "options_value"):
        return f"Deribit's options in {coin} are not modelled ({', '.join(sorted(own)[:3]) or 'options_value is not zero'})"
    return ""


def _settles(instrument: Answer) -> str:
    return instrument["settlement_currency"].text()


def _funding(book: object) -> dict[str, Decimal]:
    """Funding for 8 hours by instrument, of perpetuals."""
    rows = Answer(book, "book")["result"].listing()
    return {row["instrument_name"].text(): rate for row in rows if (rate := optional(row, "funding_8h")) is not None}


def _line(row: Answer, instrument: Answer, funding: Mapping[str, Decimal]) -> Line:
    name, kind, side = row["instrument_name"].text(), instrument["instrument_type"].text(), row["direction"].text()
    if kind not in ("reversed", "linear"):
        raise Unsupported(f"Deribit's instrument {name!r} of type {kind!r} is not modelled")
    size = row["size"].decimal(-MOST, MOST)
    if side not in ("buy", "sell") or (size > 0) != (side == "buy"):
        raise Unsupported(f"the direction {side!r} of a position of {size} in {name} is not known")
    inverse = kind == "reversed"
    base, quote = instrument["base_currency"].text(), instrument["quote_currency"].text()
    if inverse and quote != "USD":
        raise Unsupported(f"Deribit's instrument {name!r} is quoted in {quote}")
    expiry = instrument["expiration_timestamp"].decimal(0)
    position = Position(
        size=size,
        entry=row["average_price"].decimal(0, MOST),
        mark=row["mark_price"].decimal(0, MOST),
        quote=USD if inverse else quote_of(instrument, "quote_currency", "settlement_currency"),
        contract=Contract.INVERSE if inverse else Contract.LINEAR,
        tiers=(Tier(ZERO, ZERO, ZERO),),
        initial_rate=ZERO,
        unrealized_pnl=row["floating_profit_loss"].decimal(-MOST, MOST),
        funding_8h=funding.get(name),
        expires=int(expiry // 1_000) if expiry < FAR else None,
        index=optional(row, "index_price"),
    )
    worth = notional(position)
    rate, initial = (EXACT.divide(row[field].decimal(0, MOST), worth) for field in ("maintenance_margin", "initial_margin"))
    return Line(
        symbol=name,
        coin=base,
        position=_asking(position, rate, initial),
        shown=shown_price(row, "estimated_liquidation_price"),
    )


def _asking(position: Position, rate: Decimal, initial: Decimal) -> Position:
    return replace(position, tiers=(Tier(ZERO, rate, ZERO),), initial_rate=initial)


def _spread(lines: Sequence[Line], needs: Decimal) -> tuple[list[Line], list[str]]:
    """The same lines with the account's whole requirement spread over them by notional: a grid of scenarios asks for no position alone."""
    rate = EXACT.divide(needs, total(notional(line.position) for line in lines))
    return [replace(line, position=_asking(line.position, rate, max(rate, line.position.initial_rate))) for line in lines], []


def _figures(summary: Answer, balance: Decimal, lines: Sequence[Line]) -> Figures:
    """The account's equity, margin balance and maintenance margin."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    parts = [
        summary["balance"].decimal(-MOST, MOST),
        *(optional(summary, field) or ZERO for field in ("futures_session_upl", "session_rpl")),
    ]
    told = (("equity", total(parts)), ("margin_balance", equity_of(balance, lines)), ("maintenance_margin", needed_by(lines)))
    for field, figure in told:
        theirs[field] = str(summary[field].value)
        ours[field] = same_digits(figure, theirs[field])
    scale = max((maintenance(line.position) for line in lines), default=Decimal("0.00001"))
    return Figures(ours=ours, theirs=theirs, scale=max(scale, Decimal("0.000001")))
