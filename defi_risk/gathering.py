"""The first half of a scan: from wallets and a book to margin accounts, priced in USD, and reports of how reading them went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from defi_risk import desks, engine, ens, histories, manual, markets, registry, sequencer, targets, trails
from defi_risk.book import Book, ChainSettings, MarketSettings, load
from defi_risk.engine import Findings, Job, Progress
from defi_risk.errors import SourceError, UsageError
from defi_risk.ids import Address, Factor
from defi_risk.linking import Link
from defi_risk.markets import OWN, VERIFIED
from defi_risk.model import PRICES, Account, Anchor, Chain, Owner, SourceReport
from defi_risk.pricing import PriceBook, resolve
from defi_risk.secrets import Secret
from defi_risk.secrets import resolve as resolve_secret
from defi_risk.service_reports import united
from defi_risk.sources.anchor import TAGS
from defi_risk.sources.cache import Cache
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Crew, Deadline
from defi_risk.spi import Context, Market
from defi_risk.targets import ChainTarget
from defi_risk.text import shown

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory

ENS_CHAIN: Final = "ethereum"


@dataclass(frozen=True, slots=True)
class _Chain:
    """How reading one chain ended. The source is still open where all went well."""

    findings: Findings
    report: SourceReport
    source: ChainSource | None = None

    def told(self, seconds: float) -> SourceReport:
        """The report, with what was asked and noted since, in so many seconds."""
        source, before = self.source, self.report
        if source is None or (source.calls, source.notes) == (before.calls, before.notes):
            return before
        notes = tuple(dict.fromkeys((*before.notes, *source.notes)))
        return replace(before, calls=source.calls, round_trips=source.round_trips, notes=notes, seconds=before.seconds + seconds)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What all sources of a book gave, priced in USD, before any figure: what `judge` and plans start from.

    `links` are those that transfers on chain prove.
    """

    book: Book
    accounts: tuple[Account, ...]
    quotes: Mapping[Factor, float]
    reports: tuple[SourceReport, ...]
    history: PriceHistory | None = None
    links: tuple[Link, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a source of accounts failed, so that some may be missing altogether; lost price histories hide no account."""
        return any(report.status == "failed" and not report.id.startswith(PRICES) for report in self.reports)


def gather(
    wallets: Sequence[str] = (),
    *,
    book: Book | str | Path | None = None,
    rpc: Mapping[str, str | Secret | Sequence[str | Secret]] | None = None,
    block: str | int = "latest",
    market_settings: Sequence[MarketSettings] = (),
    deadline: float = 30.0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Gathered:
    """Read wallets and a book, at one block a chain.

    `wallets` are addresses or ENS names; `book` a book or its file; `rpc` node URLs by chain name; `block` a number or `latest`, `safe`,
    `finalized`; `market_settings` markets on top of those built in and in the book; `deadline` seconds for all of it; `cache_dir` a folder
    for what cannot change, None for no cache. Raises `UsageError` for what cannot be done as asked; what fails while it is read makes the
    result partial instead.
    """
    limit = Deadline(deadline)
    settings = book if isinstance(book, Book) else load(book) if book is not None else Book(name="scan")
    asked = targets.wallets((*settings.wallets, *wallets))
    reading = bool(asked.owners or asked.names)
    observing = histories.origin(settings)[0] == histories.ORACLE
    places = targets.chains(settings, _secrets(rpc or {}), market_settings) if reading or observing else ()
    chains = places if reading else ()
    _check(settings, asked, chains)
    histories.check(settings, places)
    desks.check(settings)
    cache = Cache.open(cache_dir) if cache_dir is not None else None
    try:
        history = histories.from_file(settings, cache)
        opener = _opener(str(block), cache, limit)
        with desks.Reading(settings, limit, cache, progress) as exchanges:
            read = _Reader(settings, opener, limit, progress).read(asked, chains)
            found = exchanges.found()
        gathered = replace(assemble(settings, read.findings, read.reports, found), history=history, links=read.links)
        return prices(gathered, places, opener, limit, cache)
    finally:
        if cache is not None:
            cache.close()


def prices(found: Gathered, places: Sequence[ChainTarget], opener: Opener, limit: Deadline, cache: Cache | None) -> Gathered:
    """The same with the prices that an exchange or a chain's feeds gave for it, where the book names one; a file was read before."""
    kind, name = histories.origin(found.book)
    if kind == histories.EXCHANGE:
        anchors = [report.anchor.timestamp for report in found.reports if report.anchor]
        until = min(int(limit.clock.wall()), max(anchors, default=int(limit.clock.wall())))
        observed = histories.from_exchange(found.book, found.accounts, found.quotes, until=until, deadline=limit, cache=cache)
    elif kind == histories.ORACLE:
        target = next(target for target in places if target.chain.name == name)
        observed = histories.from_oracle(target, opener, found.accounts, found.quotes, deadline=limit)
    else:
        return found
    return replace(found, history=observed.history, reports=(*found.reports, observed.report))


@dataclass(frozen=True, slots=True)
class Read:
    """What the chains of a book gave."""

    findings: Findings
    reports: tuple[SourceReport, ...]
    links: tuple[Link, ...] = ()


def assemble(book: Book, found: Findings, reports: Sequence[SourceReport], exchanges: desks.Found | None = None) -> Gathered:
    """What was read from chains, from services beside them and from exchanges, together with what the book itself says, priced in USD."""
    traded = exchanges or desks.Found()
    accounts: list[Account] = [*found.accounts, *traded.accounts, *manual.accounts(book.manual)]
    prices = PriceBook(found.quotes, accounts)
    by_hand = [SourceReport(id="manual", kind="manual")] if book.manual else []
    told = (*reports, *found.reports, *traded.reports, *by_hand)
    return Gathered(book, tuple(resolve(accounts, prices)), prices.as_floats(), told)


Opener = Callable[[ChainTarget], ChainSource]


def _opener(block: str, cache: Cache | None, limit: Deadline) -> Opener:
    """How to open a chain. At a block of the past a built-in market may not have been deployed yet, so its root is looked at."""
    past = block not in TAGS

    def open_chain(target: ChainTarget) -> ChainSource:
        settings: ChainSettings = target.settings
        return ChainSource.open(
            target.chain,
            settings.rpc,
            block=block,
            confirmations=settings.confirmations,
            multicall3=settings.multicall3,
            cache=cache,
            deadline=limit,
            roots=[Address(market.root) for market in target.markets if past and _vouched(market)],
        )

    return open_chain


class _Reader:
    """Reads all chains of a book side by side."""

    def __init__(self, book: Book, opener: Opener, limit: Deadline, progress: Progress | None) -> None:
        self._book = book
        self._open = opener
        self._limit = limit
        self._progress = progress

    def read(self, asked: targets.Wallets, chains: Sequence[ChainTarget]) -> Read:
        """Findings and reports in the order of the chains. Names are resolved first, on Ethereum, at its anchor."""
        opened: dict[str, ChainSource | SourceError] = {}
        owners = {owner.address: owner for owner in asked.owners}
        if asked.names:
            target = next(target for target in chains if target.chain.name == ENS_CHAIN)
            opened[ENS_CHAIN], named = self._named(target, asked.names)
            # a wallet that is also given by its address, or by a second name, is one wallet still
            owners |= {owner.address: owner for owner in named}
        ends = self._side_by_side(
            [partial(self._chain, target, tuple(owners.values()), opened.get(target.chain.name)) for target in chains]
        )
        findings = Findings()
        for end in ends:
            findings.accounts += end.findings.accounts
            findings.quotes += end.findings.quotes
        findings.reports += united(report for end in ends for report in end.findings.reports)
        open_ = {end.source.anchor.chain.id: end.source for end in ends if end.source}
        began = self._limit.clock.now()
        try:
            links = trails.follow(self._book, findings.accounts, owners, open_, self._limit)
        finally:
            for source in open_.values():
                source.close()
        return Read(findings, tuple(end.told(self._limit.clock.now() - began) for end in ends), links)

    def _side_by_side(self, work: Sequence[Callable[[], _Chain]]) -> list[_Chain]:
        """Results in the order of the work. Every chain ends by itself at the deadline."""
        ends: dict[int, _Chain] = {}
        with Crew(work, most=len(work)) as crew:
            while len(ends) < len(work):
                index, result = crew.take()
                if isinstance(result, BaseException):
                    raise result
                ends[index] = result
        return [ends[index] for index in range(len(work))]

    def _named(self, target: ChainTarget, names: Sequence[str]) -> tuple[ChainSource | SourceError, list[Owner]]:
        """The opened source with the owners of names; where the source fails its error, and nobody: the rest of the book goes on."""
        source: ChainSource | None = None
        try:
            source = self._open(target)
            addresses = engine.run(source, ens.resolve(names))
        except SourceError as fault:
            lost = f"{fault}; so nothing was read for {', '.join(shown(name, 60) for name in names)} on any chain"
            if source is not None:
                source.close()
            return SourceError(lost, source=fault.source), []
        except BaseException:
            if source is not None:
                source.close()
            raise
        return source, [Owner(addresses[name], name) for name in names]

    def _chain(self, target: ChainTarget, owners: Sequence[Owner], opened: ChainSource | SourceError | None) -> _Chain:
        began = self._limit.clock.now()
        findings = Findings()
        undeployed: tuple[str, ...] = ()
        error = ""
        whole = False
        source = opened if isinstance(opened, ChainSource) else None
        watch = sequencer.Watch()
        try:
            if isinstance(opened, SourceError):
                raise opened
            source = source or self._open(target)
            target, undeployed = _standing(target, source)
            jobs = [*self._jobs(target, owners), *_watched(target.chain, watch)]
            findings = engine.read(source, jobs, self._context(target, source.anchor), self._progress)
            source.finish()
            whole = True
        except SourceError as fault:
            # what was read before the source failed is not one consistent block any more
            findings, error = Findings(), str(fault)
        finally:
            if source is not None:
                (source.park if whole else source.close)()
        seconds = self._limit.clock.now() - began
        report = _report(target.chain, source, error, seconds)
        report = replace(report, notes=(*report.notes, *undeployed), sequencer="" if error else watch.finding)
        return _Chain(findings, report, source if whole else None)

    def _jobs(self, target: ChainTarget, owners: Sequence[Owner]) -> list[Job]:
        readers = [(registry.get(market.adapter), market) for market in target.markets]
        return [Job(adapter, owner, market) for owner in owners for adapter, market in readers]

    def _context(self, target: ChainTarget, anchor: Anchor) -> Context:
        return Context(
            chain=target.chain,
            number=anchor.number,
            timestamp=anchor.timestamp,
            factors=markets.context_factors(target.chain.id, self._book.factors),
            heartbeats=markets.heartbeats(target.chain.id),
            default_heartbeat=markets.default_heartbeat(),
            markets=target.markets,
        )


def _vouched(market: Market) -> bool:
    """Whether the root is known to be right, so that no code there means that there is no market yet; a user's own may be mistyped."""
    return bool(market.root) and market.source != OWN and market.confidence == VERIFIED


def _standing(target: ChainTarget, source: ChainSource) -> tuple[ChainTarget, tuple[str, ...]]:
    """The target without the markets that were not there yet at the anchor, and a note for each: nobody can have had anything in them."""
    there = tuple(market for market in target.markets if market.root not in source.absent)
    gone = (f"{market.name} was not there yet at block {source.anchor.number}" for market in target.markets if market not in there)
    return replace(target, markets=there), tuple(gone)


def _watched(chain: Chain, watch: sequencer.Watch) -> list[Job]:
    """The reading of the chain's sequencer feed, where it has one."""
    feed = markets.sequencer_feed(chain.id)
    return [Job(watch, *sequencer.market(chain, feed))] if feed else []


def _report(chain: Chain, source: ChainSource | None, error: str, seconds: float) -> SourceReport:
    report = SourceReport(id=chain.name, status="failed" if error else "ok", error=error, seconds=seconds)
    if source is None:
        return report
    return replace(report, anchor=source.anchor, calls=source.calls, round_trips=source.round_trips, notes=tuple(source.notes))


def _secrets(rpc: Mapping[str, str | Secret | Sequence[str | Secret]]) -> dict[str, tuple[Secret, ...]]:
    def listed(value: str | Secret | Sequence[str | Secret]) -> Sequence[str | Secret]:
        return (value,) if isinstance(value, str | Secret) else value

    return {
        chain: tuple(node if isinstance(node, Secret) else resolve_secret(node) for node in listed(value)) for chain, value in rpc.items()
    }


def _check(book: Book, asked: targets.Wallets, chains: Sequence[ChainTarget]) -> None:
    """Raise `UsageError` where there is nothing to read, or nowhere to read it."""
    if not (asked.owners or asked.names or book.manual or book.exchanges):
        raise UsageError("no wallet to scan", hint="give an address or a name, or a book with wallets; or try `defi-risk demo`")
    if (asked.owners or asked.names) and not chains:
        raise UsageError("no node to read from", hint="give --rpc ethereum=URL, set DEFI_RISK_RPC_ETHEREUM, or use a book with [chains]")
    if asked.names and all(target.chain.name != ENS_CHAIN for target in chains):
        raise UsageError(f"the name {asked.names[0]!r} needs an Ethereum node", hint="give --rpc ethereum=URL, or the address itself")
