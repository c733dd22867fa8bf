"""What `doctor` looks at on this machine: Python, packages, adapters, the cache folder, the clock's neighbours. Nodes are in `nodes`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from defi_risk.errors import DefiRiskError

OLDEST_PYTHON: Final = (3, 11)
EXTRAS: Final = (
    ("parquet", "pyarrow", "-o FILE.parquet"),
    ("keyring", "keyring", "keyring:service/name"),
    ("exchanges", "ccxt", "[[exchanges]]"),
)
OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the examination. `code` is what a failure means for the exit code: 2 configuration, 3 a source."""

    status: str
    subject: str
    finding: str
    remedy: str = ""
    code: int = 2


def failed(subject: str, error: DefiRiskError, code: int = 2) -> Check:
    """The line that an error of ours makes."""
    return Check(FAIL, subject, error.message, error.hint, code)


def machine() -> Iterator[Check]:
    """Python, the packages that were installed along, and the extras."""
    from importlib.metadata import PackageNotFoundError, requires, version

    python = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < OLDEST_PYTHON
    yield Check(FAIL if old else OK, "python", python, "install Python 3.11 or later" if old else "")
    try:
        needed = [line for line in requires("defi-risk") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        yield Check(FAIL, "installation", "defi-risk is not installed, only its files are here", "pip install -e .")
        return
    found: list[str] = []
    for name in (_project(line) for line in needed):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Check(FAIL, "packages", f"{name} is missing", "pip install --force-reinstall defi-risk")
    yield Check(OK, "packages", f"defi-risk {version('defi-risk')}: " + ", ".join(found))
    for extra, package, use in EXTRAS:
        try:
            yield Check(OK, f"extra {extra}", f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Check(OK, f"extra {extra}", f"not installed; only {use} needs it: pip install 'defi-risk[{extra}]'")


def _project(requirement: str) -> str:
    """`web3` of `web3<9,>=7.15; python_version > "3"`."""
    name = requirement
    for mark in " ;<>=!~[(":
        name = name.partition(mark)[0]
    return name


def adapters() -> Iterator[Check]:
    """Every adapter that is installed can be loaded."""
    from defi_risk import registry

    try:
        entries = registry.entries()
    except DefiRiskError as error:
        yield failed("adapters", error)
        return
    good: list[str] = []
    for entry in entries:
        try:
            registry.get(entry.name)
        except DefiRiskError as error:
            yield failed(f"adapter {entry.name}", error)
        else:
            good.append(entry.name)
    if good:
        yield Check(OK, "adapters", ", ".join(good))
    elif not entries:
        yield Check(FAIL, "adapters", "none is installed or admitted", "pip install -e . in a clone; unset DEFI_RISK_ADAPTERS")


def folder(path: Path) -> Check:
    """The cache folder is ours, closed to others, and can be written to; one that is not there yet is as good."""
    subject = "cache"
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return Check(FAIL, subject, f"{existing} is not a folder", "use --state DIR")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check(FAIL, subject, f"{existing} cannot be written to", "use --state DIR")
    if existing != path:
        return Check(OK, subject, f"{path} (made when first needed)")
    status = path.stat()
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return Check(FAIL, subject, f"{path} belongs to another user", "use --state DIR")
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o022:
        return Check(FAIL, subject, f"{path} can be changed by others", f"chmod 700 {path}")
    return Check(OK, subject, str(path))
