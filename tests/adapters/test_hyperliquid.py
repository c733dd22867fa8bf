"""Hyperliquid on scripted answers: every mode against the double's own rules, and what stands apart from them.

The double (`tests.localchain.hyper.state`) computes margins in its own way; what it says of recorded real accounts is held against the
recordings in `test_hyperliquid_real`.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Final

import pytest
from defi_risk_adapters.hyperliquid.margin import maintenance, plain, steps
from defi_risk_adapters.hyperliquid.portfolio import PortfolioExact
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.health.normal import in_fractions
from defi_risk.ids import Factor
from defi_risk.model import Account, Exact, Role, Side
from tests.adapters.hyper_venue import OWNER, Venue
from tests.localchain.hyper import population, state
from tests.localchain.hyper.population import VAULT, cross, entered, portfolio, unified
from tests.localchain.hyper.state import Coin, User, whole
from tests.localchain.hyper.truth import margins

D: Final = Decimal
MICRO: Final = 10**6
QUOTES: Final = {Factor("USDC"): 1.0}
EXACT: Final = Fraction(1, 10**9)
PLAIN: Final = population.plain()
POOLED: Final = population.pooled()


def read(user: User, *, pooled_spot: bool = False) -> dict[str, Account]:
    """The accounts of one user by what their id ends in."""
    return by_suffix(Venue(user, pooled_spot=pooled_spot).read().accounts)


def by_suffix(accounts: list[Account]) -> dict[str, Account]:
    return {account.id.partition(OWNER.address)[2]: account for account in accounts}


def near(found: Fraction, expected: Fraction) -> bool:
    return abs(found - expected) <= EXACT * max(Fraction(1), abs(expected))


# every mode


@pytest.mark.parametrize("label", PLAIN | POOLED)
def test_every_margin_account_stands_as_the_double_says(label: str) -> None:
    """Which there are; value, maintenance margin and verdict exactly in the venue's integers and to 1e-9 in the normal form; every
    liquidation price.
    """
    user = (PLAIN | POOLED)[label]
    venue = Venue(user)
    accounts, core = by_suffix(venue.read().accounts), venue.core
    for suffix, truth in margins(core, user).items():
        account = accounts.pop(suffix)
        assert account.side is Side.DERIVATIVES
        assert account.native["accountEquity"] == (Fraction(truth.value) * MICRO).__floor__()
        assert account.native["maintenanceMargin"] == (Fraction(truth.needed) * MICRO).__floor__()
        assert account.liquidatable is truth.dead
        assert account.self_check is None or account.self_check.match
        normal, price = in_fractions(account, QUOTES), Fraction(core.tokens[truth.token].price)
        assert near(normal.weighted(), Fraction(truth.value) * price)
        assert near(normal.requirement(), Fraction(truth.needed) * truth.line * price)
        for dex, coin, held in truth.held:
            ours, theirs = account.native.get(f"liquidationPx:{coin.name}"), core.liquidation_price(user, dex, coin, held)
            assert (ours is None) == (theirs is None), coin.name
            assert theirs is None or abs(int(ours or 0) - theirs * 10**10) <= 1, coin.name
    assert accounts.keys() <= {"/spot"}


@pytest.mark.parametrize("label", POOLED)
def test_pooled_accounts_have_the_venues_own_ratio(label: str) -> None:
    user = POOLED[label]
    venue = Venue(user)
    account = by_suffix(venue.read().accounts)[""]
    if user.mode == "portfolioMargin":
        assert account.native["portfolioMarginRatio"] == round(venue.core.portfolio_ratio(user) * 10**9)
    else:
        value, needed = venue.core.pool(user, 0)
        assert account.native["unifiedAccountRatio"] == round(needed / value * 10**9)


def test_the_recorded_ratio_of_two_dexs() -> None:
    """Maintenance margins of 133.73 and 7.66 over a spot balance of 903.95 with all profit: 15.64 %."""
    user = unified("903.95", HYPE=entered("100", "26.746", 10), xyz__NVDA=entered("1", "306.4", 10))
    venue = Venue(user)
    venue.core.dexs[0].coin("HYPE").mark, venue.core.dexs[1].coin("xyz:NVDA").mark = D("26.746"), D("306.4")
    user.cash = {"": D("-2674.6"), "xyz": D("-306.4")}
    [account] = venue.read().accounts
    assert account.native["maintenanceMargin"] == 141_390_000
    assert account.native["accountEquity"] == 903_950_000
    assert account.native["unifiedAccountRatio"] == 156_413_518


def test_a_pooled_account_dies_above_a_ratio_of_95_percent() -> None:
    """98,765.4 at 1/80: 1,234.5675 of maintenance margin, and 1,299.5447 is the last value above the line."""
    found = [
        read(User("unifiedAccount", {"": D("-98765.4")}, positions={"BTC": entered("1", "99500", 40)}, spot={0: D(spot)}))[""].liquidatable
        for spot in ("1299.54474", "1299.54473")
    ]
    assert found == [False, True]


@pytest.mark.parametrize(
    "user",
    [
        unified("5000", ETH=entered("2", "3000", 5)),
        unified("10000000", BTC=entered("1", "98000", 20)),
        POOLED["unified-dexs"],
        POOLED["unified-isolated"],
    ],
)
def test_spot_balances_on_chain_may_count_perpetuals_in(user: User) -> None:
    """The documentation does not say whether the precompile does, as the service does: both give the same account, also where what is in
    the dex is less than the two may differ by.
    """
    apart, within = read(user), read(user, pooled_spot=True)
    assert {suffix: account.native for suffix, account in apart.items()} == {suffix: account.native for suffix, account in within.items()}


@pytest.mark.parametrize("mode", ["dexAbstraction", "somethingNew", "", "unifiedaccount"])
def test_a_mode_that_is_not_known_is_refused(mode: str) -> None:
    venue = Venue(cross("1000", mode))
    with pytest.raises(Unsupported, match="account mode"):
        venue.read()


@pytest.mark.parametrize(
    ("user", "told"),
    [
        (cross("1000"), "unifiedAccount"),
        (cross("1000"), "portfolioMargin"),
        (unified("1000"), "default"),
        (unified("1000"), "disabled"),
        (unified("1000"), "portfolioMargin"),
        (portfolio("1000", {}), "unifiedAccount"),
    ],
)
def test_a_mode_that_the_balances_contradict_is_refused(user: User, told: str) -> None:
    venue = Venue(user)
    venue.says.instead["userAbstraction"] = lambda _: told
    with pytest.raises(Unsupported, match="as another mode's"):
        venue.read()


# what a reading asks


def test_a_stranger_costs_one_round() -> None:
    venue = Venue(User())
    del venue.core.users[OWNER.address]
    venue.core.strangers = (OWNER.address,)
    found = venue.read()
    assert (found.items, len(found.rounds)) == ([], 1)


@pytest.mark.parametrize("user", [PLAIN["all-over"], POOLED["unified-coins"], POOLED["portfolio-debt"]])
def test_all_is_read_in_four_rounds(user: User) -> None:
    found = Venue(user).read()
    assert len(found.rounds) == 4
    assert all(account.known for account in found.accounts)


def test_an_address_without_anything_has_no_account() -> None:
    found = Venue(User()).read()
    assert found.accounts == []
    assert [report.status for report in found.reports] == ["ok"]


# legs


def test_a_position_has_its_mark_entry_and_terms() -> None:
    """The venue's funding rate is for one hour; a long pays where it is positive."""
    account = read(cross("20000", ETH=entered("-2.5", "3222.22", 5)))[""]
    [leg] = [leg for leg in account.legs if leg.role is Role.POSITION]
    assert leg.position is not None
    assert leg.price is not None
    assert (leg.factor, leg.peg, leg.price.source) == ("ETH", None, "markPx:1")
    assert leg.amount.decimal() == D("2.5")
    assert (leg.position.size, leg.position.entry, leg.position.mark) == (D("-2.5"), D("3222.22"), D("3123.45"))
    assert leg.position.funding_8h == D("-0.0003336")
    assert leg.position.unrealized_pnl == D("246.925")
    assert leg.position.initial_rate == D("0.2")
    assert next((tier.floor, tier.rate) for tier in leg.position.tiers) == (D(0), D("0.02"))
    assert leg.position.quote == "USDC"


