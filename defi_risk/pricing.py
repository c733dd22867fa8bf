"""Prices in USD for legs whose venue gives none, or gives one in another unit (an ETH market of Comet prices in ETH).

A venue's own USD price always stands: it is what the venue liquidates on. Only what is missing is taken from the other sources, and
what nobody prices makes its account unknown rather than worth nothing. A dollar coin that its exchange gives no price for stands at par
only until another source prices it; where none does, the account says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from defi_risk.ids import USD, Factor
from defi_risk.model import PAR, Account, Leg, Price, Quote, Role
from defi_risk.units import EXACT, Quantity


class PriceBook:
    """USD per whole unit of an unpegged factor: the lower median of what the sources say, so that no single one decides."""

    def __init__(self, quotes: Iterable[Quote], accounts: Iterable[Account]) -> None:
        found: dict[Factor, set[Decimal]] = {}
        for quote in quotes:
            if quote.price.unit == USD:
                found.setdefault(quote.factor, set()).add(quote.price.value.decimal())
        for account in accounts:
            for leg in account.legs:
                if leg.price is not None and _told(leg) and leg.peg is None and leg.role is not Role.POSITION:
                    found.setdefault(leg.factor, set()).add(leg.price.value.decimal())
        self._prices = {factor: sorted(prices)[(len(prices) - 1) // 2] for factor, prices in found.items()}
        self._prices[USD] = Decimal(1)

    def usd(self, factor: Factor) -> Decimal | None:
        """USD for one whole unit, or None where no source prices the factor."""
        return self._prices.get(factor)

    def as_floats(self) -> Mapping[Factor, float]:
        """All prices as float64, for the health engine."""
        return {factor: float(price) for factor, price in self._prices.items()}


def resolve(accounts: Sequence[Account], book: PriceBook) -> list[Account]:
    """The same accounts with every leg priced in USD; an account with a leg that cannot be priced becomes unknown, with the reason."""
    return [_resolved(account, book) if account.known else account for account in accounts]


def _resolved(account: Account, book: PriceBook) -> Account:
    if all(leg.role is Role.POSITION or _told(leg) for leg in account.legs):
        return account
    legs: list[Leg] = []
    assumed: dict[str, None] = dict.fromkeys(account.assumptions)
    for leg in account.legs:
        priced = leg if leg.role is Role.POSITION else _priced(leg, book)
        if priced is None:
            return replace(account, status="unknown", reason=_missing(leg), liquidatable=None)
        if priced.price is not None and priced.price.source == PAR:
            assumed[f"{leg.asset.symbol} is taken at a dollar: neither the exchange nor another source of the book prices it"] = None
        legs.append(priced)
    return replace(account, legs=tuple(legs), assumptions=tuple(assumed))


def _told(leg: Leg) -> bool:
    """Whether the leg's own venue gives its price in USD."""
    return leg.price is not None and leg.price.unit == USD and leg.price.source != PAR


def _priced(leg: Leg, book: PriceBook) -> Leg | None:
    price = leg.price
    if price is not None and price.source == PAR:
        known = book.usd(leg.factor) if leg.peg is None else None
        return leg if known is None else replace(leg, price=Price(Quantity.of(known), source="book"))
    if price is None:
        # a pegged token is not worth its factor: its peg is exactly what nobody told us
        usd = book.usd(leg.factor) if leg.peg is None else None
        return None if usd is None else replace(leg, price=Price(Quantity.of(usd), source="book"))
    if price.unit == USD:
        return leg
    unit = book.usd(price.unit)
    if unit is None:
        return None
    return replace(leg, price=replace(price, value=Quantity.of(EXACT.multiply(price.value.decimal(), unit)), unit=USD))


def _missing(leg: Leg) -> str:
    what = f"in {leg.price.unit} but nothing prices {leg.price.unit} in USD" if leg.price else "by no source of this book"
    return f"{leg.asset.symbol} ({leg.asset.id}) is priced {what}"
