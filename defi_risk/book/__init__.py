"""A book: what one owner holds and where to read it, from a TOML file.

`load` reads a file, `parse` a text. Every fault is a `BookError` of one line with file, line and key, and with the nearest known name
where one was mistyped. References to secrets are resolved here; their values live only in `Secret`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from defi_risk.book.lines import Lines
from defi_risk.book.model import (
    Book,
    ChainSettings,
    ExchangeSettings,
    Levels,
    Link,
    ManualDebt,
    ManualHolding,
    ManualPosition,
    ManualSettings,
    MarketSettings,
    ModelSettings,
    PlanSettings,
    Thresholds,
)
from defi_risk.book.sections import read_book
from defi_risk.book.table import Source
from defi_risk.errors import BookError

__all__ = [
    "Book",
    "ChainSettings",
    "ExchangeSettings",
    "Levels",
    "Link",
    "ManualDebt",
    "ManualHolding",
    "ManualPosition",
    "ManualSettings",
    "MarketSettings",
    "ModelSettings",
    "PlanSettings",
    "Thresholds",
    "load",
    "parse",
]

LARGEST: Final = 1_048_576
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(path: str | Path, *, overridden: Container[str] = ()) -> Book:
    """The book in a TOML file. The nodes of `overridden` chains are given otherwise: their `rpc` references are not followed."""
    file = str(path)
    try:
        with Path(path).expanduser().open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise BookError(f"cannot be read: {error.strerror}", file=file) from None
    except ValueError:
        raise BookError("the name of a book cannot hold a NUL character") from None
    if len(data) > LARGEST:
        raise BookError("is larger than 1 MiB", file=file, hint="is this a book?")
    return parse(_decoded(data, file), file, overridden=overridden)


def parse(text: str, file: str = "", *, overridden: Container[str] = ()) -> Book:
    """The book in a TOML text; `file` stands in messages, names a book without name and is where relative paths start."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    document = _document(text, file)
    return read_book(Source(file, Lines(text)), document, overridden)


def _decoded(data: bytes, file: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BookError("is UTF-16 text", file=file, hint="save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BookError("is not UTF-8 text", file=file, line=line, hint="save it as UTF-8") from None


def _document(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = _WHERE.search(str(error))
        what = _WHERE.sub("", str(error))
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        column = f" (column {found[2]})" if found and found[2] else ""
        raise BookError(f"malformed TOML: {what}{column}", file=file, line=line) from None
    except RecursionError:
        raise BookError("malformed TOML: nested too deeply", file=file) from None
    except (ValueError, ArithmeticError):
        raise BookError("malformed TOML: a number has too many digits", file=file) from None
