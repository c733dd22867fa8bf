"""What a rescue plan may do: every movement of money that the venues' limits allow today, and what each does to its account.

Amounts are USD at one reference price a token, so that what leaves one account is what arrives in another although venues price the
same token differently; what it does to an account counts at that account's own price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil, inf, log10
from statistics import median_low
from typing import Final, Literal

from defi_risk.health.account import Assessed
from defi_risk.health.cascade.holdings import surcharge
from defi_risk.health.normal import Form, Holding, Key, Ladder, closing_cost, coin_usd
from defi_risk.health.settings import HealthSettings
from defi_risk.health.whatif import initial_requirement
from defi_risk.ids import Factor
from defi_risk.model import Role, Side

Kind = Literal["withdraw", "deposit", "repay", "borrow", "close", "add"]
SOURCES: Final = ("withdraw", "borrow", "add")
SINKS: Final = ("deposit", "repay")
SAME_TOKEN: Final = 1.05
"""Pegged tokens that share a peg but not a price (stETH and wstETH) are not one token; venues differ by less than this about one."""
SAME_COIN: Final = 1.25
"""The same for coins without a peg, whose prices may be old or badly off at one venue: beyond this they are not of one unit."""
BASIS_POINT: Final = 1e-4
STEP_USD: Final = 1e-6
LEAST_PLACES: Final = 8
PREFERRED: Final[Mapping[str, float]] = {"idle": 0.0, "withdraw": 1e-4, "borrow": 2e-4, "close": 5e-4, "add": 1e-3}
"""What breaks ties between equal values: idle money goes first, then what is posted, then what must be borrowed, then positions."""


@dataclass(frozen=True, slots=True)
class Token:
    """One coin wherever it lies: its key, its reference price in USD, the decimals that every venue of it can write, and those of plans."""

    key: Key
    price: float
    most_places: int
    places: int

    @property
    def step(self) -> Decimal:
        """The smallest amount of a plan, in token units."""
        return Decimal(1).scaleb(-self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A way to move money, in USD from 0 to `most`. `stand` and `leg` say where (None: outside the book), `token` what.

    Per USD: `net` is what it adds to the account's linear part of B by key, `free` to its free margin, `required` to its R today.
    `cash` is what closing realises into the margin leg `into`. `rungs` is the ladder that closing climbs down.
    """

    kind: Kind
    stand: int | None = None
    leg: int | None = None
    token: int | None = None
    most: float = inf
    whole: bool = False
    net: Form[float] = field(default_factory=dict)
    free: float = 0.0
    required: float = 0.0
    cost: float = 1.0
    cash: float = 0.0
    into: int | None = None
    rungs: Ladder[float] | None = None


@dataclass(frozen=True, slots=True)
class Stand:
    """An account in a plan. `idle`: nothing is required of it; `open`: money that counts may leave under today's limits."""

    one: Assessed
    idle: bool
    open: bool

    @property
    def gross(self) -> float:
        """What the account's surplus is summed from, in absolute USD: its rounding is a share of this."""
        normal = self.one.normal
        return sum(map(abs, normal.c.values())) + abs(normal.requirement()) + sum(abs(holding.value) for holding in normal.holdings)

    @property
    def unsure(self) -> float:
        """USD of free margin that may not be there: a venue may round the average loan-to-value down to a basis point (Aave up to 3.4)."""
        normal = self.one.normal
        weights = {holding.initial_weight for holding in normal.holdings if holding.weight and holding.value > 0}
        return BASIS_POINT * normal.collateral if self.one.account.exact is not None and len(weights) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Problem:
    """A book as movements between accounts, in a fixed order."""

    stands: tuple[Stand, ...]
    tokens: tuple[Token, ...]
    movements: tuple[Movement, ...]
    settings: HealthSettings

    def of_token(self, token: int, kinds: Sequence[str]) -> list[int]:
        """The movements of a token of some kinds, by their places."""
        return [index for index, move in enumerate(self.movements) if move.token == token and move.kind in kinds]


