"""The whole picture: what is computed when, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from defi_risk import health
from defi_risk.book import Book
from defi_risk.errors import UsageError
from defi_risk.gathering import Gathered
from defi_risk.health import Asked, ChanceAsked, HealthSettings
from defi_risk.health.arrays import Arrays
from defi_risk.health.picture import MOST_WALKED
from defi_risk.ids import AccountId, Peg
from defi_risk.judging import judge
from defi_risk.model import Account, SourceReport
from tests.accounts import BTC, ETH, SETTINGS, USDC, collateral, debt, loan, margin, perp, position

STAKED = Peg("stETH/ETH")
SIGMAS = HealthSettings(stables=SETTINGS.stables, volatility={"ETH": 0.04})
HEDGE = [
    loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000)),
    perp(margin(USDC, 12_000), position(ETH, -10, 3000)),
]
PEGGED = loan(collateral(ETH, 10, 3000, "0.83", peg=STAKED), collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 12_000), name="pegged")


def test_the_present_figures_are_all_that_is_computed_unasked() -> None:
    figures = health.run(HEDGE, SIGMAS)
    assert (figures.stress, dict(figures.cascade), figures.boundary, figures.chance, figures.notes) == ((), {}, None, None, ())
    assert figures.book.sigma.distance == pytest.approx(9.31, abs=5e-3)


def test_the_order_of_accounts_does_not_matter() -> None:
    asked = Asked(chance=ChanceAsked(paths=500))
    assert health.draw(HEDGE, SIGMAS, asked=asked).figures == health.draw(HEDGE[::-1], SIGMAS, asked=asked).figures


def test_everything_is_computed_when_asked() -> None:
    figures = health.draw(HEDGE, SIGMAS, asked=Asked(chance=ChanceAsked(paths=500))).figures
    assert len(figures.stress) == 11
    assert set(figures.cascade) == {"down", "up", "down_up", "up_down", "venue_diverges", "hedge_lost"}
    assert figures.boundary is not None
    assert figures.boundary.factors == (ETH, USDC)
    assert figures.chance is not None
    assert [one.horizon_days for one in figures.chance.outlooks] == [1.0, 7.0]


def test_the_factors_of_the_boundary_can_be_chosen() -> None:
    found = health.draw([PEGGED], SETTINGS, asked=Asked(boundary=("BTC", "ETH"))).figures.boundary
    assert found is not None
    assert found.factors == (BTC, ETH)


@pytest.mark.parametrize(
    ("pair", "says"), [(("ETH", "DOGE"), "unknown factor 'DOGE'"), (("stETH/ETH", "BTC"), "is a peg"), (("ETH", "ETH"), "two different")]
)
def test_a_boundary_that_cannot_be_drawn(pair: tuple[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        health.draw([PEGGED], SETTINGS, asked=Asked(boundary=pair))


def test_a_missing_volatility_is_named_and_no_distance_given() -> None:
    figures = health.run([PEGGED, *HEDGE], SIGMAS)
    assert figures.accounts[PEGGED.id].sigma is None
    assert figures.accounts[PEGGED.id].sigma_missing == ("BTC", "stETH/ETH")
    assert figures.book.sigma.missing == ("BTC", "stETH/ETH")
    assert figures.book.sigma.account == "manual:perp"
    with pytest.raises(UsageError, match="stETH/ETH"):
        health.draw([PEGGED], SIGMAS, asked=Asked(chance=ChanceAsked(paths=500)))


def test_a_book_too_large_to_walk_says_so() -> None:
    many: list[Account] = [replace(HEDGE[0], id=AccountId(f"manual:{number:05}")) for number in range(MOST_WALKED + 1)]
    figures = health.draw(many, SETTINGS, asked=Asked()).figures
    assert (figures.stress, dict(figures.cascade)) == ((), {})
    assert figures.notes == ("stresses and cascades are left out: 2,001 accounts are more than 2,000",)


def test_a_book_of_unknown_accounts_has_bounds_and_nothing_else() -> None:
    lost = replace(HEDGE[0], status="unknown", reason="no price")
    figures = health.draw([lost], SIGMAS, asked=Asked()).figures
    assert (figures.book.bound, figures.book.uhf, figures.book.net_equity_usd) == ("unknown", None, None)
    assert figures.boundary is None
    assert all(row.min_health is None and row.liquidations == () for row in figures.stress)


def test_what_its_venue_calls_alive_is_alive_in_arrays_too() -> None:
    """The venue's integers stand a cent above the float sum: neither the surplus nor the count of deaths may contradict them."""
    brink = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, "2400.01"), liquidatable=False)
    arrays = Arrays.of(health.draw([brink], SETTINGS).assessed)
    today = arrays.points(np.ones((1, len(arrays.axes))))
    assert list(arrays.deaths(today)) == [0]
    assert arrays.surplus(today)[0, 0] == pytest.approx(0, abs=1e-9)
    assert list(arrays.deaths(arrays.points(np.full((1, len(arrays.axes)), 0.99) ** [[axis == "ETH" for axis in arrays.axes]]))) == [1]


def test_a_lost_price_history_hides_no_account() -> None:
    """The snapshot is partial, since a source failed, but its figures are no bounds."""
    lost = SourceReport(id="prices:binance", kind="exchange", status="failed", error="no answer")
    found = Gathered(Book(name="desk"), tuple(HEDGE), {}, (lost,))
    assert found.partial is False
    taken = judge(found).snapshot
    assert (taken.partial, taken.book_health.bound) == (True, "exact")
    assert Gathered(Book(name="desk"), tuple(HEDGE), {}, (replace(lost, id="binance-main"),)).partial is True
