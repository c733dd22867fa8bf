"""Shocks by name, the space they live in, and the routes that lead to them."""

from __future__ import annotations

import pytest

from defi_risk.errors import UnknownName, UsageError
from defi_risk.health import HealthSettings
from defi_risk.health.normal import Key
from defi_risk.health.route import market_route, shock_route
from defi_risk.health.shock import Shock, Space
from defi_risk.ids import Factor, Peg
from tests.accounts import BTC, ETH, SETTINGS, SOL, USD, USDC

STETH = Peg("stETH/ETH")
UNLISTED = Factor("eip155:1/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
KEYS = [Key(ETH), Key(ETH, STETH), Key(BTC), Key(USDC), Key(USD), Key(UNLISTED)]
SPACE = Space.of(KEYS, ["binance", "Aave V3", "binance"])


def test_the_space_is_what_the_book_holds() -> None:
    assert set(SPACE.factors) == {ETH, BTC, USDC, UNLISTED}
    assert SPACE.pegs == (STETH,)
    assert SPACE.venues == ("Aave V3", "binance")


def test_names_lead_to_factors_pegs_and_venues() -> None:
    shock = SPACE.shock({"ETH": -0.3, "stETH/ETH": -0.07, "Binance:ETH": 0.1, str(UNLISTED): -1.0})
    assert shock == Shock({ETH: -0.3, UNLISTED: -1.0}, {STETH: -0.07}, {("binance", ETH): 0.1})
    assert shock.named() == {"ETH": -0.3, str(UNLISTED): -1.0, "stETH/ETH": -0.07, "binance:ETH": 0.1}


def test_a_pegged_token_moves_with_its_factor_and_its_peg() -> None:
    shock = SPACE.shock({"ETH": -0.3, "stETH/ETH": -0.07, "binance:ETH": 0.1})
    assert shock.multiplier(Key(ETH), "Aave V3") == pytest.approx(0.7)
    assert shock.multiplier(Key(ETH, STETH), "Aave V3") == pytest.approx(0.7 * 0.93)
    assert shock.multiplier(Key(ETH), "binance") == pytest.approx(0.77)
    assert shock.multiplier(Key(BTC), "binance") == 1.0
    assert shock.multiplier(Key(USD), "binance") == 1.0


@pytest.mark.parametrize("name", ["DOGE", "stETH", "kraken:ETH", "binance:DOGE", "USD", ""])
def test_an_unknown_name_is_told(name: str) -> None:
    with pytest.raises(UnknownName):
        SPACE.shock({name: 0.1})


@pytest.mark.parametrize("move", [-1.01, 1e7, float("nan"), float("inf"), float("-inf")])
def test_a_move_that_cannot_be_is_refused(move: float) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        SPACE.shock({"ETH": move})


def test_the_market_s_route_moves_by_beta() -> None:
    settings = HealthSettings(stables=SETTINGS.stables, betas={SOL: 1.4})
    down, back = market_route(settings, 0.5, 4.0)
    assert (down.near, down.far, back.near, back.far) == (1.0, 0.5, 0.5, 4.0)
    a, b = down.ramps([Key(SOL)], "any")[Key(SOL)]
    assert [a + b, a + 0.5 * b] == pytest.approx([1.0, 0.3])
    assert down.ramps([Key(USDC)], "any")[Key(USDC)] == (1.0, 0.0)


def test_one_venue_may_go_alone() -> None:
    [stage] = market_route(SETTINGS, 0.5, venue="binance")
    assert stage.ramps([Key(ETH)], "binance")[Key(ETH)] == (0.0, 1.0)
    assert stage.ramps([Key(ETH)], "Aave V3")[Key(ETH)] == (1.0, 0.0)


def test_a_shock_s_route_goes_straight_from_step_to_step() -> None:
    first, second = Shock({ETH: -0.25}), Shock({ETH: 0.25})
    there, on = shock_route(first, second)
    for stage, start, end in ((there, 1.0, 0.75), (on, 0.75, 1.25)):
        a, b = stage.ramp(Key(ETH), "any")
        assert [a + b * stage.near, a + b * stage.far] == pytest.approx([start, end])
