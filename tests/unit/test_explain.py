"""The change of health between two snapshots, in cases worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from defi_risk.errors import StoreError, UsageError
from defi_risk.explain import Explanation, explain
from defi_risk.explain.model import CAUSES, AccountChange
from defi_risk.export.explanation import as_text, headline
from defi_risk.ids import Factor
from defi_risk.model import Account, Contract, Leg, Side
from defi_risk.snapshot import Snapshot
from tests.accounts import BTC, ETH, SETTINGS, USDC, USDT, collateral, debt, loan, margin, opened, perp, position
from tests.taken import WEEK, derivative, failed, read, taken

LOAN = loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000))
PERP = perp(margin(USDC, 12_000), position(ETH, -10, 3000))


def told(before: Account | Sequence[Account], after: Account | Sequence[Account], seconds: int = 0) -> Explanation:
    """What changed from one book to the other."""
    books = [[book] if isinstance(book, Account) else list(book) for book in (before, after)]
    return explain(taken(books[0]), taken(books[1], seconds))


def only(found: Explanation) -> AccountChange:
    [account] = found.accounts
    return account


def parts(account: AccountChange) -> dict[str, Any]:
    """The four parts in USD, without those that are nothing."""
    assert account.surplus_usd.parts is not None
    found = {cause: getattr(account.surplus_usd.parts, cause) for cause in CAUSES}
    return {cause: pytest.approx(value, abs=1e-6) for cause, value in found.items() if value}


def rated(leg: Leg, apr: str, compounding: str = "linear") -> Leg:
    return replace(leg, apr=Decimal(apr), compounding=compounding)


def funded(leg: Leg, rate: str) -> Leg:
    return replace(leg, position=replace(derivative(leg), funding_8h=Decimal(rate)))


def test_a_price_and_a_threshold_share_what_they_do_together() -> None:
    account = only(told(LOAN, loan(collateral(ETH, 10, 2700, "0.80"), debt(USDC, 12_000))))
    # alone: -300 * 10 * 0.83 and 30,000 * -0.03; together they do 90 less, of which each takes half
    assert parts(account) == {"price": -2445.0, "parameters": -855.0}
    assert (account.surplus_usd.before, account.surplus_usd.after, account.status) == (12_900.0, 9_600.0, "changed")
    assert (account.largest, account.sentence) == ("price", "price: ETH -10.0 %")


def test_four_causes_at_once_are_the_average_of_all_orders() -> None:
    before = loan(collateral(ETH, 10, 3000, "0.8"), rated(debt(USDC, 10_000), "0.365"))
    after = loan(collateral(ETH, 20, 2000, "0.7"), debt(USDC, 10_070 + 500))
    account = only(told(before, after, WEEK))
    # collateral a * p * w: (10, 3000, 0.8) -> (20, 2000, 0.7) over price, flow and parameters; debt is 70 of interest and 500 more
    a, p, w = (10, 20), (3000, 2000), (0.8, 0.7)

    def shapley(d0: tuple[float, float], d1: tuple[float, float], d2: tuple[float, float]) -> float:
        move = d0[1] - d0[0]
        return move * (2 * d1[0] * d2[0] + d1[0] * d2[1] + d1[1] * d2[0] + 2 * d1[1] * d2[1]) / 6

    assert parts(account) == {"price": shapley(p, a, w), "carry": -70.0, "flow": shapley(a, p, w) - 500, "parameters": shapley(w, a, p)}


def test_the_unified_health_is_split_as_well() -> None:
    found = told([LOAN, PERP], [LOAN, perp(margin(USDC, 14_000), position(ETH, -10, 3300, entry=3000))])
    uhf = found.book.uhf
    assert uhf.parts is not None
    # 37.25 % up at first: (12,000 + 30,000) / 1.02 / 30,000; with 2,000 more 44,000 / 1.02 / 33,000
    assert [uhf.before, uhf.after] == pytest.approx([42 / 30.6, 44 / 33.66])
    flow = (2 / 30.6 + 2 / 33.66) / 2
    assert uhf.parts.flow == pytest.approx(flow)
    assert uhf.parts.price == pytest.approx(44 / 33.66 - 42 / 30.6 - flow)
    assert (uhf.parts.carry, uhf.parts.parameters) == (0.0, 0.0)
    assert found.book.surplus_usd.before == 24_300
    assert headline(found) == "unified health 1.37 → 1.31 (price -0.13, carry +0.00, flow +0.06, parameters +0.00)"


@pytest.mark.parametrize(
    ("compounding", "interest"), [("linear", 12_000 * 0.06 * 7 / 365), ("per second", 13.8161), ("per block", 13.8161)]
)
def test_interest_at_the_rate_of_the_first_snapshot_is_carry(compounding: str, interest: float) -> None:
    before = loan(collateral(ETH, 10, 3000, "0.83"), rated(debt(USDC, 12_000), "0.06", compounding))
    after = loan(collateral(ETH, 10, 3000, "0.83"), rated(debt(USDC, 12_020), "0.09", compounding))
    account = only(told(before, after, WEEK))
    assert account.surplus_usd.parts is not None
    assert account.surplus_usd.parts.carry == pytest.approx(-interest, abs=1e-4)
    assert account.surplus_usd.parts.flow == pytest.approx(-20 + interest, abs=1e-4)
    assert account.days == 7


def test_interest_on_what_was_repaid_in_between_is_flow() -> None:
    before = loan(collateral(ETH, 10, 3000, "0.83"), rated(debt(USDC, 12_000), "0.06"))
    assert parts(only(told(before, loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 1)), WEEK))) == {"carry": -1.0, "flow": 12_000.0}
    assert parts(only(told(before, loan(collateral(ETH, 10, 3000, "0.83")), WEEK))) == {"flow": 12_000.0}


def test_funding_may_take_the_margin_that_earned_interest() -> None:
    # 365 days at 10 %: 20 earned on 200, and 0.01 % three times a day paid by a long of 3,000: 328.5
    before = perp(rated(margin(USDC, 200), "0.1"), funded(position(ETH, 1, 3000), "0.0001"))
    after = perp(margin(USDC, 200 + 20 - Decimal("328.5")), position(ETH, 1, 3000))
    assert parts(only(told(before, after, 365 * 86_400))) == {"carry": -308.5}


def test_an_amount_that_did_not_move_has_not_accrued() -> None:
    before = loan(rated(collateral(ETH, 10, 3000, "0.83"), "0.02"), rated(debt(USDC, 12_000), "0.06"))
    account = only(told(before, before, WEEK))
    assert (account.status, parts(account)) == ("unchanged", {})


@pytest.mark.parametrize(
    ("before", "after", "carry"),
    [
        # a short of 30,000 is paid 0.01 % three times a day for a week: 63
        (perp(margin(USDC, 12_000), position(ETH, -10, 3000)), perp(margin(USDC, 12_063), position(ETH, -10, 3000)), 63),
        (perp(margin(USDC, 12_000), position(ETH, 10, 3000)), perp(margin(USDC, 11_937), position(ETH, 10, 3000)), -63),
        # an inverse short of 30,000 USD: 10 ETH of notional, 0.021 ETH
        (
            perp(margin(ETH, 12, 3000), position(ETH, -30_000, 3000, contract=Contract.INVERSE)),
            perp(margin(ETH, "12.021", 3000), position(ETH, -30_000, 3000, contract=Contract.INVERSE)),
            63,
        ),
        # not settled yet: in the venue's own profit
        (perp(margin(USDC, 12_000), position(ETH, -10, 3000)), perp(margin(USDC, 12_000), position(ETH, -10, 3000, pnl=63)), 63),
        # no margin in the settling coin
        (perp(margin(ETH, 5, 3000), position(ETH, -10, 3000)), perp(margin(ETH, 5, 3000), position(ETH, -10, 3000, pnl=63)), 63),
    ],
)
def test_funding_is_carry(before: Account, after: Account, carry: float) -> None:
    before = replace(before, legs=(before.legs[0], funded(before.legs[1], "0.0001")))
    account = only(told(before, after, WEEK))
    assert parts(account) == {"carry": carry}
    assert account.largest == "carry"


def test_time_is_that_of_the_blocks_where_there_are_blocks() -> None:
    before = loan(collateral(ETH, 10, 3000, "0.83"), rated(debt(USDC, 12_000), "0.06"), chain="ethereum")
    after = loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_020), chain="ethereum")
    # both read on one day, the second at the block of a week before
    first, second = taken([before], sources=[read()]), taken([after], sources=[read(-WEEK)])
    assert [only(explain(first, second)).days, only(explain(second, first)).days] == [-7, 7]
    again = explain(second, first).accounts[0].surplus_usd.parts
    assert again is not None
    assert again.carry == 0  # the earlier one is the one without a rate


ENABLED = loan(collateral(ETH, 10, 3000, "0.83"), collateral(BTC, 1, 60_000, "0.8"), debt(USDC, 12_000))
DISABLED = loan(collateral(ETH, 10, 3000, "0.83"), collateral(BTC, 1, 60_000, 0, enabled=False), debt(USDC, 12_000))


@pytest.mark.parametrize(
    ("before", "after", "expected", "sentence"),
    [
        # venues write a weight of 0 for what is switched off
        (ENABLED, DISABLED, {"flow": -48_000.0}, "flow: BTC no longer counts as collateral"),
        (DISABLED, ENABLED, {"flow": 48_000.0}, "flow: BTC counts as collateral"),
        (
            LOAN,
            replace(loan(collateral(ETH, 10, 3000, "0.93"), debt(USDC, 12_000)), mode="emode:1"),
            {"parameters": 3000.0},
            "parameters: mode cross → emode:1",
        ),
        (LOAN, loan(collateral(ETH, 10, 3000, "0.80"), debt(USDC, 12_000)), {"parameters": -900.0}, "parameters: weight of ETH 0.83 → 0.8"),
        (LOAN, loan(collateral(ETH, 8, 3000, "0.83"), debt(USDC, 12_000)), {"flow": -4980.0}, "flow: collateral of ETH 10.00 → 8.000"),
        (LOAN, loan(collateral(ETH, 10, 3000, "0.83")), {"flow": 12_000.0}, "flow: no more debt of 12,000.00 USDC"),
        (PERP, perp(margin(USDC, 12_000), position(ETH, 10, 3000)), {}, "no effect: new position of 10.00 ETH"),
        (PERP, perp(margin(USDC, 12_000), position(ETH, -5, 3000)), {"flow": 300.0}, "flow: position of ETH -10.00 → -5.000"),
        (
            PERP,
            perp(margin(USDC, 12_000), position(ETH, -10, 3000, maintenance="0.03")),
            {"parameters": -300.0},
            "parameters: maintenance of ETH 0.02 → 0.03",
        ),
        (
            PERP,
            perp(margin(USDC, 12_000), position(ETH, -10, 3000, fee="0.001")),
            {"parameters": -30.0},
            "parameters: maintenance of ETH changed",
        ),
        (PERP, perp(margin(USDC, 12_000), position(ETH, -10, 3000, entry=3100)), {"flow": 1000.0}, "flow: entry of ETH moved"),
        (PERP, perp(margin(USDC, 12_000, "0.9"), position(ETH, -10, 3000)), {"price": -1140.0}, "price: USDC -10.0 %"),
    ],
)
def test_every_change_has_its_cause(before: Account, after: Account, expected: dict[str, float], sentence: str) -> None:
    account = only(told(before, after))
    assert parts(account) == expected
    assert account.sentence.startswith(sentence)
    assert only(told(after, before)).surplus_usd.before == account.surplus_usd.after


def leaving(size: int, cost: str, mark: int = 3000) -> Account:
    """A long whose venue's rule takes a cost of closing off."""
    return perp(margin(USDC, 6000), opened(position(ETH, size, mark, entry=3000), exit_cost=cost))


