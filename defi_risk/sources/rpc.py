"""One node, asked by JSON-RPC."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from defi_risk.errors import Incapable, SourceError
from defi_risk.secrets import Secret
from defi_risk.sources import jsonrpc
from defi_risk.sources.clock import Deadline
from defi_risk.sources.faults import Fault, Kind, error_of

if TYPE_CHECKING:
    from web3.types import RPCEndpoint

    from defi_risk.sources.line import Limits


class Revealing(Protocol):
    """A value behind `reveal()`, such as a `Secret`."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One JSON-RPC request."""

    method: str
    params: tuple[object, ...] = ()


Reply = object
"""The `result` of an answer, or the `Fault` in its place."""


class Endpoint:
    """One node's URL and the requests sent to it. `name` is scheme, host and port: the rest of a URL holds keys.

    `sent` counts HTTP requests. Raises `UsageError` for what is no http(s) URL.
    """

    def __init__(self, url: Revealing | str, deadline: Deadline, limits: Limits | None = None) -> None:
        _load_web3()
        from defi_risk.sources.line import Door
        from defi_risk.sources.line import Limits as Bounds
        from defi_risk.sources.transport import Provider

        secret = Secret(url) if isinstance(url, str) else url if isinstance(url, Secret) else Secret(url.reveal())
        door = Door(secret)
        self.name: Final = door.origin
        self._provider: Final = Provider(door, limits or Bounds(), deadline.left, deadline.clock)
        self._lock: Final = threading.Lock()
        self.sent = 0

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"

    def single(self, request: Request) -> Reply:
        """Send one request by itself. Raises `SourceError` where no answer to it comes."""
        self._count()
        return _reply(self._provider.make_request(cast("RPCEndpoint", request.method), list(request.params)))

    def batch(self, requests: Sequence[Request]) -> list[Reply]:
        """Send several requests as one batch. Raises `Incapable` where the node takes no batch (of this size), else `SourceError`."""
        self._count()
        answer = self._provider.make_batch_request([(cast("RPCEndpoint", request.method), list(request.params)) for request in requests])
        if isinstance(answer, list):
            return [_reply(item) for item in answer]
        raise self._refusal(_reply(answer))

    def close(self) -> None:
        """Close idle connections."""
        self._provider.close()

    def _refusal(self, reply: Reply) -> SourceError:
        if isinstance(reply, Fault) and reply.kind in (Kind.RATE, Kind.REFUSED):
            return error_of(reply, self.name)
        said = f": {reply.message!r}" if isinstance(reply, Fault) else ""
        return Incapable(f"{self.name} takes no batch of requests{said}", source=self.name)

    def _count(self) -> None:
        with self._lock:
            self.sent += 1


def _load_web3() -> None:
    """Load web3, which takes a second, when a node is first named.

    It brings a library that raises the recursion limit to 100,000, far beyond what the stack holds: from then on a runaway recursion
    anywhere would crash the process. The limit is put back.
    """
    limit = sys.getrecursionlimit()
    import web3.providers.rpc as loaded

    sys.setrecursionlimit(min(limit, sys.getrecursionlimit()))
    del loaded


def _reply(answer: object) -> Reply:
    return jsonrpc.outcome(cast("Mapping[str, Any]", answer))
