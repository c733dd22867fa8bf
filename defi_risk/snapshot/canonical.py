"""Canonical JSON of what the program says: equal values give equal bytes."""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct


class Said(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A result that is written as JSON."""

    def to_json(self, indent: int | None = None) -> str:
        """Canonical JSON: sorted keys, no spaces unless indented. Raises `ValueError` for a NaN or an infinity, which is a bug."""
        separators = (",", ":") if indent is None else (",", ": ")
        content: object = msgspec.to_builtins(self)
        return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
