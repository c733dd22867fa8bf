"""A Comet in Python for tests: the contract's state, its views and its `absorb` check, written from the fact sheet in its own words.

Not the real contract: what it says is compared with real code in tests/chain. It computes every view from principals, indices and
rate curves, where the adapter takes rates from the views and adds up what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from defi_risk.ids import Address, AssetId, ChainId, Factor, Peg, address_of
from defi_risk.model import Chain, FactorRef, Owner
from defi_risk.spi import Ask, Call, Context, Market
from tests.adapters.scripted import NOTHING_THERE

E18: Final = 10**18
NOW: Final = 1_767_225_600
CHAIN: Final = Chain(ChainId(1), "ethereum")
OWNER: Final = Owner(address_of(bytes.fromhex("aa" * 20)))


def address(number: int) -> Address:
    """A made-up address."""
    return address_of(number.to_bytes(20, "big"))


@dataclass
class Token:
    """A token with its price feed."""

    symbol: str
    decimals: int
    price: int
    number: int
    description: str | None = None
    factor: FactorRef | None = None
    updated_at: int = NOW - 60

    @property
    def address(self) -> Address:
        return address(0x1000 + self.number)

    @property
    def feed(self) -> Address:
        return address(0x2000 + self.number)

    @property
    def scale(self) -> int:
        return int(10**self.decimals)


@dataclass
class Listing:
    """A collateral of the market, and what the account holds of it."""

    token: Token
    borrow: int
    liquidate: int
    seize: int
    balance: int = 0


@dataclass
class CometWorld:
    """One Comet and one account in it."""

    base: Token
    listings: list[Listing] = field(default_factory=list)
    principal: int = 0
    supply_index: int = 10**15
    borrow_index: int = 10**15
    supplied: int = 10**12
    borrowed: int = 5 * 10**11
    last: int = NOW
    pause: int = 0
    cash: int = 7 * 10**11
    number: int = 0xC0
    deactivated: bool = False
    others: list[CometWorld] = field(default_factory=list)
    overrides: dict[str, Callable[[Call], Any]] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        return address(self.number)

    def market(self, **settings: str) -> Market:
        """The market as a book would give it."""
        return Market("compound_v3", CHAIN, f"market-{self.number}", (("comet", self.address), *settings.items()), "Compound V3")

    def context(self) -> Context:
        """Where the reading takes place: every token of this and the other Comets is in the factor table."""
        worlds = [self, *self.others]
        tokens = [token for world in worlds for token in (world.base, *(listing.token for listing in world.listings))]
        factors = {AssetId(f"eip155:1/erc20:{token.address}"): token.factor for token in tokens if token.factor}
        return Context(CHAIN, 20_000_000, NOW, factors, {}, tuple(world.market() for world in worlds))

    def answer(self, ask: Ask) -> Any:
        """What the chain answers."""
        assert isinstance(ask, Call)
        if ask.function in self.overrides:
            return self.overrides[ask.function](ask)
        for world in (self, *self.others):
            if ask.to == world.address:
                return world._comet(ask)
        for token in self._tokens():
            if ask.to == token.address:
                return self._token(token, ask)
            if ask.to == token.feed:
                return _feed(token, ask)
        return NOTHING_THERE

    def _tokens(self) -> list[Token]:
        worlds = [self, *self.others]
        return [token for world in worlds for token in (world.base, *(listing.token for listing in world.listings))]

    def _token(self, token: Token, call: Call) -> Any:
        answers = {"symbol": token.symbol, "decimals": token.decimals, "balanceOf": self.cash}
        if call.interface.path == "erc20_bytes32":
            return NOTHING_THERE
        return answers.get(call.function, NOTHING_THERE)

    def _comet(self, call: Call) -> Any:
        supply_index, borrow_index = self.indices()
        plain: Mapping[str, Any] = {
            "baseToken": self.base.address,
            "baseTokenPriceFeed": self.base.feed,
            "baseScale": self.base.scale,
            "numAssets": len(self.listings),
            "totalsBasic": (self.supply_index, self.borrow_index, 0, 0, self.supplied, self.borrowed, self.last, self.pause),
            "userBasic": (self.principal, 0, 0, self.bits() & 0xFFFF, self.bits() >> 16),
            "borrowBalanceOf": self.debt(borrow_index),
            "balanceOf": max(self.principal, 0) * supply_index // 10**15,
            "isLiquidatable": self.liquidity(self.borrow_index, "liquidate") < 0,
            "isBorrowCollateralized": NOTHING_THERE if self.deactivated else self.liquidity(self.borrow_index, "borrow") >= 0,
        }
        return plain[call.function] if call.function in plain else self._asked(call.function, call.args)

    def _asked(self, function: str, args: tuple[Any, ...]) -> Any:
        """Views with arguments of their own."""
        if function == "getAssetInfo":
            return self._info(args[0])
        if function == "getAssetInfoByAddress":
            return self._info_of(args[0])
        if function == "getPrice":
            return self._price(args[0])
        if function == "getSupplyRate":
            return 300_000_000 + 1_000_000_000 * args[0] // E18
        if function == "getBorrowRate":
            return 500_000_000 + 2_000_000_000 * args[0] // E18
        balance = self._listing(args[-1]).balance
        return (balance, 0) if function == "userCollateral" else (balance * 3, 0)

    def bits(self) -> int:
        """`assetsIn`, all 24 bits."""
        return sum(1 << place for place, listing in enumerate(self.listings) if listing.balance)

    def indices(self) -> tuple[int, int]:
        """Supply and borrow index accrued to now."""
        seconds = NOW - self.last
        supply = self.supplied * self.supply_index // 10**15
        used = (self.borrowed * self.borrow_index // 10**15) * E18 // supply if supply else 0
        earn, pay = 300_000_000 + 1_000_000_000 * used // E18, 500_000_000 + 2_000_000_000 * used // E18
        return (
            self.supply_index + self.supply_index * (earn * seconds) // E18,
            self.borrow_index + self.borrow_index * (pay * seconds) // E18,
        )

    def debt(self, index: int) -> int:
        """What the account owes at an index."""
        return -self.principal * index // 10**15 if self.principal < 0 else 0

    def liquidity(self, index: int, factor: str, prices: Mapping[str, int] | None = None) -> int:
        """The sum that both checks judge, with other prices by feed where given."""
        given = prices or {}
        total = -(self.debt(index) * given.get(self.base.feed, self.base.price) // self.base.scale)
        for listing in self.listings:
            price = given.get(listing.token.feed, listing.token.price)
            value = listing.balance * price // listing.token.scale
            total += value * (listing.liquidate if factor == "liquidate" else listing.borrow) // E18
        return total

    def absorbable(self, prices: Mapping[str, int] | None = None) -> bool:
        """Whether `absorb` would take the account: it accrues first, and a price that is not positive makes it revert."""
        given = prices or {}
        read = [self.base.feed, *(listing.token.feed for listing in self.listings if listing.balance)]
        if self.principal >= 0 or any(given.get(feed, 1) <= 0 for feed in read):
            return False
        return self.liquidity(self.indices()[1], "liquidate", prices) < 0

    def _info(self, place: int) -> Any:
        if place >= len(self.listings):
            return NOTHING_THERE
        listing = self.listings[place]
        token = listing.token
        return (place, token.address, token.feed, token.scale, listing.borrow, listing.liquidate, listing.seize, 2**120)

    def _info_of(self, asset: Address) -> Any:
        for place, listing in enumerate(self.listings):
            if listing.token.address == asset:
                return self._info(place)
        return NOTHING_THERE

    def _listing(self, asset: Address) -> Listing:
        return next(listing for listing in self.listings if listing.token.address == asset)

    def _price(self, feed: Address) -> Any:
        for token in self._tokens():
            if token.feed == feed:
                return token.price if token.price > 0 else NOTHING_THERE
        return NOTHING_THERE


def _feed(token: Token, call: Call) -> Any:
    if call.function == "description":
        return NOTHING_THERE if token.description is None else token.description
    if call.function == "latestRoundData":
        return (7, token.price, token.updated_at, token.updated_at, 7)
    return NOTHING_THERE


def plain(name: str) -> FactorRef:
    """An unpegged factor."""
    return FactorRef(Factor(name))


def pegged(name: str, peg: str) -> FactorRef:
    """A factor with a peg."""
    return FactorRef(Factor(name), Peg(peg))


def usdc(**more: Any) -> Token:
    """USDC with a USD feed."""
    return Token("USDC", 6, 100_005_000, 1, "USDC / USD", plain("USDC"), **more)


def weth(price: int = 312_345_678_901, **more: Any) -> Token:
    """WETH with a USD feed unless told otherwise."""
    return Token("WETH", 18, price, 2, more.pop("description", "ETH / USD"), plain("ETH"), **more)