@pytest.mark.parametrize(
    ("after", "expected", "sentence"),
    [
        (leaving(10, "40"), {"price": -19.0}, "price: cost of closing ETH 21.00 → 40.00"),
        (leaving(5, "10.5"), {"flow": 300.0 + 10.5}, "flow: position of ETH 10.00 → 5.000"),
        (leaving(10, "20.3", 2900), {"price": -1000.0 + 20.0 + 0.7}, "price: ETH -3.3 %"),
    ],
)
def test_what_leaving_costs_follows_size_and_market_and_is_no_parameter(after: Account, expected: dict[str, float], sentence: str) -> None:
    account = only(told(leaving(10, "21"), after))
    assert (parts(account), account.sentence) == (expected, sentence)


def test_a_flipped_position_and_another_factor_are_told_apart() -> None:
    flipped = only(told(perp(margin(USDC, 12_000), position(ETH, -10, 3000)), perp(margin(USDC, 12_000), position(ETH, 12, 3300))))
    assert parts(flipped) == {"flow": -192.0}
    mapped = loan(replace(collateral(ETH, 10, 3000, "0.83"), factor=Factor("LST")), debt(USDC, 12_000))
    account = only(told(LOAN, mapped))
    assert (account.status, parts(account)) == ("changed", {})
    assert account.sentence == "no effect: ETH follows another factor"


