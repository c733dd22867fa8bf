"""What a node means when it does not answer: JSON-RPC errors and HTTP statuses sorted by what can be done about them.

Codes are shared by unrelated failures (-32000 is most of them) and texts differ by client, so both are looked at. The order of the
rules matters: an out-of-gas text must not be taken for a rate limit because both say "limit exceeded".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from defi_risk.errors import (
    BadAnswer,
    BlockUnavailable,
    Incapable,
    RateLimited,
    Refused,
    Reorged,
    SourceError,
    TimedOut,
    TooLarge,
    Unreachable,
)
from defi_risk.secrets import redact
from defi_risk.text import shown


class Kind(Enum):
    """What a refusal is about, which is what decides the next step."""

    REVERT = "the contract refused"  # an answer about the chain: asking another node gives the same
    HALT = "the call broke off"  # invalid opcode and the like: also an answer about the chain
    HEAVY = "too much at once"  # gas, time or size: ask for less
    RATE = "asked too often"
    INCAPABLE = "not offered"  # method, parameter or tag unknown to this node
    BLOCK = "block or state missing"
    REORG = "block no longer canonical"
    REFUSED = "not allowed"
    NODE = "node failed"


@dataclass(frozen=True, slots=True)
class Fault:
    """A JSON-RPC error: its kind, code, text made safe to show, and the revert data of a call."""

    kind: Kind
    code: int
    message: str
    data: bytes = b""


_RULES: Final = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (Kind.REORG, r"not (currently )?canonical|non-?canonical"),
        (Kind.REVERT, r"execution reverted|exception.*revert|transaction reverted|^reverted?\b"),
        (Kind.HEAVY, r"out ?of ?gas|oog\b|gas required exceeds|gas (limit|cap|allowance)|exceeds (the )?(block )?gas|intrinsic gas"),
        (
            Kind.HALT,
            r"invalid (fe)?opcode|invalidfeopcode|bad instruction|stack (under|over)flow|invalid jump|evm error|vm execution error",
        ),
        (Kind.HALT, r"return data out of bounds|opcode not found|bad jump destination"),
        (Kind.RATE, r"rate.?limit|too many requests|request(s)? (rate|limit|count)|quota|capacity|throughput|credits|per second|\bcu\b"),
        (Kind.REFUSED, r"unauthori[sz]ed|forbidden|api.?key|project id|access denied|not allowed|authenticat|payment required|whitelist"),
        (Kind.HEAVY, r"timed? ?out|deadline exceeded|execution aborted|took too long"),
        (Kind.INCAPABLE, r"too many arguments|want at most|cannot unmarshal|not supported|unsupported"),
        (Kind.HEAVY, r"too (large|big|long|many)|size (limit|exceeded)|exceed\w* .*(size|max|bytes|response|batch|payload)"),
        (Kind.BLOCK, r"missing trie|historical state|state (is )?(not|un)(available| found)|state .*(not |un)available|pruned|archive"),
        (Kind.BLOCK, r"header (for hash )?not found|unknown block|block .*not found|block ?not ?found|blockoutofrange|no state available"),
        (Kind.BLOCK, r"resource not found|query unfinalized|beyond (the )?head|block .*(out of range|not available)"),
        (Kind.INCAPABLE, r"not (available|implemented|found|exist|enabled)|does ?n.t (support|exist)|unknown (method|field)"),
        (Kind.INCAPABLE, r"invalid (argument|params|request|block|type)|must be|batch"),
    )
)
_CODES: Final = {
    3: Kind.REVERT,
    -32005: Kind.RATE,
    -32029: Kind.RATE,
    -32097: Kind.RATE,
    429: Kind.RATE,
    -32001: Kind.BLOCK,
    -39001: Kind.BLOCK,
    -32002: Kind.BLOCK,
    -32600: Kind.INCAPABLE,
    -32601: Kind.INCAPABLE,
    -32602: Kind.INCAPABLE,
    -32004: Kind.INCAPABLE,
    -32006: Kind.INCAPABLE,
    401: Kind.REFUSED,
    403: Kind.REFUSED,
    -32015: Kind.HALT,
}
_SURE: Final = frozenset({3, -32601, 429, 401, 403, -39001})  # codes that mean one thing whatever the text says


def fault_of(code: int, message: str, data: bytes = b"") -> Fault:
    """Sort a JSON-RPC error. `message` is the node's own text, which may hold anything."""
    said = shown(redact(message[:2_000]), 120)
    kind = _CODES.get(code) if code in _SURE else None
    if kind is None:
        kind = next((kind for kind, pattern in _RULES if pattern.search(message[:2_000])), None)
    return Fault(kind or _CODES.get(code, Kind.NODE), code, said, data)


def error_of(fault: Fault, source: str) -> SourceError:
    """The error that a fault is when nothing else can be done about it."""
    said = f"{source} answered {fault.message!r} (code {fault.code})"
    match fault.kind:
        case Kind.RATE:
            return RateLimited(said, source=source, hint="the node asks for fewer requests: wait, or use another one")
        case Kind.REFUSED:
            return Refused(said, source=source, hint="check the key of this endpoint")
        case Kind.BLOCK:
            return BlockUnavailable(said, source=source, hint="the node does not hold that block or its state: use an archive node")
        case Kind.REORG:
            return Reorged(said, source=source, hint="scan again")
        case Kind.INCAPABLE:
            return Incapable(said, source=source, hint="use a node that offers it")
        case Kind.HEAVY:
            return TooLarge(said, source=source)
        case _:
            return BadAnswer(said, source=source)


def http_error(status: int, retry_after: str, source: str, wall: float) -> SourceError:
    """The error of an HTTP status other than 2xx whose body is no JSON-RPC answer. `wall` is unix time in seconds."""
    said = f"{source} answered HTTP {status}"
    if 300 <= status < 400:
        return Refused(f"{said}, a redirect, which is never followed", source=source, hint="configure the address it leads to")
    if status in (401, 402, 403, 407):
        return Refused(said, source=source, hint="check the key of this endpoint and what it is allowed to do")
    if status in (404, 405, 410, 426):
        return Refused(said, source=source, hint="is this the address of a JSON-RPC node?")
    if status == 429:
        return RateLimited(said, source=source, hint="the node asks for fewer requests", retry_after=seconds_of(retry_after, wall))
    if status in (408, 504, 524):
        return TimedOut(said, source=source, hint="the node took too long")
    if status == 413:
        return TooLarge(said, source=source)
    if status in (400, 415, 422, 501):
        return Incapable(said, source=source, hint="the node does not take this kind of request")
    if status == 503 and retry_after:
        return RateLimited(said, source=source, hint="the node is out of service for now", retry_after=seconds_of(retry_after, wall))
    return Unreachable(said, source=source, hint="the node is out of order")


def seconds_of(retry_after: str, wall: float) -> float | None:
    """Seconds of a `Retry-After` header, which holds a number or a date; None where it says nothing usable."""
    text = retry_after.strip()
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return None
