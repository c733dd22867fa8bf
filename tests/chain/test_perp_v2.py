"""Perpetual Protocol V2 against the real contracts of curie 2.8.4: every number equals the venue's own, and what cannot be told is said."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import pytest
from defi_risk_adapters.perp_v2.exact import AccountExact

from defi_risk.health.normal import in_fractions
from defi_risk.model import Account, Role
from tests.chain.compound import Scan
from tests.chain.perp import read
from tests.localchain.artifacts import double, perp_oracle
from tests.localchain.contract import Reverted, deploy
from tests.localchain.curie.market import CurieMarket
from tests.localchain.kits import Kit
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain
Curie = Kit[CurieMarket]
HOUR: Final = 3_600
DAY: Final = 24 * HOUR
WAD: Final = 10**18
CENT: Final = Fraction(1, 10**6)
FEWEST: Final = 30
BALANCE_VIEWS: Final = ("getMarginRequirementForLiquidation", "getTotalAbsPositionValue", "getTotalDebtValue")
VAULT_VIEWS: Final = ("getSettlementTokenValue", "getFreeCollateral")


def fresh(market: CurieMarket) -> None:
    """As the population left it."""


def second_later(market: CurieMarket) -> None:
    market.anvil.pass_time(1)


def hours_of_funding(market: CurieMarket) -> None:
    market.pass_time(9 * HOUR)


def funding_written_down(market: CurieMarket) -> None:
    market.pass_time(2 * DAY)
    market.accrue()


def month_of_funding(market: CurieMarket) -> None:
    market.pass_time(30 * DAY)


def fallen(market: CurieMarket) -> None:
    market.drop_prices()


def risen(market: CurieMarket) -> None:
    for symbol, percent in (("vETH", 131), ("vBTC", 119), ("vLINK", 155)):
        market.move(symbol, Raw(market.listings[symbol].feed.answer * percent // 100))


def apart_from_the_index(market: CurieMarket) -> None:
    """A trade a minute ago: pool, its averages and index are all different."""
    market.trade_to("vETH", "2400.0")
    market.set_price("vETH", "2450.0")
    market.anvil.pass_time(60)


def other_ratios(market: CurieMarket) -> None:
    market.set_mm_ratio(123_457)
    market.set_im_ratio(234_567)


def all_paused(market: CurieMarket) -> None:
    market.pass_time(3 * HOUR)
    for symbol in ("vETH", "vBTC", "vLINK"):
        market.pause(symbol)
    market.pass_time(DAY)


STATES: Final[tuple[Callable[[CurieMarket], None], ...]] = (
    fresh,
    second_later,
    hours_of_funding,
    funding_written_down,
    month_of_funding,
    fallen,
    risen,
    apart_from_the_index,
    other_ratios,
    all_paused,
)


def views(market: CurieMarket, who: str, block: int) -> dict[str, int | bool]:
    """What the venue says of an account, through code that the product does not share."""
    house, balance, exchange, vault = market.clearing_house, market.account_balance, market.exchange, market.vault
    bases = balance.call("getBaseTokens", who, block=block)
    tokens = (market.settlement.address, *vault.call("getCollateralTokens", who, block=block))
    value, pnl, *rest = ask(
        block,
        (house, "getAccountValue", who),
        (balance, "getPnlAndPendingFee", who),
        (exchange, "getAllPendingFundingPayment", who),
        (vault, "isLiquidatable", who),
        *((balance, name, who) for name in BALANCE_VIEWS),
        *((vault, name, who) for name in VAULT_VIEWS),
        *((balance, "getTotalPositionValue", who, base) for base in bases),
        *((vault, "getFreeCollateralByToken", who, token) for token in tokens),
    )
    names = ("getAllPendingFundingPayment", "Vault.isLiquidatable", *BALANCE_VIEWS, *VAULT_VIEWS)
    values = [f"getTotalPositionValue({base})" for base in bases] + [f"getFreeCollateralByToken({token})" for token in tokens]
    said = {"getAccountValue": value, "unrealizedPnl": pnl[1], **dict(zip((*names, *values), rest, strict=True))}
    sizes = ask(block, *((balance, "getLiquidatablePositionSize", who, base, value) for base in bases))
    return said | {f"getLiquidatablePositionSize({base})": size for base, size in zip(bases, sizes, strict=True)}


def ask(block: int, *calls: tuple[Any, ...]) -> list[Any]:
    """Several views of the same block in one request: contract, function, arguments."""
    if not calls:
        return []
    requests = [({"to": one.address, "data": "0x" + one.calldata(name, *given).hex()}, hex(block)) for one, name, *given in calls]
    answers = calls[0][0].anvil.rpc.batch([("eth_call", request) for request in requests])
    return [one.abi.decode(name, len(given), bytes.fromhex(data[2:])) for (one, name, *given), data in zip(calls, answers, strict=True)]


def check(curie: Curie, found: Scan) -> int:
    """Every account equals the venue's views to the last digit, its legs to less than what the venue itself drops; how many positions."""
    market, positions = curie.market, 0
    live = [listing.base.address for listing in market.listings.values() if listing.base.call("isOpen")]
    for label, who in curie.who.items():
        account = found.accounts.get(who)
        if account is None:
            assert label in ("empty", "gone-again")
            continue
        if live and label in market.unread:
            assert any(ask(found.anchor.number, *((market.order_book, "getOpenOrderIds", who, base) for base in live)))
            assert not account.known
            assert "open liquidity" in account.reason
            continue
        assert account.known, (label, account.reason)
        said = views(market, who, found.anchor.number)
        assert dict(account.native) == said, label
        assert account.self_check is not None
        assert account.self_check.match, label
        assert dict(account.self_check.protocol) == said, label
        assert account.liquidatable is (said["getAccountValue"] < said["getMarginRequirementForLiquidation"]), label
        positions += agree(account, said, label)
    return positions


