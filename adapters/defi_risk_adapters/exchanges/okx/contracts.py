"""OKX's contracts as positions: sizes in contracts, one maintenance rate for all of a position, liquidation fees, liquidation prices.

A position's bracket is one of contracts, which no price changes, and its rate holds for all of the position: so it has one rate. The
requirement is maintenance margin + liquidation fee, both shares of the notional at the mark. That fee is 0.05 % (the rule `taker_fee`) in
two recorded positions: the ratio of an isolated one follows from it to 16 digits, and the liquidation price of a cross one from its ratio.
A user's own taker fee may be another, so that of the two is taken which the exchange's ratio follows from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Undecodable, Unsupported
from defi_risk.ids import USD
from defi_risk.model import Contract, Leg, Position, Tier
from defi_risk.spi import Desk
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges import common
from defi_risk_adapters.exchanges.common import ZERO
from defi_risk_adapters.exchanges.okx.published import Bracket, Discount, Fees, Funding, Instrument
from defi_risk_adapters.exchanges.okx.records import CONTRACTS, DRIFT, DUST, ROUND, Balance, Held

ONE: Final = Decimal(1)
DOLLARS: Final = ("USDT", "USDC", "USDG", "USD")
SHOWN: Final = 8
SAME_RATE: Final = Decimal("0.0001")
WRONG: Final = Decimal("0.1")
"""Share by which a notional in USD may differ from that in a dollar coin: it is to find a wrong number of contracts, or their value."""
NEAR: Final = Decimal("0.1")
"""How near to the mark a liquidation price of ours must be for the exchange to be expected to tell one too."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What OKX publishes, of what the account holds: entries of instruments by symbol, the rest by kind of contract, family or coin."""

    instruments: Mapping[str, Answer] = field(default_factory=dict)
    tiers: Mapping[tuple[str, bool, str], Sequence[Bracket]] = field(default_factory=dict)
    fees: Mapping[str, Fees] = field(default_factory=dict)
    funding: Mapping[str, Funding] = field(default_factory=dict)
    discounts: Mapping[str, Sequence[Discount]] = field(default_factory=dict)

    def instrument(self, held: Held) -> Instrument:
        """The contract of a position. Raises `Unsupported` for what is none, or none that is listed."""
        if held.kind not in CONTRACTS:
            raise Unsupported(f"{held.symbol} is a position of type {shown(held.kind)}, which is not modelled")
        row = self.instruments.get(held.symbol)
        if row is None:
            raise Unsupported(f"{held.symbol} is a contract that OKX does not list")
        return Instrument.of(row, held.coin)


@dataclass(frozen=True, slots=True)
class Open:
    """A position with its contract, its fee for this user (None: not told), and what its figures rest on beside the exchange's answers.

    `load` is the part of its maintenance rate that is not its own: what is required of the account for something that is no leg.
    """

    held: Held
    instrument: Instrument
    position: Position
    fee: Decimal | None
    assumptions: tuple[str, ...] = ()
    load: Decimal = ZERO

    @property
    def coin(self) -> str:
        """What it settles in."""
        return self.instrument.settle

    @property
    def inverse(self) -> bool:
        return self.position.contract is Contract.INVERSE

    @property
    def gross(self) -> Decimal:
        """Notional at the mark, in the coin that it settles in."""
        return common.notional(self.position)

    @property
    def bare(self) -> Decimal:
        """Its own maintenance margin without the fee."""
        return EXACT.subtract(self.need, EXACT.multiply(self.gross, EXACT.add(self.position.close_fee, self.load)))

    @property
    def need(self) -> Decimal:
        return common.maintenance(self.position)

    def with_fee(self, fee: Decimal) -> Open:
        return replace(self, position=replace(self.position, close_fee=fee))

    def loaded(self, rate: Decimal) -> Open:
        """The same with a maintenance rate that is higher by so much."""
        tiers = tuple(replace(tier, rate=EXACT.add(tier.rate, rate)) for tier in self.position.tiers)
        return replace(self, position=replace(self.position, tiers=tiers), load=EXACT.add(self.load, rate))

    def as_leg(self, at: Desk) -> Leg:
        return common.derivative(at, self.instrument.base, self.held.symbol, self.position)


