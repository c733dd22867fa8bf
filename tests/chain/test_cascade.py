"""Truth test 3: after a real liquidation the cascade's predicted balances are those that a new read finds.

The oracle is set so that an account is liquidatable, the account is read, and the cascade's first event is carried out for real: the same
collateral for the same debt, as much as the venue lets pass. What the two then disagree by is the interest of the seconds between the
read and the call, for which the venue's own rates are allowed, and roundings of a few of its units.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pytest
from defi_risk_adapters.aave_v3 import AaveV3
from defi_risk_adapters.compound_v2 import CompoundV2
from defi_risk_adapters.compound_v3 import CompoundV3

from defi_risk.health.account import Assessed, assess
from defi_risk.health.cascade import walk
from defi_risk.health.cascade.liquidation import Taken, liquidate
from defi_risk.health.figures import Tick
from defi_risk.health.normal import Holding
from defi_risk.health.route import market_route
from defi_risk.ids import Address, AssetId, Factor
from defi_risk.model import Price, Quote, Role
from defi_risk.pricing import PriceBook, resolve
from defi_risk.spi import Adapter, Market
from defi_risk.units import SECONDS_PER_YEAR, Quantity
from tests.accounts import SETTINGS
from tests.chain.compound import CHAIN, scan
from tests.chain.oracles import LIQUIDATOR, judge_of
from tests.localchain.aave.market import AaveMarket
from tests.localchain.comet.market import CometMarket
from tests.localchain.contract import Reverted
from tests.localchain.factors import factor_of
from tests.localchain.kits import Kit
from tests.localchain.rpc import RpcError
from tests.localchain.states import AnyMarket
from tests.localchain.tokens import MAX, Raw
from tests.localchain.venus.market import VenusMarket

pytestmark = pytest.mark.chain
ADAPTERS: Final[dict[str, Adapter]] = {"aave_v3": AaveV3(), "compound_v2": CompoundV2(), "compound_v3": CompoundV3()}
ETHER: Final = Quote(Factor("ETH"), Price(Quantity.of(Decimal("2512.34567891"))))
"""What a market that counts in ETH does not say."""
DEPTHS: Final = (5, 60, 150)
"""How far beyond its tick an account is pushed, in thousandths: just below the line, deeper, and into the spiral."""
FEWEST: Final = {"comet-weth": 8}  # both Comet doubles together are one protocol; elsewhere 15
SECONDS: Final = 6
"""As much interest as two blocks of any market here can bring: all that passes between the read and the call."""
UNTOLD: Final = 0.1
"""More than the yearly rate of VAI, which no market quotes."""
BLOCKS: Final = ("seconds_per_block", "3")
ROUNDINGS: Final = 2
"""Smallest units by which a venue's roundings may differ from a fraction."""
VALUE: Final = 2e-8
"""Compound III adds up what it absorbs in the eight decimals of its feeds; in a market that counts in ETH that is a part of the base."""
DIGITS: Final = 1e-12
"""What float64 loses."""
SEIZED: Final = 1e-6
"""Compound V2 keeps what is seized for one unit repaid as an integer that has but six or seven digits where the debt has 18 decimals."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads accounts of one market through the product and assesses them."""

    market: AnyMarket

    def assessed(self, *owners: str) -> dict[str, Assessed]:
        market = self.market
        factors = {AssetId(f"eip155:{CHAIN.id}/erc20:{token.address}"): factor_of(symbol) for symbol, token in market.tokens.items()}
        place = Market(market.adapter, CHAIN, market.name, (*((name, Address(root)) for name, root in market.roots.items()), BLOCKS))
        done = scan(market.anvil, ADAPTERS[market.adapter], place, owners, factors)
        accounts = list(done.accounts.values())
        prices = PriceBook([*done.quotes, ETHER], accounts)
        return {account.owner: assess(account, SETTINGS, prices.as_floats()) for account in resolve(accounts, prices) if account.known}


