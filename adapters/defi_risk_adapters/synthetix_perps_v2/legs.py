"""The legs of one margin account: the margin in sUSD, the position, and the funding that still grows with the price."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from defi_risk.ids import USD
from defi_risk.model import Asset, Leg, Position, Price, Role, Tier
from defi_risk.spi import Context
from defi_risk.units import WAD, Quantity, exact_ratio
from defi_risk_adapters.synthetix_perps_v2.exact import PerpExact, Rules, over, times

DECIMALS: Final = 18
EIGHT_HOURS_A_DAY: Final = 3
_ZERO: Final = Decimal(0)


def legs_of(exact: PerpExact, coin: Asset, manager: str, price: Price, at: Context) -> Iterator[Leg]:
    """The legs. `coin` is sUSD, which the venue (`manager`) takes for one dollar, `price` what it says the base asset is worth."""
    if exact.margin:
        ref = at.factor_of(coin.id)
        par = Price(Quantity(1, 0), USD, manager)
        amount, available = (Quantity(raw, DECIMALS) for raw in (exact.margin, exact.withdrawable()))
        yield Leg(role=Role.MARGIN, asset=coin, factor=ref.factor, peg=ref.peg, amount=amount, price=par, available=available)
    if not exact.size:
        return
    ref = at.factor_of(exact.asset.id)
    yield Leg(
        role=Role.POSITION,
        asset=exact.asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(abs(exact.size), DECIMALS),
        price=price,
        position=_position(exact),
    )
    running = exact.size * exact.funding.unrecorded if exact.funding_start is not None else 0
    if running:
        amount = Quantity(running, 2 * DECIMALS)
        yield Leg(role=Role.MARGIN, asset=exact.asset, factor=ref.factor, peg=ref.peg, amount=amount, price=price, movable=False)


def _position(exact: PerpExact) -> Position:
    start = exact.funding_start
    return Position(
        size=_decimal(exact.size),
        entry=_decimal(exact.last_price),
        mark=_decimal(exact.price),
        quote=USD,
        tiers=_tiers(exact.rules, exact.size),
        initial_rate=exact_ratio(WAD, exact.rules.max_leverage),
        funding_8h=exact_ratio(exact.funding.rate, EIGHT_HOURS_A_DAY * WAD),
        unrealized_pnl=_decimal(exact.profit(exact.price)),
        accrued_funding=_ZERO if start is None else _decimal(times(exact.size, exact.funding.recorded - start)),
    )


def _tiers(rules: Rules, size: int) -> tuple[Tier, ...]:
    """Buffer and premium are shares of the notional, the keeper's fee is fixed, and the flagger's fee is a share between two bounds."""
    rate = exact_ratio(over(abs(size), rules.skew_scale) * rules.premium_multiplier + rules.buffer_ratio * WAD, WAD * WAD)
    keeper, least, most = (_decimal(fee) for fee in (rules.keeper_fee, rules.min_fee, rules.max_fee))
    lowest = Tier(_ZERO, rate, -least - keeper)
    if not rules.fee_ratio or rules.min_fee >= rules.max_fee:
        return (lowest,)
    share = exact_ratio(rules.fee_ratio, WAD)
    middle = Tier(exact_ratio(rules.min_fee, rules.fee_ratio), rate + share, -keeper)
    highest = Tier(exact_ratio(rules.max_fee, rules.fee_ratio), rate, -most - keeper)
    return (lowest, middle, highest) if rules.min_fee else (middle, highest)


def _decimal(raw: int) -> Decimal:
    return Quantity(raw, DECIMALS).decimal()
