"""Rescue plans with known answers, limits of venues, and what cannot be asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import inf, nan

import pytest

from defi_risk import health
from defi_risk.errors import UsageError
from defi_risk.health import HealthSettings
from defi_risk.health.plan import Action, Plan, applied, plan, rescuable
from defi_risk.health.plan.words import latency, readable
from defi_risk.ids import AccountId, Peg
from defi_risk.model import NOTHING, Account, Asset, Contract, Feed, Leg
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, OWNER, SETTINGS, USDC, USDT, Number, collateral, debt, loan, margin, opened, perp, position

EQUAL = 24_300 / 55_500
"""Case A: the move at which loan and short die together."""


def hedge() -> list[Account]:
    """Case A: a loan whose proceeds are all margin of a short that hedges its collateral."""
    return [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000), name="aave"),
        perp(margin(USDC, 12_000), position(ETH, -10, 3000)),
    ]


def stacked(idle: Number = 9_000) -> list[Account]:
    """Case B: a loan, its proceeds as margin of a long, and idle money."""
    return [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000), name="aave"),
        perp(margin(USDC, 6_000), position(ETH, 10, 3000)),
        wallet(idle),
    ]


def wallet(amount: Number, price: Number = 1, name: str = "idle") -> Account:
    return loan(collateral(USDC, amount, price, weight=0, enabled=False), name=name)


def ask(book: Sequence[Account], *targets: float, budget: float | None = None, closing: bool = True) -> Plan:
    return plan(book, SETTINGS, {}, targets, budget, closing=closing)


def texts(made: Plan) -> list[str]:
    return [action.text for action in made.actions]


def amounts(made: Plan) -> dict[tuple[str, str | None], float]:
    return {(action.kind, action.account): float(action.amount) for action in made.actions}


def only(made: Plan) -> Action:
    [action] = made.actions
    return action


def test_case_a_more_is_borrowed_into_the_short() -> None:
    made = ask(hedge(), EQUAL)
    assert made.feasible
    assert made.feasible_within
    assert texts(made) == ["borrow 1,997.84 USDC on aave", "deposit 1,997.84 USDC as margin at perp"]
    assert made.moved_usd == pytest.approx(1_997.84, abs=0.005)
    assert made.outside_capital_usd == 0
    assert made.after.corridor == pytest.approx((-EQUAL, EQUAL), abs=1e-6)
    assert made.target == (EQUAL,)
    assert made.reached == (0.0, EQUAL)
    borrow, deposit = made.actions
    assert (borrow.account, borrow.to, deposit.account, deposit.to) == ("manual:aave", "manual:perp", "manual:perp", None)
    assert borrow.amount == deposit.amount
    assert (borrow.token, borrow.symbol, borrow.factor) == ("eip155:1/erc20:USDC", "USDC", "USDC")


def test_case_a_pushed_as_far_as_transfers_go() -> None:
    made = ask(hedge(), budget=0)
    assert texts(made) == ["borrow 4,415.60 USDC on aave", "deposit 4,415.60 USDC as margin at perp"]
    assert made.after.uhf == pytest.approx(1.5168, abs=5e-5)
    assert made.reached is not None
    assert made.target == made.reached == pytest.approx((1 / 1.51685 - 1, 0.51685), abs=1e-5)
    assert made.feasible


def test_case_b_idle_money_goes_where_it_helps_most() -> None:
    made = ask(stacked(), budget=0)
    assert texts(made) == [
        "withdraw 9,000 USDC from idle",
        "repay 1,243.09 USDC on aave",
        "deposit 7,756.91 USDC as margin at perp",
    ]
    figures = health.run(applied(stacked(), made.actions, {}), SETTINGS)
    prices = [3000 * (1 + figures.accounts[AccountId(f"manual:{name}")].moves[0].move) for name in ("aave", "perp")]
    assert prices == pytest.approx([1657.46, 1657.46], abs=0.01)
    assert made.after.corridor[0] == pytest.approx(-0.4475, abs=5e-5)
    assert made.limits_hit == ("idle USDC used up (idle)",)
    assert [action.to for action in made.actions] == [None, None, None]


def test_case_b_survives_its_best_move_without_outside_capital() -> None:
    made = ask(stacked(), -0.447)
    assert made.feasible_within
    assert made.outside_capital_usd == 0
    assert amounts(made)["deposit", "manual:perp"] == pytest.approx(7_741.80, abs=0.005)
    assert amounts(made)["repay", "manual:aave"] == pytest.approx(1_230.30, abs=0.005)
    beyond = ask(stacked(), -0.448, closing=False)
    assert beyond.feasible
    assert not beyond.feasible_within
    assert beyond.outside_capital_usd == pytest.approx(15_000 - 24_900 * 0.552 + 30_000 * 0.448 + 600 * 0.552 - 6_000 - 9_000, abs=0.01)
    assert "add 26.40 USDC from outside" in texts(beyond)


def test_a_budget_that_does_not_suffice_says_how_far_it_goes() -> None:
    made = ask(stacked(), -0.6, budget=1_000, closing=False)
    assert not made.feasible
    assert made.reached is not None
    assert -0.6 < made.reached[0] < -0.4475
    assert made.after.corridor[0] == pytest.approx(made.reached[0], abs=1e-6)
    assert made.outside_capital_usd == pytest.approx(1_000, abs=0.01)
    assert "budget of 1,000.00 USD used up" in made.limits_hit
    assert made.target == (-0.6,)
    more = ask(stacked(), budget=1_000)
    assert more.reached is not None
    assert more.reached[0] == pytest.approx(made.reached[0], abs=1e-6)


def test_what_transfers_alone_can_do() -> None:
    assert rescuable(stacked(), SETTINGS, {}, (-0.447,))
    assert not rescuable(stacked(), SETTINGS, {}, (-0.448,))
    assert rescuable(stacked(), SETTINGS, {}, (-0.448,), budget=27)
    assert rescuable(hedge(), SETTINGS, {}, (-0.3,))


def test_a_book_that_survives_needs_nothing() -> None:
    made = ask(hedge(), -0.3)
    assert (made.feasible, made.actions, made.moved_usd, made.limits_hit) == (True, (), 0, ())
    assert made.before == made.after


def test_a_book_without_debts_needs_nothing() -> None:
    made = ask([loan(collateral(ETH, 10, 3000, "0.83")), wallet(100)], -0.99, 5.0)
    assert (made.feasible, made.actions) == (True, ())
    assert ask([wallet(100)], budget=0).feasible


def test_an_account_that_is_liquidatable_now_is_cured() -> None:
    book = [loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 25_000)), wallet(5_000)]
    made = ask(book, 0.1)
    assert texts(made) == ["withdraw 1,000 USDC from idle", "repay 1,000 USDC on loan"]
    assert made.reached == (0.0, 0.1)
    assert any(limit.startswith("TOO_SLOW: money for loan arrives after 60 min, it is liquidatable now") for limit in made.limits_hit)
    assert not ask(book[:1], 0.1, budget=10).feasible
    assert ask(book[:1], 0.1, budget=10).reached is None


def test_negative_equity_takes_outside_capital() -> None:
    made = ask([loan(collateral(ETH, 10, 3000, "0.8"), debt(USDC, 40_000))], 0.0)
    assert made.before.net_equity_usd == -10_000
    assert made.outside_capital_usd == pytest.approx(16_000, abs=0.01)
    assert texts(made) == ["add 16,000 USDC from outside", "repay 16,000 USDC on loan"]
    assert made.actions[0].account is None
    assert made.actions[0].to == "manual:loan"


def test_collateral_that_counts_for_nothing_is_repaid_whole() -> None:
    made = ask([loan(collateral(ETH, 1, 3000, "0.8", enabled=False), debt(USDC, "100.123456"), strict=False)], -0.5)
    assert made.feasible
    assert made.actions[-1].amount == Decimal("100.123456")


def test_borrowing_stops_at_the_initial_limit() -> None:
    book = hedge()
    book[0] = loan(collateral(ETH, 10, 3000, "0.83", initial="0.42"), debt(USDC, 12_000), name="aave")
    made = ask(book, EQUAL, closing=False)
    assert amounts(made)["borrow", "manual:aave"] == pytest.approx(600, abs=0.001)
    assert made.outside_capital_usd == pytest.approx(1_397.84, abs=0.01)
    assert "LTV of aave" in made.limits_hit
    after = health.run(applied(book, made.actions, {}), SETTINGS).accounts[AccountId("manual:aave")]
    assert 0 <= after.free_margin_usd < 0.001


def test_nothing_that_counts_leaves_an_account_beyond_its_limit() -> None:
    book = hedge()
    book[0] = loan(collateral(ETH, 10, 3000, "0.83", initial="0.3"), debt(USDC, 12_000), name="aave")
    made = ask(book, EQUAL, closing=False)
    assert made.outside_capital_usd == pytest.approx(1_997.84, abs=0.01)
    assert "LTV of aave is exceeded already: nothing that counts can be taken from it" in made.limits_hit


def test_margin_leaves_down_to_the_initial_margin() -> None:
    book = [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000), name="aave"),
        perp(margin(USDC, 20_000), position(ETH, -1, 3000, initial="0.1")),
    ]
    made = ask(book, -0.9, closing=False)
    assert amounts(made)["withdraw", "manual:perp"] == pytest.approx(12_000 - 2_490, abs=0.01)
    tight = ask([book[0], perp(margin(USDC, 5_000), position(ETH, -1, 3000, initial="0.1"))], -0.9, closing=False)
    assert amounts(tight)["withdraw", "manual:perp"] == pytest.approx(4_700, abs=0.001)
    assert "initial margin of perp" in tight.limits_hit


def test_the_buffer_stays_in_the_account_that_gives() -> None:
    settings = HealthSettings(stables=SETTINGS.stables, buffer=0.9)
    made = plan(hedge(), settings, {}, (EQUAL,), closing=False)
    assert amounts(made)["borrow", "manual:aave"] == pytest.approx(24_900 / 1.9 - 12_000, abs=0.01)
    assert "buffer of aave" in made.limits_hit


def test_no_more_leaves_than_the_venue_can_pay_out() -> None:
    idle = loan(collateral(USDC, 9_000, weight=0, enabled=False, available=500), name="idle")
    made = ask([*stacked()[:2], idle], -0.3, closing=False)
    assert amounts(made)["withdraw", "manual:idle"] == pytest.approx(500)
    assert "USDC that idle can pay out now" in made.limits_hit
    # two wallets in one market share what it can pay
    twice = [replace(idle, id=AccountId(f"manual:idle{number}"), venue="pool") for number in (1, 2)]
    made = ask([*stacked()[:2], *twice], -0.3, closing=False)
    assert sum(usd for (kind, _), usd in amounts(made).items() if kind == "withdraw") == pytest.approx(500)


def test_what_one_margin_account_may_let_go_is_no_others_limit() -> None:
    """A lending market pays everybody out of one pool; what may leave a margin account is that account's own figure."""
    held = [replace(margin(USDC, 2_000), available=Quantity.of(Decimal(500)))]
    apart = [perp(*held, name=f"idle{number}", venue="perps", chain="arbitrum") for number in (1, 2)]
    made = ask([perp(margin(USDC, 6_000), position(ETH, 10, 3000)), *apart], -0.21, closing=False)
    assert made.feasible_within
    given = {account: usd for (kind, account), usd in amounts(made).items() if kind == "withdraw"}
    assert sum(given.values()) == pytest.approx(774, abs=0.01)
    assert max(given.values()) <= 500


