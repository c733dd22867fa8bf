"""Several nodes of one chain as one: tried in order, agreeing on the chain and the block, rested when they fail, never punished for what
the chain itself says.

A node is put aside for the scan only for a refusal or a lie (wrong chain, another block under the same number). Everything else makes
it rest, and the next one is asked; the same question goes out at most three times unless there are more nodes than that.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from defi_risk.errors import (
    BadAnswer,
    BlockUnavailable,
    Disagreement,
    Incapable,
    RateLimited,
    Refused,
    Reorged,
    SourceError,
    TimedOut,
    Unreachable,
    WrongChain,
)
from defi_risk.sources.clock import Deadline
from defi_risk.sources.rpc import Endpoint, Reply, Request

_R = TypeVar("_R")
TRIES: Final = 3
_FIRST_REST: Final = 0.15  # seconds; doubles with each failure in a row
_LONGEST_REST: Final = 5.0
_EXTRA: Final = 8  # requests a node beyond the plan, to find out what it offers
_LASTING = (Refused, WrongChain, Disagreement)
# what the user can do most about comes first when every node failed for its own reason
_TELLING: Final = (WrongChain, Disagreement, Reorged, Refused, BlockUnavailable, Incapable, RateLimited, BadAnswer, TimedOut)


@dataclass(eq=False)
class Node:
    """One endpoint and what this scan has learnt about it. None means: not tried yet."""

    endpoint: Endpoint
    order: int
    batches: bool | None = None
    by_hash: bool | None = None
    overrides: bool | None = None
    multicall3: bool | None = None
    agreed: bool = False  # serves the chain and holds the anchor's block under the anchor's hash
    out: SourceError | None = None  # why it is out for this scan
    failures: int = 0  # in a row
    rest_until: float = 0.0
    batch_size: int = 100
    worked: int = 0  # the most calls that one request held after larger ones had failed
    failed: int = 0  # the fewest calls that were too many

    @property
    def name(self) -> str:
        return self.endpoint.name


class Pool:
    """The nodes of one chain within one deadline. `notes` are findings that do no harm; `name` is the chain's."""

    def __init__(self, name: str, endpoints: Sequence[Endpoint], deadline: Deadline) -> None:
        self.name: Final = name
        self.deadline: Final = deadline
        self.nodes: Final = [Node(endpoint, order) for order, endpoint in enumerate(endpoints)]
        self.notes: Final[list[str]] = []
        self.round_trips = 0
        self._lock: Final = threading.Lock()
        self._waited: Final = threading.local()
        self._planned = 0
        self._sent = 0
        self._spent = False
        self._jitter: Final = random.Random(0x5EED)  # noqa: S311  # spreads retries, protects nothing

    def note(self, text: str) -> None:
        """Remember a finding once."""
        with self._lock:
            if text not in self.notes:
                self.notes.append(text)

    def plan(self, requests: int) -> None:
        """Announce requests. Faults may make us send three times as many in all, and a few to find out what nodes offer, not more."""
        with self._lock:
            self._planned += requests

    def waits(self) -> int:
        """How many answers the present thread has waited for so far."""
        return getattr(self._waited, "count", 0)

    def ask(self, node: Node, requests: Sequence[Request]) -> list[Reply]:
        """Replies of one node: one batch where it takes batches, else one request after the other (which is noted).

        Raises `Incapable` where a node that took batches before refuses this one.
        """
        if len(requests) > 1 and node.batches is not False:
            try:
                self._spend(node)
                replies = node.endpoint.batch(requests)
            except Incapable:
                if node.batches:
                    raise
                node.batches = False
                self.note(f"{node.name} takes no batches: requests are sent one by one")
                self.plan(len(requests))
            else:
                node.batches = True
                return replies
        replies = []
        for request in requests:
            self._spend(node)
            replies.append(node.endpoint.single(request))
        return replies

    def _spend(self, node: Node) -> None:
        with self._lock:
            self._sent += 1
            self._spent = self._sent > TRIES * self._planned + _EXTRA * len(self.nodes)
        if self._spent:
            raise Unreachable(f"{node.name}: gave up after {self._sent - 1} requests instead of {self._planned}", source=node.name)
        self._waited.count = self.waits() + 1

    def run(self, job: Callable[[Node], _R], admit: Callable[[Node], None], *, patient: bool = True) -> _R:
        """Do a job on the first node that can, and on others or again while it fails for reasons of the node.

        `admit` is asked before a node's first use and raises where it does not agree with the anchor. Where not `patient`, a node
        that gave no answer in time is not asked the same again. Raises the most telling `SourceError` once every way is tried, or time
        is up.
        """
        errors: list[SourceError] = []
        passed: set[Node] = set()
        for _ in range(max(TRIES, len(self.nodes))):
            node = self._next(passed)
            if node is None:
                break
            try:
                if not node.agreed:
                    admit(node)
                    node.agreed = True
                result = job(node)
            except SourceError as error:
                errors.append(error)
                self.judge(node, error)
                if not error.retryable or (isinstance(error, TimedOut) and not patient):
                    passed.add(node)
            else:
                node.failures = 0
                return result
        raise self.verdict(errors)

    def close(self) -> None:
        """Close every node's idle connections."""
        for node in self.nodes:
            node.endpoint.close()

    def judge(self, node: Node, error: SourceError) -> None:
        """What a failure means for the node that it came from."""
        with self._lock:
            if isinstance(error, _LASTING):
                node.out = error
            node.failures += 1
            rest = min(_LONGEST_REST, _FIRST_REST * 2 ** (node.failures - 1)) * self._jitter.uniform(0.7, 1.3)
            if isinstance(error, RateLimited):
                rest = error.retry_after if error.retry_after is not None else rest * 5
            node.rest_until = self.deadline.clock.now() + rest
        if len(self.nodes) > 1:
            self.note(f"worked around: {error.message}")

    def rest(self, nodes: Sequence[Node]) -> bool:
        """Sleep until the first of these nodes is rested; False where that is after the deadline."""
        wait = min(node.rest_until for node in nodes) - self.deadline.clock.now()
        if wait >= self.deadline.left():
            return False
        if wait > 0:
            self.deadline.clock.sleep(wait)
        return True

    def verdict(self, errors: Sequence[SourceError]) -> SourceError:
        """The one error that tells why no node could answer."""
        every = [*errors, *(node.out for node in self.nodes if node.out and node.out not in errors)]
        if not every:
            return self.deadline.missed(self.name)
        best = min(every, key=lambda error: next((at for at, kind in enumerate(_TELLING) if isinstance(error, kind)), len(_TELLING)))
        others = dict.fromkeys(error.message for error in every if error.source != best.source)
        if others:
            best.hint = "; ".join([*([best.hint] if best.hint else []), *others])
        return best

    def _next(self, passed: set[Node]) -> Node | None:
        """The node to ask next, after its rest where none is rested. None where there is none, or no time to wait for it."""
        able = [node for node in self.nodes if node.out is None and node not in passed]
        if not able or self._spent or self.deadline.left() <= 0:
            return None
        now = self.deadline.clock.now()
        rested = [node for node in able if node.rest_until <= now]
        if rested:
            return min(rested, key=lambda node: (node.failures, node.order))
        return min(able, key=lambda node: node.rest_until) if self.rest(able) else None
