"""The venue's integers against the float model of the same account, at many prices.

Both see the same oracle answers: the float model through the legs, repriced, the integers through `Exact.liquidatable`. Away from the
line by more than their roundings they must give one verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import exp
from random import Random

from defi_risk.health.account import slope
from defi_risk.health.normal import in_floats
from defi_risk.health.tick import ticks
from defi_risk.ids import USD
from defi_risk.model import Account, Contract, Exact, Feed, Leg, Position, Price, Role
from defi_risk.units import EXACT, Quantity

ROUNDING_USD = 4e-8  # what a venue's roundings of one leg can be worth at most: oracles count in 1e-8 USD
_FINER = 24
_LEAST = 1e-6  # scales of prices from a millionth to a million
_SECANTS = 8
_NEAR = (-0.3, -1e-2, -1e-4, -1e-6, 1e-6, 1e-4, 1e-2, 0.3)


@dataclass(frozen=True, slots=True)
class Subject:
    """One account that owes, with its integers. `legs` are those that count, in one unit of price."""

    account: Account
    exact: Exact
    feeds: tuple[Feed, ...]
    tolerance: float
    rounding_usd: float = ROUNDING_USD

    def ratio(self, answers: Mapping[str, int]) -> tuple[float, float]:
        """C / R of the float model at these answers, and by how much it may differ from the venue's."""
        normal = in_floats(self.repriced(answers), {})
        requirement = normal.requirement()
        if requirement <= 0:
            return float("inf"), 0.0
        return normal.weighted() / requirement, self.tolerance + self.rounding_usd * (len(self.account.legs) + 1) / requirement

    def sums(self, answers: Mapping[str, int], keys: Collection[str], role: Role) -> tuple[float, float, float]:
        """Weighted collateral, or debt, that these feeds price; the rest of it; and the other side of the account."""
        moving = standing = other = 0.0
        for leg, holding in zip(self.account.legs, in_floats(self.repriced(answers), {}).holdings, strict=True):
            value = holding.value if leg.role is Role.DEBT else holding.value * holding.weight
            feed = self.feed_of(leg)
            if leg.role is not role:
                other += value
            elif feed is not None and feed.key in keys:
                moving += value
            else:
                standing += value
        return moving, standing, other

    def repriced(self, answers: Mapping[str, int]) -> Account:
        """The float model's account at these answers."""
        return replace(self.account, legs=tuple(self._leg(leg, answers) for leg in self.account.legs))

    def _leg(self, leg: Leg, answers: Mapping[str, int]) -> Leg:
        feed = self.feed_of(leg)
        if feed is None or leg.price is None:
            return leg
        value, answer = leg.price.value, answers.get(feed.key, feed.now)
        moved = Quantity(value.raw * answer * 10**_FINER // feed.now, value.decimals + _FINER)
        position = None if leg.position is None else _marked(leg.position, answer, feed.now)
        return replace(leg, price=replace(leg.price, value=moved), position=position)

    def feed_of(self, leg: Leg) -> Feed | None:
        """The feed that prices a leg: the oracle that its price names, that of its token, or one that gives exactly its price (an eMode
        category of Aave 3.0 puts one price in place of several tokens' own).
        """
        price = leg.price
        if price is None:
            return None
        named = [feed for feed in self.feeds if price.source == feed.key]
        own = [feed for feed in self.feeds if leg.asset.id == feed.asset.id]
        alike = [feed for feed in self.feeds if price.value.raw == feed.now]
        return next(iter([*named, *own, *alike]), None)

    def roles(self, feed: Feed) -> frozenset[Role]:
        """What the legs that a feed prices are."""
        return frozenset(leg.role for leg in self.account.legs if self.feed_of(leg) == feed)


def _marked(position: Position, answer: int, now: int) -> Position:
    """The position at another mark: profit follows, what has accrued stays."""
    mark = EXACT.divide(EXACT.multiply(position.mark, Decimal(answer)), Decimal(now))
    before = position.unrealized_pnl
    if before is None:
        return replace(position, mark=mark)
    if position.contract is Contract.LINEAR:
        gained = EXACT.multiply(position.size, EXACT.subtract(mark, position.mark))
    else:
        gained = EXACT.subtract(EXACT.divide(position.size, position.mark), EXACT.divide(position.size, mark))
    return replace(position, mark=mark, unrealized_pnl=EXACT.add(before, gained))


def subject(account: Account, tolerance: float, rounding_usd: float = ROUNDING_USD) -> Subject | None:
    """The account as a subject, or None where it owes nothing and holds no position, or its prices have no common unit."""
    exact = account.exact
    legs = tuple(leg for leg in account.legs if leg.price is not None or leg.weight or leg.role is not Role.COLLATERAL)
    units = {leg.price.unit if leg.price else None for leg in legs}
    if exact is None or not any(leg.role in (Role.DEBT, Role.POSITION) for leg in legs) or len(units) != 1 or None in units:
        return None
    alike = replace(account, legs=tuple(replace(leg, price=_dollars(leg.price)) for leg in legs))
    return Subject(alike, exact, exact.feeds(), tolerance, rounding_usd)


def _dollars(price: Price | None) -> Price | None:
    return None if price is None else replace(price, unit=USD)


def disagreements(of: Subject, count: int, seed: int) -> Iterator[str]:
    """Answers at which integers and float model differ, as sentences. Half of the price vectors are moved close to the line."""
    random = Random(seed)  # noqa: S311  # a repeatable walk through prices, nothing secret
    for index in range(count):
        answers = _random_answers(of, random)
        if index % 2:
            answers = _near_the_line(of, answers, random) or answers
        ratio, slack = of.ratio(answers)
        if abs(ratio - 1) <= slack:
            continue
        dead = of.exact.liquidatable(answers)
        if dead != (ratio < 1):
            yield f"at {dict(answers)} the float model has C/R = {ratio!r} and the venue's integers say {'dead' if dead else 'alive'}"


def _random_answers(of: Subject, random: Random) -> dict[str, int]:
    return {feed.key: max(1, int(feed.now * exp(random.gauss(0, 0.7)))) for feed in of.feeds}


def _near_the_line(of: Subject, answers: dict[str, int], random: Random) -> dict[str, int] | None:
    """The same answers with those for collateral, or else for debt, scaled so that C/R is close to one; None where no scale does it."""
    offset = random.choice(_NEAR)
    _, slack = of.ratio(answers)
    target = 1 + offset if abs(offset) > slack else 1 + slack * (3 if offset > 0 else -3)
    for role in (Role.COLLATERAL, Role.DEBT):
        alone = [feed.key for feed in of.feeds if of.roles(feed) == frozenset({role})]
        if alone and (found := _scaled(of, answers, alone, target, role)):
            return found
    traded = [feed for feed in of.feeds if Role.POSITION in of.roles(feed)]
    return _solved(of, answers, random.choice(traded), target) if traded else None


def _solved(of: Subject, answers: dict[str, int], feed: Feed, target: float) -> dict[str, int] | None:
    """The answers with one of them where C/R is `target`: C - target * R is linear in a mark within a bracket. Secants find it."""

    def off(answer: int) -> float:
        normal = in_floats(of.repriced({**answers, feed.key: answer}), {})
        return normal.weighted() - target * normal.requirement()

    near, far = answers[feed.key], answers[feed.key] * 11 // 10 + 1
    here, there = off(near), off(far)
    for _ in range(_SECANTS):
        if here == there:
            return None
        near, far = far, far - round(there * ((far - near) / (there - here)))
        if not feed.now * _LEAST < far < feed.now / _LEAST:
            return None
        if near == far:
            break
        here, there = there, off(far)
    return {**answers, feed.key: far}


def _scaled(of: Subject, answers: dict[str, int], keys: Collection[str], target: float, role: Role) -> dict[str, int] | None:
    """The scale of the answers for legs of one role at which C/R is `target`: both sides are linear in it."""
    moving, standing, other = of.sums(answers, keys, role)
    wanted = target * other if role is Role.COLLATERAL else other / target
    if moving <= 0 or not _LEAST < (scale := (wanted - standing) / moving) < 1 / _LEAST:
        return None
    return answers | {key: max(1, round(answers[key] * scale)) for key in keys}


def tick_faults(of: Subject, seed: int) -> Iterator[str]:
    """Where the exact tick is not the first dead answer, or `safe_throughout` calls an interval safe that is not."""
    random = Random(seed)  # noqa: S311  # as above
    exact = of.exact
    normal = in_floats(of.account, {})
    surplus = normal.weighted() - normal.requirement()
    found = {} if exact.liquidatable() else {(tick.asset.id, tick.direction): tick.answer for tick in ticks(exact, _weigher(of), surplus)}
    for feed in of.feeds:
        for direction, sign in (("down", -1), ("up", 1)):
            answer = found.get((feed.asset.id, direction))
            if answer is not None and not exact.liquidatable({feed.key: answer}):
                yield f"the tick {answer} of {feed.key} is not dead"
            far = 1 if sign < 0 else feed.now * 1000
            last = far if answer is None else answer - sign
            if not exact.liquidatable():
                for price in _between(feed.now, last, random):
                    if exact.liquidatable({feed.key: price}):
                        yield f"{feed.key} at {price} is dead, before the tick {answer}"
        yield from _false_promises(exact, feed, random)


def _weigher(of: Subject) -> Callable[[Feed], float]:
    holdings = in_floats(of.account, {}).holdings

    def weigh(feed: Feed) -> float:
        mine = [holding for holding in holdings if of.feed_of(holding.leg) == feed]
        return sum(map(slope, mine))

    return weigh


def _between(first: int, last: int, random: Random) -> list[int]:
    """Both ends of a range of answers and some of what lies between, denser towards the last."""
    low, high = sorted((first, last))
    span = high - low
    spread = [random.randint(low, high) for _ in range(16)]
    close = [last + (1 if last < first else -1) * min(span, int(span * random.random() ** 8)) for _ in range(16)]
    return [first, last, *spread, *close]


def _false_promises(exact: Exact, feed: Feed, random: Random) -> Iterator[str]:
    for _ in range(60):
        low = max(1, int(feed.now * exp(random.gauss(-0.3, 0.8))))
        high = low + int(low * random.random() ** 4)
        if exact.safe_throughout(feed.key, low, low) == exact.liquidatable({feed.key: low}):
            yield f"safe_throughout of {feed.key} is not the verdict at the single answer {low}"
        if exact.safe_throughout(feed.key, low, high):
            for price in _between(low, high, random):
                if exact.liquidatable({feed.key: price}):
                    yield f"safe_throughout calls {feed.key} in [{low}, {high}] safe, but it is dead at {price}"


def worse_with_more(of: Subject, seed: int) -> Iterator[str]:
    """Where more collateral, or a higher price of it, makes the account worse."""
    random = Random(seed)  # noqa: S311  # as above
    now, slack = of.ratio({})
    for index, leg in enumerate(of.account.legs):
        if leg.role in (Role.COLLATERAL, Role.MARGIN) and leg.enabled and leg.amount.raw > 0:
            more = replace(leg, amount=Quantity(leg.amount.raw * 2, leg.amount.decimals))
            legs = (*of.account.legs[:index], more, *of.account.legs[index + 1 :])
            ratio, _ = replace(of, account=replace(of.account, legs=legs)).ratio({})
            if ratio < now * (1 - 1e-12):
                yield f"twice as much of {leg.asset.symbol} lowers C/R from {now!r} to {ratio!r}"
    if now <= 1 + slack or of.exact.liquidatable():
        return
    for feed in of.feeds:
        if of.roles(feed) in (frozenset({Role.COLLATERAL}), frozenset({Role.MARGIN})):
            higher = int(feed.now * (1 + random.expovariate(1)))
            if of.exact.liquidatable({feed.key: higher}):
                yield f"a rise of the collateral's price {feed.key} to {higher} kills"
