"""Recordings of a chain at one block: what they hold, and the JSON file that they are.

A file holds the block, the context that readings had, every read with the bytes that came back, every question to a venue's service with
its answer, and the cases that were read with the accounts that they gave. Nothing in it is run or followed; a damaged one is a
`StoreError`. Of a service's address, and of settings that are URLs, only the origin is kept, for the rest may hold a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from defi_risk import exact_json
from defi_risk.errors import DefiRiskError, StoreError
from defi_risk.ids import AssetId, Factor, Peg, parse_address
from defi_risk.model import Anchor, Chain, FactorRef, Owner
from defi_risk.secrets import public_setting
from defi_risk.spi import Context, Market

SCHEMA: Final = "defi-risk/replay/1"
LARGEST: Final = 64 << 20


class Read(NamedTuple):
    """What was asked, in bytes: calldata to a contract, (None) the balance of an address, or the body of a question to a service.

    A service is named as its setting may be shown (`secrets.public_setting`); `path` is there only for a service.
    """

    to: str
    data: bytes | None
    path: str = ""

    @property
    def of_service(self) -> bool:
        """Whether a service was asked, not the chain: its answer is JSON."""
        return not self.to.startswith("0x")


@dataclass(frozen=True, slots=True)
class Reverted:
    """In place of bytes: the read or the question failed, and why."""

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


def public(market: Market) -> Market:
    """The market with what may be shown of its settings: readings of it ask a recording the same."""
    return replace(market, params=tuple((key, public_setting(value)) for key, value in market.params))


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
        document = exact_json.parse(text.encode(), most=None)
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
    """The recording as text: one account or read a line, a service's answer over several, so that changes can be reviewed."""
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
    lines = [_answer_text(read, outcome) for read, outcome in sorted(recording.answers.items(), key=_order)]
    answers = ",\n  ".join(lines)
    return json.dumps(head, indent=1)[:-2] + f',\n "cases": [\n  {cases}\n ],\n "answers": [\n  {answers}\n ]\n}}\n'


def _case_text(case: Case) -> str:
    """A case with a line for each thing that was found."""
    head = json.dumps({"owner": case.owner.address, "name": case.owner.name, "market": _market_text(case.market)})
    found = "".join(f"\n    {json.dumps(item)}," for item in case.found)
    return f'{head[:-1]}, "found": [{found[:-1]}]}}'


def _order(item: tuple[Read, Outcome]) -> tuple[str, str, bytes]:
    return item[0].to, item[0].path, item[0].data or b""


def _market_text(market: Market) -> dict[str, Any]:
    told = {"venue": market.venue, "source": market.source, "confidence": market.confidence}
    return {"adapter": market.adapter, "name": market.name, "params": dict(public(market).params), **told}


def _market(entry: Mapping[str, Any], chain: Chain) -> Market:
    params = tuple((str(key), str(value)) for key, value in entry["params"].items())
    return Market(entry["adapter"], chain, entry["name"], params, entry["venue"], entry["source"], entry["confidence"])


def _case(entry: Mapping[str, Any], chain: Chain) -> Case:
    return Case(Owner(parse_address(entry["owner"]), entry["name"]), _market(entry["market"], chain), tuple(entry["found"]))


def _answer_text(read: Read, outcome: Outcome) -> str:
    if read.of_service:
        asked = {"service": read.to, "path": read.path, "body": (read.data or b"").decode()}
        if isinstance(outcome, bytes):
            answer = exact_json.lines(exact_json.parse(outcome, most=None), indent=3)
            return json.dumps(asked)[:-1] + f',\n   "answer": {answer}}}'
    else:
        asked = {"balance_of": read.to} if read.data is None else {"to": read.to, "data": "0x" + read.data.hex()}
    return json.dumps(asked | ({"reverted": outcome.reason} if isinstance(outcome, Reverted) else {"returned": "0x" + outcome.hex()}))


def _answer(entry: Mapping[str, Any]) -> tuple[Read, Outcome]:
    if "service" in entry:
        read = Read(_text(entry["service"]), _text(entry["body"]).encode(), _text(entry["path"]))
        if not read.of_service:
            raise ValueError("a service is no address")
    elif "balance_of" in entry:
        read = Read(parse_address(entry["balance_of"]), None)
    else:
        read = Read(parse_address(entry["to"]), _bytes(entry["data"]))
    if "reverted" in entry:
        return read, Reverted(entry["reverted"])
    return read, exact_json.dump(entry["answer"]).encode() if read.of_service else _bytes(entry["returned"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _bytes(text: str) -> bytes:
    if text[:2] != "0x":
        raise ValueError("bytes start with 0x")
    return bytes.fromhex(text[2:])
