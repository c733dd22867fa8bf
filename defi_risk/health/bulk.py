"""Many accounts under many shocks at once: the surplus B, the health H and liquidation prices as matrix products.

Rows are accounts, columns are coordinates of the shock space (a factor, a peg, cash), numbers are USD at today's prices; a scenario
is a row of multipliers, one a coordinate, 1 being today. Everything here is linear: C(s) = weighted @ s, R(s) = requirement @ s and
B(s) = net @ s with net = weighted - requirement. An account whose requirement steps with its notional is not of this form.

Verdicts are those of float64: where B is zero up to rounding (about 1e-15 of its terms) the sign is chance. Accounts on their line
belong to the exact arithmetic of `account`.

Memory beside the result is a few tiles that stay in the processor's cache. Products are cut so small that OpenBLAS runs each on the
calling thread: its own threads wait for each other, and are many times slower than one where another process wants a core.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

COUNTED: Final = 255
"""Scenarios in a tile: as many as a byte can count."""
COLUMNS: Final = 256
"""Columns of a tile of B; with 255 rows of float64 it stays in the second-level cache."""
CELLS: Final = COUNTED * COLUMNS
ROWS: Final = 1024
"""Accounts in a tile of the kernels that keep a result per account."""
PRODUCT: Final = 2**18
"""Multiplications up to which OpenBLAS keeps a matrix product on one thread (measured: 0.3.23; later versions allow twice as many)."""
VECTOR: Final = 2**13
"""The same for a matrix times a vector (below 9,216)."""
LARGEST: Final = 1e150
"""Amounts and multipliers lie below this, so that no product of two overflows."""


def count_below(net: Floats, scenarios: Floats, *, strict: bool = True) -> Counts:
    """In how many scenarios each account has B < 0 (not strict: B <= 0).

    Raises `ValueError` for arrays that do not fit or are not finite.
    """
    net, scenarios = _amounts(net, "net"), _multipliers(scenarios, net)
    counts = np.zeros(len(net), np.int64)
    room, part = _Room(), np.empty(COLUMNS, np.uint8)
    for tile in _tiles(len(net), COLUMNS):
        accounts = _finite(net[tile], "net")
        for rows in _tiles(len(scenarios), COUNTED):
            below = room.below(scenarios[rows], accounts.T, strict=strict)
            # bytes are added row by row without widening: at most 255 rows, so none overflows
            counts[tile] += np.add.reduce(below.view(np.uint8), axis=0, dtype=np.uint8, out=part[: len(accounts)])
    return counts


def any_below(net: Floats, scenarios: Floats, *, strict: bool = True) -> tuple[Flags, Counts]:
    """Per scenario: whether any account has B < 0 (not strict: B <= 0), and the row of the first such account (-1: none).

    Raises `ValueError` for arrays that do not fit or are not finite.
    """
    net, scenarios = _amounts(net, "net"), _multipliers(scenarios, net)
    first = np.full(len(scenarios), -1, np.int64)
    room = _Room()
    for rows in _tiles(len(net), COLUMNS):
        accounts = _finite(net[rows], "net")
        for tile in _tiles(len(scenarios), CELLS // len(accounts)):
            below = room.below(accounts, scenarios[tile].T, strict=strict)
            found = below.any(axis=0) & (first[tile] < 0)
            first[tile][found] = rows.start + below[:, found].argmax(axis=0)
    return first >= 0, first


def surplus(net: Floats, scenarios: Floats, out: Floats | None = None) -> Floats:
    """B of each account (rows) in each scenario (columns), USD; into `out` where given, which must not overlap the others.

    Raises `ValueError` for arrays that do not fit or are not finite.
    """
    net, scenarios = _amounts(net, "net"), _multipliers(scenarios, net)
    out = _result(out, (len(net), len(scenarios)))
    for tile in _tiles(len(net), ROWS):
        _multiply(_finite(net[tile], "net"), scenarios.T, out[tile])
    return out


def health(weighted: Floats, requirement: Floats, scenarios: Floats, out: Floats | None = None) -> Floats:
    """H = C / R of each account (rows) in each scenario (columns), never NaN or negative.

    Infinite where nothing is required (R <= 0) of C >= 0; 0 where C < 0, whatever R is. Infinity is for comparisons inside arrays:
    it must not reach a snapshot. Into `out` where given, which must not overlap the others. Raises `ValueError` for arrays that do not
    fit or are not finite.
    """
    weighted, requirement = _amounts(weighted, "weighted"), _amounts(requirement, "requirement")
    if weighted.shape != requirement.shape:
        raise ValueError(f"weighted {weighted.shape} and requirement {requirement.shape} must have one shape")
    scenarios = _multipliers(scenarios, weighted)
    result = _result(out, (len(weighted), len(scenarios)))
    height = max(1, min(ROWS, CELLS // max(1, len(scenarios))))
    room, zero, infinite = (np.full((height, len(scenarios)), value) for value in (0.0, 0.0, np.inf))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        for tile in _tiles(len(weighted), height):
            collateral, required = _finite(weighted[tile], "weighted"), _finite(requirement[tile], "requirement")
            size, ratio = len(required), result[tile]
            needed = room[:size]
            _multiply(collateral, scenarios.T, ratio)
            _multiply(required, scenarios.T, needed)
            # numpy compares whole arrays three times as fast as an array and a number
            np.maximum(needed, zero[:size], out=needed)
            np.divide(ratio, needed, out=ratio)
            np.fmin(ratio, infinite[:size], out=ratio)  # 0 / 0 is NaN, which fmin passes over
            np.maximum(ratio, zero[:size], out=ratio)
    return result


def liquidation_prices(net: Floats, *, out: tuple[Floats, Floats] | None = None) -> tuple[Floats, Floats]:
    """Multipliers (low, high) of each coordinate alone at which B = 0, the others at 1; times today's price: liquidation prices.

    `low` in [0, 1]: 0 where no fall kills. `high` from 1: infinite where no rise does. Both are 1 for an account with B < 0 today.
    Into `out` where given, which must not overlap `net`. Raises `ValueError` for arrays that do not fit or are not finite.
    """
    net = _amounts(net, "net")
    lows, highs = (None, None) if out is None else out
    lows, highs = _result(lows, net.shape), _result(highs, net.shape)
    coordinates = net.shape[1]
    height = max(1, min(ROWS, CELLS // max(1, coordinates)))
    # what the other coordinates come to is summed, not B - net: the root of a position much larger than B keeps its digits
    rest, every = 1.0 - np.eye(coordinates), np.ones((coordinates, 1))
    rooms = [np.full((height, coordinates), value) for value in (0.0, 0.0, 0.0, np.inf)]
    today = np.empty((height, 1))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        for tile in _tiles(len(net), height):
            own, low, high = _finite(net[tile], "net"), lows[tile], highs[tile]
            others, part, zero, infinite = (room[: len(own)] for room in rooms)
            _multiply(own, rest, others)
            np.subtract(zero, own, out=part)
            np.maximum(others, part, out=others)  # B >= 0; the dead are overwritten below
            # a coordinate owed dies upwards at others / -own; one held is divided by 0: infinite, or NaN which fmin passes over
            np.maximum(part, zero, out=part)
            np.divide(others, part, out=high)
            np.fmin(np.abs(high, out=high), infinite, out=high)
            # one held dies downwards at -others / own; one owed is divided by 0: at most 0, or NaN which fmax passes over
            np.add(own, part, out=part)
            np.divide(others, part, out=low)
            np.fmax(np.subtract(zero, low, out=low), zero, out=low)
            _multiply(own, every, today[: len(own)])
            dead = today[: len(own), 0] < 0
            if dead.any():
                low[dead] = high[dead] = 1.0
    return lows, highs


class _Room:
    """Tiles that are used again and again for B and for its comparison with zero."""

    __slots__ = ("_flags", "_surplus")

    def __init__(self) -> None:
        self._surplus = np.empty(CELLS)
        self._flags = np.empty(CELLS, np.bool_)

    def below(self, left: Floats, right: Floats, *, strict: bool) -> Flags:
        """Where left @ right < 0 (<= 0); valid until the next call."""
        shape = len(left), right.shape[1]
        size = shape[0] * shape[1]
        surplus, flags = self._surplus[:size].reshape(shape), self._flags[:size].reshape(shape)
        _multiply(left, right, surplus)
        return np.less(surplus, 0.0, out=flags) if strict else np.less_equal(surplus, 0.0, out=flags)


def _multiply(left: Floats, right: Floats, out: Floats) -> None:
    """left @ right, in pieces that OpenBLAS computes on the calling thread."""
    inner, width = max(1, right.shape[0]), right.shape[1]
    columns = max(1, min(width, VECTOR // inner))
    rows = max(1, min(VECTOR, PRODUCT // max(1, columns)) // inner)
    for tops in _tiles(len(left), rows):
        for sides in _tiles(width, columns):
            np.matmul(left[tops], right[:, sides], out=out[tops, sides])


def _tiles(length: int, height: int) -> Iterator[slice]:
    return (slice(first, min(first + height, length)) for first in range(0, length, height))


def _amounts(values: Floats, name: str) -> Floats:
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise ValueError(f"{name} has {values.ndim} dimensions - accounts in rows, coordinates in columns")
    return values


def _multipliers(scenarios: Floats, amounts: Floats) -> Floats:
    scenarios = _amounts(scenarios, "scenarios")
    if scenarios.shape[1] != amounts.shape[1]:
        raise ValueError(f"scenarios have {scenarios.shape[1]} multipliers for {amounts.shape[1]} coordinates - one for each")
    for tile in _tiles(len(scenarios), ROWS):
        if _finite(scenarios[tile], "scenarios").min(initial=0.0) < 0:
            raise ValueError("scenarios hold a multiplier below zero - 1 is today's price, 0 is worth nothing")
    return scenarios


def _finite(values: Floats, name: str) -> Floats:
    """The same tile. Raises `ValueError` where it holds NaN, infinity or amounts so large that products could overflow."""
    if not (values.min(initial=0.0) > -LARGEST and values.max(initial=0.0) < LARGEST):  # NaN compares as false
        raise ValueError(f"{name} hold NaN, infinity or more than {LARGEST:g} - leave out accounts that are not known")
    return values


def _result(out: Floats | None, shape: tuple[int, int]) -> Floats:
    if out is None:
        return np.empty(shape)
    if out.shape != shape or out.dtype != np.float64:
        raise ValueError(f"out is {out.dtype} {out.shape} - it must be float64 {shape}")
    return out
