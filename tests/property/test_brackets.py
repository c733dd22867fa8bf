"""Maintenance brackets, and the liquidation price of one position: what must hold for every table and every position.

Our formulas are compared with plain ones: the requirement of a notional taken bracket by bracket, and the price found by bisection on the
surplus.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise

import pytest
from defi_risk_adapters.exchanges import common
from hypothesis import assume, given
from hypothesis import strategies as st

from defi_risk.errors import BadAnswer, OutOfRange
from defi_risk.health.account import assess
from defi_risk.ids import Factor
from defi_risk.model import Account, Basis, Contract, Position, Side, Tier
from defi_risk.spi import Desk, ExchangeCall
from tests import strategies as own
from tests.accounts import ETH, SETTINGS, USDT
from tests.strategies import decimals

ZERO = Decimal(0)
DESK = Desk(name="desk", exchange="binance", milliseconds=0)
WHOLE = {"bitget", "mexc", "weex"}
LINES = [Decimal(1), Decimal("1.05")]


def bundled() -> Iterator[tuple[str, tuple[Tier, ...]]]:
    """Every table that ships."""
    document = tomllib.loads((files("defi_risk") / "data" / "exchanges.toml").read_text("utf-8"))
    for table in document.get("tiers", ()):
        yield f"{table['exchange']} {table['symbol']}", tuple(Tier(*map(Decimal, row)) for row in table["tiers"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Brackets that meet, of any number."""
    count = draw(st.integers(1, 8))
    floors = sorted(draw(st.sets(st.integers(1, 10**7), min_size=count - 1, max_size=count - 1)))
    rates = sorted(draw(st.lists(decimals("0.001", "0.5"), min_size=count, max_size=count)))
    return common.brackets(zip(map(Decimal, [0, *floors]), rates, strict=True))


@st.composite
def positions(draw: st.DrawFn) -> Position:
    """Linear and inverse, long and short, in and out of profit, judged at the mark or at entry, with and without fees and haircuts."""
    contract = draw(st.sampled_from(Contract))
    mark = draw(decimals("0.5", "90000", 2))
    entry = mark * draw(decimals("0.5", "2"))
    worth = draw(decimals("10", "20000000", 2))
    size = worth / mark if contract is Contract.LINEAR else worth * mark
    return Position(
        size=size.quantize(Decimal("1e-8")) * draw(st.sampled_from([1, -1])),
        entry=entry,
        mark=mark,
        quote=USDT if contract is Contract.LINEAR else Factor("USD"),
        contract=contract,
        tiers=draw(tables()),
        basis=draw(st.sampled_from([Basis.MARK, Basis.MARK, Basis.ENTRY])),
        initial_rate=Decimal("0.1"),
        close_fee=draw(st.sampled_from([ZERO, Decimal("0.0006")])),
        unrealized_pnl=draw(st.none() | decimals("-1000", "1000", 2)),
        accrued_funding=draw(st.sampled_from([ZERO, Decimal("1.25"), Decimal("-3.5")])),
        exit_cost=draw(st.sampled_from([ZERO, Decimal("0.75")])),
        pnl_weight=draw(st.sampled_from([Decimal(1), Decimal("0.95")])),
    )


def required(tiers: tuple[Tier, ...], notional: Fraction) -> Fraction:
    """The requirement of a notional, each part of it at the rate of the bracket that it lies in."""
    tops = [*(Fraction(tier.floor) for tier in tiers[1:]), max(notional, Fraction(tiers[-1].floor))]
    total = Fraction(0)
    for tier, top in zip(tiers, tops, strict=True):
        total += max(Fraction(0), min(top, notional) - Fraction(tier.floor)) * Fraction(tier.rate)
    return total


def surplus(position: Position, cushion: Decimal, line: Decimal, price: Fraction) -> Fraction:
    """What is above the line at a price, in the settling coin, by plain formulas."""
    size, mark = Fraction(position.size), Fraction(position.mark)
    linear = position.contract is Contract.LINEAR
    moved = size * (price - mark) if linear else size / mark - size / price
    earned = Fraction(common.profit(position)) + moved + Fraction(position.accrued_funding)
    judged = Fraction(position.entry) if position.basis is Basis.ENTRY else price
    notional = abs(size) * judged if linear else abs(size) / judged
    needs = required(position.tiers, notional) + notional * Fraction(position.close_fee)
    return Fraction(cushion) + earned * Fraction(position.pnl_weight) - Fraction(position.exit_cost) - Fraction(line) * needs


