"""Hyperliquid: perpetuals and spot balances of HyperCore."""

from defi_risk_adapters.hyperliquid.adapter import Hyperliquid

__all__ = ["Hyperliquid"]
