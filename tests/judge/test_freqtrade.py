"""Freqtrade's liquidation prices against ours: 1,000 random positions of every exchange class of its that trades futures.

Each is put to both with the same brackets. Freqtrade takes the bracket from an argument (the stake); the exchanges' rule is the bracket of
the notional at the price in question. So it is asked once for every bracket, and its answer counts where the notional at that answer lies
in that very bracket. Where it would take another bracket by itself, the exchange's rule, written down here once more from its own table,
says whose price is right. $DEFI_RISK_EXAMPLES multiplies the positions, $DEFI_RISK_SEED takes others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Final

import pytest
from defi_risk_adapters.exchanges import common

from defi_risk.health import HealthSettings
from defi_risk.health.account import assess
from defi_risk.model import Account, Side
from defi_risk.spi import Desk
from tests.judge.cases import GROUPS, SEED, USDT, Case, Holding, Row, cases, fee, position, question, rows, stakes, with_deductions
from tests.judge.environment import ask, tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AGREE: Final = 1e-9
"""Of the price. Freqtrade computes in float64, and so does the model; `common` computes in 160 digits."""
SUPPORTED: Final = {
    "Binance": ["cross", "isolated"],
    "Binanceusdm": ["cross", "isolated"],
    "Bitget": ["isolated"],
    "Bybit": ["isolated"],
    "Gate": ["isolated"],
    "Hyperliquid": ["cross", "isolated"],
    "Krakenfutures": ["isolated"],
    "Okx": ["isolated"],
}
DESK: Final = Desk(name="judge", exchange="binance", milliseconds=0)
SETTINGS: Final = HealthSettings(stables=frozenset({USDT}))


@cache
def judged() -> Mapping[tuple[str, str], list[tuple[Case, list[float]]]]:
    """What freqtrade says of all of them."""
    print(f"seed {SEED}")
    groups = cases()
    found = ask({"groups": [question(*group, given, [stakes(one) for one in given]) for group, given in groups.items()]})
    assert {name: modes for name, modes in found["supported"].items() if modes} == SUPPORTED
    return {group: list(zip(given, answers, strict=True)) for (group, given), answers in zip(groups.items(), found["found"], strict=True)}


def cushion(one: Case) -> Decimal:
    """What else the account has to lose, less what its other positions need."""
    others = [position(one.kind, held) for held in one.others]
    return one.wallet + sum((common.profit(other) - common.maintenance(other) for other in others), Decimal(0))


def account(one: Case) -> Account:
    """The whole account as a reader builds it."""
    held = [common.derivative(DESK, each.coin, each.pair, position(one.kind, each)) for each in (one.own, *one.others)]
    legs = (common.margin(DESK, "USDT", one.wallet, Decimal(1)), *held)
    return Account(id=DESK.account_id("usdm"), owner="judge", side=Side.DERIVATIVES, venue="Judge", market="usdm", legs=legs, strict=False)


def at(kind: str, held: Holding, price: Fraction) -> Row:
    """The bracket that holds by the exchange's rule: that of the notional at a price."""
    worth = abs(Fraction(held.size)) * (Fraction(held.entry) if kind == "Bybit" else price)
    return next(row for row in reversed(rows()[held.pair]) if worth >= row.floor)


def required(kind: str, held: Holding, price: Fraction) -> Fraction:
    """Maintenance margin by the exchange's rule, from the amounts that its own table tells."""
    worth = abs(Fraction(held.size)) * (Fraction(held.entry) if kind == "Bybit" else price)
    if kind == "Hyperliquid":
        return worth / 2 / Fraction(rows()[held.pair][0].leverage)
    row = at(kind, held, price)
    return worth * Fraction(row.rate + fee(kind)) - (Fraction(row.cum) if with_deductions(kind) else 0)


def surplus(one: Case, price: Fraction) -> Fraction:
    """Margin balance less maintenance margin of the whole account, at a price of its first position."""
    total = Fraction(one.wallet)
    for held, now in [(one.own, price), *((other, Fraction(other.mark)) for other in one.others)]:
        total += Fraction(held.size) * (now - Fraction(held.entry)) - required(one.kind, held, now)
    return total


def theirs(one: Case, answers: Sequence[float]) -> list[float]:
    """Freqtrade's prices whose bracket holds at the price itself, nearest to the mark first; those above zero alone are prices."""
    if one.kind in ("Bybit", "Hyperliquid"):  # one bracket: that of the value at entry, or the only one there is
        return [answers[-2]] if answers[-2] > 0 else []
    size, last = float(abs(one.own.size)), rows()[one.own.pair][-1]
    slack = 1 + 1e-12  # both brackets hold at an edge
    found = [
        price
        for row, price in zip(rows()[one.own.pair], answers, strict=False)
        if price > 0 and float(row.floor) <= size * price * slack and (row is last or size * price <= float(row.cap) * slack)
    ]
    return sorted(found, key=lambda price: abs(price - float(one.own.mark)))


def close(ours: Decimal | float, other: float) -> bool:
    return float(ours) == pytest.approx(other, rel=AGREE, abs=0)


def edges(one: Case) -> Iterator[Decimal]:
    """Prices at which the next bracket begins."""
    return (row.floor / abs(one.own.size) for row in rows()[one.own.pair])


