"""GMX V2 without a chain: its rule on recorded scenarios and known cases, prices from the venue's service, and answers that cannot be."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from defi_risk_adapters.gmx_v2 import GmxV2, accrual
from defi_risk_adapters.gmx_v2.accrual import Accrued
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.fixed import PER_SIZE, power
from defi_risk_adapters.gmx_v2.rule import Discounts
from defi_risk_adapters.gmx_v2.state import Band, Borrowing, ImpactCurve, Listing, MarketState, Pair, Position, Prices

from defi_risk.errors import OutOfRange
from defi_risk.health.account import assess
from defi_risk.health.normal import in_floats
from defi_risk.health.plan.moves import survey
from defi_risk.health.tick import ticks
from defi_risk.ids import Factor
from defi_risk.model import Account, Role, Side
from defi_risk.units import Quantity
from tests.accounts import SETTINGS
from tests.adapters.gmx_world import (
    INDEX,
    LONG,
    MARKET,
    NONE,
    NOW,
    ONE,
    OWNER,
    SHORT,
    World,
    address,
    flat,
    made,
    plain_funding,
    plain_position,
    plain_state,
    ticker,
    unit_price,
    usd,
)
from tests.adapters.scripted import NOTHING_THERE, Drive, Raw, drive
from tests.localchain.gmx.keys import key

RECORDED: Final[dict[str, Any]] = tomllib.loads((Path(__file__).parents[2] / "fixtures" / "accounts" / "gmx_v2.toml").read_text("utf-8"))
DECIMALS: Final = 18
WAD: Final = 10**18


def read(world: World, prices: str = "https://prices.invalid", timestamp: int = NOW, **settings: str) -> Drive:
    return drive(GmxV2().read(OWNER, world.market(prices, **settings), world.context(timestamp)), world.answer)


def tick(exact: GmxExact, direction: str) -> Decimal:
    """The first index price that kills, in USD for one token of 18 decimals."""
    [found] = [each for each in ticks(exact, lambda feed: 0.0, 0.0) if each.asset == exact.index and each.direction == direction]
    return Decimal(found.answer).scaleb(DECIMALS - 30)


# the arithmetic


@pytest.mark.parametrize(
    ("base", "exponent", "result"),
    [
        (10**18, 2 * WAD, 10**18),
        (10**24, 2 * WAD, 999999999999999983055432014226),
        (1234567890000000987654321, 15 * 10**17, 1371742093758575065250938314),
        (70000000000000000000000001, 165 * 10**16, 8798563364247189497231654367305),
        (31415926535000000000000000, 11 * 10**17, 176548836560233837057802743),
        (1999999999999999999, 10**17, 1071773462536293162),
        (98765000000000000000000, 3141592653500000000, 4909172647625443603226761621155492),
        (5 * 10**24, 1, 1000000000000000015),
    ],
)
def test_powers_are_those_of_the_contracts(base: int, exponent: int, result: int) -> None:
    """Answers of PRBMathUD60x18.pow in npm prb-math 2.4.3, compiled and asked."""
    assert power(base * 10**12, exponent * 10**12) == result * 10**12


def test_powers_below_one_are_nothing_and_to_the_first_nothing_changes() -> None:
    assert power(ONE - 1, 2 * ONE) == 0
    assert power(ONE + 12345, ONE) == ONE + 12345
    with pytest.raises(OutOfRange):
        power(10**50, 9 * ONE)


# the rule


def scenario(case: dict[str, Any], prices: dict[str, str]) -> GmxExact:
    entry, size = unit_price(case["entry"], DECIMALS), usd(case["size_usd"])
    same = case["index_is_collateral"]
    listing = Listing(MARKET, INDEX, INDEX if same else LONG, SHORT)
    position = plain_position(
        collateral=listing.long,
        is_long=case["long"],
        size_usd=size,
        size_tokens=size // entry,
        amount=int(Decimal(case["collateral"]).scaleb(DECIMALS)),
    )
    index, collateral = (flat(unit_price(prices[name], DECIMALS)) for name in ("index", "collateral"))
    return made(position, plain_state(listing=listing), Prices(index, collateral, flat(unit_price(1, 6))), decimals=(DECIMALS, DECIMALS))


@pytest.mark.parametrize("case", RECORDED["scenarios"], ids=lambda case: case["name"])
def test_recorded_positions_die_where_the_contracts_killed_them(case: dict[str, Any]) -> None:
    for prices in case["alive"]:
        assert not scenario(case, prices).liquidatable()
    for prices in case["dead"]:
        exact = scenario(case, prices)
        assert exact.liquidatable()
        if "returned" in case:
            assert Decimal(exact.remaining()) / usd(prices["collateral"]) == Decimal(case["returned"])


def test_the_two_known_cases() -> None:
    """10 ETH long from 3,000 with 6,000 USDC or 2 ETH, closing at 0.07 % and dead below 0.5 %."""
    state = plain_state(liquidation_factor=ONE // 200, fee_improved=usd("0.0007"), fee_worse=usd("0.0007"))
    in_usdc = made(plain_position(), state)
    assert not in_usdc.liquidatable({INDEX: unit_price("2417.10", 18)})
    assert tick(in_usdc, "down") == Decimal("2417.1") - Decimal(1).scaleb(-12)
    listing = Listing(MARKET, INDEX, INDEX, SHORT)
    in_eth = made(plain_position(collateral=INDEX, amount=2 * WAD), replace(state, listing=listing), decimals=(18, 18))
    assert tick(in_eth, "down") == Decimal("2514.25") - Decimal(1).scaleb(-12)
    assert len(in_eth.feeds()) == 1


def test_what_must_remain_is_a_share_of_the_size_or_the_least_collateral() -> None:
    small = plain_position(size_usd=usd(60), size_tokens=2 * 10**16, amount=2 * 10**6)
    exact = made(small, plain_state(min_collateral_usd=usd(2)))
    assert exact.needed == usd(2)
    assert not exact.liquidatable()
    assert made(replace(small, amount=2 * 10**6 - 1), plain_state(min_collateral_usd=usd(2))).liquidatable()
    nothing_left = made(plain_position(amount=0), plain_state(min_collateral_usd=1, liquidation_factor=0))
    assert nothing_left.remaining() == 0
    assert nothing_left.liquidatable()


def test_longs_close_at_the_lower_price_and_shorts_at_the_higher() -> None:
    band = Band(unit_price(2_990, 18), unit_price(3_010, 18))
    prices = Prices(band, band, Band(unit_price("0.999", 6), unit_price("1.001", 6)))
    long, short = (made(plain_position(is_long=side), plain_state(), prices) for side in (True, False))
    assert long.native()["basePnlUsd"] == -usd(100)
    assert short.native()["basePnlUsd"] == -usd(100)
    assert long.remaining() == short.remaining() == usd(6_000) * 999 // 1_000 - usd(100)
    for exact, now in ((long, band.low), (short, band.high)):
        feed, coin = exact.feeds()
        assert (feed.key, feed.now) == (INDEX, now)
        assert coin.now == unit_price("0.999", 6)
        moved = exact.at({INDEX: now * 2})
        assert moved.index == Band(band.low * 2, band.high * 2)
        assert moved.short == prices.short


def test_a_profit_is_paid_as_far_as_the_pool_may() -> None:
    """Longs are owed 40,000 and the pool may pay 10,000: a quarter of each profit."""
    state = plain_state(
        interest=Pair(Pair(usd(120_000), 0), Pair(0, usd(120_000))),
        interest_tokens=Pair(Pair(40 * WAD, 0), Pair(0, 40 * WAD)),
        pool=Pair(5 * WAD, 10**12),
        max_pnl=Pair(ONE // 2, ONE // 2),
    )
    prices = Prices(flat(unit_price(4_000, 18)), flat(unit_price(4_000, 18)), flat(unit_price(1, 6)))
    native = made(plain_position(), state, prices).native()
    assert (native["uncappedBasePnlUsd"], native["basePnlUsd"]) == (usd(10_000), usd(2_500))
    unlimited = made(plain_position(), replace(state, max_pnl=Pair(0, 0)), prices).native()
    assert unlimited["basePnlUsd"] == usd(10_000)
    loss = made(plain_position(), state, replace(prices, index=flat(unit_price(2_900, 18)))).native()
    assert loss["basePnlUsd"] == loss["uncappedBasePnlUsd"] == -usd(1_000)


def test_negative_impact_counts_down_to_its_floor_and_positive_never() -> None:
    curve = ImpactCurve(
        factor_improved=usd("0.000001"),
        factor_worse=usd("0.000002"),
        exponent_improved=ONE,
        exponent_worse=ONE,
        positive_cap=usd("0.001"),
        liquidation_cap=usd("0.005"),
    )
    heavier = {"interest": Pair(Pair(usd(40_000), 0), Pair(0, usd(90_000)))}
    worse = made(plain_position(), plain_state(impact=curve, **heavier))
    assert (worse.native()["priceImpactUsd"], worse.native()["balanceWasImproved"]) == (-usd("0.06"), False)
    assert worse.remaining() == usd(6_000) - usd("0.06")
    left = made(plain_position(pending_impact=-(10**17)), plain_state(impact=curve, **heavier))  # 300 USD, above the floor of 150
    assert left.native()["proportionalPendingImpactUsd"] == -usd(300)
    assert left.remaining() == usd(5_850)
    better = made(plain_position(is_long=False), plain_state(impact=curve, **heavier))
    assert (better.native()["priceImpactUsd"], better.native()["balanceWasImproved"]) == (usd("0.03"), True)
    assert better.remaining() == usd(6_000)


def test_the_inventory_shared_with_other_markets_counts_where_it_makes_the_impact_worse() -> None:
    curve = ImpactCurve(usd("0.000001"), usd("0.000002"), ONE, ONE, usd("0.001"), usd("0.005"))
    state = plain_state(impact=curve, interest=Pair(Pair(usd(40_000), 0), Pair(0, usd(90_000))), virtual=usd(10**6))
    assert made(plain_position(), state).native()["priceImpactUsd"] == -usd("0.06")
    assert made(plain_position(), replace(state, impact=replace(curve, exponent_worse=2 * ONE))).native()["priceImpactUsd"] < -usd(100_000)


def test_fees_after_the_larger_discount_and_before_the_liquidation_fee() -> None:
    state = plain_state(fee_worse=usd("0.001"), liquidation_fee=usd("0.002"))
    due = Accrued(usd("12.3456789"), 7_000_001, Pair(0, 5))
    exact = made(plain_position(), state, discounts=Discounts(usd("0.0999"), usd("0.05")), due=due)
    native = exact.native()
    assert (native["positionFeeAmount"], native["totalDiscountAmount"]) == (30 * 10**6, 2_997_000)
    assert native["totalCostAmount"] == 30 * 10**6 - 2_997_000 + 12_345_678 + 7_000_001
    assert exact.remaining() == usd(6_000) - native["totalCostAmount"] * unit_price(1, 6)


# what runs up


@pytest.mark.parametrize("case", RECORDED["growth"], ids=lambda case: str(case["time"]))
def test_counters_grow_as_those_of_a_real_market_did(case: dict[str, Any]) -> None:
    """Recorded: funding is the same in USD whatever it is paid in, shorts get what longs pay, and the smaller side borrows for nothing.

    Taken from the record are the rate, by what longs paid in the short token, and what share of the longs has which collateral, by what
    shorts earned in each token. The market was written to at times of its own, so the rest follows to a part in three hundred.
    """
    long, short = (int(Decimal(price) * ONE) // 10**decimals for price, decimals in zip(case["prices"], (18, 6), strict=True))
    (paid_long, paid_short), earned = ([Decimal(each) for each in case[name]] for name in ("longs_paid", "shorts_earned"))
    longs, shorts = (usd(each) for each in case["interest"])
    values = [amount * Decimal(price) for amount, price in zip(earned, case["prices"], strict=True)]
    backed = int(longs * values[0] / sum(values))
    rate = int(paid_short * Decimal(case["prices"][1]) * ONE) // case["seconds"]
    funding = plain_funding(increase=1, stable_from=ONE, most=ONE, saved=rate, updated_at=NOW - case["seconds"])
    borrowing = Borrowing(0, ONE, ONE, ONE // 10**8, 0, ONE, 0, NOW - case["seconds"])
    state = plain_state(
        interest=Pair(Pair(backed, longs - backed), Pair(0, shorts)),
        funding=funding,
        borrowing=Pair(borrowing, borrowing),
        skip_smaller_side=True,
    )
    counters, rates = accrual.accrued(state, Prices(flat(long), flat(long), flat(short)), NOW)
    assert rates.longs_pay
    grown = [Decimal(each) / PER_SIZE for each in (*counters.funding.long, *counters.claimable.short)]
    amounts = [each * ONE / 10**decimals for each, decimals in zip(grown, (18, 6, 18, 6), strict=True)]
    assert amounts == pytest.approx([paid_long, paid_short, *earned], rel=Decimal("0.0033"))
    assert [each > 0 for each in rates.borrowing] == [Decimal(each) > 0 for each in case["borrowed"]]


@pytest.mark.parametrize("case", RECORDED["funding"])
def test_what_one_side_pays_is_spread_over_the_other(case: dict[str, Any]) -> None:
    long, short = (usd(case[f"{side}_interest_usd"]) for side in ("long", "short"))
    rate = usd(case["rate"])
    held = plain_funding(increase=1, stable_from=ONE, most=rate, saved=rate if case["longs_pay"] else -rate, updated_at=NOW - 1)
    state = plain_state(interest=Pair(Pair(long, 0), Pair(0, short)), funding=held)
    prices = Prices(flat(unit_price(3_000, 18)), flat(unit_price(3_000, 18)), flat(unit_price(1, 6)))
    counters, rates = accrual.accrued(state, prices, NOW)
    assert (rates.funding, rates.longs_pay) == (rate, case["longs_pay"])
    size = usd(1_000_000)
    payer = plain_position(is_long=False, size_usd=size)
    getter = plain_position(is_long=True, size_usd=size)
    assert counters.due(payer, False).funding == Decimal(case["short_pays"]) * 10**12
    earned = counters.due(getter, False).claimable.short
    assert 0 <= Decimal(case["long_gets"]) * 10**12 - earned <= 1


def test_a_rate_that_may_change_follows_the_skew() -> None:
    day = 86_400
    rising = plain_funding(
        increase=usd("0.000001"), most=ONE, stable_from=usd("0.05"), decrease_below=usd("0.02"), decrease=usd("0.0000001")
    )

    def rate(long: int, short: int, saved: str) -> tuple[int, bool]:
        state = plain_state(interest=Pair(Pair(usd(long), 0), Pair(0, usd(short))), funding=replace(rising, saved=usd(saved)))
        return accrual.funding_rate(state, Prices(flat(1), flat(1), flat(1)), day)

    assert rate(106, 94, "0.01") == (usd("0.01") + usd("0.06") * day // 10**6, True)
    assert rate(103, 97, "0.01") == (usd("0.01"), True)
    assert rate(101, 99, "0.01") == (usd("0.01") - usd("0.00864"), True)
    assert rate(101, 99, "0.001") == (1, True)
    assert rate(94, 106, "0.001") == (usd("0.06") * day // 10**6 - usd("0.001"), False)
    assert rate(100, 100, "0.001") == (usd("0.001"), True)


def test_open_interest_near_its_limit_counts_as_usage() -> None:
    """200,000 of a million of pool at a reserve factor of 2.5 are 8 %, but half of a limit of 400,000: as GMX's own test has it."""
    curve = replace(plain_state().borrowing.long, optimal=ONE, base=ONE, reserve=5 * ONE // 2)
    world = World()
    world.words |= {
        key("OPTIMAL_USAGE_FACTOR", MARKET, True): curve.optimal,
        key("BASE_BORROWING_FACTOR", MARKET, True): curve.base,
        key("OPEN_INTEREST_RESERVE_FACTOR", MARKET, True): curve.reserve,
        key("MAX_OPEN_INTEREST", MARKET, True): usd(400_000),
        key("OPEN_INTEREST", MARKET, LONG, True): usd(200_000),
        key("OPEN_INTEREST_IN_TOKENS", MARKET, LONG, True): 200_000 * WAD // 3_000 + 1,
        key("POOL_AMOUNT", MARKET, LONG): 1_000_000 * WAD // 3_000 + 1,
    }

    def usage() -> float:
        exact = read(world).account.exact
        assert isinstance(exact, GmxExact)
        return accrual.borrowing_rate(exact.state, exact.prices, True) / ONE

    assert usage() == pytest.approx(0.5)
    world.words[key("MAX_OPEN_INTEREST", MARKET, True)] = usd(10**9)
    assert usage() == pytest.approx(0.08)
    world.words |= {key("MAX_OPEN_INTEREST", MARKET, True): usd(400_000), key("IGNORE_OPEN_INTEREST_FOR_USAGE_FACTOR"): True}
    assert usage() == pytest.approx(0.08)
    world.words |= {key("MAX_OPEN_INTEREST", MARKET, True): 0, key("IGNORE_OPEN_INTEREST_FOR_USAGE_FACTOR"): False}
    assert "nothing in the pool" in read(world).account.reason


def test_borrowing_is_dearer_above_the_kink_and_free_for_the_smaller_side_where_that_is_set() -> None:
    curve = replace(plain_state().borrowing.long, optimal=ONE // 2, base=usd("0.001"), above=usd("0.003"), reserve=ONE)
    state = plain_state(
        borrowing=Pair(curve, curve), pool=Pair(10**20, 400_000 * 10**6), interest=Pair(Pair(usd(90_000), 0), Pair(0, usd(300_000))),
        interest_tokens=Pair(Pair(30 * WAD, 0), Pair(0, 100 * WAD)),
    )  # fmt: skip
    prices = Prices(flat(unit_price(3_000, 18)), flat(unit_price(3_000, 18)), flat(unit_price(1, 6)))
    assert accrual.borrowing_rate(state, prices, True) == usd("0.0003")
    assert accrual.borrowing_rate(state, prices, False) == usd("0.00075") + usd("0.002") // 2
    assert accrual.borrowing_rate(replace(state, skip_smaller_side=True), prices, True) == 0
    with pytest.raises(OutOfRange):
        accrual.borrowing_rate(replace(state, pool=Pair(0, 0)), prices, False)


# the account


def test_margin_comes_in_through_the_order_vault_and_leaves_from_the_market() -> None:
    world = World(positions=[plain_position()])
    [account] = read(world).accounts
    assert account.custody == ()
    vault = "0x" + "5a" * 20
    [account] = read(world, order_vault=vault).accounts
    assert [(row.asset, row.holder.lower()) for row in account.custody] == [
        (f"eip155:42161/erc20:{SHORT}", vault),
        (f"eip155:42161/erc20:{SHORT}", MARKET.lower()),
    ]


def test_a_position_is_an_account_of_its_own() -> None:
    world = World(positions=[plain_position(), plain_position(collateral=LONG, amount=2 * WAD, is_long=False)])
    first, second = read(world).accounts
    assert first.id == f"eip155:42161/gmx_v2:{world.market()['data_store']}/{OWNER.address}/{MARKET}/{SHORT}/long"
    assert second.id.endswith(f"/{MARKET}/{LONG}/short")
    assert [account.mode.rpartition(" ")[2] for account in (first, second)] == ["long", "short"]
    for account in (first, second):
        assert (account.side, account.mode.split()[0], account.strict, account.blocked) == (Side.DERIVATIVES, "isolated", True, "")
        assert account.liquidatable is False
        normal, exact = in_floats(account, {}), account.exact
        assert isinstance(exact, GmxExact)
        assert normal.weighted() - normal.requirement() == pytest.approx((exact.remaining() - exact.needed) / ONE, rel=1e-12)
    margin, position = first.legs
    assert (margin.role, str(margin.amount), margin.factor) == (Role.MARGIN, "6000", Factor("USDC"))
    assert position.position is not None
    assert (position.position.size, position.position.mark, position.factor) == (Decimal(10), Decimal(3_000), Factor("ETH"))
    assert abs(position.position.entry - 3_000) < Decimal("1e-100")
    assert second.legs[-1].position is not None
    assert second.legs[-1].position.size == -10


def test_funding_owed_is_negative_margin_and_funding_earned_is_owned_beside() -> None:
    world = World(positions=[plain_position(), plain_position(is_long=False)])
    owned = key("CLAIMABLE_FUNDING_AMOUNT", MARKET, SHORT, OWNER.address)
    per_size = key("FUNDING_FEE_AMOUNT_PER_SIZE", MARKET, SHORT, True)
    world.words |= {owned: 5_000_000, per_size: 10**7 * 10**45 // usd(30_000)}
    long, short = read(world).accounts
    assert [(str(leg.amount), leg.enabled) for leg in long.legs[:-1]] == [("6000", True), ("-10", True), ("5", False)]
    assert [str(leg.amount) for leg in short.legs[:-1]] == ["6000"]  # what may be claimed in a market is owned once
    assert in_floats(long, {}).weighted() == pytest.approx(5_990.0)
    assert in_floats(long, {}).equity == pytest.approx(5_995.0)


def test_profit_pays_for_no_withdrawal_and_running_funding_cannot_be_claimed() -> None:
    """6,000 USDC behind 30,000 with 30,000 of profit: 1 % of the size must stay in USDC, whatever the profit."""
    world = World()
    world.tickers = [ticker(token, price) for token, price in ((INDEX, unit_price(6_000, 18)), (LONG, unit_price(6_000, 18)))]
    world.tickers.append(ticker(SHORT, unit_price("0.5", 6)))
    per_size = key("CLAIMABLE_FUNDING_AMOUNT_PER_SIZE", MARKET, SHORT, True)
    world.words |= {
        per_size: 10**7 * 10**45 // usd(30_000) + 1,
        key("CLAIMABLE_FUNDING_AMOUNT", MARKET, SHORT, OWNER.address): 5_000_000,
    }
    margin, claim, _ = read(world).account.legs
    assert margin.available == Quantity(5_400 * 10**6, 6)
    assert (claim.enabled, claim.amount, claim.available) == (False, Quantity(15 * 10**6, 6), Quantity(5 * 10**6, 6))
    problem = survey([assess(read(world).account, SETTINGS, {})], SETTINGS, {}, closing=True)
    most = [move.most for move in problem.movements if move.kind == "withdraw"]
    assert most == pytest.approx([2_700.0, 2.5])
    crowded = key("MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER", MARKET, True)
    world.words |= {crowded: ONE // 10 // 10**6, key("OPEN_INTEREST", MARKET, SHORT, True): usd(500_000)}
    assert read(world).account.legs[0].available == Quantity(3_000 * 10**6, 6)
    world.words[key("MIN_COLLATERAL_USD")] = usd(2_999)
    assert read(world).account.legs[0].available == Quantity(2 * 10**6, 6)
    world.words[key("IS_MARKET_DISABLED", MARKET)] = True
    assert read(world).account.legs[0].available == Quantity(0, 6)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", ()),
        ("POSITION_IMPACT_EXPONENT_FACTOR", (False,)),
        ("POSITION_IMPACT_EXPONENT_FACTOR", (True,)),
    ],
)
def test_parameters_under_the_keys_of_an_older_version_are_not_taken_for_nothing(name: str, args: tuple[bool, ...]) -> None:
    world = World()
    for side in (True, False):
        world.words[key("POSITION_IMPACT_FACTOR", MARKET, side)] = ONE // 10**9
        world.words[key("POSITION_IMPACT_EXPONENT_FACTOR", MARKET, side)] = 2 * ONE
    assert read(world).account.known
    world.words[key(name, MARKET, *args)] = 0
    account = read(world).account
    assert not account.known
    assert "as another version does" in account.reason


def test_all_of_a_wallet_in_four_rounds_and_the_list_in_one_call() -> None:
    world = World(positions=[plain_position(is_long=side, collateral=token) for side in (True, False) for token in (LONG, SHORT)])
    world.answers |= {"traderReferralCodes": b"code".ljust(32, b"\0"), "codeOwners": address(7), "referrerTiers": 1,
                      "referrerDiscountShares": 0, "tiers": (1_000, 5_000)}  # fmt: skip
    world.words[key("POSITION_FEE_FACTOR", MARKET, False)] = usd("0.001")
    for prices in ("https://prices.invalid", "oracle"):
        done = read(world, prices)
        assert len(done.rounds) == 4
        assert len(done.calls("getAccountPositions")) == len(done.calls("getMarkets")) == 1
        assert len(done.calls("getPositionInfo")) == (4 if prices != "oracle" else 0)
    fee = read(world).accounts[1].native
    assert (fee["positionFeeAmount"], fee["totalDiscountAmount"]) == (30_000_000, 1_500_000)


def test_a_wallet_without_positions_asks_no_service() -> None:
    done = read(World(positions=[]))
    assert done.items == []
    assert len(done.rounds) == 1


# prices


def test_prices_of_the_service_with_their_age() -> None:
    world = World()
    world.tickers[0] = ticker(INDEX, unit_price(2_999, 18), unit_price(3_001, 18), (NOW - 200) * 1_000)
    done = read(world)
    price = done.account.legs[-1].price
    assert price is not None
    assert (str(price.value), price.source, price.updated_at, price.heartbeat) == ("2999", INDEX, NOW - 200, 300)
    [report] = done.reports
    assert (report.status, report.as_of) == ("ok", NOW - 200)


def test_a_synthetic_token_is_known_by_the_service() -> None:
    world = World(decimals={LONG: 18, SHORT: 6}, tokens=[{"symbol": "ETH", "address": INDEX, "decimals": 12}, {"address": "odd"}, {}])
    world.tickers[0] = ticker(INDEX, unit_price(3_000, 12))
    world.positions = [plain_position(size_tokens=10**13)]
    world.keep(world.positions[0])
    asset = read(world).account.legs[-1].asset
    assert (asset.symbol, asset.decimals) == ("TOKEN", 12)
    world.tokens = []
    assert "decimals" in read(world).account.reason


def test_a_feed_on_the_chain_tells_the_decimals_of_a_synthetic_token() -> None:
    world = World(decimals={LONG: 18, SHORT: 6})
    feeds = {token: address(0x500 + number) for number, token in enumerate((INDEX, LONG, SHORT))}
    for token, decimals in ((INDEX, 12), (LONG, 18), (SHORT, 6)):
        world.words |= {key("PRICE_FEED", token): feeds[token], key("PRICE_FEED_MULTIPLIER", token): 10 ** (60 - decimals - 8)}
        world.words[key("PRICE_FEED_HEARTBEAT_DURATION", token)] = 3_600
    world.words[key("STABLE_PRICE", SHORT)] = unit_price(1, 6)
    world.positions = [plain_position(size_tokens=10**13)]
    world.keep(world.positions[0])
    said = {feeds[INDEX]: 3_000 * 10**8, feeds[LONG]: 3_000 * 10**8, feeds[SHORT]: 99_500_000}

    def answer(ask: Any) -> Any:
        if ask.to not in said:
            return world.answer(ask)
        told = {"decimals": 8, "description": "SOL / USD", "latestRoundData": (1, said[ask.to], NOW - 60, NOW - 60, 1)}
        return told[ask.function]

    account = drive(GmxV2().read(OWNER, world.market("oracle"), world.context()), answer).account
    assert (account.legs[-1].asset.symbol, account.legs[-1].asset.decimals) == ("SOL", 12)
    assert isinstance(account.exact, GmxExact)
    assert account.exact.prices.short == Band(unit_price("0.995", 6), unit_price(1, 6))
    price = account.legs[-1].price
    assert price is not None
    assert (price.updated_at, price.heartbeat) == (NOW - 60, 3_600)
    late = drive(GmxV2().read(OWNER, world.market("oracle"), world.context(NOW + 3_541)), answer).account
    assert (late.status, "3601 s before the block" in late.reason) == ("unknown", True)
    assert drive(GmxV2().read(OWNER, world.market("oracle"), world.context(NOW + 3_540)), answer).account.status == "ok"
    said[feeds[INDEX]] = 0
    unknown = drive(GmxV2().read(OWNER, world.market("oracle"), world.context()), answer).account
    assert (unknown.status, "gives no price" in unknown.reason) == ("unknown", True)


# what cannot be


def damaged(ticker_of_index: dict[str, Any]) -> Account:
    world = World()
    world.tickers[0] = ticker_of_index
    return read(world).account


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ticker(address(9), 1), "has no price"),
        (ticker(INDEX, 2, 1), "above its maxPrice"),
        (ticker(INDEX, 0), "cannot be"),
        (ticker(INDEX, 10**70), "cannot be"),
        ({**ticker(INDEX, 1), "minPrice": "1e"}, "not a number"),
        ({**ticker(INDEX, 1), "maxPrice": None}, "missing"),
        (ticker(INDEX, 1, updated_at=(NOW - 1_000) * 1_000), "1000 s before the block"),
        (ticker(INDEX, 1, updated_at=(NOW + 1_000) * 1_000), "1000 s after the block"),
    ],
)
def test_a_price_that_cannot_be_used_leaves_the_position_unknown(entry: dict[str, Any], said: str) -> None:
    account = damaged(entry)
    assert (account.status, account.liquidatable, account.side) == ("unknown", None, Side.DERIVATIVES)
    assert said in account.reason


