"""A snapshot as flat tables: accounts, legs, flags and stress, each row with `snapshot_id` and `taken_at`.

CSV, Parquet and pandas frames all hold exactly these. Exact amounts are text; a column `..._float` beside them is for arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from defi_risk.errors import UnknownName
from defi_risk.snapshot.model import Account, Flag, Leg, Snapshot

Kind = Literal["text", "number", "bool", "time"]
Value = str | float | bool | None
COMMON: Final[tuple[tuple[str, Kind], ...]] = (("snapshot_id", "text"), ("taken_at", "time"))
_TEXT: Final = ("id", "owner", "owner_name", "side", "venue", "market", "chain", "mode", "status", "reason", "blocked")
_FIGURES: Final = (
    "equity_usd", "collateral_usd", "debt_usd", "weighted_collateral_usd", "requirement_usd", "initial_requirement_usd", "surplus_usd",
    "mur", "free_margin_usd", "withdrawable_usd", "health", "hf", "sigma", "time_to_liquidation_days",
)  # fmt: skip
_LEG_NUMBERS: Final = (
    "price_usd", "value_usd", "weight", "initial_weight", "bonus", "entry_price", "notional_usd", "unrealized_pnl_usd", "initial_usd",
    "maintenance_usd", "accrued_funding_usd", "accrued_fees_usd", "apr", "funding_rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Columns as (name, kind), and an iterator over rows made anew on each call."""

    name: str
    columns: tuple[tuple[str, Kind], ...]
    rows: Callable[[], Iterator[tuple[Value, ...]]]


def table(snapshot: Snapshot, name: str) -> Table:
    """The table of that name. Raises `UnknownName`."""
    if name not in TABLES:
        raise UnknownName("table", name, tuple(TABLES))
    columns, rows = TABLES[name]
    common = (snapshot.id, snapshot.taken_at)
    return Table(name, COMMON + columns, lambda: ((*common, *row) for row in rows(snapshot)))


def _kinds(kind: Kind, names: Iterable[str]) -> tuple[tuple[str, Kind], ...]:
    return tuple((name, kind) for name in names)


def _accounts(snapshot: Snapshot) -> Iterator[tuple[Value, ...]]:
    for account in snapshot.accounts:
        yield (
            *(getattr(account, name) for name in _TEXT),
            *(getattr(account, name) for name in _FIGURES),
            account.liquidatable,
            account.market_moves.down,
            account.market_moves.up,
            account.self_check.match if account.self_check else None,
            account.line,
            "; ".join(account.assumptions) or None,
        )


def _legs(snapshot: Snapshot) -> Iterator[tuple[Value, ...]]:
    for account in snapshot.accounts:
        for leg in account.legs:
            yield _leg(account, leg)


def _leg(account: Account, leg: Leg) -> tuple[Value, ...]:
    return (
        *(account.id, leg.role, leg.token, leg.symbol, leg.factor, leg.peg, leg.amount, leg.size),
        *(None if text is None else float(text) for text in (leg.amount, leg.size)),
        *(getattr(leg, name) for name in _LEG_NUMBERS),
        leg.enabled,
        leg.maintenance_rate,
    )


def _flags(snapshot: Snapshot) -> Iterator[tuple[Value, ...]]:
    for flag in snapshot.flags:
        yield flag.code, flag.severity, " ".join(flag.accounts), flag.message, _json(flag.evidence), _json(flag.threshold)


def _stress(snapshot: Snapshot) -> Iterator[tuple[Value, ...]]:
    for row in snapshot.stress:
        names = " ".join(dict.fromkeys(event.account for event in row.liquidations))
        numbers = row.equity_usd, row.min_health, row.penalty_usd, float(len(row.liquidations))
        yield row.scenario, row.title, _json(row.shocks), row.account, names, *numbers, row.passed


def _json(value: Flag | object) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


TABLES: Final[dict[str, tuple[tuple[tuple[str, Kind], ...], Callable[[Snapshot], Iterator[tuple[Value, ...]]]]]] = {
    "accounts": (
        (
            *_kinds("text", _TEXT),
            *_kinds("number", _FIGURES),
            ("liquidatable", "bool"),
            *_kinds("number", ("market_move_down", "market_move_up")),
            ("self_check_match", "bool"),
            ("line", "number"),
            ("assumptions", "text"),
        ),
        _accounts,
    ),
    "legs": (
        (
            *_kinds("text", ("account_id", "role", "token", "symbol", "factor", "peg", "amount", "size")),
            *_kinds("number", ("amount_float", "size_float", *_LEG_NUMBERS)),
            ("enabled", "bool"),
            ("maintenance_rate", "number"),
        ),
        _legs,
    ),
    "flags": (_kinds("text", ("code", "severity", "accounts", "message", "evidence", "threshold")), _flags),
    "stress": (
        (
            *_kinds("text", ("scenario", "title", "shocks", "worst_account", "liquidated")),
            *_kinds("number", ("equity_usd", "min_health", "penalty_usd", "liquidations")),
            ("pass", "bool"),
        ),
        _stress,
    ),
}