def cushions(position: Position) -> st.SearchStrategy[Decimal]:
    """From dead to hard to kill."""
    worth = common.notional(position)
    return decimals("-0.1", "1.5").map(lambda share: (share * worth).quantize(Decimal("1e-8")))


@pytest.mark.parametrize("name", list(dict(bundled())))
def test_bundled_tables_rise_and_meet(name: str) -> None:
    """At an exchange that charges a whole notional at the rate of its bracket they jump instead."""
    tiers = dict(bundled())[name]
    met = common.brackets((tier.floor, tier.rate) for tier in tiers)
    whole = tuple(replace(tier, deduction=ZERO) for tier in met)
    assert tiers == (whole if name.split()[0] in WHOLE else met)
    for below, above in pairwise(tiers):
        jump = (above.floor * above.rate - above.deduction) - (above.floor * below.rate - below.deduction)
        assert jump >= 0 if name.split()[0] in WHOLE else jump == 0


@own.examples(100)
@given(tables())
def test_brackets_meet_at_their_edges(tiers: tuple[Tier, ...]) -> None:
    for below, above in pairwise(tiers):
        assert above.floor * below.rate - below.deduction == above.floor * above.rate - above.deduction
        assert above.deduction >= below.deduction


@own.examples(100)
@given(tables(), decimals("0.01", "20000000", 2))
def test_the_requirement_is_charged_bracket_by_bracket(tiers: tuple[Tier, ...], notional: Decimal) -> None:
    found = common.bracket_of(tiers, notional)
    plain = Position(
        size=notional, entry=Decimal(1), mark=Decimal(1), quote=USDT, tiers=tiers, initial_rate=found.rate, unrealized_pnl=ZERO
    )
    assert Fraction(common.maintenance(plain)) == required(tiers, Fraction(notional))
    assert common.maintenance(plain) == notional * found.rate - found.deduction
    assert common.bracket_of(tuple(reversed(tiers)), notional) == found


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(1, "0.01")],
        [(0, "0.01"), (0, "0.02")],
        [(0, "0.02"), (10, "0.01")],
        [(-1, "0.01"), (0, "0.02")],
        [(0, "-0.01"), (10, "0.01")],
    ],
)
def test_tables_that_cannot_be(rows: list[tuple[int, str]]) -> None:
    with pytest.raises(OutOfRange):
        common.brackets((Decimal(floor), Decimal(rate)) for floor, rate in rows)


def test_a_notional_below_every_bracket_is_refused() -> None:
    for tiers in ((), (Tier(Decimal(10), Decimal("0.01"), ZERO),)):
        with pytest.raises(OutOfRange):
            common.bracket_of(tiers, Decimal(5))


