"""What a liquidation on a simulated path does to the book's equity (`unified-health` sections 6 and 8), for many paths at once.

The rules are those of `liquidation`, with two simplifications: an account is liquidated once, at the step at which it dies (what happens
to the rest of it later does not count), and positions are closed whole, also where a venue begins with a part of them. What the venue or
nobody can collect is no loss of the owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.account import Assessed
from defi_risk.health.arrays import Array, Arrays
from defi_risk.health.normal import Holding, Key, coin_usd
from defi_risk.ids import AssetId
from defi_risk.model import Basis, Contract, LiquidationRule, Position, Role, Side

Liquidation: TypeAlias = Callable[[Array], Array]
"""From points (n x keys) at which the account dies to the change of its equity as forms (n x keys): USD by key at today's prices."""
Columns: TypeAlias = Mapping[Key, int]


def liquidation(one: Assessed, arrays: Arrays, row: int) -> Liquidation:
    """How the account in this row is liquidated."""
    columns = {key: index for index, key in enumerate(arrays.keys)}
    if one.account.side is Side.DERIVATIVES:
        if _nothing_to_close(one):
            return np.zeros_like
        return lambda points: _closed(one, columns, points)
    if one.account.rule.kind == "absorb":
        return lambda points: _absorbed(one, columns, points)
    return lambda points: _repaid(one, arrays.weights[row], arrays.needs[row], columns, points)


def _closed(one: Assessed, columns: Columns, points: Array) -> Array:
    """Profit and fees settle into the coins of the contracts; what is below zero is paid out of the other coins, all in proportion.

    Nothing comes back of an account worth nothing, and where the venue keeps the rest.
    """
    before = np.zeros(points.shape[1])
    balances = np.zeros_like(points)
    for holding in one.normal.holdings:
        if holding.leg.role is not Role.DEBT and not holding.leg.enabled:
            continue
        for key, amount in holding.worth.items():
            before[columns[key]] += amount
        gained = points @ _form(holding.worth, columns, points.shape[1])
        position = holding.leg.position
        if position is not None:
            rate = float(position.close_fee) + float(position.liquidation_fee)
            gained -= rate * _notional(one, holding, position, columns, points) + _exit_cost(one, holding, position, columns, points)
        balances[:, columns[holding.coin or holding.key]] += gained
    held, owed = np.maximum(balances, 0.0).sum(axis=1), -np.minimum(balances, 0.0).sum(axis=1)
    share = np.where(held > owed, (held - owed) / np.where(held > 0, held, 1.0), 0.0)
    if one.account.rule.remainder == "lost":
        share = np.zeros(len(points))
    return np.asarray(np.maximum(balances, 0.0) * share[:, None] / points - before, dtype=np.float64)


def _nothing_to_close(one: Assessed) -> bool:
    """Nothing is open, and nothing is owed that something could pay."""
    if any(holding.leg.position is not None for holding in one.normal.holdings):
        return False
    worths = [sum(each.worth.values()) for each in one.normal.holdings if each.leg.role is Role.DEBT or each.leg.enabled]
    return not (any(worth > 0 for worth in worths) and any(worth < 0 for worth in worths))


def _notional(one: Assessed, holding: Holding[float], position: Position, columns: Columns, points: Array) -> Array:
    """What a fee is charged on, in USD at the points."""
    quote = Key(position.quote, position.quote_peg)
    linear = position.contract is Contract.LINEAR
    if position.basis is Basis.MARK:
        return np.asarray(abs(holding.value) * points[:, columns[holding.key if linear else quote]])
    size, entry, usd = abs(float(position.size)), float(position.entry), coin_usd(holding)
    today = size * entry * usd if linear else size / entry * usd
    return np.asarray(today * points[:, columns[quote if linear else holding.key]])


def _exit_cost(one: Assessed, holding: Holding[float], position: Position, columns: Columns, points: Array) -> Array:
    """What the venue's rule takes off for the way out, in USD at the points."""
    quote = Key(position.quote, position.quote_peg)
    linear = position.contract is Contract.LINEAR
    return np.asarray(float(position.exit_cost) * coin_usd(holding) * points[:, columns[quote if linear else holding.key]])


