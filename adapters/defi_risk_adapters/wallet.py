"""What lies idle in a wallet: the chain's own coin and listed tokens. Owned, but no health rests on it.

Listed are the tokens of the factor table and those that the lending markets read on this chain list. No other token is ever read: a
look-alike that somebody sent to the wallet does not exist for us. Prices are those of the first venue on this chain that lists the
token in USD; a listed token that is held and that no venue prices is priced by other sources of the book where it has no peg, and
makes the account unknown where they do not either.

The same prices go out as quotes: what one unit of each unpegged factor is worth, for accounts that count in it (a Comet in ETH).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.errors import CallReverted, OutOfRange
from defi_risk.ids import USD, Address, AssetId, native_id
from defi_risk.model import Account, Asset, FactorRef, Leg, Owner, Price, Quote, Role, Side
from defi_risk.spi import Ask, Context, Failed, Market, NativeBalance, Reading, Steps, together
from defi_risk.units import Quantity
from defi_risk_adapters import venues
from defi_risk_adapters.tokens import ERC20, asset, symbols
from defi_risk_adapters.venues import Listed, Offer

COIN_DECIMALS: Final = 18
# Celo and Metis: the coin is also a token, and its balance there is the coin's. Counting both would count it twice.
COIN_AS_TOKEN: Final = frozenset(
    {(42_220, "0x471EcE3750Da237f93B8E339c536989b8978a438"), (1_088, "0xDeadDeAddeAddEAddeadDEaDDEAdDeaDDeAD0000")}
)


@dataclass(frozen=True, slots=True)
class _Balances:
    """Amounts in the smallest unit of tokens that told them; `faults` are tokens that did not, with the reason."""

    tokens: Mapping[Address, int]
    faults: Mapping[Address, str]

    def __or__(self, other: _Balances) -> _Balances:
        return _Balances({**self.tokens, **other.tokens}, {**self.faults, **other.faults})

    @property
    def held(self) -> list[Address]:
        """Tokens of which there is something."""
        return [token for token, amount in self.tokens.items() if amount]


@dataclass(frozen=True, slots=True)
class _Found:
    """What three rounds tell: balances so far, every offer of a price by token, answers to those asked, tokens yet to be read."""

    coin: int
    balances: _Balances
    offers: Mapping[Address, Offer]
    answers: Mapping[Ask, Any]
    unread: tuple[Address, ...]


class Wallet:
    """Reads idle balances. Its market has no root: there is one a chain."""

    name: ClassVar[str] = "wallet"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Wallet"
    roots: ClassVar[tuple[str, ...]] = ()

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Idle holdings as one account, and quotes; no account where nothing is held. Four rounds."""
        found = yield from _three_rounds(owner, at)
        tokens = [*found.balances.held, *found.unread]
        asks = [found.offers[token].ask for token in tokens if token in found.offers and found.offers[token].ask not in found.answers]
        parts: list[Steps[Any]] = [_balances(owner, found.unread), _decimals(tokens), _names(tokens), _round(asks), _there(found.balances)]
        rest, decimals, names, answers, there = yield from together(parts)
        balances = found.balances | rest
        _complain(balances, there | {token for token, places in decimals.items() if not isinstance(places, Failed)})
        prices = _Prices(at, found.offers, {**found.answers, **dict(zip(asks, answers, strict=True))}, decimals)
        legs = (*_coin_leg(at, found.coin, prices), *_token_legs(at, balances, decimals, names, prices))
        return [_account(owner, market, legs, self.venue), *prices.quotes()] if legs else [*prices.quotes()]


def _three_rounds(owner: Owner, at: Context) -> Steps[_Found]:
    known = tuple(token for asset_id in at.factors if (token := _token(asset_id)) and not _is_coin(at, token))
    parts: list[Steps[Any]] = [_round([NativeBalance(owner.address)]), _balances(owner, known), _early(owner, at, known), venues.late(at)]
    [coin], held, (more, answers, early), late = yield from together(parts)
    return _Found(
        coin=coin,
        balances=held | more,
        offers=_first_offers([*early, *late]),
        answers=answers,
        unread=_new(at, late, {*known, *more.tokens, *more.faults}),
    )


def _early(owner: Owner, at: Context, known: Sequence[Address]) -> Steps[tuple[_Balances, dict[Ask, Any], list[Listed]]]:
    """Rounds 1 to 3: what Aave and Comet list, balances of those tokens that the factor table does not have, and prices."""
    listed = yield from venues.early(at)
    asks: list[Ask] = [offer.ask for offer in _first_offers(listed).values()]
    parts: list[Steps[Any]] = [_balances(owner, _new(at, listed, set(known))), _round(asks)]
    balances, answers = yield from together(parts)
    return balances, dict(zip(asks, answers, strict=True)), listed


def _token(asset_id: AssetId) -> Address | None:
    """The token's address in an asset id; None for a coin."""
    _, found, address = asset_id.rpartition("/erc20:")
    return Address(address) if found else None


def _is_coin(at: Context, token: Address) -> bool:
    return (at.chain.id, token) in COIN_AS_TOKEN


def _new(at: Context, markets: Iterable[Listed], seen: Container[Address]) -> tuple[Address, ...]:
    """Tokens of these markets that have not been seen yet."""
    return tuple(dict.fromkeys(token for market in markets for token in market.tokens if token not in seen and not _is_coin(at, token)))


