"""A venue's information service on loopback that can fail in every way a node can (`tests.fault.faults`)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from defi_risk import exact_json
from tests.fault.chaos import ChaosNode, http
from tests.kiosk import answers


class Service(ChaosNode):
    """Answers a question by the first key of `told` that stands in its path or body. `asked` are the questions, paths before bodies.

    `before` is called as a request has arrived and before it is answered; `most` counts how many were under way at once.
    """

    def __init__(self, told: Mapping[str, Any] | None = None, before: Callable[[str], object] | None = None) -> None:
        self.told = answers() if told is None else told
        self.before = before
        self.asked: list[str] = []
        self.most = 0
        self._under_way = 0
        self._counting = threading.Lock()
        super().__init__()

    def answer(self, line: socket.socket, head: bytes, body: bytes) -> bool:
        question = f"{head.split()[1].decode()} {body.decode()}"
        with self._counting:
            self.asked.append(question)
            self.heads.append(head)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            fault = self.fault if self.fault_left > 0 else None
            self.fault_left -= fault is not None
        try:
            if self.before:
                self.before(question)
            value = next((value for key, value in self.told.items() if key in question), None)
            payload = value if isinstance(value, bytes) else exact_json.dump(value).encode()
            if fault and fault.wire:
                fault.wire(line, payload, self)
                return False
            line.sendall(http(payload))
            return True
        finally:
            with self._counting:
                self._under_way -= 1


@contextmanager
def services(*told: Mapping[str, Any] | None) -> Generator[list[Service]]:
    """Some services, closed at the end; a mistake in serving is raised then."""
    started = [Service(one) for one in told]
    try:
        yield started
    finally:
        for service in started:
            service.close()
    for service in started:
        for problem in service.problems:
            raise problem
