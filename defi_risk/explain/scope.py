"""What two snapshots can say together: accounts that may have been missed by one of them, the time between, what weakens the answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from defi_risk.errors import StoreError
from defi_risk.model import PRICES
from defi_risk.snapshot.model import Account, Snapshot, Source
from defi_risk.text import clean, shown

MANUAL: Final = "manual:"


def _missing(account: Account, other: Snapshot, where: str) -> str | None:
    """Why nobody can say that the account was not there in the other snapshot; None where it certainly was not.

    A source that failed, a chain that was not read, or an unknown account of the same owner at the same venue may hide it.
    """
    if account.chain:
        source = next((source for source in other.sources if source.id == account.chain), None)
        if source is None:
            return f"unknown {where}: {shown(account.chain, 40)} was not read"
        if source.status == "failed":
            return f"unknown {where}: {shown(account.chain, 40)} failed: {shown(source.error or 'no reason', 160)}"
    elif not account.id.startswith(MANUAL):
        source = _exchange(account, other)
        if source is None:
            return f"unknown {where}: {shown(account.owner, 40)} was not read"
        if source.status == "failed":
            return f"unknown {where}: {shown(source.id, 40)} failed: {shown(source.error or 'no reason', 160)}"
    place = (account.owner, account.venue, account.chain)
    if any(one.status == "unknown" and (one.owner, one.venue, one.chain) == place for one in other.accounts):
        return f"unknown {where}: an account of {shown(account.owner, 60)} at {shown(account.venue, 40)} could not be read"
    return None


def _exchange(account: Account, snapshot: Snapshot) -> Source | None:
    """How reading the exchange of an account went: the source whose id its own begins with."""
    found = (source for source in snapshot.sources if source.kind == "exchange" and not source.id.startswith(PRICES))
    return next((source for source in found if account.id == source.id or account.id.startswith(f"{source.id}/")), None)


def incomparable(one: Account | None, other: Account | None, before: Snapshot, after: Snapshot) -> str | None:
    """Why the account cannot be compared; None where it can."""
    for account, where in ((one, "before"), (other, "after")):
        if account is not None and account.status == "unknown":
            return f"unknown {where}: {clean(account.reason or 'no reason', 1000)}"
    if one is None and other is not None:
        return _missing(other, before, "before")
    if other is None and one is not None:
        return _missing(one, after, "after")
    return None


def seconds_between(account: Account, before: Snapshot, after: Snapshot) -> float:
    """From the state before to the one after: by the time of the chain's blocks, or the exchange's clock, where both have one, else by
    this machine's clock.
    """
    times = [_time(snapshot, account) for snapshot in (before, after)]
    if None in times:
        times = [before.taken_at, after.taken_at]
    first, last = (datetime.fromisoformat(time or "") for time in times)
    return (last - first).total_seconds()


def by_id(snapshot: Snapshot) -> Mapping[str, Account]:
    """The accounts of a snapshot. Raises `StoreError` for an id that stands twice."""
    found: dict[str, Account] = {}
    for account in snapshot.accounts:
        if account.id in found:
            raise StoreError(f"account {shown(account.id, 120)} stands twice in the snapshot {snapshot.id}")
        found[account.id] = account
    return found


def emptied(before: Snapshot, after: Snapshot) -> bool:
    """Whether one book was found empty at one of the two times."""
    empty = [not snapshot.accounts and not snapshot.partial for snapshot in (before, after)]
    return any(empty) and before.book == after.book


def weaknesses(before: Snapshot, after: Snapshot, files: tuple[str | None, str | None]) -> list[str]:
    """What a reader of the comparison should know, a sentence each."""
    notes: list[str] = []
    if before.taken_at > after.taken_at:
        notes.append(f"{named(before, files[0])} is the later one: the change is told backwards in time")
    if before.book != after.book:
        notes.append(f"the snapshots are of books with different names: {shown(before.book, 40)} and {shown(after.book, 40)}")
    for snapshot, file in ((before, files[0]), (after, files[1])):
        if snapshot.partial:
            failed = ", ".join(shown(source.id, 40) for source in snapshot.sources if source.status == "failed")
            unknown = sum(account.status == "unknown" for account in snapshot.accounts)
            what = [f"{failed} could not be read"] if failed else []
            what += [f"{unknown:,} account{'s are' if unknown > 1 else ' is'} unknown"] if unknown else []
            notes.append(f"{named(snapshot, file)} is partial: {', '.join(what) or 'something is missing'}")
    return notes


def named(snapshot: Snapshot, file: str | None) -> str:
    """What a snapshot is called in a message."""
    return shown(file, 80) if file else snapshot.id


def _time(snapshot: Snapshot, account: Account) -> str | None:
    """When the account was read, by its chain or its exchange."""
    if account.chain is None:
        source = _exchange(account, snapshot)
        return None if source is None or account.id.startswith(MANUAL) else source.as_of
    return next((source.block_time for source in snapshot.sources if source.kind == "chain" and source.id == account.chain), None)
