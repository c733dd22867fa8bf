"""A price history from a Parquet file, with the columns that a CSV file would have. Needs the extra `parquet`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import BookError, UsageError
from defi_risk.history.convert import EARLIEST, LATEST
from defi_risk.history.files import MOST_PRICES, PRICE_HINT, Header, finish, not_a_price, not_a_time, read_header
from defi_risk.history.prices import LARGEST, SMALLEST, PriceHistory
from defi_risk.history.times import TIME_HINT, times_of

_BEYOND_REPAIR = (OSError, ValueError, OverflowError, LookupError, TypeError, AttributeError, NotImplementedError)
"""What pandas and pyarrow raise for a damaged file, whose description of itself they follow."""


def read_parquet(data: bytes, file: str) -> PriceHistory:
    """The history in a Parquet file's bytes; a null is a missing observation. Times may be timestamps, dates, text or unix seconds.

    An index of pandas counts as a column where it has a name. Raises `BookError`, whose rows count from 1; `UsageError` where pyarrow is
    not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs an extra", hint="pip install 'defi-risk[parquet]'") from None
    import pandas

    try:
        content: Any = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        names = [str(name) for name in content.schema_arrow.names]
        read_header(names, file)
        if content.metadata.num_rows * len(names) > MOST_PRICES:
            raise BookError("has more than 50 million prices", file=file, hint="keep fewer or longer intervals")
        # numpy's types hold no null beside NaN
        frame: Any = pandas.read_parquet(io.BytesIO(data), engine="pyarrow", dtype_backend="pyarrow")
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        header = read_header([str(name) for name in frame.columns], file)
        times = _times(frame.iloc[:, header.time], header)
        columns = [index for index in range(frame.shape[1]) if index != header.time]
        prices = [_prices(frame.iloc[:, place], header, index) for index, place in enumerate(columns)]
    except (pyarrow.ArrowException, *_BEYOND_REPAIR) as error:
        raise BookError(f"is not a Parquet file that can be read ({type(error).__name__})", file=file, hint="write it anew") from None
    return finish(header, times, np.column_stack(prices), lambda: range(1, len(times) + 1))


def _times(column: Any, header: Header) -> NDArray[np.int64]:
    """Unix seconds of a column of any kind that can hold times."""
    import pandas

    null = column.isna().to_numpy(dtype=np.bool_)
    if null.any():
        raise not_a_time(header, int(np.argmax(null)) + 1, "null")
    if column.dtype.kind == "M":
        moments: Any = pandas.to_datetime(column, utc=True, errors="coerce")
        seconds: NDArray[np.int64] = moments.dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.int64)
    elif column.dtype.kind in "iu":
        # one beyond 2 ** 53 is no time, however it is rounded
        seconds = np.clip(column.to_numpy(np.float64), 0, LATEST + 1).astype(np.int64)
    elif _kind(column) in ("string", "large_string", "string_view"):
        seconds = times_of(pandas.Series(column.tolist(), dtype="str"))
    else:
        raise BookError(f"column time holds {_kind(column)}", file=header.file, hint=TIME_HINT)
    wrong = (seconds < EARLIEST) | (seconds > LATEST)
    if wrong.any():
        raise not_a_time(header, int(np.argmax(wrong)) + 1, str(column.iloc[int(np.argmax(wrong))]))
    return seconds


def _prices(column: Any, header: Header, index: int) -> NDArray[np.float64]:
    """A column of numbers, NaN for nulls."""
    if column.dtype.kind not in "iuf" and not _kind(column).startswith("decimal"):
        raise BookError(f"column {header.names[index]} holds {_kind(column)}", file=header.file, hint=PRICE_HINT)
    values = np.array(column.to_numpy(np.float64, na_value=np.nan), dtype=np.float64)
    wrong = ~column.isna().to_numpy(dtype=np.bool_) & ~((values >= SMALLEST) & (values <= LARGEST))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise not_a_price(header, row + 1, index, repr(float(values[row])))
    return values


def _kind(column: Any) -> str:
    return str(column.dtype).removesuffix("[pyarrow]")
