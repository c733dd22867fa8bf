"""The Aave V3 adapter against whole markets of every revision."""

from __future__ import annotations

from decimal import Decimal

import pytest

from defi_risk.ids import Factor, Peg, short
from defi_risk.model import Account, FactorRef, Leg, Role, as_text
from defi_risk.spi import Call, Context
from defi_risk.units import Quantity
from tests.adapters.aave_v3_fake import (
    CHAIN,
    NEVER,
    NOW,
    OWNER,
    RAY,
    REVISIONS,
    Category,
    FakeMarket,
    Reserve,
    Stable,
    account_of,
    address,
    scan,
    tokens_with,
)

ETH, STETH, USDC, DAI = (address(0x10 + i) for i in range(4))
DAY = 86_400


def market(revision: int, **changes: object) -> FakeMarket:
    """WETH and wstETH supplied as collateral, USDC borrowed, DAI supplied but not as collateral; indices that have run for days."""
    reserves = [
        Reserve(
            ETH, 0, 2500_12345678, "WETH", supplied=3 * 10**18 + 7, collateral=True, supply_index=RAY * 103 // 100, supply_rate=RAY // 50
        ),
        Reserve(STETH, 1, 3001_00000001, "wstETH", 18, 7850, 8100, 10600, supplied=10**18 + 1, collateral=True),
        Reserve(USDC, 2, 99_990_000, "USDC", 6, 7500, 7800, 10450, borrowed=4_000_000_001, debt_index=RAY + 12345, debt_rate=RAY // 20),
        Reserve(DAI, 3, 100_010_000, "DAI", supplied=500 * 10**18, supply_rate=RAY // 30),
    ]
    for reserve in reserves:
        reserve.updated_at = NOW - 3 * DAY - 11 * reserve.id
    made = FakeMarket(revision, reserves)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def leg(account: Account, symbol: str, role: Role = Role.COLLATERAL) -> Leg:
    [found] = [each for each in account.legs if each.asset.symbol == symbol and each.role is role]
    return found


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_agrees_with_the_view(revision: int) -> None:
    account = account_of(market(revision))
    assert account.self_check is not None
    assert account.self_check.match, (account.native, account.self_check.protocol)
    assert account.liquidatable is False
    assert account.strict
    assert account.mode == "cross"
    assert account.blocked == ""
    assert [(each.asset.symbol, each.role) for each in account.legs] == [
        ("WETH", Role.COLLATERAL),
        ("wstETH", Role.COLLATERAL),
        ("USDC", Role.DEBT),
        ("DAI", Role.COLLATERAL),
    ]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_view_that_differs_is_told(revision: int) -> None:
    account = account_of(market(revision, protocol=(1, 2, 3, 4, 5, 6)))
    assert account.self_check is not None
    assert not account.self_check.match
    assert account.self_check.protocol["healthFactor"] == 6


@pytest.mark.parametrize(
    ("revision", "debt", "health"), [(8, "625062500000", "1493099801755824418"), (9, "625062500101", "1493151047732445546")]
)
def test_published_account(revision: int, debt: str, health: str) -> None:
    """The vector `aave_account` of the fact sheet: half-up arithmetic up to 3.4, directed rounding from 3.5 on."""
    volatile = Reserve(ETH, 0, 312345678901, "A", 18, threshold=8300, supply_index=1034567890123456789012345678)
    stable = Reserve(DAI, 1, 99990000, "B", 6, threshold=7800, supply_index=1100000000000000000000000001)
    volatile.supplied, stable.supplied = 3 * 10**18, 1_500_000_000
    volatile.collateral = stable.collateral = True
    owed = Reserve(USDC, 2, 100010000, "C", 6, borrowed=5_000_000_000, debt_index=1250000000000000000000000007)
    account = account_of(FakeMarket(revision, [volatile, stable, owed]))
    native = {name: as_text(value) for name, value in account.native.items()}
    assert native["totalCollateralBase"] == "1134411930029"
    assert native["totalDebtBase"] == debt
    assert native["currentLiquidationThreshold"] == "8227"
    assert native["healthFactor"] == health


def test_four_rounds_and_no_repeated_ask() -> None:
    state = market(10)
    account_of(state)
    assert len(state.asked) == 4
    everything = [ask for asks in state.asked for ask in asks]
    assert len(everything) == len(set(everything))


def test_own_reads_are_few() -> None:
    """What names the owner: four standing reads, one supply a reserve, one debt a debt. All else is shared by all owners."""
    state = market(10)
    account_of(state)
    own = [ask for asks in state.asked for ask in asks if isinstance(ask, Call) and OWNER in ask.args]
    assert sorted(ask.function for ask in own) == ["getUserAccountData", "getUserConfiguration", "getUserEMode", *["scaledBalanceOf"] * 5]


def test_reading_twice_gives_equal_accounts() -> None:
    assert account_of(market(7)) == account_of(market(7))


def test_a_collateral_leg() -> None:
    context = tokens_with({STETH: FactorRef(Factor("ETH"), Peg("stETH/ETH"))})
    account = account_of(market(10), context)
    found = leg(account, "wstETH")
    assert (found.factor, found.peg) == ("ETH", "stETH/ETH")
    assert found.amount == Quantity(10**18 + 1, 18)
    assert (found.weight, found.initial_weight, found.bonus) == (Decimal("0.81"), Decimal("0.785"), Decimal("0.06"))
    assert found.enabled
    assert found.compounding == "linear"
    assert found.available == Quantity(10**24, 18)
    assert found.price is not None
    assert found.price.value == Quantity(3001_00000001, 8)
    assert (found.price.unit, found.price.source, found.price.updated_at, found.price.heartbeat) == ("USD", "", None, None)
    assert leg(account, "WETH").apr == Decimal("0.02")


def test_a_token_in_no_table_is_its_own_factor() -> None:
    found = leg(account_of(market(10)), "WETH")
    assert str(found.factor) == str(found.asset.id)
    assert found.peg is None


def test_a_debt_leg() -> None:
    found = leg(account_of(market(10)), "USDC", Role.DEBT)
    assert found.amount.decimals == 6
    assert found.amount.raw > 4_000_000_001
    assert (found.weight, found.apr, found.compounding) == (Decimal(1), Decimal("0.05"), "per second")


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_supply_that_is_no_collateral_is_shown_and_not_counted(revision: int) -> None:
    state = market(revision)
    found = leg(account_of(state), "DAI")
    assert found.amount.raw > 500 * 10**18
    assert (found.weight, found.initial_weight, found.enabled, found.bonus) == (Decimal(0), Decimal(0), False, None)
    without = account_of(market(revision, reserves=state.reserves[:3]))
    assert without.native == account_of(state).native


def test_only_supplies_without_any_mark() -> None:
    account = account_of(FakeMarket(10, [Reserve(DAI, 3, supplied=5)]))
    assert [each.enabled for each in account.legs] == [False]
    assert account.native["healthFactor"] == NEVER
    assert account.liquidatable is False


def test_an_uncounted_supply_may_lack_a_price() -> None:
    for price in (None, 0):
        account = account_of(FakeMarket(10, [Reserve(DAI, 0, price, supplied=5)]))
        assert account.legs[0].price is None


@pytest.mark.parametrize("revision", REVISIONS)
def test_nobody_has_no_account(revision: int) -> None:
    assert scan(FakeMarket(revision, [Reserve(ETH, 0), Reserve(USDC, 1)])) == []
    assert scan(FakeMarket(revision, [])) == []


def test_a_mark_without_balance_is_no_account() -> None:
    assert scan(FakeMarket(10, [Reserve(ETH, 0, collateral=True)])) == []


def test_ids_are_not_places_in_the_list() -> None:
    """After a reserve was dropped the list closes up, the ids stay."""
    held = Reserve(ETH, 5, 2500 * 10**8, supplied=10**18, collateral=True)
    owed = Reserve(USDC, 127, 10**8, decimals=6, borrowed=10**9)
    account = account_of(FakeMarket(6, [Reserve(DAI, 2), owed, held]))
    assert account.self_check is not None
    assert account.self_check.match
    assert account.native["totalCollateralBase"] == 2500 * 10**8
    assert account.native["totalDebtBase"] == 1000 * 10**8


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("own_ltv", [0, 8000])
@pytest.mark.parametrize("own_threshold", [0, 8250])
def test_emode(revision: int, own_ltv: int, own_threshold: int) -> None:
    state = market(revision, user_category=1, categories={1: Category(collateral=0b11), 2: Category(5000, 6000)})
    state.reserves[0].category = state.reserves[1].category = 1
    state.reserves[0].ltv, state.reserves[0].threshold = own_ltv, own_threshold
    account = account_of(state)
    assert account.mode == "emode:1"
    assert account.self_check is not None
    assert account.self_check.match, (account.native, account.self_check.protocol)
    inside = leg(account, "wstETH")
    assert (inside.weight, inside.initial_weight, inside.bonus) == (Decimal("0.93"), Decimal("0.9"), Decimal("0.01"))
    weth = leg(account, "WETH")
    if own_threshold or revision >= 10:
        assert (weth.weight, weth.enabled) == (Decimal("0.93"), True)
        assert weth.initial_weight == (Decimal("0.9") if own_ltv or revision >= 10 else 0)
    else:
        assert (weth.weight, weth.enabled) == (Decimal(0), False)


@pytest.mark.parametrize("revision", REVISIONS)
def test_collateral_outside_of_the_category_keeps_its_own_values(revision: int) -> None:
    state = market(revision, user_category=1, categories={1: Category(collateral=0b10)})
    state.reserves[1].category = 1
    account = account_of(state)
    assert account.self_check is not None
    assert account.self_check.match
    assert leg(account, "WETH").weight == Decimal("0.825")
    assert leg(account, "wstETH").weight == Decimal("0.93")


@pytest.mark.parametrize(("revision", "inside", "outside"), [(9, "0.9", "0.8"), (10, "0", "0.8"), (11, "0", "0")])
def test_emode_that_lends_nothing(revision: int, inside: str, outside: str) -> None:
    """3.6 can strip a category's collateral of its LTV, 3.7 all collateral outside of an isolated category; thresholds stay."""
    state = market(revision, user_category=1, categories={1: Category(collateral=0b10, ltv_zero=0b10, isolated=True)})
    account = account_of(state)
    assert account.self_check is not None
    assert account.self_check.match
    assert leg(account, "wstETH").initial_weight == Decimal(inside)
    assert leg(account, "WETH").initial_weight == Decimal(outside)
    assert leg(account, "WETH").weight == Decimal("0.825")


@pytest.mark.parametrize("revision", [1, 3, 4])
def test_a_price_source_replaces_the_prices_of_its_category(revision: int) -> None:
    source = address(0x99)
    state = market(revision, user_category=1, categories={1: Category(price_source=source, price=2400 * 10**8)})
    state.reserves[0].category = state.reserves[1].category = 1
    state.reserves[1].borrowed = 10**17
    account = account_of(state)
    assert account.self_check is not None
    assert account.self_check.match, (account.native, account.self_check.protocol)
    for role in (Role.COLLATERAL, Role.DEBT):
        price = leg(account, "wstETH", role).price
        assert price is not None
        assert price.value == Quantity(2400 * 10**8, 8)
    assert account.exact is not None
    assert [(feed.key, feed.now) for feed in account.exact.feeds()] == [(source, 2400 * 10**8), (USDC, 99_990_000)]
    assert account.exact.liquidatable({source: 1000 * 10**8})
    assert not account.exact.liquidatable({ETH: 1})


def test_a_price_source_that_is_itself_a_reserve() -> None:
    state = market(3, user_category=1, categories={1: Category(price_source=ETH, price=2500_12345678)})
    state.reserves[1].category = 1
    account = account_of(state)
    assert account.exact is not None
    assert [feed.key for feed in account.exact.feeds()] == [ETH, USDC]
    assert account.exact.feeds()[0].asset.symbol == "WETH"
    assert account.exact.liquidatable({ETH: 800 * 10**8})


@pytest.mark.parametrize("revision", REVISIONS)
def test_stable_debt_counts_up_to_3_1(revision: int) -> None:
    state = market(revision)
    state.reserves[2].stable = Stable(10**9, RAY * 7 // 100, NOW - 40 * DAY)
    account = account_of(state)
    assert account.self_check is not None
    assert account.self_check.match
    debts = [each for each in account.legs if each.role is Role.DEBT]
    if revision > 4:
        assert [each.apr for each in debts] == [Decimal("0.05")]
    else:
        assert [each.apr for each in debts] == [Decimal("0.05"), Decimal("0.07")]
        assert debts[1].amount.raw > 10**9


def test_stable_debt_alone() -> None:
    state = market(2)
    state.reserves[2].borrowed, state.reserves[2].stable = 0, Stable(10**9, 0, NOW)
    account = account_of(state)
    assert [each.amount for each in account.legs if each.role is Role.DEBT] == [Quantity(10**9, 6)]
    assert account.self_check is not None
    assert account.self_check.match


@pytest.mark.parametrize("revision", REVISIONS)
def test_debt_with_discount_in_3_3(revision: int) -> None:
    """GHO up to 3.3 has no virtual accounting; 3.3 reads its debt with the discount in, the versions before do not."""
    state = market(revision)
    state.reserves[2].virtual = False
    state.reserves[2].debt_balance = 3_500_000_000
    account = account_of(state)
    assert account.self_check is not None
    assert account.self_check.match
    discounted = leg(account, "USDC", Role.DEBT).amount == Quantity(3_500_000_000, 6)
    assert discounted == (revision == 7)


@pytest.mark.parametrize(("revision", "known"), [(3, True), (4, False), (7, False), (8, True), (11, True)])
def test_what_a_reserve_outside_of_virtual_accounting_can_pay_is_unknown(revision: int, known: bool) -> None:
    state = market(revision)
    state.reserves[0].virtual = False
    assert leg(account_of(state), "WETH").available == (Quantity(10**24, 18) if known else None)


def test_a_stopped_reserve_pays_nothing() -> None:
    state = market(10)
    state.reserves[0].paused = True
    state.reserves[1].active = False
    account = account_of(state)
    assert leg(account, "WETH").available == leg(account, "wstETH").available == Quantity(0, 18)
    assert account.blocked == ""


def test_isolated() -> None:
    state = market(6)
    state.reserves[0].debt_ceiling = 10**9
    assert account_of(state).mode == "cross"
    state.reserves[1].collateral = False
    assert account_of(state).mode == "isolated"
    state.revision = 11
    assert account_of(state).mode == "cross"
    state.revision, state.user_category, state.categories = 6, 1, {1: Category()}
    assert account_of(state).mode == "emode:1"


def test_age_of_prices() -> None:
    fast, capped, silent, odd = (address(0x50 + i) for i in range(4))
    state = market(10)
    for reserve, source in zip(state.reserves, (fast, capped, silent, odd), strict=True):
        reserve.source = source
    state.reserves[0].source_updated_at = NOW - 60
    state.reserves[1].source_updated_at, state.reserves[1].capped = NOW - 70, True
    state.reserves[3].source_updated_at = NOW + 1
    account = account_of(state, Context(CHAIN, 100, NOW, heartbeats={fast: 3600}))
    known = {each.asset.symbol: each.price for each in account.legs}
    seen = {name: price and (price.source, price.updated_at, price.heartbeat, price.capped) for name, price in known.items()}
    assert seen == {
        "WETH": (fast, NOW - 60, 3600, None),
        "wstETH": (capped, NOW - 70, 90_000, True),
        "USDC": (silent, None, None, None),
        "DAI": (odd, None, None, None),
    }


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        ("WETH", "WETH"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (bytes(32), short(ETH)),
        (b"\xff\xfe".ljust(32, b"\0"), short(ETH)),
        (None, short(ETH)),
        ("", short(ETH)),
        ("A\u202eB\x1b[31m", "AB[31m"),
    ],
)
def test_symbols(symbol: str | bytes | None, shown: str) -> None:
    state = FakeMarket(10, [Reserve(ETH, 0, symbol=symbol, supplied=1)])
    assert account_of(state).legs[0].asset.symbol == shown
