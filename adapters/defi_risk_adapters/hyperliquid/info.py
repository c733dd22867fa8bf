"""What the info service says about one account, and about the perpetuals of a dex: the questions, and their answers as values.

The chain is the authority for sizes, balances and prices. The service gives what the chain does not: the account's mode, which
positions there are, margin tables, funding rates. Its numbers are decimal texts; they stay `Decimal` in whole coins. Fields that are
not named here are ignored, and what is missing or of another kind is a `BadAnswer`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange
from defi_risk.spi import InfoCall
from defi_risk.units import EXACT
from defi_risk_adapters.hyperliquid.margin import FIRST_TABLE, Steps, plain, steps
from defi_risk_adapters.hyperliquid.precompiles import PERP_PLACES

SERVICE: Final = "https://api.hyperliquid.xyz/info"
MOST_DEXS: Final = 256
MOST_COINS: Final = 2_000
MOST_BALANCES: Final = 2_000
MOST_TIERS: Final = 32
HOURS: Final = 8
LARGE: Final = Decimal(10) ** 30
NAME: Final = 64


def question(service: str, kind: str, **fields: Any) -> InfoCall:
    """A question to the service. It is optional: what a failure means depends on what is known without it."""
    return InfoCall(service, json.dumps({"type": kind, **fields}, separators=(",", ":")), optional=True)


@dataclass(frozen=True, slots=True)
class Held:
    """One position as the service lists it. `raw_usd` of an isolated one is its cash."""

    coin: str
    size: Decimal
    isolated: bool
    raw_usd: Decimal
    margin_used: Decimal


@dataclass(frozen=True, slots=True)
class Clearing:
    """`clearinghouseState` of one dex, in the coin that it settles in. `time` in unix milliseconds.

    `value` and `raw` are of everything in the dex, `cross_raw` is the cash of cross margin alone.
    """

    time: int
    value: Decimal
    raw: Decimal
    cross_raw: Decimal
    cross_maintenance: Decimal
    held: tuple[Held, ...]

    @property
    def reserved(self) -> Decimal:
        """Cash that is set aside for orders with isolated margin: neither cross margin nor in a position yet."""
        return self.raw - self.cross_raw - sum((one.raw_usd for one in self.held if one.isolated), Decimal(0))


@dataclass(frozen=True, slots=True)
class Balance:
    """One token in `spotClearinghouseState`. `total` is what the account owns of it, less what it has borrowed. Where it is collateral of
    a portfolio margin account it has an `ltv`, and `supplied` is what is lent out of it.
    """

    token: int
    coin: str
    total: Decimal
    borrowed: Decimal
    supplied: Decimal
    ltv: Decimal

    @property
    def pledged(self) -> Decimal:
        """What counts as collateral, where the token does."""
        return min(self.total, self.supplied)


@dataclass(frozen=True, slots=True)
class Spot:
    """`spotClearinghouseState`. `pooled`: it speaks for an account whose perpetuals draw on spot balances, `portfolio`: for one under
    portfolio margin, whose `ratio` the service gives. `lent` and `supplied` are the used shares of caps by token. `outcomes` counts
    positions in outcome markets, which have no token.
    """

    balances: Mapping[int, Balance]
    pooled: bool
    portfolio: bool
    ratio: Decimal | None
    lent: Mapping[int, Decimal]
    supplied: Mapping[int, Decimal]
    outcomes: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What a dex lists: its coins by their places, delisted ones too, and margin tables by their numbers. `collateral` is the token that
    it settles in.
    """

    places: Mapping[str, int]
    tables: Mapping[int, Answer]
    collateral: int

    def tiers(self, table: int) -> Steps:
        """The tiers of a table. Raises `BadAnswer` for one that the service does not have, or that is none."""
        if table < FIRST_TABLE:
            return plain(table)
        if table not in self.tables:
            raise OutOfRange(f"the info service has no margin table {table}")
        listed = self.tables[table]["marginTiers"].listing(MOST_TIERS)
        return steps((micro(tier["lowerBound"].decimal(0, LARGE)), tier["maxLeverage"].integer(1, 1_000)) for tier in listed)


