"""Synthetix PerpsV2 2.102.1: the real perps contracts among doubles of the rest of Synthetix, the markets and who uses them."""
