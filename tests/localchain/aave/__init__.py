"""Aave V3 markets: one module a version, the market they make, and who uses it."""