@dataclass(frozen=True, slots=True)
class Reserve:
    """What portfolio margin lends against a token: `price` in USDC, `ltv` as a fraction; `rate` is what borrowing it costs a year."""

    price: Decimal
    ltv: Decimal
    rate: Decimal


def clearing(given: Any, dex: str) -> Clearing:
    """A `clearinghouseState`."""
    state = Answer(given, f"clearinghouseState {dex}".rstrip())
    every, cross = state["marginSummary"], state["crossMarginSummary"]
    held = tuple(one for one in map(_held, state["assetPositions"].listing(MOST_COINS)) if one.size)
    if len({one.coin for one in held}) < len(held):
        raise OutOfRange(f"{state.path} lists two positions in one coin")
    return Clearing(
        time=state["time"].integer(0, 1 << 53),
        value=_number(every["accountValue"]),
        raw=_number(every["totalRawUsd"]),
        cross_raw=_number(cross["totalRawUsd"]),
        cross_maintenance=_number(state["crossMaintenanceMarginUsed"]),
        held=held,
    )


def _held(entry: Answer) -> Held:
    position = entry["position"]
    leverage = position["leverage"]
    kind = leverage["type"].text()
    if kind not in ("cross", "isolated"):
        raise OutOfRange(f"{leverage.path}.type is {kind!r}", hint="cross and isolated are known")
    return Held(
        coin=position["coin"].text(NAME),
        size=_number(position["szi"]),
        isolated=kind == "isolated",
        raw_usd=_number(leverage["rawUsd"]) if kind == "isolated" else Decimal(0),
        margin_used=_number(position["marginUsed"]),
    )


def spot(given: Any) -> Spot:
    """A `spotClearinghouseState`."""
    state = Answer(given, "spotClearinghouseState")
    rows = state["balances"].listing(MOST_BALANCES)
    balances = {one.token: one for one in (_balance(row) for row in rows if row.get("token") is not None)}
    outcomes = [row for row in rows if row.get("token") is None]
    if len(balances) + len(outcomes) < len(rows):
        raise OutOfRange(f"{state.path} has two balances of one token")
    ratio, enabled = state.get("portfolioMarginRatio"), state.get("portfolioMarginEnabled")
    return Spot(
        balances=balances,
        pooled=state.get("tokenToAvailableAfterMaintenance") is not None,
        portfolio=enabled is not None and enabled.flag(),
        ratio=None if ratio is None else _number(ratio),
        lent=_by_token(state.get("tokenToPortfolioBorrowRatio")),
        supplied=_by_token(state.get("tokenToPortfolioSupplyRatio")),
        outcomes=sum(1 for row in outcomes if _number(row["total"])),
    )


def _balance(row: Answer) -> Balance:
    return Balance(
        token=row["token"].integer(0, 1 << 32),
        coin=row["coin"].text(NAME),
        total=_number(row["total"]),
        borrowed=_optional(row.get("borrowed"), LARGE),
        supplied=_optional(row.get("supplied"), LARGE),
        ltv=_optional(row.get("ltv"), Decimal(1)),
    )


def _optional(answer: Answer | None, most: Decimal) -> Decimal:
    """A number that is left out where it is 0."""
    return Decimal(0) if answer is None else answer.decimal(0, most)


def _by_token(pairs: Answer | None) -> dict[int, Decimal]:
    """`[[token, number], ...]`, nothing where the field is missing."""
    if pairs is None:
        return {}
    found = [pair.exactly(2) for pair in pairs.listing(MOST_BALANCES)]
    return {token.integer(0, 1 << 32): _number(number) for token, number in found}