def test_a_quote_that_breaks_is_a_price() -> None:
    account = perp(margin(ETH, 10, 3000), position(ETH, -10, 3000, entry=2900, quote=USDT))
    found = explain(taken([account], prices={USDT: 1.0}), taken([account], prices={USDT: 0.9}))
    # the loss of 1,000 USDT and the requirement of 600 USDT weigh a tenth less
    assert parts(only(found)) == {"price": 160.0}


def test_a_token_borrowed_against_itself_keeps_its_price() -> None:
    """A leg that came is priced by what the account holds of the token already."""
    before = loan(collateral(ETH, 10, 3000, "0.83"))
    after = loan(collateral(ETH, 10, 2000, "0.83"), debt(ETH, 1, 2000))
    assert parts(only(told(before, after))) == {"price": -8300.0 + 500.0, "flow": -2500.0}


def test_opened_and_closed_accounts_are_flow() -> None:
    found = told([LOAN], [LOAN, PERP])
    opened = found.accounts[1]
    assert (opened.status, opened.surplus_usd.before, parts(opened)) == ("opened", 0.0, {"flow": 11_400.0})
    assert found.book.uhf.parts is not None
    assert found.book.uhf.parts.flow == pytest.approx(1.3725490 - 2.075)
    closed = told([LOAN, PERP], [LOAN]).accounts[1]
    assert (closed.status, closed.surplus_usd.after, parts(closed)) == ("closed", 0.0, {"flow": -11_400.0})
    assert (closed.sentence, closed.mode.after) == ("the account was closed", None)


