"""A double of Lighter's public interface: https://apidocs.lighter.xyz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from tests.exchanges.double import Double, Reply, Request

ADDRESS = "0x15f43D1f2DeE81424aFd891943262aa90F22cc2A"


def position(**changes: Any) -> dict[str, Any]:
    """A recorded cross position of 18.0193 ETH."""
    return {
        "market_id": 0,
        "symbol": "ETH",
        "initial_margin_fraction": "5.00",
        "open_order_count": 0,
        "pending_order_count": 0,
        "position_tied_order_count": 0,
        "sign": 1,
        "position": "18.0193",
        "avg_entry_price": "2669.84",
        "position_value": "54306.566340",
        "unrealized_pnl": "6197.829558",
        "realized_pnl": "0.000000",
        "liquidation_price": "2191.1107231380406",
        "margin_mode": 0,
        "allocated_margin": "0.000000",
        **changes,
    }


@dataclass
class LighterDouble(Double):
    """Accounts by index: collateral and positions."""

    id: ClassVar[str] = "lighter"
    credentials: ClassVar[Mapping[str, str]] = {"wallet": ADDRESS}
    accounts: dict[int, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {"GET /api/v1/account": self.account, "GET /api/v1/orderBookDetails": lambda _: {"code": 200, "order_book_details": MARKETS}}

    def refuses(self, request: Request) -> Reply | None:
        return None

    def error(self, kind: str) -> Reply:
        return Reply({"maintenance": 503, "rate": 429}.get(kind, 400), {"code": 21100, "message": "not allowed"})

    def account(self, request: Request) -> Any:
        by, value = request.query["by"], request.query["value"]
        rows = [self.row(index, *held) for index, held in self.accounts.items() if by == "l1_address" or str(index) == value]
        if not rows or (by == "l1_address" and value != ADDRESS):
            return Reply(400, {"code": 21100, "message": "account not found"})
        return {"code": 200, "total": len(rows), "accounts": rows}

    def row(self, index: int, collateral: str, held: list[dict[str, Any]]) -> dict[str, Any]:
        cross = [one for one in held if one["margin_mode"] == 0]
        value = Decimal(collateral) + sum((Decimal(one["unrealized_pnl"]) for one in cross), Decimal(0))
        rates = {one["market_id"]: Decimal(one["maintenance_margin_fraction"]) / 10_000 for one in MARKETS}
        need = sum((Decimal(one["position_value"]) * rates.get(one["market_id"], Decimal(0)) for one in cross), Decimal(0))
        return {
            "code": 0,
            "account_type": 0,
            "index": index,
            "l1_address": ADDRESS,
            "status": 1,
            "collateral": collateral,
            "available_balance": collateral,
            "positions": held,
            "assets": [],
            "total_asset_value": str(value),
            "cross_asset_value": str(value),
            "cross_maintenance_margin_requirement": str(round(need, 6)),
            "shares": [],
            **self.given,
        }


def market(number: int, symbol: str, maintenance: int) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "market_id": number,
        "market_type": "perp",
        "status": "active",
        "default_initial_margin_fraction": 500,
        "min_initial_margin_fraction": 200,
        "maintenance_margin_fraction": maintenance,
        "closeout_margin_fraction": 80,
    }


MARKETS = [market(0, "ETH", 120), market(1, "BTC", 120), market(2, "SOL", 240)]