def nearest(one: Assessed) -> Tick | None:
    """The oracle answer to push: of the largest collateral that counts downward, else of a debt upward."""
    held = {holding.leg.asset.id: holding.value * holding.weight for holding in one.normal.holdings if holding.weight}
    falls = [tick for tick in one.figures.ticks if tick.direction == "down" and tick.asset.id in held]
    rises = [tick for tick in one.figures.ticks if tick.direction == "up"]
    return max(falls, key=lambda tick: held[tick.asset.id]) if falls else next(iter(rises), None)


def push(market: Any, tick: Tick, thousandths: int) -> None:
    """Let the oracle answer so far beyond the tick."""
    beyond = tick.answer * thousandths // 1000
    answer = tick.answer - beyond if tick.direction == "down" else tick.answer + beyond
    if isinstance(market, VenusMarket):
        market.oracle.send("set_price", market.reserves[tick.asset.symbol].market.address, answer)
    else:
        market.set_price(tick.asset.symbol, Raw(answer))


def chosen(one: Assessed, taken: Taken) -> tuple[Holding[float], Holding[float]]:
    """The collateral that was seized and the largest debt."""
    left = {holding.leg.asset.id: holding.value for holding in taken.after.holdings if holding.leg.role is Role.COLLATERAL}
    legs = one.normal.holdings
    seized = next(each for each in legs if each.leg.role is Role.COLLATERAL and left.get(each.leg.asset.id) != each.value)
    owed: defaultdict[str, float] = defaultdict(float)
    for each in legs:
        owed[each.leg.asset.id] += each.value if each.leg.role is Role.DEBT else 0
    largest = max(owed, key=lambda asset: owed[asset])
    return seized, next(each for each in legs if each.leg.asset.id == largest and each.leg.role is Role.DEBT)


def carry_out(market: Any, one: Assessed, taken: Taken) -> None:
    """The same liquidation as one transaction, for the most that the venue lets pass."""
    borrower = one.account.owner
    if isinstance(market, CometMarket):
        return market.absorb(LIQUIDATOR, borrower)
    collateral, debt = chosen(one, taken)
    repaid = int(taken.repaid_usd / debt.price * 10**debt.leg.asset.decimals)
    seized, owed = collateral.leg.asset.symbol, debt.leg.asset.symbol
    if isinstance(market, AaveMarket):
        return _on_aave(market, borrower, seized, owed, repaid)
    assert isinstance(market, VenusMarket)
    return _on_venus(market, borrower, seized, owed, repaid)