def agree(account: Account, said: dict[str, int | bool], label: str) -> int:
    """The legs add up to the venue's sums: C is the account value before it is floored, R the requirement; how many positions."""
    normal = in_fractions(account, {})
    assert 0 <= normal.weighted() - Fraction(said["getAccountValue"], WAD) < CENT + Fraction(len(account.legs), WAD), label
    assert abs(normal.requirement() - Fraction(said["getMarginRequirementForLiquidation"], WAD)) < Fraction(9, WAD), label
    return sum(leg.role is Role.POSITION for leg in account.legs)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_account_equals_the_venues_views_to_the_last_digit(curie: Curie, state: Callable[[CurieMarket], None]) -> None:
    state(curie.market)
    found = read(curie.market, *curie.who.values())
    assert check(curie, found) >= FEWEST
    assert sum(account.known for account in found.accounts.values()) >= FEWEST


def test_some_of_these_states_kill(curie: Curie) -> None:
    dead: dict[str, set[str]] = {}
    for state in (fresh, fallen, risen):
        with curie.anvil.rollback():
            state(curie.market)
            accounts = read(curie.market, *curie.who.values()).accounts
            names = {label for label, who in curie.who.items() if who in accounts and accounts[who].liquidatable}
            dead[state.__name__] = names
    assert not dead["fresh"]
    assert {"max-long", "two-alike", "liquidatable-after-drop", "deep-under-water-after-drop", "ether-as-margin"} <= dead["fallen"]
    assert {"short", "max-short", "short-link", "bitcoin-as-margin"} <= dead["risen"]


def test_the_rate_of_funding_is_what_is_paid(curie: Curie) -> None:
    """An hour at a premium that does not change: what fell due is what the rate says, up to the mark that the rate is told at."""
    market, who = curie.market, curie.who["several-markets"]
    market.anvil.pass_time(HOUR)
    market.report()
    market.accrue()
    market.clearing_house.send("settleAllFunding", who, sender=who)
    before = read(market, who)
    assert all(abs(payment) < 10**13 for payment in paid(before.accounts[who]).values())
    market.anvil.pass_time(HOUR)
    market.report()
    after = read(market, who)
    hours = Fraction(after.anchor.timestamp - before.anchor.timestamp, HOUR)
    due = paid(after.accounts[who])
    for leg in before.accounts[who].legs:
        if leg.position is not None:
            assert leg.position.funding_8h is not None
            told = Fraction(leg.position.size * leg.position.mark * leg.position.funding_8h) * hours / 8
            assert abs(due[leg.asset.id] - told * WAD) < abs(told * WAD) / 200 + 10**13, leg.asset.symbol
            assert told


def paid(account: Account) -> dict[str, Any]:
    """Funding due by asset, 1e18."""
    assert isinstance(account.exact, AccountExact)
    return {each.asset.id: each.funding for each in account.exact.positions}


# what cannot be told


def refused(curie: Curie, label: str) -> str:
    """Why an account is unknown."""
    account = read(curie.market, curie.who[label]).accounts[curie.who[label]]
    assert not account.known
    assert (account.liquidatable, account.exact, account.legs) == (None, None, ())
    return account.reason


def known(curie: Curie, *labels: str) -> bool:
    accounts = read(curie.market, *curie.who.values()).accounts
    return all(accounts[curie.who[label]].known for label in labels)


def test_a_mark_without_old_enough_observations_is_no_price(curie: Curie) -> None:
    curie.market.config.send("setMarkPriceMarketTwapInterval", 400 * DAY)
    reason = refused(curie, "plain")
    assert "no mark price for vETH" in reason
    assert "OLD" in reason
    assert known(curie, "margin-only", "collateral-only", "in-the-paused-market", "in-the-closed-market")


