"""The ABI files as shipped: trimmed to what is asked, written in one way, and each with its origin, hash and selectors on record."""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from defi_risk.abi import load
from defi_risk.spi import Interface

ROOT = Path(str(files("defi_risk_abis")))
RECORD = ROOT.parent / "sources.toml"
PATHS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.json"))


def recorded() -> dict[str, dict[str, Any]]:
    return tomllib.loads(RECORD.read_text(encoding="utf-8"))


def selectors(path: str) -> dict[str, str]:
    functions = load(Interface("defi_risk_abis", path.removesuffix(".json")))
    return {f"{each.name}({','.join(each.inputs)})": "0x" + each.selector.hex() for each in functions.values()}


def entry(path: str) -> str:
    """What `sources.toml` should hold for a file."""
    lines = [f'["{path}"]', 'source = "where the signatures come from"', f'sha256 = "{digest(path)}"']
    return "\n".join([*lines, f'["{path}".selectors]', *(f'"{name}" = "{four}"' for name, four in selectors(path).items())])


def digest(path: str) -> str:
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def test_every_file_is_on_record_and_no_other() -> None:
    assert sorted(recorded()) == PATHS, "\n".join(entry(path) for path in PATHS if path not in recorded())


@pytest.mark.parametrize("path", PATHS)
def test_hash_and_selectors_are_those_on_record(path: str) -> None:
    found = recorded().get(path)
    assert found, entry(path)
    assert (found["sha256"], dict(found["selectors"])) == (digest(path), selectors(path)), entry(path)
    assert found["source"]


@pytest.mark.parametrize("path", PATHS)
def test_files_are_written_in_one_way(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    entries = json.loads(text)
    assert [each["name"] for each in entries] == sorted(each["name"] for each in entries)
    lines = ",\n".join(json.dumps(each, sort_keys=True, separators=(",", ":")) for each in entries)
    assert text == f"[\n{lines}\n]\n"
