"""The exact oracle tick: the first answer a venue's oracle could give for one token, going outward from the present one, at which
the venue's own integers say liquidatable.

A branch and bound over whole intervals of answers: `Exact.safe_throughout` throws away an interval at once, what it cannot throw
away is halved, nearest half first, down to single answers. So the result is the first dead answer also where health is not
monotone in the price (Aave up to 3.4 floors the average threshold; a token can be collateral and debt). The float model only
says where to look first: it decides how many questions are asked, never what comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor

from defi_risk.health.figures import Tick
from defi_risk.model import Exact, Feed

MOST_QUESTIONS = 20_000
REACH = 64
"""Rises are searched up to the present answer times 2 ** 64."""
_STRIDE = 16


class _SpentError(Exception):
    """The search asked all the questions it may."""


def ticks(exact: Exact, weigh: Callable[[Feed], float], surplus: float, most: int = MOST_QUESTIONS) -> tuple[Tick, ...]:
    """The ticks of a living account, by feed, down before up. A feed without one on a side has no tick there.

    `weigh`: what the tokens that a feed prices add to the float surplus in USD (debts: less than zero); `surplus`: the float surplus
    itself. A side whose search would take more than `most` questions is left out.
    """
    found: list[Tick] = []
    for feed in exact.feeds():
        if feed.now <= 0:
            continue
        weight = weigh(feed)
        for direction in ("down", "up"):
            answer = _Search(exact, feed, direction, most).run(weight, max(surplus, 0.0))
            if answer is not None:
                found.append(Tick(feed.asset, direction, feed.now, answer))
    return tuple(found)


class _Search:
    """One feed, one direction. Answers are counted as steps away from the present one: 1 is the next integer outward."""

    def __init__(self, exact: Exact, feed: Feed, direction: str, most: int) -> None:
        self.exact = exact
        self.key = feed.key
        self.now = feed.now
        self.sign = -1 if direction == "down" else 1
        self.last = feed.now - 1 if direction == "down" else (feed.now << REACH) - feed.now
        self.left = most

    def run(self, weight: float, surplus: float) -> int | None:
        """The first dead answer, or None where there is none or the search gave up."""
        if self.last < 1:
            return None
        try:
            steps = self._scan(self._guess(weight, surplus))
        except _SpentError:
            return None
        return None if steps is None else self.now + self.sign * steps

    def _guess(self, weight: float, surplus: float) -> int | None:
        """Steps to where the float model sees the line; None where it sees none on this side."""
        if weight * self.sign >= 0:
            return None
        crossing = self.now * (1.0 - surplus / weight)
        if not 0.0 < crossing < float(self.now << REACH):
            return None
        answer = ceil(crossing) - 1 if self.sign < 0 else floor(crossing) + 1
        return max(1, min(self.sign * (answer - self.now), self.last))

    def _scan(self, guess: int | None) -> int | None:
        if guess is None:
            return None if self._safe(1, self.last) else self._first(1, self.last)
        start = self._approach(guess)
        width = 1
        while start <= self.last:
            stop = min(start + width - 1, self.last)
            if start == stop or not self._safe(start, stop):
                found = self._first(start, stop)
                if found is not None:
                    return found
            start, width = stop + 1, width * _STRIDE
        return None

    def _approach(self, guess: int) -> int:
        """The first step not known to be safe, as near to the guess as a few questions show."""
        back = 0
        while guess - back > 1:
            if self._safe(1, guess - back - 1):
                return guess - back
            back = back * _STRIDE or 1
        return 1

    def _first(self, start: int, stop: int) -> int | None:
        """The first dead step in an interval that is not known to be safe."""
        while start < stop:
            middle = (start + stop) // 2
            if self._safe(start, middle):
                start = middle + 1
                continue
            found = self._first(start, middle)
            if found is not None:
                return found
            start = middle + 1
            if self._safe(start, stop):
                return None
        return start if self._dead(start) else None

    def _safe(self, start: int, stop: int) -> bool:
        self._count()
        near, far = self.now + self.sign * start, self.now + self.sign * stop
        return self.exact.safe_throughout(self.key, min(near, far), max(near, far))

    def _dead(self, step: int) -> bool:
        self._count()
        return self.exact.liquidatable({self.key: self.now + self.sign * step})

    def _count(self) -> None:
        if self.left == 0:
            raise _SpentError
        self.left -= 1
