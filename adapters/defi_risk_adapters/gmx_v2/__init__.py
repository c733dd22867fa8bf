"""GMX V2."""

from defi_risk_adapters.gmx_v2.adapter import GmxV2

__all__ = ["GmxV2"]
