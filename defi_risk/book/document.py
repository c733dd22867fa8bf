"""A TOML file of the user's as text and document: its size, encoding and syntax are checked here, its content elsewhere."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from defi_risk.errors import BookError

LARGEST: Final = 1_048_576
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_text(path: str | Path, what: str) -> str:
    """The text of a file of at most 1 MiB; `what` it should be stands in messages ("book"). Raises `BookError`."""
    file = str(path)
    try:
        with Path(path).expanduser().open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise BookError(f"cannot be read: {error.strerror}", file=file) from None
    except ValueError:
        raise BookError(f"the name of a {what} cannot hold a NUL character") from None
    except RuntimeError:
        raise BookError("no such home directory", file=file) from None
    if len(data) > LARGEST:
        raise BookError("is larger than 1 MiB", file=file, hint=f"is this a {what}?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BookError("is UTF-16 text", file=file, hint="save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BookError("is not UTF-8 text", file=file, line=line, hint="save it as UTF-8") from None


def read_document(text: str, file: str) -> tuple[str, dict[str, Any]]:
    """The text as lines are counted in it, and what it says, with exact numbers. Raises `BookError` for malformed TOML."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        return text, tomllib.loads(text, parse_float=Decimal)
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
