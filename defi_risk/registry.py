"""Adapters by name, found by the entry points of installed packages. The built-in ones use the same door as anybody else's.

`DEFI_RISK_ADAPTERS` limits what is loaded: a comma-separated list of names, empty for none. An adapter is code and runs with the
user's rights; only packages that the user installed are loaded, never a path from a book.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from defi_risk.errors import PluginError, UnknownName
from defi_risk.spi import API, Adapter, ExchangeReader

GROUP: Final = "defi_risk.adapters"
EXCHANGES: Final = "defi_risk.exchanges"


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered adapter before it is loaded: its name and the distribution that brings it."""

    name: str
    distribution: str
    version: str
    target: str


def entries() -> tuple[Entry, ...]:
    """All registered adapters that `DEFI_RISK_ADAPTERS` admits, by name, without loading any.

    Raises `PluginError` where two distributions register one name, and `UnknownName` for a name in the variable that nobody does.
    """
    return tuple(
        Entry(point.name, point.dist.name if point.dist else "?", point.dist.version if point.dist else "?", point.value)
        for point in _points().values()
    )


def get(name: str) -> Adapter:
    """The adapter of that name. Raises `UnknownName` or `PluginError`."""
    points = _points()
    if name not in points:
        raise UnknownName("adapter", name, tuple(points))
    return _load(points[name])


def exchanges() -> tuple[str, ...]:
    """ccxt's ids of the exchanges whose accounts can be read, without loading any reader. Raises `PluginError`."""
    return tuple(_installed(EXCHANGES))


def exchange(name: str) -> ExchangeReader:
    """The reader of accounts at the exchange with that ccxt id. Raises `UnknownName` or `PluginError`."""
    points = _installed(EXCHANGES)
    if name not in points:
        raise UnknownName("exchange", name, tuple(points))
    return _load_reader(points[name])


def _installed(group: str) -> dict[str, EntryPoint]:
    return _found(group, tuple(sys.path))


@cache
def _found(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """The entry points of a group on the search path. Looking takes milliseconds, and each exchange account is looked up several times."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise PluginError(
                f"two packages bring an adapter named {point.name!r}: {_owner(other)} and {_owner(point)}",
                hint="uninstall one, or name those to load in DEFI_RISK_ADAPTERS" if group == GROUP else "uninstall one",
            )
        found[point.name] = point
    return found


def _points() -> dict[str, EntryPoint]:
    found = _installed(GROUP)
    wanted = os.environ.get("DEFI_RISK_ADAPTERS")
    if wanted is None:
        return found
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in found:
            raise UnknownName("adapter in DEFI_RISK_ADAPTERS", name, tuple(found))
    return {name: found[name] for name in sorted(names)}


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


@cache
def _load(point: EntryPoint) -> Adapter:
    adapter: Adapter = _made(point)
    return adapter


@cache
def _load_reader(point: EntryPoint) -> ExchangeReader:
    reader: ExchangeReader = _made(point)
    return reader


def _made(point: EntryPoint) -> Any:
    try:
        adapter = point.load()()
    except Exception as error:  # whatever foreign code raises at import must not end the scan as a bug of ours
        raise PluginError(f"adapter {point.name!r} of {_owner(point)} cannot be loaded: {type(error).__name__}") from error
    if getattr(adapter, "api", None) != API:
        raise PluginError(
            f"adapter {point.name!r} of {_owner(point)} speaks API {getattr(adapter, 'api', None)}, this version speaks {API}",
            hint="install versions that belong together",
        )
    return adapter
