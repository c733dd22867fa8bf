"""A double of Bitget's classic futures accounts: https://www.bitget.com/api-doc/contract."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.exchanges.double import Double, Reply, Request

FEE = Decimal("0.0006")
BTC_TIERS = [("0", "150000", "125", "0.004"), ("150000", "1000000", "100", "0.005"), ("1000000", "3000000", "50", "0.01")]


def added(numbers: Iterable[str | Decimal]) -> Decimal:
    return sum(map(Decimal, numbers), Decimal(0))


def worth(row: Mapping[str, str], coin: str) -> Decimal:
    """Notional at the mark in the margin coin; sizes of coin-margined positions are coins at entry."""
    size, mark = Decimal(row["total"]), Decimal(row["markPrice"])
    return size * mark if coin.startswith("USD") else size * Decimal(row["openPriceAvg"]) / mark


def position(**changes: Any) -> dict[str, Any]:
    """A row of "all positions" as the documentation has it."""
    return {
        "marginCoin": "USDT",
        "symbol": "BTCUSDT",
        "holdSide": "long",
        "openDelegateSize": "0",
        "marginSize": "3.73555",
        "available": "0.002",
        "locked": "0",
        "total": "0.002",
        "leverage": "20",
        "achievedProfits": "0",
        "openPriceAvg": "37355.5",
        "marginMode": "crossed",
        "posMode": "hedge_mode",
        "unrealizedPL": "0.03",
        "liquidationPrice": "0",
        "keepMarginRate": "0.004",
        "markPrice": "37370.5",
        "marginRatio": "",
        "cTime": "1700807507275",
        **changes,
    }


@dataclass
class BitgetDouble(Double):
    """Wallets by margin coin: what is in it without profit. `unified` makes it a unified account, which classic reads refuse; `ordered` is
    what it asks for open orders.
    """

    id: ClassVar[str] = "bitget"
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "bg_dummy_4711", "secret": "dummy-secret-4711", "password": "dummy-phrase"}
    wallets: dict[str, str] = field(default_factory=lambda: {"USDT": "1000"})
    positions: list[dict[str, Any]] = field(default_factory=list)
    mode: str = "single"
    unified: bool = False
    settled: dict[str, str] = field(
        default_factory=lambda: {"accountMode": "unified", "assetMode": "multi_assets", "holdMode": "hedge_mode"}
    )
    coins: list[dict[str, str]] = field(default_factory=list)
    effective: str = ""
    held: list[dict[str, str]] = field(default_factory=list)
    ordered: str = "0"
    discounts: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"BTC": [("0", "0.95")], "ETH": [("0", "0.9")]})
    collateral: dict[str, str] = field(default_factory=lambda: {"collateralType": "all"})
    permissions: dict[str, Any] = field(default_factory=lambda: {"permType": "read-only", "permissions": ["uta_mgt", "uta_trade"]})
    authorities: list[str] = field(default_factory=lambda: ["coor", "cpor"])
    ips: str = "127.0.0.1"

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /api/v2/public/time": lambda _: self.said({"serverTime": str(self.now())}),
            "GET /api/v2/mix/account/accounts": self.accounts,
            "GET /api/v2/mix/position/all-position": self.all_positions,
            "GET /api/v3/account/settings": self.settings,
            "GET /api/v3/account/assets": lambda _: self.said(self.assets()),
            "GET /api/v3/position/current-position": lambda request: self.said(
                {"list": [one for one in self.held if one["category"] == request.query["category"]] or None}
            ),
            "GET /api/v3/market/position-tier": lambda _: self.said(
                [
                    {"tier": str(n), "minTierValue": a, "maxTierValue": b, "leverage": c, "mmr": d}
                    for n, (a, b, c, d) in enumerate(BTC_TIERS, 1)
                ]
            ),
            "GET /api/v3/market/current-fund-rate": lambda request: self.said(
                [{"symbol": request.query["symbol"], "fundingRate": "0.0001", "fundingRateInterval": "4", "nextUpdate": "1743062400000"}]
            ),
            "GET /api/v3/market/discount-rate": lambda _: self.said(
                [
                    {"coin": code, "list": [{"tierStartValue": floor, "discountRate": rate} for floor, rate in steps]}
                    for code, steps in self.discounts.items()
                ]
            ),
            "GET /api/v3/account/collateral-type": lambda _: self.said(self.collateral),
            "GET /api/v3/account/info": lambda _: self.said({"userId": "1", "ips": self.ips, "parentId": "", **self.permissions}),
            "GET /api/v2/mix/market/contracts": self.contracts,
            "GET /api/v2/mix/market/query-position-lever": self.tiers,
            "GET /api/v2/mix/market/tickers": self.tickers,
            "GET /api/v2/spot/account/info": lambda _: self.said({"userId": "1", "authorities": self.authorities, "ips": self.ips}),
        }

    def said(self, data: object) -> dict[str, Any]:
        return {"code": "00000", "msg": "success", "requestTime": self.now(), "data": data}

    def refuses(self, request: Request) -> Reply | None:
        if "/public/" in request.path or "/market/" in request.path:
            return None
        if request.headers.get("access-key") != self.credentials["api_key"]:
            return self.error("bad key")
        if request.headers.get("access-passphrase") != self.credentials["password"]:
            return Reply(400, {"code": "40012", "msg": "apikey/password is incorrect", "requestTime": self.now(), "data": None})
        stamp = request.headers.get("access-timestamp", "0")
        text = stamp + request.method + request.path + (f"?{request.raw_query}" if request.raw_query else "")
        right = base64.b64encode(hmac.new(self.credentials["secret"].encode(), text.encode(), hashlib.sha256).digest()).decode()
        if request.headers.get("access-sign") != right:
            return Reply(400, {"code": "40009", "msg": "sign signature error", "requestTime": self.now(), "data": None})
        if abs(self.now() - int(stamp)) > 30_000:
            return self.error("time")
        if self.unified and "/v2/spot/" in request.path:
            return Reply(400, {"code": "40085", "msg": "You are in Unified Account mode, and the Classic Account API is not supported"})
        if self.unified == ("/v2/mix/" in request.path):
            code, said = ("40085", "Unified") if self.unified else ("40084", "Classic")
            if self.unified or "/v3/" in request.path:
                return Reply(
                    400, {"code": code, "msg": f"You are in {said} Account mode, and the other account API is not supported", "data": None}
                )
        return None

    def error(self, kind: str) -> Reply:
        status, code, said = {
            "bad key": (400, "40006", "Invalid ACCESS_KEY"),
            "permission": (400, "40014", "Incorrect permissions"),
            "address": (400, "40018", "Invalid IP"),
            "time": (400, "40008", "Request timestamp expired"),
            "maintenance": (503, "40015", "System is abnormal, please try again later"),
            "rate": (429, "429", "Too Many Requests"),
            "symbol": (400, "40034", "Parameter does not exist"),
        }[kind]
        return Reply(status, {"code": code, "msg": said, "requestTime": self.now(), "data": None})

    def settings(self, _: Request) -> Any:
        if not self.unified:
            return Reply(400, {"code": "40084", "msg": "You are in Classic Account mode", "data": None})
        return self.said({"uid": "1", **self.settled})

    def assets(self) -> dict[str, Any]:
        """Figures of a unified account: equity of all coins, and what all positions need, closing at the taker's fee included."""
        need = added(worth(one | {"openPriceAvg": one["avgPrice"]}, "USDT") * (Decimal(one["mmr"]) + FEE) for one in self.held)
        need += Decimal(self.ordered)
        equity = added(one["usdValue"] for one in self.coins)
        effective = Decimal(self.effective) if self.effective else equity
        return {
            "accountEquity": str(equity),
            "usdtEquity": str(equity),
            "unrealisedPnl": str(added(one["unrealisedPnl"] for one in self.held)),
            "effEquity": str(effective),
            "mmr": str(need),
            "imr": "0",
            "mgnRatio": str(round(need / effective, 8)) if need else "0",
            "positionMgnRatio": "0",
            "assets": self.coins,
        }

    def accounts(self, request: Request) -> Any:
        product = request.query["productType"]
        coins = {"USDT-FUTURES": ["USDT"], "USDC-FUTURES": ["USDC"], "COIN-FUTURES": ["BTC", "ETH"]}[product]
        return self.said([self.account(coin) for coin in coins])

    def account(self, coin: str) -> dict[str, Any]:
        """A wallet with figures by the exchange's rule: isolated margin is part of the equity, risk is maintenance over cross equity."""
        wallet = Decimal(self.wallets.get(coin, "0"))
        mine = [row for row in self.positions if row["marginCoin"] == coin]
        cross = [row for row in mine if row["marginMode"] == "crossed"]
        apart = [row for row in mine if row["marginMode"] == "isolated"]
        earned = {name: added(row["unrealizedPL"] for row in rows) for name, rows in (("cross", cross), ("apart", apart))}
        margin = added(row["marginSize"] for row in apart)
        equity = wallet + margin + earned["cross"] + earned["apart"]
        need = added(worth(row, coin) * (Decimal(row["keepMarginRate"]) + FEE) for row in cross)
        risk = need / (wallet + earned["cross"]) if need else Decimal(0)
        dollars = equity * (1 if coin.startswith("USD") else 60_000)
        return {
            "marginCoin": coin,
            "locked": "0",
            "available": str(wallet),
            "crossedMaxAvailable": str(wallet),
            "isolatedMaxAvailable": str(wallet),
            "maxTransferOut": str(wallet),
            "accountEquity": str(equity),
            "usdtEquity": str(dollars),
            "btcEquity": "0",
            "crossedRiskRate": str(round(risk, 12)),
            "unrealizedPL": str(earned["cross"] + earned["apart"]) if mine else "",
            "coupon": "0",
            "isolatedMargin": str(margin),
            "crossedMargin": "0",
            "crossedUnrealizedPL": str(earned["cross"]),
            "isolatedUnrealizedPL": str(earned["apart"]),
            "assetMode": self.mode,
        }

    def all_positions(self, request: Request) -> Any:
        coin = request.query.get("marginCoin")
        product = request.query["productType"]
        coins = [coin] if coin else {"USDT-FUTURES": ["USDT"], "USDC-FUTURES": ["USDC"], "COIN-FUTURES": ["BTC", "ETH"]}[product]
        return self.said([row for row in self.positions if row["marginCoin"] in coins])

    def contracts(self, request: Request) -> Any:
        product = request.query["productType"]
        rows = [contract("BTCUSDT", "BTC", "USDT"), contract("ETHUSDT", "ETH", "USDT")]
        if product == "COIN-FUTURES":
            rows = [
                contract("BTCUSD", "BTC", "USD"),
                contract("BTCUSDZ26", "BTC", "USD", symbolType="delivery", deliveryTime="1798185600000"),
            ]
        return self.said(rows)

    def tiers(self, request: Request) -> Any:
        symbol = request.query["symbol"]
        rows = [{"symbol": symbol, "level": str(n + 1), "startUnit": a, "endUnit": b, "leverage": lever, "keepMarginRate": rate}
                for n, (a, b, lever, rate) in enumerate(BTC_TIERS)]  # fmt: skip
        return self.said(rows)

    def tickers(self, request: Request) -> Any:
        symbols = ["BTCUSD", "BTCUSDZ26"] if request.query["productType"] == "COIN-FUTURES" else ["BTCUSDT", "ETHUSDT"]
        return self.said(
            [
                {"symbol": symbol, "lastPr": "1", "indexPrice": "37365", "fundingRate": "0.0001", "markPrice": "37370.5"}
                for symbol in symbols
            ]
        )


