"""The normal form of a margin account: risk-adjusted collateral C(s) and requirement R(s) in USD (`unified-health` section 3).

s holds one multiplier per key; a key is a factor with or without a peg, and its multiplier is the factor's times the peg's. C is a
linear form of s: what a haircut does to margin, min(v, v * w), is settled by the sign of the amount, which no price changes. R is
a linear form plus one ladder for every position whose maintenance rate steps with its notional. All forms are homogeneous: a
deduction, a floor or a cash amount is a sum of the coin it is written in, so that it moves when that coin does.

This is the only place where exact amounts (`int`, `Decimal`) become float64. The same lines also run on `Fraction`, which decides
whether an account stands exactly on its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from defi_risk.errors import MissingPrice
from defi_risk.ids import USD, Factor, Peg
from defi_risk.model import Account, Basis, Contract, Leg, Position, Role, Side
from defi_risk.units import Quantity

N = TypeVar("N", float, Fraction)


class Key(NamedTuple):
    """What a coefficient moves with: a factor, and the peg of the token where it has one."""

    factor: Factor
    peg: Peg | None = None


Form: TypeAlias = dict[Key, N]
"""A linear form of the multipliers: USD per key at today's prices."""


@dataclass(frozen=True, slots=True)
class Ladder(Generic[N]):
    """A requirement that steps: `forms[k]` holds from where `gates[k - 1]` is not negative, `forms[0]` below all gates.

    This is the stepwise bracket itself. Where deductions make the brackets meet and rates rise, it equals the largest of the forms.
    """

    forms: tuple[Form[N], ...]
    gates: tuple[Form[N], ...]

    def now(self) -> N:
        """The requirement at today's prices."""
        return sum(self.forms[sum(1 for gate in self.gates if sum(gate.values()) >= 0)].values(), start=self._zero())

    def _zero(self) -> N:
        value = next(iter(self.forms[0].values()))
        return value - value


class Holding(NamedTuple, Generic[N]):
    """A leg in USD. `value` is what the amount is worth (a position: its signed notional), `price` what one unit costs as the venue
    shows it (USD; a position: its mark), `available` what the venue could pay out (None: no limit known).

    `worth` is what the leg adds to the account's equity, `counts` what it adds to C, `needs` and `ladder` what they add to R. `coin` is
    what a derivative settles in, `coin_usd` what one of it is worth: an inverse contract's coin as the venue prices it as margin, which
    is not what the contract marks (a dated future has a basis), and so is its notional.
    """

    leg: Leg
    key: Key
    value: N
    price: N
    weight: N
    initial_weight: N
    available: N | None
    worth: Form[N]
    counts: Form[N]
    needs: Form[N]
    ladder: Ladder[N] | None = None
    coin: Key | None = None
    coin_usd: N | None = None


@dataclass(frozen=True, slots=True)
class Normal(Generic[N]):
    """C = `c`, R = `r` + `ladders`, and today's sums of the account in USD.

    `quotes` is USD per unit of each coin that a position is quoted in. `equity` is without haircuts and with unrealised profit;
    `collateral` is what the venue takes as collateral or margin; `initial` is the requirement under the venue's initial limits, to
    be compared with C.
    """

    c: Form[N]
    r: Form[N]
    ladders: tuple[Ladder[N], ...]
    holdings: tuple[Holding[N], ...]
    quotes: Form[N]
    equity: N
    collateral: N
    debt: N
    initial: N

    def weighted(self) -> N:
        """C at today's prices."""
        return sum(self.c.values(), start=self.debt - self.debt)

    def requirement(self) -> N:
        """R at today's prices."""
        return sum(self.r.values(), start=self.debt - self.debt) + sum(ladder.now() for ladder in self.ladders)

    def worth(self) -> Form[N]:
        """Equity without haircuts, as a form of the multipliers: `equity` is its value today."""
        return summed(holding.worth for holding in self.holdings)


def summed(forms: Iterable[Form[N]]) -> Form[N]:
    """Several forms added up."""
    total: Form[N] = {}
    for form in forms:
        for key, amount in form.items():
            total[key] = total[key] + amount if key in total else amount
    return total


def exact(number: Decimal | Quantity | float) -> Fraction:
    """The same number as a fraction, without loss."""
    if isinstance(number, Quantity):
        return Fraction(number.raw) / Fraction(10) ** number.decimals
    return Fraction(number)


def profit(position: Position, of: Callable[[Decimal | Quantity | float], N]) -> N:
    """Unrealised profit in the coin that the contract settles in, in numbers made by `of`."""
    if position.unrealized_pnl is not None:
        return of(position.unrealized_pnl)
    size, entry, mark = of(position.size), of(position.entry), of(position.mark)
    return size * (mark - entry) if position.contract is Contract.LINEAR else size / entry - size / mark


def gain(position: Position, of: Callable[[Decimal | Quantity | float], N]) -> N:
    """What closing at the mark would settle before it costs anything, in the coin that the contract settles in: unrealised profit, the
    funding that has run up, less the fees that are owed.
    """
    return profit(position, of) + of(position.accrued_funding) - of(position.accrued_fees)


