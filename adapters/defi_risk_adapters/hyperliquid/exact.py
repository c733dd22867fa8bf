"""A margin account of HyperCore in the venue's own integers.

Prices are the venue's raw ones, sizes `szi`; their product, and every amount here, is in 1e-6 of the coin that the account settles in.
Maintenance rates and deductions are fractions with small denominators, so that no division is rounded: the venue's rounding of its
sums is not published.

Rule (documentation, "Liquidations"): an account is liquidated when its value is below its maintenance margin times `line`. That is 1
for standard margin. A unified or portfolio margin account is liquidated once its ratio is greater than 95 %.

`native`. `accountValue` and `ntlPos` are those of `accountMarginSummary`, of everything in the dex. `accountEquity` and
`maintenanceMargin` are of this account, in 1e-6 of its coin, floored; ratios are in 1e-9, liquidation prices in 1e-10 of the coin, both
rounded half up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk_adapters.hyperliquid.margin import Steps, maintenance

ONE: Final = Fraction(1)
POOLED_LINE: Final = Fraction(20, 19)  # of 95 %
RATIO_SCALE: Final = 10**9
PRICE_SCALE: Final = 10**10


@dataclass(frozen=True, slots=True)
class Perp:
    """One position. `number` is its perpetual's; `size` is signed; `price_places` are those of `mark`; `cash` is the `isolatedRawUsd`
    of an isolated one.
    """

    number: int
    key: str
    asset: Asset
    size: int
    mark: int
    entry: int
    leverage: int
    isolated: bool
    cash: int
    tiers: Steps
    price_places: int

    @property
    def value(self) -> int:
        """Signed notional at the mark."""
        return self.size * self.mark

    @property
    def profit(self) -> int:
        """Unrealised profit at the mark."""
        return self.value - (self.entry if self.size > 0 else -self.entry)

    def margin(self, mark: int) -> Fraction:
        """Maintenance margin at a mark."""
        return maintenance(self.tiers, abs(self.size) * mark)


@dataclass(frozen=True, slots=True)
class Coin:
    """A token that counts as collateral: `worth` in 1e-6 of the account's coin for each unit of its price answer, weighted."""

    key: str
    asset: Asset
    price: int
    worth: Fraction


@dataclass(frozen=True, slots=True)
class Book:
    """All that one dex holds of the account's owner, isolated positions too. `name` is empty for the main dex."""

    name: str
    cash: int
    perps: tuple[Perp, ...]

    def native(self) -> dict[str, int]:
        """The numbers of the dex's `accountMarginSummary` that follow from positions and prices."""
        of = f":{self.name}" if self.name else ""
        return {
            f"accountValue{of}": self.cash + sum(perp.value for perp in self.perps),
            f"ntlPos{of}": sum(abs(perp.value) for perp in self.perps),
        }


@dataclass(frozen=True, slots=True)
class PerpExact:
    """One margin account: `cash` besides what its positions are worth at the mark, and `books`, which are compared with the venue's.

    `ratio` names the venue's own ratio where it shows one for the account's mode.
    """

    cash: Fraction
    perps: tuple[Perp, ...]
    coins: tuple[Coin, ...] = ()
    books: tuple[Book, ...] = ()
    line: Fraction = ONE
    ratio: str = ""

    def native(self) -> dict[str, int | bool]:
        value, needed = self.equity(), self.requirement()
        found: dict[str, int | bool] = {name: number for book in self.books for name, number in book.native().items()}
        found |= {f"szi:{perp.asset.symbol}": perp.size for perp in self.perps}
        found |= {"accountEquity": value.__floor__(), "maintenanceMargin": needed.__floor__()}
        ratio = self.own_ratio()
        if ratio is not None:
            found[self.ratio] = _rounded(ratio * RATIO_SCALE)
        for perp in self.perps:
            price = self.liquidation_price(perp)
            if price is not None:
                found[f"liquidationPx:{perp.asset.symbol}"] = _rounded(price * PRICE_SCALE / 10**perp.price_places)
        return found

    def own_ratio(self) -> Fraction | None:
        """The venue's ratio for the account's mode, which runs up to death; None where it shows none."""
        value = self.equity()
        return self.requirement() / value if self.ratio and value > 0 else None

    def feeds(self) -> tuple[Feed, ...]:
        """Marks of the positions, and prices of the tokens that count."""
        marks = [Feed(perp.key, perp.asset, perp.mark) for perp in self.perps]
        return (*marks, *(Feed(coin.key, coin.asset, coin.price) for coin in self.coins))

    def equity(self, answers: Mapping[str, int] = NOTHING) -> Fraction:
        """What counts for staying alive."""
        value = self.cash + sum(perp.size * answers.get(perp.key, perp.mark) for perp in self.perps)
        return sum((coin.worth * answers.get(coin.key, coin.price) for coin in self.coins), start=value)

    def behind(self, answers: Mapping[str, int] = NOTHING) -> Fraction:
        """What the venue's liquidation prices set against the maintenance margin."""
        return self.equity(answers)

    def requirement(self, answers: Mapping[str, int] = NOTHING) -> Fraction:
        """Maintenance margin of all positions, without the line."""
        return Fraction(sum(perp.margin(answers.get(perp.key, perp.mark)) for perp in self.perps))

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        return self.equity(answers) < self.requirement(answers) * self.line

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """Equity is linear in every price and the requirement convex, so what is safe at both ends is safe between."""
        return not self.liquidatable({key: low}) and not self.liquidatable({key: high})

    def liquidation_price(self, perp: Perp) -> Fraction | None:
        """The mark, in its raw unit, at which value and maintenance margin meet while all other prices stay; None where there is none.

        The documentation's price - side * available / size / (1 - rate * side), in the tier that holds at that price. It knows no line.
        """
        others = self.behind({perp.key: 0}) - self.requirement({perp.key: 0})
        size = abs(perp.size)
        side = 1 if perp.size > 0 else -1
        for place, step in enumerate(perp.tiers):
            # others + side * notional = notional * rate - deduction
            notional = (others + step.deduction) / (step.rate - side)
            below = perp.tiers[place + 1].floor if place + 1 < len(perp.tiers) else None
            if notional > 0 and notional >= step.floor and (below is None or notional < below):
                return notional / size
        return None


def _rounded(number: Fraction) -> int:
    return (number + Fraction(1, 2)).__floor__()
