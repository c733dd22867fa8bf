"""Compound V2 and its forks: a comptroller judges everything that an owner supplies and owes in the markets that it has entered.

One adapter reads them all; how a fork differs is found on chain. Blocks (Compound, Venus) or seconds (Moonwell, Benqi); the size of
`markets()`; a market of the chain's own coin has no `underlying()`; Venus has liquidation thresholds, pools and incentives of each
account (`getEffectiveLtvFactor`, `getEffectiveLiquidationIncentive`), a debt in VAI at one dollar, forced liquidations and pauses of
single actions. What a fork does in ways not known here (Iron Bank's credit limits) shows as a difference in the self-check. The cash of
Compound's DAI market grows when it accrues, by the savings rate of the token behind it: that is not in the views, so not here.

Settings of a market: `unit` if its oracle does not price in USD; `seconds_per_block` for the annual rates of markets that accrue by
block on a chain other than those listed in `SECONDS_PER_BLOCK` (no other figure depends on it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Final

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.ids import USD, Factor
from defi_risk.model import Account, Asset, Custody, Leg, LiquidationRule, Owner, Price, Role, SelfCheck, Side
from defi_risk.settings import need_above_zero
from defi_risk.spi import Context, Market, Reading
from defi_risk.units import EXACT, SECONDS_PER_YEAR, WAD, Quantity, exact_ratio
from defi_risk_adapters.compound_v2 import reads
from defi_risk_adapters.compound_v2.exact import AccountExact, Entry
from defi_risk_adapters.compound_v2.reads import Held, Rules
from defi_risk_adapters.oracles import price

PRICE_DECIMALS: Final = 36  # less those of the underlying token
SECONDS_PER_BLOCK: Final = {1: Decimal(12), 56: Decimal("0.45")}


class CompoundV2:
    """Reads positions of a comptroller. Markets are given by `comptroller`."""

    name: ClassVar[str] = "compound_v2"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Compound V2"
    roots: ClassVar[tuple[str, ...]] = ("comptroller",)
    settings: ClassVar[tuple[str, ...]] = ("unit", "seconds_per_block")

    def check(self, given: Mapping[str, str]) -> None:
        """The time of a block is a number."""
        need_above_zero(given, "seconds_per_block")

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read what one owner has in the markets of one comptroller."""
        comptroller = market["comptroller"]
        rules = yield from reads.rules(comptroller, owner)
        stakes = yield from reads.stakes(owner, rules)
        vai_debt = stakes.vai_debt
        if not stakes.held and not vai_debt:
            return []
        view = reads.checked_view(rules)
        by_time, kinds = yield from reads.kinds(comptroller, owner, stakes)
        held, assets = yield from reads.books(at, rules.oracle, stakes, by_time, kinds)
        exact = _exact(held, vai_debt)
        native = exact.native()
        legs = [leg for each in held for leg in _legs(each, rules, market, at)]
        if vai_debt:
            legs.append(_vai_leg(assets[stakes.vai], vai_debt, rules, at))
        return [
            Account(
                id=market.account_id(owner),
                owner=owner.address,
                side=Side.LENDING,
                venue=market.venue or self.venue,
                market=market.name,
                chain=market.chain.name,
                mode=(f"pool:{rules.pool}" if rules.pool else "cross") + (", forced liquidation" if exact.forced else ""),
                legs=tuple(legs),
                exact=exact,
                native=native,
                self_check=SelfCheck.compare(native, view._asdict()),
                liquidatable=exact.liquidatable(),
                blocked=_blocked(rules, held, vai_debt),
                rule=LiquidationRule(
                    kind="repay", close_factor=exact_ratio(WAD if rules.close_factor is None else rules.close_factor, WAD)
                ),
                source=market.chain.name,
                custody=_custody(held),
            )
        ]


def _exact(held: Sequence[Held], vai_debt: int) -> AccountExact:
    """The account's integers in entered markets, as stored and accrued to the anchor."""
    entries = [
        Entry(
            key=each.stake.token,
            asset=each.asset,
            price=each.price or 0,
            factor=each.kind.weight,
            tokens=each.stake.tokens,
            rate_stored=each.stake.rate,
            rate_now=each.books.new_exchange_rate(each.stake.rate),
            debt_stored=each.stake.debt,
            debt_now=each.books.debt_range(each.stake.debt)[1],
        )
        for each in held
        if each.stake.entered
    ]
    return AccountExact(tuple(entries), vai_debt, forced=any(each.kind.forced and each.stake.debt for each in held))


