"""Strict reading of one TOML table: every key is known, every value has its type and range, every fault names file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn

from defi_risk.book.lines import Lines
from defi_risk.book.lines import Path as Where
from defi_risk.errors import AddressError, BookError, SecretMissing
from defi_risk.ids import Address, parse_address
from defi_risk.secrets import Secret, is_reference, resolve
from defi_risk.text import clean, shown

LARGEST: Final = Decimal("1e30")
MOST_DIGITS: Final = 78  # a uint256 in decimal
MOST_BITS: Final = 256
FINEST: Final = -60
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_KINDS: Final[dict[type, str]] = {
    dict: "a table",
    list: "an array",
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    Decimal: "a number",
}


class Source:
    """The file that a book is read from: it turns a path inside the document into `file:line` and a readable key."""

    def __init__(self, file: str, lines: Lines) -> None:
        self.file = file
        self.folder = Path(file).parent if file else Path()
        self._lines = lines

    def fault(self, where: Where, what: str, hint: str = "") -> BookError:
        """The error for a fault at that place."""
        key = dotted(where)
        return BookError(f"{key}: {what}" if key else what, file=self.file, line=self._lines.of(where), hint=hint)


def dotted(where: Where) -> str:
    """`chains.local.rpc[0]`"""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + shown(part, 80)
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: one that starts like it, else one that is spelled like it."""
    names = [str(one) for one in known]
    starting = [one for one in names if len(name) > 2 and one.startswith(name)]
    return next(iter(starting or get_close_matches(name, names, n=1, cutoff=0.5)), None)