def margin_in(legs: Iterable[Leg], coin: Key) -> Leg | None:
    """The first priced margin in a coin: its price holds for all that the account settles in it. None where there is none."""
    return next((leg for leg in legs if leg.role is Role.MARGIN and (leg.factor, leg.peg) == coin and leg.price is not None), None)


def pricing(legs: Iterable[Leg], coin: Key) -> Leg | None:
    """The leg by which an account prices a coin that inverse contracts settle in: its margin in it, else the first of these contracts, by
    its mark. One price for all of them, so that margin in that coin, when there is some, changes none.
    """
    legs = tuple(legs)
    margin = margin_in(legs, coin)
    if margin is not None and margin.price is not None and margin.price.value.raw > 0:
        return margin
    return next((leg for leg in legs if leg.position and leg.position.contract is Contract.INVERSE and (leg.factor, leg.peg) == coin), None)


def closing_cost(holding: Holding[float], position: Position) -> float:
    """USD that closing a whole position costs: the fee on the notional that the venue's rates apply to, and what its rule takes off for the
    way out.
    """
    linear, notional = position.contract is Contract.LINEAR, abs(holding.value)
    if position.basis is Basis.ENTRY:
        ratio = float(position.entry) / float(position.mark)
        notional *= ratio if linear else 1.0 / ratio
    return float(position.close_fee) * notional + float(position.exit_cost) * coin_usd(holding)


def coin_usd(holding: Holding[float]) -> float:
    """USD for one unit of the coin that a position settles in. Raises `ValueError` for a leg that is no position."""
    if holding.coin_usd is None:
        raise ValueError(f"{holding.leg.asset.id} is not a position")
    return holding.coin_usd


def quoted(holding: Holding[float], position: Position) -> float:
    """USD for one quote coin at which a position alone, without the margin beside it, has the normal form that it has in its account."""
    usd = coin_usd(holding)
    return usd if position.contract is Contract.LINEAR else usd / float(position.mark)


def in_floats(account: Account, quotes: Mapping[Factor, float]) -> Normal[float]:
    """The normal form for figures. `quotes`: USD per unit of factors that positions may be quoted in. Raises `MissingPrice`."""
    return _Builder(account, quotes, float).build()


def in_fractions(account: Account, quotes: Mapping[Factor, float]) -> Normal[Fraction]:
    """The normal form without rounding; about eight times slower. Raises `MissingPrice`."""
    return _Builder(account, quotes, exact).build()


