"""A double of OKX's trading account: https://www.okx.com/docs-v5. Figures are the double's own arithmetic, from the documentation."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import pytest

from defi_risk.health.normal import in_floats
from defi_risk.ids import Factor
from defi_risk.model import Account
from tests.exchanges.double import Double, Reply, Request

WINDOW = 30.0
ZERO = Decimal(0)
TIERS = [("0", "1000", "0.004", "0.01"), ("1001", "5000", "0.0065", "0.015"), ("5001", "20000", "0.01", "0.02")]
LOAN_RATE, LOAN_FEE = Decimal("0.02"), Decimal("0.001")


class Contract(NamedTuple):
    """A listed contract: what one is worth, in what, and what it settles in."""

    kind: str
    family: str
    value: str
    unit: str
    settle: str
    expires: str = ""

    @property
    def inverse(self) -> bool:
        return self.unit == "USD"


LISTED = {
    "BTC-USDT-SWAP": Contract("SWAP", "BTC-USDT", "0.01", "BTC", "USDT"),
    "ETH-USDT-SWAP": Contract("SWAP", "ETH-USDT", "0.1", "ETH", "USDT"),
    "BTC-USD-SWAP": Contract("SWAP", "BTC-USD", "100", "USD", "BTC"),
    "ETH-USD-SWAP": Contract("SWAP", "ETH-USD", "10", "USD", "ETH"),
    "BTC-USDT-261225": Contract("FUTURES", "BTC-USDT", "0.01", "BTC", "USDT", "1798185600000"),
    "BTC-USD-261225": Contract("FUTURES", "BTC-USD", "100", "USD", "BTC", "1798185600000"),
    "BTC-USD_UM-SWAP": Contract("SWAP", "BTC-USD_UM", "0.01", "BTC", "USDC"),
    "ODD-USD-SWAP": Contract("SWAP", "ODD-USD", "1", "ODD", "BTC"),
}


@dataclass
class Place:
    """An open position; `contracts` is signed, whatever the position mode. `margin` is of an isolated one."""

    symbol: str
    contracts: str
    entry: str
    mark: str
    lever: str = "10"
    margin: str = ""
    side: str = "net"

    @property
    def contract(self) -> Contract:
        return LISTED[self.symbol]

    @property
    def size(self) -> Decimal:
        return Decimal(self.contracts) * Decimal(self.contract.value)

    @property
    def gross(self) -> Decimal:
        return abs(self.size) / Decimal(self.mark) if self.contract.inverse else abs(self.size) * Decimal(self.mark)

    @property
    def rate(self) -> Decimal:
        return next(Decimal(rate) for _, most, rate, _ in TIERS if abs(Decimal(self.contracts)) <= Decimal(most))

    @property
    def profit(self) -> Decimal:
        entry, mark = Decimal(self.entry), Decimal(self.mark)
        return self.size / entry - self.size / mark if self.contract.inverse else self.size * (mark - entry)


@dataclass
class Purse:
    """A coin: `cash` is what is there beside isolated margin, borrowed coins included; `price` in USD."""

    cash: str
    price: str = "1"
    rates: Sequence[tuple[str, str, str]] = (("0", "", "1"),)
    owed: str = "0"
    ordered: str = "0"
    enabled: bool = True
    strategies: str = "0"


@dataclass
class OkxDouble(Double):
    """The account. `level` and `mode` are acctLv and posMode. `figures` replaces fields of the balance, `rows` those of positions.

    `apart`: whether disEq is of the equity without isolated positions and bots. Under portfolio margin `risk` holds the raw requirement and
    the raw seventh part of it (MR7), in USD.
    """

    id: ClassVar[str] = "okx"
    credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "dummy-key-4711",
        "secret": "dummy-secret-4711",
        "password": "dummy-phrase-4711",
    }
    level: str = "2"
    mode: str = "net_mode"
    perm: str = "read_only"
    ip: str = "203.0.113.7"
    fee: str = "0.0005"
    own_fee: str = "0.0005"
    purses: dict[str, Purse] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    apart: bool = False
    risk: tuple[Decimal, Decimal] = (ZERO, ZERO)
    more_rows: list[dict[str, Any]] = field(default_factory=list)
    recorded_balance: dict[str, Any] | None = None

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /api/v5/public/time": lambda _: self.told([{"ts": str(self.now())}]),
            "GET /api/v5/public/instruments": self.instruments,
            "GET /api/v5/public/position-tiers": self.tiers,
            "GET /api/v5/public/funding-rate": self.funding,
            "GET /api/v5/public/discount-rate-interest-free-quota": self.discounts,
            "GET /api/v5/account/config": lambda _: self.told([self.config()]),
            "GET /api/v5/account/trade-fee": self.trade_fee,
            "GET /api/v5/account/balance": lambda _: self.told([self.recorded_balance or self.balance()]),
            "GET /api/v5/account/positions": lambda _: self.told([*map(self.row, self.places), *self.more_rows]),
        }

    @staticmethod
    def told(data: list[dict[str, Any]]) -> dict[str, Any]:
        return {"code": "0", "msg": "", "data": data}

    def refuses(self, request: Request) -> Reply | None:
        if not request.path.startswith("/api/v5/account/"):
            return None
        headers = request.headers
        if headers.get("ok-access-key") != self.credentials["api_key"]:
            return self.error("bad key")
        if headers.get("ok-access-passphrase") != self.credentials["password"]:
            return Reply(401, {"code": "50105", "msg": "Request header OK-ACCESS-PASSPHRASE incorrect."})
        stamp = headers.get("ok-access-timestamp", "")
        if abs(datetime.fromisoformat(stamp).timestamp() * 1_000 - self.now()) > WINDOW * 1_000:
            return self.error("time")
        query = f"?{request.raw_query}" if request.raw_query else ""
        text = f"{stamp}{request.method}{request.path}{query}".encode() + request.body
        sign = base64.b64encode(hmac.new(self.credentials["secret"].encode(), text, hashlib.sha256).digest()).decode()
        return None if headers.get("ok-access-sign") == sign else Reply(401, {"code": "50113", "msg": "Invalid Sign"})

    def error(self, kind: str) -> Reply:
        status, code, message = {
            "bad key": (401, "50111", "Invalid OK-ACCESS-KEY"),
            "permission": (401, "50120", "This API key doesn't have permission to use this function"),
            "address": (401, "50110", "Your IP 203.0.113.7 is not included in your API key's IP whitelist."),
            "time": (401, "50102", "Timestamp request expired"),
            "maintenance": (503, "50001", "Service temporarily unavailable. Try again later"),
            "rate": (429, "50011", "Too Many Requests"),
            "symbol": (200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."),
        }[kind]
        return Reply(status, {"code": code, "msg": message, "data": []})

    def unknown(self, request: Request) -> Reply:
        return Reply(404, {"code": "404", "msg": "Not Found", "data": []})

    def config(self) -> dict[str, Any]:
        return {"acctLv": self.level, "autoLoan": False, "ip": self.ip, "perm": self.perm, "posMode": self.mode, "uid": "44705892343619584"}

    def instruments(self, request: Request) -> Any:
        kind, one = request.query["instType"], request.query.get("instId")
        rows = [
            {
                "instId": symbol,
                "instType": kind,
                "instFamily": contract.family,
                "uly": contract.family.removesuffix("_UM"),
                "ctType": "inverse" if contract.inverse else "linear",
                "ctVal": contract.value,
                "ctMult": "1",
                "ctValCcy": contract.unit,
                "settleCcy": "USD" if contract.family.endswith("_UM") else contract.settle,  # whatever the user chose
                "expTime": contract.expires,
                "state": "live",
            }
            for symbol, contract in LISTED.items()
            if contract.kind == kind and one in (None, symbol)
        ]
        return self.told(rows) if rows or one is None else self.error("symbol")

    def tiers(self, request: Request) -> Any:
        query = request.query
        assert query["tdMode"] in ("cross", "isolated")
        return self.told(
            [
                {
                    "tier": str(k + 1),
                    "minSz": least,
                    "maxSz": most,
                    "mmr": rate,
                    "imr": first,
                    "instFamily": query["instFamily"],
                    "instId": "",
                }
                for k, (least, most, rate, first) in enumerate(TIERS)
            ]
        )

    def funding(self, request: Request) -> Any:
        symbols = [symbol for symbol, contract in LISTED.items() if contract.kind == "SWAP"]
        asked = symbols if request.query["instId"] == "ANY" else [request.query["instId"]]
        hours = {"ETH-USDT-SWAP": 4}
        now = self.now()
        return self.told(
            [
                {
                    "instId": symbol,
                    "instType": "SWAP",
                    "fundingRate": "0.0001",
                    "fundingTime": str(now),
                    "nextFundingTime": str(now + hours.get(symbol, 8) * 3_600_000),
                }
                for symbol in asked
            ]
        )

    def discounts(self, _: Request) -> Any:
        return self.told(
            [
                {
                    "ccy": code,
                    "amt": "0",
                    "discountLv": "1",
                    "minDiscountRate": "0",
                    "details": [
                        {"minAmt": least, "maxAmt": most, "discountRate": rate, "tier": str(k + 1), "liqPenaltyRate": "0"}
                        for k, (least, most, rate) in enumerate(purse.rates)
                    ],
                }
                for code, purse in {"AAVE": Purse("0"), **self.purses}.items()
            ]
        )

    def trade_fee(self, request: Request) -> Any:
        fee = f"-{self.own_fee}"
        row = {"instType": request.query["instType"], "level": "Lv1", "maker": "-0.0002", "taker": fee, "takerU": fee, "takerUSDC": fee}
        return self.told([row])

    # figures

    def price(self, coin: str) -> Decimal:
        return Decimal(self.purses[coin].price) if coin in self.purses else Decimal(1)

    def crossing(self, coin: str) -> list[Place]:
        return [place for place in self.places if not place.margin and place.contract.settle == coin]

    def needed(self, place: Place, fee: bool = True) -> Decimal:
        return place.gross * (place.rate + (Decimal(self.fee) if fee else ZERO))

    def backing(self, place: Place) -> Decimal:
        """What a position's account has, in its coin."""
        if place.margin:
            return Decimal(place.margin) + place.profit
        coin = place.contract.settle
        cash = Decimal(self.purses[coin].cash) if coin in self.purses else ZERO
        return cash + sum(other.profit for other in self.crossing(coin))

    def row(self, place: Place) -> dict[str, Any]:
        """A position as the exchange shows it."""
        coin = place.contract.settle
        alone = [place] if place.margin else self.crossing(coin)
        if self.level == "2" or place.margin:
            ratio = self.backing(place) / sum(self.needed(other) for other in alone)
        else:
            ratio = self.adjusted() / self.required()
        kept = self.backing(place) - place.profit - sum(self.needed(other) for other in alone if other is not place)
        size, load = place.size, abs(place.size) * (place.rate + Decimal(self.fee))
        entry = Decimal(place.entry)
        if place.contract.inverse:
            below = kept + size / entry
            dead = (size + load) / below if below else ZERO
        else:
            dead = (size * entry - kept) / (size - load)
        return {
            "instType": place.contract.kind,
            "instId": place.symbol,
            "mgnMode": "isolated" if place.margin else "cross",
            "posSide": place.side,
            "pos": place.contracts.lstrip("-") if place.side != "net" else place.contracts,
            "ccy": coin,
            "avgPx": place.entry,
            "markPx": place.mark,
            "idxPx": place.mark,
            "lever": place.lever,
            "imr": "" if place.margin else str(place.gross / Decimal(place.lever)),
            "mmr": str(self.needed(place, fee=False)),
            "mgnRatio": str(ratio),
            "margin": place.margin,
            "upl": str(place.profit),
            "liqPx": str(dead) if dead > 0 else "",
            "notionalUsd": str(abs(place.size) if place.contract.inverse else place.gross * self.price(coin)),
            "optVal": "",
            "liab": "",
            "interest": "",
            "usdPx": "",
            "uTime": str(self.now()),
        }

    def isolated(self, coin: str) -> tuple[Decimal, Decimal]:
        """Equity and profit of isolated positions in a coin."""
        apart = [place for place in self.places if place.margin and place.contract.settle == coin]
        profit = sum((place.profit for place in apart), ZERO)
        return sum((Decimal(place.margin) for place in apart), profit), profit

    def equity(self, coin: str) -> Decimal:
        """Of one coin, without isolated positions and bots."""
        purse = self.purses[coin]
        return Decimal(purse.cash) - Decimal(purse.owed) + sum(place.profit for place in self.crossing(coin))

    def counted(self, coin: str) -> Decimal:
        """What of a coin's equity counts, in USD."""
        equity, purse, total = self.equity(coin), self.purses[coin], ZERO
        if equity <= 0:
            return equity * Decimal(purse.price)
        if not purse.enabled and self.level == "3":  # a choice of multi-currency mode
            return ZERO
        for least, most, rate in purse.rates:
            top = min(equity, Decimal(most)) if most else equity
            total += max(ZERO, top - Decimal(least)) * Decimal(rate)
        return total * Decimal(purse.price)

    def adjusted(self) -> Decimal:
        return sum((self.counted(coin) for coin in self.purses), ZERO)

    def maintained(self, fee: bool = False) -> Decimal:
        """Maintenance margin of all cross positions and debts in USD, with fees where asked."""
        if self.level == "4":
            return portfolio_requirement(*self.risk)
        owed = sum(Decimal(purse.owed) * Decimal(purse.price) for purse in self.purses.values())
        rate = LOAN_RATE + (LOAN_FEE if fee else ZERO)
        cross = [place for place in self.places if not place.margin]
        return owed * rate + sum(self.needed(place, fee) * self.price(place.contract.settle) for place in cross)

    def required(self) -> Decimal:
        return self.maintained(fee=True)

    def balance(self) -> dict[str, Any]:
        pooled = self.level != "2"
        required = self.required() if pooled else ZERO
        usd = sum(place.gross * self.price(place.contract.settle) for place in self.places if not place.margin)
        owed = sum(Decimal(purse.owed) * Decimal(purse.price) for purse in self.purses.values())
        return {
            "totalEq": str(sum((self.equity(coin) * self.price(coin) for coin in self.purses), ZERO)),
            "adjEq": str(self.adjusted()) if pooled else "",
            "mmr": str(self.maintained()) if pooled else "",
            "mgnRatio": str(self.adjusted() / required) if required else "",
            "notionalUsd": str(usd + owed) if pooled else "",
            "ordFroz": "0" if pooled else "",
            "uTime": str(self.now()),
            "details": [self.detail(coin, purse) for coin, purse in self.purses.items()],
        }

    def detail(self, coin: str, purse: Purse) -> dict[str, Any]:
        """A coin as the exchange shows it."""
        apart, apart_profit = self.isolated(coin)
        cross_profit = sum((place.profit for place in self.crossing(coin)), ZERO)
        equity = self.equity(coin) + apart + Decimal(purse.strategies)
        pooled = self.level != "2"
        net = self.equity(coin)
        ratio = self.counted(coin) / (net * Decimal(purse.price)) if net * Decimal(purse.price) else ZERO
        return {
            "ccy": coin,
            "cashBal": purse.cash,
            "eq": str(equity),
            "eqUsd": str(equity * Decimal(purse.price)),
            "disEq": str((net if self.apart else equity) * Decimal(purse.price) * ratio) if pooled else "",
            "upl": str(cross_profit + apart_profit),
            "isoUpl": str(apart_profit),
            "isoEq": str(apart),
            "liab": purse.owed if pooled else "",
            "interest": "0",
            "ordFrozen": purse.ordered,
            "stgyEq": purse.strategies,
            "spotIsoBal": "0",
            "smtSyncEq": "0",
            "spotCopyTradingEq": "0",
            "borrowFroz": "0" if pooled else "",
            "collateralEnabled": purse.enabled,
            "mgnRatio": "",
            "uTime": str(self.now()),
        }


