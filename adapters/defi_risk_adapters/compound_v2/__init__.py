"""Compound V2 and its forks."""

from defi_risk_adapters.compound_v2.adapter import CompoundV2

__all__ = ["CompoundV2"]
