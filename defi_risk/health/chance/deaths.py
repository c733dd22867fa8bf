"""First passages: at which step of which path each account falls below its line (`unified-health` section 8).

Between two steps a price moves on, so that looking only at their ends would miss deaths. Every price is therefore looked at a little
further along the account's own most dangerous direction: by 0.5826 standard deviations of the step, the correction that makes barriers
watched at steps agree with barriers watched all the time (Broadie, Glasserman and Kou 1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.arrays import Array, Arrays
from defi_risk.health.chance.paths import pieces
from defi_risk.health.distance import CASH
from defi_risk.health.sigma import gradients_of, gross_of, slopes

OVERSHOOT: Final = 0.5825971579390106
"""- zeta(1/2) / sqrt(2 pi)."""
ROUNDING: Final = 1e-14
"""Below the line by less than this share of an account's absolute terms is on it."""
ALIVE: Final = np.iinfo(np.int16).max
"""The step at which an account dies that does not."""
Steps = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Watch:
    """What there is to know of a book to follow it: `net` is B without ladders, with what is added to it in cash, and `creep` what B
    loses when prices move on by 0.5826 standard deviations of a day; accounts x keys. The stacked ladders have their forms and gates
    from `forms_at` and `gates_at` on.
    """

    arrays: Arrays
    net: Array
    creep: Array
    furthest: float
    now: NDArray[np.bool_]
    forms: Array
    gates: Array
    forms_at: NDArray[np.int64]
    gates_at: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, arrays: Arrays, daily: Array, now: NDArray[np.bool_]) -> Watch:
        """`daily` is the covariance of the axes; `now` says who is dead before the first step."""
        net = arrays.weights - arrays.needs
        net[:, arrays.keys.index(CASH)] += arrays.credits + ROUNDING * gross_of(arrays).sum(axis=1)
        gradients = gradients_of(arrays)
        moved = gradients @ daily
        sigmas = np.sqrt(np.maximum(np.einsum("ai,ai->a", gradients, moved), 0.0))
        ways = OVERSHOOT * (moved @ arrays.pulls) / np.where(sigmas > 0, sigmas, 1.0)[:, None]
        furthest = float(np.abs(ways).max(initial=0.0))
        empty = np.zeros((0, len(arrays.keys)))
        ladders = arrays.ladders
        return cls(
            arrays=arrays,
            net=net,
            creep=slopes(arrays) * ways,
            furthest=furthest,
            now=now,
            forms=np.concatenate([empty, *(ladder.forms for ladder in ladders)]),
            gates=np.concatenate([empty, *(ladder.gates for ladder in ladders)]),
            forms_at=_starts([len(ladder.forms) for ladder in ladders]),
            gates_at=_starts([len(ladder.gates) for ladder in ladders]),
            rows=np.array([ladder.row for ladder in ladders], dtype=np.int64),
        )

    def deaths(self, points: Array, spread: Array) -> Steps:
        """The step of every path's first passage by account (paths x accounts), 0 for now and `ALIVE` for none.

        `points` are multipliers by step, path and key; `spread` is the root of the days of each step by step and path.
        """
        steps, count, _ = points.shape
        found = np.full((count, len(self.net)), ALIVE, dtype=np.int16)
        found[:, self.now] = 0
        # creeping on must not take a price below zero
        spread = np.minimum(spread, 1.0 / self.furthest) if self.furthest > 0 else spread
        for step in range(steps):
            here = points[step]
            crept = here * spread[step][:, None]
            net, bent = self._bounded(here)
            below = self._below(here, crept, net)
            below &= found == ALIVE
            paths, accounts = np.nonzero(below)
            if len(bent) and len(paths):
                sure = self._confirmed(here, crept, paths, accounts, bent)
                paths, accounts = paths[sure], accounts[sure]
            found[paths, accounts] = step + 1
        return found

    def _below(self, here: Array, crept: Array, net: Array) -> NDArray[np.bool_]:
        found = np.empty((len(here), len(net)), dtype=np.bool_)
        for rows in pieces(len(here), net.size):
            np.less(here[rows] @ net.T, crept[rows] @ self.creep.T, out=found[rows])
        return found

    def _bounded(self, here: Array) -> tuple[Array, NDArray[np.int64]]:
        """A linear B that is never above the real one at these points, and the accounts for which it may be below."""
        if not len(self.rows):
            return self.net, self.rows
        low, high = here.min(axis=0), here.max(axis=0)
        rising, falling = np.maximum(self.gates, 0.0), np.minimum(self.gates, 0.0)
        least = np.add.reduceat(rising @ low + falling @ high >= 0, self.gates_at, dtype=np.int64)
        most = np.add.reduceat(rising @ high + falling @ low >= 0, self.gates_at, dtype=np.int64)
        needs = self.forms[self.forms_at + least]
        open_ = np.flatnonzero(least < most)
        for ladder in open_:
            first = self.forms_at[ladder]
            needs[ladder] = self.forms[first + least[ladder] : first + most[ladder] + 1].max(axis=0)
        net = self.net.copy()
        np.subtract.at(net, self.rows, needs)
        return net, np.unique(self.rows[open_])

    def _confirmed(
        self, here: Array, crept: Array, paths: NDArray[np.int64], accounts: NDArray[np.int64], bent: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which of the deaths hold with the brackets as they really are there."""
        sure = np.ones(len(paths), dtype=np.bool_)
        for account in bent:
            which = np.flatnonzero(accounts == account)
            if not len(which):
                continue
            at = here[paths[which]]
            surplus = at @ self.net[account] - crept[paths[which]] @ self.creep[account]
            for ladder in self.arrays.ladders:
                if ladder.row == account:
                    surplus -= ladder.at(at)
            sure[which] = surplus < 0
        return sure


def _starts(sizes: list[int]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.array(sizes, dtype=np.int64))])[: len(sizes)]
