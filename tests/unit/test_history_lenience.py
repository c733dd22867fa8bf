"""Where pandas reads more than a price history may hold: an error of ours or the very same numbers, never others."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas
import pytest

from defi_risk.errors import BookError
from defi_risk.history import load
from defi_risk.history.files import read_csv
from defi_risk.history.times import seconds_of, times_of

FIRST, SECOND = 1_704_067_200, 1_704_153_600  # 2024-01-01 and the day after


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("2024-01-01,1,\n2024-01-02\n", "F:2: 3 cells in a row, not 2"),
        ("2024-01-01,1,5\n2024-01-02,2,6\n", "F:2: 3 cells in a row, not 2"),
        ("2024-01-01\n2024-01-02,1,2\n", "F:2: 1 cells in a row, not 2"),
        ('2024-01-01,1\n2024-01-02,"1"2\n', "F:3: malformed CSV"),
        ('"2024-01-01\n",1\n\n2024-01-02,x\n', "F:5: column ETH: 'x' is not a price"),
        ('"2024-01-01\n",1\n,\n\n2024-01-01,2\n', "F:6: rows 3 and 6 have one time"),
        ("2024-01-01,1\nnow,2\n", "F:3: column time: 'now' is not a time"),
        ("2024-01-01,1\n2024/01/02,2\n", "F:3: column time: '2024/01/02' is not a time"),
        ("2024-01-01,1\n2024-1-2,2\n", "F:3: column time: '2024-1-2' is not a time"),
        ("2024-01-01,1\n2024-01-02T23:59:60Z,2\n", "F:3: column time: '2024-01-02T23:59:60Z' is not a time"),
        ("2024-01-01,1\n2024-01-02,1_000\n", "F:3: column ETH: '1_000' is not a price"),
        ("2024-01-01,1\n2024-01-02,1\x002\n", "F:3: column ETH: "),
        ("2024-01-01,1\n2024-01-02,True\n", "F:3: column ETH: 'True' is not a price"),
        ("2024-01-01,1\n2024-01-02,1 2\n", "F:3: column ETH: '1 2' is not a price"),
    ],
)
def test_what_pandas_would_take(rows: str, told: str) -> None:
    with pytest.raises(BookError) as caught:
        read_csv(f"time,ETH\n{rows}".encode(), "F")
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "rows", ["2024-01-01,1\n,,,\n2024-01-02,2\n", '"2024-01-01","1\n"\n2024-01-02,"2"\n', "2024-01-01, 1\n2024-01-02,2\t\n"]
)
def test_what_stands_between_or_around_the_numbers(rows: str) -> None:
    found = read_csv(f"time,ETH\r\n{rows}".encode(), "F")
    assert (found.times.tolist(), found.prices[:, 0].tolist()) == ([FIRST, SECOND], [1, 2])


def test_every_digit_counts() -> None:
    draw = random.Random(1)  # noqa: S311
    texts = [f"{draw.lognormvariate(3, 8):.{draw.randint(1, 25)}e}" for _ in range(3_000)]
    texts += [f"{draw.randint(0, 10**6)}.{draw.randint(1, 10**22)}" for _ in range(3_000)]
    rows = "".join(f"{FIRST + index},{text}\n" for index, text in enumerate(texts))
    assert read_csv(f"time,ETH\n{rows}".encode(), "F").prices[:, 0].tolist() == [float(text) for text in texts]


def test_many_times_are_read_as_one_is() -> None:
    texts = [
        *("2024-01-02", " 2024-01-02 ", "2024-01-02T00:00:00Z", "2024-01-02t00:00:00z", "2024-01-02 10:00:00.123456789"),
        *("2024-01-02T02:00:00+02:00", "2024-01-02T00:00", "1704153600", "1704153600.9", "2285-12-31", "20240102T000000"),
    ]
    assert times_of(pandas.Series(texts, dtype="str")).tolist() == [seconds_of(text) for text in texts]


def test_parquet_with_an_index(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"time": pandas.to_datetime(["2024-01-02", "2024-01-01"]), "ETH": [2.0, 1.0]})
    for name, one in (("named", frame.set_index("time")), ("sorted", frame.sort_values("time"))):
        path = tmp_path / f"{name}.parquet"
        one.to_parquet(path)
        found = load(path)
        assert (found.names, found.times.tolist()) == (("ETH",), [FIRST, SECOND])
        assert np.array_equal(found.prices, [[1.0], [2.0]])
