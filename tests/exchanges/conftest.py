"""For every test with a scripted exchange: it was sent nothing but what the exchange's reader lists, and nothing but GETs."""

from __future__ import annotations

from collections.abc import Generator

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


@pytest.fixture(autouse=True)
def _only_listed_requests() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest runs it
    HEARD.clear()
    yield
    assert unlisted() == []