def _on_aave(market: AaveMarket, borrower: str, seized: str, owed: str, repaid: int) -> None:
    """Asked for everything the pool takes what it may. Where that would leave dust it refuses, and what leaves none is asked for."""
    call = ("liquidationCall", market.reserves[seized].token.address, market.reserves[owed].token.address, borrower)
    try:
        market.pool.call(*call, MAX.units, False, sender=LIQUIDATOR)
    except Reverted:
        assert market.version == "3.6"
        with pytest.raises(Reverted):
            market.pool.call(*call, repaid + repaid // 1000, False, sender=LIQUIDATOR)
        return market.pool.send(*call, repaid, False, sender=LIQUIDATOR)
    return market.pool.send(*call, MAX.units, False, sender=LIQUIDATOR)


def _on_venus(market: VenusMarket, borrower: str, seized: str, owed: str, repaid: int) -> None:
    """The amount is named by the liquidator: a thousandth more is refused."""
    collateral = market.reserves[seized].market.address

    def call(amount: int) -> dict[str, Any]:
        if owed == "VAI":
            return market.vai_controller.transaction("liquidateVAI", borrower, amount, collateral, sender=LIQUIDATOR)
        reserve = market.reserves[owed]
        if reserve.token is None:
            return reserve.market.transaction("liquidateBorrow", borrower, collateral, sender=LIQUIDATOR, value=amount)
        return reserve.market.transaction("liquidateBorrow", borrower, amount, collateral, sender=LIQUIDATOR)

    def refused(amount: int) -> bool:
        try:
            answer = market.anvil.rpc("eth_call", call(amount), "latest")
        except RpcError as error:
            if "revert" not in str(error):
                raise
            return True
        return bool(int(answer[:66], 16)) if len(answer) > 2 else False

    market.anvil.set_balance(LIQUIDATOR, 10**30)
    assert refused(repaid + repaid // 1000 + 1)
    amount = repaid - repaid // 10**12 - 1  # float64 may say a little too much, and what a debt has grown to is known to a unit
    assert not refused(amount)
    assert market.anvil.receipt(call(amount))["status"] == "0x1"


def expected(one: Assessed, taken: Taken, *, written_off: bool) -> Mapping[tuple[Role, str], float]:
    """Token units by role and asset after the liquidation. Where the venue writes no bad debt off, it is still owed."""
    found: defaultdict[tuple[Role, str], float] = defaultdict(float)
    _, debt = chosen(one, taken)
    known = {holding.leg.asset.id for holding in one.normal.holdings}
    for holding in taken.after.holdings:
        name = holding.leg.asset.id if holding.leg.asset.id in known else debt.leg.asset.id  # a supply that absorbing left
        found[holding.leg.role, name] += holding.value / holding.price
    if taken.bad_debt_usd and not written_off:
        for holding in one.normal.holdings:
            if holding.leg.role is Role.DEBT:
                found[Role.DEBT, holding.leg.asset.id] += holding.value / holding.price
        found[Role.DEBT, debt.leg.asset.id] -= taken.repaid_usd / debt.price
    return found


def check(market: AnyMarket, before: Assessed, after: Assessed | None, taken: Taken, *, written_off: bool) -> None:
    """The balances of a new read are those expected, but for interest and roundings."""
    rule = type(market)
    wanted = expected(before, taken, written_off=written_off)
    legs = (*before.account.legs, *(after.account.legs if after else ()))
    interest = max(UNTOLD if leg.apr is None else float(leg.apr) for leg in legs) * SECONDS / SECONDS_PER_YEAR
    sizes: defaultdict[AssetId, float] = defaultdict(float)
    for leg in before.account.legs:
        sizes[leg.asset.id] = max(sizes[leg.asset.id], float(leg.amount))
    read: defaultdict[tuple[Role, str], float] = defaultdict(float)
    for leg in after.account.legs if after else ():
        read[leg.role, leg.asset.id] += float(leg.amount)
    seized, _ = chosen(before, taken)
    for leg in legs:
        place = (leg.role, leg.asset.id)
        share = SEIZED if rule is VenusMarket and place == (Role.COLLATERAL, seized.leg.asset.id) else DIGITS
        allowed = sizes[leg.asset.id] * (interest + share) + ROUNDINGS / 10**leg.asset.decimals + (VALUE if rule is CometMarket else 0)
        gap = abs(wanted.get(place, 0.0) - read[place])
        assert gap <= allowed, (place, wanted.get(place), read[place])
    assert wanted.keys() | read.keys() <= {(leg.role, leg.asset.id) for leg in legs}


def test_a_real_liquidation_leaves_what_the_cascade_says(populated: Kit[Any]) -> None:
    market = populated.market
    reader = Reader(market)
    judge_of(market).prepare()
    market.accrue()
    written_off = isinstance(market, CometMarket) or market.name == "aave-3.6"
    start = reader.assessed(*(case.address for case in populated.cases))
    proved: Counter[str] = Counter()
    for index, (owner, one) in enumerate(start.items()):
        tick = nearest(one)
        if tick is None or one.figures.debt_usd < 1:
            continue
        with market.anvil.rollback():
            push(market, tick, DEPTHS[index % len(DEPTHS)])
            before = reader.assessed(owner)[owner]
            assert before.figures.liquidatable
            event = walk([before], market_route(SETTINGS, 0.1), SETTINGS).events[0]
            taken = liquidate(before.account, before.normal, lambda _: 1.0)
            assert event.move == 0
            assert (event.seized_usd, event.repaid_usd, event.spiral) == (taken.seized_usd, taken.repaid_usd, taken.spiral)
            carry_out(market, before, taken)
            after = reader.assessed(owner).get(owner)
            check(market, before, after, taken, written_off=written_off)
            if taken.spiral and after and after.figures.health is not None:
                assert before.figures.health is not None
                assert after.figures.health < before.figures.health
                proved["spiral"] += 1
            proved["all"] += 1
    assert proved["all"] >= FEWEST.get(market.name, 15), proved
    assert isinstance(market, CometMarket) or proved["spiral"] >= 1, proved
