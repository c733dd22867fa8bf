"""What-ifs on accounts (`unified-health` section 7): isolated or cross margin, funding swept into margin, margin by a scenario grid.

Pure functions: they give changed accounts, and `compare` the figures of the book before and after. A changed account is judged by the
model alone, for a venue's verdict on what was read says nothing about what was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from math import isfinite
from typing import Final

from defi_risk import health
from defi_risk.errors import UsageError
from defi_risk.health.figures import Figures
from defi_risk.health.normal import Key, in_floats, margin_in, pricing
from defi_risk.health.settings import HealthSettings
from defi_risk.ids import USD, AccountId, AssetId, Factor
from defi_risk.model import Account, Asset, Contract, Leg, Position, Price, Role, Side
from defi_risk.text import shown
from defi_risk.units import EXACT, Quantity

FUNDINGS_A_DAY: Final = 3
DAYS_A_YEAR: Final = 365
SCAN: Final = (*((third / 3, 1.0) for third in range(-3, 4)), (-2.0, 0.35), (2.0, 0.35))
"""Price moves in ranges with the share of the loss that counts: CME's SPAN, whose volatility scenarios fall together without options."""
_PLACES: Final = Decimal("1e-18")
_NO_QUOTES: Final[Mapping[Factor, float]] = {}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A book before and after a change: the changed accounts, and both figures."""

    accounts: tuple[Account, ...]
    before: Figures
    after: Figures


def compare(
    book: Sequence[Account],
    replaced: Mapping[AccountId, Sequence[Account]],
    settings: HealthSettings,
    quotes: Mapping[Factor, float] = _NO_QUOTES,
    *,
    partial: bool = False,
) -> Comparison:
    """Figures of a book before and after some of its accounts are replaced by others (by none, where they were merged into another).

    `partial`: a source failed, so that accounts may be missing altogether.
    """
    missing = sorted(set(replaced) - {account.id for account in book})
    if missing:
        raise UsageError(f"the book has no account {shown(missing[0], 60)}", hint="replace accounts by their ids")
    changed = [new for account in book for new in replaced.get(account.id, (account,))]
    before, after = (health.run(accounts, settings, quotes=quotes, partial=partial) for accounts in (book, changed))
    return Comparison(tuple(changed), before, after)


def edited(account: Account, legs: Sequence[Leg]) -> Account:
    """The account with other legs; what its venue said about the old ones is dropped."""
    return replace(account, legs=tuple(legs), exact=None, native={}, stated={}, self_check=None, liquidatable=None)


def initial_requirement(account: Account, leg: Leg, quotes: Mapping[Factor, float]) -> float:
    """USD that one position needs under the venue's initial limits."""
    priced = [replace(other, amount=Quantity(0, 0)) for other in account.legs if other.role is Role.MARGIN]
    return in_floats(replace(account, legs=(*priced, leg)), quotes).initial


def credited(account: Account, position: Position, factor: Factor, amount: Decimal, quotes: Mapping[Factor, float]) -> list[Leg]:
    """The account's legs with `amount` more (or less) of the coin that a position on `factor` settles in, as margin."""
    linear = position.contract is Contract.LINEAR
    coin = Key(position.quote, position.quote_peg) if linear else Key(factor)
    legs = list(account.legs)
    for index, leg in enumerate(legs):
        if leg.role is Role.MARGIN and (leg.factor, leg.peg) == coin:
            legs[index] = replace(leg, amount=Quantity.of(EXACT.add(leg.amount.decimal(), amount)))
            return legs
    by = None if linear else pricing(legs, coin)
    marked = by.position if by is not None and by.position is not None else position
    usd = _quote_usd(legs, marked, quotes)
    price = usd if linear else EXACT.multiply(marked.mark, usd)
    asset = Asset(AssetId(f"peg:{coin.peg}" if coin.peg else f"factor:{coin.factor}"), str(coin.peg or coin.factor), 18)
    new = Leg(role=Role.MARGIN, asset=asset, factor=coin.factor, peg=coin.peg, amount=Quantity.of(amount), price=Price(Quantity.of(price)))
    return [*legs, new]


