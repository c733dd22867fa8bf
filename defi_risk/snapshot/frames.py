"""Snapshot tables as pandas frames. The only module of the core that imports pandas."""

from __future__ import annotations

from typing import Final

import pandas

from defi_risk.snapshot.model import Snapshot
from defi_risk.snapshot.tables import Kind, table

_DTYPES: Final[dict[Kind, str]] = {"text": "object", "number": "float64", "bool": "boolean", "time": "datetime64[ns, UTC]"}


def frame(snapshot: Snapshot, name: str) -> pandas.DataFrame:
    """The table of that name, typed column by column. Raises `UnknownName`."""
    content = table(snapshot, name)
    rows = list(content.rows())
    columns = {column: _series([row[index] for row in rows], kind) for index, (column, kind) in enumerate(content.columns)}
    return pandas.DataFrame(columns)


def _series(values: list[str | float | bool | None], kind: Kind) -> pandas.Series:
    if kind == "time":
        return pandas.Series(pandas.to_datetime([str(value) for value in values], utc=True), dtype=_DTYPES[kind])
    return pandas.Series(values, dtype=_DTYPES[kind])
