"""Figures in words: how numbers and accounts are written for people, in a flag as in a table.

Rounding never hides on which side of a line a figure is: near 1 a ratio gets more digits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from math import ceil, floor, log10
from typing import Final, Protocol

from defi_risk.ids import short
from defi_risk.text import shown

NONE: Final = "-"
INFINITE: Final = "∞"
_HAIR: Final = 1e-9
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


def at_least(value: float) -> str:
    """Positive USD that something takes, rounded up: what is written is enough."""
    unit = _unit(value)
    return dollars(ceil(value / unit - _HAIR) * unit)


def at_most(value: float) -> str:
    """Positive USD that something allows, rounded down."""
    unit = _unit(value)
    return dollars(floor(value / unit + _HAIR) * unit)


def _unit(value: float) -> float:
    """What `dollars` shows the last digit of."""
    return 0.01 if value < 1000 else 1.0 if value < 1e9 else 1e7


def share(value: float, places: int = 1) -> str:
    """`28.6 %`, `0 %`: a percentage without a sign; below 1 % it has two places."""
    if not value:
        return "0 %"
    return f"{value * 100:.{places}f} %" if 0.01 <= abs(value) < 10 else percent(value).lstrip("+")


def line(value: float) -> str:
    """A line that somebody set, as it was written: `50 %`, `0.1 %`."""
    return f"{value * 100:g} %"


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


def _mark(account: Named) -> str:
    """What tells accounts of one name apart: the root address of the market, the name of the exchange's key, or the id itself."""
    root = re.search(r":(0x[0-9a-fA-F]{40})/", account.id)
    if root is None and account.id.startswith(f"{account.owner}/"):
        return shown(account.owner, 30)
    return short(root[1]) if root else shown(account.id, 30)


class Named(Protocol):
    """What is named: an account as it was read, or as a snapshot holds it."""

    @property
    def id(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def owner_name(self) -> str | None: ...
    @property
    def venue(self) -> str: ...
    @property
    def market(self) -> str: ...
    @property
    def chain(self) -> str | None: ...
    @property
    def mode(self) -> str: ...


class Names:
    """Names of accounts that are as short as the book allows: what all accounts share is left out, and no two are called the same."""

    def __init__(self, accounts: Iterable[Named] = ()) -> None:
        self._by_id = {account.id: account for account in accounts}
        read = [account for account in self._by_id.values() if account.chain]
        self._many_owners = len({account.owner for account in read}) > 1
        self._many_chains = len({account.chain for account in read}) > 1
        self._taken = Counter(self._short(account) for account in self._by_id.values())
        self._marked = Counter((self._short(account), _mark(account)) for account in self._by_id.values())
        keys = {(account.venue, account.owner) for account in self._by_id.values() if not account.chain}
        # what stands for an exchange that could not be read has its key's name for an id, and the venue alone for a name here: with
        # several keys at the venue, that would not say which one failed
        several = {venue for venue, count in Counter(venue for venue, _ in keys).items() if count > 1}
        self._unread = several & {account.venue for account in self._by_id.values() if account.id == account.owner}

    def of(self, account: Named) -> str:
        """`0x71C7…976F · Aave V3 · core`: whose it is comes first, so that it is seen where there is little room."""
        name, mark = self._short(account), _mark(account)
        if self._taken[name] <= 1 and (account.chain or account.venue not in self._unread):
            return name
        # accounts of one owner in one market differ in what their ids say behind the owner
        tail = account.id.rpartition(f"{account.owner}/")[2] if self._marked[name, mark] > 1 else ""
        return f"{name} · {mark} · {_ADDRESS.sub(lambda found: short(found[0]), shown(tail, 120))}" if tail else f"{name} · {mark}"

    def _short(self, account: Named) -> str:
        venue, market = shown(account.venue, 24), shown(account.market, 32)
        parts = [venue] if account.market.lower() in ("", "manual", account.venue.lower()) else [venue, market]
        if account.mode not in ("", "cross") and not account.market.endswith(account.mode):
            parts.append(shown(account.mode.removeprefix("isolated "), 24))  # what is isolated says enough
        if self._many_chains and account.chain:
            parts.append(shown(account.chain, 16))
        if self._many_owners and account.chain:
            parts.insert(0, shown(account.owner_name, 30) if account.owner_name else owner(account.owner))
        return " · ".join(parts)

    def by_id(self, identity: str) -> str:
        """The name of the account with that id; the id itself where the book has none."""
        account = self._by_id.get(identity)
        return self.of(account) if account else shown(identity, 60)
