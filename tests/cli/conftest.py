"""For all commands: a reader of exchange accounts that is installed like anybody else's, so that no test depends on one that ships."""

from __future__ import annotations

import sys
from collections.abc import Generator
from importlib import invalidate_caches

import pytest

from tests.exchanges import plain


@pytest.fixture(scope="session", autouse=True)
def _plain_reader(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest runs it
    folder = tmp_path_factory.mktemp("plain")
    plain.install(folder)
    sys.path.insert(0, str(folder))
    invalidate_caches()
    yield
    sys.path.remove(str(folder))
    invalidate_caches()
