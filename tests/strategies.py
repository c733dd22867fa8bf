"""Hypothesis strategies: random margin accounts of every kind the model knows, and books of them."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal

import hypothesis
from hypothesis import strategies as st

from defi_risk.health import HealthSettings
from defi_risk.ids import Factor, Peg
from defi_risk.model import Account, Basis, Contract, Leg, Position, Role
from tests.accounts import BTC, ETH, SETTINGS, SOL, USDC, USDT, collateral, debt, loan, margin, perp, position

PRICES = {ETH: Decimal(3000), BTC: Decimal(60_000), SOL: Decimal("150.5"), USDC: Decimal(1), USDT: Decimal("0.9995")}
PEGS = {ETH: Peg("stETH/ETH"), BTC: Peg("tBTC/BTC")}
EXPIRES = 1_800_000_000
BETA_SETTINGS = HealthSettings(stables=SETTINGS.stables, betas={SOL: 1.4, BTC: 0.8})


def examples(count: int) -> hypothesis.settings:
    """So many examples, times $DEFI_RISK_EXAMPLES for a long run."""
    return hypothesis.settings(max_examples=count * int(os.environ.get("DEFI_RISK_EXAMPLES", "1")), deadline=None)


def decimals(low: str, high: str, places: int = 4) -> st.SearchStrategy[Decimal]:
    """Decimals in a range, as people and venues write them."""
    return st.decimals(low, high, places=places, allow_nan=False, allow_infinity=False)


usd = decimals("1", "1000000", 2)
settings = st.sampled_from([SETTINGS, BETA_SETTINGS])


@st.composite
def tokens(draw: st.DrawFn) -> tuple[Factor, Peg | None, Decimal, Decimal]:
    """A factor, perhaps a peg, an amount worth 1 to 1,000,000 USD, and its price."""
    factor = draw(st.sampled_from(sorted(PRICES)))
    peg = PEGS.get(factor) if draw(st.booleans()) else None
    price = PRICES[factor] * (Decimal("1.17") if peg else 1)
    return factor, peg, (draw(usd) / price).quantize(Decimal("1e-12")), price


@st.composite
def holdings(draw: st.DrawFn) -> Leg:
    """Collateral with a liquidation threshold above its loan-to-value."""
    factor, peg, amount, price = draw(tokens())
    weight = draw(decimals("0", "0.95"))
    initial = draw(decimals("0", "1")) * weight
    return collateral(factor, amount, price, weight, initial=initial, peg=peg, enabled=draw(st.booleans()) or draw(st.booleans()))


@st.composite
def debts(draw: st.DrawFn) -> Leg:
    """Something owed."""
    factor, peg, amount, price = draw(tokens())
    return debt(factor, amount, price, peg)


@st.composite
def loans(draw: st.DrawFn, name: str = "loan") -> Account:
    """A lending account of up to four holdings and three debts."""
    held = draw(st.lists(holdings(), min_size=1, max_size=4))
    owed = draw(st.lists(debts(), max_size=3))
    return loan(*held, *owed, name=name, strict=draw(st.booleans()))


@st.composite
def margins(draw: st.DrawFn) -> Leg:
    """Margin with a haircut, one in eight below zero, some of these owed at more than their price."""
    factor, peg, amount, price = draw(tokens())
    sign = -1 if draw(st.integers(0, 7)) == 0 else 1
    return margin(factor, amount * sign, price, draw(decimals("0.5", "1.1" if sign < 0 else "1")), peg)


@st.composite
def tiers(draw: st.DrawFn, scale: Decimal, *, convex: bool = True) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Brackets with floors around `scale`. Convex: rates rise and deductions make the brackets meet; else anything goes."""
    count = draw(st.integers(1, 4))
    floors = [Decimal(0), *sorted(draw(st.lists(decimals("0.2", "3"), min_size=count - 1, max_size=count - 1, unique=True)))]
    rates = draw(st.lists(decimals("0.002", "0.1"), min_size=count, max_size=count))
    if convex:
        rates.sort()
    rows: list[tuple[Decimal, Decimal, Decimal]] = []
    deduction = Decimal(0)
    for index, (floor, rate) in enumerate(zip(floors, rates, strict=True)):
        if index:
            deduction += floor * scale * (rate - rates[index - 1]) if convex else 0
        rows.append((floor * scale, rate, deduction))
    return rows


