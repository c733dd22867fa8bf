"""GMX V2 (synthetics), version 2.2b: every position is a margin account of its own, backed by one collateral token.

Four rounds for all positions of a wallet on a chain: its positions, all markets and its referral code; parameters and state of the markets
found, prices (`prices`: the URL of the venue's price service, or "oracle" for the feeds on chain, which are taken where nothing is set) and
discounts; the rest of these; and the Reader's own figures at these prices, as the self-check. Without the setting `referral_storage`
discounts are not known, which can only make a fee too high, and the Reader cannot be asked.

Traps. The list of markets grows, so it is read anew at every block. One market may back longs and shorts with a single token. The
Reader's `isPositionLiquidatable` judges with counters as they were last written, a liquidation with everything accrued. Older versions
keep parameters under other keys and are refused; 2.2c bounds the funding rate for each side under keys that are not read here, and an
old Reader would agree. Not read: GM and GLV tokens, orders, funding that is claimable in markets without a position; auto-deleveraging
is a risk of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from defi_risk.errors import AdapterError, BadAnswer, OutOfRange, Unsupported
from defi_risk.ids import AccountId, Address, parse_address
from defi_risk.model import Account, Custody, LiquidationRule, Owner, SelfCheck, Side, SourceReport
from defi_risk.settings import need_address, need_url
from defi_risk.spi import Ask, Context, Found, Market, Reading, Steps, together
from defi_risk.text import shown
from defi_risk_adapters.gmx_v2 import accrual, reader
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.keys import key
from defi_risk_adapters.gmx_v2.legs import legs
from defi_risk_adapters.gmx_v2.prices import ORACLE, STORE, Quotes, priced, quotes
from defi_risk_adapters.gmx_v2.reads import REFERRALS, discounts, market_state
from defi_risk_adapters.gmx_v2.rule import Discounts
from defi_risk_adapters.gmx_v2.state import Listing, MarketState, Pair, Position, Prices

NOTHING = Pair(0, 0)


@dataclass(frozen=True, slots=True)
class _Here:
    """Where and for whom is read."""

    owner: Owner
    market: Market
    at: Context

    @property
    def store(self) -> Address:
        return self.market["data_store"]

    @property
    def referrals(self) -> Address | None:
        given = self.market.get("referral_storage")
        return parse_address(given) if given else None

    @property
    def prices(self) -> str:
        return self.market.get("prices") or ORACLE

    def account(self, position: Position) -> Account:
        """A position's account with nothing in it yet. Its id is the owner's, with market, collateral and side."""
        side = "long" if position.is_long else "short"
        return Account(
            id=AccountId(f"{self.market.account_id(self.owner)}/{position.market}/{position.collateral}/{side}"),
            owner=self.owner.address,
            side=Side.DERIVATIVES,
            venue=self.market.venue or GmxV2.venue,
            market=self.market.name,
            chain=self.market.chain.name,
            mode="isolated",
            rule=LiquidationRule(kind="close"),
            source=self.market.chain.name,
            custody=self._custody(position),
        )

    def _custody(self, position: Position) -> tuple[Custody, ...]:
        """Margin comes in through the order vault, where the market names it, and leaves from the market's own token contract."""
        vault = self.market.get("order_vault")
        holders = (parse_address(vault), position.market) if vault else ()
        return tuple(Custody(asset=self.at.token_id(position.collateral), holder=holder) for holder in holders)