def test_an_index_that_stood_still_for_a_day_is_stale(curie: Curie) -> None:
    market = curie.market
    market.anvil.pass_time(26 * HOUR)
    assert "the index price of vETH" in refused(curie, "plain")
    assert "is stale: it has not moved for 25 hours" in refused(curie, "plain")
    assert known(curie, "margin-only", "collateral-only", "in-the-paused-market", "in-the-closed-market")
    market.set_price("vETH", "2512.4")
    assert known(curie, "plain", "short")
    assert "the index price of vBTC" in refused(curie, "several-markets")


def test_an_index_that_the_venue_gave_up_is_stale(curie: Curie) -> None:
    """Its oracle silent for longer than the venue waits: from then on the index is what a pool says."""
    market, listing = curie.market, curie.market.listings["vETH"]
    emergency = deploy(curie.anvil, perp_oracle("UniswapV3PriceFeed"), listing.pool.address)
    listing.dispatcher.send("setUniswapV3PriceFeed", emergency.address)
    assert known(curie, "plain")
    curie.anvil.pass_time(HOUR)
    assert listing.dispatcher.call("isToUseUniswapV3PriceFeed")
    assert "given up by the venue" in refused(curie, "plain")
    assert known(curie, "max-short", "short-link", "in-the-paused-market")
    market.report()
    assert known(curie, "plain")


def test_an_index_of_zero_or_none_is_no_price(curie: Curie) -> None:
    anvil, listing = curie.anvil, curie.market.listings["vETH"]
    code = anvil.rpc("eth_getCode", deploy(anvil, double("perp_price")).address, "latest")
    with anvil.rollback():
        anvil.set_code(listing.dispatcher.address, code)
        assert "the index price of vETH" in refused(curie, "plain")
        assert refused(curie, "plain").split(" - ")[0].endswith("is 0")
        assert known(curie, "max-short", "short-link", "in-the-paused-market")
    anvil.set_code(listing.dispatcher.address, "0xfe")
    assert "no index price for vETH" in refused(curie, "plain")
    assert known(curie, "max-short", "short-link", "in-the-paused-market")


def test_collateral_without_a_price_makes_only_its_owners_unknown(curie: Curie) -> None:
    market = curie.market
    curie.anvil.set_code(market.collateral["WETH"].oracle.address, "0xfe")
    assert "no price for WETH" in refused(curie, "hedged")
    assert "no price for WETH" in refused(curie, "collateral-only")
    assert known(curie, "plain", "bitcoin-as-margin")


def test_positions_that_cannot_be_liquidated_are_told(curie: Curie) -> None:
    market, who = curie.market, curie.who
    accounts = read(market, *who.values()).accounts
    for label in ("in-the-paused-market", "in-the-closed-market"):
        assert "paused or closed" in accounts[who[label]].blocked
    for label in ("plain", "beside-the-paused-market", "margin-only"):
        assert accounts[who[label]].blocked == ""
    market.clearing_house.send("pause")
    assert "the clearing house is paused" in read(market, who["plain"]).accounts[who["plain"]].blocked


def test_what_is_free_can_be_withdrawn_and_not_a_unit_more(curie: Curie) -> None:
    market, tried = curie.market, 0
    for label in ("plain", "max-short", "several-markets", "all-margins", "hedged", "closed-again", "owes-settlement"):
        who = curie.who[label]
        for leg in read(market, who).accounts[who].legs:
            if leg.available is None:
                continue
            token = leg.asset.id.rpartition(":")[2]
            market.vault.call("withdraw", token, leg.available.raw, sender=who)
            with pytest.raises(Reverted, match="V_NEFC"):
                market.vault.call("withdraw", token, leg.available.raw + 1, sender=who)
            tried += leg.available.raw > 0
    assert tried >= 7


def test_a_closed_market_is_settled_at_the_price_that_was_told(curie: Curie) -> None:
    market, who = curie.market, curie.who["in-the-closed-market"]
    before = read(market, who).accounts[who]
    market.quit(who, "vEURS")
    after = read(market, who).accounts[who]
    assert [leg.role for leg in after.legs] == [Role.MARGIN]
    assert after.native["getAccountValue"] == before.native["getAccountValue"]


def test_collateral_may_be_sold_before_positions_are_closed(curie: Curie) -> None:
    """The venue's buffer: account value between the two requirements."""
    market, who = curie.market, curie.who["ether-as-margin"]
    value = market.account_value(who) * 10**6 // int(market.account_balance.call("getTotalAbsPositionValue", who))
    market.set_mm_ratio(value - 2_500)
    account = read(market, who).accounts[who]
    assert account.mode == "cross, collateral can be sold"
    assert account.native["Vault.isLiquidatable"] is True
    assert account.liquidatable is False
