"""Flags about prices that disagree: venues apart from each other, stable coins and pegs that are off."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import price_usd
from defi_risk.flags.rule import Known, Rule, Scene
from defi_risk.health.normal import Holding
from defi_risk.ids import USD, AccountId, Factor, Peg
from defi_risk.model import PAR, Side
from defi_risk.text import shown
from defi_risk.words import dollars, price, share

ROUNDING: Final = 1e-12
"""What a quotient of prices may be above its limit by."""


DUST: Final = 1.0
"""USD of an asset below which nothing in a book depends on it."""


class Seen(NamedTuple):
    """A price in USD as an account's venue sees it."""

    usd: float
    known: Known


def _prices(scene: Scene, side: Side | None = None) -> dict[Factor, list[Seen]]:
    """What the venues say one unit of each unpegged factor is worth, USD itself left out. A dated future's mark is no price of what it
    follows, its index is; a coin that is taken at a dollar is priced by nobody.
    """
    found: dict[Factor, list[Seen]] = {}
    for known in scene.known(side):
        for holding in known.normal.holdings:
            price = _spot(known, holding)
            if holding.key.peg is None and holding.key.factor != USD and price > 0:
                found.setdefault(holding.key.factor, []).append(Seen(price, known))
    return found


def _spot(known: Known, holding: Holding[float]) -> float:
    """USD of one unit as the venue says it; 0 where it does not."""
    position, told = holding.leg.position, holding.leg.price
    if told is not None and told.source == PAR:
        return 0.0
    if position is None or position.expires is None:
        return price_usd(known, holding)
    return 0.0 if position.index is None else price_usd(known, holding) / float(position.mark) * float(position.index)


def _venue_basis(scene: Scene) -> Iterator[Flag]:
    lent, derived = _prices(scene, Side.LENDING), _prices(scene, Side.DERIVATIVES)
    for factor in sorted(lent.keys() & derived.keys()):
        ends = product(_ends(lent[factor]), _ends(derived[factor]))
        pairs = [(here, there) for here, there in ends if here.known.account.venue != there.known.account.venue]
        here, there = max(pairs, key=lambda pair: _apart(pair[0].usd, pair[1].usd), default=(None, None))
        if here is None or there is None:
            continue
        apart = _apart(here.usd, there.usd)
        if apart > scene.limits.basis + ROUNDING:
            yield Flag(
                code="VENUE_BASIS",
                severity=Severity.WARNING,
                accounts=tuple(sorted({here.known.account.id, there.known.account.id})),
                message=(
                    f"{shown(factor)} is ${price(here.usd)} to {here.known.name} and ${price(there.usd)} to {there.known.name}: "
                    f"{share(apart, 2)} apart"
                ),
                evidence={
                    "factor": factor,
                    "lending_venue": here.known.account.venue,
                    "lending_price_usd": here.usd,
                    "derivatives_venue": there.known.account.venue,
                    "derivatives_price_usd": there.usd,
                    "apart": apart,
                },
                threshold=scene.limits.basis,
            )


def _ends(seen: list[Seen]) -> tuple[Seen, Seen]:
    """The lowest and the highest."""
    return min(seen, key=lambda one: one.usd), max(seen, key=lambda one: one.usd)


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other) - 1.0


