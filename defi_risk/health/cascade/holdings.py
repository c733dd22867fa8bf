"""Holdings that changed and accounts summed anew from what is left of them.

Everything is in USD at today's prices, as in `normal`; `Multipliers` say what an event sees of those prices. A changed holding keeps the
leg that was read: what is left of it stands in its `value` and its forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeAlias

from defi_risk.health.normal import Form, Holding, Key, Ladder, Normal
from defi_risk.ids import AssetId
from defi_risk.model import Account, Asset, Leg, Role, Side
from defi_risk.units import Quantity

Multipliers: TypeAlias = Callable[[Key], float]
"""What the price of a key is multiplied by at an event."""


def at(form: Form[float], seen: Multipliers) -> float:
    """The value of a form at an event."""
    return sum([amount * seen(key) for key, amount in form.items()])


def requirement(normal: Normal[float], seen: Multipliers) -> float:
    """R at an event."""
    return at(normal.r, seen) + sum(at(_rung(ladder, seen), seen) for ladder in normal.ladders)


def _rung(ladder: Ladder[float], seen: Multipliers) -> Form[float]:
    return ladder.forms[sum(at(gate, seen) >= 0 for gate in ladder.gates)]


def worth(holding: Holding[float], seen: Multipliers) -> float:
    """What tokens or a debt add to equity at an event; a debt less than zero."""
    value = holding.value * seen(holding.key)
    return -value if holding.leg.role is Role.DEBT else value


def revalued(holding: Holding[float], value: float) -> Holding[float]:
    """The same tokens, or the same debt, with another value today. A negative balance is owed in full, whatever the haircut."""
    key = holding.key
    if holding.leg.role is Role.DEBT:
        owed = {key: -value}
        if not holding.counts:
            return holding._replace(value=value, worth=owed, needs={key: value})
        share = value / holding.value if holding.value else 0.0
        return holding._replace(value=value, worth=owed, counts=owed, needs={key: usd * share for key, usd in holding.needs.items()})
    return holding._replace(value=value, worth={key: value}, counts={key: value * (holding.weight if value >= 0 else surcharge(holding))})


def surcharge(holding: Holding[float]) -> float:
    """What a negative balance is owed at, times its price: 1, or more where its weight says so."""
    return max(1.0, float(holding.leg.weight)) if holding.leg.enabled else 1.0


def tokens(role: Role, key: Key, value: float, price: float, *, enabled: bool) -> Holding[float]:
    """A holding that an event created: a coin that counts in full, or (not `enabled`) not at all. `price` in USD."""
    weight = 1.0 if enabled else 0.0
    leg = Leg(
        role=role,
        asset=Asset(AssetId(f"peg:{key.peg}" if key.peg else f"factor:{key.factor}"), str(key.peg or key.factor), 18),
        factor=key.factor,
        peg=key.peg,
        amount=Quantity.of(Decimal(str(value / price if price else value))),
        weight=Decimal(int(enabled)),
        enabled=enabled,
    )
    return Holding(leg, key, value, price, weight, weight, None, {key: value}, {key: value * weight}, {})


def assembled(account: Account, before: Normal[float], holdings: Iterable[Holding[float]], initial: float = 0.0) -> Normal[float]:
    """The account that consists of these holdings. `initial` is the requirement of its positions under the venue's initial limits."""
    lending = account.side is Side.LENDING
    c: Form[float] = {}
    r: Form[float] = {}
    ladders: list[Ladder[float]] = []
    kept = tuple(holdings)
    equity = collateral = debt = 0.0
    for holding in kept:
        for key, amount in holding.counts.items():
            c[key] = c.get(key, 0.0) + amount
        for key, amount in holding.needs.items():
            r[key] = r.get(key, 0.0) + amount
        if holding.ladder is not None:
            ladders.append(holding.ladder)
        leg, value = holding.leg, holding.value
        if leg.role is Role.POSITION:
            equity += sum(holding.worth.values())
        elif leg.role is Role.DEBT:
            equity -= value
            debt += value
            initial += value if lending else sum(holding.needs.values())
        else:
            equity += value
            collateral += value if leg.enabled else 0.0
            initial += value * (holding.weight - holding.initial_weight) if value >= 0 else 0.0
    return Normal(c, r, tuple(ladders), kept, before.quotes, equity, collateral, debt, initial)
