"""Random positions for the judge: accounts that could be, over the exchange's own table of brackets, and the questions about them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from math import exp, log
from random import Random
from typing import Any, Final

from defi_risk_adapters.exchanges import common

from defi_risk.ids import Factor
from defi_risk.model import Basis, Position, Tier
from tests.judge.environment import tables

SEED: Final = int(os.environ.get("DEFI_RISK_SEED", "20260922"))
TIMES: Final = int(os.environ.get("DEFI_RISK_EXAMPLES", "1"))
GROUPS: Final = {
    ("Binance", "isolated"): 250,
    ("Binance", "cross"): 300,
    ("Binanceusdm", "cross"): 50,
    ("Bybit", "isolated"): 80,
    ("Okx", "isolated"): 80,
    ("Gate", "isolated"): 80,
    ("Bitget", "isolated"): 60,
    ("Krakenfutures", "isolated"): 20,
    ("Hyperliquid", "isolated"): 40,
    ("Hyperliquid", "cross"): 40,
}
TAKER: Final = Decimal("0.0005")
LARGEST: Final = Decimal(10) ** 10
"""Where a last bracket ends for us that has no end."""
USDT: Final = Factor("USDT")


@dataclass(frozen=True, slots=True)
class Row:
    """A bracket as the exchange told it."""

    floor: Decimal
    cap: Decimal
    rate: Decimal
    cum: Decimal
    leverage: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position of a random account; `size` is signed."""

    pair: str
    size: Decimal
    entry: Decimal
    mark: Decimal
    leverage: Decimal

    @property
    def short(self) -> bool:
        return self.size < 0

    @property
    def coin(self) -> str:
        return self.pair.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An account: the wallet that stands behind one position, and the others that it stands behind too."""

    kind: str
    mode: str
    wallet: Decimal
    own: Holding
    others: tuple[Holding, ...] = ()


@cache
def rows() -> Mapping[str, tuple[Row, ...]]:
    """Every contract in USDT of the exchange's own table."""
    return {
        pair: tuple(
            Row(
                floor=Decimal(tier["minNotional"]),
                cap=Decimal(tier["maxNotional"]),
                rate=Decimal(tier["maintenanceMarginRate"]),
                cum=Decimal(tier["info"]["cum"]),
                leverage=Decimal(tier["maxLeverage"]),
            )
            for tier in tiers
        )
        for pair, tiers in tables().items()
        if pair.endswith("/USDT:USDT")
    }


def with_deductions(kind: str) -> bool:
    """Whether freqtrade's class knows the amounts at which brackets meet."""
    return kind.startswith("Binance")


def brackets(kind: str, pair: str) -> tuple[Tier, ...]:
    """Brackets as a reader builds them; without deductions for the classes that know none, one for Hyperliquid's."""
    if kind == "Hyperliquid":
        return (Tier(Decimal(0), 1 / (2 * rows()[pair][0].leverage), Decimal(0)),)
    met = common.brackets((row.floor, row.rate) for row in rows()[pair])
    return met if with_deductions(kind) else tuple(replace(tier, deduction=Decimal(0)) for tier in met)


def fee(kind: str) -> Decimal:
    return TAKER if kind in ("Okx", "Gate", "Bitget", "Krakenfutures") else Decimal(0)


def position(kind: str, held: Holding) -> Position:
    """The position as a reader builds it. Bybit judges an isolated one by its value at entry."""
    return Position(
        size=held.size,
        entry=held.entry,
        mark=held.mark,
        quote=USDT,
        tiers=brackets(kind, held.pair),
        basis=Basis.ENTRY if kind == "Bybit" else Basis.MARK,
        initial_rate=1 / held.leverage,
        close_fee=fee(kind),
    )


def number(value: float, digits: int = 6) -> Decimal:
    return Decimal(f"{value:.{digits}g}")


