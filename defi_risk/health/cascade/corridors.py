"""Which account the market would liquidate first from a point of a route, while accounts change one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from math import log

from defi_risk.health.account import Assessed
from defi_risk.health.cascade.fate import SAFE, Lane
from defi_risk.health.distance import Ratios, move_of
from defi_risk.ids import AccountId

Heap = list[tuple[float, AccountId]]


class Corridors:
    """The accounts' corridors, in price ratios of the market from today. Venues whose prices stand still stay at 1 while the market of the
    others moves. `whole`: every venue is on one of these two lanes, else there is no first.
    """

    def __init__(self, assessed: Sequence[Assessed]) -> None:
        self.venues = {one.account.id: one.account.venue for one in assessed}
        self.corridors: dict[AccountId, Ratios] = {one.account.id: one.ratios for one in assessed}
        self.whole = True
        self.lanes: Mapping[str, Lane] = {}
        self.falls: dict[Lane, Heap] = {}
        self.rises: dict[Lane, Heap] = {}

    def enter(self, lanes: Mapping[str, Lane]) -> None:
        """Sort the accounts for a stage."""
        self.lanes = lanes
        self.whole = self.whole and Lane.OTHER not in lanes.values()
        self.falls = {Lane.MARKET: [], Lane.STILL: []}
        self.rises = {Lane.MARKET: [], Lane.STILL: []}
        if not self.whole:
            return
        for account, ratios in self.corridors.items():
            lane = lanes[self.venues[account]]
            if ratios.down is not None:
                self.falls[lane].append((-ratios.down, account))
            if ratios.up is not None:
                self.rises[lane].append((ratios.up, account))
        for heap in (*self.falls.values(), *self.rises.values()):
            heapify(heap)

    def change(self, account: AccountId, corridor: Ratios | None) -> None:
        """An account was liquidated: its corridor is another one, or not known."""
        found = self.corridors[account] = SAFE if corridor is None else corridor
        if not self.whole:
            return
        lane = self.lanes[self.venues[account]]
        if found.down is not None:
            heappush(self.falls[lane], (-found.down, account))
        if found.up is not None:
            heappush(self.rises[lane], (found.up, account))

    def forget(self, account: AccountId) -> None:
        """An account of which nothing can be taken."""
        self.corridors[account] = SAFE

    def first(self, point: float) -> tuple[AccountId, float] | None:
        """The account that a move of the market, from this point, liquidates first, and the move."""
        if not self.whole:
            return None
        found: list[tuple[float, bool, AccountId, float]] = []
        for lane, level in ((Lane.MARKET, point), (Lane.STILL, 1.0)):
            fall, rise = self._top(self.falls[lane], down=True), self._top(self.rises[lane], down=False)
            if fall is not None:
                ratio = min(1.0, -fall[0] / level)
                found.append((-log(ratio), False, fall[1], move_of(ratio)))
            if rise is not None:
                ratio = max(1.0, rise[0] / level)
                found.append((log(ratio), True, rise[1], move_of(ratio)))
        if not found:
            return None
        _, _, account, move = min(found)
        return account, move

    def _top(self, heap: Heap, *, down: bool) -> tuple[float, AccountId] | None:
        """The first entry that still holds."""
        while heap:
            value, account = heap[0]
            corridor = self.corridors[account]
            if (corridor.down if down else corridor.up) == (-value if down else value):
                return heap[0]
            heappop(heap)
        return None
