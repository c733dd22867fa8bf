"""All links of a book. What its owner says goes before what transfers show, and that before what amounts suggest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import Final, NamedTuple

from defi_risk.ids import AccountId
from defi_risk.linking.model import How, Link
from defi_risk.linking.scope import Coin, coin, margins
from defi_risk.model import Account, Asset, Role, Side
from defi_risk.units import EXACT, Quantity

ALIKE: Final = Decimal("0.02")
"""A loan and margin of one coin are taken for one another's where they differ by no more than this share of the larger."""

MOST_COMPARED: Final = 100
"""Loans, or margins, among more of which nothing is told by amounts: some would be alike by chance."""


def find(accounts: Sequence[Account], tags: Sequence[tuple[str, str]], traced: Sequence[Link] = ()) -> tuple[Link, ...]:
    """The links between accounts that were read whole, by their ids. `tags` name the loan and the margin as the book does.

    A tagged margin has its tagged links alone, also where they lead to nothing that was read. Margin that neither a tag nor transfers
    explain is linked by its amount.
    """
    named = tagged(accounts, tags)
    links = [Link(loan=loan, margin=margin, how=How.TAGGED) for loan, margin in _told(accounts, tags)]
    links += [link for link in traced if link.margin not in named]
    links += _alike(accounts, named | {link.margin for link in links}, {link.loan for link in links})
    return tuple(sorted(links, key=lambda link: (link.loan, link.margin, link.asset.id if link.asset else "")))


def tagged(accounts: Iterable[Account], tags: Sequence[tuple[str, str]]) -> frozenset[AccountId]:
    """The accounts whose margin a tag explains."""
    return frozenset(account.id for account in accounts for _, funded in tags if _is_named(account, funded))


def _told(accounts: Iterable[Account], tags: Iterable[tuple[str, str]]) -> set[tuple[AccountId, AccountId]]:
    known = [account for account in accounts if account.known]
    found: set[tuple[AccountId, AccountId]] = set()
    for lent, funded in tags:
        loans = [account.id for account in known if account.side is Side.LENDING and _is_named(account, lent)]
        sides = [account.id for account in known if account.side is Side.DERIVATIVES and _is_named(account, funded)]
        found |= set(product(loans, sides))
    return found


def _is_named(account: Account, name: str) -> bool:
    """Whether a tag means the account: by its id, or by the name of its exchange."""
    return name in (account.id, account.owner, account.source)


class _Sum(NamedTuple):
    """How much an account owes, or has as margin, of one coin; `asset` is the token of the first leg."""

    account: AccountId
    coin: Coin
    amount: Decimal
    asset: Asset


def _alike(accounts: Sequence[Account], funded: Container[AccountId], spent: Container[AccountId]) -> Iterator[Link]:
    """Loans and margins of one coin that are alike in size, the most alike first; none of them twice."""
    lent = [one for account in accounts if account.id not in spent for one in _sums(account, Role.DEBT)]
    posted = [one for account in accounts if account.id not in funded for one in _sums(account, Role.MARGIN)]
    if max(len(lent), len(posted)) > MOST_COMPARED:
        return
    pairs = [(_apart(loan, side), loan, side) for loan in lent for side in posted if loan.coin == side.coin]
    used: set[_Sum] = set()
    for apart, loan, side in sorted(pairs, key=lambda pair: (pair[0], pair[1].account, pair[2].account)):
        if apart <= ALIKE and not used & {loan, side}:
            used |= {loan, side}
            amount = Quantity.of(min(loan.amount, side.amount))
            yield Link(loan=loan.account, margin=side.account, how=How.AMOUNTS, asset=loan.asset, amount=amount)


def _sums(account: Account, role: Role) -> Iterator[_Sum]:
    """The coins that a loan owes, or that margin consists of."""
    owing = account.known and account.side is Side.LENDING
    legs = margins(account) if role is Role.MARGIN else (leg for leg in account.legs if owing and leg.role is role and leg.amount.raw > 0)
    found: defaultdict[Coin, list[tuple[Decimal, Asset]]] = defaultdict(list)
    for leg in legs:
        found[coin(leg)].append((leg.amount.decimal(), leg.asset))
    for kind, parts in found.items():
        total = parts[0][0]
        for amount, _ in parts[1:]:
            total = EXACT.add(total, amount)
        yield _Sum(account.id, kind, total, parts[0][1])


def _apart(loan: _Sum, side: _Sum) -> Decimal:
    larger, smaller = max(loan.amount, side.amount), min(loan.amount, side.amount)
    return EXACT.divide(EXACT.subtract(larger, smaller), larger)