def test_one_token_at_two_prices_is_moved_in_tokens() -> None:
    book = [perp(margin(USDC, 6_000, "0.99"), position(ETH, 10, 3000)), wallet(9_000, "1.01")]
    made = plan(book, SETTINGS, {USDC: 1.0}, (-0.3,))
    assert [action.amount for action in made.actions] == [made.actions[0].amount] * 2
    withdraw, deposit = made.actions
    assert withdraw.value_usd / deposit.value_usd == pytest.approx(1.01 / 0.99)


def test_tokens_that_share_a_peg_but_not_a_price_stay_apart() -> None:
    peg = Peg("stETH/ETH")
    borrowed = loan(collateral(ETH, 5, 3500, "0.8", peg=peg), debt(USDC, 12_000))
    steth, wsteth = (loan(collateral(ETH, 5, price, 0, peg=peg, enabled=False), name=name) for price, name in ((2990, "a"), (3510, "b")))
    made = ask([borrowed, steth, wsteth], -0.25)
    assert {action.account for action in made.actions if action.kind == "withdraw"} == {"manual:b"}
    assert not ask([borrowed, steth], -0.25, budget=0).feasible


def test_coins_of_one_factor_but_not_of_one_unit_stay_apart() -> None:
    """Tokens worth 60 USD that follow ETH are not ETH: paying them in as ETH would make money of nothing."""
    short = loan(collateral(ETH, 1, 3000, "0.83"), debt(USDC, 2_000), name="short")
    shares = loan(collateral(ETH, 1_000, 60, weight=0, enabled=False), name="shares")
    made = ask([short, shares], -0.5, budget=0)
    assert not made.feasible
    assert made.actions == ()


