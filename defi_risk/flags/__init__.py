"""Flags: conditions worth a person's attention, found by pure functions of accounts, figures, sources and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from defi_risk.flags import data, liquidation
from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Rule, Scene
from defi_risk.health.figures import Figures
from defi_risk.health.settings import HealthSettings
from defi_risk.model import Account, SourceReport

__all__ = ["ALL", "Flag", "Rule", "Severity", "run"]

ALL: Final[Mapping[str, Rule]] = MappingProxyType(
    {rule.code: rule for rule in sorted((*data.RULES, *liquidation.RULES), key=lambda rule: rule.code)}
)
"""Every rule by its code, in the order of the codes."""
_GRAVEST_FIRST: Final = {severity: -rank for rank, severity in enumerate(Severity)}


def run(accounts: Sequence[Account], figures: Figures, sources: Sequence[SourceReport], settings: HealthSettings) -> tuple[Flag, ...]:
    """All flags of a book, gravest first, then by code and accounts: the same whatever the order of accounts and sources.

    Ages of prices are measured against the block time of the account's chain, as the anchors in `sources` say it.
    """
    scene = Scene(accounts, figures, sources, settings)
    found = [flag for rule in ALL.values() for flag in rule.find(scene)]
    return tuple(sorted(found, key=lambda flag: (_GRAVEST_FIRST[flag.severity], flag.code, flag.accounts, flag.message)))
