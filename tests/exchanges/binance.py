"""A scripted Binance: USDⓈ-M and COIN-M wallets and portfolio margin, with figures computed by its published rules.

    exchange = BinanceExchange(wallets={"USDT": "12000"}, positions=[Held("ETHUSDT", "-10", "3000")], marks={"ETHUSDT": "3000"})

Liquidation prices come from bisection of the account's surplus, brackets' deductions from their floors and rates, multi-assets balances
from bid and ask rates. `fixed` replaces whole answers by path, `without` makes paths unknown.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from tests.exchanges.binance_rules import DAY, DELIVERY, D, Held, Rules, text
from tests.exchanges.double import Reply, Request

__all__ = ["DELIVERY", "BinanceCoinM", "BinanceExchange", "Held"]

PUBLIC: Final = ("/time", "/exchangeInfo", "/premiumIndex", "/fundingInfo", "/assetIndex")


@dataclass
class BinanceExchange(Rules):
    """One account, asked about its USDⓈ-M wallet."""

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        answers: dict[str, Callable[[], Any]] = {
            **dict.fromkeys(("/api/v3/time", "/fapi/v1/time", "/dapi/v1/time"), lambda: {"serverTime": self.now()}),
            "/sapi/v1/account/info": self._info,
            "/sapi/v1/account/apiRestrictions": lambda: self.rights,
            "/fapi/v2/account": lambda: {"multiAssetsMargin": self.multi, "feeTier": 0, **self._account()},
            "/fapi/v3/account": self._account,
            "/fapi/v1/multiAssetsMargin": lambda: {"multiAssetsMargin": self.multi},
            "/fapi/v3/positionRisk": lambda: [self._risk(one) for one in self.positions],
            "/fapi/v1/leverageBracket": lambda: self.brackets(self.positions),
            "/fapi/v1/exchangeInfo": lambda: {"timezone": "UTC", "symbols": [self.contract(one) for one in self.symbols(linear=True)]},
            "/fapi/v1/premiumIndex": lambda: [self.premium(one) for one in self.symbols(linear=True)],
            "/fapi/v1/fundingInfo": lambda: self.intervals(linear=True),
            "/fapi/v1/assetIndex": lambda: [self.asset(coin) for coin in self.index],
            "/dapi/v1/account": self._coin_account,
            "/dapi/v1/positionRisk": lambda: [self._risk(one) for one in self.coin_positions],
            "/dapi/v2/leverageBracket": lambda: self.brackets(self.coin_positions),
            "/dapi/v1/exchangeInfo": lambda: {"timezone": "UTC", "symbols": [self.contract(one) for one in self.symbols(linear=False)]},
            "/dapi/v1/premiumIndex": lambda: [self.premium(one) for one in self.symbols(linear=False)],
            "/dapi/v1/fundingInfo": lambda: self.intervals(linear=False),
            "/papi/v1/account": self._unified,
            "/papi/v1/balance": self._balances,
            "/papi/v1/um/positionRisk": lambda: [self._pm_risk(one) for one in self.positions],
            "/papi/v1/cm/positionRisk": lambda: [self._pm_risk(one) for one in self.coin_positions],
            "/papi/v1/um/leverageBracket": lambda: self.brackets(self.positions),
            "/papi/v1/cm/leverageBracket": lambda: self.brackets(self.coin_positions),
            "/sapi/v1/portfolio/collateralRate": lambda: [{"asset": coin, "collateralRate": rate} for coin, rate in self.rates.items()],
            "/sapi/v1/portfolio/margin-asset-leverage": lambda: [{"asset": coin, "leverage": by} for coin, by in self.leverages.items()],
            "/sapi/v1/portfolio/asset-index-price": lambda: [
                {"asset": coin, "assetIndexPrice": price, "time": str(self.now())} for coin, (price, _, _) in self.index.items()
            ],
        }
        answers.update({path: lambda answer=answer: answer for path, answer in self.fixed.items()})  # type: ignore[misc]
        return {f"GET {path}": lambda _, make=make: make() for path, make in answers.items() if path not in self.without}  # type: ignore[misc]

    # its answers

    def _info(self) -> dict[str, Any]:
        flags = ("isMarginEnabled", "isFutureEnabled", "isOptionsEnabled")
        return {"vipLevel": 0, **dict.fromkeys(flags, True), "isPortfolioMarginRetailEnabled": self.portfolio}

    def _assets(self, wallets: Mapping[str, str], held: list[Held]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for coin in dict.fromkeys([*wallets, *map(self.coin, held)]):
            mine = [one for one in held if self.coin(one) == coin]
            cross = D(wallets.get(coin, "0"))
            isolated = sum((D(one.isolated) for one in mine if one.isolated), D(0))
            gained, open_cross = (
                sum((self.pnl(one) for one in mine), D(0)),
                sum((self.pnl(one) for one in mine if not one.isolated), D(0)),
            )
            found.append(
                {
                    "asset": coin,
                    "walletBalance": text(cross + isolated),
                    "unrealizedProfit": text(gained),
                    "marginBalance": text(cross + isolated + gained),
                    "maintMargin": text(sum((self.needs(one) for one in mine), D(0))),
                    "crossWalletBalance": text(cross),
                    "crossUnPnl": text(open_cross),
                    "availableBalance": text(cross),
                    "updateTime": self.now() - DAY,
                }
            )
        return found

    def _row(self, one: Held) -> dict[str, Any]:
        worth = self.worth(one)
        initial = text(abs(worth) / one.leverage)
        return {
            "symbol": one.symbol,
            "positionSide": one.side,
            "positionAmt": one.amount,
            "unrealizedProfit": text(self.pnl(one)),
            "entryPrice": one.entry,
            "leverage": str(one.leverage),
            "isolated": bool(one.isolated),
            "notional" if self.linear(one) else "notionalValue": text(worth),
            "isolatedWallet": one.isolated or "0",
            "initialMargin": initial,
            "positionInitialMargin": initial,
            "maintMargin": text(self.needs(one)),
            "updateTime": self.now() - DAY,
        }

    def _idle(self, symbol: str) -> dict[str, Any]:
        """A contract that is listed and not held: its row has zeros."""
        names = ("positionAmt", "unrealizedProfit", "entryPrice", "notional", "isolatedWallet", "initialMargin", "maintMargin")
        return {"symbol": symbol, "positionSide": "BOTH", "leverage": "20", "isolated": False, **dict.fromkeys(names, "0"), "updateTime": 0}

    def _account(self) -> dict[str, Any]:
        assets = self._assets(self.wallets, self.positions)
        if self.multi:
            equity, needed = self.sums({})
            wallet = sum((D(one["walletBalance"]) * self.factor(one["asset"], D(1)) for one in assets), D(0))
        else:
            dollar = next((one for one in assets if one["asset"] == "USDT"), {})
            equity, needed, wallet = (D(dollar.get(name, "0")) for name in ("marginBalance", "maintMargin", "walletBalance"))
        return {
            "totalWalletBalance": text(wallet),
            "totalMarginBalance": text(equity),
            "totalMaintMargin": text(needed),
            "assets": [*assets, {**ZEROS, "asset": "BNB"}],
            "positions": [*map(self._row, self.positions), self._idle("XRPUSDT")],
        }

    def _coin_account(self) -> dict[str, Any]:
        assets = self._assets(self.coin_wallets, self.coin_positions)
        return {
            "assets": [*assets, {**ZEROS, "asset": "XLM"}],
            "positions": [self._row(one) for one in self.coin_positions],
            "updateTime": 0,
        }

    def _risk(self, one: Held) -> dict[str, Any]:
        row = self._row(one)
        linear = self.linear(one)
        if linear:
            del row["isolated"], row["leverage"]  # the third version has neither
        else:
            row["marginType"] = "isolated" if one.isolated else "cross"
            del row["isolated"], row["maintMargin"], row["initialMargin"]
        margin = text(D(one.isolated) + self.pnl(one)) if one.isolated else "0"
        return {
            **row,
            "unRealizedProfit": row.pop("unrealizedProfit"),
            "markPrice": text(self.mark(one.symbol)),
            "liquidationPrice": self.liquidation(one),
            "isolatedMargin": margin,
            **({"marginAsset": self.coin(one)} if linear else {}),
        }

    def _pm_risk(self, one: Held) -> dict[str, Any]:
        keep = ("symbol", "positionSide", "positionAmt", "entryPrice", "leverage", "notional", "notionalValue", "updateTime")
        row = {name: value for name, value in self._row(one).items() if name in keep}
        gained = text(self.pnl(one))
        return {**row, "markPrice": text(self.mark(one.symbol)), "unRealizedProfit": gained, "liquidationPrice": "0"}

    def _balances(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for coin in dict.fromkeys([*self.margin, *self.wallets, *self.coin_wallets]):
            owned, owed, interest = self.margin.get(coin, ("0.0", "0.0", "0.0"))
            um, cm = self.wallets.get(coin, "0.0"), self.coin_wallets.get(coin, "0.0")
            gained = [
                sum((self.pnl(one) for one in held if self.coin(one) == coin), D(0)) for held in (self.positions, self.coin_positions)
            ]
            found.append(
                {
                    "asset": coin,
                    "totalWalletBalance": str(D(owned) + D(um) + D(cm)),
                    "crossMarginAsset": owned,
                    "crossMarginBorrowed": owed,
                    "crossMarginFree": owned,
                    "crossMarginInterest": interest,
                    "crossMarginLocked": "0.0",
                    "umWalletBalance": um,
                    "umUnrealizedPNL": text(gained[0]),
                    "cmWalletBalance": cm,
                    "cmUnrealizedPNL": text(gained[1]),
                    "updateTime": self.now(),
                    "negativeBalance": "0.0",
                }
            )
        return found

    def _unified(self) -> Any:
        if not self.portfolio:
            return self.error("permission")
        equity, actual, needed = D(0), D(0), D(0)
        loans = {3: D("0.10"), 5: D("0.08"), 10: D("0.05")}
        held = self.positions + self.coin_positions
        for coin in {*self.margin, *self.wallets, *self.coin_wallets, *map(self.coin, held)}:
            owned, owed, interest = map(D, self.margin.get(coin, ("0", "0", "0")))
            index = D(self.index[coin][0])
            net = owned - owed - interest + D(self.wallets.get(coin, "0")) + D(self.coin_wallets.get(coin, "0"))
            net += sum((self.pnl(one) for one in held if self.coin(one) == coin), D(0))
            equity += min(net * index * D(self.rates[coin]), net * index)
            actual += net * index
            needed += sum((self.needs(one) for one in held if self.coin(one) == coin), D(0)) * index
            needed += (owed + interest) * loans[self.leverages.get(coin, 3)] * index
        return {
            "uniMMR": text(equity / needed) if needed else "99999999",
            "accountEquity": text(equity),
            "actualEquity": text(actual),
            "accountInitialMargin": text(needed * 2),
            "accountMaintMargin": text(needed),
            "accountStatus": "NORMAL",
            "virtualMaxWithdrawAmount": text(max(equity, D(0))),
            "totalAvailableBalance": "",
            "totalMarginOpenLoss": "",
            "updateTime": self.now(),
        }

    # its manners

    def find(self, request: Request) -> Callable[[Request], Any] | None:
        """One coin's index is an object, where a symbol names it."""
        coin = request.query.get("symbol", "").removesuffix("USD")
        if request.path == "/fapi/v1/assetIndex" and coin in self.index and request.path not in self.without:
            return lambda _: self.asset(coin)
        return super().find(request)

    def refuses(self, request: Request) -> Reply | None:
        if request.path.endswith(PUBLIC):
            return None
        if request.headers.get("x-mbx-apikey") != self.credentials["api_key"]:
            return self.error("bad key")
        signed, _, signature = request.raw_query.rpartition("&signature=")
        right = hmac.new(self.credentials["secret"].encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, right):
            return Reply(400, {"code": -1022, "msg": "Signature for this request is not valid."})
        late = self.now() - int(request.query["timestamp"])
        if not -1_000 <= late <= int(request.query.get("recvWindow", "5000")):
            return self.error("time")
        return None

    def error(self, kind: str) -> Reply:
        return ERRORS[kind]

    def unknown(self, request: Request) -> Reply:
        return Reply(404, b"<html>\r\n<head><title>404 Not Found</title></head>\r\n</html>", {"Content-Type": "text/html"})


ZEROS: Final = {
    **dict.fromkeys(
        ("walletBalance", "unrealizedProfit", "marginBalance", "maintMargin", "crossWalletBalance", "crossUnPnl"), "0.00000000"
    ),
    "updateTime": 0,
}
ERRORS: Final = {
    "bad key": Reply(401, {"code": -2014, "msg": "API-key format invalid."}),
    "permission": Reply(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}),
    "address": Reply(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action, request ip: 203.0.113.9"}),
    "time": Reply(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}),
    "maintenance": Reply(503, {"code": -1000, "msg": "System is under maintenance."}),
    "rate": Reply(429, {"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute."}, {"Retry-After": "60"}),
    "symbol": Reply(400, {"code": -1121, "msg": "Invalid symbol."}),
}


@dataclass
class BinanceCoinM(BinanceExchange):
    """The same account, asked about its COIN-M wallet."""

    id: ClassVar[str] = "binancecoinm"