def locked() -> list[Account]:
    """ETH that another loan lacks is locked in a loan at its limit, until dollars from a wallet free it."""
    return [
        loan(collateral(ETH, 10, 3000, "0.83", initial="0.8"), debt(USDC, 23_900), name="full"),
        loan(collateral(ETH, 1, 3000, "0.83", initial="0.8"), debt(USDT, 2_300), name="lacking"),
        wallet(9_000),
    ]


def test_each_step_is_possible_when_its_turn_comes() -> None:
    made = ask(locked(), -0.3, budget=0)
    assert made.feasible
    assert [(action.kind, action.account) for action in made.actions] == [
        ("withdraw", "manual:idle"),
        ("repay", "manual:full"),
        ("withdraw", "manual:full"),
        ("deposit", "manual:lacking"),
    ]
    assert [action.latency_seconds for action in made.actions] == [3_600, 3_600, 7_200, 7_200]  # the second waits for the first
    keep_limits_on_the_way(locked(), made)


def test_a_repayment_with_what_it_would_free_is_no_plan() -> None:
    """The dollars are collateral of the debt that they would pay, beyond what may leave before it is paid."""
    stuck = loan(collateral(USDC, 10_000, 1, "0.9", initial="0.85"), collateral(ETH, 1, 3000, "0.8", initial="0.75"), debt(USDC, 10_700))
    made = ask([stuck], -0.95)
    assert made.feasible
    keep_limits_on_the_way([stuck], made)


