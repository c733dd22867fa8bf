"""WEEX's futures account as its interface shows it: its paths, its signature, its error codes; its brackets it keeps to itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar, Final

from tests.exchanges.bingx import crossing
from tests.exchanges.double import WINDOW, Double, Reply, Request

ACCOUNT: Final = "/capi/v3/account/"
TIERS: Final = {
    "BTCUSDT": [("0", "0.004"), ("500000", "0.01")],
    "DOGEUSDT": [("0", "0.02")],
    "XAUTUSDT": [("0", "0.002"), ("50000", "0.005"), ("100000", "0.01")],
    "ETHUSDC": [("0", "0.005")],
}
"""Maintenance rates by notional; those of XAUTUSDT as the exchange announced them for 2026-03-04."""
_ids = count(737191855967437160)


def position(symbol: str, side: str, size: str, entry: str, leverage: int, margin: str | None = None, **more: Any) -> dict[str, Any]:
    """A position; `margin`: what was set apart for it, which makes it isolated."""
    value = Decimal(size) * Decimal(entry)
    return {
        "id": next(_ids),
        "asset": symbol[-4:],
        "symbol": symbol,
        "side": side,
        "marginType": "CROSSED" if margin is None else "ISOLATED",
        "separatedMode": "COMBINED",
        "separatedOpenOrderId": 0,
        "leverage": f"{leverage}.00",
        "size": size,
        "openValue": f"{value:.5f}",
        "fundingFee": "0",
        "marginSize": f"{value / leverage:.5f}" if margin is None else margin,
        "isolatedMargin": margin or "0",
        "isAutoAppendIsolatedMargin": False,
        **more,
    }


@dataclass
class WeexDouble(Double):
    """Wallets without profit by asset, positions, and marks; liquidation prices more than `far` times away are shown as zero."""

    id: ClassVar[str] = "weex"
    credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "dummy-key-4711",
        "secret": "dummy-secret-4711",
        "password": "dummy-pass-4711",
    }
    wallets: dict[str, str] = field(default_factory=dict)
    positions: list[dict[str, Any]] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=lambda: {"BTCUSDT": "60000", "DOGEUSDT": "0.0932", "XAUTUSDT": "4000", "ETHUSDC": "2000"})
    far: Decimal = Decimal(3)
    late: int = 0

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /api/v3/time": lambda _: {"serverTime": self.now()},
            "GET /capi/v3/market/exchangeInfo": lambda _: {"assets": [], "symbols": [_contract(symbol) for symbol in TIERS]},
            "GET /capi/v3/market/premiumIndex": lambda _: [self._premium(symbol, mark) for symbol, mark in self.marks.items()],
            f"GET {ACCOUNT}balance": lambda _: [self._balance(asset) for asset in self.wallets],
            f"GET {ACCOUNT}position/allPosition": lambda _: [self._shown(row) for row in self.positions],
        }

    def refuses(self, request: Request) -> Reply | None:
        if not request.path.startswith(ACCOUNT):
            return None
        given = request.headers
        if given.get("access-key") != self.credentials["api_key"] or given.get("access-passphrase") != self.credentials["password"]:
            return self.error("bad key")
        query = f"?{request.raw_query}" if request.raw_query else ""
        text = f"{given['access-timestamp']}{request.method}{request.path}{query}{request.body.decode()}"
        digest = hmac.new(self.credentials["secret"].encode(), text.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(given.get("access-sign", ""), base64.b64encode(digest).decode()):
            return Reply(400, {"code": -1047, "msg": "API authentication failed."})
        if abs(self.now() - int(given["access-timestamp"])) / 1_000 > WINDOW:
            return self.error("time")
        return None

    def error(self, kind: str) -> Reply:
        return ERRORS[kind]

    def unknown(self, request: Request) -> Reply:
        return Reply(404, {"code": -1150, "msg": "Request method not supported."})

    def _mark(self, row: dict[str, Any]) -> Decimal:
        return Decimal(self.marks.get(row["symbol"], "1"))

    def _profit(self, row: dict[str, Any], price: Decimal | None = None) -> Decimal:
        value = Decimal(row["size"]) * (self._mark(row) if price is None else price)
        gained = value - Decimal(row["openValue"])
        return gained if row["side"] == "LONG" else -gained

    def _balance(self, asset: str) -> dict[str, Any]:
        own = [row for row in self.positions if row["asset"] == asset]
        profit = sum(map(self._profit, own), Decimal(0))
        used = sum((Decimal(row["marginSize"]) for row in own), Decimal(0))
        whole = Decimal(self.wallets[asset]) + profit
        rest = {"availableBalance": f"{max(whole - used, Decimal(0)):.8f}", "frozen": "0", "unrealizePnl": f"{profit:.8f}"}
        return {"asset": asset, "balance": f"{whole:.8f}", **rest}

    def _premium(self, symbol: str, mark: str) -> dict[str, Any]:
        rates = {"forecastFundingRate": "0.00005618", "lastFundingRate": "0.00001031", "interestRate": "0.001"}
        times = {"nextFundingTime": self.now() + 1_000, "time": self.now() - self.late, "collectCycle": 480}
        return {"symbol": symbol, "markPrice": mark, "indexPrice": mark, **rates, **times}

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        alone = row["marginType"] == "ISOLATED"
        kept = [other for other in self.positions if other["marginType"] == "ISOLATED" and other["asset"] == row["asset"]]
        cross = [other for other in self.positions if other["marginType"] == "CROSSED" and other["asset"] == row["asset"]]
        own = Decimal(self.wallets.get(row["asset"], "0")) - sum((Decimal(other["isolatedMargin"]) for other in kept), Decimal(0))
        margin, judged = (Decimal(row["isolatedMargin"]), [row]) if alone else (own, cross)

        def surplus(price: Decimal) -> Decimal:
            left = margin
            for other in judged:
                at = price if other["symbol"] == row["symbol"] else self._mark(other)
                worth = Decimal(other["size"]) * at
                table = TIERS.get(other["symbol"], [("0", "0.01")])
                left += self._profit(other, at) - worth * Decimal([rate for floor, rate in table if Decimal(floor) <= worth][-1])
            return left

        mark = self._mark(row)
        price = crossing(surplus, mark) if surplus(mark) > 0 else None
        same = [other for other in judged if other["symbol"] == row["symbol"]]
        if len({other["side"] for other in same}) > 1:  # WEEX Futures Pro, "Estimated liquidation price": of what is left of both sides
            left = sum((Decimal(other["size"]) * (1 if other["side"] == "LONG" else -1) for other in same), Decimal(0))
            rate = Decimal(TIERS[row["symbol"]][0][1])
            price = mark - surplus(mark) / (left * (1 - rate if left > 0 else 1 + rate)) if left else None
        near = price is not None and mark / self.far < price < mark * self.far
        shown = f"{price:.6f}" if near else "0"
        return {"unrealizePnl": f"{self._profit(row):.5f}", "liquidatePrice": shown, **row}


def _contract(symbol: str) -> dict[str, Any]:
    base, quote = symbol[:-4], symbol[-4:]
    names = {"symbol": symbol, "baseAsset": base, "quoteAsset": quote, "marginAsset": quote}
    return {**names, "contractVal": "0.001", "forwardContractFlag": True, "minLeverage": "1", "maxLeverage": "400"}


ERRORS: Final = {
    "bad key": Reply(400, {"code": -1049, "msg": "API key or passphrase incorrect."}),
    "permission": Reply(403, {"code": -1052, "msg": "Insufficient permissions for this action."}),
    "address": Reply(403, {"code": -1056, "msg": "Invalid IP address."}),
    "time": Reply(400, {"code": -1046, "msg": "Request timestamp expired."}),
    "maintenance": Reply(503, {"code": -1054, "msg": "System error, please retry later."}),
    "rate": Reply(429, {"code": -1000, "msg": "Too many requests"}, {"Retry-After": "60"}),
    "symbol": Reply(400, {"code": -1121, "msg": "Invalid symbol."}),
}
