"""The book along a route: what it is worth and exposed to at a point of a stage, kept up to date as accounts change.

On a stage every multiplier is max(0, a + b * m), so all that moves alike is added up once: a point costs a few products, not a pass
over the accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from defi_risk.health.account import Assessed
from defi_risk.health.normal import Form, Holding, Key, Normal
from defi_risk.health.route import Stage
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import USD, AccountId, Factor
from defi_risk.model import Role

_NOISE: Final = 1e-12
"""Sums smaller than this share of the largest thing that was added up are zero."""
Exposures = dict[str, float]
"""Net USD by factor; the sum is the book's equity."""


class Tag(NamedTuple):
    """Today's price of a factor, in USD, and the key and venue it moves with."""

    key: Key
    venue: str
    price: float


class Change(NamedTuple):
    """The book's exposures before and after an account changed; `hedge_break`: those to a volatile factor grew by more than half of what
    was taken away.
    """

    before: Exposures
    after: Exposures
    hedge_break: bool


class Ledger:
    """The worth of every account as a form, and of all accounts at a venue, from the start of a route to where it has come."""

    def __init__(self, assessed: Sequence[Assessed], settings: HealthSettings) -> None:
        self.settings = settings
        self.venues = {one.account.id: one.account.venue for one in assessed}
        self.tags = _tags(assessed)
        self._start: dict[AccountId, Form[float]] = {one.account.id: one.normal.worth() for one in assessed}
        self.reset()

    def reset(self) -> None:
        """Back to the book as it was read."""
        self.forms = dict(self._start)
        self.totals: dict[str, Form[float]] = {}
        self.gross: dict[str, float] = {}
        for account, form in self.forms.items():
            for key, amount in form.items():
                self.add(self.venues[account], key, amount)

    def add(self, venue: str, key: Key, amount: float) -> None:
        """More (less) of something at a venue."""
        total = self.totals.setdefault(venue, {})
        total[key] = total.get(key, 0.0) + amount
        self.gross[key.factor] = max(self.gross.get(key.factor, 0.0), abs(amount))


class _Slot(NamedTuple):
    """Where amounts of one factor and one ramp are added up."""

    place: int
    factor: str
    ramp: int


class Sums:
    """The book on one stage; changes of accounts go to the ledger too."""

    def __init__(self, ledger: Ledger, stage: Stage) -> None:
        self._ledger = ledger
        self._stage = stage
        self._ramps: dict[tuple[float, float], int] = {}
        self._slots: dict[tuple[str, Key], _Slot] = {}
        self._places: dict[tuple[str, int], int] = {}
        self._sums: list[float] = []
        self._last: tuple[float, Exposures] | None = None
        for venue, form in ledger.totals.items():
            for key, amount in form.items():
                self._sums[self._slot(venue, key).place] += amount
        self._factors = sorted(ledger.gross)
        self._prices = [(factor, tag.price, self._ramp(tag.venue, tag.key)) for factor, tag in ledger.tags.items()]

    def _slot(self, venue: str, key: Key) -> _Slot:
        found = self._slots.get((venue, key))
        if found is None:
            factor, ramp = str(key.factor), self._ramp(venue, key)
            place = self._places.setdefault((factor, ramp), len(self._sums))
            if place == len(self._sums):
                self._sums.append(0.0)
            found = self._slots[venue, key] = _Slot(place, factor, ramp)
        return found

    def _ramp(self, venue: str, key: Key) -> int:
        return self._ramps.setdefault(self._stage.ramp(key, venue), len(self._ramps))

    def _multipliers(self, point: float) -> list[float]:
        return [max(0.0, a + b * point) for a, b in self._ramps]

    def exposures(self, point: float) -> Exposures:
        """The book's net exposures at a point of the stage."""
        if self._last is not None and self._last[0] == point:
            return self._last[1]
        multipliers, sums = self._multipliers(point), self._sums
        found: Exposures = dict.fromkeys(self._factors, 0.0)
        for (factor, ramp), place in self._places.items():
            found[factor] += sums[place] * multipliers[ramp]
        for factor, usd in found.items():
            if abs(usd) <= _NOISE * self._ledger.gross[factor]:
                found[factor] = 0.0
        return found

    def change(self, account: AccountId, form: Form[float], point: float) -> Change:
        """An account is worth something else from this point of the stage on."""
        before = self.exposures(point)
        venue, old, multipliers = self._ledger.venues[account], self._ledger.forms[account], self._multipliers(point)
        moved: Exposures = {}
        for key in (*form, *(key for key in old if key not in form)):
            amount = form.get(key, 0.0) - old.get(key, 0.0)
            if amount:
                slot = self._slot(venue, key)
                self._sums[slot.place] += amount
                self._ledger.add(venue, key, amount)
                moved[slot.factor] = moved.get(slot.factor, 0.0) + amount * multipliers[slot.ramp]
        self._ledger.forms[account] = form
        after = dict(before)
        for factor, usd in moved.items():
            now = after.get(factor, 0.0) + usd
            after[factor] = now if abs(now) > _NOISE * self._ledger.gross[factor] else 0.0
        self._factors = list(after)
        self._last = point, after
        return Change(before, after, any(self._breaks(factor, before.get(factor, 0.0), after[factor]) for factor in moved))

    def _breaks(self, factor: str, was: float, now: float) -> bool:
        removed = abs(now - was)
        grew = abs(now) - abs(was) > removed / 2
        return grew and removed > _NOISE * self._ledger.gross[factor] and not self._ledger.settings.stable(Factor(factor))

    def prices(self, point: float) -> dict[str, float]:
        """USD prices of all factors but USD at a point of the stage."""
        multipliers = self._multipliers(point)
        return {factor: price * multipliers[ramp] for factor, price, ramp in self._prices}


def _tags(assessed: Sequence[Assessed]) -> dict[str, Tag]:
    """The largest holding of each factor: tokens of the factor itself before pegged ones, tokens before derivatives."""
    best: dict[str, tuple[tuple[bool, bool, float, str], Tag]] = {}
    for one in assessed:
        for holding in one.normal.holdings:
            key = holding.key
            rank = (key.peg is None, holding.leg.role is not Role.POSITION, abs(holding.value), holding.leg.asset.id)
            if key.factor != USD and (key.factor not in best or rank > best[key.factor][0]):
                best[key.factor] = rank, Tag(key, one.account.venue, _usd(holding, one.normal))
    return {factor: tag for factor, (_, tag) in sorted(best.items())}


def _usd(holding: Holding[float], normal: Normal[float]) -> float:
    """The price of one unit in USD: a position's own is the mark in its quote coin."""
    position = holding.leg.position
    return holding.price if position is None else holding.price * normal.quotes[Key(position.quote, position.quote_peg)]
