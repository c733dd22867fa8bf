"""What holds of the flags of any book."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from math import isfinite
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk import flags, health
from defi_risk.flags import ALL, Flag, Severity
from defi_risk.health import HealthSettings
from defi_risk.ids import AccountId
from defi_risk.model import Account, Role, Side
from defi_risk.units import Quantity
from tests import strategies as own
from tests.accounts import BTC, ETH, SOL

HEALTH_FAMILY = {"LIQUIDATABLE", "NEAR_LIQUIDATION"}
GRAVITY = list(Severity)
VOLATILE: dict[str, float] = {ETH: 0.04, BTC: 0.03, SOL: 0.08}
TIES = {"ETH/SOL": 0.9, "BTC/SOL": 0.9, "BTC/ETH": 0.9}


def raised(book: list[Account], settings: HealthSettings) -> tuple[Flag, ...]:
    return flags.run(book, health.run(book, settings), (), settings)


@own.examples(100)
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


@own.examples(100)
@given(own.books(), own.settings)
def test_starred_flags_span_a_loan_and_a_derivatives_account(book: list[Account], settings: HealthSettings) -> None:
    sides = {account.id: account.side for account in book}
    for flag in raised(book, replace(settings, correlation=TIES)):
        if ALL[flag.code].spans:
            assert {sides[account] for account in flag.accounts} == set(Side), flag


@own.examples(500)
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


@own.examples(60)
@given(own.books(), own.settings, own.accounts("lost"))
def test_an_unknown_account_adds_no_number(book: list[Account], settings: HealthSettings, lost: Account) -> None:
    unknown = replace(lost, id=AccountId("manual:unknown"), status="unknown", reason="no answer")
    whole, partial = raised(book, settings), raised([*book, unknown], settings)
    added = {flag.message for flag in partial} - {flag.message for flag in whole}
    assert len(added) == 1  # that it is unknown
    assert {flag.code for flag in partial} <= {flag.code for flag in whole} | {"ACCOUNT_UNKNOWN"}
