"""A flag about basis trades: a dated future held against the coin itself, wherever in the book that lies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite, log1p
from statistics import median_low
from typing import Final, NamedTuple

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import MATERIAL, named, positions, price_usd
from defi_risk.flags.rule import DAY, Known, Rule, Scene
from defi_risk.health.account import assess
from defi_risk.health.figures import AccountFigures, Move
from defi_risk.health.normal import Holding, Key
from defi_risk.health.turned import OTHER, Margin, margin_of, turned
from defi_risk.ids import AccountId, Factor
from defi_risk.model import Position, Role
from defi_risk.words import dollars, percent, price

DAYS_A_YEAR: Final = 365


class Future(NamedTuple):
    """A dated future as it stands in its account; `coins` is what it is of, without sign, and `usd` that at the mark."""

    known: Known
    holding: Holding[float]
    position: Position
    coins: float
    usd: float

    @property
    def long(self) -> bool:
        return self.holding.value > 0


class Spot(NamedTuple):
    """What the book holds of a coin less what it owes of it, in USD, in which accounts, and USD for one of it (None: not known)."""

    usd: float
    accounts: frozenset[AccountId]
    price: float | None


class Basis(NamedTuple):
    """The basis of a future: `spot` is the coin's price in its quote coin, with who says so; the days that are left; why there is none."""

    spot: float | None
    source: str
    days: float | None
    lacking: str

    def simple(self, mark: float) -> float | None:
        """What the future is above its index, as a share of it."""
        return mark / self.spot - 1.0 if self.spot else None

    def annual(self, mark: float) -> float | None:
        """The same for a year."""
        simple = self.simple(mark)
        return None if simple is None or self.lacking or not self.days else simple * DAYS_A_YEAR / self.days


def _basis_trade(scene: Scene) -> Iterator[Flag]:
    futures: dict[tuple[Factor, bool], list[Future]] = {}
    for known in scene.known():
        for holding, position in positions(known):
            if position.expires is not None:
                usd = abs(holding.value)
                future = Future(known, holding, position, usd / price_usd(known, holding), usd)
                futures.setdefault((holding.key.factor, future.long), []).append(future)
    for (factor, long), found in sorted(futures.items()):
        spot = _spot(scene, factor, owed=long)
        coins = abs(spot.usd) / (spot.price or price_usd(found[0].known, found[0].holding))
        share = min(1.0, coins / sum(future.coins for future in found)) if (spot.usd < 0) is long else 0.0
        if share >= MATERIAL:
            yield from (_flag(scene, future, spot, future.coins * share) for future in found)


def _spot(scene: Scene, factor: Factor, *, owed: bool) -> Spot:
    """What is held (or `owed`) of a coin: its tokens, pegged ones among them; a price is that of the coin itself."""
    total, accounts, prices = 0.0, set[AccountId](), list[float]()
    for known in scene.known():
        for holding in known.normal.holdings:
            leg = holding.leg
            if leg.role is Role.POSITION or holding.key.factor != factor or not holding.value:
                continue
            usd = -holding.value if leg.role is Role.DEBT else holding.value
            total += usd
            if (usd < 0) is owed:
                accounts.add(known.account.id)
            if leg.peg is None and holding.price > 0:
                prices.append(holding.price)
    return Spot(total, frozenset(accounts), median_low(prices) if prices else None)


def _basis(scene: Scene, future: Future, spot: Spot) -> Basis:
    position = future.position
    quote = future.known.normal.quotes[Key(position.quote, position.quote_peg)]
    index: float | None = None
    source = ""
    if position.index is not None and position.index > 0:
        index, source = float(position.index), "venue"
    elif spot.price and quote > 0:
        index, source = spot.price / quote, "book"
    now = scene.time_of(future.known.account)
    days = None if now is None or position.expires is None else (position.expires - now) / DAY
    if days is not None and days <= 0:
        return Basis(index, source, days, "it has expired")
    if days is None:
        return Basis(index, source, None, "the time of the reading is not known")
    return Basis(index, source, days, "" if index else "neither its venue nor the book says what the coin itself costs")


