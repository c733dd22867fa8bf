"""gTrade of Gains Network: one diamond contract a chain, in which every trade is a margin account of its own.

A trade puts up collateral in one coin and follows the price of one pair with a leverage. It is liquidated at the pair's index price
where the loss reaches a share of the collateral, fees included; then all of the collateral is lost. Three rounds: the trades; what they
depend on, with the prices; and what the diamond says of them at those prices.

Traps. Prices come from outside the chain (`prices`): without one a trade is unknown, and its reason says at what price it is liquidated.
What it costs to hold a trade moves with the price, and so does the line. Stop losses and orders that wait to be carried out (for seconds)
are not looked at; an order that waits for its price holds collateral and is no position. While trading is paused nothing is liquidated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from defi_risk.errors import AdapterError, BadAnswer, MissingPrice
from defi_risk.ids import AccountId
from defi_risk.model import Account, Asset, Custody, Owner, Side
from defi_risk.settings import need_url
from defi_risk.spi import Context, Found, Market, Reading
from defi_risk.text import shown
from defi_risk_adapters.gains import reads
from defi_risk_adapters.gains.account import SIZE_DECIMALS, exact_of, known, line_text, order, pair_name
from defi_risk_adapters.gains.coin import coin_of
from defi_risk_adapters.gains.prices import ORACLE, SERVICE, PairPrice, board, named_feeds
from defi_risk_adapters.gains.reads import Facts, Held, Listing, Told


@dataclass(frozen=True, slots=True)
class _Priced:
    """A position with its pair's name and price, or with why there is none."""

    held: Held
    name: str
    quoted: PairPrice | None
    fault: str = ""

    @property
    def asked(self) -> tuple[Held, int]:
        """What the third round asks about: without a price the trade's own entry, at which the line is nearly the same."""
        return self.held, self.quoted.value if self.quoted else self.held.trade.openPrice


class Gains:
    """Reads the trades of one wallet. Markets of a book are given by `diamond`; `prices` and `feeds` say where prices are from."""

    name: ClassVar[str] = "gains"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Gains"
    roots: ClassVar[tuple[str, ...]] = ("diamond",)
    settings: ClassVar[tuple[str, ...]] = ("prices", "feeds")
    services: ClassVar[Mapping[str, str]] = {"prices": SERVICE}
    side: ClassVar[Side] = Side.DERIVATIVES

    def check(self, given: Mapping[str, str]) -> None:
        """Prices come from a service, or from feeds that `feeds` names."""
        need_url(given, "prices", ORACLE)
        if given.get("prices") == ORACLE or "feeds" in given:
            named_feeds(given.get("feeds", ""))

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read one owner's trades on one chain."""
        listed = yield from reads.listing(market, owner)
        if not listed.held:
            return []
        facts = yield from reads.facts(listed, owner, board(market, at, wanted=any(not held.is_order for held in listed.held)))
        priced = {held.trade.index: _priced(held, facts) for held in listed.held if not held.is_order}
        told = yield from reads.views(listed, [each.asked for each in priced.values()])
        views = dict(zip(priced, told, strict=True))
        found: list[Found] = []
        for held in listed.held:
            index = held.trade.index
            blank = self._blank(owner, market, held)
            try:
                if held.is_order:
                    found.append(order(blank, held, coin_of(held.trade.collateralIndex, listed, facts, at)))
                else:
                    found.append(_account(blank, priced[index], listed, facts, views[index], at))
            except (AdapterError, BadAnswer) as error:
                found.append(replace(blank, status="unknown", reason=shown(str(error), 200)))
        report = facts.board.report()
        return [*found, report] if report else found

    def _blank(self, owner: Owner, market: Market, held: Held) -> Account:
        return Account(
            id=AccountId(f"{market.account_id(owner)}/{held.trade.index}"),
            owner=owner.address,
            side=self.side,
            venue=market.venue or self.venue,
            market=market.name,
            chain=market.chain.name,
            mode="isolated",
            source=market.chain.name,
        )


def _priced(held: Held, facts: Facts) -> _Priced:
    try:
        name = pair_name(facts.pairs[held.pair])
    except (AdapterError, BadAnswer) as error:
        return _Priced(held, "", None, str(error))
    try:
        return _Priced(held, name, facts.board.price(held.trade.pairIndex, name))
    except (AdapterError, BadAnswer) as error:
        return _Priced(held, name, None, str(error))


def _account(blank: Account, priced: _Priced, listed: Listing, facts: Facts, views: Told, at: Context) -> Account:
    """One trade's account. Raises `AdapterError` or `BadAnswer` where it cannot be told."""
    held, quoted = priced.held, priced.quoted
    if not priced.name:
        raise MissingPrice(priced.fault)
    coin = coin_of(held.trade.collateralIndex, listed, facts, at)
    asset = Asset(at.listed_id(Gains.name, priced.name), priced.name, SIZE_DECIMALS)
    exact = exact_of(held, coin, asset, facts, views, priced.asked[1], quoted.key if quoted else "", at)
    if quoted is None:
        raise MissingPrice(f"{priced.fault}; {line_text(exact)}")
    whole = known(blank, exact, coin, quoted, facts.pairs[held.pair], views, at)
    custody = (Custody(asset=coin.asset.id, holder=listed.diamond),)
    return replace(whole, blocked="trading is paused" if listed.paused else "", custody=custody)
