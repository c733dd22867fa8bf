"""Snapshot tables as CSV (RFC 4180, UTF-8). Text that a spreadsheet would run as a formula is disarmed; numbers stay numbers."""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

from defi_risk.snapshot import Snapshot
from defi_risk.snapshot.tables import Value, table
from defi_risk.text import csv_cell

EXACT = frozenset({"amount", "size"})


def write_csv(snapshot: Snapshot, name: str, stream: BinaryIO) -> None:
    """Write one table of a snapshot with a header line. Absent is an empty cell, booleans are true and false."""
    content = table(snapshot, name)
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text)
        names = [column for column, _ in content.columns]
        writer.writerow(names)
        for row in content.rows():
            writer.writerow([_cell(column, value) for column, value in zip(names, row, strict=True)])
        text.flush()
    finally:
        text.detach()  # the stream is the caller's


def _cell(column: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(float(value))
    # an exact amount is digits by the snapshot's own rules, and may be negative
    return value if column in EXACT else csv_cell(value)
