"""How reading a source went."""

from __future__ import annotations

from dataclasses import dataclass

from defi_risk.model.assets import Anchor


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What an exchange says that a key may do beside reading; None: it does not say. `bound` tells whether it is tied to addresses."""

    trade: bool | None = None
    withdraw: bool | None = None
    bound: bool | None = None

    @property
    def strong(self) -> bool:
        """Whether the key is known to be able to do harm."""
        return bool(self.trade or self.withdraw)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """How reading one source went. `kind` "chain", "exchange" (a venue's own service) or "manual"; `status` "ok", "stale" or "failed" with
    `error`. `as_of` is the unix time that a service gives its own answers.

    `calls` counts the questions asked after merging equal ones, `round_trips` the times the scan waited for the source, `seconds`
    the wall time of both. `notes` are harmless findings (clock skew, a fallback that was used). `sequencer` says what is wrong with a
    rollup's sequencer, empty where it is up or there is none. `key` is what the key of an exchange account may do; None where none is
    needed.
    """

    id: str
    kind: str = "chain"
    status: str = "ok"
    error: str = ""
    anchor: Anchor | None = None
    calls: int = 0
    round_trips: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    sequencer: str = ""
    as_of: int | None = None
    key: KeyRights | None = None
