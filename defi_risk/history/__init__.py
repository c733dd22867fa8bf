"""Past prices and what is read out of them: returns, volatility, correlation, the largest moves, recorded days to replay.

prices.py      the history itself: observations by time and name, returns on a regular grid
measures.py    largest move, rolling correlation, realised volatility, and how today compares with the past
replays.py     one recorded day as a path of multipliers
convert.py     exchange candles and oracle rounds as histories; several histories as one
files.py       a history from a CSV file
columns.py     a history from a Parquet file
times.py       times as files hold them
stored.py      what a large CSV file held, in the cache

Only `load` reads anything; all else is pure. Numbers are read, aligned and rolled by pandas, which is imported where it is used: a scan
without prices does without it. A missing observation is NaN inside a history's array and None in every result.
"""

from defi_risk.history.convert import Round, from_candles, from_rounds, merge, with_pegs
from defi_risk.history.files import load
from defi_risk.history.measures import (
    CorrelationShift,
    LargestMove,
    Series,
    VolatilityShift,
    correlation_shift,
    largest_move,
    percentile,
    realised_volatility,
    rolling_correlation,
    volatility_shift,
)
from defi_risk.history.prices import DAY, HOUR, PriceHistory, Returns
from defi_risk.history.replays import RecordedDay, day

__all__ = [
    "DAY",
    "HOUR",
    "CorrelationShift",
    "LargestMove",
    "PriceHistory",
    "RecordedDay",
    "Returns",
    "Round",
    "Series",
    "VolatilityShift",
    "correlation_shift",
    "day",
    "from_candles",
    "from_rounds",
    "largest_move",
    "load",
    "merge",
    "percentile",
    "realised_volatility",
    "rolling_correlation",
    "volatility_shift",
    "with_pegs",
]
