"""Set-up of the local chain: what the registries publish is installed and compiled once, into a cache that git ignores.

Every part lies in a folder or file whose name holds a hash of what it was made from: a changed lock file, setting or source
makes a new one. A part appears under its name only when it is whole, and one process at a time makes parts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.localchain import node, paths
from tests.localchain.process import SetupError, pip, run, say

NPM_FILES: Final = ("package.json", "package-lock.json", ".npmrc")
WHEEL_FOLDER: Final = "eth_defi/abi/aave_v3/"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The parts of the cache: installed packages, compiled contracts and the node program."""

    node_modules: Path
    anvil: Path
    aave36: Path
    aave32: Path
    synthetix: Path
    doubles: Path


@dataclass(frozen=True, slots=True)
class _Part:
    """One thing in the cache. `make` builds it at the path it is given."""

    what: str
    path: Path
    make: Callable[[Path], object]


@once
def ensure() -> Toolchain:
    """The toolchain, made where it is not there yet. Raises `SetupError`."""
    parts = _parts(paths.cache())
    if not all(part.path.exists() for part in parts):
        _make(parts)
    npm, aave36, aave32, synthetix, doubles = (part.path for part in parts)
    return Toolchain(npm / "node_modules", _anvil(npm), aave36, aave32, synthetix, doubles)


def _parts(folder: Path) -> tuple[_Part, ...]:
    lock = [paths.SOURCES / name for name in NPM_FILES]
    wheels = paths.SOURCES / "wheels.txt"
    doubles = sorted(paths.SOURCES.glob("*.vy"))
    npm = folder / f"npm-{_digest(lock)}"
    return (
        _Part("npm packages", npm, _install_packages),
        _compiled("Aave 3.6", "aave36", npm, lock),
        _Part("Aave 3.2 (wheel)", folder / f"aave32-{_digest([wheels])}", _unpack_wheel),
        _compiled("Synthetix PerpsV2", "synthetix", npm, lock),
        _Part("doubles (vyper)", folder / f"doubles-{_digest(doubles, version('vyper'))}.json", lambda out: _compile_doubles(doubles, out)),
    )


def _compiled(what: str, name: str, npm: Path, lock: list[Path]) -> _Part:
    """Contracts of installed packages, compiled as `NAME.solc.json` says."""
    config, script = paths.SOURCES / f"{name}.solc.json", paths.SOURCES / "solc.mjs"
    out = npm.parent / f"{name}-{_digest([*lock, config, script])}.json"
    return _Part(f"{what} (solc)", out, lambda out: run(what, [*node.find(npm.parent).node, script, config, npm / "node_modules", out]))


def _digest(files: list[Path], *extra: str) -> str:
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise SetupError(f"localchain: {file} is missing")
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update("\0".join(extra).encode())
    return digest.hexdigest()[:12]


def _make(parts: tuple[_Part, ...]) -> None:
    folder = parts[0].path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for part in parts:
            if part.path.exists():
                continue
            say(f"localchain: {part.what} ...")
            started = time.monotonic()
            unfinished = part.path.with_name(part.path.name + ".part")
            _remove(unfinished)
            part.make(unfinished)
            os.replace(unfinished, part.path)
            say(f"localchain: {part.what} done in {time.monotonic() - started:.1f} s")


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Let one process at a time pass; the kernel lets go of the lock when its holder dies."""
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("localchain: another process is setting up, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _install_packages(folder: Path) -> None:
    """Not `npm ci`: it refuses a lock that lacks the programs of platforms other than the one it was written on. `npm install`
    keeps to the lock's versions and integrity hashes all the same.
    """
    folder.mkdir()
    for name in NPM_FILES:
        shutil.copyfile(paths.SOURCES / name, folder / name)
    npm = node.find(folder.parent).npm
    options = ("--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--no-progress")
    run("npm packages", [*npm, "install", *options], folder)
    _anvil(folder)


def _anvil(folder: Path) -> Path:
    for program in sorted((folder / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*")):
        if not os.access(program, os.X_OK):
            program.chmod(0o755)
        return program
    raise SetupError("npm packages: no anvil for this platform among them")


def _unpack_wheel(folder: Path) -> None:
    """Take the artifacts out of a wheel; the package itself is neither installed nor imported."""
    folder.mkdir()
    options = ("--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder))
    pip("Aave 3.2", "download", *options, "--requirement", str(paths.SOURCES / "wheels.txt"))
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(WHEEL_FOLDER) and name.endswith(".json"):
                (folder / name.removeprefix(WHEEL_FOLDER)).write_bytes(archive.read(name))
    wheel.unlink()


def _compile_doubles(sources: list[Path], out: Path) -> None:
    """Each in a process of its own: importing the compiler here would drag it into every test run."""
    compiled: dict[str, object] = {}
    for source in sources:
        printed = run(f"vyper {source.name}", [sys.executable, "-m", "vyper.cli.vyper_compile", "-f", "abi,bytecode", source])
        abi, bytecode = printed.strip().splitlines()
        compiled[source.stem] = {"abi": json.loads(abi), "bytecode": bytecode}
    out.write_text(json.dumps(compiled))
