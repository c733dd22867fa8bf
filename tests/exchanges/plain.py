"""The smallest reader of exchange accounts, and its exchange: a spot account of Binance US, taken for margin.

It tests what stands between a reader and the wire, apart from any reader that ships. It is installed as a foreign package would be.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import invalidate_caches
from pathlib import Path
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Account, Asset, KeyRights, Leg, Price, Role, Side, SourceReport
from defi_risk.spi import Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import Quantity
from tests.exchanges.double import WINDOW, Double, Reply, Request

ID: Final = "binanceus"
ACCOUNT: Final = "/api/v3/account"
TIME: Final = "/api/v3/time"
MARKETS: Final = "/api/v3/exchangeInfo"
FEES: Final = "/api/v3/account/commission"
RIGHTS: Final = "/sapi/v1/account/apiRestrictions"


class Plain:
    """One account of all coins, at a dollar each."""

    names: ClassVar[tuple[str, ...]] = (ID,)
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Plain"
    needs: ClassVar[tuple[str, ...]] = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", (f"GET {TIME}",), private=False),
        "markets": ExchangeRead("load_markets", (f"GET {MARKETS}",), kept=21_600, private=False),
        "account": ExchangeRead("privateGetAccount", (f"GET {ACCOUNT}",)),
        "balance": ExchangeRead("fetch_balance", (f"GET {ACCOUNT}",)),
        "fees": ExchangeRead("privateGetAccountCommission", (f"GET {FEES}",), kept=600),
        "rights": ExchangeRead("sapiGetAccountApiRestrictions", (f"GET {RIGHTS}",)),
        "order": ExchangeRead("privatePostOrder", (f"GET {ACCOUNT}",)),
        "page": ExchangeRead("privateGetMyTrades", ("GET /api/v3/myTrades",), takes=("symbol",)),
        "wrong": ExchangeRead("privateGetMyTrades", (f"GET {ACCOUNT}",)),
        "nothing": ExchangeRead("privateGetNothingAtAll", (f"GET {ACCOUNT}",)),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Balances, by the way that the book's options name; all must be of one account type."""
        [answer, fees] = yield [
            ExchangeCall(str(at.options.get("by") or "account")),
            ExchangeCall("fees", (("symbol", "BTCUSDT"),), optional=True),
        ]
        account = Answer(answer, "account")
        if at.options.get("by") == "balance":
            account = account["info"]
        coins = [coin["asset"].text() for coin in account["balances"].listing(100)]
        if len(set(coins)) != len(coins):
            raise OutOfRange("account.balances has a coin twice")
        kind = account["accountType"].text()
        if kind != "SPOT":
            raise Unsupported(f"account type {kind} is not modelled", hint="use a spot account")
        legs = [self._leg(at, coin) for coin in account["balances"].listing(100)]
        if not legs and at.options.get("hide"):
            return []
        found = Account(
            id=at.account_id("spot"), owner="", side=Side.DERIVATIVES, venue=self.venue, market="spot", mode="cross", legs=tuple(legs)
        )
        notes = () if fees or not isinstance(fees, Failed) else (f"fees are not known: {fees.reason}",)
        return [found, SourceReport(id=at.name, kind="exchange", notes=notes)]

    def _leg(self, at: Desk, coin: Answer) -> Leg:
        name, amount = coin["asset"].text(), coin["free"].decimal()
        return Leg(
            role=Role.MARGIN,
            asset=Asset(at.asset(name).id, name, 8),
            factor=Factor("USD"),
            amount=Quantity.of(amount),
            price=Price(Quantity.of(Decimal(1)), source="par"),
        )

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """What the exchange says of the key; a field that it leaves out is not known."""
        [answer] = yield [ExchangeCall("rights")]
        told = Answer(answer, "rights")
        trade, withdraw, bound = (one.flag() if (one := told.get(name)) else None for name in ("trade", "withdraw", "bound"))
        return KeyRights(trade, withdraw, bound)


@dataclass
class PlainExchange(Double):
    """The exchange: balances of coins, and what the key may do."""

    id: ClassVar[str] = ID
    balances: dict[str, str] = field(default_factory=lambda: {"USDT": "1000.10", "USDC": "250.00"})
    kind: str = "SPOT"
    rights: dict[str, bool] = field(default_factory=lambda: {"trade": False, "withdraw": False, "bound": True})

    answers: dict[str, Reply | Callable[[Request], Reply]] = field(default_factory=dict)
    """What is sent instead, by path."""

    def reply(self, request: Request) -> Reply:
        instead = self.answers.get(request.path)
        if instead is None:
            return super().reply(request)
        return instead if isinstance(instead, Reply) else instead(request)

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            f"GET {TIME}": lambda _: {"serverTime": self.now()},
            f"GET {MARKETS}": lambda _: {"timezone": "UTC", "serverTime": self.now(), "rateLimits": [], "symbols": [MARKET]},
            f"GET {ACCOUNT}": lambda _: self._account(),
            f"GET {FEES}": lambda _: {"symbol": "BTCUSDT", "standardCommission": {"maker": "0.001", "taker": "0.001"}},
            f"GET {RIGHTS}": lambda _: dict(self.rights),
        }

    def _account(self) -> dict[str, Any]:
        coins = [{"asset": coin, "free": amount, "locked": "0.00"} for coin, amount in self.balances.items()]
        return {"accountType": self.kind, "canTrade": True, "updateTime": self.now(), "balances": coins}

    def refuses(self, request: Request) -> Reply | None:
        if request.path in (TIME, MARKETS):
            return None
        if request.headers.get("x-mbx-apikey") != self.credentials["api_key"]:
            return self.error("bad key")
        signed, _, signature = request.raw_query.rpartition("&signature=")
        right = hmac.new(self.credentials["secret"].encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, right):
            return Reply(400, {"code": -1022, "msg": "Signature for this request is not valid."})
        if not -1 <= (self.now() - int(request.query["timestamp"])) / 1_000 <= WINDOW:
            return self.error("time")
        return None

    def error(self, kind: str) -> Reply:
        return ERRORS[kind]

    def unknown(self, request: Request) -> Reply:
        return Reply(404, b"<html><body>404</body></html>")


ERRORS: Final = {
    "bad key": Reply(401, {"code": -2014, "msg": "API-key format invalid."}),
    "permission": Reply(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}),
    "address": Reply(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action, request ip: 203.0.113.9"}),
    "time": Reply(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}),
    "maintenance": Reply(503, {"code": -1000, "msg": "Service unavailable."}),
    "rate": Reply(429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": "60"}),
    "symbol": Reply(400, {"code": -1121, "msg": "Invalid symbol."}),
}
MARKET: Final = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "baseAssetPrecision": 8,
    "quoteAsset": "USDT",
    "quotePrecision": 8,
    "orderTypes": [],
    "isSpotTradingAllowed": True,
    "isMarginTradingAllowed": False,
    "permissions": ["SPOT"],
    "permissionSets": [["SPOT"]],
    "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"}],
}


def install(folder: Path) -> None:
    """Write what an installed distribution leaves, so that the reader is found by its name once the folder is on `sys.path`."""
    place = folder / "plain-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: plain\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(f"[defi_risk.exchanges]\n{ID} = tests.exchanges.plain:Plain\n")


@contextmanager
def registered(folder: Path) -> Generator[None]:
    """The reader as an installed package, until the block is left."""
    install(folder)
    sys.path.insert(0, str(folder))
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        invalidate_caches()
