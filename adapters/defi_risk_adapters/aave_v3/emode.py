"""eMode: categories of assets that move together, with thresholds of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.spi import Ask
from defi_risk_adapters.aave_v3.configuration import check_ratios
from defi_risk_adapters.aave_v3.reserves import POOL, Reserve
from defi_risk_adapters.aave_v3.versions import Version


@dataclass(frozen=True, slots=True)
class Category:
    """One eMode category. Ratios in basis points, bit i of a bitmap stands for the reserve with id i.

    `price_source`, up to 3.1, replaces the price of every reserve of the category, collateral and debt; empty for none.
    """

    id: int
    ltv: int
    threshold: int
    bonus: int
    price_source: str = ""
    collateral: int = 0
    ltv_zero: int = 0
    isolated: bool = False

    def includes(self, reserve: Reserve, version: Version) -> bool:
        """Whether the category's values hold for this reserve as collateral."""
        if version.category_in_reserve:
            return reserve.configuration.category == self.id
        return bool(self.collateral >> reserve.id & 1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one owner's collateral in one reserve, in basis points; `counts` whether the pool takes it as collateral."""

    ltv: int
    threshold: int
    bonus: int
    counts: bool


def category_asks(pool: Address, version: Version, category: int) -> list[Ask]:
    """What is asked about an owner's category; nothing for those without one."""
    if category == 0:
        return []
    if version.category_in_reserve:
        return [POOL(pool, "getEModeCategoryData", category)]
    names = ["getEModeCategoryCollateralConfig", "getEModeCategoryCollateralBitmap"]
    if version.own_category_values:
        names.append("getEModeCategoryLtvzeroBitmap")
    if version.isolated_categories:
        names.append("getIsEModeCategoryIsolated")
    return [POOL(pool, name, category) for name in names]


def category_of(version: Version, category: int, answers: Sequence[Any]) -> Category | None:
    """The owner's category from the answers to `category_asks`. Raises `OutOfRange` for ratios above one."""
    if category == 0:
        return None
    values = answers[0]
    check_ratios(values.ltv, values.liquidationThreshold, values.liquidationBonus)
    ratios = (values.ltv, values.liquidationThreshold, values.liquidationBonus)
    if version.category_in_reserve:
        return Category(category, *ratios, price_source="" if values.priceSource == ZERO_ADDRESS else values.priceSource)
    ltv_zero = answers[2] if version.own_category_values else 0
    isolated = answers[3] if version.isolated_categories else False
    return Category(category, *ratios, collateral=answers[1], ltv_zero=ltv_zero, isolated=isolated)


def terms(reserve: Reserve, category: Category | None, version: Version) -> Terms:
    """The terms of a collateral: `getUserReserveLtv` and the threshold rules of `calculateUserAccountData`, by version."""
    own = reserve.configuration
    inside = category is not None and category.includes(reserve, version)
    threshold, bonus = (category.threshold, category.bonus) if category and inside else (own.threshold, own.bonus)
    if not version.own_category_values:
        ltv = 0 if own.ltv == 0 else category.ltv if category and inside else own.ltv
        return Terms(ltv, threshold, bonus, counts=own.threshold != 0)
    if category and inside:
        ltv = 0 if category.ltv_zero >> reserve.id & 1 else category.ltv
    else:
        ltv = 0 if category and category.isolated else own.ltv
    return Terms(ltv, threshold, bonus, counts=True)
