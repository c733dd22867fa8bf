"""The ways in which a node fails, one function or line each. `FAULTS` maps their names to what a scan may make of them.

An error class beside a fault is what a scan with this node alone may report when the fault lasts; `RIGHT` means that it must get
everything right in spite of it.
"""

from __future__ import annotations

import gzip
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
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
    WrongChain,
)
from defi_risk.sources.line import Limits
from tests.fault.chaos import ChaosNode, Fault, Wire, http
from tests.fault.world import Json, World

PHASES: Final = ("anchor", "round 1", "round 2")
READING: Final = PHASES[1:]
RIGHT: Final[tuple[type[SourceError], ...]] = ()

PATIENT: Final = Limits(seconds=3.0, answer_bytes=1_000_000)
QUICK: Final = Limits(seconds=0.1, answer_bytes=1_000_000)


@dataclass(frozen=True)
class Case:
    """A fault; what may be reported when it lasts; and in which phases a retry cures it when it happens once."""

    fault: Fault
    errors: tuple[type[SourceError], ...]
    passing: tuple[str, ...] = PHASES
    limits: Limits = PATIENT


# -- the connection ------------------------------------------------------------


def _reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def refuse(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    node.stop_listening()
    _reset(line)


def reset_before(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    _reset(line)


def reset_in_headers(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body)[:30])
    _reset(line)


def reset_in_body(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body)[:-10])
    _reset(line)


def close_in_body(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body)[:-10])


def close_after(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body))


