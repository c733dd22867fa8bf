"""From transfers to moves between places of the book: its wallets, and what its venues hold for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from defi_risk.ids import ZERO_ADDRESS, AccountId, Address, ChainId, token_of
from defi_risk.linking.model import Mark, Seen, Transfer
from defi_risk.linking.scope import debts, rows
from defi_risk.model import TRANSFER, Account, Custody, Side


class Place(NamedTuple):
    """Where money of one token lies: in a wallet, or at a venue as margin of accounts that share it."""

    token: Address
    where: Address | tuple[AccountId, ...]


class Row(NamedTuple):
    """An account, and one address that its venue keeps a token at."""

    account: Account
    custody: Custody


@dataclass(frozen=True, slots=True)
class Move:
    """A transfer between places; None is somewhere outside of the book. `lent` of it is the proceeds of `loan`."""

    transfer: Transfer
    source: Place | None
    target: Place | None
    loan: AccountId | None = None
    lent: int = 0


def resolve(accounts: Iterable[Account], wallets: Sequence[Address], seen: Seen) -> list[Move]:
    """The moves of a chain in the order of its transfers: by block, and by place in the block."""
    parties = _Parties(accounts, seen.chain)
    return list(_Resolver(parties, frozenset(wallets), seen).moves())


class _Parties:
    """The accounts that lend and that hold margin at an address, by token and address."""

    def __init__(self, accounts: Iterable[Account], chain: ChainId) -> None:
        self.loans: defaultdict[tuple[Address, Address], list[Row]] = defaultdict(list)
        self.margins: defaultdict[tuple[Address, Address], list[Row]] = defaultdict(list)
        self.tokens: set[Address] = set()
        for account in sorted(accounts, key=lambda account: account.id):
            for custody in rows(account):
                place = token_of(custody.asset)
                if place is None or place[0] != chain:
                    continue
                if account.side is Side.DERIVATIVES:
                    self.margins[place[1], custody.holder].append(Row(account, custody))
                elif debts(account, custody.asset):
                    self.loans[place[1], custody.holder].append(Row(account, custody))
                    self.tokens.add(place[1])


class _Resolver:
    """Works through the transfers of a chain once."""

    def __init__(self, parties: _Parties, wallets: frozenset[Address], seen: Seen) -> None:
        self._parties = parties
        self._wallets = wallets
        self._transfers = sorted(set(seen.transfers), key=lambda transfer: (transfer.block, transfer.index))
        self._marks = seen.marks
        self._minted: defaultdict[tuple[Address, Address, str], int] = defaultdict(int)
        self._given_up: set[tuple[Address | None, str]] = set()
        for transfer in self._transfers:
            if transfer.source == ZERO_ADDRESS:
                self._minted[transfer.token, transfer.target, transfer.transaction] += transfer.value
            if transfer.target in (ZERO_ADDRESS, transfer.token):
                self._given_up.add((transfer.token, transfer.transaction))

    def moves(self) -> Iterable[Move]:
        """Transfers of tokens that are owed, without those that lead back to where they start."""
        for transfer in self._transfers:
            if transfer.token not in self._parties.tokens or transfer.source == transfer.target:
                continue
            loan, lent = self._lent(transfer)
            source = self._place(transfer.source, transfer.target, transfer) if not lent else None
            yield Move(transfer, source, self._place(transfer.target, transfer.source, transfer), loan, lent)

    def _place(self, address: Address, other: Address, transfer: Transfer) -> Place | None:
        if address in self._wallets:
            return Place(transfer.token, address)
        ids = self._margin_of(address, other, transfer)
        return Place(transfer.token, ids) if ids else None

    def _margin_of(self, holder: Address, wallet: Address, transfer: Transfer) -> tuple[AccountId, ...]:
        """The accounts whose margin a wallet's transfer to or from a venue is: its own; else those of the only owner who has any."""
        found = [
            row for row in self._parties.margins.get((transfer.token, holder), ()) if not row.custody.proofs or self._proven(row, transfer)
        ]
        own = [row for row in found if row.account.owner == wallet]
        if not own and len({row.account.owner for row in found}) > 1:
            return ()
        return tuple(dict.fromkeys(row.account.id for row in own or found))

    def _lent(self, transfer: Transfer) -> tuple[AccountId | None, int]:
        """The loan that a payout is of, and how much of it: what the owner withdraws of supplies is none."""
        found = self._parties.loans.get((transfer.token, transfer.source), [])
        if transfer.target not in self._wallets:
            return None, 0
        for row in found:
            if row.custody.proofs and (lent := min(transfer.value, self._take_minted(row, transfer))):
                return row.account.id, lent
        open_ = [row for row in found if not row.custody.proofs]
        own = [row for row in open_ if row.account.owner == transfer.target] or (open_ if len(open_) == 1 else [])
        if not own or (own[0].custody.receipt, transfer.transaction) in self._given_up:
            return None, 0
        return own[0].account.id, transfer.value

    def _take_minted(self, row: Row, transfer: Transfer) -> int:
        """Up to the value of a payout, what its transaction minted of the account's debt; no unit of debt proves two payouts."""
        taken = 0
        for proof in row.custody.proofs:
            key = (proof.contract, Address(row.account.owner), transfer.transaction)
            part = min(self._minted.get(key, 0), transfer.value - taken)
            if part:
                self._minted[key] -= part
                taken += part
        return taken

    def _proven(self, row: Row, transfer: Transfer) -> bool:
        owner = Address(row.account.owner)
        return any(
            (proof.contract, owner, transfer.transaction) in self._minted
            if proof.event == TRANSFER
            else Mark(proof.contract, proof.event, owner, transfer.transaction) in self._marks
            for proof in row.custody.proofs
        )
