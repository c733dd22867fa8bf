"""Accounts whose perpetuals draw on spot balances: one for each token in unified mode, one for everything under portfolio margin.

What such an account has is counted as a ledger: its balance less what its positions are worth. Moves of prices leave it as it is, and so
does margin that the venue shifts between spot and the dexs, so the service's and the chain's can be compared though they are of
different seconds. In the service's answers the spot balance counts the perpetuals in it (recorded accounts: its total is the venue's
account value). On chain the balance and the summaries of the dexs are apart, as one project found in both modes; should the precompile
count as the service does, the comparison tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from defi_risk.errors import AdapterError, BadAnswer
from defi_risk.model import Account
from defi_risk.units import EXACT
from defi_risk_adapters.hyperliquid import accounts, portfolio
from defi_risk_adapters.hyperliquid.accounts import Place
from defi_risk_adapters.hyperliquid.positions import LAGS, MICRO, Dex
from defi_risk_adapters.hyperliquid.reading import State
from defi_risk_adapters.hyperliquid.tokens import USDC, Token

SLACK: Final = Fraction(1, 1_000)
APART: Final = 900
"""Seconds between the service's time and the block's from which its balances and prices are not the block's."""


def unified(place: Place, state: State) -> list[Account]:
    """An account for each token that dexs settle in and that there is anything of."""
    blind = next((one.reason for one in state.unread if one.collateral is None), "")
    found: list[Account] = []
    for number in sorted(state.settling):
        dexs = [dex for dex in state.dexs if dex.collateral == number]
        if number in state.tokens or dexs or _total(state, number):
            found += _unified(place, state, number, dexs, blind or _fault(state, dexs, number))
    return found


def _unified(place: Place, state: State, number: int, dexs: Sequence[Dex], fault: str) -> list[Account]:
    """The account in one token; none where there is nothing in it."""
    token = state.tokens.get(number)
    suffix, mode = accounts.pool(number, token.asset.symbol if token else "")
    if token is None or token.total is None:
        fault = fault or f"the chain does not tell the balance of token {number}"
    ledger = _ledger(state, token, dexs) if token and not fault else None
    if ledger is None:
        return [place.unknown(suffix, mode, fault or f"{LAGS}: its balance of token {number} is not the chain's")]
    cash = ledger - sum(dex.isolated_cash for dex in dexs)
    if token is None or (not cash and not any(dex.cross for dex in dexs)):
        return []
    return [accounts.pooled(place, dexs, token, cash)]


def _fault(state: State, dexs: Sequence[Dex], number: int) -> str:
    """Why the margin in a token is not known; empty where it is."""
    faults = [dex.fault for dex in dexs if dex.fault] + [one.reason for one in state.unread if one.collateral == number]
    return faults[0] if faults else ""


def _ledger(state: State, token: Token, dexs: Sequence[Dex]) -> Fraction | None:
    """The chain's ledger of a token, in 1e-6 of it; None where the service's is another."""
    balance = Fraction((token.total or 0) * MICRO, 10**token.asset.decimals)
    apart = balance + sum(dex.ledger for dex in dexs)
    within = balance - sum(perp.value for dex in dexs for perp in dex.perps)
    theirs = _told(state, token.number, dexs)
    slack = max(Fraction(MICRO), SLACK * abs(_total(state, token.number)))
    nearest = min(apart, within, key=lambda ours: abs(ours - theirs))
    return nearest if abs(nearest - theirs) <= slack else None


def _told(state: State, number: int, dexs: Sequence[Dex]) -> Fraction:
    """The service's ledger of a token, in 1e-6 of it."""
    worth = sum((dex.state.value - dex.state.raw for dex in dexs), Decimal(0))
    return _total(state, number) - Fraction(worth) * MICRO


def _total(state: State, number: int) -> Fraction:
    """The service's balance of a token, in 1e-6 of it; a token that it does not list is not there."""
    told = state.spot.balances.get(number)
    return Fraction(told.total) * MICRO if told else Fraction(0)


def under_portfolio(place: Place, state: State) -> Account:
    """The account under portfolio margin. Debt and supplied tokens are in the service's balances, so its ledger is taken if recent."""
    apart = abs(place.at.timestamp - state.told)
    faults = [f"{LAGS}: its balances are {apart:,} s apart from the block"] if apart > APART else []
    faults += [one.reason for one in state.unread] + [dex.fault for dex in state.dexs if dex.fault]
    if any(dex.collateral != USDC for dex in state.dexs):
        faults.append("portfolio margin over a dex that does not settle in USDC is not modelled")
    faults += [
        f"the chain does not tell what token {number} is, which is collateral"
        for number, told in state.spot.balances.items()
        if told.pledged and portfolio.counts(number, state.reserves) and number not in state.tokens
    ]
    try:
        portfolio.check(state.spot, [dex.state for dex in state.dexs], state.reserves)
    except (AdapterError, BadAnswer) as error:
        faults.append(error.message)
    if faults:
        return place.unknown("", "portfolio margin", faults[0])
    cash = _told(state, USDC, state.dexs) - sum(dex.isolated_cash for dex in state.dexs)
    usdc = state.spot.balances.get(USDC)
    borrowed = usdc.borrowed if usdc else Decimal(0)
    return portfolio.account(place, state.dexs, state.tokens[USDC], cash, borrowed, split(state)[0], state.reserves)


def split(state: State) -> tuple[list[Token], list[Token]]:
    """The tokens beside USDC, as much of each as counts under portfolio margin, and as much as does not. The balances are the service's,
    which have what is lent to others.
    """
    pledged: list[Token] = []
    rest: list[Token] = []
    for number, token in state.tokens.items():
        told = state.spot.balances.get(number)
        if told is None or number == USDC:
            continue
        counted = told.pledged if portfolio.counts(number, state.reserves) else Decimal(0)
        for place, amount in ((pledged, counted), (rest, told.total - counted)):
            if amount:
                place.append(replace(token, total=int(EXACT.scaleb(amount, token.asset.decimals))))
    return pledged, rest
