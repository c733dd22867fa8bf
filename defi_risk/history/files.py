"""A price history from a file of the user's: a column `time` (or `date`), then one column a factor or peg.

    time,ETH,BTC,stETH/ETH
    2024-01-01T00:00:00Z,2281.87,42265.19,0.9991
    2024-01-02T00:00:00Z,2352.04,44162.69,

Times are RFC 3339 (UTC where no offset is given), dates (00:00 UTC) or unix seconds; fractions of a second are dropped. Rows may stand
in any order. An empty cell is a missing observation.

pandas reads the rows. It is more lenient than this format, so `_parsed` believes it only where each row and cell is certain to be what
the file says; else `_plain` goes through the rows one by one, to name the first that is wrong.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import BookError
from defi_risk.history.prices import LARGEST, SMALLEST, PriceHistory
from defi_risk.history.times import TIME_HINT, seconds_of, times_of
from defi_risk.text import shown

if TYPE_CHECKING:
    from defi_risk.sources.cache import Cache

LARGEST_FILE: Final = 256 * 1024 * 1024
WORTH_STORING: Final = 1024 * 1024
MOST_PRICES: Final = 50_000_000
MOST_NAMES: Final = 1_000
LONGEST_NAME: Final = 200
TIME_COLUMNS: Final = ("time", "date")
PRICE_HINT: Final = "a price is a finite number above zero with a decimal point; leave the cell empty where there is none"
_SIGNS: Final = b"0123456789+-.:eETtZzWw \t"
"""No time or price holds another: neither `nan` nor `inf`, of which pandas makes numbers, nor other alphabets' digits or 1_000."""
_QUOTED: Final = re.compile(rb'"(?<![^,\r\n]")[^"]*"(?![^,\r\n])')
_LINE_END: Final = re.compile(rb"\r\n?|\n")
_COLUMNS_HINT: Final = "the first line names the columns: time, then one a factor or peg, such as time,ETH,BTC,stETH/ETH"


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns hold: the time stands at `time`, `names` are the others in order."""

    file: str
    time: int
    names: tuple[str, ...]


def load(path: str | Path, cache: Cache | None = None) -> PriceHistory:
    """The price history in a file that ends in `.csv` or `.parquet`. With a cache, a large CSV file is parsed once.

    Raises `BookError` naming file, row, column, value and remedy; `UsageError` where Parquet is not installed.
    """
    file = str(path)
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise BookError("a price history must be a .csv or .parquet file", file=file)
    data = _bytes(path, file)
    if suffix == ".parquet":
        from defi_risk.history.columns import read_parquet

        return read_parquet(data, file)
    if cache is None or len(data) < WORTH_STORING:
        return read_csv(data, file)
    from defi_risk.history import stored

    known = stored.get(cache, data, file)
    if known is None:
        known = read_csv(data, file)
        stored.put(cache, data, known)
    return known


def read_csv(data: bytes, file: str) -> PriceHistory:
    """The history in a CSV file's bytes; `file` stands in messages. Raises `BookError`."""
    if data.startswith(b"PAR1"):
        raise BookError("is a Parquet file", file=file, hint="its name must end in .parquet")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BookError("is UTF-16 text", file=file, hint="save it as UTF-8")
    rows = _rows(data, file)
    first = next(rows, None)
    if first is None:
        raise BookError("an empty history", file=file, hint=_COLUMNS_HINT)
    header = read_header(first[1], file)
    body = _after(data, first[0])
    if body.count(b",") > MOST_PRICES:
        raise BookError("has more than 50 million prices", file=file, hint="keep fewer or longer intervals")
    found = _parsed(body, header)
    if found is None:
        found = _parsed(_plain(rows, header), header)
    if found is None:
        raise BookError("holds rows that cannot be read", file=file, hint=PRICE_HINT)
    return finish(header, *found, lambda: [row for row, _ in islice(_rows(data, file), 1, None)])


def read_header(cells: Sequence[str], file: str) -> Header:
    """The columns. Raises `BookError` for no or two time columns, no other column, a column without name or of a name used twice."""
    names = [cell.strip() for cell in cells]
    times = [index for index, name in enumerate(names) if name.lower() in TIME_COLUMNS]
    if len(times) != 1:
        fault = "no column time or date" if not times else "more than one column is called time or date"
        apart = [each for each in (";", "\t") if len(names) == 1 and each in cells[0]]
        raise BookError(fault, file=file, line=1, hint="separate the columns with commas" if apart else _COLUMNS_HINT)
    others = [name for index, name in enumerate(names) if index != times[0]]
    if not others or len(others) > MOST_NAMES:
        raise BookError(f"{len(others)} columns of prices", file=file, line=1, hint=f"give 1 to {MOST_NAMES}: {_COLUMNS_HINT}")
    for index, name in enumerate(names):
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise BookError(f"column {index + 1} is called {shown(name)!r}", file=file, line=1, hint="name the factor or peg, such as ETH")
        if names.index(name) < index:
            raise BookError(f"two columns are called {shown(name)!r}", file=file, line=1, hint="one column a factor or peg")
    return Header(file, times[0], tuple(others))


