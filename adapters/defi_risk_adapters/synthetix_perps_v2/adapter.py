"""Synthetix PerpsV2: perps against sUSD, one isolated margin account a market.

A position is dead where margin, profit and funding, less a premium for the price impact of its size, are no more than a buffer, the
flagger's fee (a share of the notional between two bounds) and the keeper's fee. It is flagged first and liquidated then; all that is
left goes to those who do it and to the venue.

Traps. The price is the venue's own rate of the base asset, and counts one sUSD as one dollar. Funding is kept as a sequence of sums for
one unit of the base asset; what has run up since its last entry grows with the price, so it is margin in the base asset, and only what
is written down is the position's `accrued_funding`. A flagged position may be liquidated at any price: it is unknown. A pending order
changes nothing before it is executed, and the deposit for it is spent. Margin without a position stands in the market all the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from defi_risk.errors import AdapterError, BadAnswer, MissingPrice, OutOfRange, Unsupported
from defi_risk.ids import ZERO_ADDRESS, AccountId
from defi_risk.model import Account, Asset, Custody, LiquidationRule, Owner, Proof, SelfCheck, Side
from defi_risk.spi import Context, Market, Reading
from defi_risk.text import shown
from defi_risk.units import Quantity
from defi_risk_adapters.oracles import Update, price
from defi_risk_adapters.synthetix_perps_v2 import reads
from defi_risk_adapters.synthetix_perps_v2.exact import Funding, PerpExact
from defi_risk_adapters.synthetix_perps_v2.legs import DECIMALS, legs_of
from defi_risk_adapters.synthetix_perps_v2.reads import FUNDING_NOW, FUNDING_START, Common, Contracts, Seen

DEPOSITED: Final = "MarginTransferred(address,int256)"
"""What a market logs where it burns sUSD for margin, or mints it back."""


class SynthetixPerpsV2:
    """Reads margins in all markets of a FuturesMarketManager. Markets of a book are given by `market_manager`."""

    name: ClassVar[str] = "synthetix_perps_v2"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Synthetix PerpsV2"
    roots: ClassVar[tuple[str, ...]] = ("market_manager",)
    side: ClassVar[Side] = Side.DERIVATIVES

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read one owner's margin in every market."""
        contracts, held = yield from reads.stakes(market["market_manager"], owner)
        if not held:
            return []
        common, seen = yield from reads.books(contracts, held, owner, at)
        return [self._account(each, owner, market, contracts, common, at) for each in seen]

    def _account(self, seen: Seen, owner: Owner, market: Market, contracts: Contracts, common: Common, at: Context) -> Account:
        """The margin account in one market. One that cannot be told is unknown and leaves the others alone."""
        account = Account(
            id=AccountId(f"{market.account_id(owner)}/{seen.market}"),
            owner=owner.address,
            side=self.side,
            venue=market.venue or self.venue,
            market=market.name,
            chain=market.chain.name,
            mode="isolated",
            source=market.chain.name,
        )
        try:
            account = replace(account, id=AccountId(f"{market.account_id(owner)}/{seen.name('marketKey')}"))
            return _known(account, seen, market, contracts, common, at)
        except (AdapterError, BadAnswer) as error:
            return replace(account, status="unknown", reason=shown(str(error), 200))


def _known(account: Account, seen: Seen, market: Market, contracts: Contracts, common: Common, at: Context) -> Account:
    """The account with its figures. Raises `AdapterError` or `BadAnswer` where it cannot be told."""
    if seen["isFlagged"]:
        raise Unsupported(f"the position in the market {seen.market} is flagged", hint="anybody may liquidate it at any price")
    name = seen.name("baseAsset")
    asset = Asset(at.listed_id(SynthetixPerpsV2.name, name), name, DECIMALS)
    exact = _exact(seen, asset, contracts, common, at)
    native = exact.native()
    suspended = f"the market {seen.market} is suspended" if seen["futuresMarketSuspension"].suspended else ""
    rate = price(at, Quantity(exact.price, DECIMALS), contracts.rates, _update(seen, exact.price, at))
    return replace(
        account,
        legs=tuple(legs_of(exact, common.coin, market.root, rate, at)),
        exact=exact,
        native=native,
        self_check=SelfCheck.compare(native, seen.verdict()),
        liquidatable=exact.liquidatable(),
        strict=False,
        blocked=(common.blocked or suspended) if exact.size else "",
        rule=LiquidationRule(kind="close", remainder="lost"),
        custody=(Custody(asset=common.coin.id, holder=ZERO_ADDRESS, proofs=(Proof(seen.market, DEPOSITED),)),),
    )


def _exact(seen: Seen, asset: Asset, contracts: Contracts, common: Common, at: Context) -> PerpExact:
    """The position's integers. Raises `MissingPrice`, and `OutOfRange` for funding that was written in the future."""
    position, quoted, rules = seen["positions"], seen["assetPrice"], seen.rules(common)
    if quoted.invalid or quoted.price <= 0:
        raise MissingPrice(f"the venue's rate of {asset.symbol} is {quoted.price} and {'invalid' if quoted.invalid else 'valid'}")
    written = seen["fundingLastRecomputed"]
    if written > at.timestamp:
        raise OutOfRange(f"the funding of the market {seen.market} was written after the block's time")
    funding = Funding.at(
        at.timestamp,
        written=written,
        rate=seen["fundingRateLastRecomputed"],
        recorded=seen[FUNDING_NOW],
        skew=seen["marketSkew"],
        rules=rules,
    )
    return PerpExact(
        key=contracts.rates,
        asset=asset,
        price=quoted.price,
        margin=position.margin,
        last_price=position.lastPrice,
        size=position.size,
        funding_start=seen[FUNDING_START] if position.lastFundingIndex else None,
        funding=funding,
        rules=rules,
        order=seen["delayedOrders"].sizeDelta,
    )


def _update(seen: Seen, now: int, at: Context) -> Update:
    """When the rate in use was set; unknown where the venue does not tell, or tells of another rate."""
    told = seen.get("rateAndUpdatedTime")
    if told is None or told.rate != now or not 0 < told.time <= at.timestamp:
        return Update()
    return Update(told.time)