def opened(at: Desk, tables: Tables, held: Held, weight: Decimal = ONE, *, portfolio: bool = False) -> Open:
    """A position as the model has it. `weight` is what its profit counts for; under portfolio margin its own rate is not asked for."""
    instrument = tables.instrument(held)
    if held.coin not in ("", instrument.settle):
        raise Unsupported(f"{held.symbol} settles in {instrument.settle}, but has its margin in {held.coin}")
    if held.kind == "FUTURES" and instrument.expires is None:
        raise Undecodable(f"{held.symbol} is a dated future, and its expTime is empty")
    quote = at.factor_of(instrument.quote)
    bare = Position(
        size=EXACT.multiply(held.contracts, instrument.value),
        entry=held.entry,
        mark=held.mark,
        quote=USD if instrument.contract is Contract.INVERSE else quote.factor,
        quote_peg=None if instrument.contract is Contract.INVERSE else quote.peg,
        contract=instrument.contract,
        tiers=(Tier(ZERO, ZERO, ZERO),),
        initial_rate=ZERO if held.leverage is None else ROUND.divide(ONE, held.leverage),
        unrealized_pnl=held.profit,
        pnl_weight=weight,
        expires=instrument.expires if held.kind == "FUTURES" else None,
        index=held.index,
    )
    between = common.profit(replace(bare, unrealized_pnl=None))
    if abs(EXACT.subtract(held.profit, between)) > EXACT.multiply(DRIFT, common.notional(bare)):
        raise OutOfRange(f"{held.symbol}: upl is not what lies between avgPx and markPx")
    worth = bare.size.copy_abs() if instrument.contract is Contract.INVERSE else common.notional(bare)
    if held.usd is not None and instrument.quote in DOLLARS and abs(EXACT.subtract(held.usd, worth)) > EXACT.multiply(WRONG, worth):
        raise OutOfRange(f"{held.symbol}: notionalUsd is not what its contracts are worth (pos, ctVal)")
    paid = tables.funding.get(held.symbol)
    if paid is not None:
        bare = replace(bare, funding_8h=common.per_8h(paid.rate, paid.hours))
    fees = tables.fees.get(held.kind)
    fee = None if fees is None else fees.of_contract(instrument)
    if portfolio:
        return Open(held, instrument, bare, fee)
    tiers, initial, assumptions = _rates(at, tables, held, instrument, common.notional(bare))
    position = replace(bare, tiers=tiers, initial_rate=max(initial, bare.initial_rate) if held.leverage is None else bare.initial_rate)
    return Open(held, instrument, position, fee, assumptions)


def _rates(
    at: Desk, tables: Tables, held: Held, instrument: Instrument, notional: Decimal
) -> tuple[tuple[Tier, ...], Decimal, tuple[str, ...]]:
    """Maintenance rate and initial rate of a position: of its bracket, else by its own figure, else by a bundled table."""
    need = Decimal(held.need) if held.need else None
    published = tables.tiers.get((held.kind, held.isolated, instrument.family), ())
    if published:
        found = bracket(published, abs(held.contracts), _told(need, notional, held.usd_price))
        return (Tier(ZERO, found.maintenance, ZERO),), found.initial, ()
    if need is not None and 0 < need < notional:
        rate = ROUND.divide(need, notional)
        return (
            (Tier(ZERO, rate, ZERO),),
            rate,
            (f"{held.symbol}: OKX gave no position tiers: its maintenance margin is taken for its rate",),
        )
    bundled = at.tiers.get(held.symbol)
    if bundled is None:
        raise Unsupported(f"OKX gave neither position tiers nor a maintenance margin for {held.symbol}")
    return bundled.tiers, bundled.initial_rate or ZERO, (f"{held.symbol}: position tiers are those published on {bundled.as_of}",)


def _told(need: Decimal | None, notional: Decimal, usd: Decimal | None) -> tuple[Decimal, ...]:
    """The rate that a position's own maintenance margin speaks of, be it in coins or in USD."""
    if not need or not notional:
        return ()
    rate = EXACT.divide(need, notional)
    return (rate,) if usd is None else (rate, EXACT.divide(rate, usd))


def bracket(tiers: Sequence[Bracket], contracts: Decimal, told: Sequence[Decimal] = ()) -> Bracket:
    """The bracket of a position by its size, or a later one where the exchange's own figure has that one's rate (it may count all positions
    of a family together). Beyond all brackets the last one's rate holds.
    """
    sizes = [index for index, tier in enumerate(tiers) if tier.most is None or contracts <= tier.most]
    own = sizes[0] if sizes else len(tiers) - 1
    for tier in tiers[own:]:
        if any(abs(EXACT.subtract(rate, tier.maintenance)) <= EXACT.multiply(SAME_RATE, rate) for rate in told):
            return tier
    return tiers[own]