LOST = loan(name="perp", status="unknown", reason="no\x1b[2J answer")
ON_CHAIN = perp(margin(USDC, 12_000), position(ETH, -10, 3000), name="eth", chain="ethereum")
EXCHANGE = replace(perp(margin(USDC, 12_000)), id=replace(PERP).id.__class__("binance-main/swap"))


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (taken([LOAN, PERP]), taken([LOAN, LOST]), "unknown after: no[2J answer"),
        (taken([LOAN, LOST]), taken([LOAN, PERP]), "unknown before: no[2J answer"),
        (taken([LOAN, ON_CHAIN]), taken([LOAN], sources=[]), "unknown after: ethereum was not read"),
        (taken([LOAN], sources=[failed()]), taken([LOAN, ON_CHAIN]), "unknown before: ethereum failed: no answer"),
        (
            taken([LOAN, EXCHANGE]),
            taken([LOAN], sources=[failed("binance-main", "exchange")]),
            "unknown after: binance-main failed: no answer",
        ),
        (
            taken([LOAN, ON_CHAIN]),
            taken([LOAN, replace(LOST, venue="venue of eth", chain="ethereum", id=LOAN.id.__class__("x"))]),
            "unknown after: an account of",
        ),
    ],
)
def test_what_is_not_known_in_both_has_no_parts(before: Snapshot, after: Snapshot, reason: str) -> None:
    found = explain(before, after)
    [account] = [one for one in found.accounts if one.status == "unknown" and one.id != "x"]
    assert (account.reason or "").startswith(reason)
    assert account.surplus_usd.parts is None
    assert found.book.uhf.parts is None
    assert found.book.surplus_usd.parts is None
    assert any(note.startswith("the unified health is not split: ") for note in found.notes)
    assert "? unknown" in as_text(found)


