"""The demo: the code of a scan over answers that were recorded, so that it needs no node, no key and no network.

`chain.json` holds what real Aave V3.6 contracts, and our doubles of a Compound V3 market, of GMX V2 and of Hyperliquid, answered on a local
chain, `exchange.json` what our double of Binance answered: two loans, and three shorts that hedge their collateral with the borrowed
dollars as margin. `python -m tests.localchain demo` records both anew.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from defi_risk.desks import Found
    from defi_risk.gathering import Gathered
    from defi_risk.snapshot import Snapshot

NOTE: Final = (
    "recorded on a local chain: Aave V3.6 as deployed from its own sources; Compound V3, GMX V2 and Hyperliquid as doubles of ours"
)
DESK_NOTE: Final = "recorded from a double of ours of this exchange"


def snapshot() -> Snapshot:
    """The demo's snapshot, computed now. Raises `StoreError` where the recording does not fit this version."""
    from defi_risk.judging import judge

    return judge(gathered()).snapshot


def gathered() -> Gathered:
    """What a scan would have read, from the recorded answers. Raises `StoreError` where the recording does not fit this version."""
    from defi_risk import engine, registry
    from defi_risk.book import parse
    from defi_risk.engine import Job
    from defi_risk.gathering import assemble
    from defi_risk.model import SourceReport
    from defi_risk.replay import Replay, loads

    folder = files("defi_risk") / "demo"
    recording = loads((folder / "chain.json").read_text("utf-8"), "chain.json")
    replay = Replay(recording)
    jobs = [Job(registry.get(case.market.adapter), case.owner, case.market) for case in recording.cases]
    findings = engine.read(replay, jobs, recording.context)
    report = SourceReport(
        id=recording.anchor.chain.name, anchor=replay.anchor, calls=replay.calls, round_trips=replay.round_trips, notes=(NOTE,)
    )
    return assemble(parse((folder / "book.toml").read_text("utf-8"), "demo book"), findings, (report,), _exchange())


def _exchange() -> Found:
    """The account at the exchange, from its recorded answers."""
    from dataclasses import replace

    from defi_risk import desks, registry
    from defi_risk.book import ExchangeSettings
    from defi_risk.desk_replay import DeskReplay, loads

    recording = loads((files("defi_risk") / "demo" / "exchange.json").read_text("utf-8"), "exchange.json")
    source = DeskReplay(recording)
    found = desks.judge(ExchangeSettings(id=recording.exchange, name="binance"), registry.exchange(recording.exchange), source)
    [report] = found.reports
    told = replace(report, calls=source.calls, round_trips=source.calls, notes=(DESK_NOTE, *report.notes))
    return desks.Found(found.accounts, [told])
