"""Portfolio margin: one account over all dexs, in which spot tokens count as collateral and USDC can be borrowed against them.

Source: Hyperliquid's documentation, "Portfolio margin", for one borrowable token, USDC:

    ratio = (maintenance + borrowed) / (balance + collateral), dead above 95 %

collateral is the sum of amount * price * (1 + LTV) / 2. What the documentation leaves open, recorded accounts show: the balance is net
of debt and with all profit, without what isolated positions have, and the venue supposes that just so much were borrowed as lifts it
to the maintenance margin: `borrowed` = max(0, maintenance - balance) and the denominator has max(balance, maintenance). What counts of a
token is what is supplied of it. Two real accounts, one in debt and one not, come out to 1e-9. The borrow offset of 20 USDC that the
documentation names did not show in either.

Caps on borrowing and supplying are in no answer, only what share of them is used: a used-up cap is refused. So is an account whose
ratio, computed from the service's own numbers, is not the one that the service gives, and one that settles or owes in another token
than USDC. The line is where net + 0.95 * collateral = 1.05 * maintenance while the balance is below the margin, and net + collateral =
maintenance / 0.95 while it is not; the second is taken where no token counts, the first where any does (between them lie at most 0.3 %
of the maintenance margin).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.model import NOTHING, Account, Leg, Price, Role
from defi_risk.units import Quantity
from defi_risk_adapters.hyperliquid.accounts import Place, books, margin, positions, said
from defi_risk_adapters.hyperliquid.exact import POOLED_LINE, Coin, PerpExact
from defi_risk_adapters.hyperliquid.info import Clearing, Reserve, Spot
from defi_risk_adapters.hyperliquid.margin import decimal
from defi_risk_adapters.hyperliquid.positions import MICRO, Dex
from defi_risk_adapters.hyperliquid.tokens import USDC, Token

DISCOUNT: Final = Fraction(19, 20)
LENT_LINE: Final = Fraction(21, 20)
FAR: Final = Fraction(1, 100)
RATIO: Final = "portfolioMarginRatio"
PRICE_PLACES: Final = 12


def ratio(net: Fraction, maintenance: Fraction, collateral: Fraction) -> Fraction | None:
    """The venue's ratio, None where nothing stands against the requirement."""
    behind = max(net, maintenance) + collateral
    return (maintenance + max(Fraction(0), maintenance - net)) / behind if behind > 0 else None


@dataclass(frozen=True, slots=True)
class PortfolioExact(PerpExact):
    """An account under portfolio margin; `coins` are worth what counts of them on the line that holds."""

    def own_ratio(self) -> Fraction | None:
        counted = self._counted()
        return ratio(self.equity() - counted, self.requirement(), counted / DISCOUNT)

    def behind(self, answers: Mapping[str, int] = NOTHING) -> Fraction:
        """Collateral in full: liquidation prices are those of a ratio of 100 %."""
        counted = self._counted(answers)
        return self.equity(answers) - counted + counted / DISCOUNT

    def _counted(self, answers: Mapping[str, int] = NOTHING) -> Fraction:
        return sum((coin.worth * answers.get(coin.key, coin.price) for coin in self.coins), Fraction(0))


