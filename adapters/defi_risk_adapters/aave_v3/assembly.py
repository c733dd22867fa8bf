"""From what was read to an account: exact numbers, legs, and what would stand in the way of a liquidation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.model import Account, Asset, Custody, Feed, Leg, Owner, Price, Proof, Role, SelfCheck, Side
from defi_risk.spi import Context, Failed, Market
from defi_risk.units import BPS, RAY, Quantity, exact_ratio
from defi_risk_adapters.aave_v3.account import AaveAccount, Held, Owed
from defi_risk_adapters.aave_v3.balances import Amounts, Balance, amounts
from defi_risk_adapters.aave_v3.configuration import ReserveConfiguration, pledges, pledges_one
from defi_risk_adapters.aave_v3.emode import Category, Terms, terms
from defi_risk_adapters.aave_v3.liquidation import Sentinel, Stake, blocked, rule
from defi_risk_adapters.aave_v3.reserves import Listing, Reserve, reserve_at
from defi_risk_adapters.aave_v3.versions import Version
from defi_risk_adapters.oracles import Update, price
from defi_risk_adapters.tokens import asset

NOTHING_COUNTED: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one reading brought; `reserves`, `balances` and `cash` run in the order of the pool's list.

    `unit` is one dollar in base currency, `category_price` a price and its source that an eMode category puts in place of others.
    """

    version: Version
    user_map: int
    protocol: Mapping[str, int | bool]
    unit: int
    sentinel: Sentinel
    category: Category | None
    category_price: tuple[int, str] | None
    reserves: tuple[Listing, ...]
    balances: Sequence[Balance]
    symbols: Mapping[Address, str]
    updates: Mapping[Address, Update]
    cash: Sequence[int | Failed]


@dataclass(frozen=True, slots=True)
class Position:
    """What the owner has in one reserve. `feed` is the address that the pool asks the oracle to price, `now` what it answers."""

    reserve: Reserve
    asset: Asset
    amounts: Amounts
    stable_rate: int
    terms: Terms
    counted: bool
    feed: Feed | None
    price: Price | None
    available: Quantity | None

    @property
    def owed(self) -> int:
        """Debt of both kinds."""
        return self.amounts.variable + self.amounts.stable

    @property
    def unit(self) -> int:
        """One whole token."""
        unit: int = 10**self.asset.decimals
        return unit


def assemble(found: Findings, owner: Owner, market: Market, at: Context, venue: str) -> Account | None:
    """The account, or None where the owner has no balances. Raises `MissingPrice` and `OutOfRange` as its parts do."""
    positions = [
        _position(found, listing, balance, cash, at)
        for listing, balance, cash in zip(found.reserves, found.balances, found.cash, strict=True)
        if balance
    ]
    legs = tuple(leg for position in positions for leg in _legs(position, at))
    if not legs:
        return None
    exact = _exact(found.version, positions)
    native = exact.native()
    dead = exact.liquidatable()
    return Account(
        id=market.account_id(owner),
        owner=owner.address,
        side=Side.LENDING,
        venue=market.venue or venue,
        market=market.name,
        chain=market.chain.name,
        mode=_mode(found),
        legs=legs,
        exact=exact,
        native=native,
        self_check=SelfCheck.compare(native, found.protocol),
        liquidatable=dead,
        strict=True,
        blocked=_blocked(found, positions, native["healthFactor"], at.timestamp) if dead else "",
        rule=rule(found.version, found.unit),
        source=market.chain.name,
        custody=tuple(row for position in positions if position.owed for row in _custody(found, position)),
    )


def _custody(found: Findings, position: Position) -> Iterator[Custody]:
    """The aToken pays out what is borrowed, while debt is minted; GHO up to 3.3 is minted on demand."""
    listing = next(listing for listing in found.reserves if listing.token == position.reserve.token)
    debts = [listing.data.variableDebtTokenAddress]
    if found.version.stable_debt:
        debts.append(listing.data.stableDebtTokenAddress)
    proofs = tuple(Proof(token) for token in debts if token != ZERO_ADDRESS)
    holders = [listing.a_token]
    if _minted(found.version, position.reserve.configuration):
        holders.append(ZERO_ADDRESS)
    return (Custody(asset=position.asset.id, holder=holder, proofs=proofs) for holder in holders)


def _position(found: Findings, listing: Listing, balance: Balance, cash: int | Failed, at: Context) -> Position:
    reserve = reserve_at(listing, found.version, at.timestamp)
    token = asset(at, listing.token, found.symbols[listing.token], reserve.configuration.decimals)
    held = amounts(balance, reserve, found.version, at.timestamp)
    holds = terms(reserve, found.category, found.version)
    counted = pledges(found.user_map, reserve.id) and holds.counts and balance.supplied > 0
    feed, shown = _price(found, reserve, token, at, must=counted or held.variable + held.stable > 0)
    return Position(
        reserve=reserve,
        asset=token,
        amounts=held,
        stable_rate=balance.stable.rate if balance.stable else 0,
        terms=holds,
        counted=counted,
        feed=feed,
        price=shown,
        available=_available(found.version, reserve.configuration, cash),
    )


