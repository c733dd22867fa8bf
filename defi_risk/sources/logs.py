"""Transfers in the logs of one chain: a few tokens, to and from a few wallets, at or below the anchor.

All that is looked for is asked for at once: for each range of blocks one request for what leaves the wallets and one for what reaches
them, and with them the anchor's block, whose hash must still be the one that was read. Nodes differ in how many blocks they look
through, so the whole look-back is tried first and then parts of it, newest first, in sizes that nodes are known to take. What is not
reached within `MOST_ROUNDS` is left out, with a note: whoever follows transfers knows from which block on they are all there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, cast

from defi_risk.errors import BadAnswer, Incapable, RateLimited, Reorged, TimedOut, Unreachable
from defi_risk.ids import Address, address_of, keccak256
from defi_risk.linking import Mark, Search, Seen, Transfer
from defi_risk.model import TRANSFER, Anchor
from defi_risk.sources import jsonrpc
from defi_risk.sources.clock import Deadline
from defi_risk.sources.faults import Fault, Kind, error_of
from defi_risk.sources.pool import Node, Pool
from defi_risk.sources.rpc import Reply, Request

MOST_WALLETS: Final = 50
MOST_ROUNDS: Final = 8
MOST_RANGES: Final = 8
"""Ranges of blocks that one round asks for."""
MOST_TRANSFERS: Final = 5_000
SIZES: Final = (100_000, 10_000, 2_000, 500, 100)
"""Blocks in a range, where a node refuses more: limits that public nodes have."""
_NO_METHOD: Final = -32601
_LIMIT_EXCEEDED: Final = -32005  # of some nodes for too many results, of others for too many requests
_WORD: Final = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_PADDING: Final = "0x" + "0" * 24

Range: TypeAlias = tuple[int, int]
"""First and last block."""
Found: TypeAlias = "dict[tuple[int, int], Transfer | Mark]"
"""What logs told, by block and place in it."""


@dataclass(frozen=True, slots=True)
class _Much:
    """A range that a node did not look through, and why. `whole`: because of all that was asked with it."""

    reason: str
    whole: bool = False


class _Way:
    """How far down from the anchor all is known, and in which steps it goes on. `top` is the newest block that is not known yet."""

    def __init__(self, floor: int, top: int) -> None:
        self.top = top
        self._floor = floor
        self._sizes = [top - floor + 1, *(size for size in SIZES if size < top - floor + 1)]
        self._at_once = 1
        self._most = MOST_RANGES
        self._refusal = ""

    @property
    def ended(self) -> bool:
        """Whether all is known, or no smaller step is left."""
        return self.top < self._floor or not self._sizes

    def ranges(self) -> list[Range]:
        """What to ask for next, newest first. One alone as long as it is not known whether a range of this size is answered."""
        tops = range(self.top, self._floor - 1, -self._sizes[0])[: self._at_once]
        self._at_once = len(tops)
        return [(max(self._floor, top - self._sizes[0] + 1), top) for top in tops]

    def reached(self, first: int) -> None:
        """All is known from this block on."""
        self.top, self._at_once = first - 1, self._most

    def refused(self, much: _Much) -> None:
        """Fewer ranges at once where they were too much together, else smaller ones."""
        if much.whole:
            self._at_once = self._most = self._at_once // 2
        else:
            self._sizes.pop(0)
            self._refusal = much.reason

    def given_up(self, why: str) -> None:
        """Nothing more is answered."""
        self._sizes.clear()
        self._refusal = why

    def reason(self) -> str:
        """Why not all is known."""
        return f"no time was left, or {MOST_ROUNDS} rounds were not enough" if self._sizes else self._refusal


class LogReader:
    """Reads logs through a pool. `calls` counts the requests."""

    def __init__(self, pool: Pool, anchor: Anchor, admit: Callable[[Node], None]) -> None:
        self.calls = 0
        self._pool: Final = pool
        self._anchor: Final = anchor
        self._admit: Final = admit

    def read(self, search: Search, blocks: int, limit: Deadline) -> Seen:
        """What the newest `blocks` up to the anchor told, or the newest of them; no round begins after `limit`.

        Raises `SourceError` where no node tells anything, or one tells what cannot be.
        """
        floor = max(0, self._anchor.number - blocks + 1)
        way = _Way(floor, self._anchor.number)
        found: Found = {}
        for _ in range(MOST_ROUNDS):
            if way.ended or limit.left() <= 0:
                break
            ranges = way.ranges()
            try:
                answers = self._round(search, ranges)
            except (TimedOut, Unreachable, RateLimited) as error:
                if way.top == self._anchor.number:
                    raise
                way.given_up(error.message)
                break
            for (first, _), answer in zip(ranges, answers, strict=True):
                if isinstance(answer, _Much):
                    way.refused(answer)
                    break
                if len(found) + len(answer) > MOST_TRANSFERS:
                    way.refused(_Much(f"there are more than {MOST_TRANSFERS:,}"))
                    break
                found |= answer
                way.reached(first)
        if way.top >= floor:
            known = f"transfers are known from block {way.top + 1} on, not from {floor}"
            self._pool.note(f"{known if way.top < self._anchor.number else 'transfers could not be looked for'}: {way.reason()}")
        transfers = [one for _, one in sorted(found.items()) if isinstance(one, Transfer)]
        return Seen(search.chain, way.top + 1, tuple(transfers), frozenset(one for one in found.values() if isinstance(one, Mark)))

    def _round(self, search: Search, ranges: Sequence[Range]) -> list[Found | _Much]:
        before = self._pool.waits()
        self._pool.plan(1)
        try:
            return self._pool.run(partial(self._on, search, ranges), self._admit, patient=False)
        finally:
            self._pool.round_trips += self._pool.waits() - before

    def _on(self, search: Search, ranges: Sequence[Range], node: Node) -> list[Found | _Much]:
        """One round on one node."""
        requests = [request for one in ranges for request in _requests(search, one)]
        requests.append(Request("eth_getBlockByNumber", (hex(self._anchor.number), False)))
        self.calls += len(requests)
        if node.batches is False:
            self._pool.plan(len(requests))
        try:
            *replies, head = self._pool.ask(node, requests)
        except (BadAnswer, Incapable) as error:
            if isinstance(error, Incapable) and len(ranges) == 1:
                raise
            return [_Much(error.message, whole=len(ranges) > 1)] * len(ranges)
        self._check(head, node)
        read = _Logs(search, self._anchor, node.name)
        return [read.pair(one, replies[2 * at : 2 * at + 2]) for at, one in enumerate(ranges)]

    def _check(self, head: Reply, node: Node) -> None:
        """Raise `Reorged` where the node's block of the anchor's number is another one, or `SourceError` where it does not tell."""
        if isinstance(head, Fault):
            raise error_of(head, node.name)
        digest = cast("Mapping[str, object]", head).get("hash") if isinstance(head, dict) else None
        if str(digest).lower() != self._anchor.hash:
            raise Reorged(f"{node.name} has another block {self._anchor.number} of {self._anchor.chain.name} than the one that was read")


def _requests(search: Search, blocks: Range) -> list[Request]:
    """One request for what leaves the wallets, and one for what reaches them."""
    wallets = [_PADDING + wallet[2:].lower() for wallet in search.wallets]
    where = {"fromBlock": hex(blocks[0]), "toBlock": hex(blocks[1]), "address": list(search.contracts)}
    leaving = [[topic(TRANSFER), *map(topic, search.events)], wallets]
    reaching = [topic(TRANSFER), None, wallets]
    return [Request("eth_getLogs", ({**where, "topics": topics},)) for topics in (leaving, reaching)]


def topic(event: str) -> str:
    """The first topic of an event's logs."""
    return "0x" + keccak256(event.encode()).hex()


