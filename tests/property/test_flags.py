"""What holds of the flags of any book."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from random import Random

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk import flags, health
from defi_risk.flags import ALL, Flag, Severity
from defi_risk.health import HealthSettings
from defi_risk.history import DAY, HOUR, PriceHistory
from defi_risk.ids import AccountId
from defi_risk.model import Account, KeyRights, Leg, Price, Role, Side, SourceReport
from defi_risk.units import Quantity
from tests import strategies as own
from tests.accounts import BTC, ETH, SOL, USD

HEALTH_FAMILY = {"LIQUIDATABLE", "NEAR_LIQUIDATION"}
GRAVITY = list(Severity)
VOLATILE: dict[str, float] = {ETH: 0.04, BTC: 0.03, SOL: 0.08}
_STEPS = np.random.default_rng(1).normal(0.0, 0.01, (1_000, 3))
_TIMES = 1_700_000_000 + HOUR * np.arange(1_000)
WALKED = PriceHistory(_TIMES, (BTC, ETH, SOL), np.exp(np.cumsum(_STEPS, axis=0)) * 100.0, "made up")
TIES = {"ETH/SOL": 0.9, "BTC/SOL": 0.9, "BTC/ETH": 0.9}


def raised(book: list[Account], settings: HealthSettings) -> tuple[Flag, ...]:
    return flags.run(book, health.run(book, settings), (), settings)


@own.examples(50)
@given(own.books(), own.settings, st.randoms(use_true_random=False))
def test_flags_are_whole_and_do_not_depend_on_the_order(book: list[Account], settings: HealthSettings, random: Random) -> None:
    settings = replace(settings, volatility=VOLATILE, correlation=TIES)
    found = raised(book, settings)
    ids = {account.id for account in book}
    for flag in found:
        assert GRAVITY.index(flag.severity) <= GRAVITY.index(ALL[flag.code].severity)
        assert flag.accounts == tuple(sorted(set(flag.accounts)))
        assert ids.issuperset(flag.accounts)
        assert flag.message == flag.message.strip()
        assert not re.search(r"\b(nan|inf|None)\b", flag.message)
        assert all(isfinite(value) for value in (*flag.evidence.values(), flag.threshold) if isinstance(value, float))
        json.dumps(dict(flag.evidence), allow_nan=False)
    assert list(found) == sorted(found, key=lambda flag: -GRAVITY.index(flag.severity))
    shuffled = list(book)
    random.shuffle(shuffled)
    assert raised(shuffled, settings) == found


@own.examples(50)
@given(own.books(), own.settings)
def test_starred_flags_span_a_loan_and_a_derivatives_account(book: list[Account], settings: HealthSettings) -> None:
    sides = {account.id: account.side for account in book}
    for flag in raised(book, replace(settings, correlation=TIES)):
        if ALL[flag.code].spans:
            assert {sides[account] for account in flag.accounts} == set(Side), flag


@own.examples(250)
@given(own.accounts(), own.settings, own.usd, st.integers(0, 3))
def test_more_collateral_or_less_debt_never_adds_a_flag_of_health(
    account: Account, settings: HealthSettings, extra: Decimal, which: int
) -> None:
    leg = account.legs[which % len(account.legs)]
    assume(leg.role is not Role.POSITION and leg.price is not None)
    assert leg.price is not None
    held = leg.amount.decimal()
    amount = held / 2 if leg.role is Role.DEBT else held + extra / leg.price.value.decimal()
    richer = replace(account, legs=tuple(replace(leg, amount=Quantity.of(amount)) if one is leg else one for one in account.legs))
    before = {flag.code: flag.severity for flag in raised([account], settings)}
    for flag in raised([richer], settings):
        if flag.code in HEALTH_FAMILY and "LIQUIDATABLE" not in before:
            assert GRAVITY.index(flag.severity) <= GRAVITY.index(before[flag.code])


@st.composite
def odd(draw: st.DrawFn) -> list[Account]:
    """Books with accounts that hold nothing, dust, fortunes, worthless tokens, closed positions, or that are unknown."""
    changed: list[Account] = []
    for account in draw(own.books()):
        legs = tuple(_odder(leg, draw(st.integers(0, 12))) for leg in account.legs)
        kind = draw(st.integers(0, 9))
        lost = replace(account, status="unknown", reason="no answer")
        changed.append(lost if kind == 0 else replace(account, legs=() if kind == 1 else legs))
    return changed


def _odder(leg: Leg, kind: int) -> Leg:
    if leg.position is None:
        if kind < 3:
            return replace(leg, amount=Quantity.of(leg.amount.decimal() * (Decimal(0), Decimal("1e-9"), Decimal("1e9"))[kind]))
        price, weight = replace(leg, price=Price(Quantity.of(Decimal(0)))), replace(leg, weight=Decimal(0))
        return price if kind == 3 else weight if kind == 4 else leg
    position = leg.position
    others = (
        replace(position, size=Decimal(0)),
        replace(position, tiers=(), initial_rate=Decimal(0)),
        replace(position, funding_8h=Decimal("0.01")),
        replace(position, unrealized_pnl=Decimal(-100_000)),
        replace(position, quote=USD),
    )
    return replace(leg, position=others[kind]) if kind < len(others) else leg


@dataclass(frozen=True)
class Planned:
    """What a rescue plan says."""

    feasible: bool
    outside_capital_usd: float


@own.examples(30)
@given(
    odd(),
    odd(),
    own.settings,
    st.sampled_from([None, Planned(False, 0.0), Planned(True, 1_234.5)]),
    st.booleans(),
    st.sampled_from([None, own.EXPIRES - 30 * DAY, own.EXPIRES - 1, own.EXPIRES]),
)
def test_no_book_breaks_a_rule(
    book: list[Account], previous: list[Account], settings: HealthSettings, plan: Planned | None, measured: bool, time: int | None
) -> None:
    settings = replace(settings, volatility={**VOLATILE, BTC: 0.0}, correlation=TIES, links=(("manual:0", "manual:1"),))
    settings = replace(settings, history=WALKED if measured else None)
    drawn = health.draw(book, settings, asked=health.Asked())
    desk = SourceReport(id="desk", kind="exchange", as_of=time, key=KeyRights(trade=measured))
    found = flags.run(book, drawn.figures, (desk,), settings, assessed=drawn.assessed, previous=previous, plan=plan)
    for flag in found:
        assert not re.search(r"\b(nan|inf|None)\b", flag.message)
        assert all(isfinite(value) for value in (*flag.evidence.values(), flag.threshold) if isinstance(value, float))
        assert "  " not in flag.message
        assert len(flag.message) < 1_000


@own.examples(30)
@given(own.books(), own.settings, own.accounts("lost"))
def test_an_unknown_account_adds_no_number(book: list[Account], settings: HealthSettings, lost: Account) -> None:
    unknown = replace(lost, id=AccountId("manual:unknown"), status="unknown", reason="no answer")
    whole, partial = raised(book, settings), raised([*book, unknown], settings)
    added = {flag.message for flag in partial} - {flag.message for flag in whole}
    assert len(added) == 1  # that it is unknown
    assert {flag.code for flag in partial} <= {flag.code for flag in whole} | {"ACCOUNT_UNKNOWN"}
