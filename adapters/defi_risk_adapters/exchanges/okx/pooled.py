"""Accounts in which all coins are one margin: multi-currency mode, portfolio margin, and spot mode while it owes something.

Adjusted equity = sum of what each coin's equity in USD counts for (its discount tiers; in full where it is negative), less what open orders
would lose. mgnRatio = adjusted equity / (maintenance margin + liquidation fees); the end is at 1. Of debts, and of what open orders would
borrow, the exchange tells no requirement by itself: theirs is what its ratio leaves beside the positions' own. Under portfolio margin the
whole requirement is the exchange's number, spread over positions and debts by their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from defi_risk.errors import OutOfRange, Undecodable, Unsupported
from defi_risk.model import Account, Leg, Role, SelfCheck
from defi_risk.spi import Desk
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges import common
from defi_risk_adapters.exchanges.common import ZERO
from defi_risk_adapters.exchanges.okx.contracts import (
    ONE,
    Open,
    Tables,
    digits,
    fitted,
    needs,
    opened,
    priced,
    required_of,
    total,
    would_borrow,
)
from defi_risk_adapters.exchanges.okx.futures import SCALE, blank, price_of, unknown
from defi_risk_adapters.exchanges.okx.published import discounted
from defi_risk_adapters.exchanges.okx.records import ROUND, Balance, Coin, Held

TOLERANCE: Final = Decimal("0.01")
"""Balance and positions are two answers, some 0.1 s apart: 0.1 % of price at tenfold leverage."""
UNEXPLAINED: Final = Decimal("0.005")
"""The share of the requirement below which a difference is taken for one of price."""
MOST_LOST: Final = Decimal("0.2")
_FINE, _NOISE = Decimal("1e-8"), Decimal("1e-13")
"""Rates have few decimals; the exchange's figures are binary fractions, whose noise is taken off."""


@dataclass(frozen=True, slots=True)
class Share:
    """One coin of the pool: `weight` is what its net equity counts for, `price` USD for one."""

    coin: Coin
    price: Decimal
    weight: Decimal

    @property
    def margin(self) -> Decimal:
        """What is there beside debts and the profit of positions."""
        return EXACT.add(EXACT.subtract(self.coin.cross, self.coin.profit), self.coin.liability)

    @property
    def held_weight(self) -> Decimal:
        """What the margin counts for where debts are taken off in full, so that the net equity counts for `weight`."""
        margin, owed = self.margin, self.coin.liability
        if not owed or margin <= 0 or self.coin.cross <= 0:
            return self.weight
        return ROUND.add(self.weight, ROUND.divide(ROUND.multiply(owed, ROUND.subtract(ONE, self.weight)), margin))

    @property
    def owed(self) -> Decimal:
        """USD owed."""
        return EXACT.multiply(self.coin.liability, self.price)


def account(at: Desk, level: str, balance: Balance, held: Sequence[Held], tables: Tables) -> Account:
    """The one account of all coins, its cross positions and debts. `level` is the mode."""
    found = blank(at, (level,), {"multi-currency": "multi-asset"}.get(level, level))
    if (held or any(coin.liability for coin in balance.coins.values())) and not (balance.adjusted and balance.maintenance):
        raise Undecodable("the balance tells no adjEq or mmr of what is held and owed")
    try:
        pool = _Pool(at, level, balance, tables)
        pool.open(held)
    except Unsupported as error:
        return unknown(found, error)
    pool.after_orders()
    pool.require()
    ours, theirs = pool.figures()
    return replace(
        found,
        legs=(*pool.legs, *(each.as_leg(at) for each in pool.positions)),
        stated=ours,
        self_check=SelfCheck.within(TOLERANCE, ours, theirs, SCALE),
        assumptions=(*(text for each in pool.positions for text in each.assumptions), *pool.assumptions),
    )


def idle(balance: Balance) -> bool:
    """Whether nothing in the account can be liquidated: it owes nothing, and nothing is required of it."""
    required = any(Decimal(text) for text in (balance.maintenance, balance.ratio) if text)
    return not required and not balance.notional and not any(coin.liability or coin.equity < 0 for coin in balance.coins.values())


def _share(coin: Coin, level: str, tables: Tables) -> Share | None:
    """A coin with what it counts for; None where there is nothing of it that margin could rest on."""
    if not (coin.cross or coin.liability or coin.profit) or coin.worthless:
        return None
    price = coin.price
    if price is None:
        raise Unsupported(f"the balance tells no value of {coin.code}, of which something is owed")
    return Share(coin, price, _weight(coin, level, tables))


