"""Compound V2 against Venus 3.1.0 on a local node: views and liquidation calls of the real contracts, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from defi_risk_adapters.compound_v2 import CompoundV2
from defi_risk_adapters.compound_v2.exact import AccountExact

from defi_risk.ids import Address
from defi_risk.model import Account, Anchor, Role
from defi_risk.spi import Market
from tests.chain.compound import CHAIN, Scan, ask, first_dead, scan, vyper_slot
from tests.localchain.anvil import Anvil
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import Case, person
from tests.localchain.tokens import Raw
from tests.localchain.venus.deployment import deploy_venus
from tests.localchain.venus.market import Position, VenusMarket
from tests.localchain.venus.population import populate

pytestmark = pytest.mark.chain
LIQUIDATOR = person("compound/liquidator")
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Town:
    """A market with its users."""

    venus: VenusMarket
    cases: Sequence[Case]

    @property
    def anvil(self) -> Anvil:
        return self.venus.anvil

    def scan(self, *owners: str) -> Scan:
        market = Market("compound_v2", CHAIN, "venus", (("comptroller", Address(self.venus.comptroller.address)),), "Venus")
        return scan(self.anvil, CompoundV2(), market, owners or [case.address for case in self.cases])


@pytest.fixture(scope="module")
def settled() -> Iterator[Town]:
    with Anvil() as anvil:
        venus = deploy_venus(anvil)
        town = Town(venus, populate(venus))
        put_multicall3(anvil)
        anvil.set_balance(LIQUIDATOR, 10**24)
        for reserve in venus.reserves.values():
            if reserve.token:
                reserve.token.give(LIQUIDATOR, Raw(10**24), reserve.market.address)
        yield town


@pytest.fixture
def town(settled: Town) -> Iterator[Town]:
    with settled.anvil.rollback():
        yield settled


def held(town: Town, who: str, anchor: Anchor) -> dict[str, Position]:
    """What the markets say somebody has."""
    found = {s: Position(*r.market.call("getAccountSnapshot", who, block=anchor.number)) for s, r in town.venus.reserves.items()}
    return {symbol: position for symbol, position in found.items() if position.tokens or position.borrowed}


def check_views(town: Town) -> Scan:
    """Every account equals the comptroller's verdict; who has nothing is no account."""
    done = town.scan()
    for case in town.cases:
        liquidity = town.venus.comptroller.call("getAccountLiquidity", case.address, block=done.anchor.number)
        vai = town.venus.vai_controller.call("getVAIRepayAmount", case.address, block=done.anchor.number)
        account = done.accounts.get(case.address)
        if account is None:
            assert not held(town, case.address, done.anchor), case.label
            assert not vai, case.label
            continue
        assert account.known, (case.label, account.reason)
        assert tuple(account.native.values()) == tuple(liquidity), case.label
        assert account.self_check is not None
        assert account.self_check.match, case.label
    return done


def test_every_account_equals_the_comptrollers_own_verdict_at_all_times(town: Town) -> None:
    check_views(town)
    town.venus.pass_time(30 * DAY)
    check_views(town)
    town.venus.drop_prices()
    assert sum(account.liquidatable is True for account in check_views(town).accounts.values()) >= 3
    town.venus.pass_time(DAY)
    check_views(town)


def test_without_multicall3_the_same_is_read(town: Town) -> None:
    before = town.scan()
    town.anvil.set_code("0xcA11bde05977b3631167028862bE2a173976CA11", "0x")
    after = town.scan()
    assert after.accounts == before.accounts


def test_amounts_are_accrued_to_the_anchor(town: Town) -> None:
    town.venus.pass_time(45 * DAY)
    done = check_views(town)
    rates = {
        symbol: int.from_bytes(ask(reserve.market, done.anchor, "exchangeRateCurrent", sender=LIQUIDATOR) or b"")
        for symbol, reserve in town.venus.reserves.items()
    }
    for case in town.cases:
        account = done.accounts.get(case.address)
        for symbol, position in held(town, case.address, done.anchor).items():
            assert account is not None
            market = town.venus.reserves[symbol].market
            legs = {leg.role: leg for leg in account.legs if leg.asset.symbol == symbol}
            if position.tokens:
                assert legs[Role.COLLATERAL].amount.raw == position.tokens * rates[symbol] // 10**18
            if position.borrowed:
                owed = int.from_bytes(ask(market, done.anchor, "borrowBalanceCurrent", case.address, sender=LIQUIDATOR) or b"")
                assert abs(legs[Role.DEBT].amount.raw - owed) <= 1
                assert owed > position.borrowed or position.borrowed < 10**4
                assert isinstance(account.exact, AccountExact)
                [entry] = [entry for entry in account.exact.entries if entry.key == market.address]
                assert entry.debt_now - 1 <= owed <= entry.debt_now