@pytest.mark.parametrize(("kind", "mode"), GROUPS)
def test_the_price_is_freqtrades_in_the_bracket_that_holds(kind: str, mode: str) -> None:
    found = none = jumped = 0
    for one, answers in judged()[kind, mode]:
        ours = common.liquidation_price(position(kind, one.own), cushion(one))
        others = theirs(one, answers)
        alive = surplus(one, Fraction(one.own.mark)) > 0
        losing = [price for price in others if alive is ((price < one.own.mark) is not one.own.short)]
        if ours is None:
            assert not losing, (one, losing)
            none += 1
        elif not with_deductions(kind) and any(abs(edge - ours) < edge * Decimal("1e-20") for edge in edges(one)):
            assert not losing or abs(losing[0] - float(one.own.mark)) > abs(float(ours - one.own.mark)), one
            jumped += 1
        else:
            assert losing, (one, ours, answers)
            assert close(ours, losing[0]), (one, ours, losing)
            gross = abs(Fraction(one.own.size)) * (Fraction(ours) + Fraction(one.own.entry))
            assert abs(surplus(one, Fraction(ours))) <= gross / 10**20, one
            found += 1
    print(f"{kind} {mode}: {found} prices, {none} without one, {jumped} at a jump of the brackets")
    assert found >= 0.5 * len(judged()[kind, mode])


@pytest.mark.parametrize(("kind", "mode"), GROUPS)
def test_the_model_puts_the_line_at_the_same_price(kind: str, mode: str) -> None:
    seen = 0
    for one, _ in judged()[kind, mode]:
        ours = common.liquidation_price(position(kind, one.own), cushion(one))
        figures = assess(account(one), SETTINGS, {}).figures
        assert figures.liquidatable is (surplus(one, Fraction(one.own.mark)) <= 0)
        if figures.liquidatable:
            continue
        side = "up" if one.own.short else "down"
        moves = [move for move in figures.moves if move.factor == one.own.coin and move.direction == side]
        if ours is None:
            assert not moves
            continue
        [move] = moves
        assert close(ours, float(one.own.mark) * (1 + move.move)), (one, ours, move)
        seen += 1
    assert seen >= 0.4 * len(judged()[kind, mode])


def test_the_bracket_at_entry_would_be_the_wrong_one() -> None:
    """What freqtrade answers by itself: with the bracket of the notional at entry, and with that of the stake. By the exchange's own rule
    the surplus is nothing at our price, and something at each of its other prices.
    """
    for label, which in (("entry notional", -2), ("collateral", -1)):
        off: list[float] = []
        every = 0
        for group in (("Binance", "isolated"), ("Binance", "cross"), ("Binanceusdm", "cross")):
            for one, answers in judged()[group]:
                ours = common.liquidation_price(position(one.kind, one.own), cushion(one))
                every += 1
                if ours is None or close(ours, answers[which]):
                    continue
                gross = abs(Fraction(one.own.size)) * (Fraction(ours) + Fraction(one.own.entry))
                assert abs(surplus(one, Fraction(ours))) <= gross / 10**20
                if answers[which] > 0:
                    assert abs(surplus(one, Fraction(answers[which]))) > gross / 10**12, one
                off.append(abs(answers[which] / float(ours) - 1))
        print(f"by the bracket of the {label} {len(off)} of {every} prices are off, by up to {max(off):.2%}")
        assert off


def test_a_deduction_moves_the_price_of_an_isolated_position_at_bybit_by_its_share() -> None:
    """Freqtrade's class leaves the deduction of the risk limit out: beyond the first bracket its price is too near by that."""
    for one, answers in judged()["Bybit", "isolated"]:
        row = at("Bybit", one.own, Fraction(one.own.entry))
        exact = replace(position("Bybit", one.own), tiers=common.brackets((each.floor, each.rate) for each in rows()[one.own.pair]))
        ours = common.liquidation_price(exact, one.wallet)
        apart = float(row.cum / abs(one.own.size)) * (-1 if one.own.size > 0 else 1)
        if ours is not None and answers[-2] > 0:
            assert float(ours) == pytest.approx(answers[-2] + apart, rel=AGREE, abs=AGREE * float(one.own.entry))


def test_another_short_of_a_cross_wallet_earns_when_its_price_falls() -> None:
    """Freqtrade counts it as a long. The exchange's rule is the sign of the position: the price that it gives otherwise is off by twice the
    profit.
    """
    pairs = ["ETH/USDT:USDT", "BTC/USDT:USDT"]
    [own, other] = [
        Holding(pair=pair, size=Decimal(size), entry=Decimal(entry), mark=Decimal(mark), leverage=Decimal(10))
        for pair, size, entry, mark in ((pairs[0], 10, 3_000, 3_000), (pairs[1], "-0.1", 60_000, 55_000))
    ]
    one = Case(kind="Binance", mode="cross", wallet=Decimal(9_000), own=own, others=(other,))
    answers = ask({"groups": [question("Binance", "cross", [one], [[Decimal(30_000)]])]})["found"][0][0]
    ours = common.liquidation_price(position("Binance", own), cushion(one))
    assert ours is not None
    assert abs(surplus(one, Fraction(ours))) < Fraction(1, 10**20)
    row = rows()[pairs[0]][0]
    profit = (other.entry - other.mark) * abs(other.size)
    assert answers[0] == pytest.approx(float(ours + 2 * profit / (own.size * (1 - row.rate))), rel=AGREE)


def test_brackets_of_every_symbol_are_what_the_exchange_tells() -> None:
    """The deductions that make brackets meet are the exchange's own maintenance amounts, for every contract of its table."""
    count = 0
    for pair, told in tables().items():
        made = common.brackets((Decimal(tier["minNotional"]), Decimal(tier["maintenanceMarginRate"])) for tier in told)
        assert [tier.deduction for tier in made] == [Decimal(tier["info"]["cum"]) for tier in told], pair
        count += len(made)
    assert count > 5_000
