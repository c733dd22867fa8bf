"""The legs of a GMX position: its collateral and what is owed from it, what may be claimed beside it, and the position itself.

The rule's terms find their places so that C - R is what the rule compares. C: collateral, less funding owed in it, plus profit, less
borrowing (`accrued_fees`) and less what the close itself costs (`exit_cost`: position fee after discounts and negative price impact).
R: a share of the size at entry, but at least the venue's least collateral.

The form is linear in prices and the rule is not quite. Where the impact moves with the price (it is weighed in tokens, or some is left
from opening), the form takes the impact at today's price or at the one that kills, whichever is worse: so it crosses its line where the
rule does, or just before. The venue's cap on profits is left out: it takes from a gain, and a position that dies has none, so that a line
drawn with today's cut would be crossed far too early. Today's capped profit is in `native`, and the integers have the cap.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from defi_risk.ids import USD, Address
from defi_risk.model import Basis, Leg, Position, Price, Role, Tier
from defi_risk.spi import Context
from defi_risk.units import SECONDS_PER_YEAR, Quantity, exact_ratio
from defi_risk_adapters.gmx_v2 import rule
from defi_risk_adapters.gmx_v2.accrual import Rates
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.fixed import ONE, PRICE_DECIMALS, apply_factor, ceil_div
from defi_risk_adapters.gmx_v2.prices import Quoted, Quotes, priced
from defi_risk_adapters.gmx_v2.state import Pair

EIGHT_HOURS: Final = 8 * 3_600
FARTHEST: Final = 24
"""Rises are searched up to today's price times 2 ** 24."""
_HALVINGS: Final = 40


def legs(exact: GmxExact, rates: Rates, quotes: Quotes, claimable: Pair[int], at: Context) -> tuple[Leg, ...]:
    """All legs of a position. `claimable`: funding that its owner may claim in this market from earlier; what has run up since can be
    claimed only once the position is changed.
    """
    state, position = exact.state, exact.position
    collateral = priced(quotes, position.collateral)
    price = rule.collateral_price(state, position, exact.prices)
    found = [_margin(collateral, position.collateral, price, position.amount, at, available=_withdrawable(exact, price))]
    if exact.due.funding:
        found.append(_margin(collateral, position.collateral, price, -exact.due.funding, at))
    tokens = (state.listing.long, state.listing.short)
    for token, now, earlier in zip(tokens, exact.due.claimable, claimable, strict=True):
        if now + earlier:
            quote = priced(quotes, token)
            found.append(_margin(quote, token, quote.band.low, now + earlier, at, available=earlier, enabled=False))
    return (*found, _position(exact, rates, priced(quotes, state.listing.index), at))


def _margin(
    quote: Quoted, token: Address, price: int, amount: int, at: Context, *, available: int | None = None, enabled: bool = True
) -> Leg:
    ref = at.factor_of(quote.asset.id)
    return Leg(
        role=Role.MARGIN,
        asset=quote.asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(amount, quote.asset.decimals),
        price=_price(quote, token, price),
        enabled=enabled,
        available=None if available is None else Quantity(available, quote.asset.decimals),
    )


def _withdrawable(exact: GmxExact, price: int) -> int:
    """Collateral that may be taken out while the position stays as it is: what opening asks for must be there without any profit, and
    an order that leaves less than the least collateral closes the position (DecreasePositionUtils.sol, PositionUtils.sol,
    `willPositionCollateralBeSufficient`). Nothing in a disabled market, which takes no orders.
    """
    if exact.state.disabled:
        return 0
    kept = max(apply_factor(exact.position.size_usd, _initial_factor(exact)), exact.state.min_collateral_usd)
    return max(0, exact.position.amount - ceil_div(kept, price))


def _position(exact: GmxExact, rates: Rates, quote: Quoted, at: Context) -> Leg:
    position, asset = exact.position, exact.index
    price, ref = rule.closing_price(position, exact.prices.index), at.factor_of(asset.id)
    size = Quantity(position.size_tokens, asset.decimals)
    mark = _price(quote, exact.state.listing.index, price)
    funding, borrowing = _rates(exact, rates)
    fees, closing = _costs(exact)
    return Leg(
        role=Role.POSITION,
        asset=asset,
        factor=ref.factor,  # of what the token stands for: the venue does not price it as a token that could lose its peg
        amount=size,
        price=mark,
        position=Position(
            size=size.decimal() if position.is_long else -size.decimal(),
            entry=exact_ratio(position.size_usd * 10**asset.decimals, position.size_tokens * ONE),
            mark=mark.value.decimal(),
            quote=USD,
            tiers=_tiers(exact),
            basis=Basis.ENTRY,
            initial_rate=exact_ratio(_initial_factor(exact), ONE),
            liquidation_fee=exact_ratio(exact.state.liquidation_fee, ONE),
            funding_8h=funding,
            funding_apart=True,
            borrow_apr=borrowing,
            accrued_fees=fees,
            exit_cost=closing,
        ),
    )


