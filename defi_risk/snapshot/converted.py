"""Results of the health model in the form that snapshots hold: text cleaned, no negative zero, plain tuples and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from defi_risk.health import figures as health
from defi_risk.snapshot.results import Boundary, Chance, Event, Outlook, Sigma, Stress
from defi_risk.text import clean

LONGEST = 200


def sigma(found: health.Sigma) -> Sigma:
    """The book's distance in standard deviations."""
    return Sigma(
        horizon_days=found.horizon_days,
        distance=found.distance,
        account=found.account,
        shock=_named(found.shock),
        missing=tuple(_text(name) for name in found.missing),
    )


def event(found: health.Event) -> Event:
    """One liquidation."""
    return Event(
        move=found.move + 0.0,
        prices=_named(found.prices),
        account=found.account,
        seized_usd=found.seized_usd + 0.0,
        repaid_usd=found.repaid_usd + 0.0,
        penalty_usd=found.penalty_usd + 0.0,
        bad_debt_usd=found.bad_debt_usd + 0.0,
        equity_before_usd=found.equity_before_usd + 0.0,
        equity_after_usd=found.equity_after_usd + 0.0,
        exposure_after=_named(found.exposure_after),
        hedge_break=found.hedge_break,
        spiral=found.spiral,
        first_since_liquidation=found.next_account,
        next_move=found.next_move,
    )


def stress(found: health.Stress) -> Stress:
    """One row of the stress table."""
    return Stress(
        scenario=_text(found.scenario),
        title=_text(found.title),
        shocks=_named(found.shocks),
        equity_usd=found.equity_usd + 0.0,
        min_health=found.min_health,
        account=found.worst_account,
        liquidations=tuple(event(one) for one in found.liquidations),
        penalty_usd=found.penalty_usd + 0.0,
        passed=found.passed,
    )


def boundary(found: health.Boundary) -> Boundary:
    """The joint boundary."""
    first, second = found.factors
    polygon = tuple((x + 0.0, y + 0.0) for x, y in found.polygon)
    return Boundary(factors=(_text(first), _text(second)), polygon=polygon, edges=tuple(found.edges))


def chance(found: health.Chance) -> Chance:
    """The simulation, with the figures of the model's own horizon on top."""
    first, *others = found.outlooks
    return Chance(
        method=cast("Literal['ewma', 'bootstrap']", found.method),
        paths=found.paths,
        seed=found.seed,
        level=found.level,
        step_hours=found.step_hours,
        horizons=tuple(_outlook(one) for one in others),
        horizon_days=first.horizon_days,
        probability=first.probability,
        probability_several=first.probability_several,
        value_at_risk_usd=first.value_at_risk_usd + 0.0,
        expected_shortfall_usd=first.expected_shortfall_usd + 0.0,
        standard_errors=dict(first.standard_errors),
        accounts={str(account): chance for account, chance in first.accounts.items()},
    )


def _outlook(one: health.Outlook) -> Outlook:
    return Outlook(
        horizon_days=one.horizon_days,
        probability=one.probability,
        probability_several=one.probability_several,
        value_at_risk_usd=one.value_at_risk_usd + 0.0,
        expected_shortfall_usd=one.expected_shortfall_usd + 0.0,
        standard_errors=dict(one.standard_errors),
        accounts={str(account): chance for account, chance in one.accounts.items()},
    )


def _named(numbers: Mapping[str, float]) -> dict[str, float]:
    return {_text(name): value + 0.0 for name, value in sorted(numbers.items())}


def _text(text: str) -> str:
    return clean(text, LONGEST) if text else ""
