"""A recorded day as a path of price multipliers, to be laid over a book of today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray

from defi_risk.errors import UsageError
from defi_risk.history.prices import DAY, PriceHistory


@dataclass(frozen=True, slots=True, eq=False)
class RecordedDay:
    """Multipliers of one UTC day in order: `multipliers[k]` (one column a name) at `times[k]` (unix seconds); the first row is 1.

    `missing` are the history's names that the day does not cover: a replay leaves them where they are, and has to say so.
    """

    date: date
    times: NDArray[np.int64]
    names: tuple[str, ...]
    multipliers: NDArray[np.float64]
    missing: tuple[str, ...]


def day(history: PriceHistory, date: date) -> RecordedDay:
    """The path from the last observation before a UTC day to the last one in it.

    A name is covered where it was observed in the day and no more than 3 intervals before it; between its observations it stands
    still. An observation at 00:00 belongs to the day that begins then, so that a daily close stamped with its date is that day's.
    Raises `UsageError` naming the dates there are where no name is covered.
    """
    start = int(datetime.combine(date, time(), UTC).timestamp())
    first, end = (int(np.searchsorted(history.times, moment)) for moment in (start, start + DAY))
    prices = history.prices[first:end]
    bases = {name: base for name in history.names if (base := _base(history, name, start)) is not None}
    covered = tuple(name for index, name in enumerate(history.names) if name in bases and not bool(np.all(np.isnan(prices[:, index]))))
    if not covered:
        raise UsageError(
            f"price history of {history.source} does not cover {date.isoformat()}",
            hint=f"it holds {_iso(history.start)} to {_iso(history.end)}, and a day needs prices in it and just before it",
        )
    import pandas

    columns = [np.concatenate(([1.0], prices[:, history.names.index(name)] / bases[name][1])) for name in covered]
    before = max(bases[name][0] for name in covered)
    return RecordedDay(
        date=date,
        times=np.concatenate(([before], history.times[first:end])),
        names=covered,
        multipliers=pandas.DataFrame(np.column_stack(columns)).ffill().to_numpy(),
        missing=tuple(name for name in history.names if name not in covered),
    )


def _base(history: PriceHistory, name: str, start: int) -> tuple[int, float] | None:
    """Time and price of the last observation before the day, where it is recent."""
    times, prices = history.observations(name)
    latest = int(np.searchsorted(times, start)) - 1
    interval = history.interval(name)
    if latest < 0 or interval is None or start - int(times[latest]) > 3 * interval:
        return None
    return int(times[latest]), float(prices[latest])


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
