"""The pool's packed words: a reserve's configuration and an owner's map of what is supplied and borrowed."""

from __future__ import annotations

from dataclasses import dataclass

from defi_risk.errors import OutOfRange
from defi_risk.units import BPS


@dataclass(frozen=True, slots=True)
class ReserveConfiguration:
    """A reserve's settings. Ratios in basis points, `bonus` as 10,000 plus the bonus, `debt_ceiling` in cents."""

    ltv: int
    threshold: int
    bonus: int
    decimals: int
    active: bool
    paused: bool
    category: int
    debt_ceiling: int
    virtual: bool

    @classmethod
    def unpack(cls, word: int) -> ReserveConfiguration:
        """Read the bit fields. Raises `OutOfRange` for ratios above one."""
        found = cls(
            ltv=word & 0xFFFF,
            threshold=word >> 16 & 0xFFFF,
            bonus=word >> 32 & 0xFFFF,
            decimals=word >> 48 & 0xFF,
            active=bool(word >> 56 & 1),
            paused=bool(word >> 60 & 1),
            category=word >> 168 & 0xFF,
            debt_ceiling=word >> 212 & 0xFF_FFFF_FFFF,
            virtual=bool(word >> 252 & 1),
        )
        check_ratios(found.ltv, found.threshold, found.bonus)
        return found


def check_ratios(ltv: int, threshold: int, bonus: int) -> None:
    """Refuse ratios that no configuration can have. Raises `OutOfRange`."""
    if ltv > BPS or threshold > BPS or 0 < bonus < BPS:
        raise OutOfRange(f"a reserve or eMode category has LTV {ltv}, liquidation threshold {threshold} and bonus {bonus} basis points")


def borrows(map_: int, reserve: int) -> bool:
    """Whether the owner's map marks the reserve with that id as borrowed."""
    return bool(map_ >> 2 * reserve & 1)


def pledges(map_: int, reserve: int) -> bool:
    """Whether the owner's map marks the reserve with that id as collateral."""
    return bool(map_ >> 2 * reserve + 1 & 1)


def pledges_one(map_: int) -> bool:
    """Whether exactly one reserve is marked as collateral."""
    return (map_ & int("10" * 128, 2)).bit_count() == 1
