"""The joint boundary of books whose answer can be written down."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from defi_risk.health import Asked, draw
from defi_risk.health.account import Assessed, assess
from defi_risk.health.boundary import boundary, chosen
from defi_risk.health.exposure import exposures
from defi_risk.health.figures import Boundary
from defi_risk.ids import Factor
from defi_risk.model import Account
from tests.accounts import BTC, ETH, SETTINGS, USDC, USDT, collateral, debt, loan, margin, perp, position


def assessed(*accounts: Account) -> list[Assessed]:
    return [assess(account, SETTINGS, {}) for account in accounts]


def drawn(accounts: Sequence[Assessed], factors: tuple[Factor, Factor]) -> Boundary:
    found = boundary(accounts, factors)
    assert isinstance(found, Boundary)
    return found


HEDGE = (
    loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000)),
    perp(margin(USDC, 12_000), position(ETH, -10, 3000), margin(BTC, "0.1", 60_000, "0.95")),
)


def test_a_hedge_with_two_kinds_of_margin() -> None:
    found = drawn(assessed(*HEDGE), (ETH, BTC))
    low, high, higher = 12_000 / 24_900, 42_000 / 30_600, (42_000 + 3 * 5_700) / 30_600
    corners = [(low, 0), (high, 0), (higher, 3), (low, 3)]
    assert [pytest.approx(corner) for corner in corners] == list(found.polygon)
    assert found.edges == (None, "manual:perp", None, "manual:loan")


def test_a_stable_may_be_one_of_the_two() -> None:
    """A loan in USDC dies where ETH falls against USDC, wherever the two stand."""
    found = drawn(assessed(HEDGE[0]), (ETH, USDC))
    assert [pytest.approx(corner) for corner in [(0, 0), (3, 0), (3, 3), (3 / 2.075, 3)]] == list(found.polygon)
    assert found.edges == (None, None, None, "manual:loan")


def test_nothing_owed_is_the_whole_box() -> None:
    found = drawn(assessed(loan(collateral(ETH, 1, 3000), collateral(BTC, 1, 60_000))), (ETH, BTC))
    assert found.polygon == ((0, 0), (3, 0), (3, 3), (0, 3))
    assert found.edges == (None,) * 4


def test_nothing_is_safe_where_something_is_dead() -> None:
    dead = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2_500))
    found = drawn(assessed(dead, *HEDGE), (ETH, BTC))
    assert (found.polygon, found.edges) == ((), ())


def test_brackets_bend_the_line() -> None:
    """2 % up to a notional of 40,000, 10 % on what is above: the long dies where margin + PnL meets the bracket that holds there."""
    tiers = [(0, "0.02", 0), (40_000, "0.10", 3_200)]
    found = drawn(assessed(perp(margin(BTC, "0.2", 60_000), position(ETH, -10, 3000, maintenance=tiers))), (ETH, BTC))
    # 12,000 y + 30,000 - 30,000 x = 600 x below a notional of 40,000, = 3,000 x - 3,200 above
    corner = 40_000 / 30_000
    bend = (corner, (corner * 30_600 - 30_000) / 12_000)
    end = ((12_000 * 3 + 30_000 + 3_200) / 33_000, 3)
    corners = [(0, 0), (30_000 / 30_600, 0), bend, end, (0, 3)]
    assert [pytest.approx(one) for one in corners] == list(found.polygon)
    assert found.edges == (None, "manual:perp", "manual:perp", None, None)


JUMPING = [(0, "0.01", 0), (40_000, "0.10", 0)]
"""10 % of all of it from 40,000 on: the requirement jumps from 400 to 4,000."""


def test_brackets_that_jump_are_judged_by_the_largest_everywhere() -> None:
    """Smaller than the truth (in the low bracket the long would stand 40 % of a margin of 12,000), and today is inside."""
    found = drawn(assessed(perp(margin(BTC, "0.2", 60_000), position(ETH, 10, 3000, maintenance=JUMPING))), (ETH, BTC))
    # 12,000 y + 30,000 (x - 1) = 3,000 x
    corners = [(30_000 / 27_000, 0), (3, 0), (3, 3), (0, 3), (0, 2.5)]
    assert [pytest.approx(one) for one in corners] == list(found.polygon)


def test_no_boundary_where_the_largest_bracket_would_be_missed_today() -> None:
    """2,000 of margin carry 300 of requirement, not the 3,000 of a bracket that begins far above."""
    alive = perp(margin(USDC, 2_000), position(ETH, 10, 3000, maintenance=JUMPING), margin(BTC, "0.001", 60_000))
    assert boundary(assessed(alive), (ETH, BTC)) == "manual:perp"
    notes = draw([alive], SETTINGS, asked=Asked()).figures.notes
    assert notes == ("the boundary is left out: the maintenance brackets of manual:perp do not meet",)


def test_the_two_factors_that_matter_most() -> None:
    def pair(*accounts: Account) -> object:
        return chosen(exposures(assessed(*accounts), SETTINGS), SETTINGS)

    assert pair(*HEDGE) == (ETH, BTC)
    assert pair(HEDGE[0]) == (ETH, USDC)
    assert pair(loan(collateral(USDC, 1), debt(USDT, 1))) is None
    assert pair(loan(collateral(ETH, 1, 3000))) is None
    assert pair() is None
