"""Reading positions of the GMX double with the product, and asking its Reader what it says of them at any prices."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from math import exp
from random import Random
from typing import Any, Final

from defi_risk_adapters.gmx_v2 import GmxV2
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.reader import READER

from defi_risk import abi, engine
from defi_risk.ids import Address
from defi_risk.model import Account, Anchor, Owner
from defi_risk.snapshot import Snapshot
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Context, Market
from tests.chain.compound import CHAIN
from tests.localchain.gmx.market import ZERO, Band, GmxMarket, Opened
from tests.localchain.gmx.recipes import RECIPES
from tests.localchain.kits import Kit
from tests.localchain.people import person

Trio = tuple[Band, Band, Band]
"""Prices of a market's index, long and short token."""
GmxKit = Kit[GmxMarket]
DAY: Final = 86_400
VERDICT: Final = "isPositionLiquidatable"


def held(market: GmxMarket) -> dict[str, tuple[str, Opened]]:
    """All positions of the population: by the end of their account's id, with the label of their owner."""
    found: dict[str, tuple[str, Opened]] = {}
    for recipe in RECIPES:
        for trade in recipe.trades:
            position = Opened(person(f"{market.name}/{recipe.label}"), trade.market, trade.collateral, trade.long)
            found[tail(market, position)] = recipe.label, position
    return found


def tail(market: GmxMarket, position: Opened) -> str:
    """The end of the id of a position's account."""
    side = "long" if position.is_long else "short"
    return "/".join((position.account, market.address(position.market), market.coins[position.collateral].address, side))


def ending(account_id: str) -> str:
    """The same from the id."""
    return "/".join(account_id.split("/")[-4:])


def position_of(kit: GmxKit, label: str) -> Opened:
    """The first position of a user."""
    return next(position for name, position in held(kit.market).values() if name == label)


def read(market: GmxMarket, *owners: str) -> tuple[Anchor, dict[str, Account]]:
    """The positions of these owners at the newest block, through the product's own sources and engine."""
    params = (*market.roots.items(), *market.settings.items())
    described = Market(market.adapter, CHAIN, market.name, tuple((name, Address(value)) for name, value in params), "GMX V2")
    with ChainSource.open(CHAIN, [market.anvil.url], deadline=Deadline(60)) as source:
        at = Context(CHAIN, source.anchor.number, source.anchor.timestamp, {}, markets=(described,))
        found = engine.read(source, [engine.Job(GmxV2(), Owner(Address(owner)), described) for owner in owners], at)
        source.finish()
    return source.anchor, {ending(account.id): account for account in found.accounts}


def by_place(snapshot: Snapshot) -> dict[str, Any]:
    """The positions in a snapshot by the end of their ids."""
    return {ending(one.id): one for one in snapshot.accounts if "/gmx_v2:" in one.id}


def integers(account: Account) -> GmxExact:
    """A position in the venue's integers."""
    assert isinstance(account.exact, GmxExact), account.reason
    return account.exact


def said(market: GmxMarket, block: int, asked: Sequence[tuple[Opened, Trio]]) -> list[dict[str, int | bool]]:
    """What the Reader says of positions at these prices and a block, by its own names: two views of each position in one request."""
    reader, start = Address(market.reader.address), (Address(market.store.address), Address(market.referrals.address))
    calls = [
        call
        for position, prices in asked
        for call in (
            READER(reader, "getPositionInfo", *start, position.key(market), prices, 0, ZERO, True),
            READER(reader, VERDICT, *start, position.key(market), market.props(position.market), prices, True, True),
        )
    ]
    requests = [("eth_call", ({"to": call.to, "data": "0x" + abi.encode(call).hex()}, hex(block))) for call in calls]
    answers = [abi.decode(call, bytes.fromhex(data[2:])) for call, data in zip(calls, market.anvil.rpc.batch(requests), strict=True)]
    return [_named(info, verdict) for info, verdict in zip(answers[0::2], answers[1::2], strict=True)]


def _named(info: Any, verdict: Any) -> dict[str, int | bool]:
    dead, _, figures = verdict
    parts: tuple[tuple[Any, tuple[str, ...]], ...] = (
        (figures, ("remainingCollateralUsd", "minCollateralUsd", "minCollateralUsdForLeverage")),
        (info, ("basePnlUsd", "uncappedBasePnlUsd")),
        (info.executionPriceResult, ("priceImpactUsd", "balanceWasImproved", "proportionalPendingImpactUsd")),
        (info.fees, ("positionFeeAmount", "totalDiscountAmount", "totalCostAmount")),
        (info.fees.borrowing, ("borrowingFeeUsd",)),
        (info.fees.funding, ("fundingFeeAmount", "claimableLongTokenAmount", "claimableShortTokenAmount")),
    )
    return {VERDICT: dead} | {name: getattr(part, name) for part, names in parts for name in names}


def prices_of(market: GmxMarket, name: str, bands: Mapping[str, Band]) -> Trio:
    """Prices of a market's tokens by symbol."""
    setting = market.setting(name)
    return bands[setting.index], bands[setting.long], bands[setting.short]


def bands_now(market: GmxMarket) -> dict[str, Band]:
    """What every token costs, by symbol."""
    return {symbol: coin.band() for symbol, coin in market.coins.items()}


def now(market: GmxMarket, position: Opened) -> Trio:
    """Prices of a position's market as the feeds have them."""
    return prices_of(market, position.market, bands_now(market))


def some_bands(random: Random, market: GmxMarket, widest: float) -> dict[str, tuple[int, int]]:
    """Prices of all tokens, each with a spread of its own: volatile ones anywhere, the stable one near its par."""
    found: dict[str, tuple[int, int]] = {}
    for symbol, coin in market.coins.items():
        low = int(coin.band()[0] * exp(random.uniform(-0.05, 0.05) if coin.stable else random.uniform(-1.2, 1.2)))
        found[symbol] = low, low + int(low * random.choice((0, 0, widest * random.random())))
    return found


@contextmanager
def standing_still(market: GmxMarket) -> Generator[None]:
    """Blocks come at one and the same time meanwhile."""
    market.anvil.rpc("anvil_setBlockTimestampInterval", 0)
    try:
        yield
    finally:
        market.anvil.rpc("anvil_setBlockTimestampInterval", 1)


def settle(market: GmxMarket) -> int:
    """Let every market take up what has run up, at the very time of the newest block; the block after which it has."""
    before = market.anvil.block().timestamp
    with standing_still(market):
        market.accrue()
    after = market.anvil.block()
    assert after.timestamp == before
    return after.number