def coin(code: str, balance: str, profit: str = "0", price: str = "1", **changes: str) -> dict[str, str]:
    """A coin of a unified account."""
    equity = Decimal(balance) + Decimal(profit)
    value = str(equity * Decimal(price))
    return {
        "coin": code,
        "equity": str(equity),
        "usdValue": value,
        "balance": balance,
        "available": balance,
        "debt": "0",
        "locked": "0",
        **changes,
    }


def held(**changes: str) -> dict[str, str]:
    """A position of a unified account as the documentation has it."""
    return {
        "category": "USDT-FUTURES",
        "symbol": "BTCUSDT",
        "marginCoin": "USDT",
        "holdMode": "hedge_mode",
        "posSide": "long",
        "marginMode": "crossed",
        "positionBalance": "5.435199",
        "total": "0.001",
        "leverage": "20",
        "avgPrice": "107410.3",
        "unrealisedPnl": "0.0047",
        "liquidationPrice": "0",
        "mmr": "0.004",
        "markPrice": "107415.3",
        **changes,
    }


def contract(symbol: str, base: str, quote: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "baseCoin": base,
        "quoteCoin": quote,
        "makerFeeRate": "0.0002",
        "takerFeeRate": "0.0006",
        "supportMarginCoins": [base if quote == "USD" else quote],
        "sizeMultiplier": "0.001",
        "symbolType": "perpetual",
        "deliveryTime": "",
        "fundInterval": "8",
        **changes,
    }
