"""What can become of a populated market. Every state is reached from the fresh one; go back by `Anvil.rollback`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from tests.localchain.anvil import Anvil
from tests.localchain.tokens import Token

YEAR: Final = 31_536_000


class AnyMarket(Protocol):
    """What all markets have in common. `adapter` and `roots` are what a book says of them."""

    @property
    def name(self) -> str: ...
    @property
    def adapter(self) -> str: ...
    @property
    def roots(self) -> dict[str, str]: ...
    @property
    def anvil(self) -> Anvil: ...
    @property
    def tokens(self) -> dict[str, Token]: ...
    def pass_time(self, seconds: int) -> None: ...
    def accrue(self) -> None: ...
    def drop_prices(self) -> None: ...


State = Callable[[AnyMarket], None]


def fresh(market: AnyMarket) -> None:
    """As the population left it."""


def second_later(market: AnyMarket) -> None:
    """One block of one second."""
    market.pass_time(1)


def year_later(market: AnyMarket) -> None:
    """A year in which nobody touched the market: interest is due but not taken up."""
    market.pass_time(YEAR)


def year_accrued(market: AnyMarket) -> None:
    """A year, after which every part of the market was touched once."""
    market.pass_time(YEAR)
    market.accrue()


def price_drop(market: AnyMarket) -> None:
    """Volatile collateral falls: some accounts become liquidatable, some owe more than they have."""
    market.drop_prices()


def year_then_drop(market: AnyMarket) -> None:
    """Interest that is due, and then the drop."""
    market.pass_time(YEAR)
    market.drop_prices()


STATES: Final[dict[str, State]] = {
    state.__name__.replace("_", "-"): state for state in (fresh, second_later, year_later, year_accrued, price_drop, year_then_drop)
}