def test_a_market_without_a_price_harms_no_other() -> None:
    other = Listing(address(0x201), address(0x202), LONG, SHORT)
    world = World(listings=[Listing(MARKET, INDEX, LONG, SHORT), other], positions=[plain_position(market=other.token), plain_position()])
    lost, found = read(world).accounts
    assert (lost.status, found.status) == ("unknown", "ok")
    assert lost.id.endswith(f"/{other.token}/{SHORT}/long")


def test_a_market_that_is_not_listed_or_has_no_rule_is_unknown() -> None:
    elsewhere = World(positions=[plain_position(market=address(0x999)), plain_position()])
    lost, found = read(elsewhere).accounts
    assert (lost.status, found.status) == ("unknown", "ok")
    assert "lists no market" in lost.reason
    unruled = World()
    unruled.words = {}
    unruled.keep(unruled.positions[0])
    assert "no liquidation rule" in read(unruled).account.reason


def test_a_service_that_fails_leaves_every_position_unknown_and_says_so() -> None:
    world = World(positions=[plain_position(), plain_position(is_long=False)])
    world.answers["/prices/tickers"] = NOTHING_THERE
    done = read(world)
    assert [account.status for account in done.accounts] == ["unknown", "unknown"]
    [report] = done.reports
    assert report.status == "failed"


