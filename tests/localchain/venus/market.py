"""A Compound V2 style market, as its users and its governance act on it.

Interest runs by block. A year has more blocks than a node can mine, so time passes the other way round: the block of the last
accrual, which every market keeps in storage, is dated back. The next accrual then does the contract's own arithmetic over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.localchain.anvil import Anvil
from tests.localchain.contract import DEPLOYER, Contract, Reverted
from tests.localchain.tokens import MAX, Amount, Raw, Token, units

BLOCK_SECONDS: Final = 3
ACCRUAL_SLOT: Final = 9
"""Where a market token keeps `accrualBlockNumber`."""
VAI_ACCRUAL_SLOT: Final = 16
"""Where the VAI controller keeps it, without a view."""
DROP: Final = {"WETH": -24, "wstETH": -27, "WBTC": -20, "COIN": -24, "LINK": -60}
"""The price drop of the population, in per cent."""
ACTIONS: Final = ("mint", "redeem", "borrow", "repay", "seize", "liquidate", "transfer", "enter", "exit")
"""What can be paused, by the number that the comptroller gives it."""


class Refused(RuntimeError):
    """An action that ended in an error code, as Compound V2 says no without reverting."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: error code {code}")
        self.code = code


class Liquidity(NamedTuple):
    """What `getAccountLiquidity` returns, in 1e-18 USD after the error code."""

    error: int
    liquidity: int
    shortfall: int


class Position(NamedTuple):
    """What `getAccountSnapshot` returns: market tokens, debt in the underlying, and the stored exchange rate."""

    error: int
    tokens: int
    borrowed: int
    exchange_rate: int


@dataclass(frozen=True, slots=True)
class VenusReserve:
    """One market: its token and what lies under it (None: the chain's own coin)."""

    symbol: str
    decimals: int
    market: Contract
    token: Token | None


