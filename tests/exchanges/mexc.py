"""MEXC's futures account as its interface shows it: its paths, its signature, its error codes, and its rule for isolated positions."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from itertools import count
from typing import Any, ClassVar, Final

from tests.exchanges.double import Double, Reply, Request

WINDOW: Final = 10.0
PRIVATE: Final = "/api/v1/private/"
FUNDING: Final = "/api/v1/contract/funding_rate/"
BTC_TIERS: Final = [(50000, "0.001"), (60000, "0.004"), (250000, "0.005"), (1200000, "0.01"), (3000000, "0.02"), (4500000, "0.05")]
"""As MEXC's documentation of contract information shows them (read on 2026-04-04)."""
_ids = count(5355366)


def contract(symbol: str, size: str, fee: str = "0.0004", **more: Any) -> dict[str, Any]:
    base, _, quote = symbol.partition("_")
    return {
        "symbol": symbol,
        "positionOpenType": 3,
        "baseCoin": base,
        "quoteCoin": quote,
        "futureType": 1,
        "settleCoin": base if quote == "USD" else quote,
        "contractSize": float(size),
        "maintenanceMarginRate": 0.004,
        "initialMarginRate": 0.005,
        "riskBaseVol": 100000,
        "riskIncrVol": 50000,
        "riskLongShortSwitch": 0,
        "riskIncrMmr": 0.004,
        "riskIncrImr": 0.005,
        "riskLevelLimit": 5,
        "riskLimitType": "BY_VOLUME",
        "riskLimitMode": "INCREASE",
        "liquidationFeeRate": float(fee),
        "state": 0,
        **more,
    }


def custom(rows: list[tuple[int, str]]) -> dict[str, Any]:
    """Risk limits by a table of their own."""
    return {
        "riskLimitMode": "CUSTOM",
        "riskLimitCustom": [{"level": level, "maxVol": most, "mmr": float(rate)} for level, (most, rate) in enumerate(rows, 1)],
    }


CONTRACTS: Final = {
    "BTC_USDT": contract("BTC_USDT", "0.0001", **custom(BTC_TIERS)),
    "SOL_USDT": contract("SOL_USDT", "0.01"),
    "ETH_USDC": contract("ETH_USDC", "0.01"),
    "BTC_USD": contract("BTC_USD", "100"),
}


def position(symbol: str, side: str, volume: int, entry: str, leverage: int, margin: str | None = None, **more: Any) -> dict[str, Any]:
    """A position; `margin`: what was set apart for it, which makes it isolated."""
    return {
        "positionId": next(_ids),
        "symbol": symbol,
        "positionType": 1 if side == "long" else 2,
        "openType": 1 if margin is not None else 2,
        "state": 1,
        "holdVol": volume,
        "frozenVol": 0,
        "closeVol": 0,
        "holdAvgPrice": round(float(entry), 2),
        "holdAvgPriceFullyScale": entry,
        "oim": float(margin or 0),
        "im": float(margin or 0),
        "leverage": leverage,
        "autoAddIm": False,
        "updateTime": 1756275984696,
        **more,
    }


