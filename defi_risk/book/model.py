"""A book as values: what one owner holds and where to read it. Numbers are exact (`Decimal` from the text of the file)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from defi_risk.ids import Address, ChainId, Factor, Peg
from defi_risk.model import Basis, Contract, FactorRef, Side, Tier
from defi_risk.secrets import Secret

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """A chain of the book. `rpc` are node URLs in the order they are tried; `confirmations` blocks are left between head and anchor.

    `chain_id` None: that of the built-in chain of this name. `multicall3` None: the well-known address, where it has code.
    """

    name: str
    chain_id: ChainId | None = None
    rpc: tuple[Secret, ...] = ()
    confirmations: int = 0
    multicall3: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSettings:
    """A market on top of those built in. `params` are the adapter's root addresses (EIP-55) and settings, in the adapter's order."""

    adapter: str
    chain: str
    name: str
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """An account at an exchange: `id` as ccxt names the exchange, `name` as the owner does. `options` are handed on as they are."""

    id: str
    name: str
    credentials: Mapping[str, Secret] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualHolding:
    """Collateral of a loan, or margin of a derivatives account. `price` in USD for one unit, None: that of the other sources.

    `weight` is the liquidation threshold (margin: 1 - haircut), `initial_weight` the LTV.
    """

    factor: Factor
    peg: Peg | None = None
    amount: Decimal
    price: Decimal | None = None
    weight: Decimal = ONE
    initial_weight: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualDebt:
    """A debt; `price` as for a holding, `apr` the simple annual rate."""

    factor: Factor
    peg: Peg | None = None
    amount: Decimal
    price: Decimal | None = None
    apr: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualPosition:
    """A derivative; the fields are those of `defi_risk.model.Position`. `initial` None: the maintenance rate."""

    factor: Factor
    quote: Factor
    contract: Contract = Contract.LINEAR
    size: Decimal
    entry: Decimal
    mark: Decimal
    tiers: tuple[Tier, ...]
    basis: Basis = Basis.MARK
    initial: Decimal | None = None
    close_fee: Decimal = ZERO
    funding_8h: Decimal | None = None
    unrealized_pnl: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualSettings:
    """A margin account that no adapter reads, as its owner wrote it down. `strict` True: dead only below the line, False: on it."""

    name: str
    side: Side
    strict: bool = True
    close_factor: Decimal = ONE
    bonus: Decimal = ZERO
    remainder: str = "refunded"
    supply_apr: Decimal | None = None
    collateral: tuple[ManualHolding, ...] = ()
    debt: tuple[ManualDebt, ...] = ()
    position: tuple[ManualPosition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Settings of the risk model: volatilities are per day; correlations are keyed `BTC/ETH`; `prices` names a history."""

    horizon_days: Decimal = ONE
    volatility: Mapping[Factor, Decimal] = field(default_factory=dict)
    correlation: Mapping[str, Decimal] = field(default_factory=dict)
    prices: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The two lines of one flag: a figure beyond `warning` is a warning, beyond `critical` critical."""

    warning: Decimal
    critical: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where flags are raised. `near_liquidation` are price ratios to the boundary."""

    near_liquidation: Levels = Levels(warning=Decimal("1.25"), critical=Decimal("1.10"))


@dataclass(frozen=True, slots=True)
class Link:
    """This margin is funded by that loan: account ids, `manual:NAME`, or names of exchanges."""

    loan: str
    margin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What one owner holds. `factors` overrides the token table; its keys are EIP-55 addresses (any chain) or CAIP-19 asset ids."""

    name: str
    file: str = ""
    wallets: tuple[str, ...] = ()
    chains: Mapping[str, ChainSettings] = field(default_factory=dict)
    markets: tuple[MarketSettings, ...] = ()
    exchanges: tuple[ExchangeSettings, ...] = ()
    manual: tuple[ManualSettings, ...] = ()
    model: ModelSettings = ModelSettings()
    factors: Mapping[str, FactorRef] = field(default_factory=dict)
    betas: Mapping[Factor, Decimal] = field(default_factory=dict)
    thresholds: Thresholds = Thresholds()
    links: tuple[Link, ...] = ()
    alerts: tuple[Secret, ...] = ()