def liquidates(town: Town, account: Account, anchor: Anchor, key: str, answer: int) -> bool:
    """Whether the real call passes for any debt and collateral with one oracle answer changed: it returns an error code or reverts."""
    oracle = town.venus.oracle.address
    change = {oracle: {"stateDiff": {vyper_slot(0, key): f"0x{answer:064x}"}}}
    debts = {leg.asset.symbol for leg in account.legs if leg.role is Role.DEBT}
    pledged = [leg.asset.symbol for leg in account.legs if leg.role is Role.COLLATERAL and leg.enabled]
    for debt in debts & town.venus.reserves.keys():
        reserve = town.venus.reserves[debt]
        for collateral in pledged:
            seized = town.venus.reserves[collateral].market.address
            coin = reserve.token is None
            arguments = (account.owner, seized) if coin else (account.owner, 1, seized)
            value = 1 if coin else 0
            data = ask(reserve.market, anchor, "liquidateBorrow", *arguments, sender=LIQUIDATOR, value=value, state=change)
            if data is not None and int.from_bytes(data) == 0:
                return True
    return False


def accrue_all(town: Town) -> None:
    """Accrue every market in one block."""
    town.anvil.in_one_block(
        [
            {"from": LIQUIDATOR, "to": reserve.market.address, "data": data, "gas": hex(10**6)}
            for reserve in town.venus.reserves.values()
            for data in ["0x" + reserve.market.calldata("accrueInterest").hex()]
        ]
    )
    numbers = {reserve.market.call("accrualBlockNumber") for reserve in town.venus.reserves.values()}
    assert numbers == {town.anvil.block().number}


ONE_SIDED = (
    "plain",
    "native-coin",
    "native-debt",
    "several-collaterals",
    "several-debts",
    "short",
    "partly-entered",
    "max-borrowed",
    "vai-beside-debt",
)


def test_the_first_oracle_answer_that_liquidates_is_where_the_real_call_passes_first(town: Town) -> None:
    town.venus.pass_time(20 * DAY)
    accrue_all(town)
    done = town.scan()
    judged = 0
    for case in (case for case in town.cases if case.label in ONE_SIDED):
        account = done.accounts[case.address]
        assert account.exact is not None
        for feed in account.exact.feeds():
            for step in (-1, 1):
                dead = first_dead(account.exact, feed.key, feed.now, step)
                if dead is None:
                    continue
                assert liquidates(town, account, done.anchor, feed.key, dead), (case.label, feed.asset.symbol, dead)
                assert not liquidates(town, account, done.anchor, feed.key, dead - step), (case.label, feed.asset.symbol, dead)
                assert not account.exact.safe_throughout(feed.key, *sorted((feed.now, dead)))
                assert account.exact.safe_throughout(feed.key, *sorted((feed.now, dead - step)))
                judged += 1
    assert judged >= 12


def test_between_accruals_no_liquidation_comes_before_it_is_called_possible(town: Town) -> None:
    """One debt and one collateral: a call accrues all there is. What the debt has grown to is known to a unit, and taken for the most."""
    town.venus.pass_time(20 * DAY)
    done = town.scan()
    for label, symbol in (("plain", "WETH"), ("native-coin", "COIN"), ("max-borrowed", "WETH"), ("native-debt", "USDC")):
        [case] = [case for case in town.cases if case.label == label]
        account = done.accounts[case.address]
        assert account.exact is not None
        [feed] = [feed for feed in account.exact.feeds() if feed.asset.symbol == symbol]
        if account.liquidatable:
            assert liquidates(town, account, done.anchor, feed.key, feed.now * 999 // 1000)
            continue
        dead = first_dead(account.exact, feed.key, feed.now, -1)
        assert dead is not None
        assert not liquidates(town, account, done.anchor, feed.key, dead + 1)
        assert liquidates(town, account, done.anchor, feed.key, dead * 999_999 // 1_000_000)


def test_forced_liquidation_and_pauses(town: Town) -> None:
    [plain] = [case.address for case in town.cases if case.label == "plain"]
    assert town.scan(plain).accounts[plain].liquidatable is False
    town.venus.force_liquidation("USDC")
    forced = town.scan(plain)
    account = forced.accounts[plain]
    assert account.liquidatable is True
    assert account.blocked == ""
    assert liquidates(town, account, forced.anchor, town.venus.reserves["WETH"].market.address, town.venus.price("WETH"))
    town.venus.pause("USDC", "liquidate")
    assert "paused" in town.scan(plain).accounts[plain].blocked
    town.venus.pause("USDC", "liquidate", paused=False)
    town.venus.pause("WETH", "seize")
    assert "paused" in town.scan(plain).accounts[plain].blocked
    town.venus.pause("WETH", "seize", paused=False)
    town.venus.comptroller.send("_setProtocolPaused", True)
    assert town.scan(plain).accounts[plain].blocked == "the protocol is paused"
