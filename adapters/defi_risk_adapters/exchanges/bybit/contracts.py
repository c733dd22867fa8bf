"""What Bybit's public lists say of the contracts that an account holds, and positions in terms of the model.

Maintenance margin of a position, in the coin that it settles in (Bybit, "The New Margin Calculation: Adjustments and Implications", since
September 2025; it agrees with recorded positions digit for digit):

    value at the mark price * rate - deduction, in the risk limit tier of that value
    + value at entry * (1 - 1 / leverage for a long, 1 + 1 / leverage for a short) * taker fee: closing at the bankruptcy price

Until then the value at entry stood in the first line, too. The closing fee is a fixed sum of the settling coin; the model takes it as a
share of the notional at the mark, which moves a liquidation price by less than the fee rate times the way there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.ids import USD
from defi_risk.model import Basis, Contract, Position, Tier
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.bybit.moment import DRIFT, PAGES, Held, Listed, apart, total
from defi_risk_adapters.exchanges.bybit.wallet import LARGE, LINEAR, ROUNDING, ZERO, Mode, Wallet, optional
from defi_risk_adapters.exchanges.common import bracket_of, brackets, per_8h, profit

ONE: Final = Decimal(1)
SLACK: Final = Decimal("0.001")
"""Share by which a closing fee may differ from the rule: Bybit rounds the rate of the whole requirement up at the eighth decimal."""
LISTED: Final = "1000"
"""Contracts that one page of their list holds at most."""
MINUTES: Final = Decimal(60)
DAY: Final = 1_440
"""Minutes between two payments of funding at most."""
DELIVERED: Final = (1_500_000_000_000, 4_000_000_000_000)
"""Milliseconds between which contracts are delivered: before there was Bybit, and in 2096."""
HOURS_A_YEAR: Final = Decimal(8_760)


@dataclass(frozen=True, slots=True)
class Described:
    """A position with its contract. `asked` is its maintenance margin by Bybit's rule, `told` as Bybit told it, in coin `settle`."""

    held: Held
    base: str
    settle: str
    position: Position
    asked: Decimal
    told: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """Everything beside the balance: positions, ratios of collateral by coin as (from, ratio), yearly rates of borrowed coins."""

    positions: tuple[Described, ...]
    ratios: Mapping[str, tuple[tuple[Decimal, Decimal], ...]]
    rates: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Ticker:
    """What moves of a contract: funding of one interval as a share, the hours of that, and the index price; None where there is none."""

    funding: Decimal | None = None
    index: Decimal | None = None
    hours: Decimal | None = None


def described(at: Desk, mode: Mode, wallet: Wallet, listed: Sequence[Listed], notes: list[str]) -> Requests[Book]:
    """Ask what the lists say of these positions and coins. Adds to `notes` what an account then rests on."""
    contracts = list(dict.fromkeys((one.held.category, one.held.symbol) for one in listed))
    categories = list(dict.fromkeys(category for category, _ in contracts))
    owed = [coin.code for coin in wallet.coins.values() if coin.debt]
    cross = mode is not Mode.ISOLATED and any(coin.cash or coin.equity for coin in wallet.coins.values())
    asks: list[ExchangeCall] = []
    if mode is not Mode.PORTFOLIO:
        asks += [ExchangeCall("tiers", _of(*contract), optional=True) for contract in contracts]
        asks += [ExchangeCall("fees", (("category", category),), optional=True) for category in categories]
    asks += [ExchangeCall("tickers", (("category", category),), optional=True) for category in categories]
    asks += [ExchangeCall("collateral")] if cross else []
    asks += [ExchangeCall("borrowing", (("currency", code),), optional=True) for code in owed]
    answers = list((yield asks) if asks else [])
    given = {(ask.read, *(value for _, value in ask.params)): answer for ask, answer in zip(asks, answers, strict=True)}
    tickers = {category: _tickers(given["tickers", category], category, notes) for category in categories}
    fees = {category: _fees(given["fees", category], notes) for category in categories} if mode is not Mode.PORTFOLIO else {}
    rows: dict[str, Answer] = {}
    for category in categories:
        rows |= yield from _contracts(category, {symbol for kind, symbol in contracts if kind == category})
    positions: list[Described] = []
    for one in listed:
        held, key = one.held, (one.held.category, one.held.symbol)
        contract = _contract(rows.get(held.symbol), one)
        ticker = tickers[held.category].get(held.symbol)
        if ticker is None:
            notes.append(f"funding and index price of {held.symbol} are not known")
            ticker = Ticker()
        bare = _bare(at, held, contract, ticker)
        if mode is Mode.PORTFOLIO:
            positions.append(Described(held, contract.base, contract.settle, bare, ZERO, ZERO))
            continue
        tiers = _tiers(at, held, given["tiers", *key], notes)
        described = _required(at, held, contract, replace(bare, tiers=tiers), fees[held.category].get(held.symbol))
        if mode is Mode.CROSS and sum(other.held.symbol == held.symbol for other in listed) > 1:
            described = _hedged(described, notes)
        positions.append(described)
    _adds_up(mode, wallet, positions)
    ratios = _ratios(Answer(given["collateral",], "collateral")) if cross else {}
    rates = {code: rate for code in owed if (rate := _rate(given["borrowing", code])) is not None}
    return Book(tuple(positions), ratios, rates)