def survey(assessed: Sequence[Assessed], settings: HealthSettings, quotes: Mapping[Factor, float], *, closing: bool) -> Problem:
    """All movements of a book of known accounts, which must come in the order of their ids."""
    stands = tuple(_stand(one, settings) for one in assessed)
    tokens, belongs = _tokens(stands)
    found: list[Movement] = []
    for index, stand in enumerate(stands):
        for leg, holding in enumerate(stand.one.normal.holdings):
            if holding.leg.role is Role.POSITION:
                if closing and holding.value:
                    found.append(_close(stand, index, leg, holding, quotes))
            elif (index, leg) in belongs:
                token = belongs[index, leg]
                found += _of_leg(stand, index, leg, token, holding.price / tokens[token].price)
    sinks = {move.token for move in found if move.kind in SINKS}
    found += [Movement(kind="add", token=token, cost=1.0 + PREFERRED["add"]) for token in range(len(tokens)) if token in sinks]
    return Problem(stands, tokens, tuple(found), settings)


def _stand(one: Assessed, settings: HealthSettings) -> Stand:
    figures, holdings = one.figures, one.normal.holdings
    owes = bool(one.normal.debt) or any(holding.value < 0 or holding.leg.role is Role.POSITION for holding in holdings)
    idle = not owes and figures.requirement_usd == 0
    above = figures.surplus_usd >= settings.buffer * figures.requirement_usd
    return Stand(one, idle, not figures.liquidatable and figures.free_margin_usd > 0 and above)


def _tokens(stands: Sequence[Stand]) -> tuple[tuple[Token, ...], dict[tuple[int, int], int]]:
    """The tokens of a book, and which one each leg holds or owes."""
    by_key: dict[Key, list[tuple[float, int, int]]] = {}
    for index, stand in enumerate(stands):
        for leg, holding in enumerate(stand.one.normal.holdings):
            if holding.leg.role is not Role.POSITION and holding.leg.movable and holding.price > 0:
                by_key.setdefault(holding.key, []).append((holding.price, index, leg))
    gross = sum(stand.gross for stand in stands)
    tokens: list[Token] = []
    belongs: dict[tuple[int, int], int] = {}
    for key in sorted(by_key, key=lambda key: (key.factor, key.peg or "")):
        for group in _groups(key, sorted(by_key[key])):
            belongs |= {(index, leg): len(tokens) for _, index, leg in group}
            holdings = [stands[index].one.normal.holdings[leg] for _, index, leg in group]
            price = median_low([holding.price for holding in holdings])
            most = min(map(_places, holdings))
            fine = ceil(log10(price / min(STEP_USD, max(gross, 1e-6) * 1e-12)))
            tokens.append(Token(key, price, most, max(0, min(most, fine))))
    return tuple(tokens), belongs


def _groups(key: Key, priced: Sequence[tuple[float, int, int]]) -> Iterator[list[tuple[float, int, int]]]:
    """Legs of one token: of one key and about one price."""
    group: list[tuple[float, int, int]] = []
    for item in priced:
        if group and item[0] > group[0][0] * (SAME_COIN if key.peg is None else SAME_TOKEN):
            yield group
            group = []
        group.append(item)
    yield group


def _places(holding: Holding[float]) -> int:
    """Decimals of a token; what a book or an exchange writes down has as many as were written."""
    asset = holding.leg.asset
    return asset.decimals if asset.id.startswith("eip155:") else max(asset.decimals, LEAST_PLACES)