def dexs(given: Any) -> tuple[str, ...]:
    """`perpDexs`: names in the order of their numbers; the main one, which is null, is empty."""
    listed = Answer(given, "perpDexs").listing(MOST_DEXS)
    names = tuple("" if one.value is None else one["name"].text(NAME) for one in listed)
    if not names or names[0] or not all(names[1:]) or len(set(names)) < len(names):
        raise OutOfRange("perpDexs does not begin with the main dex, or names one of the others twice or not at all")
    return names


def metas(given: Any, names: Sequence[str]) -> tuple[Meta, ...]:
    """`allPerpMetas`, in the order of `perpDexs`. Raises `OutOfRange` where the two do not fit."""
    listed = Answer(given, "allPerpMetas").listing(MOST_DEXS)
    if len(listed) != len(names):
        raise OutOfRange(f"allPerpMetas has {len(listed)} dexs, perpDexs {len(names)}")
    return tuple(meta(one, name) for one, name in zip(listed, names, strict=True))


def meta(state: Answer, dex: str) -> Meta:
    """A `meta`. A coin of another dex than the main one carries the dex's name in front of its own."""
    names = [entry["name"].text(NAME) for entry in state["universe"].listing(MOST_COINS)]
    if len(set(names)) < len(names) or not all(name.startswith(f"{dex}:") if dex else ":" not in name for name in names):
        raise OutOfRange(f"{state.path} lists a coin twice, or one of another dex")
    tables = [pair.exactly(2) for pair in state["marginTables"].listing(MOST_COINS)]
    collateral = state.get("collateralToken")
    return Meta(
        places={name: place for place, name in enumerate(names)},
        tables={number.integer(0, 1 << 32): table for number, table in tables},
        collateral=0 if collateral is None and not dex else state["collateralToken"].integer(0, 1 << 32),
    )


def meta_and_funding(given: Any, dex: str) -> tuple[Meta, dict[str, Decimal]]:
    """`metaAndAssetCtxs`: what a dex lists, and the funding rate for 8 hours by coin. The venue's is for one hour."""
    listed, contexts = Answer(given, f"metaAndAssetCtxs {dex}".rstrip()).exactly(2)
    found = meta(listed, dex)
    rates = [context.get("funding") for context in contexts.listing(MOST_COINS)]
    if len(rates) != len(found.places):
        raise OutOfRange(f"{contexts.path} has {len(rates)} contexts for {len(found.places)} coins")
    return found, {
        coin: EXACT.multiply(rate.decimal(-1, 1), Decimal(HOURS))
        for coin, rate in zip(found.places, rates, strict=True)
        if rate is not None
    }


def vaults(given: Any) -> tuple[str, ...]:
    """`userVaultEquities`: addresses of the vaults that the account has put money into, as given."""
    return tuple(row["vaultAddress"].text(NAME) for row in Answer(given, "userVaultEquities").listing(MOST_DEXS))


def reserves(given: Any) -> dict[int, Reserve]:
    """`allBorrowLendReserveStates` by token."""
    pairs = [pair.exactly(2) for pair in Answer(given, "allBorrowLendReserveStates").listing(MOST_BALANCES)]
    return {token.integer(0, 1 << 32): _reserve(state) for token, state in pairs}


def _reserve(state: Answer) -> Reserve:
    return Reserve(state["oraclePx"].decimal(0, LARGE), state["ltv"].decimal(0, 1), state["borrowYearlyRate"].decimal(0, 1_000))


def mode(given: Any) -> str:
    """`userAbstraction`."""
    return Answer(given, "userAbstraction").text(NAME)


def micro(number: Decimal) -> int:
    """A number of coins in 1e-6 of one. Raises `OutOfRange` for one with more places."""
    scaled = EXACT.scaleb(number, PERP_PLACES)
    if scaled != scaled.to_integral_value():
        raise OutOfRange(f"{number} has more than {PERP_PLACES} places")
    return int(scaled)


def _number(answer: Answer) -> Decimal:
    return answer.decimal(-LARGE, LARGE)
