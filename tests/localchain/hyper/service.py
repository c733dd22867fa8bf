"""The info service on the loopback: what a double of HyperCore says, over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from tests.localchain import loopback

Info = Callable[[dict[str, Any]], Any]


class NotServed(Exception):
    """The service does not answer such a question; it says so with a status of 422, as the real one does."""


class InfoService:
    """A running service. `say` answers questions; `down` makes it refuse all, `asked` counts questions by type."""

    def __init__(self, say: Info) -> None:
        self.say = say
        self.down = False
        self.asked: Counter[str] = Counter()
        self.url = ""

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for a posted question."""
        if self.down or path != "/info":
            return (503 if self.down else 404), b"null"
        question = json.loads(body)
        self.asked[question["type"]] += 1
        try:
            return 200, json.dumps(self.say(question)).encode()
        except NotServed:
            return 422, b"Failed to deserialize the JSON body into the target type"


@contextmanager
def serving(say: Info) -> Generator[InfoService]:
    """A service that answers with what `say` returns, until the block is left."""

    service = InfoService(say)
    with loopback.serving(service.answer) as url:
        service.url = f"{url}/info"
        yield service