@dataclass(frozen=True, slots=True)
class _Told:
    """A position, what the DataStore keeps of it, and what the Reader answered about it."""

    position: Position
    kept: Sequence[Any]
    view: Sequence[Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """A market that a position is in: its state, or why it cannot be judged, and what the owner may claim in it from earlier."""

    state: MarketState | None
    claimable: Pair[int]
    fault: str = ""


class GmxV2:
    """Reads positions of one deployment. Markets are given by `data_store` and `reader`."""

    name: ClassVar[str] = "gmx_v2"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "GMX V2"
    roots: ClassVar[tuple[str, ...]] = ("data_store", "reader")
    settings: ClassVar[tuple[str, ...]] = ("prices", "referral_storage", "order_vault")
    side: ClassVar[Side] = Side.DERIVATIVES

    def check(self, given: Mapping[str, str]) -> None:
        """Prices come from the venue's oracle or a service; the other two settings are contracts."""
        need_url(given, "prices", ORACLE)
        need_address(given, "referral_storage")
        need_address(given, "order_vault")

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read one owner's positions in all markets of the deployment."""
        here = _Here(owner, market, at)
        referrals = here.referrals
        found, listed, *code = yield [
            *reader.list_asks(market["reader"], here.store, owner.address),
            *([REFERRALS(referrals, "traderReferralCodes", owner.address)] if referrals else []),
        ]
        positions = reader.positions(found, owner.address)
        if not positions:
            return []
        parts: list[Steps[Any]] = [
            discounts(here.store, referrals, owner.address, code[0] if code else b""),
            _surroundings(here, positions, reader.listings(listed)),
        ]
        spared, (places, prices, told) = yield from together(parts)
        return [*_accounts(here, told, places, prices, spared), *_report(here, prices)]


def _surroundings(
    here: _Here, positions: Sequence[Position], listings: Mapping[Address, Listing]
) -> Steps[tuple[dict[Address, _Place], Quotes, list[_Told]]]:
    """The markets of the positions, and prices, in two rounds; then the Reader's views of every position that has its prices."""
    held = dict.fromkeys(position.market for position in positions)
    known = [listings[each] for each in held if each in listings]
    tokens = tuple(dict.fromkeys(token for each in known for token in (each.index, each.long, each.short)))
    own = [_asked(reader.kept_asks(here.store, position)) for position in positions]
    parts: list[Steps[Any]] = [together(own), quotes(here.at, here.store, here.prices, tokens), *(_place(here, each) for each in known)]
    kept, prices, *found = yield from together(parts)
    places = {market: _Place(None, NOTHING, f"GMX lists no market {market}") for market in held}
    places |= {each.token: place for each, place in zip(known, found, strict=True)}
    asks = [_view_asks(here, position, places[position.market].state, prices) for position in positions]
    answers = iter((yield [ask for each in asks for ask in each]))
    views = [[next(answers) for _ in each] for each in asks]
    return places, prices, [_Told(*each) for each in zip(positions, kept, views, strict=True)]


def _place(here: _Here, listing: Listing) -> Steps[_Place]:
    """One market, in two rounds; what is wrong with it is no other's fault."""
    tokens = dict.fromkeys((listing.long, listing.short))
    owned = [STORE(here.store, "getUint", key("CLAIMABLE_FUNDING_AMOUNT", listing.token, token, here.owner.address)) for token in tokens]
    parts: list[Steps[Any]] = [_state(here, listing), _asked(owned)]
    (state, fault), claimable = yield from together(parts)
    return _Place(state, Pair(claimable[0], claimable[1] if len(owned) > 1 else 0), fault)


def _state(here: _Here, listing: Listing) -> Steps[tuple[MarketState | None, str]]:
    try:
        return (yield from market_state(here.store, listing)), ""
    except (OutOfRange, Unsupported) as error:
        return None, str(error)


def _asked(asks: Sequence[Ask]) -> Steps[Sequence[Any]]:
    answers = yield asks
    return answers


def _view_asks(here: _Here, position: Position, state: MarketState | None, found: Quotes) -> list[Ask]:
    """Nothing where the position cannot be judged, or where no referral contract is known."""
    if state is None or here.referrals is None:
        return []
    try:
        at = _prices(state.listing, found)
    except AdapterError:
        return []
    return reader.view_asks(here.market["reader"], here.store, here.referrals, position, state.listing, at)


def _prices(listing: Listing, found: Quotes) -> Prices:
    """Prices of a market's tokens. Raises `MissingPrice`."""
    return Prices(*(priced(found, token).band for token in (listing.index, listing.long, listing.short)))


def _accounts(here: _Here, told: Sequence[_Told], places: Mapping[Address, _Place], found: Quotes, spared: Discounts) -> list[Account]:
    """The positions as accounts; one that cannot be judged is unknown and harms no other. What is claimable in a market is owned once."""
    accounts: list[Account] = []
    claimed: set[Address] = set()
    for each in told:
        market = each.position.market
        place = replace(places[market], claimable=NOTHING) if market in claimed else places[market]
        try:
            accounts.append(_account(here, each, place, found, spared))
            claimed.add(market)
        except (AdapterError, BadAnswer) as error:
            accounts.append(replace(here.account(each.position), status="unknown", reason=shown(str(error), 200)))
    return accounts


def _account(here: _Here, told: _Told, place: _Place, found: Quotes, spared: Discounts) -> Account:
    """One position judged. Raises `AdapterError` or `BadAnswer` where it cannot be."""
    position = told.position
    reader.check(position, told.kept)
    state = place.state
    if state is None:
        raise Unsupported(place.fault)
    listing = state.listing
    if position.collateral not in (listing.long, listing.short):
        raise OutOfRange(f"GMX market {listing.token} takes no collateral in {position.collateral}")
    if not (position.size_usd and position.size_tokens):
        raise Unsupported("a GMX position without a size")
    prices = _prices(listing, found)
    counters, rates = accrual.accrued(state, prices, here.at.timestamp)
    collateral_is_long = position.collateral == listing.long
    exact = GmxExact(
        index=priced(found, listing.index).asset,
        collateral=priced(found, position.collateral).asset,
        position=position,
        state=state,
        prices=prices,
        discounts=spared,
        stored=accrual.written(state).due(position, collateral_is_long),
        due=counters.due(position, collateral_is_long),
    )
    native, said = exact.native(), reader.said(position, told.view)
    return replace(
        here.account(position),
        mode=f"isolated {exact.index.symbol} {'long' if position.is_long else 'short'}",
        legs=legs(exact, rates, found, place.claimable, here.at),
        exact=exact,
        native=native,
        self_check=SelfCheck.compare(native, said) if said else None,
        liquidatable=exact.liquidatable(),
        strict=exact.needed > 0,
        blocked="the market is disabled" if state.disabled else "",
    )


def _report(here: _Here, found: Quotes) -> list[Found]:
    """How the venue's price service was: how old its prices are, or that it gave none. Nothing where they come from the chain."""
    if here.prices == ORACLE or not found:
        return []
    times = [quote.updated_at for quote in found.values() if not isinstance(quote, str) and quote.updated_at is not None]
    if times:
        return [SourceReport(id=GmxV2.name, kind="exchange", as_of=min(times))]
    faults = [quote for quote in found.values() if isinstance(quote, str)]
    return [SourceReport(id=GmxV2.name, kind="exchange", status="failed", error=faults[0])]
