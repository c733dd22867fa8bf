"""A double of KuCoin's classic futures: https://www.kucoin.com/docs-new."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from tests.exchanges.double import Double, Reply, Request


def contract(symbol: str, base: str, quote: str, settle: str, multiplier: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "baseCurrency": base,
        "quoteCurrency": quote,
        "settleCurrency": settle,
        "multiplier": float(multiplier),
        "isInverse": settle == base,
        "fundingFeeRate": 0.0001,
        "fundingRateGranularity": 28_800_000,
        "expireDate": None,
        "indexPrice": 4180.5,
        "takerFeeRate": 0.0006,
        **changes,
    }


CONTRACTS = {
    one["symbol"]: one
    for one in (
        contract("ETHUSDTM", "ETH", "USDT", "USDT", "0.01"),
        contract("XBTUSDTM", "XBT", "USDT", "USDT", "0.001"),
        contract("XBTUSDM", "XBT", "USD", "XBT", "-1"),
        contract("ETHUSDM", "ETH", "USD", "ETH", "-1"),
        contract("XBTMZ26", "XBT", "USD", "XBT", "-1", expireDate=1_798_185_600_000, fundingFeeRate=None, fundingRateGranularity=None),
    )
}


def position(**changes: Any) -> dict[str, Any]:
    """An isolated position as the documentation has it."""
    return {
        "id": "615ba79f83a3410001cde321",
        "symbol": "ETHUSDTM",
        "autoDeposit": False,
        "maintMarginReq": 0.005,
        "riskLimit": 1_000_000,
        "realLeverage": 25.92,
        "crossMode": False,
        "marginMode": "ISOLATED",
        "positionSide": "BOTH",
        "currentQty": 2,
        "markPrice": 4183.38,
        "markValue": 83.6676,
        "posCost": 83.787,
        "posInit": 3.35148,
        "posMargin": 3.40376309,
        "posMaint": 0.50707892,
        "maintMargin": 3.28436309,
        "unrealisedPnl": -0.1194,
        "avgEntryPrice": 4189.35,
        "liquidationPrice": 4044.55,
        "bankruptPrice": 4021.75,
        "settleCurrency": "USDT",
        "isInverse": False,
        "leverage": 25,
        **changes,
    }


@dataclass
class KucoinDouble(Double):
    """Wallets by settling coin, without profit and without what is isolated; `needs` is what all cross positions in a coin need."""

    id: ClassVar[str] = "kucoinfutures"
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "dummy-key-4711", "secret": "dummy-secret-4711", "password": "dummy-phrase"}
    wallets: dict[str, str] = field(default_factory=lambda: {"USDT": "1000"})
    positions: list[dict[str, Any]] = field(default_factory=list)
    needs: dict[str, str] = field(default_factory=dict)
    mode: str = "CLASSIC"
    permission: str = "General"
    addresses: str | None = None

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /api/v1/timestamp": lambda _: said(self.now()),
            "GET /api/ua/v1/account/mode": lambda _: said({"selfAccountMode": self.mode, "unifiedSubAccount": [], "classicSubAccount": []}),
            "GET /api/v1/account-overview": self.overview,
            "GET /api/v1/positions": lambda _: said(self.positions),
            "GET /api/v1/user/api-key": lambda _: said({"permission": self.permission, "ipWhitelist": self.addresses, "apiVersion": 2}),
            **{f"GET /api/v1/contracts/{name}": partial(_told, name) for name in CONTRACTS},
        }

    def refuses(self, request: Request) -> Reply | None:
        if "/contracts/" in request.path or request.path.endswith("/timestamp"):
            return None
        if request.headers.get("kc-api-key") != self.credentials["api_key"]:
            return self.error("bad key")
        stamp = request.headers.get("kc-api-timestamp", "0")
        text = stamp + request.method + request.path + (f"?{request.raw_query}" if request.raw_query else "")
        if request.headers.get("kc-api-sign") != self.signed(text):
            return Reply(401, {"code": "400005", "msg": "Invalid KC-API-SIGN"})
        if request.headers.get("kc-api-passphrase") != self.signed(self.credentials["password"]):
            return Reply(401, {"code": "400004", "msg": "Invalid KC-API-PASSPHRASE"})
        return self.error("time") if abs(self.now() - int(stamp)) > 5_000 else None

    def signed(self, text: str) -> str:
        return base64.b64encode(hmac.new(self.credentials["secret"].encode(), text.encode(), hashlib.sha256).digest()).decode()

    def error(self, kind: str) -> Reply:
        status, code, said_ = {
            "bad key": (401, "400003", "KC-API-KEY not exists"),
            "permission": (403, "400007", "Access denied, require more permission"),
            "address": (403, "400006", "The requested ip address is not in the api whitelist"),
            "time": (400, "400002", "KC-API-TIMESTAMP Invalid"),
            "maintenance": (503, "500000", "Internal Server Error"),
            "rate": (429, "429000", "Too many requests"),
            "symbol": (400, "400100", "Parameter error"),
        }[kind]
        return Reply(status, {"code": code, "msg": said_})

    def overview(self, request: Request) -> Any:
        coin = request.query["currency"]
        mine = [one for one in self.positions if one["settleCurrency"] == coin]
        apart = sum((Decimal(str(one["posMargin"])) for one in mine if not one["crossMode"]), Decimal(0))
        earned = sum((Decimal(str(one["unrealisedPnl"])) for one in mine), Decimal(0))
        crossed = sum((Decimal(str(one["unrealisedPnl"])) for one in mine if one["crossMode"]), Decimal(0))
        own = Decimal(self.wallets.get(coin, "0"))
        ratio = Decimal(self.needs.get(coin, "0")) / (own + crossed) if own + crossed else Decimal(0)
        return said(
            {
                "currency": coin,
                "accountEquity": float(own + apart + earned),
                "unrealisedPNL": float(earned),
                "marginBalance": float(own + apart),
                "positionMargin": float(apart),
                "orderMargin": 0,
                "frozenFunds": 0,
                "availableBalance": float(own),
                "riskRatio": float(round(ratio, 10)),
            }
        )


def said(data: object) -> dict[str, Any]:
    return {"code": "200000", "data": data}


def _told(name: str, _: Request) -> Any:
    return said(CONTRACTS[name])
