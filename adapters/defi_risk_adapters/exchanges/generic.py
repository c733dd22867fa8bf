"""Margin accounts out of wallets and positions, for exchanges whose rule is plain: margin and profit against maintenance by bracket.

A reader takes an exchange's answers apart into `Line`s (one a position) and calls `cross` for a wallet and `isolated` for a position with
margin of its own. Liquidation prices are recomputed for all positions of one contract together: both sides of a hedge move with one price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Account, LiquidationRule, Position, SelfCheck, Side, Tier
from defi_risk.spi import Desk
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import ZERO, at_par, derivative, joint_price, maintenance, margin, profit, same_digits

ONE: Final = Decimal(1)
MOST: Final = Decimal(10) ** 18
"""More of any coin, or a higher price, than an account can have."""
DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
NEAR: Final = Decimal("0.2")
"""A liquidation price of ours within this share of the mark is one that an exchange would show."""
OF_ONE_MOMENT: Final = Decimal("0.00005")
"""Tolerance of figures that rest on one answer: what rounding of margins and entry prices leaves."""
OF_TWO_MOMENTS: Final = Decimal("0.01")
"""Tolerance of figures that rest on marks of two answers: what a price moves between them counts as many times as the leverage."""
SMALL: Final = Decimal("0.01")
"""Figures below this, such as maintenance rates, are compared by its tolerance and not by their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One position: its contract by the exchange's `symbol`, the `coin` that it follows, `side` where both sides may be held at once, the
    `margin` set apart for it (None: cross), and the liquidation price that the exchange shows, verbatim, empty where it shows none.
    """

    symbol: str
    coin: str
    position: Position
    side: str = ""
    margin: Decimal | None = None
    shown: str = ""

    @property
    def name(self) -> str:
        """What tells it from the other lines of an account."""
        return f"{self.symbol}:{self.side}" if self.side else self.symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of an account by the exchange's names: as we compute them, and as it told them."""

    ours: Mapping[str, str]
    theirs: Mapping[str, str]
    tolerance: Decimal = OF_TWO_MOMENTS
    scale: Decimal = SMALL


def distinct(lines: Iterable[Line]) -> list[Line]:
    """The same lines. Raises `BadAnswer` where two are of one position: it would be counted twice."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.name in found:
            raise BadAnswer(f"the position {line.name} is listed twice")
        found[line.name] = line
    return list(found.values())


def side_of(size: Decimal, told: str) -> Decimal:
    """A size with the sign of its side, "long" or "short" in any case. Raises `Unsupported` for another side."""
    word = told.lower()
    if word not in ("long", "short"):
        raise Unsupported(f"the side {told!r} of a position is not known")
    return abs(size) if word == "long" else -abs(size)


def stepwise(rows: Iterable[tuple[Decimal, Decimal]]) -> tuple[Tier, ...]:
    """Brackets from floors and rates where a whole notional is charged at the rate of its bracket: no deductions."""
    found = tuple(Tier(floor, rate, ZERO) for floor, rate in sorted(rows))
    if not found or found[0].floor != 0 or len({tier.floor for tier in found}) < len(found):
        raise BadAnswer("maintenance brackets do not begin at zero, or two begin at one floor")
    return found


def optional(answer: Answer, field: str) -> Decimal | None:
    """A number that may be missing, null or an empty text."""
    found = answer.get(field)
    return None if found is None or found.value == "" else found.decimal(-MOST, MOST)


def quote_of(contract: Answer, quote: str, settles: str) -> Factor:
    """The coin that a linear contract is quoted in, by the names of both fields. Raises `Unsupported` where it settles in another."""
    coin, other = contract[quote].text(), contract[settles].text()
    if not coin or coin != other:
        raise Unsupported(f"{contract.path}.{quote} is {coin!r}, and the contract settles in {other!r}")
    return Factor(coin)


def traces(answer: Answer, *fields: str) -> list[Answer]:
    """Those of the fields that an answer has a number in."""
    found = (answer.get(field) for field in fields)
    return [part for part in found if part is not None and part.value != ""]


def shown_price(answer: Answer, field: str) -> str:
    """A liquidation price verbatim; empty where the exchange shows none: missing, empty, zero or below."""
    found = answer.get(field)
    if found is None or found.value == "" or found.decimal() <= 0:
        return ""
    return str(found.value)


def total(numbers: Iterable[Decimal]) -> Decimal:
    """An exact sum."""
    result = ZERO
    for number in numbers:
        result = EXACT.add(result, number)
    return result


def equity_of(balance: Decimal, lines: Iterable[Line]) -> Decimal:
    """Margin and unrealised profit, in the coin that all of them settle in."""
    return total([balance, *(profit(line.position) for line in lines)])


def needed_by(lines: Iterable[Line]) -> Decimal:
    """Maintenance margin, closing fees included, in the coin that all of them settle in."""
    return total(maintenance(line.position) for line in lines)


def ratio_text(above: Decimal, below: Decimal, like: str) -> str:
    """A quotient with as many decimals as the exchange writes; empty where there is none."""
    return same_digits(EXACT.divide(above, below), like) if below > 0 else ""


def prices(lines: Sequence[Line], balance: Decimal) -> Figures:
    """Liquidation prices of an account's lines under the exchange's name for them, where it shows one or ours is near the mark."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for line in lines:
        same = [other for other in lines if other.symbol == line.symbol]
        rest = [other for other in lines if other.symbol != line.symbol]
        cushion = EXACT.subtract(equity_of(balance, rest), needed_by(rest))
        price = joint_price([other.position for other in same], cushion)
        name, mark = f"liquidationPrice:{line.name}", line.position.mark
        if line.shown and price is not None:
            ours[name] = same_digits(price, line.shown)
        elif price is not None and abs(price - mark) <= EXACT.multiply(NEAR, mark):
            ours[name] = same_digits(price, str(mark))
        if line.shown or name in ours:
            theirs[name] = line.shown or "0"
    return Figures(ours=ours, theirs=theirs)


