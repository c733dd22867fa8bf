"""What a rule is, and what every rule may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from defi_risk.flags.limits import Limits
from defi_risk.flags.model import Flag, Severity
from defi_risk.health.account import Assessed
from defi_risk.health.figures import AccountFigures, Figures
from defi_risk.health.normal import Normal
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import AccountId
from defi_risk.linking import Link
from defi_risk.model import Account, Side, SourceReport
from defi_risk.words import Names

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory

DAY: Final = 86_400
MOST_LISTED: Final = 3


class Rescue(Protocol):
    """What the rules ask of a rescue plan: whether it survives its target, and the USD from outside that this takes."""

    @property
    def feasible(self) -> bool:
        """Whether the book survives the target after the plan."""
        ...

    @property
    def outside_capital_usd(self) -> float:
        """USD that have to come from outside the book."""
        ...


class Known(NamedTuple):
    """A known account with its figures, its normal form and its name for eyes."""

    account: Account
    figures: AccountFigures
    normal: Normal[float]
    name: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A book as it was read, with its figures. Accounts come in the order of their ids.

    `assessed` are the known accounts in their normal form. `history` is the price history, `previous` the accounts of the snapshot before
    this one, `plan` the rescue plan for the configured stress; None where there is none: rules that need it are silent. `names` are those
    of a snapshot's tables, `links` say which loan funds which margin.
    """

    accounts: Sequence[Account]
    figures: Figures
    sources: Sequence[SourceReport]
    settings: HealthSettings
    limits: Limits = field(default_factory=Limits)
    assessed: Mapping[AccountId, Assessed] = field(default_factory=dict)
    history: PriceHistory | None = None
    previous: Sequence[Account] | None = None
    plan: Rescue | None = None
    names: Names = field(default_factory=Names)
    links: Sequence[Link] = ()

    def known(self, side: Side | None = None) -> Iterator[Known]:
        """Accounts that have figures (of one side, where told), with them."""
        for account in self.accounts:
            if account.id in self.figures.accounts and side in (None, account.side):
                yield Known(account, self.figures.accounts[account.id], self.assessed[account.id].normal, self.names.of(account))

    @property
    def whole(self) -> bool:
        """Whether all of the book is known, so that a share of it can be told."""
        return self.figures.book.bound == "exact"

    def block_times(self) -> dict[str, int]:
        """Unix time of the block that each chain was read at, by the chain's name."""
        return {report.anchor.chain.name: report.anchor.timestamp for report in self.sources if report.anchor is not None}

    def time_of(self, account: Account) -> int | None:
        """Unix time at which an account was read: its exchange's, its chain's block, else the latest that is known."""
        told = [report.as_of for report in self.sources if report.id == account.source and report.as_of is not None]
        times = self.block_times()
        if told or account.chain in times:
            return told[0] if told else times[account.chain or ""]
        known = [*times.values(), *(report.as_of for report in self.sources if report.as_of is not None)]
        return max(known, default=None)

    def recent(self) -> PriceHistory | None:
        """The price history, unless it ended more than a day and one of its intervals before the blocks that were read."""
        if self.history is None:
            return None
        late = max(self.block_times().values(), default=self.history.end) - self.history.end
        return self.history if late <= DAY + (self.history.interval() or 0) else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One code: the gravest severity it is raised with, what it means, and the pure function that finds it.

    `line` says where it is raised, with the fields of `Limits` in braces. `spans`: it needs lending and derivatives together.
    """

    code: str
    severity: Severity
    description: str
    find: Callable[[Scene], Iterable[Flag]]
    line: str = ""
    spans: bool = False

    def threshold(self, limits: Limits) -> str:
        """Where it is raised, in words."""
        return self.line.format_map(asdict(limits))


def listed(names: Sequence[str]) -> str:
    """Several accounts for eyes: the first of them, and how many more there are."""
    more = f" and {len(names) - MOST_LISTED:,} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more
