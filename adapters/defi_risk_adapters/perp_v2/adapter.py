"""Perpetual Protocol V2 (curie): perpetuals on virtual tokens in Uniswap V3 pools, all positions of a trader in one margin account.

Everything is found from the clearing house. Margin is the settlement token, with realised profit and fees not settled yet, and other
tokens at what of their value counts; it is counted in plain dollars, the settlement token at one. A position moves with its market's
mark price: the median of the pool's price over 15 seconds, over half an hour, and of the index with the premium of 15 minutes. Below
the requirement liquidators take over up to half of all notional, and all of it below half of the requirement.

Traps. Liquidity of the account in an open market moves its position with the pool's price: such an account is unknown, whole. A paused or
closed market still counts, at a price that no longer moves, and cannot be liquidated: its position follows the dollar here. The
initial requirement is counted on debt, not on notional (`getTotalDebtValue`): a long at what it was bought for, less the quote that
shorts brought in; `initial_rate` is the plain ratio, and `native` has the venue's own free collateral. Collateral other than the settlement
token may be sold before positions are closed (`Vault.isLiquidatable`), at a maintenance ratio with a buffer or for debt in the settlement
token alone: the account's mode says where that is so now, its distances are those of `ClearingHouse.liquidate`.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import ClassVar, Final

from defi_risk.errors import CallReverted
from defi_risk.ids import USD, Address
from defi_risk.model import Account, Custody, FactorRef, Leg, LiquidationRule, Owner, Price, Role, SelfCheck, Side, Tier
from defi_risk.model import Position as Derivative
from defi_risk.spi import Context, Failed, Market, Reading
from defi_risk.units import Quantity, exact_ratio
from defi_risk_adapters.perp_v2 import reads
from defi_risk_adapters.perp_v2.exact import DECIMALS, RATIO, AccountExact, Collateral, Position
from defi_risk_adapters.perp_v2.markets import Answers
from defi_risk_adapters.perp_v2.reads import Contracts, Held, Stakes

HALF: Final = Decimal("0.5")
WHOLE_UNDER: Final = Decimal(100)  # AccountBalance.sol, _MIN_PARTIAL_LIQUIDATE_POSITION_VALUE: of one position
RULE: Final = LiquidationRule(kind="close", close_factor=HALF, full_below=HALF, full_under_usd=WHOLE_UNDER, remainder="refunded")


class PerpV2:
    """Reads a trader's account. A market is given by `clearing_house`."""

    name: ClassVar[str] = "perp_v2"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Perpetual Protocol V2"
    roots: ClassVar[tuple[str, ...]] = ("clearing_house",)
    side: ClassVar[Side] = Side.DERIVATIVES

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read one trader's account; none where nothing is held."""
        found = yield from reads.contracts(market["clearing_house"], owner)
        stake = yield from reads.stakes(found, owner)
        if stake.empty:
            return []
        held = yield from reads.holdings(found, stake, owner, at)
        exact = self._exact(stake, held, at)
        native = exact.native()
        return [
            Account(
                id=market.account_id(owner),
                owner=owner.address,
                side=Side.DERIVATIVES,
                venue=market.venue or self.venue,
                market=market.name,
                chain=market.chain.name,
                mode="cross, collateral can be sold" if exact.sellable() else "cross",
                legs=tuple(_legs(exact, found, stake, held, at)),
                exact=exact,
                native=native,
                self_check=SelfCheck.compare(native, held.views | {"unrealizedPnl": stake.pnl[1]}),
                liquidatable=exact.liquidatable(),
                blocked=_blocked(found, exact),
                rule=RULE,
                source=market.chain.name,
                custody=tuple(Custody(asset=at.token_id(token), holder=found.vault) for token in (stake.settlement, *stake.tokens)),
            )
        ]

    def _exact(self, stake: Stakes, held: Held, at: Context) -> AccountExact:
        """The account's integers. Raises where a market has no price, or is not modelled."""
        positions: list[Position] = []
        for each in held.markets:
            # a base token is a name that the venue gives, not something to hold: its id says so
            asset = replace(held.assets[each.base], id=at.listed_id(self.name, each.base))
            positions.append(each.position(asset, at.default_heartbeat))
        if isinstance(stake.pnl, Failed):
            raise CallReverted(f"getPnlAndPendingFee does not work for this account: {stake.pnl.reason}")
        owed, _, fee = stake.pnl
        return AccountExact(held.terms, stake.settlement, stake.balance, owed, fee, tuple(positions), held.collaterals)


def _blocked(found: Contracts, exact: AccountExact) -> str:
    """Why no position can be liquidated at present."""
    held = [each for each in exact.positions if each.size]
    if not held:
        return ""
    if found.paused:
        return "the clearing house is paused"
    return "" if any(each.live for each in held) else "every market that it has a position in is paused or closed"


def _legs(exact: AccountExact, found: Contracts, stake: Stakes, held: Held, at: Context) -> list[Leg]:
    """The settlement token, other collateral, then the positions."""
    legs = [_settlement(exact, found.vault, stake.settlement, held, at)]
    legs += [_collateral(exact, each, at) for each in exact.collaterals]
    rows = zip(exact.positions, held.markets, strict=True)
    legs += [_position(each, answers, stake, at) for each, answers in rows if each.size]
    return [leg for leg in legs if leg.amount.raw or len(legs) == 1]


def _settlement(exact: AccountExact, vault: Address, token: Address, held: Held, at: Context) -> Leg:
    """The balance with what has been realised: profit, fees, and all of a market whose position is down to nothing."""
    settled = [each.open_notional - each.funding for each in exact.positions if not each.size]
    amount = exact.balance * exact.terms.unit + exact.owed + exact.fee + sum(settled)
    asset = held.assets[token]
    ref = at.factor_of(asset.id)
    par = Price(Quantity(1, 0), USD, vault)
    return Leg(
        role=Role.MARGIN,
        asset=asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(amount, DECIMALS),
        price=par,
        available=Quantity(exact.payable(), exact.terms.decimals),
    )


def _collateral(exact: AccountExact, each: Collateral, at: Context) -> Leg:
    ref = at.factor_of(each.asset.id)
    return Leg(
        role=Role.MARGIN,
        asset=each.asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(each.balance, each.asset.decimals),
        price=Price(Quantity(each.price, each.price_decimals), USD, each.key),
        weight=exact_ratio(each.ratio, RATIO),
        available=Quantity(exact.payable(each), each.asset.decimals),
    )


def _position(each: Position, answers: Answers, stake: Stakes, at: Context) -> Leg:
    mark = Quantity(each.price, DECIMALS)
    ref = at.factor_of(each.asset.id) if each.live else FactorRef(USD)
    return Leg(
        role=Role.POSITION,
        asset=each.asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(abs(each.size), DECIMALS),
        price=Price(mark, USD, each.key),
        position=Derivative(
            size=Quantity(each.size, DECIMALS).decimal(),
            entry=exact_ratio(-each.open_notional, each.size),
            mark=mark.decimal(),
            quote=USD,
            tiers=(Tier(Decimal(0), exact_ratio(stake.maintenance, RATIO), Decimal(0)),),
            initial_rate=exact_ratio(stake.initial, RATIO),
            liquidation_fee=exact_ratio(stake.penalty, RATIO),
            funding_8h=answers.rate(stake.most_funding, each.price),
            unrealized_pnl=Quantity(each.value(each.price) + each.open_notional, DECIMALS).decimal(),
            accrued_funding=Quantity(-each.funding, DECIMALS).decimal(),
        ),
    )
