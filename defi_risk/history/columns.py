"""A price history from a Parquet file, with the columns that a CSV file would have. Needs the extra `parquet`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import BookError, UsageError
from defi_risk.history.convert import EARLIEST, LATEST
from defi_risk.history.files import MOST_PRICES, PRICE_HINT, TIME_HINT, Header, finish, not_a_price, not_a_time, read_header, seconds_of
from defi_risk.history.prices import LARGEST, SMALLEST, PriceHistory


def read_parquet(data: bytes, file: str) -> PriceHistory:
    """The history in a Parquet file's bytes; a null is a missing observation. Times may be timestamps, dates, text or unix seconds.

    Raises `BookError`, whose rows count from 1; `UsageError` where pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs an extra", hint="pip install 'defi-risk[parquet]'") from None
    try:
        content: Any = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        schema: Any = content.schema_arrow
        header = read_header([str(name) for name in schema.names], file)
        if content.metadata.num_rows * len(schema.names) > MOST_PRICES:
            raise BookError("has more than 50 million prices", file=file, hint="keep fewer or longer intervals")
        table: Any = content.read()
        times = _times(table.column(header.time), header)
        columns = [table.column(index) for index in range(len(schema.names)) if index != header.time]
        prices = [_prices(column, header, index) for index, column in enumerate(columns)]
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise BookError(f"is not a Parquet file that can be read ({type(error).__name__})", file=file, hint="write it anew") from None
    return finish(header, np.arange(1, len(times) + 1), times, np.column_stack(prices))


def _times(column: Any, header: Header) -> NDArray[np.int64]:
    """Unix seconds of a column of any kind that can hold times."""
    import pyarrow

    kind: Any = column.type
    if column.null_count:
        raise not_a_time(header, _first(column.is_null()), "null")
    if pyarrow.types.is_timestamp(kind) or pyarrow.types.is_date(kind):
        # floored by hand: a cast to seconds refuses fractions
        unit = kind.unit if pyarrow.types.is_timestamp(kind) else "ms"
        scale = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
        whole = column if pyarrow.types.is_timestamp(kind) else column.cast(pyarrow.timestamp("ms"))
        seconds = np.asarray(whole.cast(pyarrow.int64()).to_numpy(), dtype=np.int64) // scale
    elif pyarrow.types.is_integer(kind):
        seconds = np.asarray(column.cast(pyarrow.int64()).to_numpy(), dtype=np.int64)
    elif pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind):
        seconds = np.array([_second(text, header, row) for row, text in enumerate(column.to_pylist(), 1)], dtype=np.int64)
    else:
        raise BookError(f"column time holds {kind}", file=header.file, hint=TIME_HINT)
    wrong = (seconds < EARLIEST) | (seconds > LATEST)
    if wrong.any():
        raise not_a_time(header, int(np.argmax(wrong)) + 1, str(column[int(np.argmax(wrong))].as_py()))
    return seconds


def _second(text: str, header: Header, row: int) -> int:
    try:
        return seconds_of(text)
    except ValueError:
        raise not_a_time(header, row, text) from None


def _prices(column: Any, header: Header, index: int) -> NDArray[np.float64]:
    """A column of numbers, NaN for nulls."""
    import pyarrow

    kind: Any = column.type
    if not (pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind) or pyarrow.types.is_decimal(kind)):
        raise BookError(f"column {header.names[index]} holds {kind}", file=header.file, hint=PRICE_HINT)
    values = np.array(column.cast(pyarrow.float64(), safe=False).to_numpy(), dtype=np.float64)
    missing = np.asarray(column.is_null().to_numpy(), dtype=np.bool_)
    wrong = ~missing & ~((values >= SMALLEST) & (values <= LARGEST))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise not_a_price(header, row + 1, index, repr(float(values[row])))
    return values


def _first(flags: Any) -> int:
    """The number of the first row that is flagged."""
    return int(np.argmax(np.asarray(flags.to_numpy()))) + 1