def _of(category: str, symbol: str) -> tuple[tuple[str, str], ...]:
    return (("category", category), ("symbol", symbol))


@dataclass(frozen=True, slots=True)
class _Contract:
    base: str
    settle: str
    expires: int | None
    hours: Decimal | None


def _contracts(category: str, wanted: set[str]) -> Requests[dict[str, Answer]]:
    """Rows of contracts by their symbols, from as many pages of the list as it takes to find these. One that is not in the list, which may
    be hours old, is asked for by itself.
    """
    found: dict[str, Answer] = {}
    cursor = ""
    for _ in range(PAGES):
        more = (("cursor", cursor),) if cursor else ()
        [told] = yield [ExchangeCall("contracts", (("category", category), ("limit", LISTED), *more))]
        page = Answer(told, "contracts")["result"]
        found |= {symbol: row for row in page["list"].listing() if (symbol := row["symbol"].text()) in wanted}
        after = page.get("nextPageCursor")
        cursor = after.text(500) if after is not None else ""
        if not cursor or len(found) == len(wanted):
            break
    missing = [ExchangeCall("contracts", _of(category, symbol), optional=True) for symbol in sorted(wanted - found.keys())]
    for answer in (yield missing) if missing else ():
        if not isinstance(answer, Failed):
            rows = Answer(answer, "contracts")["result"]["list"].listing()
            found |= {symbol: row for row in rows if (symbol := row["symbol"].text()) in wanted}
    return found