def _discounted_of(coin: Coin, tables: Tables) -> Decimal:
    """The amount that the exchange's figure of what counts (disEq) is of: all equity in the recorded answers, isolated margin and bots
    included. The documentation does not say so: where the figure follows from the cross equity alone, it is of that.
    """
    tiers, price = tables.discounts.get(coin.code), coin.price
    if coin.cross == coin.equity or tiers is None or price is None or not coin.discounted:
        return coin.equity
    told = ROUND.divide(Decimal(coin.discounted), price)
    return min((coin.equity, coin.cross), key=lambda amount: abs(EXACT.subtract(discounted(amount, tiers), told)))


def _weight(coin: Coin, level: str, tables: Tables) -> Decimal:
    """What a coin's equity counts for: by the exchange's own figure for it, else by its published tiers."""
    if coin.cross <= 0:
        return ONE
    if coin.discounted and coin.usd:
        whole, price = _discounted_of(coin, tables), coin.price
        worth = coin.usd if whole == coin.equity or price is None else EXACT.multiply(whole, price)
        weight = ROUND.divide(Decimal(coin.discounted), worth)
        if not 0 <= weight <= Decimal("1.0000001"):
            raise OutOfRange(f"the balance counts {coin.code} for {coin.discounted} of {coin.usd} USD, which cannot be")
        plain = weight.quantize(_FINE, context=ROUND)
        return min(plain if abs(ROUND.subtract(plain, weight)) <= _NOISE else weight, ONE)
    if level == "multi-currency" and not coin.collateral:
        return ZERO
    tiers = tables.discounts.get(coin.code)
    if tiers is None:
        raise Undecodable(f"OKX tells nothing of what {coin.code} counts for as margin")
    return ROUND.divide(discounted(coin.cross, tiers), coin.cross)


def _legs(at: Desk, share: Share) -> list[Leg]:
    code, owed = share.coin.code, share.coin.liability
    margin = common.margin(at, code, share.margin, share.price, weight=share.held_weight)
    legs = [replace(margin, enabled=share.weight > 0)]
    if owed:
        legs.append(common.debt(at, code, owed, share.price))
    return legs


def _counted(leg: Leg) -> Decimal:
    """What a leg adds to adjusted equity, in USD."""
    if leg.price is None:
        return ZERO
    value = EXACT.multiply(leg.amount.decimal(), leg.price.value.decimal())
    if leg.role is Role.DEBT:
        return -value
    return EXACT.multiply(value, leg.weight if value >= 0 else max(leg.weight, ONE))


