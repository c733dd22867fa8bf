"""A book: what one owner holds and where to read it, from a TOML file.

`load` reads a file, `parse` a text. Every fault is a `BookError` of one line with file, line and key, and with the nearest known name
where one was mistyped. References to secrets are resolved here; their values live only in `Secret`.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from defi_risk.book.document import read_document, read_text
from defi_risk.book.lines import Lines
from defi_risk.book.model import (
    Book,
    ChainSettings,
    ExchangeSettings,
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

__all__ = [
    "Book",
    "ChainSettings",
    "ExchangeSettings",
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


def load(path: str | Path, *, overridden: Container[str] = ()) -> Book:
    """The book in a TOML file. The nodes of `overridden` chains are given otherwise: their `rpc` references are not followed."""
    return parse(read_text(path, "book"), str(path), overridden=overridden)


def parse(text: str, file: str = "", *, overridden: Container[str] = ()) -> Book:
    """The book in a TOML text; `file` stands in messages, names a book without name and is where relative paths start."""
    text, document = read_document(text, file)
    return read_book(Source(file, Lines(text)), document, overridden)
