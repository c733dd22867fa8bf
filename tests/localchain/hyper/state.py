"""HyperCore's state, as far as margin accounts need it, and the published rules that follow from it.

A double, written from the documentation in its own words: it adds maintenance up bracket by bracket, where the adapter takes deductions
off, and its liquidation prices come from the documentation's formula. `onchain` and `offchain` show it as the real one shows itself;
what it says of recorded real accounts is held against the recordings in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

USDC: Final = 0
HYPE: Final = 150
PERP_PLACES: Final = 6
SPOT_PLACES: Final = 8
Tiers = tuple[tuple[int, int], ...]
"""Lower bound of notional and greatest leverage, from 0 on."""


@dataclass
class Coin:
    """A perpetual: `places` of its size, its margin table and prices; `funding` for one hour."""

    name: str
    places: int
    table: int
    mark: Decimal
    funding: str = "0.0000125"
    leverage: int = 10
    delisted: bool = False


@dataclass
class Dex:
    """A perp dex: what it lists, its margin tables beside the plain ones below 50, and the token that it settles in."""

    name: str
    coins: list[Coin]
    tables: dict[int, Tiers] = field(default_factory=dict)
    collateral: int = USDC

    def coin(self, name: str) -> Coin:
        return next(coin for coin in self.coins if coin.name == name)

    def tiers(self, coin: Coin) -> Tiers:
        return self.tables.get(coin.table) or ((0, coin.table),)


@dataclass
class Token:
    """A spot token; `pair` is its pair against `quote` with a price, None without one. `ltv` and `oracle` where one may borrow on it."""

    number: int
    name: str
    wei: int
    places: int
    pair: int | None = None
    price: Decimal = Decimal(0)
    quote: int = USDC
    ltv: Decimal = Decimal(0)


@dataclass
class Position:
    """Signed size, the notional that it was opened at, leverage; `cash` of an isolated one, None for cross margin."""

    size: Decimal
    entry: Decimal
    leverage: int
    cash: Decimal | None = None


@dataclass
class User:
    """One address. `cash` is what cross margin of each dex has besides positions, `reserved` what is set aside for isolated orders, `kept`
    what portfolio margin does not lend out of `spot`, so that it does not count; `supplied` is USDC that is lent out.
    """

    mode: str = "default"
    cash: dict[str, Decimal] = field(default_factory=dict)
    reserved: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    spot: dict[int, Decimal] = field(default_factory=dict)
    kept: dict[int, Decimal] = field(default_factory=dict)
    borrowed: Decimal = Decimal(0)
    supplied: Decimal = Decimal(0)
    vaults: dict[str, Decimal] = field(default_factory=dict)
    staked: Decimal = Decimal(0)

    @property
    def pooled(self) -> bool:
        return self.mode in ("unifiedAccount", "portfolioMargin")


@dataclass
class HyperCore:
    """All of it. `time` in unix seconds; `strangers` are addresses that it is asked about and does not know."""

    dexs: list[Dex]
    tokens: dict[int, Token]
    users: dict[str, User] = field(default_factory=dict)
    strangers: tuple[str, ...] = (f"0x{0xDEAD:040x}",)
    time: int = 0

    def held(self, user: User, dex: Dex) -> list[tuple[Coin, Position]]:
        """Positions in a dex, in its order."""
        return [(coin, user.positions[coin.name]) for coin in dex.coins if coin.name in user.positions]

    def cross_value(self, user: User, dex: Dex) -> Decimal:
        """Value of a dex's cross margin."""
        return user.cash.get(dex.name, Decimal(0)) + sum(p.size * c.mark for c, p in self.held(user, dex) if p.cash is None)

    def value(self, user: User, dex: Dex) -> Decimal:
        """Value of everything in a dex."""
        apart = sum((margin_used(c, p) for c, p in self.held(user, dex) if p.cash is not None), Decimal(0))
        return self.cross_value(user, dex) + apart + user.reserved.get(dex.name, Decimal(0))

    def maintenance(self, user: User, dex: Dex) -> Decimal:
        """Maintenance margin of a dex's cross positions."""
        return sum((maintenance(dex.tiers(c), abs(p.size) * c.mark) for c, p in self.held(user, dex) if p.cash is None), Decimal(0))

    def pool(self, user: User, token: int) -> tuple[Decimal, Decimal]:
        """A pooled account's margin in a token and its maintenance margin, over all dexs that settle in it."""
        settling = [dex for dex in self.dexs if dex.collateral == token]
        apart = sum((margin_used(c, p) for d in settling for c, p in self.held(user, d) if p.cash is not None), Decimal(0))
        return self.spot_total(user, token) - apart, sum((self.maintenance(user, dex) for dex in settling), Decimal(0))

    def spot_total(self, user: User, token: int) -> Decimal:
        """The balance that the service shows: a pooled account's counts its perpetuals in, and its debt off."""
        total = user.spot.get(token, Decimal(0))
        if user.pooled:
            total += sum((self.value(user, dex) for dex in self.dexs if dex.collateral == token), Decimal(0))
        return total + (user.supplied - user.borrowed if token == USDC else 0)

    def collateral(self, user: User) -> Decimal:
        """What portfolio margin counts besides USDC when it liquidates."""
        pledged = (token for token in self.tokens.values() if token.ltv)
        return sum((self.lent(user, token.number) * token.price * (1 + token.ltv) / 2 for token in pledged), Decimal(0))

    def lent(self, user: User, token: int) -> Decimal:
        """What portfolio margin lends out of a token that is collateral."""
        return user.spot.get(token, Decimal(0)) - user.kept.get(token, Decimal(0))

    def portfolio_ratio(self, user: User) -> Decimal:
        """The portfolio margin ratio."""
        margin, needed = self.pool(user, USDC)
        return (needed + max(Decimal(0), needed - margin)) / (max(margin, needed) + self.collateral(user))

    def summary(self, user: User, dex: Dex) -> tuple[int, int, int, int]:
        """`accountMarginSummary`: account value, margin used, notional, raw USD."""
        held = self.held(user, dex)
        value = self.value(user, dex)
        notional = sum((abs(p.size) * c.mark for c, p in held), Decimal(0))
        worth = sum((p.size * c.mark for c, p in held), Decimal(0))
        used = sum((margin_used(c, p) for c, p in held), Decimal(0))
        numbers = (value, max(Decimal(0), used.quantize(Decimal("0.000001"))), notional, value - worth)
        return (whole(numbers[0], 6), whole(numbers[1], 6), whole(numbers[2], 6), whole(numbers[3], 6))

    def withdrawable(self, user: User, dex: Dex) -> Decimal:
        """What may leave a dex: nothing below the initial margin, or a tenth of the notional."""
        held = [(c, p) for c, p in self.held(user, dex) if p.cash is None]
        used = sum((margin_used(c, p) for c, p in held), Decimal(0))
        notional = sum((abs(p.size) * c.mark for c, p in held), Decimal(0))
        free = max(Decimal(0), self.cross_value(user, dex) - max(used, notional / 10))
        return free.quantize(Decimal("0.000001"))

    def liquidation_price(self, user: User, dex: Dex, coin: Coin, position: Position) -> Decimal | None:
        """price - side * margin available / size / (1 - l * side), in the bracket that holds at the price that comes out."""
        tiers = dex.tiers(coin)
        size, side = abs(position.size), 1 if position.size > 0 else -1
        if position.cash is not None:
            available = position.cash + position.size * coin.mark
        else:
            value, needed = self.pool(user, dex.collateral) if user.pooled else (self.cross_value(user, dex), self.maintenance(user, dex))
            pledged = self.collateral(user) if user.mode == "portfolioMargin" else 0
            available = value + pledged - needed + maintenance(tiers, size * coin.mark)
        for place, (low, leverage) in enumerate(tiers):
            rate = Decimal(1) / (2 * leverage)
            # within a bracket the margin is a line, which can be carried on to the mark: less here than there where brackets lie between
            own = size * coin.mark * rate - (low * rate - maintenance(tiers, Decimal(low)))
            price = coin.mark - side * (available - own) / size / (1 - rate * side)
            top = tiers[place + 1][0] if place + 1 < len(tiers) else None
            if price > 0 and size * price >= low and (top is None or size * price < top):
                return price
        return None


def perp_id(dex: int, place: int) -> int:
    """The number of a perpetual: the main dex counts from 0, the others from 100,000 + 10,000 a dex."""
    return place if dex == 0 else 100_000 + 10_000 * dex + place


def maintenance(tiers: Tiers, notional: Decimal) -> Decimal:
    """Maintenance margin, added up: each bracket takes half of its initial rate of the part of the notional that lies in it."""
    total = Decimal(0)
    for place, (low, leverage) in enumerate(tiers):
        top = Decimal(tiers[place + 1][0]) if place + 1 < len(tiers) else notional
        part = min(notional, top) - low
        if part > 0:
            total += part / (2 * leverage)
    return total


def margin_used(coin: Coin, position: Position) -> Decimal:
    """Initial margin of a cross position, or all that an isolated one has."""
    if position.cash is not None:
        return position.cash + position.size * coin.mark
    return abs(position.size) * coin.mark / position.leverage


def whole(number: Decimal, places: int) -> int:
    """A number in units of 10 ** -places. Raises `ValueError` where it has more."""
    scaled = number.scaleb(places)
    if scaled != int(scaled):
        raise ValueError(f"{number} has more than {places} places")
    return int(scaled)
