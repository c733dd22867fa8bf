"""Figures in words: how numbers, accounts and the answer itself are written for people, in a terminal as in a notebook.

Rounding never hides on which side of a line a figure is: near 1 a ratio gets more digits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isclose, log10
from typing import Final

from defi_risk.ids import short
from defi_risk.snapshot.model import Account, Liquidation, Snapshot
from defi_risk.text import shown

NONE: Final = "-"
INFINITE: Final = "∞"
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


def ratio(value: float | None) -> str:
    """`1.37`, `1.0004`, `20.0`, `1,234`; a dash for none."""
    if value is None:
        return NONE
    if abs(value - 1) < 0.01:
        return f"{value:.4f}"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.2e}"


def percent(move: float | None) -> str:
    """`-51.8 %`, `+37.3 %`, `+0.04 %`; a dash for none."""
    if move is None:
        return NONE
    size = abs(move) * 100
    if size >= 1_000_000:
        return f"{move * 100:+.1e} %"
    return f"{move * 100:+,.0f} %" if size >= 1000 else f"{move * 100:+.1f} %" if size >= 1 else f"{move * 100:+.2f} %"


def dollars(value: float | None) -> str:
    """`$12,900`, `-$3.20`, `$1.25 bn`; a dash for none."""
    if value is None:
        return NONE
    sign, size = "-" if value < 0 else "", abs(value)
    if size >= 1e15:
        return f"{sign}${size:.2e}"
    if size >= 1e9:
        return f"{sign}${size / 1e9:,.2f} bn"
    return f"{sign}${size:,.0f}" if size >= 1000 else f"{sign}${size:,.2f}"


def price(value: float) -> str:
    """`4,117.65`, `0.9312`, `0.00001234`: at least four digits that say something."""
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-9:
        return f"{value:.3e}"
    places = 2 if size >= 10 or size == 0 else min(12, 3 - int(log10(size) // 1))
    return f"{value:,.{places}f}"


def duration(days: float) -> str:
    """`12.7 years`, `41 days`, `3.5 hours`, `2 minutes`."""
    for unit, size in (("years", 365.25), ("days", 1.0), ("hours", 1 / 24), ("minutes", 1 / 1440)):
        if days >= 2 * size:
            return f"{days / size:,.1f} {unit}" if days < 100 * size else f"{days / size:,.0f} {unit}"
    return f"{days * 86_400:,.0f} seconds"


def owner(text: str) -> str:
    """An address shortened for eyes, anything else as it is."""
    return short(text) if _ADDRESS.fullmatch(text) else shown(text, 30)


class Names:
    """Names of accounts that are as short as the book allows: what all accounts share is left out."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._many_owners = len({account.owner for account in accounts if account.chain}) > 1
        self._many_chains = len({account.chain for account in accounts if account.chain}) > 1
        self._by_id = {account.id: account for account in accounts}

    def of(self, account: Account) -> str:
        """`0x71C7…976F · Aave V3 · core`: whose it is comes first, so that it is seen where there is little room."""
        venue, market = shown(account.venue, 24), shown(account.market, 32)
        parts = [venue] if account.market.lower() in ("", "manual", account.venue.lower()) else [venue, market]
        if account.mode not in ("", "cross"):
            parts.append(shown(account.mode, 16))
        if self._many_chains and account.chain:
            parts.append(shown(account.chain, 16))
        if self._many_owners and account.chain:
            parts.insert(0, shown(account.owner_name, 30) if account.owner_name else owner(account.owner))
        return " · ".join(parts)

    def by_id(self, identity: str) -> str:
        """The name of the account with that id; the id itself where the snapshot has none."""
        account = self._by_id.get(identity)
        return self.of(account) if account else shown(identity, 60)


def unified(snapshot: Snapshot) -> str:
    """The unified health as a number with what it is worth: `1.37`, `at most 1.37`, `∞`, `unknown`."""
    book = snapshot.book_health
    if book.bound == "unknown":
        return "unknown"
    number = INFINITE if book.uhf is None else ratio(book.uhf)
    return f"at most {number}" if book.bound == "at_most" else number


def headline(snapshot: Snapshot) -> str:
    """The answer in one line: `unified health 1.37, first to go: Perp · ETH, if the market rises 37.3 %`."""
    return f"unified health {unified(snapshot)}, {verdict(snapshot, Names(snapshot.accounts))}"


def verdict(snapshot: Snapshot, names: Names) -> str:
    """What the number means: which account goes first, on which side, at which move and price."""
    book = snapshot.book_health
    if not snapshot.accounts:
        return "no margin accounts found" if not snapshot.partial else "nothing could be read"
    if book.bound == "unknown":
        return "no account could be read"
    if book.first_account is None or book.uhf is None:
        return "no market move liquidates what could be read" if book.bound == "at_most" else "no market move liquidates anything"
    first = names.by_id(book.first_account)
    account = next((account for account in snapshot.accounts if account.id == book.first_account), None)
    if account is not None and account.liquidatable:
        return f"{first} can be LIQUIDATED NOW"
    side = book.first_side or "down"
    move = book.corridor[1 if side == "up" else 0]
    what = f"first to go: {first}, if the market {'RISES' if side == 'up' else 'FALLS'}"
    at = _at(account.liquidation, side, move) if account else ""
    return f"{what} {percent(move).lstrip('+-')}{at}"


def _at(liquidations: Sequence[Liquidation], side: str, move: float | None) -> str:
    """` (ETH at $4,117.65)`: the price of the factor that kills first on that side, alone where the others matter too."""
    candidates = [item for item in liquidations if item.direction == side and "/" not in item.factor]
    if not candidates or move is None:
        return ""
    nearest = min(candidates, key=lambda item: abs(item.move))
    factor, at = shown(nearest.factor, 16), price(nearest.price)
    if isclose(nearest.move, move, rel_tol=1e-6, abs_tol=1e-9):
        return f" ({factor} at ${at})"
    return f" ({factor} alone: {percent(nearest.move)}, at ${at})"