def test_an_account_unknown_in_both_leaves_the_others_comparable() -> None:
    found = told([LOAN, LOST], [loan(collateral(ETH, 10, 2700, "0.83"), debt(USDC, 12_000)), LOST])
    assert found.book.uhf.parts is not None
    assert found.book.uhf.parts.price == pytest.approx(-0.2075)
    assert headline(found).startswith("unified health at most 2.08 → at most 1.87 (price -0.21")
    assert found.notes[0] == f"{found.before.id} is partial: 1 account is unknown"


def test_an_infinite_health_is_not_split() -> None:
    idle = loan(collateral(ETH, 10, 3000, "0.83"))
    found = told(idle, LOAN)
    assert (found.book.uhf.before, found.book.uhf.parts) == (None, None)
    assert found.notes == ("the unified health is not split: before, no market move liquidates anything",)
    assert headline(found) == "unified health ∞ → 2.08"
    assert told(idle, idle).notes == ()
    # ETH against ETH: only half of what happened would leave the account without a line
    pair = told(loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 9000)), loan(collateral(BTC, 1, 60_000, "0.8"), debt(USDT, 9000)))
    assert pair.book.uhf.parts is not None


def test_betas_of_the_book_are_needed_for_its_unified_health() -> None:
    settings = replace(SETTINGS, betas={ETH: 0.8})
    later = loan(collateral(ETH, 10, 2700, "0.83"), debt(USDC, 12_000))
    first, last = taken([LOAN], settings=settings), taken([later], settings=settings)
    without, given = explain(first, last), explain(first, last, settings=settings)
    assert without.book.uhf.parts is None
    assert "--book" in without.notes[0]
    assert given.book.uhf.parts is not None
    assert given.book.uhf.parts.price == pytest.approx((given.book.uhf.after or 0) - (given.book.uhf.before or 0))
    assert without.accounts == given.accounts
    # at half of the market's move, nothing liquidates the loan
    endless = replace(SETTINGS, betas={ETH: 0.5})
    odd = explain(taken([LOAN], settings=endless), taken([LOAN]))
    assert "the legs make 2.075 and 2.075" in odd.notes[0]
    assert "the legs make no limit and no limit" in explain(taken([LOAN]), taken([LOAN]), settings=endless).notes[0]


def test_a_venue_that_rounds_its_ratio_is_a_residual() -> None:
    first = taken([loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, "24899.99"), liquidatable=True)])
    found = explain(first, taken([loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000))]))
    assert found.book.uhf.parts is not None
    assert 0 < found.book.uhf.parts.residual < 1e-6
    assert found.notes == ("the unified health's residual is the venue's own rounding",)


def test_two_books_and_two_kinds_of_account_are_refused() -> None:
    with pytest.raises(UsageError, match=r"a\.json and b\.json have no account in common - give two snapshots of one book"):
        explain(taken([LOAN]), taken([PERP]), files=("a.json", "b.json"))
    with pytest.raises(StoreError, match="account manual:loan is lending in one snapshot and derivatives in the other"):
        told(LOAN, replace(LOAN, side=Side.DERIVATIVES))
    with pytest.raises(StoreError, match="account manual:loan stands twice"):
        told([LOAN, LOAN], LOAN)
    assert told([], []).accounts == ()
    assert [one.status for one in told([], [LOAN]).accounts] == ["opened"]
    with pytest.raises(UsageError):
        explain(taken([], name="other"), taken([LOAN]))


