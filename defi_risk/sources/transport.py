"""web3's way to a node: `HTTPProvider` over exchanges of ours (`defi_risk.sources.line`), which are bounded and show no key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from defi_risk.sources import jsonrpc
from defi_risk.sources.clock import Clock
from defi_risk.sources.faults import http_error
from defi_risk.sources.line import Door, Limits, Line

_SILENT: Final = logging.Logger("defi_risk.silent", level=logging.CRITICAL + 1)  # in no hierarchy: web3 logs URLs at level DEBUG


class Provider(HTTPProvider):
    """web3's HTTP provider within our bounds: no retries, no off-chain lookups, no middleware, nothing logged, answers checked strictly.

    `left` tells how many seconds remain for everything. Both methods return well-formed JSON-RPC answers to exactly what was asked,
    in its order, or raise `SourceError`.
    """

    def __init__(self, door: Door, limits: Limits, left: Callable[[], float], clock: Clock) -> None:
        self._line = Line(door, limits)
        super().__init__(door.origin, session=self._line.session, exception_retry_configuration=None)
        self.global_ccip_read_enabled = False
        self.logger = _SILENT
        self._origin = door.origin
        self._left = left
        self._clock = clock

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        number = next(self.request_counter)
        answer = self._exchange(jsonrpc.encode(number, method, params))
        return cast("RPCResponse", jsonrpc.only(answer, number, self._origin))

    def make_batch_request(self, batch_requests: Sequence[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Answers in the order of the requests; a single one, with an error, where the node refuses the batch as a whole."""
        numbered = [(next(self.request_counter), method, params) for method, params in batch_requests]
        body = b"[" + b",".join(jsonrpc.encode(number, method, params) for number, method, params in numbered) + b"]"
        answer = jsonrpc.several(self._exchange(body), [number for number, _, _ in numbered], self._origin)
        return cast("list[RPCResponse] | RPCResponse", answer)

    def close(self) -> None:
        """Close idle connections."""
        self._line.close()

    def _exchange(self, body: bytes) -> object:
        """Post a body and return the parsed answer."""
        status, retry_after, answer = self._line.exchange(body, self._left())
        if 200 <= status < 300:
            return jsonrpc.parse(answer, self._origin)
        if status in (400, 422) or status >= 500:
            # several nodes send JSON-RPC errors this way
            parsed = jsonrpc.parse_or_none(answer)
            if jsonrpc.is_answer(parsed):
                return parsed
        raise http_error(status, retry_after, self._origin, self._clock.wall())
