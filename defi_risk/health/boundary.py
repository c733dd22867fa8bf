"""The joint boundary in two factors: the polygon in which no account is liquidatable (`unified-health` section 5).

Each account's surplus is concave in the two multipliers where its maintenance rates rise with size: then the linear piece that holds at
an unsafe point bounds the surplus from above everywhere, so that cutting the polygon along that piece loses nothing safe. Cutting goes on
until every corner is safe; the result is exact, not sampled. An account whose brackets do not rise, or do not meet, is judged by the
largest of its brackets everywhere: its part of the polygon is then smaller than the truth, never larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from defi_risk.health.account import Assessed
from defi_risk.health.distance import CASH
from defi_risk.health.exposure import gross_volatile
from defi_risk.health.figures import Boundary, Exposure
from defi_risk.health.normal import Form, Ladder
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import USD, AccountId, Factor

BOX: Final = 3.0
"""The polygon is clipped to [0, 3] x [0, 3] in multipliers of today's prices."""
SLACK: Final = 1e-12
"""A corner is safe when its surplus is above minus this share of what the account adds up at the far end of the box."""


class _Plane(NamedTuple):
    """The value a + x * sx + y * sy in USD."""

    a: float
    x: float
    y: float

    def at(self, sx: float, sy: float) -> float:
        return self.a + self.x * sx + self.y * sy

    def gross(self, sx: float, sy: float) -> float:
        return abs(self.a) + abs(self.x * sx) + abs(self.y * sy)

    def less(self, other: _Plane) -> _Plane:
        return _Plane(self.a - other.a, self.x - other.x, self.y - other.y)


class _Corner(NamedTuple):
    """A corner of the polygon, and whose line the side that starts there lies on."""

    sx: float
    sy: float
    edge: AccountId | None


@dataclass(frozen=True, slots=True)
class _Region:
    """An account's surplus over the two factors."""

    account: AccountId
    net: _Plane
    ladders: tuple[tuple[_Plane, ...], ...]

    def piece(self, sx: float, sy: float) -> _Plane:
        """The linear piece that holds at a point."""
        found = self.net
        for rungs in self.ladders:
            found = found.less(max(rungs, key=lambda rung: rung.at(sx, sy)))
        return found

    def unsafe(self, sx: float, sy: float) -> tuple[float, _Plane] | None:
        """How far below zero the surplus is at a point, and the piece that says so; None where it is safe."""
        piece = self.piece(sx, sy)
        depth = piece.at(sx, sy)
        # a corner's own coordinates are rounded to the size of the box, not to their own
        gross = self.net.gross(BOX, BOX) + piece.gross(BOX, BOX)
        return (depth, piece) if depth < -SLACK * gross else None


def boundary(assessed: Sequence[Assessed], factors: tuple[Factor, Factor]) -> Boundary | AccountId:
    """The polygon over two different factors, counter-clockwise from its lowest corner; empty where something is liquidatable now.

    The id of an account instead, where its brackets do not meet and it would miss the largest of them today: no convex part around today
    is known of it.
    """
    if any(one.figures.liquidatable for one in assessed):
        return Boundary(factors, (), ())
    corners = [_Corner(0.0, 0.0, None), _Corner(BOX, 0.0, None), _Corner(BOX, BOX, None), _Corner(0.0, BOX, None)]
    for one in assessed:
        region = _region(one, factors)
        if region.unsafe(1.0, 1.0) is not None:
            return one.account.id
        corners = _cut(corners, region)
    start = min(range(len(corners)), key=lambda index: (corners[index].sy, corners[index].sx)) if corners else 0
    turned = corners[start:] + corners[:start]
    return Boundary(factors, tuple((corner.sx, corner.sy) for corner in turned), tuple(corner.edge for corner in turned))


def chosen(exposed: Sequence[Exposure], settings: HealthSettings) -> tuple[Factor, Factor] | None:
    """The two factors that the book depends on most: by gross exposure, volatile ones before stables; None where it has fewer."""

    def rank(one: Exposure) -> tuple[bool, float, str]:
        return settings.stable(one.factor), -(one.long_usd + one.short_usd), one.factor

    ranked = sorted((one for one in exposed if one.factor != USD and one.long_usd + one.short_usd > 0), key=rank)
    return (ranked[0].factor, ranked[1].factor) if len(ranked) > 1 and gross_volatile(ranked, settings) > 0 else None


def _region(one: Assessed, factors: tuple[Factor, Factor]) -> _Region:
    net = dict(one.surplus.net)
    still = 0.0
    ladders: list[tuple[_Plane, ...]] = []
    for ladder in one.surplus.ladders:
        if any(key.factor in factors for form in ladder.forms for key in form):
            ladders.append(_rungs(ladder, factors))
        else:
            still += ladder.now()
    net[CASH] = net.get(CASH, 0.0) - still
    return _Region(one.account.id, _plane(net, factors), tuple(ladders))


def _rungs(ladder: Ladder[float], factors: tuple[Factor, Factor]) -> tuple[_Plane, ...]:
    return tuple(_plane(form, factors) for form in ladder.forms)


def _plane(form: Form[float], factors: tuple[Factor, Factor]) -> _Plane:
    first, second = factors
    a = x = y = 0.0
    for key, amount in form.items():
        if key.factor == first:
            x += amount
        elif key.factor == second:
            y += amount
        else:
            a += amount
    return _Plane(a, x, y)


def _cut(corners: list[_Corner], region: _Region) -> list[_Corner]:
    """The part of the polygon that is safe for one account. It ends: no piece is cut along twice, and there are finitely many."""
    used: set[_Plane] = set()
    while True:
        worst = _worst(corners, region)
        if worst is None or worst in used:
            return corners
        used.add(worst)
        corners = _clip(corners, worst, region.account)


def _worst(corners: Sequence[_Corner], region: _Region) -> _Plane | None:
    """The linear piece at the least safe corner; None where all are safe."""
    found = [below for corner in corners if (below := region.unsafe(corner.sx, corner.sy)) is not None]
    return min(found, key=lambda below: below[0])[1] if found else None


def _clip(corners: Sequence[_Corner], plane: _Plane, account: AccountId) -> list[_Corner]:
    """The part of a convex polygon where a plane is not negative; the new side is the account's."""
    kept: list[_Corner] = []
    values = [plane.at(corner.sx, corner.sy) for corner in corners]
    for index, corner in enumerate(corners):
        following = (index + 1) % len(corners)
        here, there = values[index], values[following]
        if here >= 0:
            kept.append(corner)
        if (here < 0) != (there < 0):
            share = here / (here - there)
            end = corners[following]
            point = corner.sx + share * (end.sx - corner.sx), corner.sy + share * (end.sy - corner.sy)
            # leaving the safe side, the new line begins; coming back, the old side goes on
            kept.append(_Corner(*point, account if here >= 0 else corner.edge))
    return _distinct(kept)


def _distinct(corners: Sequence[_Corner]) -> list[_Corner]:
    """Without corners that fall on the one behind them: the side between them has no length."""
    found: list[_Corner] = []
    for index, corner in enumerate(corners):
        behind = corners[(index + 1) % len(corners)]
        if (corner.sx, corner.sy) != (behind.sx, behind.sy):
            found.append(corner)
    return found if len(found) > 2 else []
