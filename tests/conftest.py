"""What holds for every test: no network but this machine, and hypothesis without a stopwatch."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from itertools import count

import pluggy
import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import socket_allow_hosts

_COUNT = count()
_STRICT: pytest.StashKey[set[str]] = pytest.StashKey()

# A shared machine may pause any example: time limits are pytest's, for the whole test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if {"CI", "DEFI_RISK_CI"} & set(os.environ) else "default"))


def pytest_configure() -> None:
    """Load web3 once, and undo what a library of its does to the recursion limit, so that the order of tests does not matter."""
    limit = sys.getrecursionlimit()
    import web3  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for what its import does

    sys.setrecursionlimit(limit)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the gate a skip is a failure, the tests that need a mainnet node excepted."""
    if os.environ.get("DEFI_RISK_CI"):
        config.stash[_STRICT] = {item.nodeid for item in items if item.get_closest_marker("mainnet") is None}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """Turn a skip into a failure where `pytest_collection_modifyitems` says so."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and item.nodeid in item.config.stash.get(_STRICT, set()):
        report.outcome = "failed"
        report.longrepr = f"skipped, which the gate does not allow: {report.longrepr}"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:  # pyright: ignore[reportUnusedFunction]
    """A cache of its own for each test: servers on loopback take turns at one port, and what one said must not stand for another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache-{next(_COUNT)}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before fixtures: a connection to anywhere else fails the test that tries it, unless it is there to read mainnet."""
    if item.get_closest_marker("mainnet") is None:
        socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
