"""A node that closes an idle connection just when it is used again, and one that never answers at all."""

from __future__ import annotations

import json
import socket

import pytest

from defi_risk.errors import Unreachable
from defi_risk.sources.clock import Deadline
from defi_risk.sources.rpc import Endpoint, Request
from tests.fault.chaos import Listener


def body_of(line: socket.socket) -> bytes:
    """The body of one HTTP request; empty where the client hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = line.recv(65_536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length"))
    while len(body) < size:
        body += line.recv(65_536)
    return body


class OneAnswer(Listener):
    """Answers `answers` requests a connection, and hangs up on the next one without a word."""

    answers = 1

    def serve(self, line: socket.socket) -> None:
        for _ in range(self.answers):
            body = body_of(line)
            if not body:
                return
            text = json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": "0x7"}).encode()
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        body_of(line)


class NoAnswer(OneAnswer):
    answers = 0


def test_a_request_on_a_connection_that_was_closed_meanwhile_is_sent_again() -> None:
    node = OneAnswer()
    try:
        endpoint = Endpoint(f"http://127.0.0.1:{node.port}", Deadline(5))
        assert [endpoint.single(Request("eth_blockNumber")) for _ in range(3)] == ["0x7"] * 3
        assert node.connections == 3
        endpoint.close()
    finally:
        node.close()


def test_a_node_that_hangs_up_at_once_is_asked_once() -> None:
    node = NoAnswer()
    try:
        endpoint = Endpoint(f"http://127.0.0.1:{node.port}", Deadline(5))
        with pytest.raises(Unreachable, match="broke off"):
            endpoint.single(Request("eth_blockNumber"))
        assert node.connections == 1
        endpoint.close()
    finally:
        node.close()
