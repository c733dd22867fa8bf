"""Makes recordings: runs readings against a live source and keeps every read and question with its answer, and what the readings gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from defi_risk import engine
from defi_risk.errors import StoreError
from defi_risk.ids import AssetId
from defi_risk.model import FactorRef, Owner
from defi_risk.replay import Outcome, Read, Recording, answer_of, case_of, described, outcome_of, public, read_of
from defi_risk.spi import Adapter, Ask, Context, InfoCall, Market


class Recorder:
    """A source that hands on to another one and remembers. Answers are kept in their canonical encoding.

    The chain stands still at its anchor, a service does not: what it was asked before it is not asked again, its first answer holds.
    """

    def __init__(self, source: engine.Source) -> None:
        self.anchor = source.anchor
        self.answers: dict[Read, Outcome] = {}
        self._source = source

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """The live answers, each checked to come out of the recording as it went in."""
        fresh = [ask for ask in asks if not self._heard(ask)]
        live = dict(zip(fresh, self._source.answer(fresh), strict=True))
        for ask, answer in live.items():
            self._keep(ask, answer)
        return [live[ask] if ask in live else answer_of(ask, self.answers[read_of(ask)]) for ask in asks]

    def _heard(self, ask: Ask) -> bool:
        return isinstance(ask, InfoCall) and read_of(ask) in self.answers

    def _keep(self, ask: Ask, answer: Any) -> None:
        """Keep the bytes of an answer. One read may be asked as two types (a symbol as text and as bytes32): the one that fits tells."""
        read, outcome = read_of(ask), outcome_of(ask, answer)
        if isinstance(outcome, bytes):
            before = self.answers.get(read, outcome)
            if (isinstance(before, bytes) and before != outcome) or answer_of(ask, outcome) != answer:
                raise StoreError(f"the answer to {described(ask)} cannot be recorded")
            self.answers[read] = outcome
        else:
            self.answers.setdefault(read, outcome)


class _Noted(Mapping[AssetId, FactorRef]):
    """A factor table that notes what is looked up, so that a recording keeps only that; all of it once somebody lists it."""

    def __init__(self, table: Mapping[AssetId, FactorRef]) -> None:
        self._table = table
        self._used: set[AssetId] = set()

    def __getitem__(self, asset: AssetId) -> FactorRef:
        self._used.add(asset)
        return self._table[asset]

    def __iter__(self) -> Iterator[AssetId]:
        self._used.update(self._table)
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def used(self) -> dict[AssetId, FactorRef]:
        """The entries that were looked up."""
        return {asset: ref for asset, ref in self._table.items() if asset in self._used}


def record(name: str, source: engine.Source, adapter: Adapter, tasks: Sequence[tuple[Owner, Market]], context: Context) -> Recording:
    """Read every task and make one recording of it all. Raises what the readings raise."""
    recorder = Recorder(source)
    noted = _Noted(context.factors)
    seen = replace(context, factors=noted)
    cases = []
    for owner, market in tasks:
        found = engine.run(recorder, adapter.read(owner, market, seen))
        cases.append(case_of(owner, market, found))
    kept = replace(
        context,
        factors=noted.used(),
        heartbeats=_used_heartbeats(context, recorder.answers),
        markets=tuple(public(market) for market in context.markets),
    )
    return Recording(name, source.anchor, kept, recorder.answers, tuple(cases))


def _used_heartbeats(context: Context, answers: Mapping[Read, Outcome]) -> dict[str, int]:
    """Heartbeats of the feeds that were asked."""
    asked = {read.to for read in answers}
    return {feed: seconds for feed, seconds in context.heartbeats.items() if feed in asked}
