"""One chain at one block, and the services that venues run beside it: the asks of adapters in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from defi_risk import __version__, abi
from defi_risk.errors import BadAnswer, CallReverted, DefiRiskError, PluginError, ServiceFailed, UsageError
from defi_risk.ids import Address
from defi_risk.linking import Search, Seen
from defi_risk.model import Anchor, Chain
from defi_risk.sources import anchor as anchors
from defi_risk.sources.cache import Cache
from defi_risk.sources.clock import Deadline
from defi_risk.sources.info import Question, Services, question_of
from defi_risk.sources.logs import LogReader
from defi_risk.sources.multicall import Outcome, Reader, Refusal, planned
from defi_risk.sources.packing import Probe
from defi_risk.sources.pool import Pool
from defi_risk.sources.rpc import Endpoint, Revealing
from defi_risk.spi import Ask, Call, Failed, InfoCall, NativeBalance

if TYPE_CHECKING:
    from defi_risk.sources.line import Limits

MULTICALL3: Final = Address("0xcA11bde05977b3631167028862bE2a173976CA11")
FOREVER: Final = 30 * 86_400.0
_DEVELOPMENT: Final = (1337, 31337)  # chains that are rebuilt under one genesis: nothing there is forever


class ChainSource:
    """Answers asks about one chain at its anchor. Make one with `open`, in a `with` block or with `close` at the end.

    `absent` are those of the roots asked about that have no code at the anchor. `calls` counts the distinct reads sent to nodes and the
    questions to services, `round_trips` how often the scan waited for them (for both at once where both are asked), `notes` are
    findings that do no harm.
    """

    def __init__(self, pool: Pool, chosen: anchors.Chosen, reader: Reader, services: Services, cache: Cache | None) -> None:
        self.anchor: Final[Anchor] = chosen.anchor
        self.absent: Final = chosen.absent
        self.calls = 0
        self._pool: Final = pool
        self._genesis: Final = chosen.genesis
        self._reader: Final = reader
        self._services: Final = services
        self._waits_for_services = 0
        self._cache: Final = cache if chosen.genesis else None
        self._lasting: Final[dict[Probe, Outcome]] = {}

    @classmethod
    def open(
        cls,
        chain: Chain,
        endpoints: Sequence[Revealing | str],
        *,
        deadline: Deadline,
        block: str | int = "latest",
        confirmations: int = 0,
        multicall3: Address | None = None,
        cache: Cache | None = None,
        limits: Limits | None = None,
        roots: Sequence[Address] = (),
    ) -> ChainSource:
        """Choose the anchor of a chain. `endpoints` are http(s) URLs, tried in order; `roots` are contracts that may not stand there.

        Raises `UsageError` for what is no URL or block, and `SourceError` where no node can give the anchor.
        """
        if not endpoints:
            raise UsageError(f"no node for {chain.name}", hint=f"give one with --rpc {chain.name}=URL")
        at = anchors.block_of(block)
        standing = multicall3 or MULTICALL3
        pool = Pool(chain.name, [Endpoint(url, deadline, limits) for url in endpoints], deadline)
        wanted = anchors.Wanted(chain, at, confirmations, standing, cache is not None, tuple(roots))
        try:
            chosen = anchors.choose(pool, wanted)
        except BaseException:
            pool.close()
            raise
        admit = partial(anchors.admit, pool, wanted, chosen.anchor)
        reader = Reader(pool, chosen.anchor, bytes.fromhex(standing[2:]), admit)
        return cls(pool, chosen, reader, Services(deadline, limits), cache)

    @property
    def round_trips(self) -> int:
        return self._pool.round_trips + self._waits_for_services

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._pool.notes)

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """One answer an ask: its value; `Failed` for an optional ask that failed; the error of another one, not raised.

        Raises `SourceError` where the nodes fail. A service that fails is the error of its own asks, never of the others.
        """
        reads = [ask for ask in asks if not isinstance(ask, InfoCall)]
        questions = {ask: question_of(ask) for ask in asks if isinstance(ask, InfoCall)}
        distinct = dict.fromkeys(question for question in questions.values() if isinstance(question, Question))
        before = self.round_trips
        with self._services.ask(distinct) as under_way:
            read = iter(self._answers(reads))
            heard = under_way.answers()
        self.calls += len(distinct)
        self._waits_for_services += bool(distinct) and self.round_trips == before
        return [_heard(ask, questions[ask], heard) if isinstance(ask, InfoCall) else next(read) for ask in asks]

    def _answers(self, asks: Sequence[Call | NativeBalance]) -> list[Any]:
        """Answers to the reads of the chain."""
        probes: list[Probe | DefiRiskError] = [_probe(ask) for ask in asks]
        forever = {
            probe for ask, probe in zip(asks, probes, strict=True) if isinstance(ask, Call) and ask.forever and isinstance(probe, Probe)
        }
        distinct = dict.fromkeys(probe for probe in probes if isinstance(probe, Probe))
        known = self._remembered(forever)
        outcomes = known | self._read([probe for probe in distinct if probe not in known])
        self._remember({probe: outcome for probe, outcome in outcomes.items() if probe in forever and probe not in known})
        return [
            probe if isinstance(probe, DefiRiskError) else _answer(ask, outcomes[probe]) for ask, probe in zip(asks, probes, strict=True)
        ]

    def finish(self) -> None:
        """Make sure that all was read in the anchor's chain. Raises `Reorged`, or `SourceError` where no node can tell.

        It asks nothing where every read was pinned by the block's hash.
        """
        self._reader.finish()

    def transfers(self, search: Search, blocks: int, limit: Deadline) -> Seen:
        """What the logs of the newest `blocks` up to the anchor tell, or the newest of them; nothing more is asked after `limit`.

        Raises `SourceError` where no node tells anything. A node that looks through fewer blocks is a note.
        """
        reader = LogReader(self._pool, self.anchor, self._reader.admit)
        try:
            return reader.read(search, blocks, limit)
        finally:
            self.calls += reader.calls

    def note(self, text: str) -> None:
        """Add a finding that does no harm."""
        self._pool.note(text)

    def park(self) -> None:
        """Close what the present thread has open, so that another one can go on with the source."""
        if self._cache is not None:
            self._cache.close()

    def close(self) -> None:
        """Close connections."""
        self._pool.close()
        self._services.close()
        if self._cache is not None:
            self._cache.close()

    def __enter__(self) -> ChainSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(self, probes: Sequence[Probe]) -> dict[Probe, Outcome]:
        """Outcomes from the cache by whole runs of reads, and from the nodes for the rest."""
        runs = [[probes[index] for index in run] for run in planned(probes)]
        outcomes: dict[Probe, Outcome] = {}
        missing: list[tuple[str, list[Probe]]] = []
        for run in runs:
            key = self._key(self.anchor.hash, run)
            found = _unpack(self._cache.get(key), len(run)) if self._cache else None
            if found is None:
                missing.append((key, run))
            else:
                outcomes.update(zip(run, found, strict=True))
        asked = [probe for _, run in missing for probe in run]
        if not asked:
            return outcomes
        self.calls += len(asked)
        answered, pinned = self._reader.read(asked)
        outcomes.update(zip(asked, answered, strict=True))
        if self._cache and pinned:
            packed = {key: _pack([outcomes[probe] for probe in run]) for key, run in missing}
            self._cache.put({key: value for key, value in packed.items() if value is not None})
        return outcomes

    def _remembered(self, probes: set[Probe]) -> dict[Probe, Outcome]:
        """Answers that never change, from this scan or an earlier one."""
        known = {probe: self._lasting[probe] for probe in probes if probe in self._lasting}
        if self._cache and self.anchor.chain.id not in _DEVELOPMENT:
            for probe in probes - known.keys():
                if data := self._cache.get(self._key("forever", [probe])):
                    known[probe] = self._lasting[probe] = data
        return known

    def _remember(self, outcomes: Mapping[Probe, Outcome]) -> None:
        good = {probe: data for probe, data in outcomes.items() if isinstance(data, bytes) and data}
        self._lasting.update(good)
        if self._cache and good and not self._reader.by_number and self.anchor.chain.id not in _DEVELOPMENT:
            self._cache.put({self._key("forever", [probe]): data for probe, data in good.items()}, seconds=FOREVER)

    def _key(self, where: str, probes: Sequence[Probe]) -> str:
        digest = blake2b(digest_size=20)
        for probe in probes:
            body = b"balance" if probe.data is None else b"call" + probe.data
            digest.update(probe.to + len(body).to_bytes(4, "big") + body)
        return f"{__version__}/{self.anchor.chain.id}/{self._genesis}/{where}/{digest.hexdigest()}"


def _probe(ask: Call | NativeBalance) -> Probe | DefiRiskError:
    """The bytes of an ask, or the error of one that cannot be encoded."""
    try:
        if isinstance(ask, NativeBalance):
            return Probe(bytes.fromhex(ask.owner[2:]), None)
        return Probe(bytes.fromhex(ask.to[2:]), abi.encode(ask))
    except DefiRiskError as error:
        return error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        name = ask.function if isinstance(ask, Call) else "balance"
        return PluginError(f"{name} was asked with arguments that its ABI does not take ({type(error).__name__})")


def _answer(ask: Call | NativeBalance, outcome: Outcome) -> Any:
    """What the adapter gets for an outcome."""
    name = f"{ask.function} of {ask.to}" if isinstance(ask, Call) else f"balance of {ask.owner}"
    if isinstance(outcome, Refusal):
        error: DefiRiskError = (CallReverted if outcome.lasting else BadAnswer)(f"{name}: {outcome.reason}")
    else:
        try:
            return abi.decode(ask, outcome) if isinstance(ask, Call) else int.from_bytes(outcome, "big")
        except BadAnswer as bad:
            error = type(bad)(f"{name}: {bad.message}", hint=bad.hint)
    return Failed(str(error)) if ask.optional else error


def _heard(ask: InfoCall, question: Question | ServiceFailed, heard: Mapping[Question, Any]) -> Any:
    """What the adapter gets for a question to a service."""
    answer = heard[question] if isinstance(question, Question) else question
    return Failed(str(answer)) if ask.optional and isinstance(answer, DefiRiskError) else answer


def _pack(outcomes: Sequence[Outcome]) -> bytes | None:
    """Outcomes as bytes, or None where one of them may not be kept."""
    if any(isinstance(outcome, Refusal) and not outcome.lasting for outcome in outcomes):
        return None
    pairs = ((b"\0", outcome.reason.encode()) if isinstance(outcome, Refusal) else (b"\1", outcome) for outcome in outcomes)
    return b"".join(part for mark, body in pairs for part in (mark, len(body).to_bytes(4, "big"), body))


def _unpack(packed: bytes | None, count: int) -> list[Outcome] | None:
    """What `_pack` made; None for anything else."""
    outcomes = list(_items(packed)) if packed is not None else []
    return outcomes if len(outcomes) == count else None


def _items(packed: bytes) -> Iterator[Outcome]:
    at = 0
    while at < len(packed):
        end = at + 5 + int.from_bytes(packed[at + 1 : at + 5], "big")
        body = packed[at + 5 : end]
        yield body if packed[at] else Refusal(body.decode("utf-8", "replace"))
        at = end