def _price(quote: Quoted, token: Address, price: int) -> Price:
    """A price for one whole token; GMX prices by token, so the token is its source."""
    return Price(Quantity(price, PRICE_DECIMALS - quote.asset.decimals), USD, token, quote.updated_at, quote.heartbeat)


def _usd(amount: int) -> Decimal:
    return Quantity(amount, PRICE_DECIMALS).decimal()


def _tiers(exact: GmxExact) -> tuple[Tier, ...]:
    """The larger of a share of the size and the least collateral."""
    rate, least = exact_ratio(exact.state.liquidation_factor, ONE), _usd(exact.state.min_collateral_usd)
    floor = Tier(Decimal(0), Decimal(0), -least)
    if not rate:
        return (floor,)
    share = Tier(exact_ratio(exact.state.min_collateral_usd, exact.state.liquidation_factor), rate, Decimal(0))
    return (floor, share) if least else (share,)


def _initial_factor(exact: GmxExact) -> int:
    """The share of the size (1e30) that opening asks for: more as open interest grows."""
    state, side = exact.state, exact.position.is_long
    return max(state.min_factor, apply_factor(state.open_interest(side), state.interest_multiplier.of(side)))


def _costs(exact: GmxExact) -> tuple[Decimal, Decimal]:
    """Borrowing that is owed, and what closing costs now, in USD."""
    state, position, prices = exact.state, exact.position, exact.prices
    price, costs = rule.collateral_price(state, position, prices), exact.costs(prices, exact.due)
    return _usd(costs.borrowing * price), _usd((costs.position_fee - costs.discount) * price - _worst_impact(exact))


def _worst_impact(exact: GmxExact) -> int:
    """Impact as the rule counts it, at today's price or at the one that kills; USD (1e30), not above 0."""
    today = exact.judged_impact(exact.prices.index)
    if today == exact.lowest_impact or not (exact.state.in_tokens or exact.position.pending_impact):
        return today
    fatal = _fatal_price(exact)
    return today if fatal is None else min(today, exact.judged_impact(exact.at({exact.state.listing.index: fatal}).index))


def _fatal_price(exact: GmxExact) -> int | None:
    """A price of the index token that kills, next to prices that do not; None where there is none, or today's does."""
    index = exact.state.listing.index
    alive = rule.closing_price(exact.position, exact.prices.index)
    tried = (1,) if exact.position.is_long else _rising(alive)
    dead = next((price for price in tried if exact.liquidatable({index: price})), None)
    if dead is None or exact.liquidatable():
        return None
    for _ in range(_HALVINGS):
        middle = (dead + alive) // 2
        dead, alive = (middle, alive) if exact.liquidatable({index: middle}) else (dead, middle)
    return dead


def _rising(price: int) -> Iterator[int]:
    return (price << step for step in range(1, FARTHEST + 1))


def _rates(exact: GmxExact, rates: Rates) -> tuple[Decimal, Decimal]:
    """Funding for eight hours (above 0 where longs pay) and borrowing for a year, as shares of the notional at the mark.

    What the receiving side gets is what the paying side pays, spread over its own open interest. It is claimed, not added to the margin.
    """
    state, position = exact.state, exact.position
    funding = rates.funding
    if position.is_long != rates.longs_pay and funding:
        funding = funding * state.open_interest(rates.longs_pay) // state.open_interest(position.is_long)
    notional = position.size_tokens * rule.closing_price(position, exact.prices.index) * ONE
    signed = funding if rates.longs_pay else -funding
    borrowing = rates.borrowing.of(position.is_long)
    return (
        exact_ratio(signed * EIGHT_HOURS * position.size_usd, notional),
        exact_ratio(borrowing * SECONDS_PER_YEAR * position.size_usd, notional),
    )