def keep_limits_on_the_way(book: list[Account], made: Plan) -> None:
    for count in range(1, len(made.actions) + 1):
        for figures in health.run(applied(book, made.actions[:count], {}), SETTINGS).accounts.values():
            assert figures.free_margin_usd >= -0.001
            assert not figures.liquidatable


def test_a_venue_that_rounds_its_average_weight_down_is_not_asked_for_the_last_basis_point() -> None:
    two = (collateral(ETH, 10, 3000, "0.83", initial="0.8"), collateral(BTC, "0.1", 60_000, "0.78", initial="0.73"))
    book = [
        loan(*two, debt(USDC, 12_000), name="aave"),
        perp(margin(USDC, 2_000), position(ETH, -10, 3000)),
    ]
    free = 0.8 * 30_000 + 0.73 * 6_000 - 12_000
    plain = ask(book, 1.0, closing=False)
    assert amounts(plain)["borrow", "manual:aave"] == pytest.approx(free, abs=0.01)
    rounding = [replace(book[0], exact=Alive()), book[1]]
    made = ask(rounding, 1.0, closing=False)
    assert amounts(made)["borrow", "manual:aave"] == pytest.approx(free - 3.6, abs=0.01)
    assert "LTV of aave" in made.limits_hit


class Alive:
    """A venue's integers that call the account alive."""

    def native(self) -> Mapping[str, int | bool]:
        return {}

    def feeds(self) -> tuple[Feed, ...]:
        return ()

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        return False

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        return True


