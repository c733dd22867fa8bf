"""The same door over TLS: the way behind it goes to the node alone, and a node that nobody vouches for is not spoken to."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from Crypto.Util.asn1 import DerBitString, DerInteger, DerObjectId, DerOctetString

from defi_risk.errors import Unreachable
from defi_risk.sources.ccxt_line import CcxtLine
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from defi_risk.sources.rpc import Endpoint, Request
from tests.fault.chaos import ChaosNode, Listener
from tests.fault.world import World


def oid(text: str) -> bytes:
    return bytes(DerObjectId(text).encode())


def sequence(*parts: bytes) -> bytes:
    return tagged(0x30, b"".join(parts))


def tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes((tag,)) + (bytes((size,)) if size < 128 else bytes((0x82,)) + size.to_bytes(2, "big")) + content


def certificate() -> tuple[str, str]:
    """A key and a certificate for 127.0.0.1 that vouches for itself, made for this test run."""
    key = ECC.generate(curve="P-256")
    algorithm = sequence(oid("1.2.840.10045.4.3.2"))  # ecdsa-with-SHA256
    name = sequence(tagged(0x31, sequence(oid("2.5.4.3"), tagged(0x0C, b"node"))))
    now = datetime.now(UTC)
    times = [tagged(0x17, (now + timedelta(days=days)).strftime("%y%m%d%H%M%SZ").encode()) for days in (-1, 1)]
    alternative = sequence(oid("2.5.29.17"), bytes(DerOctetString(sequence(tagged(0x87, bytes((127, 0, 0, 1))))).encode()))
    body = sequence(
        tagged(0xA0, bytes(DerInteger(2).encode())),
        bytes(DerInteger(4_711).encode()),
        algorithm,
        name,
        sequence(*times),
        name,
        bytes(key.public_key().export_key(format="DER")),
        tagged(0xA3, sequence(alternative)),
    )
    signature = DSS.new(key, "fips-186-3", encoding="der").sign(SHA256.new(body))
    whole = sequence(body, algorithm, bytes(DerBitString(signature).encode()))
    return str(key.export_key(format="PEM")), ssl.DER_cert_to_PEM_cert(whole)


class TlsNode(ChaosNode):
    """A node behind TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(World())

    def serve(self, line: socket.socket) -> None:
        with self._context.wrap_socket(line, server_side=True) as wrapped:
            super().serve(wrapped)

    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://user:k3y@")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, vouched = folder / "key.pem", folder / "certificate.pem"
    for path, text in zip((key, vouched), certificate(), strict=True):
        path.write_text(text)
    return key, vouched


def test_tls_carries_path_and_credentials(files: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    node = TlsNode(context)
    endpoint = Endpoint(node.url, Deadline(60), Limits(seconds=5))
    try:
        with pytest.raises(Unreachable) as caught:
            endpoint.single(Request("eth_chainId"))
        assert str(caught.value).startswith(f"https://127.0.0.1:{node.port}: no trusted TLS connection")
        assert node.requests == []
        vars(vars(endpoint)["_provider"])["_line"].session.verify = str(files[1])
        assert endpoint.single(Request("eth_chainId")) == "0x1"
        assert endpoint.single(Request("eth_chainId")) == "0x1"
        assert node.heads[0].startswith(b"POST /v3/k3y-of-the-path?apikey=k3y-of-the-query HTTP/1.1")
        assert b"Authorization: Basic " in node.heads[1]
        assert node.connections == 2
    finally:
        endpoint.close()
        node.close()


class Plain(Listener):
    """A server that speaks no TLS."""

    def serve(self, line: socket.socket) -> None:
        line.recv(1)
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_plain_http_behind_an_https_url() -> None:
    server = Plain()
    endpoint = Endpoint(f"https://127.0.0.1:{server.port}", Deadline(60), Limits(seconds=5))
    with pytest.raises(Unreachable, match="no trusted TLS connection"):
        endpoint.single(Request("eth_chainId"))
    endpoint.close()
    server.close()


def test_plain_http_behind_the_https_url_of_an_exchange() -> None:
    """Such as a proxy that has a certificate of its own: the network is up, but nobody vouches for what answers."""
    server = Plain()
    line = CcxtLine("binanceus", Deadline(60), f"https://127.0.0.1:{server.port}", {}, "Plain")
    with pytest.raises(Unreachable, match="no connection to Plain: no trusted TLS connection - is it running"):
        line.call(line.exchange.fetch_time)
    line.close()
    server.close()