def drawn(random: Random, pair: str) -> Holding:
    """A position of a random bracket, side, price and leverage; its mark has moved a little since."""
    row = random.choice(rows()[pair])
    low, high = max(row.floor, Decimal(10)), min(row.cap, LARGEST)
    worth = exp(random.uniform(log(low), log(max(high, low * 2))))
    entry = number(exp(random.uniform(log(0.01), log(100_000))))
    side = random.choice((1, -1))
    size = number(side * worth / float(entry))
    leverage = Decimal(random.randint(1, int(row.leverage)))
    moved = 1 + side * random.uniform(-0.3, 1) / float(leverage) / 2
    return Holding(pair=pair, size=size, entry=entry, mark=number(float(entry) * moved), leverage=leverage)


def case(random: Random, kind: str, mode: str) -> Case:
    """An account that could be. Of the others freqtrade takes a short's profit with a long's sign: a short of them stands at its entry."""
    several = 1 if mode == "isolated" or kind == "Hyperliquid" else random.randint(1, 5)
    own, *others = (drawn(random, pair) for pair in random.sample(sorted(rows()), several))
    others = [replace(held, mark=held.entry) if held.short else held for held in others]
    if kind == "Hyperliquid":
        own = replace(own, mark=own.entry)
    needed = sum((abs(held.size) * held.entry / held.leverage for held in (own, *others)), Decimal(0))
    wallet = needed if kind == "Bybit" else needed * number(random.uniform(0.9, 2.5), 4)
    return Case(kind=kind, mode=mode, wallet=wallet, own=own, others=tuple(others))


@cache
def cases() -> Mapping[tuple[str, str], list[Case]]:
    random = Random(SEED)  # noqa: S311  # no secret hangs on it
    return {group: [case(random, *group) for _ in range(count * TIMES)] for group, count in GROUPS.items()}


def question(kind: str, mode: str, given: Sequence[Case], stakes: Sequence[Sequence[Decimal]]) -> dict[str, Any]:
    """A group of accounts for freqtrade; of each it is asked the price once for each stake."""
    pairs = {held.pair for one in given for held in (one.own, *one.others)}
    limits = {pair: {"leverage": {"max": float(rows()[pair][0].leverage)}} for pair in pairs}
    plain = {
        pair: [
            {
                "minNotional": float(row.floor),
                "maxNotional": float(row.cap),
                "maintenanceMarginRate": float(row.rate),
                "maxLeverage": float(row.leverage),
            }
            for row in rows()[pair]
        ]
        for pair in pairs
    }
    return {
        "class": kind,
        "mode": mode,
        "markets": {pair: {"inverse": False, "taker": float(TAKER), "limits": limits[pair]} for pair in pairs},
        "tiers": None if with_deductions(kind) else plain,
        "positions": [
            {
                "pair": one.own.pair,
                "open_rate": float(one.own.entry),
                "is_short": one.own.short,
                "amount": float(abs(one.own.size)),
                "leverage": float(one.own.leverage),
                "wallet_balance": float(one.wallet),
                "brackets": [float(stake) for stake in asked],
                "open_trades": [
                    {
                        "pair": held.pair,
                        "amount": float(abs(held.size)),
                        "open_rate": float(held.entry),
                        "is_short": held.short,
                        "stake_amount": float(abs(held.size) * held.mark),
                        "mark": float(held.mark),
                    }
                    for held in one.others
                ],
            }
            for one, asked in zip(given, stakes, strict=True)
        ],
    }


def stakes(one: Case) -> list[Decimal]:
    """What freqtrade is asked with: a notional of every bracket, the one at entry, and the collateral, which it would take by itself."""
    collateral = one.wallet if one.mode == "isolated" else abs(one.own.size) * one.own.entry / one.own.leverage
    if one.kind == "Hyperliquid":
        return [collateral] * 3
    at_entry = abs(one.own.size) * one.own.entry
    return [*(row.floor for row in rows()[one.own.pair]), at_entry, collateral]
