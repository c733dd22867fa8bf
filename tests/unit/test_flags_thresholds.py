"""The lines of flags: their defaults, and what a book may say about them."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal

import pytest

from defi_risk.book import Thresholds, parse
from defi_risk.book.thresholds import CODES
from defi_risk.errors import BookError
from defi_risk.flags import ALL, Limits

HEAD = '[[manual]]\nname = "a"\nside = "lending"\n[thresholds]\n'


def read(text: str) -> Thresholds:
    return parse(HEAD + text, file="desk.toml").thresholds


def test_the_defaults_are_the_same_in_both_places() -> None:
    assert Limits.of(Thresholds()) == Limits()
    assert [field.name for field in fields(Limits)] == [field.name for field in fields(Thresholds)]


def test_every_key_is_a_code_and_every_code_with_a_number_has_a_key() -> None:
    assert {code.upper() for code in CODES} <= set(ALL)
    numbered = {code.lower() for code, rule in ALL.items() if "{" in rule.line}
    assert numbered == set(CODES)


def test_every_line_can_be_set() -> None:
    said = read("""
near_liquidation = { warning = 1.5, critical = "1.2", sigma_warning = 6, sigma_critical = 2 }
margin_low = { warning = 1.3, critical = 1.15 }
mur_high = 0.8
stress_breach = 1.1
collateral_mix = { stables = [0.4, 0.6], majors = [0.3, 0.5], others = [0.01, 0.2] }
leverage_zone = { low = 2, medium = 4, high = 8, health_low = 1.3, health_medium = 2.5 }
risk_contribution = 0.2
upnl_drain = 0.4
collateral_hedge = { low = 0.2, high = 0.6 }
hedge_stranded = 0.6
wrong_way_collateral = 0.9
liquidation_cluster = 0.1
venue_basis = 0.02
depeg = 0.005
negative_carry = 100
funding_spike = 0.002
price_move = 0.08
correlation_shift = { level = 0.7, rise = 0.3 }
volatility_shift = 0.1
venue_concentration = 0.7
prefer_isolated = 20
""")
    assert said.near_critical == Decimal("1.2")
    for field in fields(Thresholds):
        assert getattr(said, field.name) != getattr(Thresholds(), field.name), field.name
    limits = Limits.of(said)
    assert (limits.others_low, limits.health_medium, limits.carry, limits.sigma_critical) == (0.01, 2.5, 100.0, 2.0)


def test_what_is_left_out_keeps_its_default() -> None:
    assert read("mur_high = 0.8\n") == replace(Thresholds(), mur=Decimal("0.8"))
    assert read("collateral_hedge = { low = 0.3 }\n") == replace(Thresholds(), hedge_low=Decimal("0.3"))
    assert read("collateral_mix = { others = [0, 0.2] }\n") == replace(Thresholds(), others_high=Decimal("0.2"))
    assert read("") == Thresholds()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mur = 0.7\n", "unknown key 'mur' - did you mean 'mur_high'?"),
        ("mur_hihg = 0.7\n", "unknown key 'mur_hihg' - did you mean 'mur_high'?"),
        ("MUR_HIGH = 0.7\n", "unknown key 'MUR_HIGH' - did you mean 'mur_high'? codes stand here in lower case"),
        ("mur_high = -0.1\n", "thresholds.mur_high: -0.1 is out of range"),
        ("mur_high = [0.7]\n", "thresholds.mur_high: an array is not a number"),
        ("mur_high = nan\n", "thresholds.mur_high"),
        ("hedge_stranded = 1.1\n", "1.1 is out of range"),
        ("margin_low = 1.2\n", "thresholds.margin_low: must be a table"),
        ("margin_low = { warnign = 1.2 }\n", "did you mean 'warning'?"),
        ("margin_low = { critical = 1.3 }\n", "critical 1.3 lies above warning 1.2"),
        ("near_liquidation = { sigma_critical = 6 }\n", "sigma_critical 6 lies above sigma_warning 5"),
        ("leverage_zone = { low = 6 }\n", "low 6 lies above medium 5"),
        ("leverage_zone = { high = 4 }\n", "medium 5 lies above high 4"),
        ("leverage_zone = { health_low = 3 }\n", "health_low 3 lies above health_medium 2"),
        ("collateral_hedge = { low = 0.6 }\n", "low 0.6 lies above high 0.5"),
        ("collateral_mix = { stabels = [0, 1] }\n", "did you mean 'stables'?"),
        ("collateral_mix = { stables = 0.5 }\n", "thresholds.collateral_mix.stables: must be a range - such as [0.5, 0.7]"),
        ("collateral_mix = { stables = [0.5] }\n", "must hold 2 numbers, holds 1"),
        ("collateral_mix = { stables = [0.7, 0.5] }\n", "0.7 ... 0.5 is not a range of shares"),
        ("collateral_mix = { stables = [0.5, 1.1] }\n", "0.5 ... 1.1 is not a range of shares"),
        ("collateral_mix = { stables = [-0.1, 0.7] }\n", "-0.1 is out of range"),
        ("collateral_mix = { stables = [0.0, 0.3] }\n", "the shares add up to 0.2 ... 0.8"),
        ("collateral_mix = { stables = [0.9, 0.9] }\n", "the shares add up to 1.1 ... 1.4"),
    ],
)
def test_faults_name_the_line_the_key_and_the_remedy(text: str, fault: str) -> None:
    with pytest.raises(BookError) as caught:
        read(text)
    assert fault in str(caught.value)
    assert "desk.toml:5" in str(caught.value)
