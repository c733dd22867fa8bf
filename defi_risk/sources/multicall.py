"""Many reads in few requests, each with an outcome of its own.

Three ways, the first that the node offers: the chain's Multicall3; our executor put in place by a state override; a JSON-RPC batch of
single calls. A request that is too much (gas, time, size) is halved until it passes or one read is left, which then is the one to
blame. A read that fails inside a bundle without a word may have been starved of gas by its neighbours: unless gas was ample to the end,
it is asked again alone before it counts as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from defi_risk.errors import BadAnswer, BlockUnavailable, Incapable, Reorged, SourceError, TimedOut, TooLarge, Undecodable
from defi_risk.ids import keccak256
from defi_risk.model import Anchor
from defi_risk.sources import executor, jsonrpc
from defi_risk.sources.clock import Crew
from defi_risk.sources.faults import Fault, Kind, error_of
from defi_risk.sources.packing import Probe, Unpacked, pack_executor, pack_multicall3, unpack_executor, unpack_multicall3
from defi_risk.sources.pool import Node, Pool
from defi_risk.sources.reverts import reason_of
from defi_risk.sources.rpc import Reply, Request

MOST_CALLS: Final = 500
MOST_BYTES: Final = 400_000
AT_ONCE: Final = 4
_NOBODY: Final = keccak256(b"defi_risk executor")[-20:]
_MISSING: Final = (Kind.INCAPABLE, Kind.BLOCK, Kind.REORG)


@dataclass(frozen=True, slots=True)
class Refusal:
    """In place of a read's data: why it failed. `lasting` tells that it would fail again at the same block on any node."""

    reason: str
    lasting: bool = True


Outcome = bytes | Refusal


@dataclass(frozen=True, slots=True)
class _Done:
    """A part that was answered. `pinned`: by block hash. `doubtful`: places of reads to ask again alone."""

    outcomes: list[Outcome]
    pinned: bool
    doubtful: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _TooMuch:
    """A part that must be cut into pieces of at most `size` reads. `reason` is the node's, empty where it was not even asked."""

    size: int
    reason: str = ""


@dataclass(slots=True)
class _Part:
    """Reads that go out together. `alone`: each in a call of its own. `twin`: the other half of a part that failed for no clear reason."""

    indices: tuple[int, ...]
    alone: bool = False
    twin: _Part | None = None
    failed: bool = False


_End = _Done | _TooMuch | SourceError
_IDENTITY: Final = Probe((4).to_bytes(20, "big"), b"?")  # the precompile that returns its input: a read that no contract can spoil