@own.examples(120)
@given(st.data(), positions(), st.sampled_from(LINES))
def test_the_liquidation_price_is_where_bisection_finds_it(data: st.DataObject, position: Position, line: Decimal) -> None:
    cushion = data.draw(cushions(position))
    mark = Fraction(position.mark)
    now = surplus(position, cushion, line, mark)
    found = common.joint_price([position], cushion, line)
    if now == 0:
        assert found == position.mark
        return
    falls = (position.size > 0) is (now > 0)
    end = mark / 10**9 if falls else mark * 10**9
    beyond = surplus(position, cushion, line, end)
    if (beyond > 0) is (now > 0):
        assert found is None or (Fraction(found) < end if falls else Fraction(found) > end)
        return
    assert found is not None
    near, far = mark, end
    for _ in range(80):
        middle = (near + far) / 2
        middle = Fraction(middle.numerator * 2**96 // middle.denominator, 2**96)
        if (surplus(position, cushion, line, middle) > 0) is (now > 0):
            near = middle
        else:
            far = middle
    assert abs(Fraction(found) - near) <= abs(near - far) + mark / 10**20
    assert abs(surplus(position, cushion, line, Fraction(found))) <= dust([position], cushion, found)


def dust(positions: Sequence[Position], cushion: Decimal, price: Decimal) -> Fraction:
    """What 160 digits may be off by."""
    parts = [abs(cushion), *(abs(common.profit(one)) + common.notional(one) + common.notional(one, price) for one in positions)]
    return sum(map(Fraction, parts), Fraction(0)) / 10**100


@own.examples(120)
@given(positions(), st.sampled_from(LINES), decimals("-0.1", "1.5"))
def test_one_position_counted_in_full(position: Position, line: Decimal, share: Decimal) -> None:
    cushion = (share * common.notional(position)).quantize(Decimal("1e-8"))
    plain = replace(position, pnl_weight=Decimal(1), accrued_funding=ZERO, exit_cost=ZERO)
    assert common.liquidation_price(position, cushion, line) == common.joint_price([plain], cushion, line)


@own.examples(120)
@given(st.data(), positions(), positions(), st.sampled_from(LINES))
def test_both_sides_of_a_hedge_move_with_one_price(data: st.DataObject, one: Position, other: Position, line: Decimal) -> None:
    """Between the mark and the price, and as far on the other side, nothing happens; at the price the surplus is nothing."""
    share = data.draw(decimals("0.02", "2"))
    size = (-one.size * share).quantize(Decimal("1e-8")) or -one.size
    both = [one, replace(other, size=size, mark=one.mark, contract=one.contract, unrealized_pnl=data.draw(decimals("-100", "100", 2)))]
    cushion = data.draw(cushions(one))
    mark = Fraction(one.mark)

    def left(price: Fraction) -> Fraction:
        return sum((surplus(each, ZERO, line, price) for each in both), Fraction(cushion))

    now = left(mark)
    assume(now != 0)
    found = common.joint_price(both, cushion, line)
    if found is None:
        reach = [mark * Fraction(10) ** power for power in range(-6, 7)]
    else:
        assert abs(left(Fraction(found))) <= dust(both, cushion, found)
        reach = [mark + (Fraction(found) - mark) * Fraction(part, 100) for part in (-99, -70, -40, -10, 10, 40, 70, 99)]
    assert all((left(price) > 0) is (now > 0) for price in reach if price > 0)


def account(position: Position, cushion: Decimal, line: Decimal) -> Account:
    """The account of one position: its cushion is margin in the coin that the contract settles in."""
    linear = position.contract is Contract.LINEAR
    coin, price = ("USDT", Decimal(1)) if linear else ("ETH", position.mark)
    legs = (common.margin(DESK, coin, cushion, price), common.derivative(DESK, "ETH", "ETHX", position))
    return Account(
        id=DESK.account_id("usdm"), owner="desk", side=Side.DERIVATIVES, venue="V", market="m", legs=legs, line=line, strict=False
    )


@own.examples(200)
@given(st.data(), positions(), st.sampled_from(LINES))
def test_the_model_dies_at_the_liquidation_price(data: st.DataObject, position: Position, line: Decimal) -> None:
    cushion = data.draw(decimals("0.001", "1.5").map(lambda share: (share * common.notional(position)).quantize(Decimal("1e-8"))))
    now = surplus(position, cushion, line, Fraction(position.mark))
    gross = float(common.notional(position) + cushion + abs(common.profit(position)))
    assume(now > 1e-6 * gross)
    found = common.joint_price([position], cushion, line)
    figures = assess(account(position, cushion, line), SETTINGS, {}).figures
    side = "down" if position.size > 0 else "up"
    moves = [move for move in figures.moves if move.factor == ETH and move.direction == side]
    if found is None:  # a crossing at zero itself is none; float64 may put it a hair above
        assert not moves or (side == "down" and 1 + moves[0].move < 1e-12)
        return
    ratio = float(found / position.mark)
    assume(1e-4 < ratio < 1e4)
    [move] = moves
    assert 1 + move.move == pytest.approx(ratio, rel=1e-9)


def short(**more: object) -> Position:
    """Ten ether sold at 3,000."""
    terms: dict[str, object] = {
        "size": Decimal(-10),
        "entry": Decimal(3000),
        "mark": Decimal(3000),
        "quote": USDT,
        "tiers": (Tier(ZERO, Decimal("0.02"), ZERO),),
        "initial_rate": Decimal("0.1"),
    }
    return Position(**(terms | more))  # type: ignore[arg-type]  # terms of a position


def test_the_line_of_the_hedge_with_the_known_answer() -> None:
    assert f"{common.liquidation_price(short(), Decimal(12_000)):.2f}" == "4117.65"


def test_no_price_where_margin_covers_everything() -> None:
    assert common.liquidation_price(short(size=Decimal(10)), Decimal(30_000)) is None
    assert common.liquidation_price(short(size=ZERO), Decimal(30_000)) is None


def test_a_dead_account_has_its_line_on_the_other_side() -> None:
    found = common.liquidation_price(short(), Decimal(100))
    assert found is not None
    assert found < 3_000
    assert surplus(short(), Decimal(100), Decimal(1), Fraction(found)) == pytest.approx(0, abs=1e-90)


def test_the_mark_itself() -> None:
    assert common.liquidation_price(short(), Decimal(600)) == 3_000


@pytest.mark.parametrize("sign", [1, -1])
def test_a_requirement_that_jumps_kills_at_its_edge(sign: int) -> None:
    """Brackets without deductions do not meet: a short dies at the edge that its notional grows over, whatever it had left."""
    jumping = (Tier(ZERO, Decimal("0.01"), ZERO), Tier(Decimal(32_000), Decimal("0.2"), ZERO))
    held = short(tiers=jumping, size=Decimal(10 * sign))
    found = common.liquidation_price(held, Decimal(5_000))
    if sign < 0:
        assert found == 3_200
    else:
        assert found is not None
        assert f"{found:.4f}" == "2525.2525"
    above = replace(held, mark=Decimal(3_300), entry=Decimal(3_300))
    down = common.liquidation_price(above, Decimal(7_000))
    if sign > 0:  # it dies in the upper bracket, before the edge would make it live
        assert down is not None
        assert f"{down:.2f}" == "3250.00"


def test_nothing_is_lost_at_the_edge_of_a_bracket() -> None:
    """The line exactly where two brackets meet, with prices that no decimal holds."""
    tiers = common.brackets([(ZERO, Decimal("0.01")), (Decimal(31_000), Decimal("0.03"))])
    for size in ("-7", "-9", "-11.1", "-13"):
        held = short(size=Decimal(size), tiers=tiers)
        edge = Fraction(31_000) / abs(Fraction(size))
        cushion = Decimal(310) + Decimal(31_000) - abs(Decimal(size)) * 3_000
        found = common.liquidation_price(held, cushion)
        assert found is not None
        assert abs(Fraction(found) - edge) < Fraction(1, 10**100)


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        ("18072.289156626", "0.00000000", "18072.28915662"),
        ("-0.004", "0.00", "0.00"),
        ("-1.239", "-1.00", "-1.23"),
        ("0", "0.00000000", "0.00000000"),
        ("0.000000019", "1e-8", "0.00000001"),
        ("12.7", "13", "12"),
        ("1E+3", "7.0", "1000.0"),
        ("5.5", "", "5"),
        ("5.5", "NaN", "5"),
        ("5.5", "1e-999999999", "5.5" + "0" * 39),
    ],
)
def test_figures_are_cut_as_the_exchange_cuts(value: str, like: str, text: str) -> None:
    assert common.same_digits(Decimal(value), like) == text


