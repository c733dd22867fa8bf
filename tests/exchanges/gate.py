"""A double of Gate's futures accounts, API v4: https://www.gate.com/docs/developers/apiv4."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from tests.exchanges.double import Double, Reply, Request

FEE = Decimal("0.00075")
MULTIPLIERS = {"BTC_USDT": "0.0001", "ETH_USDT": "0.01", "HYPE_USDT": "0.1", "BTC_USD": "0"}
TIERS = {
    "HYPE_USDT": [("10000", "0.008333"), ("50000", "0.01")],
    "": [("1000000", "0.004"), ("2000000", "0.005")],
    "BTC_USD": [("100", "0.005")],
}


def position(**changes: Any) -> dict[str, Any]:
    """A row of "all positions"; sizes are contracts."""
    return {
        "user": 1,
        "contract": "BTC_USDT",
        "size": "10000",
        "leverage": "0",
        "risk_limit": "1000000",
        "leverage_max": "125",
        "maintenance_rate": "0.004",
        "value": "",
        "margin": "0",
        "entry_price": "50000",
        "liq_price": "0",
        "mark_price": "51000",
        "initial_margin": "0",
        "maintenance_margin": "",
        "unrealised_pnl": "1000",
        "mode": "single",
        "cross_leverage_limit": "10",
        "pos_margin_mode": "cross",
        **changes,
    }


@dataclass
class GateDouble(Double):
    """Classic futures wallets by settling coin, isolated margin in them; `unified` is the account's mode where it is not classic."""

    id: ClassVar[str] = "gate"
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "0123456789abcdefdummy4711", "secret": "dummy-secret-4711"}
    wallets: dict[str, str] = field(default_factory=lambda: {"usdt": "10000"})
    positions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unified: str = "classic"
    margin_mode: int = 0
    elsewhere: dict[str, str] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=lambda: [key(("futures", True), ("account", True))])

    def routes(self) -> Mapping[str, Callable[[Request], Any]]:
        routes: dict[str, Callable[[Request], Any]] = {
            "GET /api/v4/spot/time": lambda _: {"server_time": self.now()},
            "GET /api/v4/unified/unified_mode": lambda _: {"mode": self.unified, "settings": {"usdt_futures": True}},
            "GET /api/v4/delivery/usdt/accounts": lambda _: self.other("delivery"),
            "GET /api/v4/options/accounts": lambda _: self.other("options"),
            "GET /api/v4/account/main_keys": lambda _: self.keys,
        }
        for settle in ("usdt", "btc"):
            place = f"GET /api/v4/futures/{settle}"
            routes[f"{place}/accounts"] = partial(self.account, settle)
            routes[f"{place}/positions"] = partial(self.rows, settle)
            routes[f"{place}/risk_limit_tiers"] = self.tiers
            for name in MULTIPLIERS:
                routes[f"{place}/contracts/{name}"] = partial(contract, name)
        return routes

    def refuses(self, request: Request) -> Reply | None:
        if "/spot/time" in request.path or "/contracts/" in request.path or "risk_limit" in request.path:
            return None
        if request.headers.get("key") != self.credentials["api_key"]:
            return self.error("bad key")
        stamp = request.headers.get("timestamp", "0")
        text = "\n".join([request.method, request.path, request.raw_query, hashlib.sha512(request.body).hexdigest(), stamp])
        if request.headers.get("sign") != hmac.new(self.credentials["secret"].encode(), text.encode(), hashlib.sha512).hexdigest():
            return Reply(401, {"label": "INVALID_SIGNATURE", "message": "Signature mismatch"})
        return self.error("time") if abs(self.now() / 1_000 - int(stamp)) > 60 else None

    def error(self, kind: str) -> Reply:
        status, label = {
            "bad key": (401, "INVALID_KEY"),
            "permission": (403, "FORBIDDEN"),
            "address": (403, "IP_FORBIDDEN"),
            "time": (403, "REQUEST_EXPIRED"),
            "maintenance": (503, "INTERNAL"),
            "rate": (429, "TOO_MANY_REQUESTS"),
            "symbol": (400, "CONTRACT_NOT_FOUND"),
        }[kind]
        return Reply(status, {"label": label, "message": kind})

    def row(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A position with its worth and its maintenance by the exchange's rule, where the test gives no other."""
        size, mark, multiplier = Decimal(given["size"]), Decimal(given["mark_price"]), Decimal(MULTIPLIERS.get(given["contract"], "1"))
        worth = abs(size) * multiplier * mark if multiplier else abs(size) / mark
        need = worth * (Decimal(given["maintenance_rate"]) + FEE)
        return {**given, "value": given["value"] or str(worth), "maintenance_margin": given["maintenance_margin"] or str(round(need, 12))}

    def rows(self, settle: str, request: Request) -> Any:
        first = int(request.query.get("offset", "0"))
        return [self.row(one) for one in self.positions.get(settle, [])][first : first + int(request.query.get("limit", "100"))]

    def account(self, settle: str, _: Request) -> Any:
        if settle not in self.wallets:
            return Reply(400, {"label": "USER_NOT_FOUND", "message": "please transfer funds first to create futures account"})
        rows = [self.row(one) for one in self.positions.get(settle, [])]
        cross = [one for one in rows if one["leverage"] == "0"]
        apart = sum((Decimal(one["margin"]) for one in rows if one["leverage"] != "0"), Decimal(0))
        earned = sum((Decimal(one["unrealised_pnl"]) for one in rows), Decimal(0))
        own = Decimal(self.wallets[settle])
        return {
            "user": 1,
            "currency": settle.upper(),
            "total": str(own + apart),
            "unrealised_pnl": str(earned),
            "position_margin": str(apart),
            "isolated_position_margin": str(apart),
            "order_margin": "0",
            "available": str(own),
            "in_dual_mode": any(one["mode"] != "single" for one in rows),
            "margin_mode": self.margin_mode,
            "enable_evolved_classic": True,
            "cross_margin_balance": str(own + sum((Decimal(one["unrealised_pnl"]) for one in cross), Decimal(0))),
            "cross_maintenance_margin": str(sum((Decimal(one["maintenance_margin"]) for one in cross), Decimal(0))),
        }

    def other(self, name: str) -> Any:
        if name not in self.elsewhere:
            return Reply(400, {"label": "USER_NOT_FOUND", "message": f"please transfer funds first to create {name} account"})
        return {"currency": "USDT", "total": self.elsewhere[name], "available": self.elsewhere[name], "unrealised_pnl": "0"}

    def tiers(self, request: Request) -> Any:
        name = request.query["contract"]
        rows = TIERS.get(name, TIERS[""])
        return [
            {"tier": tier, "risk_limit": limit, "initial_rate": "0.01", "maintenance_rate": rate, "leverage_max": "125", "contract": name}
            for tier, (limit, rate) in enumerate(rows, 1)
        ]


def contract(name: str, _: Request) -> dict[str, Any]:
    return {
        "name": name,
        "type": "inverse" if name.endswith("_USD") else "direct",
        "quanto_multiplier": MULTIPLIERS[name],
        "mark_price": "51000",
        "index_price": "50990",
        "funding_rate": "0.0001",
        "funding_interval": 28_800,
        "maintenance_rate": "0.004",
        "taker_fee_rate": str(FEE),
        "leverage_max": "125",
        "cross_leverage_default": "10",
    }


def key(*perms: tuple[str, bool], addresses: tuple[str, ...] = ()) -> dict[str, Any]:
    rows = [{"name": name, "read_only": reads} for name, reads in perms]
    return {"state": 1, "mode": 1, "name": "test", "perms": rows, "ip_whitelist": list(addresses), "key": "0123456789ab*****"}
