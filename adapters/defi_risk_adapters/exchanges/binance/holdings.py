"""Positions as Binance tells them, and their liquidation prices.

A futures account's own answer has sizes, profits and maintenance margins beside the balances of the same moment; its positions' answer adds
entry, mark and liquidation price. Amounts are in the coin that a contract settles in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, OutOfRange, Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Contract, FactorRef, Leg, Position, Tier
from defi_risk.spi import Desk
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.binance.tables import MOST, Listed, Premium, Tables
from defi_risk_adapters.exchanges.common import ZERO, derivative, joint_price, maintenance, profit, same_digits

ONE: Final = Decimal(1)
TEXT: Final = "0.00000000"
"""Binance writes amounts with eight decimals."""
_ROUNDING: Final = Decimal("0.0000001")
_NEAR: Final = Decimal(2)
"""A liquidation price of ours counts as near within half and twice the mark: the exchange would show it."""
_CENT: Final = Decimal("0.01")
_CAPPED: Final = "{} in the wallet counts at its price, where Binance counts it at {:.4f} of it: the margin is {:.2f} USD smaller here"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """One side of a contract that is held: `size` in signed contracts, `worth` its notional, `wallet` the margin of an isolated one.

    `needed` and `price` are the exchange's maintenance margin and liquidation price verbatim, empty where it tells none.
    """

    symbol: str
    side: str
    size: Decimal
    entry: Decimal
    mark: Decimal
    worth: Decimal
    pnl: Decimal
    rate: Decimal | None
    wallet: Decimal | None = None
    needed: str = ""
    price: str = ""

    @property
    def name(self) -> str:
        """Symbol, and side in hedge mode."""
        return self.symbol if self.side == "BOTH" else f"{self.symbol}:{self.side}"


@dataclass(frozen=True, slots=True)
class Line:
    """A position in our terms beside what the exchange said of it."""

    held: Held
    listed: Listed
    position: Position

    def leg(self, at: Desk) -> Leg:
        """The position as a leg."""
        return derivative(at, self.listed.base, self.held.symbol, self.position)


def open_rows(rows: Answer, path: str) -> dict[Key, Answer]:
    """Rows with a size, by symbol and side. Raises `BadAnswer` where one is there twice: it would be counted twice."""
    found: dict[Key, Answer] = {}
    for row in rows.listing():
        if not row["positionAmt"].decimal(-MOST, MOST):
            continue
        side = row["positionSide"].text()
        if side not in ("BOTH", "LONG", "SHORT"):
            raise Unsupported(f"position side {shown(side)} is not known")
        key = (row["symbol"].text(40), side)
        if key in found:
            raise BadAnswer(f"{path} holds {key[0]} {side} twice")
        found[key] = row
    both = next((symbol for symbol, side in found if side == "BOTH" and ((symbol, "LONG") in found or (symbol, "SHORT") in found)), None)
    if both is not None:
        raise BadAnswer(f"{path} holds {both} in one-way and in hedge mode")
    return found


def _size(row: Answer, side: str) -> Decimal:
    amount = row["positionAmt"].decimal(-MOST, MOST)
    return amount if side == "BOTH" else abs(amount) if side == "LONG" else -abs(amount)


def of_account(account: Mapping[Key, Answer], risks: Mapping[Key, Answer]) -> list[Held]:
    """What is held, from the two answers about a futures wallet. Raises `BadAnswer` where they differ in what is held."""
    if account.keys() != risks.keys():
        raise BadAnswer("account and positions do not hold the same contracts")
    found: list[Held] = []
    for key, row in account.items():
        risk, side = risks[key], key[1]
        size = _size(row, side)
        if size != _size(risk, side):
            raise BadAnswer(f"account and positions hold another size of {key[0]}")
        worth = abs(_worth(row))
        mark, there = risk["markPrice"].decimal(0, MOST), abs(_worth(risk))  # a moment earlier
        if not worth or not there or not mark:
            raise OutOfRange(f"{key[0]} has no mark price, or no notional")
        if abs(there - worth) > _ROUNDING * there:
            moved = EXACT.divide(worth, there)
            mark = EXACT.multiply(mark, moved) if row.get("notionalValue") is None else EXACT.divide(mark, moved)
        found.append(
            Held(
                key[0],
                side,
                size,
                entry=risk["entryPrice"].decimal(0, MOST),
                mark=mark,
                worth=worth,
                pnl=row["unrealizedProfit"].decimal(-MOST, MOST),
                rate=_initial(row, risk, worth),
                wallet=_isolated(row, risk),
                needed=verbatim(row["maintMargin"], ZERO),
                price=shown_price(risk),
            )
        )
    return found


def verbatim(number: Answer, low: Decimal = -MOST) -> str:
    """The text of a number, once it is sure to be one."""
    number.decimal(low, MOST)
    return str(number.value)


def _worth(row: Answer) -> Decimal:
    linear = row.get("notional")
    return (linear if linear is not None else row["notionalValue"]).decimal(-MOST, MOST)


def _initial(row: Answer, risk: Answer, worth: Decimal) -> Decimal | None:
    """Initial margin as a share of the notional: 1 / leverage, or by the position's own where leverage is not told."""
    for part in (row, risk):
        if (leverage := part.get("leverage")) is not None and (by := leverage.decimal(0, 1_000)):
            return EXACT.divide(ONE, by)
    for part in (row, risk):
        if (margin := part.get("positionInitialMargin")) is not None:
            return EXACT.divide(margin.decimal(0, MOST), worth)
    return None


