"""What `doctor` asks a node: its chain, its head and age, how far back its state reaches, and which ways of reading it offers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from defi_risk.cli.checks import FAIL, OK, WARN, Check, failed
from defi_risk.errors import BadAnswer, Incapable, SourceError
from defi_risk.ids import ZERO_ADDRESS
from defi_risk.secrets import Secret
from defi_risk.sources import jsonrpc
from defi_risk.sources.clock import Deadline
from defi_risk.sources.faults import Fault
from defi_risk.sources.rpc import Endpoint, Reply, Request
from defi_risk.targets import ChainTarget

PATIENCE: Final = 10.0
OLD: Final = 120  # seconds behind this machine's clock
DEEP: Final = 1_128  # blocks: the 128 that every node keeps, and 1,000 more


def chain(target: ChainTarget) -> Iterator[Check]:
    """One line, or a few, for each node of a chain."""
    for node in target.settings.rpc:
        yield from _node(target, node)


def _node(target: ChainTarget, url: Secret) -> Iterator[Check]:
    began = time.monotonic()
    subject = f"node {target.chain.name}"
    try:
        endpoint = Endpoint(url, Deadline(PATIENCE))
        try:
            yield from _examined(target, endpoint, f"{subject} {endpoint.name}", began)
        finally:
            endpoint.close()
    except SourceError as error:
        yield failed(subject, error, 3)


def _examined(target: ChainTarget, endpoint: Endpoint, subject: str, began: float) -> Iterator[Check]:
    from defi_risk.sources.chain import MULTICALL3

    standing = target.settings.multicall3 or MULTICALL3
    basics = (Request("eth_chainId"), Request("eth_getBlockByNumber", ("latest", False)), Request("eth_getCode", (standing, "latest")))
    batches = True
    try:
        replies = endpoint.batch(basics)
    except (Incapable, BadAnswer):
        batches = False
        replies = [endpoint.single(request) for request in basics]
    seconds = time.monotonic() - began
    found, head, code = _clear(replies, endpoint.name)
    chain_id = jsonrpc.quantity_of(found, endpoint.name)
    if chain_id != target.chain.id:
        yield Check(FAIL, subject, f"serves chain id {chain_id}, not {target.chain.id}", f"is this a node of {target.chain.name}?", code=3)
        return
    number, stamp, hash_ = _head(head, endpoint.name)
    parts = [
        f"chain {chain_id}",
        f"block {number:,}",
        f"multicall3 {_yes(isinstance(code, str) and len(code) > 2)}",
        f"batches {_yes(batches)}",
        f"reads by hash {_yes(_works(endpoint, {'blockHash': hash_, 'requireCanonical': True}))}",
        f"archive {_yes(_works(endpoint, hex(number - DEEP))) if number > DEEP else 'not needed yet'}",
        f"{seconds:.2f} s",
    ]
    yield Check(OK, subject, ", ".join(parts))
    age = time.time() - stamp
    if abs(age) > OLD:
        where = "behind" if age > 0 else "ahead of"
        remedy = "the node lags, its chain makes no blocks, or this machine's clock is wrong"
        yield Check(WARN, f"clock {target.chain.name}", f"the newest block is {abs(age):,.0f} s {where} this machine's clock", remedy)
    else:
        yield Check(OK, f"clock {target.chain.name}", f"the newest block is {age:.0f} s old")


def _clear(replies: Sequence[Reply], name: str) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, Fault):
            raise BadAnswer(f"{name} answered {reply.message!r}", source=name, hint="a scan needs this read")
    return list(replies)


def _head(block: Reply, name: str) -> tuple[int, int, str]:
    if not isinstance(block, dict) or not isinstance(block.get("hash"), str):
        raise BadAnswer(f"{name} gives no newest block", source=name)
    return jsonrpc.quantity_of(block.get("number"), name), jsonrpc.quantity_of(block.get("timestamp"), name), block["hash"]


def _works(endpoint: Endpoint, block: object) -> bool:
    """Whether the node gives state at that block."""
    try:
        return isinstance(endpoint.single(Request("eth_getBalance", (ZERO_ADDRESS, block))), str)
    except SourceError:
        return False


def _yes(value: bool) -> str:
    return "yes" if value else "no"