def test_a_disabled_market_cannot_liquidate() -> None:
    world = World()
    world.words[key("IS_MARKET_DISABLED", MARKET)] = True
    assert read(world).account.blocked == "the market is disabled"


def test_positions_of_somebody_else_are_refused() -> None:
    world = World(positions=[plain_position(account=address(5))])
    with pytest.raises(OutOfRange, match="another owner"):
        read(world)


def test_a_reader_of_an_older_layout_is_found_out() -> None:
    """Before 2.2 a position had block numbers and no pending impact: its words, read by today's layout, are another position."""
    world = World()
    position = plain_position()
    numbers = [position.size_usd, position.size_tokens, position.amount, 0, 0, 0, 0, 1, 0, NOW - 86_400, 0]
    words = [32, 1, *(int(each, 16) for each in (position.account, position.market, position.collateral)), *numbers, int(position.is_long)]
    world.answers["getAccountPositions"] = Raw(b"".join(word.to_bytes(32, "big") for word in words))
    account = read(world).account
    assert account.status == "unknown"
    assert "does not keep" in account.reason


def test_a_reader_that_tells_of_another_position_is_not_believed() -> None:
    world = World()
    zeros = (0,) * 6
    info = (
        bytes(32), ((address(1), address(2), address(3)), (0,) * 10, (False,)),
        ((bytes(32), address(0), address(0), *(0,) * 7), (0, 0, 0), zeros, (0,) * 4, (address(0), 0, 0), (0,) * 4, (0, 0), *(0,) * 10),
        (0, 0, False, 0, 0, 0), 0, 0, 0,
    )  # fmt: skip
    world.answers["getPositionInfo"] = info
    account = read(world).account
    assert account.status == "unknown"
    assert "another position" in account.reason


