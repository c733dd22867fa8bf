"""A GMX deployment in Python for tests: markets and positions made to measure, and a DataStore that answers the adapter's reads.

The keys of the DataStore are made with the ABI codec, where the adapter makes them itself. It computes no rule: what it says of positions
is what it was told to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from defi_risk_adapters.gmx_v2.accrual import Accrued
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.rule import Discounts
from defi_risk_adapters.gmx_v2.state import Band, Borrowing, Funding, ImpactCurve, Listing, MarketState, Pair, Position, Prices

from defi_risk.ids import Address, AssetId, ChainId, Factor, address_of
from defi_risk.model import Asset, Chain, FactorRef, Owner
from defi_risk.spi import Ask, Call, Context, InfoCall, Market
from tests.adapters.scripted import NOTHING_THERE
from tests.localchain.gmx.keys import field as key_field
from tests.localchain.gmx.keys import key, position_key

ONE: Final = 10**30
NOW: Final = 1_767_225_600
CHAIN: Final = Chain(ChainId(42_161), "arbitrum")
OWNER: Final = Owner(address_of(bytes.fromhex("aa" * 20)))
SERVICE: Final = "https://prices.invalid"
NONE: Final = Accrued(0, 0, Pair(0, 0))
NO_COUNTERS: Final = Pair(Pair(0, 0), Pair(0, 0))


def address(number: int) -> Address:
    """A made-up address."""
    return address_of(number.to_bytes(20, "big"))


STORE, READER, REFERRALS, MARKET, INDEX, LONG, SHORT = (address(0x100 + number) for number in range(7))


def usd(amount: int | str) -> int:
    """USD as the contracts count it; text may have a fraction."""
    whole, _, rest = str(amount).partition(".")
    return int(whole + rest.ljust(30, "0"))


def unit_price(dollars: int | str, decimals: int) -> int:
    """A price of one base unit."""
    return usd(dollars) // int(10**decimals)


def flat(price: int) -> Band:
    """A price without a spread."""
    return Band(price, price)


def plain_funding(**terms: int) -> Funding:
    """No funding but for what is given."""
    return Funding(**dict.fromkeys(Funding.__slots__, 0) | {"exponent": ONE} | terms)


def plain_state(**terms: Any) -> MarketState:
    """A market without fees, impact, borrowing or funding, that asks for 1 % and 1 USD; `terms` replace what they name."""
    idle = Borrowing(0, ONE, 0, 0, 0, 0, 0, 0)
    usual: dict[str, Any] = {
        "listing": Listing(MARKET, INDEX, LONG, SHORT),
        "disabled": False,
        "min_collateral_usd": ONE,
        "min_factor": ONE // 100,
        "liquidation_factor": ONE // 100,
        "interest_multiplier": Pair(0, 0),
        "liquidation_fee": 0,
        "fee_improved": 0,
        "fee_worse": 0,
        "impact": ImpactCurve(0, 0, ONE, ONE, 0, 0),
        "max_pnl": Pair(ONE, ONE),
        "pool": Pair(10**24, 10**15),
        "interest": Pair(Pair(usd(10**7), 0), Pair(0, usd(10**7))),
        "interest_tokens": Pair(Pair(10**22, 0), Pair(0, 10**22)),
        "borrowing": Pair(idle, idle),
        "funding": plain_funding(),
        "funding_per_size": NO_COUNTERS,
        "claimable_per_size": NO_COUNTERS,
        "skip_smaller_side": False,
        "in_tokens": False,
        "virtual": None,
    }
    return MarketState(**usual | terms)


def plain_position(**terms: Any) -> Position:
    """A long of 10 tokens (18 decimals) opened at 3,000 USD with 6,000 of a coin (6 decimals); `terms` replace what they name."""
    usual: dict[str, Any] = {
        "account": OWNER.address,
        "market": MARKET,
        "collateral": SHORT,
        "is_long": True,
        "size_usd": usd(30_000),
        "size_tokens": 10**19,
        "amount": 6_000 * 10**6,
        "pending_impact": 0,
        "borrowing_mark": 0,
        "funding_mark": 0,
        "claimable_marks": Pair(0, 0),
    }
    return Position(**usual | terms)


def asset(token: Address, decimals: int) -> Asset:
    """A token of the chain."""
    return Asset(AssetId(f"eip155:{CHAIN.id}/erc20:{token}"), "TOKEN", decimals)


def made(
    position: Position | None = None,
    state: MarketState | None = None,
    prices: Prices | None = None,
    *,
    discounts: Discounts | None = None,
    due: Accrued = NONE,
    decimals: tuple[int, int] = (18, 6),
) -> GmxExact:
    """A position to judge. `decimals` of the index token and of the collateral."""
    held = position or plain_position()
    quoted = prices or Prices(flat(unit_price(3_000, 18)), flat(unit_price(3_000, 18)), flat(unit_price(1, 6)))
    tokens = asset(INDEX, decimals[0]), asset(held.collateral, decimals[1])
    return GmxExact(*tokens, held, state or plain_state(), quoted, discounts or Discounts(), due, due)


@dataclass
class World:
    """A deployment with one market for each of `listings`, and the positions of one owner. `words` are what the DataStore keeps, by key."""

    listings: list[Listing] = field(default_factory=lambda: [Listing(MARKET, INDEX, LONG, SHORT)])
    positions: list[Position] = field(default_factory=lambda: [plain_position()])
    decimals: dict[Address, int] = field(default_factory=lambda: {INDEX: 18, LONG: 18, SHORT: 6})
    tickers: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    words: dict[bytes, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.words |= {key("MIN_COLLATERAL_USD"): ONE, key("MAX_ORACLE_PRICE_AGE"): 300}
        for each in self.listings:
            self.words[key("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", each.token)] = ONE // 200
            self.words[key("MIN_COLLATERAL_FACTOR", each.token)] = ONE // 100
        for position in self.positions:
            self.keep(position)
        if not self.tickers:
            prices = {INDEX: unit_price(3_000, 18), LONG: unit_price(3_000, 18), SHORT: unit_price(1, 6)}
            self.tickers = [ticker(token, price) for token, price in prices.items()]

    def keep(self, position: Position) -> None:
        """Let the DataStore keep a position."""
        own = position_key(position.account, position.market, position.collateral, position.is_long)
        numbers = {"SIZE_IN_USD": position.size_usd, "SIZE_IN_TOKENS": position.size_tokens, "COLLATERAL_AMOUNT": position.amount}
        self.words |= {
            key_field(own, name): value for name, value in (*numbers.items(), ("PENDING_IMPACT_AMOUNT", position.pending_impact))
        }

    def market(self, prices: str = SERVICE, **settings: str) -> Market:
        """The deployment as a book would give it."""
        params = {"data_store": STORE, "reader": READER, "prices": prices, "referral_storage": REFERRALS, **settings}
        return Market("gmx_v2", CHAIN, "gmx", tuple((name, value) for name, value in params.items() if value), "GMX V2")

    def context(self, timestamp: int = NOW) -> Context:
        """Where the reading takes place."""
        factors = {asset(INDEX, 18).id: FactorRef(Factor("ETH")), asset(SHORT, 6).id: FactorRef(Factor("USDC"))}
        return Context(CHAIN, 400_000_000, timestamp, factors)

    def answer(self, ask: Ask) -> Any:
        """What chain and service answer. `answers` replaces those of a function, or of a path of the service."""
        if isinstance(ask, InfoCall):
            usual: Mapping[str, Any] = {"/prices/tickers": self.tickers, "/tokens": {"tokens": self.tokens}}
            return self.answers.get(ask.path, usual[ask.path])
        assert isinstance(ask, Call)
        if ask.function in self.answers:
            return self.answers[ask.function]
        if ask.to == STORE:
            return self.words.get(ask.args[0], _EMPTY[ask.function])
        if ask.function == "getAccountPositions":
            return [_tuple(position) for position in self.positions]
        if ask.function == "getMarkets":
            return [(each.token, each.index, each.long, each.short) for each in self.listings]
        if ask.to == REFERRALS:
            return bytes(32)
        if ask.function == "decimals" and ask.to in self.decimals:
            return self.decimals[ask.to]
        return NOTHING_THERE


_EMPTY: Final = {"getUint": 0, "getInt": 0, "getBool": False, "getAddress": address(0), "getBytes32": bytes(32)}


def ticker(token: Address, low: int, high: int | None = None, updated_at: int = NOW * 1_000) -> dict[str, Any]:
    """An entry of the price service."""
    band = {"minPrice": str(low), "maxPrice": str(high or low)}
    return {"tokenAddress": token, "tokenSymbol": "TOKEN", **band, "updatedAt": updated_at, "more": None}


def _tuple(position: Position) -> tuple[Any, ...]:
    numbers = (position.size_usd, position.size_tokens, position.amount, position.pending_impact, position.borrowing_mark)
    marks = (position.funding_mark, *position.claimable_marks, NOW - 86_400, 0)
    return (position.account, position.market, position.collateral), (*numbers, *marks), (position.is_long,)
