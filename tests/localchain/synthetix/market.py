"""The perps markets of Synthetix, as traders, keepers and whoever sets rates act on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.people import person
from tests.localchain.synthetix.parameters import DECIMALS, DROP, Listing, word
from tests.localchain.tokens import Amount, Feed, Raw, Token, units

ANY_PRICE: Final = 2**127
"""A fill price that no buyer refuses; sellers say 0."""
ORDER_SECONDS: Final = 60


class PerpPosition(NamedTuple):
    """What `positions` returns; margin, price and size are 1e18."""

    id: int
    funding_index: int
    margin: int
    last_price: int
    size: int


@dataclass(frozen=True, slots=True)
class PerpMarket:
    """One market: its proxy, as the parts behind it see it."""

    listing: Listing
    views: Contract
    trading: Contract
    liquidation: Contract
    orders: Contract


@dataclass(frozen=True, slots=True)
class SynthetixMarket:
    """One manager with its markets, by their names."""

    anvil: Anvil
    manager: Contract
    governance: Contract
    env: Contract
    coin: Token
    markets: Mapping[str, PerpMarket]

    adapter = "synthetix_perps_v2"
    name = "synthetix"

    @property
    def roots(self) -> dict[str, str]:
        """The root address of the market, under the name that books use."""
        return {"market_manager": self.manager.address}

    @property
    def tokens(self) -> dict[str, Token]:
        """The margin coin."""
        return {self.coin.symbol: self.coin}

    # what traders do

    def deposit(self, who: str, key: str, amount: Amount) -> None:
        """Mint sUSD for `who` and make it margin."""
        self.coin.mint(who, amount)
        self.move_margin(who, key, amount)

    def move_margin(self, who: str, key: str, amount: Amount) -> None:
        """Make sUSD that `who` has margin, or take margin out where the amount is negative."""
        self.markets[key].trading.send("transferMargin", units(amount, DECIMALS), sender=who)

    def withdraw_all(self, who: str, key: str) -> None:
        """Take out all margin that the market lets go."""
        self.markets[key].trading.send("withdrawAllMargin", sender=who)

    def trade(self, who: str, key: str, size: Amount) -> None:
        """Change the position by `size` at whatever price."""
        raw = units(size, DECIMALS)
        self.markets[key].trading.send("modifyPosition", raw, ANY_PRICE if raw > 0 else 0, sender=who)

    def close(self, who: str, key: str) -> None:
        """Close the position at whatever price."""
        long = self.position(who, key).size > 0
        self.markets[key].trading.send("closePosition", 0 if long else ANY_PRICE, sender=who)

    def order(self, who: str, key: str, size: Amount) -> None:
        """Submit an order that somebody may execute later."""
        raw = units(size, DECIMALS)
        self.markets[key].orders.send("submitDelayedOrder", raw, ORDER_SECONDS, ANY_PRICE if raw > 0 else 0, sender=who)

    # what keepers do

    def flag(self, keeper: str, who: str, key: str) -> None:
        """Flag a position. Raises `Reverted` where it is above its line."""
        self.markets[key].liquidation.send("flagPosition", who, sender=keeper)

    def liquidate(self, keeper: str, who: str, key: str) -> None:
        """Liquidate a flagged position."""
        self.markets[key].liquidation.send("liquidatePosition", who, sender=keeper)

    # what governance does

    def set_parameters(self, listing: Listing) -> None:
        """Change what governance sets for one market."""
        self.governance.send("setParameters", word(listing.key), listing.parameters)

    def suspend(self, key: str, suspended: bool = True) -> None:
        """Stop everything in one market, liquidations too."""
        self.env.send("suspend_market", word(key), suspended)

    # what happens around it

    def set_rate(self, asset: str, rate: Amount) -> None:
        """Let the rate of an asset be `rate` USD; it no longer follows a feed."""
        self.env.send("set_rate", word(asset), units(rate, DECIMALS))

    def follow(self, asset: str, feed: Feed) -> None:
        """Let the rate of an asset be what a feed answers."""
        self.env.send("set_feed", word(asset), feed.address)

    def set_stale(self, asset: str, stale: bool = True) -> None:
        """Let the rate of an asset count as stale."""
        self.env.send("set_stale", word(asset), stale)

    def drop_prices(self) -> None:
        """Let the rates move by the per cent of `parameters.DROP`."""
        for asset, percent in DROP.items():
            self.set_rate(asset, Raw(self.rate(asset) * (100 + percent) // 100))

    def pass_time(self, seconds: int) -> None:
        """Let funding run for that long."""
        self.anvil.pass_time(seconds)

    def accrue(self) -> None:
        """Let every market write its funding down: somebody deposits a little."""
        for key in self.markets:
            self.deposit(person("passer-by"), key, 1)

    # what it says

    def rate(self, asset: str) -> int:
        """The rate of an asset, 1e18."""
        return int(self.env.call("rateAndInvalid", word(asset))[0])

    def position(self, who: str, key: str, block: int | str = "latest") -> PerpPosition:
        """What somebody has in one market."""
        return PerpPosition(*self.view("positions", who, key, block=block))

    def view(self, name: str, who: str, key: str, block: int | str = "latest") -> Any:
        """What a view function says of somebody's position; without the flag of an invalid rate, where it has one."""
        said = self.markets[key].views.call(name, who, block=block)
        return said[0] if isinstance(said, tuple) and len(said) == 2 else said
