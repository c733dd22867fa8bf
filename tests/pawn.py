"""The example of `adapters/README.md`: its files, a chain that it can be read from, and recordings of that."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from defi_risk.ids import Address, ChainId, Factor, checksum, erc20_id
from defi_risk.model import Anchor, Chain, FactorRef, Owner
from defi_risk.replay import dumps, outcome_of
from defi_risk.spi import Adapter, Ask, Call, Context, Failed, Market
from defi_risk.testing.record import record

README: Final = Path(__file__).parent.parent / "adapters" / "README.md"
_FILE: Final = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAWN, TOKEN, DOLLAR, SAFE, NEAR, IDLE, EMPTY = (checksum(f"{number:02x}" * 20) for number in range(0xA1, 0xA8))
ETHEREUM: Final = Chain(ChainId(1), "ethereum")
MARKET: Final = Market("pawn", ETHEREUM, "pawn-weth", (("pawn", PAWN),), "Pawn", "the tutorial")
CONTEXT: Final = Context(
    ETHEREUM,
    100,
    1_700_000_000,
    {erc20_id(ETHEREUM.id, TOKEN): FactorRef(Factor("ETH")), erc20_id(ETHEREUM.id, DOLLAR): FactorRef(Factor("USDC"))},
    {},
    (MARKET,),
)


def files() -> dict[str, str]:
    """The example's files by path, as the page has them."""
    return dict(_FILE.findall(README.read_text("utf-8")))


@dataclass
class PawnChain:
    """Answers for one Pawn contract and its two tokens from plain numbers; anything else reverts."""

    anchor: Anchor = field(default_factory=lambda: Anchor(ETHEREUM, CONTEXT.number, "0x" + "ab" * 32, CONTEXT.timestamp))
    price: int = 3_000_00000000
    threshold: int = 8_000
    collateral: Mapping[Address, int] = field(default_factory=lambda: {SAFE: 10 * 10**18, NEAR: 10**18 + 1, IDLE: 5 * 10**17})
    debt: Mapping[Address, int] = field(default_factory=lambda: {SAFE: 12_345_678901, NEAR: 2_399_999999})

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        return [self._checked(ask) for ask in asks]

    def _checked(self, ask: Ask) -> Any:
        assert isinstance(ask, Call)
        answer = self._one(ask)
        assert isinstance(answer, Failed) or outcome_of(ask, answer)  # of the type that the ABI says
        return answer

    def _one(self, ask: Call) -> Any:
        if ask.to == PAWN:
            return self._pawn(ask)
        known = {(TOKEN, "decimals"): 18, (TOKEN, "symbol"): "WETH", (DOLLAR, "decimals"): 6, (DOLLAR, "symbol"): "USDC"}
        reverts = ask.interface.path == "erc20_bytes32"
        return Failed("reverted") if reverts else known[ask.to, ask.function]

    def _pawn(self, ask: Call) -> Any:
        owner: Address = ask.args[0] if ask.args else PAWN
        collateral, debt = self.collateral.get(owner, 0), self.debt.get(owner, 0)
        return {
            "version": 1,
            "label": "pawn of WETH",
            "token": TOKEN,
            "dollar": DOLLAR,
            "price": self.price,
            "threshold": self.threshold,
            "collateralOf": collateral,
            "debtOf": debt,
            "isSafe": collateral * self.price // 10**18 * self.threshold // 10_000 >= debt * 100,
        }[ask.function]


def install(folder: Path) -> None:
    """Write the example into a folder. It can be imported once the folder is on `sys.path`."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def write_recording(folder: Path, adapter: Adapter, owners: Sequence[Address] = (SAFE, NEAR, IDLE, EMPTY)) -> None:
    """Record the adapter on a `PawnChain` into `folder/replays.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    recording = record("replays", PawnChain(), adapter, [(Owner(owner), MARKET) for owner in owners], CONTEXT)
    (folder / "replays.json").write_text(dumps(recording), "utf-8")


def module(file: Path, name: str) -> ModuleType:
    """A module from a file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


__all__ = ["EMPTY", "MARKET", "NEAR", "PawnChain", "files", "install", "module", "write_recording"]
