"""What leaves the process and what does not: only planned requests, only to configured nodes, and no part of a URL that may be a key."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from defi_risk.errors import DefiRiskError, SourceError, TimedOut
from defi_risk.secrets import Secret
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.sources.line import Limits
from defi_risk.sources.rpc import Endpoint, Request
from defi_risk.sources.transport import Provider
from defi_risk.spi import NativeBalance
from tests.fault.chaos import Fault, Listener, nodes
from tests.fault.faults import FAULTS, QUICK, status, text
from tests.fault.world import CONTRACT, ETHEREUM, VAULT, TestClock, World, owner


class Canary(Listener):
    """Nothing may ever connect to it."""


@pytest.fixture
def canary() -> Any:
    listener = Canary()
    yield listener
    listener.close()


# -- requests -----------------------------------------------------------------------------------------------------------------------------


def test_a_scan_sends_exactly_the_planned_requests() -> None:
    with nodes(World()) as [node], ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, TestClock())) as source:
        source.answer([VAULT(CONTRACT, "shares", owner(number)) for number in range(300)])
        source.answer([VAULT(CONTRACT, "symbol"), NativeBalance(owner(1))])
        source.finish()
        assert [methods for _, methods in node.requests] == [
            ["eth_chainId", "eth_getBlockByNumber", "eth_getCode"],
            ["eth_call"],
            ["eth_call"],
        ]
        assert node.connections == 1


def test_headers_are_few_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with nodes(World()) as [node]:
        url = node.url.replace("http://", "http://us%40er:p%2Fw0rd-k3y@")
        node.fail(Fault("cookie", wire=status("503 Busy", headers="Set-Cookie: track=me\r\n")), times=1)
        with ChainSource.open(ETHEREUM, [url], deadline=Deadline(60, TestClock())):
            pass
        first, second = (head.decode().splitlines() for head in node.heads)
        assert second[0] == "POST /v3/k3y-of-the-path?apikey=k3y-of-the-query HTTP/1.1"
        names = {line.partition(":")[0].lower() for line in second[1:]}
        assert names == {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "authorization"}
        assert "Authorization: Basic dXNAZXI6cC93MHJkLWszeQ==" in second
        assert first == second


def test_a_redirect_is_not_followed(canary: Canary) -> None:
    for code in ("301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"):
        with nodes(World()) as [node]:
            node.fail(Fault(code, wire=status(code, headers=f"Location: http://127.0.0.1:{canary.port}/k3y\r\n")))
            with pytest.raises(SourceError, match="a redirect, which is never followed") as caught:
                ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, TestClock()))
            assert str(canary.port) not in str(caught.value)
            assert len(node.requests) == 1
    assert canary.connections == 0


@pytest.mark.parametrize("offer", [{}, {"multicall3": False}, {"multicall3": False, "overrides": False}])
def test_an_offchain_lookup_is_not_followed(canary: Canary, offer: dict[str, bool]) -> None:
    world = World(**offer, lookup_url=f"http://127.0.0.1:{canary.port}/{{sender}}/{{data}}")  # type: ignore[arg-type]  # all are booleans
    with nodes(world) as [node], ChainSource.open(ETHEREUM, [node.url], deadline=Deadline(60, TestClock())) as source:
        [answer] = source.answer([VAULT(CONTRACT, "lookup")])
        assert "off-chain lookup, which is never followed" in str(answer)
    assert canary.connections == 0


# -- secrets ------------------------------------------------------------------------------------------------------------------------------

SECRET_URL = "http://us3r-k3y:w0rd-k3y@127.0.0.1:{port}/v3/p4th-k3y?apikey=qu3ry-k3y#fr4gment-k3y"  # noqa: S105  # made up
ECHO = (
    b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"bad key p4th-k3y or qu3ry-k3y in '
    b'http://us3r-k3y:w0rd-k3y@127.0.0.1/v3/p4th-k3y?apikey=qu3ry-k3y"}}'
)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("drips its headers", "drips its body", "answers late")])
def test_no_fault_shows_a_key(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with nodes(World()) as [node]:
        node.fail(FAULTS[name].fault)
        assert_silent(node.port, FAULTS[name].limits, caplog)


def test_a_node_that_quotes_the_key_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with nodes(World()) as [node]:
        node.fail(Fault("echo", wire=text(ECHO)))
        assert "bad key" in assert_silent(node.port, QUICK, caplog)


def test_a_dead_node_shows_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with nodes(World()) as [node]:
        node.close()
        assert "connection refused" in assert_silent(node.port, QUICK, caplog)


def test_the_log_of_a_good_scan_shows_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with nodes(World()) as [node]:
        assert '"POST / HTTP/1.1" 200' in assert_silent(node.port, Limits(seconds=3), caplog)


def assert_silent(port: int, limits: Limits, caplog: pytest.LogCaptureFixture) -> str:
    """Scan with a URL full of keys; all that can be read afterwards holds none of them."""
    shown = ""
    try:
        with ChainSource.open(
            ETHEREUM, [Secret(SECRET_URL.format(port=port))], deadline=Deadline(60, TestClock()), limits=limits
        ) as source:
            source.answer([VAULT(CONTRACT, "decimals")])
            shown = repr((source, source.notes, vars(source)))
    except DefiRiskError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error) + str(error) + repr(error.args) + repr(vars(error))
        shown += "" if error.__cause__ is None else "k3y: an exception of a library is shown with ours"
    everything = shown + caplog.text
    assert everything
    assert "k3y" not in everything
    return everything


def test_no_object_shows_a_key() -> None:
    secret = Secret(SECRET_URL.format(port=1))
    endpoint = Endpoint(secret, Deadline(9))
    provider = vars(endpoint)["_provider"]
    line = vars(provider)["_line"]
    seen: list[object] = [endpoint, provider, line]
    for thing in (endpoint, provider, line, line.session, *line.session.adapters.values()):
        seen += [vars(thing), *vars(thing).values()]
    assert "k3y" not in "".join(f"{thing!r} {thing}" for thing in seen)
    endpoint.close()


def test_the_provider_is_web3s_within_bounds() -> None:
    endpoint = Endpoint("http://127.0.0.1:1/", Deadline(9))
    provider = vars(endpoint)["_provider"]
    assert isinstance(provider, Provider)
    assert provider.global_ccip_read_enabled is False
    assert provider.exception_retry_configuration is None
    assert provider.endpoint_uri == "http://127.0.0.1:1"
    assert not provider.logger.isEnabledFor(logging.CRITICAL)
    endpoint.close()


# -- bounds -------------------------------------------------------------------------------------------------------------------------------


def test_one_exchange_is_bounded_whatever_is_slow() -> None:
    for name in ("black hole", "drips its headers", "drips its body"):
        with nodes(World()) as [node]:
            node.fail(FAULTS[name].fault)
            endpoint = Endpoint(node.url, Deadline(60), Limits(seconds=0.1))
            with pytest.raises(TimedOut, match=r"gave no (full )?answer within 0\.1 s"):
                endpoint.single(Request("eth_chainId"))
            endpoint.close()


def test_a_deep_answer_does_not_crash_the_process() -> None:
    """web3 brings a library that lifts the recursion limit far above what the stack holds."""
    import sys

    with nodes(World()) as [node]:
        node.fail(FAULTS["100,000 levels of JSON"].fault)
        endpoint = Endpoint(node.url, Deadline(60))
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 1_000))
        limit = sys.getrecursionlimit()
        try:
            sys.setrecursionlimit(100_000)
            with pytest.raises(DefiRiskError, match="not JSON"):
                endpoint.single(Request("eth_chainId"))
        finally:
            sys.setrecursionlimit(limit)
            endpoint.close()


def test_loading_web3_leaves_the_recursion_limit() -> None:
    import subprocess
    import sys

    script = (
        "import sys; before = sys.getrecursionlimit()\n"
        "from defi_risk.sources.clock import Deadline; from defi_risk.sources.rpc import Endpoint\n"
        "assert 'web3' not in sys.modules and 'requests' not in sys.modules\n"
        "Endpoint('http://127.0.0.1:1', Deadline(1))\n"
        "assert 'web3' in sys.modules; print(before == sys.getrecursionlimit())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603  # our own script
    assert done.stdout == "True\n"
