"""Distance in standard deviations of random books: the killing shock kills, and nothing before it does."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given

from defi_risk.health.account import Assessed, assess
from defi_risk.health.arrays import Arrays
from defi_risk.health.covariance import Covariance, covariance
from defi_risk.health.sigma import book_sigma, sigma, sigmas
from defi_risk.model import Account, Role
from tests.accounts import SETTINGS, USDC, coin
from tests.strategies import accounts, books, examples

VOLATILITIES = st.tuples(*(st.sampled_from([0.0, 0.0005, 0.01, 0.03, 0.05, 0.12]) for _ in range(7)))
NAMES = ("ETH", "BTC", "SOL", "USDC", "USDT", "stETH/ETH", "tBTC/BTC")
RHO = st.sampled_from([-0.5, 0.0, 0.6, 0.9])


def daily(sigmas: tuple[float, ...], rho: float, scale: float = 1.0) -> Covariance:
    volatility = {name: each * scale for name, each in zip(NAMES, sigmas, strict=True)}
    correlation = {"ETH/BTC": rho, "ETH/SOL": abs(rho), "BTC/SOL": rho * abs(rho)}
    return covariance(NAMES, volatility=volatility, correlation=correlation, stables=SETTINGS.stables, history=None)


def known(account: Account) -> Assessed:
    return assess(account, SETTINGS, {})


def size(arrays: Arrays) -> float:
    ladders = sum(float(np.abs(ladder.forms).max(axis=0).sum()) for ladder in arrays.ladders)
    return float(np.abs(arrays.weights).sum() + np.abs(arrays.needs).sum()) + ladders


@examples(120)
@given(accounts(), VOLATILITIES, RHO)
def test_the_shock_is_where_the_account_dies(account: Account, volatility: tuple[float, ...], rho: float) -> None:
    one = known(account)
    found = sigma(one, daily(volatility, rho), 1.0)
    assume(found.distance is not None and found.distance > 0)
    arrays = Arrays.of([one])
    moves = np.array([found.shock.get(axis, 0.0) for axis in arrays.axes]) @ arrays.pulls

    def surplus(part: float) -> float:
        return float(arrays.surplus(np.maximum(0.0, 1.0 + part * moves)[None])[0, 0])

    slack = 1e-9 * size(arrays) * (1 + float(np.abs(moves).max()))
    # brackets that do not meet make B jump: the shock is where it does
    assert min(surplus(1 - 1e-9), surplus(1), surplus(1 + 1e-9)) <= slack
    assert all(surplus(part) >= -slack for part in np.linspace(0, 1 - 1e-9, 50))


@examples(60)
@given(accounts(), VOLATILITIES, RHO)
def test_twice_the_volatility_is_half_the_distance(account: Account, volatility: tuple[float, ...], rho: float) -> None:
    one = known(account)
    calm, wild = sigma(one, daily(volatility, rho), 1.0), sigma(one, daily(volatility, rho, 2.0), 1.0)
    month = sigma(one, daily(volatility, rho), 4.0)
    if calm.distance is None:
        assert wild == month == calm
    else:
        assert wild.distance == pytest.approx(calm.distance / 2, rel=1e-9)
        assert wild.shock == pytest.approx(calm.shock, rel=1e-9, abs=1e-12)
        assert month.distance == pytest.approx(calm.distance / 2, rel=1e-9)


@examples(60)
@given(books(), VOLATILITIES, RHO)
def test_accounts_together_are_the_same_as_alone(book: list[Account], volatility: tuple[float, ...], rho: float) -> None:
    assessed = [known(account) for account in book]
    cov = daily(volatility, rho)
    together = sigmas(assessed, Arrays.of(assessed), cov, 1.0)
    for one, found in zip(assessed, together, strict=True):
        alone = sigma(one, cov, 1.0)
        assert (found.distance is None) == (alone.distance is None)
        assert found.distance is None or found.distance == pytest.approx(alone.distance, rel=1e-9)
        assert found.missing == alone.missing == ()
    smallest = min((each.distance for each in together if each.distance is not None), default=None)
    assert book_sigma(assessed, together, 1.0).distance == smallest


@examples(60)
@given(accounts(), VOLATILITIES, RHO)
def test_money_on_top_never_brings_the_line_nearer(account: Account, volatility: tuple[float, ...], rho: float) -> None:
    one = known(account)
    assume(not one.figures.liquidatable)
    cov = daily((*volatility[:3], 0.0, *volatility[4:]), rho)
    richer = known(replace(account, legs=(*account.legs, coin(Role.MARGIN, USDC, 1_000, available=1_000))))
    before, after = sigma(one, cov, 1.0), sigma(richer, cov, 1.0)
    if before.distance is None:
        assert after.distance is None
    elif after.distance is not None:
        assert after.distance >= before.distance * (1 - 1e-12)
