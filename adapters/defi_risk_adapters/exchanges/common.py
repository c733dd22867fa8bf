"""What readers of exchange accounts share: reading balances and positions of one moment, brackets, legs and liquidation prices.

All arithmetic is in exact decimals of the coin that a contract settles in. Formulas: linear PnL = size * (p - mark) + PnL now, inverse
PnL = N / mark - N / p + PnL now in coins; maintenance margin = notional * rate - deduction in the bracket of the notional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from defi_risk.errors import BadAnswer, OutOfRange
from defi_risk.ids import USD
from defi_risk.model import ONE, PAR, Basis, Contract, Leg, Position, Price, Role, Tier
from defi_risk.spi import Desk, ExchangeCall, Requests
from defi_risk.units import EXACT, Quantity

TRIES: Final = 3
ZERO: Final = Decimal(0)
HOURS_8: Final = Decimal(8)
MOST_DECIMALS: Final = 40
"""No exchange writes more, and a text of 10 ** 9 of them must not be made."""


def steady(
    balance: Sequence[ExchangeCall],
    rest: Callable[[Sequence[Any]], Sequence[ExchangeCall]],
    held: Callable[[Sequence[Any]], object],
) -> Requests[tuple[Sequence[Any], Sequence[Any]]]:
    """Answers of `balance`, asked before and after those of `rest(balance)`, and these: both of one moment.

    `held` is what must be the same before and after (what prices alone move must not be in it). Where it moved, all is asked again; raises
    `BadAnswer` where it does so three times.
    """
    before = yield balance
    for _ in range(TRIES):
        others: Sequence[Any] = ()
        if asked := rest(before):
            others = yield asked
        after = yield balance
        if held(before) == held(after):
            return after, others
        before = after
    raise BadAnswer(f"balances or positions moved {TRIES} times while they were read")


def brackets(rows: Iterable[tuple[Decimal, Decimal]]) -> tuple[Tier, ...]:
    """Maintenance brackets from floors and rates, with the deductions at which they meet: what a notional is above a floor is charged at
    that bracket's rate alone. Raises `OutOfRange` where floors or rates do not rise.
    """
    found: list[Tier] = []
    for floor, rate in sorted(rows):
        last = found[-1] if found else None
        if rate < 0 or (last is not None and (floor <= last.floor or rate < last.rate)):
            raise OutOfRange("maintenance brackets do not rise")
        step = ZERO if last is None else EXACT.multiply(floor, EXACT.subtract(rate, last.rate))
        found.append(Tier(floor, rate, EXACT.add(last.deduction if last else ZERO, step)))
    if not found or found[0].floor != 0:
        raise OutOfRange("maintenance brackets do not begin at zero")
    return tuple(found)


def bracket_of(tiers: Sequence[Tier], notional: Decimal) -> Tier:
    """The bracket of a notional, in the coin that the contract settles in. Raises `OutOfRange` where none holds it."""
    found = max((tier for tier in tiers if tier.floor <= notional), key=lambda tier: tier.floor, default=None)
    if found is None:
        raise OutOfRange(f"no maintenance bracket holds a notional of {notional:f}")
    return found


def notional(position: Position, price: Decimal | None = None) -> Decimal:
    """Size at a price (the mark) in the coin that the contract settles in, never negative."""
    at = position.mark if price is None else price
    size = position.size.copy_abs()
    return EXACT.multiply(size, at) if position.contract is Contract.LINEAR else EXACT.divide(size, at)


def maintenance(position: Position) -> Decimal:
    """Maintenance margin now, closing fee included, in the coin that the contract settles in; of a position judged by its notional at
    entry it never changes.
    """
    worth = notional(position, position.entry if position.basis is Basis.ENTRY else None)
    tier = bracket_of(position.tiers, worth)
    return EXACT.subtract(EXACT.multiply(worth, EXACT.add(tier.rate, position.close_fee)), tier.deduction)


def profit(position: Position) -> Decimal:
    """Unrealised profit at the mark in the coin that the contract settles in."""
    if position.unrealized_pnl is not None:
        return position.unrealized_pnl
    size, entry, mark = position.size, position.entry, position.mark
    if position.contract is Contract.LINEAR:
        return EXACT.multiply(size, EXACT.subtract(mark, entry))
    return EXACT.subtract(EXACT.divide(size, entry), EXACT.divide(size, mark))


def liquidation_price(position: Position, cushion: Decimal, line: Decimal = Decimal(1)) -> Decimal | None:
    """The price, nearest to the mark, at which `cushion` + profit = line * maintenance margin, all else unchanged; None where no price
    above zero does. It is on the losing side of an account that is above its line, and on the other side of one below. Where brackets
    do not meet it can be the price at which the next one begins.

    `cushion`: what else the account has to lose, less what its other positions need, in the coin that this contract settles in. Profit
    counts in full.
    """
    plain = replace(position, pnl_weight=ONE, accrued_funding=ZERO, accrued_fees=ZERO, exit_cost=ZERO)
    return joint_price([plain], cushion, line)


def joint_price(positions: Sequence[Position], cushion: Decimal, line: Decimal = Decimal(1)) -> Decimal | None:
    """The same for all positions in one contract (both sides of a hedge move with one price), which count as the model counts them: profit
    and accrued funding less fees, at `pnl_weight`, less `exit_cost`.
    """
    held = [position for position in positions if position.size]
    if not held:
        return None
    linear, mark = held[0].contract is Contract.LINEAR, held[0].mark
    pieces = _pieces(held, cushion, line)
    now = mark if linear else EXACT.divide(ONE, mark)
    index = sum(1 for piece in pieces if piece.start <= now) - 1
    found = [x for step in (-1, 1) if (x := _crossing(pieces, index, now, step)) is not None]
    prices = found if linear else [EXACT.divide(ONE, x) for x in found]
    return min(prices, key=lambda price: EXACT.abs(EXACT.subtract(price, mark)), default=None)


class _Piece(NamedTuple):
    """Surplus in one bracket of each position, base + slope * x. x is the price of a linear contract and 1 / price of an inverse one, so
    that a notional is its size times x; the brackets begin at x = `start`.
    """

    start: Decimal
    base: Decimal
    slope: Decimal

    def at(self, x: Decimal) -> Decimal:
        return EXACT.add(self.base, EXACT.multiply(self.slope, x))


def _pieces(positions: Sequence[Position], cushion: Decimal, line: Decimal) -> list[_Piece]:
    """The surplus, bracket by bracket."""
    base, slope = cushion, ZERO
    edges = {ZERO}
    for position in positions:
        linear = position.contract is Contract.LINEAR
        now = position.mark if linear else EXACT.divide(ONE, position.mark)
        earns = EXACT.multiply(position.pnl_weight, position.size if linear else position.size.copy_negate())
        gained = EXACT.subtract(EXACT.add(profit(position), position.accrued_funding), position.accrued_fees)
        own = EXACT.subtract(EXACT.multiply(position.pnl_weight, gained), position.exit_cost)
        base = EXACT.add(base, EXACT.subtract(own, EXACT.multiply(earns, now)))
        slope = EXACT.add(slope, earns)
        if position.basis is Basis.ENTRY:
            base = EXACT.subtract(base, EXACT.multiply(line, maintenance(position)))
        else:
            edges |= {_edge(position, tier) for tier in position.tiers}
    moving = [position for position in positions if position.basis is Basis.MARK]
    return [_piece(start, base, slope, moving, line) for start in sorted(edges)]


def _edge(position: Position, tier: Tier) -> Decimal:
    return EXACT.divide(tier.floor, position.size.copy_abs())


def _piece(start: Decimal, base: Decimal, slope: Decimal, positions: Sequence[Position], line: Decimal) -> _Piece:
    for position in positions:
        below = [tier for tier in position.tiers if _edge(position, tier) <= start]
        tier = bracket_of(below, max((tier.floor for tier in below), default=ZERO))
        rate = EXACT.multiply(line, EXACT.add(tier.rate, position.close_fee))
        base = EXACT.add(base, EXACT.multiply(line, tier.deduction))
        slope = EXACT.subtract(slope, EXACT.multiply(position.size.copy_abs(), rate))
    return _Piece(start, base, slope)


def _crossing(pieces: Sequence[_Piece], index: int, now: Decimal, step: int) -> Decimal | None:
    """The first x above zero, going up or down from `now`, at which the surplus has lost its sign; `now` where it has none."""
    alive = pieces[index].at(now)
    if not alive:
        return now
    while True:
        piece, following = pieces[index], index + step
        if following not in range(len(pieces)):  # on to zero, which is not reached, or without end
            lost = EXACT.multiply(piece.slope if step > 0 else piece.base, alive) < 0
            return EXACT.divide(piece.base.copy_negate(), piece.slope) if lost else None
        edge = pieces[max(index, following)].start
        if EXACT.multiply(piece.at(edge), alive) <= 0:
            return EXACT.divide(piece.base.copy_negate(), piece.slope) if piece.slope else edge
        index = following
        if EXACT.multiply(pieces[index].at(edge), alive) <= 0:  # the requirement jumps there
            return edge


def margin(at: Desk, coin: str, amount: Decimal, price: Decimal | None, *, weight: Decimal = Decimal(1), source: str = "") -> Leg:
    """A margin leg. `price` is the exchange's in USD; None where it tells none: the rest of the book prices it then (see `at_par`)."""
    ref = at.factor_of(coin)
    quantity = Quantity.of(amount)
    return Leg(
        role=Role.MARGIN,
        asset=at.asset(coin, quantity.decimals),
        factor=ref.factor,
        peg=ref.peg,
        amount=quantity,
        price=None if price is None else Price(Quantity.of(price), source=source or at.exchange),
        weight=weight,
    )