def _price(found: Findings, reserve: Reserve, token: Asset, at: Context, must: bool) -> tuple[Feed | None, Price | None]:
    """The feed behind a position and the price to show. A supply that does not count may go without: the book prices it."""
    places = len(str(found.unit)) - 1
    category = found.category
    if category and found.category_price and category.includes(reserve, found.version):
        now, source = found.category_price
        alias = token if category.price_source == reserve.token else _alias(category, at)
        return Feed(category.price_source, alias, now), price(at, Quantity(now, places), source)
    if not must and not reserve.price:
        return None, None
    now = reserve.must_price()
    update = found.updates.get(Address(reserve.source))
    return Feed(reserve.token, token, now), price(at, Quantity(now, places), reserve.source, update)


def _alias(category: Category, at: Context) -> Asset:
    """What stands for the price source of an eMode category: an address that the oracle prices, token or not."""
    return Asset(at.token_id(Address(category.price_source)), f"eMode {category.id} price", 0)


def _available(version: Version, configuration: ReserveConfiguration, cash: int | Failed) -> Quantity | None:
    """What the pool could pay out: nothing from a stopped reserve; unknown outside of virtual accounting (GHO up to 3.3)."""
    if configuration.paused or not configuration.active:
        return Quantity(0, configuration.decimals)
    if isinstance(cash, Failed) or _minted(version, configuration):
        return None
    return Quantity(cash, configuration.decimals)


def _minted(version: Version, configuration: ReserveConfiguration) -> bool:
    """Whether a reserve is outside of virtual accounting, so that what is borrowed is minted: GHO up to 3.3."""
    return version.virtual_balance and not version.whole_taylor and not configuration.virtual


def _exact(version: Version, positions: Sequence[Position]) -> AaveAccount:
    held: list[Held] = []
    owed: list[Owed] = []
    feeds: dict[str, Feed] = {}
    for position in positions:
        feed = position.feed
        if feed is None or not (position.counted or position.owed):
            continue
        feeds.setdefault(feed.key, feed)
        if position.counted:
            held.append(Held(feed.key, position.amounts.supplied, position.unit, position.terms.threshold, position.terms.ltv))
        if position.owed:
            owed.append(Owed(feed.key, position.owed, position.unit))
    return AaveAccount(tuple(held), tuple(owed), tuple(feeds.values()), version.directed)


def _mode(found: Findings) -> str:
    """eMode by its number; isolated where the only collateral has a debt ceiling; else cross."""
    if found.category:
        return f"emode:{found.category.id}"
    if found.version.debt_ceilings and pledges_one(found.user_map):
        for listing in found.reserves:
            if pledges(found.user_map, listing.id) and ReserveConfiguration.unpack(listing.data.configuration.data).debt_ceiling:
                return "isolated"
    return "cross"


def _legs(position: Position, at: Context) -> list[Leg]:
    """One leg for the supply and one for each kind of debt."""
    held = position.amounts
    legs: list[Leg] = []
    if held.supplied:
        legs.append(_collateral(position, at))
    if held.variable:
        legs.append(_debt(position, held.variable, position.reserve.debt_rate, at))
    if held.stable:
        legs.append(_debt(position, held.stable, position.stable_rate, at))
    return legs


def _collateral(position: Position, at: Context) -> Leg:
    known = at.factor_of(position.asset.id)
    holds = position.terms
    return Leg(
        role=Role.COLLATERAL,
        asset=position.asset,
        factor=known.factor,
        peg=known.peg,
        amount=Quantity(position.amounts.supplied, position.asset.decimals),
        price=position.price,
        weight=exact_ratio(holds.threshold, BPS) if position.counted else NOTHING_COUNTED,
        initial_weight=exact_ratio(holds.ltv, BPS) if position.counted else NOTHING_COUNTED,
        enabled=position.counted,
        bonus=exact_ratio(holds.bonus - BPS, BPS) if position.counted and holds.bonus else None,
        apr=exact_ratio(position.reserve.supply_rate, RAY),
        compounding="linear",
        available=position.available,
    )


def _debt(position: Position, amount: int, rate: int, at: Context) -> Leg:
    known = at.factor_of(position.asset.id)
    return Leg(
        role=Role.DEBT,
        asset=position.asset,
        factor=known.factor,
        peg=known.peg,
        amount=Quantity(amount, position.asset.decimals),
        price=position.price,
        apr=exact_ratio(rate, RAY),
        compounding="per second",
        available=position.available,
    )


def _blocked(found: Findings, positions: Sequence[Position], health_factor: int, now: int) -> str:
    """What stands in the way of liquidating an account that is below its line."""
    collateral = [Stake(position.reserve, position.asset.symbol) for position in positions if position.counted]
    debts = [Stake(position.reserve, position.asset.symbol) for position in positions if position.owed]
    return blocked(health_factor, collateral, debts, found.sentinel, now)
