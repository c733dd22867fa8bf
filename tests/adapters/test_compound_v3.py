"""Compound V3: the numbers of the fact sheet, and whole readings of a scripted Comet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from defi_risk_adapters.compound_v3 import CompoundV3
from defi_risk_adapters.compound_v3.exact import CometExact, Holding, accrued, present_value, utilization

from defi_risk.abi import load
from defi_risk.errors import CallReverted, DefiRiskError, MissingPrice, OutOfRange
from defi_risk.ids import USD, ZERO_ADDRESS, AssetId, Factor
from defi_risk.model import Asset, Role
from defi_risk.spi import Interface
from defi_risk.units import SECONDS_PER_YEAR, Quantity
from tests.adapters.comet_world import E18, NOW, OWNER, CometWorld, Listing, Token, address, pegged, plain, usdc, weth
from tests.adapters.scripted import NOTHING_THERE, Drive, Raw, drive

ONE_USD = 10**8


def read(world: CometWorld, **settings: str) -> Drive:
    return drive(CompoundV3().read(OWNER, world.market(**settings), world.context()), world.answer)


def borrower(**more: Any) -> CometWorld:
    """2.5 WETH of collateral, about 7,498 USDC owed."""
    listings = [Listing(weth(), 82 * E18 // 100, 895 * E18 // 1000, 95 * E18 // 100, 25 * 10**17)]
    settings: dict[str, Any] = {"principal": -5_000_000_000, "borrow_index": 1_071_234_567_890_123, "supply_index": 1_052_345_678_901_234}
    return CometWorld(usdc(), listings, **{**settings, **more})


SELECTORS = {
    "balanceOf": "70a08231",
    "baseScale": "44c1e5eb",
    "baseToken": "c55dae63",
    "baseTokenPriceFeed": "e7dad6bd",
    "borrowBalanceOf": "374c49b4",
    "getAssetInfo": "c8c7fe6b",
    "getAssetInfoByAddress": "3b3bec2e",
    "getBorrowRate": "9fa83b5a",
    "getPrice": "41976e09",
    "getSupplyRate": "d955759d",
    "isBorrowCollateralized": "38aa813f",
    "isLiquidatable": "042e02cf",
    "numAssets": "a46fe83b",
    "totalsBasic": "b9f0baf7",
    "totalsCollateral": "59e017bd",
    "userBasic": "dc4abafd",
    "userCollateral": "2b92a07d",
}


def test_every_function_has_the_selector_that_comet_answers_to() -> None:
    functions = load(Interface("defi_risk_abis", "compound_v3/comet"))
    assert {name: function.selector.hex() for name, function in functions.items()} == SELECTORS
    assert load(Interface("defi_risk_abis", "compound_v3/feed"))["description"].selector.hex() == "7284e416"


def test_numbers_of_the_fact_sheet() -> None:
    eth, dollar = (Asset(AssetId(name), name, 18) for name in ("eip155:1/erc20:eth", "eip155:1/erc20:usd"))
    debt = present_value(-7_000_000_000, 1_071_234_567_890_123)
    holding = Holding("eth", eth, 312_345_678_901, 25 * 10**17, E18, 0, 895 * E18 // 1000)
    exact = CometExact(dollar, "usd", 100_005_000, 10**6, True, debt, debt, 0, (holding,))
    assert debt == 7_498_641_975
    assert holding.weighted(holding.price, holding.liquidate_factor) == 698_873_456_540
    assert debt * 100_005_000 // 10**6 == 749_901_690_709
    assert exact.liquidatable()
    assert exact.native()["isLiquidatable"] is True
    assert accrued(1_071_234_567_890_123, 1_500_000_000, 3_600) == 1_071_240_352_556_789


def test_utilization_is_zero_without_supply_and_may_exceed_one() -> None:
    assert utilization(0, 10**15, 5, 10**15) == 0
    assert utilization(100, 10**15, 250, 10**15) == 25 * 10**17


def test_a_borrower_is_read_whole_and_equals_the_views() -> None:
    world = borrower(last=NOW - 86_400)
    done = read(world)
    account = done.account
    assert account.self_check is not None
    assert account.self_check.match
    assert set(account.self_check.protocol) == {"borrowBalanceOf", "balanceOf", "isLiquidatable", "isBorrowCollateralized"}
    debt, ether = account.legs
    supply_index, borrow_index = world.indices()
    assert borrow_index > world.borrow_index
    assert supply_index > world.supply_index
    assert (debt.role, debt.amount) == (Role.DEBT, Quantity(world.debt(borrow_index), 6))
    assert debt.price is not None
    assert (debt.price.value, debt.price.unit, debt.price.source) == (Quantity(100_005_000, 8), USD, world.base.feed)
    assert debt.price.updated_at == NOW - 60
    assert debt.available == Quantity(world.cash, 6)
    used = utilization(world.supplied, world.supply_index, world.borrowed, world.borrow_index)
    assert debt.apr == Decimal((500_000_000 + 2_000_000_000 * used // E18) * SECONDS_PER_YEAR).scaleb(-18)
    assert (ether.role, ether.amount, ether.factor) == (Role.COLLATERAL, Quantity(25 * 10**17, 18), Factor("ETH"))
    assert (ether.weight, ether.initial_weight, ether.bonus) == (Decimal("0.895"), Decimal("0.82"), Decimal("0.05"))
    assert ether.available == Quantity(75 * 10**17, 18)
    assert account.rule.kind == "absorb"
    assert account.liquidatable is False
    assert len(done.rounds) == 3


def test_the_view_may_lag_behind_what_absorb_sees() -> None:
    world = borrower(last=NOW - 30 * 86_400)
    price = next(
        price for price in range(250_000_000_000, 100_000_000_000, -10_000_000) if world.absorbable({world.listings[0].token.feed: price})
    )
    world.listings[0].token.price = price
    assert world.absorbable()
    assert world.liquidity(world.borrow_index, "liquidate") >= 0
    account = read(world).account
    assert account.native["isLiquidatable"] is False
    assert account.liquidatable is True
    assert account.self_check is not None
    assert account.self_check.match


def test_liquidity_of_exactly_zero_is_not_liquidatable() -> None:
    listing = Listing(weth(ONE_USD), 8 * E18 // 10, 9 * E18 // 10, 95 * E18 // 100, 10 * E18)
    base = usdc()
    base.price = ONE_USD
    world = CometWorld(base, [listing], principal=-9_000_000)
    account = read(world).account
    assert world.liquidity(world.borrow_index, "liquidate") == 0
    assert account.liquidatable is False
    assert account.exact is not None
    assert account.exact.liquidatable({listing.token.feed: ONE_USD - 1}) is True
    assert account.exact.liquidatable({base.feed: ONE_USD + 1}) is True


def test_a_supplier_owns_a_balance_that_is_no_collateral() -> None:
    world = CometWorld(usdc(), [], principal=4_000_000_000, supply_index=1_052_345_678_901_234, last=NOW - 3_600)
    account = read(world).account
    [leg] = account.legs
    assert (leg.role, leg.enabled, leg.weight) == (Role.COLLATERAL, False, Decimal(0))
    assert leg.amount == Quantity(4_000_000_000 * world.indices()[0] // 10**15, 6)
    assert account.liquidatable is False
    assert account.exact is not None
    assert account.exact.feeds() == ()
    assert account.exact.safe_throughout(world.base.feed, 0, 10**20)
    assert account.native == {"borrowBalanceOf": 0, "balanceOf": leg.amount.raw, "isLiquidatable": False, "isBorrowCollateralized": True}


def test_an_empty_wallet_costs_one_round_and_is_no_account() -> None:
    done = read(CometWorld(usdc(), [Listing(weth(), 0, 0, 0)]))
    assert done.items == []
    assert len(done.rounds) == 1


@pytest.mark.parametrize("places", [(0,), (15,), (16,), (23,), (0, 15, 16, 23), tuple(range(24))])
def test_all_24_bits_of_the_assets_an_account_is_in(places: tuple[int, ...]) -> None:
    tokens = [Token(f"T{i}", 18 if i % 2 else 8, (i + 1) * ONE_USD, 100 + i, f"T{i} / USD") for i in range(24)]
    listings = [Listing(token, E18 // 2, 6 * E18 // 10, 9 * E18 // 10, token.scale if i in places else 0) for i, token in enumerate(tokens)]
    world = CometWorld(usdc(), listings, principal=-1_000_000)
    account = read(world).account
    assert [leg.asset.symbol for leg in account.legs[1:]] == [f"T{i}" for i in places]
    assert account.self_check is not None
    assert account.self_check.match
    assert account.exact is not None
    assert {feed.key for feed in account.exact.feeds()} == {world.base.feed, *(tokens[i].feed for i in places)}


def test_a_collateral_that_counts_nothing_is_owned_but_moves_nothing() -> None:
    world = borrower()
    delisted = Token("OLD", 18, 5 * ONE_USD, 9, "OLD / USD")
    world.listings.append(Listing(delisted, 0, 0, 0, 10 * E18))
    account = read(world).account
    leg = account.legs[-1]
    assert (leg.weight, leg.bonus, leg.enabled) == (Decimal(0), Decimal(1), True)
    assert account.exact is not None
    assert delisted.feed not in {feed.key for feed in account.exact.feeds()}


def test_pauses_block_liquidation_and_withdrawals() -> None:
    assert read(borrower(pause=1 << 3)).account.blocked == "absorbing is paused"
    paused = read(borrower(pause=1 << 2)).account
    assert paused.blocked == ""
    assert [leg.available.raw for leg in paused.legs if leg.available] == [0, 0]


def test_a_difference_to_the_view_is_shown_not_hidden() -> None:
    world = borrower()
    world.overrides["borrowBalanceOf"] = lambda _: 1
    check = read(world).account.self_check
    assert check is not None
    assert not check.match


def test_a_view_that_reverts_is_left_out_of_the_comparison() -> None:
    check = read(borrower(deactivated=True)).account.self_check
    assert check is not None
    assert "isBorrowCollateralized" not in check.protocol
    assert check.match


def test_an_answer_of_zero_makes_absorb_revert_so_nothing_is_liquidated() -> None:
    world = borrower()
    exact = read(world).account.exact
    assert exact is not None
    feed = world.listings[0].token.feed
    assert exact.liquidatable({feed: 1})
    assert not exact.liquidatable({feed: 0})
    assert exact.safe_throughout(feed, 0, 0)
    assert not exact.safe_throughout(feed, 0, 1)
    assert not exact.liquidatable({world.base.feed: 0})


# units


def eth_market(**more: Any) -> CometWorld:
    base = Token("WETH", 18, ONE_USD, 2, "Constant price feed", plain("ETH"))
    staked = Token("wstETH", 18, 119_000_000, 3, "wstETH / ETH price feed", pegged("ETH", "wstETH/ETH"))
    return CometWorld(base, [Listing(staked, 9 * E18 // 10, 93 * E18 // 100, 96 * E18 // 100, 2 * E18)], principal=-(10**18), **more)


def staked_market(**more: Any) -> CometWorld:
    base = Token("wstETH", 18, ONE_USD, 3, "Constant price feed", pegged("ETH", "wstETH/ETH"))
    ezeth = Token("ezETH", 18, 88_000_000, 4, "ezETH / wstETH CAPO Price Feed", pegged("ETH", "ezETH/ETH"))
    return CometWorld(base, [Listing(ezeth, 88 * E18 // 100, 91 * E18 // 100, 94 * E18 // 100, 3 * E18)], principal=-(10**18), **more)


def usd_market(number: int, token: Token) -> CometWorld:
    """A USDC Comet that takes a token as collateral."""
    return CometWorld(Token("USDC", 6, 99_990_000, 50, "USDC / USD", plain("USDC")), [Listing(token, 0, 0, 0)], number=number)


def test_an_eth_market_prices_in_eth_and_its_constant_base_is_no_feed() -> None:
    world = eth_market()
    done = read(world)
    base, staked = done.account.legs
    assert base.price is not None
    assert staked.price is not None
    assert (base.price.unit, base.price.value) == (Factor("ETH"), Quantity(ONE_USD, 8))
    assert (staked.price.unit, staked.price.value) == (Factor("ETH"), Quantity(119_000_000, 8))
    assert done.account.exact is not None
    assert [feed.key for feed in done.account.exact.feeds()] == [world.listings[0].token.feed]
    assert done.quotes == []


def test_an_eth_market_quotes_ether_where_another_comet_knows_it_in_usd() -> None:
    usd_weth = Token("WETH", 18, 312_345_678_901, 20, "ETH / USD", plain("ETH"))
    world = eth_market(others=[usd_market(0xC1, usd_weth)])
    world.others[0].listings[0].token = Token("WETH", 18, 312_345_678_901, 2, "ETH / USD", plain("ETH"))
    world.overrides["getPrice"] = lambda call: _prices(call.to, call.args[0], world)
    done = read(world)
    [quote] = done.quotes
    assert quote.factor == Factor("ETH")
    assert quote.price.unit == USD
    assert quote.price.value.decimal() == Decimal("3123.45678901")
    assert len(done.rounds) == 4


def _prices(comet: str, feed: str, world: CometWorld) -> int:
    """The same token has one address here and two feeds: each Comet knows its own."""
    owner = next(each for each in (world, *world.others) if each.address == comet)
    return next(t.price for t in (owner.base, *(listing.token for listing in owner.listings)) if t.feed == feed)


def test_a_market_in_a_pegged_token_is_turned_into_usd_by_another_comet() -> None:
    world = staked_market(others=[usd_market(0xC1, Token("wstETH", 18, 370_000_000_000, 3, "wstETH / USD", pegged("ETH", "wstETH/ETH")))])
    world.overrides["getPrice"] = lambda call: _prices(call.to, call.args[0], world)
    done = read(world)
    base, ezeth = done.account.legs
    assert base.price is not None
    assert ezeth.price is not None
    assert (base.price.unit, base.price.value.decimal()) == (USD, Decimal(3700))
    assert (ezeth.price.unit, ezeth.price.value.decimal()) == (USD, Decimal(3700) * Decimal("0.88"))
    assert done.quotes == []
    assert done.account.self_check is not None
    assert done.account.self_check.match


def test_a_market_whose_unit_nobody_knows_has_no_price() -> None:
    with pytest.raises(MissingPrice, match="no USD price"):
        read(staked_market())


def test_another_comet_that_does_not_price_in_usd_is_not_asked_for_usd() -> None:
    other = eth_market(number=0xC1)
    other.base.number, other.listings[0].token.number = 30, 3
    world = staked_market(others=[other])
    with pytest.raises(MissingPrice):
        read(world)


def test_a_setting_names_the_unit() -> None:
    leg = read(staked_market(), unit="ETH").account.legs[0]
    assert leg.price is not None
    assert leg.price.unit == Factor("ETH")


def test_a_bitcoin_market_prices_in_bitcoin_though_its_base_feed_moves() -> None:
    base = Token("WBTC", 8, 99_950_000, 5, "WBTC / BTC", pegged("BTC", "WBTC/BTC"))
    lbtc = Token("LBTC", 8, 100_100_000, 6, "LBTC / BTC", pegged("BTC", "LBTC/BTC"))
    world = CometWorld(base, [Listing(lbtc, 8 * E18 // 10, 85 * E18 // 100, 9 * E18 // 10, 10**8)], principal=-(5 * 10**7))
    account = read(world).account
    assert {leg.price.unit for leg in account.legs if leg.price} == {Factor("BTC")}
    assert account.exact is not None
    assert base.feed in {feed.key for feed in account.exact.feeds()}


@pytest.mark.parametrize("description", [None, "", "a feed", "Constant price feed"])
def test_a_market_of_a_dollar_coin_prices_in_usd_whatever_its_feed_says(description: str | None) -> None:
    world = borrower()
    world.base.description = description
    assert {leg.price.unit for leg in read(world).account.legs if leg.price} == {USD}


@pytest.mark.parametrize("text", ["Custom price feed for WBTC / USD", "RON/USD", "wstETH / stETH ETH / USD"])
def test_the_last_quote_of_a_description_counts(text: str) -> None:
    world = borrower()
    world.base.description, world.base.factor = text, plain("RON")
    assert {leg.price.unit for leg in read(world).account.legs if leg.price} == {USD}


def test_without_a_known_unit_prices_are_in_base_tokens() -> None:
    """Right in any unit: here the feeds are in something where one USDC is 1.00005 and one WETH 3,123.45678901."""
    world = borrower()
    world.base.description = "USDC / XDR"
    base, ether = read(world).account.legs
    assert base.price is not None
    assert ether.price is not None
    assert (base.price.unit, base.price.value.decimal()) == (Factor("USDC"), Decimal(1))
    assert (ether.price.unit, ether.price.value) == (Factor("USDC"), Quantity(312_345_678_901 * 10**28 // 100_005_000, 28))


def test_a_base_token_in_no_table_is_the_unit_of_its_own_market() -> None:
    world = eth_market()
    world.base.factor, world.base.description = None, "WETH / ETH"
    account = read(world).account
    assert {leg.price.unit for leg in account.legs if leg.price} == {account.legs[0].factor}


# answers that cannot be


def _with(function: str, value: Any) -> Callable[[CometWorld], None]:
    return lambda world: world.overrides.update({function: lambda _: value})


ABSURD: dict[str, Callable[[CometWorld], None]] = {
    "no base token": _with("baseToken", ZERO_ADDRESS),
    "no base feed": _with("baseTokenPriceFeed", ZERO_ADDRESS),
    "scale not of the token": _with("baseScale", 10**7),
    "25 assets": _with("numAssets", 25),
    "in an asset that is not listed": _with("userBasic", (-5, 0, 0, 0b11, 0)),
    "high bit of an asset that is not listed": _with("userBasic", (-5, 0, 0, 1, 0x80)),
    "index of zero": _with("totalsBasic", (0, 10**15, 0, 0, 1, 1, NOW, 0)),
    "accrued in the future": _with("totalsBasic", (10**15, 10**15, 0, 0, 1, 1, NOW + 1, 0)),
    "base price of zero": _with("getPrice", 0),
    "empty asset": _with("getAssetInfo", (0, ZERO_ADDRESS, address(5), E18, 0, 0, 0, 0)),
    "asset scale not of the token": _with("getAssetInfo", (0, weth().address, weth().feed, 10**8, 0, 0, 0, 0)),
    "factor above one": _with("getAssetInfo", (0, weth().address, weth().feed, E18, 0, E18 + 1, 0, 0)),
}


@pytest.mark.parametrize("change", ABSURD.values(), ids=ABSURD.keys())
def test_absurd_answers_are_refused(change: Callable[[CometWorld], None]) -> None:
    world = borrower()
    change(world)
    with pytest.raises(OutOfRange):
        read(world)


REQUIRED = ["baseToken", "totalsBasic", "userBasic", "borrowBalanceOf", "getAssetInfo", "getPrice", "userCollateral", "getBorrowRate"]


@pytest.mark.parametrize("function", REQUIRED)
def test_a_read_that_must_work_and_reverts_is_an_error_of_the_account(function: str) -> None:
    world = borrower()
    world.overrides[function] = lambda _: NOTHING_THERE
    with pytest.raises(CallReverted, match=function):
        read(world)


@pytest.mark.parametrize("data", [b"", b"\0" * 31, b"\xff" * 32, b"\xff" * 1024], ids=["empty", "short", "dirty", "long"])
@pytest.mark.parametrize("function", sorted(SELECTORS))
def test_any_answer_of_a_wrong_shape_is_an_error_of_ours(function: str, data: bytes) -> None:
    world = borrower()
    world.overrides[function] = lambda _: Raw(data)
    with suppress(DefiRiskError):
        assert read(world).account.self_check is not None
