"""Snapshots: built from accounts, figures and flags; written as canonical JSON; read back with every fault named."""

from __future__ import annotations

from defi_risk.snapshot.build import build
from defi_risk.snapshot.model import SCHEMA, Snapshot
from defi_risk.snapshot.read import from_json, load

__all__ = ["SCHEMA", "Snapshot", "build", "from_json", "load"]
