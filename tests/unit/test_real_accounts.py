"""Real Aave accounts, from a book's text to their figures: health as it was published, and every boundary against exact arithmetic.

The fixture tells where its figures come from. What is expected here is worked out again from the fixture's own legs in `Decimal`,
without the model: a loan's surplus is a sum of legs, so moving some of them by a ratio changes it along a straight line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk import health, manual
from defi_risk.book import parse
from defi_risk.health import AccountFigures, HealthSettings
from defi_risk.ids import AccountId, Factor, Peg
from defi_risk.judging import health_settings
from defi_risk.model import Account

FIXTURE: Final = Path(__file__).parents[2] / "fixtures" / "accounts" / "aave_real.toml"
DOCUMENT: Final[dict[str, Any]] = tomllib.loads(FIXTURE.read_text("utf-8"), parse_float=Decimal)
PUBLISHED: Final = 1e-6
EXACT: Final = Decimal("1e-9")
CENT: Final = Decimal("0.01")
ROUGH: Final = Decimal("0.0051")


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of an account of the fixture; `shocked` its price in the simulator's own liquidation scenario."""

    owed: bool
    factor: Factor
    peg: Peg | None
    amount: Decimal
    price: Decimal
    weight: Decimal
    shocked: Decimal | None

    @classmethod
    def of(cls, entry: Mapping[str, Any], *, owed: bool) -> Leg:
        shocked = Decimal(entry["shocked"]) if "shocked" in entry else None
        weight = Decimal(1 if owed else entry["weight"])
        peg = Peg(entry["peg"]) if "peg" in entry else None
        return cls(owed, Factor(entry["factor"]), peg, Decimal(entry["amount"]), Decimal(entry["price"]), weight, shocked)

    def surplus(self) -> Decimal:
        """What the leg adds to the surplus; a debt takes away."""
        value = self.amount * self.price * self.weight
        return -value if self.owed else value


Chosen = Callable[[Leg], bool]


@dataclass(frozen=True, slots=True)
class Real:
    """An account of the fixture."""

    name: str
    source: str
    published: Decimal
    rough: bool
    legs: tuple[Leg, ...]
    entry: Mapping[str, Any]

    def health(self, moved: Chosen = lambda _: False, ratio: Decimal = Decimal(1)) -> Decimal:
        """Weighted collateral over debt with the chosen legs' prices times `ratio`."""
        moving = [leg.surplus() * (ratio if moved(leg) else 1) for leg in self.legs]
        return sum((part for part in moving if part > 0), Decimal(0)) / -sum(part for part in moving if part < 0)

    def boundary(self, moved: Chosen) -> tuple[Decimal | None, Decimal | None]:
        """The price ratios of the chosen legs, below and above 1, at which the surplus of a living account is zero.

        None below where what stands still covers its own debts, None above where what moves does.
        """
        still = sum((leg.surplus() for leg in self.legs if not moved(leg)), Decimal(0))
        moving = sum((leg.surplus() for leg in self.legs if moved(leg)), Decimal(0))
        return (-still / moving if still < 0 else None), (-still / moving if moving < 0 else None)

    def book(self) -> str:
        """The account as its owner would write it down in a book."""
        lines = ["[[manual]]", f'name = "{self.name}"', 'side = "lending"']
        for role in ("collateral", "debt"):
            for leg in self.entry[role]:
                lines += [f"[[manual.{role}]]", *(f'{key} = "{value}"' for key, value in leg.items() if key != "shocked")]
        return "\n".join(lines) + "\n"


def read(entry: Mapping[str, Any]) -> Real:
    held = (Leg.of(leg, owed=False) for leg in entry["collateral"])
    owed = (Leg.of(leg, owed=True) for leg in entry["debt"])
    return Real(entry["name"], entry["source"], Decimal(entry["health"]), "rough" in entry, (*held, *owed), entry)


ACCOUNTS: Final = [read(entry) for entry in DOCUMENT["account"]]
SCENARIOS: Final = [real for real in ACCOUNTS if any(leg.shocked for leg in real.legs)]
BOOK: Final = parse("".join(real.book() for real in ACCOUNTS))
SETTINGS: Final = health_settings(BOOK)
every_account = pytest.mark.parametrize("real", ACCOUNTS, ids=lambda real: real.name)


@cache
def judged() -> Mapping[AccountId, AccountFigures]:
    return health.run(manual.accounts(BOOK.manual), SETTINGS).accounts


def figures(real: Real) -> AccountFigures:
    return judged()[AccountId(f"manual:{real.name}")]


def account(real: Real) -> Account:
    return next(one for one in manual.accounts(BOOK.manual) if one.id == f"manual:{real.name}")


def volatile(leg: Leg) -> bool:
    return leg.factor not in SETTINGS.stables