class Reader:
    """Reads at one anchor through a pool.

    `by_number` tells that some reads were pinned by block number only: the block's hash must be compared when all is read. `admit` is
    asked before a node's first use.
    """

    def __init__(self, pool: Pool, anchor: Anchor, multicall3: bytes, admit: Callable[[Node], None]) -> None:
        self._pool: Final = pool
        self._anchor: Final = anchor
        self._multicall3: Final = multicall3
        self.admit: Final = admit
        self.by_number = False

    def read(self, probes: Sequence[Probe]) -> tuple[list[Outcome], bool]:
        """One outcome a probe, and whether all of them were read by block hash. Raises `SourceError` where the nodes fail."""
        outcomes: list[Outcome] = [b""] * len(probes)
        pinned, sound = True, False
        waiting = [_Part(indices) for indices in planned(probes)]
        while waiting:
            following: list[_Part] = []
            doubtful: list[int] = []
            ends = self._wave(waiting, probes)
            sound = sound or self._sound(ends)
            for part, end in zip(waiting, ends, strict=True):
                match end:
                    case _Done(found, by_hash, unsure):
                        pinned &= by_hash
                        for index, outcome in zip(part.indices, found, strict=True):
                            outcomes[index] = outcome
                        doubtful += [part.indices[at] for at in unsure]
                    case _TooMuch(size) if len(part.indices) > 1:
                        following += [_Part(piece, part.alone) for piece in _cut(part.indices, size)]
                    case _TooMuch() if not part.alone:
                        following.append(_Part(part.indices, alone=True))
                    case _TooMuch(_, reason):
                        outcomes[min(part.indices)] = Refusal(reason, lasting=False)
                    case SourceError():
                        following += self._after_failure(part, end, outcomes)
            following += [_Part(piece, alone=True) for piece in _cut(tuple(doubtful), MOST_CALLS)]
            waiting = following
        return outcomes, pinned

    def finish(self) -> None:
        """Compare the anchor's hash once more where reads were pinned by number only. Raises `Reorged`, or another `SourceError`."""
        if self.by_number:
            before = self._pool.waits()
            self._pool.plan(1)
            self._pool.run(self.check, self.admit)
            self._pool.round_trips += self._pool.waits() - before

    def _wave(self, parts: Sequence[_Part], probes: Sequence[Probe]) -> list[_End]:
        """Do some parts side by side. The slowest part's waits are the waits of all."""
        self._pool.plan(len(parts))
        work = [partial(self._part, part, [probes[index] for index in part.indices]) for part in parts]
        ends: dict[int, tuple[_End, int]] = {}
        if len(work) == 1:
            ends[0] = work[0]()
        else:
            with Crew(work, AT_ONCE) as crew:
                while len(ends) < len(work):
                    index, end = crew.take()
                    if isinstance(end, BaseException):
                        raise end
                    ends[index] = end
        self._pool.round_trips += max(waits for _, waits in ends.values())
        return [ends[index][0] for index in range(len(parts))]

    def _part(self, part: _Part, probes: Sequence[Probe]) -> tuple[_End, int]:
        """Do one part on some node: how it ended and how many times it waited for an answer."""
        before = self._pool.waits()
        try:
            end: _End = self._pool.run(partial(self._on, part, probes), self.admit, patient=len(probes) == 1)
        except SourceError as error:
            part.failed = True
            end = error
        return end, self._pool.waits() - before

    def _on(self, part: _Part, probes: Sequence[Probe], node: Node) -> _Done | _TooMuch:
        """One part on one node, in the best way that it offers."""
        try:
            if not part.alone:
                if node.worked and len(probes) > node.worked:
                    return _TooMuch(node.worked)
                for bundle in (self._by_multicall3, self._by_override):
                    end = bundle(node, probes)
                    if end is not None:
                        return self._sized(node, len(probes), end)
            return self._one_by_one(node, probes, part.alone)
        except TooLarge as error:
            return self._sized(node, len(probes), _TooMuch(-(-len(probes) // 2), error.message))

    def _sized(self, node: Node, calls: int, end: _Done | _TooMuch) -> _Done | _TooMuch:
        """Learn from the outcome how many reads fit into one request of this node."""
        if isinstance(end, _TooMuch):
            node.failed = min(node.failed or calls, calls)
        elif node.failed:
            node.worked = max(node.worked, calls)
        return end

    def _after_failure(self, part: _Part, error: SourceError, outcomes: list[Outcome]) -> Iterator[_Part]:
        """Look for the one read that makes nodes fail: halve, and raise the error once both halves fail alike."""
        if not isinstance(error, BadAnswer | TimedOut | Incapable) or self._pool.deadline.left() <= 0 or (part.twin and part.twin.failed):
            raise error
        if len(part.indices) > 1:
            first, second = (_Part(piece, part.alone) for piece in _cut(part.indices, -(-len(part.indices) // 2)))
            first.twin, second.twin = second, first
            yield from (first, second)
        else:
            if part.twin is None and not self._control():
                raise error
            outcomes[min(part.indices)] = Refusal(f"the node fails on it: {error.message}", lasting=False)

    def _sound(self, ends: Sequence[_End]) -> bool:
        """Whether a part was answered. Raises `TooLarge` where everything was too much and even the smallest read is."""
        if any(isinstance(end, _Done) for end in ends):
            return True
        reasons = [end.reason for end in ends if isinstance(end, _TooMuch) and end.reason]
        if len(reasons) < max(2, len(ends)):
            return False
        if not self._control():
            self._pool.deadline.check(self._anchor.chain.name)
            raise TooLarge(reasons[0], source=self._anchor.chain.name, hint="this node refuses even the smallest read: use another one")
        return True

    def _control(self) -> bool:
        """Whether some node answers a read that no contract can spoil. Those that do not are asked last from then on."""

        def smallest(node: Node) -> None:
            if not isinstance(self._one_by_one(node, [_IDENTITY], again=True), _Done):
                raise TooLarge(f"{node.name} refuses even the smallest read", source=node.name)

        before = self._pool.waits()
        self._pool.plan(1)
        try:
            self._pool.run(smallest, self.admit, patient=False)
        except SourceError:
            return False
        finally:
            self._pool.round_trips += self._pool.waits() - before
        return True

    # -- the three ways: None where the node does not offer it ------------------------------------------------------------------------

    def _by_multicall3(self, node: Node, probes: Sequence[Probe]) -> _Done | _TooMuch | None:
        if not node.multicall3:
            return None
        call = _call(self._multicall3, pack_multicall3(self._multicall3, probes))
        (reply,), pinned = self._ask(node, lambda block: [Request("eth_call", (call, block))])
        if isinstance(reply, Fault) and reply.kind not in (Kind.REVERT, Kind.HALT):
            return self._too_much(node, reply, len(probes))
        try:
            found = None if isinstance(reply, Fault) else unpack_multicall3(jsonrpc.data_of(reply, node.name), len(probes))
        except Undecodable:
            found = None
        if found is None or found.timestamp is None:
            node.multicall3 = False
            self._pool.note(f"what stands at the Multicall3 address is not Multicall3 ({node.name})")
            return None
        return self._unbundled(node, found, pinned)

    def _by_override(self, node: Node, probes: Sequence[Probe]) -> _Done | _TooMuch | None:
        if node.overrides is False:
            return None
        call = _call(_NOBODY, pack_executor(probes))
        change = {"0x" + _NOBODY.hex(): {"code": "0x" + executor.code().hex()}}
        (reply,), pinned = self._ask(node, lambda block: [Request("eth_call", (call, block, change))])
        if isinstance(reply, Fault) and reply.kind in (Kind.HEAVY, Kind.RATE, Kind.REFUSED, Kind.BLOCK, Kind.REORG):
            return self._too_much(node, reply, len(probes))
        if isinstance(reply, Fault) and node.overrides:
            raise error_of(reply, node.name)
        data = b"" if isinstance(reply, Fault) else jsonrpc.data_of(reply, node.name)
        node.overrides = bool(data)  # a node that leaves the override out finds no code there, and no code returns no data
        if not data:
            self._pool.note(f"{node.name} takes no state overrides and has no Multicall3: reads go out one call each")
            return None
        try:
            found = unpack_executor(data, len(probes))
        except Undecodable as error:
            raise Undecodable(f"{node.name}: {error.message}", source=node.name) from None
        return self._unbundled(node, found, pinned)

    def _one_by_one(self, node: Node, probes: Sequence[Probe], again: bool) -> _Done | _TooMuch:
        """A batch of single calls, or single requests where the node takes no batches. Some that failed are asked once again."""
        most = 1 if node.batches is False else node.batch_size
        if len(probes) > most:
            return _TooMuch(most)
        try:
            replies, pinned = self._ask(node, lambda block: [_single(probe, block) for probe in probes])
        except Incapable:
            if len(probes) == 1:
                raise
            node.batch_size = max(1, len(probes) // 2)
            return _TooMuch(node.batch_size)
        faults = [reply for reply in replies if isinstance(reply, Fault)]
        for fault in faults:
            if fault.kind in (Kind.RATE, Kind.REFUSED, *_MISSING):
                raise error_of(fault, node.name)
        if len(probes) > 1 and len(faults) == len(replies) and all(fault.kind in (Kind.HEAVY, Kind.NODE) for fault in faults):
            node.batch_size = max(1, len(probes) // 2)
            return _TooMuch(node.batch_size)
        if len(probes) == 1 and faults and faults[0].kind is Kind.NODE:
            raise error_of(faults[0], node.name)
        unsure = () if again else tuple(at for at, reply in enumerate(replies) if isinstance(reply, Fault) and reply.kind is Kind.NODE)
        return _Done([_outcome(probe, reply, node) for probe, reply in zip(probes, replies, strict=True)], pinned, unsure)

    # -- shared -----------------------------------------------------------------------------------------------------------------------

    def _unbundled(self, node: Node, found: Unpacked, pinned: bool) -> _Done:
        if found.timestamp != self._anchor.timestamp:
            raise BadAnswer(
                f"{node.name} answered about another block (of time {found.timestamp}, not {self._anchor.timestamp})",
                source=node.name,
                hint="its backends are not in step: use another node, or an older block (--block safe)",
            )
        outcomes: list[Outcome] = [data if success else Refusal(reason_of(data)) for success, data in found.results]
        unsure = tuple(at for at, (success, data) in enumerate(found.results) if not success and not data)
        return _Done(outcomes, pinned, () if found.ample or len(outcomes) == 1 else unsure)

    def _too_much(self, node: Node, fault: Fault, calls: int) -> _TooMuch:
        """What a fault of a whole bundle means: cut it, or the error that it is."""
        if fault.kind is Kind.HEAVY:
            return _TooMuch(-(-calls // 2), f"too much for {node.name}: {fault.message!r}")
        raise error_of(fault, node.name)

    def _ask(self, node: Node, requests: Callable[[object], list[Request]]) -> tuple[list[Reply], bool]:
        """Replies about the anchor, and whether they were asked for by its hash: by number where the node cannot (`by_number` then)."""
        number = hex(self._anchor.number)
        if node.by_hash is not False:
            replies = self._pool.ask(node, requests({"blockHash": self._anchor.hash, "requireCanonical": True}))
            lost = [reply for reply in replies if isinstance(reply, Fault) and reply.kind in _MISSING]
            if not lost:
                node.by_hash = True
                return replies, True
            if any(fault.kind is not Kind.INCAPABLE for fault in lost):
                self.check(node)
        replies = self._pool.ask(node, requests(number))
        if not any(isinstance(reply, Fault) and reply.kind in _MISSING for reply in replies):
            if node.by_hash is not False:
                self._pool.note(f"{node.name} reads by block number only: the block's hash is compared at the end")
            node.by_hash = False
            self.by_number = True
        return replies, False

    def check(self, node: Node) -> None:
        """Raise `Reorged` where the node has another block at the anchor's number, `BlockUnavailable` where it has none."""
        number, name = self._anchor.number, self._anchor.chain.name
        reply = self._pool.ask(node, [Request("eth_getBlockByNumber", (hex(number), False))])[0]
        if isinstance(reply, Fault):
            raise error_of(reply, node.name)
        if not isinstance(reply, dict):
            raise BlockUnavailable(
                f"{node.name} does not have block {number} of {name} any more",
                source=node.name,
                hint="its backends are not in step: scan again",
            )
        if str(reply.get("hash")).lower() != self._anchor.hash:
            raise Reorged(
                f"{node.name} has another block {number} of {name} than when the scan began",
                source=node.name,
                hint="scan again, or read a settled block with confirmations or --block safe",
            )


def planned(probes: Sequence[Probe]) -> Iterator[tuple[int, ...]]:
    """Indices in runs of bounded count and size."""
    run: list[int] = []
    size = 0
    for index, probe in enumerate(probes):
        if run and (len(run) == MOST_CALLS or size + probe.size > MOST_BYTES):
            yield tuple(run)
            run, size = [], 0
        run.append(index)
        size += probe.size
    if run:
        yield tuple(run)


def _cut(indices: tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    return [indices[at : at + size] for at in range(0, len(indices), max(1, size))]


def _call(to: bytes, data: bytes) -> dict[str, str]:
    return {"to": "0x" + to.hex(), "data": "0x" + data.hex()}


def _single(probe: Probe, block: object) -> Request:
    if probe.data is None:
        return Request("eth_getBalance", ("0x" + probe.to.hex(), block))
    return Request("eth_call", (_call(probe.to, probe.data), block))


def _outcome(probe: Probe, reply: Reply, node: Node) -> Outcome:
    """What a single call gave."""
    if not isinstance(reply, Fault):
        return jsonrpc.quantity_of(reply, node.name).to_bytes(32, "big") if probe.data is None else jsonrpc.data_of(reply, node.name)
    if reply.kind is Kind.REVERT:
        return Refusal(reason_of(reply.data) if reply.data or reply.message == "execution reverted" else f"reverted: {reply.message!r}")
    return Refusal(f"broke off: {reply.message!r}", lasting=reply.kind is Kind.HALT)
