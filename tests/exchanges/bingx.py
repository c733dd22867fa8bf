"""BingX's perpetual accounts as its interface shows them: its paths, its signature, its error codes, and its rule for risk."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar, Final

from tests.exchanges.double import WINDOW, Double, Reply, Request

PUBLIC: Final = ("/openApi/swap/v2/server/time", "/openApi/swap/v2/quote/", "/openApi/cswap/v1/market/")
FEE: Final = Decimal("0.0005")
ETH_TIERS: Final = [
    ("0", "900000", "0.003300", "0.000000"),
    ("900000", "1200000", "0.005600", "2070.000000"),
    ("1200000", "1500000", "0.006300", "2910.000000"),
    ("1500000", "1800000", "0.006700", "3510.000000"),
    ("1800000", "2400000", "0.007100", "4230.000000"),
    ("2400000", "3200000", "0.007700", "5670.000000"),
    ("3200000", "4000000", "0.009100", "10150.000000"),
    ("4000000", "5000000", "0.010000", "13750.000000"),
    ("5000000", "8000000", "0.012000", "23750.000000"),
    ("8000000", "12000000", "0.013000", "31750.000000"),
]
"""As recorded on 2026-01-07: ccxt at 008b956, ts/src/test/static/response/bingx.json, fetchMarketLeverageTiers."""
COIN_RATES: Final = {"SOL-USD": Decimal("0.0065"), "BTC-USD": Decimal("0.004")}
"""Maintenance rates that the exchange keeps to itself."""
_ids = count(1792480725958881280)


def crossing(surplus: Callable[[Decimal], Decimal], mark: Decimal) -> Decimal | None:
    """The price nearest to the mark, found by halving, at which a surplus is used up; None between a thousandth and twenty times it."""
    found: list[Decimal] = []
    for factor in (Decimal("0.999"), Decimal("1.001")):
        near, far = mark, mark
        while mark / 1_000 < far < mark * 20 and surplus(far) > 0:
            near, far = far, far * factor
        if surplus(far) > 0:
            continue
        for _ in range(90):
            middle = (near + far) / 2
            near, far = (middle, far) if surplus(middle) > 0 else (near, middle)
        found.append(near)
    return min(found, key=lambda price: abs(price - mark), default=None)


def position(
    symbol: str, side: str, amount: str, entry: str, mark: str, leverage: int = 10, margin: str | None = None, **more: Any
) -> dict[str, Any]:
    """A position; `margin`: what was set apart for it, which makes it isolated."""
    size = Decimal(amount) * (1 if side == "LONG" else -1)
    inverse = symbol.endswith("-USD")
    face = size * (100 if symbol == "BTC-USD" else 10)
    profit = face / Decimal(entry) - face / Decimal(mark) if inverse else size * (Decimal(mark) - Decimal(entry))
    worth = abs(face) / Decimal(entry) if inverse else abs(size) * Decimal(entry)
    put = Decimal(margin) if margin is not None else worth / leverage
    return {
        "positionId": str(next(_ids)),
        "symbol": symbol,
        "currency": symbol.partition("-")[2],
        "positionAmt": amount,
        "availableAmt": amount,
        "positionSide": side,
        "isolated": margin is not None,
        "avgPrice": entry,
        "initialMargin": f"{put:.8f}",
        "margin": f"{put + profit:.8f}",
        "leverage": leverage,
        "unrealizedProfit": f"{profit:.8f}",
        "markPrice": mark,
        "onlyOnePosition": False,
        "updateTime": 1721088016688,
        **more,
    }


@dataclass
class BingXDouble(Double):
    """Wallets by asset and positions; what the exchange computes is computed here, by its published formulas."""

    id: ClassVar[str] = "bingx"
    mode: str = "singleAssetMode"
    wallets: dict[str, str] = field(default_factory=dict)
    frozen: dict[str, str] = field(default_factory=dict)
    positions: list[dict[str, Any]] = field(default_factory=list)
    coins: dict[str, str] = field(default_factory=dict)
    coin_positions: list[dict[str, Any]] = field(default_factory=list)
    tiers: dict[str, list[tuple[str, str, str, str]]] = field(default_factory=lambda: {"ETH-USDT": ETH_TIERS, "BTC-USDT": ETH_TIERS})
    permissions: Any = field(default_factory=lambda: {"apiKey": "x", "permissions": [2], "ipAddresses": ["203.0.113.9"], "note": "n"})

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        swap, coin = "GET /openApi/swap", "GET /openApi/cswap/v1"
        return {
            f"{swap}/v2/server/time": lambda _: _ok({"serverTime": self.now()}),
            f"{swap}/v1/trade/assetMode": lambda _: _ok({"assetMode": self.mode}),
            f"{swap}/v3/user/balance": lambda _: _ok(self._balances(self.wallets, self.positions)),
            f"{swap}/v2/user/positions": lambda _: _ok(self._rows(self.positions)),
            f"{swap}/v2/quote/contracts": lambda _: _ok([_contract(symbol) for symbol in self.tiers]),
            f"{swap}/v2/quote/premiumIndex": lambda _: _ok([_premium(symbol, "2000") for symbol in self.tiers]),
            f"{swap}/v1/maintMarginRatio": self._brackets,
            f"{coin}/user/balance": lambda _: _ok(self._balances(self.coins, self.coin_positions)),
            f"{coin}/user/positions": lambda _: _ok(self._rows(self.coin_positions)),
            f"{coin}/market/contracts": lambda _: _ok([_coin_contract("SOL-USD", "10"), _coin_contract("BTC-USD", "100")]),
            f"{coin}/market/premiumIndex": lambda _: _ok([_premium("SOL-USD", "158.4"), _premium("BTC-USD", "60000")]),
            "GET /openApi/v1/account/apiPermissions": lambda _: self.permissions,
        }

    def refuses(self, request: Request) -> Reply | None:
        if request.path.startswith(PUBLIC):
            return None
        if request.headers.get("x-bx-apikey") != self.credentials["api_key"]:
            return self.error("bad key")
        signed, _, signature = request.raw_query.rpartition("&signature=")
        right = hmac.new(self.credentials["secret"].encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, right):
            return Reply(200, {"code": 100001, "msg": "signature verification failed"})
        if abs(self.now() - int(request.query["timestamp"])) / 1_000 > WINDOW:
            return self.error("time")
        return None

    def error(self, kind: str) -> Reply:
        return ERRORS[kind]

    def unknown(self, request: Request) -> Reply:
        return Reply(200, {"code": 100400, "msg": "this api is not exist"})

    def _brackets(self, request: Request) -> Any:
        names = ("minPositionVal", "maxPositionVal", "maintMarginRatio", "maintAmount")
        symbol = request.query["symbol"]
        if symbol not in self.tiers:
            return self.error("symbol")
        return _ok(
            [
                {"tier": f"Tier {index}", "symbol": symbol, **dict(zip(names, row, strict=True))}
                for index, row in enumerate(self.tiers[symbol], 1)
            ]
        )

    def _balances(self, wallets: Mapping[str, str], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for asset, balance in wallets.items():
            own = [row for row in rows if _settles(row) == asset]
            profit = sum((Decimal(row["unrealizedProfit"]) for row in own), Decimal(0))
            used = sum((Decimal(row["initialMargin"]) for row in own), Decimal(0))
            found.append(
                {
                    "userId": "116***295",
                    "asset": asset,
                    "balance": balance,
                    "equity": f"{Decimal(balance) + profit:.8f}",
                    "unrealizedProfit": f"{profit:.8f}",
                    "realisedProfit": "0.0000",
                    "availableMargin": f"{Decimal(balance) - used:.8f}",
                    "usedMargin": f"{used:.8f}",
                    "freezedMargin": self.frozen.get(asset, "0.0000"),
                    "shortUid": "12851936",
                }
            )
        return found

    def _rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"riskRate": self._risk(row, rows), "liquidationPrice": self._price(row, rows), **row} for row in rows]

    def _judged(self, row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[Decimal, list[dict[str, Any]]]:
        """What an engine has apart from profit, and the positions that it judges together with this one."""
        asset = _settles(row)
        if row["isolated"]:
            return Decimal(row["margin"]) - Decimal(row["unrealizedProfit"]), [row]
        kept = [other for other in rows if other["isolated"] and _settles(other) == asset]
        apart = sum((Decimal(other["margin"]) - Decimal(other["unrealizedProfit"]) for other in kept), Decimal(0))
        whole = Decimal({**self.wallets, **self.coins}[asset]) - apart - Decimal(self.frozen.get(asset, "0"))
        return whole, [other for other in rows if not other["isolated"] and _settles(other) == asset]

    def _surplus(self, row: dict[str, Any], rows: list[dict[str, Any]], price: Decimal) -> tuple[Decimal, Decimal]:
        """Equity and need with the contract of `row` at a price."""
        equity, judged = self._judged(row, rows)
        need = Decimal(0)
        for other in judged:
            at = price if other["symbol"] == row["symbol"] else Decimal(other["markPrice"])
            size = Decimal(other["positionAmt"]) * (1 if other["positionSide"] == "LONG" else -1)
            entry = Decimal(other["avgPrice"])
            if other["symbol"].endswith("-USD"):
                face = size * (100 if other["symbol"] == "BTC-USD" else 10)
                equity += face / entry - face / at
                need += abs(face) / at * (COIN_RATES[other["symbol"]] + FEE)
            else:
                equity += size * (at - entry)
                worth = abs(size) * at
                table = self.tiers[other["symbol"]]
                _, _, rate, amount = [line for line in table if Decimal(line[0]) <= worth][-1]
                need += worth * Decimal(rate) - Decimal(amount) + worth * FEE
        return equity, need

    def _risk(self, row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
        equity, need = self._surplus(row, rows, Decimal(row["markPrice"]))
        places = 8 if row["symbol"].endswith("-USD") else 4
        return f"{need / equity if equity > 0 else 9999:.{places}f}"

    def _price(self, row: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
        mark = Decimal(row["markPrice"])

        def surplus(price: Decimal) -> Decimal:
            equity, need = self._surplus(row, rows, price)
            return equity - need

        price = crossing(surplus, mark) if surplus(mark) > 0 else None
        return 0 if price is None or not mark / 5 < price < mark * 5 else float(price)


def _ok(data: Any) -> dict[str, Any]:
    return {"code": 0, "msg": "", "timestamp": 1721191833813, "data": data}


def _settles(row: dict[str, Any]) -> str:
    base, _, quote = row["symbol"].partition("-")
    return str(base if quote == "USD" else quote)


def _contract(symbol: str) -> dict[str, Any]:
    base, _, quote = symbol.partition("-")
    return {
        "contractId": "100",
        "symbol": symbol,
        "size": "0.0001",
        "takerFeeRate": str(FEE),
        "currency": quote,
        "asset": base,
        "status": "1",
    }


def _coin_contract(symbol: str, face: str) -> dict[str, Any]:
    return {"symbol": symbol, "pricePrecision": 2, "minTickSize": face, "minTradeValue": face, "minQty": "1.00000000", "status": 1}


def _premium(symbol: str, index: str) -> dict[str, Any]:
    rate = {"lastFundingRate": "0.0001", "fundingIntervalHours": 4, "nextFundingTime": 1672041600000}
    return {"symbol": symbol, "markPrice": index, "indexPrice": index, **rate}


ERRORS: Final = {
    "bad key": Reply(200, {"code": 100413, "msg": "Incorrect apiKey, please check your valid api key"}),
    "permission": Reply(200, {"code": 100004, "msg": "Permission denied, the API key was created without the permission"}),
    "address": Reply(200, {"code": 100419, "msg": "IP does not match IP whitelist", "success": False, "timestamp": 1705274099347}),
    "time": Reply(200, {"code": 109400, "msg": "timestamp is invalid", "data": {}}),
    "maintenance": Reply(200, {"code": 100500, "msg": "The current system is busy, please try again later", "debugMsg": ""}),
    "rate": Reply(429, {"code": 100410, "msg": "rate limited"}, {"Retry-After": "60"}),
    "symbol": Reply(200, {"code": 109425, "msg": "NOPE-USDT not exist, please verify it", "data": {}}),
}
