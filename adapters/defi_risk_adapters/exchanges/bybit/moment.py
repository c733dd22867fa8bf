"""Balance and positions of one moment: pages of positions followed to their end, between two balances that agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, OutOfRange, Undecodable, Unsupported
from defi_risk.spi import ExchangeCall, Requests
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.bybit.wallet import LARGE, LINEAR, ROUNDING, ZERO, Mode, Wallet, optional, wallet_of

TRIES: Final = 3
PAGE: Final = 200
"""The most positions that one answer holds: one that is full may have another after it."""
PAGES: Final = 20
DRIFT: Final = Decimal("0.02")
"""Share by which maintenance margins may differ that were read some tenths of a second apart: they follow the mark price."""
SIDES: Final = {"Buy": 1, "Sell": -1}


@dataclass(frozen=True, slots=True)
class Held:
    """A position as Bybit lists it. `size` is signed, in base coins (inverse: USD). Where `side` is not empty there may be another on the
    other side. `maintenance` is the one that the balance adds up, `at_mark` the one by mark price where it is told apart; both are None in
    portfolio mode, as `initial` is. `margin` is what an isolated one has for itself.
    """

    category: str
    symbol: str
    side: str
    size: Decimal
    entry: Decimal
    mark: Decimal
    leverage: Decimal | None
    profit: Decimal | None
    initial: Decimal | None
    maintenance: Decimal | None
    at_mark: Decimal | None
    margin: Decimal | None
    liquidation: str
    status: str

    @property
    def name(self) -> str:
        return f"{self.symbol}/{self.side}" if self.side else self.symbol

    @property
    def linear(self) -> bool:
        return self.category == "linear"

    def value(self, price: Decimal) -> Decimal:
        """Notional at a price in the settling coin, never negative."""
        size = abs(self.size)
        return EXACT.multiply(size, price) if self.linear else EXACT.divide(size, price)


@dataclass(frozen=True, slots=True)
class Listed:
    """A position with the coin of the list that it was in; empty for inverse ones, which settle in their base coin."""

    settle: str
    held: Held


def moment(mode: Mode) -> Requests[tuple[Wallet, list[Listed]]]:
    """The balance with all positions. Raises `BadAnswer` where they move, or do not belong together, three times."""
    [told] = yield [WALLET]
    wallet = wallet_of(Answer(told, "wallet"))
    why = ""
    for _ in range(TRIES):
        listed: list[Listed] = []
        for category, settle in wallet.lists(mode):
            listed += yield from _pages(category, settle)
        _no_twice(listed)
        [told] = yield [WALLET]
        after = wallet_of(Answer(told, "wallet"))
        if after.held(mode) != wallet.held(mode):
            why = "balances or positions moved"
        elif missing := _missing(after, listed):
            why = f"positions that settle in {missing} did not add up to what the balance says of them"
        else:
            return after, listed
        wallet = after
    raise BadAnswer(f"{why} {TRIES} times while they were read")


WALLET: Final = ExchangeCall("wallet", (("accountType", "UNIFIED"),))


def _pages(category: str, settle: str) -> Requests[list[Listed]]:
    params = (("category", category), *([("settleCoin", settle)] if settle else []), ("limit", str(PAGE)))
    cursor, found = "", list[Listed]()
    for _ in range(PAGES):
        [told] = yield [ExchangeCall("positions", (*params, *([("cursor", cursor)] if cursor else [])))]
        page = Answer(told, "positions")["result"]
        rows = page["list"].listing(PAGE)
        found += [Listed(settle, held) for row in rows if (held := _held(row, category)) is not None]
        after = page.get("nextPageCursor")
        cursor = after.text(500) if after is not None else ""
        if len(rows) < PAGE or not cursor:
            return found
    raise OutOfRange(f"there are more than {PAGE * PAGES} positions")


def _held(row: Answer, category: str) -> Held | None:
    size = row["size"].decimal(0, LARGE)
    if not size:
        return None
    symbol = row["symbol"].text(64)
    if category == "option":
        raise Unsupported(f"there is an option ({symbol}), which is not modelled", hint="close it, or give the account by hand")
    side, index = row["side"].text(), row["positionIdx"].integer(0, 2)
    if side not in SIDES or (index and index != (1 if side == "Buy" else 2)):
        raise Undecodable(f"{row.path}: side {shown(side)!r} at index {index} is none")
    if (trade := row.get("tradeMode")) is not None and trade.integer() != 0:
        raise Unsupported(f"{symbol} has a margin mode of its own, which a unified account does not know")
    session = optional(row, "sessionAvgPrice", ZERO)
    least = Decimal(1).scaleb(-18)
    return Held(
        category=category,
        symbol=symbol,
        side=("", "long", "short")[index],
        size=EXACT.multiply(size, Decimal(SIDES[side])),
        entry=session or row["avgPrice"].decimal(least, LARGE),  # USDC contracts settle every eight hours
        mark=row["markPrice"].decimal(least, LARGE),
        leverage=optional(row, "leverage", ZERO) or None,
        profit=optional(row, "unrealisedPnl"),
        initial=optional(row, "positionIM", ZERO),
        maintenance=optional(row, "positionMM", ZERO),
        at_mark=optional(row, "positionMMByMp", ZERO),
        margin=optional(row, "positionBalance"),
        liquidation="" if optional(row, "liqPrice", ZERO) in (None, ZERO) else row["liqPrice"].text(),
        status=row["positionStatus"].text(),
    )


def _no_twice(listed: Sequence[Listed]) -> None:
    seen: set[tuple[str, str, str]] = set()
    for held in (one.held for one in listed):
        key = (held.category, held.symbol, held.side)
        if key in seen:
            raise OutOfRange(f"positions list {held.name} twice")
        seen.add(key)


def total(numbers: Iterable[Decimal]) -> Decimal:
    """A sum without rounding."""
    found = ZERO
    for number in numbers:
        found = EXACT.add(found, number)
    return found


def apart(one: Decimal, other: Decimal) -> bool:
    """Whether two maintenance margins differ by more than a moving price explains."""
    return abs(EXACT.subtract(one, other)) > max(EXACT.multiply(DRIFT, max(one, other)), ROUNDING)


def _missing(wallet: Wallet, listed: Sequence[Listed]) -> str:
    """A coin whose positions do not add up to its maintenance margin; empty where all do. Inverse ones are added up together."""
    codes = {one.settle for one in listed} | {code if code in LINEAR else "" for code in wallet.coins}
    for code in sorted(codes):
        rows = [coin for coin in wallet.coins.values() if (coin.code if coin.code in LINEAR else "") == code]
        if any(coin.maintenance is None for coin in rows):
            continue
        mine = [one.held for one in listed if one.settle == code]
        if any(held.maintenance is None for held in mine) or (mine and not rows):
            return code or "other coins"
        if code:  # coins of inverse contracts are told apart by their contracts, later
            if apart(total(coin.maintenance or ZERO for coin in rows), total(held.maintenance or ZERO for held in mine)):
                return code
        elif bool(mine) != any(coin.has_positions for coin in rows):
            return " and ".join(sorted(coin.code for coin in rows if coin.has_positions)) or "no coin"
    return ""
