"""The double of a GMX deployment, as its users act on it: what they do is written straight into the DataStore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.gmx.keys import ONE, Argument, field, key, position_key
from tests.localchain.gmx.settings import SYNTHETIC, Setting, Venue, factor
from tests.localchain.people import person
from tests.localchain.tokens import Amount, Feed, Token, units

DROP: Final = {"WETH": -24, "LINK": -40, "WBTC": -20, SYNTHETIC: -35}
"""The price drop of the population, in per cent."""
ZERO: Final = "0x" + "0" * 40
Band = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Coin:
    """A token that markets know: its address, decimals and feed; `stable` spans its price up or down to 1 USD."""

    symbol: str
    address: str
    decimals: int
    feed: Feed
    stable: bool = False

    @property
    def multiplier(self) -> int:
        """What the venue multiplies the feed's answer by, 1e30: the feed has 8 decimals."""
        return int(10 ** (60 - self.decimals - 8))

    def band(self) -> Band:
        """Min and max, USD (1e30) for one base unit."""
        price = self.feed.answer * self.multiplier // ONE
        par = ONE // 10**self.decimals
        return (min(price, par), max(price, par)) if self.stable else (price, price)


@dataclass(frozen=True, slots=True)
class Opened:
    """A position as somebody opened it."""

    account: str
    market: str
    collateral: str
    is_long: bool

    def key(self, venue: GmxMarket) -> bytes:
        """What the contracts call it by."""
        return position_key(self.account, venue.address(self.market), venue.coins[self.collateral].address, self.is_long)


