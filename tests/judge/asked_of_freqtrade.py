"""Runs inside freqtrade's environment: liquidation prices by its own exchange classes, JSON in on stdin, JSON out on stdout.

In: {"groups": [{"class", "mode", "markets", "tiers", "positions"}]}. `tiers` by pair are in the form in which an exchange tells them;
without, the class loads those that it ships. A position holds the arguments of `dry_run_liquidation_price`, with `brackets`: the stakes
that it is asked with, one after the other, because the bracket is chosen by the stake; `mark` of another open trade is what the exchange
would tell. Out: the modes that each class says it supports, and for every position of every group its prices. There is no network.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any


def refuse(*_: object, **__: object) -> None:
    """In place of every way out."""
    raise OSError("this process has no network")


def exchange_of(group: dict[str, Any]) -> Any:
    """An exchange object as freqtrade makes it for a dry run, before it has asked its exchange for anything."""
    ours = import_module("freqtrade.exchange")
    run_mode = import_module("freqtrade.enums").RunMode
    config = {
        "exchange": {"name": group["class"].lower(), "enable_ws": False},
        "dry_run": True,
        "runmode": run_mode.DRY_RUN,
        "stake_currency": "USDT",
        "trading_mode": "futures",
        "margin_mode": group["mode"],
    }
    exchange = getattr(ours, group["class"])(config, validate=False)
    exchange._markets = group["markets"]
    if group.get("tiers") is None:
        exchange.fill_leverage_tiers()
    else:
        exchange._leverage_tiers = {pair: [exchange.parse_leverage_tier(tier) for tier in tiers] for pair, tiers in group["tiers"].items()}
    return exchange


def prices(exchange: Any, position: dict[str, Any]) -> list[float | None]:
    """The liquidation price, once for every bracket."""
    brackets = position.pop("brackets")
    open_trades = [SimpleNamespace(**trade) for trade in position.pop("open_trades")]
    marks = {trade.pair: {"markPrice": trade.mark} for trade in open_trades}

    def told(symbols: list[str]) -> dict[str, Any]:
        return {pair: marks[pair] for pair in symbols}

    exchange._api.fetch_funding_rates = told
    return [exchange.dry_run_liquidation_price(**position, stake_amount=stake, open_trades=open_trades) for stake in brackets]


def main() -> None:
    """Answer what stdin asks."""
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse  # type: ignore[assignment]
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    ours: Any = import_module("freqtrade.exchange")
    futures = import_module("freqtrade.enums").TradingMode.FUTURES
    classes: dict[str, Any] = vars(ours)
    base: Any = ours.Exchange
    supported = {
        name: sorted(mode.value for trading, mode in classes[name]._supported_trading_mode_margin_pairs if trading == futures)
        for name, kind in classes.items()
        if isinstance(kind, type) and issubclass(kind, base)
    }
    found = []
    for group in asked["groups"]:
        exchange = exchange_of(group)
        found.append([prices(exchange, position) for position in group["positions"]])
    json.dump({"supported": supported, "found": found}, sys.stdout)


if __name__ == "__main__":
    main()
