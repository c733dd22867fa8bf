"""Perpetual Protocol V2, as its traders, its keepers and its governance act on it.

A market's mark is the median of its pool's price over 15 seconds, over 30 minutes, and its index with the premium of 15 minutes. So a
price is moved as in life: the oracle answers, somebody trades the pool after it, and time passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract, Reverted
from tests.localchain.people import person
from tests.localchain.tokens import MAX, Amount, Feed, Raw, Token, units

DECIMALS: Final = 18  # of base tokens, of the quote token and of everything that is counted in them
FULL_RANGE: Final = 887_220
NO_DEADLINE: Final = 2**64
NO_REFERRAL: Final = bytes(32)
CONFIG_SLOT: Final = 103
"""Where the configuration keeps its ratios, packed: no function of version 2.8.4 changes these two."""
INITIAL_BIT: Final = 8
MAINTENANCE_BIT: Final = 32
STEP: Final = 7
"""A move of the market in per cent that the venue's limits of one block (1,000 ticks, 10 % off the index) leave room for."""
NOTHING_NEW: Final = "CPF_NU"
"""What a price feed says to a keeper who brings it the answer that it has."""
MARK_SECONDS: Final = 31 * 60
DROP: Final = {"vETH": -24, "vBTC": -20, "vLINK": -40}
"""The price drop of the population, in per cent."""


class Pnl(NamedTuple):
    """What `getPnlAndPendingFee` returns, in 1e-18 quote coins."""

    owed: int
    unrealized: int
    fee: int


@dataclass(frozen=True, slots=True)
class Listing:
    """One market: the base token, its pool, and the oracle that its index comes from. `follows` is the token whose price that is."""

    symbol: str
    follows: str
    base: Contract
    pool: Contract
    feed: Feed
    oracle: Contract
    dispatcher: Contract


@dataclass(frozen=True, slots=True)
class Collateral:
    """A token that is margin beside the settlement token, and the feed that the collateral manager asks."""

    token: Token
    feed: Feed
    oracle: Contract


