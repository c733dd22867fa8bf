"""A scripted JSON-RPC node on loopback that can fail in every way a real one does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from tests.fault.world import Json, World

Wire = Callable[[socket.socket, bytes, "ChaosNode"], object]


@dataclass(frozen=True)
class Fault:
    """One way to fail: of the connection (`wire` gets the right body and sends what it likes), of the answer, or of the world."""

    name: str
    wire: Wire | None = None
    answer: Callable[[Json], Json] | None = None
    world: Callable[[World, int], World] | None = None


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class Listener:
    """A server on a free port of 127.0.0.1; each connection is served in a thread of its own. `connections` counts them."""

    def __init__(self) -> None:
        self.connections = 0
        self.problems: list[BaseException] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def serve(self, line: socket.socket) -> None:
        """Serve one connection."""

    def stop_listening(self) -> None:
        """Refuse all further connections."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close(self) -> None:
        self.stop_listening()
        self._accepting.join(5)

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            try:
                self.serve(line)
            except OSError:
                pass  # a client that hangs up early is what these tests are about
            except BaseException as error:  # noqa: BLE001  # a mistake of the test's own server, raised where the test ends
                self.problems.append(error)


class ChaosNode(Listener):
    """A node that serves a world. `requests` are the phase and the methods of each HTTP request; the test sets the phase."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.fault: Fault | None = None
        self.fault_phase: str | None = None  # None: in every phase
        self.fault_left = 0  # how many more requests fail
        self.phase = ""
        self.requests: list[tuple[str, list[str]]] = []
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v3/k3y-of-the-path?apikey=k3y-of-the-query"

    @property
    def methods(self) -> list[str]:
        return [method for _, methods in self.requests for method in methods]

    def fail(self, fault: Fault, phase: str | None = None, times: int = 10**9) -> ChaosNode:
        self.fault, self.fault_phase, self.fault_left = fault, phase, times
        return self

    def close(self) -> None:
        self.stopping.set()
        super().close()

    def serve(self, line: socket.socket) -> None:
        with line.makefile("rb") as stream:
            while True:
                head = b"".join(iter(stream.readline, b"\r\n")) if stream.peek(1) else b""
                if not head:
                    return
                sizes = [int(text.partition(b":")[2]) for text in head.splitlines() if text.lower().startswith(b"content-length:")]
                if not self.answer(line, head, stream.read(sum(sizes))):
                    return

    def answer(self, line: socket.socket, head: bytes, body: bytes) -> bool:
        """Answer one request; False where that ends the connection."""
        request = json.loads(body)
        fault, count = self._recorded(head, body, request)
        world = fault.world(replace(self.world), count) if fault and fault.world else self.world
        answer = _served(world, request)
        if fault and fault.answer:
            answer = fault.answer(answer)
        payload = json.dumps(answer).encode()
        if fault and fault.wire:
            fault.wire(line, payload, self)
            return False
        line.sendall(http(payload))
        return True

    def _recorded(self, head: bytes, body: bytes, request: Any) -> tuple[Fault | None, int]:
        """Note a request; the fault that it meets, and its number."""
        with self._lock:
            self.requests.append((self.phase, [item["method"] for item in (request if isinstance(request, list) else [request])]))
            self.bodies.append(body)
            self.heads.append(head)
            fault = self.fault if self.fault_phase in (None, self.phase) and self.fault_left > 0 else None
            self.fault_left -= fault is not None
            return fault, len(self.requests)


def _served(world: World, request: Any) -> Json:
    if not isinstance(request, list):
        return world.serve(request)
    requests = cast("list[dict[str, Any]]", request)
    if not world.batches:
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch requests are not supported"}}
    if len(requests) > world.batch_limit:
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "batch too large"}}
    return [world.serve(item) for item in requests]


@contextmanager
def nodes(*worlds: World) -> Generator[list[ChaosNode]]:
    """Some nodes, closed at the end; a mistake in serving is raised then."""
    started = [ChaosNode(world) for world in worlds]
    try:
        yield started
    finally:
        for node in started:
            node.close()
    for node in started:
        for problem in node.problems:
            raise problem
