"""The answer of a snapshot in words, and the words for figures and accounts (`defi_risk.words`)."""

from __future__ import annotations

from math import isclose

from defi_risk.snapshot.model import Account, Snapshot
from defi_risk.text import shown
from defi_risk.words import INFINITE, NONE, Names, dollars, duration, owner, percent, price, ratio

__all__ = [
    "INFINITE",
    "NONE",
    "Names",
    "dollars",
    "duration",
    "headline",
    "owner",
    "percent",
    "price",
    "priced",
    "ratio",
    "unified",
    "verdict",
]


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
    at = _at(account, side, move) if account else ""
    return f"{what} {percent(move).lstrip('+-')}{at}"


def priced(account: Account, factor: str) -> str:
    """What the price of a liquidation is the price of: the largest leg of a factor, by its own name where that is a pegged token."""
    legs = [leg for leg in account.legs if leg.factor == factor]
    largest = max(legs, key=lambda leg: (abs(leg.value_usd or leg.notional_usd or 0.0), leg.token), default=None)
    return shown(factor if largest is None or largest.peg is None else largest.symbol, 12)


def _at(account: Account, side: str, move: float | None) -> str:
    """` (ETH at $4,117.65)`: the price of the factor that kills first on that side, alone where the others matter too."""
    candidates = [item for item in account.liquidation if item.direction == side and "/" not in item.factor]
    if not candidates or move is None:
        return ""
    nearest = min(candidates, key=lambda item: abs(item.move))
    factor, thing, at = shown(nearest.factor, 16), priced(account, nearest.factor), price(nearest.price)
    if isclose(nearest.move, move, rel_tol=1e-6, abs_tol=1e-9):
        return f" ({thing} at ${at})"
    named = "" if thing == factor else f"{thing} "
    return f" ({factor} alone: {percent(nearest.move)}, {named}at ${at})"
