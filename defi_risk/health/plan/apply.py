"""From the programme's floats to exact amounts, and from actions to the accounts that they leave behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.plan.moves import SINKS, SOURCES, Kind, Movement, Problem
from defi_risk.health.settled import earned, scaled
from defi_risk.health.whatif import credited, edited
from defi_risk.ids import AccountId, AssetId, Factor
from defi_risk.model import Account, Basis, Contract, Leg, Position
from defi_risk.units import EXACT, Quantity, plain

ZERO: Final = Decimal(0)
NO_LIMIT: Final = Decimal("Infinity")
_FULL: Final = 1.0 - 1e-10
_DUST: Final = 1e-12
_SIZE_PLACES: Final = Decimal("1e-18")
_SIZE_DIGITS: Final = 12
_SIGNS: Final[Mapping[str, int]] = {"withdraw": -1, "deposit": 1, "repay": -1, "borrow": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step of a plan.

    `account` is where it is done (None: money that comes from outside the book), `to` where money that leaves goes, if to one account
    only; `leg` is the place of the balance, debt or position among the account's legs. `amount` is exact, in token units (closing: in
    the position's units); `value_usd` at the account's own price. `latency_seconds`: from the start of the plan until the step has
    taken effect. `text` says the same in words, to about a cent.
    """

    kind: Kind
    account: AccountId | None
    to: AccountId | None
    leg: int | None
    token: AssetId
    symbol: str
    factor: Factor
    amount: Decimal
    value_usd: float
    latency_seconds: float
    text: str


def exact_amounts(problem: Problem, flows: NDArray[np.float64]) -> dict[int, Decimal]:
    """Exact amounts of the movements that are made, by their places; of every token as much leaves as arrives."""
    gross = sum(stand.gross for stand in problem.stands)
    found: dict[int, Decimal] = {}
    for place, token in enumerate(problem.tokens):
        least = max(float(token.step) * token.price, _DUST * gross)
        amounts: dict[int, Decimal] = {}
        whole: set[int] = set()
        for index in problem.of_token(place, (*SOURCES, *SINKS)):
            move, usd = problem.movements[index], float(flows[index])
            if usd >= least:
                if move.whole and usd >= _FULL * move.most - _DUST * gross:
                    whole.add(index)
                    amounts[index] = _floored(abs(_leg(problem, move).amount.decimal()), Decimal(1).scaleb(-token.most_places))
                else:
                    amounts[index] = _floored(Decimal(usd / token.price), token.step)
        _balance(problem, amounts, whole)
        found |= {index: amount for index, amount in amounts.items() if amount > 0}
    for index, move in enumerate(problem.movements):
        if move.kind == "close" and flows[index] > _DUST * gross:
            found[index] = _size(_leg(problem, move), float(flows[index]) / move.most)
    return found


def _leg(problem: Problem, move: Movement) -> Leg:
    if move.stand is None or move.leg is None:
        raise ValueError("money from outside has no leg")
    return problem.stands[move.stand].one.account.legs[move.leg]


def _floored(amount: Decimal, step: Decimal) -> Decimal:
    return Decimal(plain(amount.quantize(step, rounding=ROUND_FLOOR, context=EXACT)))


def _balance(problem: Problem, amounts: dict[int, Decimal], whole: Collection[int]) -> None:
    """Even out what rounding left between the sides: a source that has more gives it; else the larger side is cut, whole debts last."""
    sources = [index for index in amounts if problem.movements[index].kind in SOURCES]
    sinks = [index for index in amounts if problem.movements[index].kind in SINKS]
    over = EXACT.subtract(sum((amounts[index] for index in sources), ZERO), sum((amounts[index] for index in sinks), ZERO))
    more = [index for index in sources if EXACT.subtract(amounts[index], over) <= _payable(problem, problem.movements[index])]
    if over < 0 and more:
        first = min(more, key=lambda index: (problem.movements[index].kind != "add", -amounts[index], index))
        amounts[first] = EXACT.subtract(amounts[first], over)
        return
    left = abs(over)
    for index in sorted(sources if over > 0 else sinks, key=lambda index: (index in whole, -amounts[index], index)):
        cut = min(left, amounts[index])
        amounts[index] = EXACT.subtract(amounts[index], cut)
        left = EXACT.subtract(left, cut)


