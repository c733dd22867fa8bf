"""Verdicts of the Aave V3 adapter: the line, the ticks, the liquidation rule, and what stands in the way of a liquidation."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from tests.adapters.aave_v3_fake import NOW, REVISIONS, SENTINEL, FakeMarket, Reserve, account_of
from tests.adapters.test_aave_v3 import ETH, STETH, USDC, market


@pytest.mark.parametrize(("revision", "dust"), [(1, None), (6, None), (7, Decimal(1000)), (11, Decimal(1000))])
def test_rule(revision: int, dust: Decimal | None) -> None:
    rule = account_of(market(revision)).rule
    assert (rule.kind, rule.close_factor, rule.full_below) == ("repay", Decimal("0.5"), Decimal("0.95"))
    assert (rule.dust_usd, rule.full_under_usd) == (dust, dust and 2 * dust)


def dying(revision: int, share: int = 98) -> FakeMarket:
    """An account at a health factor of about `share` percent."""
    state = market(revision)
    native = account_of(state).native
    state.reserves[2].borrowed = state.reserves[2].borrowed * native["healthFactor"] // 10**16 // share
    return state


@pytest.mark.parametrize("revision", REVISIONS)
def test_below_the_line(revision: int) -> None:
    account = account_of(dying(revision))
    assert account.liquidatable is True
    assert account.blocked == ""
    assert 97 * 10**16 < account.native["healthFactor"] < 99 * 10**16


def test_health_factor_of_exactly_one_lives() -> None:
    held = Reserve(ETH, 0, 10**8, decimals=0, threshold=5000, supplied=2, collateral=True)
    owed = Reserve(USDC, 1, 10**8, decimals=0, borrowed=1)
    for revision in REVISIONS:
        account = account_of(FakeMarket(revision, [held, owed]))
        assert account.native["healthFactor"] == 10**18
        assert account.liquidatable is False
        assert account.exact is not None
        assert account.exact.liquidatable({USDC: 10**8 + 1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"paused": True}, "reserve USDC is paused"),
        ({"active": False}, "reserve USDC is inactive"),
        ({"grace_until": NOW}, f"reserve USDC is in its liquidation grace period until {NOW} (unix time)"),
        ({"grace_until": NOW - 1}, ""),
    ],
)
def test_a_debt_that_cannot_be_repaid_blocks(change: dict[str, int], reason: str) -> None:
    state = dying(10)
    for name, value in change.items():
        setattr(state.reserves[2], name, value)
    account = account_of(state)
    assert account.liquidatable is True
    assert account.blocked == reason


def test_one_free_collateral_suffices() -> None:
    state = dying(10)
    state.reserves[0].paused = True
    assert account_of(state).blocked == ""
    state.reserves[1].grace_until = NOW + 5
    assert (
        account_of(state).blocked
        == f"reserve WETH is paused; reserve wstETH is in its liquidation grace period until {NOW + 5} (unix time)"
    )


def test_a_pause_does_not_block_the_living() -> None:
    state = market(10)
    state.reserves[2].paused = True
    assert account_of(state).blocked == ""


@pytest.mark.parametrize(
    ("revision", "share", "allowed", "blocks"),
    [
        (10, 98, False, True),
        (10, 98, None, True),
        (10, 98, True, False),
        (10, 94, False, False),
        (11, 98, False, False),
        (3, 98, False, True),
    ],
)
def test_sentinel(revision: int, share: int, allowed: bool | None, blocks: bool) -> None:
    """Up to 3.6 the sentinel holds up liquidations, but only above a health factor of 0.95."""
    state = dying(revision, share)
    state.sentinel, state.liquidation_allowed = SENTINEL, allowed
    assert ("sentinel" in account_of(state).blocked) == blocks


def test_debt_without_collateral() -> None:
    account = account_of(FakeMarket(7, [Reserve(USDC, 0, decimals=6, borrowed=10**6)]))
    assert (account.liquidatable, account.native["healthFactor"]) == (True, 0)
    assert account.blocked == "no collateral is left to liquidate"


def test_feeds_are_those_of_the_verdict() -> None:
    account = account_of(market(10))
    assert account.exact is not None
    assert [(feed.key, feed.asset.symbol, feed.now) for feed in account.exact.feeds()] == [
        (ETH, "WETH", 2500_12345678),
        (STETH, "wstETH", 3001_00000001),
        (USDC, "USDC", 99_990_000),
    ]
    lender = market(10)
    lender.reserves[2].borrowed = 0
    exact = account_of(lender).exact
    assert exact is not None
    assert exact.feeds() == ()
    assert not exact.liquidatable({ETH: 0})
    assert exact.safe_throughout(ETH, 0, 10**12)


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_tick(revision: int) -> None:
    """Bisection on the exact verdict finds a price of one collateral below which the account is dead, and the ends agree."""
    exact = account_of(market(revision)).exact
    assert exact is not None
    alive, dead = 2500_12345678, 1
    while alive - dead > 1:
        middle = (alive + dead) // 2
        alive, dead = (alive, middle) if exact.liquidatable({ETH: middle}) else (middle, dead)
    assert exact.safe_throughout(ETH, alive, alive)
    assert not exact.safe_throughout(ETH, dead, dead)
    assert not exact.safe_throughout(ETH, dead, alive)
    assert exact.liquidatable({ETH: dead, USDC: 99_990_000})


def test_verdicts_at_the_present_prices_agree() -> None:
    for revision in REVISIONS:
        for state in (market(revision), dying(revision)):
            exact = account_of(state).exact
            assert exact is not None
            now = {feed.key: feed.now for feed in exact.feeds()}
            verdicts = {exact.liquidatable(), exact.liquidatable(now), *(exact.liquidatable({key: price}) for key, price in now.items())}
            assert len(verdicts) == 1
            assert all(exact.safe_throughout(key, price, price) != exact.liquidatable() for key, price in now.items())


def test_more_collateral_is_never_worse() -> None:
    for revision in range(9, 12):
        healths: list[int] = []
        for amount in (10**17, 10**18, 10**19):
            state = market(revision)
            state.reserves[0].supplied = amount
            healths.append(account_of(state).native["healthFactor"])
        assert all(less < more for less, more in pairwise(healths))
