"""Snapshots back from JSON. A file is foreign until it has passed: every fault is a `StoreError` of one line, never half a snapshot."""

from __future__ import annotations

import json
import re
from datetime import datetime
from math import isinf
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import msgspec

import defi_risk
from defi_risk.errors import StoreError
from defi_risk.snapshot.model import SCHEMA, Snapshot
from defi_risk.text import check_depth, clean, shown

LARGEST: Final = 2**30
SOME_TIME: Final = "2000-01-01T00:00:00Z"
_FAMILY: Final = "defi-risk/snapshot/"
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def load(path: str | Path) -> Snapshot:
    """The snapshot in a file. Raises `StoreError`."""
    file = str(path)
    try:
        with Path(path).expanduser().open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise StoreError(f"{file}: is larger than 1 GiB", hint="is this a snapshot?")
    return from_json(data, file)


def from_json(text: str | bytes, file: str = "") -> Snapshot:
    """The snapshot in a JSON text. Raises `StoreError`, with `file` in its message."""
    try:
        return _converted(_ours(_parsed(text)))
    except _Fault as fault:
        where = f"{file}: " if file else ""
        raise StoreError(where + fault.what, hint=fault.remedy) from None


class _Fault(Exception):
    """What is wrong with a text, before it is known from which file it comes."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def _parsed(text: str | bytes) -> Any:
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        _check_depth(decoded)
        raw = json.loads(decoded, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
        if _SURROGATE.search(decoded):
            json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise _Fault("not UTF-8 text") from None
    except UnicodeEncodeError:
        raise _Fault("holds half of a surrogate pair, which is not text") from None
    except json.JSONDecodeError as error:
        end = " (truncated?)" if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated") else ""
        raise _Fault(f"not JSON: {error.msg.removesuffix(' starting at')} at line {error.lineno}, column {error.colno}{end}") from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise _Fault("holds a number with too many digits") from None
    return raw


def _check_depth(text: str) -> None:
    try:
        check_depth(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        raise _Fault("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Fault(f"the key {shown(twice)!r} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise _Fault(f"holds {name}, which is not a number")


def _float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise _Fault(f"holds {shown(text)}, which is beyond all numbers")
    return number


def _ours(raw: object) -> dict[str, Any]:
    """The same object, if it says that it is a snapshot of this schema."""
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema == SCHEMA:
        return cast("dict[str, Any]", raw)
    if not isinstance(schema, str) or not schema.startswith(_FAMILY):
        raise _Fault("not a snapshot of defi-risk", f'a snapshot has "schema": "{SCHEMA}"')
    newer = re.fullmatch(r"[1-9]\d{0,8}", schema.removeprefix(_FAMILY))
    if newer:
        raise _Fault(f"has schema {schema}, this version reads {SCHEMA}", "pip install --upgrade defi-risk")
    raise _Fault(f"has the unknown schema {shown(schema, 60)!r}", f"this version reads {SCHEMA}")


def _converted(raw: dict[str, Any]) -> Snapshot:
    try:
        snapshot = msgspec.convert(raw, Snapshot)
        for when in (
            snapshot.taken_at,
            *(source.block_time for source in snapshot.sources),
            *(source.as_of for source in snapshot.sources),
        ):
            _must_be_a_time(when)
        return snapshot
    except msgspec.ValidationError as error:
        # msgspec says: Expected `float`, got `str` - at `$.accounts[0].hf`
        what, _, path = str(error).partition(" - at `")
        place = path.rstrip("`").removeprefix("$").removeprefix(".")
        fault = f"{shown(place, 100)}: {clean(what)}" if place else clean(what)
    version = raw.get("version")
    other = isinstance(version, str) and version != defi_risk.__version__
    hint = f"it was written by version {shown(str(version))}, this is {defi_risk.__version__}" if other else ""
    raise _Fault(f"not a whole snapshot: {fault}", hint)


def _must_be_a_time(when: str | None) -> None:
    """The pattern admits the 31st of February."""
    try:
        datetime.fromisoformat(when or SOME_TIME)
    except ValueError:
        raise _Fault(f"holds {shown(str(when))}, which is not a time") from None