@dataclass
class MexcDouble(Double):
    """Wallets without profit by asset, positions, and fair prices."""

    id: ClassVar[str] = "mexc"
    wallets: dict[str, str] = field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    positions: list[dict[str, Any]] = field(default_factory=list)
    marks: dict[str, str] = field(
        default_factory=lambda: {"BTC_USDT": "60000", "SOL_USDT": "202.15", "ETH_USDC": "2000", "BTC_USD": "60000"}
    )
    contracts: dict[str, dict[str, Any]] = field(default_factory=lambda: dict(CONTRACTS))
    late: int = 0

    def find(self, request: Request) -> Callable[[Request], Any] | None:
        if request.method == "GET" and request.path.startswith(FUNDING):
            return self._funding
        return super().find(request)

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /api/v3/time": lambda _: {"serverTime": self.now()},
            "GET /api/v1/contract/ping": lambda _: _ok(self.now()),
            "GET /api/v1/contract/detail": lambda _: _ok(list(self.contracts.values())),
            "GET /api/v1/contract/ticker": lambda _: _ok([self._ticker(symbol) for symbol in self.marks]),
            f"GET {PRIVATE}account/assets": lambda _: _ok([self._asset(coin, amount) for coin, amount in self.wallets.items()]),
            f"GET {PRIVATE}position/open_positions": lambda _: _ok([self._shown(row) for row in self.positions]),
        }

    def refuses(self, request: Request) -> Reply | None:
        if not request.path.startswith(PRIVATE):
            return None
        if request.headers.get("apikey") != self.credentials["api_key"]:
            return self.error("bad key")
        stamp = request.headers["request-time"]
        text = self.credentials["api_key"] + stamp + "&".join(sorted(request.raw_query.split("&")))
        right = hmac.new(self.credentials["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("signature", ""), right):
            return Reply(200, {"success": False, "code": 602, "message": "Signature verification failed!"})
        if abs(self.now() - int(stamp)) / 1_000 > WINDOW:
            return self.error("time")
        return None

    def error(self, kind: str) -> Reply:
        return ERRORS[kind]

    def unknown(self, request: Request) -> Reply:
        return Reply(404, {"success": False, "code": 404, "message": "NOT FOUND"})

    def _ticker(self, symbol: str) -> dict[str, Any]:
        price = float(self.marks[symbol])
        rest = {"fundingRate": 0.0001, "timestamp": self.now() - self.late}
        return {"symbol": symbol, "lastPrice": price, "indexPrice": price - 0.1, "fairPrice": price, **rest}

    def _funding(self, request: Request) -> Any:
        symbol = request.path.removeprefix(FUNDING)
        return _ok({"symbol": symbol, "fundingRate": 0.0002, "collectCycle": 4, "timestamp": self.now()})

    def _profit(self, row: dict[str, Any]) -> Decimal:
        size, mark = self._size(row), Decimal(self.marks.get(row["symbol"], "1"))
        entry = Decimal(str(row["holdAvgPriceFullyScale"]))
        return size / entry - size / mark if row["symbol"].endswith("_USD") else size * (mark - entry)

    def _size(self, row: dict[str, Any]) -> Decimal:
        size = Decimal(str(self.contracts.get(row["symbol"], {"contractSize": 1})["contractSize"])) * int(row["holdVol"])
        return size if row["positionType"] == 1 else -size

    def _asset(self, coin: str, amount: str) -> dict[str, Any]:
        own = [row for row in self.positions if self.contracts.get(row["symbol"], {}).get("settleCoin") == coin]
        profit = sum((self._profit(row) for row in own), Decimal(0))
        margin = sum((Decimal(str(row["im"])) for row in own), Decimal(0))
        return {
            "currency": coin,
            "positionMargin": float(margin),
            "availableBalance": float(Decimal(amount) - margin),
            "cashBalance": float(Decimal(amount) - margin),
            "frozenBalance": 0,
            "equity": float(round(Decimal(amount) + profit, 8)),
            "unrealized": float(round(profit, 8)),
            "bonus": 0,
            "debtAmount": 0,
            "contributeMarginAmount": 0,
            **self.assets.get(coin, {}),
        }

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        """A position with its liquidation price: margin + size * (p - entry) = value at entry * rate + |size| * p * fee, cut down."""
        terms = self.contracts.get(row["symbol"])
        if "liquidatePrice" in row or row["openType"] == 2 or terms is None:
            return {"liquidatePrice": 0, "marginRatio": 0, **row}
        size, entry, margin = self._size(row), Decimal(row["holdAvgPriceFullyScale"]), Decimal(str(row["im"]))
        fee, rate = Decimal(str(terms["liquidationFeeRate"])), self._rate(terms, row["holdVol"])
        if terms["settleCoin"] == terms["baseCoin"]:  # margin + size / entry - size / p = value * rate + |size| / p * fee
            price = (size + abs(size) * fee) / (margin + size / entry - abs(size) / entry * rate)
        else:
            price = (abs(size) * entry * rate - margin + size * entry) / (size - abs(size) * fee)
        return {"liquidatePrice": float(price.quantize(Decimal("0.01"), ROUND_FLOOR)), "marginRatio": 0.1, **row}

    def _rate(self, terms: dict[str, Any], volume: int) -> Decimal:
        for level in terms.get("riskLimitCustom", []):
            if volume <= level["maxVol"]:
                return Decimal(str(level["mmr"]))
        level = max(0, -(-(volume - int(terms["riskBaseVol"])) // int(terms["riskIncrVol"])))
        return Decimal(str(terms["maintenanceMarginRate"])) + level * Decimal(str(terms["riskIncrMmr"]))


def _ok(data: Any) -> dict[str, Any]:
    return {"success": True, "code": 0, "data": data}


def _refusal(code: int, message: str, status: int = 200) -> Reply:
    return Reply(status, {"success": False, "code": code, "message": message})


ERRORS: Final = {
    "bad key": _refusal(402, "API Key expired, please apply again"),
    "permission": _refusal(701, "Please enable API Key read access"),
    "address": _refusal(406, "Accessing IP is not in the whitelist"),
    "time": _refusal(513, "Invalid request, please try again later"),
    "maintenance": _refusal(801, "System under maintenance"),
    "rate": _refusal(510, "Requests are too frequent, please try again later"),
    "symbol": _refusal(1001, "Contract does not exist"),
}