def _depeg(scene: Scene) -> Iterator[Flag]:
    everywhere = _prices(scene)
    for factor, seen in sorted(everywhere.items()):
        if scene.settings.stable(factor):
            worst = max(seen, key=lambda one: (abs(one.usd - 1.0), one.known.account.id))
            if abs(worst.usd - 1.0) > scene.limits.depeg + ROUNDING:
                says = f"{shown(factor)} is ${worst.usd:,.4f} to {worst.known.name}"
                yield from _depeg_flag(scene, factor, None, worst.usd - 1.0, says, [worst.known])
    pegged = _ratios(scene, {factor: sorted(one.usd for one in seen)[(len(seen) - 1) // 2] for factor, seen in everywhere.items()})
    for (peg, factor, _), seen in sorted(pegged.items(), key=lambda item: item[0]):
        low, high = _ends(seen)
        # what grows against its factor is worth more than it, and by how much nobody tells: less than one, or two answers, is a fault
        apart = 1.0 - low.usd / max(1.0, high.usd)
        if apart > scene.limits.depeg + ROUNDING:
            against = f", {high.usd:,.4f} to {high.known.name}" if high.usd > max(1.0, low.usd) else ""
            says = f"{shown(peg)} is {low.usd:,.4f} to {low.known.name}{against}"
            yield from _depeg_flag(scene, factor, peg, -apart, says, [low.known, high.known])


def _ratios(scene: Scene, book: dict[Factor, float]) -> dict[tuple[Peg, Factor, str], list[Seen]]:
    """What each pegged token is worth in its factor, by the prices of one venue where it prices both, else the book's; by token name.

    wstETH and stETH share a peg, not a price: only what is called the same is compared.
    """
    found: dict[tuple[Peg, Factor, str], list[Seen]] = {}
    for known in scene.known():
        own: dict[Factor, float] = {
            holding.key.factor: price_usd(known, holding) for holding in known.normal.holdings if holding.key.peg is None
        }
        for holding in known.normal.holdings:
            factor, peg = holding.key
            base = 1.0 if factor == USD else own.get(factor, book.get(factor, 0.0))
            price = price_usd(known, holding)
            if peg is not None and base > 0 and price > 0:
                found.setdefault((peg, factor, holding.leg.asset.symbol.casefold()), []).append(Seen(price / base, known))
    return found


def _depeg_flag(scene: Scene, factor: Factor, peg: Peg | None, off: float, says: str, seen: list[Known]) -> Iterator[Flag]:
    """One flag, with what the book's loans and its derivatives accounts have at stake."""
    sides: dict[Side, float] = dict.fromkeys(Side, 0.0)
    accounts: set[AccountId] = {known.account.id for known in seen}
    long = short = touched = 0.0
    for known in scene.known():
        usd = _exposure(known, factor, peg if known.account.side is Side.LENDING else None)
        held = sum(abs(holding.value) for holding in known.normal.holdings if _depends(holding, factor))
        if held:
            touched += held
            sides[known.account.side] += usd
            accounts.add(known.account.id)
        long, short = long + max(0.0, usd), short + max(0.0, -usd)
    if touched < DUST:
        return
    yield Flag(
        code="DEPEG",
        severity=Severity.WARNING,
        accounts=tuple(sorted(accounts)),
        message=(
            f"{says}, {share(abs(off), 2)} off; the book's loans are exposed to it by {dollars(sides[Side.LENDING])}, its derivatives "
            f"accounts by {dollars(sides[Side.DERIVATIVES])}"
        ),
        evidence={
            "factor": factor,
            "peg": peg,
            "off": off,
            "long_usd": long,
            "short_usd": short,
            "lending_usd": sides[Side.LENDING],
            "derivatives_usd": sides[Side.DERIVATIVES],
        },
        threshold=scene.limits.depeg,
    )


def _depends(holding: Holding[float], factor: Factor) -> bool:
    position = holding.leg.position
    return holding.key.factor == factor or (position is not None and position.quote == factor)


def _exposure(known: Known, factor: Factor, peg: Peg | None) -> float:
    """What the account gains when the factor (or the peg alone) doubles, in USD."""
    worth = known.normal.worth().items()
    return sum(usd for key, usd in worth if (key.factor == factor if peg is None else key.peg == peg))


RULES = (
    Rule(
        "DEPEG",
        Severity.WARNING,
        "A stable coin that the book depends on is off its dollar, or a pegged token off its factor.",
        _depeg,
        "more than {depeg:.0%}",
    ),
    Rule(
        "VENUE_BASIS",
        Severity.WARNING,
        "A loan's venue and a derivatives venue price one factor differently.",
        _venue_basis,
        "more than {basis:.0%} apart",
        spans=True,
    ),
)
