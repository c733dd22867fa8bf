"""A scripted Bybit: the unified account with the exchange's own arithmetic, which rounds to eight decimals as Bybit does."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from defi_risk.health.normal import in_floats
from defi_risk.model import Account, SelfCheck
from tests.exchanges.double import WINDOW, Double, Fault, Reply, Request
from tests.exchanges.near import accounts

D = Decimal
ERRORS: Final[dict[str, tuple[int, str]]] = {
    "bad key": (10003, "API key is invalid."),
    "bad signature": (10004, "Error sign, please check your signature generation algorithm."),
    "permission": (10005, "Permission denied, please check your API key permissions."),
    "address": (10010, "Unmatched IP, please check your API key's bound IP addresses."),
    "time": (10002, "invalid request, please check your server timestamp or recv_window param."),
    "maintenance": (10016, "Internal server error."),
    "rate": (10006, "Too many visits. Exceeded the API Rate Limit."),
    "symbol": (10001, "params error: symbol invalid"),
}
BTC_TIERS: Final = (("2000000", "0.005", "0.01", "100", ""), ("2600000", "0.0056", "0.0111", "90", "1200"))
ALT_TIERS: Final = (
    ("50000", "0.005", "0.01", "100", ""),
    ("200000", "0.01", "0.02", "50", "250"),
    ("1000000", "0.02", "0.04", "25", "2250"),
)
INVERSE_TIERS: Final = (("150", "0.5", "1", "100", ""), ("300", "1", "1.5", "66.67", "0.75"))


def cut(number: Decimal, places: int = 8) -> str:
    text = f"{number.quantize(D(1).scaleb(-places), ROUND_DOWN):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def position(symbol: str, side: str, size: str, entry: str, mark: str, leverage: str = "10", **more: Any) -> dict[str, Any]:
    """A row of /v5/position/list of a USDT contract: requirement by mark price with the fee of closing at the bankruptcy price."""
    rate, taker, deduction = D(more.pop("rate", "0.005")), D(more.pop("taker", "0.00055")), D(more.pop("deduction", "0"))
    inverse = more.pop("inverse", False)
    n, e, m, lever = D(size), D(entry), D(mark), D(leverage)
    sign = 1 if side == "Buy" else -1
    value, at_entry = (n / m, n / e) if inverse else (n * m, n * e)
    profit = sign * (at_entry - value if inverse else value - at_entry)
    bankrupt = at_entry * (1 + sign * (1 if inverse else -1) / lever)
    fee = bankrupt * taker
    row = {
        "positionIdx": 0,
        "tradeMode": 0,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": symbol,
        "side": side,
        "size": size,
        "avgPrice": entry,
        "positionValue": cut(at_entry),
        "leverage": leverage,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2,
        "positionBalance": "0",
        "markPrice": mark,
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": cut(value * rate - deduction + fee),
        "positionMMByMp": cut(value * rate - deduction + fee),
        "positionIM": cut(value / lever + fee),
        "positionIMByMp": cut(value / lever + fee),
        "tpslMode": "Full",
        "unrealisedPnl": cut(profit),
        "cumRealisedPnl": "0",
        "sessionAvgPrice": "",
        "seq": 5723621632,
        "isReduceOnly": False,
    }
    return row | more


@dataclass
class Holding:
    """A coin of the account: `usd` is its index price, `ratio` its one collateral value ratio in the balance's own figures."""

    balance: str
    usd: str = "1"
    ratio: str = "1"
    borrowed: str = "0"
    collateral: bool = True
    switched: bool = True
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class BybitDouble(Double):
    """A unified account 2.0. `lists` are its positions by category and settling coin; `extra` USD of margin are for borrowing."""

    id: ClassVar[str] = "bybit"
    status: int = 6
    mode: str = "REGULAR_MARGIN"
    coins: dict[str, Holding] = field(default_factory=dict)
    lists: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    extra: str = "0"
    page: int = 200
    totals: dict[str, str] = field(default_factory=dict)
    tiers: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=lambda: {"BTCUSDT": BTC_TIERS, "BTCUSD": INVERSE_TIERS})
    contracts: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    taker: str = "0.00055"
    funding: str = "0.0001"
    read_only: int = 1
    permissions: dict[str, list[str]] = field(default_factory=lambda: {"ContractTrade": ["Order", "Position"], "Wallet": [], "Spot": []})
    addresses: list[str] = field(default_factory=lambda: ["192.0.2.7"])

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /v5/market/time": lambda _: self.right({"timeSecond": str(self.now() // 1_000), "timeNano": f"{self.now()}000000"}),
            "GET /v5/account/info": lambda _: self.right(
                {"marginMode": self.mode, "updatedTime": "1697078946000", "unifiedMarginStatus": self.status, "spotHedgingStatus": "OFF"}
            ),
            "GET /v5/account/wallet-balance": self._wallet,
            "GET /v5/position/list": self._positions,
            "GET /v5/account/fee-rate": lambda request: self.right(
                {"list": [{"symbol": name, "takerFeeRate": self.taker, "makerFeeRate": "0.0002"} for name in self.symbols(request)]}
            ),
            "GET /v5/account/collateral-info": lambda request: self.right(
                {"list": [{"currency": request.query["currency"], "hourlyBorrowRate": "0.00000125", "marginCollateral": True}]}
            ),
            "GET /v5/market/risk-limit": self._risk,
            "GET /v5/market/instruments-info": self._contracts,
            "GET /v5/market/tickers": self._tickers,
            "GET /v5/spot-margin-trade/collateral": self._collateral,
            "GET /v5/user/query-api": lambda _: self.right(
                {"readOnly": self.read_only, "permissions": self.permissions, "ips": self.addresses, "uta": 1, "note": "x"}
            ),
        }

    def right(self, result: Any) -> dict[str, Any]:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self.now()}

    def error(self, kind: str) -> Reply:
        code, text = ERRORS[kind]
        return Reply(200, {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": self.now()})

    def unknown(self, request: Request) -> Reply:
        return Reply(404, b"")

    def refuses(self, request: Request) -> Reply | None:
        if request.path.startswith(("/v5/market/", "/v5/spot-margin-trade/")):
            return None
        head = request.headers
        key, stamp, window = head.get("x-bapi-api-key", ""), head.get("x-bapi-timestamp", ""), head.get("x-bapi-recv-window", "")
        if key != self.credentials["api_key"]:
            return self.error("bad key")
        if not stamp.isdigit() or not -1_000 <= self.now() - int(stamp) <= min(int(window or 0), WINDOW * 1_000):
            return self.error("time")
        signed = f"{stamp}{key}{window}{request.raw_query}".encode()
        right = hmac.new(self.credentials["secret"].encode(), signed, hashlib.sha256).hexdigest()
        return None if hmac.compare_digest(right, head.get("x-bapi-sign", "")) else self.error("bad signature")

    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """Open positions with the coin that each settles in."""
        named = [(settle or "", row) for (category, settle), rows in self.lists.items() if category != "option" for row in rows]
        return [(settle or self.contract(row["symbol"])["settleCoin"], row) for settle, row in named if D(row["size"])]

    def _wallet(self, request: Request) -> Any:
        assert request.query == {"accountType": "UNIFIED"}
        isolated, portfolio = self.mode == "ISOLATED_MARGIN", self.mode == "PORTFOLIO_MARGIN"
        coins, margin, equity, need, start, paper, purse = [], D(0), D(0), D(self.extra), D(0), D(0), D(0)
        for code, coin in self.coins.items():
            own = [row for settle, row in self.rows() if settle == code]
            profit = sum((D(row["unrealisedPnl"] or 0) for row in own), D(0))
            net, usd = D(coin.balance) - D(coin.borrowed) + profit, D(coin.usd)
            mm = sum((D(row["positionMM"] or 0) for row in own), D(0))
            im = sum((D(row["positionIM"] or 0) for row in own), D(0))
            share = (D(coin.ratio) if coin.collateral and coin.switched else D(0)) if net > 0 else D(1)
            margin, equity, purse = margin + net * usd * share, equity + net * usd, purse + D(coin.balance) * usd
            need, start, paper = need + mm * usd, start + im * usd, paper + profit * usd
            row = {
                "coin": code,
                "equity": cut(net),
                "usdValue": cut(net * usd),
                "walletBalance": coin.balance,
                "locked": "0",
                "spotHedgingQty": "0",
                "borrowAmount": cut(max(D(coin.borrowed), -net)),
                "spotBorrow": coin.borrowed,
                "accruedInterest": "0",
                "totalOrderIM": "" if portfolio else "0",
                "totalPositionIM": "" if portfolio else cut(im),
                "totalPositionMM": "" if portfolio else cut(mm),
                "unrealisedPnl": cut(profit),
                "cumRealisedPnl": "0",
                "bonus": "0",
                "collateralSwitch": coin.switched,
                "marginCollateral": coin.collateral,
                "availableToWithdraw": "",
                "availableToBorrow": "",
            }
            coins.append(row | coin.more)
        figures = {
            "totalEquity": cut(equity),
            "totalWalletBalance": cut(purse),
            "totalMarginBalance": cut(margin),
            "totalAvailableBalance": cut(margin - start),
            "totalPerpUPL": cut(paper),
            "totalInitialMargin": cut(start),
            "totalMaintenanceMargin": cut(need),
            "accountIMRate": cut(start / margin if margin > 0 else D(0), 4),
            "accountMMRate": cut(need / margin if margin > 0 else D(0), 4),
        }
        figures |= {
            f"{name}ByMp": figures[name] for name in ("totalInitialMargin", "totalMaintenanceMargin", "accountIMRate", "accountMMRate")
        }
        if isolated:
            figures = dict.fromkeys(figures, "")
        return self.right({"list": [{"accountType": "UNIFIED", "accountLTV": "0", **figures, **self.totals, "coin": coins}]})

    def _positions(self, request: Request) -> Any:
        category, settle = request.query["category"], request.query.get("settleCoin", "")
        if category == "linear" and not settle:
            return self.error("symbol")
        rows = self.lists.get((category, settle), [])
        begin = int(unquote(request.query.get("cursor", "page,0")).rpartition(",")[2])
        size = min(self.page, int(request.query.get("limit", "20")))
        after = f"page%2C{begin + size}" if rows else ""
        return self.right({"category": category, "nextPageCursor": after, "list": rows[begin : begin + size]})

    def contract(self, symbol: str) -> dict[str, Any]:
        """What instruments-info says of a contract."""
        inverse = symbol.endswith("USD")
        base, quote = (symbol[:-3], "USD") if inverse else (symbol[:-4], symbol[-4:])
        row = {
            "symbol": symbol,
            "contractType": "InversePerpetual" if inverse else "LinearPerpetual",
            "status": "Trading",
            "baseCoin": base,
            "quoteCoin": quote,
            "settleCoin": base if inverse else quote,
            "deliveryTime": "0",
            "fundingInterval": 480,
        }
        return row | self.contracts.get(symbol, {})

    def symbols(self, request: Request) -> list[str]:
        """Contracts of the category that is asked for, without repetition."""
        names = dict.fromkeys(row["symbol"] for _, row in self.rows())
        return [name for name in names if (request.query["category"] == "inverse") == name.endswith("USD")]

    def _contracts(self, request: Request) -> Any:
        rows = [self.contract(name) for name in ("OTHERUSDT", *self.symbols(request))]
        return self.right({"category": request.query["category"], "list": rows, "nextPageCursor": ""})

    def _risk(self, request: Request) -> Any:
        symbol = request.query["symbol"]
        names = ("riskLimitValue", "maintenanceMargin", "initialMargin", "maxLeverage", "mmDeduction")
        rows = [dict(zip(names, row, strict=True)) | {"id": k, "symbol": symbol} for k, row in enumerate(self.tiers.get(symbol, ALT_TIERS))]
        return self.right({"category": request.query["category"], "list": rows, "nextPageCursor": ""})

    def _tickers(self, request: Request) -> Any:
        marks = {row["symbol"]: row["markPrice"] for _, row in self.rows()}
        rows = [
            {"symbol": name, "indexPrice": marks[name], "fundingRate": self.funding, "deliveryTime": "0"} for name in self.symbols(request)
        ]
        return self.right({"category": request.query["category"], "list": rows})

    def _collateral(self, _: Request) -> Any:
        rows = {code: [("0", "", coin.ratio)] for code, coin in self.coins.items() if coin.collateral} | self.ratios
        return self.right(
            {
                "list": [
                    {"currency": code, "collateralRatioList": [{"minQty": a, "maxQty": b, "collateralRatio": c} for a, b, c in tiers]}
                    for code, tiers in rows.items()
                ]
            }
        )


def cross(*rows: dict[str, Any], balance: str = "1000", **more: Any) -> BybitDouble:
    return BybitDouble(coins={"USDT": Holding(balance)}, lists={("linear", "USDT"): list(rows)}, **more)


def only(double: BybitDouble, **rules: int) -> Account:
    [account] = accounts(double, **rules).values()
    assert account.status == "ok", account.reason
    return account


def checked(account: Account) -> SelfCheck:
    assert account.self_check is not None
    return account.self_check


def health(account: Account) -> tuple[float, float]:
    normal = in_floats(account, {})
    return normal.weighted(), normal.requirement()


def price(account: Account, name: str) -> float:
    return float(account.stated[f"liqPrice:{name}"])


def alter(where: str, *path: str | int, value: Any) -> Fault:
    """A fault that puts one value into the right answers; None takes the field out."""

    def change(answer: Any) -> Any:
        at = answer["result"]
        for step in path[:-1]:
            at = at[step]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return answer

    return Fault(where=where, change=change)


def portfolio(**more: Any) -> BybitDouble:
    """An account in portfolio mode with a long of a tenth of a bitcoin."""
    row = position("BTCUSDT", "Buy", "0.1", "60000", "61000") | {
        "leverage": "",
        "positionIM": "",
        "positionMM": "",
        "positionMMByMp": "",
    }
    coins = {"USDT": Holding("1000"), "BTC": Holding("0.1", "61000", "0.98")}
    return BybitDouble(mode="PORTFOLIO_MARGIN", coins=coins, lists={("linear", "USDT"): [row]}, extra="305", **more)
