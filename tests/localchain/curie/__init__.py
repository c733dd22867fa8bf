"""Perpetual Protocol V2 (curie 2.8.4) on Uniswap V3: the deployment, the market and who uses it."""