def asked(told: Sequence[tuple[str, str]]) -> tuple[list[str], object]:
    """Drive `steady` over pairs of what is held and what else is said; the reads that were asked, and its end."""
    reads: list[str] = []
    steps = common.steady(
        [ExchangeCall("balance")],
        lambda answers: [ExchangeCall(f"positions of {answers[0]}")] if answers[0] != "empty" else [],
        lambda answers: answers[0],
    )
    script = iter(told)
    asks = next(steps)
    try:
        while True:
            kind, answer = next(script)
            assert asks[0].read.startswith(kind)
            reads.append(asks[0].read)
            asks = steps.send([answer])
    except StopIteration as end:
        return reads, end.value


def test_balances_and_positions_of_one_moment() -> None:
    still = [("balance", "a"), ("positions", "x"), ("balance", "a")]
    assert asked(still)[1] == (["a"], ["x"])
    moved = [("balance", "a"), ("positions", "x"), ("balance", "b"), ("positions", "y"), ("balance", "b")]
    assert asked(moved) == (["balance", "positions of a", "balance", "positions of b", "balance"], (["b"], ["y"]))
    assert asked([("balance", "empty"), ("balance", "empty")])[1] == (["empty"], ())
    with pytest.raises(BadAnswer, match="moved 3 times"):
        asked([("balance", "a"), *[("positions", "x"), ("balance", "b"), ("positions", "x"), ("balance", "a")] * 2])


def test_a_debt_is_never_negative() -> None:
    with pytest.raises(OutOfRange):
        common.debt(DESK, "USDT", Decimal(-1), None)


def test_funding_for_eight_hours() -> None:
    assert common.per_8h(Decimal("0.0001"), Decimal(4)) == Decimal("0.0002")
    with pytest.raises(OutOfRange):
        common.per_8h(Decimal("0.0001"), ZERO)
