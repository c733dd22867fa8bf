"""What a venue's own rules say of an account and its legs, as snapshots write it: oracles with their age, and liquidation rules."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from defi_risk import model
from defi_risk.snapshot.model import LiquidationRule, Oracle


def rfc3339(when: datetime) -> str:
    """`2024-12-14T08:00:11Z`; `when` must know its time zone."""
    if when.tzinfo is None:
        raise ValueError("a time without time zone")
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def oracle(price: model.Price | None, block_time: int | None) -> Oracle | None:
    """Where a price comes from and how old it was at the block; None where nobody tells."""
    if price is None or not price.source:
        return None
    told = price.updated_at
    return Oracle(
        source=price.source,
        updated_at=None if told is None else rfc3339(datetime.fromtimestamp(told, UTC)),
        age_seconds=None if told is None or block_time is None else block_time - told,
        heartbeat_seconds=price.heartbeat,
        capped=price.capped,
    )


def liquidation_rule(rule: model.LiquidationRule) -> LiquidationRule:
    """What a liquidation does to the account."""
    return LiquidationRule(
        kind=rule.kind,
        close_factor=float(rule.close_factor),
        of_whole=rule.of_whole,
        full_below_health=_float(rule.full_below),
        full_under_usd=_float(rule.full_under_usd),
        dust_usd=_float(rule.dust_usd),
        remainder=rule.remainder,
    )


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