def test_rounding_never_takes_more_than_there_is() -> None:
    """The debt has more digits than the wallet: evening out must not take what the wallet does not have."""
    owed = debt(USDC, "500.0000000000000004")
    held = loan(collateral(USDC, 700, weight=0, enabled=False, available="500.0000000000000001"), name="held")
    made = ask([loan(collateral(ETH, 1, 3000, "1e-10"), owed), held], -0.9)
    [withdraw] = [action for action in made.actions if action.kind == "withdraw"]
    assert withdraw.amount <= Decimal("500.0000000000000001")


def test_a_plan_for_one_side_says_what_it_costs_the_other() -> None:
    [note] = ask(hedge(), -0.6).limits_hit
    assert note == "OTHER_SIDE: a market move of +30.6% then liquidates perp, before it took +37.3%: ask for both sides to keep it"
    assert ask(hedge(), EQUAL).limits_hit == ()


def test_a_lost_source_makes_bounds() -> None:
    made = plan(hedge(), SETTINGS, {}, (EQUAL,), partial=True)
    assert (made.before.bound, made.after.bound) == ("at_most", "at_most")
    assert made.limits_hit == ("a source could not be read: what it holds takes no part",)


def test_closing_a_position_settles_profit_and_fee_exactly() -> None:
    short = position(ETH, "-10", 3000, entry=3100, fee="0.001", initial="0.05")
    book = [perp(margin(USDC, 2_000), short)]
    made = ask(book, 0.5, budget=0)
    close = only(made)
    assert close.kind == "close"
    assert close.text == "close 8.133836 ETH of the short at perp"
    [after] = applied(book, made.actions, {})
    cash, left = after.legs
    assert left.position is not None
    assert left.position.size == close.amount - 10
    assert cash.amount.decimal() == 2_000 + close.amount * (Decimal(100) - Decimal(3))
    # B = cash + PnL - size * 4500 * 2.1 % = 0 at 4,500
    assert float(cash.amount) - float(10 - close.amount) * (1_400 + 4_500 * 0.021) == pytest.approx(0, abs=0.01)
    assert made.moved_usd == pytest.approx(float(close.amount) * 3_000)


def test_a_position_that_is_closed_whole_is_gone() -> None:
    book = [perp(margin(USDC, 100), position(ETH, 1, 3000, entry=3050))]
    part = only(ask(book, -0.9, budget=0))
    assert part.amount < 1
    [after] = applied(book, [replace(part, amount=Decimal(1))], {})
    assert [leg.amount.decimal() for leg in after.legs] == [Decimal(50)]


def test_the_way_out_is_off_the_margin_already_and_is_paid_once() -> None:
    book = [perp(margin(USDC, 2_000), opened(position(ETH, 10, 3000), exit_cost=300))]
    made = ask(book, -0.1, budget=0)
    # B = 2,000 - 300 - left * (300 + 2,700 * 2 %), whether the 300 are paid or still to be
    assert float(only(made).amount) == pytest.approx(10 - 1_700 / 354, abs=1e-6)
    [after] = applied(book, made.actions, {})
    assert float(after.legs[0].amount) == pytest.approx(2_000 - 30 * float(only(made).amount), abs=1e-6)