def _quote_usd(legs: Sequence[Leg], position: Position, quotes: Mapping[Factor, float]) -> Decimal:
    """USD per unit of the coin that a position is quoted in, as the normal form takes it."""
    leg = margin_in(legs, Key(position.quote, position.quote_peg))
    return Decimal(str(quotes.get(position.quote, 1.0))) if leg is None or leg.price is None else leg.price.value.decimal()


def isolated(account: Account, quotes: Mapping[Factor, float] = _NO_QUOTES) -> tuple[Account, ...]:
    """One isolated account for each position of a cross account, and a margin account with the rest.

    Every position takes its initial requirement along, in the account's mix of coins; where there is less than that, all get the same
    share of theirs. Debts and negative balances stay with the rest, and as much margin as they need. Raises `UsageError`.
    """
    _check_derivatives(account)
    normal = in_floats(account, quotes)
    holdings = [holding for holding in normal.holdings if holding.leg.role is not Role.POSITION]
    held = sum(sum(holding.counts.values()) for holding in holdings if holding.value > 0 and holding.leg.role is Role.MARGIN)
    free = sum(sum(holding.counts.values()) for holding in holdings)
    positions = [leg for leg in account.legs if leg.role is Role.POSITION]
    if not positions or free <= 0:
        what = "no positions" if not positions else "no margin to split"
        raise UsageError(f"{shown(account.id, 60)} has {what}", hint="choose a cross account with positions and margin")
    needs = [initial_requirement(account, leg, quotes) for leg in positions]
    scale = min(1.0, free / sum(needs)) / held if sum(needs) > 0 else 0.0
    shares = [Decimal(repr(need * scale)) for need in needs]
    rest = list(account.legs)
    apart: list[Account] = []
    for number, (leg, share) in enumerate(zip(positions, shares, strict=True), 1):
        own: list[Leg] = []
        for index, margin in enumerate(rest):
            whole = account.legs[index].amount.decimal()
            if margin.role is Role.MARGIN:  # a coin that nothing is taken of still says what it costs
                part = EXACT.multiply(max(whole, Decimal(0)), share).quantize(_PLACES, rounding=ROUND_FLOOR, context=EXACT)
                own.append(replace(margin, amount=Quantity.of(part)))
                rest[index] = replace(margin, amount=Quantity.of(EXACT.subtract(margin.amount.decimal(), part)))
        name = AccountId(f"{account.id}/isolated-{number}:{leg.asset.symbol}")
        apart.append(replace(edited(account, (*own, leg)), id=name, mode="isolated"))
    left = [leg for leg in rest if leg.role is not Role.POSITION]
    return (*apart, replace(edited(account, left), id=AccountId(f"{account.id}/rest")))


def cross(accounts: Sequence[Account]) -> Account:
    """Derivatives accounts of one venue and owner as one cross account; balances of one coin are added up. Raises `UsageError`."""
    if len(accounts) < 2 or len({(account.venue, account.owner) for account in accounts}) > 1:
        raise UsageError("these accounts cannot share margin", hint="name two or more derivatives accounts of one owner at one venue")
    twice = [account.id for account in accounts if accounts.count(account) > 1]
    if twice:
        raise UsageError(f"{shown(twice[0], 60)} cannot share margin with itself", hint="name two or more accounts, each once")
    for account in accounts:
        _check_derivatives(account)
    ordered = sorted(accounts, key=lambda account: account.id)
    legs: list[Leg] = []
    for leg in (leg for account in ordered for leg in account.legs):
        same = next((index for index, other in enumerate(legs) if _alike(leg, other)), None)
        if same is None:
            legs.append(leg)
        else:
            amount = EXACT.add(legs[same].amount.decimal(), leg.amount.decimal())
            legs[same] = replace(legs[same], amount=Quantity.of(amount))
    first = edited(ordered[0], legs)
    strict = all(account.strict for account in ordered)
    line = max(account.line for account in ordered)
    assumed = tuple(dict.fromkeys(one for account in ordered for one in account.assumptions))
    return replace(first, id=AccountId(f"{first.id}/cross"), mode="cross", strict=strict, line=line, assumptions=assumed)


def _alike(leg: Leg, other: Leg) -> bool:
    return leg.role is Role.MARGIN and replace(leg, amount=other.amount, available=other.available) == other


