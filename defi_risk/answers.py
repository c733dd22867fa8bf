"""Parts of a JSON answer, each taken only as what it must be: how adapters read the answers of an `InfoCall`.

    state = Answer(given, "clearinghouseState")
    equity = state["marginSummary"]["accountValue"].decimal()        # of "13109.48" or of 13109.48
    for entry in state["assetPositions"].listing(most=2_000):
        coin = entry["position"]["coin"].text(longest=32)            # harmless to show, refused where it is longer
        size = entry["position"]["szi"].decimal(low=-LARGE, high=LARGE)
        limit = entry["position"].get("liquidationPx")               # None where the field is missing or null
    meta, contexts = Answer(other, "metaAndAssetCtxs").exactly(2)
    tokens = state["tokens"].record(most=500)                        # an object used as a map, its values by name

Fields that nobody asks for are ignored: services add some. A part that is missing or of another type raises `Undecodable`, one that
cannot be true `OutOfRange`, both of them `BadAnswer`s that name the part (`clearinghouseState.assetPositions[3].position.szi`): let them
pass and the account is unknown. An optional ask that failed is `Failed`, and no answer: look at that first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

from defi_risk.errors import OutOfRange, Undecodable
from defi_risk.text import clean, shown

MOST: Final = 10_000
_DIGITS: Final = 100  # a uint256 has 78
_FARTHEST: Final = 80  # powers of ten
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON value (of `int` and `Decimal` numbers) and `path`, its name in messages."""

    value: Any
    path: str

    def __getitem__(self, field: str) -> Answer:
        """A field of an object that must have it."""
        found = self.get(field)
        if found is None:
            raise Undecodable(f"{self.path}.{field} is missing")
        return found

    def get(self, field: str) -> Answer | None:
        """A field of an object; None where it is missing or null."""
        value = self._object().get(field)
        return None if value is None else Answer(value, f"{self.path}.{field}")

    def record(self, most: int = MOST) -> dict[str, Answer]:
        """Values of an object whose names are data. The names are as given: `text.clean` them before they are shown."""
        entries = self._object()
        self._count(len(entries), most)
        return {name: Answer(value, f"{self.path}.{shown(name)}") for name, value in entries.items()}

    def listing(self, most: int = MOST) -> list[Answer]:
        """Items of an array; more than `most` are refused."""
        items = self._array()
        self._count(len(items), most)
        return [Answer(item, f"{self.path}[{index}]") for index, item in enumerate(items)]

    def exactly(self, count: int) -> list[Answer]:
        """Items of an array that must have so many."""
        items = self._array()
        if len(items) != count:
            raise Undecodable(f"{self.path} has {len(items)} items, not {count}")
        return self.listing(count)

    def decimal(self, low: Decimal | int | None = None, high: Decimal | int | None = None) -> Decimal:
        """A number, or the decimal text of one, exact; `low` and `high` are the least and the greatest that can be."""
        number = self._number()
        if number is None or not number.is_finite():
            raise self._wrong("a number")
        if len(number.as_tuple().digits) > _DIGITS or (number and abs(number.adjusted()) > _FARTHEST):
            raise OutOfRange(f"{self.path} is beyond all bounds")
        if (low is not None and number < low) or (high is not None and number > high):
            raise OutOfRange(f"{self.path} is {shown(str(number))}, which cannot be")
        return number

    def integer(self, low: int | None = None, high: int | None = None) -> int:
        """A whole number, or the digits of one as text."""
        number = self.decimal(low, high)
        if number != number.to_integral_value():
            raise self._wrong("a whole number")
        return int(number)

    def text(self, longest: int = 64) -> str:
        """Text of at most `longest` characters, made harmless; may be empty."""
        if not isinstance(self.value, str):
            raise self._wrong("text")
        if len(self.value) > longest:
            raise OutOfRange(f"{self.path} is a text of {len(self.value)} characters")
        return clean(self.value, longest) if self.value else ""

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def _number(self) -> Decimal | None:
        if isinstance(self.value, bool):
            return None
        if isinstance(self.value, int | Decimal):
            return Decimal(self.value)
        text = self.value if isinstance(self.value, str) else ""
        return Decimal(text) if len(text) <= _DIGITS and _NUMBER.fullmatch(text) else None

    def _object(self) -> Mapping[str, Any]:
        if not isinstance(self.value, Mapping):
            raise self._wrong("an object")
        return cast("Mapping[str, Any]", self.value)

    def _array(self) -> Sequence[Any]:
        if not isinstance(self.value, list | tuple):
            raise self._wrong("an array")
        return cast("Sequence[Any]", self.value)

    def _count(self, count: int, most: int) -> None:
        if count > most:
            raise OutOfRange(f"{self.path} has {count} items, more than {most}")

    def _wrong(self, expected: str) -> Undecodable:
        return Undecodable(f"{self.path} is {_kind(self.value)}, not {expected}")


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, str):
        return f"the text {shown(value)!r}" if value else "an empty text"
    if isinstance(value, int | Decimal):
        return f"the number {shown(str(value))}"
    return "an object" if isinstance(value, Mapping) else "an array" if isinstance(value, list | tuple) else type(value).__name__