def test_a_snapshot_without_terms_names_the_account() -> None:
    old = taken([LOAN, PERP])
    short = old.accounts[1]
    bare = structs.replace(short, legs=(short.legs[0], structs.replace(short.legs[1], terms=None)))
    with pytest.raises(StoreError, match="account manual:perp: the position ETH has no terms"):
        explain(structs.replace(old, accounts=(old.accounts[0], bare)), taken([LOAN, PERP]))


@pytest.mark.parametrize("flat", [LOAN.legs[1:], ()])
def test_numbers_that_never_stood_together_may_be_too_large(flat: tuple[Leg, ...]) -> None:
    dear, many = (loan(collateral(ETH, amount, price), *flat) for amount, price in ((1, Decimal("1e300")), (Decimal("1e300"), 1)))
    with pytest.raises(StoreError, match="account manual:loan: its numbers are beyond what can be computed"):
        told(dear, many)


def test_notes_say_what_weakens_the_comparison() -> None:
    later = taken([LOAN], WEEK, sources=[failed("arbitrum"), read()])
    found = explain(later, taken([LOAN], name="spare"), files=("b.json", "a.json"))
    assert found.notes == (
        "b.json is the later one: the change is told backwards in time",
        "the snapshots are of books with different names: desk and spare",
        "b.json is partial: arbitrum could not be read",
    )


def test_the_json_has_the_keys_of_the_interface() -> None:
    found: dict[str, Any] = json.loads(told([LOAN, PERP], [LOAN, LOST]).to_json())
    assert {"from", "to", "book", "accounts"} <= found.keys()
    assert {"id", "taken_at", "file", "partial"} <= found["from"].keys()
    assert found["book"]["uhf"].keys() == {"before", "after", "parts"}
    assert found["accounts"][0]["surplus_usd"].keys() == {"before", "after", "parts"}
    assert found["accounts"][0]["surplus_usd"]["parts"].keys() == {"price", "carry", "flow", "parameters", "residual"}
    assert found["accounts"][1]["surplus_usd"]["parts"] is None


def test_legs_in_another_order_are_no_change() -> None:
    """Their sum may differ in its last digits, which is told as it is, in both directions."""
    legs = tuple(collateral(coin, amount) for coin, amount in ((USDC, "0.1"), (USDT, "0.2"), (Factor("DAI"), "0.3")))
    first, last = loan(*legs, debt(ETH, "0.0001", 1)), loan(*legs[::-1], debt(ETH, "0.0001", 1))
    there, back = only(told(first, last)), only(told(last, first))
    assert (there.status, back.status) == ("unchanged", "unchanged")
    assert (there.surplus_usd.before, there.surplus_usd.after) == (back.surplus_usd.after, back.surplus_usd.before)
    assert there.surplus_usd.before != there.surplus_usd.after
    assert parts(there) == {}


TABLE = """\
unified health 1.37 → 1.31 (price -0.13, carry +0.00, flow +0.06, parameters +0.00)
desk (2024-12-14 08:00 UTC) → desk (2024-12-14 08:00 UTC)

  surplus                before    after    price  carry     flow  parameters
  venue of perp · main  $11,400  $10,340  -$3,060      -  +$2,000           -
  price: ETH +10.0 %

note: 1 account did not change
"""


def test_the_whole_table() -> None:
    assert as_text(told([LOAN, PERP], [LOAN, perp(margin(USDC, 14_000), position(ETH, -10, 3300, entry=3000))])) == TABLE


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    found = told([LOAN, PERP], [replace(LOAN, venue="Λ" * 300, legs=LOAN.legs[:1]), LOST])
    text = as_text(found, width)
    assert text.startswith("unified health")
    assert max(len(line) for line in text.splitlines()) <= max(width, 60)
    assert "\x1b" not in text
