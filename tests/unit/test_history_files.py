"""Price histories from files: what is read, and one clear error for everything that cannot be."""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.errors import BookError, DefiRiskError, UsageError
from defi_risk.history import PriceHistory, load
from defi_risk.history import files as history_files
from defi_risk.history.columns import read_parquet
from defi_risk.history.files import read_csv
from defi_risk.sources.cache import Cache
from tests.strategies import examples

FIRST, SECOND = 1_704_067_200, 1_704_153_600  # 2024-01-01 and the day after


def write(folder: Path, content: str | bytes, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet(folder: Path, columns: Mapping[str, Any]) -> Path:
    path = folder / "prices.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def fault(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    return str(caught.value).replace(f"{path}", "FILE")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "time,ETH,stETH/ETH\n2024-01-02T00:00:00Z,2352.04,\n2024-01-01T00:00:00Z,2281.87,0.9991\n")
    found = load(path)
    assert (found.times.tolist(), found.names, found.source) == ([FIRST, SECOND], ("ETH", "stETH/ETH"), str(path))
    assert found.prices[:, 0].tolist() == [2281.87, 2352.04]
    assert found.prices[0, 1] == 0.9991
    assert np.isnan(found.prices[1, 1])


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02",
        "2024-01-02T00:00:00Z",
        "2024-01-02t00:00:00z",
        "2024-01-02 00:00:00",
        "2024-01-02T02:00:00+02:00",
        "2024-01-01T19:00-05:00",
        "2024-01-02T00:00:00.987654+00:00",
        "1704153600",
        "1704153600.9",
        " 2024-01-02 ",
        '"2024-01-02"',
    ],
)
def test_times_as_people_write_them(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"ETH,Date\r\n1,2024-01-01\r\n2,{text}\r\n\r\n,\r\n")
    assert load(path).times.tolist() == [FIRST, SECOND]


