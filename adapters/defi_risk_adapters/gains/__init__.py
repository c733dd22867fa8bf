"""Gains Network's gTrade: isolated leveraged trades on pairs whose prices come from outside the chain."""

from defi_risk_adapters.gains.adapter import Gains

__all__ = ["Gains"]
