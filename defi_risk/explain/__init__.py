"""Attribution: why health changed between two snapshots, by price, carry, flow and parameters, so that the parts add up exactly."""

from __future__ import annotations

from defi_risk.explain.attribution import explain
from defi_risk.explain.model import Explanation

__all__ = ["Explanation", "explain"]
