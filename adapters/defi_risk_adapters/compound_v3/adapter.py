"""Compound V3 (Comet): one contract for each base token, which one supplies or borrows against collateral held in the same contract.

At most four rounds: the account's state; the assets it is in; their balances and prices; and, only for a market that does not price in
USD, what its base token is worth in USD elsewhere. The implementation behind a Comet is replaced at every change of a parameter, so
nothing about it is cached.

Traps. Collateral earns nothing, and a base supply is not collateral. Moving collateral does not accrue. `getPrice` reverts for an
answer that is not positive: the account is then unknown. `absorb` takes all collateral at once and credits `liquidationFactor` of its
value, so a leg's `bonus` is the penalty 1 - liquidationFactor (a buyer of the seized collateral gets only a part of it). A contract
that holds 24 assets keeps the last eight bits of `assetsIn` in the byte that older ones reserve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.errors import OutOfRange
from defi_risk.ids import USD, ZERO_ADDRESS, Address
from defi_risk.model import Account, Asset, Custody, Leg, LiquidationRule, Owner, Price, Role, SelfCheck, Side
from defi_risk.spi import Ask, Context, Failed, Market, Reading, Steps, together
from defi_risk.units import SECONDS_PER_YEAR, WAD, Quantity, exact_ratio
from defi_risk_adapters.compound_v3.exact import CometExact, Holding, accrued, present_value, utilization
from defi_risk_adapters.compound_v3.unit import COMET, FEED, Base, Sibling, Unit, base_in_usd, decided, quotes, siblings, unit_of
from defi_risk_adapters.oracles import Update, price, updates
from defi_risk_adapters.tokens import ERC20, metadata

MOST_ASSETS: Final = 24  # CometWithExtendedAssetList.sol, MAX_ASSETS_FOR_ASSET_LIST
PAUSED_WITHDRAW: Final = 1 << 2  # CometConfiguration.sol, PAUSE_WITHDRAW_OFFSET
PAUSED_ABSORB: Final = 1 << 3  # PAUSE_ABSORB_OFFSET


@dataclass(frozen=True, slots=True)
class _State:
    """What the first round tells: the market's books and the account's."""

    comet: Address
    base: Address
    feed: Address
    scale: int
    totals: Any
    principal: int
    assets: tuple[int, ...]
    views: dict[str, int | bool]

    @property
    def utilization(self) -> int:
        """Of the written indices, as rates are computed."""
        totals = self.totals
        return utilization(totals.totalSupplyBase, totals.baseSupplyIndex, totals.totalBorrowBase, totals.baseBorrowIndex)


@dataclass(frozen=True, slots=True)
class _Market:
    """What the second round tells: assets held, base price, rates per second (1e18), base tokens at hand."""

    infos: Sequence[Any]
    base: Base
    supply_rate: int
    borrow_rate: int
    cash: int


@dataclass(frozen=True, slots=True)
class _Held:
    """What the third round tells of one collateral."""

    info: Any
    balance: int
    total: int
    answer: int


class CompoundV3:
    """Reads Comet positions. Markets are given by `comet`; `unit` names the unit of a market's feeds where it cannot be found."""

    name: ClassVar[str] = "compound_v3"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Compound V3"
    roots: ClassVar[tuple[str, ...]] = ("comet",)
    settings: ClassVar[tuple[str, ...]] = ("unit",)

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read one owner's position in one Comet."""
        state = yield from _state(market["comet"], owner, at)
        if state.principal == 0 and not state.assets:
            return []
        this = yield from _market(state, at)
        factor = decided(market, this.base)
        held, assets, ages, others = yield from _holdings(owner, market, state, this, at, convert=factor != USD)
        base_usd = yield from base_in_usd(market, at, this.base, others)
        unit = unit_of(this.base, factor, base_usd)
        exact = _exact(state, this, held, assets, at)
        prices = _Prices(unit, ages, at)
        native = exact.native()
        account = Account(
            id=market.account_id(owner),
            owner=owner.address,
            side=Side.LENDING,
            venue=market.venue or self.venue,
            market=market.name,
            chain=market.chain.name,
            legs=tuple(_legs(state, this, held, assets, exact, prices, at)),
            exact=exact,
            native=native,
            self_check=SelfCheck.compare(native, state.views),
            liquidatable=exact.liquidatable(),
            blocked="absorbing is paused" if exact.borrows and state.totals.pauseFlags & PAUSED_ABSORB else "",
            rule=LiquidationRule(kind="absorb"),
            source=market.chain.name,
            custody=_custody(state, at) if exact.borrows else (),
        )
        return [account, *quotes(this.base, unit, base_usd)]


