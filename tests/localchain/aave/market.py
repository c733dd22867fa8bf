"""An Aave V3 market of any version, as its users and its governance act on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.localchain.aave.parameters import CATEGORY_DROP, DROP
from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.people import person
from tests.localchain.tokens import MAX, Amount, Feed, Raw, Token

STABLE: Final = 1
VARIABLE: Final = 2


class AccountData(NamedTuple):
    """What `getUserAccountData` returns: base currency with 8 decimals, basis points, and 1e18 for the health factor."""

    collateral: int
    debt: int
    available: int
    threshold: int
    ltv: int
    health_factor: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """A listed token with its feed and its market tokens. `stable_debt` only in Aave 3.0."""

    token: Token
    feed: Feed
    a_token: Contract
    variable_debt: Contract
    stable_debt: Contract | None


@dataclass(frozen=True, slots=True)
class AaveMarket:
    """One deployed market."""

    version: str
    anvil: Anvil
    provider: Contract
    pool: Contract
    configurator: Contract
    oracle: Contract
    data_provider: Contract
    reserves: Mapping[str, Reserve]
    category_feed: Feed | None = None
    """What prices the members of the first eMode category, in Aave 3.0."""

    adapter = "aave_v3"

    @property
    def name(self) -> str:
        """`aave-3.6`."""
        return f"aave-{self.version}"

    @property
    def roots(self) -> dict[str, str]:
        """The root address of the market, under the name that books use."""
        return {"pool_addresses_provider": self.provider.address}

    @property
    def tokens(self) -> dict[str, Token]:
        """The listed tokens by symbol."""
        return {symbol: reserve.token for symbol, reserve in self.reserves.items()}

    # what users do

    def supply(self, who: str, symbol: str, amount: Amount) -> None:
        """Mint `amount` for `who` and supply it."""
        token = self.reserves[symbol].token
        token.give(who, amount, self.pool.address)
        self.pool.send("supply", token.address, token.units(amount), who, 0, sender=who)

    def withdraw(self, who: str, symbol: str, amount: Amount = MAX) -> None:
        """Take a supply out again, all of it by default."""
        token = self.reserves[symbol].token
        self.pool.send("withdraw", token.address, token.units(amount), who, sender=who)

    def borrow(self, who: str, symbol: str, amount: Amount, mode: int = VARIABLE) -> None:
        """Borrow at the variable rate, or at the stable one where the version has it."""
        token = self.reserves[symbol].token
        self.pool.send("borrow", token.address, token.units(amount), mode, 0, who, sender=who)

    def repay(self, who: str, symbol: str, amount: Amount = MAX, mode: int = VARIABLE) -> None:
        """Pay back a debt, all of it by default; `who` gets the money for it minted."""
        reserve = self.reserves[symbol]
        debt = reserve.variable_debt if mode == VARIABLE or reserve.stable_debt is None else reserve.stable_debt
        needed = int(debt.call("balanceOf", who)) * 2 + 1 if amount == MAX else reserve.token.units(amount)
        reserve.token.give(who, Raw(needed), self.pool.address)
        self.pool.send("repay", reserve.token.address, reserve.token.units(amount), mode, who, sender=who)

    def set_emode(self, who: str, category: int) -> None:
        """Enter an eMode category, or leave with 0."""
        self.pool.send("setUserEMode", category, sender=who)

    def set_collateral(self, who: str, symbol: str, used: bool) -> None:
        """Switch a supply on or off as collateral."""
        self.pool.send("setUserUseReserveAsCollateral", self.reserves[symbol].token.address, used, sender=who)

    def transfer(self, sender: str, receiver: str, symbol: str, amount: Amount) -> None:
        """Hand over a supply: a transfer of the market's token."""
        reserve = self.reserves[symbol]
        reserve.a_token.send("transfer", receiver, reserve.token.units(amount), sender=sender)

    def liquidate(self, liquidator: str, borrower: str, debt: str, collateral: str, amount: Amount = MAX, *, keep: bool = False) -> None:
        """Repay a debt of `borrower` for its collateral (`keep`: as market token). Raises `Reverted` where the account is healthy."""
        token = self.reserves[debt].token
        owed = int(self.reserves[debt].variable_debt.call("balanceOf", borrower))
        token.give(liquidator, Raw(owed * 2) if amount == MAX else amount, self.pool.address)
        seized = self.reserves[collateral].token.address
        self.pool.send("liquidationCall", seized, token.address, borrower, token.units(amount), keep, sender=liquidator)

    # what governance does

    def freeze(self, symbol: str, frozen: bool = True) -> None:
        """Stop new supplies and borrows of a reserve."""
        self.configurator.send("setReserveFreeze", self.reserves[symbol].token.address, frozen)

    def pause(self, symbol: str, paused: bool = True, *, grace: int | None = None) -> None:
        """Stop everything with a reserve, liquidations too; `grace`: seconds after unpausing without liquidations (from 3.2 on)."""
        address = self.reserves[symbol].token.address
        more = () if grace is None else (grace,)
        self.configurator.send("setReservePause", address, paused, *more)

    def set_risk(self, symbol: str, ltv: int, threshold: int, bonus: int) -> None:
        """Change a reserve's risk parameters (basis points)."""
        self.configurator.send("configureReserveAsCollateral", self.reserves[symbol].token.address, ltv, threshold, bonus)

    # what happens around it

    def set_price(self, symbol: str, price: Amount) -> None:
        """Let the reserve's feed answer `price` USD."""
        self.reserves[symbol].feed.set(price)

    def drop_prices(self) -> None:
        """Let the volatile collateral fall by the per cent of `parameters.DROP`."""
        for symbol, percent in DROP.items():
            self.reserves[symbol].feed.move(percent)
        if self.category_feed:
            self.category_feed.move(CATEGORY_DROP)

    def pass_time(self, seconds: int) -> None:
        """Let interest run for that long."""
        self.anvil.pass_time(seconds)

    def accrue(self) -> None:
        """Let every reserve take up the interest since the last time: somebody supplies a little of each."""
        for symbol in self.reserves:
            self.supply(person("passer-by"), symbol, 1)

    # what it says

    def account(self, who: str, block: int | str = "latest") -> AccountData:
        """The market's own figures of an account."""
        return AccountData(*self.pool.call("getUserAccountData", who, block=block))

    def supplied(self, who: str, symbol: str) -> int:
        """Supply with interest, in smallest units."""
        return int(self.reserves[symbol].a_token.call("balanceOf", who))

    def owed(self, who: str, symbol: str) -> int:
        """Variable debt with interest, in smallest units."""
        return int(self.reserves[symbol].variable_debt.call("balanceOf", who))

    def owed_stable(self, who: str, symbol: str) -> int:
        """Stable debt with interest, in smallest units; 0 where there is none."""
        stable = self.reserves[symbol].stable_debt
        return int(stable.call("balanceOf", who)) if stable else 0

    def price(self, symbol: str) -> int:
        """What the market's oracle says, in 1e-8 of the base currency."""
        return int(self.oracle.call("getAssetPrice", self.reserves[symbol].token.address))
