"""Margin accounts of exchanges with one wallet a settling coin: margin less what is frozen, with profit, against maintenance and fees.

For readers that must check figures of unlike precision, whose exchange judges positions by their value at entry, or tells no brackets at
all but the liquidation prices that follow from them. The rest is in `generic`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.model import Account, Basis, Contract, LiquidationRule, Position, SelfCheck, Side, Tier
from defi_risk.spi import Desk
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import ZERO, at_par, derivative, margin, notional
from defi_risk_adapters.exchanges.generic import DOLLARS, MOST, Figures, Line, equity_of, prices, total

ONE: Final = Decimal(1)
GROWS: Final = "{} draws margin from the wallet by itself: its margin is taken as it is now"
RATE_DIGITS: Final = Decimal("1e-12")
ONE_PRICE: Final = Decimal("0.0001")
"""Share of a liquidation price by which it may be rounded beside one position and beside another."""
PRICE_TOLERANCE: Final = Decimal("0.005")
"""Of liquidation prices: what marks of other positions move between two answers, and what exchanges round."""


def account(
    at: Desk,
    venue: str,
    parts: Sequence[str],
    coin: str,
    balance: Decimal,
    lines: Sequence[Line],
    *,
    told: Sequence[Figures] = (),
    frozen: Decimal = ZERO,
    price: Decimal | None = None,
    mode: str = "cross",
    tolerance: Decimal = PRICE_TOLERANCE,
    shows: bool = True,
    assumptions: Iterable[str] = (),
) -> Account:
    """One margin account: `balance` without profit keeps its positions alive, `frozen` is owned beside it and does not.

    `parts` name it after the owner's name of the key. `told` are figures that are checked, each at its own precision, beside the
    liquidation prices at `tolerance`; those are ours alone where the exchange `shows` none. Of an isolated account the exchange keeps what
    a liquidation leaves. A dollar coin that the exchange gives no `price` of is taken at a dollar until the rest of the book prices it.
    """
    legs = [margin(at, coin, balance, price), *([margin(at, coin, frozen, price, weight=ZERO)] if frozen else [])]
    if price is None and coin in DOLLARS:
        legs = [at_par(leg) for leg in legs]
    found = replace(prices([_at_mark(line) for line in lines], balance), tolerance=tolerance)
    figures = [*told, found if shows else replace(found, theirs={})]
    return Account(
        id=at.account_id(*parts),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=venue,
        market="/".join(parts),
        mode=mode,
        legs=(*legs, *(derivative(at, line.coin, line.symbol, line.position) for line in lines)),
        stated={name: text for one in figures for name, text in one.ours.items()},
        self_check=checked(figures),
        strict=False,
        rule=LiquidationRule(kind="close", remainder="lost" if mode == "isolated" else "refunded"),
        assumptions=tuple(dict.fromkeys(assumptions)),
    )


def index_price(answer: Answer) -> Decimal | None:
    """The index price that comes with a mark; None where none is told, or zero."""
    told = answer.get("indexPrice")
    return None if told is None or told.value == "" else told.decimal(0, MOST) or None


def accounted(coin: str, lines: Sequence[Line], *traces: Answer) -> None:
    """Raise `BadAnswer` where a wallet's figures trace positions, by their margin or profit, and none that settles in it is listed."""
    found = [trace for trace in traces if trace.decimal(-MOST, MOST)]
    if found and not lines:
        raise BadAnswer(f"{found[0].path} of {coin} is {found[0].value}, and the exchange lists no position that settles in it")


def checked(figures: Sequence[Figures]) -> SelfCheck | None:
    """One verdict on figures that are compared at different tolerances, with the widest of them; None where the exchange told none."""
    found = [SelfCheck.within(one.tolerance, one.ours, one.theirs, one.scale) for one in figures if one.theirs]
    if not found:
        return None
    theirs = {name: text for one in found for name, text in one.protocol.items()}
    return SelfCheck(theirs, all(one.match for one in found), max(one.tolerance for one in found if one.tolerance is not None))


