"""Plans in words: actions as a person would carry them out, the limits that hold a plan back, and how long money is under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from defi_risk.health.figures import AccountFigures, BookFigures, Figures
from defi_risk.health.plan.apply import Action
from defi_risk.health.plan.moves import SOURCES, Movement, Problem
from defi_risk.health.plan.order import Trip, ordered, trips
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import AccountId, short
from defi_risk.model import Account, Contract, Leg, Side
from defi_risk.text import shown
from defi_risk.units import EXACT, plain

SAME_CHAIN: Final = 60.0
OTHER_CHAIN: Final = 1_200.0
EXCHANGE: Final = 1_800.0
BY_HAND: Final = 3_600.0
OUTSIDE: Final = "outside"
"""The name under which the settings may say how long money from outside the book takes."""
DAY: Final = 86_400.0
_BINDS: Final = 1e-7
_NAME: Final = 60


def latency(source: Account | None, to: Account, settings: HealthSettings) -> float:
    """Seconds until money of one account has arrived in another: what the settings say of the exchange account (by its name in the book) or
    of the venue that it leaves, else by what the two are: the same account or chain 60, another chain 1,200, an exchange 1,800, an account
    that is kept by hand 3,600.
    """
    named = (OUTSIDE,) if source is None else (source.source, source.venue)
    for name in named:
        for place, seconds in settings.latencies.items():
            if place.casefold() == name.casefold():
                return seconds
    ends = [to] if source is None else [source, to]
    if source is not None and source.id == to.id:
        return SAME_CHAIN
    if any(end.chain is None and end.id.startswith("manual:") for end in ends):
        return BY_HAND
    if any(end.chain is None for end in ends):
        return EXCHANGE
    return SAME_CHAIN if source is not None and source.chain == to.chain else OTHER_CHAIN


class Writer:
    """Writes the actions of one plan."""

    def __init__(self, problem: Problem, amounts: Mapping[int, Decimal]) -> None:
        self.problem = problem
        self.amounts = amounts
        self.trips = trips(problem, amounts)
        rounds = ordered(problem, amounts, self.trips)
        self.executable = rounds is not None
        self.rounds = rounds or ()
        self.starts = self._starts()
        self.names = names([stand.one.account for stand in problem.stands])

    def actions(self) -> tuple[Action, ...]:
        """The steps in an order in which each is possible when its turn comes; see `ordered`."""
        merged: dict[tuple[int, str, int | None, int | None, int | None], list[int]] = {}
        for number, made in enumerate(self.rounds):
            for index in made:
                move = self.problem.movements[index]
                merged.setdefault((number, move.kind, move.stand, move.leg, move.token), []).append(index)
        return tuple(self._action(parts) for parts in merged.values())

    def _starts(self) -> dict[int, float]:
        """Seconds until a source can give: what it gives in a later round waits for what its account got before."""
        starts: dict[int, float] = {}
        came: dict[int | None, float] = {}
        for made in map(set, self.rounds):
            starts |= {index: came.get(self._stand(index), 0.0) for index in made if self.problem.movements[index].kind in SOURCES}
            for trip in self.trips:
                if trip.sink in made:
                    to = self._stand(trip.sink)
                    came[to] = max(came.get(to, 0.0), self._travel(trip) + starts[trip.source])
        return starts

    def arrivals(self) -> dict[int, float]:
        """Seconds until the last money that an account (by its place) waits for has come."""
        found: dict[int, float] = {}
        for trip in self.trips:
            to = self._stand(trip.sink)
            if to is not None:
                found[to] = max(found.get(to, 0.0), self._seconds(trip))
        return found

    def _stand(self, index: int) -> int | None:
        return self.problem.movements[index].stand

    def _account(self, index: int) -> Account | None:
        stand = self._stand(index)
        return None if stand is None else self.problem.stands[stand].one.account

    def _seconds(self, trip: Trip) -> float:
        return self.starts[trip.source] + self._travel(trip)

    def _travel(self, trip: Trip) -> float:
        to = self._account(trip.sink)
        return 0.0 if to is None else latency(self._account(trip.source), to, self.problem.settings)

    def _action(self, parts: Sequence[int]) -> Action:
        first = parts[0]
        move, amount = self.problem.movements[first], sum((self.amounts[part] for part in parts), Decimal(0))
        used = [trip for trip in self.trips if trip.source in parts or trip.sink in parts]
        goals = sorted({account.id for trip in used if (account := self._account(trip.sink)) is not None})
        account = self._account(first)
        seen = first if account is not None else used[0].sink  # money from outside is named as where it goes
        leg, price = self._leg(seen)
        return Action(
            kind=move.kind,
            account=None if account is None else account.id,
            to=goals[0] if move.kind in SOURCES and len(goals) == 1 else None,
            leg=move.leg,
            token=leg.asset.id,
            symbol=leg.asset.symbol,
            factor=leg.factor,
            amount=amount,
            value_usd=float(amount) * price,
            latency_seconds=max(map(self._seconds, used), default=SAME_CHAIN),
            text=self._text(move, leg, amount, price),
        )

    def _leg(self, index: int) -> tuple[Leg, float]:
        """The leg of a movement, and USD for one unit of its amount."""
        move = self.problem.movements[index]
        if move.stand is None or move.leg is None:
            raise ValueError("money from outside has no leg")
        holding = self.problem.stands[move.stand].one.normal.holdings[move.leg]
        position = holding.leg.position
        return holding.leg, holding.price if position is None else abs(holding.value / float(position.size))

    def _text(self, move: Movement, leg: Leg, amount: Decimal, price: float) -> str:
        number = readable(amount, price)
        symbol = shown(leg.asset.symbol)
        if move.stand is None:
            return f"add {number} {symbol} from outside"
        stand = self.problem.stands[move.stand]
        name = self.names[stand.one.account.id]
        position = leg.position
        if position is not None:
            side = "long" if position.size > 0 else "short"
            if position.contract is Contract.INVERSE:
                return f"close {number} USD of the {symbol} {side} at {name}"
            return f"close {number} {symbol} of the {side} at {name}"
        if move.kind == "deposit":
            use = "collateral on" if stand.one.account.side is Side.LENDING else "margin at"
            return f"deposit {number} {symbol} as {use} {name}"
        return f"{move.kind} {number} {symbol} {'from' if move.kind == 'withdraw' else 'on'} {name}"


def names(accounts: Sequence[Account]) -> dict[AccountId, str]:
    """Accounts for eyes: `Aave V3 core`, with the owner where two would be called the same."""
    found = {account.id: _name(account) for account in accounts}
    counts = list(found.values())
    return {
        account.id: found[account.id]
        if counts.count(found[account.id]) == 1
        else f"{found[account.id]} ({shown(short(account.owner) if account.owner.startswith('0x') else account.owner)})"
        for account in accounts
    }


def _name(account: Account) -> str:
    if account.id.startswith("manual:"):
        return shown(account.id.removeprefix("manual:"), _NAME)
    market = "" if account.market.lower() == account.venue.lower() else account.market
    return shown(f"{account.venue} {market}", _NAME)


def readable(amount: Decimal, price: float) -> str:
    """An amount to about a cent, with thousands: `1,243.09`, `0.333333`."""
    places = 2
    while places < 18 and price * 10.0**-places > 0.01 * 1.5:
        places += 1
    while places < 18 and amount and amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN, context=EXACT) == 0:
        places += 1
    rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN, context=EXACT)
    return f"{rounded:,f}" if places == 2 and rounded != rounded.to_integral_value() else _trimmed(rounded)


def _trimmed(amount: Decimal) -> str:
    whole, _, part = plain(amount).partition(".")
    return f"{int(whole):,}.{part}" if part else f"{int(whole):,}"


def limits(problem: Problem, amounts: Mapping[int, Decimal], after: Figures, *, short_of: bool, budget: float) -> Iterator[str]:
    """What binds the plan, one clause each. `short_of`: the book's own money did not do, so what could not be used is named as well."""
    called = names([stand.one.account for stand in problem.stands])
    used: dict[int, list[int]] = {}
    for index in amounts:
        at = problem.movements[index].stand
        if at is not None and problem.movements[index].kind in SOURCES:
            used.setdefault(at, []).append(index)
    for place, stand in enumerate(problem.stands):
        account, taken = stand.one.account, used.get(place, [])
        name, figures = called[account.id], after.accounts[account.id]
        lent = account.side is Side.LENDING
        if not stand.idle and stand.open and taken:
            if figures.free_margin_usd - stand.unsure <= _BINDS * stand.gross:
                yield f"{'LTV' if lent else 'initial margin'} of {name}"
            elif problem.settings.buffer and _spare(figures, problem.settings) <= _BINDS * stand.gross:
                yield f"buffer of {name}"
        elif short_of and not stand.idle and not stand.open:
            yield f"{'LTV' if lent else 'initial margin'} of {name} is exceeded already: nothing that counts can be taken from it"
        for index in taken:
            move = problem.movements[index]
            if move.leg is not None and (text := _used_up(stand.one.account.legs[move.leg], move, amounts[index], name, stand.idle)):
                yield text
    outside = sum(float(amount) * _price(problem, index) for index, amount in amounts.items() if problem.movements[index].kind == "add")
    if short_of and outside >= budget * (1 - 1e-6) - 0.01:
        yield f"budget of {budget:,.2f} USD used up" if budget else "no outside capital allowed"


