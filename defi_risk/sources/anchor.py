"""The one block that a scan reads at: chosen, checked on every node that answers, and held.

All nodes are asked at once, each by one batch: chain id, block, the code at Multicall3's address and the genesis block. The first in
order that answers sensibly gives the anchor; the others must have the same block under its number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from defi_risk.errors import BadAnswer, BlockUnavailable, Disagreement, SourceError, UsageError, WrongChain
from defi_risk.ids import Address
from defi_risk.markets import chains
from defi_risk.model import Anchor, Chain
from defi_risk.sources import jsonrpc
from defi_risk.sources.clock import Crew
from defi_risk.sources.faults import Fault, Kind, error_of
from defi_risk.sources.pool import TRIES, Node, Pool
from defi_risk.sources.rpc import Reply, Request

TAGS: Final = ("latest", "safe", "finalized")
_SKEW: Final = 60  # seconds between a block's time and our clock that are worth a word
_OLD: Final = 600
_LAG: Final = {"latest": 60, "safe": 900, "finalized": 900}  # seconds behind the best head; checkpoints move once in some minutes
_GRACE: Final = 0.5  # seconds that the other nodes get once one has answered, beside as long again as that one took
_HASH: Final = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a scan wants to read at: a chain, a block tag or number, so many blocks behind the newest, and where Multicall3 stands."""

    chain: Chain
    block: str | int
    confirmations: int
    multicall3: Address
    genesis: bool  # ask for the genesis block too, whose hash the cache needs
    roots: tuple[Address, ...] = ()  # contracts that may not have been there yet


@dataclass(frozen=True, slots=True)
class Chosen:
    """The anchor, the hash of the chain's first block where it was asked for and given, and the roots that were not there yet."""

    anchor: Anchor
    genesis: str
    absent: frozenset[Address]


@dataclass(frozen=True, slots=True)
class _View:
    """What one node says of the block asked for."""

    number: int
    hash: str
    timestamp: int
    code: bool
    genesis: str
    absent: frozenset[Address]


def block_of(text: str | int) -> str | int:
    """A block as people write it: `latest`, `safe`, `finalized`, or a number, decimal or hex. Raises `UsageError`."""
    if isinstance(text, int):
        number = text
    elif text in TAGS:
        return text
    elif re.fullmatch(r"[0-9]{1,18}", text):
        number = int(text)
    elif re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        number = int(text, 16)
    else:
        raise UsageError(f"not a block: {text[:40]!r}", hint="a number, latest, safe or finalized")
    if not 0 <= number < 2**63:
        raise UsageError(f"not a block: {number}", hint="a number, latest, safe or finalized")
    return number


def choose(pool: Pool, wanted: Wanted) -> Chosen:
    """Choose the anchor. Raises the `SourceError` that tells best why no node can give one.

    Two nodes that differ about the newest block may both be honest for a moment, so they are asked once more before it is a
    `Disagreement`.
    """
    chosen = _once(pool, wanted)
    if isinstance(chosen, Disagreement):
        pool.deadline.clock.sleep(min(1.0, pool.deadline.left()))
        chosen = _once(pool, wanted)
    if isinstance(chosen, Disagreement):
        raise chosen
    return chosen


def admit(pool: Pool, wanted: Wanted, anchor: Anchor, node: Node) -> None:
    """Check a node that did not answer when the anchor was chosen. Raises `SourceError` where it does not hold the anchor's block."""
    view = _look(pool, wanted, anchor.number, node)
    if (view.hash, view.timestamp) != (anchor.hash, anchor.timestamp):
        raise Disagreement(
            f"{node.name} has another block {anchor.number} of {wanted.chain.name} than the one being read", source=node.name
        )
    node.multicall3 = view.code


def _once(pool: Pool, wanted: Wanted) -> Chosen | Disagreement:
    views = _views(pool, pool.nodes, partial(_look, pool, wanted, wanted.block))
    if wanted.block == "latest" and wanted.confirmations > 0:
        node, head = _preferred(pool, views, "latest")
        number = max(0, head.number - wanted.confirmations)
        views = _views(pool, sorted(views, key=lambda other: other is not node), partial(_look, pool, wanted, number))
        node, view = next(iter(views.items()))
    else:
        node, view = _preferred(pool, views, wanted.block)
    views = _at_same_number(pool, wanted, views, view)
    votes = Counter((other.hash, other.timestamp) for other in views.values())
    (winner, most), *others = votes.most_common()
    if others:
        if 2 * most <= len(views):
            return _dispute(views, view.number, wanted.chain)
        node, view = next((other, seen) for other, seen in views.items() if (seen.hash, seen.timestamp) == winner)
    for other, seen in views.items():
        if (seen.hash, seen.timestamp) == winner:
            other.agreed = True
            other.multicall3 = seen.code
        else:
            other.out = Disagreement(
                f"{other.name} has another block {view.number} than most nodes of {wanted.chain.name}", source=other.name, hint="remove it"
            )
            pool.note(other.out.message)
    _note_age(pool, wanted, node, view)
    return Chosen(Anchor(wanted.chain, view.number, view.hash, view.timestamp), view.genesis, view.absent)


