"""Bytes on disk that may be lost, stale or forged at any time, and never do harm: at worst they are a miss.

diskcache holds them, made to store nothing but bytes inside its database: left to itself it unpickles what it finds, so that whoever
can write to its folder could run code as us (CVE-2025-69872). A checksum over key and value stands before each value.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
import stat
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from defi_risk.errors import StoreError

if TYPE_CHECKING:
    import diskcache

SIZE_LIMIT: Final = 256 * 1024 * 1024
_CHECKSUM: Final = 16
_PATIENCE: Final = 1  # seconds to wait for another process that writes


class Cache:
    """A cache of bytes by text keys in a folder of our own. Open it with `Cache.open`; `close` in every thread that used it."""

    def __init__(self, store: diskcache.Cache) -> None:
        self._store: Final = store

    @classmethod
    def open(cls, folder: Path, size_limit: int = SIZE_LIMIT) -> Cache:
        """Open or create the cache in a folder; above `size_limit` bytes the oldest entries go.

        Raises `StoreError` for a folder of another user or that others can write to, and for a damaged database.
        """
        import diskcache

        _own(folder)
        try:
            store = diskcache.Cache(str(folder), timeout=_PATIENCE, disk=_bytes_disk(), size_limit=size_limit, statistics=0, tag_index=0)
        except (sqlite3.Error, diskcache.Timeout, OSError, ValueError, TypeError) as error:
            raise StoreError(f"cache {folder} cannot be used ({type(error).__name__})", hint="delete that folder: it is rebuilt") from None
        return cls(store)

    def get(self, key: str) -> bytes | None:
        """The bytes stored under a key, if they are there, unexpired and undamaged."""
        import diskcache

        try:
            stored = cast("object", self._store.get(key))
        except (sqlite3.Error, diskcache.Timeout, OSError, Foreign):
            return None
        if not isinstance(stored, bytes) or not hmac.compare_digest(stored[:_CHECKSUM], _checksum(key, stored[_CHECKSUM:])):
            return None
        return stored[_CHECKSUM:]

    def put(self, items: Mapping[str, bytes], seconds: float | None = None) -> None:
        """Store bytes by key, for so many seconds where given. A full disk or a busy database loses them without a word."""
        import diskcache

        try:
            with self._store.transact():
                for key, value in items.items():
                    self._store.set(key, _checksum(key, value) + value, expire=seconds)
        except (sqlite3.Error, diskcache.Timeout, OSError, Foreign):
            return

    def close(self) -> None:
        """Close what the present thread has open; it opens again when needed."""
        self._store.close()


class Foreign(Exception):
    """An entry that is not of our making. It never leaves this module."""


@cache
def _bytes_disk() -> type[Any]:
    """diskcache's storage without pickles and without files beside the database, whose names an entry could choose."""
    import diskcache

    base: Any = diskcache.Disk

    class BytesDisk(base):  # type: ignore[misc]  # diskcache has no types
        def put(self, key: object) -> tuple[object, bool]:
            if not isinstance(key, str):
                raise Foreign
            return key, True

        def get(self, key: object, raw: object) -> str:
            if not raw or not isinstance(key, str):
                raise Foreign
            return key

        def store(self, value: object, read: object, key: object = None) -> tuple[int, int, None, sqlite3.Binary]:
            if read or not isinstance(value, bytes):
                raise Foreign
            return 0, diskcache.core.MODE_RAW, None, sqlite3.Binary(value)

        def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
            if mode != diskcache.core.MODE_RAW or filename is not None or read or not isinstance(value, bytes):
                raise Foreign
            return value

        def remove(self, file_path: object) -> None:
            """There are no files: an entry that names one is forged."""

    return BytesDisk


def _checksum(key: str, value: bytes) -> bytes:
    digest = blake2b(key.encode(), digest_size=_CHECKSUM)
    digest.update(b"\0")
    digest.update(value)
    return digest.digest()


def _own(folder: Path) -> None:
    """Create the folder for this user alone, or check that it is this user's. Raises `StoreError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise StoreError(f"cache folder {folder} cannot be made: {error.strerror}") from None
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise StoreError(f"cache folder {folder} belongs to another user", hint="use a folder of your own")
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o022:
        raise StoreError(f"cache folder {folder} can be changed by others", hint=f"chmod 700 {folder}")
