"""The unified account's mode and its balance, as Bybit tells them: amounts in coins, totals in USD."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Undecodable, Unsupported
from defi_risk.text import shown
from defi_risk.units import EXACT

LARGE: Final = Decimal(10) ** 15
ZERO: Final = Decimal(0)
LINEAR: Final = ("USDT", "USDC")
"""Coins that linear contracts settle in; what is settled in another coin is inverse."""
ROUNDING: Final = Decimal("0.000001")
"""Bybit cuts amounts at the eighth decimal: a difference of a few of them is none."""
LEAST: Final = Decimal("0.0001")
CLASSIC: Final = 1
FIRST: Final = (3, 4)
UNIFIED: Final = (5, 6)


class Mode(Enum):
    """The margin mode of a whole unified account."""

    CROSS = "cross"
    ISOLATED = "isolated"
    PORTFOLIO = "portfolio"


MODES: Final = {"REGULAR_MARGIN": Mode.CROSS, "ISOLATED_MARGIN": Mode.ISOLATED, "PORTFOLIO_MARGIN": Mode.PORTFOLIO}


def mode_of(answer: Answer) -> Mode:
    """The margin mode of a unified account (2.0). Raises `Unsupported` for every other account and mode."""
    told = answer["result"]
    status = told["unifiedMarginStatus"].integer()
    if status == CLASSIC:
        raise Unsupported("this is a classic account of Bybit, which is not modelled", hint="upgrade it to a unified trading account")
    if status in FIRST:
        raise Unsupported(
            "this is a first unified account of Bybit (1.0), whose inverse contracts have another wallet: that is not modelled",
            hint="upgrade it to a unified trading account 2.0",
        )
    if status not in UNIFIED:
        raise Unsupported(f"Bybit tells an account status {status} that is not known", hint="update defi-risk")
    name = told["marginMode"].text()
    if name not in MODES:
        raise Unsupported(f"Bybit tells a margin mode {shown(name)!r} that is not known", hint="update defi-risk")
    return MODES[name]


@dataclass(frozen=True, slots=True)
class Coin:
    """What the account has and owes in one coin. `cash` is its balance less what is borrowed: equity without unrealised profit.

    `profit`, `initial` and `maintenance` are those of the positions that settle in it; the last two are None in portfolio mode. `owed` is
    what Bybit asks margin for as borrowed: `borrowed`, and what profit and loss took below zero. `collateral`: whether it counts as such;
    `ordered`: whether open spot orders hold some of it.
    """

    code: str
    balance: Decimal
    borrowed: Decimal
    owed: Decimal
    equity: Decimal
    usd: Decimal | None
    profit: Decimal
    initial: Decimal | None
    maintenance: Decimal | None
    collateral: bool
    ordered: bool
    told: str

    @property
    def cash(self) -> Decimal:
        return EXACT.subtract(self.balance, self.borrowed)

    @property
    def debt(self) -> Decimal:
        """What is borrowed, and where the coin is worth less than nothing what its balance is below zero."""
        return EXACT.subtract(self.borrowed, min(self.balance, ZERO)) if self.equity <= 0 else self.borrowed

    @property
    def price(self) -> Decimal | None:
        """USD of one coin; None where Bybit puts no value on what there is, or so little that eight decimals do not tell a price."""
        if self.usd is None or not self.equity or abs(self.usd) < LEAST:
            return None
        price = EXACT.divide(self.usd, self.equity)
        if price <= 0:
            raise OutOfRange(f"usdValue of {self.code} has another sign than its equity")
        return price

    @property
    def has_positions(self) -> bool:
        """Whether anything tells of positions that settle in it."""
        return bool(self.profit or self.initial or self.maintenance)


@dataclass(frozen=True, slots=True)
class Wallet:
    """One answer of the balance. `totals` are the account's own figures in USD as they are written, empty where it has none."""

    coins: dict[str, Coin]
    totals: dict[str, str]

    @property
    def empty(self) -> bool:
        """Whether it shows no funds, no debts and no positions."""
        return not any(coin.balance or coin.equity or coin.owed or coin.has_positions for coin in self.coins.values())

    def total(self, name: str) -> Decimal | None:
        """A figure in USD; None where it is empty."""
        text = self.totals.get(name) or ""
        return Answer(text, f"wallet.{name}").decimal(-LARGE, LARGE) if text else None

    def shows(self, mode: Mode) -> bool:
        """Whether its figures are those of an account in this mode: an isolated one has no totals, one in portfolio mode none of a coin."""
        if self.empty:
            return True
        if (self.total("totalMaintenanceMargin") is None) != (mode is Mode.ISOLATED):
            return False
        return all((coin.maintenance is None) == (mode is Mode.PORTFOLIO) for coin in self.coins.values())

    def lists(self, mode: Mode) -> tuple[tuple[str, str], ...]:
        """Lists of positions to ask for, as category and settling coin.

        USDT is always asked for, and every coin of which initial margin, maintenance margin or profit is not zero: a position has initial
        margin of at least a hundredth of its notional, and the figure has eight decimals. Portfolio mode tells no margin of a coin: there
        everything is asked for.
        """
        if mode is Mode.PORTFOLIO:
            return (*(("linear", code) for code in LINEAR), ("inverse", ""), ("option", ""))
        found = {code for code, coin in self.coins.items() if coin.has_positions}
        linear = [("linear", code) for code in LINEAR if code in found or code == LINEAR[0]]
        return (*linear, *([("inverse", "")] if found - set(LINEAR) else []))

    def held(self, mode: Mode) -> object:
        """What only trading and transfers move."""
        rows = {code: (coin.balance, coin.borrowed, coin.collateral) for code, coin in self.coins.items() if coin.balance or coin.borrowed}
        return rows, self.lists(mode)


