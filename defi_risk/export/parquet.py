"""Snapshot tables as Parquet, typed column by column. Needs the extra `parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.snapshot import Snapshot


def pyarrow_parquet() -> Any:
    """The module `pyarrow.parquet`. Raises `UsageError` where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs an extra", hint="pip install 'defi-risk[parquet]'") from None
    return pyarrow.parquet


def write_parquet(snapshot: Snapshot, name: str, stream: BinaryIO) -> None:
    """Write one table ("accounts", "legs", "flags" or "stress")."""
    from datetime import datetime

    from defi_risk.snapshot.tables import table

    parquet = pyarrow_parquet()
    import pyarrow

    types = {"text": pyarrow.string(), "number": pyarrow.float64(), "bool": pyarrow.bool_(), "time": pyarrow.timestamp("s", tz="UTC")}
    content = table(snapshot, name)
    rows = list(content.rows())
    columns: dict[str, Any] = {}
    for index, (column, kind) in enumerate(content.columns):
        values: list[Any] = [row[index] for row in rows]
        if kind == "time":
            values = [datetime.fromisoformat(str(value)) for value in values]
        columns[column] = pyarrow.array(values, type=types[kind])
    parquet.write_table(pyarrow.table(columns), stream)