def test_collateral_that_the_market_does_not_take_is_unknown() -> None:
    world = World(positions=[plain_position(collateral=address(0x77))])
    assert "takes no collateral" in read(world).account.reason


def test_marks_beyond_the_markets_counters_are_unknown() -> None:
    world = World(positions=[plain_position(borrowing_mark=5)])
    assert "lies before" in read(world).account.reason


def test_without_a_referral_contract_there_is_no_self_check() -> None:
    account = read(World(), referral_storage="").account
    assert account.known
    assert account.self_check is None


def test_a_single_token_behind_longs_and_shorts_is_counted_once() -> None:
    """One slot for both keys: the contracts halve each reading of it."""
    listing = Listing(MARKET, INDEX, SHORT, SHORT)
    world = World(listings=[listing])
    world.words |= {key("OPEN_INTEREST", MARKET, SHORT, side): usd(1_001) for side in (True, False)}
    world.words[key("POOL_AMOUNT", MARKET, SHORT)] = 7
    exact = read(world).account.exact
    assert isinstance(exact, GmxExact)
    assert exact.state.open_interest(True) == usd(1_001)
    assert exact.state.pool == Pair(3, 3)
    state: MarketState = exact.state
    held: Position = exact.position
    assert (state.listing.divisor, held.collateral, exact.due) == (2, SHORT, NONE)
