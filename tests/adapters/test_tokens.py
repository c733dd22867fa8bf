"""Token metadata and oracle ages, the steps that all adapters share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from defi_risk_adapters.oracles import Update, price, updates
from defi_risk_adapters.tokens import metadata, symbols

from defi_risk.engine import run
from defi_risk.errors import CallReverted, OutOfRange, Undecodable
from defi_risk.ids import ChainId, checksum, short
from defi_risk.model import Anchor, Asset, Chain
from defi_risk.spi import Ask, Call, Context, Failed
from defi_risk.units import Quantity

NOW = 1_800_000_000
CHAIN = Chain(ChainId(10), "optimism")
AT = Context(CHAIN, 5, NOW)
A, B, C = (checksum(f"{i:040x}") for i in (0xA, 0xB, 0xC))


class Rounds:
    """An answer of `latestRoundData`."""

    def __init__(self, answer: int, updated_at: int) -> None:
        self.answer, self.updatedAt = answer, updated_at


class Script:
    """A source that answers by address and ABI file, or function; what is missing reverts."""

    anchor = Anchor(CHAIN, 5, "0x", NOW)

    def __init__(self, answers: dict[tuple[str, str], Any]) -> None:
        self.answers = answers
        self.asked: list[Call] = []

    def answer(self, asks: Sequence[Ask]) -> Sequence[Any]:
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Any:
        assert isinstance(ask, Call)
        self.asked.append(ask)
        name = ask.interface.path if ask.function == "symbol" else ask.function
        found = self.answers.get((ask.to, name), CallReverted("reverted"))
        return Failed(str(found)) if ask.optional and isinstance(found, Exception) else found


def test_metadata() -> None:
    script = Script({
        (A, "decimals"): 6, (A, "erc20"): "USDC",
        (B, "decimals"): 18, (B, "erc20"): Undecodable("not a string"), (B, "erc20_bytes32"): b"MKR".ljust(32, b"\0"),
        (C, "decimals"): 0,
    })  # fmt: skip
    assert run(script, metadata(AT, [A, B, A, C])) == {
        A: Asset(AT.token_id(A), "USDC", 6),
        B: Asset(AT.token_id(B), "MKR", 18),
        C: Asset(AT.token_id(C), short(C), 0),
    }
    assert len(script.asked) == 9
    assert all(ask.forever for ask in script.asked)


def test_metadata_of_nothing() -> None:
    assert run(Script({}), metadata(AT, [])) == {}
    assert run(Script({}), symbols([])) == {}


def test_decimals_are_never_guessed() -> None:
    with pytest.raises(CallReverted):
        run(Script({(A, "erc20"): "X"}), metadata(AT, [A]))


@pytest.mark.parametrize("decimals", [37, 255])
def test_too_many_decimals(decimals: int) -> None:
    with pytest.raises(OutOfRange, match=f"{A} has {decimals} decimals"):
        run(Script({(A, "decimals"): decimals}), metadata(AT, [A]))


def test_most_decimals() -> None:
    assert run(Script({(A, "decimals"): 36}), metadata(AT, [A]))[A].decimals == 36


@pytest.mark.parametrize("text", ["", "   ", Undecodable("garbage")])
def test_symbols_fall_back(text: Any) -> None:
    assert run(Script({(A, "erc20"): text, (A, "erc20_bytes32"): b"SAI".ljust(32, b"\0")}), symbols([A])) == {A: "SAI"}
    assert run(Script({(A, "erc20"): text}), symbols([A])) == {A: short(A)}
    assert run(Script({(A, "erc20"): text, (A, "erc20_bytes32"): "Ä".encode().ljust(32, b"\0")}), symbols([A])) == {A: short(A)}


@pytest.mark.parametrize(
    ("rounds", "known"),
    [
        (Rounds(1, NOW), NOW),
        (Rounds(1, 1), 1),
        (Rounds(1, NOW + 1), None),
        (Rounds(1, 0), None),
        (Rounds(0, NOW), None),
        (Rounds(-1, NOW), None),
        (CallReverted("no such function"), None),
    ],
)
def test_updates(rounds: Any, known: int | None) -> None:
    assert run(Script({(A, "latestRoundData"): rounds}), updates(AT, [A, A])) == {A: Update(known)}


@pytest.mark.parametrize("capped", [True, False])
def test_caps(capped: bool) -> None:
    assert run(Script({(A, "isCapped"): capped}), updates(AT, [A])) == {A: Update(None, capped)}


def test_price_carries_what_is_known() -> None:
    listed = Context(CHAIN, 5, NOW, heartbeats={A: 1200})
    value = Quantity(5, 8)
    assert price(listed, value, A, Update(NOW, False)).heartbeat == 1200
    assert price(listed, value, B, Update(NOW)).heartbeat == listed.default_heartbeat
    unknown = price(listed, value, A)
    assert (unknown.updated_at, unknown.heartbeat, unknown.capped, unknown.source, unknown.value) == (None, None, None, A, value)
