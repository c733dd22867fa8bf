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
    """An account at an exchange: `id` as ccxt names the exchange, `name` as the owner does. `options` are handed on as they are.

    `wallet` is the address by which an exchange on a chain of its own knows the account; `rules` are rule parameters that hold instead of
    the bundled ones (`data/exchanges.toml`).
    """

    id: str
    name: str
    credentials: Mapping[str, Secret] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    url: str | None = None
    wallet: str = ""
    rules: Mapping[str, Decimal] = field(default_factory=dict)


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
    """A debt; `price` as for a holding, `apr` the annual rate, compounded continuously."""

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
    """Settings of the risk model: volatilities are per day; correlations are keyed `BTC/ETH`; `prices` names a history; `turn` is where
    the two-way paths of the cascade turn, as a move of the market. Transfers of borrowed tokens are followed through the last
    `follow_days` to the margin that they fund; 0: not at all.
    """

    horizon_days: Decimal = ONE
    volatility: Mapping[Factor, Decimal] = field(default_factory=dict)
    correlation: Mapping[str, Decimal] = field(default_factory=dict)
    prices: str | None = None
    turn: Decimal = Decimal("0.5")
    follow_days: Decimal = Decimal(30)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """How rescue plans are made: `buffer` is the share of its requirement that an account keeps above its line when money is taken from
    it, `latency` seconds until money that leaves a venue has arrived elsewhere, by venue.
    """

    buffer: Decimal = ZERO
    latency: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where flags are raised (`unified-health` section 9): price ratios and healths as they are, shares and moves as fractions.

    `near_*` are price ratios to the boundary, `sigma_*` standard deviations of a day, `margin_*` healths of derivatives accounts. The
    leverage allowed is `leverage_low` where the health is below `health_low`, `leverage_medium` below `health_medium`, else
    `leverage_high`. `funding` is a rate per 8 hours, `carry` USD a year, `percentile` the share of the year's values below today's.
    """

    near_warning: Decimal = Decimal("1.25")
    near_critical: Decimal = Decimal("1.10")
    sigma_warning: Decimal = Decimal(5)
    sigma_critical: Decimal = Decimal(3)
    margin_warning: Decimal = Decimal("1.2")
    margin_critical: Decimal = Decimal("1.1")
    mur: Decimal = Decimal("0.70")
    stress_health: Decimal = Decimal("1.05")
    stables_low: Decimal = Decimal("0.5")
    stables_high: Decimal = Decimal("0.7")
    majors_low: Decimal = Decimal("0.2")
    majors_high: Decimal = Decimal("0.4")
    others_low: Decimal = ZERO
    others_high: Decimal = Decimal("0.1")
    health_low: Decimal = Decimal("1.2")
    health_medium: Decimal = Decimal(2)
    leverage_low: Decimal = Decimal(3)
    leverage_medium: Decimal = Decimal(5)
    leverage_high: Decimal = Decimal(10)
    risk_share: Decimal = Decimal("0.10")
    drain: Decimal = Decimal("0.5")
    hedge_low: Decimal = Decimal("0.25")
    hedge_high: Decimal = Decimal("0.5")
    fragmentation: Decimal = Decimal("0.5")
    wrong_way: Decimal = Decimal("0.8")
    cluster: Decimal = Decimal("0.05")
    basis: Decimal = Decimal("0.01")
    depeg: Decimal = Decimal("0.01")
    carry: Decimal = ZERO
    funding: Decimal = Decimal("0.001")
    price_move: Decimal = Decimal("0.05")
    correlation: Decimal = Decimal("0.8")
    correlation_rise: Decimal = Decimal("0.2")
    percentile: Decimal = Decimal("0.20")
    concentration: Decimal = Decimal("0.5")
    isolated: Decimal = Decimal(50)


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
    plan: PlanSettings = PlanSettings()
    factors: Mapping[str, FactorRef] = field(default_factory=dict)
    betas: Mapping[Factor, Decimal] = field(default_factory=dict)
    thresholds: Thresholds = Thresholds()
    links: tuple[Link, ...] = ()
    alerts: tuple[Secret, ...] = ()