def _views(pool: Pool, nodes: Sequence[Node], look: Callable[[Node], _View]) -> dict[Node, _View]:
    """What the nodes say, in their order; of those only that answer in good time. Tries again while all of them fail."""
    errors: list[SourceError] = []
    for _ in range(TRIES):
        able = [node for node in nodes if node.out is None]
        pool.plan(len(able))
        failed: list[Node] = []
        views = _race(pool, able, look, errors, failed)
        if views:
            return views
        nodes = [node for node in failed if node.out is None]
        if not nodes or not pool.rest(nodes):
            break
    raise pool.verdict(errors)


def _race(
    pool: Pool, nodes: Sequence[Node], look: Callable[[Node], _View], errors: list[SourceError], failed: list[Node]
) -> dict[Node, _View]:
    """Ask all at once; once one has answered, the others get as long again and a little more."""
    started = pool.deadline.clock.now()
    views: dict[Node, _View] = {}
    grace = 0.0
    waits = 1

    def counted(node: Node) -> tuple[_View, int]:
        before = pool.waits()
        return look(node), pool.waits() - before

    with Crew([partial(counted, node) for node in nodes], len(nodes)) as crew:
        for _ in nodes:
            end = crew.take_within(max(0.0, grace - pool.deadline.clock.now())) if views else crew.take()
            if end is None:
                break
            index, view = end
            if isinstance(view, SourceError):
                errors.append(view)
                pool.judge(nodes[index], view)
                if view.retryable and not isinstance(view, BlockUnavailable):
                    failed.append(nodes[index])
            elif isinstance(view, BaseException):
                raise view
            else:
                if not views:
                    now = pool.deadline.clock.now()
                    grace = now + (now - started) + _GRACE
                views[nodes[index]] = view[0]
                waits = max(waits, view[1])
    pool.round_trips += waits
    for node in nodes:
        if node not in views and not node.failures:
            node.failures = 1  # too slow: the others are asked first from now on
    return {node: views[node] for node in nodes if node in views}


def _look(pool: Pool, wanted: Wanted, block: str | int, node: Node) -> _View:
    """Ask one node. Raises `SourceError`."""
    at = block if isinstance(block, str) else hex(block)
    requests = [
        Request("eth_chainId"),
        Request("eth_getBlockByNumber", (at, False)),
        Request("eth_getCode", (wanted.multicall3, at)),
        *(Request("eth_getCode", (root, at)) for root in wanted.roots),
    ]
    if wanted.genesis:
        requests.append(Request("eth_getBlockByNumber", ("0x0", False)))
    if isinstance(block, int):
        requests.append(Request("eth_blockNumber"))
    chain_id, found, code, *rest = pool.ask(node, requests)
    codes, rest = rest[: len(wanted.roots)], rest[len(wanted.roots) :]
    _check_chain(chain_id, wanted.chain, node)
    number, digest, timestamp = _block(found, block, node, rest[-1] if isinstance(block, int) else None)
    return _View(
        number,
        digest,
        timestamp,
        _has_code(code, number, node),
        _genesis(rest[0]) if wanted.genesis else "",
        frozenset(root for root, reply in zip(wanted.roots, codes, strict=True) if reply == "0x"),
    )


def _check_chain(reply: Reply, chain: Chain, node: Node) -> None:
    if isinstance(reply, Fault):
        raise error_of(reply, node.name)
    served = jsonrpc.quantity_of(reply, node.name)
    if served != chain.id:
        name = next((known.name for known in chains().values() if known.id == served), "")
        is_called = f" ({name})" if name else ""
        article = "an" if chain.name[:1].lower() in "aeiou" else "a"
        raise WrongChain(
            f"{node.name} serves chain {served}{is_called}, not {chain.id} ({chain.name})",
            source=node.name,
            hint=f"is this {article} {chain.name.capitalize()} URL?",
        )