@st.composite
def positions(draw: st.DrawFn, *, convex: bool = True) -> Leg:
    """A linear or inverse derivative on a volatile factor, at a profit or loss."""
    factor = draw(st.sampled_from([ETH, BTC, SOL]))
    quote = draw(st.sampled_from([USDC, USDT]))
    basis = draw(st.sampled_from([Decimal(1), Decimal("1.02"), Decimal("0.985")]))
    mark = PRICES[factor] / PRICES[quote] * basis
    notional = draw(usd) / PRICES[quote]
    sign = draw(st.sampled_from([1, -1]))
    inverse = draw(st.integers(0, 3)) == 0
    coins = (notional / mark).quantize(Decimal("1e-12"))
    opened = position(
        factor,
        sign * (notional if inverse else coins),
        mark,
        entry=mark * draw(decimals("0.7", "1.3")),
        quote=quote,
        maintenance=draw(tiers(coins if inverse else notional, convex=convex)),
        fee=draw(st.sampled_from([Decimal(0), Decimal("0.0005")])),
        contract=Contract.INVERSE if inverse else Contract.LINEAR,
        basis=Basis.ENTRY if draw(st.integers(0, 4)) == 0 else Basis.MARK,
    )
    return replace(opened, position=as_listed(draw, run_up(draw, opened.position, coins if inverse else notional)))


def run_up(draw: st.DrawFn, opened: Position | None, notional: Decimal) -> Position | None:
    """The position, one in three with funding and fees that have run up, and with what a venue takes for the way out."""
    if opened is None or draw(st.integers(0, 2)):
        return opened
    return replace(
        opened,
        accrued_funding=notional * draw(decimals("-0.01", "0.01")),
        accrued_fees=notional * draw(decimals("0", "0.01")),
        exit_cost=notional * draw(decimals("0", "0.005")),
        liquidation_fee=draw(decimals("0", "0.01")),
    )


def as_listed(draw: st.DrawFn, opened: Position | None) -> Position | None:
    """The position, one in four with what an exchange knows: a haircut on its profit, and a day on which it expires."""
    if opened is None or draw(st.integers(0, 3)):
        return opened
    return replace(
        opened,
        pnl_weight=draw(decimals("0.5", "1")),
        expires=EXPIRES if draw(st.booleans()) else None,
        index=opened.mark * draw(decimals("0.9", "1.1")) if draw(st.booleans()) else None,
    )


def as_held(draw: st.DrawFn, account: Account) -> Account:
    """The account, one in three as an exchange may judge it: at a line of its own, with debts that need margin, and assumptions."""
    if draw(st.integers(0, 2)):
        return account
    rate = draw(decimals("0", "0.1"))
    return replace(
        account,
        line=draw(st.sampled_from([Decimal(1), Decimal("1.05"), Decimal("1.2")])),
        legs=tuple(replace(leg, maintenance_rate=rate) if leg.role is Role.DEBT else leg for leg in account.legs),
        assumptions=draw(st.sampled_from([(), ("USDT is taken at a dollar", "brackets of 2026-01-01")])),
        stated={"marginRatio": "0.0925", "uniMMR": "5167.92171923"},
    )


@st.composite
def margin_accounts(draw: st.DrawFn, name: str = "perp", *, convex: bool = True) -> Account:
    """A derivatives account of up to three margins, three positions and a debt, some of them as at an exchange."""
    legs = draw(st.lists(margins(), min_size=1, max_size=3))
    legs += draw(st.lists(positions(convex=convex), max_size=3))
    legs += draw(st.lists(debts(), max_size=1))
    return as_held(draw, perp(*legs, name=name, strict=draw(st.booleans())))


def accounts(name: str = "account", *, convex: bool = True) -> st.SearchStrategy[Account]:
    """An account of either side."""
    return st.one_of(loans(name=name), margin_accounts(name=name, convex=convex))


@st.composite
def books(draw: st.DrawFn, most: int = 4) -> list[Account]:
    """One to four accounts with ids of their own."""
    return [draw(accounts(f"{index}")) for index in range(draw(st.integers(1, most)))]