def _first_offers(markets: Iterable[Listed]) -> dict[Address, Offer]:
    """By token, the offer of the first market that prices it in USD, else of the first that prices it in another unit."""
    offers = [offer for market in markets for offer in market.offers]
    found: dict[Address, Offer] = {}
    for offer in sorted(offers, key=lambda offer: offer.unit != USD):
        found.setdefault(offer.token, offer)
    return found


def _round(asks: Sequence[Ask]) -> Steps[Sequence[Any]]:
    """One round of plain reads as steps, so that they can stand beside others; none where there is nothing to ask."""
    answers = (yield asks) if asks else ()
    return answers


def _balances(owner: Owner, tokens: Sequence[Address]) -> Steps[_Balances]:
    answers = yield from _round([ERC20(token, "balanceOf", owner.address, optional=True) for token in tokens])
    found = dict(zip(tokens, answers, strict=True))
    return _Balances(
        {token: amount for token, amount in found.items() if not isinstance(amount, Failed)},
        {token: amount.reason for token, amount in found.items() if isinstance(amount, Failed)},
    )


def _decimals(tokens: Sequence[Address]) -> Steps[dict[Address, int | Failed]]:
    answers = yield from _round([ERC20(token, "decimals", optional=True, forever=True) for token in tokens])
    return dict(zip(tokens, answers, strict=True))


def _names(tokens: Sequence[Address]) -> Steps[dict[Address, str]]:
    return (yield from symbols(tokens)) if tokens else {}


def _there(balances: _Balances) -> Steps[frozenset[Address]]:
    """Which of the tokens that told no balance are tokens at this block: they tell their decimals, now and not from a cache."""
    answers = yield from _round([ERC20(token, "decimals", optional=True) for token in balances.faults])
    return frozenset(token for token, answer in zip(balances.faults, answers, strict=True) if not isinstance(answer, Failed))


def _complain(balances: _Balances, there: Container[Address]) -> None:
    """A listed token that is there and tells no balance may hold anything. One that is not there, or not yet, holds nothing."""
    for token, reason in balances.faults.items():
        if token in there:
            raise CallReverted(f"token {token} does not tell the wallet's balance: {reason}")


class _Prices:
    """Prices of tokens and of the coin, from the venues of this chain."""

    def __init__(
        self, at: Context, offers: Mapping[Address, Offer], answers: Mapping[Ask, Any], decimals: Mapping[Address, int | Failed]
    ) -> None:
        self._at = at
        self._known: dict[Address, Price] = {}
        for token, offer in offers.items():
            places = decimals.get(token, 0 if offer.decimals is not None else None)
            if offer.ask in answers and places is not None and not isinstance(places, Failed):
                price = offer.price(answers[offer.ask], places)
                if price is not None:
                    self._known[token] = price

    def of(self, token: Address) -> Price | None:
        """Price of a token, None where no venue here prices it."""
        return self._known.get(token)

    def alike(self, ref: FactorRef) -> Price | None:
        """Price of a token with exactly this factor and peg: the coin is worth what its wrapped form is."""
        return next((price for token, price in self._known.items() if self._ref(token) == ref), None)

    def quotes(self) -> list[Quote]:
        """One quote for every factor of the table that a token without peg follows."""
        found: dict[str, Quote] = {}
        for token, price in self._known.items():
            ref = self._ref(token)
            if ref is not None and ref.peg is None and price.unit == USD:
                found.setdefault(ref.factor, Quote(ref.factor, price))
        return list(found.values())

    def _ref(self, token: Address) -> FactorRef | None:
        return self._at.factors.get(self._at.token_id(token))


def _coin_leg(at: Context, amount: int, prices: _Prices) -> Iterable[Leg]:
    """The coin; on a chain that no table knows it counts only where it has a price, for a test chain's coin is worth nothing."""
    coin = Asset(native_id(at.chain.id), at.chain.coin, COIN_DECIMALS)
    ref = at.factors.get(coin.id)
    price = prices.alike(ref or FactorRef(at.chain.coin_factor))
    if amount and (ref or price):
        yield _leg(coin, ref or FactorRef(at.chain.coin_factor), amount, price)


def _token_legs(
    at: Context, balances: _Balances, decimals: Mapping[Address, int | Failed], names: Mapping[Address, str], prices: _Prices
) -> Iterable[Leg]:
    """A leg for every token held. Raises `OutOfRange` for one whose decimals are not to be had."""
    for token in balances.held:
        places = decimals[token]
        if isinstance(places, Failed):
            raise OutOfRange(f"token {token} is held but does not tell its decimals: {places.reason}")
        kind = asset(at, token, names[token], places)
        yield _leg(kind, at.factor_of(kind.id), balances.tokens[token], prices.of(token))


def _leg(kind: Asset, ref: FactorRef, amount: int, price: Price | None) -> Leg:
    return Leg(
        role=Role.COLLATERAL,
        asset=kind,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(amount, kind.decimals),
        price=price,
        weight=Decimal(0),
        enabled=False,
    )


def _account(owner: Owner, market: Market, legs: tuple[Leg, ...], venue: str) -> Account:
    return Account(
        id=market.account_id(owner),
        owner=owner.address,
        side=Side.LENDING,
        venue=market.venue or venue,
        market=market.name,
        chain=market.chain.name,
        legs=legs,
        liquidatable=False,
        source=market.chain.name,
    )
