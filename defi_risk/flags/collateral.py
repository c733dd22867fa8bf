"""Flags about collateral: what it consists of, seen through wrappers, and at which venues it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from defi_risk.flags.limits import Limits
from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import MAJORS, posted
from defi_risk.flags.rule import Rule, Scene
from defi_risk.ids import Factor
from defi_risk.text import shown
from defi_risk.words import dollars, line, share

CLASSES: Final[Mapping[str, str]] = {"stables": "stables", "majors": "BTC and ETH", "others": "others"}
SLACK: Final = 1e-9


def _mix(scene: Scene) -> Iterator[Flag]:
    """Only collateral that secures something: what lies idle is nobody's to take."""
    if not scene.whole:
        return
    securing = [known for known in scene.known() if known.figures.requirement_usd > 0]
    amounts = dict.fromkeys(CLASSES, 0.0)
    for known in securing:
        for factor, usd in posted(known).items():
            amounts[_class(scene, factor)] += usd
    total = sum(amounts.values())
    if total <= 0:
        return
    shares = {name: usd / total for name, usd in amounts.items()}
    wrong = [name for name, part in shares.items() if _outside(part, *_range(scene.limits, name))]
    if not wrong:
        return
    moves = {name: (target - shares[name]) * total for name, target in _targets(shares, scene.limits).items()}
    out = ", ".join(f"{dollars(-usd)} out of {CLASSES[name]}" for name, usd in moves.items() if usd < -SLACK * total)
    into = ", ".join(f"{dollars(usd)} into {CLASSES[name]}" for name, usd in moves.items() if usd > SLACK * total)
    faults = ", ".join(f"{share(shares[name])} {CLASSES[name]} (range {_words(scene.limits, name)})" for name in wrong)
    yield Flag(
        code="COLLATERAL_MIX",
        severity=Severity.INFO,
        accounts=tuple(known.account.id for known in securing if posted(known)),
        message=f"{dollars(total)} of collateral are {faults}: move {out} and {into}",
        evidence={
            "collateral_usd": total,
            **{f"{name}_share": share for name, share in shares.items()},
            **{f"move_{name}_usd": usd for name, usd in moves.items()},
        },
        threshold="; ".join(f"{name} {_words(scene.limits, name)}" for name in CLASSES),
    )


def _class(scene: Scene, factor: Factor) -> str:
    return "stables" if scene.settings.stable(factor) else "majors" if factor in MAJORS else "others"


def _range(limits: Limits, name: str) -> tuple[float, float]:
    if name == "stables":
        return limits.stables_low, limits.stables_high
    return (limits.majors_low, limits.majors_high) if name == "majors" else (limits.others_low, limits.others_high)


def _words(limits: Limits, name: str) -> str:
    low, high = _range(limits, name)
    return f"{low * 100:g} to {line(high)}"


def _outside(share: float, low: float, high: float) -> bool:
    return share < low - SLACK or share > high + SLACK


def _targets(shares: Mapping[str, float], limits: Limits) -> dict[str, float]:
    """Shares within all ranges that are reached by moving the least: each at the nearest end of its range, the rest made up in order."""
    found = {name: min(max(share, _range(limits, name)[0]), _range(limits, name)[1]) for name, share in shares.items()}
    rest = 1.0 - sum(found.values())
    for name in CLASSES:
        low, high = _range(limits, name)
        step = min(rest, high - found[name]) if rest > 0 else max(rest, low - found[name])
        found[name] += step
        rest -= step
    return found


def _concentration(scene: Scene) -> Iterator[Flag]:
    """A wallet is no venue: what lies in it is in nobody else's hands."""
    equity = scene.figures.book.net_equity_usd
    if not scene.whole or equity is None or equity <= 0:
        return
    venues: dict[str, float] = {}
    for account, figures, normal, _ in scene.known():
        if any(holding.leg.enabled for holding in normal.holdings):
            venues[account.venue] = venues.get(account.venue, 0.0) + figures.equity_usd
    for venue, usd in sorted(venues.items()):
        if usd > scene.limits.concentration * equity:
            yield Flag(
                code="VENUE_CONCENTRATION",
                severity=Severity.INFO,
                accounts=tuple(known.account.id for known in scene.known() if known.account.venue == venue),
                message=f"{shown(venue)} holds {dollars(usd)}, {share(usd / equity)} of the book's net equity",
                evidence={"venue": venue, "venue_equity_usd": usd, "net_equity_usd": equity, "share": usd / equity},
                threshold=scene.limits.concentration,
            )


RULES = (
    Rule(
        "COLLATERAL_MIX",
        Severity.INFO,
        "The collateral of the book, seen through wrappers, consists of too much or too little of a kind; what to move is worked out.",
        _mix,
        "stables outside {stables_low:.0%} to {stables_high:.0%}, BTC and ETH outside {majors_low:.0%} to {majors_high:.0%}, "
        "others outside {others_low:.0%} to {others_high:.0%}",
    ),
    Rule(
        "VENUE_CONCENTRATION",
        Severity.INFO,
        "Much of the book's net equity lies at one venue.",
        _concentration,
        "above {concentration:.0%} of net equity",
    ),
)
