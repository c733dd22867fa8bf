"""What a rule is, and what every rule may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from defi_risk.flags.model import Flag, Severity
from defi_risk.health.figures import AccountFigures, Figures
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import short
from defi_risk.model import Account, SourceReport
from defi_risk.text import shown


@dataclass(frozen=True, slots=True)
class Scene:
    """A book as it was read, with its figures."""

    accounts: Sequence[Account]
    figures: Figures
    sources: Sequence[SourceReport]
    settings: HealthSettings

    def known(self) -> Iterator[tuple[Account, AccountFigures]]:
        """Accounts that have figures, with them."""
        for account in self.accounts:
            if account.id in self.figures.accounts:
                yield account, self.figures.accounts[account.id]

    def block_times(self) -> dict[str, int]:
        """Unix time of the block that each chain was read at, by the chain's name."""
        return {report.anchor.chain.name: report.anchor.timestamp for report in self.sources if report.anchor is not None}


@dataclass(frozen=True, slots=True)
class Rule:
    """One code: the gravest severity it is raised with, what it means, and the pure function that finds it."""

    code: str
    severity: Severity
    description: str
    find: Callable[[Scene], Iterable[Flag]]


def label(account: Account) -> str:
    """An account for eyes: `Aave v3 ethereum 0x71C7…976F`."""
    owner = short(account.owner) if account.owner.startswith("0x") else account.owner
    return " ".join(dict.fromkeys((shown(account.venue), shown(account.market), shown(owner))))
