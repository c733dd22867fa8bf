"""Flags about hedges: legs that offset each other in profit and loss, but lie in accounts that are liquidated one by one."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final, NamedTuple

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import MATERIAL, deltas, moves_alone, owed, positions, posted, price_usd, resized, traded
from defi_risk.flags.rule import Known, Rule, Scene
from defi_risk.health.normal import Holding
from defi_risk.ids import Factor
from defi_risk.model import Side
from defi_risk.text import shown
from defi_risk.words import dollars, percent, share
from defi_risk.words import line as percentage
from defi_risk.words import price as written

SLACK: Final = 1e-9
"""What rounding may take a hedge that follows the advice out of its range by."""


class Offset(NamedTuple):
    """A factor that loans gain by and derivatives accounts lose by (`sign` 1; -1: the reverse), each account with its USD for a doubling
    of it, as positive numbers.
    """

    factor: Factor
    sign: int
    hedged: list[tuple[Known, float]]
    hedges: list[tuple[Known, float]]

    def accounts(self) -> Iterator[Known]:
        """All accounts that have a part in it."""
        yield from (known for known, _ in (*self.hedged, *self.hedges))


def offsets(scene: Scene) -> Iterator[Offset]:
    """All offsetting legs of lending and derivatives accounts, by factor and direction."""
    found: dict[tuple[Factor, int], Offset] = {}
    for known in scene.known():
        for factor, usd in deltas(known, scene.settings).items():
            lending = known.account.side is Side.LENDING
            sign = 1 if (usd > 0) == lending else -1
            offset = found.setdefault((factor, sign), Offset(factor, sign, [], []))
            if usd:
                (offset.hedged if lending else offset.hedges).append((known, abs(usd)))
    for _, offset in sorted(found.items()):
        held, sold = (sum(usd for _, usd in side) for side in (offset.hedged, offset.hedges))
        if min(held, sold) > 0 and min(held, sold) >= MATERIAL * max(held, sold):
            yield offset._replace(hedged=_without_dust(offset.hedged), hedges=_without_dust(offset.hedges))


def _without_dust(legs: list[tuple[Known, float]]) -> list[tuple[Known, float]]:
    most = max(usd for _, usd in legs)
    return [(known, usd) for known, usd in legs if usd >= MATERIAL * most]


def _fragile(scene: Scene) -> Iterator[Flag]:
    for offset in offsets(scene):
        beta = scene.settings.beta(offset.factor) * offset.sign
        if beta == 0:
            continue
        dies_up = beta > 0
        hedges = [(_side(known, up=dies_up), known) for known, _ in offset.hedges if not known.figures.liquidatable]
        hedged = [(_side(known, up=not dies_up), known) for known, _ in offset.hedged if not known.figures.liquidatable]
        weakest = min(hedges, key=_by_distance, default=None)
        strongest = max(hedged, key=_by_distance, default=None)
        if weakest is not None and strongest is not None and weakest[0] < strongest[0]:
            concerned = [known for hf, known in hedges if hf < strongest[0]] + [known for hf, known in hedged if hf > weakest[0]]
            yield _fragile_flag(offset, weakest, strongest, concerned, "rise" if dies_up else "fall")


def _by_distance(item: tuple[float, Known]) -> tuple[float, str]:
    return item[0], item[1].account.id


def _fragile_flag(offset: Offset, weakest: tuple[float, Known], strongest: tuple[float, Known], concerned: list[Known], way: str) -> Flag:
    (hedge_hf, hedge), (hedged_hf, hedged) = weakest, strongest
    back = "fall" if way == "rise" else "rise"
    first, then = _move(hedge_hf, way), _move(hedged_hf, back)
    other = f"no {back} liquidates {hedged.name}" if hedged_hf == inf else f"{hedged.name} stands a {back} of {then} ({hedged_hf:.4f})"
    return Flag(
        code="HEDGE_FRAGILE",
        severity=Severity.WARNING,
        accounts=tuple(sorted(known.account.id for known in concerned)),
        message=(
            f"the {shown(offset.factor)} hedge in {hedge.name} dies first: a market {way} of {first} liquidates it (price ratio "
            f"{hedge_hf:.4f}), while {other}"
        ),
        evidence={
            "factor": offset.factor,
            "hedge": hedge.account.id,
            "hedge_hf": hedge_hf,
            "hedged": hedged.account.id,
            "hedged_hf": None if hedged_hf == inf else hedged_hf,
            "hedged_usd": sum(usd for _, usd in offset.hedged),
            "hedges_usd": sum(usd for _, usd in offset.hedges),
        },
        threshold=None if hedged_hf == inf else hedged_hf,
    )


def _move(ratio: float, way: str) -> str:
    """A price ratio as the move of the market that it is."""
    return share(ratio - 1.0 if way == "rise" else 1.0 - 1.0 / ratio)


def _side(known: Known, *, up: bool) -> float:
    """HF of an account on one side of the market."""
    if up:
        return inf if known.figures.up is None else 1.0 + known.figures.up
    return inf if known.figures.down is None else 1.0 / (1.0 + known.figures.down)


def _stranded(scene: Scene) -> Iterator[Flag]:
    book = scene.figures.book
    found = list(offsets(scene))
    if not found or book.fragmentation is None or book.fragmentation <= scene.limits.fragmentation:
        return
    factors = ", ".join(sorted({shown(offset.factor) for offset in found}))
    yield Flag(
        code="HEDGE_STRANDED",
        severity=Severity.WARNING,
        accounts=tuple(sorted({known.account.id for offset in found for known in offset.accounts()})),
        message=(
            f"legs in {factors} offset each other in profit and loss, not in margin: fragmentation is {book.fragmentation:.2f}, and "
            f"{dollars(book.stranded_usd or 0.0)} to spare elsewhere cannot save the first account that dies"
        ),
        evidence={
            "fragmentation": book.fragmentation,
            "stranded_usd": book.stranded_usd,
            "uhf": book.uhf,
            "netted_uhf": book.netted_uhf,
            "factors": factors,
        },
        threshold=scene.limits.fragmentation,
    )


def _collateral_hedge(scene: Scene) -> Iterator[Flag]:
    loans, sides = list(scene.known(Side.LENDING)), list(scene.known(Side.DERIVATIVES))
    lent: dict[Factor, float] = {}
    for known in loans:
        for factor, usd in posted(known).items():
            # what is owed in the same factor is a hedge already
            net = usd - owed(known).get(factor, 0.0)
            if known.figures.requirement_usd > 0 and net > 0 and not scene.settings.stable(factor):
                lent[factor] = lent.get(factor, 0.0) + net
    if not scene.whole or not lent or not sides:
        return
    factor = max(sorted(lent), key=lambda one: lent[one])
    held = lent[factor] + sum(posted(known).get(factor, 0.0) for known in sides)
    net = sum(traded(known).get(factor, 0.0) for known in sides)
    ratio, limits = max(0.0, -net) / held, scene.limits
    if limits.hedge_low - SLACK <= ratio <= limits.hedge_high + SLACK:
        return
    line = limits.hedge_low if ratio < limits.hedge_low else limits.hedge_high
    loan = max(loans, key=lambda known: (posted(known).get(factor, 0.0), known.account.id))
    side = max(sides, key=lambda known: (abs(traded(known).get(factor, 0.0)), known.figures.free_margin_usd, known.account.id))
    sell = line * held + net
    advice = f"sell {dollars(sell)}" if sell > 0 else f"buy back {dollars(-sell)}"
    effect, says = _effect(scene, loan, side, factor, -sell)
    yield Flag(
        code="COLLATERAL_HEDGE",
        severity=Severity.INFO,
        accounts=tuple(sorted((loan.account.id, side.account.id))),
        message=(
            f"shorts hedge {share(ratio)} of {dollars(held)} of {shown(factor)} collateral, {'below' if line > ratio else 'above'} "
            f"{percentage(line)}: {advice} of it at {side.name}{says}"
        ),
        evidence={
            "factor": factor,
            "collateral_usd": held,
            "hedge_ratio": ratio,
            "derivatives_usd": net,
            "sell_usd": sell,
            "loan": loan.account.id,
            "hedge": side.account.id,
            **effect,
        },
        threshold=line,
    )


def _effect(
    scene: Scene, loan: Known, side: Known, factor: Factor, change: float
) -> tuple[dict[str, float | int | str | bool | None], str]:
    """What the proposal does to both accounts: nothing is known where the derivatives account has no position in the factor yet.

    Margin that the derivatives account would lack is taken to be borrowed from the loan's venue.
    """
    legs: list[Holding[float]] = [holding for holding, _ in positions(side) if holding.key.factor == factor]
    if not legs:
        return {}, ", which has no position in it yet"
    leg = max(legs, key=lambda holding: (abs(holding.value), holding.leg.asset.id))
    after = resized(side, leg, (leg.value + change) / leg.value)
    weighted, lacking = after.weighted(), max(0.0, after.initial - after.weighted())
    mur = after.initial / (weighted + lacking) if weighted + lacking > 0 else None
    _, up = moves_alone(after, factor, strict=side.account.strict, more_debt=-lacking)
    price = price_usd(side, leg)
    limit = loan.figures.weighted_collateral_usd - (loan.figures.initial_requirement_usd - loan.figures.debt_usd)
    loan_mur = (loan.figures.debt_usd + lacking) / limit if limit > 0 else None
    down, _ = moves_alone(loan.normal, factor, strict=loan.account.strict, more_debt=lacking)
    _, up_now = moves_alone(side.normal, factor, strict=side.account.strict)
    down_now, _ = moves_alone(loan.normal, factor, strict=loan.account.strict)
    effect: dict[str, float | int | str | bool | None] = {
        "hedge_dies_up": up_now,
        "loan_dies_down": down_now,
        "hedge_mur": side.figures.mur,
        "hedge_mur_after": mur,
        "hedge_dies_up_after": up,
        "hedge_dies_up_price_after": None if up is None else price * (1.0 + up),
        "borrow_usd": lacking,
        "loan_mur": loan.figures.mur,
        "loan_mur_after": loan_mur,
        "loan_dies_down_after": down,
        "loan_dies_down_price_after": None if down is None else price * (1.0 + down),
    }
    dies = "no rise liquidates it" if up is None else f"a rise to {written(price * (1.0 + up))} ({percent(up)}) liquidates it"
    lent = "no fall liquidates it" if down is None else f"a fall to {written(price * (1.0 + down))} ({percent(down)}) does"
    used = "" if mur is None else f", where margin use is then {share(mur)}"
    with_debt = f" with {dollars(lacking)} borrowed for margin" if lacking else ""
    return effect, f"{used} and {dies}; for {loan.name}{with_debt}, {lent}"


RULES = (
    Rule(
        "COLLATERAL_HEDGE",
        Severity.INFO,
        "Shorts hedge too little or too much of the largest volatile collateral; what to trade, and what that does to both accounts, is "
        "worked out.",
        _collateral_hedge,
        "below {hedge_low:.0%} or above {hedge_high:.0%}",
        spans=True,
    ),
    Rule(
        "HEDGE_FRAGILE",
        Severity.WARNING,
        "A hedge lies in another account than what it hedges, and dies first: its own losing side is nearer.",
        _fragile,
        "HF of the hedge on its dying side below that of the hedged account on the other",
        spans=True,
    ),
    Rule(
        "HEDGE_STRANDED",
        Severity.WARNING,
        "Legs offset each other in different accounts, so that the hedge works in profit and loss but not in margin.",
        _stranded,
        "fragmentation above {fragmentation:.2g}",
        spans=True,
    ),
)
