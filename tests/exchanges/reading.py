"""Scans of one scripted exchange account, as a user's book asks for them."""

from __future__ import annotations

from pathlib import Path

from defi_risk.gathering import Gathered, gather
from defi_risk.model import Account, SourceReport
from tests.exchanges.double import Double, Fault, serving


def scan(double: Double, folder: Path, more: str = "", *, times: int = 1) -> Gathered:
    """The last of so many scans with one cache; the double's log holds the requests of that one alone."""
    with serving(double) as url:
        book = folder / "book.toml"
        book.write_text(double.book(url, more=more), "utf-8")
        for _ in range(times - 1):
            gather(book=book, cache_dir=folder / "cache", deadline=20)
            double.log.clear()
        return gather(book=book, cache_dir=folder / "cache" if times > 1 else None, deadline=20)


def accounts(double: Double, folder: Path, more: str = "") -> dict[str, Account]:
    """Accounts of a scan by their markets."""
    return {account.market: account for account in scan(double, folder, more).accounts}


def unknown(double: Double, folder: Path, *faults: Fault) -> tuple[Account, SourceReport]:
    """The account that nobody can say anything about, with its report; fails where there is any other."""
    double.faults += faults
    found = scan(double, folder)
    [account] = found.accounts
    assert account.status == "unknown", account
    assert not account.legs
    [report] = found.reports
    return account, report
