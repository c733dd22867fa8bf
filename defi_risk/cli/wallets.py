"""Wallets in bulk, from a text, CSV or Parquet file. Every address is checked here, so that a fault names its line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from defi_risk.errors import AddressError, BookError, UsageError
from defi_risk.text import shown

LARGEST: Final = 64 * 2**20
COLUMNS: Final = ("address", "wallet", "owner", "account")


def read_wallets(path: Path) -> list[str]:
    """Wallets of a file, each once, in its order. Raises `BookError` with file and line, or `UsageError`.

    Text: one a line, `#` starts a comment. CSV: the column `address`, `wallet`, `owner` or `account`, else the first. Parquet: the
    column of such a name, else the only one.
    """
    if path.suffix.lower() == ".parquet":
        found = _parquet(path)
    elif path.suffix.lower() == ".csv":
        found = _csv(path, _text(path))
    else:
        found = _lines(_text(path))
    wallets = list(dict.fromkeys(_checked(path, line, text) for line, text in found))
    if not wallets:
        raise BookError("holds no wallet", file=str(path))
    return wallets


def _checked(path: Path, line: int, text: str) -> str:
    from defi_risk.book.sections import is_name
    from defi_risk.ids import parse_address

    try:
        return text if is_name(text) else parse_address(text)
    except AddressError as error:
        raise BookError(error.message, file=str(path), line=line, hint=error.hint) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise BookError(f"cannot be read: {error.strerror}", file=str(path)) from None
    if len(data) > LARGEST:
        raise BookError("is larger than 64 MiB", file=str(path), hint="use Parquet, or several runs")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BookError("is not UTF-8 text", file=str(path), line=data.count(b"\n", 0, error.start) + 1) from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        wallet = line.partition("#")[0].strip()
        if wallet:
            yield number, wallet


def _csv(path: Path, text: str) -> Iterator[tuple[int, str]]:
    rows = csv.reader(text.splitlines())
    column, first = 0, True
    try:
        for row in rows:
            if first and row:
                first = False
                header = [cell.strip().lower() for cell in row]
                named = _named(header)
                if named is not None:
                    column = named
                    continue
            if len(row) > column and row[column].strip():
                yield rows.line_num, row[column].strip()
    except csv.Error as error:
        raise BookError(f"malformed CSV: {error}", file=str(path), line=rows.line_num) from None


def _named(names: list[str]) -> int | None:
    return next((names.index(column) for column in COLUMNS if column in names), None)


def _parquet(path: Path) -> Iterable[tuple[int, str]]:
    from defi_risk.export.parquet import pyarrow_parquet

    parquet = pyarrow_parquet()
    try:
        names = [str(name) for name in parquet.read_schema(path).names]
        column = _named([name.lower() for name in names])
        if column is None and len(names) != 1:
            raise BookError(f"has no column {', '.join(COLUMNS)}: {shown(', '.join(names), 120)}", file=str(path))
        values = parquet.read_table(path, columns=[names[column or 0]]).column(0).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise BookError(f"cannot be read as Parquet: {shown(str(error), 160)}", file=str(path)) from None
    if not all(isinstance(value, str) for value in values):
        raise UsageError(f"{path}: the column {names[column or 0]!r} is not text")
    return list(enumerate(values, 1))
