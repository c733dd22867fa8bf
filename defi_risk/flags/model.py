"""A flag: one raised condition with the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from defi_risk.ids import AccountId


class Severity(StrEnum):
    """How urgent a flag is, mildest first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """`message` is one sentence with the numbers; `evidence` holds the same numbers by name; `threshold` is the line crossed."""

    code: str
    severity: Severity
    accounts: tuple[AccountId, ...] = ()
    message: str
    evidence: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)
    threshold: float | str | None = None