def _contract(row: Answer | None, one: Listed) -> _Contract:
    if row is None:
        raise Unsupported(f"Bybit does not list the contract {one.held.symbol} that there is a position in")
    base, settle = row["baseCoin"].text(32), row["settleCoin"].text(32)
    if not base or not one.held.symbol.startswith(base):
        raise OutOfRange(f"{one.held.symbol} cannot be a contract on {shown(base)!r}")
    if (one.settle and settle != one.settle) or one.held.linear != (settle in LINEAR):
        raise Unsupported(f"{one.held.symbol} settles in {settle}, which is not what it was listed under")
    if "Futures" in row["contractType"].text():  # a perpetual has a time of delivery only when it is to be given up
        return _Contract(base, settle, row["deliveryTime"].integer(*DELIVERED) // 1_000, None)
    interval = row["fundingInterval"].decimal(1, DAY)
    return _Contract(base, settle, None, EXACT.divide(interval, MINUTES))


def _tickers(answer: object, category: str, notes: list[str]) -> dict[str, Ticker]:
    if isinstance(answer, Failed):
        notes.append(f"Bybit did not give the tickers of {category} contracts: {answer.reason}")
        return {}
    rows = Answer(answer, "tickers")["result"]["list"].listing()
    return {row["symbol"].text(): _ticker(row) for row in rows}


def _ticker(row: Answer) -> Ticker:
    rate, hours = optional(row, "fundingRate", -ONE), optional(row, "fundingIntervalHour", ZERO)
    if rate is not None and rate > 1:
        raise OutOfRange(f"{row.path}.fundingRate is more than all of a position")
    return Ticker(rate, optional(row, "indexPrice", ZERO), hours)


def _bare(at: Desk, held: Held, contract: _Contract, ticker: Ticker) -> Position:
    """The position but for what it must be margined with."""
    coin = at.factor_of(contract.settle)
    hours = contract.hours and (ticker.hours or contract.hours)  # the contract's may be outdated: Bybit shortens them
    funding = per_8h(ticker.funding, hours) if ticker.funding is not None and hours else None
    return Position(
        size=held.size,
        entry=held.entry,
        mark=held.mark,
        quote=coin.factor if held.linear else USD,
        quote_peg=coin.peg if held.linear else None,
        contract=Contract.LINEAR if held.linear else Contract.INVERSE,
        tiers=(Tier(ZERO, ZERO, ZERO),),
        initial_rate=EXACT.divide(ONE, held.leverage) if held.leverage else ONE,
        funding_8h=funding,
        unrealized_pnl=held.profit,
        expires=contract.expires,
        index=ticker.index or None,
    )


def _tiers(at: Desk, held: Held, answer: object, notes: list[str]) -> tuple[Tier, ...]:
    """Risk limit tiers of a contract, each from the limit of the one before; without them the bundled ones of a day."""
    if isinstance(answer, Failed):
        dated = at.tiers.get(held.symbol)
        if dated is None:
            raise Unsupported(f"Bybit did not give the risk limits of {held.symbol}: {answer.reason}", hint="scan again later")
        notes.append(f"the risk limits of {held.symbol} are those of {dated.as_of}: Bybit did not give them")
        return dated.tiers
    rows = Answer(answer, "tiers")["result"]["list"].listing(1_000)
    if not rows or any(row["symbol"].text() != held.symbol for row in rows):
        raise OutOfRange(f"Bybit gave no risk limits of {held.symbol}, or those of other contracts")
    found: list[tuple[Decimal, Decimal, Decimal | None]] = []
    for row in sorted(rows, key=lambda row: row["riskLimitValue"].decimal(0, LARGE)):
        unit = _unit(row)
        rate = EXACT.divide(row["maintenanceMargin"].decimal(0, row["initialMargin"].decimal(0, 100)), unit)
        found.append((row["riskLimitValue"].decimal(0, LARGE), rate, optional(row, "mmDeduction", ZERO)))
    floors = [ZERO, *(limit for limit, _, _ in found[:-1])]
    meeting = brackets((floor, rate) for floor, (_, rate, _) in zip(floors, found, strict=True))
    told = [deduction for _, _, deduction in found]
    return tuple(replace(tier, deduction=known) if known else tier for tier, known in zip(meeting, told, strict=True))


def _unit(row: Answer) -> Decimal:
    """What rates of a row are written in: 1, or 100 for percent, told by initial margin and leverage, whose product is a whole."""
    whole = EXACT.multiply(row["initialMargin"].decimal(0, 100), row["maxLeverage"].decimal(0, 1_000))
    for unit in (Decimal(1), Decimal(100)):
        if abs(EXACT.subtract(EXACT.divide(whole, unit), ONE)) < Decimal("0.2"):
            return unit
    raise OutOfRange(f"{row.path}: initialMargin and maxLeverage do not belong together")


def _fees(answer: object, notes: list[str]) -> dict[str, Decimal]:
    """Taker fee rates of this account by contract."""
    if isinstance(answer, Failed):
        notes.append(f"closing fees are what Bybit's requirements leave for them: the fee rate is not known ({answer.reason})")
        return {}
    return {row["symbol"].text(): row["takerFeeRate"].decimal(-1, 1) for row in Answer(answer, "fees")["result"]["list"].listing()}


def _required(at: Desk, held: Held, contract: _Contract, bare: Position, taker: Decimal | None) -> Described:
    """The position with its requirement: what Bybit asks above the tier's is the closing fee, if it is one by the rule."""
    at_mark = at.rule("maintenance_at_mark") == 1
    told = held.at_mark if at_mark and held.at_mark is not None else held.maintenance
    if told is None:
        raise OutOfRange(f"the maintenance margin of {held.name} is missing")
    entry, mark = held.value(held.entry), held.value(held.mark)
    value = mark if at_mark else entry
    tier = bracket_of(bare.tiers, value)
    own = EXACT.subtract(EXACT.multiply(value, tier.rate), tier.deduction)
    left = max(EXACT.subtract(told, own), ZERO)
    by_rule = left if taker is None else min(max(left, _closing(at, held, contract, taker, ONE)), _closing(at, held, contract, taker, None))
    share = EXACT.divide(left, value)
    initial = bare.initial_rate
    if held.initial is not None:
        initial = max(EXACT.subtract(EXACT.divide(held.initial, value), share), ZERO)
    position = replace(bare, basis=Basis.MARK if at_mark else Basis.ENTRY, close_fee=share, initial_rate=initial)
    return Described(held, contract.base, contract.settle, position, EXACT.add(own, by_rule), told)


def _hedged(one: Described, notes: list[str]) -> Described:
    """One side of a contract that is held both ways. In a recorded account Bybit asks closing fees alone for it, twice the fee of the rule,
    and publishes no rule: where it asks for less than the tier does, that is taken, as a share of the notional.
    """
    position, held = one.position, one.held
    value = held.value(held.mark if position.basis is Basis.MARK else held.entry)
    tier = bracket_of(position.tiers, value)
    least = EXACT.multiply(EXACT.subtract(EXACT.multiply(value, tier.rate), tier.deduction), EXACT.subtract(ONE, SLACK))
    if one.told >= EXACT.subtract(least, ROUNDING):
        return one
    notes.append(f"{held.name} is hedged: what Bybit asks for it, less than its risk limit says, is taken as one share of its notional")
    flat = (Tier(ZERO, EXACT.divide(one.told, value), ZERO),)
    return replace(one, position=replace(position, tiers=flat, close_fee=ZERO), asked=one.told)


def _closing(at: Desk, held: Held, contract: _Contract, taker: Decimal, least: Decimal | None) -> Decimal:
    """The least closing fee by the rule, or (with None) the most: taxes add to it, and whether contracts other than those of USDT take the
    bankruptcy price is not published.
    """
    way = EXACT.divide(ONE, held.leverage) if held.leverage else ZERO
    falls = held.linear == (held.size > 0)  # the value at the bankruptcy price is less than at entry
    factor = EXACT.subtract(ONE, way) if falls else EXACT.add(ONE, way)
    values = [held.value(held.entry)] if contract.settle == LINEAR[0] else [held.value(held.entry), held.value(held.mark)]
    factors = [factor] if contract.settle == LINEAR[0] else [factor, ONE]
    rate = max(taker, ZERO)
    fees = [EXACT.multiply(EXACT.multiply(value, share), rate) for value in values for share in factors]
    if least is not None:
        return EXACT.multiply(min(fees), EXACT.subtract(ONE, SLACK))
    taxed = EXACT.multiply(max(fees), EXACT.add(ONE, at.rule("close_fee_tax")))
    return EXACT.add(EXACT.multiply(taxed, EXACT.add(ONE, SLACK)), ROUNDING)


def _adds_up(mode: Mode, wallet: Wallet, positions: Sequence[Described]) -> None:
    """Raise `OutOfRange` where positions are not those that the balance tells of: their margin and their profit, coin by coin."""
    for code in {coin.code for coin in wallet.coins.values() if coin.has_positions} | {one.settle for one in positions}:
        coin, mine = wallet.coins.get(code), [one for one in positions if one.settle == code]
        margins = total(one.held.maintenance or ZERO for one in mine)
        profits = total(profit(one.position) for one in mine)
        slack = EXACT.multiply(DRIFT, total(one.held.value(one.held.mark) for one in mine))
        if (
            coin is None
            or (mode is not Mode.PORTFOLIO and apart(coin.maintenance or ZERO, margins))
            or abs(EXACT.subtract(coin.profit, profits)) > max(slack, ROUNDING)
        ):
            raise OutOfRange(f"positions that settle in {code} do not add up to what the balance says of them")
    owed = any(coin.owed or coin.borrowed for coin in wallet.coins.values())
    if mode is Mode.PORTFOLIO and not positions and not owed and wallet.total("totalMaintenanceMargin"):
        raise OutOfRange("Bybit asks for maintenance margin, and lists nothing that it is for")


def _ratios(answer: Answer) -> dict[str, tuple[tuple[Decimal, Decimal], ...]]:
    """Tiers of collateral value ratios by coin, in coins: what is above a tier's beginning counts at its ratio."""
    found: dict[str, tuple[tuple[Decimal, Decimal], ...]] = {}
    for row in answer["result"]["list"].listing():
        rows = row["collateralRatioList"].listing(1_000)
        tiers = sorted((tier["minQty"].decimal(0, LARGE * LARGE), tier["collateralRatio"].decimal(0, 1)) for tier in rows)
        if not tiers or tiers[0][0] != 0:
            raise OutOfRange(f"{row.path}.collateralRatioList does not begin at zero")
        found[row["currency"].text(32)] = tuple(tiers)
    return found


def _rate(answer: object) -> Decimal | None:
    """The yearly rate of a borrowed coin."""
    if isinstance(answer, Failed):
        return None
    rows = Answer(answer, "borrowing")["result"]["list"].listing(1_000)
    if len(rows) != 1 or optional(rows[0], "hourlyBorrowRate") is None:
        return None
    return EXACT.multiply(rows[0]["hourlyBorrowRate"].decimal(0, 1), HOURS_A_YEAR)


def counted(code: str, tiers: Sequence[tuple[Decimal, Decimal]], amount: Decimal) -> Decimal:
    """The average ratio at which an amount counts as collateral."""
    if not tiers:
        raise Unsupported(f"Bybit tells no collateral value ratio of {code}, which it takes as collateral")
    if amount <= 0:
        return tiers[0][1]
    worth = ZERO
    for index, (floor, ratio) in enumerate(tiers):
        above = tiers[index + 1][0] if index + 1 < len(tiers) else amount
        inside = EXACT.subtract(min(amount, above), floor)
        if inside <= 0:
            break
        worth = EXACT.add(worth, EXACT.multiply(inside, ratio))
    return EXACT.divide(worth, amount)
