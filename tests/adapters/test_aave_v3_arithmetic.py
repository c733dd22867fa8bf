"""Aave's arithmetic against the published vectors, and what the packed words mean."""

from __future__ import annotations

import pytest
from defi_risk_adapters.aave_v3.arithmetic import (
    compounded_index,
    compounded_interest_split,
    compounded_interest_whole,
    linear_index,
    linear_interest,
    percent_mul,
    percent_mul_floor,
    ray_mul,
    wad_div,
)
from defi_risk_adapters.aave_v3.configuration import ReserveConfiguration, borrows, pledges, pledges_one
from defi_risk_adapters.aave_v3.liquidation import Side, seize
from defi_risk_adapters.aave_v3.versions import Version, version_of

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.units import BPS, RAY, WAD

FIVE_PERCENT = 5 * 10**25
GROWTH = [  # rate, seconds, up to 3.3, from 3.4 on, linear
    (FIVE_PERCENT, 0, RAY, RAY, RAY),
    (FIVE_PERCENT, 1, 1000000001585489599188229325, 1000000001585489600445117960, 1000000001585489599188229325),
    (FIVE_PERCENT, 2, 1000000003170979200890235919, 1000000003170979203404013194, 1000000003170979198376458650),
    (FIVE_PERCENT, 12, 1000000019025875356168052316, 1000000019025875371250716427, 1000000019025875190258751902),
    (FIVE_PERCENT, 86400, 1000136995684207123907444230, 1000136995684421674802557900, 1000136986301369863013698630),
    (FIVE_PERCENT, 2592000, 1004118042106000198784926904, 1004118044969757105730597891, 1004109589041095890410958904),
    (123456789012345678901234567, 31536000, 1131385982529618920936594567, 1131391191117690706905240029, 1123456789012345678901234567),
    (RAY, 31536000, 2666663803286306996604104000, 2666666666666666666666666666, 2 * RAY),
]


@pytest.mark.parametrize(("rate", "seconds", "split", "whole", "linear"), GROWTH)
def test_growth(rate: int, seconds: int, split: int, whole: int, linear: int) -> None:
    assert compounded_interest_split(rate, seconds) == split
    assert compounded_interest_whole(rate, seconds) == whole
    assert linear_interest(rate, seconds) == linear


def test_indices_grow_from_where_they_stand() -> None:
    index = RAY * 11 // 10 + 7
    assert linear_index(index, FIVE_PERCENT, 0) == compounded_index(index, FIVE_PERCENT, 0, whole=True) == index
    assert linear_index(index, FIVE_PERCENT, 86400) == ray_mul(1000136986301369863013698630, index)
    assert compounded_index(index, FIVE_PERCENT, 86400, whole=False) == ray_mul(1000136995684207123907444230, index)
    assert compounded_index(index, FIVE_PERCENT, 86400, whole=True) == ray_mul(1000136995684421674802557900, index)


def test_halves_go_up() -> None:
    assert (ray_mul(RAY // 2, 1), ray_mul(RAY // 2 - 1, 1)) == (1, 0)
    assert (percent_mul(1, 5000), percent_mul(1, 4999), percent_mul_floor(1, 9999)) == (1, 0, 0)
    assert (wad_div(1, 2 * WAD), wad_div(1, 2 * WAD + 2), wad_div(2, 2)) == (1, 0, WAD)


@pytest.mark.parametrize("revision", [1, 8, 9, 10, 11])
def test_seized_collateral(revision: int) -> None:
    """The vector `aave_liquidation_amount` of the fact sheet."""
    debt, collateral = Side(100010000, 10**6), Side(312345678901, 10**18, 10**24)
    assert seize(Version(revision), debt, collateral, 1_000_000_000, 10500) == (336199624625778040, 1_000_000_000)


def test_seized_collateral_is_rounded_down_from_3_7_on() -> None:
    debt, collateral = Side(1, 1), Side(1, 1, 10**6)
    assert seize(Version(10), debt, collateral, 10, 10500) == (11, 10)
    assert seize(Version(11), debt, collateral, 10, 10500) == (10, 10)


def test_collateral_that_does_not_suffice_goes_whole() -> None:
    debt, collateral = Side(1, 1), Side(1, 1, 100)
    assert seize(Version(8), debt, collateral, 1000, 10500) == (100, 95)
    assert seize(Version(9), debt, collateral, 1000, 10500) == (100, 96)


def test_configuration_word() -> None:
    """WETH of a market: 80.5 % / 83 % / 5 %, 18 decimals, active, borrowable, eMode category 1, debt ceiling 1,000.00, virtual."""
    word = 8050 | 8300 << 16 | 10500 << 32 | 18 << 48 | 1 << 56 | 1 << 58 | 1 << 168 | 100_000 << 212 | 1 << 252
    found = ReserveConfiguration.unpack(word)
    assert (found.ltv, found.threshold, found.bonus, found.decimals) == (8050, 8300, 10500, 18)
    assert (found.active, found.paused, found.category, found.debt_ceiling, found.virtual) == (True, False, 1, 100_000, True)


def test_neighbouring_bits_do_not_leak() -> None:
    """All bits set but those of the fields that are read: caps, flags and factors of no concern."""
    used = 0xFFFFFFFFFFFF | 0xFF << 48 | 1 << 56 | 1 << 60 | 0xFF << 168 | (2**40 - 1) << 212 | 1 << 252
    found = ReserveConfiguration.unpack((2**256 - 1) & ~used)
    assert found == ReserveConfiguration(0, 0, 0, 0, False, False, 0, 0, False)
    assert ReserveConfiguration.unpack(1 << 60).paused
    with pytest.raises(OutOfRange, match="liquidation threshold 65535"):
        ReserveConfiguration.unpack(2**256 - 1)


def test_whole_ratios_are_possible() -> None:
    assert ReserveConfiguration.unpack(BPS | BPS << 16 | BPS << 32).threshold == BPS


def test_user_map() -> None:
    word = 1 << 0 | 1 << 3 | 1 << 254 | 1 << 255
    assert [borrows(word, id_) for id_ in (0, 1, 2, 127)] == [True, False, False, True]
    assert [pledges(word, id_) for id_ in (0, 1, 2, 127)] == [False, True, False, True]
    assert not pledges_one(word)
    assert pledges_one(1 << 3 | 1 << 254)
    assert not pledges_one(1 << 254)


@pytest.mark.parametrize("revision", [0, 12, -1])
def test_versions_that_nobody_knows(revision: int) -> None:
    with pytest.raises(Unsupported, match=f"revision {revision}"):
        version_of(revision)


def test_version_traits() -> None:
    expected = {
        "stable_debt": (1, 4),
        "category_in_reserve": (1, 4),
        "virtual_balance": (4, 11),
        "debt_by_balance": (7, 7),
        "whole_taylor": (8, 11),
        "directed": (9, 11),
        "own_category_values": (10, 11),
        "isolated_categories": (11, 11),
        "sentinel": (1, 10),
        "debt_ceilings": (1, 10),
        "dust_rule": (7, 11),
    }
    holds = {name: [revision for revision in range(1, 12) if getattr(version_of(revision), name)] for name in expected}
    assert {name: (found[0], found[-1]) for name, found in holds.items()} == expected
    assert {name for name in vars(Version) if isinstance(vars(Version)[name], property)} == set(expected)
