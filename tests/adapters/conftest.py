"""The kit's trial by damaged answers takes seconds for each adapter: `make test` runs it, the default run does not."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark it slow."""
    for item in items:
        if item.name == "test_damaged_answers_end_in_our_errors":
            item.add_marker(pytest.mark.slow)
