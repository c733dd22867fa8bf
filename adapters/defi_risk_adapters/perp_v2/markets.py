"""One market of Perpetual Protocol V2 as an account stands in it: status, prices, size and funding.

A market is open, paused or closed. Positions count at the mark of an open one, at the index at which a market was paused, and at the
price that governance closed it at. Of an open one the mark and the index are needed wherever there is a position: a pool without old
enough observations (`OLD`), an index of 0, or an index that stood still leaves the account without a price.

When a price feed was last answered is known four contracts away from the clearing house: too far. So a stale index is told by the index
as it is and as an average over `Context.default_heartbeat`. They are equal where it stood still, where its feed is younger than that, and
where the venue has given its feed up for an emergency price that has no averages.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from defi_risk.errors import CallReverted, MissingPrice, Unsupported
from defi_risk.ids import Address
from defi_risk.model import Asset, Owner
from defi_risk.spi import Ask, Context, Failed, Interface, Steps
from defi_risk_adapters.perp_v2.exact import Position
from defi_risk_adapters.perp_v2.funding import rate_8h

BALANCE: Final = Interface("defi_risk_abis", "perp_v2/account_balance")
EXCHANGE: Final = Interface("defi_risk_abis", "perp_v2/exchange")
ORDERS: Final = Interface("defi_risk_abis", "perp_v2/order_book")
BASE: Final = Interface("defi_risk_abis", "perp_v2/base_token")
HOUR: Final = 3_600
Status = Literal["open", "paused", "closed"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where to ask, and the two numbers that questions need: seconds of the funding average, and the account value that a
    liquidation would see (None: it could not be read).
    """

    balance: Address
    exchange: Address
    orders: Address
    twap: int
    value: int | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What the contracts say of one market. `views`: the venue's own sums, by the names of `AccountExact.native`."""

    base: Address
    status: Status
    orders: int
    size: int
    open_notional: int
    own_base: int
    own_quote: int
    funding: int | Failed
    price: int | Failed
    index: int | Failed
    average_index: int | Failed
    index_twap: int | Failed
    pool_twap: int | Failed
    views: dict[str, int | bool]

    def position(self, asset: Asset, heartbeat: int) -> Position:
        """The position as the venue counts it. `asset` names it.

        Raises `Unsupported` for liquidity in an open market, `MissingPrice` and `CallReverted` where the venue itself cannot count.
        """
        name = f"{asset.symbol} ({self.base})"
        if self.orders and self.status == "open":
            raise Unsupported(
                f"the account has open liquidity in {name}: its position moves with the price of the pool",
                hint="only positions without open orders are modelled",
            )
        price = 0
        if self.size or self.own_base < 0:
            if self.status == "open":
                self._check_index(name, heartbeat)
            if isinstance(self.price, Failed):
                raise MissingPrice(f"the venue has no mark price for {name}: {self.price.reason}")
            if self.price <= 0:
                raise MissingPrice(f"the venue prices {name} at {self.price}")
            price = self.price
        if isinstance(self.funding, Failed):
            raise CallReverted(f"the funding due in {name} cannot be told: {self.funding.reason}")
        amounts = (self.size, self.open_notional, self.own_base, self.own_quote, self.funding)
        return Position(self.base, asset, *amounts, price, live=self.status == "open")

    def rate(self, most: int, mark: int) -> Decimal | None:
        """What longs pay in eight hours (see `rate_8h`); None where it cannot be told. Nothing in a market that is not open."""
        if self.status != "open":
            return Decimal(0)
        if isinstance(self.pool_twap, Failed) or isinstance(self.index_twap, Failed):
            return None
        return rate_8h(self.pool_twap, self.index_twap, most, mark)

    def _check_index(self, name: str, heartbeat: int) -> None:
        if isinstance(self.index, Failed):
            raise MissingPrice(f"the venue has no index price for {name}: {self.index.reason}")
        if self.index <= 0:
            raise MissingPrice(f"the index price of {name} is {self.index}")
        if self.index == self.average_index:
            raise MissingPrice(
                f"the index price of {name} is stale: it has not moved for {heartbeat // HOUR} hours",
                hint="or its feed is younger than that, or was given up by the venue",
            )


def ask(places: Places, owner: Owner, base: Address, at: Context) -> Steps[Answers]:
    """What the account has in the market of `base`; one round. Raises `Unsupported` for a status that is not known."""
    who, balance, exchange = owner.address, places.balance, places.exchange
    asks: list[Ask] = [
        BASE(base, "isOpen"),
        BASE(base, "isPaused"),
        BASE(base, "isClosed"),
        BASE(base, "getPausedIndexPrice"),
        BASE(base, "getClosedPrice", optional=True),
        BALANCE(balance, "getMarkPrice", base, optional=True),
        ORDERS(places.orders, "getOpenOrderIds", who, base),
        BALANCE(balance, "getTotalPositionSize", who, base),
        BALANCE(balance, "getTotalOpenNotional", who, base),
        BALANCE(balance, "getBase", who, base),
        BALANCE(balance, "getQuote", who, base),
        EXCHANGE(exchange, "getPendingFundingPayment", who, base, optional=True),
        BASE(base, "getIndexPrice", 0, optional=True),
        BASE(base, "getIndexPrice", at.default_heartbeat, optional=True),
        BASE(base, "getIndexPrice", places.twap, optional=True),
        EXCHANGE(exchange, "getSqrtMarketTwapX96", base, places.twap, optional=True),
        BALANCE(balance, "getTotalPositionValue", who, base, optional=True),
    ]
    if places.value is not None:
        asks.append(BALANCE(balance, "getLiquidatablePositionSize", who, base, places.value, optional=True))
    is_open, is_paused, is_closed, paused, closed, mark, orders, *rest = yield asks
    status = _status(base, is_open, is_paused, is_closed)
    amounts, sums = rest[:9], rest[9:]
    names = (f"getTotalPositionValue({base})", f"getLiquidatablePositionSize({base})")
    views = {name: answer for name, answer in zip(names, sums, strict=False) if not isinstance(answer, Failed)}
    price = {"open": mark, "paused": paused, "closed": closed}[status]
    size, open_notional, own_base, own_quote, funding, index, average, index_twap, pool_twap = amounts
    return Answers(
        base, status, len(orders), size, open_notional, own_base, own_quote, funding, price, index, average, index_twap, pool_twap, views
    )


def _status(base: Address, *flags: Any) -> Status:
    names: tuple[Status, ...] = ("open", "paused", "closed")
    holding: list[Status] = [name for name, flag in zip(names, flags, strict=True) if flag]
    if len(holding) != 1:
        raise Unsupported(f"market {base} is in a state that is not known ({' and '.join(holding) or 'neither open, paused nor closed'})")
    return holding[0]