class Table:
    """One table of the document. `known` are the keys that may stand in it; an unknown one is a fault, with the nearest known one."""

    def __init__(self, source: Source, where: Where, raw: object, known: Sequence[str] | None) -> None:
        if not isinstance(raw, dict):
            raise source.fault(where, f"must be a table, is {_kind(raw)}")
        self.source, self.where = source, where
        self._raw: dict[str, Any] = raw
        self._known = known or ()
        if known is not None:
            for key in raw:
                if key not in known:
                    near = nearest(key, known)
                    hint = f"did you mean {near!r}?" if near else "known here: " + ", ".join(known)
                    raise source.fault((*where, key), f"unknown key {shown(key, 60)!r}", hint)

    def __contains__(self, key: str) -> bool:
        return key in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def fail(self, key: str, what: str, hint: str = "") -> NoReturn:
        """Refuse the value of a key (or, for an empty key, the table)."""
        raise self.source.fault((*self.where, key) if key else self.where, what, hint)

    def need(self, *keys: str) -> None:
        """Refuse the table unless it has all these keys."""
        for key in keys:
            if key not in self._raw:
                near = nearest(key, [other for other in self._raw if other not in self._known])
                self.fail("", f"{key!r} is missing", f"is {shown(near)!r} meant to be it?" if near else "")

    def strict(self, known: Sequence[str]) -> Table:
        """The same table, refused where it holds another key than these."""
        return Table(self.source, self.where, self._raw, known)

    def table(self, key: str, known: Sequence[str] | None) -> Table:
        """The table under a key; an empty one where it is absent."""
        return Table(self.source, (*self.where, key), self._raw.get(key, {}), known)

    def tables(self, key: str, known: Sequence[str] | None) -> list[Table]:
        """The tables of an array of tables."""
        where = (*self.where, key)
        return [Table(self.source, (*where, index), item, known) for index, item in enumerate(self._array(key, "tables"))]

    def rows(self, key: str) -> list[Row]:
        """The rows of an array of arrays."""
        where = (*self.where, key)
        rows = self._array(key, "arrays")
        for index, row in enumerate(rows):
            if not isinstance(row, list):
                raise self.source.fault((*where, index), f"must be an array, is {_kind(row)}")
        return [Row(self.source, (*where, index), row) for index, row in enumerate(rows)]

    def _array(self, key: str, of: str) -> list[Any]:
        raw = self._raw.get(key, [])
        if not isinstance(raw, list):
            self.fail(key, f"must be an array of {of}, is {_kind(raw)}")
        return raw

    def text(self, key: str, default: str | None = None, *, longest: int = 200) -> str:
        """Printable text that is not empty. Without `default` the key is needed."""
        if key not in self._raw:
            if default is None:
                self.need(key)
            return default or ""
        return _text(self.source, (*self.where, key), self._raw[key], longest)

    def texts(self, key: str) -> list[str]:
        """An array of texts; one text stands for an array of one."""
        raw = self._raw.get(key, [])
        if isinstance(raw, str):
            return [self.text(key)]
        items = self._array(key, "texts")
        return [_text(self.source, (*self.where, key, index), item, 400) for index, item in enumerate(items)]

    def choice(self, key: str, options: Sequence[str], default: str | None = None) -> str:
        """One of a closed set of words."""
        text = self.text(key, default)
        if text not in options:
            near = nearest(text, options)
            hint = f"did you mean {near!r}?" if near else "one of " + ", ".join(repr(str(option)) for option in options)
            self.fail(key, f"unknown value {shown(text, 60)!r}", hint)
        return text

    def number(self, key: str, low: Decimal | int | None = None, high: Decimal | int | None = None, *, above: int | None = None) -> Decimal:
        """A finite number within [low, high] (and greater than `above`), written as a TOML number or, to be exact, as text."""
        self.need(key)
        return _number(self.source, (*self.where, key), self._raw[key], low, high, above)

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole TOML number within [low, high]."""
        raw = self._raw[key]
        if isinstance(raw, bool) or not isinstance(raw, int):
            self.fail(key, f"must be a whole number, is {_shown(raw)}")
        if not low <= raw <= high:
            self.fail(key, f"{_shown(raw)} is outside {low} ... {high}")
        return raw

    def address(self, key: str) -> Address:
        """An address of 20 bytes."""
        try:
            return parse_address(self.text(key))
        except AddressError as error:
            self.fail(key, error.message, error.hint)

    def secret(self, key: str) -> Secret:
        """The secret that a reference names, or a literal one."""
        return _secret(self.source, (*self.where, key), self._raw.get(key))

    def literal(self, key: str) -> bool:
        """Whether a secret stands there itself, instead of a reference to it."""
        raw = self._raw.get(key)
        return isinstance(raw, str) and not is_reference(raw)

    def secrets(self, key: str) -> tuple[Secret, ...]:
        """An array of secrets; one text stands for an array of one."""
        raw = self._raw.get(key, [])
        if isinstance(raw, str):
            return (self.secret(key),)
        items = self._array(key, "texts")
        return tuple(_secret(self.source, (*self.where, key, index), item) for index, item in enumerate(items))

    def raw(self, key: str) -> Mapping[str, object]:
        """A table that is handed on as it is."""
        return dict(self.table(key, None)._raw)


class Row:
    """One array of numbers inside an array."""

    def __init__(self, source: Source, where: Where, raw: list[Any]) -> None:
        self.source, self.where, self._raw = source, where, raw

    def numbers(self, *lows: int) -> list[Decimal]:
        """Exactly as many numbers as `lows`, none below its own."""
        if len(self._raw) != len(lows):
            raise self.source.fault(self.where, f"must hold {len(lows)} numbers, holds {len(self._raw)}")
        return [
            _number(self.source, (*self.where, index), item, low, None, None)
            for index, (item, low) in enumerate(zip(self._raw, lows, strict=True))
        ]


def _text(source: Source, where: Where, raw: object, longest: int) -> str:
    if not isinstance(raw, str):
        raise source.fault(where, f"must be text, is {_shown(raw)}")
    if not raw.strip():
        raise source.fault(where, "is empty")
    if len(raw) > longest:
        raise source.fault(where, f"has {len(raw)} characters", f"at most {longest}")
    if clean(raw, longest) != raw:
        raise source.fault(where, f"{shown(raw)!r} holds characters that cannot be shown or spaces at its ends")
    return raw


def _number(source: Source, where: Where, raw: object, low: Decimal | int | None, high: Decimal | int | None, above: int | None) -> Decimal:
    value = _decimal(source, where, raw)
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise source.fault(where, f"{_shown(raw)} is not a finite number")
    if abs(value) > LARGEST or len(digits) > MOST_DIGITS or exponent < FINEST:
        raise source.fault(where, f"{_shown(raw)} cannot be right", "at most 1e30, 78 digits and 60 decimals")
    if above is not None and value <= above:
        raise source.fault(where, f"{_shown(raw)} must be greater than {above}")
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} ... {high}"
        raise source.fault(where, f"{_shown(raw)} is out of range", limits)
    return value


def _decimal(source: Source, where: Where, raw: object) -> Decimal:
    if isinstance(raw, Decimal):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool) and raw.bit_length() <= MOST_BITS:
        return Decimal(raw)
    if isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()) and len(raw) < 200:
        try:
            return Decimal(raw.strip())
        except InvalidOperation:
            pass
    raise source.fault(where, f"{_shown(raw)} is not a number", 'write 0.5 or, to be exact, "0.5"')


def _secret(source: Source, where: Where, raw: object) -> Secret:
    if not isinstance(raw, str):
        raise source.fault(where, f"must be text, is {_kind(raw)}")
    try:
        return resolve(raw, folder=source.folder)
    except SecretMissing as error:
        raise source.fault(where, error.message, error.hint) from None


def _kind(raw: object) -> str:
    return _KINDS.get(type(raw), "a date or time")


def _shown(raw: object) -> str:
    """A value as a message may show it; never used for what may be a secret."""
    if isinstance(raw, str):
        return repr(shown(raw, 40))
    if isinstance(raw, dict | list):
        return _kind(raw)
    if isinstance(raw, int) and raw.bit_length() > MOST_BITS:
        return "a huge number"  # Python refuses to print some
    return shown(str(raw).lower() if isinstance(raw, bool) else str(raw), 40)
