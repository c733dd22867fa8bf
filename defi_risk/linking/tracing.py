"""Links that transfers prove: proceeds of a loan that lie at a venue as margin of the book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from defi_risk.ids import AccountId, Address, AssetId, account_id, erc20_id
from defi_risk.linking.following import Lot, Purse, follow
from defi_risk.linking.model import Hop, How, Link, Seen, Transfer
from defi_risk.linking.moves import Place, resolve
from defi_risk.linking.scope import Coin, coin, debts, margins
from defi_risk.model import Account, Asset
from defi_risk.units import EXACT, Quantity

MOST_HOPS: Final = 12
"""Transfers that a link lists."""
WALLET: Final = "wallet"


def traced(accounts: Sequence[Account], wallets: Sequence[Address], seen: Iterable[Seen]) -> tuple[Link, ...]:
    """The links that the transfers of some chains prove.

    What was paid back to a loan is not taken off its proceeds; instead no loan funds more than it still owes in the token, and no margin
    is funded by more than there is of it now. Margin that several accounts share is theirs in the order of their ids.
    """
    books = _Books(accounts)
    found: list[Link] = []
    for chain in sorted(seen, key=lambda one: one.chain):
        moves = resolve(accounts, wallets, chain)
        tokens = sorted({move.transfer.token for move in moves})
        purses = follow(moves, {Place(token, wallet): books.held(chain, token, wallet) for token in tokens for wallet in wallets})
        for place, purse in sorted(purses.items(), key=lambda item: (item[0].token, str(item[0].where))):
            if isinstance(place.where, tuple):
                found += _links(books, erc20_id(chain.chain, place.token), place.where, purse)
    return tuple(found)


class _Books:
    """What wallets hold, loans still owe and accounts still have as margin, less what links have taken of it."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.id: account for account in accounts}
        self._lent: defaultdict[tuple[AccountId, AssetId], int] = defaultdict(int)
        self._funded: defaultdict[tuple[AccountId, Coin], Decimal] = defaultdict(Decimal)

    def held(self, chain: Seen, token: Address, wallet: Address) -> int:
        """The balance of a wallet. Wallets are read for every token that their venues list, so one that is not there is 0."""
        account = self._accounts.get(account_id(chain.chain, WALLET, "", wallet))
        legs = account.legs if account and account.known else ()
        return sum(leg.amount.raw for leg in legs if leg.asset.id == erc20_id(chain.chain, token))

    def owed(self, loan: AccountId, asset: AssetId) -> Asset:
        """The token that a loan owes."""
        return debts(self._accounts[loan], asset)[0].asset

    def book(self, loan: AccountId, asset: AssetId, margin: AccountId, most: int) -> int:
        """Count up to `most` smallest units of the loan as this margin's; how many there was room for."""
        owed = debts(self._accounts[loan], asset)
        kind, decimals = coin(owed[0]), owed[0].asset.decimals
        posted = sum((leg.amount.decimal() for leg in margins(self._accounts[margin]) if coin(leg) == kind), start=Decimal(0))
        room = int(EXACT.scaleb(EXACT.subtract(posted, self._funded[margin, kind]), decimals))
        total = sum(int(EXACT.scaleb(leg.amount.decimal(), decimals)) for leg in owed)
        part = max(0, min(most, room, total - self._lent[loan, asset]))
        self._lent[loan, asset] += part
        self._funded[margin, kind] = EXACT.add(self._funded[margin, kind], Quantity(part, decimals).decimal())
        return part


def _links(books: _Books, asset: AssetId, sharing: Sequence[AccountId], purse: Purse) -> list[Link]:
    parts: defaultdict[tuple[AccountId, AccountId], list[Lot]] = defaultdict(list)
    for lot in purse.lots:
        if lot.loan is None:
            continue
        left = lot.amount
        for margin in sharing:
            part = books.book(lot.loan, asset, margin, left)
            left -= part
            if part:
                parts[lot.loan, margin].append(replace(lot, amount=part))
    return [_link(books.owed(loan, asset), loan, margin, lots) for (loan, margin), lots in sorted(parts.items())]


def _link(asset: Asset, loan: AccountId, margin: AccountId, lots: Sequence[Lot]) -> Link:
    amounts: defaultdict[Transfer, int] = defaultdict(int)
    for lot in lots:
        for transfer in lot.path:
            amounts[transfer] += lot.amount
    hops = [_hop(transfer, amounts) for transfer in sorted(amounts, key=lambda transfer: (transfer.block, transfer.index))]
    return Link(
        loan=loan,
        margin=margin,
        how=How.TRACED,
        asset=asset,
        amount=Quantity(sum(lot.amount for lot in lots), asset.decimals),
        hops=tuple(hops[-MOST_HOPS:]),
        left_out=max(0, len(hops) - MOST_HOPS),
    )


def _hop(transfer: Transfer, amounts: Mapping[Transfer, int]) -> Hop:
    return Hop(transfer.transaction, transfer.block, transfer.source, transfer.target, amounts[transfer])
