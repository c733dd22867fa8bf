"""What takes seconds each is left to `make test`, so that the default run stays below two minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

HEAVY: Final = frozenset(
    {
        "test_aave_v3",
        "test_boundary",
        "test_brackets",
        "test_cascade",
        "test_chance",
        "test_compound",
        "test_plan",
        "test_snapshot",
        "test_stress",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark it slow."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.stem in HEAVY:
            item.add_marker(pytest.mark.slow)
