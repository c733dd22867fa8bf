"""Flags from what happens on the way: stresses, paths, rescue plans."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Known, Rule, Scene, listed
from defi_risk.health.distance import Ratios, crossing, market
from defi_risk.health.figures import Event, Stress
from defi_risk.ids import AccountId
from defi_risk.model import Side
from defi_risk.text import shown
from defi_risk.words import at_least, dollars, percent

LITTLE: Final = 1e-9
PASSING: Final = 1.05
"""The health below which a derivatives account does not pass a stress (`defi_risk.health.stress`)."""
FURTHEST: Final = {"down": -0.9, "up": 3.0}
"""How far the paths go that accounts are compared on."""


def _stress_breach(scene: Scene) -> Iterator[Flag]:
    known = {one.account.id: one for one in scene.known()}
    for stress in scene.figures.stress:
        dead = {account for account, surplus in stress.account_surplus_usd.items() if surplus < 0}
        dead |= {event.account for event in stress.liquidations}
        thin = {id for id in known if _thin(stress, known[id], scene.limits.stress_health)}
        if not stress.passed and not dead and not thin and scene.limits.stress_health >= PASSING and stress.worst_account is not None:
            thin = {stress.worst_account}
        if dead or thin:
            yield _breach(stress, dead, thin - dead, known, scene.limits.stress_health)


def _thin(stress: Stress, known: Known, line: float) -> bool:
    health = stress.account_health.get(known.account.id)
    return known.account.side is Side.DERIVATIVES and health is not None and health < line


def _breach(stress: Stress, dead: set[AccountId], thin: set[AccountId], known: dict[AccountId, Known], line: float) -> Flag:
    parts: list[str] = []
    if dead:
        parts.append(f"liquidates {_listed(dead, known)}")
    if thin:
        parts.append(f"leaves {_listed(thin, known)} below {line:g} times the maintenance requirement")
    title = f" ({shown(stress.title, 100)})" if stress.title not in ("", stress.scenario) else ""
    return Flag(
        code="STRESS_BREACH",
        severity=Severity.WARNING,
        accounts=tuple(sorted(dead | thin)),
        message=f"stress {shown(stress.scenario, 60)}{title} {' and '.join(parts)}; equity is then {dollars(stress.equity_usd)}",
        evidence={
            "scenario": stress.scenario,
            "min_health": stress.min_health,
            "worst_account": stress.worst_account,
            "lowest_surplus_usd": min(stress.account_surplus_usd.values(), default=None),
            "liquidations": len(stress.liquidations),
            "penalty_usd": stress.penalty_usd,
            "equity_usd": stress.equity_usd,
        },
        threshold=line if not dead else 0.0,
    )


def _listed(ids: set[AccountId], known: dict[AccountId, Known]) -> str:
    return listed([known[id].name for id in sorted(ids) if id in known])


def _cluster(scene: Scene) -> Iterator[Flag]:
    sides = {side: list(scene.known(side)) for side in Side}
    for way, furthest in FURTHEST.items():
        loans, perps = (_deaths(sides[side], way, furthest) for side in (Side.LENDING, Side.DERIVATIVES))
        pairs = [*_nearest(loans, perps, scene.limits.cluster)]
        pairs += [(apart, loan, perp) for apart, perp, loan in _nearest(perps, loans, scene.limits.cluster)]
        if pairs:
            apart, (here, loan), (there, perp) = min(pairs, key=lambda pair: (pair[0], pair[1][1].account.id, pair[2][1].account.id))
            yield Flag(
                code="LIQUIDATION_CLUSTER",
                severity=Severity.WARNING,
                accounts=tuple(sorted({one.account.id for _, (_, left), (_, right) in pairs for one in (left, right)})),
                message=(
                    f"on the way {way}, {loan.name} is liquidated at {percent(here - 1)} and {perp.name} at {percent(there - 1)}: a "
                    f"price ratio of {1 + apart:.4f} apart"
                ),
                evidence={
                    "direction": way,
                    "loan": loan.account.id,
                    "loan_move": here - 1,
                    "derivatives": perp.account.id,
                    "derivatives_move": there - 1,
                    "apart": apart,
                },
                threshold=scene.limits.cluster,
            )


Death: TypeAlias = tuple[float, Known]
"""The price ratio of the market that kills an account, and the account."""


def _deaths(accounts: Iterable[Known], way: str, furthest: float) -> list[Death]:
    """Deaths of living accounts on one side, within the path, lowest price first."""
    found = [(1.0 + move, known) for known in accounts if (move := _move(known, way)) is not None and abs(move) <= abs(furthest)]
    return sorted(found, key=lambda death: (death[0], death[1].account.id))


def _nearest(deaths: list[Death], others: list[Death], cluster: float) -> Iterator[tuple[float, Death, Death]]:
    """Each death with the nearest of the others, as a price ratio less one, where that is within the cluster."""
    prices = [price for price, _ in others]
    for death in deaths:
        place = bisect_left(prices, death[0])
        around = [(max(other[0] / death[0], death[0] / other[0]) - 1.0, death, other) for other in others[max(0, place - 1) : place + 1]]
        closest = min(around, key=lambda pair: pair[0], default=None)
        if closest is not None and closest[0] <= cluster:
            yield closest


def _move(known: Known, way: str) -> float | None:
    """The market move that kills a living account on that side."""
    if known.figures.liquidatable:
        return None
    return known.figures.down if way == "down" else known.figures.up


def _cascade(scene: Scene) -> Iterator[Flag]:
    known = {one.account.id: one for one in scene.known()}
    seen: set[tuple[AccountId, float]] = set()
    for path, events in sorted(scene.figures.cascade.items()):
        # what is liquidated first on a two-way path is what is on one of the straight ones
        if not events or events[0].account not in known or (events[0].account, events[0].move) in seen:
            continue
        first = known[events[0].account]
        seen.add((first.account.id, events[0].move))
        nearer = [
            (after, one)
            for one in known.values()
            if one.account.side is not first.account.side
            and not one.figures.liquidatable
            and (after := _hf_after(scene, one, path, events[0])) is not None
            and (one.figures.hf is None or after < one.figures.hf * (1.0 - LITTLE))
        ]
        if nearer:
            yield _cascade_flag(path, events[0], first, nearer)


def _hf_after(scene: Scene, one: Known, path: str, first: Event) -> float | None:
    """HF of an account measured from the prices of the first liquidation; None where it is not known, or infinite."""
    if path in FURTHEST:
        surplus = scene.assessed[one.account.id].surplus
        ramps = market(surplus.coordinates(), scene.settings)
        there = {key: max(0.0, a + b * (1.0 + first.move)) for key, (a, b) in ramps.items()}
        onward = {key: (there[key] * a, there[key] * b) for key, (a, b) in ramps.items()}
        return Ratios(crossing(surplus, onward, 1.0, 0.0), crossing(surplus, onward, 1.0, float("inf"))).hf()
    if first.next_account != one.account.id or first.next_move is None:
        return None
    return max(1.0 + first.next_move, 1.0 / (1.0 + first.next_move))


def _cascade_flag(path: str, event: Event, first: Known, nearer: list[tuple[float, Known]]) -> Flag:
    after, nearest = min(nearer, key=lambda item: (item[0], item[1].account.id))
    today = nearest.figures.hf
    before = "no market move would liquidate it today" if today is None else f"today {today:.4f}"
    return Flag(
        code="CASCADE",
        severity=Severity.WARNING,
        accounts=tuple(sorted({first.account.id, *(one.account.id for _, one in nearer)})),
        message=(
            f"path {shown(path, 40)}: when {first.name} is liquidated at {percent(event.move)}, {nearest.name} is a price "
            f"ratio of {after:.4f} from its own liquidation ({before})"
        ),
        evidence={
            "path": path,
            "first": first.account.id,
            "first_move": event.move,
            "next": nearest.account.id,
            "next_hf": after,
            "next_hf_today": today,
            "hedge_break": event.hedge_break,
        },
    )


def _rescue_infeasible(scene: Scene) -> Iterator[Flag]:
    plan = scene.plan
    sides = {side: [one.account.id for one in scene.known(side) if one.figures.requirement_usd > 0] for side in Side}
    if plan is None or not all(sides.values()) or (plan.feasible and plan.outside_capital_usd <= 0):
        return
    outside = plan.outside_capital_usd
    needs = f"it takes {at_least(outside)} from outside" if outside > 0 else "more must be closed or repaid than the venues allow to move"
    yield Flag(
        code="RESCUE_INFEASIBLE",
        severity=Severity.WARNING,
        accounts=tuple(sorted(id for ids in sides.values() for id in ids)),
        message=f"no transfer within the book survives the configured stress: {needs}",
        evidence={"feasible": plan.feasible, "outside_capital_usd": outside},
    )


RULES = (
    Rule(
        "CASCADE",
        Severity.WARNING,
        "At the first liquidation of a path, an account of the other kind is nearer to its own than it is today.",
        _cascade,
        "HF measured from the prices there below today's",
        spans=True,
    ),
    Rule(
        "LIQUIDATION_CLUSTER",
        Severity.WARNING,
        "A loan and a derivatives account are liquidated close to each other on one path: no time to act in between.",
        _cluster,
        "within {cluster:.0%} of price",
        spans=True,
    ),
    Rule(
        "RESCUE_INFEASIBLE",
        Severity.WARNING,
        "No transfer within the book survives the configured stress.",
        _rescue_infeasible,
        "any capital needed from outside",
        spans=True,
    ),
    Rule(
        "STRESS_BREACH",
        Severity.WARNING,
        "In a stress an account falls below its line, or a derivatives account close to it.",
        _stress_breach,
        "surplus below 0, or a derivatives account with H below {stress_health:g}",
    ),
)