def _legs(each: Held, rules: Rules, market: Market, at: Context) -> list[Leg]:
    """What the owner supplies to and owes in one market, accrued to the anchor."""
    stake, kind, asset = each.stake, each.kind, each.asset
    ref = at.factor_of(asset.id)
    cash = Quantity(each.books.cash, asset.decimals)
    compounding = "per second" if each.by_time else "per block"
    worth = _price(each, rules, market, at)
    legs: list[Leg] = []
    if stake.tokens:
        supplied = stake.tokens * each.books.new_exchange_rate(stake.rate) // WAD
        legs.append(
            Leg(
                role=Role.COLLATERAL,
                asset=asset,
                factor=ref.factor,
                peg=ref.peg,
                amount=Quantity(supplied, asset.decimals),
                price=worth,
                weight=exact_ratio(kind.weight if stake.entered else 0, WAD),
                initial_weight=exact_ratio(kind.initial_weight if stake.entered else 0, WAD),
                enabled=stake.entered,
                bonus=_bonus(each, rules),
                apr=_apr(each.supply_rate, each.by_time, market),
                compounding=compounding,
                available=cash,
            )
        )
    if stake.debt:
        legs.append(
            Leg(
                role=Role.DEBT,
                asset=asset,
                factor=ref.factor,
                peg=ref.peg,
                amount=Quantity(each.books.debt_range(stake.debt)[1], asset.decimals),
                price=worth,
                apr=_apr(each.books.borrow_rate, each.by_time, market),
                compounding=compounding,
                available=cash,
            )
        )
    return legs


def _price(each: Held, rules: Rules, market: Market, at: Context) -> Price | None:
    """The oracle's price; it does not tell its age."""
    if each.price is None:
        return None
    value = Quantity(each.price, PRICE_DECIMALS - each.asset.decimals)
    return price(at, value, rules.oracle, unit=Factor(market.get("unit") or USD))


def _vai_leg(asset: Asset, debt: int, rules: Rules, at: Context) -> Leg:
    """Debt in Venus' own stablecoin, as it stood when VAI last accrued; the comptroller counts it at one dollar."""
    ref = at.factor_of(asset.id)
    par = Price(Quantity(1, 0), USD, rules.vai_controller or "")
    return Leg(role=Role.DEBT, asset=asset, factor=ref.factor, peg=ref.peg, amount=Quantity(debt, 18), price=par)


def _bonus(each: Held, rules: Rules) -> Decimal | None:
    """What a liquidator gets on top of this collateral. Raises `OutOfRange` for an incentive below 1."""
    incentive = each.kind.incentive if each.kind.incentive is not None else rules.incentive
    if not incentive:
        return None
    if incentive < WAD:
        raise OutOfRange(f"market {each.stake.token} has a liquidation incentive below 1")
    return exact_ratio(incentive - WAD, WAD)


def _apr(rate: int, by_time: bool, market: Market) -> Decimal | None:
    """Simple annual rate of a rate per second or block (1e18); None where the time of a block is not known."""
    if by_time:
        return exact_ratio(rate * SECONDS_PER_YEAR, WAD)
    seconds = _seconds_per_block(market)
    return None if seconds is None else EXACT.divide(exact_ratio(rate * SECONDS_PER_YEAR, WAD), seconds)


def _seconds_per_block(market: Market) -> Decimal | None:
    setting = market.get("seconds_per_block")
    if not setting:
        return SECONDS_PER_BLOCK.get(market.chain.id)
    try:
        seconds = Decimal(setting)
    except InvalidOperation:
        seconds = Decimal(0)
    if not (seconds.is_finite() and seconds > 0):
        raise Unsupported(f"market setting seconds_per_block = {setting!r}", hint="it must be a number above 0")
    return seconds


def _custody(held: Sequence[Held]) -> tuple[Custody, ...]:
    """A cToken pays out what is borrowed, and takes its own units back for what is withdrawn. The chain's own coin leaves no transfers."""
    owing = [each for each in held if each.stake.debt and each.kind.underlying]
    return tuple(Custody(asset=each.asset.id, holder=each.stake.token, receipt=each.stake.token) for each in owing)


def _blocked(rules: Rules, held: Sequence[Held], vai_debt: int) -> str:
    """Why no liquidation would go through at present."""
    debts = [each.kind for each in held if each.stake.debt]
    pledged = [each.kind for each in held if each.stake.tokens and each.stake.entered]
    if not debts and not vai_debt:
        return ""
    if rules.paused:
        return rules.paused
    if not vai_debt and all(kind.liquidate_paused for kind in debts):
        return "liquidating is paused in every market that the account owes in"
    if pledged and all(kind.seize_paused for kind in pledged):
        return "seizing is paused in every market that the account has collateral in"
    return ""