@dataclass(frozen=True, slots=True)
class VenusMarket:
    """One deployed comptroller with its markets."""

    anvil: Anvil
    comptroller: Contract
    oracle: Contract
    reserves: Mapping[str, VenusReserve]
    vai: Contract
    vai_controller: Contract

    adapter = "compound_v2"
    name = "venus"

    @property
    def roots(self) -> dict[str, str]:
        """The root address of the market, under the name that books use."""
        return {"comptroller": self.comptroller.address}

    @property
    def tokens(self) -> dict[str, Token]:
        """The underlying tokens by symbol, without the chain's own coin."""
        return {symbol: reserve.token for symbol, reserve in self.reserves.items() if reserve.token}

    # what users do

    def supply(self, who: str, symbol: str, amount: Amount, *, enter: bool = True) -> None:
        """Give `who` the amount and supply it; `enter` makes it collateral."""
        reserve = self.reserves[symbol]
        value = units(amount, reserve.decimals)
        if enter:
            self.enter(who, symbol)
        if reserve.token is None:
            self._give_coin(who, value)
            reserve.market.send("mint", sender=who, value=value)
        else:
            reserve.token.give(who, Raw(value), reserve.market.address)
            _act(reserve.market, who, "mint", value)

    def enter(self, who: str, *symbols: str) -> None:
        """Let supplies count as collateral."""
        self.comptroller.send("enterMarkets", [self.reserves[symbol].market.address for symbol in symbols], sender=who)

    def leave(self, who: str, symbol: str) -> None:
        """Let a supply no longer count. Raises `Refused` where debt needs it."""
        _act(self.comptroller, who, "exitMarket", self.reserves[symbol].market.address)

    def withdraw(self, who: str, symbol: str, amount: Amount = MAX) -> None:
        """Take a supply out again: all market tokens by default, else an amount of the underlying."""
        reserve = self.reserves[symbol]
        if amount == MAX:
            _act(reserve.market, who, "redeem", self.position(who, symbol).tokens)
        else:
            _act(reserve.market, who, "redeemUnderlying", units(amount, reserve.decimals))

    def borrow(self, who: str, symbol: str, amount: Amount) -> None:
        """Borrow; enters the market as the protocol does."""
        reserve = self.reserves[symbol]
        _act(reserve.market, who, "borrow", units(amount, reserve.decimals))

    def repay(self, who: str, symbol: str, amount: Amount = MAX) -> None:
        """Pay back a debt, all of it by default; `who` gets the money for it."""
        reserve = self.reserves[symbol]
        owed = int(reserve.market.call("borrowBalanceCurrent", who))
        value = owed if amount == MAX else units(amount, reserve.decimals)
        if reserve.token is None:
            self._give_coin(who, value)
            reserve.market.send("repayBorrow", sender=who, value=value)
        else:
            reserve.token.give(who, Raw(2 * value), reserve.market.address)
            _act(reserve.market, who, "repayBorrow", MAX.units if amount == MAX else value)

    def transfer(self, sender: str, receiver: str, symbol: str, tokens: int) -> None:
        """Hand over market tokens."""
        self.reserves[symbol].market.send("transfer", receiver, tokens, sender=sender)

    def mint_vai(self, who: str, amount: Amount) -> None:
        """Borrow the protocol's own stablecoin."""
        _act(self.vai_controller, who, "mintVAI", units(amount, 18))

    def liquidate(self, liquidator: str, borrower: str, debt: str, collateral: str, amount: Amount) -> None:
        """Repay a debt of `borrower` for its collateral. Raises `Refused` where the account is healthy."""
        reserve, seized = self.reserves[debt], self.reserves[collateral].market.address
        value = units(amount, reserve.decimals)
        if reserve.token is None:
            self._give_coin(liquidator, value)
            reserve.market.send("liquidateBorrow", borrower, seized, sender=liquidator, value=value)
        else:
            reserve.token.give(liquidator, Raw(value), reserve.market.address)
            _act(reserve.market, liquidator, "liquidateBorrow", borrower, value, seized)

    def _give_coin(self, who: str, wei: int) -> None:
        held = int(self.anvil.rpc("eth_getBalance", who, "latest"), 16)
        self.anvil.set_balance(who, held + wei)

    # what governance does

    def set_collateral_factor(self, symbol: str, mantissa: int) -> None:
        """Change what of a supply counts (1e18 = all)."""
        _act(self.comptroller, DEPLOYER, "_setCollateralFactor", self.reserves[symbol].market.address, mantissa)

    def pause(self, symbol: str, *actions: str, paused: bool = True) -> None:
        """Pause actions (see `ACTIONS`) of one market."""
        numbers = [ACTIONS.index(action) for action in actions]
        self.comptroller.send("_setActionsPaused", [self.reserves[symbol].market.address], numbers, paused)

    def force_liquidation(self, symbol: str, forced: bool = True) -> None:
        """Let everybody with a debt in this market be liquidated, healthy or not."""
        self.comptroller.send("_setForcedLiquidation", self.reserves[symbol].market.address, forced)

    # what happens around it

    def set_price(self, symbol: str, price: Amount) -> None:
        """Let the oracle say `price` USD."""
        reserve = self.reserves[symbol]
        self.oracle.send("set_price", reserve.market.address, units(price, 36 - reserve.decimals))

    def drop_prices(self) -> None:
        """Let the volatile collateral fall by the per cent of `DROP`."""
        for symbol, percent in DROP.items():
            market = self.reserves[symbol].market.address
            self.oracle.send("set_price", market, self.price(symbol) * (100 + percent) // 100)

    def pass_time(self, seconds: int) -> None:
        """Let time pass: one block, and the accruals dated back by the blocks that a chain of 3 second blocks would have."""
        blocks = max(seconds // BLOCK_SECONDS - 1, 0)
        kept = [(reserve.market, ACCRUAL_SLOT) for reserve in self.reserves.values()] + [(self.vai_controller, VAI_ACCRUAL_SLOT)]
        for contract, slot in kept:
            self.anvil.set_storage(contract.address, slot, self.anvil.storage(contract.address, slot) - blocks)
        self.anvil.pass_time(seconds)

    def accrue(self) -> None:
        """Let every market, and VAI, take up the interest since the last time, all in one block."""
        gas = 30_000_000 // (len(self.reserves) + 1)
        calls = [reserve.market.transaction("accrueInterest", gas=gas) for reserve in self.reserves.values()]
        calls.append(self.vai_controller.transaction("accrueVAIInterest", gas=gas))
        receipts = self.anvil.in_one_block(calls)
        if any(receipt["status"] != "0x1" for receipt in receipts):
            raise Reverted("accrueInterest", "in one of the markets")

    # what it says

    def liquidity(self, who: str, block: int | str = "latest") -> Liquidity:
        """The comptroller's own verdict, by stored interest."""
        return Liquidity(*self.comptroller.call("getAccountLiquidity", who, block=block))

    def position(self, who: str, symbol: str, block: int | str = "latest") -> Position:
        """What somebody has in one market, by stored interest."""
        return Position(*self.reserves[symbol].market.call("getAccountSnapshot", who, block=block))

    def owed_vai(self, who: str) -> int:
        """VAI to repay, by the stored index."""
        return int(self.vai_controller.call("getVAIRepayAmount", who))

    def price(self, symbol: str) -> int:
        """What the oracle says: USD * 10 ** (36 - decimals)."""
        return int(self.oracle.call("getUnderlyingPrice", self.reserves[symbol].market.address))


def _act(contract: Contract, who: str, function: str, *arguments: object) -> None:
    """Send a call that answers with an error code, after having asked which. Raises `Refused` and `Reverted`."""
    answer = contract.call(function, *arguments, sender=who)
    code = int(answer[0] if isinstance(answer, tuple) else answer)
    if code:
        raise Refused(function, code)
    contract.send(function, *arguments, sender=who)
