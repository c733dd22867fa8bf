"""Compound V3 against our double of Comet on a local node: its views, and `absorb` at the anchor's own block.

No registry ships the real contract. The double was held against it answer by answer when it was written; it is not the real contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pytest
from defi_risk_adapters.compound_v3 import CompoundV3

from defi_risk.ids import USD, Address, AssetId, Factor
from defi_risk.model import Anchor, Role
from defi_risk.spi import Market
from tests.chain.compound import CHAIN, Scan, ask, first_dead, scan
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.comet.deployment import deploy_comet_usdc, deploy_comet_weth
from tests.localchain.comet.market import CometMarket
from tests.localchain.comet.population import populate
from tests.localchain.factors import factor_of
from tests.localchain.people import Case, person

pytestmark = pytest.mark.chain
ABSORBER = person("compound/absorber")
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Town:
    """Two markets over the same tokens, with their users."""

    usdc: CometMarket
    weth: CometMarket
    users: dict[str, Sequence[Case]]

    @property
    def anvil(self) -> Anvil:
        return self.usdc.anvil

    def scan(self, comet: CometMarket, *owners: str) -> Scan:
        """Read users of one market; both markets are known, so that one can price the other's base token."""
        here, there = (_market(each) for each in ((self.usdc, self.weth) if comet is self.usdc else (self.weth, self.usdc)))
        tokens = {**self.usdc.tokens, **self.weth.tokens}
        factors = {AssetId(f"eip155:{CHAIN.id}/erc20:{token.address}"): factor_of(symbol) for symbol, token in tokens.items()}
        return scan(self.anvil, CompoundV3(), here, owners or [case.address for case in self.users[comet.name]], factors, there)

    def who(self, comet: CometMarket, label: str) -> str:
        return next(case.address for case in self.users[comet.name] if case.label == label)


def _market(comet: CometMarket) -> Market:
    return Market("compound_v3", CHAIN, comet.name, (("comet", Address(comet.comet.address)),), "Compound V3")


@pytest.fixture(scope="module")
def settled() -> Iterator[Town]:
    with Anvil() as anvil:
        assets = Assets(anvil)
        markets = deploy_comet_usdc(anvil, assets), deploy_comet_weth(anvil, assets)
        yield Town(*markets, {market.name: populate(market) for market in markets})


@pytest.fixture
def town(settled: Town) -> Iterator[Town]:
    with settled.anvil.rollback():
        yield settled


def check_views(town: Town, comet: CometMarket) -> Scan:
    """Every account equals the views; who has nothing is no account."""
    done = town.scan(comet)
    block = done.anchor.number
    for case in town.users[comet.name]:
        views = {name: comet.comet.call(name, case.address, block=block) for name in ("borrowBalanceOf", "balanceOf")}
        posted = {symbol: comet.posted(case.address, symbol) for symbol in comet.collateral}
        account = done.accounts.get(case.address)
        if account is None:
            assert not any(views.values()), case.label
            assert not any(posted.values()), case.label
            continue
        assert account.known, (case.label, account.reason)
        views |= {
            "isLiquidatable": comet.liquidatable(case.address, block),
            "isBorrowCollateralized": comet.collateralized(case.address, block),
        }
        assert account.native == views, case.label
        assert account.self_check is not None
        assert account.self_check.match, case.label
        held = {leg.asset.symbol: leg.amount.raw for leg in account.legs if leg.bonus is not None}
        assert held == {symbol: amount for symbol, amount in posted.items() if amount}, case.label
        assert account.liquidatable == absorbs(comet, done.anchor, case.address), case.label
    return done


def absorbs(comet: CometMarket, anchor: Anchor, who: str, feed: str = "", answer: int = 0) -> bool:
    """Whether `absorb` passes, with one feed's answer changed where given."""
    change = {feed: {"stateDiff": {answer_slot(comet.anvil, feed): f"0x{answer:064x}"}}} if feed else None
    return ask(comet.comet, anchor, "absorb", ABSORBER, [who], sender=ABSORBER, state=change) is not None


