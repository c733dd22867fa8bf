"""The joint boundary against brute force, for every book whose accounts are concave."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk.health.account import assess
from defi_risk.health.arrays import Array, Arrays, dead
from defi_risk.health.boundary import BOX, boundary
from defi_risk.health.figures import Boundary
from defi_risk.ids import Factor
from defi_risk.model import Account
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC
from tests.strategies import books, examples

GRID = np.linspace(0.0, BOX, 25)


def drawn(accounts: list[Account], first: str, second: str) -> tuple[Arrays, Boundary]:
    assessed = [assess(account, SETTINGS, {}) for account in accounts]
    assume(not any(one.figures.liquidatable for one in assessed))
    found = boundary(assessed, (Factor(first), Factor(second)))
    assert isinstance(found, Boundary)
    return Arrays.of(assessed), found


def at(arrays: Arrays, axes: tuple[str, str], points: Array) -> Array:
    """Surpluses at multipliers of two axes, relative to what is added up at the far end of the box."""
    multipliers = np.ones((len(points), len(arrays.axes)))
    for column, axis in enumerate(axes):
        if axis in arrays.axes:
            multipliers[:, arrays.axes.index(axis)] = points[:, column]
    gross = BOX * (np.abs(arrays.weights) + np.abs(arrays.needs)).sum(axis=1)
    for ladder in arrays.ladders:
        gross[ladder.row] += BOX * np.abs(ladder.forms).sum()
    relative: Array = arrays.surplus(arrays.points(multipliers)) / np.maximum(gross, 1e-9)
    return relative


def depth(found: Boundary, points: Array) -> Array:
    """How far inside the polygon points are: the smallest distance to a side, negative outside."""
    corners = np.array(found.polygon)
    ends = np.roll(corners, -1, axis=0)
    along = (ends - corners) / np.linalg.norm(ends - corners, axis=1)[:, None]
    offset = points[:, None, :] - corners[None, :, :]
    distances: Array = (along[None, :, 0] * offset[:, :, 1] - along[None, :, 1] * offset[:, :, 0]).min(axis=1)
    return distances


pairs = st.sampled_from([(ETH, BTC), (ETH, SOL), (BTC, USDC)])


@examples(75)
@given(books(), pairs)
def test_inside_is_safe_and_outside_is_not(accounts: list[Account], axes: tuple[str, str]) -> None:
    arrays, found = drawn(accounts, *axes)
    points = np.array([(x, y) for x in GRID for y in GRID])
    worst = at(arrays, axes, points).min(axis=1)
    if len(found.polygon) < 3:  # safe only on a line or in a point
        assert (worst <= 1e-9).all()
        return
    inside = depth(found, points)
    assert (worst[inside > 1e-9] >= -1e-9).all()
    assert (worst[inside < -1e-9] <= 1e-9).all()


@examples(50)
@given(books(), pairs)
def test_today_is_inside_and_every_side_is_its_account_s_line(accounts: list[Account], axes: tuple[str, str]) -> None:
    arrays, found = drawn(accounts, *axes)
    assume(len(found.polygon) > 2)
    assert depth(found, np.array([[1.0, 1.0]]))[0] >= -1e-9
    corners = np.array(found.polygon)
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    surpluses = at(arrays, axes, middles)
    for (x, y), owner, row in zip(middles, found.edges, surpluses, strict=True):
        if owner is None:
            assert min(abs(x), abs(y), abs(x - BOX), abs(y - BOX)) < 1e-9
        else:
            assert abs(row[list(arrays.ids).index(owner)]) < 1e-9


@examples(50)
@given(books())
def test_arrays_say_what_the_closed_forms_say(accounts: list[Account]) -> None:
    """Today, and at the market's crossings."""
    assessed = [assess(account, SETTINGS, {}) for account in accounts]
    arrays = Arrays.of(assessed)
    today = arrays.points(np.ones((1, len(arrays.axes))))
    np.testing.assert_allclose(arrays.equity(today)[0], [one.figures.equity_usd for one in assessed], rtol=1e-9, atol=1e-6)
    for row, one in enumerate(assessed):
        weighted, requirement = one.normal.weighted(), one.normal.requirement()
        gross = sum(map(abs, one.normal.c.values())) + requirement + 1e-9
        assert abs(arrays.weighted(today)[0, row] - weighted) < 1e-12 * gross
        assert abs(arrays.requirement(today)[0, row] - requirement) < 1e-12 * gross
        if not one.figures.liquidatable and abs(weighted - requirement) > 1e-9 * gross:
            assert not dead(arrays.surplus(today), arrays.requirement(today), arrays.strict)[0, row]


@examples(30)
@given(books(), st.integers(0, 2**32 - 1))
def test_deaths_are_counted_as_they_are_told_one_by_one(accounts: list[Account], seed: int) -> None:
    arrays = Arrays.of([assess(account, SETTINGS, {}) for account in accounts])
    points = arrays.points(np.random.default_rng(seed).lognormal(0.0, 0.4, (300, len(arrays.axes))))
    told = np.where(arrays.strict, arrays.surplus(points) < 0, arrays.surplus(points) <= 0)
    assert list(arrays.deaths(points)) == list(told.sum(axis=0))
