"""Compound V3 (Comet)."""

from defi_risk_adapters.compound_v3.adapter import CompoundV3

__all__ = ["CompoundV3"]
