"""JSON without loss: numbers keep the digits they are written with, and what can be read in two ways is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn, cast

from defi_risk.errors import Undecodable
from defi_risk.text import check_depth

MOST: Final = 400_000
"""Arrays and objects in one answer: a venue's list of all open trades has some ten thousand."""
MOST_VALUES: Final = 2_000_000
"""Values in one answer, each of which may become an object a hundred times as large as its text."""
WIDTH: Final = 120
_LONGEST_NUMBER: Final = 200


def parse(body: bytes, most: int | None = MOST) -> Any:
    """The value of a JSON text: `int`, `Decimal` for numbers with a fraction or an exponent, `str`, `bool`, `None`, lists and dicts.

    Raises `ValueError` for what is no JSON in UTF-8 and for NaN, infinities, numbers of more than 200 characters, a name that an object
    has twice, deep nesting and more than `most` arrays and objects (None: any number of values).
    """
    if most is not None and body.count(b",") > MOST_VALUES:
        raise ValueError("too many values")
    check_depth(body, most)
    try:
        return json.loads(body.decode(), parse_constant=_refuse, parse_float=_decimal, parse_int=_whole, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("too deep") from None


def answer(body: bytes, source: str) -> Any:
    """The value of an answer. Raises `Undecodable`, naming the source and what came instead."""
    try:
        return parse(body)
    except ValueError:
        raise Undecodable(f"{source} answered with {instead(body)}", source=source) from None


def instead(body: bytes) -> str:
    """What a body is that is no JSON, in words."""
    start = bytes(body[:64]).lstrip().lower()
    return "nothing" if not start else "a web page" if start.startswith((b"<!", b"<html")) else "something that is not JSON"


def dump(value: Any) -> str:
    """The JSON text, in ASCII, of what `parse` gives: reading it again gives an equal value with the same digits."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return "{" + ", ".join(f"{json.dumps(name)}: {dump(item)}" for name, item in fields.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(dump, cast("Sequence[Any]", value))) + "]"
    return json.dumps(value, allow_nan=False)


def lines(value: Any, indent: int = 0) -> str:
    """The same over several lines where one would be too long, so that changes can be reviewed."""
    text = dump(value)
    if len(text) + indent <= WIDTH or not isinstance(value, Mapping | list | tuple):
        return text
    inner = "\n" + " " * (indent + 1)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        parts = [f"{json.dumps(name)}: {lines(item, indent + 1)}" for name, item in fields.items()]
        return "{" + inner + ("," + inner).join(parts) + inner[:-1] + "}"
    parts = [lines(item, indent + 1) for item in cast("Sequence[Any]", value)]
    return "[" + inner + ("," + inner).join(parts) + inner[:-1] + "]"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number too long")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number too long")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("an exponent too large") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
