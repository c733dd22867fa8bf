"""What `doctor` asks an exchange account: which hosts it takes, how far its clock is off, what is held there, and what its key may do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from defi_risk import desks, histories, registry
from defi_risk.book import Book, ExchangeSettings
from defi_risk.cli.checks import OK, WARN, Check, failed
from defi_risk.errors import DefiRiskError, SourceError
from defi_risk.model import KeyRights
from defi_risk.secrets import is_loopback
from defi_risk.sources.clock import Deadline
from defi_risk.sources.exchange import Exchange, hosts
from defi_risk.sources.public_exchange import hosts as public_hosts
from defi_risk.spi import ExchangeReader
from defi_risk.text import shown

PATIENCE: Final = 30.0
MOST_NAMED: Final = 12
YOURSELF: Final = "make sure yourself that the key can only read"


def reached(book: Book) -> list[str]:
    """Hosts of the exchanges of a book: of its accounts, and of the prices that it takes from one. Raises `UsageError`, `PluginError`."""
    found = [host for settings in book.exchanges for host in hosts(settings, registry.exchange(settings.id))]
    kind, name = histories.origin(book)
    if kind == histories.EXCHANGE:
        url = next((settings.url for settings in book.exchanges if settings.id == name and settings.url), None)
        found += public_hosts(name, url)
    return list(dict.fromkeys(found))


def account(settings: ExchangeSettings) -> Iterator[Check]:
    """A few lines for one exchange account. Asks it all that a scan does, and keeps nothing."""
    subject = f"exchange {settings.name}"
    try:
        reader = registry.exchange(settings.id)
        yield _hosts(settings, reader, subject)
        source = Exchange(settings, reader, Deadline(PATIENCE))
    except DefiRiskError as error:
        yield failed(subject, error)
        return
    with source:
        try:
            yield _clock(source, subject)
            yield from _accounts(settings, reader, source, subject)
        except SourceError as error:
            yield failed(subject, error, 3)
            return
        yield _key(*desks.key_rights(settings, reader, source), subject)


def _hosts(settings: ExchangeSettings, reader: ExchangeReader, subject: str) -> Check:
    found = ", ".join(hosts(settings, reader))
    if settings.url and settings.url.startswith("http://") and not is_loopback(settings.url):
        return Check(WARN, f"{subject} hosts", f"{found}, which is not encrypted: others can read the key", "use https://")
    return Check(OK, f"{subject} hosts", found)


def _clock(source: Exchange, subject: str) -> Check:
    began = time.monotonic()
    source.open()
    took = f"answers in {time.monotonic() - began:.2f} s"
    seconds = source.offset / 1_000
    if abs(source.offset) > desks.NOTED_OFFSET:
        where = "ahead of" if seconds > 0 else "behind"
        told = f"{took}, its clock is {abs(seconds):.1f} s {where} this machine's"
        return Check(WARN, f"{subject} clock", told, "requests are signed by its clock all the same; set this machine's clock")
    return Check(OK, f"{subject} clock", f"{took}, clocks are {abs(seconds):.1f} s apart")


def _accounts(settings: ExchangeSettings, reader: ExchangeReader, source: Exchange, subject: str) -> Iterator[Check]:
    found = desks.judge(settings, reader, source)
    for report in found.reports:
        for note in report.notes:
            yield Check(OK, f"{subject} note", note)
    for one in found.accounts:
        if not one.known:
            where = f"{subject} {shown(one.market)}" if one.market != settings.id else subject
            yield Check(WARN, where, f"unknown: {one.reason}", "a scan is partial without it; [[manual]] can stand in for it")
    known = [f"{shown(one.market)} ({shown(one.mode or 'one mode')})" for one in found.accounts if one.known]
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    if known:
        yield Check(OK, f"{subject} accounts", f"{len(known)} at {reader.venue}: " + ", ".join(known[:MOST_NAMED]) + more)
    elif not found.accounts:
        yield Check(OK, f"{subject} accounts", f"none at {reader.venue}: nothing is held where this key looks")


def _key(rights: KeyRights | None, note: str, subject: str) -> Check:
    """What the key may do: it should read, and do nothing else."""
    subject = f"{subject} key"
    if note:
        return Check(WARN, subject, note, YOURSELF)
    if rights is None:
        return Check(OK, subject, "none is needed")
    tied = "" if rights.bound is None else ", bound to addresses" if rights.bound else ", bound to no address"
    able = " and ".join(word for word, may in (("trade", rights.trade), ("withdraw or transfer funds", rights.withdraw)) if may)
    if able:
        remedy = "make a key that can only read, bound to this machine's address, use it here, and delete this one"
        return Check(WARN, subject, f"can {able}{tied}", remedy)
    silent = " or ".join(word for word, may in (("trade", rights.trade), ("withdraw", rights.withdraw)) if may is None)
    if silent:
        return Check(
            WARN, subject, f"the exchange does not say whether it can {silent}{tied}", "make sure yourself that the key can only read"
        )
    return Check(OK, subject, f"reads only{tied}")
