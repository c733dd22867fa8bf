"""Whatever is given and recorded, a covariance is symmetric, positive semi-definite, finite, and the same in any order of axes."""

from __future__ import annotations

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st

from defi_risk.errors import UsageError
from defi_risk.health.covariance import cholesky_like, covariance
from defi_risk.history import DAY, HOUR, PriceHistory
from tests import strategies as own

NAMES = ("BTC", "ETH", "SOL", "USDC", "stETH/ETH")
STABLES = frozenset({"USDC"})


@st.composite
def histories(draw: st.DrawFn) -> PriceHistory:
    """Correlated walks with holes, hourly or daily, some names missing altogether."""
    seed, rows = draw(st.integers(0, 2**32 - 1)), draw(st.integers(2, 90))
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    random = np.random.default_rng(seed)
    common = random.normal(0, 0.03, (rows, 1))
    prices = 100 * np.exp(np.cumsum(common + random.normal(0, draw(st.sampled_from([0.0, 0.01, 0.1])), (rows, len(names))), axis=0))
    prices[random.random(prices.shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))] = np.nan
    step = draw(st.sampled_from([HOUR, DAY]))
    return PriceHistory(1_700_000_000 + step * np.arange(rows), tuple(names), prices, "random")


shares = st.floats(-1, 1)
volatilities = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1), max_size=5)


@own.examples(200)
@given(st.one_of(st.none(), histories()), volatilities, st.permutations(NAMES))
def test_without_given_correlations_it_always_is_one(history: PriceHistory | None, volatility: dict[str, float], axes: list[str]) -> None:
    found = covariance(axes, volatility=volatility, correlation={}, stables=STABLES, history=history)
    check(found.matrix)
    for index, axis in enumerate(axes):
        if axis in volatility:
            assert abs(found.matrix[index, index] - volatility[axis] ** 2) <= 1e-12
        if axis in found.missing:
            assert axis not in volatility
            assert not found.matrix[index].any()
    again = covariance(NAMES, volatility=volatility, correlation={}, stables=STABLES, history=history)
    places = [NAMES.index(axis) for axis in axes]
    assert np.allclose(found.matrix, again.matrix[np.ix_(places, places)], rtol=1e-9, atol=1e-12)
    assert found.missing == again.missing


@own.examples(200)
@given(st.lists(shares, min_size=10, max_size=10), volatilities, st.one_of(st.none(), histories()))
def test_given_correlations_hold_or_are_refused(values: list[float], volatility: dict[str, float], history: PriceHistory | None) -> None:
    keys = [f"{a}/{b}" for index, a in enumerate(NAMES) for b in NAMES[index + 1 :]]
    given_ones = dict(zip(keys, values, strict=True))
    try:
        found = covariance(NAMES, volatility=volatility, correlation=given_ones, stables=STABLES, history=history)
    except UsageError:
        event("refused")
        return
    check(found.matrix)
    sigma = np.sqrt(np.diag(found.matrix))
    for key, value in given_ones.items():
        i, j = next((i, j) for i, a in enumerate(NAMES) for j, b in enumerate(NAMES) if i < j and f"{a}/{b}" == key)
        assert abs(found.matrix[i, j] - value * sigma[i] * sigma[j]) <= 1e-12


@own.examples(200)
@given(st.lists(st.lists(shares, min_size=3, max_size=3), min_size=5, max_size=5))
def test_correlations_of_real_variables_are_never_refused(loadings: list[list[float]]) -> None:
    rows = np.array(loadings) + np.eye(5, 3) * 1e-3
    rows[np.linalg.norm(rows, axis=1) < 1e-3] = [1, 0, 0]
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    rho = np.clip(rows @ rows.T, -1, 1)
    told = {f"{a}/{b}": float(rho[i, j]) for i, a in enumerate(NAMES) for j, b in enumerate(NAMES) if i < j}
    found = covariance(NAMES, volatility=dict.fromkeys(NAMES, 0.1), correlation=told, stables=STABLES, history=None)
    assert np.allclose(found.matrix, 0.01 * rho, atol=1e-12)


def check(matrix: np.typing.NDArray[np.float64]) -> None:
    """Symmetric, finite, positive semi-definite, and the product of its root with itself."""
    assert np.isfinite(matrix).all()
    assert np.array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix)[0] >= -1e-9
    root = cholesky_like(matrix)
    assert np.allclose(root @ root.T, matrix, atol=1e-9 * max(1.0, float(np.abs(matrix).max())))