def test_the_fixture_is_what_it_says() -> None:
    assert len({real.name for real in ACCOUNTS}) == len(ACCOUNTS) == 40
    assert {real.source for real in ACCOUNTS} == set(DOCUMENT["sources"])
    assert len(SCENARIOS) >= 15
    assert sum(real.published < 1 for real in ACCOUNTS) == 2


@every_account
def test_health_is_as_published(real: Real) -> None:
    found = figures(real)
    assert found.health == pytest.approx(float(real.published), rel=PUBLISHED)
    assert found.health == pytest.approx(float(real.health()), rel=1e-12)
    assert found.liquidatable == (real.published < 1)


@every_account
def test_the_market_move_brings_health_to_one(real: Real) -> None:
    found = figures(real)
    if found.liquidatable:
        assert (found.down, found.up, found.hf, found.moves) == (0, 0, found.health, ())
        return
    down, up = real.boundary(volatile)
    for move, ratio in ((found.down, down), (found.up, up)):
        assert (move is None) == (ratio is None)
        if move is not None:
            assert abs(real.health(volatile, 1 + Decimal(move)) - 1) < EXACT
    ratios = [ratio for ratio in (1 / down if down else None, up) if ratio is not None]
    assert found.hf == (pytest.approx(float(min(ratios)), rel=1e-9) if ratios else None)


@every_account
def test_every_factor_and_every_peg_moved_alone_brings_health_to_one(real: Real) -> None:
    found = figures(real)
    moves = {(move.factor, move.peg, move.direction): move.move for move in found.moves}
    expected: set[tuple[Factor, Peg | None, str]] = set()
    # a factor takes all tokens pegged to it along, a peg only its own
    for factor, peg in {(leg.factor, None) for leg in real.legs} | {(leg.factor, leg.peg) for leg in real.legs}:

        def moved(leg: Leg, factor: Factor = factor, peg: Peg | None = peg) -> bool:
            return leg.factor == factor if peg is None else leg.peg == peg

        for direction, ratio in zip(("down", "up"), real.boundary(moved), strict=True):
            if ratio is not None and not found.liquidatable:
                expected.add((factor, peg, direction))
                move = moves[factor, peg, direction]
                assert abs(real.health(moved, 1 + Decimal(move)) - 1) < EXACT
    assert set(moves) == expected


@pytest.mark.parametrize("real", SCENARIOS, ids=lambda real: real.name)
def test_the_simulators_own_scenario_is_found_again(real: Real) -> None:
    """Their collateral falls by one ratio and debts keep their prices, so the path here is not the market's where a debt is volatile."""
    theirs = replace(real, legs=tuple(replace(leg, price=leg.shocked or leg.price) for leg in real.legs))
    assert abs(theirs.health() - 1) < ROUGH
    move = scenario_move(real)
    assert move is not None
    price, shocked = max((leg.price, leg.shocked) for leg in real.legs if leg.shocked)
    ours = price * (1 + Decimal(move))
    assert abs(ours - shocked) <= (ROUGH * ours if real.rough else CENT / 2)


def scenario_move(real: Real) -> float | None:
    """The fall of all shocked legs together, as the model sees it: of the market with the other factors still, or of their one peg."""
    falling = {leg.factor for leg in real.legs if leg.shocked}
    still = {leg.factor for leg in real.legs if not leg.shocked}
    if not falling & still:
        settings: HealthSettings = replace(SETTINGS, betas={**SETTINGS.betas, **dict.fromkeys(still, 0.0)})
        return health.run([account(real)], settings).accounts[AccountId(f"manual:{real.name}")].down
    [peg] = {leg.peg for leg in real.legs if leg.shocked}
    return next(move.move for move in figures(real).moves if move.peg == peg and move.direction == "down")


@pytest.mark.parametrize("name", ["emode-eighteen-million", "steth-near-the-line", "thirty-eight-thousand-eth"])
def test_staked_ether_against_ether_dies_of_its_peg_alone(name: str) -> None:
    [real] = [one for one in ACCOUNTS if one.name == name]
    found = figures(real)
    assert (found.down, found.up, found.hf) == (None, None, None)
    [move] = found.moves
    assert (move.factor, move.peg, move.direction) == ("ETH", "stETH/ETH", "down")
    assert move.move == pytest.approx(float(1 / real.published) - 1, rel=PUBLISHED)


@pytest.mark.parametrize("name", ["stable-emode", "dai-against-usdc"])
def test_stables_against_stables_stand_still_in_a_market_move(name: str) -> None:
    [real] = [one for one in ACCOUNTS if one.name == name]
    assert not any(volatile(leg) for leg in real.legs)
    found = figures(real)
    assert (found.down, found.up, found.hf) == (None, None, None)


def test_dust_of_a_volatile_debt_against_stables_dies_upward_only() -> None:
    [real] = [one for one in ACCOUNTS if one.name == "dies-upward"]
    found = figures(real)
    assert found.down is None
    assert found.up is not None
    assert found.up > 1000
    assert found.hf == pytest.approx(1 + found.up)