def _payable(problem: Problem, move: Movement) -> Decimal:
    """The most that a source can give, in token units: what is there, and what its venue can pay out."""
    if move.kind == "add":
        return NO_LIMIT
    leg = _leg(problem, move)
    most = NO_LIMIT if leg.available is None else leg.available.decimal()
    return min(most, leg.amount.decimal()) if move.kind == "withdraw" else most


def _size(leg: Leg, share: float) -> Decimal:
    """How much of a position is closed: a share of it, rounded up."""
    whole = abs(leg.position.size) if leg.position is not None else ZERO
    if share >= _FULL:
        return whole
    step = Decimal(1).scaleb(whole.adjusted() - _SIZE_DIGITS)
    return min(whole, EXACT.multiply(whole, Decimal(share)).quantize(step, rounding=ROUND_CEILING, context=EXACT))


def applied(accounts: Sequence[Account], actions: Sequence[Action], quotes: Mapping[Factor, float]) -> tuple[Account, ...]:
    """The accounts after the actions, in exact amounts. `quotes`: USD per unit of factors, for coins that an account settles in but has
    no margin of.
    """
    changed = {account.id: account for account in accounts}
    # positions first: what closing adds comes behind the legs that actions point to, and what it empties is taken out last
    for action in sorted(actions, key=lambda action: action.kind == "close"):
        if action.account is None or action.leg is None:
            continue
        account = changed[action.account]
        legs = list(account.legs)
        leg = legs[action.leg]
        if action.kind == "close":
            legs = _closed(account, action.leg, action.amount, quotes)
        else:
            amount = EXACT.multiply(action.amount, _SIGNS[action.kind])
            legs[action.leg] = replace(leg, amount=Quantity.of(EXACT.add(leg.amount.decimal(), amount)))
        changed[action.account] = edited(account, legs)
    return tuple(_without_empty(changed[account.id]) for account in accounts)


def _closed(account: Account, index: int, amount: Decimal, quotes: Mapping[Factor, float]) -> list[Leg]:
    """The legs once so much of a position is closed at its mark, the fee paid and the profit settled."""
    leg = account.legs[index]
    position = leg.position
    if position is None:
        raise ValueError(f"leg {index} of {account.id} is no position")
    share = EXACT.divide(amount, abs(position.size))
    gain, fee = _settled(position)
    cash = EXACT.multiply(EXACT.subtract(gain, fee), share).quantize(_SIZE_PLACES, rounding=ROUND_FLOOR, context=EXACT)
    left = EXACT.subtract(abs(position.size), amount)
    smaller = replace(scaled(position, EXACT.subtract(Decimal(1), share)), size=left.copy_sign(position.size))
    legs = credited(account, position, leg.factor, cash, quotes)
    legs[index] = replace(leg, amount=Quantity.of(left), position=smaller)
    return legs


def _settled(position: Position) -> tuple[Decimal, Decimal]:
    """What the whole position has earned and what closing it costs, in the coin that it settles in."""
    price = position.entry if position.basis is Basis.ENTRY else position.mark
    linear = position.contract is Contract.LINEAR
    notional = EXACT.multiply(position.size, price) if linear else EXACT.divide(position.size, price)
    return earned(position), EXACT.add(EXACT.multiply(abs(notional), position.close_fee), position.exit_cost)


def _without_empty(account: Account) -> Account:
    """The account without positions that are closed whole."""
    legs = tuple(leg for leg in account.legs if leg.position is None or leg.position.size)
    return account if len(legs) == len(account.legs) else replace(account, legs=legs)