def _isolated(row: Answer, risk: Answer) -> Decimal | None:
    """The margin of an isolated position; None for a cross one. Where no field says so, an isolated one is told by its wallet."""
    wallet = next((part for source in (row, risk) if (part := source.get("isolatedWallet")) is not None), None)
    amount = ZERO if wallet is None else wallet.decimal(-MOST, MOST)
    flag, kind = row.get("isolated"), risk.get("marginType")
    if kind is not None and kind.text() not in ("cross", "isolated"):
        raise Unsupported(f"margin type {shown(kind.text())} is not known")
    said = flag.flag() if flag is not None else kind.text() == "isolated" if kind is not None else bool(amount)
    if not said and amount:
        raise BadAnswer(f"{row['symbol'].text(40)} is cross, and has an isolated wallet")
    if said and not amount:
        raise BadAnswer(f"{row['symbol'].text(40)} is isolated, and has no wallet")
    return amount if said else None


def shown_price(risk: Answer) -> str:
    """The exchange's liquidation price verbatim; empty where it shows none."""
    price = risk.get("liquidationPrice")
    return str(price.value) if price is not None and price.value != "" and price.decimal() > 0 else ""


def of_portfolio(risks: Mapping[Key, Answer]) -> list[Held]:
    """What is held in portfolio margin, where an answer tells all but the maintenance margin."""
    found: list[Held] = []
    for (symbol, side), risk in risks.items():
        mark, worth = risk["markPrice"].decimal(0, MOST), abs(_worth(risk))
        if not worth or not mark:
            raise OutOfRange(f"{symbol} has no mark price, or no notional")
        found.append(
            Held(
                symbol,
                side,
                _size(risk, side),
                entry=risk["entryPrice"].decimal(0, MOST),
                mark=mark,
                worth=worth,
                pnl=risk["unRealizedProfit"].decimal(-MOST, MOST),
                rate=_initial(risk, risk, worth),
                price=shown_price(risk),
            )
        )
    return found


def line(at: Desk, held: Held, told: Tables, *, weight: Decimal = ONE, dearer: Decimal = ONE) -> Line:
    """A position in our terms. `weight` is the share of profit that counts, `dearer` what a unit of requirement is charged at."""
    listed = told.contracts[held.symbol]
    premium = told.premiums.get(held.symbol, Premium(None, None))
    tiers = told.tiers[held.symbol]
    rate = held.rate if held.rate is not None else max(tier.rate for tier in tiers if tier.floor <= held.worth)
    quote = at.factor_of(listed.quote) if listed.linear else FactorRef(Factor("USD"))
    position = Position(
        size=EXACT.multiply(held.size, listed.value),
        entry=held.entry,
        mark=held.mark,
        quote=quote.factor,
        quote_peg=quote.peg,
        contract=Contract.LINEAR if listed.linear else Contract.INVERSE,
        tiers=tuple(Tier(tier.floor, EXACT.multiply(tier.rate, dearer), EXACT.multiply(tier.deduction, dearer)) for tier in tiers),
        initial_rate=EXACT.multiply(rate, dearer),
        funding_8h=premium.funding_8h,
        unrealized_pnl=held.pnl,
        pnl_weight=weight,
        expires=listed.expires,
        index=None if premium.index_share is None else EXACT.multiply(held.mark, premium.index_share),
    )
    return Line(held, listed, position)


