"""Flags of made-up books, by their code."""

from __future__ import annotations

from collections.abc import Sequence

from defi_risk import flags, health
from defi_risk.flags import Flag, Limits
from defi_risk.flags.rule import Rescue
from defi_risk.health import Figures, HealthSettings
from defi_risk.history import PriceHistory
from defi_risk.linking import Link
from defi_risk.model import Account, SourceReport
from tests.accounts import SETTINGS


def found(
    code: str,
    accounts: Sequence[Account],
    settings: HealthSettings = SETTINGS,
    *,
    figures: Figures | None = None,
    sources: Sequence[SourceReport] = (),
    limits: Limits | None = None,
    history: PriceHistory | None = None,
    previous: Sequence[Account] | None = None,
    plan: Rescue | None = None,
    links: Sequence[Link] | None = None,
) -> list[Flag]:
    """The flags of that code on a book; its figures are worked out where they are not given."""
    given = figures or health.run(accounts, settings)
    raised = flags.run(accounts, given, sources, settings, limits=limits, history=history, previous=previous, plan=plan, links=links)
    assert code in flags.ALL
    for flag in raised:
        assert flag.code in flags.ALL
        assert list(flags.Severity).index(flag.severity) <= list(flags.Severity).index(flags.ALL[flag.code].severity)
    return [flag for flag in raised if flag.code == code]
