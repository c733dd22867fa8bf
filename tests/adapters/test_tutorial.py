"""The adapter of `adapters/README.md` passes the kit exactly as the page writes it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from defi_risk.testing import AdapterConformance
from tests import pawn

TESTS = [name for name in dir(AdapterConformance) if name.startswith("test_")]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdapterConformance]:
    folder = tmp_path_factory.mktemp("tutorial")
    pawn.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        tests = pawn.module(folder / "tests" / "test_pawn.py", "tutorial_test_pawn")
        pawn.write_recording(folder / "fixtures" / "replays" / "pawn", tests.TestPawn.adapter)
        yield tests.TestPawn()


@pytest.mark.parametrize("name", TESTS)
def test_the_example_conforms(kit: AdapterConformance, name: str) -> None:
    getattr(kit, name)()


def test_its_entry_point_leads_to_the_adapter(kit: AdapterConformance) -> None:
    entry = tomllib.loads(pawn.files()["pyproject.toml"])["project"]["entry-points"]["defi_risk.adapters"]["pawn"]
    module, _, name = entry.partition(":")
    assert isinstance(kit.adapter, getattr(__import__(module), name))


def test_the_page_is_complete() -> None:
    assert set(pawn.files()) == {"pawn_adapter/pawn.json", "pawn_adapter/__init__.py", "pyproject.toml", "tests/test_pawn.py"}
    assert len(Path(pawn.README).read_text("utf-8").splitlines()) < 300
