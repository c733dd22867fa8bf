"""Legs of one account in two snapshots, side by side, with what time alone did to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from defi_risk import model
from defi_risk.explain.accrual import funding, interest
from defi_risk.health.normal import Key, pricing, profit
from defi_risk.ids import Factor, Peg
from defi_risk.model import Contract, Role
from defi_risk.snapshot.model import Account
from defi_risk.snapshot.restore import check, restore

NOISE: Final = 1e-12
"""A venue's profit that differs by less than this share of the notional from entry and mark does not differ."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A leg in one snapshot. `quote_usd` is USD per quote coin of a position, `coin_usd` per coin that it settles in; `extra` what it has
    earned beyond entry and mark (funding and fees not settled yet), in that coin.
    """

    leg: model.Leg
    quote_usd: float = 1.0
    coin_usd: float = 1.0
    extra: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A leg before and after; None where there was none. `carry` is what time did to the amount (a position: to its profit)."""

    before: Recorded | None
    after: Recorded | None
    carry: float = 0.0

    @property
    def shown(self) -> Recorded:
        """The leg as it was last, for its name."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a pair of nothing")
        return found


@dataclass(frozen=True, slots=True)
class State:
    """A known account in one snapshot."""

    account: model.Account
    sides: tuple[Recorded, ...]

    @classmethod
    def of(cls, recorded: Account) -> State:
        """The restored account, checked against its recorded figures. Raises `StoreError`."""
        account = restore(recorded)
        check(recorded, account)
        usd = [1.0 if leg.terms is None else leg.terms.quote_usd for leg in recorded.legs]
        of_leg = dict(zip(map(id, account.legs), usd, strict=True))
        return cls(account, tuple(_side(leg, quote, _coin_usd(leg, account, of_leg)) for leg, quote in zip(account.legs, usd, strict=True)))


def pairs(before: State, after: State, seconds: float) -> tuple[Pair, ...]:
    """The legs of both, matched by role and token (positions: by contract and direction as well), `seconds` apart (below zero: `after` is
    the earlier one).
    """
    if seconds < 0:
        return tuple(Pair(pair.after, pair.before, -pair.carry) for pair in pairs(after, before, -seconds))
    return tuple(_accrued(_matched(before.sides, after.sides), seconds))


def _coin_usd(leg: model.Leg, account: model.Account, quotes: Mapping[int, float]) -> float:
    """USD per coin that a position settles in; `quotes` is USD per quote coin by the identity of a leg."""
    if leg.position is None or leg.position.contract is Contract.LINEAR:
        return quotes[id(leg)]
    by = pricing(account.legs, Key(leg.factor, leg.peg)) or leg
    return float(by.position.mark) * quotes[id(by)] if by.position else float(by.price.value) if by.price else 0.0


def _side(leg: model.Leg, quote_usd: float, coin_usd: float) -> Recorded:
    position = leg.position
    if position is None:
        return Recorded(leg)
    plain = profit(replace(position, unrealized_pnl=None), float)
    extra = profit(position, float) - plain
    size, mark = float(position.size), float(position.mark)
    notional = abs(size * mark if position.contract is Contract.LINEAR else size / mark)
    unsettled = float(position.accrued_funding - position.accrued_fees)
    return Recorded(leg, quote_usd, coin_usd, unsettled + (extra if abs(extra) > NOISE * (notional + abs(plain)) else 0.0))


def _matched(before: Sequence[Recorded], after: Sequence[Recorded]) -> list[Pair]:
    left, right = _keyed(before), _keyed(after)
    return [Pair(left.get(key), right.get(key)) for key in sorted({*left, *right})]


def _keyed(sides: Sequence[Recorded]) -> dict[tuple[str, ...], Recorded]:
    """Sides by what they are; the second of a kind is told from the first by its place."""
    found: dict[tuple[str, ...], Recorded] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for side in sides:
        position = side.leg.position
        direction = "" if position is None else f"{position.contract.value} {'short' if position.size < 0 else 'long'}"
        kind = (side.leg.role.value, side.leg.asset.id, direction)
        found[(*kind, f"{seen[kind]:09}")] = side
        seen[kind] += 1
    return found


def _accrued(found: Sequence[Pair], seconds: float) -> Iterator[Pair]:
    """The pairs with their carry; the sides `before` are the earlier ones."""
    settled = [0.0] * len(found)
    for index, pair in enumerate(found):
        if pair.before is None or pair.after is None or pair.before.leg.position is None:
            continue
        paid = funding(pair.before.leg.position, seconds)
        margin = _settling(found, pair.before.leg, pair.before.leg.position)
        # what has not been settled yet is part of the venue's profit; what has not moved at all has not been paid
        if margin is not None and _moved(found[margin]):
            settled[margin] += paid
        elif pair.before.extra != pair.after.extra:
            settled[index] += paid
    return (replace(pair, carry=funds + _interest(pair, seconds, funds)) for pair, funds in zip(found, settled, strict=True))


def _interest(pair: Pair, seconds: float, settled: float) -> float:
    if pair.before is None or pair.after is None or pair.before.leg.position is not None:
        return 0.0
    return interest(pair.before.leg, pair.after.leg, seconds, settled)


def _settling(found: Sequence[Pair], leg: model.Leg, position: model.Position) -> int | None:
    """The margin in the coin that a position settles in, where both snapshots have it."""
    coin: tuple[Factor, Peg | None] = (position.quote, position.quote_peg)
    if position.contract is Contract.INVERSE:
        coin = (leg.factor, leg.peg)
    for index, pair in enumerate(found):
        held = pair.before
        if held and pair.after and held.leg.role is Role.MARGIN and (held.leg.factor, held.leg.peg) == coin:
            return index
    return None


def _moved(pair: Pair) -> bool:
    return pair.before is not None and pair.after is not None and float(pair.before.leg.amount) != float(pair.after.leg.amount)
