"""JSON-RPC to a node on this machine over one kept-alive connection: about a millisecond a call."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from typing import Any, Final

TIMEOUT: Final = 120.0
_HEADERS: Final = {"content-type": "application/json"}


class RpcError(RuntimeError):
    """The node refused a request; `data` holds the revert data where there is any."""

    def __init__(self, method: str, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.data = data


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Rpc:
    """A connection to one node. Not for several threads at once."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = _Connection(host, port, timeout=TIMEOUT)

    def __call__(self, method: str, *params: object) -> Any:
        """The result of one request. Raises `RpcError`, and `OSError` where the node is gone."""
        answer = self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return _result(method, answer)

    def batch(self, requests: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The results of several reads sent as one request, in order. The node may run them in any order."""
        body = [{"jsonrpc": "2.0", "id": place, "method": name, "params": params} for place, (name, params) in enumerate(requests)]
        answers = {answer["id"]: answer for answer in self._post(body)} if body else {}
        return [_result(name, answers[place]) for place, (name, _) in enumerate(requests)]

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    def _post(self, body: object) -> Any:
        data = json.dumps(body).encode()
        try:
            return self._exchange(data)
        except (http.client.HTTPException, ConnectionError):
            # an idle connection was closed by the node: once more on a new one
            self._connection.close()
            return self._exchange(data)

    def _exchange(self, data: bytes) -> Any:
        self._connection.request("POST", "/", data, _HEADERS)
        return json.loads(self._connection.getresponse().read())


def _result(method: str, answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    data = error.get("data")
    raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), data if isinstance(data, str) else "")