def _state(comet: Address, owner: Owner, at: Context) -> Steps[_State]:
    """Round 1. Raises `OutOfRange` for books that cannot be."""
    who = owner.address
    base, feed, scale, count, totals, user, *views = yield [
        COMET(comet, "baseToken"),
        COMET(comet, "baseTokenPriceFeed"),
        COMET(comet, "baseScale"),
        COMET(comet, "numAssets"),
        COMET(comet, "totalsBasic"),
        COMET(comet, "userBasic", who),
        COMET(comet, "borrowBalanceOf", who),
        COMET(comet, "balanceOf", who),
        COMET(comet, "isLiquidatable", who, optional=True),
        COMET(comet, "isBorrowCollateralized", who, optional=True),
    ]
    principal, _, _, low_bits, high_bits = user
    bits = low_bits | high_bits << 16
    _require(base != ZERO_ADDRESS and feed != ZERO_ADDRESS, f"Comet {comet} has no base token or no price feed for it")
    _require(count <= MOST_ASSETS, f"Comet {comet} lists {count} assets")
    _require(bits >> count == 0, f"account {who} is in assets that Comet {comet} does not list")
    _require(totals.baseSupplyIndex > 0 and totals.baseBorrowIndex > 0, f"Comet {comet} has an index of 0")
    _require(totals.lastAccrualTime <= at.timestamp, f"Comet {comet} accrued after the block's time")
    names = ("borrowBalanceOf", "balanceOf", "isLiquidatable", "isBorrowCollateralized")
    said = {name: view for name, view in zip(names, views, strict=True) if not isinstance(view, Failed)}
    return _State(comet, base, feed, scale, totals, principal, tuple(i for i in range(count) if bits >> i & 1), said)


def _market(state: _State, at: Context) -> Steps[_Market]:
    """Round 2. Raises `OutOfRange` for assets that cannot be."""
    comet, used = state.comet, state.utilization
    text, answer, supply_rate, borrow_rate, cash, *infos = yield [
        FEED(state.feed, "description", optional=True),
        COMET(comet, "getPrice", state.feed),
        COMET(comet, "getSupplyRate", used),
        COMET(comet, "getBorrowRate", used),
        ERC20(state.base, "balanceOf", comet),
        *(COMET(comet, "getAssetInfo", index) for index in state.assets),
    ]
    _require(answer > 0, f"Comet {comet} prices its base token at {answer}")
    for index, info in zip(state.assets, infos, strict=True):
        _require(info.asset != ZERO_ADDRESS and info.scale > 0, f"asset {index} of Comet {comet} is empty")
        top = max(info.borrowCollateralFactor, info.liquidateCollateralFactor, info.liquidationFactor)
        _require(top <= WAD, f"asset {index} of Comet {comet} has a factor above 1")
    description = None if isinstance(text, Failed) else text
    base = Base(state.base, state.feed, description, answer, at.factor_of(at.token_id(state.base)))
    return _Market(infos, base, supply_rate, borrow_rate, cash)


def _holdings(
    owner: Owner, market: Market, state: _State, this: _Market, at: Context, *, convert: bool
) -> Steps[tuple[list[_Held], dict[Address, Asset], dict[Address, Update], list[Sibling]]]:
    """Round 3: balances and prices, metadata, ages of the feeds by address, and where to look for the base token's USD price."""
    comet = state.comet
    parts: list[Steps[Any]] = [
        metadata(at, [state.base, *(info.asset for info in this.infos)]),
        updates(at, [state.feed, *(info.priceFeed for info in this.infos)]),
        _ask([COMET(comet, "userCollateral", owner.address, info.asset) for info in this.infos]),
        _ask([COMET(comet, "totalsCollateral", info.asset) for info in this.infos]),
        _ask([COMET(comet, "getPrice", info.priceFeed) for info in this.infos]),
        *([siblings(market, at, state.base)] if convert else []),
    ]
    assets, ages, balances, totals, answers, *others = yield from together(parts)
    held = [
        _Held(info, balance.balance, total.totalSupplyAsset, answer)
        for info, balance, total, answer in zip(this.infos, balances, totals, answers, strict=True)
    ]
    for each in held:
        _require(each.answer > 0, f"Comet {comet} prices {each.info.asset} at {each.answer}")
        _require(each.info.scale == 10 ** assets[each.info.asset].decimals, f"Comet {comet} scales {each.info.asset} by {each.info.scale}")
    _require(state.scale == 10 ** assets[state.base].decimals, f"Comet {comet} scales its base token by {state.scale}")
    return held, assets, ages, others[0] if others else []