def wallet_of(answer: Answer) -> Wallet:
    """The balance. Raises `Unsupported` where a coin's equity holds something beside cash and profit: options."""
    [told] = answer["result"]["list"].exactly(1)
    if told["accountType"].text() != "UNIFIED":
        raise Unsupported("Bybit answered with the balance of another account than the unified one")
    coins = [_coin(row) for row in told["coin"].listing(5_000)]
    if len({coin.code for coin in coins}) != len(coins):
        raise OutOfRange(f"{told.path}.coin lists a coin twice")
    names = ("totalEquity", "totalWalletBalance", "totalMarginBalance", "totalInitialMargin", "totalMaintenanceMargin", "accountMMRate")
    later = [name for name in ("totalMaintenanceMarginByMp", "accountMMRateByMp") if told.get(name) is not None]
    totals = {name: told[name].text() for name in (*names, *later)}
    for name, text in totals.items():
        if text:
            told[name].decimal(ZERO if name.startswith(("totalInitial", "totalMaintenance")) else -LARGE, LARGE)
    return Wallet({coin.code: coin for coin in coins}, totals)


def optional(row: Answer, field: str, low: Decimal = -LARGE) -> Decimal | None:
    """A number that may be missing or an empty text."""
    found = row.get(field)
    return None if found is None or found.value == "" else found.decimal(low, LARGE)


def _coin(row: Answer) -> Coin:
    code = row["coin"].text(32)
    if not code:
        raise Undecodable(f"{row.path}.coin is empty")
    balance = row["walletBalance"].decimal(-LARGE, LARGE)
    equity = row["equity"].decimal(-LARGE, LARGE)
    profit = optional(row, "unrealisedPnl") or ZERO
    owed = optional(row, "borrowAmount", ZERO) or ZERO
    borrowed = optional(row, "spotBorrow", ZERO)
    if borrowed is None:  # older answers have it inside of borrowAmount alone
        borrowed = max(EXACT.subtract(EXACT.add(balance, profit), equity), ZERO) if owed else ZERO
    left = EXACT.subtract(equity, EXACT.add(EXACT.subtract(balance, borrowed), profit))
    if abs(left) > max(ROUNDING, EXACT.multiply(abs(equity), ROUNDING)):
        raise Unsupported(
            f"the equity in {code} is not its balance and profit: there are options, or something else that is not modelled",
            hint="close the options, or give the account by hand",
        )
    return Coin(
        code=code,
        balance=balance,
        borrowed=borrowed,
        owed=owed,
        equity=equity,
        usd=optional(row, "usdValue"),
        profit=profit,
        initial=optional(row, "totalPositionIM", ZERO),
        maintenance=optional(row, "totalPositionMM", ZERO),
        collateral=row["marginCollateral"].flag() and row["collateralSwitch"].flag(),
        ordered=bool(optional(row, "locked", ZERO)),
        told=row["walletBalance"].text(),
    )
