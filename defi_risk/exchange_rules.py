"""Rules of exchanges that no interface tells, as dated configuration: parameters, maintenance brackets and what drives a coin's price."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from defi_risk.ids import Factor, Peg
from defi_risk.model import FactorRef, Tier
from defi_risk.spi import DatedTiers


def numbers(exchange: str, on: date) -> dict[str, Decimal]:
    """Rule parameters of an exchange in force on a day, by name: of several, the latest that holds."""
    held = [rule for rule in _document().get("rules", ()) if rule["exchange"] == exchange and rule["since"] <= on]
    return {rule["name"]: Decimal(rule["value"]) for rule in sorted(held, key=lambda rule: rule["since"])}


def names(exchange: str) -> tuple[str, ...]:
    """Names of all rule parameters of an exchange, on whatever day they hold: those that a book may set."""
    return tuple(dict.fromkeys(rule["name"] for rule in _document().get("rules", ()) if rule["exchange"] == exchange))


def tiers(exchange: str, on: date) -> dict[str, DatedTiers]:
    """Bundled maintenance brackets of an exchange by its own symbols, as they were last published before a day."""
    held = [table for table in _document().get("tiers", ()) if table["exchange"] == exchange and table["as_of"] <= on]
    return {table["symbol"]: _tiers(table) for table in sorted(held, key=lambda table: table["as_of"])}


@cache
def coins() -> Mapping[str, FactorRef]:
    """Factor and peg of the coin codes that are not factors of their own name."""
    refs = {
        code: FactorRef(Factor(entry["factor"]), Peg(entry["peg"]) if "peg" in entry else None)
        for code, entry in _document()["coins"].items()
    }
    return MappingProxyType(refs)


def _tiers(table: Mapping[str, Any]) -> DatedTiers:
    brackets = tuple(Tier(*(Decimal(number) for number in row)) for row in table["tiers"])
    initial = Decimal(table["initial_rate"]) if "initial_rate" in table else None
    return DatedTiers(table["as_of"], brackets, initial)


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads((files("defi_risk") / "data" / "exchanges.toml").read_text("utf-8"))
