"""For all commands: a reader of exchange accounts that is installed like anybody else's, so that no test depends on one that ships."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.exchanges import plain


@pytest.fixture(scope="session", autouse=True)
def _plain_reader(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest runs it
    with plain.registered(tmp_path_factory.mktemp("plain")):
        yield