def test_dollars_come_by_the_bridge_and_by_the_deposit_wallet() -> None:
    rows = read(cross("20000", ETH=entered("-2.5", "3222.22", 5)))[""].custody
    assert [str(row.asset).partition("/")[0] for row in rows] == ["eip155:42161", "eip155:999"]
    assert len({row.holder for row in rows}) == 2


def test_a_contract_on_a_thousand_units_follows_the_units_factor() -> None:
    account = read(PLAIN["thousands"])[""]
    assert {leg.asset.symbol: leg.factor for leg in account.legs} == {"USDC": "USDC", "kPEPE": "PEPE", "HYPE": "HYPE"}


def test_a_coin_of_another_dex_follows_a_factor_of_its_own() -> None:
    """Its deployer decides what it is, so a name proves nothing."""
    accounts = read(cross("4000", dex="xyz", xyz__GOLD=entered("3.25", "4001.5", 20)))
    assert [leg.factor for leg in accounts["/dex:1"].legs] == ["USDC", "eip155:999/hyperliquid:xyz:GOLD"]


def test_a_dex_that_settles_in_another_coin_is_valued_in_dollars() -> None:
    """USDH costs 0.99985 on the venue's own book."""
    account = read(PLAIN["other-coin"])["/dex:2"]
    [position] = [leg for leg in account.legs if leg.role is Role.POSITION]
    assert position.position is not None
    assert position.price is not None
    assert (position.position.quote, position.position.quote_peg) == ("USD", "USDH/USD")
    assert position.position.mark == D("412.345")
    assert position.price.value.decimal() == D("412.345") * D("0.99985")
    assert account.native["accountValue:flx"] == whole(D("300000") + D("2500.5") * (D("412.345") - D("401.5")), 6)


