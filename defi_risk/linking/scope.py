"""What to look for on which chain: nothing, unless a token that a loan of the book owes can have become margin of the book there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TypeAlias

from defi_risk.ids import AccountId, Address, AssetId, ChainId, Factor, Peg, token_of
from defi_risk.linking.model import Search
from defi_risk.model import TRANSFER, Account, Custody, Leg, Role, Side

Coin: TypeAlias = tuple[Factor, Peg | None]
"""What makes tokens of several chains and venues one: USDC lent on Arbitrum is USDC at the perpetuals' venue."""


def searches(accounts: Sequence[Account], wallets: Iterable[Address], tagged: Container[AccountId] = ()) -> tuple[Search, ...]:
    """One search a chain, in the order of their ids; `wallets` are all the book's own. Margin that a tag explains is not looked into."""
    lent: defaultdict[AssetId, list[Custody]] = defaultdict(list)
    for account in accounts:
        for row in rows(account):
            if debts(account, row.asset):
                lent[row.asset].append(row)
    coins = {asset: {coin(leg) for account in accounts for leg in debts(account, asset)} for asset in lent}
    found: defaultdict[AssetId, list[Custody]] = defaultdict(list)
    for account in accounts:
        posted = {coin(leg) for leg in margins(account)} if account.id not in tagged else set[Coin]()
        for row in rows(account):
            if posted & coins.get(row.asset, set()):
                found[row.asset].append(row)
    by_chain: defaultdict[ChainId, list[Custody]] = defaultdict(list)
    for asset in sorted(found):
        if place := token_of(asset):
            by_chain[place[0]] += [*lent[asset], *found[asset]]
    own = tuple(dict.fromkeys(wallets))
    return tuple(Search(chain, _contracts(by_chain[chain]), _events(by_chain[chain]), own) for chain in sorted(by_chain))


def _contracts(involved: Sequence[Custody]) -> tuple[Address, ...]:
    tokens = (place[1] for row in involved if (place := token_of(row.asset)))
    receipts = (row.receipt for row in involved if row.receipt)
    return tuple(dict.fromkeys([*tokens, *receipts, *(proof.contract for row in involved for proof in row.proofs)]))


def _events(involved: Sequence[Custody]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(proof.event for row in involved for proof in row.proofs if proof.event != TRANSFER))


def rows(account: Account) -> Sequence[Custody]:
    """Custody of an account that was read whole."""
    return account.custody if account.known else ()


def coin(leg: Leg) -> Coin:
    """What a leg consists of, wherever it lies."""
    return leg.factor, leg.peg


def debts(account: Account, asset: AssetId) -> list[Leg]:
    """What a loan owes in a token."""
    owed = account.known and account.side is Side.LENDING
    return [leg for leg in account.legs if owed and leg.role is Role.DEBT and leg.asset.id == asset and leg.amount.raw > 0]


def margins(account: Account) -> Iterator[Leg]:
    """What a derivatives account holds as margin that somebody posted."""
    held = account.known and account.side is Side.DERIVATIVES
    return (leg for leg in account.legs if held and leg.role is Role.MARGIN and leg.amount.raw > 0 and leg.movable)