def needs(lines: Iterable[Line]) -> Decimal:
    """Maintenance margin of positions that settle in one coin."""
    return added(maintenance(one.position) for one in lines)


def gains(lines: Iterable[Line]) -> Decimal:
    """Unrealised profit of positions that settle in one coin."""
    return added(profit(one.position) for one in lines)


def added(numbers: Iterable[Decimal]) -> Decimal:
    """An exact sum."""
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return total


def meeting(same: Sequence[Line], net: Decimal, shares: tuple[Decimal, Decimal], rest: Decimal, line: Decimal = ONE) -> Decimal | None:
    """The price of one contract at which what counts of a coin's `net`, and `rest` beside it, meet `line` times what its positions need:
    `shares` of the net count where it is owned and where it is owed. The net holds the profit of these positions, and may be owed by then:
    of the two ways to count it, the one that the net there asks for. All amounts are in the coin.
    """
    positions = [one.position for one in same]
    apart = EXACT.subtract(net, gains(same))
    found: list[Decimal] = []
    for owned, share in zip((True, False), shares, strict=True):
        cushion = EXACT.add(rest, EXACT.multiply(share, apart))
        price = joint_price([replace(one, pnl_weight=share) for one in positions], cushion, line)
        if price is not None and (EXACT.add(apart, added(_profit_at(one, price) for one in positions)) >= 0) == owned:
            found.append(price)
    return min(found, key=lambda price: abs(price - positions[0].mark), default=None)


def _profit_at(position: Position, price: Decimal) -> Decimal:
    """Unrealised profit at another mark, in the coin."""
    if position.contract is Contract.LINEAR:
        return EXACT.add(profit(position), EXACT.multiply(position.size, EXACT.subtract(price, position.mark)))
    moved = EXACT.subtract(EXACT.divide(position.size, position.mark), EXACT.divide(position.size, price))
    return EXACT.add(profit(position), moved)


def capped(coin: str, amount: Decimal, weight: Decimal, price: Decimal) -> tuple[str, ...]:
    """What must be said where the model counts a wallet at its price and the exchange does not: the model takes no weight above 1 for
    what stands in a wallet, and none below 1 for what is owed there, though profit and loss can turn the sign of the coin's net.
    """
    right = min(weight, ONE) if amount >= 0 else max(weight, ONE)
    less = EXACT.multiply(EXACT.multiply(amount, EXACT.subtract(weight, right)), price)
    return (_CAPPED.format(coin, weight, less),) if less >= _CENT else ()


def prices(lines: Sequence[Line], of: Callable[[Sequence[Line]], Decimal | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Liquidation prices as we compute them and as the exchange shows them, for positions where either does; `of` gives ours for all
    positions in one contract, with the bracket that holds at that price, as the exchange's own help on COIN-M liquidation prices has it
    ("calculated at the liquidation price"). One of ours that the exchange does not show stands against its "0" only where it is near.
    """
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for one in lines:
        held, name = one.held, f"liquidationPrice:{one.held.name}"
        price = of([other for other in lines if other.held.symbol == held.symbol])
        if held.price:
            theirs[name] = held.price
        elif price is not None and held.mark / _NEAR < price < held.mark * _NEAR:
            theirs[name] = "0"
        if price is not None:
            ours[name] = same_digits(price, held.price or TEXT)
    return ours, theirs


def requirements(lines: Iterable[Line], dearer: Decimal = ONE) -> tuple[dict[str, str], dict[str, str]]:
    """Maintenance margin of each position as we compute it and as the exchange shows it, in the coin that it settles in."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for one in lines:
        name = f"maintMargin:{one.held.name}"
        ours[name] = same_digits(EXACT.divide(maintenance(one.position), dearer), TEXT)
        if one.held.needed:
            theirs[name] = one.held.needed
    return ours, theirs