def test_what_backs_nothing_is_idle() -> None:
    """Spot tokens in standard mode, shares of vaults, staked HYPE; a token without a price against USDC is left out, and said to be."""
    venue = Venue(PLAIN["spot"])
    venue.core.time -= 5
    found = venue.read()
    account = found.account
    assert (account.mode, account.exact, account.liquidatable) == ("spot", None, False)
    assert not any(leg.enabled for leg in account.legs)
    amounts = sorted((leg.asset.symbol, leg.amount.decimal()) for leg in account.legs)
    assert amounts == [
        ("HYPE", D("816.67225318")),
        ("HYPE", D("1234.5")),
        ("PURR", D("12345")),
        ("USDC", D("14.625485")),
        ("USDC", D("25000.123456")),
    ]
    assert {leg.price.value.decimal() for leg in account.legs if leg.price} == {D(1), D("42.0515"), D("0.12345678")}
    [report] = found.reports
    assert report.notes == ("MAX (token 734) has no price against USDC: it is left out",)
    assert (report.status, report.as_of) == ("ok", venue.core.time)


def test_a_share_of_a_vault_that_the_chain_does_not_tell_is_left_out_with_a_note() -> None:
    venue = Venue(PLAIN["spot"], lost={("userVaultEquity", (OWNER.address, VAULT))})
    found = venue.read()
    assert len(found.account.legs) == 4
    assert any(VAULT in note for note in found.reports[0].notes)


def test_a_share_of_a_vault_counts_once_however_often_it_is_listed() -> None:
    venue = Venue(PLAIN["spot"])
    before = by_suffix(venue.read().accounts)
    venue.says.instead["userVaultEquities"] = lambda told: told * 2
    assert by_suffix(venue.read().accounts) == before


def test_tokens_that_the_chain_does_not_know_are_left_out_with_a_note() -> None:
    found = Venue(PLAIN["spot"], lost={("tokenInfo", (1,))}).read()
    assert [leg.asset.symbol for leg in found.account.legs] == ["USDC", "HYPE", "USDC", "HYPE"]
    assert "the chain does not tell what token 1 (PURR) is: 12345 of it are left out" in found.reports[0].notes


def test_cash_that_is_set_aside_for_orders_is_idle() -> None:
    """It is in the dex, and neither cross margin nor that of a position yet: all parts add up to the venue's account value."""
    venue = Venue(PLAIN["set-aside"])
    accounts = by_suffix(venue.read().accounts)
    [leg] = accounts["/spot"].legs
    assert (leg.asset.symbol, leg.amount.decimal(), leg.enabled) == ("USDC", D("70.4475"), False)
    equity = D(int(accounts[""].native["accountEquity"])).scaleb(-6)
    assert equity + leg.amount.decimal() == venue.core.value(venue.user, venue.core.dexs[0])


def test_positions_in_outcome_markets_are_left_out_with_a_note() -> None:
    venue = Venue(cross("1000"))
    row = {"coin": "+12", "total": "5.0", "hold": "0.0", "entryNtl": "1.0"}
    venue.says.instead["spotClearinghouseState"] = lambda said: said | {"balances": [*said["balances"], row]}
    found = venue.read()
    assert found.reports[0].notes == ("1 positions in outcome markets are left out",)
    assert found.account.known


def test_what_can_be_withdrawn_limits_what_can_be_taken_out() -> None:
    venue = Venue(cross("20000", ETH=entered("2", "3000", 5)))
    [margin] = [leg for leg in venue.read().account.legs if leg.role is Role.MARGIN]
    assert margin.available is not None
    assert margin.available.decimal() == venue.core.withdrawable(venue.user, venue.core.dexs[0])


# portfolio margin


