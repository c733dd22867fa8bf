"""The JSON Schema of snapshots, generated from their types. `python -m defi_risk.snapshot.schema` writes the shipped file anew."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from defi_risk.snapshot.model import SCHEMA, Snapshot

FILE: Final = "schema/snapshot-1.json"


def generate() -> str:
    """The schema as the text of the shipped file."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "Health snapshot of defi-risk",
        **msgspec.json.schema(Snapshot),
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def shipped() -> dict[str, Any]:
    """The schema that comes with the package."""
    schema: dict[str, Any] = json.loads((files("defi_risk") / FILE).read_text("utf-8"))
    return schema


if __name__ == "__main__":
    (Path(__file__).parent.parent / FILE).write_text(generate(), "utf-8")
