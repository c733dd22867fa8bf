"""A dollar coin that its exchange gives no price for: the book's price where there is one, else a dollar, and then the account says so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from defi_risk.model import PAR, Account, Price
from defi_risk.pricing import PriceBook, resolve
from defi_risk.units import Quantity
from tests.accounts import ETH, USDT, debt, loan, margin, perp, position


def at_par() -> Account:
    leg = margin(USDT, 1_000)
    return perp(replace(leg, price=Price(Quantity.of(Decimal(1)), source=PAR)), position(ETH, "-0.1", 3_000))


def test_it_stands_at_a_dollar_and_says_so_where_nothing_prices_it() -> None:
    [found] = resolve([at_par()], PriceBook([], [at_par()]))
    assert found.legs[0].price == Price(Quantity.of(Decimal(1)), source=PAR)
    assert found.assumptions == ("USDT is taken at a dollar: neither the exchange nor another source of the book prices it",)


def test_another_source_prices_it_and_par_is_no_price_of_the_book() -> None:
    lent = loan(debt(USDT, 10, Decimal("0.97")))
    book = PriceBook([], [at_par(), lent])
    assert book.usd(USDT) == Decimal("0.97")
    [found, _] = resolve([at_par(), lent], book)
    assert found.legs[0].price is not None
    assert found.legs[0].price.value.decimal() == Decimal("0.97")
    assert found.assumptions == ()