def answer_slot(anvil: Anvil, feed: str) -> str:
    """Where a feed keeps its answer: the one slot whose change moves the answer."""
    data = "0x50d25bcd"
    now = int(anvil.rpc("eth_call", {"to": feed, "data": data}, "latest"), 16)
    for place in range(16):
        if anvil.storage(feed, place) == now:
            change = {feed: {"stateDiff": {f"0x{place:064x}": f"0x{now + 1:064x}"}}}
            if int(anvil.rpc("eth_call", {"to": feed, "data": data}, "latest", change), 16) == now + 1:
                return f"0x{place:064x}"
    raise LookupError(f"feed {feed} keeps its answer nowhere")


def test_every_account_equals_the_views_and_absorb_at_all_times(town: Town) -> None:
    for comet in (town.usdc, town.weth):
        check_views(town, comet)
        comet.pass_time(30 * DAY)
        check_views(town, comet)
        with town.anvil.rollback():
            comet.drop_prices()
            done = check_views(town, comet)
            assert any(account.liquidatable for account in done.accounts.values())
            comet.pass_time(DAY)
            check_views(town, comet)


def test_absorb_may_pass_while_the_view_still_says_no(town: Town) -> None:
    who = town.who(town.usdc, "plain-ether")
    town.usdc.pass_time(200 * DAY)
    feed = town.usdc.collateral["WETH"].feed
    exact = town.scan(town.usdc, who).accounts[who].exact
    assert exact is not None
    dead = first_dead(exact, feed.address, feed.answer, -1)
    assert dead is not None
    town.anvil.set_storage(feed.address, int(answer_slot(town.anvil, feed.address), 16), dead)
    done = town.scan(town.usdc, who)
    account = done.accounts[who]
    assert account.native["isLiquidatable"] is False
    assert account.liquidatable is True
    assert absorbs(town.usdc, done.anchor, who)


def test_the_first_answer_that_liquidates_is_where_absorb_passes_first(town: Town) -> None:
    judged = 0
    for comet in (town.usdc, town.weth):
        comet.pass_time(40 * DAY)
        done = town.scan(comet)
        for case in town.users[comet.name]:
            account = done.accounts.get(case.address)
            if account is None or account.exact is None or account.liquidatable or case.label.startswith("dust"):
                continue
            for feed in account.exact.feeds():
                for step in (-1, 1):
                    dead = first_dead(account.exact, feed.key, feed.now, step)
                    if dead is None:
                        continue
                    assert absorbs(comet, done.anchor, case.address, feed.key, dead), (case.label, feed.asset.symbol, dead)
                    assert not absorbs(comet, done.anchor, case.address, feed.key, dead - step), (case.label, feed.asset.symbol, dead)
                    assert account.exact.safe_throughout(feed.key, *sorted((feed.now, dead - step)))
                    assert not account.exact.safe_throughout(feed.key, *sorted((feed.now, dead)))
                    judged += 1
    assert judged >= 20


def test_a_market_in_ether_prices_in_ether_and_learns_from_the_other_what_that_is_worth(town: Town) -> None:
    who = town.who(town.weth, "plain")
    done = town.scan(town.weth, who)
    account = done.accounts[who]
    assert {leg.price.unit for leg in account.legs if leg.price} == {Factor("ETH")}
    [debt] = [leg for leg in account.legs if leg.role is Role.DEBT]
    assert debt.price is not None
    assert debt.price.value.decimal() == Decimal(1)
    [quote] = done.quotes
    assert (quote.factor, quote.price.unit) == (Factor("ETH"), USD)
    assert quote.price.value.decimal() == Decimal(town.usdc.collateral["WETH"].feed.answer).scaleb(-8)


def test_pauses(town: Town) -> None:
    who = town.who(town.usdc, "plain")
    town.usdc.pause(absorb=True, withdraw=True)
    account = town.scan(town.usdc, who).accounts[who]
    assert account.blocked == "absorbing is paused"
    assert {leg.available.raw for leg in account.legs if leg.available} == {0}
