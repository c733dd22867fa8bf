"""OKX trading accounts."""

from defi_risk_adapters.exchanges.okx.reader import Okx

__all__ = ["Okx"]
