"""Answers that no honest service gives: no JSON, JSON of another shape, and numbers that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from random import Random
from typing import Any, Final, TypeAlias

from defi_risk import exact_json
from defi_risk.replay import Outcome, Reverted

Place: TypeAlias = tuple[str | int, ...]
"""Names of fields and numbers of items on the way to a part of an answer."""
MOST: Final = 40
"""Parts damaged in one answer, drawn from all that could be."""
_GONE: Final = object()
_LARGE: Final = Decimal("1e70")
_NUMBERS: Final[tuple[tuple[str, Any], ...]] = (
    ("not a number as", "NaN"),
    ("an infinite", "Infinity"),
    ("a huge", _LARGE),
    ("a huge negative", -_LARGE),
    ("a huge text as", "1e999999"),
    ("a tiny", Decimal("1e-70")),
    ("a zero", 0),
    ("a padded", " 1 "),
    ("a hexadecimal", "0x10"),
    ("true as", True),
)
_OTHERS: Final[tuple[tuple[str, Any], ...]] = (
    ("a null", None),
    ("a number as", -7),
    ("a text as", "\u202ewrong"),
    ("a list as", [[]]),
    ("an object as", {"x": {}}),
)


def variants(good: Outcome) -> Iterator[tuple[str, Outcome]]:
    """Damaged copies of an answer, each with a name: whole ones, then one part at a time, items of one list standing for each other."""
    yield "a refused", Reverted("HTTP 500")
    yield "an empty", b""
    yield "a web page as", b"<!DOCTYPE html><html>502</html>"
    yield "a deep", b"[" * 5_000 + b"]" * 5_000
    yield "a binary", b"\xff\xfe\x00"
    for name, value in (*_OTHERS, ("an empty list as", []), ("an empty object as", {}), ("an empty text as", "")):
        yield name, _text(value)
    if not isinstance(good, bytes):
        return
    yield "a cut", good[: len(good) // 2]
    value = exact_json.parse(good)
    yield "an enriched", _text(_enriched(value))
    changes = [change for place in _places(value) for change in _of_part(value, place)]
    for name, place, other in Random(len(changes)).sample(changes, min(len(changes), MOST)):  # noqa: S311  # repeatable, and protects nothing
        yield f"{name} {'.'.join(map(str, place))} in the", _text(_with(value, place, other))


def _of_part(value: Any, place: Place) -> Iterator[tuple[str, Place, Any]]:
    """Ways to damage one part: a name, the place, and what stands there instead."""
    part = _at(value, place)
    yield "a missing", place, _GONE
    for name, other in (*_OTHERS, *(_NUMBERS if _is_number(part) else ())):
        yield name, place, other
    if isinstance(part, list):
        items: list[Any] = part
        yield "an empty list as", place, []
        yield "a repeated", place, items * 2
        yield "a long", place, [None] * 20_000
    elif isinstance(part, Mapping):
        yield "an empty object as", place, {}
    elif _is_number(part):
        yield ("a number for the text" if isinstance(part, str) else "a text for the number"), place, _other_form(part)


def _places(value: Any) -> list[Place]:
    """Places of an answer, one for each shape of way: of the items of a list the last one, of an object's many like fields the first."""
    found: dict[tuple[str, ...], Place] = {}
    stack: list[tuple[Place, tuple[str, ...], Any]] = [((), (), value)]
    while stack:
        place, shape, part = stack.pop(0)
        if place:
            found.setdefault(shape, place)
        if isinstance(part, Mapping):
            fields: Mapping[str, Any] = part
            stack += [((*place, name), (*shape, name), item) for name, item in fields.items()]
        elif isinstance(part, list):
            items: list[Any] = part
            mixed = len(items) <= 4  # a list that is a row has its own meaning at each place
            stack += [((*place, index), (*shape, str(index) if mixed else "*"), items[index]) for index in range(len(items))[::-1]]
    return list(found.values())


def _at(value: Any, place: Place) -> Any:
    for step in place:
        value = value[step]
    return value


def _with(value: Any, place: Place, other: Any) -> Any:
    """The value with another part at a place, or without it; only what is on the way is copied."""
    step, rest = place[0], place[1:]
    changed: dict[Any, Any] = dict(value) if isinstance(value, Mapping) else dict(enumerate(value))
    if rest:
        changed[step] = _with(changed[step], rest, other)
    elif other is _GONE:
        del changed[step]
    else:
        changed[step] = other
    return changed if isinstance(value, Mapping) else list(changed.values())


def _enriched(value: Any) -> Any:
    """The value with one more field in every object, as services add them."""
    if isinstance(value, Mapping):
        fields: Mapping[str, Any] = value
        return {name: _enriched(item) for name, item in fields.items()} | {"addedLater": {"by": ["the", "venue"]}}
    return [_enriched(item) for item in value] if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip("-").replace(".", "", 1).isdecimal()
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _other_form(number: Any) -> Any:
    return Decimal(number) if isinstance(number, str) else str(number)


def _text(value: Any) -> bytes:
    return exact_json.dump(value).encode()
