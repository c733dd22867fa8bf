"""What may be asked of a picture beyond the present figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from defi_risk.health.stress.scenarios import Scenario
    from defi_risk.history import RecordedDay


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceAsked:
    """A simulation to be run: `method` "ewma" or "bootstrap", so many `paths`, from this `seed`."""

    method: Literal["ewma", "bootstrap"] = "ewma"
    paths: int = 10_000
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`walk`: stresses and cascades. `scenarios` and replays of recorded `days` come on top of the built-in stresses; `known` are factors
    and pegs that the book need not hold, so that a shock of them is no mistake; `boundary` None: over the two factors that the book
    depends on most; `chance` None: no simulation. `priced` False: the source of past prices failed, so that a chance may be left out.
    """

    walk: bool = True
    scenarios: tuple[Scenario, ...] = ()
    days: tuple[RecordedDay, ...] = ()
    known: tuple[str, ...] = ()
    boundary: tuple[str, str] | None = None
    chance: ChanceAsked | None = None
    priced: bool = True
