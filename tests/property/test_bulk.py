"""The matrix kernels against plain Python loops and against the engine's own crossings, on random books."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.health.bulk import Floats, any_below, count_below, health, liquidation_prices, surplus
from defi_risk.health.distance import Surplus, alone, crossings
from defi_risk.health.normal import Key
from defi_risk.ids import Factor
from tests import strategies as own


@st.composite
def books(draw: st.DrawFn, accounts: int = 700, scenarios: int = 700) -> tuple[Floats, Floats, Floats]:
    """C and R by coordinate, and scenarios: across the bounds of tiles, with zeros, negative collateral, accounts without debt and
    exactly on their line. Every product and sum of them is exact in float64, so that one order of adding is as good as another.
    """
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    width = draw(st.sampled_from([1, 2, 3, 8, 11, 40]))
    size = (draw(st.integers(0, accounts)), width)
    reach = draw(st.sampled_from([2, 40, 1_000_000]))
    weighted = random.integers(-(reach // 4), reach, size) * (random.random(size) < draw(st.floats(0, 1)))
    requirement = random.integers(0, reach, size) * (random.random(size) < draw(st.floats(0, 1)))
    shocks = random.integers(0, 256, (draw(st.integers(0, scenarios)), width)) / 64.0
    if draw(st.booleans()):
        shocks[: len(shocks) // 3] = 1.0
    return weighted.astype(np.float64), requirement.astype(np.float64), shocks


def value(amounts: list[float], multipliers: list[float]) -> float:
    return sum(amount * multiplier for amount, multiplier in zip(amounts, multipliers, strict=True))


def table(amounts: Floats, shocks: Floats) -> list[list[float]]:
    """The naive matrix, account by account and scenario by scenario."""
    multipliers = shocks.tolist()
    return [[value(row, shock) for shock in multipliers] for row in amounts.tolist()]


@own.examples(40)
@given(books(300, 300), st.booleans())
def test_counts_are_those_of_a_loop(book: tuple[Floats, Floats, Floats], strict: bool) -> None:
    weighted, requirement, shocks = book
    net = weighted - requirement
    plain = table(net, shocks)
    dead = [[b < 0 or (b == 0 and not strict) for b in row] for row in plain]
    assert count_below(net, shocks, strict=strict).tolist() == [sum(row) for row in dead]
    assert surplus(net, shocks).tolist() == plain or not plain
    below, first = any_below(net, shocks, strict=strict)
    expected = [next((at for at, row in enumerate(dead) if row[scenario]), -1) for scenario in range(len(shocks))]
    assert first.tolist() == expected
    assert below.tolist() == [at >= 0 for at in expected]


@own.examples(60)
@given(books())
def test_counts_do_not_depend_on_tiles(book: tuple[Floats, Floats, Floats]) -> None:
    weighted, requirement, shocks = book
    net = weighted - requirement
    whole = shocks @ net.T
    assert (count_below(net, shocks) == (whole < 0).sum(axis=0)).all()
    assert (count_below(net, shocks, strict=False) == (whole <= 0).sum(axis=0)).all()
    assert (any_below(net, shocks)[0] == (whole < 0).any(axis=1)).all()
    assert (surplus(net, shocks) == whole.T).all()
    # neither do they depend on how the arrays lie in memory
    assert (count_below(np.asfortranarray(net), shocks[:, ::-1][:, ::-1]) == (whole < 0).sum(axis=0)).all()


@own.examples(40)
@given(books(200, 200))
def test_health_is_that_of_a_loop(book: tuple[Floats, Floats, Floats]) -> None:
    weighted, requirement, shocks = book
    found = health(weighted, requirement, shocks).tolist()
    for row, collateral, required in zip(found, table(weighted, shocks), table(requirement, shocks), strict=True):
        assert row == [0.0 if c < 0 else inf if r == 0 else c / r for c, r in zip(collateral, required, strict=True)]


@own.examples(60)
@given(books(2_500, 3))
def test_health_below_one_is_surplus_below_zero(book: tuple[Floats, Floats, Floats]) -> None:
    weighted, requirement, shocks = book
    found = health(weighted, requirement, shocks)
    assert not np.isnan(found).any()
    assert (found >= 0).all()
    assert ((found < 1) == (surplus(weighted - requirement, shocks) < 0)).all()


@own.examples(40)
@given(books(60, 0))
def test_liquidation_prices_are_the_roots(book: tuple[Floats, Floats, Floats]) -> None:
    net = book[0] - book[1]
    low, high = liquidation_prices(net)
    for amounts, falls, rises in zip(net.tolist(), low.tolist(), high.tolist(), strict=True):
        today = sum(map(Fraction, amounts))
        for amount, fall, rise in zip(amounts, falls, rises, strict=True):
            root = 1 - today / Fraction(amount) if amount else Fraction(0)
            assert fall == (1.0 if today < 0 else float(max(root, Fraction(0))) if amount > 0 else 0.0)
            assert rise == (1.0 if today < 0 else float(root) if amount < 0 else inf)


@own.examples(60)
@given(st.lists(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), max_size=40))
def test_liquidation_prices_are_the_engines_crossings(rows: list[list[float]]) -> None:
    net = np.array(rows, np.float64).reshape(-1, 3)
    low, high = liquidation_prices(net)
    assert ((low >= 0) & (low <= 1) & (high >= 1)).all()
    keys = [Key(Factor(name)) for name in ("BTC", "ETH", "SOL")]
    for amounts, falls, rises in zip(rows, low.tolist(), high.tolist(), strict=True):
        if sum(amounts) <= 1e-9 * sum(map(abs, amounts)):
            continue  # dead, or so near its line that the sign of B is rounding
        form = Surplus(dict(zip(keys, amounts, strict=True)), ())
        for key, fall, rise in zip(keys, falls, rises, strict=True):
            ratios = crossings(form, alone(form.coordinates(), key.factor, peg=False))
            assert np.isclose(fall, ratios.down or 0.0, rtol=1e-9, atol=1e-12)
            assert rise > 1e12 if ratios.up is None else np.isclose(rise, ratios.up, rtol=1e-9)
