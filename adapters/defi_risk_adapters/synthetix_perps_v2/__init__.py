"""Synthetix PerpsV2."""

from defi_risk_adapters.synthetix_perps_v2.adapter import SynthetixPerpsV2

__all__ = ["SynthetixPerpsV2"]