def test_a_debt_is_a_leg_that_costs_interest() -> None:
    account = read(POOLED["portfolio-debt"])[""]
    legs = {leg.role: leg for leg in account.legs}
    assert legs[Role.DEBT].amount.decimal() == D("15000")
    assert legs[Role.DEBT].apr == D("0.05")
    hype = next(leg for leg in account.legs if leg.asset.symbol == "HYPE" and leg.role is Role.MARGIN)
    assert (hype.weight, hype.initial_weight) == (D("0.825") * D("0.95"), D("0.65"))


def test_tokens_that_portfolio_margin_does_not_count_are_idle() -> None:
    """Tokens without terms, and what is not supplied of those that have them."""
    accounts = read(POOLED["portfolio-coins"])
    assert [(leg.asset.symbol, leg.amount.decimal()) for leg in accounts["/spot"].legs] == [("PURR", 5000), ("HYPE", D("0.5"))]
    counted = {leg.asset.symbol: leg.amount.decimal() for leg in accounts[""].legs if leg.price and "Oracle" in leg.price.source}
    assert counted == {"HYPE": 100, "UBTC": D("0.25")}


# exact verdicts


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 100)), max_size=4, unique_by=(itemgetter(0), itemgetter(1))),
    st.integers(101, 200),
    st.integers(0, 10**16),
)
def test_deductions_are_what_brackets_leave(later: list[tuple[int, int]], first: int, notional: int) -> None:
    """Maintenance by rate and deduction equals the one that adds up bracket by bracket, and never falls as the notional grows."""
    floors = sorted(floor for floor, _ in later)
    leverages = sorted((most for _, most in later), reverse=True)
    tiers = ((0, first), *zip(floors, leverages, strict=True))
    ours = steps([(floor * MICRO, most) for floor, most in tiers])
    whole_coins = D(notional).scaleb(-6)
    added = state.maintenance(tiers, whole_coins)
    assert abs(maintenance(ours, notional) / MICRO - Fraction(added)) <= Fraction(1, 10**15) * max(1, notional)
    assert maintenance(ours, notional) <= maintenance(ours, notional + MICRO)


@pytest.mark.parametrize("tiers", [[], [(1, 10)], [(0, 10), (5, 10)], [(0, 10), (5, 20)], [(0, 10), (0, 5)], [(0, 0)], [(0, 1_001)]])
def test_tiers_that_do_not_rise_from_0_are_refused(tiers: list[tuple[int, int]]) -> None:
    with pytest.raises(OutOfRange):
        steps(tiers)
    with pytest.raises(OutOfRange):
        plain(0)


@pytest.mark.parametrize("label", ["long", "short", "second-tier", "isolated-long", "unified", "portfolio-debt", "portfolio-coins"])
def test_the_verdict_turns_at_the_line_and_nowhere_else(label: str) -> None:
    """What is safe throughout ends at the last live price before the first dead one, both ways and for every feed."""
    account = next(iter(read((PLAIN | POOLED)[label]).values()))
    exact = account.exact
    assert exact is not None
    turned = 0
    for feed in exact.feeds():
        for end in (0, feed.now * 10):
            if not exact.liquidatable({feed.key: end}):
                assert exact.safe_throughout(feed.key, min(end, feed.now), max(end, feed.now))
                continue
            alive, dead = line(exact, feed.key, feed.now, end)
            assert exact.safe_throughout(feed.key, min(alive, feed.now), max(alive, feed.now))
            assert not exact.safe_throughout(feed.key, min(alive, dead), max(alive, dead))
            turned += 1
    assert turned


def line(exact: Exact, key: str, alive: int, dead: int) -> tuple[int, int]:
    """The last live and the first dead price between a live and a dead one."""
    while abs(alive - dead) > 1:
        middle = (alive + dead) // 2
        alive, dead = (alive, middle) if exact.liquidatable({key: middle}) else (middle, dead)
    return alive, dead


def test_where_collateral_falls_the_ratio_passes_95_percent_at_the_line() -> None:
    """In debt, with a net balance below the maintenance margin: the line is the ratio's own, to the last unit of the price."""
    exact = read(POOLED["portfolio-debt"])[""].exact
    assert isinstance(exact, PortfolioExact)
    [coin] = exact.coins
    alive, dead = line(exact, coin.key, coin.price, 0)
    ratios = [replace(exact, coins=(replace(coin, price=price),)).own_ratio() for price in (alive, dead)]
    assert ratios[0] is not None
    assert ratios[1] is not None
    assert ratios[0] <= Fraction(19, 20) < ratios[1]


def test_a_delisted_coin_is_read_like_any_other() -> None:
    coin = Coin("OLD", 1, 3, D("0.5"), delisted=True)
    account = read(cross("100", OLD=entered("20", "0.6", 3)))[""]
    assert account.native["maintenanceMargin"] == whole(D(20) * coin.mark, 6) // 6