def _block(reply: Reply, asked: str | int, node: Node, head: Reply) -> tuple[int, str, int]:
    """Number, hash and time of a block. Raises `BlockUnavailable` where the node does not have it."""
    if isinstance(reply, Fault):
        if isinstance(asked, str) and asked != "latest" and reply.kind in (Kind.BLOCK, Kind.INCAPABLE):
            raise BlockUnavailable(f"{node.name} has no {asked} block", source=node.name, hint="use latest with confirmations, or a number")
        raise error_of(reply, node.name)
    if reply is None:
        raise _no_block(asked, node, head)
    block = cast("Mapping[str, object]", reply if isinstance(reply, dict) else {})
    number = jsonrpc.quantity_of(block.get("number"), node.name)
    timestamp = jsonrpc.quantity_of(block.get("timestamp"), node.name)
    digest = block.get("hash")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest.lower()) or timestamp >= 2**40 or number >= 2**63:
        raise BadAnswer(f"{node.name} answered a block that cannot be", source=node.name)
    if isinstance(asked, int) and number != asked:
        raise BadAnswer(f"{node.name} answered block {number} where {asked} was asked for", source=node.name)
    return number, digest.lower(), timestamp


def _no_block(asked: str | int, node: Node, head: Reply) -> BlockUnavailable:
    newest = jsonrpc.quantity_of(head, node.name) if isinstance(head, str) else None
    if isinstance(asked, int) and newest is not None and newest < asked:
        return BlockUnavailable(f"block {asked} is not there yet: the newest of {node.name} is {newest}", source=node.name)
    name = f"block {asked}" if isinstance(asked, int) else f"{asked} block"
    return BlockUnavailable(f"{node.name} has no {name}", source=node.name, hint="use an archive node, or a newer block")


def _has_code(reply: Reply, number: int, node: Node) -> bool:
    """Whether a contract stands at Multicall3's address. This is the first look at the block's state, which may be gone."""
    if isinstance(reply, Fault):
        if reply.kind is Kind.BLOCK:
            raise BlockUnavailable(
                f"{node.name} no longer holds the state of block {number}", source=node.name, hint="use an archive node, or a newer block"
            )
        if reply.kind in (Kind.RATE, Kind.REFUSED):
            raise error_of(reply, node.name)
        return False
    return len(jsonrpc.data_of(reply, node.name)) > 0


def _genesis(reply: Reply) -> str:
    """Hash of the first block; empty where the node does not have it, and then nothing is cached."""
    digest = cast("Mapping[str, object]", reply).get("hash") if isinstance(reply, dict) else None
    return digest.lower() if isinstance(digest, str) and _HASH.fullmatch(digest.lower()) else ""


def _preferred(pool: Pool, views: Mapping[Node, _View], block: str | int) -> tuple[Node, _View]:
    """The first view in order that does not lag behind the best; a head from the future is believed only where all are."""
    if isinstance(block, int):
        return next(iter(views.items()))
    now = pool.deadline.clock.wall()
    sensible = {node: view for node, view in views.items() if view.timestamp <= now + _SKEW} or dict(views)
    best = max(view.timestamp for view in sensible.values())
    for node, view in sensible.items():
        if best - view.timestamp > _LAG[block]:
            pool.note(f"{node.name} lags {best - view.timestamp} s behind the best node")
    return next((node, view) for node, view in sensible.items() if best - view.timestamp <= _LAG[block])


def _at_same_number(pool: Pool, wanted: Wanted, views: Mapping[Node, _View], anchor: _View) -> dict[Node, _View]:
    """What the nodes say of the anchor's number; asked again of those whose newest block was a later one."""
    same = {node: view for node, view in views.items() if view.number == anchor.number}
    later = [node for node, view in views.items() if view.number > anchor.number]
    if later:
        pool.plan(len(later))
        same |= _race(pool, later, partial(_look, pool, wanted, anchor.number), [], [])
    return {node: same[node] for node in views if node in same}


def _dispute(views: Mapping[Node, _View], number: int, chain: Chain) -> Disagreement:
    said = ", ".join(f"{node.name} says {view.hash[:10]}… of time {view.timestamp}" for node, view in views.items())
    return Disagreement(
        f"nodes differ about block {number} of {chain.name}: {said}",
        source=chain.name,
        hint="read a settled block (--block safe), or remove the node that is wrong",
    )


def _note_age(pool: Pool, wanted: Wanted, node: Node, view: _View) -> None:
    """Clock and node cannot be told apart here, so this is a note and no error."""
    age = int(pool.deadline.clock.wall() - view.timestamp)
    if age < -_SKEW:
        pool.note(f"block {view.number} of {node.name} is {-age} s in the future: this machine's clock or the node is wrong")
    elif age > _OLD and wanted.block == "latest":
        pool.note(f"the newest block of {node.name} is {age} s old: the node lags, the chain stands still or this clock is wrong")
