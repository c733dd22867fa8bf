"""Where the price history of a book comes from (`prices` in its `[model]`): a file, an exchange's candles, or past answers of price feeds.

    prices = "prices.csv"           a file, relative to the book (defi_risk/history)
    prices = "exchange:binance"     candles of the coins that the book holds, by ccxt's name of the exchange
    prices = "oracle:ethereum"      past answers of Chainlink's feeds on a chain of the book

The last two are read after the positions, whose coins they are read for. What fails there is a failed source and never loses the scan;
the history is what could be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from defi_risk import engine, markets, rounds
from defi_risk.book import Book
from defi_risk.errors import BadAnswer, SourceError, UsageError
from defi_risk.ids import USD, Address, Factor
from defi_risk.model import PRICES, Account, Contract, SourceReport
from defi_risk.sources.cache import Cache
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.targets import ChainTarget
from defi_risk.text import shown

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory

EXCHANGE: Final = "exchange"
ORACLE: Final = "oracle"
MONTH: Final = 30 * 86_400
ALIKE: Final = 2.0
"""A market whose price is so many times the book's, or that part of it, is of another coin of the same name."""
_MOST_NAMED: Final = 12


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read, None where that is nothing, and how reading it went."""

    history: PriceHistory | None
    report: SourceReport


def origin(book: Book) -> tuple[str, str]:
    """Kind and name of what `prices` names, such as ("exchange", "binance"); ("file", path), or two empty texts where it is not given."""
    given = book.model.prices or ""
    kind, colon, name = given.partition(":")
    if colon and kind.strip().lower() in (EXCHANGE, ORACLE):
        return kind.strip().lower(), name.strip()
    return ("file", given) if given else ("", "")


def check(book: Book, chains: Iterable[ChainTarget]) -> None:
    """Raise `UsageError` for an exchange or a chain whose prices cannot be read at all. Asks nothing."""
    kind, name = origin(book)
    if kind == EXCHANGE:
        from defi_risk.sources import public_exchange

        public_exchange.check(name, _address(book, name))
    if kind == ORACLE and name not in [target.chain.name for target in chains]:
        raise UsageError(
            f'prices = "{ORACLE}:{shown(name, 60)}": there is no node for that chain',
            hint=f'add [chains.{shown(name, 60)}] with rpc = ["https://..."], or use --rpc {shown(name, 60)}=URL',
        )


def from_file(book: Book, cache: Cache | None = None) -> PriceHistory | None:
    """The history in the file that a book names, relative to the book's own folder; None where it names none. Raises `UsageError`."""
    kind, name = origin(book)
    if kind != "file":
        return None
    from defi_risk import history

    path = Path(name).expanduser()
    return history.load(path if path.is_absolute() or not book.file else Path(book.file).parent / path, cache)


def coins(accounts: Iterable[Account], quotes: Mapping[Factor, float]) -> list[str]:
    """Factors of the accounts whose prices move, those worth most first. A token in no table has no name to look for."""
    worth: defaultdict[str, float] = defaultdict(float)
    for leg in (leg for account in accounts for leg in account.legs):
        position = leg.position
        if position is None:
            worth[leg.factor] += abs(float(leg.amount)) * quotes.get(leg.factor, 0.0)
            continue
        one = float(position.mark) if position.contract is Contract.LINEAR else 1.0
        for factor in (leg.factor, position.quote):
            worth[factor] += abs(float(position.size)) * one * quotes.get(position.quote, 1.0)
    still = markets.factor_table().stables | {USD}
    return sorted((name for name in worth if name not in still and ":" not in name), key=lambda name: (-worth[name], name))


def _marked(accounts: Iterable[Account], quotes: Mapping[Factor, float]) -> dict[str, float]:
    """USD for one of each coin: as the book's tokens are priced, and where it holds none, as its derivatives are marked."""
    found: dict[str, float] = {}
    for leg in (leg for account in accounts for leg in account.legs):
        if leg.position is not None and leg.peg is None:
            spot = leg.position.mark if leg.position.index is None else leg.position.index
            found.setdefault(leg.factor, float(spot) * quotes.get(leg.position.quote, 1.0))
    found.update({str(factor): usd for factor, usd in quotes.items()})
    return found