def black_hole(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    node.stopping.wait(20)


def _drip(start: int) -> Wire:
    def wire(line: socket.socket, body: bytes, node: ChaosNode) -> None:
        whole = http(body)
        line.sendall(whole[:start])
        for place in range(start, len(whole)):
            line.sendall(whole[place : place + 1])
            if node.stopping.wait(0.02):
                return

    return wire


def late(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    node.stopping.wait(0.3)
    line.sendall(http(body))


def not_http(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


def many_headers(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body, headers="".join(f"X-{n}: y\r\n" for n in range(500))))


def status(text: str, body: bytes = b"", headers: str = "") -> Wire:
    return lambda line, _body, _node: line.sendall(http(body, text, headers))


def text(body: bytes) -> Wire:
    return lambda line, _body, _node: line.sendall(http(body))


def truncated(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body[: len(body) // 2]))


def gzip_bomb(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(_bomb(), headers="Content-Encoding: gzip\r\n"))


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * 20_000_000, 1)


def gzip_cut(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(gzip.compress(body)[:-20], headers="Content-Encoding: gzip\r\n"))


def gzip_fine(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(gzip.compress(body), headers="Content-Encoding: gzip\r\n"))


def deflate_junk(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(zlib.compress(body)[2:], headers="Content-Encoding: deflate\r\n"))


def other_encoding(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(http(body, headers="Content-Encoding: br\r\n"))


def huge_body(line: socket.socket, body: bytes, node: ChaosNode) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n[")
    while not node.stopping.is_set():
        line.sendall(b" " * 262_144)


# -- the answers ------------------------------------------------------------


def each(change: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Change every answer of a batch, or the only one."""
    return lambda answer: [change(item) for item in answer] if isinstance(answer, list) else change(answer)


def result(value: Json) -> Callable[[Json], Json]:
    return each(lambda item: {"jsonrpc": "2.0", "id": item["id"], "result": value})


def error(code: int, message: str) -> Callable[[Json], Json]:
    return each(lambda item: {"jsonrpc": "2.0", "id": item["id"], "error": {"code": code, "message": message}})


def reordered(answer: Json) -> Json:
    return answer[::-1] if isinstance(answer, list) else answer


def short(answer: Json) -> Json:
    return answer[:-1] if isinstance(answer, list) else answer


def repeated(answer: Json) -> Json:
    return [*answer, answer[0]] if isinstance(answer, list) else answer


def swapped_ids(answer: Json) -> Json:
    return each(lambda item: {**item, "id": item["id"] + 100})(answer)


def odd_hex(answer: Json) -> Json:
    return each(lambda item: {**item, "result": item["result"] + "f"} if isinstance(item.get("result"), str) else item)(answer)


# -- the world ------------------------------------------------------------


def pruned(world: World, count: int) -> World:
    return replace(world, pruned_below=world.head + 1)


def flipping(world: World, count: int) -> World:
    """A balancer before two nodes, one of them far behind."""
    return replace(world, head=world.head - 50) if count % 2 else world


def old_state(world: World, count: int) -> World:
    """Time and block as asked, state of an earlier block: found by nobody but a second look, unless the time gives it away."""
    return replace(world, late=-600, state_of=world.head - 50)


_HTML: Final = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
_DEEP: Final = b"[" * 100_000 + b"]" * 100_000

FAULTS: Final[dict[str, Case]] = {
    "refuses connections": Case(Fault("refuse", wire=refuse), (Unreachable,), passing=()),
    "resets before headers": Case(Fault("reset_before", wire=reset_before), (Unreachable,)),
    "resets in headers": Case(Fault("reset_in_headers", wire=reset_in_headers), (Unreachable,)),
    "resets in body": Case(Fault("reset_in_body", wire=reset_in_body), (Unreachable,)),
    "closes in body": Case(Fault("close_in_body", wire=close_in_body), (Unreachable,)),
    "closes after each answer": Case(Fault("close_after", wire=close_after), RIGHT),
    "black hole": Case(Fault("black_hole", wire=black_hole), (TimedOut,), limits=QUICK),
    "drips its headers": Case(Fault("drip_headers", wire=_drip(0)), (TimedOut,), limits=QUICK),
    "drips its body": Case(Fault("drip_body", wire=_drip(80)), (TimedOut,), limits=QUICK),
    "answers late": Case(Fault("late", wire=late), (TimedOut,), limits=QUICK),
    "is no HTTP server": Case(Fault("not_http", wire=not_http), (Unreachable,)),
    "sends 500 headers": Case(Fault("many_headers", wire=many_headers), (Unreachable,)),
    "HTTP 400": Case(Fault("400", wire=status("400 Bad Request", b"no")), (Incapable,), passing=()),
    "HTTP 401": Case(Fault("401", wire=status("401 Unauthorized")), (Refused,), passing=()),
    "HTTP 403": Case(Fault("403", wire=status("403 Forbidden")), (Refused,), passing=()),
    "HTTP 404": Case(Fault("404", wire=status("404 Not Found", _HTML)), (Refused,), passing=()),
    "HTTP 413": Case(Fault("413", wire=status("413 Payload Too Large")), (TooLarge, BadAnswer)),
    "HTTP 429": Case(Fault("429", wire=status("429 Too Many Requests")), (RateLimited,)),
    "HTTP 429, retry after 1 s": Case(Fault("429r", wire=status("429 Slow", headers="Retry-After: 1\r\n")), (RateLimited,)),
    "HTTP 429, retry after an hour": Case(
        Fault("429h", wire=status("429 Slow", headers="Retry-After: 3600\r\n")), (RateLimited,), passing=()
    ),
    "HTTP 500": Case(Fault("500", wire=status("500 Internal Server Error")), (Unreachable,)),
    "HTTP 502 with a web page": Case(Fault("502", wire=status("502 Bad Gateway", _HTML)), (Unreachable,)),
    "HTTP 503": Case(Fault("503", wire=status("503 Service Unavailable")), (Unreachable,)),
    "HTTP 504": Case(Fault("504", wire=status("504 Gateway Timeout")), (TimedOut,)),
    "redirect to itself": Case(Fault("301", wire=status("301 Moved", headers="Location: /\r\n")), (Refused,), passing=()),
    "empty body": Case(Fault("empty", wire=text(b"")), (BadAnswer,)),
    "web page": Case(Fault("html", wire=text(_HTML)), (BadAnswer,)),
    "invalid JSON": Case(Fault("invalid", wire=text(b'{"jsonrpc": 2.0, "result": NaN, "id": 0}')), (BadAnswer,)),
    "truncated JSON": Case(Fault("truncated", wire=truncated), (BadAnswer,)),
    "JSON that is no answer": Case(Fault("plain", wire=text(b'"fine"')), (BadAnswer,)),
    "100,000 levels of JSON": Case(Fault("deep", wire=text(_DEEP)), (BadAnswer,)),
    "a number of 100,000 digits": Case(Fault("digits", wire=text(b"9" * 100_000)), (BadAnswer,)),
    "bytes that are no text": Case(Fault("binary", wire=text(b"\xff\xfe\xfa" * 99)), (BadAnswer,)),
    "gzip bomb": Case(Fault("gzip_bomb", wire=gzip_bomb), (TooLarge, BadAnswer)),
    "gzip cut off": Case(Fault("gzip_cut", wire=gzip_cut), (Unreachable,)),
    "gzip": Case(Fault("gzip_fine", wire=gzip_fine), RIGHT),
    "broken deflate": Case(Fault("deflate_junk", wire=deflate_junk), (Unreachable,)),
    "unasked encoding": Case(Fault("br", wire=other_encoding), (BadAnswer,)),
    "200 MB": Case(Fault("huge", wire=huge_body), (TooLarge, BadAnswer)),
    "wrong ids": Case(Fault("wrong_ids", answer=swapped_ids), (BadAnswer,)),
    "batch reordered": Case(Fault("reordered", answer=reordered), RIGHT),
    "batch short": Case(Fault("short", answer=short), RIGHT),
    "batch with one answer twice": Case(Fault("repeated", answer=repeated), RIGHT),
    "error -32000": Case(Fault("-32000", answer=error(-32000, "something happened")), (BadAnswer,)),
    "error -32005": Case(Fault("-32005", answer=error(-32005, "limit exceeded")), (RateLimited,)),
    "error -32601": Case(Fault("-32601", answer=error(-32601, "method not found")), (Incapable,), passing=()),
    "error -32603": Case(Fault("-32603", answer=error(-32603, "internal error")), (BadAnswer,)),
    "error text over 1 MB": Case(Fault("long", answer=error(-32000, "x" * 900_000)), (BadAnswer,)),
    "result null": Case(Fault("null", answer=result(None)), (BadAnswer, BlockUnavailable), passing=()),
    "result a number": Case(Fault("number", answer=result(7)), (BadAnswer,)),
    "result a list": Case(Fault("list", answer=result([1])), (BadAnswer,)),
    "odd hex": Case(Fault("odd", answer=odd_hex), (BadAnswer, WrongChain), passing=()),
    "number too large": Case(Fault("large", answer=result("0x" + "f" * 200)), (BadAnswer,)),
    "wrong chain": Case(Fault("chain", world=lambda world, _: replace(world, chain_id=137)), (WrongChain,), passing=()),
    "head 50 behind": Case(
        Fault("behind", world=lambda world, _: replace(world, head=world.head - 50)), (BlockUnavailable, Reorged), READING
    ),
    "head 1,000 ahead": Case(
        Fault("ahead", world=lambda world, _: replace(world, head=world.head + 1_000)), (BlockUnavailable, Reorged), READING
    ),
    "another fork": Case(Fault("fork", world=lambda world, _: replace(world, fork=1)), (Reorged, BlockUnavailable), passing=()),
    "old state": Case(Fault("old", world=old_state), (BadAnswer, Reorged), READING),
    "pruned": Case(Fault("pruned", world=pruned), (BlockUnavailable,), READING),
    "two backends in turn": Case(Fault("flipping", world=flipping), (BlockUnavailable, Reorged), READING),
    "no eth_call": Case(Fault("half", world=lambda world, _: replace(world, calls_work=False)), (Incapable,), passing=()),
}
