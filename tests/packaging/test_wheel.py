"""The wheel that is built from the source archive holds what it should, and works in an empty environment."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]
ROOT: Final = Path(__file__).parents[2]
TOPS: Final = {"defi_risk", "defi_risk_adapters", "defi_risk_abis"}


def run(*command: str | Path, folder: Path) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True)  # noqa: S603  # our own commands
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as an index would get it: source archive first, wheel from that."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    return next(folder.glob("*.whl"))


def test_it_holds_the_packages_and_their_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} - {name for name in names if ".dist-info" in name.partition("/")[0]} >= TOPS
    assert all(name.partition("/")[0] in TOPS or ".dist-info/" in name for name in names)
    for needed in (
        "defi_risk/py.typed",
        "defi_risk/schema/snapshot-1.json",
        "defi_risk/demo/chain.json",
        "defi_risk/demo/exchange.json",
        "defi_risk/demo/book.toml",
        "defi_risk/data/markets.toml",
        "defi_risk_adapters/py.typed",
        "defi_risk_abis/aave_v3/pool.json",
    ):
        assert needed in names


def test_it_works_alone(wheel: Path, tmp_path: Path) -> None:
    """Installed without its source, from another folder: command, entry points, package data, types."""
    run(sys.executable, "-m", "venv", tmp_path / "env", folder=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    constraints = ROOT / "tests" / "constraints.txt"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel, folder=tmp_path)
    command = tmp_path / "env" / "bin" / "defi-risk"
    assert run(command, "demo", folder=tmp_path).startswith("unified health")
    assert "aave_v3" in run(command, "markets", "--adapters", folder=tmp_path)
    assert run(python, "-c", "import defi_risk; print(defi_risk.scan.__name__)", folder=tmp_path).strip() == "scan"
