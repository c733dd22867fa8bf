"""What the scripted Binance has and holds, and its arithmetic: brackets, profits, maintenance margins, liquidation prices by bisection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any, ClassVar, Final

from tests.exchanges.double import Double

D = Decimal
DAY: Final = 86_400_000
FOREVER: Final = 4_133_404_800_000
DELIVERY: Final = 1_798_185_600_000
"""2026-12-25 08:00 UTC, when contracts named _261225 are delivered."""
USD_TIERS: Final = (("0", "0.004"), ("50000", "0.005"), ("250000", "0.01"), ("3000000", "0.025"), ("20000000", "0.05"), ("40000000", "0.1"))
COIN_TIERS: Final = (("0", "0.004"), ("5", "0.005"), ("10", "0.01"), ("20", "0.025"), ("50", "0.05"), ("100", "0.1"), ("200", "0.125"))
READ_ONLY: Final = {
    "ipRestrict": True,
    "createTime": 1_700_000_000_000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "permitsUniversalTransfer": False,
    "enableMargin": False,
    "enableSpotAndMarginTrading": False,
    "enableFutures": False,
    "enableVanillaOptions": False,
    "enablePortfolioMarginTrading": False,
}


@dataclass
class Held:
    """A position: signed amount (COIN-M: contracts), entry, leverage, the wallet of an isolated one, and the side in hedge mode."""

    symbol: str
    amount: str
    entry: str
    leverage: int = 20
    isolated: str = ""
    side: str = "BOTH"


def text(number: Decimal, digits: int = 8) -> str:
    """A figure as Binance writes it, cut after eight decimals."""
    return f"{number.quantize(D(1).scaleb(-digits), ROUND_DOWN):f}"


@dataclass
class Rules(Double):
    """One account. `marks` are prices by symbol, `index` USD prices of coins with bid and ask buffers, `margin` what the margin wallet of
    portfolio margin owns, owes and owes in interest; `rates` are collateral rates, `leverages` those of loans.
    """

    id: ClassVar[str] = "binance"
    wallets: dict[str, str] = field(default_factory=dict)
    positions: list[Held] = field(default_factory=list)
    coin_wallets: dict[str, str] = field(default_factory=dict)
    coin_positions: list[Held] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    index: dict[str, tuple[str, str, str]] = field(
        default_factory=lambda: {
            "USDT": ("1.00000000", "0.0001", "0.0001"),
            "USDC": ("0.99990000", "0.0001", "0.0001"),
            "BTC": ("60000.00000000", "0.05", "0.05"),
            "ETH": ("3000.00000000", "0.05", "0.05"),
        }
    )
    tiers: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    funding: dict[str, tuple[str, int]] = field(default_factory=dict)
    multi: bool = False
    portfolio: bool = False
    margin: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    rates: dict[str, str] = field(default_factory=lambda: {"USDT": "1.0000", "USDC": "1.0000", "BTC": "0.9500", "ETH": "0.9500"})
    leverages: dict[str, int] = field(default_factory=lambda: {"USDT": 10, "BTC": 3, "ETH": 3})
    rights: dict[str, Any] = field(default_factory=lambda: dict(READ_ONLY))
    fixed: dict[str, Any] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)

    # what is listed

    def symbols(self, *, linear: bool) -> list[str]:
        named = {*self.marks, "BTCUSDT", "ETHUSDT", "BTCUSD_PERP", "ETHUSD_PERP"}
        return sorted(name for name in named if ("USDT" in name or "USDC" in name) is linear)

    def contract(self, symbol: str) -> dict[str, Any]:
        pair, _, date = symbol.partition("_")
        linear = pair.endswith(("USDT", "USDC"))
        quote = pair[-4:] if linear else "USD"
        base = pair.removesuffix(quote)
        dated = date not in ("", "PERP")
        return {
            "symbol": symbol,
            "pair": pair,
            "contractType": "CURRENT_QUARTER" if dated else "PERPETUAL",
            "deliveryDate": DELIVERY if dated else FOREVER,
            "onboardDate": 1_569_398_400_000,
            "baseAsset": base,
            "quoteAsset": quote,
            "marginAsset": quote if linear else base,
            **({} if linear else {"contractSize": self._value(symbol)}),
        }

    def premium(self, symbol: str) -> dict[str, Any]:
        row = self.contract(symbol)
        base = row["baseAsset"]
        rate, _ = self.funding.get(symbol, ("0.00010000", 8))
        index = self.index[base][0] if base in self.index else str(self.mark(symbol))
        paid = row["deliveryDate"] == FOREVER
        return {
            "symbol": symbol,
            "pair": row["pair"],
            "markPrice": text(self.mark(symbol)),
            "indexPrice": index,
            "lastFundingRate": rate if paid else "",
            "nextFundingTime": self.now() + DAY // 3 if paid else 0,
            "time": self.now(),
        }

    def intervals(self, *, linear: bool) -> list[dict[str, Any]]:
        named = set(self.symbols(linear=linear))
        return [
            {"symbol": symbol, "adjustedFundingRateCap": "0.02", "fundingIntervalHours": hours}
            for symbol, (_, hours) in self.funding.items()
            if symbol in named and hours != 8
        ]

    def asset(self, coin: str) -> dict[str, Any]:
        index, bid, ask = self.index[coin]
        return {
            "symbol": f"{coin}USD",
            "time": self.now(),
            "index": index,
            "bidBuffer": bid,
            "askBuffer": ask,
            "bidRate": text(D(index) * (1 - D(bid))),
            "askRate": text(D(index) * (1 + D(ask))),
        }

    def brackets(self, held: list[Held]) -> list[dict[str, Any]]:
        linear = held is self.positions
        floor, cap = ("notionalFloor", "notionalCap") if linear else ("qtylFloor", "qtyCap")
        names = self.symbols(linear=linear)
        tables = {name: self._table(name) for name in names}
        return [
            {
                "symbol": name,
                "brackets": [
                    {
                        "bracket": number,
                        "initialLeverage": 125 // number,
                        floor: float(low),
                        cap: float(table[number][0]) if number < len(table) else 1e12,
                        "maintMarginRatio": float(rate),
                        "cum": float(cum),
                    }
                    for number, (low, rate, cum) in enumerate(table, 1)
                ],
            }
            for name, table in tables.items()
        ]

    # arithmetic of the exchange

    def _table(self, symbol: str) -> list[tuple[Decimal, Decimal, Decimal]]:
        """Floors, rates and deductions: each is the last one's plus floor * (rate - last rate)."""
        rows = self.tiers.get(symbol, USD_TIERS if "USDT" in symbol or "USDC" in symbol else COIN_TIERS)
        found: list[tuple[Decimal, Decimal, Decimal]] = []
        for floor, rate in ((D(low), D(rate)) for low, rate in rows):
            cum = found[-1][2] + floor * (rate - found[-1][1]) if found else D(0)
            found.append((floor, rate, cum))
        return found

    def _value(self, symbol: str) -> int:
        return 100 if symbol.startswith("BTC") else 10

    def mark(self, symbol: str) -> Decimal:
        base = self.contract(symbol)["baseAsset"]
        return D(self.marks.get(symbol) or (self.index[base][0] if base in self.index else "1"))

    def linear(self, one: Held) -> bool:
        return "USDT" in one.symbol or "USDC" in one.symbol

    def worth(self, one: Held, mark: Decimal | None = None) -> Decimal:
        """Signed notional in the coin that the contract settles in."""
        price = self.mark(one.symbol) if mark is None else mark
        return D(one.amount) * price if self.linear(one) else D(one.amount) * self._value(one.symbol) / price

    def pnl(self, one: Held, mark: Decimal | None = None) -> Decimal:
        price, entry = self.mark(one.symbol) if mark is None else mark, D(one.entry)
        if self.linear(one):
            return D(one.amount) * (price - entry)
        return D(one.amount) * self._value(one.symbol) * (1 / entry - 1 / price)

    def needs(self, one: Held, mark: Decimal | None = None) -> Decimal:
        worth = abs(self.worth(one, mark))
        _, rate, cum = [row for row in self._table(one.symbol) if row[0] <= worth][-1]
        return worth * rate - cum

    def coin(self, one: Held) -> str:
        return str(self.contract(one.symbol)["marginAsset"])

    def factor(self, coin: str, net: Decimal) -> Decimal:
        index, bid, ask = map(D, self.index[coin])
        return index * (1 - bid) if net >= 0 else index * (1 + ask)

    def _dearer(self, coin: str) -> Decimal:
        index, _, ask = map(D, self.index[coin])
        return index * (1 + ask)

    def sums(self, marks: Mapping[str, Decimal]) -> tuple[Decimal, Decimal]:
        """Margin balance and maintenance margin of multi-assets mode, in USD."""
        equity, needed = D(0), D(0)
        for coin in {*self.wallets, *map(self.coin, self.positions)}:
            mine = [one for one in self.positions if self.coin(one) == coin]
            net = D(self.wallets.get(coin, "0")) + sum(self.pnl(one, marks.get(one.symbol)) for one in mine)
            equity += net * self.factor(coin, net)
            needed += sum((self.needs(one, marks.get(one.symbol)) for one in mine), D(0)) * self._dearer(coin)
        return equity, needed

    def _surplus(self, one: Held, price: Decimal) -> Decimal:
        """What the account that answers for a position has beyond its maintenance margin, were the contract at a price."""
        if one.isolated:
            return D(one.isolated) + self.pnl(one, price) - self.needs(one, price)
        linear = one in self.positions
        if linear and self.multi:
            equity, needed = self.sums({one.symbol: price})
            return equity - needed
        coin = self.coin(one)
        every = [other for other in (self.positions if linear else self.coin_positions) if self.coin(other) == coin and not other.isolated]
        at = {one.symbol: price}
        gained = sum((self.pnl(other, at.get(other.symbol)) - self.needs(other, at.get(other.symbol)) for other in every), D(0))
        return D((self.wallets if linear else self.coin_wallets).get(coin, "0")) + gained

    def liquidation(self, one: Held) -> str:
        same = [other for other in self.positions + self.coin_positions if other.symbol == one.symbol and not other.isolated]
        net = D(one.amount) if one.isolated else sum((D(other.amount) for other in same), D(0))
        mark = self.mark(one.symbol)
        alive, dead = mark, mark / 1000 if net > 0 else mark * 1000
        if self._surplus(one, dead) >= 0 or self._surplus(one, alive) < 0:
            return "0"
        for _ in range(80):
            middle = (alive + dead) / 2
            alive, dead = (middle, dead) if self._surplus(one, middle) >= 0 else (alive, middle)
        return text(dead)
