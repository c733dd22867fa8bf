"""defi_risk: on-chain DeFi positions and derivatives of one book in one health model."""

from __future__ import annotations

__version__ = "0.1.0"
