"""Shocks: relative moves of factors, pegs, and single venues' prices, all others still (`unified-health` section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from defi_risk.errors import UnknownName, UsageError
from defi_risk.health.normal import Key
from defi_risk.ids import USD, Factor, Peg
from defi_risk.text import shown

HIGHEST = 1e6
"""No shock may multiply a price by more."""


@dataclass(frozen=True, slots=True)
class Shock:
    """Relative moves, -0.3 for a fall by 30 %. `venues` moves the price that one venue sees of a factor, on top of the factor's own."""

    factors: Mapping[Factor, float] = field(default_factory=dict)
    pegs: Mapping[Peg, float] = field(default_factory=dict)
    venues: Mapping[tuple[str, Factor], float] = field(default_factory=dict)

    def multiplier(self, key: Key, venue: str) -> float:
        """What the price of a key is multiplied by at a venue; 1 is today, never below 0."""
        moved = 1.0 + self.factors.get(key.factor, 0.0)
        if key.peg is not None:
            moved *= 1.0 + self.pegs.get(key.peg, 0.0)
        if self.venues:
            moved *= 1.0 + self.venues.get((venue, key.factor), 0.0)
        return max(0.0, moved)

    def named(self) -> dict[str, float]:
        """The same as one table, as snapshots and scenario files write it: `ETH`, `stETH/ETH`, `binance:ETH`."""
        return {
            **{str(factor): move for factor, move in self.factors.items()},
            **{str(peg): move for peg, move in self.pegs.items()},
            **{f"{venue}:{factor}": move for (venue, factor), move in self.venues.items()},
        }


@dataclass(frozen=True, slots=True)
class Space:
    """What can be shocked in a book: its factors, pegs and venues."""

    factors: tuple[Factor, ...]
    pegs: tuple[Peg, ...]
    venues: tuple[str, ...]

    @classmethod
    def of(cls, keys: Iterable[Key], venues: Iterable[str]) -> Space:
        """Everything that some account's keys depend on. USD is what prices are counted in and cannot be shocked."""
        found = set(keys)
        pegs = sorted({key.peg for key in found if key.peg is not None})
        return cls(tuple(sorted({key.factor for key in found} - {USD})), tuple(pegs), tuple(sorted(set(venues))))

    def shock(self, moves: Mapping[str, float]) -> Shock:
        """The shock of a table of names. Raises `UnknownName`, and `UsageError` for a move that is none."""
        factors: dict[Factor, float] = {}
        pegs: dict[Peg, float] = {}
        venues: dict[tuple[str, Factor], float] = {}
        for name, move in moves.items():
            if not -1.0 <= move <= HIGHEST:
                raise UsageError(f"a move of {shown(name, 60)} by {move:+.0%} cannot be", hint="from -100 % to a million times the price")
            where = self.find(name)
            if isinstance(where, tuple):
                venues[where] = move
            elif name in self.pegs:
                pegs[Peg(name)] = move
            else:
                factors[Factor(where)] = move
        return Shock(factors, pegs, venues)

    def find(self, name: str) -> str | tuple[str, Factor]:
        """The factor or peg of that name, or the venue and factor of `venue:FACTOR`. Raises `UnknownName`."""
        if name in self.factors or name in self.pegs:
            return name
        for venue in self.venues:
            head = f"{venue}:"
            if name.lower().startswith(head.lower()) and name[len(head) :] in self.factors:
                return venue, Factor(name[len(head) :])
        raise UnknownName("factor", name, (*self.factors, *self.pegs, *(f"{venue}:{one}" for venue in self.venues for one in self.factors)))