class _Builder(Generic[N]):
    """Adds up one account leg by leg."""

    def __init__(self, account: Account, quotes: Mapping[Factor, float], of: Callable[[Decimal | Quantity | float], N]) -> None:
        self.account = account
        self.lending = account.side is Side.LENDING
        self.quotes = quotes
        self.of: Callable[[Decimal | Quantity | float], N] = of
        self.zero: N = of(0.0)
        self.one: N = of(1.0)
        self.line: N = of(account.line)
        self.equity: N = self.zero
        self.collateral: N = self.zero
        self.debt: N = self.zero
        self.initial: N = self.zero
        self.c: Form[N] = {}
        self.r: Form[N] = {}
        self.ladders: list[Ladder[N]] = []
        self.holdings: list[Holding[N]] = []
        self.coins: Form[N] = {}

    def build(self) -> Normal[N]:
        for leg in self.account.legs:
            if leg.role is Role.POSITION:
                self._position(leg)
            elif leg.role is Role.DEBT:
                self._debt(leg)
            else:
                self._collateral(leg)
        return Normal(
            self.c,
            self.r,
            tuple(self.ladders),
            tuple(self.holdings),
            self.coins,
            self.equity,
            self.collateral,
            self.debt,
            self.initial,
        )

    def _add(self, form: Form[N], key: Key, amount: N) -> None:
        form[key] = form[key] + amount if key in form else amount

    def _usd(self, leg: Leg) -> N:
        if leg.price is None or leg.price.unit != USD:
            raise MissingPrice(f"{leg.asset.symbol} ({leg.asset.id}) in {self.account.id} has no price in USD")
        return self.of(leg.price.value)

    def _collateral(self, leg: Leg) -> None:
        key, price = Key(leg.factor, leg.peg), self._usd(leg)
        value = price * self.of(leg.amount)
        stated = self.of(leg.weight) if leg.enabled else self.zero
        weight = min(stated, self.one)
        initial = weight if leg.initial_weight is None or not leg.enabled else self.of(leg.initial_weight)
        # a negative balance is owed in full, or at more than that: a haircut must not shrink it
        counted = value * (weight if value >= 0 else max(stated, self.one))
        self._add(self.c, key, counted)
        if value >= 0:
            self.initial += value * (weight - initial)
        self.equity += value
        if leg.enabled:
            self.collateral += value
        available = None if leg.available is None else price * self.of(leg.available)
        self.holdings.append(Holding(leg, key, value, price, weight, initial, available, {key: value}, {key: counted}, {}))

    def _debt(self, leg: Leg) -> None:
        key, price = Key(leg.factor, leg.peg), self._usd(leg)
        value = price * self.of(leg.amount)
        owed: Form[N] = {key: -value}
        if self.lending:
            self._add(self.r, key, value)
            self.initial += value
        else:
            self._add(self.c, key, -value)
        self.equity -= value
        self.debt += value
        counts, needs = ({}, {key: value}) if self.lending else (owed, self._backing(leg, key, value))
        self.holdings.append(Holding(leg, key, value, price, self.zero, self.zero, None, owed, counts, needs))

    def _backing(self, leg: Leg, key: Key, value: N) -> Form[N]:
        """What the venue's rule asks for a debt in a derivatives account beside its repayment."""
        needed = value * self.of(leg.maintenance_rate) * self.line
        if needed:
            self._add(self.r, key, needed)
            self.initial += needed
        return {key: needed} if needed else {}

    def _position(self, leg: Leg) -> None:
        if leg.position is None:
            raise ValueError(f"a position leg of {self.account.id} without position")
        position = leg.position
        linear = position.contract is Contract.LINEAR
        base, quote = Key(leg.factor, leg.peg), Key(position.quote, position.quote_peg)
        quote_usd = self.coins[quote] = self._quote_usd(quote)
        size, mark = self.of(position.size), self.of(position.mark)
        coin = (quote, quote_usd) if linear else (base, self._coin_usd(base))
        value = size * mark * quote_usd if linear else size / mark * coin[1]
        earned = gain(position, self.of) * coin[1]
        # linear: PnL = size * (p s_f - mark s_q) + U s_q; inverse: N * (1 / entry - 1 / (mark s_f)) coins at p s_f each
        pnl = _pair(base, value if linear else value + earned, quote, earned - value if linear else -value)
        counted = self.of(position.pnl_weight)
        counts = pnl if counted == 1 else {key: amount * counted for key, amount in pnl.items()}
        if position.exit_cost:
            counts = dict(counts)
            self._add(counts, coin[0], -self.of(position.exit_cost) * coin[1])
        for key, amount in counts.items():
            self._add(self.c, key, amount)
        self.equity += earned
        needs, ladder = self._requirement(position, self._notional(position, base, quote, value, coin), coin)
        for key, amount in needs.items():
            self._add(self.r, key, amount)
        if ladder is not None:
            self.ladders.append(ladder)
        self.holdings.append(Holding(leg, base, value, mark, self.zero, self.zero, None, pnl, counts, needs, ladder, *coin))

    def _quote_usd(self, quote: Key) -> N:
        leg = margin_in(self.account.legs, quote)
        return self.of(self.quotes.get(quote.factor, 1.0)) if leg is None else self._usd(leg)

    def _coin_usd(self, coin: Key) -> N:
        leg = pricing(self.account.legs, coin)
        if leg is None or leg.position is None:
            return self.zero if leg is None else self._usd(leg)
        return self.of(leg.position.mark) * self._quote_usd(Key(leg.position.quote, leg.position.quote_peg))

    def _notional(self, position: Position, base: Key, quote: Key, value: N, coin: tuple[Key, N]) -> tuple[Key, N]:
        """The notional that rates apply to, as the key it moves with and USD now; at entry it is a fixed sum of the settling coin."""
        linear = position.contract is Contract.LINEAR
        if position.basis is Basis.MARK:
            return (base if linear else quote), _absolute(value)
        size, entry = _absolute(self.of(position.size)), self.of(position.entry)
        return coin[0], (size * entry if linear else size / entry) * coin[1]

    def _requirement(self, position: Position, notional: tuple[Key, N], coin: tuple[Key, N]) -> tuple[Form[N], Ladder[N] | None]:
        """What the position needs: a form, or a ladder where the bracket can change."""
        of, fee = self.of, self.of(position.close_fee)
        key, amount = notional
        tiers = sorted(position.tiers, key=lambda tier: tier.floor)
        line = self.line
        forms = [_pair(key, line * amount * (of(tier.rate) + fee), coin[0], -line * of(tier.deduction) * coin[1]) for tier in tiers]
        gates = [_pair(key, amount, coin[0], -of(tier.floor) * coin[1]) for tier in tiers[1:]]
        ladder = Ladder(tuple(forms) or ({key: line * amount * fee},), tuple(gates))
        now = ladder.now()
        self.initial += max(amount * (of(position.initial_rate) + fee), now)
        if not ladder.gates:
            return ladder.forms[0], None
        if key == coin[0]:  # notional and brackets move together: the bracket never changes
            return {key: now}, None
        return {}, ladder


def _absolute(value: N) -> N:
    return -value if value < 0 else value


def _pair(key: Key, amount: N, other: Key, more: N) -> Form[N]:
    return {key: amount + more} if key == other else {key: amount, other: more}
