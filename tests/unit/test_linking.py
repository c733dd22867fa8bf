"""Which loan funds which margin: by tags, by transfers and by amounts, on books and transfers written down by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from defi_risk import linking
from defi_risk.ids import ZERO_ADDRESS, AccountId, Address, ChainId, Factor, account_id, checksum, erc20_id, token_of
from defi_risk.linking import Hop, How, Link, Mark, Search, Seen, Transfer
from defi_risk.model import TRANSFER, Account, Asset, Custody, Leg, Price, Proof, Role, Side
from defi_risk.units import Quantity

CHAIN, OTHER = ChainId(1), ChainId(42161)
A, B, STRANGER, TOKEN, ATOKEN, DEBT, COMET, CTOKEN, VAULT, BRIDGE, SYNTH = (checksum(f"{n:02x}" * 20) for n in range(0xA0, 0xAB))
USDC, ETH = Factor("USDC"), Factor("ETH")
MARGIN_EVENT = "MarginTransferred(address,int256)"
ONE = 10**6


def leg(role: Role, amount: int, *, token: Address = TOKEN, chain: ChainId = CHAIN, factor: Factor = USDC, decimals: int = 6) -> Leg:
    asset = Asset(erc20_id(chain, token), str(factor), 6)
    return Leg(role=role, asset=asset, factor=factor, amount=Quantity(amount * 10**decimals, decimals), price=Price(Quantity(1, 0)))


def account(name: str, owner: Address, side: Side, legs: Sequence[Leg], custody: Sequence[Custody] = ()) -> Account:
    made = account_id(CHAIN, name, "", owner)
    return Account(id=made, owner=owner, side=side, venue=name.title(), market=name, chain="ethereum", legs=(*legs,), custody=(*custody,))


def aave(owner: Address = A, owed: int = 12_000) -> Account:
    rows = [Custody(asset=erc20_id(CHAIN, TOKEN), holder=ATOKEN, proofs=(Proof(DEBT),))]
    return account("aave", owner, Side.LENDING, [leg(Role.DEBT, owed)], rows)


def comet(owner: Address = A, owed: int = 12_000) -> Account:
    rows = [Custody(asset=erc20_id(CHAIN, TOKEN), holder=COMET, receipt=COMET)]
    return account("comet", owner, Side.LENDING, [leg(Role.DEBT, owed)], rows)


def perp(
    owner: Address = A, margin: int = 12_000, *, name: str = "perp", holder: Address = VAULT, proofs: tuple[Proof, ...] = ()
) -> Account:
    rows = [Custody(asset=erc20_id(CHAIN, TOKEN), holder=holder, proofs=proofs)]
    return account(name, owner, Side.DERIVATIVES, [leg(Role.MARGIN, margin, decimals=18)], rows)


def wallet(owner: Address, idle: int) -> Account:
    return account("wallet", owner, Side.LENDING, [leg(Role.COLLATERAL, idle)])


class Log:
    """Transfers in the order in which they are written down, one a block unless told."""

    def __init__(self) -> None:
        self.transfers: list[Transfer] = []
        self.marks: set[Mark] = set()

    def move(self, source: Address, target: Address, amount: int, *, token: Address = TOKEN, same: bool = False) -> Log:
        index = len(self.transfers)
        block = self.transfers[-1].block if same else 100 + index
        self.transfers.append(Transfer(token, source, target, amount * ONE, block, index, f"0x{block:064x}"))
        return self

    def borrow(self, amount: int, to: Address = A, debtor: Address = A) -> Log:
        """A payout of Aave: debt is minted first, in the same transaction."""
        return self.move(ZERO_ADDRESS, debtor, amount, token=DEBT).move(ATOKEN, to, amount, same=True)

    def mark(self, about: Address) -> Log:
        self.marks.add(Mark(SYNTH, MARGIN_EVENT, about, self.transfers[-1].transaction))
        return self

    def seen(self, chain: ChainId = CHAIN) -> list[Seen]:
        return [Seen(chain, 0, tuple(self.transfers), frozenset(self.marks))]


def amounts(accounts: Sequence[Account], log: Log, wallets: Sequence[Address] = (A, B)) -> dict[tuple[AccountId, AccountId], int]:
    found = linking.traced(accounts, wallets, log.seen())
    assert all(link.how is How.TRACED and link.amount is not None for link in found)
    return {(link.loan, link.margin): link.amount.raw // ONE for link in found if link.amount}


class TestTraced:
    def test_through_another_wallet_into_the_vault(self) -> None:
        book = [aave(), perp(B)]
        [link] = linking.traced(book, (A, B), Log().borrow(12_000).move(A, B, 12_000).move(B, VAULT, 11_000).seen())
        assert (link.loan, link.margin, link.how) == (book[0].id, book[1].id, How.TRACED)
        assert (str(link.amount), link.asset) == ("11000", book[0].legs[0].asset)
        assert link.hops == (
            Hop(f"0x{100:064x}", 100, ATOKEN, A, 11_000 * ONE),
            Hop(f"0x{102:064x}", 102, A, B, 11_000 * ONE),
            Hop(f"0x{103:064x}", 103, B, VAULT, 11_000 * ONE),
        )

    def test_the_order_of_logs_is_theirs_not_that_of_the_answer(self) -> None:
        log = Log().borrow(12_000).move(A, VAULT, 12_000)
        log.transfers.reverse()
        assert list(amounts([aave(), perp()], log).values()) == [12_000]

    def test_money_that_was_there_first_goes_first(self) -> None:
        book = [aave(), perp()]
        assert list(amounts(book, Log().move(STRANGER, A, 5_000).borrow(12_000).move(A, VAULT, 12_000)).values()) == [7_000]
        assert list(amounts(book, Log().borrow(12_000).move(STRANGER, A, 5_000).move(A, VAULT, 12_000)).values()) == [12_000]

    def test_what_the_wallet_holds_now_tells_what_it_held_before(self) -> None:
        log = Log().borrow(12_000).move(A, VAULT, 12_000)
        assert list(amounts([aave(), perp(), wallet(A, 4_000)], log).values()) == [8_000]
        assert amounts([aave(), perp(), wallet(A, 12_000)], log) == {}

    def test_what_could_only_be_paid_from_before_the_look_back_is_the_oldest(self) -> None:
        log = Log().borrow(12_000).move(A, STRANGER, 20_000).move(STRANGER, A, 9_000).move(A, VAULT, 9_000)
        assert amounts([aave(), perp()], log) == {}

    def test_not_before_the_loan_was_paid_out(self) -> None:
        assert amounts([aave(), perp()], Log().move(STRANGER, A, 12_000).move(A, VAULT, 12_000).borrow(12_000)) == {}

    def test_what_leaves_the_book_is_gone(self) -> None:
        log = Log().borrow(12_000).move(A, STRANGER, 12_000).move(STRANGER, A, 12_000).move(A, VAULT, 12_000)
        assert amounts([aave(), perp()], log) == {}

    def test_margin_paid_back_is_the_oldest_margin(self) -> None:
        log = Log().move(STRANGER, A, 4_000).move(A, VAULT, 4_000).borrow(12_000).move(A, VAULT, 12_000).move(VAULT, A, 6_000)
        assert list(amounts([aave(), perp()], log).values()) == [10_000]
        assert list(amounts([aave(), perp()], log.move(A, VAULT, 6_000)).values()) == [12_000]

    def test_no_more_than_is_owed_or_posted(self) -> None:
        log = Log().borrow(12_000).move(A, VAULT, 12_000)
        assert list(amounts([aave(owed=3_000), perp()], log).values()) == [3_000]
        assert list(amounts([aave(), perp(margin=800)], log).values()) == [800]
        assert amounts([aave(owed=0), perp()], log) == {}

    def test_hops_that_are_many(self) -> None:
        log = Log().borrow(12_000)
        for _ in range(7):
            log.move(A, B, 12_000).move(B, A, 12_000)
        [link] = linking.traced([aave(), perp()], (A, B), log.move(A, VAULT, 12_000).seen())
        assert (len(link.hops), link.left_out) == (12, 4)
        assert link.hops[-1].target == VAULT
        log = Log().borrow(12_000)
        for _ in range(8):
            log.move(A, B, 12_000).move(B, A, 12_000)
        assert linking.traced([aave(), perp()], (A, B), log.move(A, VAULT, 12_000).seen()) == ()

    def test_many_small_payouts_into_one_deposit(self) -> None:
        log = Log()
        for _ in range(30):
            log.borrow(100)
        [link] = linking.traced([aave(), perp()], (A,), log.move(A, VAULT, 2_950).seen())
        assert str(link.amount) == "2950"
        assert (len(link.hops), link.left_out) == (12, 19)
        assert link.hops[-1].amount == 2_950 * ONE
        assert link.hops[-2].amount == 50 * ONE


class TestLoans:
    def test_a_withdrawal_of_supplies_is_none(self) -> None:
        paid = Log().move(ATOKEN, A, 5_000).move(A, VAULT, 5_000)
        assert amounts([aave(), perp()], paid) == {}
        burnt = Log().move(A, ZERO_ADDRESS, 5_000, token=COMET).move(COMET, A, 5_000, same=True).move(A, VAULT, 5_000)
        assert amounts([comet(), perp()], burnt) == {}
        assert list(amounts([comet(), perp()], Log().move(COMET, A, 5_000).move(A, VAULT, 5_000)).values()) == [5_000]

    def test_a_withdrawal_of_another_wallets_supplies_is_none(self) -> None:
        burnt = Log().move(B, ZERO_ADDRESS, 5_000, token=COMET).move(COMET, B, 5_000, same=True).move(B, VAULT, 5_000)
        assert amounts([comet(A), perp(B)], burnt) == {}
        assert list(amounts([comet(A), perp(B)], Log().move(COMET, B, 5_000).move(B, VAULT, 5_000)).values()) == [5_000]

    def test_redeemed_market_tokens_are_given_back_to_their_market(self) -> None:
        row = replace(comet().custody[0], holder=CTOKEN, receipt=CTOKEN)
        lent = replace(comet(), custody=(row,))
        redeemed = Log().move(CTOKEN, A, 5_000).move(A, CTOKEN, 99, token=CTOKEN, same=True).move(A, VAULT, 5_000)
        assert amounts([lent, perp()], redeemed) == {}

    def test_one_transaction_that_borrows_and_withdraws(self) -> None:
        log = Log().move(ZERO_ADDRESS, A, 3_000, token=DEBT).move(ATOKEN, A, 2_000, same=True).move(ATOKEN, A, 4_000, same=True)
        assert list(amounts([aave(), perp()], log.move(A, VAULT, 6_000)).values()) == [3_000]

    def test_borrowed_on_behalf_of_another_wallet(self) -> None:
        book = [aave(A), aave(B), perp(B)]
        log = Log().borrow(2_000, to=B, debtor=A).move(B, VAULT, 2_000)
        assert amounts(book, log) == {(book[0].id, book[2].id): 2_000}

    def test_of_two_wallets_at_one_comet_each_owes_what_it_got(self) -> None:
        book = [comet(A), comet(B), perp(A), perp(B)]
        log = Log().move(COMET, A, 300).move(COMET, B, 200).move(A, B, 300).move(B, VAULT, 400)
        assert amounts(book, log) == {(book[0].id, book[3].id): 200, (book[1].id, book[3].id): 200}

    def test_two_loans_share_a_margin_by_age(self) -> None:
        book = [aave(owed=4_000), comet(owed=9_000), perp(margin=6_000)]
        log = Log().borrow(4_000).move(COMET, A, 9_000).move(A, VAULT, 6_000)
        assert amounts(book, log) == {(book[0].id, book[2].id): 4_000, (book[1].id, book[2].id): 2_000}


class TestMargins:
    def test_the_wallets_own_account_else_the_only_owners(self) -> None:
        log = Log().borrow(5_000).move(A, VAULT, 5_000)
        own, others = perp(A), perp(B)
        assert list(amounts([aave(), own, others], log)) == [(aave().id, own.id)]
        assert list(amounts([aave(), others], log)) == [(aave().id, others.id)]
        assert amounts([aave(), others, perp(STRANGER)], log) == {}

    def test_accounts_that_share_a_purse_are_filled_in_turn(self) -> None:
        first, second = perp(margin=3_000, name="eth"), perp(margin=9_000, name="sol")
        found = amounts([aave(), second, first], Log().borrow(5_000).move(A, VAULT, 5_000))
        assert found == {(aave().id, first.id): 3_000, (aave().id, second.id): 2_000}

    def test_burnt_margin_needs_the_venues_own_event(self) -> None:
        side = perp(holder=ZERO_ADDRESS, proofs=(Proof(SYNTH, MARGIN_EVENT),))
        assert list(amounts([aave(), side], Log().borrow(5_000).move(A, ZERO_ADDRESS, 5_000).mark(A)).values()) == [5_000]
        assert amounts([aave(), side], Log().borrow(5_000).move(A, ZERO_ADDRESS, 5_000)) == {}
        assert amounts([aave(), side], Log().borrow(5_000).move(A, ZERO_ADDRESS, 5_000).mark(B)) == {}

    def test_a_bridge_on_the_loans_chain(self) -> None:
        """Margin lies on another chain under another token; what makes them one is the factor."""
        lent = aave()
        row = Custody(asset=lent.legs[0].asset.id, holder=BRIDGE)
        side = account("hyper", A, Side.DERIVATIVES, [leg(Role.MARGIN, 2_000, token=STRANGER, chain=OTHER, decimals=8)], [row])
        assert list(amounts([lent, side], Log().borrow(5_000).move(A, BRIDGE, 5_000)).values()) == [2_000]

    def test_margin_of_another_coin_or_unknown_is_not_funded(self) -> None:
        log = Log().borrow(5_000).move(A, VAULT, 5_000)
        assert amounts([aave(), replace(perp(), legs=(leg(Role.MARGIN, 9, factor=ETH),))], log) == {}
        assert amounts([aave(), replace(perp(), status="unknown")], log) == {}
        assert amounts([replace(aave(), status="unknown"), perp()], log) == {}


class TestHostile:
    def test_transfers_of_nothing_and_to_oneself(self) -> None:
        log = Log().borrow(12_000).move(A, VAULT, 0).move(A, A, 12_000).move(STRANGER, A, 0).move(A, VAULT, 12_000)
        [link] = linking.traced([aave(), perp()], (A, B), log.seen())
        assert [hop.target for hop in link.hops] == [A, VAULT]

    def test_tokens_that_only_look_alike(self) -> None:
        fake = Log().move(ZERO_ADDRESS, A, 12_000, token=STRANGER).move(ATOKEN, A, 12_000, token=STRANGER).move(A, VAULT, 9, token=STRANGER)
        assert amounts([aave(), perp()], fake) == {}

    def test_debt_minted_by_another_contract_or_in_another_transaction_proves_nothing(self) -> None:
        minted = Log().move(ZERO_ADDRESS, A, 12_000, token=STRANGER).move(ATOKEN, A, 12_000, same=True).move(A, VAULT, 12_000)
        assert amounts([aave(), perp()], minted) == {}
        apart = Log().move(ZERO_ADDRESS, A, 12_000, token=DEBT).move(ATOKEN, A, 12_000).move(A, VAULT, 12_000)
        assert amounts([aave(), perp()], apart) == {}

    def test_the_same_log_twice_counts_once(self) -> None:
        log = Log().borrow(4_000).move(A, VAULT, 4_000)
        log.transfers += log.transfers
        assert list(amounts([aave(), perp()], log).values()) == [4_000]

    @pytest.mark.parametrize("value", [2**256 - 1, 2**255])
    def test_numbers_beyond_all_supply(self, value: int) -> None:
        log = Log().borrow(12_000)
        log.transfers.append(Transfer(TOKEN, STRANGER, A, value, 900, 1, f"0x{900:064x}"))
        assert list(amounts([aave(), perp()], log.move(A, VAULT, 12_000)).values()) == [12_000]


class TestSearches:
    def test_nothing_without_a_loan_and_margin_of_one_coin(self) -> None:
        for book in ([aave()], [perp()], [aave(owed=0), perp()], [aave(), perp(margin=0)], [comet(), replace(perp(), custody=())]):
            assert linking.searches(book, (A,)) == ()
        other = replace(perp(), legs=(leg(Role.MARGIN, 5, factor=ETH),))
        assert linking.searches([aave(), other], (A,)) == ()

    def test_one_a_chain_for_all_contracts_and_wallets(self) -> None:
        side = perp(holder=ZERO_ADDRESS, proofs=(Proof(SYNTH, MARGIN_EVENT),))
        [search] = linking.searches([aave(), comet(), side, perp()], (A, B, A))
        assert search == Search(CHAIN, (TOKEN, COMET, DEBT, SYNTH), (MARGIN_EVENT,), (A, B))

    def test_a_bridge_is_looked_at_on_its_own_chain(self) -> None:
        lent = replace(aave(), legs=(leg(Role.DEBT, 5, chain=OTHER),), custody=(Custody(asset=erc20_id(OTHER, TOKEN), holder=ATOKEN),))
        side = replace(perp(), custody=(Custody(asset=erc20_id(OTHER, TOKEN), holder=BRIDGE), *perp().custody))
        assert [search.chain for search in linking.searches([lent, side], (A,))] == [OTHER]

    def test_tagged_margin_is_not_looked_into(self) -> None:
        book = [aave(), perp()]
        named = linking.tagged(book, [("manual:otc", book[1].id)])
        assert named == {book[1].id}
        assert linking.searches(book, (A,), named) == ()

    def test_ids_of_tokens(self) -> None:
        assert token_of(erc20_id(OTHER, TOKEN)) == (OTHER, TOKEN)
        assert TRANSFER == "Transfer(address,address,uint256)"


class TestFind:
    def test_tags_before_transfers_before_amounts(self) -> None:
        lent, other, side = aave(), comet(), perp()
        traced = linking.traced([lent, side], (A,), Log().borrow(500).move(A, VAULT, 500).seen())
        book = [lent, other, side]
        assert linking.find(book, [(other.id, side.id)], traced) == (Link(loan=other.id, margin=side.id, how=How.TAGGED),)
        assert linking.find(book, [], traced) == traced
        [alike] = linking.find(book, [])
        assert (alike.loan, alike.how, str(alike.amount)) == (lent.id, How.AMOUNTS, "12000")

    def test_a_tag_that_leads_nowhere_still_explains_its_margin(self) -> None:
        assert linking.find([aave(), perp()], [("binance", perp().id)]) == ()

    @pytest.mark.parametrize(("margin", "linked"), [(12_000, True), (11_760, True), (11_759, False), (12_244, True), (12_245, False)])
    def test_amounts_within_two_per_cent_of_the_larger(self, margin: int, linked: bool) -> None:
        found = linking.find([aave(), perp(margin=margin)], [])
        assert bool(found) is linked
        assert all(str(link.amount) == str(min(margin, 12_000)) for link in found)

    def test_the_most_alike_first_and_none_twice(self) -> None:
        book = [aave(owed=12_000), comet(owed=12_100), perp(A, 12_090), perp(B, 12_010)]
        found = {(link.loan, link.margin) for link in linking.find(book, [])}
        assert found == {(book[0].id, book[3].id), (book[1].id, book[2].id)}
        assert len(linking.find([*book[:2], book[2]], [])) == 1

    def test_among_many_some_are_alike_by_chance(self) -> None:
        many = [aave(checksum(f"{n:040x}"), owed=2_000 + 100 * n) for n in range(1, 102)]
        assert len(linking.find([*many[:100], perp()], [])) == 1
        assert linking.find([*many, perp()], []) == ()

    def test_other_coins_and_unknown_accounts_are_not_alike(self) -> None:
        assert linking.find([aave(), replace(perp(), legs=(leg(Role.MARGIN, 12_000, factor=ETH),))], []) == ()
        assert linking.find([aave(), replace(perp(), status="unknown")], []) == ()
        assert linking.find([replace(aave(), status="unknown"), perp()], [(aave().id, perp().id)]) == ()

    def test_a_loan_that_transfers_show_elsewhere_is_not_guessed_again(self) -> None:
        first, second = perp(A, 500), perp(B)
        traced = linking.traced([aave(), first, second], (A,), Log().borrow(12_000).move(A, VAULT, 500).seen())
        assert linking.find([aave(), first, second], [], traced) == traced


def test_what_a_venue_only_owes_back_is_no_margin_that_anybody_posted() -> None:
    """Funding that grows with the price is written as margin, and cannot be moved."""
    posted = perp()
    [row] = posted.legs
    owed_back = replace(posted, legs=(replace(row, movable=False),))
    assert [link.how for link in linking.find([aave(), posted], [])] == [How.AMOUNTS]
    assert linking.find([aave(), owed_back], []) == ()
