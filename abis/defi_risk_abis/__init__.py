"""ABI files, read as package data."""
