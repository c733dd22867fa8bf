"""What the venue itself says of an account: its own numbers, its verdict at any oracle answer, and the comparison with ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final, Protocol

from defi_risk.model.assets import Asset
from defi_risk.model.legs import ONE

NOTHING: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Feed:
    """One oracle answer that an account depends on: `key` names it inside its Exact, `asset` is the token it prices, `now` its
    present answer in the oracle's own integer unit (Aave: `getAssetPrice`, Comet: `getPrice`, Compound V2: `getUnderlyingPrice`).
    """

    key: str
    asset: Asset
    now: int


class Exact(Protocol):
    """An account in the venue's own integers at the anchor's time. Pure; the same questions always give the same answers.

    `native` judges the state that the venue's *view* functions see; the other two judge what its *liquidation call* would see
    (accrued to the anchor). `answers` maps feed keys to oracle answers that replace the present ones.
    """

    def native(self) -> Mapping[str, int | bool]:
        """The venue's own numbers under the venue's own names."""
        ...

    def feeds(self) -> tuple[Feed, ...]:
        """The oracle answers that the verdict depends on."""
        ...

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the venue's liquidation call would find the account liquidatable at these answers."""
        ...

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only if the account is certainly not liquidatable at every answer of feed `key` in [low, high], the others
        unchanged. May be False where it is safe (a lower bound on health that is not tight), never True where it is not; exact
        when low = high.
        """
        ...


Native = int | bool | str
"""A venue's own number: an integer of a contract, or the decimal text of an exchange, digit for digit."""


def as_text(value: Native) -> str:
    """A native number as snapshots write it: integers in decimal digits, booleans as `true` and `false`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The venue's own verdict, read at the same block: the numbers of `native` as the venue's views returned them.

    `tolerance` is the relative difference up to which numbers count as equal; None: they are equal digit for digit.
    """

    protocol: Mapping[str, Native]
    match: bool
    tolerance: Decimal | None = None

    @classmethod
    def compare(cls, ours: Mapping[str, int | bool], theirs: Mapping[str, int | bool]) -> SelfCheck:
        """Compare number by number; a name that we do not compute is a difference."""
        return cls(dict(theirs), all(name in ours and ours[name] == value for name, value in theirs.items()))

    @classmethod
    def within(cls, tolerance: Decimal, ours: Mapping[str, str], theirs: Mapping[str, str], scale: Decimal = ONE) -> SelfCheck:
        """Compare decimal texts: they may differ by `tolerance` of the greater, or of `scale` where both are smaller."""
        return cls(
            dict(theirs), all(name in ours and _close(ours[name], text, tolerance, scale) for name, text in theirs.items()), tolerance
        )


def _close(one: str, other: str, tolerance: Decimal, scale: Decimal) -> bool:
    if one == other:
        return True
    try:
        ours, theirs = Decimal(one), Decimal(other)
    except InvalidOperation:
        return False
    return abs(ours - theirs) <= tolerance * max(abs(ours), abs(theirs), scale)
