"""Chances of liquidation and of loss within a horizon, by simulated paths (`unified-health` section 8).

An account dies the first time that its surplus falls below zero on a path, and is then liquidated once by its rule. Losses are those of
the whole book's equity, penalties included. The same seed gives the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import UsageError
from defi_risk.health.account import Assessed
from defi_risk.health.arrays import Array, Arrays
from defi_risk.health.chance.deaths import Steps, Watch
from defi_risk.health.chance.losses import liquidation
from defi_risk.health.chance.paths import HOURS_A_DAY, Bootstrap, Source, StudentT, Walk, multiplied, steps
from defi_risk.health.figures import Chance, Outlook
from defi_risk.health.settings import HealthSettings
from defi_risk.health.sigma import aligned

if TYPE_CHECKING:
    from defi_risk.health.covariance import Covariance
    from defi_risk.history import PriceHistory

Method = Literal["ewma", "bootstrap"]
USUAL_HORIZONS: Final = (1.0, 7.0)
LONGEST: Final = 365.0
FEWEST_PATHS: Final = 100
MOST_PATHS: Final = 1_000_000
BATCHES: Final = 20
STEP_HOURS: Final = 1.0
FURTHEST: Final = 46.0
"""No price moves by more than this, as a natural logarithm (a factor of 1e20): a guard against overflow alone."""
DAILY: Final = 86_400 * 1.01
"""Seconds between prices that come daily, give or take."""
_NUMBERS: Final = 4_000_000
_MOST_AT_ONCE: Final = 1_000
_DEATHS: Final = 100_000_000


def simulate(
    assessed: Sequence[Assessed],
    arrays: Arrays,
    daily: Covariance,
    settings: HealthSettings,
    *,
    method: Method = "ewma",
    history: PriceHistory | None = None,
    paths: int = 10_000,
    seed: int = 1,
    level: float = 0.99,
    horizons: Sequence[float] = (),
    tails: float = 5.0,
) -> Chance:
    """Chances of the known accounts; `arrays` is `Arrays.of(assessed)`, `daily` the covariance of a day.

    `method` "ewma": Student-t returns of `tails` degrees of freedom with that covariance (infinity: normal); "bootstrap": days of `history`
    (the settings' where none is given). `horizons` in days: the settings' first, then those of 1 and 7 days, where none are given.
    Raises `UsageError` for numbers out of range, and where something that the book holds has no known volatility.
    """
    spans = tuple(horizons) or tuple(dict.fromkeys((settings.horizon_days, *USUAL_HORIZONS)))
    _checked(assessed, spans, paths, level, seed)
    hours = steps(spans)
    history = settings.history if history is None else history
    source = _source(arrays, daily, method, history, hours, tails, seed)
    now = np.array([one.figures.liquidatable for one in assessed], dtype=np.bool_)
    watch = Watch.of(arrays, source.daily, now)
    tallies = [_Tally.of(span, int(np.searchsorted(hours, span * HOURS_A_DAY)) + 1, paths, len(assessed)) for span in spans]
    size = _piece(source, hours, arrays)
    for start in range(0, paths, size):
        count = min(size, paths - start)
        _piece_of(assessed, arrays, watch, source.draw(count), tallies, start)
    return Chance(
        method=method,
        paths=paths,
        seed=seed,
        level=level,
        step_hours=STEP_HOURS,
        outlooks=tuple(tally.outlook(arrays, level) for tally in tallies),
    )


def _checked(assessed: Sequence[Assessed], spans: Sequence[float], paths: int, level: float, seed: int) -> None:
    if not assessed:
        raise UsageError("the book has no known account to simulate")
    for span in spans:
        if not (isfinite(span) and 0 < span <= LONGEST):
            raise UsageError(f"a horizon of {span:g} days", hint=f"chances look ahead by more than 0 and at most {LONGEST:g} days")
    if not FEWEST_PATHS <= paths <= MOST_PATHS:
        raise UsageError(f"{paths} paths", hint=f"give {FEWEST_PATHS} to {MOST_PATHS:,}")
    if not 0.5 <= level < 1:
        raise UsageError(f"a level of {level:g}", hint="give at least 0.5 and less than 1, such as 0.99")
    if seed < 0:
        raise UsageError(f"a seed of {seed}", hint="give 0 or more")


def _source(
    arrays: Arrays, daily: Covariance, method: Method, history: PriceHistory | None, hours: Array, tails: float, seed: int
) -> Source:
    known, matrix = aligned(arrays.axes, daily)
    involved = _involved(arrays)
    if method == "ewma":
        missing = [axis for axis, there, used in zip(arrays.axes, known, involved, strict=True) if used and not there]
        if missing:
            raise UsageError(
                f"no volatility of {', '.join(missing)}", hint="give it under [model] volatility, or a price history under [model] prices"
            )
        return StudentT.of(matrix, hours, tails, seed)
    if history is None:
        raise UsageError("a bootstrap needs a price history", hint="name one under [model] prices")
    columns = [index for index, axis in enumerate(arrays.axes) if involved[index] and _daily_or_finer(history, axis)]
    still = known & (np.diag(matrix) == 0)
    missing = [axis for index, axis in enumerate(arrays.axes) if involved[index] and index not in columns and not still[index]]
    if missing or not columns:
        lacking = ", ".join(missing or arrays.axes) or "any factor"
        raise UsageError(
            f"price history of {history.source}: no daily prices of {lacking}", hint="add them, or use the method ewma with a volatility"
        )
    return Bootstrap.of(history, arrays.axes, columns, hours, seed)


def _daily_or_finer(history: PriceHistory, axis: str) -> bool:
    interval = history.interval(axis)
    return interval is not None and interval <= DAILY


def _involved(arrays: Arrays) -> list[bool]:
    """Which axes move anything that the book owns, owes or needs."""
    gross = np.abs(arrays.weights).sum(axis=0) + np.abs(arrays.needs).sum(axis=0) + np.abs(arrays.worths).sum(axis=0)
    for ladder in arrays.ladders:
        gross += np.abs(ladder.forms).sum(axis=0)
    return [bool(gross[pulled].any()) for pulled in arrays.pulls]


def _piece(source: Source, hours: Array, arrays: Arrays) -> int:
    """How many paths are drawn at once: as many as fit into some 60 MB, and their deaths into 400 MB, whatever the machine."""
    numbers = source.moments * len(arrays.axes) + len(hours) * (len(arrays.keys) + len(arrays.axes))
    return max(1, min(_MOST_AT_ONCE, _NUMBERS // numbers, _DEATHS // len(arrays.ids)))


def _piece_of(assessed: Sequence[Assessed], arrays: Arrays, watch: Watch, walk: Walk, tallies: Sequence[_Tally], start: int) -> None:
    count, length, _ = walk.logs.shape
    logs = multiplied(walk.logs.reshape(count * length, -1), arrays.pulls.astype(np.float64))
    np.exp(np.clip(logs, -FURTHEST, FURTHEST, out=logs), out=logs)
    points = np.ascontiguousarray(logs.reshape(count, length, -1).transpose(1, 0, 2))
    deaths = watch.deaths(points, np.ascontiguousarray(walk.spread.T))
    changes = [np.zeros((count, len(arrays.keys))) for _ in tallies]
    last = max(tally.step for tally in tallies)
    for row in np.flatnonzero((deaths <= last).any(axis=0)).tolist():
        struck = np.flatnonzero(deaths[:, row] <= last)
        when = deaths[struck, row]
        at = np.where((when > 0)[:, None], points[np.maximum(when, 1) - 1, struck], 1.0)
        change = liquidation(assessed[row], arrays, row)(at)
        for tally, total in zip(tallies, changes, strict=True):
            inside = when <= tally.step
            total[struck[inside]] += change[inside]
    worth = arrays.worths.sum(axis=0)
    for tally, total in zip(tallies, changes, strict=True):
        there = points[tally.step - 1]
        gained = np.einsum("pk,k->p", there - 1.0, worth) + np.einsum("pk,pk->p", there, total)
        tally.add(start, deaths, -gained)


@dataclass(frozen=True, slots=True)
class _Tally:
    """What has been counted for one horizon, which ends after `step` steps; deaths `by_account`, the others by path."""

    days: float
    step: int
    losses: Array
    dead: NDArray[np.int64]
    by_account: Array

    @classmethod
    def of(cls, days: float, step: int, paths: int, accounts: int) -> _Tally:
        return cls(days, step, np.zeros(paths), np.zeros(paths, dtype=np.int64), np.zeros(accounts))

    def add(self, start: int, deaths: Steps, losses: Array) -> None:
        died = deaths <= self.step
        here = slice(start, start + len(losses))
        self.losses[here] = losses
        self.dead[here] = died.sum(axis=1)
        self.by_account[:] += died.sum(axis=0)

    def outlook(self, arrays: Arrays, level: float) -> Outlook:
        paths = len(self.losses)
        one, several = int((self.dead >= 1).sum()), int((self.dead >= 2).sum())
        at_risk, shortfall = _tail(self.losses, level)
        batches = np.array([_tail(batch, level) for batch in np.array_split(self.losses, BATCHES)])
        spread = batches.std(axis=0, ddof=1) / BATCHES**0.5
        return Outlook(
            horizon_days=self.days,
            probability=one / paths,
            probability_several=several / paths,
            value_at_risk_usd=at_risk,
            expected_shortfall_usd=shortfall,
            standard_errors={
                "probability": _error(one, paths),
                "probability_several": _error(several, paths),
                "value_at_risk_usd": float(spread[0]),
                "expected_shortfall_usd": float(spread[1]),
            },
            accounts={account: float(count) / paths for account, count in zip(arrays.ids, self.by_account, strict=True)},
        )


def _tail(losses: Array, level: float) -> tuple[float, float]:
    """The loss that is not exceeded with a chance of `level`, and the mean of the losses from there on."""
    at_risk = float(np.quantile(losses, level, method="inverted_cdf"))
    return at_risk, float(losses[losses >= at_risk].mean())


def _error(count: int, paths: int) -> float:
    """Binomial; one hit and one miss are added, for none in 10,000 paths does not mean that there are none."""
    share = (count + 1) / (paths + 2)
    return float((share * (1 - share) / paths) ** 0.5)