def sweep_funding(account: Account, days: float, quotes: Mapping[Factor, float] = _NO_QUOTES) -> Account:
    """The account with so many days of its positions' funding at today's rates in its margin; longs pay where a rate is positive.

    What is paid is taken off, and so is what the positions pay to borrow in those days. Funding that is claimed apart counts as claimed
    and posted. Raises `UsageError` for a position whose funding rate is not known, and for days that are no number.
    """
    if not isfinite(days) or days < 0:
        raise UsageError(f"{days} days of funding cannot be", hint="a number of days from 0 on")
    _check_derivatives(account)
    changed = account
    for leg in account.legs:
        position = leg.position
        if position is None or position.expires is not None:  # a dated future pays no funding
            continue
        if position.funding_8h is None:
            raise UsageError(f"the funding rate of {leg.asset.symbol} in {shown(account.id, 60)} is not known", hint="give funding_8h")
        rate = EXACT.multiply(position.funding_8h, EXACT.multiply(Decimal(repr(days)), FUNDINGS_A_DAY))
        linear = position.contract is Contract.LINEAR
        notional = EXACT.multiply(position.size, position.mark) if linear else EXACT.divide(position.size, position.mark)
        owed = EXACT.multiply(abs(notional), _borrowing(position, days))
        income = EXACT.subtract(EXACT.multiply(-notional, rate), owed).quantize(_PLACES, rounding=ROUND_FLOOR, context=EXACT)
        if income:
            changed = edited(changed, credited(changed, position, leg.factor, income, quotes))
    return changed


def _borrowing(position: Position, days: float) -> Decimal:
    """The share of its notional that a position pays to borrow in so many days."""
    return EXACT.divide(EXACT.multiply(position.borrow_apr or Decimal(0), Decimal(repr(days))), DAYS_A_YEAR)


@dataclass(frozen=True, slots=True)
class Scan:
    """The worst scenario of one factor: its price move, and the loss of all positions on it that counts (USD)."""

    factor: Factor
    move: float
    loss_usd: float


@dataclass(frozen=True, slots=True)
class GridMargin:
    """Margin by scenario grid beside the summed maintenance margin, in USD. `difference_usd` = summed - grid: what netting would free."""

    grid_usd: float
    summed_usd: float
    difference_usd: float
    scans: tuple[Scan, ...]


def grid_margin(account: Account, price: float = 0.15, volatility: float = 1.0, quotes: Mapping[Factor, float] = _NO_QUOTES) -> GridMargin:
    """What a scenario engine would ask of the account's positions: the worst loss over a grid of prices, factor by factor, summed.

    The grid has moves of 0, 1/3, 2/3 and 3/3 of the range up and down, and two extreme moves of twice the range of which 35 % of the
    loss counts (SPAN). The range is `price` times `volatility`: 2 is the grid in a market twice as volatile. Raises `UsageError`.
    """
    reach = price * volatility
    if not isfinite(reach) or not 0 < reach <= 0.5:
        raise UsageError(f"a price range of {reach} cannot be", hint="price times volatility from 0 to 0.5")
    _check_derivatives(account)
    normal = in_floats(account, quotes)
    slopes: dict[Factor, float] = {}
    for holding in normal.holdings:
        if holding.leg.role is Role.POSITION:
            for key, amount in holding.worth.items():
                if key == holding.key:
                    slopes[key.factor] = slopes.get(key.factor, 0.0) + amount
    scans = tuple(_scan(factor, slope, reach) for factor, slope in sorted(slopes.items()) if factor != USD)
    grid, summed = sum(scan.loss_usd for scan in scans), normal.requirement()
    return GridMargin(grid, summed, summed - grid, scans)


def _scan(factor: Factor, slope: float, reach: float) -> Scan:
    loss, move = max((-slope * times * reach * share, times * reach) for times, share in SCAN)
    return Scan(factor, move, loss) if loss > 0 else Scan(factor, 0.0, 0.0)


def _check_derivatives(account: Account) -> None:
    if not account.known:
        raise UsageError(f"{shown(account.id, 60)} could not be read", hint="a what-if needs an account that is known")
    if account.side is not Side.DERIVATIVES:
        raise UsageError(f"{shown(account.id, 60)} is a loan", hint="choose a derivatives account")
