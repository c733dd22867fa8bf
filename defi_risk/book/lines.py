"""On which line of a TOML text each table, key and array element starts.

`tomllib` gives values without positions. This walks a text that `tomllib` has already accepted, so it only has to follow the structure,
not to judge it: whatever it does not find is reported on the line of the nearest table above.
"""

from __future__ import annotations

import re
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\n#]*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\[\s\S])*?"{3,5}'  # a closing run may hold up to two quotes of the text itself
    r"|'''[\s\S]*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)


class Lines:
    """Lines of a document by path: `("chains", "local", "rpc", 0)` is the first URL of that chain."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_of: dict[Path, int] = {}
        self._counted_to, self._line = 0, 1
        self._arrays: dict[Path, int] = {}
        self._document()

    def __contains__(self, path: object) -> bool:
        return path in self._line_of

    def of(self, path: Path) -> int:
        """The line where the value of that path starts, or the nearest one above it in the structure; 1 for the document."""
        while path and path not in self._line_of:
            path = path[:-1]
        return self._line_of.get(path, 1)

    def _mark(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        self._line_of.setdefault(path, self._line)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _next_is(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            before = self._at
            if self._next_is("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
            if self._at == before:  # nothing understood: positions are a courtesy, never a reason to hang
                return

    def _header(self) -> Path:
        many = self._next_is("[")
        path = self._inside(self._key())
        if many:
            index = self._arrays.get(path, 0)
            self._arrays[path] = index + 1
            self._mark(path)
            path = (*path, index)
        self._mark(path)
        self._next_is("]]" if many else "]")
        return path

    def _inside(self, key: tuple[str, ...]) -> Path:
        """The path of a header's key; on the way, an array of tables stands for its last element."""
        path: Path = ()
        for index, part in enumerate(key):
            path = (*path, part)
            self._mark(path)
            if index < len(key) - 1 and path in self._arrays:
                path = (*path, self._arrays[path] - 1)
        return path

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            quoted = self._skip(_STRING)
            parts.append(_unquoted(quoted) if quoted else self._skip(_BARE))
            self._skip(_SPACE)
            if not self._next_is("."):
                return tuple(parts)

    def _pair(self, table: Path) -> None:
        start = self._at
        key = self._key()
        end, self._at = self._at, start
        for length in range(1, len(key) + 1):
            self._mark((*table, *key[:length]))
        self._at = end
        if self._next_is("="):
            self._skip(_SPACE)
            self._value((*table, *key))

    def _value(self, path: Path) -> None:
        self._mark(path)
        if self._next_is("["):
            self._elements(path)
        elif self._next_is("{"):
            self._pairs(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _elements(self, path: Path) -> None:
        index = 0
        self._skip(_BLANK)
        while self._at < len(self._text) and not self._next_is("]"):
            before = self._at
            self._value((*path, index))
            self._skip(_BLANK)
            self._next_is(",")
            self._skip(_BLANK)
            index += 1
            if self._at == before:
                return

    def _pairs(self, path: Path) -> None:
        self._skip(_BLANK)
        while self._at < len(self._text) and not self._next_is("}"):
            before = self._at
            self._pair(path)
            self._skip(_BLANK)
            self._next_is(",")
            self._skip(_BLANK)
            if self._at == before:
                return


def _unquoted(text: str) -> str:
    """The key that a quoted key names, its escapes resolved."""
    if text.startswith("'"):
        return text[1:-1]
    import tomllib

    key: str = tomllib.loads(f"key = {text}")["key"]
    return key