class _Logs:
    """Decodes the logs of one node, strictly: what was not asked for is `BadAnswer`."""

    def __init__(self, search: Search, anchor: Anchor, node: str) -> None:
        self._anchor = anchor
        self._node = node
        self._events = {topic(event): event for event in (TRANSFER, *search.events)}
        self._contracts = {contract.lower(): contract for contract in search.contracts}
        self._wallets = frozenset(search.wallets)

    def pair(self, blocks: Range, replies: Sequence[Reply]) -> Found | _Much:
        """Both answers about a range as one: a transfer between two wallets stands in both."""
        found: Found = {}
        for reply in replies:
            if isinstance(reply, Fault):
                return self._refused(reply)
            if not isinstance(reply, list):
                raise self._bad("something that is no list of logs")
            for log in cast("list[object]", reply):
                place, one = self._log(log, blocks)
                if one is not None and found.setdefault(place, one) != one:
                    raise self._bad("two logs at one place")
        return found

    def _refused(self, fault: Fault) -> _Much:
        """Most refusals are about the size of what was asked, whatever they say. Raises `SourceError` for one that is not."""
        busy = fault.kind is Kind.RATE and fault.code != _LIMIT_EXCEEDED
        if fault.code == _NO_METHOD or fault.kind is Kind.REFUSED or busy:
            raise error_of(fault, self._node)
        return _Much(f"{self._node} answered {fault.message!r}")

    def _log(self, log: object, blocks: Range) -> tuple[tuple[int, int], Transfer | Mark | None]:
        """One log: block, place in it, and what it tells; None for nothing, such as a transfer of 0."""
        if not isinstance(log, dict):
            raise self._bad("something that is no log")
        fields = cast("Mapping[str, object]", log)
        block, index = (jsonrpc.quantity_of(fields.get(name), self._node) for name in ("blockNumber", "logIndex"))
        if not blocks[0] <= block <= blocks[1] or fields.get("removed"):
            raise self._bad("a log of a block that was not asked for")
        if block == self._anchor.number and self._text(fields.get("blockHash"), _WORD) != self._anchor.hash:
            raise self._bad("a log of another block than the one that was read")
        contract = self._contracts.get(self._text(fields.get("address"), _ADDRESS))
        topics = fields.get("topics")
        if contract is None or not isinstance(topics, list) or not 2 <= len(cast("list[object]", topics)) <= 4:
            raise self._bad("a log that was not asked for")
        words = [self._text(word, _WORD) for word in cast("list[object]", topics)]
        event = self._events.get(words[0], "")
        transaction = self._text(fields.get("transactionHash"), _WORD)
        data = jsonrpc.data_of(fields.get("data"), self._node)
        return (block, index), self._told(event, contract, words, data, (block, index, transaction))

    def _told(
        self, event: str, contract: Address, words: Sequence[str], data: bytes, place: tuple[int, int, str]
    ) -> Transfer | Mark | None:
        block, index, transaction = place
        if event == TRANSFER and len(words) == 3 and len(data) == 32:
            source, target = self._address(words[1]), self._address(words[2])
            if source in self._wallets or target in self._wallets:
                value = int.from_bytes(data, "big")
                return Transfer(contract, source, target, value, block, index, transaction) if value else None
        elif event == TRANSFER:
            return None  # another kind of token
        elif event and (about := self._address(words[1])) in self._wallets:
            return Mark(contract, event, about, transaction)
        raise self._bad("a log that was not asked for")

    def _address(self, word: str) -> Address:
        if not word.startswith(_PADDING):
            raise self._bad("a log about something that is no address")
        return address_of(bytes.fromhex(word[26:]))

    def _text(self, value: object, form: re.Pattern[str]) -> str:
        """Hex text of a form, in lower case."""
        text = value.lower() if isinstance(value, str) and len(value) <= 66 else ""
        if not form.fullmatch(text):
            raise self._bad("a log with a malformed field")
        return text

    def _bad(self, what: str) -> BadAnswer:
        return BadAnswer(f"{self._node} answered {what}", source=self._node)
