"""Flags: conditions worth a person's attention, found by pure functions of accounts, figures, sources and settings.

model.py        a flag and its severity
rule.py         what a rule is, and the scene that rules look at
limits.py       the lines that flags are raised at
parts.py        what several rules work out: exposure, positions, sizes, correlation, volatility
liquidation.py  how close an account is to its liquidation
margin.py       what margin is left and in use, and what losses took
derivatives.py  leverage, share of the risk and funding of positions
collateral.py   what the collateral consists of and where it lies
hedges.py       offsetting legs in different accounts
funding.py      margin that a loan paid for
spanning.py     loans and derivatives that make each other worse
walks.py        stresses, paths and rescue plans
prices.py       venues that disagree, pegs that are off
basis.py        dated futures held against the coin itself
exchanges.py    keys that can do harm, figures that rest on assumptions
market.py       what a price history says: moves, correlation, volatility
data.py         whether what was read is whole, fresh and what the venue says too
changes.py      what a venue changed since the last snapshot
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from defi_risk import linking
from defi_risk.flags import (
    basis,
    changes,
    collateral,
    data,
    derivatives,
    exchanges,
    funding,
    hedges,
    liquidation,
    margin,
    market,
    prices,
    spanning,
    walks,
)
from defi_risk.flags.limits import Limits
from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Rescue, Rule, Scene
from defi_risk.health.account import Assessed
from defi_risk.health.distance import Ratios, Surplus
from defi_risk.health.figures import AccountFigures, Figures
from defi_risk.health.normal import in_floats
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import Factor
from defi_risk.linking import Link
from defi_risk.model import Account, Side, SourceReport
from defi_risk.pricing import PriceBook
from defi_risk.words import Names

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory

__all__ = ["ALL", "Flag", "Limits", "Rule", "Severity", "run"]

_MODULES: Final = (
    basis, changes, collateral, data, derivatives, exchanges, funding, hedges, liquidation, margin, market, prices, spanning, walks,
)  # fmt: skip
ALL: Final[Mapping[str, Rule]] = MappingProxyType(
    {rule.code: rule for rule in sorted((rule for module in _MODULES for rule in module.RULES), key=lambda rule: rule.code)}
)
"""Every rule by its code, in the order of the codes."""
_GRAVEST_FIRST: Final = {severity: -rank for rank, severity in enumerate(Severity)}


def run(
    accounts: Sequence[Account],
    figures: Figures,
    sources: Sequence[SourceReport],
    settings: HealthSettings,
    *,
    limits: Limits | None = None,
    assessed: Sequence[Assessed] = (),
    history: PriceHistory | None = None,
    previous: Sequence[Account] | None = None,
    plan: Rescue | None = None,
    links: Sequence[Link] | None = None,
) -> tuple[Flag, ...]:
    """All flags of a book, gravest first, then by code and accounts: the same whatever the order of accounts and sources.

    `limits` None: the defaults. `assessed` are the normal forms that the figures were worked out
    from; those that are left out are built again, with the book's own prices. `history` None: that of `settings`. `previous` are the
    accounts of the last snapshot, `plan` the rescue plan for the configured stress, `links` say which
    loan funds which margin (None: what tags and amounts say). Ages of prices are measured against the block time of
    the account's chain, as the anchors in `sources` say it.
    """
    ordered = sorted(accounts, key=lambda account: account.id)
    scene = Scene(
        ordered,
        figures,
        sources,
        settings,
        limits or Limits(),
        {one.account.id: one for one in (*_built(ordered, figures, {one.account.id for one in assessed}), *assessed)},
        history or settings.history,
        previous,
        plan,
        Names(ordered),
        linking.find(ordered, settings.links) if links is None else links,
    )
    both = {known.account.side for known in scene.known()} == set(Side)
    found = [flag for rule in ALL.values() if both or not rule.spans for flag in rule.find(scene)]
    return tuple(sorted(found, key=lambda flag: (_GRAVEST_FIRST[flag.severity], flag.code, flag.accounts, flag.message)))


def _built(accounts: Sequence[Account], figures: Figures, given: set[str]) -> list[Assessed]:
    """Known accounts in their normal form, without those given."""
    known = [account for account in accounts if account.id in figures.accounts]
    left = [account for account in known if account.id not in given]
    quotes = PriceBook((), known).as_floats() if left else {}
    return [_assessed(account, figures.accounts[account.id], quotes) for account in left]


def _assessed(account: Account, figures: AccountFigures, quotes: Mapping[Factor, float]) -> Assessed:
    normal = in_floats(account, quotes)
    credit = 0.0 if figures.liquidatable else max(0.0, -figures.surplus_usd)
    surplus = Surplus.of(normal, strict=account.strict, credit=credit)
    down, up = figures.down, figures.up
    ratios = Ratios(None if down is None else 1.0 + down, None if up is None else 1.0 + up)
    return Assessed(account, normal, surplus, ratios, figures, credit)