def _exact(state: _State, this: _Market, held: Sequence[_Held], assets: dict[Address, Asset], at: Context) -> CometExact:
    """The account's integers, accrued to the anchor where `absorb` and the balance views accrue."""
    totals, principal = state.totals, state.principal
    seconds = at.timestamp - totals.lastAccrualTime
    borrow_index = accrued(totals.baseBorrowIndex, this.borrow_rate, seconds)
    supply_index = accrued(totals.baseSupplyIndex, this.supply_rate, seconds)
    return CometExact(
        base=assets[state.base],
        base_feed=state.feed,
        base_price=this.base.price,
        base_scale=state.scale,
        borrows=principal < 0,
        debt_stored=present_value(principal, totals.baseBorrowIndex) if principal < 0 else 0,
        debt_now=present_value(principal, borrow_index) if principal < 0 else 0,
        supply_now=present_value(principal, supply_index) if principal > 0 else 0,
        holdings=tuple(
            Holding(
                each.info.priceFeed,
                assets[each.info.asset],
                each.answer,
                each.balance,
                each.info.scale,
                each.info.borrowCollateralFactor,
                each.info.liquidateCollateralFactor,
            )
            for each in held
        ),
        movable=not this.base.constant,
    )


@dataclass(frozen=True, slots=True)
class _Prices:
    """Prices of legs: their unit, and what each feed tells about the age of its answer."""

    unit: Unit
    ages: dict[Address, Update]
    at: Context

    def of(self, answer: int, feed: Address) -> Price:
        """Price of an answer of a feed."""
        return price(self.at, self.unit.value(answer), feed, self.ages.get(feed), self.unit.factor)


def _legs(
    state: _State, this: _Market, held: Sequence[_Held], assets: dict[Address, Asset], exact: CometExact, prices: _Prices, at: Context
) -> list[Leg]:
    """Debt or supply of the base token, then every collateral. Amounts are accrued to the anchor."""
    paused = bool(state.totals.pauseFlags & PAUSED_WITHDRAW)
    legs: list[Leg] = []
    if state.principal:
        asset = assets[state.base]
        debt = exact.borrows
        rate = this.borrow_rate if debt else this.supply_rate
        legs.append(
            Leg(
                role=Role.DEBT if debt else Role.COLLATERAL,
                asset=asset,
                factor=this.base.ref.factor,
                peg=this.base.ref.peg,
                amount=Quantity(exact.debt_now if debt else exact.supply_now, asset.decimals),
                price=prices.of(this.base.price, state.feed),
                weight=Decimal(1 if debt else 0),
                enabled=debt,
                apr=exact_ratio(rate * SECONDS_PER_YEAR, WAD),
                compounding="per second",
                available=Quantity(0 if paused else this.cash, asset.decimals),
            )
        )
    for each in held:
        info, asset = each.info, assets[each.info.asset]
        ref = at.factor_of(asset.id)
        legs.append(
            Leg(
                role=Role.COLLATERAL,
                asset=asset,
                factor=ref.factor,
                peg=ref.peg,
                amount=Quantity(each.balance, asset.decimals),
                price=prices.of(each.answer, info.priceFeed),
                weight=exact_ratio(info.liquidateCollateralFactor, WAD),
                initial_weight=exact_ratio(info.borrowCollateralFactor, WAD),
                bonus=exact_ratio(WAD - info.liquidationFactor, WAD),
                apr=Decimal(0),
                available=Quantity(0 if paused else each.total, asset.decimals),
            )
        )
    return legs


def _custody(state: _State, at: Context) -> tuple[Custody, ...]:
    """The Comet pays out what is borrowed; it is also the token of supplies, burnt when they are withdrawn."""
    return (Custody(asset=at.token_id(state.base), holder=state.comet, receipt=state.comet),)


def _ask(asks: Sequence[Ask]) -> Steps[Sequence[Any]]:
    """One round of plain reads as steps, so that they can stand beside others."""
    answers = yield asks
    return answers


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise OutOfRange(fault)