def _absorbed(one: Assessed, columns: Columns, points: Array) -> Array:
    """The venue takes all collateral less its penalty for all debt; what is above becomes a supply of the largest debt's coin."""
    debts = _debts(one)
    change = np.zeros_like(points)
    if not debts:
        return change
    credit = np.zeros(len(points))
    for holding in one.normal.holdings:
        if holding.leg.role is Role.DEBT:
            share = 1.0
        elif holding.leg.enabled:
            share = 1.0 - _bonus(holding)
        else:
            continue
        form = _form(holding.worth, columns, points.shape[1])
        credit += share * (points @ form)
        change -= form
    base = columns[max(debts, key=lambda each: each.value).key]
    change[:, base] += np.maximum(credit, 0.0) / points[:, base]
    return change


def _repaid(one: Assessed, weights: Array, needs: Array, columns: Columns, points: Array) -> Array:
    """The largest debt, or a share of it, against the largest collateral that counts; debts that nothing is left for are written off."""
    counted = [each for each in one.normal.holdings if each.leg.role is Role.COLLATERAL and each.value > 0 and each.weight > 0]
    pledged = sorted(counted, key=_asset, reverse=True)  # of two worth the same the last by its id is taken, as in `liquidation`
    debts = _by_asset(sorted(_debts(one), key=_asset, reverse=True))
    change = np.zeros_like(points)
    if not pledged or not debts:
        return change
    which, held = _largest([(each.key, each.value) for each in pledged], columns, points)
    where, due = _largest(debts, columns, points)
    bonus = 1.0 + np.array([_bonus(each) for each in pledged])[which]
    owed = points @ needs
    repaid = _amount(one.account.rule, held, due, owed, (points @ weights) / owed, bonus)
    each = np.arange(len(points))
    gives = np.array([columns[holding.key] for holding in pledged])[which]
    takes = np.array([columns[key] for key, _ in debts])[where]
    change[each, takes] += repaid / points[each, takes]
    change[each, gives] -= repaid * bonus / points[each, gives]
    if len(pledged) == 1:
        gone = repaid * bonus >= held * (1.0 - 1e-12)
        change[gone] = needs - held[gone, None] / points[gone] * (np.arange(points.shape[1]) == gives[0])
    return change


def _amount(rule: LiquidationRule, held: Array, due: Array, owed: Array, health: Array, bonus: Array) -> Array:
    """USD repaid of a debt `due` for a collateral `held`: the most that the rule lets pass. `owed`: all debts together."""
    whole = np.zeros(len(held), dtype=np.bool_)
    if rule.full_below is not None:
        whole |= health <= float(rule.full_below)
    if rule.full_under_usd is not None:
        whole |= np.minimum(held, due) < float(rule.full_under_usd)
    part = float(rule.close_factor) * (owed if rule.of_whole else due)
    repaid = np.minimum(np.where(whole, due, part), due)
    most = held / bonus
    if rule.dust_usd is not None:
        dust = float(rule.dust_usd)
        smaller = np.minimum(np.minimum(repaid, due - dust), (held - dust) / bonus)
        partly = (repaid < due) & (repaid < most)
        repaid = np.where(partly, np.where(smaller > 0, smaller, due), repaid)
    return np.asarray(np.minimum(repaid, most), dtype=np.float64)


def _debts(one: Assessed) -> list[Holding[float]]:
    return [each for each in one.normal.holdings if each.leg.role is Role.DEBT and each.value > 0]


def _asset(holding: Holding[float]) -> AssetId:
    return holding.leg.asset.id


def _by_asset(debts: Iterable[Holding[float]]) -> list[tuple[Key, float]]:
    """What is owed of one asset (at two kinds of rates) is one debt."""
    found: dict[AssetId, tuple[Key, float]] = {}
    for each in debts:
        _, before = found.get(_asset(each), (each.key, 0.0))
        found[_asset(each)] = each.key, before + each.value
    return list(found.values())


def _bonus(holding: Holding[float]) -> float:
    return 0.0 if holding.leg.bonus is None else float(holding.leg.bonus)


def _form(form: Mapping[Key, float], columns: Columns, width: int) -> Array:
    found = np.zeros(width)
    for key, amount in form.items():
        found[columns[key]] += amount
    return found


def _largest(amounts: Sequence[tuple[Key, float]], columns: Columns, points: Array) -> tuple[NDArray[np.int64], Array]:
    """At each point which of the amounts is worth most, and how much."""
    worth = points[:, [columns[key] for key, _ in amounts]] * np.array([value for _, value in amounts])
    which = worth.argmax(axis=1)
    return which, worth[np.arange(len(points)), which]
