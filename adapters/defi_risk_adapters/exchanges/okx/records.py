"""What OKX's answers say, field by field. It leaves a field empty ("") where it does not apply to the account's mode: that is None here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, OutOfRange, Unsupported
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import ZERO

LEVELS: Final = {"1": "spot", "2": "futures", "3": "multi-currency", "4": "portfolio"}
SIDES: Final = {"net_mode": ("net",), "long_short_mode": ("long", "short")}
CONTRACTS: Final = ("SWAP", "FUTURES")
MOST: Final = 10_000
TIMES: Final = (1_500_000_000_000, 4_000_000_000_000)
"""Milliseconds between which all times are: before there was OKX, and in 2096."""
DRIFT: Final = Decimal("0.02")
"""Share of its notional by which two figures of a position's profit may differ that were read some tenths of a second apart."""
DUST: Final = Decimal("0.000001")
LEAST: Final = Decimal(1).scaleb(-18)
"""No price is less."""
ROUND: Final = Context(prec=28)
"""For quotients: prices, rates and weights that no answer gives as such."""
_UNMODELLED: Final = ("smtSyncEq", "spotCopyTradingEq")


def rows(answer: Any, name: str) -> list[Answer]:
    """The entries of an answer; `name` is the read's."""
    return Answer(answer, name)["data"].listing(MOST)


def told(row: Answer, name: str) -> Decimal | None:
    """A number that may be left out."""
    found = row.get(name)
    return None if found is None or found.value == "" else found.decimal()


def stands(row: Answer, name: str) -> Decimal:
    """A number that every answer has: none where it is empty, which says that it does not apply here."""
    return ZERO if row[name].value == "" else row[name].decimal()


def moment(row: Answer, name: str) -> int | None:
    """A time in unix seconds, told in milliseconds; None where it is left out."""
    found = row.get(name)
    return None if found is None or found.value == "" else found.integer(*TIMES) // 1_000


def text(row: Answer, name: str) -> str:
    """A figure as it is written, "" where there is none; it must be a number."""
    return "" if told(row, name) is None else str(row[name].value)


def needed(row: Answer, name: str, low: Decimal | int | None = None) -> Decimal:
    """A number that must be there."""
    return row[name].decimal(low=low)


def optional_text(row: Answer, name: str) -> str:
    found = row.get(name)
    return "" if found is None else found.text()


@dataclass(frozen=True, slots=True)
class Config:
    """How the account works: `level` is its mode, `sides` are the position sides that it can have."""

    level: str
    sides: tuple[str, ...]

    @classmethod
    def of(cls, answer: Any) -> Config:
        [row] = Answer(answer, "account/config")["data"].exactly(1)
        level, mode = optional_text(row, "acctLv"), optional_text(row, "posMode")
        if level not in LEVELS:
            raise Unsupported(f"account mode acctLv = {shown(level)!r} is none that is known", hint="1 to 4 are")
        if mode not in SIDES:
            raise Unsupported(f"position mode posMode = {shown(mode)!r} is none that is known", hint=" and ".join(SIDES) + " are")
        return cls(LEVELS[level], SIDES[mode])


@dataclass(frozen=True, slots=True)
class Coin:
    """One coin of the trading account, in units of it; `usd` is its equity in USD, `discounted` what of that counts as margin.

    `cross` is the equity that cross positions and debts rest on: without that of isolated positions and bots. `profit` is the unrealised
    profit in it, `maintenance` what it must not fall below, told in futures mode alone.
    """

    code: str
    cash: Decimal
    equity: Decimal
    usd: Decimal | None
    discounted: str
    liability: Decimal
    profit: Decimal
    isolated_profit: Decimal
    isolated: Decimal
    strategies: Decimal
    ordered: Decimal
    maintenance: Decimal | None
    borrowing: Decimal
    collateral: bool

    @property
    def price(self) -> Decimal | None:
        """USD for one, where it can be told."""
        return ROUND.divide(self.usd, self.equity) if self.usd and self.equity else None

    @property
    def worthless(self) -> bool:
        """Whether OKX values what is there at nothing (a delisted coin), and it bears nothing."""
        return self.usd == 0 < self.equity and not (self.liability or self.profit or self.isolated)

    @property
    def cross(self) -> Decimal:
        return EXACT.subtract(self.equity, EXACT.add(self.isolated, self.strategies))

    @classmethod
    def of(cls, row: Answer) -> Coin:
        code = row["ccy"].text(32)
        for name in _UNMODELLED:
            if told(row, name):
                raise Unsupported(f"{code} holds equity of copy trading ({name}), which is not modelled")
        equity, usd = needed(row, "eq"), told(row, "eqUsd")
        if usd is not None and (usd > 0 > equity or usd < 0 < equity):
            raise OutOfRange(f"{row.path}.eqUsd has another sign than its eq")
        collateral = row.get("collateralEnabled")
        return cls(
            code=code,
            cash=needed(row, "cashBal"),
            equity=equity,
            usd=usd,
            discounted=text(row, "disEq"),
            liability=abs(stands(row, "liab")),
            profit=EXACT.subtract(stands(row, "upl"), stands(row, "isoUpl")),
            isolated_profit=stands(row, "isoUpl"),
            isolated=stands(row, "isoEq"),
            strategies=EXACT.add(told(row, "stgyEq") or ZERO, told(row, "spotIsoBal") or ZERO),
            ordered=stands(row, "ordFrozen"),
            maintenance=told(row, "mmr"),
            borrowing=told(row, "borrowFroz") or ZERO,
            collateral=collateral is None or collateral.value == "" or collateral.flag(),
        )


