"""For every test with a scripted exchange: it was sent nothing but what the exchange's reader lists, and nothing but GETs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from defi_risk import registry
from defi_risk.errors import DefiRiskError
from defi_risk.sources.gate import pattern
from tests.exchanges.double import HEARD


def unlisted() -> list[str]:
    """Requests that a double got and that no read of its exchange's reader lists."""
    found: list[str] = []
    for name, lines in HEARD.items():
        try:
            reads = registry.exchange(name).reads.values()
        except DefiRiskError:
            continue
        listed = [pattern(request) for read in reads for request in read.requests]
        found += [
            f"{name}: {line}" for line in sorted(lines) if not line.startswith("GET ") or not any(one.fullmatch(line) for one in listed)
        ]
    return found


QUICK: Final = frozenset({"test_binance", "test_bybit", "test_okx", "test_spanning"})
"""What the default run keeps of this folder: the exchanges with modes of their own. `make test` runs all of it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the rest slow."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.stem not in QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _only_listed_requests() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest runs it
    HEARD.clear()
    yield
    assert unlisted() == []
