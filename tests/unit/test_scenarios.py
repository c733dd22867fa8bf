"""Scenarios as users write them: what is read, and one clear line for every fault; the built-in ones as a book gets them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from defi_risk.book.scenario import BUILT_IN, from_options, known_names, load_scenarios, parse_scenarios, parse_shock
from defi_risk.errors import BookError, UsageError
from defi_risk.health import HealthSettings
from defi_risk.health.account import Assessed, assess
from defi_risk.health.shock import Shock
from defi_risk.health.stress.altered import altered, hedges
from defi_risk.health.stress.scenarios import Scenario, built_in, space_of
from defi_risk.history import PriceHistory, day
from defi_risk.ids import Factor, Peg
from defi_risk.model import Account, Contract, Leg, Role
from tests.accounts import BTC, ETH, SETTINGS, SOL, USD, USDC, USDT, collateral, debt, loan, margin, perp, position

FILE = Path(__file__).parents[2] / "fixtures" / "scenarios" / "desk.toml"
NONE: frozenset[int] = frozenset()
ONE = '[[scenario]]\nid = "a"\n'

FAULTS = [
    # text, line, what the message must hold
    ("", 1, "holds no scenario - a scenario starts with [[scenario]]"),
    ("[[scenario]\n", 1, "malformed TOML"),
    ("[[scenarios]]\nid = 'a'\n", 1, "unknown key 'scenarios' - did you mean 'scenario'?"),
    ("scenario = 1\n", 1, "scenario: must be an array of tables, is a number"),
    ("scenario = [1]\n", 1, "scenario[0]: must be a table, is a number"),
    ("[[scenario]]\nname = 'a'\n", 2, "unknown key 'name'"),
    ("[[scenario]]\nshock = {}\n", 2, "unknown key 'shock' - did you mean 'shocks'?"),
    ("[[scenario]]\nshocks = { ETH = -0.1 }\n", 1, "'id' is missing"),
    (ONE, 1, "scenario[0]: does nothing - give it shocks"),
    (ONE + "shocks = {}\n", 1, "does nothing"),
    (ONE + "margin_rates = 1\n", 1, "does nothing"),
    ("[[scenario]]\nid = 'a b'\nshocks = { ETH = -0.1 }\n", 2, "'a b' is not an id"),
    ("[[scenario]]\nid = 'usdt_090'\nshocks = { ETH = -0.1 }\n", 2, "'usdt_090' is the id of a built-in stress - another name"),
    ("[[scenario]]\nid = 'replay:2020-03-12'\nshocks = { ETH = -0.1 }\n", 2, "such as my-replay-2020-03-12"),
    ("[[scenario]]\nid = 'shock'\nshocks = { ETH = -0.1 }\n", 2, "is the id of a built-in stress"),
    (ONE + "shocks = { ETH = -0.1 }\n" + ONE + "shocks = { ETH = -0.2 }\n", 5, "scenario[1].id: 'a' is already taken"),
    (ONE + "title = ''\nshocks = { ETH = -0.1 }\n", 3, "title: is empty"),
    # moves
    (ONE + "shocks = [1]\n", 3, "scenario[0].shocks: must be a table, is an array"),
    (ONE + "shocks = { ETH = nan }\n", 3, "scenario[0].shocks.ETH: NaN is not a finite number"),
    (ONE + "shocks = { ETH = inf }\n", 3, "is not a finite number"),
    (ONE + "shocks = { ETH = '-inf%' }\n", 3, "'-inf%' is not a move - write -30% or -0.3, a rise +10%"),
    (ONE + "shocks = { ETH = true }\n", 3, "true is not a number"),
    (ONE + "shocks = { ETH = '' }\n", 3, "is empty"),
    (ONE + "shocks = { ETH = '30%' }\n", 3, "'30%' has no sign: it could be a price or a move - a fall is -30%, a rise +30%"),
    (ONE + "shocks = { ETH = '0.9' }\n", 3, "has no sign"),
    (ONE + "shocks = { ETH = '−30%' }\n", 3, "is not a move"),
    (ONE + "shocks = { ETH = '-3_0%' }\n", 3, "is not a move"),
    (ONE + "shocks = { ETH = -30 }\n", 3, "a fall by 3000% cannot be - a price loses at most 100 %; is -30% meant?"),
    (ONE + "shocks = { ETH = '-100.5%' }\n", 3, "cannot be - a price loses at most 100 %"),
    (ONE + "shocks = { ETH = 30 }\n", 3, "a rise by 3000% cannot be right - write +30% or, if that is meant, +3000%"),
    (ONE + "shocks = { ETH = '+100000001%' }\n", 3, "cannot be right - at most +100000000%"),
    (ONE + "shocks = { ETH = 1e31 }\n", 3, "cannot be right"),
    (ONE + "shocks = { ETH = " + "9" * 90 + " }\n", 3, "a huge number"),
    (ONE + "shocks = { ETH = -0.1, ETH = -0.2 }\n", 3, "malformed TOML"),
    (ONE + "then = [{ ETH = -0.1 }]\n", 3, "then: comes without shocks"),
    (ONE + "shocks = { ETH = -0.1 }\nthen = { ETH = 0.1 }\n", 4, "then: must be an array of tables, is a table"),
    (
        ONE + "shocks = { ETH = -0.1 }\nthen = [\n  { ETH = '+1%' },\n  { ETH = 'up' },\n]\n",
        6,
        "scenario[0].then[1].ETH: 'up' is not a move",
    ),
    (ONE + "shocks = {" + ",".join(f"F{n} = 0.1" for n in range(201)) + "}\n", 3, "shocks: moves 201 names - at most 200"),
    (ONE + "shocks = { ETH = 0.1 }\nthen = [" + "{ ETH = 0.1 }," * 101 + "]\n", 4, "then: has 101 steps - at most 100"),
    ("".join(f"[[scenario]]\nid = 'a{n}'\nhedge_lost = true\n" for n in range(101)), 301, "scenario[100]: one scenario more than 100"),
    # modifiers
    (ONE + "margin_rates = 0\n", 3, "0 must be greater than 0"),
    (ONE + "margin_rates = -2\n", 3, "-2 must be greater than 0"),
    (ONE + "margin_rates = 101\n", 3, "101 is out of range"),
    (ONE + "margin_rates = 'x'\n", 3, "'x' is not a number"),
    (ONE + "funding_8h = -0.003\n", 3, "-0.003 is out of range - 0 ... 1"),
    (ONE + "funding_8h = '-0.3%'\n", 3, "'-0.3%' is not a number"),
    (ONE + "funding_8h = '101%'\n", 3, "out of range - 0% ... 100%"),
    (ONE + "hedge_lost = 1\n", 3, "hedge_lost: must be true or false"),
    (ONE + "hedge_lost = 0x" + "f" * 5_000 + "\n", 3, "hedge_lost: must be true or false"),
]


@pytest.mark.parametrize(("text", "line", "what"), FAULTS)
def test_every_fault_is_one_line_with_its_place(text: str, line: int, what: str) -> None:
    with pytest.raises(BookError) as caught:
        parse_scenarios(text, "s.toml")
    message = str(caught.value)
    assert what in message
    assert message.startswith(f"s.toml:{line}: ")
    assert "\n" not in message
    assert len(message) < 400


def test_a_file_is_read_whole() -> None:
    crash, squeeze, thin = load_scenarios(FILE)
    assert (crash.id, crash.title) == ("eth-crash", "ETH falls by 30 %, stETH trades below it, then half of it comes back")
    assert crash.steps == (
        {"ETH": Decimal("-0.30"), "stETH/ETH": Decimal("-0.07")},
        {"ETH": Decimal("-0.15"), "stETH/ETH": Decimal("-0.02")},
    )
    assert (crash.margin_rates, crash.funding_8h, crash.hedge_lost) == (Decimal(1), Decimal(0), False)
    assert squeeze.steps == ({"ETH": Decimal("0.1"), "BTC": Decimal("0.25")},)
    assert squeeze.title == "ETH +10 %, BTC +25 %"
    assert (thin.margin_rates, thin.funding_8h, thin.hedge_lost, thin.steps) == (Decimal("1.5"), Decimal("0.001"), True, ())
    assert thin.title == "thin"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for name, data, what in (
        ("absent", None, "cannot be read: No such file"),
        ("utf16", "[[scenario]]".encode("utf-16"), "is UTF-16 text"),
        ("latin", b"# \n# \xe9\n", "is not UTF-8 text"),
        ("huge", b"#" * 1_048_577, "is larger than 1 MiB - is this a scenario file?"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(BookError, match=what):
            load_scenarios(tmp_path / name)
    with pytest.raises(BookError, match="NUL"):
        load_scenarios("a\0b")


@pytest.mark.parametrize(
    ("text", "name", "move"),
    [
        ("ETH=-30%", "ETH", "-0.3"),
        ("ETH = -30 %", "ETH", "-0.3"),
        ("ETH=-0.3", "ETH", "-0.3"),
        ("stETH/ETH=-7.5%", "stETH/ETH", "-0.075"),
        ("binance:ETH=+10%", "binance:ETH", "0.1"),
        ("eip155:1/erc20:0xAB=+900%", "eip155:1/erc20:0xAB", "9"),
        ("a=b=+0%", "a=b", "0"),
        ("ETH=-100%", "ETH", "-1"),
    ],
)
def test_a_shock_on_the_command_line(text: str, name: str, move: str) -> None:
    assert parse_shock(text) == (name, Decimal(move))


@pytest.mark.parametrize(
    "text", ["", "ETH", "=-30%", "ETH=", "ETH=0.9", "ETH=30%", "ETH=-130%", "ETH=+11", "ETH=nan", "ETH=-1e-1", "ETH=--1%"]
)
def test_a_shock_that_is_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_shock(text)
    assert caught.value.hint
    assert str(caught.value).startswith("--shock ")


def test_options_make_one_scenario() -> None:
    assert from_options([]) is None
    made = from_options(["ETH=-30%", "USDT=-0.1"])
    assert made is not None
    assert (made.id, made.title) == ("shock", "ETH -30 %, USDT -10 %")
    assert made.steps == ({"ETH": Decimal("-0.3"), "USDT": Decimal("-0.1")},)
    many = from_options([f"F{number}=-1%" for number in range(8)])
    assert many is not None
    assert many.title == "F0 -1 %, F1 -1 %, F2 -1 %, F3 -1 %, F4 -1 %, F5 -1 % and 2 more"
    with pytest.raises(UsageError, match="ETH is moved twice"):
        from_options(["ETH=-30%", "ETH=-0.1"])
    with pytest.raises(UsageError, match="at most 200"):
        from_options([f"F{number}=-1%" for number in range(201)])


def written(text: str) -> Scenario:
    return Scenario.of(parse_scenarios(text, "s.toml")[0])


def of(*accounts: Account, settings: HealthSettings = SETTINGS) -> list[Assessed]:
    return [assess(account, settings, {}) for account in accounts]


SHORT = perp(margin(USDC, 9_000), position(ETH, -10, 3000), venue="binance")
LOAN = loan(collateral(ETH, 10, 3000, "0.83"), collateral(ETH, 1, 3500, "0.8", peg=Peg("stETH/ETH")), debt(USDC, 9_000), venue="Aave V3")


@pytest.mark.parametrize(
    ("shocks", "what"),
    [
        ("ETHH = -0.1", "s.toml:3: scenario[0].shocks.ETHH: unknown factor 'ETHH' - did you mean 'ETH'?"),
        ("eth = -0.1", "unknown factor 'eth' - did you mean 'ETH'?"),
        ("'steth/eth' = -0.1", "did you mean 'stETH/ETH'?"),
        ("'binanc:ETH' = -0.1", "did you mean 'binance:ETH'?"),
        ("USD = -0.1", "unknown factor 'USD' - prices are counted in USD: it cannot move"),
        ("SOL = -0.1", "unknown factor 'SOL'"),
        ("'binance:ETH' = -0.1, 'Binance:ETH' = -0.2", "shocks.Binance:ETH: is moved twice"),
    ],
)
def test_a_name_that_the_book_does_not_know(shocks: str, what: str) -> None:
    with pytest.raises(BookError) as caught:
        written(ONE + f"shocks = {{ {shocks} }}\n").paths(space_of(of(SHORT, LOAN)))
    assert what in str(caught.value)
    assert caught.value.line == 3


def test_a_name_of_a_later_step_has_its_own_line() -> None:
    scenario = written(ONE + "shocks = { ETH = -0.1 }\nthen = [\n  { BTCC = -0.1 },\n]\n")
    with pytest.raises(BookError, match=r"s.toml:5: scenario\[0\].then\[0\].BTCC: unknown factor 'BTCC' - did you mean 'BTC'"):
        scenario.paths(space_of(of(SHORT)))
    options = from_options(["ETHH=-1%"])
    assert options is not None
    with pytest.raises(UsageError, match=r"--shock ETHH: unknown factor 'ETHH' - did you mean 'ETH'\?"):
        Scenario.of(options).paths(space_of(of(SHORT)))


def test_what_is_known_without_being_held_may_be_moved() -> None:
    scenario = written(ONE + "shocks = { SOL = '-10%', 'rETH/ETH' = -0.02, 'binance:ETH' = '+1%', 'Aave v3:USDC' = -0.1 }\n")
    assert {"SOL", "rETH/ETH", "wstETH/ETH", "USDT"} - set(known_names()) == {"wstETH/ETH"}
    path = scenario.paths(space_of(of(SHORT, LOAN), known_names()))
    assert path == ((Shock({SOL: -0.1}, {Peg("rETH/ETH"): -0.02}, {("binance", ETH): 0.01, ("Aave V3", USDC): -0.1}),),)


def test_a_token_that_is_named_by_its_asset_id_is_a_factor() -> None:
    factor = "eip155:1/erc20:0xAB"
    options = from_options([f"{factor}=-10%"])
    assert options is not None
    assert Scenario.of(options).paths(space_of(of(SHORT), [factor])) == ((Shock({Factor(factor): -0.1}),),)


def by_id(scenarios: tuple[Scenario, ...]) -> dict[str, Scenario]:
    return {scenario.id: scenario for scenario in scenarios}


def test_the_built_in_ones_have_their_ids_in_order() -> None:
    for book in ([], of(SHORT, LOAN)):
        found = built_in(book, SETTINGS)
        assert tuple(scenario.id for scenario in found) == BUILT_IN
        assert all(scenario.variants for scenario in found)


def test_majors_move_by_forty_percent_and_others_by_their_beta() -> None:
    settings = HealthSettings(stables=SETTINGS.stables, betas={SOL: 1.4, BTC: 0.8, Factor("WIF"): 3.0, USDC: 0.1, Factor("GOLD"): 0.0})
    held = [collateral(factor, 1, 100) for factor in (SOL, Factor("WIF"), Factor("GOLD"), USDC, USDT, USD, ETH)]
    found = by_id(built_in(of(loan(*held), settings=settings), settings))
    ((fall,),) = found["majors_down_40"].variants
    assert fall.named() == pytest.approx({"BTC": -0.4, "ETH": -0.4, "SOL": -0.56, "WIF": -1.0})
    ((rise,),) = found["majors_up_40"].variants
    assert rise.named() == pytest.approx({"BTC": 0.4, "ETH": 0.4, "SOL": 0.56, "WIF": 1.2})


def test_one_variant_a_venue() -> None:
    other = perp(margin(USDT, 9_000), position(BTC, 1, 60_000, quote=USDT), name="b", venue="bybit")
    idle = loan(collateral(USDC, 5), name="idle", venue="wallet")
    found = by_id(built_in(of(SHORT, LOAN, other, idle), SETTINGS))
    assert [shock.named() for (shock,) in found["usdt_090_one_venue"].variants] == [{"bybit:USDT": -0.1}]
    moves = [shock.named() for (shock,) in found["venue_off_10"].variants]
    assert moves == [
        {f"{venue}:{factor}": move} for venue, factor in (("Aave V3", ETH), ("binance", ETH), ("bybit", BTC)) for move in (0.1, -0.1)
    ]
    without = by_id(built_in(of(idle), SETTINGS))
    assert without["usdt_090_one_venue"].variants == without["venue_off_10"].variants == ((),)


def test_a_recorded_day_is_stepped_through_and_names_what_stands_still() -> None:
    hours = np.arange(1_583_971_200 - 3_600, 1_583_971_200 + 4 * 3_600, 3_600)
    prices = np.column_stack([np.array([200.0, 180, 190, 120, 110]), np.full(5, 8_000.0), np.array([1.0, 0.99, 0.98, 0.9, 0.95])])
    history = PriceHistory(hours, ("ETH", "BTC", "stETH/ETH"), prices, "test")
    replay = built_in(of(SHORT, LOAN), SETTINGS, [day(history, date(2020, 3, 12))])[-1]
    assert replay.id == "replay:2020-03-12"
    assert replay.title == "prices of 2020-03-12; without history and still: USDC"
    (steps,) = replay.variants
    assert [shock.named() for shock in steps] == [
        pytest.approx({"ETH": eth, "stETH/ETH": peg}) for eth, peg in ((-0.1, -0.01), (-0.05, -0.02), (-0.4, -0.1), (-0.45, -0.05))
    ]


def test_of_a_day_by_the_minute_the_extremes_are_kept() -> None:
    start = 1_583_971_200
    times = np.arange(start - 60, start + 1_440 * 60, 60)
    eth = 200 - np.arange(len(times)) / 100
    eth[777], eth[778], eth[-1] = 90.0, 310.0, 150.0
    history = PriceHistory(times, ("ETH",), eth.reshape(-1, 1), "test")
    replay = built_in(of(SHORT), SETTINGS, [day(history, date(2020, 3, 12))])[-1]
    (steps,) = replay.variants
    assert len(steps) == 290
    assert replay.title.startswith("prices of 2020-03-12 (290 of 1,440 observations, extremes among them); ")
    moves = [shock.factors[ETH] for shock in steps]
    assert [min(moves), max(moves), moves[-1]] == pytest.approx([-0.55, 0.55, -0.25])


# what a scenario does to accounts


def leg_of(account: Account, role: Role, factor: Factor) -> Leg:
    return next(leg for leg in account.legs if leg.role is role and leg.factor == factor)


def test_margin_rates_double_and_brackets_still_meet() -> None:
    tiers = [(0, "0.004", 0), (50_000, "0.005", 50)]
    (one,) = of(perp(margin(USDT, 9_000), position(ETH, 20, 3000, quote=USDT, maintenance=tiers, initial="0.02", fee="0.0005")))
    (after,) = of(altered(one, NONE, Decimal(2), Decimal(0)))
    assert one.figures.requirement_usd == pytest.approx(60_000 * 0.0055 - 50)
    assert after.figures.requirement_usd == pytest.approx(2 * (60_000 * 0.005 - 50) + 60_000 * 0.0005)
    assert after.figures.initial_requirement_usd == pytest.approx(60_000 * 0.0405)
    assert after.figures.equity_usd == one.figures.equity_usd


def test_funding_is_paid_by_every_position_in_what_it_settles_in() -> None:
    legs = (margin(USDT, 9_000), margin(BTC, 1, 60_000, "0.95"), position(ETH, 10, 3000, quote=USDT), position(ETH, -5, 3000, quote=USDC))
    inverse = position(BTC, -30_000, 60_000, quote=USD, contract=Contract.INVERSE)
    (one,) = of(perp(*legs, inverse))
    account = altered(one, NONE, Decimal(1), Decimal("0.003"))
    assert leg_of(account, Role.MARGIN, USDT).amount.decimal() == 9_000 - 270
    assert leg_of(account, Role.MARGIN, USDC).amount.decimal() == -135
    assert leg_of(account, Role.MARGIN, BTC).amount.decimal() == Decimal("0.9955")
    (after,) = of(account)
    assert after.figures.equity_usd == pytest.approx(one.figures.equity_usd - 270 - 135 - 270)
    # a loan pays none, and an account without positions neither
    for other in of(LOAN, perp(margin(USDC, 5))):
        assert altered(other, NONE, Decimal(1), Decimal("0.003")) is other.account


def test_lost_hedges_are_closed_at_the_mark_and_their_profit_is_margin() -> None:
    inverse = position(BTC, -30_000, 60_000, entry=75_000, quote=USD, contract=Contract.INVERSE)
    hedge = perp(
        margin(USDC, 9_000),
        position(ETH, -10, 3000, pnl=-500),
        position(ETH, 1, 3000, quote=USDT),
        inverse,
        name="hedge",
        liquidatable=False,
        native={"a": 1},
    )
    book = of(LOAN, hedge, loan(collateral(BTC, "0.5", 60_000), name="btc"))
    lost = hedges(book, SETTINGS)
    assert lost == {1: frozenset({1, 3})}
    account = altered(book[1], lost[1], Decimal(1), Decimal(0))
    assert [(leg.role, leg.factor) for leg in account.legs] == [
        (Role.MARGIN, USDC), (Role.POSITION, ETH), (Role.MARGIN, BTC),
    ]  # fmt: skip
    assert leg_of(account, Role.MARGIN, USDC).amount.decimal() == 8_500
    assert float(leg_of(account, Role.MARGIN, BTC).amount) == pytest.approx(-30_000 / 75_000 + 30_000 / 60_000)
    assert (account.liquidatable, account.native) == (None, {})
    assert of(account)[0].figures.equity_usd == pytest.approx(book[1].figures.equity_usd)
    assert altered(book[0], NONE, Decimal(1), Decimal(0)) is book[0].account


@pytest.mark.parametrize(
    ("accounts", "lost"),
    [
        # held: the short is the hedge; owed: the long
        ([loan(collateral(ETH, 1, 3000)), perp(margin(USDC, 99), position(ETH, -5, 3000), position(ETH, 9, 3000))], {1: {1}}),
        ([loan(collateral(USDC, 9_000), debt(ETH, 1, 3000)), perp(margin(USDC, 99), position(ETH, -5, 3000), position(ETH, 9, 3000))],
         {1: {2}}),
        # nothing held: the smaller side, of equal ones the short
        ([perp(margin(USDC, 99), position(ETH, -5, 3000)), perp(margin(USDC, 99), position(ETH, 4, 3000), name="b")], {1: {1}}),
        ([perp(margin(USDC, 99), position(ETH, -5, 3000)), perp(margin(USDC, 99), position(ETH, 5, 3000), name="b")], {0: {1}}),
        # what is held and owed in equal parts, up to rounding, is nothing
        (
            [
                loan(collateral(ETH, "0.1", "0.7"), collateral(ETH, "0.2", "0.7"), debt(ETH, "0.3", "0.7")),
                perp(margin(USDC, 99), position(ETH, -4, "0.7"), position(ETH, 5, "0.7")),
            ],
            {1: {1}},
        ),
        # a lone position, or one in a stable, hedges nothing
        ([perp(margin(USDC, 99), position(ETH, -5, 3000))], {}),
        ([loan(collateral(USDT, 9_000)), perp(margin(USDC, 99), position(USDT, -5_000, 1))], {}),
        ([loan(collateral(ETH, 1, 3000)), perp(margin(USDC, 99), position(ETH, 0, 3000))], {}),
        ([loan(collateral(USDC, 9_000), debt(ETH, 1, 3000)), perp(margin(USDC, 99), position(ETH, 0, 3000))], {}),
    ],
)  # fmt: skip
def test_which_positions_hedge(accounts: list[Account], lost: dict[int, set[int]]) -> None:
    assert hedges(of(*accounts), SETTINGS) == {row: frozenset(legs) for row, legs in lost.items()}


def test_what_is_settled_goes_to_the_largest_margin_that_counts() -> None:
    legs = [margin(USDC, 100), margin(USDC, 300), replace(margin(USDC, 900), enabled=False), position(ETH, 1, 3000)]
    (one,) = of(perp(*legs))
    account = altered(one, NONE, Decimal(1), Decimal("0.001"))
    assert [leg.amount.decimal() for leg in account.legs] == [100, 291, 900, 1]


def test_majors_count_in_full_when_the_market_turns_against_the_rest() -> None:
    settings = HealthSettings(stables=SETTINGS.stables, betas={BTC: 0.1})
    book = of(loan(collateral(BTC, 1, 10_000), debt(ETH, 1, 5_000)), settings=settings)
    ((shock,),) = by_id(built_in(book, settings))["hedge_lost"].variants
    assert shock.factors[BTC] == -0.25


@pytest.mark.parametrize(("held", "against"), [("5", -0.25), ("-5", 0.25)])
def test_the_market_then_moves_against_what_is_left(held: str, against: float) -> None:
    side = loan(collateral(ETH, held, 3000)) if Decimal(held) > 0 else loan(collateral(USDC, 99_000), debt(ETH, held.lstrip("-"), 3000))
    book = of(side, perp(margin(USDC, 9_000), position(ETH, -9 if Decimal(held) > 0 else 9, 3000)), loan(collateral(SOL, 1), name="s"))
    scenario = by_id(built_in(book, SETTINGS))["hedge_lost"]
    assert scenario.hedge_lost
    assert scenario.variants == ((Shock({BTC: against, ETH: against, SOL: against}),),)


def test_a_step_without_moves_has_words() -> None:
    (found,) = parse_scenarios('[[scenario]]\nid = "x"\nshocks = { ETH = "-5%" }\nthen = [{}, { ETH = "+5%" }]\n')
    assert found.title == "ETH -5 %; then as today; then ETH +5 %"
