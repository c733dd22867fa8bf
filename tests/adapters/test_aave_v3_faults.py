"""Answers that cannot be right end as one unknown account with the reason, never as a number."""

from __future__ import annotations

import pytest

from defi_risk.errors import CallReverted, TimedOut, Undecodable
from defi_risk.ids import ZERO_ADDRESS
from defi_risk.model import Account
from tests.adapters.aave_v3_fake import NOW, RAY, SENTINEL, Category, FakeMarket, Reserve, Stable, address, scan

ETH, USDC = address(0x10), address(0x11)
ROOTS = ("getPool", "getPriceOracle")
ORACLE = ("BASE_CURRENCY", "BASE_CURRENCY_UNIT")
POOL = ("POOL_REVISION", "getReservesList", "getUserConfiguration", "getUserEMode", "getUserAccountData", "getReserveData")
CATEGORY = tuple(f"getEModeCategory{name}" for name in ("CollateralConfig", "CollateralBitmap", "LtvzeroBitmap"))
NEEDED = (*ROOTS, *ORACLE, *POOL, *CATEGORY, "getIsEModeCategoryIsolated", "scaledBalanceOf")
OPTIONAL_POOL = ("getVirtualUnderlyingBalance", "getLiquidationGracePeriod")
OPTIONAL = (*OPTIONAL_POOL, "getSourceOfAsset", "symbol", "latestRoundData", "isCapped", "isLiquidationAllowed")


def market(revision: int = 10, **changes: object) -> FakeMarket:
    reserves = [
        Reserve(ETH, 0, 2500 * 10**8, "WETH", supplied=10**18, collateral=True),
        Reserve(USDC, 1, 10**8, "USDC", 6, borrowed=10**9),
    ]
    made = FakeMarket(revision, reserves)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def unknown(state: FakeMarket) -> Account:
    [account] = scan(state)
    assert account.status == "unknown"
    assert account.liquidatable is None
    assert account.legs == ()
    assert account.exact is None
    assert account.id.endswith(account.owner)
    return account


@pytest.mark.parametrize("revision", [0, 12, 255, 2**255])
def test_unknown_revision(revision: int) -> None:
    reason = unknown(market(revision, protocol=(0,) * 6)).reason
    assert f"revision {revision}" in reason
    assert "1 to 11 (3.0 to 3.7)" in reason


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", 0, "prices 0x0000000000000000000000000000000000000010 at 0"),
        ("price", None, "gives no price for 0x0000000000000000000000000000000000000010: getAssetPrice reverted"),
        ("supply_index", 0, "has an index below 1"),
        ("supply_index", RAY - 1, "has an index below 1"),
        ("debt_index", 0, "has an index below 1"),
        ("updated_at", NOW + 5, "was updated 5 s after the block it was read at"),
        ("decimals", 77, "has 77 decimals"),
        ("threshold", 10_001, "liquidation threshold 10001"),
        ("ltv", 65_535, "LTV 65535"),
        ("bonus", 500, "bonus 500"),
        ("id", 1, "clash"),
        ("id", 128, "exceed 127"),
    ],
)
def test_absurd_reserve(field: str, value: int | None, reason: str) -> None:
    state = market(protocol=(0,) * 6)
    setattr(state.reserves[0], field, value)
    assert reason in unknown(state).reason


def test_a_broken_reserve_is_the_trouble_of_its_holders_only() -> None:
    state = market()
    broken = Reserve(address(0x12), 2, None, None, decimals=99, supply_index=0, threshold=60_000)
    state.reserves.append(broken)
    [account] = scan(state)
    assert account.known, account.reason
    assert account.self_check is not None
    assert account.self_check.match


def test_too_many_reserves() -> None:
    state = market(reserves=[Reserve(address(0x1000 + i), i) for i in range(129)])
    assert "129 reserves" in unknown(state).reason


def test_a_reserve_listed_twice() -> None:
    state = market(lies={"getReservesList": (ETH, ETH)})
    assert "1 of them distinct" in unknown(state).reason