def implied_rates(lines: Sequence[Line], balance: Decimal) -> list[Decimal]:
    """Maintenance rates, closing fees included, that the exchange's own liquidation prices of an account's positions imply.

    With V the notionals now, V' and k those and the equity at each contract's liquidation price, and T the requirement of all now:
    k = T + rate * (V' - V) for each, so T = sum(V k / (V' - V)) / (1 + sum(V / (V' - V))). Positions in one contract are of one rate and
    one price; V is of both sides, V' - V and what is gained from here to there of what is left of them against each other. Raises
    `Unsupported` where the prices do not determine the rates, or imply what no exchange asks.
    """
    own = equity_of(balance, lines)
    contracts: dict[str, list[Line]] = {}
    for line in lines:
        contracts.setdefault(line.symbol, []).append(line)
    rows: list[tuple[Decimal, Decimal, Decimal]] = []
    for held in contracts.values():
        at, left = _shown_at(held), replace(held[0].position, size=total(line.position.size for line in held))
        if not left.size:
            raise Unsupported(f"both sides of {held[0].symbol} are held in cross margin and equally large: no price tells its maintenance")
        now = total(notional(line.position) for line in held)
        then = EXACT.add(now, EXACT.subtract(notional(left, at), notional(left)))
        rows.append((now, then, EXACT.add(own, _gained(left, at))))
    if len(rows) == 1:
        rates = [EXACT.divide(rows[0][2], rows[0][1])]
    else:
        steps = [EXACT.subtract(then, now) for now, then, _ in rows]
        below = total([ONE, *(EXACT.divide(now, step) for (now, _, _), step in zip(rows, steps, strict=True) if step)])
        if not below or not all(steps):
            raise Unsupported("the exchange tells no brackets, and its liquidation prices do not determine the maintenance")
        worth = total(EXACT.divide(EXACT.multiply(now, equity), step) for (now, _, equity), step in zip(rows, steps, strict=True))
        needed = EXACT.divide(worth, below)
        rates = [EXACT.divide(EXACT.subtract(equity, needed), step) for (_, _, equity), step in zip(rows, steps, strict=True)]
    known = dict(zip(contracts, rates, strict=True))
    for line in lines:
        if not 0 < (rate := known[line.symbol]) <= line.position.initial_rate:
            raise Unsupported(f"the liquidation price of {line.name} implies a maintenance rate of {rate:.4f}, which cannot be")
    return [known[line.symbol].quantize(RATE_DIGITS, context=EXACT) for line in lines]


def _shown_at(held: Sequence[Line]) -> Decimal:
    """The liquidation price that the exchange shows of a contract, beside each position in it or beside one."""
    found = sorted(Decimal(line.shown) for line in held if line.shown)
    if not found:
        raise Unsupported(f"the exchange tells neither brackets nor a liquidation price of {held[0].name}: its maintenance is not known")
    if EXACT.subtract(found[-1], found[0]) > EXACT.multiply(found[0], ONE_PRICE):
        raise Unsupported(f"positions in {held[0].symbol} share a wallet and have liquidation prices of their own, without brackets")
    return found[0]


def with_rate(line: Line, rate: Decimal) -> Line:
    """The line, asked one rate of its whole notional."""
    return replace(line, position=replace(line.position, tiers=(Tier(ZERO, rate, ZERO),), close_fee=ZERO))


def _gained(position: Position, price: Decimal) -> Decimal:
    """What profit gains from the mark to a price, in the coin that the contract settles in."""
    if position.contract is Contract.LINEAR:
        return EXACT.multiply(position.size, EXACT.subtract(price, position.mark))
    return EXACT.subtract(EXACT.divide(position.size, position.mark), EXACT.divide(position.size, price))


def _at_mark(line: Line) -> Line:
    """A line whose requirement follows the mark as the exchange's own does: of one judged by its value at entry that stays what it is,
    and only the fee for closing moves with the price.
    """
    position = line.position
    if position.basis is Basis.MARK:
        return line
    worth = notional(position, position.entry)
    rate = max((tier for tier in position.tiers if tier.floor <= worth), key=lambda tier: tier.floor).rate
    fixed = Tier(ZERO, ZERO, -EXACT.multiply(worth, rate))
    return replace(line, position=replace(position, basis=Basis.MARK, tiers=(fixed,)))