def portfolio_requirement(raw: Decimal, raw_seventh: Decimal) -> Decimal:
    """The greater of the raw requirement and its seventh part after tiers: 10,000 USD count once, what is above twice (OKX's example)."""
    adjusted, floor = ZERO, ZERO
    for top, times in ((Decimal(10_000), 1), (Decimal(70_000), 2)):
        adjusted += max(ZERO, min(raw_seventh, top) - floor) * times
        floor = top
    return max(raw, adjusted)


# what tests of it share

BTC_TIERS = (("0", "20", "0.98"), ("20", "25", "0.9775"), ("25", "50", "0.95"))


def checked(account: Account) -> bool:
    assert account.self_check is not None, account.reason
    return account.self_check.match


def figures(account: Account) -> tuple[float, float]:
    """C and R in USD."""
    normal = in_floats(account, {Factor("USDT"): 1.0, Factor("USDC"): 1.0})
    return normal.weighted(), normal.requirement()


def close(account: Account, worth: float, needed: float) -> bool:
    found = figures(account)
    return found[0] == pytest.approx(worth) and found[1] == pytest.approx(needed)


def futures_book() -> OkxDouble:
    """Cross positions in USDT and BTC, dated and perpetual, and an isolated one."""
    return OkxDouble(
        purses={"USDT": Purse("20000", "0.9998"), "BTC": Purse("0.5", "60000")},
        places=[
            Place("BTC-USDT-SWAP", "50", "58000", "60000"),
            Place("ETH-USDT-SWAP", "-120", "2500", "2480"),
            Place("BTC-USD-261225", "300", "61000", "60500"),
            Place("ETH-USDT-SWAP", "30", "2450", "2480", margin="900", lever="8"),
        ],
    )


def multi_book(**more: Any) -> OkxDouble:
    """Coins with haircuts, a debt, positions in two coins."""
    purses = {
        "BTC": Purse("1.2", "60000", BTC_TIERS),
        "USDT": Purse("8000", "0.9995"),
        "OKB": Purse("100", "50", (("0", "", "0.9"),)),
        "TUSD": Purse("3000", "14501", enabled=False),
        "SOL": Purse("0", "150", (("0", "", "0.95"),), owed="40"),
    }
    places = [Place("ETH-USDT-SWAP", "-300", "2500", "2520"), Place("BTC-USD-SWAP", "200", "60500", "60000")]
    return replace(OkxDouble(level="3", purses=purses, places=places), **more)


def changed(answer: Any, **fields: Any) -> Any:
    """An answer with other values in its first entry."""
    answer["data"][0].update(fields)
    return answer


def coin_changed(answer: Any, **fields: Any) -> Any:
    answer["data"][0]["details"][0].update(fields)
    return answer
