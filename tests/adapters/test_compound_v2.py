"""Compound V2: the numbers of the fact sheet, and whole readings of scripted comptrollers of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from defi_risk_adapters.compound_v2 import CompoundV2
from defi_risk_adapters.compound_v2.accrual import Books
from defi_risk_adapters.compound_v2.exact import AccountExact, Entry

from defi_risk.abi import load
from defi_risk.errors import CallReverted, DefiRiskError, MissingPrice, OutOfRange, Unsupported
from defi_risk.ids import USD, AssetId, Factor
from defi_risk.model import Asset, Role
from defi_risk.spi import Ask, Call, Interface, NativeBalance
from defi_risk.units import SECONDS_PER_YEAR, Quantity
from tests.adapters.comet_world import E18, OWNER
from tests.adapters.comptroller_world import Comptroller, Pool
from tests.adapters.scripted import NOTHING_THERE, Drive, Raw, drive


def read(world: Comptroller, **settings: str) -> Drive:
    return drive(CompoundV2().read(OWNER, world.market(**settings), world.context()), world.answer)


def ether(**more: Any) -> Pool:
    """10 ETH or so, by the chain's own coin."""
    books: dict[str, Any] = {
        "cash": 10**23,
        "borrows": 5 * 10**22,
        "reserves": 10**20,
        "supply": 7 * 10**14,
        "tokens": 5 * 10**10,
        "native": True,
    }
    return Pool(1, "ETH", 18, 3_123_456_789_012_345_678_901, 825 * 10**15, **{**books, **more})


def usdc(**more: Any) -> Pool:
    """12,000 USDC or so, owed."""
    books: dict[str, Any] = {"cash": 10**14, "borrows": 2 * 10**14, "reserves": 10**11, "supply": 10**16, "principal": 12_000_000_123}
    return Pool(2, "USDC", 6, 10**30, 855 * 10**15, **{**books, **more})


def dai(**more: Any) -> Pool:
    books: dict[str, Any] = {
        "cash": 10**25,
        "borrows": 2 * 10**25,
        "reserves": 10**22,
        "supply": 10**18,
        "entered": False,
        "tokens": 10**12,
    }
    return Pool(3, "DAI", 18, 999 * 10**15, 83 * 10**16, **{**books, **more})


SELECTORS: dict[str, dict[str, str | None]] = {
    "compound_v2/comptroller": {
        "actionPaused": None,
        "closeFactorMantissa": "e8755446",
        "getAccountLiquidity": "5ec88c79",
        "getAllMarkets": "b0772d0b",
        "getAssetsIn": "abfceffc",
        "getEffectiveLiquidationIncentive": "afd3783b",
        "getEffectiveLtvFactor": "19ef3e8b",
        "isDeprecated": None,
        "isForcedLiquidationEnabled": None,
        "isForcedLiquidationEnabledForUser": None,
        "liquidationIncentiveMantissa": "4ada90af",
        "oracle": "7dc0d1d0",
        "protocolPaused": None,
        "seizeGuardianPaused": "ac0b0bb7",
        "userPoolId": "73769099",
        "vaiController": "9254f5e5",
    },
    "compound_v2/ctoken": {
        "accrualBlockNumber": "6c540baf",
        "accrualBlockTimestamp": "cfa99201",
        "borrowIndex": "aa5af0fd",
        "borrowRatePerBlock": "f8f9da28",
        "borrowRatePerTimestamp": "cd91801c",
        "getAccountSnapshot": "c37f68e2",
        "getCash": "3b1d21a2",
        "reserveFactorMantissa": "173b9904",
        "supplyRatePerBlock": "ae9d70b0",
        "supplyRatePerTimestamp": "d3bd2c72",
        "totalBorrows": "47bd3718",
        "totalReserves": "8f840ddd",
        "totalSupply": "18160ddd",
        "underlying": "6f307dc3",
    },
    "compound_v2/markets_2": {"markets": "8e8f294b"},
    "compound_v2/markets_3": {"markets": "8e8f294b"},
    "compound_v2/markets_4": {"markets": "8e8f294b"},
    "compound_v2/oracle": {"getUnderlyingPrice": "fc57d4df"},
    "compound_v2/vai_controller": {"getVAIAddress": None, "getVAIRepayAmount": "78c2f922"},
}


