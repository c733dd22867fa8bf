"""A double of Deribit: https://docs.deribit.com."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.exchanges.double import Double, Reply, Request

FOREVER = 32_503_708_800_000
INDEX = {"BTC": "60000", "ETH": "3000", "USDC": "1"}


def instrument(name: str, base: str, *, linear: bool = False, expires: int = FOREVER) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "kind": "future",
        "instrument_type": "linear" if linear else "reversed",
        "base_currency": base,
        "quote_currency": "USDC" if linear else "USD",
        "settlement_currency": "USDC" if linear else base,
        "contract_size": 1,
        "expiration_timestamp": expires,
        "taker_commission": 0.0005,
        "is_active": True,
    }


INSTRUMENTS = [
    instrument("BTC-PERPETUAL", "BTC"),
    instrument("BTC-25DEC26", "BTC", expires=1_798_185_600_000),
    instrument("ETH-PERPETUAL", "ETH"),
    instrument("BTC_USDC-PERPETUAL", "BTC", linear=True),
]


def position(name: str, size: str, **changes: Any) -> dict[str, Any]:
    """A position as the interface tells it; sizes of inverse contracts are USD, its figures in the settling coin."""
    return {
        "instrument_name": name,
        "kind": "future",
        "direction": "sell" if size.startswith("-") else "buy",
        "size": Decimal(size),
        "average_price": Decimal(50_000),
        "mark_price": Decimal(60_000),
        "index_price": Decimal(60_010),
        "floating_profit_loss": Decimal("0"),
        "total_profit_loss": Decimal("0"),
        "maintenance_margin": Decimal("0.001"),
        "initial_margin": Decimal("0.002"),
        "estimated_liquidation_price": 0,
        "leverage": 50,
        **changes,
    }


@dataclass
class DeribitDouble(Double):
    """Balances by currency. Summaries are computed from balances and positions, but for what is `given`."""

    id: ClassVar[str] = "deribit"
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "dummy4711", "secret": "dummy-secret-4711"}
    balances: dict[str, str] = field(default_factory=lambda: {"BTC": "1"})
    positions: list[dict[str, Any]] = field(default_factory=list)
    model: str = "segregated_sm"
    given: dict[str, dict[str, Any]] = field(default_factory=dict)

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /api/v2/public/get_time": lambda _: self.said(self.now()),
            "GET /api/v2/private/get_account_summaries": lambda _: self.said(
                {"id": 1, "type": "main", "summaries": [self.summary(coin) for coin in ("BTC", "ETH", "USDC")]}
            ),
            "GET /api/v2/private/get_positions": lambda _: self.said(self.positions),
            "GET /api/v2/public/get_instruments": lambda _: self.said(INSTRUMENTS),
            "GET /api/v2/public/get_book_summary_by_currency": lambda _: self.said(
                [{"instrument_name": "BTC-PERPETUAL", "funding_8h": 0.0001, "mark_price": 60_000}, {"instrument_name": "BTC-25DEC26"}]
            ),
            "GET /api/v2/public/get_index_price": lambda request: self.said(
                {"index_price": float(INDEX[request.query["index_name"].split("_")[0].upper()])}
            ),
        }

    def said(self, result: object) -> Any:
        return plain({"jsonrpc": "2.0", "result": result, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False})

    def refuses(self, request: Request) -> Reply | None:
        if "/private/" not in request.path:
            return None
        found = re.fullmatch(r"deri-hmac-sha256 id=(.+),ts=(\d+),sig=([0-9a-f]+),nonce=(\d+)", request.headers.get("authorization", ""))
        if found is None or found[1] != self.credentials["api_key"]:
            return self.error("bad key")
        target = request.path + (f"?{request.raw_query}" if request.raw_query else "")
        text = f"{found[2]}\n{found[4]}\n{request.method}\n{target}\n\n"
        if hmac.new(self.credentials["secret"].encode(), text.encode(), hashlib.sha256).hexdigest() != found[3]:
            return self.error("bad key")
        return self.error("time") if abs(self.now() - int(found[2])) > 60_000 else None

    def error(self, kind: str) -> Reply:
        status, code, said = {
            "bad key": (400, 13004, "invalid_credentials"),
            "permission": (403, 13021, "forbidden"),
            "address": (403, 13021, "forbidden"),
            "time": (400, 13009, "unauthorized"),
            "maintenance": (503, 11051, "system_maintenance"),
            "rate": (429, 10028, "too_many_requests"),
            "symbol": (400, -32602, "Invalid params"),
        }[kind]
        return Reply(status, {"jsonrpc": "2.0", "error": {"message": said, "code": code}, "testnet": False})

    def summary(self, coin: str) -> dict[str, Any]:
        mine = [one for one in self.positions if settles(one["instrument_name"]) == coin and one["kind"] == "future"]
        balance = Decimal(self.balances.get(coin, "0"))
        earned = sum((one["floating_profit_loss"] for one in mine), Decimal(0))
        return {
            "currency": coin,
            "balance": balance,
            "equity": balance + earned,
            "margin_balance": balance + earned,
            "maintenance_margin": sum((one["maintenance_margin"] for one in mine), Decimal(0)),
            "initial_margin": sum((one["initial_margin"] for one in mine), Decimal(0)),
            "futures_session_upl": earned,
            "session_rpl": 0,
            "options_value": 0,
            "cross_collateral_enabled": self.model.startswith("cross"),
            "portfolio_margining_enabled": self.model.endswith("pm"),
            "margin_model": self.model,
            **self.given.get(coin, {}),
        }


def settles(name: str) -> str:
    return "USDC" if "_USDC" in name else name.split("-")[0]


def plain(value: Any) -> Any:
    """The same with JSON's numbers for decimals."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value
