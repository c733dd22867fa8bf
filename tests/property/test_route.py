"""Crossings on any straight stage between two shocks, against the surplus itself at many points of it."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk.health.account import assess
from defi_risk.health.distance import Surplus, crossing
from defi_risk.health.route import Stage, shock_route
from defi_risk.health.shock import Shock
from defi_risk.model import Account
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, perp, position
from tests.accounts import margin as posted
from tests.strategies import accounts, examples

moves = st.sampled_from([-0.9, -0.5, -0.25, 0.0, 0.0, 0.25, 1.0, 2.0])
shocks = st.fixed_dictionaries({ETH: moves, BTC: moves, SOL: moves, USDC: moves}).map(Shock)


def at(surplus: Surplus, stage: Stage, point: float) -> float:
    """B relative to what is added up there."""
    ramps = stage.ramps(surplus.coordinates(), "")
    terms = [abs(amount * max(0.0, ramps[key][0] + ramps[key][1] * point)) for key, amount in surplus.net.items()]
    return surplus.at(ramps, point) / max(1.0, sum(terms))


@examples(200)
@given(accounts(convex=False), shocks, shocks)
def test_the_first_crossing_of_a_stage(account: Account, first: Shock, second: Shock) -> None:
    """Nothing is dead before it, and right behind it something is; without one the whole stage is alive."""
    one = assess(account, SETTINGS, {})
    surplus = one.surplus
    _, stage = shock_route(first, second)
    assume(at(surplus, stage, 1.0) > 1e-9)
    found = crossing(surplus, stage.ramps(surplus.coordinates(), ""), stage.near, stage.far)
    end = 2.0 if found is None else found
    before = [at(surplus, stage, point) for point in np.linspace(1.0, end, 40)[:-1]]
    assert min(before) >= -1e-9
    if found is not None:
        assert at(surplus, stage, found) <= 1e-9 or at(surplus, stage, found + 1e-9) <= 1e-9


def test_brackets_that_stand_still_away_from_today() -> None:
    """ETH has fallen by half and stays there while BTC falls: the ETH position is in a lower bracket than today."""
    tiers = [(0, "0.01", 0), (20_000, "0.5", 0)]
    account = perp(posted(USDC, 40_000), position(ETH, -10, 3000, maintenance=tiers), position(BTC, 1, 60_000, maintenance="0.01"))
    surplus = assess(account, SETTINGS, {}).surplus
    _, stage = shock_route(Shock({ETH: -0.5}), Shock({ETH: -0.5, BTC: -0.99}))
    found = crossing(surplus, stage.ramps(surplus.coordinates(), ""), 1.0, 2.0)
    # 40,000 + 15,000 - 60,000 x = 150 + 600 (1 - x), with x the fall of BTC
    assert found is not None
    assert abs((found - 1.0) * 0.99 - 54_250 / 59_400) < 1e-12