@pytest.mark.parametrize("path", SELECTORS)
def test_every_function_has_the_selector_that_the_contracts_answer_to(path: str) -> None:
    functions = load(Interface("defi_risk_abis", path))
    assert set(functions) == set(SELECTORS[path])
    listed = {name: selector for name, selector in SELECTORS[path].items() if selector}
    assert {name: functions[name].selector.hex() for name in listed} == listed


def test_numbers_of_the_fact_sheet() -> None:
    asset = Asset(AssetId("eip155:1/erc20:x"), "x", 6)
    rate = 204_567_890_123_456_789_012_345_678
    collateral = Entry("c", asset, 312_345_678_901_234_567_890, 83 * 10**16, 500_000_000, rate, rate, 0, 0)
    debt = Entry("d", asset, 10**30, 0, 0, E18, E18, 1_000_000_000, 1_000_000_000)
    assert (collateral.factor * rate // E18) * collateral.price // E18 == 53_033_594_113_263_542_877_697_710_274
    assert collateral.surplus(collateral.price) == 26_516_797_056_631_771_438
    assert debt.surplus(debt.price) == -1_000_000_000_000_000_000_000
    account = AccountExact((collateral, debt))
    assert account.native() == {"error": 0, "liquidity": 0, "shortfall": 10**21 - 26_516_797_056_631_771_438}
    assert account.liquidatable()


def test_an_accrual_step_by_step() -> None:
    books = Books(
        cash=700, borrows=1_000_000, reserves=77, supply=50_000, index=E18, borrow_rate=10**12, reserve_factor=10**17, elapsed=5_000
    )
    assert (books.factor, books.interest, books.new_index) == (5 * 10**15, 5_000, E18 + 5 * 10**15)
    assert books.earned == 4_500
    stored = books.net * E18 // books.supply
    assert books.new_exchange_rate(stored) == (700 + 1_005_000 - 577) * E18 // 50_000
    assert books.new_exchange_rate(stored + 3) == stored + 3 + 4_500 * E18 // 50_000


def test_a_fork_that_counts_bad_debt_is_read_from_its_stored_rate() -> None:
    world = Comptroller([ether(extra=10**21, ago=1_000), usdc(ago=1_000)])
    account = read(world).account
    assert account.self_check is not None
    assert account.self_check.match
    exact = world.pools[0].accrued()
    assert account.legs[0].amount.raw in (
        exact.exchange_rate() * exact.tokens // E18,
        (exact.exchange_rate() - 1) * exact.tokens // E18,
    )


@pytest.mark.parametrize("fields", [2, 3, 4])
@pytest.mark.parametrize("by_time", [False, True])
def test_every_shape_of_fork_is_read_whole(fields: int, by_time: bool) -> None:
    world = Comptroller([ether(ago=50), usdc(ago=70), dai(ago=90)], by_time=by_time, fields=fields)
    done = read(world)
    account = done.account
    assert account.self_check is not None
    assert account.self_check.match
    assert account.self_check.protocol["liquidity"] == world.liquidity()
    coin, owed, idle = account.legs
    assert (coin.asset.id, coin.asset.symbol, coin.asset.decimals) == (AssetId("eip155:1/slip44:60"), "ETH", 18)
    fresh = [pool.accrued() for pool in world.pools]
    assert coin.amount == Quantity(fresh[0].tokens * fresh[0].exchange_rate() // E18, 18)
    assert (coin.weight, coin.initial_weight, coin.bonus, coin.enabled) == (Decimal("0.825"), Decimal("0.825"), Decimal("0.08"), True)
    assert abs(owed.amount.raw - fresh[1].debt(fresh[1].index)) <= 1
    assert owed.price is not None
    assert (owed.price.value.decimal(), owed.price.unit, owed.price.source) == (Decimal(1), USD, world.oracle)
    assert (idle.role, idle.enabled, idle.weight) == (Role.COLLATERAL, False, Decimal(0))
    assert idle.price is not None
    assert idle.price.value.decimal() == Decimal("0.999")
    assert [leg.compounding for leg in account.legs] == ["per second" if by_time else "per block"] * 3
    year = Decimal(SECONDS_PER_YEAR if by_time else SECONDS_PER_YEAR // 12)
    assert owed.apr == year * Decimal(usdc().rate).scaleb(-18)
    assert account.rule.close_factor == Decimal("0.5")
    assert len(done.rounds) == 4
    assert account.exact is not None
    assert [feed.key for feed in account.exact.feeds()] == [world.pools[0].token, world.pools[1].token]


def test_a_market_of_the_chains_coin_is_never_asked_for_functions_it_does_not_have() -> None:
    """A cETH takes an unknown function for a deposit and accrues: within one batch that would change every later read of it."""
    done = read(Comptroller([ether(), usdc(), dai()]))
    unknown = {"underlying", "accrualBlockTimestamp", "borrowRatePerTimestamp", "supplyRatePerTimestamp"}
    asked = {ask.function for asks in done.rounds for ask in asks if isinstance(ask, Call) and ask.to == ether().token}
    assert not asked & unknown


def test_an_empty_market_is_probed_apart_from_what_an_accrual_changes() -> None:
    """Without cash nothing tells that a market is one of the chain's coin."""
    done = read(Comptroller([ether(cash=0), usdc(native=True, cash=0), dai()]))
    assert [leg.asset.symbol for leg in done.account.legs] == ["ETH", "ETH", "DAI"]
    [probing] = {index for index, asks in enumerate(done.rounds) for ask in asks if isinstance(ask, Call) and ask.function == "underlying"}
    stateful = {"getAccountSnapshot", "borrowIndex", "totalBorrows", "totalReserves", "getCash", "accrualBlockNumber", "borrowRatePerBlock"}
    assert not stateful & {ask.function for ask in done.rounds[probing] if isinstance(ask, Call)}


def test_the_view_may_lag_behind_what_a_liquidation_sees() -> None:
    world = Comptroller([ether(ago=3_000), usdc(ago=500_000)])
    price = world.pools[0].price
    low, high = 0, price
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if world.liquidity({world.pools[0].token: middle}) < 0 else (low, middle)
    world.pools[0].price = high
    assert world.liquidity() >= 0 > world.liquidity(fresh=True)
    account = read(world).account
    assert account.native["shortfall"] == 0
    assert account.liquidatable is True
    assert account.self_check is not None
    assert account.self_check.match


def test_collateral_equal_to_debt_is_no_shortfall() -> None:
    asset = Asset(AssetId("eip155:1/erc20:x"), "x", 18)
    collateral = Entry("c", asset, E18, E18, 1_000, E18, E18, 0, 0)
    debt = Entry("d", asset, E18, 0, 0, E18, E18, 1_000, 1_000)
    assert AccountExact((collateral, debt)).native() == {"error": 0, "liquidity": 0, "shortfall": 0}
    assert not AccountExact((collateral, debt)).liquidatable()
    assert AccountExact((collateral, debt), other_debt=1).liquidatable()


def test_an_empty_wallet_is_no_account() -> None:
    done = read(Comptroller([ether(tokens=0), usdc(principal=0)]))
    assert done.items == []
    assert len(done.rounds) == 2


# Venus


def test_venus_judges_by_thresholds_of_the_account_and_counts_vai() -> None:
    pools = [ether(threshold=86 * 10**16, incentive=115 * 10**16), usdc(threshold=88 * 10**16)]
    world = Comptroller(pools, venus=True, vai=3 * 10**18, pool_id=2, chain_id=56)
    account = read(world).account
    assert account.mode == "pool:2"
    assert account.self_check is not None
    assert account.self_check.match
    coin, _, vai = account.legs
    assert (coin.weight, coin.initial_weight, coin.bonus) == (Decimal("0.86"), Decimal("0.825"), Decimal("0.15"))
    assert (vai.role, vai.asset.symbol, vai.amount) == (Role.DEBT, "VAI", Quantity(3 * 10**18, 18))
    assert vai.price is not None
    assert (vai.price.value.decimal(), vai.price.unit) == (Decimal(1), USD)
    assert vai.factor == Factor(vai.asset.id)


def test_a_debt_in_vai_alone_is_an_account() -> None:
    account = read(Comptroller([ether(tokens=0), usdc(principal=0)], venus=True, vai=5)).account
    assert [leg.asset.symbol for leg in account.legs] == ["VAI"]
    assert account.liquidatable is True


@pytest.mark.parametrize(("venus", "flag"), [(True, "forced"), (True, "forced for user"), (False, "deprecated")])
def test_a_debt_that_anybody_may_liquidate_is_liquidatable_whatever_its_health(venus: bool, flag: str) -> None:
    account = read(Comptroller([ether(), usdc(flags=frozenset({flag}))], venus=venus)).account
    assert account.native["liquidity"] > 0
    assert account.liquidatable is True
    assert account.mode == "cross, forced liquidation"
    assert account.exact is not None
    assert not account.exact.safe_throughout(ether().token, 1, 10**30)
    idle = read(Comptroller([ether(flags=frozenset({flag})), usdc()], venus=venus)).account
    assert idle.liquidatable is False


@pytest.mark.parametrize(
    ("venus", "paused", "coin", "owed", "blocked"),
    [
        (False, "", (), (), ""),
        (False, "seize", (), (), "seizing is paused"),
        (True, "protocol", (), (), "the protocol is paused"),
        (True, "", (), ("action 5",), "liquidating is paused in every market that the account owes in"),
        (True, "", ("action 4",), (), "seizing is paused in every market that the account has collateral in"),
        (True, "", ("action 5",), ("action 4",), ""),
    ],
)
def test_what_stands_in_the_way_of_a_liquidation(venus: bool, paused: str, coin: tuple[str], owed: tuple[str], blocked: str) -> None:
    world = Comptroller([ether(flags=frozenset(coin)), usdc(flags=frozenset(owed))], venus=venus, paused=paused)
    assert read(world).account.blocked == blocked
    world.pools[1].principal = 0
    assert read(world).account.blocked == ""


# settings, and forks that differ in what does not decide


def test_annual_rates_need_the_time_of_a_block() -> None:
    world = Comptroller([usdc(tokens=5, principal=0)], chain_id=31_337)
    assert read(world).account.legs[0].apr is None
    rate = Decimal(usdc().rate // 2 * SECONDS_PER_YEAR).scaleb(-18)
    assert read(world, seconds_per_block="0.5").account.legs[0].apr == rate * 2
    for wrong in ("0", "-1", "NaN", "soon"):
        with pytest.raises(Unsupported, match="seconds_per_block"):
            read(world, seconds_per_block=wrong)


def test_blocks_of_another_chain_cannot_be_counted() -> None:
    with pytest.raises(Unsupported, match="blocks of another chain"):
        read(Comptroller([ether(), usdc()], chain_id=42_161))
    assert read(Comptroller([ether(), usdc()], chain_id=42_161, by_time=True)).account.known


def test_a_fork_without_close_factor_or_incentive() -> None:
    world = Comptroller([ether(), usdc()])
    world.overrides["closeFactorMantissa"] = world.overrides["liquidationIncentiveMantissa"] = lambda _: NOTHING_THERE
    account = read(world).account
    assert account.rule.close_factor == Decimal(1)
    assert account.legs[0].bonus is None


def test_an_oracle_in_another_unit() -> None:
    leg = read(Comptroller([ether(), usdc()]), unit="ETH").account.legs[0]
    assert leg.price is not None
    assert leg.price.unit == Factor("ETH")


def test_a_market_that_counts_for_nothing_may_have_no_price() -> None:
    world = Comptroller([ether(), usdc(), dai()])
    world.pools[2].price = 0
    assert read(world).account.legs[2].price is None
    world.pools[2].price = 1
    truth = world.answer
    idle = world.pools[2].token

    def without_price(ask: Ask) -> Any:
        return NOTHING_THERE if isinstance(ask, Call) and ask.function == "getUnderlyingPrice" and ask.args[0] == idle else truth(ask)

    assert drive(CompoundV2().read(OWNER, world.market(), world.context()), without_price).account.legs[2].price is None


def test_a_market_that_names_no_token_and_does_not_hold_the_chains_coin_is_refused() -> None:
    world = Comptroller([ether(), usdc(native=True)])
    truth = world.answer
    market, cash = world.pools[1].token, world.pools[1].cash

    def of_little_coin(ask: Ask) -> Any:
        return cash - 1 if isinstance(ask, NativeBalance) and ask.owner == market else truth(ask)

    with pytest.raises(Unsupported, match="chain's own coin"):
        drive(CompoundV2().read(OWNER, world.market(), world.context()), of_little_coin)


# answers that cannot be


def _with(function: str, value: Any) -> Callable[[Comptroller], None]:
    return lambda world: world.overrides.update({function: lambda _: value})


def _pool(**change: Any) -> Callable[[Comptroller], None]:
    def apply(world: Comptroller) -> None:
        world.pools[0] = replace(world.pools[0], **change)

    return apply


REFUSED: dict[str, tuple[Callable[[Comptroller], None], type[DefiRiskError]]] = {
    "snapshot error": (_with("getAccountSnapshot", (9, 0, 0, 0)), Unsupported),
    "price error of the view": (_with("getAccountLiquidity", (13, 0, 0)), MissingPrice),
    "another error of the view": (_with("getAccountLiquidity", (15, 0, 0)), Unsupported),
    "view that reverts": (_with("getAccountLiquidity", NOTHING_THERE), CallReverted),
    "price of zero": (_with("getUnderlyingPrice", 0), MissingPrice),
    "oracle that reverts": (_with("getUnderlyingPrice", NOTHING_THERE), CallReverted),
    "close factor above one": (_with("closeFactorMantissa", E18 + 1), OutOfRange),
    "incentive below one": (_with("liquidationIncentiveMantissa", E18 - 1), OutOfRange),
    "collateral factor above one": (_pool(factor=E18 + 1), OutOfRange),
    "reserve factor above one": (_pool(reserve_factor=E18 + 1), OutOfRange),
    "index of zero": (_with("borrowIndex", 0), OutOfRange),
    "accrued in the future": (_pool(ago=-1), OutOfRange),
    "weights that nobody tells": (_with("markets", NOTHING_THERE), Unsupported),
    "37 decimals": (_with("decimals", 37), OutOfRange),
}


@pytest.mark.parametrize(("change", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_answers_that_cannot_be_used_are_refused(change: Callable[[Comptroller], None], error: type[DefiRiskError]) -> None:
    world = Comptroller([ether(), usdc()])
    change(world)
    with pytest.raises(error):
        read(world)


def test_a_debt_in_a_market_that_was_never_entered_is_refused() -> None:
    with pytest.raises(OutOfRange, match="without having entered"):
        read(Comptroller([ether(), usdc(entered=False)]))


def test_a_difference_to_the_view_is_shown_not_hidden() -> None:
    world = Comptroller([ether(), usdc()])
    world.overrides["getAccountLiquidity"] = lambda _: (0, world.liquidity() + 1, 0)
    check = read(world).account.self_check
    assert check is not None
    assert not check.match


FUNCTIONS = sorted({function for functions in SELECTORS.values() for function in functions} | {"decimals", "symbol"})


@pytest.mark.parametrize("data", [b"", b"\0" * 31, b"\xff" * 32, b"\xff" * 1024], ids=["empty", "short", "dirty", "long"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_answer_of_a_wrong_shape_is_an_error_of_ours(function: str, data: bytes) -> None:
    world = Comptroller([ether(), usdc()], venus=True, vai=10**18)
    world.overrides[function] = lambda _: Raw(data)
    with suppress(DefiRiskError):
        assert read(world).account.self_check is not None
