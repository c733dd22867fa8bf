"""The largest cause of an account's change in one sentence: what moved most, from what to what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from defi_risk import model
from defi_risk.explain.model import Cause, Status, Words
from defi_risk.explain.pairing import Pair, Recorded
from defi_risk.explain.states import Between
from defi_risk.health.normal import profit
from defi_risk.model import Contract, Role
from defi_risk.snapshot.words import percent, price
from defi_risk.text import shown

_IDLE: Final[tuple[Cause, ...]] = ("flow", "parameters", "price", "carry")
"""In which order a change without effect is told."""


class _Said(NamedTuple):
    """What can be said of a leg, and how much it weighs (USD)."""

    usd: float
    text: str


def sentence(status: Status, largest: Cause | None, between: Between, mode: Words) -> str:
    """Such as `price: ETH -10.0 %`, `flow: debt of USDC 12,000.00 → 14,000.00`, `parameters: weight of WETH 0.83 → 0.8`."""
    if status in ("opened", "closed"):
        return f"the account was {status}"
    if status == "unchanged":
        return "nothing changed"
    if largest is None:
        idle = next((text for cause in _IDLE if (text := _most(cause, between))), "")
        return f"no effect{': ' if idle else ''}{idle}"
    if largest == "parameters" and mode.before != mode.after:
        return f"parameters: mode {shown(mode.before or '')} → {shown(mode.after or '')}"
    if largest == "parameters" and between.lines[0] != between.lines[1]:
        return f"parameters: liquidated at {between.lines[0]:g} → {between.lines[1]:g} times the maintenance margin"
    return f"{largest}: {_most(largest, between)}".removesuffix(": ")


def _most(cause: Cause, between: Between) -> str:
    """The change of a leg by that cause that weighs most; empty where there is none."""
    said = [one for pair in between.pairs for one in _SAY[cause](pair)]
    return max(said, key=lambda one: one.usd).text if said else ""


def _prices(pair: Pair) -> Iterator[_Said]:
    if pair.before is None or pair.after is None:
        return
    old, new, symbol = pair.before.leg.position, pair.after.leg.position, _symbol(pair)
    if old and new:
        first, last = float(old.mark), float(new.mark)
        yield from _move(symbol, first, last, abs(_units(pair.after)) * pair.after.quote_usd)
        yield from _move(shown(new.quote, 16), pair.before.quote_usd, pair.after.quote_usd, abs(profit(new, float)))
        if old.exit_cost != new.exit_cost:
            moved = abs(float(new.exit_cost) - float(old.exit_cost)) * _coin_usd(pair.after)
            yield _Said(moved, f"cost of closing {symbol} {price(float(old.exit_cost))} → {price(float(new.exit_cost))}")
        return
    weight = 1.0 if pair.after.leg.role is Role.DEBT else float(pair.after.leg.weight)
    yield from _move(symbol, _usd(pair.before), _usd(pair.after), abs(_units(pair.after)) * weight)


def _move(name: str, first: float, last: float, units: float) -> Iterator[_Said]:
    if first != last:
        move = percent(last / first - 1) if first > 0 else f"from ${price(first)} to ${price(last)}"
        yield _Said(abs(last - first) * units, f"{name} {move}")


def _carried(pair: Pair) -> Iterator[_Said]:
    if pair.carry:
        role = pair.shown.leg.role
        amount = f"{price(abs(pair.carry))} {_symbol(pair)}"
        grown = pair.carry > 0
        text = {
            Role.DEBT: f"{amount} of interest {'added to' if grown else 'taken off'} the debt",
            Role.POSITION: f"funding of {_symbol(pair)} {'received' if grown else 'paid'}",
        }.get(role, f"{amount} {'earned' if grown else 'paid'}")
        yield _Said(abs(pair.carry) * _coin_usd(pair.shown), text)


def _flows(pair: Pair) -> Iterator[_Said]:
    role, symbol = pair.shown.leg.role.value, _symbol(pair)
    if pair.before is None or pair.after is None:
        came = "new" if pair.before is None else "no more"
        yield _Said(_worth(pair.shown), f"{came} {role} of {_number(pair.shown)} {symbol}")
        return
    before, after = pair.before, pair.after
    if before.leg.enabled != after.leg.enabled:
        yield _Said(_worth(after), f"{symbol} {'counts' if after.leg.enabled else 'no longer counts'} as collateral")
    carried = 0.0 if after.leg.position else pair.carry
    moved = abs(_units(after) - _units(before) - carried)
    if moved:
        yield _Said(moved * _usd(after), f"{role} of {symbol} {_number(before)} → {_number(after)}")
    old, new = before.leg.position, after.leg.position
    if old and new and (old.entry != new.entry or before.extra != after.extra):
        yield _Said(abs(float(new.entry) - float(old.entry)) * abs(_units(after)), f"entry of {symbol} moved")


def _parameters(pair: Pair) -> Iterator[_Said]:
    if pair.before is None or pair.after is None:
        return
    before, after, symbol = pair.before.leg, pair.after.leg, _symbol(pair)
    if before.maintenance_rate != after.maintenance_rate:
        worth = abs(float(after.maintenance_rate) - float(before.maintenance_rate)) * _worth(pair.after)
        yield _Said(worth, f"margin for the debt of {symbol} {float(before.maintenance_rate):g} → {float(after.maintenance_rate):g}")
    if before.position and after.position and before.position.pnl_weight != after.position.pnl_weight:
        old, new = float(before.position.pnl_weight), float(after.position.pnl_weight)
        yield _Said(abs(profit(after.position, float)) * _coin_usd(pair.after), f"weight of the profit on {symbol} {old:g} → {new:g}")
    if before.weight != after.weight and before.enabled and after.enabled:
        worth = abs(float(after.weight) - float(before.weight)) * _worth(pair.after)
        yield _Said(worth, f"weight of {symbol} {float(before.weight):g} → {float(after.weight):g}")
    if before.position and after.position and _rates(before.position) != _rates(after.position):
        yield _Said(_worth(pair.after), f"maintenance of {symbol}{_step(before.position, after.position)}")
    if (before.factor, before.peg) != (after.factor, after.peg):
        yield _Said(0.0, f"{symbol} follows another factor")


_SAY: Final[Mapping[Cause, Callable[[Pair], Iterator[_Said]]]] = MappingProxyType(
    {"price": _prices, "carry": _carried, "flow": _flows, "parameters": _parameters}
)


def _rates(position: model.Position) -> tuple[object, ...]:
    return position.tiers, position.basis, position.close_fee


def _step(before: model.Position, after: model.Position) -> str:
    if len(before.tiers) == len(after.tiers) == 1 and before.tiers != after.tiers:
        return f" {float(before.tiers[0].rate):g} → {float(after.tiers[0].rate):g}"
    return " changed"


def _usd(side: Recorded) -> float:
    """USD for one unit: of a token, or of a position's base."""
    position = side.leg.position
    if position:
        return float(position.mark) * side.quote_usd
    return float(side.leg.price.value) if side.leg.price else 0.0


def _units(side: Recorded) -> float:
    """Units of what `_usd` prices; signed for positions."""
    position = side.leg.position
    if position is None:
        return float(side.leg.amount)
    size = float(position.size)
    return size / float(position.mark) if position.contract is Contract.INVERSE else size


def _worth(side: Recorded) -> float:
    return abs(_units(side)) * _usd(side)


def _coin_usd(side: Recorded) -> float:
    """USD for one unit of what carry is counted in."""
    return side.coin_usd if side.leg.position else _usd(side)


def _number(side: Recorded) -> str:
    return price(float(side.leg.position.size) if side.leg.position else float(side.leg.amount))


def _symbol(pair: Pair) -> str:
    return shown(pair.shown.leg.asset.symbol, 16)