def add_up(balance: Balance, held: Sequence[Held], tables: Tables, deposits: Mapping[str, Decimal]) -> None:
    """Raise `OutOfRange` where open positions are not those that the balance tells of: by their profit, cross and isolated, and by the
    maintenance margin that it asks for. `deposits` are isolated margins without a position. What is no contract, or not a listed one, has
    its profit in nobody knows which coin: nothing is compared then, and its own account is unknown.
    """
    try:
        listed = [(each, tables.instrument(each)) for each in held]
    except Unsupported:
        return
    for code, coin in balance.coins.items():
        mine = [(each, instrument) for each, instrument in listed if instrument.settle == code]
        alone = [each for each, _ in mine if each.isolated]
        backed = EXACT.add(total(EXACT.add(each.margin or ZERO, each.profit) for each in alone), deposits.get(code, ZERO))
        for isolated, told in ((False, coin.profit), (True, coin.isolated_profit)):
            some = [(each, instrument) for each, instrument in mine if each.isolated is isolated]
            slack = max(EXACT.multiply(DRIFT, total(instrument.notional(each.contracts, each.mark) for each, instrument in some)), DUST)
            if abs(EXACT.subtract(told, total(each.profit for each, _ in some))) > slack:
                raise OutOfRange(f"positions that settle in {code} do not add up to what the balance says of them (upl)")
            if isolated and abs(EXACT.subtract(coin.isolated, backed)) > slack:
                raise OutOfRange(f"isolated positions that settle in {code} do not add up to what the balance says of them (isoEq)")
        if coin.maintenance and not (coin.ordered or coin.liability) and all(each.isolated for each, _ in mine):
            raise OutOfRange(f"the balance asks for maintenance margin in {code} (mmr), and no position is listed that it is for")


def fitted(at: Desk, positions: Sequence[Open], required: Decimal | None, prices: Mapping[str, Decimal]) -> list[Open]:
    """Positions with their liquidation fees: this user's taker fee or the published one, whichever comes nearer to what the exchange
    requires for all of them. `prices` turn the coins that they settle in into the unit of `required`.
    """
    usual = at.rule("taker_fee")
    ways = [[each.with_fee(usual if each.fee is None else each.fee) for each in positions], [each.with_fee(usual) for each in positions]]
    if required is None:
        return ways[0]
    return min(ways, key=lambda way: abs(EXACT.subtract(needs(way, prices), required)))


def needs(positions: Sequence[Open], prices: Mapping[str, Decimal]) -> Decimal:
    """What all of them require, fees included."""
    return total(EXACT.multiply(each.need, prices.get(each.coin, ONE)) for each in positions)


def total(parts: Iterable[Decimal]) -> Decimal:
    """A sum without rounding."""
    result = ZERO
    for part in parts:
        result = EXACT.add(result, part)
    return result


def required_of(equity: Decimal, ratio: str) -> Decimal | None:
    """What a ratio says is required: OKX's mgnRatio is equity over requirement, and 1 is the end."""
    given = Decimal(ratio) if ratio else ZERO
    return EXACT.divide(equity, given) if given and (equity > 0) == (given > 0) else None


def liquidation_price(sides: Sequence[Open], cushion: Decimal) -> Decimal | None:
    """The price of one contract at which `cushion` + profit = requirement, for both sides of it where there are two; None where there is
    none above zero. `cushion`: what else there is to lose, less what other contracts need, in the coin that it settles in.
    """
    return common.joint_price([each.position for each in sides], cushion)


def stated_price(each: Open, price: Decimal | None, ours: dict[str, str], theirs: dict[str, str], *, compared: bool = True) -> None:
    """Put a liquidation price of ours beside the exchange's. Where it tells none, ours must not be near."""
    name = f"liqPx:{each.held.key}"
    if price is not None:
        ours[name] = digits(price, each.held.liquidation)
    near = price is not None and abs(EXACT.subtract(price, each.held.mark)) <= EXACT.multiply(NEAR, each.held.mark)
    if compared and (each.held.liquidation or near):
        theirs[name] = each.held.liquidation


def digits(number: Decimal, like: str) -> str:
    """A figure of ours as the exchange writes its own: with all digits there are. Eight decimals at least, where they are not zeros."""
    decimals = len(like.partition(".")[2])
    text = format(number.quantize(ONE.scaleb(-max(decimals, SHOWN)), ROUND_HALF_EVEN, EXACT), "f")
    whole, _, part = text.partition(".")
    kept = part[:decimals] + part[decimals:].rstrip("0")
    return f"{whole}.{kept}" if kept else whole


def would_borrow(at: Desk, code: str, price: Decimal | None, amount: Decimal, rate: Decimal) -> list[Leg]:
    """What open orders would borrow, as if it were borrowed and still there: worth nothing together, but it has its requirement."""
    there = replace(common.margin(at, code, amount, price), movable=False)
    return [priced(at, leg)[0] for leg in (there, common.debt(at, code, amount, price, maintenance_rate=rate))]


def priced(at: Desk, leg: Leg) -> tuple[Leg, tuple[str, ...]]:
    """A margin leg whose price nobody told: a dollar coin at a dollar, which is said; any other as it is."""
    coin = leg.asset.symbol
    if leg.price is not None or coin not in DOLLARS:
        return leg, ()
    return common.at_par(leg), (f"{coin} is taken at a dollar: {at.exchange} tells no price",)
