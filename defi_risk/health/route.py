"""Routes: the paths through the shock space on which books are walked, as straight stages one after the other.

On a stage every key's multiplier is max(0, a + b * m) while m goes from `near` to `far`, as in `distance`; what an account sees depends
on its venue, for a stage may move the prices of one venue only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from defi_risk.health.distance import Ramps
from defi_risk.health.normal import Key
from defi_risk.health.settings import HealthSettings
from defi_risk.health.shock import Shock

Ramp: TypeAlias = Callable[[Key, str], tuple[float, float]]
"""(a, b) of a key at a venue."""
STILL = (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One straight part of a route, from m = `near` to m = `far`."""

    ramp: Ramp
    near: float
    far: float

    def ramps(self, keys: Iterable[Key], venue: str) -> Ramps:
        """The ramps of an account's keys."""
        return {key: self.ramp(key, venue) for key in keys}


Route: TypeAlias = tuple[Stage, ...]


def market_route(settings: HealthSettings, *ratios: float, venue: str | None = None) -> Route:
    """Along the market by beta, from today through the price ratios given (0.5, 4.0: a fall by half, then up to four times today's
    prices). With `venue`, only that venue's prices move.
    """

    def ramp(key: Key, at: str) -> tuple[float, float]:
        if venue is not None and at != venue:
            return STILL
        beta = settings.beta(key.factor)
        return 1.0 - beta, beta

    stops = (1.0, *ratios)
    return tuple(Stage(ramp, near, far) for near, far in pairwise(stops))


def shock_route(*shocks: Shock) -> Route:
    """From today in a straight line to the first shock, from there to the next: m runs from 1 to 2 on each stage."""
    stages: list[Stage] = []
    before = Shock()
    for shock in shocks:
        stages.append(Stage(_between(before, shock), 1.0, 2.0))
        before = shock
    return tuple(stages)


def _between(start: Shock, end: Shock) -> Ramp:
    def ramp(key: Key, venue: str) -> tuple[float, float]:
        here, there = start.multiplier(key, venue), end.multiplier(key, venue)
        return 2.0 * here - there, there - here

    return ramp