def _flag(scene: Scene, future: Future, spot: Spot, coins: float) -> Flag:
    known, position, factor = future.known, future.position, future.holding.key.factor
    basis, mark = _basis(scene, future, spot), float(position.mark)
    annual, hedged = basis.annual(mark), coins * future.usd / future.coins
    margin = margin_of(known.normal, factor, scene.settings)
    own, other = _line(known.figures, factor), _turned(scene, future, spot, margin)
    expires = datetime.fromtimestamp(position.expires or 0, UTC)
    earns = f"no basis to tell, for {basis.lacking}"
    if annual is not None:
        earns = f"a basis of {percent(annual)} a year for {basis.days:,.1f} days"
    held = "owes" if future.long else "holds"
    other_words = "" if other is None or margin is None else f"; with {_kind(OTHER[margin])} worth as much, {_words(position, other)}"
    kept = "" if margin is None else f"with {_kind(margin)}, "
    return Flag(
        code="BASIS_TRADE",
        severity=Severity.INFO,
        accounts=tuple(sorted({known.account.id, *spot.accounts})),
        message=(
            f"{known.name}: the {named(future.holding)} to {expires:%Y-%m-%d} hedges {dollars(hedged)} of it that the book {held}, at "
            f"{earns}; {kept}{_words(position, own)}{other_words}"
        ),
        evidence={
            "factor": factor,
            "account": known.account.id,
            "expires": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
            "days": basis.days,
            "mark": mark,
            "index": basis.spot,
            "index_source": basis.source or None,
            "basis": basis.simple(mark),
            "basis_per_year": annual,
            "no_basis": basis.lacking or None,
            "notional_usd": future.holding.value,
            "hedged_usd": hedged,
            "spot_usd": spot.usd,
            "margin": margin,
            **_evidence("liquidation", position, own),
            "other_margin": None if margin is None else OTHER[margin],
            **_evidence("other_liquidation", position, other),
        },
    )


class Line(NamedTuple):
    """Where a move of the coin alone liquidates a future's account: `move` is the nearest, None where none does or it is `dead` now."""

    dead: bool
    move: Move | None


def _turned(scene: Scene, future: Future, spot: Spot, margin: Margin | None) -> Line | None:
    """The line with the other kind of margin; None where there is no such account."""
    known, index = future.known, next(place for place, one in enumerate(future.known.normal.holdings) if one is future.holding)
    usd = spot.price or price_usd(known, future.holding)
    if margin is None or not isfinite(usd):
        return None
    quotes = {key.factor: value for key, value in known.normal.quotes.items()}
    account = turned(known.account, known.normal, index, Decimal(repr(usd)), OTHER[margin])
    return _line(assess(account, scene.settings, quotes).figures, future.holding.key.factor)


def _line(figures: AccountFigures, factor: Factor) -> Line:
    found = [move for move in figures.moves if move.factor == factor and move.peg is None]
    return Line(figures.liquidatable, min(found, key=lambda move: abs(log1p(move.move)), default=None))


def _price(position: Position, move: Move) -> float:
    """The future's own mark after a move of what it follows."""
    return float(position.mark) * (1.0 + move.move)


def _words(position: Position, line: Line) -> str:
    if line.move is None:
        return "its account can be liquidated now" if line.dead else "no price liquidates its account"
    return f"its account is liquidated at {price(_price(position, line.move))} ({percent(line.move.move)})"


def _evidence(name: str, position: Position, line: Line | None) -> dict[str, float | str | bool | None]:
    move = None if line is None else line.move
    return {
        f"{name}_now": None if line is None else line.dead,
        f"{name}_price": None if move is None else _price(position, move),
        f"{name}_move": None if move is None else move.move,
        f"{name}_direction": None if move is None else move.direction,
    }


def _kind(margin: Margin) -> str:
    return "margin of its own coin" if margin == "coin" else "stable margin"


RULES = (
    Rule(
        "BASIS_TRADE",
        Severity.INFO,
        "A dated future stands against the coin itself, held or owed anywhere in the book: what it earns a year, and where its account is "
        "liquidated with its own kind of margin and with the other.",
        _basis_trade,
        "a hedged part of at least 5% of the future",
    ),
)