def test_closing_an_inverse_contract_pays_in_its_coin() -> None:
    inverse = position(BTC, -60_000, 60_000, entry=50_000, quote=USDT, contract=Contract.INVERSE)
    book = [perp(margin(BTC, "0.5", 60_000), inverse)]
    made = ask(book, 0.6, budget=0)
    assert only(made).text.startswith("close ")
    assert " USD of the BTC short at perp" in only(made).text
    assert made.feasible
    [after] = applied(book, made.actions, {})
    share = only(made).amount / 60_000
    realised = (Decimal(-60_000) / 50_000 + 1) * share
    assert float(after.legs[0].amount) == pytest.approx(0.5 + float(realised), abs=1e-12)


def test_coins_that_closing_pays_count_at_the_price_of_the_margin() -> None:
    short = position(ETH, -210_000, "3001.5", entry=3537, quote=USDT, contract=Contract.INVERSE, maintenance="0.002")
    book = [perp(margin(ETH, "0.00127", 3000, "0.6766"), short)]
    made = ask(book, 1.79)
    assert made.feasible
    assert made.after.corridor[1] == pytest.approx(1.79, abs=1e-6)


def test_closing_climbs_down_the_brackets() -> None:
    tiers = [(0, "0.01", 0), (20_000, "0.05", 800)]
    book = [perp(margin(USDC, 3_000), position(ETH, -10, 3000, maintenance=tiers))]
    made = ask(book, 0.2, budget=0)
    left = 10 - float(only(made).amount)
    assert left * 600 + max(0.01 * left * 3600, 0.05 * left * 3600 - 800) == pytest.approx(3_000, abs=0.01)


def test_a_coin_without_margin_gets_a_leg_when_profit_is_settled() -> None:
    book = [perp(margin(USDT, 1_000), position(ETH, -1, 3000, entry=3200, quote=USDC))]
    made = ask(book, 0.9, budget=0)
    [after] = applied(book, made.actions, {})
    settled = next(leg for leg in after.legs if leg.factor == USDC and leg.position is None)
    assert settled.amount.decimal() == only(made).amount * 200
    assert made.feasible


def test_a_venues_verdict_on_what_was_is_dropped() -> None:
    book = [replace(account, native={"healthFactor": 1}) for account in hedge()]
    changed = applied(book, ask(book, EQUAL).actions, {})
    assert all(account.native == {} for account in changed)
    dead = replace(stacked()[0], liquidatable=True)
    made = ask([dead, wallet(9_000)], -0.1)
    assert made.feasible
    assert {action.kind for action in made.actions} == {"withdraw", "repay"}


def test_unknown_accounts_take_no_part() -> None:
    lost = replace(stacked()[1], status="unknown", reason="not read")
    made = ask([stacked()[0], lost, wallet(9_000)], -0.5)
    assert {action.account for action in made.actions} == {"manual:aave", "manual:idle"}
    assert made.after.bound == "at_most"
    assert made.limits_hit[-1] == "1 account could not be read and takes no part"


def test_amounts_have_the_tokens_decimals() -> None:
    asset = Asset(stacked()[2].legs[0].asset.id, "USDC", 6)

    def coarse(leg: Leg) -> Leg:
        return replace(leg, asset=asset) if leg.factor == USDC and leg.position is None else leg

    book = [replace(account, legs=tuple(map(coarse, account.legs))) for account in stacked()]
    made = ask(book, -0.4321)
    assert made.feasible
    assert len(made.actions) == 3
    for action in made.actions:
        assert action.amount == action.amount.quantize(Decimal("1e-6"))


