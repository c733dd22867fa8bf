"""Margin accounts of the model back from a snapshot, so that its figures can be computed anew.

A restored account has no `Exact`: the venue's verdict is the recorded one. Figures of `health` agree with the recorded ones, since every
number that they rest on is in the snapshot. Decimals of a token are those that its amount is written with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Final

from defi_risk import model
from defi_risk.errors import StoreError
from defi_risk.health.normal import in_floats
from defi_risk.ids import AccountId, AssetId, Factor, Peg
from defi_risk.snapshot.model import Account, Leg, LiquidationRule, Oracle, SelfCheck, Terms
from defi_risk.text import clean, shown
from defi_risk.units import Quantity

LONGEST: Final = 1000
TOLERANCE: Final = 1e-9
AGAIN: Final = "scan again with this version"
_INTEGER: Final = re.compile(r"-?[0-9]{1,4000}")


def restore(account: Account) -> model.Account:
    """The account as it was read. An unknown one has no legs. Raises `StoreError` naming the account where something is impossible."""
    known = account.status == "ok"
    try:
        return model.Account(
            id=AccountId(_text(account.id)),
            owner=_text(account.owner),
            owner_name=_text(account.owner_name),
            side=model.Side(account.side),
            venue=_text(account.venue),
            market=_text(account.market),
            chain=_text(account.chain) or None,
            mode=_text(account.mode),
            legs=tuple(_leg(leg) for leg in account.legs) if known else (),
            native={name: number for name, number in _native(account.native).items() if not isinstance(number, str)},
            stated={name: number for name, number in _native(account.native).items() if isinstance(number, str)},
            self_check=_self_check(account.self_check),
            line=_finite("line", account.line),
            assumptions=tuple(_text(one) for one in account.assumptions),
            liquidatable=account.liquidatable,
            strict=account.strict,
            blocked=_text(account.blocked),
            rule=_rule(account.liquidation_rule),
            status="ok" if known else "unknown",
            reason=_text(account.reason),
        )
    except _Fault as fault:
        raise _error(account, str(fault)) from None


def quotes(accounts: Iterable[Account]) -> dict[Factor, float]:
    """USD per unit of the coins that positions without margin in their own coin are quoted in, as `health.run` takes them.

    Raises `StoreError` where two positions of one snapshot say different things.
    """
    found: dict[Factor, float] = {}
    for account in accounts:
        coins = {(leg.factor, leg.peg) for leg in account.legs if leg.role == "margin"}
        for leg in account.legs:
            if leg.terms is None or (leg.terms.quote, leg.terms.quote_peg) in coins:
                continue
            factor = Factor(_text(leg.terms.quote))
            if found.setdefault(factor, leg.terms.quote_usd) != leg.terms.quote_usd:
                raise _error(account, f"{shown(factor)} has two prices")
    return found


def check(account: Account, restored: model.Account) -> None:
    """Raise `StoreError` unless the restored account has the figures that the snapshot recorded, to a relative 1e-9."""
    try:
        normal = in_floats(restored, quotes([account]))
        weighted, requirement = normal.weighted(), normal.requirement()
        gross = sum(map(abs, normal.c.values())) + sum(map(abs, normal.r.values())) + sum(abs(one.now()) for one in normal.ladders)
    except ArithmeticError:
        raise _error(account, "its numbers are beyond what can be computed") from None
    for name, ours, theirs in (
        ("weighted_collateral_usd", weighted, account.weighted_collateral_usd),
        ("requirement_usd", requirement, account.requirement_usd),
        ("surplus_usd", weighted - requirement, account.surplus_usd),
    ):
        if theirs is None or not abs(ours - theirs) <= TOLERANCE * gross or not isfinite(gross):
            raise _error(account, f"{name} is {theirs}, but its legs make {ours:.10g}")


class _Fault(Exception):
    """What is wrong with an account, before it is known with which."""


def _error(account: Account, what: str) -> StoreError:
    return StoreError(f"account {shown(account.id, 120)}: {what}", hint=AGAIN)


def _leg(leg: Leg) -> model.Leg:
    weighed = leg.role in ("collateral", "margin")
    position = _position(leg) if leg.role == "position" else None
    decimals = _amount(leg, leg.size if position else leg.amount)
    amount = Quantity(abs(decimals.raw), decimals.decimals) if position else decimals
    return model.Leg(
        role=model.Role(leg.role),
        asset=model.Asset(AssetId(_text(leg.token)), leg.symbol, amount.decimals),
        factor=Factor(_text(leg.factor)),
        peg=_peg(leg.peg),
        amount=amount,
        price=None if position else _price(leg),
        weight=_decimal(leg, "weight", leg.weight) if weighed else model.ONE,
        initial_weight=_optional(leg, "initial_weight", leg.initial_weight),
        enabled=leg.enabled,
        bonus=_optional(leg, "bonus", leg.bonus),
        apr=_optional(leg, "apr", leg.apr),
        compounding=_text(leg.compounding),
        maintenance_rate=_decimal(leg, "maintenance_rate", leg.maintenance_rate),
        available=None if leg.available is None else _amount(leg, leg.available),
        position=position,
    )


def _position(leg: Leg) -> model.Position:
    terms = leg.terms
    if terms is None:
        raise _Fault(f"the position {shown(leg.symbol)} has no terms: the snapshot was written by an older version")
    inverse = terms.contract == "inverse"
    entry, mark = _decimal(leg, "entry_price", leg.entry_price), _decimal(leg, "mark", terms.mark)
    if inverse and (entry <= 0 or mark <= 0):
        raise _Fault(f"the inverse position {shown(leg.symbol)} has a price that is not above zero")
    return model.Position(
        size=_amount(leg, leg.size).decimal(),
        entry=entry,
        mark=mark,
        quote=Factor(_text(terms.quote)),
        quote_peg=_peg(terms.quote_peg),
        contract=model.Contract(terms.contract),
        tiers=_tiers(leg, terms),
        basis=model.Basis(terms.maintenance_basis),
        initial_rate=_decimal(leg, "initial_rate", terms.initial_rate),
        close_fee=_decimal(leg, "close_fee", terms.close_fee),
        liquidation_fee=_decimal(leg, "liquidation_fee", terms.liquidation_fee),
        funding_apart=terms.funding_apart,
        borrow_apr=_optional(leg, "borrow_apr", terms.borrow_apr),
        accrued_funding=_decimal(leg, "accrued_funding", terms.accrued_funding),
        accrued_fees=_decimal(leg, "accrued_fees", terms.accrued_fees),
        exit_cost=_decimal(leg, "exit_cost", terms.exit_cost),
        funding_8h=_optional(leg, "funding_rate", leg.funding_rate),
        unrealized_pnl=_decimal(leg, "unrealized_pnl", terms.unrealized_pnl),
        pnl_weight=_decimal(leg, "pnl_weight", terms.pnl_weight),
        expires=_seconds(terms.expires),
        index=_optional(leg, "index", terms.index),
    )


def _tiers(leg: Leg, terms: Terms) -> tuple[model.Tier, ...]:
    def numbers(row: Sequence[float]) -> list[Decimal]:
        return [_decimal(leg, "tiers", value) for value in row]

    return tuple(model.Tier(*numbers(row)) for row in terms.tiers)


def _price(leg: Leg) -> model.Price:
    value = Quantity.of(_decimal(leg, "price_usd", leg.price_usd))
    oracle = leg.oracle
    if oracle is None:
        return model.Price(value)
    return model.Price(
        value,
        source=_text(oracle.source),
        updated_at=_updated_at(oracle),
        heartbeat=oracle.heartbeat_seconds,
        capped=oracle.capped,
    )


def _updated_at(oracle: Oracle) -> int | None:
    if oracle.updated_at is None:
        return None
    try:
        return int(datetime.fromisoformat(oracle.updated_at).timestamp())
    except ValueError:
        raise _Fault(f"{shown(oracle.updated_at)} is not a time") from None


def _rule(rule: LiquidationRule) -> model.LiquidationRule:
    return model.LiquidationRule(
        kind=rule.kind,
        close_factor=_finite("close_factor", rule.close_factor),
        of_whole=rule.of_whole,
        full_below=_limit("full_below_health", rule.full_below_health),
        full_under_usd=_limit("full_under_usd", rule.full_under_usd),
        dust_usd=_limit("dust_usd", rule.dust_usd),
        remainder=rule.remainder,
    )


def _self_check(check: SelfCheck | None) -> model.SelfCheck | None:
    if check is None:
        return None
    tolerance = _finite("tolerance", check.tolerance) if isinstance(check.tolerance, float | int) else None
    return model.SelfCheck(_native(check.protocol), check.match, tolerance)


def _native(numbers: dict[str, str]) -> dict[str, model.Native]:
    return {_text(name): _number(value) for name, value in numbers.items()}


def _number(value: str) -> model.Native:
    """A contract's integer or verdict, or an exchange's text as it is."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if _INTEGER.fullmatch(value) else _text(value)