class _Pool:
    """The account as it is put together. `equity` is adjusted equity, `required` what mgnRatio divides it by, `maintenance` the part of
    that without fees: all in USD.
    """

    def __init__(self, at: Desk, level: str, balance: Balance, tables: Tables) -> None:
        self.at, self.level, self.balance, self.tables = at, level, balance, tables
        found = (_share(coin, level, tables) for coin in balance.coins.values())
        self.shares: Final = [share for share in found if share is not None]
        self.prices = {share.coin.code: share.price for share in self.shares}
        self.legs = [leg for share in self.shares for leg in _legs(at, share)]
        self.positions: list[Open] = []
        self.assumptions: list[str] = []
        self.equity = total(map(_counted, self.legs))
        self.required = self.maintenance = ZERO

    @property
    def portfolio(self) -> bool:
        return self.level == "portfolio"

    def open(self, held: Sequence[Held]) -> None:
        """Take in the cross positions. Raises `Unsupported`."""
        weights = {share.coin.code: share.weight for share in self.shares}
        for each in held:
            weight = weights.get(each.coin, ONE)
            if weight == 0:
                raise Unsupported(f"{each.symbol} settles in {each.coin}, which does not count as margin in this account")
            self.positions.append(opened(self.at, self.tables, each, weight, portfolio=self.portfolio))
        for code in sorted({each.coin for each in self.positions} - set(self.prices)):
            self._add_coin(code)
        for one in self.positions:
            gain = EXACT.multiply(one.held.profit, self.prices[one.coin])
            self.equity = EXACT.add(self.equity, EXACT.multiply(gain, one.position.pnl_weight))

    def _add_coin(self, code: str) -> None:
        """A coin that positions settle in, and of which there is none: its leg holds its price."""
        price = price_of(None, [each for each in self.positions if each.coin == code])
        leg, par = priced(self.at, common.margin(self.at, code, ZERO, price))
        if leg.price is None:
            raise Unsupported(f"OKX tells no price of {code}, in which positions settle")
        self.prices[code] = leg.price.value.decimal()
        self.legs.append(leg)
        self.assumptions += par

    def after_orders(self) -> None:
        """Let legs count for less by what open orders take off adjusted equity."""
        balance = self.balance
        if not balance.ordering or not balance.adjusted:
            return
        loss = EXACT.subtract(self.equity, Decimal(balance.adjusted))
        counting = total(_counted(leg) for leg in self.legs if _counts(leg))
        if not 0 < loss < EXACT.multiply(MOST_LOST, counting):
            return
        kept = ROUND.subtract(ONE, ROUND.divide(loss, counting))
        self.legs = [replace(leg, weight=ROUND.multiply(leg.weight, kept)) if _counts(leg) else leg for leg in self.legs]
        self.equity = EXACT.subtract(self.equity, loss)
        self.assumptions.append(f"open orders take {loss:.2f} USD off what counts as margin: it is taken off all coins alike")

    def require(self) -> None:
        """Make positions and debts require what the exchange does."""
        balance = self.balance
        told = Decimal(balance.maintenance) if balance.maintenance else ZERO
        required = required_of(Decimal(balance.adjusted), balance.ratio) if balance.adjusted else None
        if not self.portfolio:
            self.positions = fitted(self.at, self.positions, required, self.prices)
        self.required = needs(self.positions, self.prices)
        self.maintenance = total(EXACT.multiply(each.bare, self.prices[each.coin]) for each in self.positions)
        if required is None:
            required = EXACT.add(self.required, max(ZERO, EXACT.subtract(told, self.maintenance)))
        required = max(required, told)
        more = EXACT.subtract(required, self.required)
        if more > EXACT.multiply(UNEXPLAINED, required) and self._laid(more):
            self.required, self.maintenance = required, max(told, self.maintenance)

    def _laid(self, more: Decimal) -> bool:
        """Whether there is something that can have such a requirement (USD), which it has then."""
        debts = total(share.owed for share in self.shares)
        gross = total(EXACT.multiply(each.gross, self.prices[each.coin]) for each in self.positions)
        sized = f"{more:.2f} USD of maintenance margin and fees"
        if self.portfolio and (gross or debts):
            self.assumptions.append(f"portfolio margin: {sized} are OKX's own number, spread over positions and debts by their size")
            rate = ROUND.divide(more, EXACT.add(gross, debts))
            self.positions, self.legs = [each.loaded(rate) for each in self.positions], _backed(self.legs, rate)
        elif debts:
            self.assumptions.append(f"debts require {sized}: what OKX's ratio leaves beside the positions")
            self.legs = _backed(self.legs, ROUND.divide(more, debts))
        elif not self.balance.ordering or not self.shares:
            return False
        elif gross:
            self.assumptions.append(f"open orders require {sized}: it is laid on the positions")
            self.positions = [each.loaded(ROUND.divide(more, gross)) for each in self.positions]
        else:
            self._borrow(more)
        return True

    def _borrow(self, more: Decimal) -> None:
        """Let what open orders would borrow have the requirement."""
        share = max(self.shares, key=lambda share: (share.coin.borrowing, EXACT.multiply(share.coin.ordered, share.price)))
        usd, code = max(self.balance.notional, more), share.coin.code
        amount = ROUND.divide(usd, share.price)
        would = f"open orders would borrow {usd:.2f} USD, which require {more:.2f}"
        self.assumptions.append(f"{would}: shown as a debt in {code} and what it bought")
        self.legs += would_borrow(self.at, code, share.price, amount, ROUND.divide(more, usd))

    def figures(self) -> tuple[dict[str, str], dict[str, str]]:
        """Our figures and the exchange's, under its names."""
        balance = self.balance
        theirs = {"adjEq": balance.adjusted, "mgnRatio": balance.ratio, "mmr": balance.maintenance}
        ours = {"adjEq": digits(self.equity, balance.adjusted), "mmr": digits(self.maintenance, balance.maintenance)}
        if self.required:
            ours["mgnRatio"] = digits(EXACT.divide(self.equity, self.required), balance.ratio)
        for share in self.shares:
            coin, tiers = share.coin, self.tables.discounts.get(share.coin.code)
            if tiers is None or not coin.discounted:
                continue
            counts = self.level != "multi-currency" or coin.collateral
            value = EXACT.multiply(discounted(_discounted_of(coin, self.tables), tiers), share.price) if counts else ZERO
            ours[f"disEq:{coin.code}"], theirs[f"disEq:{coin.code}"] = digits(value, coin.discounted), coin.discounted
        return ours, {name: text for name, text in theirs.items() if text}


def _counts(leg: Leg) -> bool:
    return leg.role is Role.MARGIN and leg.amount.raw > 0


def _backed(legs: list[Leg], rate: Decimal) -> list[Leg]:
    """Legs whose debts require such a share of themselves."""
    return [replace(leg, maintenance_rate=rate) if leg.role is Role.DEBT else leg for leg in legs]
