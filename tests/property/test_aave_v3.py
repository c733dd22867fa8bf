"""The exact Aave account against brute force on small numbers, and whole readings against the fact sheet on large ones."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from defi_risk_adapters.aave_v3.account import AaveAccount, Held, Owed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from defi_risk.ids import AssetId
from defi_risk.model import Asset, Feed
from defi_risk.units import MAX_UINT256, WAD
from tests.adapters.aave_v3_fake import NOW, RAY, Category, FakeMarket, Reserve, Stable, account_of, address

KEYS = ("a", "b", "c")
ratios = st.integers(0, 10_000)
amounts = st.integers(0, 30)
units = st.sampled_from([1, 10, 7])
PRICES = tuple(Feed(key, Asset(AssetId(key), key, 0), 1) for key in KEYS)
B = Held("b", 100_000, 1, 5000, 0)
DIPS = AaveAccount((Held("a", 1, 7, 1, 0), Held("a", 1, 10, 10_000, 0), B), (Owed("c", 50_000, 1),), PRICES, False)
FALLS = replace(DIPS, held=(Held("a", 1, 7, 1, 0), B))


@st.composite
def accounts(draw: st.DrawFn, one_leg_a_feed: bool = False) -> AaveAccount:
    """A small account: prices of one digit or two, so that roundings matter and every price can be tried."""
    feeds = tuple(Feed(key, Asset(AssetId(key), key, 0), draw(st.integers(1, 40))) for key in KEYS)
    keys = st.sampled_from(KEYS)
    if one_leg_a_feed:
        held = [Held(key, draw(amounts), draw(units), draw(ratios), draw(ratios)) for key in KEYS[: draw(st.integers(1, 2))]]
        owed = [Owed("c", draw(amounts), draw(units))]
    else:
        held = draw(st.lists(st.builds(Held, keys, amounts, units, st.sampled_from([0, 1, 5000, 8250, 10_000]), ratios), max_size=4))
        owed = draw(st.lists(st.builds(Owed, keys, amounts, units), max_size=3))
    return AaveAccount(tuple(held), tuple(owed), feeds, draw(st.booleans()))


def test_up_to_3_4_a_rising_price_of_collateral_can_kill() -> None:
    """The floored average threshold falls by a basis point when a little of a weak collateral joins; a strong one mends it again."""
    assert [DIPS.liquidatable({"a": price}) for price in (6, 7, 9, 10)] == [False, True, True, False]
    assert not DIPS.safe_throughout("a", 6, 10)
    assert [FALLS.liquidatable({"a": price}) for price in (6, 7)] == [False, True]
    assert not FALLS.safe_throughout("a", 6, 7)


@st.composite
def brinks(draw: st.DrawFn) -> tuple[AaveAccount, int]:
    """An account and a price of "a" at which its health factor is within a hair of 1: there a wrong rounding changes the verdict."""
    directed, price, unit = draw(st.booleans()), draw(st.integers(1, 60)), draw(units)
    thresholds = st.sampled_from([1, 4999, 5000, 7777, 10_000])
    held = [Held("a", draw(st.integers(0, 10**5)), draw(units), draw(thresholds), 0) for _ in range(draw(st.integers(0, 3)))]
    held.append(Held("b", draw(st.integers(0, 10**5)), 1, draw(thresholds), 0))
    also = Owed("a", draw(st.integers(0, 10**4)), draw(units))
    draft = AaveAccount(tuple(held), (also, Owed("c", 1, unit)), PRICES, directed)
    worth = [(each.amount * (price if each.feed == "a" else 1) // each.unit, each.threshold) for each in held]
    limit = sum(value * threshold for value, threshold in worth) // 10_000 - also.amount * price // also.unit
    owed = (also, Owed("c", max(limit * unit + draw(st.integers(-2 * unit, 2 * unit)), 0), unit))
    return replace(draft, owed=owed), price


def health(account: AaveAccount, prices: dict[str, int]) -> int:
    """The health factor with fractions, straight from the fact sheet; roundings written out."""
    values = [(Fraction(each.amount * prices[each.feed], each.unit).__floor__(), each.threshold) for each in account.held]
    debts = [Fraction(each.amount * prices[each.feed], each.unit) for each in account.owed]
    debt = sum(each.__ceil__() if account.directed else each.__floor__() for each in debts)
    value, weighted = sum(worth for worth, _ in values), sum(worth * threshold for worth, threshold in values)
    if debt == 0:
        return MAX_UINT256
    if account.directed:
        return (Fraction(weighted * WAD, debt) + Fraction(1, 2)).__floor__() // 10_000
    average = weighted // value if value else 0
    share = (Fraction(value * average, 10_000) + Fraction(1, 2)).__floor__()
    return (Fraction(share * WAD, debt) + Fraction(1, 2)).__floor__()


@settings(max_examples=400, deadline=None)
@given(account=accounts(), prices=st.dictionaries(st.sampled_from(KEYS), st.integers(0, 60)))
def test_verdict_is_the_health_factor(account: AaveAccount, prices: dict[str, int]) -> None:
    now = {feed.key: feed.now for feed in account.prices}
    assert account.native()["healthFactor"] == health(account, now)
    assert account.liquidatable() == (health(account, now) < WAD)
    assert account.liquidatable(prices) == (health(account, {**now, **prices}) < WAD)


@settings(max_examples=300, deadline=None)
@given(account=accounts(), key=st.sampled_from(KEYS), low=st.integers(0, 60), width=st.integers(0, 60))
@example(account=DIPS, key="a", low=6, width=4)
@example(account=FALLS, key="a", low=6, width=1)
def test_safe_means_safe_everywhere(account: AaveAccount, key: str, low: int, width: int) -> None:
    dead = [price for price in range(low, low + width + 1) if account.liquidatable({key: price})]
    if account.safe_throughout(key, low, low + width):
        assert not dead
    assert account.safe_throughout(key, low, low) == (low not in dead)


@settings(max_examples=500, deadline=None)
@given(brink=brinks(), below=st.integers(0, 12), above=st.integers(0, 12))
def test_on_the_brink(brink: tuple[AaveAccount, int], below: int, above: int) -> None:
    account, price = brink
    low, high = max(price - below, 0), price + above
    prices = {feed.key: feed.now for feed in account.prices}
    dead = {at for at in range(low, high + 1) if health(account, {**prices, "a": at}) < WAD}
    assert {at for at in range(low, high + 1) if account.liquidatable({"a": at})} == dead
    if account.safe_throughout("a", low, high):
        assert not dead
    assert account.safe_throughout("a", price, price) == (price not in dead)
    for debt in (1, 2):
        verdict = health(account, {**prices, "a": price, "c": debt}) < WAD
        assert account.liquidatable({"a": price, "c": debt}) == verdict


@settings(max_examples=300, deadline=None)
@given(account=accounts(one_leg_a_feed=True), key=st.sampled_from(KEYS), low=st.integers(0, 60), width=st.integers(0, 60))
def test_where_a_price_moves_one_side_the_bound_is_exact(account: AaveAccount, key: str, low: int, width: int) -> None:
    """From 3.5 on, and before for debts and for collateral that stands alone: no interval is refused without a dead price in it."""
    if not (account.directed or key == "c" or len(account.held) == 1):
        return
    dead = any(account.liquidatable({key: price}) for price in range(low, low + width + 1))
    assert account.safe_throughout(key, low, low + width) == (not dead)


@settings(max_examples=200, deadline=None)
@given(account=accounts(), key=st.sampled_from(KEYS), low=st.integers(0, 60), width=st.integers(0, 30), more=st.integers(0, 30))
def test_a_part_of_a_safe_interval_is_safe(account: AaveAccount, key: str, low: int, width: int, more: int) -> None:
    if account.safe_throughout(key, low, low + width + more):
        assert account.safe_throughout(key, low, low + width)


@settings(max_examples=200, deadline=None)
@given(account=accounts())
def test_feeds_left_out_do_not_matter(account: AaveAccount) -> None:
    named = {feed.key for feed in account.feeds()}
    for key in set(KEYS) - named:
        verdicts = {account.liquidatable({key: price}) for price in (0, 1, 50, 10**9)}
        assert verdicts == {account.liquidatable()}
        assert account.safe_throughout(key, 0, 10**9) != account.liquidatable()


@settings(max_examples=50, deadline=None)
@given(account=accounts())
def test_equal_accounts_are_equal_and_hash_alike(account: AaveAccount) -> None:
    assert account == replace(account)
    assert hash(account) == hash(replace(account))


def spread(unit: int, most: int) -> st.SearchStrategy[int]:
    """Whole numbers up to `most` units that use the digits below: drawn alone, large numbers are mostly tiny ones."""

    def number(whole: int, rest: int) -> int:
        return whole * unit + rest % unit

    return st.builds(number, st.integers(0, most - 1), st.integers(0, 10**9))


rates = st.one_of(st.just(0), spread(RAY // 1000, 1500))
indices = spread(RAY // 100, 300).map(lambda index: RAY + index)


@st.composite
def reserves(draw: st.DrawFn, number: int) -> Reserve:
    """A reserve with anything that a configuration can hold, and anything that an owner can have in it."""
    found = Reserve(address(0x100 + number), number * draw(st.sampled_from([1, 1, 30])) + 2 * (number > 1), symbol=f"T{number}")
    found.price = 1 + draw(spread(10**6, 10**6))
    found.decimals = draw(st.sampled_from([0, 2, 6, 8, 18, 27]))
    found.ltv, found.threshold = draw(st.sampled_from([0, 1, 7500, 10_000])), draw(st.sampled_from([0, 1, 7999, 10_000]))
    found.category, found.virtual = draw(st.integers(0, 2)), draw(st.booleans())
    found.supply_index, found.debt_index = draw(indices), draw(indices)
    found.supply_rate, found.debt_rate = draw(rates), draw(rates)
    found.updated_at = NOW - draw(st.one_of(st.integers(0, 3), spread(86_400, 900)))
    whole = 10**found.decimals
    found.supplied = draw(st.one_of(st.integers(0, 3), spread(whole, 10**6)))
    found.collateral = bool(found.supplied) and draw(st.booleans())
    found.borrowed = draw(st.one_of(st.integers(0, 3), spread(whole, 10**5)))
    found.debt_balance = found.borrowed and 1 + draw(spread(whole, 10**5))
    if draw(st.booleans()):
        found.stable = Stable(1 + draw(spread(whole, 10**5)), draw(rates), NOW - draw(spread(86_400, 900)))
    return found


@st.composite
def markets(draw: st.DrawFn) -> FakeMarket:
    revision = draw(st.integers(1, 11))
    listed = [draw(reserves(number)) for number in range(draw(st.integers(1, 4)))]
    for reserve in listed:
        if revision > 4:
            reserve.stable = None
    bitmap = st.integers(0, 2**128 - 1)
    categories = {
        number: Category(
            ltv=draw(st.integers(0, 9000)),
            threshold=draw(st.integers(1, 9500)),
            price_source=draw(st.sampled_from([None, address(0x99 + number)])),
            price=1 + draw(spread(10**6, 10**6)),
            collateral=draw(bitmap),
            ltv_zero=draw(bitmap),
            isolated=draw(st.booleans()),
        )
        for number in (1, 2)
    }
    return FakeMarket(revision, listed, draw(st.integers(0, 2)), categories)


@settings(max_examples=150, deadline=None)
@given(market=markets())
def test_readings_agree_with_the_fact_sheet(market: FakeMarket) -> None:
    if not any(reserve.supplied or reserve.borrows for reserve in market.reserves):
        return
    account = account_of(market)
    assert account.self_check is not None
    assert account.self_check.match, (market.revision, account.native, account.self_check.protocol)
    assert account.liquidatable == (account.native["healthFactor"] < WAD)
