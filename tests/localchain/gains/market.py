"""gTrade as its traders, its triggers and its governance act on it. It is a double (`fixtures/chain/gains_double.vy`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.gains.parameters import (
    COLLATERALS,
    DROP,
    FEED_TO_PRICE,
    LEVERAGE_DECIMALS,
    PRICE_DECIMALS,
    FundingParams,
    Listing,
    Terms,
)
from tests.localchain.tokens import Amount, Feed, Token, units

INDEX: Final = 1
"""Place of a trade's number among its fields."""
ORACLE: Final = "oracle"
LIKE_OTHERS: Final = (
    "long-eth",
    "short",
    "whale",
    "long-euro",
    "dust",
    "slow-line",
    "highest-leverage",
    "three-trades",
    "both-ways",
    "late-long",
)
"""Users for whom another one of their kind stands."""


@dataclass(frozen=True, slots=True)
class GainsMarket:
    """One diamond with its pairs, by their names, and the feeds that price them; `unread` are the users whom a recording leaves out."""

    anvil: Anvil
    diamond: Contract
    coins: Mapping[str, Token]
    listings: Mapping[str, Listing]
    feeds: Mapping[str, Feed]

    name: str = "gains"
    prices: str = ORACLE
    unread: tuple[str, ...] = LIKE_OTHERS

    adapter = "gains"
    is_double = True

    @property
    def roots(self) -> dict[str, str]:
        """The root address of the venue, under the name that books use."""
        return {"diamond": self.diamond.address}

    @property
    def settings(self) -> dict[str, str]:
        """Where prices come from."""
        if self.prices != ORACLE:
            return {"prices": self.prices}
        return {"prices": ORACLE, "feeds": " ".join(f"{pair}:{feed.address}" for pair, feed in self.feeds.items())}

    @property
    def tokens(self) -> dict[str, Token]:
        """The collaterals."""
        return dict(self.coins)

    @property
    def listed(self) -> dict[str, str]:
        """What the venue lists by name, and the token that each follows."""
        return {f"{self.adapter}:{pair}": listing.follows for pair, listing in self.listings.items()}

    # what traders do

    def open(self, who: str, pair: str, amount: Amount, leverage: Amount, *, coin: str = "USDC", counter: bool = False) -> int:
        """Open a trade at the present price; short where the leverage is negative. The trade's number."""
        given = self._give(who, coin, amount)
        times = units(leverage, LEVERAGE_DECIMALS)
        terms = (number_of(coin), self.number(pair), abs(times), times > 0, given, self.price(pair), counter)
        self.diamond.send("open_trade", *terms, sender=who)
        return self._newest(who)

    def order(self, who: str, pair: str, amount: Amount, leverage: Amount, price: Amount, *, coin: str = "USDC") -> int:
        """Place an order that waits for a price. The order's number."""
        given = self._give(who, coin, amount)
        times = units(leverage, LEVERAGE_DECIMALS)
        at = units(price, PRICE_DECIMALS)
        self.diamond.send("place_order", number_of(coin), self.number(pair), abs(times), times > 0, given, at, sender=who)
        return self._newest(who)

    def close(self, who: str, index: int, pair: str) -> None:
        """Close a trade at the present price. Raises `Reverted` where only a liquidation can."""
        self.diamond.send("close_trade", index, self.price(pair), sender=who)

    # what triggers do

    def liquidate(self, who: str, index: int, price: int) -> None:
        """Liquidate at a price (1e10). Raises `Reverted` where it is not at the line or beyond."""
        self.diamond.send("liquidate", who, index, price)

    # what governance does

    def set_funding(self, pair: str, params: FundingParams) -> None:
        """Change the funding of a pair in every collateral."""
        for coin in self.coins:
            self.diamond.send("set_funding", number_of(coin), self.number(pair), tuple(params), self.price(pair))

    def set_borrowing(self, pair: str, rate: int) -> None:
        """Change the borrowing rate of a pair in every collateral."""
        for coin in self.coins:
            self.diamond.send("set_borrowing", number_of(coin), self.number(pair), rate, self.price(pair))

    def make_old(self, who: str, index: int, version: int, terms: Terms) -> None:
        """Let a trade be one from an older version of the contracts."""
        self.diamond.send("set_version", who, index, version)
        self.diamond.send("set_terms", who, index, tuple(terms))

    # what happens around it

    def price(self, pair: str) -> int:
        """The present price, 1e10."""
        return self.feeds[pair].answer * FEED_TO_PRICE

    def drop_prices(self) -> None:
        """Let prices move by the per cent of `parameters.DROP`."""
        for pair, change in DROP.items():
            self.feeds[pair].move(change)

    def pass_time(self, seconds: int) -> None:
        """Let funding and borrowing run for that long."""
        self.anvil.pass_time(seconds)

    def accrue(self) -> None:
        """Let every pair write its fees down, as any trade in it does."""
        for pair in self.listings:
            for coin in self.coins:
                self.diamond.send("touch", number_of(coin), self.number(pair), self.price(pair))

    # what it says

    def number(self, pair: str) -> int:
        """The pair's number."""
        return list(self.listings).index(pair)

    def trades(self, who: str) -> list[Any]:
        """What somebody has open, orders too."""
        return list(self.diamond.call("getTrades", who))

    def _give(self, who: str, coin: str, amount: Amount) -> int:
        token = self.coins[coin]
        token.give(who, amount, self.diamond.address)
        return token.units(amount)

    def _newest(self, who: str) -> int:
        return int(self.trades(who)[-1][INDEX])


def number_of(coin: str) -> int:
    """The collateral's number."""
    return COLLATERALS.index(coin) + 1
