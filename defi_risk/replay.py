"""Recorded answers of a chain at one block, as a source that readings cannot tell from live nodes.

A recording is one JSON file: the block, the context that readings had, every read with the bytes that came back, and the cases that
were read with the accounts that they gave. The demo lives on recordings, and so do the tests of adapters. Nothing in a file is run or
followed; a damaged one is a `StoreError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias

from defi_risk import abi
from defi_risk.errors import BadAnswer, CallReverted, DefiRiskError, PluginError, StoreError
from defi_risk.ids import Address, AssetId, Factor, Peg, parse_address
from defi_risk.model import Account, Anchor, Chain, FactorRef, Owner, Quote
from defi_risk.spi import Ask, Call, Context, Failed, Market, NativeBalance
from defi_risk.text import check_depth
from defi_risk.units import Quantity, plain

SCHEMA: Final = "defi-risk/replay/1"
LARGEST: Final = 64 << 20


class Read(NamedTuple):
    """What was asked, in bytes: calldata to a contract, or (None) the balance of an address."""

    to: Address
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Reverted:
    """In place of bytes: the read failed, and why."""

    reason: str


Outcome: TypeAlias = bytes | Reverted


@dataclass(frozen=True, slots=True)
class Case:
    """One reading that was recorded, and what it gave, as `written` writes it."""

    owner: Owner
    market: Market
    found: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """One chain at one block. `name` is the file's, for messages."""

    name: str
    anchor: Anchor
    context: Context
    answers: Mapping[Read, Outcome]
    cases: tuple[Case, ...]


class Replay:
    """Answers from a recording, with the surface of a live source of a chain.

    A read that was not recorded raises `StoreError`, or gets `missing` where that is given. `asked` gathers what was asked.
    """

    def __init__(self, recording: Recording, missing: Outcome | None = None) -> None:
        self.anchor: Final = recording.anchor
        self.calls = 0
        self.round_trips = 0
        self.notes: Final[tuple[str, ...]] = ()
        self.asked: Final[set[Read]] = set()
        self._recording: Final = recording
        self._missing: Final = missing

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """One answer an ask: its value, `Failed` for an optional ask that failed, or the error of another one, not raised."""
        self.round_trips += bool(asks)
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Any:
        try:
            read = read_of(ask)
        except PluginError as error:
            return error
        self.calls += read not in self.asked
        self.asked.add(read)
        found = self._recording.answers.get(read, self._missing)
        if found is None:
            raise StoreError(f"{self._recording.name} holds no answer to {described(ask)}", hint="record it again with this version")
        return answer_of(ask, found)

    def finish(self) -> None:
        """There is nothing to compare: a recording does not change."""

    def close(self) -> None:
        """There is nothing to close."""

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_of(ask: Ask) -> Read:
    """An ask in bytes. Raises `PluginError` for one that its ABI does not know."""
    if isinstance(ask, NativeBalance):
        return Read(ask.owner, None)
    try:
        return Read(ask.to, abi.encode(ask))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PluginError(f"{ask.function} was asked with arguments that its ABI does not take ({type(error).__name__})") from None


def answer_of(ask: Ask, outcome: Outcome) -> Any:
    """What an adapter is sent for an outcome, as a live source would."""
    if isinstance(outcome, Reverted):
        error: DefiRiskError = CallReverted(f"{described(ask)}: {outcome.reason}")
    else:
        try:
            return abi.decode(ask, outcome) if isinstance(ask, Call) else int.from_bytes(outcome, "big")
        except BadAnswer as bad:
            error = type(bad)(f"{described(ask)}: {bad.message}", hint=bad.hint)
    return Failed(str(error)) if ask.optional else error


def outcome_of(ask: Ask, answer: Any) -> Outcome:
    """The bytes that make this answer: the way back from `answer_of`, in the canonical encoding."""
    if isinstance(answer, Failed | DefiRiskError):
        reason = answer.reason if isinstance(answer, Failed) else answer.message
        return Reverted(reason.removeprefix(f"{described(ask)}: "))
    if isinstance(ask, NativeBalance):
        return int(answer).to_bytes(32, "big")
    from eth_abi.abi import encode

    outputs = abi.function_of(ask).outputs
    return encode(outputs, [answer] if len(outputs) == 1 else list(answer))


def described(ask: Ask) -> str:
    """An ask for people: `getReserveData of 0x...`."""
    return f"{ask.function} of {ask.to}" if isinstance(ask, Call) else f"the balance of {ask.owner}"