@pytest.mark.parametrize(
    "text",
    ["2024-13-01", "01/02/2024", "1704153600000", "20240102", "yesterday", "", "nan", "-1", "1e9", "0001-01-01T00:00+23:59", "9999-12-31"],
)
def test_what_is_no_time(text: str, tmp_path: Path) -> None:
    told = fault(write(tmp_path, f"time,ETH\n2024-01-01,1\n{text},2\n"))
    assert told.startswith(f"FILE:3: column time: {(text or '?')!r} is not a time - write 2024-01-31")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abc", "'abc'"),
        ("0", "'0.0'"),
        ("-3", "'-3.0'"),
        ("inf", "'inf'"),
        ("-Infinity", "'-inf'"),
        ("NaN", "'nan'"),
        ("1e999", "'inf'"),
        ("1e-320", "'1e-320'"),
        ("1e31", "'1e+31'"),
        ("$5", "'$5'"),
        ('"1,000"', "'1,000'"),
        ("null", "'null'"),
        ("\x1b[31m5", "'[31m5'"),
    ],
)
@pytest.mark.parametrize("beside", ["7", ""])
def test_what_is_no_price(text: str, shown: str, beside: str, tmp_path: Path) -> None:
    told = fault(write(tmp_path, f"time,BTC,ETH\n2024-01-01,1,1\n2024-01-02,{beside},{text}\n2024-01-03,0,0\n"))
    assert told == f"FILE:3: column ETH: {shown} is not a price - {history_files.PRICE_HINT}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "FILE: an empty history - the first line names the columns"),
        ("\n\n", "FILE: an empty history - the first line names the columns"),
        ("time,ETH\n", "FILE: an empty history - give at least two rows"),
        ("time,ETH\n2024-01-01,1\n", "FILE: a history of one row - give at least two rows"),
        ("ETH,BTC\n1,2\n3,4\n", "FILE:1: no column time or date - the first line names the columns"),
        ("time;ETH\n2024-01-01;1\n", "FILE:1: no column time or date - separate the columns with commas"),
        ("time,date,ETH\n1,2,3\n", "FILE:1: more than one column is called time or date"),
        ("time\n2024-01-01\n2024-01-02\n", "FILE:1: 0 columns of prices"),
        ("time,ETH,\n2024-01-01,1,1\n", "FILE:1: column 3 is called '?' - name the factor or peg"),
        ("time,ETH,ETH\n2024-01-01,1,1\n", "FILE:1: two columns are called 'ETH'"),
        ("time,ETH\n2024-01-01,1\n2024-01-02\n", "FILE:3: 1 cells in a row, not 2"),
        ("time,ETH\n2024-01-01,1\n2024-01-02,3,000\n", "FILE:3: 3 cells in a row, not 2"),
        ("time,ETH\n2024-01-01,1\n2024-01-02,2\n2024-01-01T00:00Z,3\n", "FILE:4: rows 2 and 4 have one time, 2024-01-01T00:00:00Z"),
        ('time,ETH\n2024-01-01,"1\n2024-01-02,2\n', "FILE:3: malformed CSV: unexpected end of data"),
        ('time,ETH\n2024-01-01,"1"2\n', "FILE:2: malformed CSV"),
        ("time,symbol,close\n2024-01-01,BTC,5\n", "FILE:2: column symbol: 'BTC' is not a price - give one column a factor"),
        ("time,ETH\n2024-01-01,1\n2024-01-02,2\n".encode("utf-16"), "FILE: is UTF-16 text - save it as UTF-8"),
        (b"time,ETH\n2024-01-01,1\n2024-01-02,\xa42\n", "FILE:3: is not UTF-8 text - save it as UTF-8"),
        (b"PAR1....PAR1", "FILE: is a Parquet file - its name must end in .parquet"),
    ],
)
def test_bad_files(content: str | bytes, told: str, tmp_path: Path) -> None:
    assert fault(write(tmp_path, content)).startswith(told)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert load(write(tmp_path, "\ufefftime,ETH\n2024-01-01,1\n2024-01-02,2\n")).names == ("ETH",)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    assert fault(tmp_path / "none.csv") == "FILE: cannot be read: No such file or directory"
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    assert fault(folder).startswith("FILE: is a folder")
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert fault(pipe).startswith("FILE: is not a file")
    assert fault(write(tmp_path, "", "prices.xlsx")) == "FILE: a price history must be a .csv or .parquet file"
    with pytest.raises(BookError, match="NUL"):
        load("a\0.csv")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prices.csv"
    with path.open("wb") as stream:
        stream.truncate(history_files.LARGEST_FILE + 1)
    assert fault(path).startswith("FILE: is larger than 256 MiB")
    monkeypatch.setattr(history_files, "MOST_PRICES", 1)
    many = write(tmp_path, "time,ETH\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n")
    assert fault(many).startswith("FILE: has more than 50 million prices")


@pytest.mark.parametrize(
    "times",
    [
        pyarrow.array([SECOND, FIRST]),
        pyarrow.array([SECOND * 10**9 + 5, FIRST * 10**9], pyarrow.timestamp("ns", "Europe/Berlin")),
        pyarrow.array([SECOND, FIRST], pyarrow.timestamp("s")),
        pyarrow.array([date(2024, 1, 2), date(2024, 1, 1)]),
        pyarrow.array([date(2024, 1, 2), date(2024, 1, 1)], pyarrow.date64()),
        pyarrow.array(["2024-01-02", "2024-01-01T00:00:00Z"]),
    ],
    ids=["unix", "zoned", "naive", "date", "date64", "text"],
)
def test_parquet_is_read(times: Any, tmp_path: Path) -> None:
    path = parquet(
        tmp_path, {"time": times, "ETH": [2.5, 1.5], "BTC": pyarrow.array([4, None], pyarrow.int64()), "SOL": [Decimal("1.25"), None]}
    )
    found = load(path)
    assert (found.times.tolist(), found.names) == ([FIRST, SECOND], ("ETH", "BTC", "SOL"))
    assert found.prices[:, 0].tolist() == [1.5, 2.5]
    assert np.isnan(found.prices[0, 1:]).all()
    assert found.prices[1, 1:].tolist() == [4, 1.25]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"time": [FIRST, SECOND], "ETH": [1.0, 0.0]}, "FILE:2: column ETH: '0.0' is not a price"),
        ({"time": [FIRST, SECOND], "ETH": [float("nan"), 1.0]}, "FILE:1: column ETH: 'nan' is not a price"),
        ({"time": [FIRST, SECOND], "ETH": ["1", "2"]}, "FILE: column ETH holds string"),
        ({"time": [FIRST, None], "ETH": [1.0, 2.0]}, "FILE:2: column time: 'null' is not a time"),
        ({"time": [FIRST * 1000, SECOND], "ETH": [1.0, 2.0]}, f"FILE:1: column time: '{FIRST * 1000}' is not a time"),
        ({"time": ["noon", "2024-01-01"], "ETH": [1.0, 2.0]}, "FILE:1: column time: 'noon' is not a time"),
        ({"time": [1.5, 2.5], "ETH": [1.0, 2.0]}, "FILE: column time holds double"),
        ({"time": [FIRST, FIRST], "ETH": [1.0, 2.0]}, "FILE:2: rows 1 and 2 have one time"),
        ({"when": [FIRST, SECOND], "ETH": [1.0, 2.0]}, "FILE:1: no column time or date"),
        ({"time": pyarrow.array([], pyarrow.int64()), "ETH": pyarrow.array([], pyarrow.float64())}, "FILE: an empty history"),
    ],
)
def test_bad_parquet(columns: Mapping[str, Any], told: str, tmp_path: Path) -> None:
    assert fault(parquet(tmp_path, columns)).startswith(told)


