"""Compound III: doubles of two markets, and who uses them. No registry ships the real contract; the double says so itself."""
