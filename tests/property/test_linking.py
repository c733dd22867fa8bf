"""What holds of the links that any transfers prove: money is followed unit by unit, none of it is counted twice, and none runs ahead."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from defi_risk import linking
from defi_risk.ids import ZERO_ADDRESS, AccountId, Address, ChainId, Factor, account_id, checksum, erc20_id
from defi_risk.linking import Link, Seen, Transfer
from defi_risk.linking.following import Purse, follow
from defi_risk.linking.moves import Place, resolve
from defi_risk.model import Account, Asset, Custody, Leg, Proof, Role, Side
from defi_risk.units import Quantity
from tests import strategies as own

CHAIN = ChainId(1)
A, B, C, STRANGER, TOKEN, FAKE, ATOKEN, DEBT, COMET, VAULT, SHARED = (checksum(f"{n:02x}" * 20) for n in range(0xB0, 0xBB))
WALLETS = (A, B, C)
ENDS = (*WALLETS, STRANGER, ATOKEN, COMET, VAULT, SHARED)
ASSET = Asset(erc20_id(CHAIN, TOKEN), "USDC", 0)


def account(name: str, owner: Address, side: Side, legs: Sequence[tuple[Role, int]], custody: Sequence[Custody] = ()) -> Account:
    made = tuple(Leg(role=role, asset=ASSET, factor=Factor("USDC"), amount=Quantity(amount, 0)) for role, amount in legs)
    identity = account_id(CHAIN, name, "", owner)
    return Account(id=identity, owner=owner, side=side, venue=name, market=name, chain="ethereum", legs=made, custody=tuple(custody))


@dataclass(frozen=True)
class Case:
    """A book with one Aave loan of A, one Comet loan of B, margin of A at its own venue and of C at a shared one; and transfers."""

    accounts: tuple[Account, ...]
    transfers: tuple[Transfer, ...]

    @property
    def seen(self) -> Seen:
        return Seen(CHAIN, 0, self.transfers)

    def account(self, name: str) -> Account:
        return next(account for account in self.accounts if f"/{name}/" in account.id)


FLOWS = (
    *[(ATOKEN, wallet) for wallet in WALLETS], *[(COMET, wallet) for wallet in WALLETS],
    (A, VAULT), (A, VAULT), (B, VAULT), (C, SHARED), (B, SHARED), (A, B), (B, C), (C, A), (VAULT, A), (SHARED, C),
)  # fmt: skip


def made(seed: int) -> Case:
    """A book and transfers, most of them of the kinds that move loans about."""
    random = Random(seed)  # noqa: S311  # made-up transfers
    row = Custody(asset=ASSET.id, holder=ATOKEN, proofs=(Proof(DEBT),))
    accounts = [
        account("aave", A, Side.LENDING, [(Role.DEBT, random.randint(0, 40))], [row]),
        account("comet", B, Side.LENDING, [(Role.DEBT, random.randint(0, 40))], [replace(row, holder=COMET, proofs=(), receipt=COMET)]),
        account("vault", A, Side.DERIVATIVES, [(Role.MARGIN, random.randint(0, 40))], [replace(row, holder=VAULT, proofs=())]),
        account("shared", C, Side.DERIVATIVES, [(Role.MARGIN, random.randint(0, 40))], [replace(row, holder=SHARED, proofs=())]),
        account("wallet", A, Side.LENDING, [(Role.COLLATERAL, random.choice((0, 0, 5)))]),
    ]
    transfers: list[Transfer] = []
    for at in range(random.randint(0, 25)):
        source, target = random.choice(FLOWS) if random.random() < 0.8 else random.choices(ENDS, k=2)
        transaction, value = f"0x{at:064x}", random.randint(0, 12)
        if source == ATOKEN and random.random() < 0.7:
            transfers.append(Transfer(DEBT, ZERO_ADDRESS, A, random.choice((value, value, 3)), at, 0, transaction))
        if source == COMET and random.random() < 0.2:
            transfers.append(Transfer(COMET, B, ZERO_ADDRESS, 1, at, 0, transaction))
        transfers.append(Transfer(random.choice((*[TOKEN] * 9, FAKE)), source, target, value, at, 1, transaction))
    return Case(tuple(accounts), tuple(transfers))


cases = st.builds(made, st.integers(0, 2**32))


def followed(case: Case) -> dict[Place, Purse]:
    return follow(resolve(case.accounts, WALLETS, case.seen), {})


def traced(case: Case) -> tuple[Link, ...]:
    return linking.traced(case.accounts, WALLETS, [case.seen])


@own.examples(300)
@given(cases)
def test_money_is_neither_made_nor_lost(case: Case) -> None:
    moves = resolve(case.accounts, WALLETS, case.seen)
    change: Counter[Place] = Counter()
    least: Counter[Place] = Counter()
    lent: Counter[AccountId] = Counter()
    for move in moves:
        assert 0 <= move.lent <= move.transfer.value
        if move.loan:
            lent[move.loan] += move.lent
        for place, amount in ((move.source, -move.transfer.value), (move.target, move.transfer.value)):
            if place:
                change[place] += amount
                least[place] = min(least[place], change[place])
    purses = followed(case)
    proceeds: Counter[AccountId] = Counter()
    for place, purse in purses.items():
        assert all(lot.amount > 0 for lot in purse.lots)
        assert sum(lot.amount for lot in purse.lots) == change[place] - least[place]
        proceeds.update({lot.loan: 0 for lot in purse.lots if lot.loan})
        for lot in purse.lots:
            if lot.loan:
                proceeds[lot.loan] += lot.amount
    assert all(amount <= lent[loan] for loan, amount in proceeds.items())


@own.examples(300)
@given(cases)
def test_every_path_runs_forward_from_the_venue_that_lent_to_where_the_money_lies(case: Case) -> None:
    for place, purse in followed(case).items():
        for lot in purse.lots:
            if not lot.loan:
                assert lot.path == ()
                continue
            assert lot.path[0].source == case_holder(lot.loan)
            assert all(one.target == other.source for one, other in zip(lot.path, lot.path[1:], strict=False))
            order = [(transfer.block, transfer.index) for transfer in lot.path]
            assert order == sorted(set(order))
            assert all(transfer.value >= lot.amount and transfer.token == TOKEN for transfer in lot.path)
            ends = [place.where] if isinstance(place.where, str) else [VAULT, SHARED]
            assert lot.path[-1].target in ends


def case_holder(loan: AccountId) -> Address:
    return ATOKEN if "/aave/" in loan else COMET


@own.examples(300)
@given(cases, st.integers(0, 2**32))
def test_no_unit_is_counted_twice_whatever_the_order_of_answers(case: Case, seed: int) -> None:
    links = traced(case)
    funded: Counter[AccountId] = Counter()
    owed: Counter[AccountId] = Counter()
    moved: Counter[tuple[str, Address, Address]] = Counter()
    values = {(transfer.transaction, transfer.source, transfer.target): transfer.value for transfer in case.transfers}
    for link in links:
        assert link.amount is not None
        assert link.amount.raw > 0
        funded[link.margin] += link.amount.raw
        owed[link.loan] += link.amount.raw
        for hop in link.hops:
            moved[hop.transaction, hop.source, hop.target] += hop.amount
    for account in case.accounts:
        bound = sum(leg.amount.raw for leg in account.legs)
        assert max(funded[account.id], owed[account.id]) <= bound
    assert all(amount <= values[place] for place, amount in moved.items())
    shuffled = list(case.transfers)
    Random(seed).shuffle(shuffled)  # noqa: S311  # any order
    turned = tuple(reversed(case.accounts))
    assert traced(replace(case, accounts=turned, transfers=(*shuffled, *shuffled[:3]))) == links


def units(case: Case) -> dict[str, Counter[str]]:
    """By venue, where its units come from, followed one by one: the same rule in the plainest way."""
    holdings: defaultdict[Address, deque[str]] = defaultdict(deque)
    for wallet, opening in needed(case).items():
        holdings[wallet].extend(["own"] * opening)
    for transfer, origins in paid(case):
        units_ = [holdings[transfer.source].popleft() for _ in range(transfer.value)] if origins is None else origins
        if transfer.target in (*WALLETS, VAULT, SHARED):
            holdings[transfer.target].extend(units_)
    return {
        name: Counter(origin for origin in holdings[holder] if origin != "own") for name, holder in (("vault", VAULT), ("shared", SHARED))
    }


def paid(case: Case) -> Iterator[tuple[Transfer, list[str] | None]]:
    """Transfers of the token, in their order; with the origin of every unit where the money comes from outside."""
    by_hash: defaultdict[str, list[Transfer]] = defaultdict(list)
    for transfer in case.transfers:
        by_hash[transfer.transaction].append(transfer)
    for transfer in case.transfers:
        if transfer.token != TOKEN or not transfer.value or transfer.source == transfer.target:
            continue
        others = by_hash[transfer.transaction]
        minted = sum(other.value for other in others if other.token == DEBT)
        burnt = any(other.token == COMET for other in others)
        to_wallet = transfer.target in WALLETS
        if transfer.source == ATOKEN and to_wallet and case.account("aave").legs[0].amount.raw:
            part = min(minted, transfer.value)
            yield transfer, ["aave"] * part + ["own"] * (transfer.value - part)
        elif transfer.source == COMET and to_wallet and not burnt and case.account("comet").legs[0].amount.raw:
            yield transfer, ["comet"] * transfer.value
        elif transfer.source in (*WALLETS, VAULT, SHARED):
            yield transfer, None
        else:
            yield transfer, ["own"] * transfer.value


def needed(case: Case) -> dict[Address, int]:
    """What wallets and venues must have had before the first transfer, and A by what it holds in the end."""
    now: Counter[Address] = Counter()
    least: Counter[Address] = Counter()
    for transfer, _ in paid(case):
        for end, change in ((transfer.source, -transfer.value), (transfer.target, transfer.value)):
            now[end] += change
            least[end] = min(least[end], now[end])
    idle = case.account("wallet").legs[0].amount.raw
    return {end: max(-least[end], (idle if end == A else 0) - now[end]) for end in (*WALLETS, VAULT, SHARED)}


@own.examples(500)
@given(cases)
def test_what_is_traced_is_what_counting_units_gives(case: Case) -> None:
    counted = units(case)
    owing = any(case.account(name).legs[0].amount.raw for name in ("aave", "comet"))
    found = {(link.loan, link.margin): link.amount.raw for link in traced(case) if link.amount}
    left = {name: case.account(name).legs[0].amount.raw for name in ("aave", "comet")}
    for venue in sorted(counted, key=lambda name: case.account(name).id):
        total = 0
        for loan in ("aave", "comet"):
            amount = found.get((case.account(loan).id, case.account(venue).id), 0)
            assert amount <= counted[venue][loan]
            total += amount
            left[loan] -= amount
        room = case.account(venue).legs[0].amount.raw
        exhausted = all(
            left[loan] == 0 or counted[venue][loan] == found.get((case.account(loan).id, case.account(venue).id), 0) for loan in left
        )
        assert not owing or total == room or exhausted
