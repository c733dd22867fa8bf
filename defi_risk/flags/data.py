"""Flags about what was read: whether it is whole, fresh, and what the venue says too."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Final

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Rule, Scene
from defi_risk.ids import AccountId
from defi_risk.model import Account, Leg, SelfCheck, as_text
from defi_risk.text import clean, shown
from defi_risk.units import WAD
from defi_risk.words import line

MOST_NAMED: Final = 6
VERDICTS: Final = ("isLiquidatable", "isPositionLiquidatable", "canLiquidate")
"""Views that answer the question itself."""


def _self_check_failed(scene: Scene) -> Iterator[Flag]:
    for account in scene.accounts:
        check = account.self_check
        if check is None or check.match:
            continue
        evidence: dict[str, float | int | str | bool | None] = {}
        differing = _differing(account, check)
        for name, (ours, theirs) in differing.items():
            evidence[f"{name} computed"] = ours
            evidence[f"{name} protocol"] = theirs
        more = f" and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
        names = clean(", ".join([*differing][:MOST_NAMED]) + more) if differing else "numbers"
        if check.tolerance is None:
            when, differ = "block", "differ"
        else:
            when, differ = "moment", f"differ by more than {line(float(check.tolerance))}"
        yield Flag(
            code="SELF_CHECK_FAILED",
            severity=Severity.CRITICAL,
            accounts=(account.id,),
            message=f"{scene.names.of(account)}: our {names} and the venue's own at the same {when} {differ}",
            evidence=evidence,
            threshold=None if check.tolerance is None else float(check.tolerance),
        )


def _differing(account: Account, check: SelfCheck) -> dict[str, tuple[str | None, str]]:
    """Our numbers and the venue's by name: those beyond the tolerance, or where none is beyond it by itself, all whose digits differ."""
    found: dict[str, tuple[str | None, str]] = {}
    for name, theirs in sorted(check.protocol.items()):
        ours = as_text(account.numbers[name]) if name in account.numbers else None
        if ours != as_text(theirs):
            found[name] = ours, as_text(theirs)
    if check.tolerance is None:
        return found
    beyond = {name: pair for name, pair in found.items() if not _close(*pair, float(check.tolerance))}
    return beyond or found


def _close(ours: str | None, theirs: str, tolerance: float) -> bool:
    try:
        one, other = float(ours or "nan"), float(theirs)
    except ValueError:
        return False
    return isclose(one, other, rel_tol=tolerance)


def _stale_price(scene: Scene) -> Iterator[Flag]:
    yield from _sequencer(scene)
    times = scene.block_times()
    found: dict[tuple[str, str, str], tuple[Leg, int, set[AccountId]]] = {}
    for account in scene.accounts:
        if account.chain is None or account.chain not in times:
            continue
        for leg in account.legs:
            age = _overdue(leg, times[account.chain])
            if age is not None and leg.price is not None:
                key = (account.chain, leg.price.source, leg.asset.id)
                found.setdefault(key, (leg, age, set()))[2].add(account.id)
    for (chain, source, asset), (leg, age, users) in sorted(found.items(), key=lambda item: item[0]):
        heartbeat = leg.price.heartbeat if leg.price is not None else None
        yield Flag(
            code="STALE_PRICE",
            severity=Severity.WARNING,
            accounts=tuple(sorted(users)),
            message=f"the {shown(leg.asset.symbol)} price on {chain} was {age} s old at the block; its oracle answers every {heartbeat} s",
            evidence={"asset": asset, "oracle": clean(source), "age_seconds": age, "heartbeat_seconds": heartbeat},
            threshold=heartbeat,
        )


def _sequencer(scene: Scene) -> Iterator[Flag]:
    for report in scene.sources:
        if report.sequencer and report.anchor is not None:
            chain = report.anchor.chain.name
            yield Flag(
                code="STALE_PRICE",
                severity=Severity.WARNING,
                accounts=tuple(sorted(account.id for account in scene.accounts if account.chain == chain)),
                message=f"{chain}: {clean(report.sequencer)}, so its prices may be old and liquidations may be held back",
                evidence={"chain": chain, "sequencer": clean(report.sequencer)},
            )


def _overdue(leg: Leg, now: int) -> int | None:
    """Age of a leg's price in seconds where it is above its heartbeat."""
    price = leg.price
    if price is None or price.updated_at is None or price.heartbeat is None:
        return None
    age = now - price.updated_at
    return age if age > price.heartbeat else None


def _source_failed(scene: Scene) -> Iterator[Flag]:
    return _sources(scene, "SOURCE_FAILED", "failed", "could not be read; its accounts are missing")


def _source_stale(scene: Scene) -> Iterator[Flag]:
    return _sources(scene, "SOURCE_STALE", "stale", "gave old data")


def _sources(scene: Scene, code: str, status: str, fault: str) -> Iterator[Flag]:
    for report in scene.sources:
        if report.status == status:
            error = clean(report.error) if report.error else ""
            yield Flag(
                code=code,
                severity=Severity.WARNING,
                message=f"{report.kind} {shown(report.id)} {fault}" + (f": {error}" if error else ""),
                evidence={"source": clean(report.id), "kind": report.kind, "error": error or None},
            )


def _account_unknown(scene: Scene) -> Iterator[Flag]:
    for account in scene.accounts:
        if not account.known:
            reason = clean(account.reason) if account.reason else "no reason given"
            yield Flag(
                code="ACCOUNT_UNKNOWN",
                severity=Severity.WARNING,
                accounts=(account.id,),
                message=f"{scene.names.of(account)} is unknown, not safe: {reason}",
                evidence={"reason": reason},
            )


def _view_lags(scene: Scene) -> Iterator[Flag]:
    for account, figures, _, name in scene.known():
        view = _view(account)
        if view is not None and account.liquidatable is not None and view != figures.liquidatable:
            says = "liquidatable" if view else "not liquidatable"
            call = "finds it liquidatable" if figures.liquidatable else "does not"
            yield Flag(
                code="VIEW_LAGS",
                severity=Severity.INFO,
                accounts=(account.id,),
                message=f"the view of {name} calls it {says}, on older state than its liquidation call, which {call}",
                evidence={"view_liquidatable": view, "liquidatable": figures.liquidatable, "surplus_usd": figures.surplus_usd},
            )


def _view(account: Account) -> bool | None:
    """The verdict of the venue's own view functions; None where they give none."""
    native = account.native
    for name in VERDICTS:
        if name in native:
            return bool(native[name])
    if "shortfall" in native:
        return native["shortfall"] > 0
    return native["healthFactor"] < WAD if "healthFactor" in native else None


RULES = (
    Rule("ACCOUNT_UNKNOWN", Severity.WARNING, "An account could not be read or modelled; the book's figures are bounds.", _account_unknown),
    Rule(
        "SELF_CHECK_FAILED",
        Severity.CRITICAL,
        "Our numbers and the venue's own at the same block or moment differ: an exchange's by more than the stated tolerance.",
        _self_check_failed,
    ),
    Rule("SOURCE_FAILED", Severity.WARNING, "A node, exchange or file failed; its accounts are missing.", _source_failed),
    Rule("SOURCE_STALE", Severity.WARNING, "A source answered with old data.", _source_stale),
    Rule(
        "STALE_PRICE",
        Severity.WARNING,
        "An oracle answer was older at the block than its heartbeat, or a sequencer is down or just back.",
        _stale_price,
        "older than the heartbeat of its feed",
    ),
    Rule(
        "VIEW_LAGS",
        Severity.INFO,
        "The venue's view and its liquidation call differ in their verdict: the view reads older state.",
        _view_lags,
    ),
)
