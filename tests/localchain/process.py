"""Run a tool of the set-up: quietly, with a deadline, and with its last words in the error when it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

DEADLINE: Final = 900.0
LAST_LINES: Final = 15


class SetupError(RuntimeError):
    """The local chain cannot be set up; the message says which step failed and what it said."""


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run(what: str, command: Sequence[str | Path], folder: Path | None = None) -> str:
    """Run `command` in `folder` and return its output. Raises `SetupError` where it fails, is missing or takes too long."""
    words = [str(word) for word in command]
    try:
        # S603: the command is a fixed list made by this package, no shell reads it
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False)  # noqa: S603
    except FileNotFoundError:
        raise SetupError(f"{what}: {words[0]} not found") from None
    except subprocess.TimeoutExpired:
        raise SetupError(f"{what}: no end after {DEADLINE:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise SetupError("\n".join([f"{what}: {words[0]} failed with exit code {done.returncode}", *said[-LAST_LINES:]]))
    return done.stdout


def pip(what: str, *arguments: str) -> None:
    """Run this environment's pip. Raises `SetupError`, which tells how to get pip where there is none."""
    try:
        run(what, [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])
    except SetupError as error:
        if "No module named pip" in str(error):
            raise SetupError(f"{what}: this environment has no pip - run {sys.executable} -m ensurepip") from None
        raise