def _of_leg(stand: Stand, index: int, leg: int, token: int, ratio: float) -> Iterator[Movement]:
    """What may be done with one balance or debt. `ratio`: the account's price of the token over the reference price."""
    holding = stand.one.normal.holdings[leg]
    key, value = holding.key, holding.value / ratio

    def movement(kind: Kind, most: float, weight: float, initial: float, *, whole: bool = False, required: float = 0.0) -> Movement:
        sign = 1.0 if kind in SINKS else -1.0
        cost = PREFERRED["idle"] if stand.idle else PREFERRED.get(kind, 0.0)
        net = {key: sign * weight * ratio} if weight else {}
        return Movement(
            kind=kind, stand=index, leg=leg, token=token, most=most, whole=whole, net=net,
            free=sign * initial * ratio, required=required * ratio, cost=1.0 + cost,
        )  # fmt: skip

    if holding.leg.role is Role.DEBT:
        lends = stand.one.account.side is Side.LENDING
        backed = 0.0 if lends or not value else sum(holding.needs.values()) / holding.value  # what a debt needs beside its repayment
        yield movement("repay", value, 1.0 + backed, 1.0 + backed, whole=True, required=-1.0 if lends else -backed)
        limit = inf if holding.leg.available is None else float(holding.leg.available) * holding.price / ratio
        if lends and stand.open and value > 0 and limit > 0:
            yield movement("borrow", limit, 1.0, 1.0, required=1.0)
        return
    if value > 0 and (stand.idle or stand.open or not holding.weight):
        limit = inf if holding.available is None else holding.available / ratio
        if limit > 0:
            yield movement("withdraw", min(value, limit), holding.weight, holding.initial_weight, whole=limit >= value)
    if not stand.idle and holding.weight:
        if value < 0:  # what is owed counts in full until it is paid back
            yield movement("deposit", -value, surcharge(holding), surcharge(holding))
        yield movement("deposit", inf, holding.weight, holding.initial_weight)


def _close(stand: Stand, index: int, leg: int, holding: Holding[float], quotes: Mapping[Factor, float]) -> Movement:
    """Closing a position, per USD of its notional: it neither gains nor loses from here on, and profit and fee become money."""
    size = abs(holding.value)
    into = next(
        (place for place, other in enumerate(stand.one.normal.holdings) if other.leg.role is Role.MARGIN and other.key == holding.coin),
        None,
    )
    settled = None if into is None else stand.one.normal.holdings[into]
    cost = 0.0 if holding.leg.position is None else closing_cost(holding, holding.leg.position)
    cash = (sum(holding.worth.values()) - cost) * _settling(stand, holding, settled)
    weight, initial = (1.0, 1.0) if settled is None else (settled.weight, settled.initial_weight)
    if settled is not None and cash < 0 and _overdrawn(stand, settled):
        weight = initial = surcharge(settled)
    net = {key: -amount / size for key, amount in holding.counts.items()}  # the way out is off C already: it is not lost twice
    for key, amount in holding.needs.items():
        net[key] = net.get(key, 0.0) + amount / size
    if holding.coin is not None:
        net[holding.coin] = net.get(holding.coin, 0.0) + cash * weight / size
    needed = initial_requirement(stand.one.account, holding.leg, _with_quotes(stand, quotes))
    return Movement(
        kind="close",
        stand=index,
        leg=leg,
        most=size,
        whole=True,
        net=net,
        free=(cash * initial - sum(holding.counts.values()) + needed) / size,
        cost=1.0 + PREFERRED["close"],
        cash=cash / size,
        into=into,
        rungs=holding.ladder,
    )


def _overdrawn(stand: Stand, settled: Holding[float]) -> bool:
    """Whether closing all that loses may leave less than nothing of the coin that it settles in: that is owed in full."""
    lost = sum(
        min(0.0, sum(holding.worth.values()) - closing_cost(holding, holding.leg.position))
        for holding in stand.one.normal.holdings
        if holding.leg.position is not None and holding.coin == settled.key
    )
    return settled.value + lost < 0


def _settling(stand: Stand, holding: Holding[float], settled: Holding[float] | None) -> float:
    """What the coin that a position settles in is worth as margin, over what it is worth at the position's own mark."""
    position = holding.leg.position
    if position is None or settled is None:
        return 1.0
    return settled.price / coin_usd(holding)


def _with_quotes(stand: Stand, quotes: Mapping[Factor, float]) -> Mapping[Factor, float]:
    return {**quotes, **{key.factor: usd for key, usd in stand.one.normal.quotes.items()}}