@dataclass(frozen=True, slots=True)
class Balance:
    """The trading account. `adjusted`, `maintenance` and `ratio` are of all cross positions and debts, in USD, as they are written; empty
    in futures mode. `notional` is what it calls the notional of positions, debts and what open orders would borrow.
    """

    coins: dict[str, Coin]
    adjusted: str
    maintenance: str
    ratio: str
    notional: Decimal
    frozen: Decimal
    updated: int | None

    @property
    def ordering(self) -> bool:
        """Whether open orders hold some of it."""
        return bool(self.frozen or any(coin.ordered or coin.borrowing for coin in self.coins.values()))

    @classmethod
    def of(cls, answer: Any) -> Balance:
        [row] = Answer(answer, "account/balance")["data"].exactly(1)
        coins: dict[str, Coin] = {}
        for entry in row["details"].listing(MOST):
            coin = Coin.of(entry)
            if coin.code in coins:
                raise BadAnswer(f"the balance names {coin.code} twice")
            coins[coin.code] = coin
        needed(row, "totalEq")
        return cls(
            coins,
            text(row, "adjEq"),
            text(row, "mmr"),
            text(row, "mgnRatio"),
            told(row, "notionalUsd") or ZERO,
            told(row, "ordFroz") or ZERO,
            moment(row, "uTime"),
        )


def holdings(answers: Sequence[Any]) -> object:
    """What of a balance trading and transfers move, and prices do not."""
    return {code: (coin.cash, coin.liability, coin.strategies) for code, coin in Balance.of(answers[0]).coins.items()}


@dataclass(frozen=True, slots=True)
class Held:
    """One open position. `contracts` is signed, `coin` what its margin is in; `need` is its maintenance margin, without fees;
    `usd` its notional in USD.
    """

    symbol: str
    kind: str
    coin: str
    isolated: bool
    side: str
    contracts: Decimal
    entry: Decimal
    mark: Decimal
    index: Decimal | None
    profit: Decimal
    margin: Decimal | None
    leverage: Decimal | None
    need: str
    ratio: str
    liquidation: str
    usd_price: Decimal | None
    usd: Decimal | None

    @property
    def key(self) -> str:
        """The contract, with the side where the account can hold both."""
        return self.symbol if self.side == "net" else f"{self.symbol}:{self.side}"

    @classmethod
    def of(cls, row: Answer, sides: Sequence[str]) -> Held | None:
        kind, symbol = row["instType"].text(), row["instId"].text()
        if (size := needed(row, "pos")) == 0:
            return None
        mode, side = row["mgnMode"].text(), row["posSide"].text()
        if mode not in ("cross", "isolated"):
            raise Unsupported(f"{symbol} has margin mode {shown(mode)!r}, which is none that is known")
        modelled = kind in CONTRACTS
        if modelled and side not in sides:
            raise Unsupported(f"{symbol} has position side {shown(side)!r}, which this account's position mode does not have")
        if side != "net" and size < 0:
            raise OutOfRange(f"{row.path}.pos is negative on side {side}")
        entry, mark = (needed(row, name, LEAST) if modelled else ZERO for name in ("avgPx", "markPx"))
        return cls(
            symbol=symbol,
            kind=kind,
            coin=row["ccy"].text(32),
            isolated=mode == "isolated",
            side=side,
            contracts=-size if side == "short" else size,
            entry=entry,
            mark=mark,
            index=told(row, "idxPx") or None,
            profit=needed(row, "upl") if modelled else ZERO,
            margin=needed(row, "margin") if modelled and mode == "isolated" else None,
            leverage=told(row, "lever") or None,
            need=text(row, "mmr"),
            ratio=text(row, "mgnRatio"),
            liquidation=text(row, "liqPx"),
            usd_price=told(row, "usdPx") or None,
            usd=told(row, "notionalUsd"),
        )


def deposits(answer: Any) -> dict[str, Decimal]:
    """Isolated margin by coin that backs no position yet: who moves it by hand can have some, and the balance counts it as isolated."""
    found: dict[str, Decimal] = {}
    for row in rows(answer, "account/positions"):
        margin = told(row, "margin") if needed(row, "pos") == 0 and row["mgnMode"].text() == "isolated" else None
        if margin:
            code = row["ccy"].text(32)
            found[code] = EXACT.add(found.get(code, ZERO), margin)
    return found


def positions(answer: Any, config: Config) -> list[Held]:
    """Open positions, each once."""
    found: dict[tuple[str, bool], Held] = {}
    for row in rows(answer, "account/positions"):
        held = Held.of(row, config.sides)
        if held is None:
            continue
        if (held.key, held.isolated) in found:
            raise BadAnswer(f"the positions name {held.key} twice")
        found[held.key, held.isolated] = held
    return list(found.values())
