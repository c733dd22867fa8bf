"""The lines that flags are raised at, as floats: those of a book, or the defaults (`unified-health` section 9)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from defi_risk.book.model import Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The fields of `defi_risk.book.model.Thresholds`, one for one, and their defaults."""

    near_warning: float = 1.25
    near_critical: float = 1.10
    sigma_warning: float = 5.0
    sigma_critical: float = 3.0
    margin_warning: float = 1.2
    margin_critical: float = 1.1
    mur: float = 0.70
    stress_health: float = 1.05
    stables_low: float = 0.5
    stables_high: float = 0.7
    majors_low: float = 0.2
    majors_high: float = 0.4
    others_low: float = 0.0
    others_high: float = 0.1
    health_low: float = 1.2
    health_medium: float = 2.0
    leverage_low: float = 3.0
    leverage_medium: float = 5.0
    leverage_high: float = 10.0
    risk_share: float = 0.10
    drain: float = 0.5
    hedge_low: float = 0.25
    hedge_high: float = 0.5
    fragmentation: float = 0.5
    wrong_way: float = 0.8
    cluster: float = 0.05
    basis: float = 0.01
    depeg: float = 0.01
    carry: float = 0.0
    funding: float = 0.001
    price_move: float = 0.05
    correlation: float = 0.8
    correlation_rise: float = 0.2
    percentile: float = 0.20
    concentration: float = 0.5
    isolated: float = 50.0

    @classmethod
    def of(cls, thresholds: Thresholds) -> Limits:
        """The lines of a book."""
        return cls(**{field.name: float(getattr(thresholds, field.name)) for field in fields(cls)})
