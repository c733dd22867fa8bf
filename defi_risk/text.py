"""The one door for text that somebody else wrote: token symbols, names, error messages of nodes and exchanges.

Such text is never identity and never markup. `clean` makes it harmless for every sink, `shown` also makes it short for eyes, and
`csv_cell` keeps a spreadsheet from taking it for a formula.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

DEEPEST: Final = 64
SHOWN: Final = 24
LONGEST: Final = 200
_STRUCTURE: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def clean(text: str, limit: int = LONGEST) -> str:
    """NFC text of at most `limit` characters without control, format (bidi, zero width), surrogate or private-use characters.

    Line breaks and tabs become spaces, runs of combining marks are cut to two, an empty result becomes `?`.
    """
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text[: limit * 8]):
        category = unicodedata.category(char)
        if char in "\t\r\n\v\f" or category in ("Zl", "Zp"):
            char, category = " ", "Zs"
        if category in ("Cc", "Cf", "Cs", "Co", "Cn"):
            continue
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > 2:
            continue
        kept.append(char)
        if len(kept) >= limit:
            break
    return " ".join("".join(kept).split()) or "?"


def shown(text: str, limit: int = SHOWN) -> str:
    """`clean` text of at most `limit` characters for a table or a message, cut with an ellipsis."""
    whole = clean(text)
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def csv_cell(text: str) -> str:
    """Text for a CSV cell: a leading character that starts a formula is disarmed with an apostrophe."""
    return "'" + text if text.startswith(_FORMULA) else text


def look_alike(symbol: str) -> bool:
    """Whether a symbol holds anything but printable ASCII: such a symbol may imitate another one."""
    return not (symbol.isascii() and symbol.isprintable())


def check_depth(body: bytes, most: int | None = None) -> None:
    """Raise `ValueError` for JSON that nests deeper than `DEEPEST`, or has more than `most` arrays and objects; called before parsing.

    The parser's own guard is the recursion limit, and a library that web3 brings along raises that so far that the stack runs over
    first: a crash instead of an error.
    """
    openings = body.count(b"[") + body.count(b"{")
    if openings > DEEPEST:
        if most is not None and openings > most:
            raise ValueError("too many values")
        depth = 0
        for match in _STRUCTURE.finditer(body):
            depth += match.group() in b"[{"
            depth -= match.group() in b"]}"
            if depth > DEEPEST:
                raise ValueError("too deep")