def written(value: Any) -> Any:
    """Accounts, quotes and all they hold as plain JSON values, exact. Fields that have their default are left out.

    An `Exact` is written as its feeds: its numbers stand in the account's `native`.
    """
    if value is None or (isinstance(value, bool | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Quantity):
        return f"{value.raw}e-{value.decimals}"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): written(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [written(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _field(field, getattr(value, field.name)) for field in fields(value) if _told(field, getattr(value, field.name))
        }
    raise TypeError(f"{type(value).__name__} cannot be written")


def _field(field: Field[Any], value: Any) -> Any:
    return written(value.feeds()) if field.name == "exact" else written(value)


def _told(field: Field[Any], value: Any) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(value != default)


def case_of(owner: Owner, market: Market, found: Iterable[Account | Quote]) -> Case:
    """A case from what its reading gave."""
    return Case(owner, market, tuple(written(item) for item in found))


def load(path: Path) -> Recording:
    """The recording in a file. Raises `StoreError` for a file that is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise StoreError(f"{path.name} is larger than a recording can be")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the recording {path.name}: {type(error).__name__}") from None
    return loads(text, path.stem)


def loads(text: str, name: str) -> Recording:
    """The recording in a text. Raises `StoreError`."""
    try:
        check_depth(text.encode("utf-8", "surrogatepass"))
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise StoreError(f"{name} is not a recording of this version", hint=f"its schema must be {SCHEMA!r}")
        chain = Chain(**document["chain"])
        anchor = Anchor(chain, **document["anchor"])
        cases = tuple(_case(case, chain) for case in document["cases"])
        given = document["context"]
        factors = {AssetId(asset): FactorRef(Factor(ref[0]), Peg(ref[1]) if ref[1] else None) for asset, ref in given["factors"].items()}
        markets = tuple(_market(market, chain) for market in given["markets"])
        context = Context(chain, anchor.number, anchor.timestamp, factors, given["heartbeats"], markets)
        return Recording(name, anchor, context, dict(map(_answer, document["answers"])), cases)
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, DefiRiskError) as error:
        raise StoreError(f"{name} is not a recording: {type(error).__name__}", hint="record it again") from None


def dumps(recording: Recording) -> str:
    """The recording as text: one account or read a line, so that changes can be reviewed."""
    chain, anchor, context = recording.anchor.chain, recording.anchor, recording.context
    head = {
        "schema": SCHEMA,
        "chain": {"id": int(chain.id), "name": chain.name, "coin": chain.coin, "coin_factor": chain.coin_factor},
        "anchor": {"number": anchor.number, "hash": anchor.hash, "timestamp": anchor.timestamp},
        "context": {
            "factors": {asset: [ref.factor, ref.peg] for asset, ref in context.factors.items()},
            "heartbeats": dict(context.heartbeats),
            "markets": [_market_text(market) for market in context.markets],
        },
    }
    cases = ",\n  ".join(map(_case_text, recording.cases))
    lines = [json.dumps(_answer_text(read, outcome)) for read, outcome in sorted(recording.answers.items(), key=_order)]
    answers = ",\n  ".join(lines)
    return json.dumps(head, indent=1)[:-2] + f',\n "cases": [\n  {cases}\n ],\n "answers": [\n  {answers}\n ]\n}}\n'


def _case_text(case: Case) -> str:
    """A case with a line for each thing that was found."""
    head = json.dumps({"owner": case.owner.address, "name": case.owner.name, "market": _market_text(case.market)})
    found = "".join(f"\n    {json.dumps(item)}," for item in case.found)
    return f'{head[:-1]}, "found": [{found[:-1]}]}}'


def _order(item: tuple[Read, Outcome]) -> tuple[str, bytes]:
    return item[0].to, item[0].data or b""


def _market_text(market: Market) -> dict[str, Any]:
    told = {"venue": market.venue, "source": market.source, "confidence": market.confidence}
    return {"adapter": market.adapter, "name": market.name, "params": dict(market.params), **told}


def _market(entry: Mapping[str, Any], chain: Chain) -> Market:
    params = tuple((str(key), str(value)) for key, value in entry["params"].items())
    return Market(entry["adapter"], chain, entry["name"], params, entry["venue"], entry["source"], entry["confidence"])


def _case(entry: Mapping[str, Any], chain: Chain) -> Case:
    return Case(Owner(parse_address(entry["owner"]), entry["name"]), _market(entry["market"], chain), tuple(entry["found"]))


def _answer_text(read: Read, outcome: Outcome) -> dict[str, str]:
    asked = {"balance_of": str(read.to)} if read.data is None else {"to": str(read.to), "data": "0x" + read.data.hex()}
    return asked | ({"reverted": outcome.reason} if isinstance(outcome, Reverted) else {"returned": "0x" + outcome.hex()})


def _answer(entry: Mapping[str, str]) -> tuple[Read, Outcome]:
    if "balance_of" in entry:
        read = Read(parse_address(entry["balance_of"]), None)
    else:
        read = Read(parse_address(entry["to"]), _bytes(entry["data"]))
    return read, Reverted(entry["reverted"]) if "reverted" in entry else _bytes(entry["returned"])


def _bytes(text: str) -> bytes:
    if text[:2] != "0x":
        raise ValueError("bytes start with 0x")
    return bytes.fromhex(text[2:])


__all__ = [
    "Case", "Outcome", "Read", "Recording", "Replay", "Reverted", "answer_of", "case_of", "described", "dumps", "load",
    "loads", "outcome_of", "read_of", "written",
]  # fmt: skip
