"""What holds for every rescue plan: it survives its target, keeps limits and tokens, and no grid finds a cheaper one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from math import inf, isfinite
from random import Random

from hypothesis import assume, event, given
from hypothesis import strategies as st

from defi_risk import health
from defi_risk.health import HealthSettings
from defi_risk.health.plan import Action, Plan, applied, plan, rescuable
from defi_risk.model import Account
from tests import strategies as own
from tests.accounts import ETH, SETTINGS, SOL, USDC, collateral, debt, loan, margin, perp, position

CENT = 0.01
moves = st.one_of(st.floats(-0.95, -0.01), st.floats(0.01, 4.0))
targets = st.lists(moves, min_size=1, max_size=2)
budgets = st.one_of(st.none(), st.sampled_from([0.0, 100.0, 25_000.0]))


def stepped(sides: list[bool]) -> st.SearchStrategy[list[Account]]:
    """Books of loans and of margin accounts whose brackets rise, fall or jump."""
    return st.tuples(*(own.accounts(f"{index}", convex=side) for index, side in enumerate(sides))).map(list)


def gross(account: Account) -> float:
    return sum(
        abs(float(leg.amount) * (float(leg.price.value) if leg.price else float(leg.position.mark) if leg.position else 1.0))
        for leg in account.legs
    )


def most(ratio: float | None) -> float:
    """A ratio where None is infinite."""
    return inf if ratio is None else ratio


def changes(actions: Sequence[Action], kinds: tuple[str, ...]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for action in actions:
        if action.kind in kinds:
            found[action.token] = found.get(action.token, Decimal(0)) + action.amount
    return found


def survives(book: Sequence[Account], settings: HealthSettings, way: tuple[float, float]) -> bool:
    figures = health.run(book, settings)
    down, up = figures.book.corridor
    alive = not any(one.liquidatable for one in figures.accounts.values())
    return alive and (down is None or down <= way[0]) and (up is None or up >= way[1])


def check(book: list[Account], settings: HealthSettings, made: Plan) -> None:
    """What must hold whatever was asked."""
    after = applied(book, made.actions, {})
    assert health.run(after, settings).book == made.after
    assert made.before == health.run(book, settings).book
    if made.reached is not None:
        assert survives(after, settings, made.reached)
    assert changes(made.actions, ("withdraw", "borrow", "add")) == changes(made.actions, ("deposit", "repay"))
    check_on_the_way(book, settings, made)
    figures, figures_after = health.run(book, settings).accounts, health.run(after, settings).accounts
    by_id = {account.id: account for account in book}
    for action in made.actions:
        assert action.amount > 0
        assert isfinite(action.value_usd)
        assert action.text
        if action.kind not in ("withdraw", "borrow"):
            continue
        assert action.account is not None
        assert action.leg is not None
        leg = by_id[action.account].legs[action.leg]
        assert action.kind == "borrow" or action.amount <= leg.amount.decimal()
        assert leg.available is None or action.amount <= leg.available.decimal()
        before, now = figures[action.account], figures_after[action.account]
        assert now.free_margin_usd >= min(0.0, before.free_margin_usd) - 1e-9 * gross(by_id[action.account]) - 1e-6
        if leg.weight and leg.enabled:
            kept = settings.buffer * now.requirement_usd
            assert now.surplus_usd >= kept - 1e-9 * gross(by_id[action.account]) - 1e-6


def check_on_the_way(book: list[Account], settings: HealthSettings, made: Plan) -> None:
    """Whatever leaves an account is free when its turn comes, and money is there before it arrives."""
    here: dict[str, Decimal] = {}
    for count, action in enumerate(made.actions):
        if action.kind in ("deposit", "repay"):
            here[action.token] -= action.amount
            assert here[action.token] >= 0
        elif action.kind != "close":
            here[action.token] = here.get(action.token, Decimal(0)) + action.amount
        if action.kind not in ("withdraw", "borrow") or action.account is None:
            continue
        before, now = (health.run(applied(book, made.actions[: count + more], {}), settings).accounts[action.account] for more in (0, 1))
        hair = 1e-9 * gross(next(account for account in book if account.id == action.account)) + 1e-6
        assert now.free_margin_usd >= min(0.0, before.free_margin_usd) - hair
        assert before.liquidatable or not now.liquidatable


@own.examples(90)
@given(own.books(), own.settings, targets, budgets, st.booleans())
def test_a_plan_applied_survives_its_target(
    book: list[Account], settings: HealthSettings, asked: list[float], budget: float | None, closing: bool
) -> None:
    made = plan(book, settings, {}, asked, budget, closing=closing)
    event(f"feasible {made.feasible}, outside {made.outside_capital_usd > 0}, actions {bool(made.actions)}")
    check(book, settings, made)
    assert made.target == tuple(asked)
    if made.feasible:
        assert made.reached == (min(0.0, *asked), max(0.0, *asked)) if len(asked) > 1 else made.reached is not None
        assert survives(applied(book, made.actions, {}), settings, (min(0.0, *asked, 0.0), max(0.0, *asked, 0.0)))
    if budget is not None:
        assert made.outside_capital_usd <= budget + CENT
    elif settings.beta(SOL) == 1:
        assert made.feasible  # nothing is worthless on the way, so every account has something that can be put into it
    if not closing and budget == 0:
        assert rescuable(book, settings, {}, asked) == made.feasible


@own.examples(24)
@given(own.books(), own.settings, st.sampled_from([0.0, 1_000.0]))
def test_a_budget_never_narrows_the_corridor(book: list[Account], settings: HealthSettings, budget: float) -> None:
    made = plan(book, settings, {}, (), budget)
    check(book, settings, made)
    assert made.outside_capital_usd <= budget + CENT
    assert not any(action.kind == "close" for action in made.actions)
    if made.feasible:
        assert min(100.0, most(made.before.uhf)) <= most(made.after.uhf) * (1 + 1e-6)


@own.examples(36)
@given(st.lists(st.booleans(), min_size=1, max_size=3).flatmap(stepped), own.settings, targets)
def test_brackets_of_any_shape(book: list[Account], settings: HealthSettings, asked: list[float]) -> None:
    check(book, settings, plan(book, settings, {}, asked))


@own.examples(24)
@given(own.books(), targets, st.floats(0.05, 2.0))
def test_the_buffer_stays(book: list[Account], asked: list[float], buffer: float) -> None:
    settings = HealthSettings(stables=SETTINGS.stables, buffer=buffer)
    check(book, settings, plan(book, settings, {}, asked))


@own.examples(24)
@given(own.books(), own.settings, targets, st.randoms(use_true_random=False))
def test_the_order_of_accounts_does_not_matter(book: list[Account], settings: HealthSettings, asked: list[float], random: Random) -> None:
    shuffled = list(book)
    random.shuffle(shuffled)
    assert plan(shuffled, settings, {}, asked) == plan(book, settings, {}, asked)


@own.examples(24)
@given(own.books(), own.settings, moves)
def test_more_capital_is_never_worse(book: list[Account], settings: HealthSettings, move: float) -> None:
    free = plan(book, settings, {}, (move,))
    assume(free.feasible and free.outside_capital_usd > 1)
    enough = plan(book, settings, {}, (move,), free.outside_capital_usd * 1.0001 + 1)
    assert enough.feasible
    assert not plan(book, settings, {}, (move,), free.outside_capital_usd * 0.98).feasible


class Small:
    """A loan, a perp and idle money, all in one coin, with the closed form of what each needs."""

    def __init__(self, owned: int, owed: int, posted: int, size: int, idle: int, low: float, high: float) -> None:
        self.owned, self.owed, self.posted, self.size, self.idle = owned, owed, posted, size, idle
        self.low, self.high = low, high

    def book(self) -> list[Account]:
        return [
            loan(collateral(ETH, self.owned, 1000, "0.8", initial="0.75"), debt(USDC, self.owed)),
            perp(margin(USDC, self.posted), position(ETH, self.size, 1000, maintenance="0.02", initial="0.05")),
            loan(collateral(USDC, self.idle, weight=0, enabled=False), name="idle"),
        ]

    def needs(self) -> tuple[float, float]:
        """What has to be repaid, and what has to be posted."""
        repaid = max(self.owed - 800 * self.owned * (1 + move) for move in (self.low, 0.0, self.high))
        notional = abs(self.size) * 1000
        posted = max(0.02 * notional * (1 + move) - self.size * 1000 * move - self.posted for move in (self.low, 0.0, self.high))
        return repaid, posted

    def limits(self) -> tuple[float, float]:
        """What may be borrowed, and what may leave the perp."""
        free = self.posted - 50 * abs(self.size)
        borrowed = 750 * self.owned - self.owed
        return max(0.0, borrowed) if self.owed else 0.0, max(0.0, min(free, self.posted))

    def grid(self) -> Iterator[tuple[float, float]]:
        """Outside capital and value moved of everything on a grid that survives and keeps the limits."""
        needs, limits = self.needs(), self.limits()
        reach = max(1.0, *map(abs, needs), *limits, self.idle)
        steps = [reach * step / 12 for step in range(-12, 13)]
        at_loan = sorted({min(max(x, -limits[0]), float(self.owed)) for x in (*steps, needs[0])})
        at_perp = sorted({max(x, -limits[1]) for x in (*steps, needs[1])})
        for repaid, posted in product(at_loan, at_perp):
            if repaid >= needs[0] and posted >= needs[1]:
                yield max(0.0, repaid + posted - self.idle), max(0.0, repaid) + max(0.0, posted)


@own.examples(60)
@given(
    st.builds(
        Small,
        st.integers(1, 20),
        st.integers(0, 16_000),
        st.integers(0, 9_000),
        st.integers(-20, 20),
        st.integers(0, 20_000),
        st.floats(-0.9, 0.0),
        st.floats(0.0, 1.5),
    )
)
def test_no_grid_finds_a_cheaper_plan(small: Small) -> None:
    found = list(small.grid())
    made = plan(small.book(), SETTINGS, {}, (small.low, small.high), closing=False)
    assert made.feasible == bool(found)
    least = min(outside for outside, _ in found)
    assert made.outside_capital_usd <= least * 1.01 + CENT
    cheapest = min(moved for outside, moved in found if outside <= made.outside_capital_usd + CENT)
    assert made.moved_usd <= cheapest * 1.01 + 2 * CENT
