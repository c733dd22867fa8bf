"""Compiled contracts out of the cache: creation code, ABI and places where library addresses go in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.localchain.codec import Abi
from tests.localchain.toolchain import ensure

_MULTICALL3: Final = re.compile(r"multicall3Bytecode = ['\"](0x[0-9a-fA-F]+)['\"]")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract ready to deploy. `code` is hexadecimal with gaps at `links`: library name to (start, length) in bytes."""

    name: str
    abi: Abi
    code: str
    links: Mapping[str, tuple[tuple[int, int], ...]]

    def linked(self, libraries: Mapping[str, str]) -> bytes:
        """Creation code with the addresses of the libraries it uses; `KeyError` names one that is missing."""
        code = self.code
        for library, places in self.links.items():
            address = libraries[library].removeprefix("0x")
            for start, length in places:
                code = code[: start * 2] + address + code[(start + length) * 2 :]
        return bytes.fromhex(code)


Code = Callable[[str], Artifact]
"""Where a kit gets its contracts from, by name."""


@cache
def aave36(name: str) -> Artifact:
    """A contract of Aave 3.6, compiled from the published sources. It knows the errors of all of them: libraries raise most."""
    compiled = _compiled(ensure().aave36)
    errors = [entry for contract in compiled.values() for entry in contract["abi"] if entry["type"] == "error"]
    return _artifact(name, {**compiled[name], "abi": [*compiled[name]["abi"], *errors]})


@cache
def aave32(name: str) -> Artifact:
    """A contract of Aave 3.2, from the artifacts in a Python wheel."""
    return _artifact(name, json.loads((ensure().aave32 / f"{name}.json").read_text()))


@cache
def aave30(name: str) -> Artifact:
    """A contract of Aave 3.0.2, from the artifacts of the npm package."""
    return _hardhat("@aave/core-v3", name)


@cache
def venus(name: str) -> Artifact:
    """A contract of Venus 3.1.0, from the artifacts of the npm package."""
    return _hardhat("@venusprotocol/venus-protocol", name)


@cache
def curie(name: str) -> Artifact:
    """A contract of Perpetual Protocol V2 (curie 2.8.4), from the artifacts of the npm package."""
    return _hardhat("@perp/curie-contract", name)


@cache
def perp_oracle(name: str) -> Artifact:
    """A price feed of Perpetual Protocol V2 (perp-oracle-contract 0.6.8), from the artifacts of the npm package."""
    return _hardhat("@perp/perp-oracle-contract", name)


@cache
def uniswap(name: str) -> Artifact:
    """A contract of the Uniswap V3 core 1.0.1, on whose pools Perpetual Protocol V2 trades."""
    return _hardhat("@uniswap/v3-core", name)


@cache
def synthetix(name: str) -> Artifact:
    """A contract of Synthetix PerpsV2 (2.102.1), compiled from the published sources."""
    return _artifact(name, _compiled(ensure().synthetix)[name])


@cache
def ens(name: str) -> Artifact:
    """A contract of ENS (registry 0.6.2, resolver 0.3.1), from the artifacts of the npm packages."""
    package = "ens" if name == "ENSRegistry" else "resolver"
    file = ensure().node_modules / "@ensdomains" / package / "build" / "contracts" / f"{name}.json"
    return _artifact(name, json.loads(file.read_text()))


@cache
def double(name: str) -> Artifact:
    """One of our own Vyper contracts in fixtures/chain."""
    return _artifact(name, _compiled(ensure().doubles)[name])


@cache
def multicall3_creation_code() -> str:
    """Creation code of Multicall3, a constant of the npm package viem."""
    file = ensure().node_modules / "viem" / "_cjs" / "constants" / "contracts.js"
    found = _MULTICALL3.search(file.read_text())
    if found is None:
        raise LookupError(f"no Multicall3 in {file}")
    return found.group(1)


@cache
def _compiled(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


@cache
def _hardhat_index(package: str) -> dict[str, Path]:
    folder = ensure().node_modules / package / "artifacts" / "contracts"
    return {file.stem: file for file in sorted(folder.rglob("*.json")) if file.parent.stem == file.stem}


def _hardhat(package: str, name: str) -> Artifact:
    return _artifact(name, json.loads(_hardhat_index(package)[name].read_text()))


def _artifact(name: str, raw: Mapping[str, Any]) -> Artifact:
    """Hardhat and Vyper give the bytecode as text, Foundry as an object that holds the links as well."""
    bytecode = raw["bytecode"]
    if isinstance(bytecode, str):
        code, references = bytecode, raw.get("linkReferences", {})
    else:
        code, references = bytecode["object"], bytecode["linkReferences"]
    links = {
        library: tuple((place["start"], place["length"]) for place in places)
        for libraries in references.values()
        for library, places in libraries.items()
    }
    return Artifact(name, Abi(raw["abi"]), code.removeprefix("0x"), links)