def _price(problem: Problem, index: int) -> float:
    token = problem.movements[index].token
    return 0.0 if token is None else problem.tokens[token].price


def _spare(figures: AccountFigures, settings: HealthSettings) -> float:
    return figures.surplus_usd - settings.buffer * figures.requirement_usd


def _used_up(leg: Leg, move: Movement, amount: Decimal, name: str, idle: bool) -> str:
    """What to say of a balance that gave all it has, or all that its venue can pay out."""
    symbol = shown(leg.asset.symbol)
    owned = leg.amount.decimal()
    near = Decimal("0.9999999")
    if move.kind == "withdraw" and amount >= EXACT.multiply(owned, near):
        return f"idle {symbol} used up ({name})" if idle else f"{symbol} of {name} used up"
    if leg.available is not None and amount >= EXACT.multiply(leg.available.decimal(), near):
        return f"{symbol} that {name} can pay out now"
    return ""


def too_slow(writer: Writer, before: Figures) -> Iterator[str]:
    """Accounts that the plan's money reaches later than their boundary is expected to be reached."""
    for place, seconds in sorted(writer.arrivals().items()):
        account = writer.problem.stands[place].one.account
        left = expected_seconds(before.accounts[account.id], writer.problem.settings)
        if left is not None and seconds > left:
            when = "it is liquidatable now" if not left else f"its boundary is expected in {_span(left)}"
            yield f"TOO_SLOW: money for {writer.names[account.id]} arrives after {_span(seconds)}, {when}"