def debt(
    at: Desk, coin: str, amount: Decimal, price: Decimal | None, *, maintenance_rate: Decimal = ZERO, apr: Decimal | None = None
) -> Leg:
    """What is owed to the exchange, as a leg. Raises `OutOfRange` for a negative `amount`."""
    if amount < 0:
        raise OutOfRange(f"a debt of {amount:f} {coin} cannot be")
    leg = margin(at, coin, amount, price)
    return replace(leg, role=Role.DEBT, maintenance_rate=maintenance_rate, apr=apr, compounding="per second" if apr is not None else "")


def at_par(leg: Leg) -> Leg:
    """A leg of a dollar coin without a price, at a dollar: until the rest of the book prices it, and its account says so (`pricing`)."""
    return replace(leg, price=Price(Quantity.of(Decimal(1)), unit=USD, source=PAR)) if leg.price is None else leg


def derivative(at: Desk, coin: str, symbol: str, position: Position) -> Leg:
    """The leg of a position in a contract on a coin; `symbol` is the exchange's own for the contract."""
    ref = at.factor_of(coin)
    size = Quantity.of(position.size.copy_abs())
    return Leg(role=Role.POSITION, asset=at.asset(symbol, size.decimals), factor=ref.factor, peg=ref.peg, amount=size, position=position)


def per_8h(rate: Decimal, hours: Decimal) -> Decimal:
    """A funding rate that is paid every so many hours, for 8 hours."""
    if hours <= 0:
        raise OutOfRange(f"a funding interval of {hours} hours cannot be")
    return EXACT.divide(EXACT.multiply(rate, HOURS_8), hours)


def same_digits(number: Decimal, like: str) -> str:
    """A figure of ours with as many decimals as the exchange writes, cut as it cuts; a whole number where it writes none."""
    try:
        exponent = Decimal(like).as_tuple().exponent
    except InvalidOperation:
        exponent = 0
    decimals = min(-exponent, MOST_DECIMALS) if isinstance(exponent, int) and exponent < 0 else 0
    cut = number.quantize(ONE.scaleb(-decimals), ROUND_DOWN, EXACT)
    return f"{cut if cut else cut.copy_abs():f}"