def cross(
    at: Desk,
    venue: str,
    parts: Sequence[str],
    coin: str,
    balance: Decimal,
    lines: Sequence[Line],
    *,
    figures: Figures,
    price: Decimal | None = None,
    mode: str = "cross",
    strict: bool = False,
    remainder: bool = True,
    priced: bool = True,
    shows: bool = True,
    assumptions: Sequence[str] = (),
) -> Account:
    """A margin account with one settling coin: its `balance` without profit, and every position that it answers for.

    `parts` name it after the owner's name of the key, `figures` are checked beside its liquidation prices, and `remainder` tells whether
    what a liquidation leaves stays the owner's. A dollar coin without a `price` stands at par until another source prices it. Where it is
    not `priced`, its rule does not give liquidation prices and none are compared; nor where the exchange never `shows` any.
    """
    leg = margin(at, coin, balance, price)
    if leg.price is None and coin in DOLLARS:
        leg = at_par(leg)
    found = prices(lines, balance) if priced else Figures(ours={}, theirs={})
    ours, theirs = {**figures.ours, **found.ours}, {**figures.theirs, **(found.theirs if shows else {})}
    return Account(
        id=at.account_id(*parts),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=venue,
        market="/".join(parts),
        chain=None,
        mode=mode,
        legs=(leg, *(derivative(at, line.coin, line.symbol, line.position) for line in lines)),
        stated=ours,
        self_check=SelfCheck.within(figures.tolerance, ours, theirs, figures.scale) if theirs else None,
        strict=strict,
        rule=LiquidationRule(kind="close", remainder="refunded" if remainder else "lost"),
        assumptions=tuple(dict.fromkeys(assumptions)),
    )


def isolated(
    at: Desk,
    venue: str,
    family: str,
    coin: str,
    line: Line,
    *,
    figures: Figures | None = None,
    price: Decimal | None = None,
    remainder: bool = False,
    assumptions: Sequence[str] = (),
) -> Account:
    """The margin account of a position with margin of its own. Without `remainder` what a liquidation leaves is the exchange's."""
    parts = [family, line.symbol, *([line.side] if line.side else []), "isolated"]
    if line.margin is None:
        raise Unsupported(f"the position {line.name} is isolated, and its margin is not told")
    told = figures or Figures(ours={}, theirs={}, tolerance=OF_ONE_MOMENT)
    return cross(
        at,
        venue,
        parts,
        coin,
        line.margin,
        [line],
        figures=told,
        price=price,
        mode="isolated",
        remainder=remainder,
        assumptions=assumptions,
    )


def unread(at: Desk, venue: str, parts: Sequence[str], reason: str) -> Account:
    """A margin account that is known to hold something, and that nothing else is known of."""
    return Account(
        id=at.account_id(*parts),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=venue,
        market="/".join(parts),
        chain=None,
        status="unknown",
        reason=reason,
    )