def test_what_is_no_parquet(tmp_path: Path) -> None:
    assert fault(write(tmp_path, "time,ETH\n", "a.parquet")).startswith("FILE: is not a Parquet file that can be read")


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"Parquet needs an extra - pip install 'defi-risk\[parquet\]'"):
        load(write(tmp_path, b"", "a.parquet"))


@examples(300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='time,ETH\n\r;"0123456789.-+eTZ:\x00é', max_size=80).map(lambda text: f"time,ETH\n{text}".encode()),
    )
)
def test_whatever_is_in_a_file_it_is_a_history_or_an_error_of_ours(data: bytes) -> None:
    for read in (read_csv, read_parquet):
        try:
            found = read(data, "any")
        except DefiRiskError:
            continue
        assert isinstance(found, PriceHistory)


@examples(100)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_parquet_is_a_history_or_an_error_of_ours(place: int, damage: int) -> None:
    stream = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"time": [FIRST, SECOND], "ETH": [1.0, 2.0]}), stream)
    data = bytearray(stream.getvalue().to_pybytes())
    data[place % len(data)] ^= damage
    try:
        read_parquet(bytes(data), "any")
    except DefiRiskError:
        return


def test_a_large_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (f"{datetime.fromtimestamp(FIRST + 60 * row, UTC).isoformat()},{row + 1}.5,\n" for row in range(40_000))
    path = write(tmp_path, "time,ETH,stETH/ETH\n" + "".join(rows))
    cache = Cache.open(tmp_path / "cache")
    first = load(path, cache)

    def never(*_: object) -> PriceHistory:
        raise AssertionError("parsed again")

    monkeypatch.setattr(history_files, "read_csv", never)
    again = load(path, cache)
    assert (again.names, again.source) == (first.names, str(path))
    assert np.array_equal(again.times, first.times)
    assert np.array_equal(again.prices, first.prices, equal_nan=True)
    with pytest.raises(AssertionError, match="parsed again"):
        load(write(tmp_path, path.read_text() + "2024-12-31,1,\n"), cache)
    cache.close()


def test_a_foreign_entry_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from defi_risk.history import stored

    monkeypatch.setattr(history_files, "WORTH_STORING", 1)
    path = write(tmp_path, "time,ETH\n2024-01-01,1\n2024-01-02,2\n")
    cache = Cache.open(tmp_path / "cache")
    load(path, cache)
    key = stored._key(path.read_bytes())  # pyright: ignore[reportPrivateUsage]
    good = cache.get(key)
    assert good is not None
    for bad in (
        b"",
        b"\n",
        b"[]\n",
        b"{",
        b'["ETH"]\n',
        b"7\n",
        good.replace(b'["ETH"]', b'"E"'),
        good[:-8],
        good + b"x",
        good.replace(b"ETH", b"\xff\xff\xff"),
        b"[" * 100_000,
    ):
        cache.put({key: bad})
        assert load(path, cache).prices[:, 0].tolist() == [1, 2]
    cache.close()
