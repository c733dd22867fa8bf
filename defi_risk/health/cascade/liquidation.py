"""One liquidation of one account by its venue's own rule, at the prices of the event (`unified-health` section 6).

Works on the normal form: what is held, owed and held open shrinks, and the forms are summed anew. The account behind the liquidation is
again a normal form at today's prices, so that it can be walked on along any path.

Sources of the rules: LiquidationLogic of Aave V3 (close factor, dust and deficit from 3.3 on), `liquidateBorrow` of Compound V2,
`absorb` of Compound III.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from defi_risk.health.cascade import closing
from defi_risk.health.cascade.holdings import Multipliers, assembled, at, requirement, revalued, tokens, worth
from defi_risk.health.distance import CASH
from defi_risk.health.normal import Holding, Normal
from defi_risk.ids import AssetId
from defi_risk.model import ONE, Account, LiquidationRule, Role, Side

_ZERO: Final = Decimal(0)
_NOISE: Final = 1e-12
"""Healths that differ by less, relative to their size, are the same."""
Priced: TypeAlias = tuple[float, Holding[float]]
"""A holding with its value at the event."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one liquidation did, in USD at the prices of the event; equity before = equity after + penalty - bad debt.

    `after` is the account behind it; it is the account before, the same object, where there was nothing to take. A liquidator pays
    `repaid_usd` for `seized_usd`, an absorbing venue credits it; of positions that are closed, `seized_usd` is what the venue keeps (fee,
    and margin that is lost). `bad_debt_usd` is what nobody can collect: it counts as written off, though older venues leave it standing.
    `spiral`: health fell, since the seized collateral counted for more than the debt it repaid.
    """

    after: Normal[float]
    seized_usd: float
    repaid_usd: float
    penalty_usd: float
    bad_debt_usd: float
    spiral: bool


def liquidate(account: Account, normal: Normal[float], seen: Multipliers, *, whole: bool = False) -> Taken:
    """Liquidate an account that is below its line. `seen`: multipliers of today's prices at the event; `whole`: no close factor holds.

    Derivatives are closed whatever kind their rule names, loans that no venue absorbs are repaid.
    """
    if account.side is Side.DERIVATIVES:
        return _close(account, normal, seen, whole=whole)
    if account.rule.kind == "absorb":
        return _absorb(account, normal, seen)
    return _repay(account, normal, seen, whole=whole)


def _nothing(normal: Normal[float]) -> Taken:
    return Taken(normal, 0.0, 0.0, 0.0, 0.0, spiral=False)


def _repay(account: Account, normal: Normal[float], seen: Multipliers, *, whole: bool) -> Taken:
    """The largest debt against the largest collateral that counts. What is owed of one asset (at two kinds of rates) is one debt."""
    pledged = _priced((one for one in normal.holdings if one.leg.role is Role.COLLATERAL and one.weight > 0), seen)
    owed = _priced((one for one in normal.holdings if one.leg.role is Role.DEBT), seen)
    if not pledged or not owed:
        return _nothing(normal)
    held, collateral = max(pledged, key=_rank)
    debts = _of_largest_asset(owed)
    due = sum(value for value, _ in debts)
    bonus = float(collateral.leg.bonus or 0)
    total, weighted = requirement(normal, seen), at(normal.c, seen)
    health = weighted / total
    seized, repaid = _amounts(account.rule, held, due, sum(value for value, _ in owed), health, bonus, whole=whole)
    left = {id(collateral): (held - seized) / held}
    unspent = repaid
    for value, debt in debts:
        left[id(debt)] = (value - min(value, unspent)) / value
        unspent -= min(value, unspent)
    rest = [one if share is None else revalued(one, one.value * share) for one in normal.holdings if (share := left.get(id(one))) != 0]
    bad = 0.0
    if seized >= held and len(pledged) == 1:
        bad = sum(value for value, _ in owed) - repaid
        rest = [one for one in rest if one.leg.role is not Role.DEBT]
    spiral = repaid < total * (1.0 - _NOISE) and health < collateral.weight * (1.0 + bonus) * (1.0 - _NOISE)
    return Taken(assembled(account, normal, rest), seized, repaid, seized - repaid, max(bad, 0.0), spiral)


def _priced(holdings: Iterable[Holding[float]], seen: Multipliers) -> list[Priced]:
    """Those worth something at the event."""
    return [(value, one) for one in holdings if (value := one.value * seen(one.key)) > 0]


def _rank(priced: Priced) -> tuple[float, str]:
    return priced[0], priced[1].leg.asset.id


def _of_largest_asset(owed: Sequence[Priced]) -> Sequence[Priced]:
    """The debts in the asset that most is owed of, in their order."""
    if len(owed) == 1:
        return owed
    totals: dict[AssetId, float] = {}
    for value, one in owed:
        totals[one.leg.asset.id] = totals.get(one.leg.asset.id, 0.0) + value
    largest = max(totals, key=lambda asset: (totals[asset], asset))
    return [priced for priced in owed if priced[1].leg.asset.id == largest]


def _amounts(
    rule: LiquidationRule, held: float, due: float, owed: float, health: float, bonus: float, *, whole: bool
) -> tuple[float, float]:
    """USD seized of a collateral worth `held` and repaid of a debt worth `due`, the most that the rule lets pass; `owed`: all debts."""
    most = due if whole or _full(rule, min(held, due), health) else float(rule.close_factor) * (owed if rule.of_whole else due)
    repaid = min(most, due)
    seized = repaid * (1.0 + bonus)
    if seized >= held:
        return held, held / (1.0 + bonus)
    if repaid < due and rule.dust_usd is not None:
        dust = float(rule.dust_usd)
        repaid = min(repaid, due - dust, (held - dust) / (1.0 + bonus))
        if repaid <= 0:  # no part of it can pass
            repaid = min(due, held / (1.0 + bonus))
        seized = min(repaid * (1.0 + bonus), held)
    return seized, repaid


def _full(rule: LiquidationRule, smaller: float, health: float) -> bool:
    """Whether all of the debt may be repaid at once."""
    low = rule.full_below is not None and health <= float(rule.full_below)
    return low or (rule.full_under_usd is not None and smaller < float(rule.full_under_usd))


def _absorb(account: Account, normal: Normal[float], seen: Multipliers) -> Taken:
    """The venue takes all collateral, credits its value less the penalty, and clears the debt; what is left becomes a supply."""
    owed = [one for one in normal.holdings if one.leg.role is Role.DEBT]
    due = -sum(worth(one, seen) for one in owed)
    if not due > 0:
        return _nothing(normal)
    pledged = [one for one in normal.holdings if one.leg.role is not Role.DEBT and one.leg.enabled]
    values = [worth(one, seen) for one in pledged]
    seized = sum(values)
    credit = sum(value * (1.0 - float(one.leg.bonus or 0)) for value, one in zip(values, pledged, strict=True))
    rest = [one for one in normal.holdings if one.leg.role is not Role.DEBT and not one.leg.enabled]
    if credit > due:
        base = max(owed, key=lambda one: (one.value, one.leg.asset.id))
        multiplier = seen(base.key)
        key, price = (base.key, base.price) if multiplier > 0 else (CASH, 1.0)
        rest.append(tokens(Role.COLLATERAL, key, (credit - due) / (multiplier or 1.0), price, enabled=False))
    return Taken(assembled(account, normal, rest), seized, credit, seized - credit, max(due - credit, 0.0), spiral=False)


def _close(account: Account, normal: Normal[float], seen: Multipliers, *, whole: bool) -> Taken:
    """Close a share of every position. An account worth nothing is closed whole, and what its margin does not cover is bad debt."""
    share = ONE if whole else _share(account.rule, normal, seen)
    owned, held = closing.balances(normal, seen), closing.positions(normal)
    if not held and not (any(one.usd > 0 for one in owned) and any(one.usd < 0 for one in owned)):
        return _nothing(normal)  # nothing is open, and nothing is owed that something could pay
    equity = sum(one.usd for one in owned) + sum(at(one.worth, seen) for one, _ in held)
    lost = share >= ONE and account.rule.remainder == "lost"
    if equity <= 0 or lost or not held:
        share = ONE
    if equity <= 0 or lost:
        kept = max(equity, 0.0)
        return Taken(assembled(account, normal, closing.idle(normal)), kept, 0.0, kept, max(-equity, 0.0), spiral=False)
    fees = sum(closing.fee(one, position, normal, seen) for one, position in held) * float(share)
    charged = min(1.0, equity / fees) if fees > 0 else 0.0
    rest = ONE - share
    after = closing.shut(account, normal, seen, lambda _: max(rest, _ZERO), charged)
    return Taken(after, fees * charged, 0.0, fees * charged, 0.0, spiral=_fell(normal, after, seen))


def _share(rule: LiquidationRule, normal: Normal[float], seen: Multipliers) -> Decimal:
    """The share of every position that one step closes."""
    if rule.close_factor >= ONE:
        return ONE
    needed = requirement(normal, seen)
    notional = sum(abs(holding.value) * seen(holding.key) for holding, _ in closing.positions(normal))
    full = _full(rule, notional, at(normal.c, seen) / needed) if needed > 0 else False
    return ONE if full else rule.close_factor


def _fell(before: Normal[float], after: Normal[float], seen: Multipliers) -> bool:
    """Whether health fell."""
    needed, left = requirement(before, seen), requirement(after, seen)
    if needed <= 0 or left <= 0:
        return False
    was, now = at(before.c, seen) / needed, at(after.c, seen) / left
    return now < was - _NOISE * abs(was)
