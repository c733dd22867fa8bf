"""The `[thresholds]` of a book: where each flag is raised, under the flag's code in lower case.

    [thresholds]
    near_liquidation = { warning = 1.25, critical = 1.10, sigma_warning = 5, sigma_critical = 3 }
    mur_high = 0.70
    collateral_mix = { stables = [0.5, 0.7], majors = [0.2, 0.4], others = [0, 0.1] }

A code has one number, or a table of numbers and of ranges. What is left out keeps its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from defi_risk.book.model import Thresholds
from defi_risk.book.table import Row, Table
from defi_risk.text import shown


class _Line(NamedTuple):
    """Where a number of the book goes, and what it may be."""

    field: str
    low: Decimal | int
    high: Decimal | int


def _share(field: str) -> _Line:
    return _Line(field, 0, 1)


_SINGLE: Final[Mapping[str, _Line]] = {
    "mur_high": _Line("mur", 0, 1000),
    "stress_breach": _Line("stress_health", 1, 1000),
    "risk_contribution": _Line("risk_share", 0, 1000),
    "upnl_drain": _Line("drain", 0, 1000),
    "hedge_stranded": _share("fragmentation"),
    "wrong_way_collateral": _share("wrong_way"),
    "liquidation_cluster": _Line("cluster", 0, 10),
    "venue_basis": _Line("basis", 0, 10),
    "depeg": _share("depeg"),
    "negative_carry": _Line("carry", 0, 10**15),
    "funding_spike": _Line("funding", 0, 10),
    "price_move": _Line("price_move", 0, 10),
    "volatility_shift": _share("percentile"),
    "venue_concentration": _share("concentration"),
    "prefer_isolated": _Line("isolated", 1, 10_000),
}
_TABLES: Final[Mapping[str, Mapping[str, _Line]]] = {
    "near_liquidation": {
        "warning": _Line("near_warning", 1, 1000),
        "critical": _Line("near_critical", 1, 1000),
        "sigma_warning": _Line("sigma_warning", 0, 1000),
        "sigma_critical": _Line("sigma_critical", 0, 1000),
    },
    "margin_low": {"warning": _Line("margin_warning", 1, 1000), "critical": _Line("margin_critical", 1, 1000)},
    "leverage_zone": {
        "low": _Line("leverage_low", 0, 10_000),
        "medium": _Line("leverage_medium", 0, 10_000),
        "high": _Line("leverage_high", 0, 10_000),
        "health_low": _Line("health_low", 1, 1000),
        "health_medium": _Line("health_medium", 1, 1000),
    },
    "collateral_hedge": {"low": _Line("hedge_low", 0, 10), "high": _Line("hedge_high", 0, 10)},
    "correlation_shift": {"level": _share("correlation"), "rise": _Line("correlation_rise", 0, 2)},
}
_MIX: Final = ("stables", "majors", "others")
CODES: Final = tuple(sorted((*_SINGLE, *_TABLES, "collateral_mix")))
"""The flags whose lines can be set."""
_ORDERS: Final = (
    ("near_liquidation", "near_critical", "near_warning", "they are price ratios: 1.10 is nearer than 1.25"),
    ("near_liquidation", "sigma_critical", "sigma_warning", "they are standard deviations: 3 is nearer than 5"),
    ("margin_low", "margin_critical", "margin_warning", "they are healths: 1.1 is nearer than 1.2"),
    ("leverage_zone", "health_low", "health_medium", "the worse health has the lower leverage"),
    ("leverage_zone", "leverage_low", "leverage_medium", "the worse health has the lower leverage"),
    ("leverage_zone", "leverage_medium", "leverage_high", "the worse health has the lower leverage"),
    ("collateral_hedge", "hedge_low", "hedge_high", "they are the least and the most of the collateral to hedge"),
)
"""What must not lie above what, by the code whose table says both."""


def read_thresholds(table: Table) -> Thresholds:
    """The lines of a book. Raises `BookError` for an unknown code or key, a number out of range, and lines that contradict each other."""
    for key in table:
        if key not in CODES and key.lower() in CODES:
            table.fail(key, f"unknown key {shown(key, 60)!r}", f"did you mean {key.lower()!r}? codes stand here in lower case")
    table = table.strict(CODES)
    given: dict[str, Decimal] = {code: table.number(code, line.low, line.high) for code, line in _SINGLE.items() if code in table}
    found = {_SINGLE[code].field: number for code, number in given.items()}
    for code, lines in _TABLES.items():
        inner = table.table(code, tuple(lines))
        found |= {line.field: inner.number(key, line.low, line.high) for key, line in lines.items() if key in inner}
    found |= _mix(table)
    thresholds = replace(Thresholds(), **found)
    for code, lower, upper, hint in _ORDERS:
        low, high = _value(thresholds, lower), _value(thresholds, upper)
        if low > high:
            table.fail(code, f"{_key(code, lower)} {low} lies above {_key(code, upper)} {high}", hint)
    _check_mix(table, thresholds)
    return thresholds


def _mix(table: Table) -> dict[str, Decimal]:
    inner = table.table("collateral_mix", _MIX)
    raw = table.raw("collateral_mix")
    found: dict[str, Decimal] = {}
    for name in _MIX:
        if name not in inner:
            continue
        listed = raw[name]
        if not isinstance(listed, list):
            inner.fail(name, "must be a range", "such as [0.5, 0.7]")
        low, high = Row(table.source, (*inner.where, name), listed).numbers(0, 0)
        if not low <= high <= 1:
            inner.fail(name, f"{low} ... {high} is not a range of shares", "lower first, 1 at most")
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found


def _check_mix(table: Table, thresholds: Thresholds) -> None:
    """Refuse ranges that no collateral could keep."""
    least = sum(_value(thresholds, f"{name}_low") for name in _MIX)
    most = sum(_value(thresholds, f"{name}_high") for name in _MIX)
    if least > 1 or most < 1:
        table.fail("collateral_mix", f"the shares add up to {least} ... {most}", "ranges that 1 lies in")


def _value(thresholds: Thresholds, field: str) -> Decimal:
    value: Decimal = getattr(thresholds, field)
    return value


def _key(code: str, field: str) -> str:
    return next(key for key, line in _TABLES[code].items() if line.field == field)
