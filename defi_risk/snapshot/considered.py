"""A what-if as it is written to JSON: the book's health before and after a change that nobody has made yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from defi_risk.ids import AccountId
from defi_risk.snapshot.build import book_health
from defi_risk.snapshot.canonical import Said
from defi_risk.snapshot.model import BookHealth
from defi_risk.snapshot.results import Move, Ratio, Usd
from defi_risk.text import clean

if TYPE_CHECKING:
    from defi_risk.health.figures import AccountFigures, Figures
    from defi_risk.health.whatif import Comparison, GridMargin


class Standing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that the change touches, as it stands."""

    id: str
    equity_usd: Usd
    surplus_usd: Usd
    health: Ratio | None
    hf: Ratio | None
    down: Move | None
    up: Move | None


class Scanned(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The worst scenario of one factor: its price move, and the loss that counts."""

    factor: str
    move: Move
    loss_usd: Usd


class Grid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Margin by a grid of scenarios beside the summed maintenance margin; the difference is what netting would free."""

    account: str
    grid_usd: Usd
    summed_usd: Usd
    difference_usd: Usd
    scenarios: tuple[Scanned, ...]


class Considered(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A what-if. `accounts_before` and `accounts_after` are those that it touches; `grid` only where that was asked."""

    what_if: Literal["isolate", "merge", "sweep", "grid"]
    before: BookHealth
    after: BookHealth
    accounts_before: tuple[Standing, ...]
    accounts_after: tuple[Standing, ...]
    grid: Grid | None


def changed(what_if: Literal["isolate", "merge", "sweep"], found: Comparison, touched: Sequence[AccountId]) -> Considered:
    """A change of accounts; `touched` are the ids of those that were replaced."""
    left = found.before.accounts.keys() - set(touched)
    return Considered(
        what_if=what_if,
        before=book_health(found.before.book),
        after=book_health(found.after.book),
        accounts_before=_standings(found.before, found.before.accounts.keys() - left),
        accounts_after=_standings(found.after, found.after.accounts.keys() - left),
        grid=None,
    )


def gridded(figures: Figures, account: AccountId, found: GridMargin) -> Considered:
    """Margin of one account by a grid: nothing changes but the requirement."""
    book, standing = book_health(figures.book), _standings(figures, {account})
    scenarios = tuple(Scanned(factor=clean(one.factor, 200), move=one.move + 0.0, loss_usd=one.loss_usd + 0.0) for one in found.scans)
    grid = Grid(
        account=account,
        grid_usd=found.grid_usd + 0.0,
        summed_usd=found.summed_usd + 0.0,
        difference_usd=found.difference_usd + 0.0,
        scenarios=scenarios,
    )
    return Considered(what_if="grid", before=book, after=book, accounts_before=standing, accounts_after=standing, grid=grid)


def _standings(figures: Figures, ids: set[AccountId]) -> tuple[Standing, ...]:
    return tuple(_standing(one, figures.accounts[one]) for one in sorted(ids))


def _standing(account: AccountId, figures: AccountFigures) -> Standing:
    return Standing(
        id=clean(account, 1000),
        equity_usd=figures.equity_usd + 0.0,
        surplus_usd=figures.surplus_usd + 0.0,
        health=figures.health,
        hf=figures.hf,
        down=figures.down,
        up=figures.up,
    )
