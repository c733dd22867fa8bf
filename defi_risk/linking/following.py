"""Whose money lies where: first in, first out, for every token at every place.

A wallet pays with the oldest money that it has, and so does a venue that pays margin back. What was there before the first transfer seen
is the book's own and the oldest of all. So a loan is said to have gone into margin only where no older money was left to go; under
another rule (last in, first out; in proportion) more of it may have. What leaves the book, to whomever, is gone: money that comes back
from outside is the book's own.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from defi_risk.ids import AccountId
from defi_risk.linking.model import Transfer
from defi_risk.linking.moves import Move, Place

MOST_STEPS: Final = 16
"""Money that took more transfers than this is not followed any further: it counts as the book's own."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Money that came in at once, in the token's smallest unit: the book's own (None), or proceeds of a loan with the transfers since."""

    amount: int
    loan: AccountId | None = None
    path: tuple[Transfer, ...] = ()


class Purse:
    """The money of one token at one place, oldest first."""

    def __init__(self, own: int = 0) -> None:
        self.lots: deque[Lot] = deque([Lot(own)] if own else [])

    def put(self, lots: Iterable[Lot]) -> None:
        """Money comes in, newer than all that is there."""
        for lot in lots:
            if lot.loan is None and self.lots and self.lots[-1].loan is None:
                self.lots[-1] = Lot(self.lots[-1].amount + lot.amount)
            else:
                self.lots.append(lot)

    def take(self, amount: int) -> list[Lot]:
        """The oldest money of that amount. Raises `ValueError` where there is less."""
        taken: list[Lot] = []
        while amount:
            if not self.lots:
                raise ValueError(f"{amount} more is taken than there is")
            first = self.lots.popleft()
            part = min(amount, first.amount)
            taken.append(replace(first, amount=part))
            if part < first.amount:
                self.lots.appendleft(replace(first, amount=first.amount - part))
            amount -= part
        return taken


def follow(moves: Sequence[Move], balances: Mapping[Place, int]) -> dict[Place, Purse]:
    """What lies where after all moves. `balances` are those after them, of places where they are known."""
    purses = {place: Purse(own) for place, own in _openings(moves, balances).items()}
    for move in moves:
        lots = purses[move.source].take(move.transfer.value) if move.source else _paid_in(move)
        if move.target:
            purses[move.target].put([_stepped(lot, move.transfer) for lot in lots])
    return purses


def _openings(moves: Iterable[Move], balances: Mapping[Place, int]) -> dict[Place, int]:
    """What lay everywhere before the first move: the balance after all less what they brought, and no less than they needed."""
    now: defaultdict[Place, int] = defaultdict(int)
    least: defaultdict[Place, int] = defaultdict(int)
    for move in moves:
        for place, change in ((move.source, -move.transfer.value), (move.target, move.transfer.value)):
            if place:
                now[place] += change
                least[place] = min(least[place], now[place])
    return {place: max(-least[place], balances.get(place, 0) - change) for place, change in now.items()}


def _paid_in(move: Move) -> list[Lot]:
    """Money from outside: proceeds of a loan, and the book's own."""
    return [lot for lot in (Lot(move.lent, move.loan), Lot(move.transfer.value - move.lent)) if lot.amount]


def _stepped(lot: Lot, transfer: Transfer) -> Lot:
    if lot.loan is None or len(lot.path) == MOST_STEPS:
        return Lot(lot.amount)
    return replace(lot, path=(*lot.path, transfer))
