"""Books of the worked cases, made of parts, and what commands say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.runner import run

Snapshot = dict[str, Any]
Accounts = dict[str, dict[str, Any]]
SIGMAS = """
[model]
volatility = { ETH = 0.04 }
"""


def held(factor: str, amount: float | str, price: float | str = 1, **more: float | str) -> str:
    """Collateral or margin."""
    return "[[manual.collateral]]\n" + _lines(factor=factor, amount=amount, price=price, **more)


def owed(factor: str, amount: float | str, price: float | str = 1, **more: float | str) -> str:
    """A debt."""
    return "[[manual.debt]]\n" + _lines(factor=factor, amount=amount, price=price, **more)


def position(factor: str, size: float | str, mark: float | str, **more: float | str) -> str:
    """A derivative, at entry unless told; quoted in USDC, maintenance 2 %."""
    filled: dict[str, float | str] = {"entry": mark, "quote": "USDC", **more}
    if "tiers" not in filled:
        filled.setdefault("maintenance", "0.02")
    return "[[manual.position]]\n" + _lines(factor=factor, size=size, mark=mark, **filled)


def account(name: str, side: str, *parts: str, **more: float | str) -> str:
    """One `[[manual]]` table."""
    return "[[manual]]\n" + _lines(name=name, side=side, **more) + "".join(parts)


def loan(name: str, *parts: str, **more: float | str) -> str:
    """A lending account."""
    return account(name, "lending", *parts, **more)


def perp(name: str, *parts: str, **more: float | str) -> str:
    """A derivatives account."""
    return account(name, "derivatives", *parts, **more)


def aave(debt: float | str, **more: float | str) -> str:
    """10 ETH at 3,000 against USDC."""
    return loan("aave", held("ETH", 10, 3000, weight="0.83", initial_weight="0.80"), owed("USDC", debt), **more)


def hedge(borrowed: float | str = 12_000, **more: float | str) -> str:
    """Case A: the loan's dollars are the margin of a short of the same 10 ETH."""
    return aave(borrowed) + perp("perp", held("USDC", borrowed), position("ETH", -10, 3000), **more)


def stacked(repaid: float = 0, added: float = 0) -> str:
    """Case B: the loan's dollars are the margin of a long; 9,000 lie idle, part of it repaid or added."""
    idle = loan("idle", held("USDC", 9_000 - repaid - added)) if repaid + added < 9_000 else ""
    return aave(15_000 - repaid) + perp("perp", held("USDC", 6_000 + added), position("ETH", 10, 3000)) + idle


def _lines(**values: float | str | list[list[float]]) -> str:
    return "".join(f"{key} = {json.dumps(str(value) if key in EXACT else value)}\n" for key, value in values.items())


EXACT = ("amount", "price", "size", "entry", "mark")


def written(folder: Path, *parts: str) -> Path:
    """The parts as a book in a folder."""
    book = folder / "case.toml"
    book.write_text('[book]\nname = "case"\n' + "".join(parts))
    return book


def taken(folder: Path, *parts: str, command: str = "scan", options: tuple[str, ...] = ()) -> tuple[Snapshot, Accounts]:
    """The snapshot of a book made of these parts, and its accounts by name."""
    ended = run(command, "--book", str(written(folder, *parts)), "--format", "json", *options)
    assert ended.code == 0, ended.err
    snapshot = json.loads(ended.out)
    return snapshot, {one["id"].removeprefix("manual:"): one for one in snapshot["accounts"]}


def stressed(folder: Path, *parts: str, shocks: tuple[str, ...] = (), scenario: str = "") -> dict[str, dict[str, Any]]:
    """The rows of the stress table by their id."""
    options = [part for shock in shocks for part in ("--shock", shock)]
    if scenario:
        (folder / "scenario.toml").write_text(scenario)
        options += ["--scenario", str(folder / "scenario.toml")]
    snapshot, _ = taken(folder, *parts, command="stress", options=tuple(options))
    return {row["scenario"]: row for row in snapshot["stress"]}


def codes(snapshot: Snapshot) -> set[str]:
    """The codes of all flags."""
    return {flag["code"] for flag in snapshot["flags"]}


def flag(snapshot: Snapshot, code: str) -> dict[str, Any]:
    """The one flag of that code."""
    [found] = [one for one in snapshot["flags"] if one["code"] == code]
    return dict(found)