@pytest.mark.parametrize(
    ("targets", "budget", "fault"),
    [
        ((-1.0,), None, "-100%"),
        ((-2.5,), None, "-250%"),
        ((nan,), None, "nan"),
        ((inf,), None, "inf"),
        ((1e9,), None, "cannot be survived"),
        ((-0.3,), -1.0, "a budget of -1.0 USD"),
        ((-0.3,), nan, "a budget of nan USD"),
        ((), inf, "a budget of inf USD"),
        ((), None, "nothing is asked"),
    ],
)
def test_what_cannot_be_asked(targets: tuple[float, ...], budget: float | None, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        plan(hedge(), SETTINGS, {}, targets, budget)


def test_books_that_cannot_be_planned_for() -> None:
    with pytest.raises(UsageError, match="no account"):
        ask([], -0.3)
    with pytest.raises(UsageError, match="could be read"):
        ask([replace(hedge()[0], status="unknown")], -0.3)


def chained(name: str, chain: str | None, venue: str = "pool") -> Account:
    return replace(wallet(1, name=name), id=AccountId(f"eip155:1/{name}"), chain=chain, venue=venue)


def test_how_long_money_is_under_way() -> None:
    one, same, other = chained("a", "ethereum"), chained("b", "ethereum"), chained("c", "base")
    exchange, by_hand = replace(chained("d", None, "binance"), id=AccountId("binance-main")), wallet(1)
    settings = HealthSettings(stables=SETTINGS.stables, latencies={"slow": 90.0, "outside": 7_200.0})
    assert latency(one, one, SETTINGS) == 60
    assert latency(one, same, SETTINGS) == 60
    assert latency(one, other, SETTINGS) == 1_200
    assert latency(exchange, one, SETTINGS) == latency(one, exchange, SETTINGS) == 1_800
    assert latency(exchange, by_hand, SETTINGS) == 3_600
    assert latency(None, one, SETTINGS) == 1_200
    assert latency(None, one, settings) == 7_200
    assert latency(replace(by_hand, venue="slow"), one, settings) == 90


def test_a_plan_slower_than_the_boundary_is_marked() -> None:
    settings = HealthSettings(stables=SETTINGS.stables, volatility={"ETH": 0.9}, latencies={"venue of idle": 86_400.0})
    made = plan(stacked(), settings, {}, (-0.3,), None)
    assert any(limit.startswith("TOO_SLOW: money for perp arrives after 24.0 h, its boundary is expected in") for limit in made.limits_hit)
    calm = replace(settings, volatility={"ETH": 0.01})
    assert not any(limit.startswith("TOO_SLOW") for limit in plan(stacked(), calm, {}, (-0.3,), None).limits_hit)


def test_two_accounts_of_one_name_are_told_apart() -> None:
    mine = replace(stacked()[0], id=AccountId("eip155:1/a"), chain="ethereum", venue="Aave V3", market="core")
    yours = replace(mine, id=AccountId("eip155:1/b"), owner="0x" + "22" * 20)
    made = ask([mine, yours, wallet(20_000)], -0.5)
    assert [text for text in texts(made) if text.startswith("repay")] == [
        "repay 2,550 USDC on Aave V3 core (0x1111…1111)",
        "repay 2,550 USDC on Aave V3 core (0x2222…2222)",
    ]
    assert mine.owner == OWNER


@pytest.mark.parametrize(
    ("amount", "price", "text"),
    [
        ("1243.0939206", 1, "1,243.09"),
        ("9000", 1, "9,000"),
        ("8972.1001", 1, "8,972.10"),
        ("4.53947378", 3000, "4.539474"),
        ("0.0000004", 1, "0.0000004"),
        ("123456.7", 0.01, "123,456.70"),
        ("0.5", 60_000, "0.5"),
    ],
)
def test_amounts_for_eyes(amount: str, price: float, text: str) -> None:
    assert readable(Decimal(amount), price) == text


def test_scipy_is_loaded_by_plans_only() -> None:
    code = "import sys, defi_risk.health, defi_risk.cli; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
