"""Tokens, feeds and amounts of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import double
from tests.localchain.contract import Contract, deploy

FEED_DECIMALS: Final = 8
_EXACT: Final = Context(prec=100)


@dataclass(frozen=True, slots=True)
class Raw:
    """An amount in the token's smallest unit."""

    units: int


MAX: Final = Raw(2**256 - 1)
"""All there is, where a protocol takes the largest integer for that."""
Amount = int | str | Decimal | Raw
"""An amount in whole tokens (exact), or a `Raw` one."""


def units(amount: Amount, decimals: int) -> int:
    """An amount in smallest units. Raises `ValueError` where it has more digits than the token."""
    if isinstance(amount, Raw):
        return amount.units
    scaled = Decimal(amount).scaleb(decimals, _EXACT)
    if scaled != int(scaled):
        raise ValueError(f"{amount} has more than {decimals} decimals")
    return int(scaled)


@dataclass(frozen=True, slots=True)
class Token:
    """A test token that everybody may mint."""

    symbol: str
    decimals: int
    contract: Contract

    @property
    def address(self) -> str:
        return self.contract.address

    def units(self, amount: Amount) -> int:
        """An amount in smallest units."""
        return units(amount, self.decimals)

    def mint(self, owner: str, amount: Amount) -> None:
        """Make `amount` out of nothing, for `owner`."""
        self.contract.send("mint", owner, self.units(amount))

    def approve(self, owner: str, spender: str) -> None:
        """Let `spender` take all that `owner` has."""
        self.contract.send("approve", spender, MAX.units, sender=owner)

    def give(self, owner: str, amount: Amount, spender: str) -> None:
        """Mint `amount` for `owner` and let `spender` take it."""
        self.mint(owner, amount)
        self.approve(owner, spender)

    def balance(self, owner: str) -> int:
        """What `owner` holds, in smallest units."""
        return int(self.contract.call("balanceOf", owner))


@dataclass(frozen=True, slots=True)
class Feed:
    """A price feed of 8 decimals that everybody may set."""

    contract: Contract

    @property
    def address(self) -> str:
        return self.contract.address

    @property
    def answer(self) -> int:
        """The present answer, in 1e-8."""
        return int(self.contract.call("latestAnswer"))

    def set(self, price: Amount, *, updated_at: int | None = None) -> None:
        """Answer `price` from now on; `updated_at` (unix time) where it is to look older than it is."""
        answer = units(price, FEED_DECIMALS)
        if updated_at is None:
            self.contract.send("set_answer", answer)
        else:
            self.contract.send("set_round", answer, updated_at)

    def move(self, percent: int) -> None:
        """Change the answer by that many per cent, rounded down."""
        self.set(Raw(self.answer * (100 + percent) // 100))


def deploy_token(anvil: Anvil, symbol: str, decimals: int) -> Token:
    """A new token, called `Local SYMBOL`."""
    return Token(symbol, decimals, deploy(anvil, double("erc20"), f"Local {symbol}", symbol, decimals))


def deploy_feed(anvil: Anvil, description: str, price: Amount) -> Feed:
    """A new feed that answers `price`."""
    return Feed(deploy(anvil, double("feed"), description, FEED_DECIMALS, units(price, FEED_DECIMALS)))
