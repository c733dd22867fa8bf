"""A double of dYdX's indexer, which takes no keys: https://docs.dydx.xyz/indexer-client/http."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from tests.exchanges.double import Double, Reply, Request

ADDRESS = "dydx1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def market(ticker: str, price: str, **changes: Any) -> dict[str, Any]:
    """A perpetual market; initial margin 2 %, maintenance 1.2 %."""
    return {
        "clobPairId": "0",
        "ticker": ticker,
        "status": "ACTIVE",
        "oraclePrice": price,
        "nextFundingRate": "0.0000125",
        "initialMarginFraction": "0.02",
        "maintenanceMarginFraction": "0.012",
        "openInterest": "52.0691",
        "atomicResolution": -10,
        "stepBaseQuantums": 1_000_000,
        "marketType": "CROSS",
        "openInterestLowerCap": "0",
        "openInterestUpperCap": "0",
        "defaultFundingRate1H": "0",
        **changes,
    }


def position(ticker: str, size: str, entry: str, **changes: Any) -> dict[str, Any]:
    return {
        "market": ticker,
        "status": "OPEN",
        "side": "SHORT" if size.startswith("-") else "LONG",
        "size": size,
        "maxSize": size,
        "entryPrice": entry,
        "exitPrice": None,
        "realizedPnl": "0",
        "netFunding": "0",
        "subaccountNumber": 0,
        **changes,
    }


@dataclass
class DydxDouble(Double):
    """Subaccounts by number: USDC (negative: owed) and positions. Equity and free collateral are computed, unless they are given."""

    id: ClassVar[str] = "dydx"
    credentials: ClassVar[Mapping[str, str]] = {"wallet": ADDRESS}
    markets: list[dict[str, Any]] = field(default_factory=lambda: [market("BTC-USD", "60000"), market("ETH-USD", "3000")])
    subaccounts: dict[int, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    given: dict[int, dict[str, str]] = field(default_factory=dict)
    late: float = 0.0

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        return {
            "GET /v4/height": lambda _: {"height": "52246761", "time": datetime.fromtimestamp(time.time() - self.late, UTC).isoformat()},
            f"GET /v4/addresses/{ADDRESS}": self.addresses,
            "GET /v4/perpetualMarkets": lambda _: {"markets": {one["ticker"]: one for one in self.markets}},
        }

    def refuses(self, request: Request) -> Reply | None:
        return None

    def error(self, kind: str) -> Reply:
        status, said = {"maintenance": (503, "Service unavailable"), "rate": (429, "Too many requests")}.get(kind, (400, "not allowed"))
        return Reply(status, {"errors": [{"msg": said}]})

    def unknown(self, request: Request) -> Reply:
        return Reply(404, {"errors": [{"msg": "No subaccounts found for address"}]})

    def addresses(self, _: Request) -> Any:
        rows = [self.subaccount(number, cash, held) for number, (cash, held) in self.subaccounts.items()]
        return {"subaccounts": rows, "totalTradingRewards": "0"}

    def subaccount(self, number: int, cash: str, held: list[dict[str, Any]]) -> dict[str, Any]:
        equity = Decimal(cash)
        free = equity
        for one in held:
            details = next((each for each in self.markets if each["ticker"] == one["market"]), self.markets[0])
            worth = Decimal(one["size"]) * Decimal(details["oraclePrice"])
            equity += worth
            free += worth - abs(worth) * Decimal(details["initialMarginFraction"])
        owed = cash.startswith("-")
        usdc = {"size": cash.lstrip("-"), "symbol": "USDC", "side": "SHORT" if owed else "LONG", "assetId": "0", "subaccountNumber": number}
        return {
            "address": ADDRESS,
            "subaccountNumber": number,
            "equity": str(equity),
            "freeCollateral": str(free),
            "openPerpetualPositions": {one["market"]: one for one in held},
            "assetPositions": {"USDC": usdc} if Decimal(cash) else {},
            "marginEnabled": True,
            "updatedAtHeight": "52228833",
            "latestProcessedBlockHeight": "52246761",
            **self.given.get(number, {}),
        }
