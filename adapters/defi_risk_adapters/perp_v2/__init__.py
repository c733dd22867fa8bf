"""Perpetual Protocol V2."""

from defi_risk_adapters.perp_v2.adapter import PerpV2

__all__ = ["PerpV2"]