def check(spot: Spot, states: Sequence[Clearing], reserves: Mapping[int, Reserve]) -> None:
    """Raise `Unsupported` for what is not modelled, and `OutOfRange` where the service's own numbers do not give its ratio."""
    foreign = [one.coin for one in spot.balances.values() if one.token != USDC and one.borrowed]
    if foreign:
        raise Unsupported(f"a debt in {foreign[0]} under portfolio margin")
    if any(used >= 1 for used in (*spot.lent.values(), *spot.supplied.values())):
        raise Unsupported("a cap of portfolio margin is used up")
    if spot.ratio is None:
        raise OutOfRange("the info service gives no portfolio margin ratio")
    if any(one.ltv and one.total and one.token not in reserves for one in spot.balances.values()):
        raise OutOfRange("the info service does not tell what collateral is worth to it")
    if any(reserve.ltv and not reserve.price for reserve in reserves.values()):
        raise OutOfRange("the info service gives collateral no price")
    usdc = spot.balances.get(USDC)
    away = sum((held.margin_used for state in states for held in state.held if held.isolated), Decimal(0))
    net = Fraction(usdc.total if usdc else 0) - Fraction(away)
    needed = Fraction(sum((state.cross_maintenance for state in states), Decimal(0)))
    pledged = (one for one in spot.balances.values() if counts(one.token, reserves))
    ours = ratio(net, needed, sum((weight(reserves[one.token]) * Fraction(one.pledged) for one in pledged), Fraction(0)))
    if ours is None or abs(ours - Fraction(spot.ratio)) > FAR * max(ours, Fraction(spot.ratio)):
        raise Unsupported(
            f"the portfolio margin ratio is {spot.ratio}, and {decimal(ours or Fraction(0)):.6f} by the rule that is modelled"
        )


def counts(token: int, reserves: Mapping[int, Reserve]) -> bool:
    """Whether a token is collateral."""
    return token != USDC and token in reserves and reserves[token].ltv > 0


def weight(reserve: Reserve) -> Fraction:
    """What one whole token counts for, in USDC."""
    return Fraction(reserve.price) * (1 + Fraction(reserve.ltv)) / 2


def account(
    place: Place,
    dexs: Sequence[Dex],
    usdc: Token,
    cash: Fraction,
    borrowed: Decimal,
    pledged: Sequence[Token],
    reserves: Mapping[int, Reserve],
) -> Account:
    """The one account over all dexs that settle in USDC. `cash` is its ledger in 1e-6 USDC, less what is `borrowed` (in whole USDC);
    `pledged` counts beside it.
    """
    exact = PortfolioExact(
        cash,
        tuple(perp for dex in dexs for perp in dex.cross),
        tuple(_coin(token, reserves[token.number]) for token in pledged),
        books(dexs),
        LENT_LINE if pledged else POOLED_LINE,
        RATIO,
    )
    legs = [margin(usdc, exact, owed=borrowed), *(_leg(token, reserves[token.number]) for token in pledged)]
    legs += [_debt(usdc, borrowed, reserves)] if borrowed else []
    return place.account("", "portfolio margin", [*legs, *positions(place.at, dexs, usdc, exact.line)], exact, said(dexs))


def _key(token: Token) -> str:
    return f"borrowOraclePx:{token.number}"


def _raw(reserve: Reserve) -> int:
    return int(Fraction(reserve.price) * 10**PRICE_PLACES)


def _coin(token: Token, reserve: Reserve) -> Coin:
    share = (1 + Fraction(reserve.ltv)) / 2 * DISCOUNT
    amount = Fraction(token.total or 0, 10**token.asset.decimals)
    return Coin(_key(token), token.asset, _raw(reserve), amount * share * MICRO / 10**PRICE_PLACES)


def _debt(usdc: Token, borrowed: Decimal, reserves: Mapping[int, Reserve]) -> Leg:
    """What is owed to those who supply USDC. Interest is compounded all the time, at a rate that follows utilisation."""
    return Leg(
        role=Role.DEBT,
        asset=usdc.asset,
        factor=usdc.ref.factor,
        peg=usdc.ref.peg,
        amount=Quantity.of(borrowed),
        price=usdc.price,
        apr=reserves[USDC].rate if USDC in reserves else None,
        compounding="per second",
    )


def _leg(token: Token, reserve: Reserve) -> Leg:
    """A token at the price that the venue lends against."""
    return Leg(
        role=Role.MARGIN,
        asset=token.asset,
        factor=token.ref.factor,
        peg=token.ref.peg,
        amount=Quantity(token.total or 0, token.asset.decimals),
        price=Price(Quantity(_raw(reserve), PRICE_PLACES), source=_key(token)),
        weight=decimal((1 + Fraction(reserve.ltv)) / 2 * DISCOUNT),
        initial_weight=decimal(Fraction(reserve.ltv)),
    )
