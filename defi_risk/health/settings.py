"""What the model takes as given: which factors stand still in a market move, how far the others go, and the lines for flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from defi_risk.ids import USD, Factor

if TYPE_CHECKING:
    from defi_risk.history import PriceHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """`stables` are the factors that a market move leaves alone; `betas` overrides what any factor but USD does in one.

    There is no default set of stables: a stable taken for volatile would turn distances upside down.

    `volatility` (per day) and `correlation` (keyed `BTC/ETH`) are those given; what is not given comes from `history`. `horizon_days` is
    what sigma distances and chances look ahead. `turn` is where two-way paths of the cascade turn, `links` are pairs of account ids: this
    loan funds that margin. `latencies` are seconds until money that leaves a venue has arrived elsewhere, by venue; `buffer` is the
    share of its requirement that an account keeps above its line when a plan takes from it.
    """

    stables: frozenset[Factor]
    betas: Mapping[Factor, float] = field(default_factory=dict)
    horizon_days: float = 1.0
    volatility: Mapping[str, float] = field(default_factory=dict)
    correlation: Mapping[str, float] = field(default_factory=dict)
    history: PriceHistory | None = None
    turn: float = 0.5
    links: tuple[tuple[str, str], ...] = ()
    latencies: Mapping[str, float] = field(default_factory=dict)
    buffer: float = 0.0

    def beta(self, factor: Factor) -> float:
        """How far the factor moves when the market moves by one."""
        if factor == USD:
            return 0.0
        given = self.betas.get(factor)
        if given is not None:
            return given
        return 0.0 if factor in self.stables else 1.0

    def stable(self, factor: Factor) -> bool:
        """Whether holding the factor counts as holding money (for leverage and exposure)."""
        return factor == USD or factor in self.stables
