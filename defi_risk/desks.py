"""Exchange accounts of a book: each is read by its own reader, side by side with the others, and fails alone.

A reader's generator is driven like an adapter's, on a source that is one account's. What the exchange itself does wrong makes the source
failed and its account unknown; what the reader cannot model makes the account unknown, and so does whatever is wrong with the reader. An
exchange that tells of nothing where the last scan found something is asked again before it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast

from defi_risk import exchange_rules, registry
from defi_risk.book import Book, ExchangeSettings
from defi_risk.engine import Progress
from defi_risk.errors import DefiRiskError, RateLimited, SourceError, UnknownName, UsageError
from defi_risk.model import Account, KeyRights, Side, SourceReport
from defi_risk.secrets import redact
from defi_risk.sources.cache import Cache
from defi_risk.sources.clock import Crew, Deadline
from defi_risk.sources.exchange import Exchange
from defi_risk.spi import Desk, ExchangeCall, ExchangeReader, Requests
from defi_risk.text import clean, shown

KIND: Final = "exchange"
_R = TypeVar("_R")
RIGHTS: Final = "rights"
RIGHTS_KEPT: Final = 86_400
"""Seconds for which a key is not asked again what it may do."""
FOUND: Final = "found"
"""Whether the last scan found anything, kept so long:"""
FOUND_KEPT: Final = 30 * 86_400
NOTED_OFFSET: Final = 5_000
"""Milliseconds that clocks may be apart without a note."""
AT_ONCE: Final = 16
_NEEDED: Final = {"apiKey": "api_key", "secret": "secret", "password": "password", "privateKey": "private_key", "walletAddress": "wallet"}


@dataclass(slots=True)
class Found:
    """What the exchanges of a book gave, in the order of the book."""

    accounts: list[Account] = field(default_factory=list)
    reports: list[SourceReport] = field(default_factory=list)


class Source(Protocol):
    """Whatever answers the reads of one exchange account: the exchange, or recorded answers."""

    def answer(self, asks: Sequence[ExchangeCall]) -> Sequence[Any]: ...

    def milliseconds(self) -> int: ...


def check(book: Book) -> None:
    """Raise `UsageError` for an exchange that cannot be read as the book has it. Asks nothing."""
    seen: dict[tuple[object, ...], str] = {}
    for settings in book.exchanges:
        reader = registry.exchange(settings.id)
        given = {*settings.credentials, *(["walletAddress"] if settings.wallet else [])}
        missing = [_NEEDED.get(name, name) for name in reader.needs if name not in given]
        if missing:
            raise UsageError(
                f"exchange {settings.name} needs {' and '.join(missing)}", hint=f"add them to its [[exchanges]] in {book.file}"
            )
        known = (*exchange_rules.names(reader.names[0]), *getattr(reader, "rules", ()))
        for name in settings.rules:
            if name not in known:  # a mistyped one would leave the bundled rule in force without a word
                raise UnknownName(f"rule of exchange {settings.name}", name, known)
        Exchange(settings, reader, Deadline(1)).close()
        identity = (*_whose(settings, reader), _selected(settings, reader))
        if identity in seen:
            raise UsageError(
                f"exchanges {seen[identity]} and {settings.name} are one account", hint="it would be counted twice: remove one"
            )
        seen[identity] = settings.name


def _whose(settings: ExchangeSettings, reader: ExchangeReader) -> tuple[object, ...]:
    """Whose account it is, and where."""
    return (reader.venue, settings.url, settings.wallet, *sorted(settings.credentials.items()))


def _selected(settings: ExchangeSettings, reader: ExchangeReader) -> str:
    """Which of the accounts of a key the book names: what the reader says, or else the id and the options as they are."""
    selects = getattr(reader, "selects", None)
    try:
        return str(selects(desk(settings, 0))) if selects else f"{settings.id} {sorted(settings.options.items())}"
    except DefiRiskError:  # it names none: reading says so
        return settings.name


class Reading:
    """All exchanges of a book under way; leaving the `with` block begins no further one."""

    def __init__(self, book: Book, limit: Deadline, cache: Cache | None, progress: Progress | None = None) -> None:
        self._book: Final = book
        work = [partial(_read, settings, limit, cache, progress) for settings in book.exchanges]
        self._crew: Final = Crew(work, most=AT_ONCE)

    def found(self) -> Found:
        """What they gave, once all have ended: each ends by itself at the deadline."""
        ends: dict[int, Found] = {}
        while len(ends) < len(self._book.exchanges):
            index, end = self._crew.take()
            if isinstance(end, BaseException):
                raise end
            ends[index] = end
        result, seen = Found(), dict[object, str]()
        for index, settings in enumerate(self._book.exchanges):
            result.accounts += _once(settings, ends[index].accounts, seen)
            result.reports += ends[index].reports
        return result

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *about: Any) -> None:
        self._crew.__exit__(*about)


def _once(settings: ExchangeSettings, accounts: Sequence[Account], seen: dict[object, str]) -> list[Account]:
    """The accounts, unknown where another entry of the book, with the same key, read them too. `seen`: names by account."""
    reader = registry.exchange(settings.id)
    result: list[Account] = []
    for account in accounts:
        whose = (*_whose(settings, reader), account.id.removeprefix(settings.name))
        other = seen.setdefault(whose, settings.name)
        if account.known and other != settings.name:
            reason = f"exchange {other} reads this account too: it would be counted twice - remove one from the book"
            account = replace(unknown(settings, reader, reason), id=account.id, market=account.market)
        result.append(account)
    return result


def _read(settings: ExchangeSettings, limit: Deadline, cache: Cache | None, progress: Progress | None) -> Found:
    reader = registry.exchange(settings.id)
    began = limit.clock.now()
    with Exchange(settings, reader, limit, cache) as source:
        if progress:
            progress(f"{settings.name}: reading")
        rights, note = None, ""
        try:
            source.open()
            result = _believed(settings, reader, source)
            rights, note = key_rights(settings, reader, source)
        except SourceError as error:
            result = failed(settings, reader, error)
        [report] = result.reports
        notes = [*report.notes, *source.notes, *([note] if note else [])]
        if abs(source.offset) > NOTED_OFFSET:
            ahead = "ahead of" if source.offset > 0 else "behind"
            notes.append(f"the exchange's clock is {abs(source.offset) / 1_000:.1f} s {ahead} this machine's")
        report = replace(
            report,
            calls=source.calls,
            round_trips=source.calls,
            seconds=limit.clock.now() - began,
            notes=tuple(dict.fromkeys(notes)),
            key=rights,
        )
    if cache is not None:
        cache.close()
    return Found(result.accounts, [report])


def _believed(settings: ExchangeSettings, reader: ExchangeReader, source: Exchange) -> Found:
    """What the exchange tells; asked twice where it tells of no account and told of some before. Raises `SourceError`."""
    result = judge(settings, reader, source)
    held = bool(result.accounts)
    if not held and source.remembered(FOUND) is True:
        result = judge(settings, reader, source)
        source.notes.append("the exchange tells of nothing where the last scan found something: it was asked twice")
    if all(account.known for account in result.accounts):
        source.keep()
        source.remember(FOUND, bool(result.accounts), FOUND_KEPT)
    return result


def judge(settings: ExchangeSettings, reader: ExchangeReader, source: Source) -> Found:
    """The accounts of one exchange from its answers, and how reading it went. Raises `SourceError` where the exchange fails."""
    at = desk(settings, source.milliseconds())
    report = SourceReport(id=settings.name, kind=KIND, as_of=at.milliseconds // 1_000)
    try:
        return _sorted(settings, reader, report, _drive(source, reader.read(at)))
    except SourceError:
        raise
    except DefiRiskError as error:
        return Found([unknown(settings, reader, str(error))], [report])
    except Exception as error:  # noqa: BLE001  # a reader is foreign code: its bug may cost its own account, never the others
        return Found([unknown(settings, reader, f"the reader of {settings.id} failed: {type(error).__name__}")], [report])


def _sorted(settings: ExchangeSettings, reader: ExchangeReader, report: SourceReport, items: Sequence[Account | SourceReport]) -> Found:
    """What a reader returned: its accounts, each once and under the name of this one, and all its reports as one."""
    accounts: dict[str, Account] = {}
    for item in items:
        if isinstance(item, SourceReport):
            report = replace(
                report,
                status=item.status,
                error=clean(redact(item.error)) if item.error else "",
                notes=(*report.notes, *(clean(redact(note)) for note in item.notes)),
                as_of=item.as_of if item.as_of is not None else report.as_of,
            )
        elif item.id in accounts:
            accounts[item.id] = replace(unknown(settings, reader, "the reader returned this account twice"), id=item.id)
        elif item.known and not all(leg.factor and not leg.asset.id.endswith(("/", ":")) for leg in item.legs):
            accounts[item.id] = replace(unknown(settings, reader, "the exchange gave a coin without a name"), id=item.id)
        elif f"{item.id}/".startswith(f"{settings.name}/"):
            accounts[item.id] = replace(item, owner=settings.name, source=settings.name)
        else:
            return Found([unknown(settings, reader, "the reader returned an account that is not of this name")], [report])
    return Found(list(accounts.values()), [report])


def desk(settings: ExchangeSettings, milliseconds: int) -> Desk:
    """Where an account is read, with the rules in force on that day; those of the book win."""
    today = datetime.fromtimestamp(milliseconds / 1_000, UTC).date()
    family = registry.exchange(settings.id).names[0]
    return Desk(
        name=settings.name,
        exchange=settings.id,
        milliseconds=milliseconds,
        options=settings.options,
        address=settings.wallet,
        numbers={**exchange_rules.numbers(family, today), **settings.rules},
        tiers=exchange_rules.tiers(family, today),
        factors=exchange_rules.coins(),
    )


def failed(settings: ExchangeSettings, reader: ExchangeReader, error: SourceError) -> Found:
    """The unknown account and the failed source that an error makes."""
    report = SourceReport(id=settings.name, kind=KIND, status="failed", error=clean(redact(str(error))))
    return Found([unknown(settings, reader, str(error))], [report])


def unknown(settings: ExchangeSettings, reader: ExchangeReader, reason: str) -> Account:
    """The account of an exchange that nobody can say anything about, and why."""
    return Account(
        id=desk(settings, 0).account_id(),
        owner=settings.name,
        side=Side.DERIVATIVES,
        venue=reader.venue,
        market=settings.id,
        status="unknown",
        reason=shown(redact(reason), 200),
        source=settings.name,
    )


def key_rights(settings: ExchangeSettings, reader: ExchangeReader, source: Exchange) -> tuple[KeyRights | None, str]:
    """What the key may do, asked once a day, and a note where that could not be learnt. None without a key."""
    if not settings.credentials:
        return None, ""
    stored = source.remembered(RIGHTS)
    if isinstance(stored, list) and len(stored) == 3:
        trade, withdraw, bound = (item if isinstance(item, bool) else None for item in stored)
        return KeyRights(trade, withdraw, bound), ""
    try:
        rights = _drive(source, reader.rights(desk(settings, source.milliseconds())))
    except RateLimited:
        return KeyRights(), "what the key may do was not read: the exchange asks for fewer requests"
    except DefiRiskError as error:
        return KeyRights(), redact(f"what the key may do could not be read: {error.message}")
    except Exception as error:  # noqa: BLE001  # foreign code again
        return KeyRights(), f"what the key may do could not be read: the reader of {settings.id} failed: {type(error).__name__}"
    if rights is not None:
        source.remember(RIGHTS, [rights.trade, rights.withdraw, rights.bound], RIGHTS_KEPT)
    return rights, ""


def _drive(source: Source, steps: Requests[_R]) -> _R:
    """Run a reader's generator to its end. Raises what it raises, and what the source fails with."""
    try:
        asks = next(steps)
        while True:
            answers = source.answer(list(asks))
            error = next((answer for answer in answers if isinstance(answer, DefiRiskError)), None)
            asks = steps.throw(error) if error is not None else steps.send(answers)
    except StopIteration as end:
        return cast("_R", end.value)
