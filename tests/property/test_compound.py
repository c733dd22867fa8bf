"""Compound V2 and V3: what must hold for every account, against a Python model of the contracts that knows what the views do not tell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from defi_risk_adapters.compound_v2 import CompoundV2
from defi_risk_adapters.compound_v2.exact import AccountExact, Entry
from defi_risk_adapters.compound_v3 import CompoundV3
from defi_risk_adapters.compound_v3.exact import CometExact, Holding
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk.health.tick import ticks
from defi_risk.ids import AssetId
from defi_risk.model import NOTHING, Asset, Exact, Feed
from tests.adapters.comet_world import E18, NOW, OWNER, CometWorld, Listing, Token
from tests.adapters.comptroller_world import Comptroller, Pool
from tests.adapters.scripted import drive

ASSET = Asset(AssetId("eip155:1/erc20:0x"), "T", 18)
FACTORS = st.integers(0, 100).map(lambda percent: percent * 10**16)
FEEDS = ("a", "b", "c")

# small numbers on purpose: they make every rounding, tie and sign change reachable, and every answer of a range can be tried


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    scale = 10 ** draw(st.integers(0, 2))
    return Holding(draw(st.sampled_from(FEEDS)), ASSET, draw(st.integers(1, 30)), draw(st.integers(0, 60)), scale, 0, draw(FACTORS))


@st.composite
def comets(draw: st.DrawFn) -> CometExact:
    """Collaterals may share a feed with each other and with the base."""
    held = draw(st.lists(holdings(), max_size=4))
    prices: dict[str, int] = {}
    held = [replace(each, price=prices.setdefault(each.feed, each.price)) for each in held]
    base = draw(st.sampled_from(FEEDS))
    price = prices.setdefault(base, draw(st.integers(1, 30)))
    debt = draw(st.integers(0, 90))
    return CometExact(ASSET, base, price, 10 ** draw(st.integers(0, 2)), debt > 0, debt, debt, 0, tuple(held))


@st.composite
def entries(draw: st.DrawFn, key: str) -> Entry:
    rate, debt = draw(st.integers(1, 4 * 10**18)), draw(st.integers(0, 50))
    unit = draw(st.sampled_from([10**17, E18]))
    return Entry(key, ASSET, draw(st.integers(1, 30)) * unit, draw(FACTORS), draw(st.integers(0, 60)), rate, rate, debt, debt)


@st.composite
def comptroller_accounts(draw: st.DrawFn) -> AccountExact:
    keys = draw(st.lists(st.sampled_from(FEEDS), min_size=1, unique=True))
    return AccountExact(tuple(draw(entries(key)) for key in keys), draw(st.integers(0, 20)), draw(st.booleans()) and draw(st.booleans()))


def brute_force(exact: Exact, key: str, answers: Sequence[int]) -> bool:
    return not any(exact.liquidatable({key: answer}) for answer in answers)


@given(comets(), st.sampled_from(FEEDS), st.integers(-2, 40), st.integers(0, 25))
def test_a_comet_called_safe_throughout_is_safe_at_every_answer(exact: CometExact, key: str, low: int, width: int) -> None:
    safe = brute_force(exact, key, range(low, low + width + 1))
    claimed = exact.safe_throughout(key, low, low + width)
    assert safe or not claimed
    assert claimed == safe or width > 0


@given(comptroller_accounts(), st.sampled_from(FEEDS), st.integers(-1, 40), st.integers(0, 25), st.sampled_from([1, 10**16, 10**17, E18]))
def test_a_comptroller_account_called_safe_throughout_is_safe_at_every_answer(
    exact: AccountExact, key: str, low: int, width: int, step: int
) -> None:
    safe = brute_force(exact, key, range(low * step, (low + width) * step + 1, step))
    claimed = exact.safe_throughout(key, low * step, (low + width) * step)
    assert safe or not claimed
    assert claimed == safe or width > 0


@given(comets(), st.sampled_from(FEEDS), st.integers(1, 40), st.integers(1, 200))
def test_one_sided_ranges_of_a_comet_are_decided_exactly(exact: CometExact, key: str, low: int, width: int) -> None:
    both = key == exact.base_feed and any(each.feed == key for each in exact.holdings)
    assume(not both)
    assert exact.safe_throughout(key, low, low + width) == brute_force(exact, key, range(low, low + width + 1))


@given(st.data())
def test_a_wide_range_that_is_far_from_the_line_on_both_sides_is_called_safe(data: st.DataObject) -> None:
    """A bound that gave up on tokens that are both collateral and debt would make the search for a tick endless."""
    price = data.draw(st.integers(10**8, 10**12))
    debt = data.draw(st.integers(10**6, 10**20))
    exact = CometExact(ASSET, "a", price, 10**6, True, debt, debt, 0, (Holding("a", ASSET, price, 2 * debt, 10**6, 0, 9 * 10**17),))
    assert exact.safe_throughout("a", 10**6, 10**14)
    twin = AccountExact((Entry("a", ASSET, price * 10**10, 9 * 10**17, 2 * debt, E18, E18, debt, debt),))
    assert twin.safe_throughout("a", 10**16, 10**26)


# whole readings


@st.composite
def comet_worlds(draw: st.DrawFn) -> CometWorld:
    base = Token("USDC", 6, draw(st.integers(9 * 10**7, 11 * 10**7)), 1, "USDC / USD")
    listings = [
        Listing(
            Token(f"T{i}", decimals, draw(st.integers(1, 10**13)), 10 + i, f"T{i} / USD"),
            draw(FACTORS),
            draw(FACTORS),
            draw(FACTORS),
            draw(st.integers(0, 10 ** (decimals + 4))),
        )
        for i, decimals in enumerate(draw(st.lists(st.sampled_from([0, 6, 8, 18]), max_size=5)))
    ]
    supplied = draw(st.integers(0, 10**15))
    return CometWorld(
        base,
        listings,
        principal=draw(st.integers(-(10**11), 10**11)),
        supply_index=draw(st.integers(10**15, 2 * 10**15)),
        borrow_index=draw(st.integers(10**15, 2 * 10**15)),
        supplied=supplied,
        borrowed=draw(st.integers(0, 3 * supplied)),
        last=NOW - draw(st.integers(0, 40 * 86_400)),
    )


@given(comet_worlds(), st.data())
def test_a_comet_reading_equals_the_contract_in_views_and_in_absorb(world: CometWorld, data: st.DataObject) -> None:
    done = drive(CompoundV3().read(OWNER, world.market(), world.context()), world.answer)
    if world.principal == 0 and world.bits() == 0:
        assert done.items == []
        return
    account = done.account
    assert account.self_check is not None
    assert account.self_check.match
    assert account.liquidatable == world.absorbable()
    assert account.exact is not None
    for feed in account.exact.feeds():
        answer = data.draw(st.integers(0, 3 * feed.now))
        assert account.exact.liquidatable({feed.key: answer}) == world.absorbable({feed.key: answer})


@st.composite
def pools(draw: st.DrawFn, number: int) -> Pool:
    decimals = draw(st.sampled_from([6, 8, 18]))
    index = draw(st.integers(E18, 3 * E18))
    borrows = draw(st.integers(0, 10 ** (decimals + 9)))
    return Pool(
        number,
        f"T{number}",
        decimals,
        draw(st.integers(1, 10**5)) * 10 ** (34 - decimals),
        draw(FACTORS),
        tokens=draw(st.integers(0, 10**12)),
        principal=draw(st.integers(0, 10 ** (decimals + 4))),
        interest_index=draw(st.integers(E18, index)),
        index=index,
        cash=draw(st.integers(1, 10 ** (decimals + 9))),
        borrows=borrows,
        reserves=draw(st.integers(0, borrows)),
        supply=draw(st.integers(10**12, 10**18)),
        rate=draw(st.integers(0, 10**11)),
        reserve_factor=draw(FACTORS),
        ago=draw(st.integers(0, 100_000)),
    )


@st.composite
def comptrollers(draw: st.DrawFn) -> Comptroller:
    found = [draw(pools(number)) for number in range(1, draw(st.integers(1, 3)) + 1)]
    for pool in found:
        assume(pool.exchange_rate() > 0)
    return Comptroller(found, by_time=draw(st.booleans()), fields=draw(st.sampled_from([2, 3, 4])))


def read(world: Comptroller) -> Any:
    return drive(CompoundV2().read(OWNER, world.market(), world.context()), world.answer)


@given(comptrollers(), st.data())
def test_a_comptroller_reading_equals_the_view_and_is_never_late_nor_more_than_a_unit_early(
    world: Comptroller, data: st.DataObject
) -> None:
    done = read(world)
    if not any(pool.tokens or pool.principal for pool in world.pools):
        assert done.items == []
        return
    account = done.account
    assert account.self_check is not None
    assert account.self_check.match
    exact = account.exact
    assert exact is not None
    for key, answers in [("", {})] + [(feed.key, {feed.key: data.draw(st.integers(1, 3 * feed.now))}) for feed in exact.feeds()]:
        truth = world.liquidity(answers, fresh=True)
        unit = sum(answers.get(pool.token, pool.price) // E18 + 1 for pool in world.pools if pool.principal and pool.ago)
        if truth < 0:
            assert exact.liquidatable(answers), key
        if truth >= 2 * unit:
            assert not exact.liquidatable(answers), key


@given(comptrollers())
def test_what_a_debt_grows_to_lies_in_the_range_and_is_known_where_nothing_accrued(world: Comptroller) -> None:
    from defi_risk_adapters.compound_v2.accrual import Books

    for pool in world.pools:
        books = Books(pool.cash, pool.borrows, pool.reserves, pool.supply, pool.index, pool.rate, pool.reserve_factor, pool.ago)
        fresh = pool.accrued()
        stored = pool.debt(pool.index)
        least, most = books.debt_range(stored)
        assert least <= fresh.debt(fresh.index) <= most
        assert most - least <= 1 + (books.new_index - 1) // books.index
        assert books.new_exchange_rate(pool.exchange_rate()) == fresh.exchange_rate()
        if not pool.ago or not pool.rate:
            assert (least, most) == (stored, stored)


def test_judging_a_range_takes_microseconds() -> None:
    """Ten holdings and wide margins: a search for a tick asks this some hundreds of times an account."""
    comet = CometExact(
        ASSET,
        "base",
        10**8,
        10**6,
        True,
        10**12,
        10**12,
        0,
        tuple(Holding(f"f{i}", ASSET, 10**11, 10**18, E18, 0, 9 * 10**17) for i in range(10)),
    )
    account = AccountExact(tuple(Entry(f"f{i}", ASSET, 10**21, 8 * 10**17, 10**10, 10**26, 10**26, 10**9, 10**9) for i in range(10)))
    for exact in (comet, account):
        best = min(_seconds(exact) for _ in range(5))
        assert best < 20e-6


def _seconds(exact: Exact) -> float:
    started = time.perf_counter()
    for _ in range(200):
        exact.safe_throughout("f3", 10**9, 10**12)
    return (time.perf_counter() - started) / 200


@given(st.integers(10**6, 10**12), st.integers(50, 400), st.integers(10, 95), st.integers(1, 10**6))
def test_the_tick_of_a_token_on_both_sides_is_found(owed: int, percent: int, weight: int, grain: int) -> None:
    """Near the line, roundings of collateral and debt hide it in an interval of billions of answers: the search must not get lost there."""
    factor = weight * 10**16
    posted = owed * percent // 100 + grain
    spare = owed * 10**12 * 3
    account = AccountExact(
        (
            Entry("a", ASSET, 999_912_340_000_000_000_000_000_000_000, factor, posted * 5_000, 2 * 10**14, 2 * 10**14, owed, owed),
            Entry("b", ASSET, E18, E18, spare, E18, E18, 0, 0),
        )
    )
    net = owed - posted * weight / 100
    [feed] = [feed for feed in account.feeds() if feed.key == "a"]
    found = {tick.direction: tick.answer for tick in ticks(_Alone(account, feed), lambda _: -net, spare / 1e12 - net)}
    dead = account.liquidatable({"a": feed.now << 64})
    assert ("up" in found) == dead
    if dead:
        assert account.liquidatable({"a": found["up"]})
        assert not account.liquidatable({"a": found["up"] - 1})


@dataclass(frozen=True, slots=True)
class _Alone:
    """An account of which only one feed is looked at."""

    exact: AccountExact
    feed: Feed

    def native(self) -> dict[str, int | bool]:
        return self.exact.native()

    def feeds(self) -> tuple[Feed, ...]:
        return (self.feed,)

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        return self.exact.liquidatable(answers)

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        return self.exact.safe_throughout(key, low, high)