def finish(header: Header, times: NDArray[np.int64], prices: NDArray[np.float64], rows: Callable[[], Sequence[int]]) -> PriceHistory:
    """The history of what was read, sorted by time. `rows` numbers the observations, for an error. Raises `BookError`."""
    if not len(times):
        raise BookError("an empty history", file=header.file, hint="give at least two rows of prices below the columns' names")
    if len(times) == 1:
        raise BookError("a history of one row", file=header.file, hint="give at least two rows: one price has no return")
    order = np.argsort(times, kind="stable")
    times, prices = times[order], prices[order]
    same = np.flatnonzero(np.diff(times) == 0)
    if len(same):
        numbers = rows()
        first, second = (numbers[int(order[same[0] + offset])] for offset in (0, 1))
        moment = datetime.fromtimestamp(int(times[same[0]]), UTC).isoformat().replace("+00:00", "Z")
        raise BookError(f"rows {first} and {second} have one time, {moment}", file=header.file, line=second, hint="keep one of them")
    return PriceHistory(times, header.names, prices, header.file)


def not_a_price(header: Header, row: int, column: int, value: str) -> BookError:
    """The error for a cell; `column` counts the names."""
    hint = PRICE_HINT
    if "symbol" in (name.lower() for name in header.names):
        hint = "give one column a factor, not one row a symbol: time,ETH,BTC"
    name = shown(header.names[column])
    return BookError(f"column {name}: {shown(value)!r} is not a price", file=header.file, line=row, hint=hint)


def not_a_time(header: Header, row: int, value: str) -> BookError:
    """The error for a time."""
    return BookError(f"column time: {shown(value)!r} is not a time", file=header.file, line=row, hint=TIME_HINT)


def _bytes(path: str | Path, file: str) -> bytes:
    try:
        with open(Path(path).expanduser(), "rb", opener=_opener) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise BookError("is not a file", file=file, hint="name a .csv or .parquet file")
            data = stream.read(LARGEST_FILE + 1)
    except IsADirectoryError:
        raise BookError("is a folder, not a file", file=file, hint="name a .csv or .parquet file in it") from None
    except OSError as error:
        raise BookError(f"cannot be read: {error.strerror}", file=file) from None
    except ValueError:
        raise BookError("the name of a price history cannot hold a NUL character") from None
    if len(data) > LARGEST_FILE:
        raise BookError("is larger than 256 MiB", file=file, hint="keep fewer or longer intervals")
    return data


def _opener(name: str, flags: int) -> int:
    """Open without waiting for somebody to write to a named pipe."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _rows(data: bytes, file: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of its (last) line."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""), strict=True)
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield reader.line_num, cells
    except UnicodeDecodeError:
        raise BookError("is not UTF-8 text", file=file, line=_undecodable(data), hint="save it as UTF-8") from None
    except csv.Error as error:
        raise BookError(f"malformed CSV: {error}", file=file, line=reader.line_num) from None


def _after(data: bytes, lines: int) -> bytes:
    """What follows the first so many lines."""
    ends = list(islice(_LINE_END.finditer(data), lines))
    return data[ends[-1].end() :] if len(ends) == lines else b""


def _parsed(body: bytes, header: Header) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Times and prices of the rows below the header; None where anything is not as it must be."""
    import pandas

    quotes = body.count(b'"')
    if body.translate(None, _SIGNS + b',"\r\n') or (quotes and quotes != 2 * sum(1 for _ in _QUOTED.finditer(body))):
        return None
    columns = range(len(header.names) + 1)
    # before 3.1 pandas rounds the last digit of some numbers, unless it is asked not to
    exact: Any = {} if tuple(map(int, pandas.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
    try:
        frame: Any = pandas.read_csv(
            io.BytesIO(body),
            header=None,
            names=columns,
            dtype={column: "str" if column == header.time else "float64" for column in columns},
            keep_default_na=False,
            na_values=["", " ", "\t"],
            skipinitialspace=True,
            **exact,
        )
    except ValueError:
        return None
    # a first row that is too long becomes an index, a later one is an error, and one that is too short lacks commas
    if not isinstance(frame.index, pandas.RangeIndex) or body.count(b",") != len(header.names) * len(frame):
        return None
    frame = frame.dropna(how="all")
    times = times_of(frame.pop(header.time))
    prices = frame.to_numpy(dtype=np.float64)
    fine = bool(np.all(times)) and bool(np.all(np.isnan(prices) | ((prices >= SMALLEST) & (prices <= LARGEST))))
    return (times, prices) if fine else None


def _plain(lines: Iterable[tuple[int, list[str]]], header: Header) -> bytes:
    """The rows written without quotes and needless space. Raises `BookError` for the first that is wrong."""
    width, plain = len(header.names) + 1, io.BytesIO()
    for row, raw in lines:
        if len(raw) != width:
            raise BookError(f"{len(raw)} cells in a row, not {width}", file=header.file, line=row, hint="one cell a column")
        cells = [cell.strip() for cell in raw]
        line = ",".join(cells).encode()
        time = cells.pop(header.time)
        try:
            seconds_of(time)
        except ValueError:
            raise not_a_time(header, row, time) from None
        for column, cell in enumerate(cells):
            try:
                price = float(cell or SMALLEST)
            except ValueError:
                raise not_a_price(header, row, column, cell) from None
            if not SMALLEST <= price <= LARGEST:
                raise not_a_price(header, row, column, repr(price))
            if cell.encode().translate(None, _SIGNS):
                raise not_a_price(header, row, column, cell)
        if time.encode().translate(None, _SIGNS):
            raise not_a_time(header, row, time)
        plain.write(line + b"\n")
    return plain.getvalue()


def _undecodable(data: bytes) -> int:
    """The line of the first byte that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 0