def _seconds(time: str | None) -> int | None:
    if time is None:
        return None
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except (ValueError, OverflowError):
        raise _Fault(f"{shown(time)!r} is no time") from None


def _amount(leg: Leg, text: str | None) -> Quantity:
    if text is None:
        raise _Fault(f"the {leg.role} {shown(leg.symbol)} has no amount")
    try:
        amount = Quantity.of(Decimal(text))
        float(amount)
    except (ValueError, ArithmeticError):
        raise _Fault(f"the {leg.role} {shown(leg.symbol)} has an impossible amount") from None
    return amount


def _decimal(leg: Leg, name: str, value: float | None) -> Decimal:
    if value is None:
        raise _Fault(f"the {leg.role} {shown(leg.symbol)} has no {name}")
    return _finite(name, value)


def _optional(leg: Leg, name: str, value: float | None) -> Decimal | None:
    return None if value is None else _decimal(leg, name, value)


def _limit(name: str, value: float | None) -> Decimal | None:
    return None if value is None else _finite(name, value)


def _finite(name: str, value: float) -> Decimal:
    """The decimal that is written like the number, which is the same float again."""
    if not isfinite(value):
        raise _Fault(f"{name} is {value}, which is not a number to compute with")
    return Decimal(repr(float(value)))


def _peg(text: str | None) -> Peg | None:
    return Peg(_text(text)) if text else None


def _text(text: str | None) -> str:
    """Clean text; none stays empty."""
    return clean(text, LONGEST) if text else ""
