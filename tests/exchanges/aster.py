"""A double of Aster's futures, whose requests are signed as typed data by a wallet: https://github.com/asterdex/api-docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.exchanges.double import Double, Reply, Request

KEY = "0x" + "47" * 32
ADDRESS = str(Account.from_key(KEY).address)
BRACKETS = [("0", "50000", "0.004", "0"), ("50000", "250000", "0.005", "50"), ("250000", "1000000", "0.01", "1300")]


def position(**changes: Any) -> dict[str, Any]:
    return {
        "entryPrice": "50000",
        "marginType": "cross",
        "isAutoAddMargin": "false",
        "isolatedMargin": "0",
        "leverage": "10",
        "liquidationPrice": "0",
        "markPrice": "51000",
        "maxNotionalValue": "20000000",
        "positionSide": "BOTH",
        "positionAmt": "1",
        "symbol": "BTCUSDT",
        "unRealizedProfit": "1000",
        "updateTime": 1625474304765,
        **changes,
    }


@dataclass
class AsterDouble(Double):
    """Cross balances by coin, and positions; `multi` is multi-assets mode. The account is `owner`'s, for whom the key may be an agent's."""

    id: ClassVar[str] = "aster"
    credentials: ClassVar[Mapping[str, str]] = {"private_key": KEY}
    wallets: dict[str, str] = field(default_factory=lambda: {"USDT": "10000", "USDF": "0"})
    positions: list[dict[str, Any]] = field(default_factory=list)
    multi: bool | None = False
    owner: str = ADDRESS
    premium: dict[str, str] = field(
        default_factory=lambda: {"symbol": "BTCUSDT", "lastFundingRate": "0.0001", "indexPrice": "50990", "markPrice": "51000"}
    )

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /fapi/v3/time": lambda _: {"serverTime": self.now()},
            "GET /api/v3/time": lambda _: {"serverTime": self.now()},
            "GET /fapi/v3/multiAssetsMargin": lambda _: {"multiAssetsMargin": self.multi},
            "GET /fapi/v3/account": lambda _: {"canTrade": True, "assets": [self.asset(coin) for coin in self.wallets], "positions": []},
            "GET /fapi/v3/positionRisk": lambda _: [*self.positions, position(symbol="ETHUSDT", positionAmt="0")],
            "GET /fapi/v3/leverageBracket": lambda _: [{"symbol": name, "brackets": brackets()} for name in ("BTCUSDT", "ETHUSDT")],
            "GET /fapi/v3/exchangeInfo": lambda _: {"symbols": [contract("BTC"), contract("ETH")]},
            "GET /fapi/v3/premiumIndex": lambda _: [self.premium],
            "GET /fapi/v3/fundingInfo": lambda _: [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}],
        }

    def refuses(self, request: Request) -> Reply | None:
        name = request.path.rpartition("/")[2]
        if name in ("time", "exchangeInfo", "premiumIndex", "fundingInfo"):
            return None
        message, _, signature = request.raw_query.rpartition("&signature=")
        told = tuple(request.query.get(name, "").lower() for name in ("user", "signer"))
        if not signature or signer(message, signature) != ADDRESS or told != (self.owner.lower(), ADDRESS.lower()):
            return self.error("bad key")
        return self.error("time") if abs(self.now() - int(request.query["nonce"]) / 1_000) > 10_000 else None

    def error(self, kind: str) -> Reply:
        status, code, said = {
            "bad key": (400, -1022, "Signature for this request is not valid."),
            "permission": (401, -2015, "Invalid API-key, IP, or permissions for action."),
            "address": (401, -2015, "Invalid API-key, IP, or permissions for action."),
            "time": (400, -1021, "Timestamp for this request is outside of the recvWindow."),
            "maintenance": (503, -1016, "This service is no longer available."),
            "rate": (429, -1003, "Too many requests."),
            "symbol": (400, -1121, "Invalid symbol."),
        }[kind]
        return Reply(status, {"code": code, "msg": said})

    def asset(self, coin: str) -> dict[str, Any]:
        """A coin's balances by the exchange's rule; all positions here are in USDT."""
        mine = self.positions if coin == "USDT" else []
        apart = [one for one in mine if one["marginType"] == "isolated"]
        margin = sum((Decimal(one["isolatedMargin"]) - Decimal(one["unRealizedProfit"]) for one in apart), Decimal(0))
        earned = sum((Decimal(one["unRealizedProfit"]) for one in mine), Decimal(0))
        crossed = earned - sum((Decimal(one["unRealizedProfit"]) for one in apart), Decimal(0))
        wallet = Decimal(self.wallets[coin])
        return {
            "asset": coin,
            "walletBalance": str(wallet + margin),
            "unrealizedProfit": str(earned),
            "marginBalance": str(wallet + margin + earned),
            "maintMargin": str(sum((need(one) for one in mine), Decimal(0))),
            "crossWalletBalance": str(wallet),
            "crossUnPnl": str(crossed),
        }


def need(row: Mapping[str, str]) -> Decimal:
    """Bracket by bracket, each rate on its own part."""
    left, needed = abs(Decimal(row["positionAmt"])) * Decimal(row["markPrice"]), Decimal(0)
    for floor, cap, rate, _ in BRACKETS:
        needed += max(min(left, Decimal(cap)) - Decimal(floor), Decimal(0)) * Decimal(rate)
    return needed


def brackets() -> list[dict[str, Any]]:
    return [
        {"bracket": number, "initialLeverage": 75, "notionalCap": cap, "notionalFloor": floor, "maintMarginRatio": rate, "cum": cum}
        for number, (floor, cap, rate, cum) in enumerate(BRACKETS, 1)
    ]


def contract(base: str) -> dict[str, Any]:
    return {"symbol": f"{base}USDT", "contractType": "PERPETUAL", "baseAsset": base, "quoteAsset": "USDT", "marginAsset": "USDT"}


def signer(message: str, signature: str) -> str:
    """Who signed a query, as typed data of Aster's domain."""
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Message": [{"name": "msg", "type": "string"}],
        },
        "primaryType": "Message",
        "domain": {"name": "AsterSignTransaction", "version": "1", "chainId": 1666, "verifyingContract": "0x" + "00" * 20},
        "message": {"msg": message},
    }
    return str(Account.recover_message(encode_typed_data(full_message=typed), signature=signature))
