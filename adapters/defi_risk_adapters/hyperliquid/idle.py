"""What backs nothing on HyperCore: spot tokens that are no margin in the account's mode, cash of orders, shares of vaults, staked HYPE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.model import Account, Leg, Role
from defi_risk.units import Quantity
from defi_risk_adapters.hyperliquid.accounts import Place
from defi_risk_adapters.hyperliquid.precompiles import PERP_PLACES
from defi_risk_adapters.hyperliquid.tokens import Token

STAKED_PLACES: Final = 8


@dataclass(frozen=True, slots=True)
class Apart:
    """Owned beside the balances. `vaults` in 1e-6 USDC (locked for days after a deposit), `staked` in 1e-8 HYPE, on its way out too."""

    vaults: int
    staked: int


def account(
    place: Place, tokens: Iterable[Token], usdc: Token, hype: Token | None, apart: Apart, aside: Sequence[tuple[Token, Quantity]]
) -> tuple[list[Account], list[str]]:
    """One account without a requirement, where there is anything, and notes about what could not be counted. What is set `aside` comes
    with its token.
    """
    counted = list(aside)
    notes: list[str] = []
    for token in tokens:
        if token.total is None:
            notes.append(f"the chain does not tell the balance of {token.asset.symbol}: it is left out")
        elif token.total and token.price is None:
            notes.append(f"{token.asset.symbol} (token {token.number}) has no price against USDC: it is left out")
        elif token.total:
            counted.append((token, Quantity(token.total, token.asset.decimals)))
    if apart.vaults:
        counted.append((usdc, Quantity(apart.vaults, PERP_PLACES)))
    if apart.staked and (hype is None or hype.price is None):
        notes.append("staked HYPE has no price against USDC: it is left out")
    elif apart.staked and hype is not None:
        counted.append((hype, Quantity(apart.staked, STAKED_PLACES)))
    return ([place.account("spot", "spot", _legs(counted), None, {})] if counted else []), notes


def _legs(counted: Sequence[tuple[Token, Quantity]]) -> list[Leg]:
    return [
        Leg(
            role=Role.MARGIN,
            asset=token.asset,
            factor=token.ref.factor,
            peg=token.ref.peg,
            amount=amount,
            price=token.price,
            weight=Decimal(0),
            enabled=False,
        )
        for token, amount in counted
    ]
