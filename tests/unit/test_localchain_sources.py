"""What the local chain is made from: pinned, checked by hash, and nothing of it tied to one registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.localchain import paths
from tests.localchain.process import SetupError, run


def test_every_npm_package_is_pinned_by_its_hash() -> None:
    lock = json.loads((paths.SOURCES / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert len(packages) > 20
    assert [name for name, entry in packages.items() if not entry.get("integrity", "").startswith("sha512-")] == []
    wanted = json.loads((paths.SOURCES / "package.json").read_text())["dependencies"].values()
    assert all(re.fullmatch(r"(npm:[\w@/-]+@)?\d+\.\d+\.\d+", version) for version in wanted)


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((paths.SOURCES / "package-lock.json").read_text())
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
    assert "omit-lockfile-registry-resolved=true" in (paths.SOURCES / ".npmrc").read_text()


def test_every_wheel_is_pinned_by_its_hash() -> None:
    wheels = [line for line in (paths.SOURCES / "wheels.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert wheels
    assert all(re.fullmatch(r"[\w-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}", line) for line in wheels)


def test_no_bytecode_is_kept() -> None:
    for file in paths.SOURCES.iterdir():
        assert not re.search(r"[0-9a-fA-F]{300}", file.read_text()), file.name


def test_the_cache_can_lie_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEFI_RISK_LOCALCHAIN", raising=False)
    assert paths.cache() == paths.REPOSITORY / ".cache" / "localchain"
    monkeypatch.setenv("DEFI_RISK_LOCALCHAIN", str(tmp_path))
    assert paths.cache() == tmp_path


def test_a_failing_step_says_which_and_why() -> None:
    with pytest.raises(SetupError, match=r"(?s)packages: sh failed with exit code 3.*no such thing"):
        run("packages", ["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(SetupError, match="packages: no-such-program not found"):
        run("packages", ["no-such-program"])