@dataclass(frozen=True, slots=True)
class CurieMarket:
    """One deployed venue with its markets."""

    anvil: Anvil
    clearing_house: Contract
    vault: Contract
    account_balance: Contract
    exchange: Contract
    order_book: Contract
    config: Contract
    collateral_manager: Contract
    settlement: Token
    collateral: Mapping[str, Collateral]
    listings: Mapping[str, Listing]

    adapter = "perp_v2"
    name = "perp-v2"
    unread = ("maker", "maker-in-a-range", "maker-and-taker")
    """Users whose accounts no adapter of ours reads: their liquidity is in an open market."""

    @property
    def roots(self) -> dict[str, str]:
        """The root address of the venue, under the name that books use."""
        return {"clearing_house": self.clearing_house.address}

    @property
    def tokens(self) -> dict[str, Token]:
        """What can be margin, by symbol."""
        return {each.symbol: each for each in (self.settlement, *(one.token for one in self.collateral.values()))}

    @property
    def listed(self) -> dict[str, str]:
        """What the venue itself lists, by the end of its asset id: the symbol of the token whose factor it follows."""
        return {f"{self.adapter}:{listing.base.address}": listing.follows for listing in self.listings.values()}

    def base(self, symbol: str) -> str:
        """Address of a market's base token."""
        return self.listings[symbol].base.address

    # what users do

    def deposit(self, who: str, symbol: str, amount: Amount) -> None:
        """Give `who` the amount and post it as margin."""
        token = self.tokens[symbol]
        token.give(who, amount, self.vault.address)
        self.vault.send("deposit", token.address, token.units(amount), sender=who)

    def withdraw(self, who: str, symbol: str, amount: Amount = MAX) -> None:
        """Take margin out again, all that is free by default."""
        token = self.tokens[symbol]
        if amount == MAX:
            self.vault.send("withdrawAll", token.address, sender=who)
        else:
            self.vault.send("withdraw", token.address, token.units(amount), sender=who)

    def open(self, who: str, symbol: str, size: Amount) -> None:
        """Buy (`size` above zero) or sell that much of the base."""
        amount = units(size, DECIMALS)
        short = amount < 0
        self.clearing_house.send("openPosition", (self.base(symbol), short, short, abs(amount), 0, NO_DEADLINE, 0, NO_REFERRAL), sender=who)

    def close(self, who: str, symbol: str) -> None:
        """Close a position whole."""
        self.clearing_house.send("closePosition", (self.base(symbol), 0, 0, NO_DEADLINE, NO_REFERRAL), sender=who)

    def add_liquidity(self, who: str, symbol: str, base: Amount, quote: Amount, *, low: int = -FULL_RANGE, high: int = FULL_RANGE) -> None:
        """Provide liquidity between two ticks, at most these amounts."""
        amounts = (units(base, DECIMALS), units(quote, DECIMALS))
        self.clearing_house.send("addLiquidity", (self.base(symbol), *amounts, low, high, 0, 0, False, NO_DEADLINE), sender=who)

    def remove_liquidity(self, who: str, symbol: str, *, low: int = -FULL_RANGE, high: int = FULL_RANGE) -> None:
        """Take all liquidity between two ticks out again; what it became is a position."""
        order = self.order_book.call("getOpenOrder", who, self.base(symbol), low, high)
        self.clearing_house.send("removeLiquidity", (self.base(symbol), low, high, order[0], 0, 0, NO_DEADLINE), sender=who)

    def liquidate(self, liquidator: str, trader: str, symbol: str) -> None:
        """Take over as much of a position as the venue allows. Raises `Reverted`, with CH_EAV where the account value is enough."""
        self.clearing_house.send("liquidate", trader, self.base(symbol), sender=liquidator)

    def quit(self, trader: str, symbol: str) -> None:
        """Settle a position in a market that is closed; anybody may."""
        self.clearing_house.send("quitMarket", trader, self.base(symbol))

    # what governance does

    def set_mm_ratio(self, ratio: int) -> None:
        """Change the maintenance margin ratio (1e6 = all)."""
        self._set_ratio(MAINTENANCE_BIT, ratio)

    def set_im_ratio(self, ratio: int) -> None:
        """Change the initial margin ratio (1e6 = all)."""
        self._set_ratio(INITIAL_BIT, ratio)

    def pause(self, symbol: str) -> None:
        """Stop a market at its present index."""
        self.listings[symbol].base.send("pause")

    def close_market(self, symbol: str, price: Amount) -> None:
        """Close a paused market at a price."""
        self.listings[symbol].base.send("close", units(price, DECIMALS))

    def _set_ratio(self, bit: int, ratio: int) -> None:
        address = self.config.address
        word = self.anvil.storage(address, CONFIG_SLOT)
        self.anvil.set_storage(address, CONFIG_SLOT, word & ~(0xFFFFFF << bit) | ratio << bit)

    # what happens around it

    def set_price(self, symbol: str, price: Amount) -> None:
        """Let a market's oracle answer `price`; pool and mark stay where they are."""
        feed = self.listings[symbol].feed
        feed.set(price)
        self._take_up(feed)

    def trade_to(self, symbol: str, price: Amount) -> None:
        """Let somebody trade a pool to a price, at most 10 % from the index and from where the pool stood 15 seconds ago."""
        goal = math.isqrt((units(price, DECIMALS) << 192) // 10**DECIMALS)
        now = int(self.listings[symbol].pool.call("slot0")[0])
        if goal == now:
            return
        short = goal < now
        amount = 10**12 * 10**DECIMALS if short else 10**14 * 10**DECIMALS
        order = (self.base(symbol), short, True, amount, 0, NO_DEADLINE, goal, NO_REFERRAL)
        self.clearing_house.send("openPosition", order, sender=ARBITRAGEUR)

    def move(self, symbol: str, price: Amount) -> None:
        """Move oracle, pool and mark to a price, in steps that the venue allows."""
        goal, feed = units(price, 8), self.listings[symbol].feed
        self.anvil.pass_time(20)
        self.trade_to(symbol, Raw(feed.answer * 10 ** (DECIMALS - 8)))
        while True:
            now = feed.answer
            near = max(min(goal, now * (100 + STEP) // 100), now * (100 - STEP) // 100)
            self.anvil.pass_time(20)
            self.set_price(symbol, Raw(near))
            self.trade_to(symbol, Raw(near * 10 ** (DECIMALS - 8)))
            if near == goal:
                break
        self.anvil.pass_time(MARK_SECONDS)

    def drop_prices(self) -> None:
        """Let all markets fall by the per cent of `DROP`."""
        for symbol, percent in DROP.items():
            self.move(symbol, Raw(self.listings[symbol].feed.answer * (100 + percent) // 100))

    def pass_time(self, seconds: int) -> None:
        """Let time pass; at its end every oracle answers anew, almost the same as before."""
        self.anvil.pass_time(seconds)
        self.report()

    def report(self) -> None:
        """Let every oracle answer a ten-millionth higher than before, and the venue's feeds take it up."""
        for feed in {feed.address: feed for feed, _ in self._oracles()}.values():
            feed.set(Raw(feed.answer + max(feed.answer // 10**7, 10)))
            self._take_up(feed)

    def _take_up(self, feed: Feed) -> None:
        """Let the venue's price feeds note an answer, as its keepers do: without them its averages go wrong."""
        for source, oracle in self._oracles():
            if source.address != feed.address:
                continue
            try:
                oracle.send("update")
            except Reverted as refused:
                if refused.reason != NOTHING_NEW:
                    raise

    def _oracles(self) -> list[tuple[Feed, Contract]]:
        """Every feed with what the venue reads it through."""
        margins = [(one.feed, one.oracle) for one in self.collateral.values()]
        return [(one.feed, one.oracle) for one in self.listings.values()] + margins

    def accrue(self) -> None:
        """Let the funding of every market run up to now."""
        self.clearing_house.send("settleAllFunding", ARBITRAGEUR, sender=ARBITRAGEUR)

    # what it says

    def account_value(self, who: str) -> int:
        """In 1e-18 of the settlement token, cut to its own decimals."""
        return int(self.clearing_house.call("getAccountValue", who))

    def requirement(self, who: str) -> int:
        """Margin below which positions can be liquidated, 1e-18."""
        return int(self.account_balance.call("getMarginRequirementForLiquidation", who))

    def mark(self, symbol: str) -> int:
        """The mark price, 1e-18."""
        return int(self.account_balance.call("getMarkPrice", self.base(symbol)))

    def size(self, who: str, symbol: str) -> int:
        """Size of a position, 1e-18 of the base, with what open liquidity makes of it."""
        return int(self.account_balance.call("getTotalPositionSize", who, self.base(symbol)))

    def pnl(self, who: str) -> Pnl:
        """Profit and fees of an account."""
        return Pnl(*self.account_balance.call("getPnlAndPendingFee", who))

    def tick(self, symbol: str) -> int:
        """The tick of a pool's present price."""
        return int(self.listings[symbol].pool.call("slot0")[1])


ARBITRAGEUR: Final = person("perp-v2/arbitrageur")
"""Who trades the pools after the oracles; has a position in every market."""