@dataclass(frozen=True, slots=True)
class GmxMarket:
    """One deployed double with all its markets, by name."""

    venue: Venue
    anvil: Anvil
    store: Contract
    reader: Contract
    referrals: Contract
    coins: Mapping[str, Coin]
    tokens: dict[str, Token]

    adapter = "gmx_v2"
    is_double = True

    @property
    def name(self) -> str:
        return self.venue.name

    @property
    def roots(self) -> dict[str, str]:
        """Root addresses of the deployment, under the names that books use."""
        return {"data_store": self.store.address, "reader": self.reader.address}

    @property
    def settings(self) -> dict[str, str]:
        """What a book says of it beside the roots."""
        return {"prices": "oracle", "referral_storage": self.referrals.address}

    @property
    def listed(self) -> dict[str, str]:
        """What is traded without a token contract: the ends of asset ids, and symbols."""
        return {f"erc20:{coin.address}": symbol for symbol, coin in self.coins.items() if symbol not in self.tokens}

    @property
    def replays(self) -> str:
        """The folder that its recordings belong in: where price impact moves with the price, the float model is held to less."""
        return "gmx_v2_impact" if self.venue.in_tokens else "gmx_v2"

    @property
    def unread(self) -> tuple[str, ...]:
        """Users that need no recording: where balance is weighed in tokens those that show nothing of it."""
        return self.venue.unread

    def setting(self, market: str) -> Setting:
        """How a market is set up."""
        return next(each for each in self.venue.markets if each.name == market)

    def address(self, market: str) -> str:
        """The address of a market's own token."""
        return person(f"gmx/{market}")

    def props(self, market: str) -> tuple[str, str, str, str]:
        """The market as the contracts pass it around."""
        setting = self.setting(market)
        index, long, short = (self.coins[symbol].address for symbol in (setting.index, setting.long, setting.short))
        return self.address(market), index, long, short

    def prices(self, market: str) -> tuple[Band, Band, Band]:
        """Prices of the market's index, long and short token."""
        setting = self.setting(market)
        index, long, short = (self.coins[symbol].band() for symbol in (setting.index, setting.long, setting.short))
        return index, long, short

    # what users do

    def open(
        self, who: str, market: str, collateral: str, *, long: bool, size: Amount, margin: Amount, entry: str = "", pending: str = "0"
    ) -> Opened:
        """Open a position of `size` USD with so much collateral: at today's price or at `entry`. `pending`: price impact that is left from
        opening, in index tokens.
        """
        coin, index = self.coins[collateral], self.coins[self.setting(market).index]
        price = int(Decimal(entry) * ONE // 10**index.decimals) if entry else index.band()[0]
        usd = units(size, 30)
        tokens = usd // price if not long else -(-usd // price)
        position = Opened(who, market, collateral, long)
        self.update(market)
        own = position.key(self)
        marks = [self.read("CLAIMABLE_FUNDING_AMOUNT_PER_SIZE", market, each, long) for each in self.backing(market)]
        self.write(
            {
                field(own, "SIZE_IN_USD"): usd,
                field(own, "SIZE_IN_TOKENS"): tokens,
                field(own, "COLLATERAL_AMOUNT"): units(margin, coin.decimals),
                field(own, "BORROWING_FACTOR"): self.read("CUMULATIVE_BORROWING_FACTOR", market, long),
                field(own, "FUNDING_FEE_AMOUNT_PER_SIZE"): self.read("FUNDING_FEE_AMOUNT_PER_SIZE", market, collateral, long),
                field(own, "LONG_TOKEN_CLAIMABLE_FUNDING_AMOUNT_PER_SIZE"): marks[0],
                field(own, "SHORT_TOKEN_CLAIMABLE_FUNDING_AMOUNT_PER_SIZE"): marks[-1],
                field(own, "INCREASED_AT_TIME"): self.anvil.block().timestamp,
            }
        )
        self.store.send("set_int", field(own, "PENDING_IMPACT_AMOUNT"), int(Decimal(pending).scaleb(index.decimals)))
        for name, address in (("ACCOUNT", who), ("MARKET", self.address(market)), ("COLLATERAL_TOKEN", coin.address)):
            self.store.send("set_address", field(own, name), address)
        self.store.send("set_bool", field(own, "IS_LONG"), long)
        self.store.send("add_bytes32", key("ACCOUNT_POSITION_LIST", who), own)
        self.grow(market, collateral, long, usd, tokens)
        return position

    def grow(self, market: str, collateral: str, long: bool, usd: int, tokens: int) -> None:
        """Let open interest grow."""
        for name, more in (("OPEN_INTEREST", usd), ("OPEN_INTEREST_IN_TOKENS", tokens)):
            self.write({self.key(name, market, collateral, long): self.read(name, market, collateral, long) + more})

    def refer(self, who: str, code: str, *, rebate: int, share: int, own_share: int = 0) -> None:
        """Let somebody trade under a referral code: of the rebate, so many basis points are the trader's."""
        word, owner = code.encode().ljust(32, b"\0"), person(f"gmx/affiliate/{code}")
        level = sum(code.encode())
        self.referrals.send("set_tier", level, rebate, share)
        self.referrals.send("set_code", word, owner, level, own_share)
        self.referrals.send("use_code", who, word)

    def promote(self, who: str, tier: int, discount: str) -> None:
        """Give somebody a tier with a discount."""
        self.write({key("PRO_TRADER_TIER", who): tier, key("PRO_DISCOUNT_FACTOR", tier): factor(discount)})

    # what happens around it

    def set_price(self, symbol: str, price: Amount) -> None:
        """Let a token's feed answer that price in USD."""
        self.coins[symbol].feed.set(price)

    def drop_prices(self) -> None:
        """Let what is volatile fall by the per cent of `DROP`."""
        for symbol in sorted(self.coins.keys() & DROP.keys()):
            self.coins[symbol].feed.move(DROP[symbol])

    def pass_time(self, seconds: int) -> None:
        """Let fees run for that long."""
        self.anvil.pass_time(seconds)

    def accrue(self) -> None:
        """Let every market take up what has run up."""
        for setting in self.venue.markets:
            self.update(setting.name)

    def update(self, market: str) -> None:
        """Write what has run up in a market, as each trade in it does first."""
        sent = self.reader.call("pendingState", self.store.address, self.address(market), self.prices(market), block="pending")
        longs, shorts, growth = sent
        longs_pay, saved, *grown = growth
        now = self.anvil.block("pending").timestamp
        words = {self.key("CUMULATIVE_BORROWING_FACTOR", market, side): value for side, value in ((True, longs), (False, shorts))}
        words |= {self.key("CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", market, side): now for side in (True, False)}
        words[self.key("FUNDING_UPDATED_AT", market)] = now
        for name, side, more in (("FUNDING_FEE", longs_pay, grown[:2]), ("CLAIMABLE_FUNDING", not longs_pay, grown[2:])):
            for symbol, amount in dict(zip(self.backing(market), more, strict=False)).items():
                words[self.key(f"{name}_AMOUNT_PER_SIZE", market, symbol, side)] = amount + self.read(
                    f"{name}_AMOUNT_PER_SIZE", market, symbol, side
                )
        self.write(words)
        self.store.send("set_int", self.key("SAVED_FUNDING_FACTOR_PER_SECOND", market), saved)

    # what it says

    def info(self, position: Opened, block: int | str = "latest") -> Any:
        """`getPositionInfo` at today's prices."""
        at = (self.store.address, self.referrals.address, position.key(self))
        return self.reader.call("getPositionInfo", *at, self.prices(position.market), 0, ZERO, True, block=block)

    def verdict(self, position: Opened, block: int | str = "latest", prices: tuple[Band, Band, Band] | None = None) -> Any:
        """`isPositionLiquidatable` as keepers ask it, at today's prices or others."""
        at = (self.store.address, self.referrals.address, position.key(self), self.props(position.market))
        return self.reader.call("isPositionLiquidatable", *at, prices or self.prices(position.market), True, True, block=block)

    # the store

    def backing(self, market: str) -> Sequence[str]:
        """Symbols of what backs longs and shorts; one where they are the same."""
        setting = self.setting(market)
        return tuple(dict.fromkeys((setting.long, setting.short)))

    def key(self, name: str, market: str, *of: str | bool) -> bytes:
        """The key of a market's parameter; tokens by symbol."""
        arguments: list[Argument] = [self.coins[each].address if isinstance(each, str) else each for each in of]
        return key(name, self.address(market), *arguments)

    def read(self, name: str, market: str, *of: str | bool) -> int:
        """A number that the DataStore keeps for a market."""
        return int(self.store.call("getUint", self.key(name, market, *of)))

    def write(self, words: Mapping[bytes, int]) -> None:
        """Write numbers."""
        self.store.send("set_uints", list(words), list(words.values()))
