"""How a result leaves the program: whole into a file, or to standard output, where nobody may read on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from defi_risk.cli import Session
from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.snapshot.canonical import Said

Write = Callable[[BinaryIO], None]
R = TypeVar("R", bound="Said")


def deliver(result: R, form: str, file: Path | None, show: Callable[[R], None], as_text: Callable[[R], str], session: Session) -> None:
    """A result that is a table (`show` for a terminal, `as_text` for a file) or JSON, to where it was asked for. Raises `UsageError`."""
    if form == "table" and file is None:
        to_terminal(lambda: show(result))
        return
    write = text(result.to_json(2) + "\n" if form == "json" else as_text(result))
    if file is None:
        to_stdout(write)
    else:
        to_file(file, write, session)


def text(content: str) -> Write:
    """What writes a text as UTF-8."""
    return lambda stream: _put(stream, content)


def to_file(path: Path, write: Write, session: Session) -> None:
    """Write a file whole or not at all; a device or pipe is written to as it is. Raises `UsageError`."""
    from defi_risk.text import shown

    place = path.resolve()
    try:
        if place.exists() and not place.is_file():
            with place.open("wb") as stream:
                write(stream)
            return
        part = place.with_name(f".{place.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {shown(str(path), 200)!r}: {error.strerror}") from None
    session.say(f"wrote {path}")


def to_terminal(show: Callable[[], None]) -> None:
    """Print by a function that knows terminals."""
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        _closed()


def to_stdout(write: Write) -> None:
    """Write to standard output as it is."""
    try:
        sys.stdout.flush()
        stream = sys.stdout.buffer
        write(stream)
        stream.flush()
    except BrokenPipeError:
        _closed()


def _put(stream: BinaryIO, content: str) -> None:
    stream.write(content.encode("utf-8", "replace"))


def _closed() -> None:
    """Nobody reads on (`| head`): what is still buffered goes nowhere, without a complaint at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
