"""Ticks against brute force: accounts in toy integers, monotone and not, and verdicts that follow no model at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from defi_risk import health
from defi_risk.health.figures import Tick
from defi_risk.health.tick import ticks
from defi_risk.ids import AssetId, Factor
from defi_risk.model import NOTHING, Asset, Feed, Leg, Price, Role
from defi_risk.units import Quantity
from tests import strategies as own
from tests.accounts import SETTINGS, loan

NAMES: tuple[str, ...] = ("A", "B", "C")


def token(name: str) -> Asset:
    """A token without decimals: one answer is one unit of USD for one of it."""
    return Asset(AssetId(name), name, 0)


@dataclass
class Toy:
    """Collateral (amount, threshold in basis points) and debts per token, and the answers now.

    `grain`: the average threshold is floored to a multiple of it, as Aave did to one basis point; 0: it is not floored.
    """

    held: dict[str, tuple[int, int]]
    owed: dict[str, int]
    now: dict[str, int]
    grain: int = 0
    asked: int = field(default=0, compare=False)

    def native(self) -> Mapping[str, int | bool]:
        return {}

    def feeds(self) -> tuple[Feed, ...]:
        return tuple(Feed(name, token(name), answer) for name, answer in sorted(self.now.items()))

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        self.asked += 1
        prices = {**self.now, **answers}
        return not self._safe(prices, prices)

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        self.asked += 1
        return self._safe({**self.now, key: low}, {**self.now, key: high})

    def _safe(self, low: Mapping[str, int], high: Mapping[str, int]) -> bool:
        debt = sum(amount * high[name] for name, amount in self.owed.items()) * 10_000
        weighted = sum(amount * low[name] * threshold for name, (amount, threshold) in self.held.items())
        if not self.grain:
            return weighted >= debt
        most = sum(amount * high[name] for name, (amount, _) in self.held.items())
        value = sum(amount * low[name] for name, (amount, _) in self.held.items())
        average = weighted // most // self.grain * self.grain if most else 0
        return value * average >= debt


def legs(toy: Toy) -> tuple[Leg, ...]:
    """The same account for the float model."""
    found = [_leg(Role.COLLATERAL, name, amount, toy, bps) for name, (amount, bps) in toy.held.items()]
    return (*found, *(_leg(Role.DEBT, name, amount, toy, 10_000) for name, amount in toy.owed.items()))


def _leg(role: Role, name: str, amount: int, toy: Toy, bps: int) -> Leg:
    price = Price(Quantity(toy.now[name], 0), source="toy")
    return Leg(role=role, asset=token(name), factor=Factor(name), amount=Quantity(amount, 0), price=price, weight=Decimal(bps).scaleb(-4))


def brute(toy: Toy, name: str, direction: str, reach: int) -> int | None:
    """The first dead answer, by asking for each."""
    now = toy.now[name]
    outward = range(now - 1, 0, -1) if direction == "down" else range(now + 1, reach)
    return next((answer for answer in outward if toy.liquidatable({name: answer})), None)


@st.composite
def toys(draw: st.DrawFn, *, floored: bool) -> Toy:
    """One to three tokens held, one or two owed; a token can be both."""
    thresholds = st.integers(1, 20).map(lambda share: share * 500)
    held = draw(st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(1, 900), thresholds), min_size=1, max_size=3))
    owed = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 700), min_size=1, max_size=2))
    now = {name: draw(st.integers(1, 400)) for name in sorted({*held, *owed})}
    return Toy(held, owed, now, draw(st.sampled_from([1, 50, 700, 2500])) if floored else 0)


def check(toy: Toy) -> None:
    """Every tick is the brute-force one, and where there is none brute force finds none."""
    account = loan(*legs(toy), exact=toy, liquidatable=toy.liquidatable())
    found = health.run([account], SETTINGS).accounts[account.id].ticks
    if account.liquidatable:
        assert found == ()
        return
    by_place = {(tick.asset.id, tick.direction): tick.answer for tick in found}
    for name, now in toy.now.items():
        for direction, reach in (("down", 0), ("up", 6 * now)):
            expected, answer = brute(toy, name, direction, reach), by_place.get((AssetId(name), direction))
            assert answer == expected or (expected is None and answer is not None and answer >= reach > 0)
            if answer is not None:
                assert toy.liquidatable({name: answer})
                inside = answer + (1 if direction == "down" else -1)
                assert not toy.liquidatable({name: inside})


@own.examples(150)
@given(toys(floored=False))
def test_ticks_of_accounts_whose_health_is_linear(toy: Toy) -> None:
    check(toy)


@own.examples(150)
@given(toys(floored=True))
def test_ticks_of_accounts_whose_health_jumps(toy: Toy) -> None:
    check(toy)


def test_a_floored_average_has_a_dead_stretch_that_the_float_model_does_not_see() -> None:
    # A rises, its low threshold drags the average below a step before its value makes up for it
    toy = Toy({"A": (100, 4_000), "B": (100, 8_000)}, {"C": 100}, {"A": 100, "B": 100, "C": 119}, grain=1_000)
    account = loan(*legs(toy), exact=toy, liquidatable=False)
    figures = health.run([account], SETTINGS).accounts[account.id]
    assert not any(move.factor == "A" and move.direction == "up" for move in figures.moves)
    up = next(tick for tick in figures.ticks if (tick.asset.id, tick.direction) == ("A", "up"))
    assert up.answer == brute(toy, "A", "up", 1_000)
    assert not toy.liquidatable({"A": 400})


@dataclass
class Scripted:
    """One feed whose dead answers are written down; bounds hold only over intervals up to `tight`."""

    dead: frozenset[int]
    now: int
    tight: int
    asked: int = 0

    def native(self) -> Mapping[str, int | bool]:
        return {}

    def feeds(self) -> tuple[Feed, ...]:
        return (Feed("A", token("A"), self.now),)

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        self.asked += 1
        return answers.get("A", self.now) in self.dead

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        self.asked += 1
        if low > 600:
            return True
        return (high - low <= self.tight or high > 600) and not any(low <= answer <= high for answer in self.dead)


@own.examples(400)
@given(
    st.frozensets(st.integers(1, 600), max_size=12),
    st.integers(2, 400),
    st.sampled_from([0, 1, 7, 100, 1000]),
    st.floats(-1000, 1000, allow_nan=False),
    st.floats(0, 1000, allow_nan=False),
)
def test_whatever_the_guess_and_the_verdict(dead: frozenset[int], now: int, tight: int, weight: float, surplus: float) -> None:
    scripted = Scripted(dead - {now}, now, tight)
    found = {tick.direction: tick.answer for tick in ticks(scripted, lambda _: weight, surplus)}
    assert found.get("down") == max((answer for answer in dead if answer < now), default=None)
    assert found.get("up") == min((answer for answer in dead if answer > now), default=None)


def test_a_search_that_would_not_end_gives_no_tick() -> None:
    class Shrug(Scripted):
        def safe_throughout(self, key: str, low: int, high: int) -> bool:
            self.asked += 1
            return False

    shrug = Shrug(frozenset(), 10**11, 0)
    assert ticks(shrug, lambda _: 1.0, 0.5, most=300) == ()
    assert shrug.asked == 600


def test_the_usual_loan_takes_a_handful_of_questions() -> None:
    amount, now = 123_456_789, 3_000 * 10**8
    toy = Toy({"A": (amount, 8_300)}, {"B": amount * 1_999}, {"A": now, "B": 10**8})
    account = loan(*legs(toy), exact=toy, liquidatable=False)
    toy.asked = 0
    found = health.run([account], SETTINGS).accounts[account.id].ticks
    assert toy.asked <= 12
    [down] = [tick for tick in found if tick.direction == "down"]
    assert down == Tick(token("A"), "down", now, down.answer)
    assert toy.liquidatable({"A": down.answer})
    assert not toy.liquidatable({"A": down.answer + 1})


def test_without_debt_nothing_is_asked() -> None:
    toy = Toy({"A": (1, 8_000)}, {}, {"A": 100})
    account = loan(*legs(toy), exact=toy, liquidatable=False)
    assert health.run([account], SETTINGS).accounts[account.id].ticks == ()
    assert toy.asked == 0


def test_the_exact_verdict_stands_in_for_one_that_was_not_read() -> None:
    toy = Toy({"A": (100, 8_000)}, {"B": 100}, {"A": 124, "B": 100})
    account = loan(*legs(toy), exact=toy)
    assert health.run([account], SETTINGS).accounts[account.id].liquidatable