def other_side(writer: Writer, before: BookFigures, after: BookFigures) -> Iterator[str]:
    """What a plan for one side costs on the other: margin that is taken where it holds the other end of the corridor."""
    if after.uhf is None or (before.uhf is not None and after.uhf >= before.uhf * (1 - _BINDS)):
        return
    side = 0 if after.first_side == "down" else 1
    now, was = after.corridor[side], before.corridor[side]
    if now is None or after.first_account is None:
        return
    took = "none did before" if was is None else f"before it took {was:+.1%}"
    name = writer.names[after.first_account]
    yield f"OTHER_SIDE: a market move of {now:+.1%} then liquidates {name}, {took}: ask for both sides to keep it"


def expected_seconds(figures: AccountFigures, settings: HealthSettings) -> float | None:
    """Expected time to the boundary: the square of the distance in sigmas, in horizons (a driftless walk's time scale); where no sigma is
    known the time that interest and funding take. None: no statement.
    """
    if figures.liquidatable:
        return 0.0
    if figures.sigma is not None:
        return figures.sigma**2 * settings.horizon_days * DAY
    days = figures.time_to_liquidation_days
    return None if days is None else days * DAY


def _span(seconds: float) -> str:
    if seconds < 2 * 3_600:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3_600:,.1f} h" if seconds < 2 * DAY else f"{seconds / DAY:,.1f} d"