def test_a_reserve_without_tokens() -> None:
    state = market()
    data = list(state.reserve_data(state.reserves[0]))
    data[8] = ZERO_ADDRESS
    state.lies["getReserveData"] = tuple(data)
    assert "has no tokens" in unknown(state).reason


def test_another_base_currency() -> None:
    assert f"base currency is the token {ETH}" in unknown(market(base=ETH, base_unit=10**18)).reason


@pytest.mark.parametrize("unit", [0, 3, 20, 110, 10**40])
def test_odd_base_unit(unit: int) -> None:
    assert "units of the oracle" in unknown(market(base_unit=unit)).reason


@pytest.mark.parametrize("unit", [1, 10**8, 10**18])
def test_base_unit_sets_the_scale_of_prices(unit: int) -> None:
    state = market(base_unit=unit)
    state.reserves[0].price = 2500 * unit
    [account] = scan(state)
    assert account.legs[0].price is not None
    assert float(account.legs[0].price.value) == 2500


def test_emode_category_beyond_a_byte() -> None:
    assert "eMode category is 256" in unknown(market(user_category=256, protocol=(0,) * 6)).reason


@pytest.mark.parametrize("revision", [3, 10])
def test_absurd_category(revision: int) -> None:
    state = market(revision, user_category=1, categories={1: Category(threshold=12_000)}, protocol=(0,) * 6)
    assert "liquidation threshold 12000" in unknown(state).reason


def test_a_category_priced_at_zero() -> None:
    state = market(3, user_category=1, categories={1: Category(price_source=address(0x77), price=0)}, protocol=(0,) * 6)
    assert "eMode category 1 at 0" in unknown(state).reason


def test_a_stable_debt_from_the_future() -> None:
    state = market(3, protocol=(0,) * 6)
    state.reserves[1].stable = Stable(5, 0, NOW + 3)
    assert "changed 3 s after" in unknown(state).reason


@pytest.mark.parametrize("function", ["getPool", "getPriceOracle"])
def test_not_a_provider(function: str) -> None:
    assert "names no pool or no price oracle" in unknown(market(lies={function: ZERO_ADDRESS})).reason


@pytest.mark.parametrize(("revision", "known"), [(3, False), (10, False), (11, True)])
def test_a_provider_without_sentinel_slot(revision: int, known: bool) -> None:
    """From 3.7 on the pool asks for no sentinel, so a provider may have none; before, the pool itself would revert."""
    state = market(revision, lies={"getPriceOracleSentinel": CallReverted("reverted")})
    [account] = scan(state)
    assert account.known == known
    assert known or "does not tell its price oracle sentinel" in account.reason


@pytest.mark.parametrize("function", NEEDED)
@pytest.mark.parametrize("error", [CallReverted("it reverted"), Undecodable("it is garbage")])
def test_a_read_that_must_work(function: str, error: Exception) -> None:
    state = market(11, user_category=1, categories={1: Category(collateral=1)}, lies={function: error})
    assert str(error) in unknown(state).reason


@pytest.mark.parametrize("function", ["getEModeCategoryData", "principalBalanceOf", "getUserStableRate", "getUserLastUpdated"])
def test_an_old_read_that_must_work(function: str) -> None:
    state = market(3, user_category=1, categories={1: Category()}, lies={function: CallReverted("it reverted")})
    assert "it reverted" in unknown(state).reason


@pytest.mark.parametrize("function", OPTIONAL)
@pytest.mark.parametrize("revision", [3, 10])
def test_a_read_that_may_fail(function: str, revision: int) -> None:
    state = market(revision, sentinel=SENTINEL, lies={function: CallReverted("reverted")})
    state.reserves[0].source = address(0x40)
    [account] = scan(state)
    assert account.known, account.reason
    assert account.self_check is not None
    assert account.self_check.match


def test_a_source_that_fails_is_not_an_unknown_account() -> None:
    """A node that times out concerns the whole chain: the engine lets it through."""

    class Dead(FakeMarket):
        def answer(self, asks: object) -> list[object]:
            raise TimedOut("no answer")

    with pytest.raises(TimedOut):
        scan(Dead(10, []))
