"""Exchange candles and past oracle answers as price histories, and several histories as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from defi_risk.errors import BadAnswer, OutOfRange, Undecodable, UsageError
from defi_risk.history.prices import LARGEST, SMALLEST, PriceHistory
from defi_risk.ids import USD
from defi_risk.text import shown

EARLIEST: Final = 1_000_000_000
LATEST: Final = 10_000_000_000
"""Unix seconds of 2001 and 2286: a time beyond them is in another unit."""
_CLOSE: Final = 4


class Round(NamedTuple):
    """One past oracle answer: unix seconds, the exact integer, its decimals."""

    updated_at: int
    answer: int
    decimals: int


def from_candles(
    name: str, rows: Iterable[Sequence[object]], *, seconds: int, until: int | None = None, source: str = "candles"
) -> PriceHistory:
    """A history of closes from rows [open time in ms, open, high, low, close, volume] of bars of so many seconds.

    A close is observed in its bar's last second, so that it belongs to the bar's own day. Bars that end after `until` (unix seconds)
    are not over and are left out, as are those without a close; of two rows of one bar the later counts. Raises `Undecodable` for
    rows of another shape, `OutOfRange` for a time or price that cannot be, `BadAnswer` where nothing is left.
    """
    found: dict[int, float] = {}
    for row in rows:
        if len(row) <= _CLOSE:
            raise Undecodable(f"a candle of {shown(name)} has {len(row)} fields", source=source, hint="time, open, high, low, close")
        close = row[_CLOSE]
        if close is None:
            continue
        end = int(_number(row[0], name, source) / 1000) + seconds
        if until is None or end <= until:
            found[_time(end - 1, name, source)] = _price(_number(close, name, source), name, source)
    return _history(name, found, source)


def from_rounds(name: str, rounds: Iterable[Round | tuple[int, int, int]], *, source: str = "oracle rounds") -> PriceHistory:
    """A history of an oracle's past answers, oldest round first. A round without time was never answered and is left out; of two in
    one second the later counts. Raises `OutOfRange` for an answer or time that cannot be, `BadAnswer` where nothing is left.
    """
    found: dict[int, float] = {}
    for updated_at, answer, decimals in rounds:
        if updated_at:
            if not 0 <= decimals <= 77 or abs(answer) >= 1 << 255:
                raise OutOfRange(f"an answer of {shown(name)} has {decimals} decimals or too many digits", source=source)
            found[_time(updated_at, name, source)] = _price(answer / 10**decimals, name, source)
    return _history(name, found, source)


def merge(histories: Iterable[PriceHistory]) -> PriceHistory:
    """All names of several histories on the union of their times. Raises `UsageError` where two hold one name, or there are none."""
    parts = list(histories)
    names = [name for part in parts for name in part.names]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two price histories hold {shown(name)}", hint="select the names to take from each")
    if not parts:
        raise UsageError("no price history to merge", hint="give at least one")
    import pandas

    frames = [pandas.DataFrame(part.prices, part.times, list(part.names)) for part in parts]
    union = pandas.concat(frames, axis="columns", join="outer").sort_index()
    source = ", ".join(dict.fromkeys(part.source for part in parts))
    return PriceHistory(union.index.to_numpy(), tuple(names), union.to_numpy(), source)


def with_pegs(history: PriceHistory, pegs: Iterable[str]) -> PriceHistory:
    """The history with a column for each peg `TOKEN/FACTOR` that it lacks and whose two prices it holds: their ratio where both were
    observed. Of a peg to USD it is the token's price. Raises `UsageError` for a ratio that no price can be.
    """
    names, columns = list(history.names), [history.prices]
    for peg in pegs:
        token, _, factor = peg.rpartition("/")
        if peg in names or token not in history.names or factor not in (*history.names, USD):
            continue
        prices = history.prices[:, history.names.index(token)]
        below = np.ones(len(prices)) if factor not in history.names else history.prices[:, history.names.index(factor)]
        names.append(peg)
        columns.append((prices / below)[:, None])
    return PriceHistory(history.times, tuple(names), np.hstack(columns), history.source)


def _history(name: str, found: dict[int, float], source: str) -> PriceHistory:
    if not found:
        raise BadAnswer(f"no prices of {shown(name)}", source=source, hint="an empty history")
    times = np.array(sorted(found), dtype=np.int64)
    return PriceHistory(times, (name,), np.array([[found[int(each)]] for each in times]), source)


def _number(value: object, name: str, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Undecodable(f"a candle of {shown(name)} holds {shown(repr(value))}, not a number", source=source)
    if not -(10**300) <= value <= 10**300:
        raise OutOfRange(f"a candle of {shown(name)} holds a number that is not finite", source=source)
    return float(value)


def _time(seconds: int, name: str, source: str) -> int:
    if not EARLIEST <= seconds <= LATEST:
        raise OutOfRange(f"a price of {shown(name)} has the time {seconds}", source=source, hint="candles count ms, rounds seconds")
    return seconds


def _price(value: float, name: str, source: str) -> float:
    if not SMALLEST <= value <= LARGEST:
        raise OutOfRange(f"a price of {shown(name)} is {value:g}", source=source, hint="it must be above zero and finite")
    return value
