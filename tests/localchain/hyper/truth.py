"""What a double of HyperCore says of every margin account of a user: which there are, where they stand, and when they die."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from tests.localchain.hyper.state import USDC, Coin, Dex, HyperCore, Position, User, maintenance, margin_used, perp_id

POOLED_LINE: Final = Fraction(20, 19)
LENT_LINE: Final = Fraction(21, 20)
DISCOUNT: Final = Decimal("0.95")


@dataclass(frozen=True)
class Margin:
    """Value and maintenance margin in whole coins of `token`; dead below `line` times the second. `held` are its positions."""

    token: int
    value: Decimal
    needed: Decimal
    line: Fraction
    held: tuple[tuple[Dex, Coin, Position], ...]

    @property
    def dead(self) -> bool:
        return Fraction(self.value) < Fraction(self.needed) * self.line


def margins(core: HyperCore, user: User) -> dict[str, Margin]:
    """By what the account's id should end in."""
    return isolated(core, user) | (pooled(core, user) if user.pooled else standard(core, user))


def isolated(core: HyperCore, user: User) -> dict[str, Margin]:
    """An account for each isolated position."""
    found: dict[str, Margin] = {}
    for number, dex in enumerate(core.dexs):
        for place, coin in enumerate(dex.coins):
            one = user.positions.get(coin.name)
            if one is not None and one.cash is not None:
                needed = maintenance(dex.tiers(coin), abs(one.size) * coin.mark)
                held = ((dex, coin, one),)
                found[f"/isolated:{perp_id(number, place)}"] = Margin(dex.collateral, margin_used(coin, one), needed, Fraction(1), held)
    return found


def standard(core: HyperCore, user: User) -> dict[str, Margin]:
    """An account for the cross margin of each dex."""
    found: dict[str, Margin] = {}
    for number, dex in enumerate(core.dexs):
        held = _cross(core, user, dex)
        if held or user.cash.get(dex.name):
            suffix = f"/dex:{number}" if number else ""
            found[suffix] = Margin(dex.collateral, core.cross_value(user, dex), core.maintenance(user, dex), Fraction(1), held)
    return found


def pooled(core: HyperCore, user: User) -> dict[str, Margin]:
    """An account for each token that dexs settle in; under portfolio margin one, in which tokens count beside USDC."""
    lent = user.mode == "portfolioMargin"
    found: dict[str, Margin] = {}
    for token in {USDC} if lent else {dex.collateral for dex in core.dexs}:
        value, needed = core.pool(user, token)
        collateral = core.collateral(user) if lent else Decimal(0)
        held = tuple(one for dex in core.dexs if dex.collateral == token for one in _cross(core, user, dex))
        if value or held or lent:
            line = LENT_LINE if collateral else POOLED_LINE
            found[f"/token:{token}" if token else ""] = Margin(token, value + collateral * DISCOUNT, needed, line, held)
    return found


def _cross(core: HyperCore, user: User, dex: Dex) -> tuple[tuple[Dex, Coin, Position], ...]:
    return tuple((dex, coin, one) for coin, one in core.held(user, dex) if one.cash is None)