def from_exchange(
    book: Book,
    accounts: Sequence[Account],
    quotes: Mapping[Factor, float],
    *,
    until: int,
    deadline: Deadline,
    cache: Cache | None,
) -> Observed:
    """Closes of the book's coins on the exchange that it names, up to `until` (unix seconds)."""
    from defi_risk import history
    from defi_risk.sources import candles

    name = origin(book)[1]
    began = deadline.clock.now()
    wanted = coins(accounts, quotes)
    found = candles.read(name, wanted, until=until, deadline=deadline, cache=cache, url=_address(book, name))
    parts: list[PriceHistory] = []
    known = _marked(accounts, quotes)
    notes, errors = [*_nothing(wanted), *found.notes], list(found.errors)
    for closes in found.found:
        price, quote = closes.rows[-1][1], known.get(closes.coin)
        if quote and not 1 / ALIKE <= price / quote <= ALIKE:
            notes.append(f"{closes.symbol} of {name} is at {price:g}, {closes.coin} of the book at {quote:g}: not the same coin, left out")
            continue
        bars = [(1_000 * time, None, None, None, close) for time, close in closes.rows]
        try:
            parts.append(history.from_candles(closes.coin, bars, seconds=closes.seconds, until=until, source=name))
        except BadAnswer as fault:
            errors.append(str(fault))
    if found.missing:
        notes.append(f"{name} has no market of {_named(found.missing)}")
    report = SourceReport(
        id=f"{PRICES}{name}",
        kind=EXCHANGE,
        status="failed" if errors else "ok",
        error="; ".join(errors),
        calls=found.calls,
        round_trips=found.calls,
        seconds=deadline.clock.now() - began,
        notes=tuple(notes),
    )
    return Observed(history.merge(parts) if parts else None, report)


def from_oracle(
    target: ChainTarget,
    open_chain: Callable[[ChainTarget], ChainSource],
    accounts: Sequence[Account],
    quotes: Mapping[Factor, float],
    *,
    deadline: Deadline,
) -> Observed:
    """Answers of a chain's known feeds for the book's coins in the last 30 days."""
    from defi_risk import history

    began = deadline.clock.now()
    wanted = coins(accounts, quotes)
    report = SourceReport(id=f"{PRICES}{target.chain.name}", notes=tuple(_nothing(wanted)))
    if not wanted:
        return Observed(None, report)
    feeds = [Address(feed) for feed in markets.heartbeats(target.chain.id)]
    parts: list[PriceHistory] = []
    try:
        with open_chain(replace(target, markets=())) as source:
            past = engine.run(source, rounds.read(feeds, wanted, source.anchor.timestamp - MONTH))
            source.finish()
            report = replace(report, anchor=source.anchor, calls=source.calls, round_trips=source.round_trips, notes=tuple(source.notes))
        parts = [history.from_rounds(one.coin, one.rounds, source=f"feeds on {target.chain.name}") for one in past if one.rounds]
    except SourceError as fault:
        return Observed(None, replace(report, status="failed", error=str(fault), seconds=deadline.clock.now() - began))
    notes = [*report.notes, *(one.note for one in past if one.note)]
    if missing := [coin for coin in wanted if coin not in [one.coin for one in past]]:
        notes.append(f"there is no known feed in USD on {target.chain.name} for {_named(missing)}")
    report = replace(report, seconds=deadline.clock.now() - began, notes=tuple(notes))
    return Observed(history.merge(parts) if parts else None, report)


def _address(book: Book, name: str) -> str | None:
    """Where the book says that an exchange is, instead of where it is known to be."""
    return next((settings.url for settings in book.exchanges if settings.id == name and settings.url), None)


def _nothing(wanted: Sequence[str]) -> list[str]:
    return [] if wanted else ["the book holds no coin whose price moves, so no prices were read"]


def _named(names: Sequence[str]) -> str:
    """Some of the names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(shown(name) for name in names[:_MOST_NAMED]) + more
