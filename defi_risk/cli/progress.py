"""One line of progress on standard error, rewritten in place; nothing unless standard error is a terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Final

from defi_risk.cli import Session

_EVERY: Final = 0.05  # seconds between two writes; a terminal shows no more anyway
_ERASE: Final = "\r\x1b[2K"


class Progress:
    """Call it with a short text whenever there is something to say; threads may do so at the same time."""

    def __init__(self, session: Session) -> None:
        self._on = sys.stderr.isatty() and not session.quiet
        self._lock = threading.Lock()
        self._last = 0.0

    def __enter__(self) -> Progress:
        self("starting")
        return self

    def __call__(self, text: str) -> None:
        if not self._on:
            return
        from shutil import get_terminal_size

        from defi_risk.text import shown

        with self._lock:
            now = time.monotonic()
            if now - self._last < _EVERY:
                return
            self._last = now
            sys.stderr.write(_ERASE + shown(text, max(10, get_terminal_size().columns - 1)))
            sys.stderr.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._on:
            with self._lock:
                self._on = False
                sys.stderr.write(_ERASE)
                sys.stderr.flush()
